//! A snapshot: one consistent state of all tables, with their files and the cache of the small ones.
//!
//! In the background, the next snapshot is built from the last one and the tables that changed, and then swapped in
//! whole. Only days whose files changed are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::SessionContext;
use hashbrown::HashMap;
use netcrab_schema::Table;
use netcrab_schema::tables::{DIM_RELEASES, FACT_FLOWS, FACT_SCREEN_HOTSPOTS, FACT_SESSIONS};

use super::cache::DayCache;
use super::files::TableFiles;
use super::limits::DeltaLimits;
use super::query::{Params, Queries, Sql};
use super::statements::date;
use crate::period::{Day, Period};
use crate::store::sums::by_day;
use crate::store::{Product, ProductRelease, StoreError, rows};

/// Most days read at once, which bounds the memory of loading a long history.
const LOAD_DAYS_MAX: u32 = 7;

/// One consistent state of all tables.
pub(super) struct Snapshot {
    /// Their files, in the order of the list of tables.
    pub tables: Vec<Arc<TableFiles>>,
    /// A context in which they can be queried.
    pub context: SessionContext,
    /// `fact_sessions` by day and version.
    pub session_days: DayCache,
    /// `fact_screen_hotspots`.
    pub screens: DayCache,
    /// `fact_flows`.
    pub moves: DayCache,
    /// Products of each organisation, by name.
    pub products: HashMap<String, Vec<Product>>,
    /// Releases of each product, newest first.
    pub releases: HashMap<(String, String), Vec<ProductRelease>>,
}

impl Snapshot {
    /// Tables without files.
    pub(super) fn empty(queries: &Queries, tables: &[&'static Table]) -> Result<Self, StoreError> {
        let tables: Vec<_> = tables.iter().map(|table| Arc::new(TableFiles::missing(table))).collect();
        Ok(Self {
            context: queries.context(&tables)?,
            tables,
            session_days: DayCache::default(),
            screens: DayCache::default(),
            moves: DayCache::default(),
            products: HashMap::new(),
            releases: HashMap::new(),
        })
    }

    /// The files of a table.
    pub(super) fn files(&self, table: &Table) -> Option<&Arc<TableFiles>> {
        self.tables.iter().find(|files| files.table.name == table.name)
    }

    /// Bytes cached in memory of a table.
    pub(super) fn cached_bytes(&self, table: &Table) -> usize {
        match table.name {
            name if name == FACT_SESSIONS.name => self.session_days.bytes(),
            name if name == FACT_SCREEN_HOTSPOTS.name => self.screens.bytes(),
            name if name == FACT_FLOWS.name => self.moves.bytes(),
            _ => 0,
        }
    }

    /// The snapshot in which `changed` tables replace the old ones.
    pub(super) async fn next(
        &self,
        changed: Vec<TableFiles>,
        queries: &Queries,
        limits: &DeltaLimits,
    ) -> Result<Self, StoreError> {
        let mut tables = self.tables.clone();
        for files in changed {
            if let Some(place) = tables.iter_mut().find(|known| known.table.name == files.table.name) {
                *place = Arc::new(files);
            }
        }
        let context = queries.context(&tables)?;
        let load = Load { before: self, tables: &tables, context: &context, queries };
        // The roll-up of sessions is small and every answer needs it, so all of it is cached.
        let session_days = load.days(&self.session_days, &FACT_SESSIONS, ROLLUP_SESSIONS, usize::MAX).await?;
        let rest = limits.held_bytes_max.saturating_sub(session_days.bytes());
        let screens = load.days(&self.screens, &FACT_SCREEN_HOTSPOTS, LOAD_SCREENS, rest).await?;
        let rest = rest.saturating_sub(screens.bytes());
        let moves = load.days(&self.moves, &FACT_FLOWS, LOAD_MOVES, rest).await?;
        let products = products(&session_days)?;
        let releases = load.releases().await?;
        Ok(Self { tables, context, session_days, screens, moves, products, releases })
    }
}

struct Load<'a> {
    before: &'a Snapshot,
    tables: &'a [Arc<TableFiles>],
    context: &'a SessionContext,
    queries: &'a Queries,
}

