//! ClickHouse tables: `CREATE TABLE` and `CREATE VIEW` from a definition.
//!
//!     fact_sessions_rows   every row that was ever written, until a merge drops those that no longer hold
//!     fact_sessions        the view of what holds now: this is what queries read
//!
//! Partitions are months: a partition for each organisation and day would drown the server in
//! parts. The order is the table's key, which begins with organisation and product.
//!
//! Rows of a session may leave again when a late event comes. Then a row with the same key follows, with a higher
//! `version` and `gone` set (ReplacingMergeTree); nothing is ever changed in place. Tables whose rows
//! add up are of AggregatingMergeTree and not of SummingMergeTree: a route is no sum, and the smallest
//! one must win whichever row comes first.

use std::fmt::Write;

use crate::table::{Column, Engine, Table, Type};

/// Where the last transaction of each writer is noted: (table, writer) to number.
pub const POSITIONS: &str = "netcrab_positions";

/// What a column is for that only ClickHouse has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickHouseColumn {
    /// Of the rows with one key the highest holds: twice the epoch, and one more where the row did not leave.
    Version,
    /// Whether the row left the table.
    Gone,
    /// The shard that wrote it.
    Shard,
    /// The epoch that wrote it.
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

/// The columns that only ClickHouse has.
pub fn clickhouse_columns(table: &Table) -> &'static [ClickHouseColumn] {
    match table.engine {
        _ if is_replacing(table) => &[ClickHouseColumn::Shard, ClickHouseColumn::Version, ClickHouseColumn::Gone],
        Engine::Fold(_) if table.by_date => &[ClickHouseColumn::Shard, ClickHouseColumn::Epoch],
        Engine::Fold(_) => &[],
        _ => &[ClickHouseColumn::Shard, ClickHouseColumn::Epoch],
    }
}

/// Whether rows leave the table one by one, as those of sessions do.
pub fn is_replacing(table: &Table) -> bool {
    !matches!(table.engine, Engine::Fold(_)) && table.column("session_key").is_some()
}

/// The table that holds the rows of `table`.
pub fn rows_table(table: &Table) -> String {
    format!("{}_rows", table.name)
}

/// The statement that creates the rows of `table` in the current database where they are missing.
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

/// The statement that creates the view of what holds in `table`, in place of an older one.
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
        // Rows of one key lie in one month, so months need not be merged with each other.
        _ if is_replacing(table) => {
            format!("{}\nFROM {rows} FINAL\nSETTINGS do_not_merge_across_partitions_select_final = 1", plain())
        }
        _ => format!("{}\nFROM {rows}", plain()),
    };
    format!("CREATE OR REPLACE VIEW {name} AS\nSELECT\n{body}\n")
}

/// The statement that creates the table of positions.
pub fn create_positions() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {POSITIONS}\n(\n    `table` String COMMENT 'The table.',\n    `writer` String \
         COMMENT 'Who writes: a shard, a run or a backfill.',\n    `number` Int64 COMMENT 'Its last transaction that the \
         table holds.'\n)\nENGINE = ReplacingMergeTree(number)\nORDER BY (table, writer)\n"
    )
}

/// Each column of the rows of `table`: its name, and its definition as `CREATE` and `ADD COLUMN` take it.
pub fn definitions(table: &Table) -> impl Iterator<Item = (&'static str, String)> {
    let columns = table.columns().map(|column| (column.name, column_definition(table, column)));
    let added = clickhouse_columns(table).iter().map(|column| (column.name(), column.definition(table).to_owned()));
    columns.chain(added).collect::<Vec<_>>().into_iter()
}

/// The type of each column, as `system.columns` says it.
pub fn types(table: &Table) -> impl Iterator<Item = (&'static str, String)> {
    definitions(table).map(|(name, definition)| {
        let kind = definition.split_once("` ").map_or("", |(_, rest)| rest);
        (name, kind[..kind.find(" COMMENT ").unwrap_or(kind.len())].to_owned())
    })
}

/// The columns that rows are ordered by; a merge brings those together that agree in all of them.
pub fn order(table: &Table) -> Vec<&'static str> {
    match table.engine {
        Engine::Append if !is_replacing(table) && table.column("ts").is_some() => {
            vec!["org_id", "product_id", "ts", "event_id"]
        }
        // One shard's sums can be replaced without those of another.
        Engine::Fold(_) if table.by_date => table.key.iter().copied().chain([ClickHouseColumn::Shard.name()]).collect(),
        // The date comes early, so that a period reads only what it must.
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
