//! Contribution bounding: what counts of each unit's contributions, added up.
//!
//!     contributions, unit by unit ─▶ gathered ─▶ packs::bound ─▶ packs::tallies
//!
//! The *unit* is whose presence the pack hides: a visitor of a product, or an organisation.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use netcrab_packs::bound::bound_contributions;
use netcrab_packs::definition::Unit;
use netcrab_packs::method::measures;
use netcrab_packs::tallies::{Tallies, TalliesBuilder};
use netcrab_packs::{Contribution, Definition, ReleasePlan};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::Error;

/// Contributions of one unit that are gathered before they are bounded. Bounding parts, and then what is left of them
/// together, gives what bounding all at once gives (tested in `packs/tests/suite/bounds.rs`).
const GATHERED_MAX: usize = 4096;

/// The bounded contributions of a window.
#[derive(Debug)]
pub struct BoundedContributions {
    /// The contributions by cell and organisation.
    pub tallies: Tallies,
    /// A hash of all bounded contributions, the same in any order of the units.
    pub digest: u128,
}

/// Bounds the contributions of one unit after another, and adds up what counts.
#[derive(Debug)]
pub struct ContributionBounder<'a> {
    definition: &'a Definition,
    plan: &'a ReleasePlan,
    /// The organisation and the name of the unit whose contributions are gathered.
    unit: Option<(String, String)>,
    gathered: Vec<Contribution>,
    tallies: TalliesBuilder,
    digest: u128,
}

impl<'a> ContributionBounder<'a> {
    /// Bounds as `plan` says; holds at most `entries_max` pairs of a cell and an organisation.
    pub fn new(definition: &'a Definition, plan: &'a ReleasePlan, entries_max: usize) -> Self {
        let measures = measures(definition.kind);
        let tallies = match definition.privacy.unit {
            // All sessions of an organisation count, in at most so many cells, and weigh no more than its share.
            Unit::OrgMonth => TalliesBuilder::of_orgs(measures, entries_max, &definition.pack_id, plan.cells_per_unit),
            _ => TalliesBuilder::of_visitors(measures, entries_max),
        };
        Self { definition, plan, unit: None, gathered: Vec::new(), tallies, digest: 0 }
    }

    /// Takes a batch of [`crate::contributions`]. All rows of a unit must follow one another, over all batches.
    ///
    /// # Errors
    ///
    /// [`Error::NoColumn`] and [`Error::Column`] when the batch is not one of contributions, and [`Error::Tallies`]
    /// when there are more pairs of a cell and an organisation than `entries_max`.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let columns = ContributionColumns::of(batch, measures(self.definition.kind).len())?;
        let whole_org = self.definition.privacy.unit == Unit::OrgMonth;
        for row in 0..batch.num_rows() {
            let contribution = columns.contribution(row);
            let (org, product, user) =
                (columns.org_id.value(row), columns.product_id.value(row), columns.user_hash.value(row));
            if whole_org {
                self.add(org, org, &contribution)?;
                continue;
            }
            let unit = [org, product, user].join("\u{1d}");
            if self.unit.as_ref().is_none_or(|(_, before)| *before != unit) {
                self.end_unit()?;
                self.unit = Some((org.to_owned(), unit));
            }
            if self.gathered.len() >= GATHERED_MAX.max(2 * self.plan.cells_per_unit as usize) {
                self.gathered = self.bounded();
            }
            self.gathered.push(contribution);
        }
        Ok(())
    }

    /// All that was taken.
    ///
    /// # Errors
    ///
    /// [`Error::Tallies`] when there are more pairs of a cell and an organisation than `entries_max`.
    pub fn finish(mut self) -> Result<BoundedContributions, Error> {
        self.end_unit()?;
        Ok(BoundedContributions { tallies: self.tallies.finish()?, digest: self.digest })
    }

    /// What counts of the contributions gathered so far.
    fn bounded(&mut self) -> Vec<Contribution> {
        let Some((_, unit)) = &self.unit else { return Vec::new() };
        bound_contributions(&self.definition.pack_id, unit, self.plan.cells_per_unit, self.gathered.drain(..))
    }

    fn end_unit(&mut self) -> Result<(), Error> {
        let bounded = self.bounded();
        let Some((org, unit)) = self.unit.take() else { return Ok(()) };
        bounded.iter().try_for_each(|contribution| self.add(&org, &unit, contribution))
    }

    fn add(&mut self, org: &str, unit: &str, contribution: &Contribution) -> Result<(), Error> {
        let Contribution { cell, session, values } = contribution;
        let text = format!("{unit}\u{1c}{cell}\u{1c}{session}\u{1c}{values:?}");
        // A sum does not depend on the order of the units.
        self.digest = self.digest.wrapping_add(xxh3_128(text.as_bytes()));
        Ok(self.tallies.take(org, contribution)?)
    }
}

/// The columns of a batch of contributions.
struct ContributionColumns {
    org_id: StringArray,
    product_id: StringArray,
    user_hash: StringArray,
    cell: StringArray,
    session: StringArray,
    values: Vec<Int64Array>,
}

impl ContributionColumns {
    fn of(batch: &RecordBatch, values: usize) -> Result<Self, Error> {
        let column = |name: &str, kind: &DataType| -> Result<ArrayRef, Error> {
            let column = batch.column_by_name(name).ok_or_else(|| Error::NoColumn(name.to_owned()))?;
            Ok(cast(column, kind)?)
        };
        let text = |name: &str| -> Result<StringArray, Error> {
            Ok(column(name, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let number = |place: usize| -> Result<Int64Array, Error> {
            Ok(column(&format!("v{place}"), &DataType::Int64)?.as_primitive::<Int64Type>().clone())
        };
        Ok(Self {
            org_id: text("org_id")?,
            product_id: text("product_id")?,
            user_hash: text("user_hash")?,
            cell: text("cell")?,
            session: text("session")?,
            values: (0..values).map(number).collect::<Result<_, _>>()?,
        })
    }

    fn contribution(&self, row: usize) -> Contribution {
        let value = |values: &Int64Array| values.is_valid(row).then(|| values.value(row));
        Contribution {
            cell: self.cell.value(row).to_owned(),
            session: self.session.value(row).to_owned(),
            values: self.values.iter().map(value).collect(),
        }
    }
}
