//! Generates the reference page `docs/tables.md` and `docs/clickhouse.sql`.

use std::fmt::Write;

use crate::table::{Engine, Table, Type};
use crate::{all_tables, arrow, clickhouse};

/// The reference page, in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# Tables\n\n\
         Generated from `schema/` by `UPDATE_DOCS=1 cargo test -p netcrab-schema`; edit the definitions, not this page.\n\n\
         Each table is a Delta table of Parquet files in `DIR/<name>`. The types are those in the files. Tables with a `date` \
         are partitioned by it. Delta stores instants in microseconds; their values are whole milliseconds.\n\n\
         The column `session_key` is a hash that names one session. Do not confuse it with the session key of \
         [rules.md](rules.md): organisation, product, and session id (or visitor). One session key may have many sessions.\n",
    );
    for table in all_tables() {
        section(&mut page, table);
    }
    page
}

/// All `CREATE TABLE` and `CREATE VIEW` statements.
pub fn clickhouse_script() -> String {
    let tables = all_tables().flat_map(|table| [clickhouse::create_table(table), clickhouse::create_view(table)]);
    let statements: Vec<String> =
        tables.chain([clickhouse::create_positions()]).map(|statement| statement.trim_end().to_owned()).collect();
    format!(
        "-- Generated from schema/ by `UPDATE_DOCS=1 cargo test -p netcrab-schema`.\n\n{};\n",
        statements.join(";\n\n")
    )
}

fn section(page: &mut String, table: &Table) {
    let mut line = |text: String| writeln!(page, "{text}").expect("a String takes every write");
    line(format!("\n## {}\n\nA row is {}.\n", table.name, table.row));
    line(format!("Key: {}. Sorted by {} within a file.\n", table.key.join(", "), table.sort.join(", ")));
    if let Engine::Fold(folds) = table.engine {
        let folds: Vec<String> = folds.iter().map(|(name, fold)| format!("{}({name})", fold.function())).collect();
        line(format!(
            "A stream adds rows to a key until a compaction folds them into one. Group by the key and take {}.\n",
            folds.join(", ")
        ));
    }
    line("| column | type | null | unit or values | meaning |\n|---|---|---|---|---|".to_owned());
    for column in table.columns() {
        let null = if column.nullable { "yes" } else { "" };
        line(format!(
            "| {} | {} | {null} | {} | {} |",
            column.name,
            type_name(column.kind),
            column.unit,
            column.meaning
        ));
    }
}

fn type_name(kind: Type) -> String {
    match kind {
        Type::Timestamp => "timestamp(µs, UTC)".to_owned(),
        Type::TextList => "list of utf8".to_owned(),
        other => arrow::at_rest_type(other).to_string().to_lowercase(),
    }
}
