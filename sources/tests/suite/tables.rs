//! Folders of tables: read through their log, or refused.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StructArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field};
use futures::future::BoxFuture;
use netcrab_sources::{Error, Mapping, Source, SourceSettings, TableColumn, TableFile, TableLog};

use super::parquet::{good, texts, with, write};
use super::{Read, fault, file, folder, read, runtime};

/// A log that is a list.
struct Log(Vec<TableFile>);

impl TableLog for Log {
    fn files<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<TableFile>, String>> {
        let files = self.0.clone();
        Box::pin(async { if files.is_empty() { Err("its log is empty".to_owned()) } else { Ok(files) } })
    }
}

/// A table of these columns, with the names of the table and of the files.
fn columns(more: &[(&str, &str)]) -> Arc<[TableColumn]> {
    let column = |name: &str, stored: &str| TableColumn {
        name: name.to_owned(),
        stored: stored.split('.').map(str::to_owned).collect(),
    };
    let plain = good(0).into_iter().map(|(name, _)| column(name, name));
    plain.chain(more.iter().map(|(name, stored)| column(name, stored))).collect()
}

fn part(path: &str, columns: &Arc<[TableColumn]>) -> TableFile {
    TableFile { path: path.to_owned(), partitions: Vec::new(), columns: columns.clone(), kept: None }
}

fn read_table(folder: &Path, log: Vec<TableFile>, mapping: Option<Mapping>) -> Result<Read, Error> {
    let uris = [folder.display().to_string()];
    let log = Log(log);
    let open = Source::open_with_tables(&uris, mapping, SourceSettings::default(), &log);
    super::read_source(runtime().block_on(open)?, 1)
}

#[test]
fn only_the_files_that_the_log_names_are_read() {
    let folder = folder();
    file(&folder, "t/_delta_log/00000000000000000000.json", "{}");
    for name in ["live.parquet", "dead.parquet", "date=1/live.parquet"] {
        write(&file(&folder, &format!("t/{name}"), ""), good(2), 100);
    }
    write(&file(&folder, "beside.parquet", ""), good(3), 100);
    let columns = columns(&[]);
    let log = || vec![part("live.parquet", &columns), part("date=1/live.parquet", &columns)];
    assert_eq!(read_table(folder.path(), log(), None).unwrap().events.num_rows(), 7);
    assert_eq!(read_table(&folder.path().join("t"), log(), None).unwrap().events.num_rows(), 4);
    let gone = read_table(folder.path(), vec![part("gone.parquet", &columns)], None);
    assert!(fault(gone).ends_with("its log names `gone.parquet`, which is not there; run again, or repair the table"));
    assert!(fault(read_table(folder.path(), Vec::new(), None)).ends_with("cannot be read: its log is empty"));
}

#[test]
fn rows_that_were_deleted_stay_deleted_and_the_others_keep_their_numbers() {
    let folder = folder();
    file(&folder, "_delta_log/00000000000000000000.json", "{}");
    let organisations = texts(&[Some("acme"), Some("a b"), Some("acme"), Some("a b"), Some("acme"), Some("acme")]);
    write(&file(&folder, "p.parquet", ""), with(6, vec![("org_id", organisations)]), 2);
    let mut part = part("p.parquet", &columns(&[]));
    part.kept = Some(BooleanBuffer::from(vec![false, false, true, true, true, false]));
    let read = read_table(folder.path(), vec![part.clone()], None).unwrap();
    assert_eq!(
        (read.column("event_id"), read.faults()),
        (vec!["event-2".into(), "event-4".into()], vec!["4 bad_identifier org_id".into()])
    );
    part.kept = Some(BooleanBuffer::from(vec![true; 5]));
    let short = read_table(folder.path(), vec![part], None);
    assert!(fault(short).contains("its table counts 5 rows in it, and it has 6"));
}

#[test]
fn partition_values_are_those_of_the_log_and_not_of_the_folders() {
    let folder = folder();
    file(&folder, "segment=z/t/_delta_log/00000000000000000000.json", "{}");
    write(&file(&folder, "segment=z/t/segment=x/p.parquet", ""), good(1), 100);
    let columns = columns(&[("segment", "segment"), ("version_tag", "version_tag"), ("date", "date")]);
    let mut part = part("segment=x/p.parquet", &columns);
    part.partitions = vec![
        ("segment".to_owned(), Some("a/b".to_owned())),
        ("version_tag".to_owned(), None),
        ("date".to_owned(), Some("2026-10-01".to_owned())),
    ];
    let read = read_table(folder.path(), vec![part], None).unwrap();
    assert_eq!((read.column("segment"), read.column("version_tag")), (vec!["a/b".into()], vec!["-".into()]));
}

