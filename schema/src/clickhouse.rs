//! ClickHouse tables: `CREATE TABLE` and `CREATE VIEW` from the definition of a table.
//!
//! ```text
//! fact_sessions_rows   every row that was written, until a merge drops the replaced ones
//! fact_sessions        the view of the current rows: queries read this
//! ```
//!
//! Partitions are months. A partition for each organisation and day would give the server too many parts. The sorting
//! key is the key of the table, which begins with organisation and product.
//!
//! A late event may delete rows of a session again. Nothing is changed in place: a row with the same key, a higher
//! `version` and `gone` = 1 is inserted (ReplacingMergeTree). Tables whose rows add up are AggregatingMergeTree, not
//! SummingMergeTree, because not all of their columns are sums: of two routes the smaller one must win, whichever
//! comes first.

use std::fmt::Write;

use crate::table::{Column, Engine, Table, Type};

/// The table that records the last transaction of each writer: (table, writer) to number.
pub const POSITIONS: &str = "netcrab_positions";

/// A column that only ClickHouse has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickHouseColumn {
    /// The row with the highest version replaces the others of its key. It is twice the epoch, plus one if the row
    /// was not deleted.
    Version,
    /// Whether the row was deleted.
    Gone,
    /// The shard that wrote the row.
    Shard,
    /// The epoch that wrote the row.
    Epoch,
}

impl ClickHouseColumn {
    /// The name of the column.
    pub fn name(self) -> &'static str {
        match self {
            ClickHouseColumn::Version => "version",
            ClickHouseColumn::Gone => "gone",
            ClickHouseColumn::Shard => "shard",
            ClickHouseColumn::Epoch => "epoch",
        }
    }

    fn definition(self, table: &Table) -> &'static str {
        match (self, table.engine) {
            (ClickHouseColumn::Version, _) => "`version` UInt64 COMMENT 'Of the rows with one key the highest holds.'",
            (ClickHouseColumn::Gone, _) => "`gone` UInt8 COMMENT '1: the row left the table.'",
            (ClickHouseColumn::Shard, _) => "`shard` UInt32 COMMENT 'The shard that wrote it.'",
            (ClickHouseColumn::Epoch, Engine::Fold(_)) => {
                "`epoch` SimpleAggregateFunction(max, UInt64) COMMENT 'The epoch that wrote it.'"
            }
            (ClickHouseColumn::Epoch, _) => "`epoch` UInt64 COMMENT 'The epoch that wrote it.'",
        }
    }
}

/// The columns that only ClickHouse has, for one table.
pub fn clickhouse_columns(table: &Table) -> &'static [ClickHouseColumn] {
    match table.engine {
        _ if is_replacing(table) => &[ClickHouseColumn::Shard, ClickHouseColumn::Version, ClickHouseColumn::Gone],
        Engine::Fold(_) if table.by_date => &[ClickHouseColumn::Shard, ClickHouseColumn::Epoch],
        Engine::Fold(_) => &[],
        _ => &[ClickHouseColumn::Shard, ClickHouseColumn::Epoch],
    }
}

/// Whether rows of the table are deleted one by one, like those of sessions.
pub fn is_replacing(table: &Table) -> bool {
    !matches!(table.engine, Engine::Fold(_)) && table.column("session_key").is_some()
}

/// The name of the ClickHouse table that stores the rows of `table`.
pub fn rows_table(table: &Table) -> String {
    format!("{}_rows", table.name)
}

/// The statement that creates the table of rows, if it does not exist, in the current database.
pub fn create_table(table: &Table) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {}\n(\n", rows_table(table));
    let columns: Vec<String> = definitions(table).map(|(_, definition)| format!("    {definition}")).collect();
    sql.push_str(&columns.join(",\n"));
    write!(sql, "\n)\nENGINE = {}\n", engine(table)).expect("a String takes every write");
    if table.by_date {
        sql.push_str("PARTITION BY toYYYYMM(date)\n");
    }
    writeln!(sql, "ORDER BY ({})", order(table).join(", ")).expect("a String takes every write");
    sql.push_str("SETTINGS non_replicated_deduplication_window = 1000\n");
    sql
}

