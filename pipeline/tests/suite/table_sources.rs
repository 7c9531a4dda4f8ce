//! Tables as sources: Delta folders as the tables they are, folders of partitions, tables of others.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use deltalake::kernel::{DataType, StructField};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, open_table};
use netcrab_pipeline::delta_log::DeltaLog;
use netcrab_sources::{Source, SourceSettings, TableFile, TableLog};
use parquet::arrow::ArrowWriter;
use tokio::runtime::Runtime;
use url::Url;

use crate::command_line::{answer, fail, netcrab, query, stderr, succeed, text, traffic};
use crate::example_files::shared;
use crate::s3;

const TS: i64 = 1_790_848_800_000_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// One event for each user, a second apart.
fn events(users: &[&str], more: &[(&str, Option<&str>)]) -> RecordBatch {
    let same = |value: Option<&str>| Arc::new(StringArray::from(vec![value; users.len()])) as ArrayRef;
    let ts: Vec<i64> = (0..users.len() as i64).map(|second| TS + second * 1_000_000).collect();
    let mut columns = vec![
        ("org_id", same(Some("acme"))),
        ("product_id", same(Some("crm"))),
        ("user_hash", Arc::new(StringArray::from(users.to_vec())) as ArrayRef),
        ("ts", Arc::new(TimestampMicrosecondArray::from(ts).with_timezone("UTC")) as ArrayRef),
        ("event_type", same(Some("navigation"))),
        ("screen_id", same(Some("home"))),
        ("route", same(Some("/"))),
        ("device_type", same(Some("desktop"))),
    ];
    columns.extend(more.iter().map(|(name, value)| (*name, same(*value))));
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

async fn open(folder: &Path) -> DeltaTable {
    open_table(Url::from_directory_path(folder).unwrap()).await.unwrap()
}

/// Creates a table of the columns of [`events`] and of `more` texts, partitioned by these columns.
async fn create(folder: &Path, more: &[&str], partitions: &[&str], properties: &[(&str, &str)]) -> DeltaTable {
    fs::create_dir_all(folder).unwrap();
    let field = |name: &str| {
        let kind = if name == "ts" { DataType::TIMESTAMP } else { DataType::STRING };
        StructField::nullable(name, kind)
    };
    let schema = events(&[], &[]).schema();
    let names: Vec<&str> =
        schema.fields().iter().map(|field| field.name().as_str()).chain(more.iter().copied()).collect();
    deltalake::operations::create::CreateBuilder::new()
        .with_location(Url::from_directory_path(folder).unwrap().as_str())
        .with_columns(names.into_iter().map(field))
        .with_partition_columns(partitions.iter().copied())
        .with_configuration(properties.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))))
        .await
        .unwrap()
}

async fn write(table: DeltaTable, batch: RecordBatch, mode: SaveMode) -> DeltaTable {
    table.write([batch]).with_save_mode(mode).await.unwrap()
}

/// The users of a source, sorted; `user/segment` where the segment is not null.
fn users(folder: &Path) -> Vec<String> {
    let uris = [folder.display().to_string()];
    let open = Source::open_with_tables(&uris, None, SourceSettings::default(), &DeltaLog);
    let source = Arc::new(runtime().block_on(open).unwrap());
    let mut batches = Vec::new();
    for mut reader in source.readers(1, Some(vec!["user_hash", "segment"])) {
        while let Some(decoded) = reader.next() {
            let decoded = decoded.unwrap();
            assert!(decoded.rejects.is_none());
            batches.push(decoded.events);
        }
    }
    let events = concat_batches(&batches[0].schema(), &batches).unwrap();
    let text = |at: usize, row: usize| arrow::util::display::array_value_to_string(events.column(at), row).unwrap();
    let name = |row: usize| match text(1, row) {
        segment if segment.is_empty() => text(0, row),
        segment => format!("{}/{segment}", text(0, row)),
    };
    let mut users: Vec<String> = (0..events.num_rows()).map(name).collect();
    users.sort();
    users
}

/// Why a folder is not read.
fn refused(folder: &Path) -> String {
    let uris = [folder.display().to_string()];
    let open = Source::open_with_tables(&uris, None, SourceSettings::default(), &DeltaLog);
    runtime().block_on(open).unwrap_err().to_string()
}

/// Writes the actions of a version of a log.
fn commit(folder: &Path, version: u64, actions: &[String]) {
    fs::create_dir_all(folder.join("_delta_log")).unwrap();
    fs::write(folder.join(format!("_delta_log/{version:020}.json")), actions.join("\n")).unwrap();
}

