//! A cache of small additive tables, by day.
//!
//!     day ─▶ rows sorted by organisation and product ─▶ slice of one product, without a copy
//!
//! Overview, hotspots and flows without filters are sums over such slices. The rows are Arrow columns that a loop adds
//! up; docs/api.md says what a planned query costs instead.
//!
//! Bounded: the newest days are cached, up to the byte limit. Older days are read from their files, with the same result
//! and slower.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hashbrown::HashMap;

use crate::period::{Day, Period};
use crate::store::{Columns, StoreError, plain_text, wrong};

/// The days of one table that are cached.
#[derive(Debug, Clone, Default)]
pub(super) struct DayCache {
    days: BTreeMap<Day, Arc<CachedDay>>,
    /// The first day that may be cached; `None` while all days may be.
    pub cached_from: Option<Day>,
}

#[derive(Debug)]
struct CachedDay {
    rows: RecordBatch,
    owners: HashMap<String, Range<usize>>,
    bytes: usize,
}

/// The key of a product's rows. No id contains a line feed.
fn owner(org_id: &str, product_id: &str) -> String {
    format!("{org_id}\n{product_id}")
}

impl DayCache {
    /// Replaces a day, or removes it where there are no rows.
    pub(super) fn insert(&mut self, day: Day, rows: RecordBatch) -> Result<(), StoreError> {
        if rows.num_rows() == 0 {
            self.days.remove(&day);
            return Ok(());
        }
        self.days.insert(day, Arc::new(CachedDay::new(rows)?));
        Ok(())
    }

    /// Removes a day.
    pub(super) fn remove(&mut self, day: Day) {
        self.days.remove(&day);
    }

    /// Evicts the oldest days beyond `bytes_max`. They and the days before them are not cached again.
    pub(super) fn evict_beyond(&mut self, bytes_max: usize) {
        while self.bytes() > bytes_max
            && let Some((day, _)) = self.days.pop_first()
        {
            self.cached_from = Some(day.plus(1));
        }
    }

    /// Bytes of all days.
    pub(super) fn bytes(&self) -> usize {
        self.days.values().map(|day| day.bytes).sum()
    }

    /// The part of `period` that is not cached and must be read from files.
    pub(super) fn uncached(&self, period: Period) -> Option<Period> {
        let cached_from = self.cached_from?;
        (period.from < cached_from).then(|| Period { from: period.from, to: period.to.min(cached_from.plus(-1)) })
    }

    /// The rows of one product, day by day.
    pub(super) fn slices(&self, org_id: &str, product_id: &str, period: Period) -> Vec<(Day, RecordBatch)> {
        let owner = owner(org_id, product_id);
        let days = self.days.range(period.from..=period.to);
        days.filter_map(|(day, cached)| Some((*day, cached.slice(&owner)?))).collect()
    }

    /// The newest cached day up to `until` with rows of one product.
    pub(super) fn newest_day(&self, org_id: &str, product_id: &str, until: Day) -> Option<Day> {
        let owner = owner(org_id, product_id);
        let mut days = self.days.range(..=until).rev();
        days.find(|(_, cached)| cached.owners.contains_key(&owner)).map(|(day, _)| *day)
    }

    /// Every product with its days and their rows.
    pub(super) fn owners(&self) -> impl Iterator<Item = (Day, &str, &str, RecordBatch)> {
        self.days.iter().flat_map(|(day, cached)| {
            let owners = cached.owners.iter().filter_map(|(owner, range)| Some((owner.split_once('\n')?, range)));
            owners.map(|((org, product), range)| (*day, org, product, cached.rows.slice(range.start, range.len())))
        })
    }
}

impl CachedDay {
    fn new(rows: RecordBatch) -> Result<Self, StoreError> {
        let (org_id, product_id) = (rows.texts("org_id")?, rows.texts("product_id")?);
        let mut owners: HashMap<String, Range<usize>> = HashMap::new();
        for row in 0..rows.num_rows() {
            let owner = owner(org_id.value(row), product_id.value(row));
            owners.entry(owner).or_insert(row..row).end = row + 1;
        }
        let rows = without_owner(&rows)?;
        let bytes = rows.get_array_memory_size() + owners.len() * 96;
        Ok(Self { rows, owners, bytes })
    }

    fn slice(&self, owner: &str) -> Option<RecordBatch> {
        let range = self.owners.get(owner)?;
        Some(self.rows.slice(range.start, range.len()))
    }
}

// Texts are copied out of the views: a view would keep the whole page in memory that it was read from.
fn without_owner(rows: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let named = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).zip(rows.columns());
    let kept = named.filter(|(name, _)| !["org_id", "product_id", "date"].contains(name));
    let plain = kept.map(|(name, column)| Ok((name, plain_text(column)?, true)));
    let plain = plain.collect::<Result<Vec<_>, StoreError>>()?;
    RecordBatch::try_from_iter_with_nullable(plain).map_err(wrong)
}
