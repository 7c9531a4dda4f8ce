//! What can go wrong with packs, and who must act.

use arrow::error::ArrowError;
use netcrab_packs::{gate, noise};
use netcrab_schema::WhoActs;
use parquet::errors::ParquetError;

use crate::checkpoints::folder;

/// An error of building, writing or reading packs. No text names an organisation or a number of a cell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too few organisations contribute, so no cell could be released. Nothing was spent.
    #[error(
        "fewer than {0} organisations of the vertical opted in and have tasks in these days, so no cell could leave; \
         nothing was spent. Build again when more did (netcrab packs orgs)"
    )]
    TooFewOrgs(u32),
    /// Another process builds packs.
    #[error("another process builds packs; wait until it is done (at most ten minutes after one that was killed)")]
    LeaseHeld,
    /// No source of a report has a version of its days yet.
    #[error("none of {} has a version of these days yet; build them first", .0.join(", "))]
    NoSources(Vec<String>),
    /// A table of facts is missing.
    #[error("the tables have no `{0}`; make it with `netcrab run`, or check the path given to --tables")]
    NoTable(&'static str),
    /// The text names no window.
    #[error("`{text}` is no day like 2026-10-31, and no month like 2026-10")]
    NoWindow {
        /// The text.
        text: String,
        /// Why it is no day.
        source: jiff::Error,
    },
    /// A month, for a pack that is built by the day or the week.
    #[error("`{0}` is a month, and this pack is not built by the month; name a day of the window")]
    MonthOfOther(String),
    /// A day beyond the calendar.
    #[error(transparent)]
    Calendar(#[from] jiff::Error),
    /// The database has no result of a version.
    #[error("{pack_id} {version} has no result")]
    NoResult {
        /// The pack.
        pack_id: String,
        /// The version.
        version: String,
    },
    /// The result of a version has fields that this release of netcrab does not know.
    #[error("{pack_id} {version} was built by another release of netcrab")]
    OtherRelease {
        /// The pack.
        pack_id: String,
        /// The version.
        version: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// A file of a version was changed.
    #[error("{0} is not what was released; keep it as evidence, remove it and build again")]
    FileChanged(String),
    /// The schema or a batch lacks something; a defect of netcrab.
    #[error("no {0}; this is a fault of netcrab")]
    Missing(String),
    /// The operational database.
    #[error(transparent)]
    Market(#[from] netcrab_market::Error),
    /// The facts could not be queried or added up.
    #[error(transparent)]
    Contributions(#[from] netcrab_pack_build::Error),
    /// The gate released nothing.
    #[error(transparent)]
    Gate(#[from] gate::Error),
    /// OpenDP computed no plan.
    #[error(transparent)]
    Noise(#[from] noise::Error),
    /// The tables of facts could not be opened, or rows not be sorted.
    #[error(transparent)]
    Tables(Box<crate::error::Error>),
    /// The tables of released packs could not be written.
    #[error(transparent)]
    Sink(#[from] netcrab_sinks::Error),
    /// The folder of released files could not be read or written.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// Rows could not be encoded.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// Rows could not be encoded as Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Rows could not be encoded as CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// Something could not be encoded as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl From<crate::error::Error> for Error {
    fn from(error: crate::error::Error) -> Self {
        Self::Tables(Box::new(error))
    }
}

impl Error {
    /// Who must act before the same command can succeed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            // Organisations opt in, another builder ends, or the source packs are built in the meantime.
            Self::TooFewOrgs(_) | Self::LeaseHeld | Self::NoSources(_) => WhoActs::Retry,
            Self::NoTable(_)
            | Self::NoWindow { .. }
            | Self::MonthOfOther(_)
            | Self::Calendar(_)
            | Self::NoResult { .. }
            | Self::OtherRelease { .. }
            | Self::FileChanged(_)
            | Self::Missing(_)
            | Self::Arrow(_)
            | Self::Parquet(_)
            | Self::Csv(_)
            | Self::Json(_) => WhoActs::Operator,
            Self::Market(error) => error.who_acts(),
            Self::Contributions(error) => error.who_acts(),
            Self::Gate(error) => error.who_acts(),
            Self::Noise(error) => error.who_acts(),
            Self::Tables(error) => error.who_acts(),
            Self::Sink(error) => error.who_acts(),
            Self::Folder(error) => error.who_acts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_organisations_may_succeed_later_and_one_without_tables_does_not() {
        assert_eq!(Error::TooFewOrgs(20).who_acts(), WhoActs::Retry);
        assert_eq!(Error::LeaseHeld.who_acts(), WhoActs::Retry);
        assert_eq!(Error::NoTable("fact_tasks").who_acts(), WhoActs::Operator);
        assert_eq!(Error::FileChanged("data.csv".to_owned()).who_acts(), WhoActs::Operator);
        let busy = netcrab_market::Error::Busy { doing: "store a version" };
        assert_eq!(Error::from(busy).who_acts(), WhoActs::Retry);
    }
}
