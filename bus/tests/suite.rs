//! What holds for every bus, and what for each, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod suite {
    #[cfg(feature = "kafka")]
    mod broker;
    mod contract;
    mod disk;
    #[cfg(feature = "kafka")]
    mod kafka;
    mod kills;
    mod log;
    mod random;
    mod test_server;

    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use arrow::array::{ArrayRef, AsArray, RecordBatch};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use netcrab_bus::log::{Log, LogSettings};
    use netcrab_bus::memory::Memory;
    use netcrab_bus::{Bus, Clock, Error, Fetched, shard_of};
    use netcrab_schema::SessionKeyRef;
    use netcrab_sources::wire::BatchDecoder;

    /// A time that moves only when told.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Time(Arc<AtomicI64>);

    impl Time {
        pub(crate) fn clock(&self) -> Clock {
            let now = self.0.clone();
            Arc::new(move || now.load(Ordering::Relaxed))
        }

        pub(crate) fn advance(&self, ms: i64) {
            self.0.fetch_add(ms, Ordering::Relaxed);
        }
    }

    /// The shard of a session of the events that [`events`] makes.
    pub(crate) fn shard_of_session(session_id: &str, shards: u32) -> u32 {
        shard_of(SessionKeyRef::new("acme", "crm", session_id, ""), shards)
    }

    /// Events with these numbers for ids, of one session key.
    pub(crate) fn events(session_id: &str, numbers: impl IntoIterator<Item = u32>) -> RecordBatch {
        let event = |number: u32| {
            let label = if number.is_multiple_of(3) { r#","elementLabelHash":"h3","latencyMs":1.5"# } else { "" };
            let extra = if number.is_multiple_of(5) { r#","extra":{"plan":"pro"}"# } else { "" };
            format!(
                r#"{{"orgId":"acme","productId":"crm","sessionId":"{session_id}","userHash":"u1","eventId":"{session_id}-{number}","ts":{},"eventType":"click","screenId":"leads","route":"/leads","deviceType":"desktop"{label}{extra}}}"#,
                1_790_000_000_000_i64 + i64::from(number)
            )
        };
        let events: Vec<String> = numbers.into_iter().map(event).collect();
        let body = format!(r#"{{"agentId":"a","sdkVersion":"1","events":[{}]}}"#, events.join(","));
        let mut decoder = BatchDecoder::new(netcrab_sources::SourceSettings::default());
        let batch = decoder.batch(body.as_bytes(), 1_790_000_100_000, usize::MAX, 7).unwrap();
        assert!(batch.faults.is_empty(), "{:?}", batch.faults);
        batch.events
    }

    /// A folder in memory where there is one, for tests that open a log thousands of times.
    pub(crate) fn quick_folder() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    pub(crate) fn log(folder: &Path) -> Log {
        log_with(LogSettings::of(folder))
    }

    pub(crate) fn log_with(settings: LogSettings) -> Log {
        Log::open(settings, Time::default().clock()).unwrap()
    }

    /// Every event as the text of its columns, in order.
    pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<String> {
        let of_batch = |batch: &RecordBatch| {
            let text = |column: &ArrayRef| match column.data_type() {
                DataType::Timestamp(..) => cast(&cast(column, &DataType::Int64).unwrap(), &DataType::Utf8).unwrap(),
                _ => cast(column, &DataType::Utf8).unwrap(),
            };
            let columns: Vec<_> = batch.columns().iter().map(text).collect();
            let row = |row| {
                let texts =
                    columns.iter().map(|column| column.as_string::<i32>().iter().nth(row).unwrap().unwrap_or("-"));
                texts.collect::<Vec<_>>().join(" ")
            };
            (0..batch.num_rows()).map(row).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of_batch).collect()
    }

    /// The event ids, in order.
    pub(crate) fn ids(batches: &[RecordBatch]) -> Vec<String> {
        let of_batch = |batch: &RecordBatch| {
            let ids = cast(batch.column_by_name("event_id").unwrap(), &DataType::Utf8).unwrap();
            ids.as_string::<i32>().iter().map(|id| id.unwrap().to_owned()).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of_batch).collect()
    }

    /// All that a shard holds from `from` on, in steps of `bytes_max`.
    pub(crate) async fn read_all(bus: &dyn Bus, shard: u32, from: u64, bytes_max: usize) -> Result<Fetched, Error> {
        let end = bus.bounds(shard).await?.end;
        let mut all = Fetched { next: from, ..Fetched::default() };
        while all.next < end {
            let more = bus.read(shard, all.next, Some(end), bytes_max).await?;
            assert!(more.next > all.next, "reading stands still at {}", all.next);
            all.batches.extend(more.batches);
            all.faults.extend(more.faults);
            all.next = more.next;
        }
        Ok(all)
    }

    /// The ids of all that a shard holds.
    pub(crate) async fn held(bus: &dyn Bus, shard: u32) -> Vec<String> {
        let from = bus.bounds(shard).await.unwrap().start;
        ids(&read_all(bus, shard, from, 1 << 20).await.unwrap().batches)
    }

    /// A bus under test, with what keeps its data.
    pub(crate) struct Subject {
        pub(crate) name: &'static str,
        pub(crate) bus: Arc<dyn Bus>,
        _folder: Option<tempfile::TempDir>,
    }

    /// A fresh bus of every kind that can run here.
    pub(crate) async fn subjects(shards: u32) -> Vec<Subject> {
        let folder = tempfile::tempdir().unwrap();
        let log = log_with(LogSettings { shards, segment_bytes: 64 << 10, ..LogSettings::of(folder.path()) });
        let memory = Memory::new(shards, 1 << 30);
        let subjects = vec![
            Subject { name: "memory", bus: Arc::new(memory), _folder: None },
            Subject { name: "log", bus: Arc::new(log), _folder: Some(folder) },
        ];
        #[cfg(feature = "kafka")]
        let subjects = match broker::shared() {
            Some(broker) => {
                let bus = Arc::new(broker::open(broker.settings(shards)).await);
                subjects.into_iter().chain([Subject { name: "kafka", bus, _folder: None }]).collect()
            }
            None => subjects,
        };
        subjects
    }
}
