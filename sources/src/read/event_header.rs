//! Finds event columns among the column names of a file.

use netcrab_schema::events::{EVENT, wire_name};
use netcrab_schema::{Column, nearest, nearest_clause};

use crate::Error;
use crate::listing::SourceFile;
use crate::privacy::Privacy;

/// Most columns of a file that an error names.
const NAMED_MAX: usize = 12;

/// Most characters of a column's name that an error shows.
const NAME_SHOWN_MAX: usize = 64;

/// The error for a file with these columns, which are not those of an event: the one fault, or all of them where the
/// file is a foreign one.
pub(crate) fn not_an_event<'a>(
    file: &SourceFile,
    names: impl IntoIterator<Item = &'a str>,
    privacy: &Privacy,
) -> Error {
    let names: Vec<&str> = names.into_iter().collect();
    let named = |column: &Column, name: &str| column.name == name || wire_name(column.name) == name;
    let unknown: Vec<&str> =
        names.iter().copied().filter(|name| !EVENT.iter().any(|column| named(column, name))).collect();
    let there = |column: &Column| names.iter().any(|name| named(column, name)) || file.known.has(column.name);
    let lacks = |column: &&Column| require(file, column, there(column)).is_err();
    let missing: Vec<&str> = EVENT.iter().filter(lacks).map(|column| column.name).collect();
    match (&unknown[..], &missing[..]) {
        ([column], _) if privacy.denies_key(column) => {
            Error::DeniedColumn { file: file.name.clone(), column: shown(column, privacy) }
        }
        ([column], []) => unknown_column(file, column, privacy),
        ([], [column]) => Error::MissingColumn { file: file.name.clone(), column: (*column).to_owned() },
        _ => Error::ForeignColumns {
            file: file.name.clone(),
            unknown: foreign_clause(&unknown, privacy),
            missing: if missing.is_empty() { String::new() } else { format!("; it lacks {}", missing.join(", ")) },
        },
    }
}

/// The error for a column that is not an event column.
fn unknown_column(file: &SourceFile, column: &str, privacy: &Privacy) -> Error {
    let (file, name) = (file.name.clone(), shown(column, privacy));
    if privacy.denies_key(column) {
        return Error::DeniedColumn { file, column: name };
    }
    let nearest = nearest_clause(column, EVENT.iter().map(|column| column.name));
    Error::UnknownColumn { file, column: name, nearest }
}

/// `; no event has a column `user` (nearest is `user_hash`), …`, or empty.
fn foreign_clause(unknown: &[&str], privacy: &Privacy) -> String {
    if unknown.is_empty() {
        return String::new();
    }
    let named = unknown.iter().take(NAMED_MAX).map(|name| {
        let near = nearest(name, EVENT.iter().map(|column| column.name));
        let near = near.map(|near| format!(" (nearest is `{near}`)")).unwrap_or_default();
        format!("`{}`{near}", shown(name, privacy))
    });
    let named = named.collect::<Vec<_>>().join(", ");
    match unknown.len().saturating_sub(NAMED_MAX) {
        0 => format!("; no event has a column {named}"),
        more => format!("; no event has a column {named} or {more} more"),
    }
}

/// The name of a column in an error. Where a file has no header, a value stands in its place, and is not echoed.
fn shown(name: &str, privacy: &Privacy) -> String {
    match name.trim() {
        "" => "(no name)".to_owned(),
        name if privacy.text(name).is_some() => "(a value, not a name: is the header missing?)".to_owned(),
        name => name.chars().take(NAME_SHOWN_MAX).collect(),
    }
}

/// Checks that a required column is there. Five of them have a default.
pub(crate) fn require(file: &SourceFile, column: &Column, there: bool) -> Result<(), Error> {
    let made = matches!(column.name, "session_id" | "event_id" | "route" | "device_type" | "reaction_observed");
    if there || column.nullable || made {
        return Ok(());
    }
    Err(Error::MissingColumn { file: file.name.clone(), column: column.name.to_owned() })
}
