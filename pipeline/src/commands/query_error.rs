//! What is wrong with a query, said once, with the nearest name.
//!
//! ```text
//! FROM fact_sesions      ─▶ there is no table `fact_sesions`; did you mean `fact_sessions`?
//! SELECT x FORM t        ─▶ syntax error at line 1, column 10: …, with the line and a mark below it
//! ```

use std::fmt::Write;

use anyhow::Chain;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use netcrab_schema::nearest;

/// Most names that are listed where none is near.
const LISTED_MAX: usize = 12;

/// Most characters of a line of the query that are shown before a mark.
const SHOWN_MAX: usize = 100;

/// The tables that queries of this session can name, in order.
pub(super) fn table_names(session: &SessionContext) -> Vec<String> {
    let catalogs = session.catalog_names().into_iter().filter_map(|name| session.catalog(&name));
    let schemas = catalogs.filter_map(|catalog| catalog.schema("public"));
    let mut names: Vec<String> = schemas.flat_map(|schema| schema.table_names()).collect();
    names.sort();
    names
}

/// What `error` says about `query`, and what to do about it.
pub(super) fn explain(error: &DataFusionError, query: &str, session: &SessionContext) -> String {
    let first = error.iter().next().unwrap_or(error);
    match first.find_root() {
        DataFusionError::SchemaError(fault, _) => match fault.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => no_column(field, valid_fields, query),
            fault => fault.to_string(),
        },
        DataFusionError::SQL(fault, _) => syntax(&fault.to_string(), query),
        DataFusionError::Plan(said) => planning(said, session),
        DataFusionError::Execution(said) | DataFusionError::NotImplemented(said) => first_line(said).to_owned(),
        other => in_one_line(other),
    }
}

fn planning(said: &str, session: &SessionContext) -> String {
    if let Some(name) = quoted_in(said, "table '", "' not found") {
        return no_table(name.rsplit('.').next().unwrap_or(name), session);
    }
    if let Some(name) = quoted_in(said, "Invalid function '", "'") {
        return no_function(name, session);
    }
    let said = first_line(said);
    if said.contains(" not supported: ") {
        return format!("{said}; only queries run here: `netcrab run` and a stream write the tables");
    }
    format!("{said}; docs/tables.md lists tables and columns")
}

fn no_table(name: &str, session: &SessionContext) -> String {
    let tables = table_names(session);
    if netcrab_schema::all_tables().any(|table| table.name == name) {
        return format!("the table `{name}` is not in this folder, which has {}", listed(&tables));
    }
    format!("there is no table `{name}`{}", did_you_mean(name, &tables))
}

fn no_function(name: &str, session: &SessionContext) -> String {
    let state = session.state();
    let aggregates = state.aggregate_functions().keys();
    let names: Vec<String> =
        state.scalar_functions().keys().chain(aggregates).chain(state.window_functions().keys()).cloned().collect();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(nearest) => format!("there is no function `{name}`; did you mean `{nearest}`?"),
        None => format!("there is no function `{name}`; SHOW FUNCTIONS lists them"),
    }
}

fn no_column(field: &Column, valid: &[Column], query: &str) -> String {
    let name = field.name();
    let owners: Vec<String> =
        valid.iter().filter_map(|column| Some(column.relation.as_ref()?.table().into())).collect();
    if let Some(owner) = field.relation.as_ref().map(|owner| owner.table())
        && !owners.iter().any(|known| known == owner)
    {
        let owners = distinct(owners);
        return format!("nothing in the query is called `{owner}`{}", did_you_mean(owner, &owners));
    }
    let same = |column: &&Column| field.relation.is_none() || column.relation == field.relation;
    let columns = distinct(valid.iter().filter(same).map(|column| column.name.clone()).collect());
    let near = nearest(name, columns.iter().map(String::as_str)).is_some();
    let quoted = query.contains(&format!("\"{name}\""));
    let having = netcrab_schema::all_tables().filter(|table| table.column(name).is_some());
    let having: Vec<String> = having.map(|table| table.name.to_owned()).collect();
    match (near, quoted) {
        (true, true) => {
            let meant = did_you_mean(name, &columns);
            format!("there is no column `{name}`{meant} A text stands in single quotes: '{name}'")
        }
        (false, true) => format!("there is no column `{name}`; a text stands in single quotes: '{name}'"),
        (false, false) if !having.is_empty() => {
            format!("there is no column `{name}` here; it is one of {}", listed(&having))
        }
        (_, false) => format!("there is no column `{name}`{}", did_you_mean(name, &columns)),
    }
}

/// `; did you mean …?`, or what there is where nothing is near.
fn did_you_mean(given: &str, known: &[String]) -> String {
    match nearest(given, known.iter().map(String::as_str)) {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => "; there is no FROM that has any".to_owned(),
        None => format!("; there are {}", listed(known)),
    }
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED_MAX);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more (docs/tables.md)");
    }
    text
}

fn distinct(names: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// A syntax error with its place, the line, and a mark below the place.
fn syntax(said: &str, query: &str) -> String {
    let said = said.trim_start_matches("sql parser error: ");
    let place = said.rsplit_once(" at Line: ").and_then(|(what, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((what, line.parse::<usize>().ok()?, column.trim().parse::<usize>().ok()?))
    });
    let Some((what, line, column)) = place else {
        return format!("syntax error at the end of the query: {said}");
    };
    let mut text = format!("syntax error at line {line}, column {column}: {what}");
    let shown = line.checked_sub(1).and_then(|line| query.lines().nth(line));
    if let Some(shown) = shown.filter(|_| (1..=SHOWN_MAX).contains(&column)) {
        let shown: String = shown.chars().take(SHOWN_MAX).collect();
        let _ = write!(text, "\n  {shown}\n  {}^", " ".repeat(column - 1));
    }
    text
}

/// An error with those of its causes that say more.
fn in_one_line(error: &DataFusionError) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in Chain::new(error) {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text).trim_end_matches('.')
}

/// The text between `before` and `after`.
fn quoted_in<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_marks_its_place() {
        let said = "sql parser error: Expected: end of statement, found: t at Line: 2, Column: 6";
        let text = syntax(said, "SELECT 1\nFORM t");
        assert_eq!(text, "syntax error at line 2, column 6: Expected: end of statement, found: t\n  FORM t\n       ^");
        let open = syntax("sql parser error: Expected: an expression, found: EOF", "SELECT");
        assert_eq!(open, "syntax error at the end of the query: Expected: an expression, found: EOF");
        let far = syntax("sql parser error: Expected: x, found: y at Line: 9, Column: 900", "SELECT");
        assert_eq!(far, "syntax error at line 9, column 900: Expected: x, found: y");
    }

    #[test]
    fn many_names_are_listed_in_part() {
        let names: Vec<String> = (0..15).map(|number| number.to_string()).collect();
        assert!(listed(&names).ends_with("11 and 3 more (docs/tables.md)"), "{}", listed(&names));
        assert_eq!(listed(&names[..2]), "0, 1");
    }
}