/// The statement that creates the view of the current rows, or replaces it.
pub fn create_view(table: &Table) -> String {
    let (name, rows) = (table.name, rows_table(table));
    let columns = |column: &dyn Fn(&Column) -> String| -> String {
        table.columns().map(|found| format!("    {}", column(found))).collect::<Vec<_>>().join(",\n")
    };
    let plain = || columns(&|column| format!("`{}`", column.name));
    let body = match table.engine {
        Engine::Fold(_) => {
            let folded = columns(&|column| match table.fold(column.name) {
                Some(fold) => format!("{}(`{}`) AS `{}`", fold.function(), column.name, column.name),
                None => format!("`{}`", column.name),
            });
            let counts: Vec<String> = table.counts().map(|name| format!("`{name}` <> 0")).collect();
            let having = if counts.is_empty() { String::new() } else { format!("\nHAVING {}", counts.join(" OR ")) };
            format!("{folded}\nFROM {rows}\nGROUP BY {}{having}", table.key.join(", "))
        }
        // All rows of a key are in one month, so FINAL need not merge across partitions.
        _ if is_replacing(table) => {
            format!("{}\nFROM {rows} FINAL\nSETTINGS do_not_merge_across_partitions_select_final = 1", plain())
        }
        _ => format!("{}\nFROM {rows}", plain()),
    };
    format!("CREATE OR REPLACE VIEW {name} AS\nSELECT\n{body}\n")
}

/// The statement that creates [`POSITIONS`].
pub fn create_positions() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {POSITIONS}\n(\n    `table` String COMMENT 'The table.',\n    `writer` String \
         COMMENT 'Who writes: a shard, a run or a backfill.',\n    `number` Int64 COMMENT 'Its last transaction that the \
         table holds.'\n)\nENGINE = ReplacingMergeTree(number)\nORDER BY (table, writer)\n"
    )
}

/// The name of each column, and its definition for `CREATE TABLE` and `ADD COLUMN`.
pub fn definitions(table: &Table) -> impl Iterator<Item = (&'static str, String)> {
    let columns = table.columns().map(|column| (column.name, column_definition(table, column)));
    let added = clickhouse_columns(table).iter().map(|column| (column.name(), column.definition(table).to_owned()));
    columns.chain(added).collect::<Vec<_>>().into_iter()
}

/// The name and the type of each column, as `system.columns` shows them.
pub fn types(table: &Table) -> impl Iterator<Item = (&'static str, String)> {
    definitions(table).map(|(name, definition)| {
        let kind = definition.split_once("` ").map_or("", |(_, rest)| rest);
        (name, kind[..kind.find(" COMMENT ").unwrap_or(kind.len())].to_owned())
    })
}

/// The sorting key. A merge replaces or adds up rows that agree in all of its columns.
pub fn order(table: &Table) -> Vec<&'static str> {
    match table.engine {
        Engine::Append if !is_replacing(table) && table.column("ts").is_some() => {
            vec!["org_id", "product_id", "ts", "event_id"]
        }
        // With the shard in the key, the sums of one shard can be replaced without those of another.
        Engine::Fold(_) if table.by_date => table.key.iter().copied().chain([ClickHouseColumn::Shard.name()]).collect(),
        // The date comes early, so that a query for a period reads few granules.
        _ if is_replacing(table) && table.by_date && !table.key.contains(&"date") => {
            let (owner, rest) = table.key.split_at(2);
            owner.iter().copied().chain(["date"]).chain(rest.iter().copied()).collect()
        }
        _ => table.key.to_vec(),
    }
}

fn engine(table: &Table) -> &'static str {
    match table.engine {
        _ if is_replacing(table) => "ReplacingMergeTree(version, gone)",
        Engine::Fold(_) => "AggregatingMergeTree",
        _ => "MergeTree",
    }
}

fn column_definition(table: &Table, column: &Column) -> String {
    let quoted = column.meaning.replace('\\', "\\\\").replace('\'', "\\'");
    let codec = codec(column.kind).map(|codec| format!(" CODEC({codec})")).unwrap_or_default();
    let kind = match table.fold(column.name) {
        Some(fold) => format!("SimpleAggregateFunction({}, {})", fold.function(), type_name(column)),
        None => type_name(column),
    };
    format!("`{}` {kind} COMMENT '{quoted}'{codec}", column.name)
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
