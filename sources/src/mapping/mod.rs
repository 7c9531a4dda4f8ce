//! Turns foreign columns into events, as a TOML file says.
//!
//!     mapping.toml ─ parse ─▶ Mapping ─ bind ─▶ Bound ─ apply(values of a row) ─▶ event, skip or fault
//!
//! What a mapping can say is in `docs/mapping.md`; its two worked examples are tests.

mod apply;
mod parse;
mod user_agent;

use std::sync::Arc;

use crate::error::nearest_clause;
use crate::listing::File;
use crate::{Error, Format};
use apply::Plan;

/// How foreign columns become events.
#[derive(Debug, Clone)]
pub struct Mapping {
    format: Format,
    delimiter: u8,
    identity: u128,
    plan: Arc<Plan>,
}

impl Mapping {
    /// Reads a mapping. Faults name what is wrong and the nearest valid name.
    pub fn parse(text: &str) -> Result<Mapping, Error> {
        parse::mapping(text).map_err(Error::Mapping)
    }

    /// The format of the files it is for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What separates the fields of a CSV.
    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// A hash of the text and the salt.
    pub(crate) fn identity(&self) -> u128 {
        self.identity
    }

    pub(crate) fn bind(&self) -> Bound {
        Bound { plan: self.plan.clone() }
    }
}

/// A mapping at work on a file.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    plan: Arc<Plan>,
}

impl Bound {
    /// The foreign columns it takes values of, in the order [`Self::apply`] expects them.
    pub(crate) fn columns(&self) -> &[String] {
        &self.plan.foreign
    }

    /// Where each foreign column stands among the `names` of a file.
    pub(crate) fn find(&self, file: &File, names: &[&str]) -> Result<Vec<Option<usize>>, Error> {
        let find = |column: &String| {
            let place = names.iter().position(|name| name == column);
            place.map(Some).ok_or_else(|| {
                let nearest = nearest_clause(column, names.iter().copied());
                Error::Mapping(format!(
                    "`{}` has no column `{column}`{nearest}; correct the mapping, or the file",
                    file.name
                ))
            })
        };
        self.columns().iter().map(find).collect()
    }
}
