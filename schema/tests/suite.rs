//! The rules that all definitions keep, and the pages generated from them.

use std::collections::HashSet;
use std::path::Path;

use netcrab_schema::arrow::at_rest_type;
use netcrab_schema::{ALL, Engine, all_tables, events, reference};

/// Compares a generated page with the one in `docs/`; with `UPDATE_DOCS=1` writes it.
fn check_page(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, generated).expect("docs/ is writable");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == generated, "docs/{file} is behind schema/; run `UPDATE_DOCS=1 cargo test -p netcrab-schema`");
}

#[test]
fn the_reference_page_is_what_the_definitions_say() {
    check_page("tables.md", &reference::page());
}

#[test]
fn the_clickhouse_script_is_what_the_definitions_say() {
    check_page("clickhouse.sql", &reference::clickhouse_script());
}

#[test]
fn names_are_unique_and_keys_sorts_and_folds_name_columns() {
    let mut tables = HashSet::new();
    for table in all_tables() {
        assert!(tables.insert(table.name), "two tables are called {}", table.name);
        let columns: Vec<_> = table.columns().map(|column| column.name).collect();
        assert_eq!(columns.iter().collect::<HashSet<_>>().len(), columns.len(), "{} repeats a column", table.name);
        for name in table.key.iter().chain(table.sort).chain(table.partition()) {
            assert!(columns.contains(name), "{} has no column {name}", table.name);
        }
        // Every column is part of the key, or has a function that aggregates it.
        if let Engine::Fold(folds) = table.engine {
            let folded = folds.iter().map(|(name, _)| name);
            let all: HashSet<_> = table.key.iter().chain(folded).collect();
            assert_eq!(all, columns.iter().collect(), "{}", table.name);
        }
    }
}

#[test]
fn organisation_and_product_lead_every_key_but_that_of_rejects() {
    for table in ALL.iter().filter(|table| table.name != "rejects") {
        assert_eq!(&table.key[..2], ["org_id", "product_id"], "{}", table.name);
    }
}

#[test]
fn a_column_has_one_meaning_and_one_type_in_every_table_it_stands_in() {
    for table in ALL {
        for column in table.columns() {
            for other in ALL.iter().filter_map(|other| other.column(column.name)) {
                assert_eq!(at_rest_type(column.kind), at_rest_type(other.kind), "{} of {}", column.name, table.name);
            }
        }
    }
}

#[test]
fn wire_names_are_camel_case() {
    assert_eq!(events::wire_name("org_id"), "orgId");
    assert_eq!(events::wire_name("element_label_h"), "elementLabelHash");
    assert_eq!(events::wire_name("ts"), "ts");
}
