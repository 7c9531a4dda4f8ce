//! ClickHouse tables: `CREATE TABLE` from a definition.
//!
//! Partitions are months: a partition for each organisation and day would drown the server in
//! parts. The order is the table's key, which begins with organisation and product. Tables whose rows
//! add up are of AggregatingMergeTree and not of SummingMergeTree: a route is no sum, and the smallest
//! one must win whichever row comes first.

use std::fmt::Write;

use crate::table::{Column, Engine, Fold, Table, Type};

/// The statement that creates `table` in the current database where it is missing.
pub fn create_table(table: &Table) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {}\n(\n", table.name);
    let columns: Vec<String> =
        table.columns().map(|column| format!("    {}", column_definition(table, column))).collect();
    sql.push_str(&columns.join(",\n"));
    write!(sql, "\n)\nENGINE = {}\n", engine(table)).expect("a String takes every write");
    if table.by_date {
        sql.push_str("PARTITION BY toYYYYMM(date)\n");
    }
    writeln!(sql, "ORDER BY ({})", table.key.join(", ")).expect("a String takes every write");
    sql.push_str("SETTINGS non_replicated_deduplication_window = 1000\n");
    sql
}

fn engine(table: &Table) -> String {
    match table.engine {
        Engine::Append => "MergeTree".to_owned(),
        Engine::Latest(version) => format!("ReplacingMergeTree({version})"),
        Engine::Fold(_) => "AggregatingMergeTree".to_owned(),
    }
}

fn column_definition(table: &Table, column: &Column) -> String {
    let quoted = column.meaning.replace('\\', "\\\\").replace('\'', "\\'");
    let codec = codec(column.kind).map(|codec| format!(" CODEC({codec})")).unwrap_or_default();
    let kind = match fold(table, column.name) {
        Some(fold) => format!("SimpleAggregateFunction({}, {})", fold.function(), type_name(column)),
        None => type_name(column),
    };
    format!("`{}` {kind}{codec} COMMENT '{quoted}'", column.name)
}

fn fold(table: &Table, column: &str) -> Option<Fold> {
    let Engine::Fold(folds) = table.engine else { return None };
    folds.iter().find(|(name, _)| *name == column).map(|(_, fold)| *fold)
}

fn type_name(column: &Column) -> String {
    let name = match column.kind {
        Type::Text | Type::Repeated => "String",
        Type::Symbol if column.nullable => return "LowCardinality(Nullable(String))".to_owned(),
        Type::Symbol => return "LowCardinality(String)".to_owned(),
        Type::Int64 => "Int64",
        Type::Int32 => "Int32",
        Type::Float32 => "Float32",
        Type::Float64 => "Float64",
        Type::Bool => "Bool",
        Type::Timestamp => "DateTime64(3, 'UTC')",
        Type::Date => "Date32",
        Type::TextList => "Array(String)",
    };
    if column.nullable { format!("Nullable({name})") } else { name.to_owned() }
}

fn codec(kind: Type) -> Option<&'static str> {
    match kind {
        Type::Timestamp => Some("Delta, ZSTD"),
        Type::Text | Type::Repeated | Type::TextList => Some("ZSTD"),
        _ => None,
    }
}
