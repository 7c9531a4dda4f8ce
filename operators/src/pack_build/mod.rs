//! Facts of many organisations into what their visitors contribute to a pack.
//!
//!     fact_tasks, fact_sessions, … of a window, of those who opted in ─▶ contributions, visitor by visitor
//!
//! Input   the tables of facts, registered in a DataFusion session under their names
//! Output  org_id, product_id, user_hash, cell, session, v0 … vn (values of the kind's measures), sorted by visitor
//!
//! A contribution is exact and personal; it goes nowhere but to [`netcrab_packs::bound`] and the gate behind it.

mod steps;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use netcrab_packs::Kind;

pub use steps::{STEP_TYPES, step_type};

/// A product whose organisation opted in, and what it keeps to itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eligible {
    /// The organisation.
    pub org_id: String,
    /// The product.
    pub product_id: String,
    /// Sessions of these segments stay out.
    pub excluded_segments: Vec<String>,
    /// Sessions that touched a route which begins like one of these stay out.
    pub excluded_paths: Vec<String>,
}

/// The days of a build, `2026-10-01`, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
}

/// What the visitors of `eligible` products contribute to a pack of this kind; sorted by organisation, product and
/// visitor.
pub async fn contributions(
    context: &SessionContext,
    kind: Kind,
    window: &Window,
    eligible: &[Eligible],
) -> Result<SendableRecordBatchStream> {
    let query = match kind {
        Kind::UxBenchmarks => include_str!("ux_benchmarks.sql"),
        Kind::TaskFlows => include_str!("task_flows.sql"),
        Kind::ReleaseDeltas => include_str!("release_deltas.sql"),
        Kind::InsightReports => {
            return Err(DataFusionError::Plan("insight reports are made of released packs, not of facts".to_owned()));
        }
    };
    register(context, eligible)?;
    context.register_udf(steps::function());
    view(context, "excluded_sessions", include_str!("excluded_sessions.sql"), window).await?;
    view(context, "eligible_tasks", include_str!("tasks.sql"), window).await?;
    let query = format!("SELECT * FROM ({}) ORDER BY org_id, product_id, user_hash", of_window(query, window));
    context.sql(&query).await?.execute_stream().await
}

/// The products that have tasks in the window, each with its organisation.
pub async fn products(context: &SessionContext, window: &Window) -> Result<Vec<(String, String)>> {
    let query = "SELECT DISTINCT org_id, product_id FROM fact_tasks WHERE date BETWEEN $from AND $to ORDER BY 1, 2";
    let mut products = Vec::new();
    for batch in context.sql(&of_window(query, window)).await?.collect().await? {
        let texts = |name: &str| -> Result<StringArray> {
            let column =
                batch.column_by_name(name).ok_or_else(|| DataFusionError::Plan(format!("no column {name}")))?;
            let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8)?;
            Ok(arrow::array::AsArray::as_string::<i32>(&column).clone())
        };
        let (orgs, names) = (texts("org_id")?, texts("product_id")?);
        products.extend(orgs.iter().flatten().zip(names.iter().flatten()).map(|(a, b)| (a.to_owned(), b.to_owned())));
    }
    Ok(products)
}

async fn view(context: &SessionContext, name: &str, query: &str, window: &Window) -> Result<()> {
    let rows = context.sql(&of_window(query, window)).await?;
    context.register_table(name, rows.into_view())?;
    Ok(())
}

fn of_window(query: &str, window: &Window) -> String {
    query.replace("$from", &format!("DATE '{}'", window.from)).replace("$to", &format!("DATE '{}'", window.to))
}

fn register(context: &SessionContext, eligible: &[Eligible]) -> Result<()> {
    let all = eligible.iter().map(|product| (product, ""));
    let segments =
        eligible.iter().flat_map(|product| product.excluded_segments.iter().map(move |text| (product, text.as_str())));
    let paths =
        eligible.iter().flat_map(|product| product.excluded_paths.iter().map(move |text| (product, text.as_str())));
    for (name, column, rows) in [
        ("eligible", None, all.collect::<Vec<_>>()),
        ("excluded_segments", Some("segment"), segments.collect()),
        ("excluded_paths", Some("path"), paths.collect()),
    ] {
        let texts = |of: fn(&(&Eligible, &str)) -> String| -> ArrayRef {
            Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
        };
        let mut columns = vec![
            ("org_id", texts(|(product, _)| product.org_id.clone())),
            ("product_id", texts(|(product, _)| product.product_id.clone())),
        ];
        columns.extend(column.map(|column| (column, texts(|(_, text)| (*text).to_owned()))));
        context.register_batch(name, RecordBatch::try_from_iter(columns)?)?;
    }
    Ok(())
}