impl Load<'_> {
    async fn days(&self, cached: &DayCache, table: &Table, sql: Sql, bytes_max: usize) -> Result<DayCache, StoreError> {
        let mut cached = cached.clone();
        let (Some(before), Some(now)) = (self.before.files(table), self.files(table)) else { return Ok(cached) };
        let differ = now.days_that_differ(before);
        for period in runs(&differ).into_iter().rev() {
            if cached.uncached(period) == Some(period) {
                continue;
            }
            let params: Params = vec![("from", date(period.from)), ("to", date(period.to))];
            let mut days = by_day(&self.queries.run(self.context, sql, params).await?)?;
            for day in period.iter() {
                match days.remove(&day) {
                    Some(rows) => cached.insert(day, rows)?,
                    None => cached.remove(day),
                }
            }
            cached.evict_beyond(bytes_max);
        }
        if cached.cached_from != self.cached_from_before(table) {
            tracing::warn!(table = table.name, held_from = ?cached.cached_from.map(|day| day.to_string()),
                "held_bytes_max reached; days before are read from files");
        }
        Ok(cached)
    }

    fn cached_from_before(&self, table: &Table) -> Option<Day> {
        let before = self.before;
        if table.name == FACT_FLOWS.name { before.moves.cached_from } else { before.screens.cached_from }
    }

    fn files(&self, table: &Table) -> Option<&Arc<TableFiles>> {
        self.tables.iter().find(|files| files.table.name == table.name)
    }

    async fn releases(&self) -> Result<HashMap<(String, String), Vec<ProductRelease>>, StoreError> {
        let (before, now) = (self.before.files(&DIM_RELEASES), self.files(&DIM_RELEASES));
        if before.map(|files| &files.files) == now.map(|files| &files.files) {
            return Ok(self.before.releases.clone());
        }
        let mut releases: HashMap<(String, String), Vec<ProductRelease>> = HashMap::new();
        for batch in self.queries.run(self.context, RELEASES, Params::new()).await? {
            for (org_id, product_id, release) in rows::releases(&batch)? {
                releases.entry((org_id, product_id)).or_default().push(release);
            }
        }
        Ok(releases)
    }
}

/// Days in order as periods without a gap, each at most `LOAD_DAYS_MAX` long.
fn runs(days: &[Day]) -> Vec<Period> {
    let mut runs: Vec<Period> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some(run) if run.to.plus(1) == *day && run.days() < LOAD_DAYS_MAX => run.to = *day,
            _ => runs.push(Period { from: *day, to: *day }),
        }
    }
    runs
}

fn products(session_days: &DayCache) -> Result<HashMap<String, Vec<Product>>, StoreError> {
    let mut by_org: HashMap<String, BTreeMap<String, Product>> = HashMap::new();
    for (day, org_id, product_id, rows) in session_days.owners() {
        let mut days = Vec::new();
        rows::session_days(day, &rows, &mut days)?;
        let sessions: i64 = days.iter().map(|day| day.sessions).sum();
        let products = by_org.entry_ref(org_id).or_default();
        let product = products.entry(product_id.to_owned()).or_insert_with(|| Product {
            product_id: product_id.to_owned(),
            first_day: day,
            last_day: day,
            sessions: 0,
        });
        product.first_day = product.first_day.min(day);
        product.last_day = product.last_day.max(day);
        product.sessions += sessions;
    }
    Ok(by_org.into_iter().map(|(org_id, products)| (org_id, products.into_values().collect())).collect())
}

const ROLLUP_SESSIONS: Sql = Sql { name: "rollup_sessions", text: include_str!("sql/rollup_sessions.sql") };
const LOAD_SCREENS: Sql = Sql { name: "load_screens", text: include_str!("sql/load_screens.sql") };
const LOAD_MOVES: Sql = Sql { name: "load_moves", text: include_str!("sql/load_moves.sql") };
const RELEASES: Sql = Sql { name: "releases", text: include_str!("sql/releases.sql") };

#[cfg(test)]
mod tests {
    use super::*;

    fn check(days: &[i32], expect: &[(i32, i32)]) {
        let days: Vec<Day> = days.iter().map(|day| Day(*day)).collect();
        let found: Vec<(i32, i32)> = runs(&days).iter().map(|run| (run.from.0, run.to.0)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn neighbouring_days_are_loaded_together_up_to_a_bound() {
        check(&[], &[]);
        check(&[5], &[(5, 5)]);
        check(&[1, 2, 3, 7, 9, 10], &[(1, 3), (7, 7), (9, 10)]);
        check(&(0..10).collect::<Vec<_>>(), &[(0, 6), (7, 9)]);
    }
}
