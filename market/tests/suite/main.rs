//! One contract for both databases.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod bounds;
mod budgets;
mod leases;
mod opening;
mod opt_ins;
mod postgres;
#[path = "../../../bus/tests/suite/test_server.rs"]
mod test_server;
mod versions;

use netcrab_market::{Contribution, Market, NewVersion, Spend};
use tempfile::TempDir;

/// An empty database, and how to open it again.
struct Subject {
    name: &'static str,
    url: String,
    market: Market,
    /// Where SQLite's file is.
    _folder: Option<TempDir>,
}

/// A place for a database that was never opened.
struct Place {
    name: &'static str,
    url: String,
    folder: Option<TempDir>,
}

async fn places() -> Vec<Place> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("market.db").display());
    let mut places = vec![Place { name: "SQLite", url, folder: Some(folder) }];
    if let Some(url) = postgres::database().await {
        places.push(Place { name: "PostgreSQL", url, folder: None });
    }
    places
}

async fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for Place { name, url, folder } in places().await {
        let market = Market::open(&url).await.unwrap();
        subjects.push(Subject { name, url, market, _folder: folder });
    }
    subjects
}

/// Runs SQL beside the crate, as another program would.
async fn run(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    use sqlx::{Connection, Executor};
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await?;
    let done = connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await;
    connection.close().await?;
    done.map(|_| ())
}

/// Version 1.`minor` of the pack `friction`, made from an input of its own.
fn version(minor: i64) -> NewVersion {
    NewVersion {
        pack_id: "friction".to_owned(),
        version: format!("1.{minor}"),
        major: 1,
        minor,
        kind: "ux_benchmarks".to_owned(),
        definition: "d1".to_owned(),
        schema: "s1".to_owned(),
        method: "m1".to_owned(),
        input: format!("input {minor}"),
        window_from: "2026-10-01".to_owned(),
        window_to: "2026-10-31".to_owned(),
        result: vec![0, 255, 7, u8::try_from(minor % 256).unwrap()],
        created_at_ms: 1_000 + minor,
    }
}

/// A spend of `rho` about visitor-months of October, of a budget of 1.
fn spend(rho: f64) -> Spend {
    Spend {
        unit: "visitor_month".to_owned(),
        period: "2026-10".to_owned(),
        rho,
        delta: 0.0,
        rho_budget: 1.0,
        delta_budget: 0.0,
    }
}

fn contribution(org_id: &str, sessions: i64) -> Contribution {
    Contribution { org_id: org_id.to_owned(), sessions }
}
