//! Finds event columns among the column names of a file.

use netcrab_schema::events::EVENT;
use netcrab_schema::{Column, nearest_clause};

use crate::Error;
use crate::listing::SourceFile;
use crate::privacy::Privacy;

/// The error for a column that is not an event column.
pub(crate) fn unknown_column(file: &SourceFile, column: &str, privacy: &Privacy) -> Error {
    let (file, column) = (file.name.clone(), column.to_owned());
    if privacy.denies_key(&column) {
        return Error::DeniedColumn { file, column };
    }
    let nearest = nearest_clause(&column, EVENT.iter().map(|column| column.name));
    Error::UnknownColumn { file, column, nearest }
}

/// Checks that a required column is there. Five of them have a default.
pub(crate) fn require(file: &SourceFile, column: &Column, there: bool) -> Result<(), Error> {
    let made = matches!(column.name, "session_id" | "event_id" | "route" | "device_type" | "reaction_observed");
    if there || column.nullable || made {
        return Ok(());
    }
    Err(Error::MissingColumn { file: file.name.clone(), column: column.name.to_owned() })
}
