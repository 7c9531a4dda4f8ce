//! Everything that reads and writes files, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod suite {
    mod batches;
    mod csv;
    mod damage;
    mod encodings;
    mod example_files;
    mod examples;
    mod folders;
    mod foreign;
    mod generated;
    mod handed;
    mod hostile;
    mod json;
    mod logs;
    mod parquet;
    mod partitions;
    mod skipped;
    mod tables;
    mod text;
    mod wire;

    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, RecordBatch};
    use arrow::compute::{cast, concat_batches};
    use arrow::datatypes::{DataType, Int64Type, TimestampMillisecondType};
    use netcrab_sources::{Error, Mapping, Source, SourceSettings};

    use skipped::skipped;

    /// Everything that a source returns.
    #[derive(Debug)]
    pub(crate) struct Read {
        pub(crate) events: RecordBatch,
        /// Line, reason, field.
        pub(crate) rejects: Vec<(i64, String, String)>,
        pub(crate) skipped: u64,
        pub(crate) bytes: u64,
    }

    impl Read {
        /// A column as text; null is `-`.
        pub(crate) fn column(&self, name: &str) -> Vec<String> {
            texts(&self.events, name)
        }

        /// `line reason field` of each reject.
        pub(crate) fn faults(&self) -> Vec<String> {
            self.rejects.iter().map(|(line, reason, field)| format!("{line} {reason} {field}")).collect()
        }

        pub(crate) fn count(&self, column: &str, value: &str) -> usize {
            self.column(column).iter().filter(|found| *found == value).count()
        }
    }

    pub(crate) fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
        let column = batch.column_by_name(name).unwrap();
        let (column, zone) = match column.as_primitive_opt::<TimestampMillisecondType>() {
            Some(instants) => (Arc::new(instants.clone().with_timezone_opt(None::<Arc<str>>)) as ArrayRef, "Z"),
            None => (column.clone(), ""),
        };
        let column = cast(&column, &DataType::Utf8).unwrap();
        let texts = column.as_string::<i32>().iter();
        texts.map(|text| text.map_or("-".to_owned(), |text| format!("{text}{zone}"))).collect()
    }

    pub(crate) fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    pub(crate) fn open(paths: &[&Path], mapping: Option<Mapping>, settings: SourceSettings) -> Result<Source, Error> {
        let uris: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        runtime().block_on(Source::open(&uris, mapping, settings))
    }

    /// Reads all of `path` with `n` readers, one after the other.
    pub(crate) fn read_with(
        path: &Path,
        mapping: Option<Mapping>,
        settings: SourceSettings,
        n: usize,
    ) -> Result<Read, Error> {
        read_source(open(&[path], mapping, settings)?, n)
    }

    /// Reads all of a source with `n` readers, one after the other.
    pub(crate) fn read_source(source: Source, n: usize) -> Result<Read, Error> {
        let source = Arc::new(source);
        let schema = netcrab_schema::arrow::event_in_flight();
        let (mut batches, mut rejects, mut skipped, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
        for mut reader in source.readers(n, None) {
            while let Some(decoded) = reader.next() {
                let decoded = decoded?;
                assert_eq!(decoded.events.schema(), schema);
                skipped += decoded.skipped;
                bytes += decoded.bytes_read;
                batches.push(decoded.events);
                if let Some(batch) = decoded.rejects {
                    assert_eq!(batch.schema(), netcrab_schema::tables::REJECTS.in_flight());
                    let lines = batch.column(1).as_primitive::<Int64Type>().values().to_vec();
                    let faults = texts(&batch, "reason").into_iter().zip(texts(&batch, "field"));
                    rejects.extend(lines.into_iter().zip(faults).map(|(line, (reason, field))| (line, reason, field)));
                }
            }
        }
        let events = concat_batches(&schema, &batches)?;
        Ok(Read { events, rejects, skipped, bytes })
    }

    pub(crate) fn read(path: &Path) -> Result<Read, Error> {
        read_with(path, None, SourceSettings::default(), 2)
    }

    /// The message of the error.
    pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        result.expect_err("this should not be readable").to_string()
    }

    /// A folder that is removed with the test.
    pub(crate) fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    pub(crate) fn file(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A complete event, as one line of wire JSON, with `more` at its end (`,"key":value`).
    pub(crate) fn event(more: &str) -> String {
        format!(
            r#"{{"orgId":"acme","productId":"crm","sessionId":"s1","userHash":"u1","eventId":"e1","ts":"2026-10-01T10:00:00Z","eventType":"click","screenId":"leads","route":"/leads/42?x=1","deviceType":"desktop"{more}}}"#
        )
    }
}