/// Protocol and metadata of a table of these columns, each with its type and name in the files.
fn table(columns: &[(&str, &str, &str)], partitions: &str, protocol: &str, configuration: &str) -> Vec<String> {
    let field = |(id, (name, kind, stored)): (usize, &(&str, &str, &str))| {
        format!(
            r#"{{\"name\":\"{name}\",\"type\":\"{kind}\",\"nullable\":true,\"metadata\":{{\"delta.columnMapping.id\":{id},\"delta.columnMapping.physicalName\":\"{stored}\"}}}}"#
        )
    };
    let fields = columns.iter().enumerate().map(field).collect::<Vec<_>>().join(",");
    vec![
        format!(r#"{{"protocol":{{{protocol}}}}}"#),
        format!(
            r#"{{"metaData":{{"id":"a","format":{{"provider":"parquet","options":{{}}}},"schemaString":"{{\"type\":\"struct\",\"fields\":[{fields}]}}","partitionColumns":[{partitions}],"configuration":{{{configuration}}},"createdTime":0}}}}"#
        ),
    ]
}

fn plain_columns() -> Vec<(&'static str, &'static str, &'static str)> {
    let names = ["org_id", "product_id", "user_hash", "ts", "event_type", "screen_id", "route", "device_type"];
    names.map(|name| (name, if name == "ts" { "timestamp" } else { "string" }, name)).to_vec()
}

/// Writes a file and gives the action that adds it.
fn add(folder: &Path, path: &str, encoded: &str, batch: &RecordBatch, more: &str) -> String {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    let (bytes, rows) = (fs::metadata(&file).unwrap().len(), batch.num_rows());
    format!(
        r#"{{"add":{{"path":"{encoded}","partitionValues":{{}},"size":{bytes},"modificationTime":0,"dataChange":true,"stats":"{{\"numRecords\":{rows}}}"{more}}}}}"#
    )
}

const PLAIN: &str = r#""minReaderVersion":1,"minWriterVersion":2"#;

fn features(names: &str) -> String {
    format!(r#""minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[{names}],"writerFeatures":[{names}]"#)
}

#[test]
fn case_19_a_delta_folder_has_the_rows_that_its_log_says() {
    let Some(case) = shared("cases/19-delta-folder") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    succeed(&["run", text(&case.join("events")), "--tables", text(&tables)]);
    let found =
        answer(&tables, "SELECT count(*) AS events, count(*) FILTER (WHERE user_hash = 'u0') AS of_u0 FROM events_raw");
    assert!(found.contains("| 6      | 0     |"), "{found}");
    let above = folder.path().join("above");
    succeed(&["run", text(&case), "--tables", text(&above)]);
    assert_eq!(query(&above, "SELECT * FROM events_raw").iter().map(RecordBatch::num_rows).sum::<usize>(), 6);
}

#[test]
fn case_18_folders_of_partitions_reach_the_tables() {
    let Some(case) = shared("cases/18-parquet-hive") else { return };
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    succeed(&["run", text(&case.join("in")), "--tables", text(&tables)]);
    let found = answer(&tables, "SELECT DISTINCT version_tag FROM fact_sessions ORDER BY version_tag");
    assert!(found.contains("| 2.3         |\n| 2.4         |"), "{found}");
}

#[test]
fn rows_that_were_deleted_overwritten_or_compacted_do_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/events");
    runtime().block_on(async {
        let table = create(&place, &["segment"], &[], &[]).await;
        let table = write(table, events(&["u0", "u1"], &[("segment", None)]), SaveMode::Append).await;
        let table = write(table, events(&["u2"], &[("segment", Some("x"))]), SaveMode::Append).await;
        let (table, _) = table.delete().with_predicate("user_hash = 'u0'").await.unwrap();
        table.optimize().await.unwrap();
    });
    assert_eq!(users(&place), ["u1", "u2/x"]);
    assert_eq!(users(folder.path()), ["u1", "u2/x"]);
    runtime().block_on(async {
        write(open(&place).await, events(&["u9"], &[("segment", None)]), SaveMode::Overwrite).await;
    });
    assert_eq!(users(&place), ["u9"]);
}

#[test]
fn checkpoints_and_a_log_without_its_first_entries_are_read() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut table = create(folder.path(), &["segment"], &[], &[]).await;
        for user in ["u0", "u1", "u2"] {
            table = write(table, events(&[user], &[("segment", None)]), SaveMode::Append).await;
        }
        deltalake::checkpoints::create_checkpoint(&table, None).await.unwrap();
        write(table, events(&["u3"], &[("segment", None)]), SaveMode::Append).await;
    });
    for version in 0..3 {
        fs::remove_file(folder.path().join(format!("_delta_log/{version:020}.json"))).unwrap();
    }
    assert_eq!(users(folder.path()), ["u0", "u1", "u2", "u3"]);
}

