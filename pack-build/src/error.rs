//! What can go wrong between the tables of facts and the tallies, and who must act.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use netcrab_packs::tallies;
use netcrab_schema::WhoActs;

/// An error of this crate. No text names an organisation or a number of a cell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A query over the facts failed.
    #[error(transparent)]
    Query(#[from] DataFusionError),
    /// A column of contributions does not have its type.
    #[error(transparent)]
    Column(#[from] ArrowError),
    /// A column is missing.
    #[error("no column `{0}`")]
    NoColumn(String),
    /// The pack's kind is not computed from facts.
    #[error("insight reports are made of released packs, not of facts")]
    NotFromFacts,
    /// The contributions could not be added up.
    #[error(transparent)]
    Tallies(#[from] tallies::Error),
}

impl Error {
    /// Who must act before a build can succeed.
    pub fn who_acts(&self) -> WhoActs {
        match self {
            // A file that a running pipeline rewrote, or a store that does not answer just now.
            Self::Query(error) => match error.find_root() {
                DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => WhoActs::Retry,
                _ => WhoActs::Operator,
            },
            Self::Column(_) | Self::NoColumn(_) | Self::NotFromFacts => WhoActs::Operator,
            Self::Tallies(error) => error.who_acts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_is_asked_again_and_a_missing_column_is_not() {
        let unread = DataFusionError::IoError(std::io::Error::other("timed out")).context("reading");
        assert_eq!(Error::from(unread).who_acts(), WhoActs::Retry);
        assert_eq!(Error::from(DataFusionError::ResourcesExhausted("memory".into())).who_acts(), WhoActs::Operator);
        assert_eq!(Error::NoColumn("cell".to_owned()).who_acts(), WhoActs::Operator);
        assert_eq!(Error::NotFromFacts.who_acts(), WhoActs::Operator);
        assert_eq!(Error::from(tallies::Error::TooMany(1)).who_acts(), WhoActs::Operator);
    }
}