#[test]
fn a_file_older_than_a_column_has_nulls_in_it() {
    let folder = folder();
    file(&folder, "_delta_log/00000000000000000000.json", "{}");
    let mut old = good(1);
    old.retain(|column| column.0 != "org_id");
    write(&file(&folder, "old.parquet", ""), old, 100);
    write(&file(&folder, "new.parquet", ""), with(1, vec![("segment", texts(&[Some("a")]))]), 100);
    let columns = columns(&[("segment", "segment")]);
    let log = vec![part("old.parquet", &columns), part("new.parquet", &columns)];
    let read = read_table(folder.path(), log, None).unwrap();
    assert_eq!((read.column("segment"), read.faults()), (vec!["a".into()], vec!["1 missing_field org_id".into()]));
}

#[test]
fn columns_that_were_renamed_or_dropped_are_found_by_the_names_in_the_files() {
    let folder = folder();
    file(&folder, "_delta_log/00000000000000000000.json", "{}");
    let plan: ArrayRef = Arc::new(StringArray::from(vec!["pro"]));
    let context = StructArray::from(vec![(Arc::new(Field::new("col-3", DataType::Utf8, true)), plan)]);
    let stored = [
        ("col-1", texts(&[Some("a")])),
        ("segment", texts(&[Some("dropped")])),
        ("col-2", Arc::new(context) as ArrayRef),
    ];
    write(&file(&folder, "p.parquet", ""), with(1, stored[..2].to_vec()), 100);
    let columns = columns(&[("segment", "col-1")]);
    let read = read_table(folder.path(), vec![part("p.parquet", &columns)], None).unwrap();
    assert_eq!(read.column("segment"), ["a"]);
    write(&file(&folder, "p.parquet", ""), with(1, stored[2..].to_vec()), 100);
    let columns = self::columns(&[("context", "col-2"), ("context.plan", "col-2.col-3")]);
    let mapping = Mapping::parse(
        "format = \"parquet\"\n[constants]\norg_id = \"a\"\nproduct_id = \"b\"\nevent_type = \"click\"\ndevice_type = \
         \"desktop\"\n[columns]\nscreen_id = \"screen_id\"\nsegment = \"context.plan\"\n[hash]\nuser_hash = \
         [\"user_hash\"]\n[time]\ncolumn = \"ts\"\n",
    );
    let read = read_table(folder.path(), vec![part("p.parquet", &columns)], Some(mapping.unwrap())).unwrap();
    assert_eq!(read.column("segment"), ["pro"]);
}

#[test]
fn the_identity_of_a_table_follows_its_log() {
    let folder = folder();
    file(&folder, "_delta_log/00000000000000000000.json", "{}");
    write(&file(&folder, "p.parquet", ""), good(2), 100);
    let identity = |part: TableFile| {
        let uris = [folder.path().display().to_string()];
        let log = Log(vec![part]);
        let open = Source::open_with_tables(&uris, None, SourceSettings::default(), &log);
        runtime().block_on(open).unwrap().fingerprint()
    };
    let whole = part("p.parquet", &columns(&[]));
    let mut less = whole.clone();
    less.kept = Some(BooleanBuffer::from(vec![true, false]));
    assert_eq!(identity(whole.clone()), identity(whole.clone()));
    assert_ne!(identity(whole), identity(less));
}

#[test]
fn tables_of_others_are_refused_by_name() {
    for (marker, kind) in [
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("metadata/00001-a.metadata.json", "an Iceberg table"),
        ("metadata/v2.gz.metadata.json", "an Iceberg table"),
        ("_delta_log/00000000000000000000.json", "a Delta table"),
    ] {
        let folder = folder();
        file(&folder, &format!("deep/t/{marker}"), "{}");
        write(&file(&folder, "deep/t/data/p.parquet", ""), good(1), 100);
        let message = fault(read(folder.path()));
        assert!(message.contains(&format!("deep/t` is {kind}")) && message.contains("export it"), "{message}");
    }
    let folder = folder();
    file(&folder, "metadata/notes.json", "");
    write(&file(&folder, "data/p.parquet", ""), good(1), 100);
    file(&folder, "metadata/notes.json", super::event("") + "\n");
    assert_eq!(read(folder.path()).unwrap().events.num_rows(), 2);
}

#[test]
fn a_part_of_a_delta_table_is_refused() {
    let folder = folder();
    file(&folder, "t/_delta_log/00000000000000000000.json", "{}");
    write(&file(&folder, "t/date=1/hour=2/p.parquet", ""), good(1), 100);
    for part in ["t/date=1", "t/date=1/hour=2", "t/date=1/hour=2/p.parquet"] {
        let message = fault(read(&folder.path().join(part)));
        assert!(
            message.ends_with("give the table's folder") && message.contains("lies in the Delta table"),
            "{message}"
        );
    }
    write(&file(&folder, "t/sub/p.parquet", ""), good(1), 100);
    assert_eq!(read(&folder.path().join("t/sub")).unwrap().events.num_rows(), 1);
}