#[test]
fn partition_values_come_from_the_log_also_null_and_with_a_slash() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let mut table = create(folder.path(), &["segment", "date"], &["segment", "date"], &[]).await;
        for (user, segment) in [("u0", Some("a/b")), ("u1", None), ("u2", Some("ä b=%"))] {
            let batch = events(&[user], &[("segment", segment), ("date", Some("2026-10-01"))]);
            table = write(table, batch, SaveMode::Append).await;
        }
    });
    assert_eq!(users(folder.path()), ["u0/a/b", "u1", "u2/ä b=%"]);
}

#[test]
fn a_deletion_vector_deletes_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..31).map(|at| format!("u{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // The example of Delta's protocol: rows 3, 4, 7, 11, 18 and 29.
    let vector = r#","deletionVector":{"storageType":"i","pathOrInlineDv":"^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L","sizeInBytes":44,"cardinality":6}"#;
    let mut actions = table(&plain_columns(), "", &features(r#""deletionVectors""#), "");
    actions.push(add(folder.path(), "a b.parquet", "a%20b.parquet", &events(&names, &[]), vector));
    actions.push(add(folder.path(), "c.parquet", "c.parquet", &events(&["x"], &[]), ""));
    commit(folder.path(), 0, &actions);
    let left = names.iter().enumerate().filter(|(at, _)| ![3, 4, 7, 11, 18, 29].contains(at)).map(|(_, name)| *name);
    assert_eq!(users(folder.path()), left.chain(["x"]).collect::<Vec<_>>());
    // A vector that is gone, or one whose file does not say how many rows it has.
    let lost = vector
        .replace(r#""i""#, r#""u""#)
        .replace("^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", "vBn[lx{q8@P<9BNH/isA");
    let mut actions = table(&plain_columns(), "", &features(r#""deletionVectors""#), "");
    actions.push(add(folder.path(), "a.parquet", "a.parquet", &events(&names, &[]), &lost));
    commit(folder.path(), 0, &actions);
    assert!(
        refused(folder.path()).ends_with("export it to Parquet, and give the export"),
        "{}",
        refused(folder.path())
    );
}

#[test]
fn mapped_columns_are_found_by_name_and_refused_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = plain_columns();
    columns.push(("segment", "string", "col-7"));
    let mapped = |mode: &str| {
        let configuration = format!(r#""delta.columnMapping.mode":"{mode}""#);
        let mut actions = table(&columns, "", r#""minReaderVersion":2,"minWriterVersion":5"#, &configuration);
        actions.push(add(
            folder.path(),
            "a.parquet",
            "a.parquet",
            &events(&["u0"], &[("col-7", Some("x")), ("segment", Some("dropped"))]),
            "",
        ));
        commit(folder.path(), 0, &actions);
    };
    mapped("name");
    assert_eq!(users(folder.path()), ["u0/x"]);
    mapped("id");
    assert!(refused(folder.path()).contains("column mapping mode `id`"), "{}", refused(folder.path()));
}

#[test]
fn a_column_that_was_added_later_is_null_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = plain_columns();
    columns.push(("segment", "string", "segment"));
    let mut actions = table(&columns, "", PLAIN, "");
    actions.push(add(folder.path(), "old.parquet", "old.parquet", &events(&["u0"], &[]), ""));
    actions.push(add(folder.path(), "new.parquet", "new.parquet", &events(&["u1"], &[("segment", Some("x"))]), ""));
    commit(folder.path(), 0, &actions);
    assert_eq!(users(folder.path()), ["u0", "u1/x"]);
}

#[test]
fn tables_that_need_more_than_is_read_are_refused_by_name() {
    let with_feature = |feature: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut actions = table(&plain_columns(), "", &features(&format!(r#""{feature}""#)), "");
        actions.push(add(folder.path(), "a.parquet", "a.parquet", &events(&["u0"], &[]), ""));
        commit(folder.path(), 0, &actions);
        folder
    };
    for (feature, named) in [
        ("typeWidening", "typewidening"),
        ("rowTrackingFromTheFuture", "rowtrackingfromthefuture"),
        ("catalogManaged", "catalog-managed"),
    ] {
        let message = refused(with_feature(feature).path());
        assert!(message.to_lowercase().contains(named), "{message}");
        assert!(message.ends_with("export it to Parquet, and give the export"), "{message}");
    }
    // This one asks nothing of readers.
    assert_eq!(users(with_feature("vacuumProtocolCheck").path()), ["u0"]);
    let clone = tempfile::tempdir().unwrap();
    let mut actions = table(&plain_columns(), "", PLAIN, "");
    let added = add(clone.path(), "a.parquet", "a.parquet", &events(&["u0"], &[]), "");
    actions.push(added.replace("\"a.parquet\"", "\"s3://other/table/a.parquet\""));
    commit(clone.path(), 0, &actions);
    assert!(refused(clone.path()).contains("shallow clone"), "{}", refused(clone.path()));
}

#[test]
fn an_empty_log_and_a_table_without_rows_are_said_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("_delta_log")).unwrap();
    assert!(refused(folder.path()).contains("the Delta table `"), "{}", refused(folder.path()));
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(create(folder.path(), &[], &[], &[]));
    assert!(refused(folder.path()).starts_with("no event files in"), "{}", refused(folder.path()));
}

#[test]
fn tables_of_others_are_refused_before_anything_is_written() {
    for marker in [".hoodie/hoodie.properties", "metadata/00000-a.metadata.json"] {
        let folder = tempfile::tempdir().unwrap();
        let (place, tables) = (folder.path().join("events"), folder.path().join("tables"));
        add(&place, "data/a.parquet", "", &events(&["u0"], &[]), "");
        fs::create_dir_all(place.join(marker).parent().unwrap()).unwrap();
        fs::write(place.join(marker), "{}").unwrap();
        let message = fail(&["run", text(&place), "--tables", text(&tables)]);
        assert!(message.contains("export it to Parquet, and give the export") && !tables.exists(), "{message}");
    }
}

#[test]
fn a_file_of_a_table_is_described_as_its_log_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = plain_columns();
    columns.push(("segment", "string", "col-7"));
    let configuration = r#""delta.columnMapping.mode":"name""#;
    let mut actions = table(&columns, r#""segment""#, r#""minReaderVersion":2,"minWriterVersion":5"#, configuration);
    let added = add(folder.path(), "x/a.parquet", "x/a.parquet", &events(&["u0"], &[]), "");
    actions.push(added.replace(r#""partitionValues":{}"#, r#""partitionValues":{"col-7":"new"}"#));
    commit(folder.path(), 0, &actions);
    let files: Vec<TableFile> = runtime().block_on(DeltaLog.files(text(folder.path()))).unwrap();
    assert_eq!(files[0].path, "x/a.parquet");
    assert_eq!(files[0].partitions, [("segment".to_owned(), Some("new".to_owned()))]);
    assert_eq!(users(folder.path()), ["u0/new"]);
}

#[test]
fn a_delta_table_in_a_bucket_is_read_through_its_log() {
    let Some(root) = s3::root() else { return };
    let in_bucket = |arguments: &[&str]| {
        let mut command = netcrab(arguments);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", s3::address())).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "netcrab").env("AWS_SECRET_ACCESS_KEY", "netcrab-secret");
        let output = command.output().unwrap();
        (output.status.success(), stderr(&output))
    };
    let folder = tempfile::tempdir().unwrap();
    let (events, again) =
        (traffic(folder.path(), "a.parquet", "2000", "1"), traffic(folder.path(), "b.parquet", "300", "2"));
    let (tables, local) = (root.join("segment=x/").unwrap(), folder.path().join("tables"));
    for file in [&events, &again] {
        assert!(in_bucket(&["run", text(file), "--tables", tables.as_str(), "--only", "events_raw"]).0);
    }
    let raw = tables.join("events_raw").unwrap();
    // The folder, and one above it.
    for (source, tables) in [(raw.as_str(), &local), (root.as_str(), &folder.path().join("others"))] {
        assert!(in_bucket(&["run", source, "--tables", text(tables), "--only", "events_raw"]).0);
        assert!(answer(tables, "SELECT count(*) AS n FROM events_raw").contains("| 2300 |"));
    }
    let part = format!("{}/date=2026-10-01", raw.as_str());
    let (read, message) = in_bucket(&["run", &part, "--tables", text(&local)]);
    assert!(!read && message.contains("lies in the Delta table") && message.contains("events_raw`"), "{message}");
}
