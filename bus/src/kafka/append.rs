//! Sends events and results. An append is done when all replicas have acknowledged each of its records.
//!
//!     batch ─▶ records ─▶ the producer's queue ─▶ broker ─▶ acknowledgements ─▶ answer

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::LineDelimitedWriter;
use netcrab_schema::events::wire_name;
use netcrab_sources::record;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::client::{LastProblem, fault};
use super::settings::KafkaSettings;
use crate::{Clock, Error, Results, SessionKeyColumns, locked};

pub(crate) struct Appender {
    settings: KafkaSettings,
    clock: Clock,
    last_problem: LastProblem,
    producer: ThreadedProducer<Deliveries>,
}

/// Receives the broker's acknowledgements.
struct Deliveries(LastProblem);

/// An append in progress: how many records are not yet acknowledged, and who waits for them.
struct Receipt {
    left: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    fault: Option<KafkaError>,
    answer: Option<oneshot::Sender<Result<(), KafkaError>>>,
}

impl Receipt {
    fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<Result<(), KafkaError>>) {
        let (answer, answered) = oneshot::channel();
        let state = Mutex::new(State { fault: None, answer: Some(answer) });
        (Arc::new(Self { left: AtomicUsize::new(records), state }), answered)
    }

    fn delivered(&self, fault: Option<KafkaError>) {
        let mut state = locked(&self.state);
        if let Some(fault) = fault {
            state.fault.get_or_insert(fault);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(answer) = state.answer.take()
        {
            // The caller may no longer wait.
            let _ = answer.send(state.fault.take().map_or(Ok(()), Err));
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, fault: KafkaError, reason: &str) {
        self.0.error(fault, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Receipt>;

    fn delivery(&self, result: &DeliveryResult<'_>, receipt: Self::DeliveryOpaque) {
        receipt.delivered(result.as_ref().err().map(|(fault, _)| fault.clone()));
    }
}

impl Appender {
    pub(crate) fn new(settings: KafkaSettings, clock: Clock) -> Result<Self, Error> {
        let last_problem = LastProblem::default();
        let made = ThreadedProducer::from_config_and_context(&settings.producer(), Deliveries(last_problem.clone()));
        let producer = made.map_err(|cause| fault(&settings, &last_problem, "connect", cause))?;
        Ok(Self { settings, clock, last_problem, producer })
    }

    /// Sends events to their partitions. The key of a record is its session key.
    pub(crate) async fn append(&self, events: &[(u32, RecordBatch)]) -> Result<(), Error> {
        let count = events.iter().map(|(_, batch)| batch.num_rows()).sum();
        if count == 0 {
            return Ok(());
        }
        let (receipt, answered) = Receipt::new(count);
        let now_ms = (self.clock)();
        let (mut key, mut text) = (String::new(), String::new());
        for (shard, batch) in events {
            let keys = SessionKeyColumns::of(batch)?;
            let unwritable = |cause: netcrab_sources::Error| Error::Records { what: "write", cause: cause.to_string() };
            let writer = record::RecordWriter::new(batch).map_err(unwritable)?;
            for row in 0..batch.num_rows() {
                let [org_id, product_id, session_or_user] = keys.key(row).parts();
                key.clear();
                text.clear();
                // An organisation and a product contain no slash, so different session keys give different texts.
                key.extend([org_id, "/", product_id, "/", session_or_user]);
                writer.write(row, &mut text);
                let record = BaseRecord::with_opaque_to(&self.settings.topic, receipt.clone());
                let record = record.partition(*shard as i32).timestamp(now_ms);
                self.send(record.key(key.as_str()).payload(text.as_str()))?;
            }
        }
        self.answered(answered).await
    }

    /// Sends result rows, one record each. A row's key is its column `session_key`, where the table has one.
    pub(crate) async fn publish(&self, to: Results, table: &str, rows: &RecordBatch) -> Result<(), Error> {
        let topic = self.settings.topic_of(to);
        if topic.is_empty() || rows.num_rows() == 0 {
            return Ok(());
        }
        let keys = rows.column_by_name("session_key").map(|keys| cast(keys, &DataType::Utf8)).transpose();
        let keys = keys.map_err(Error::arrow("write"))?;
        let texts = lines(rows)?;
        let (receipt, answered) = Receipt::new(rows.num_rows());
        let now_ms = (self.clock)();
        for (row, text) in texts.split(|byte| *byte == b'\n').take(rows.num_rows()).enumerate() {
            let headers = OwnedHeaders::new().insert(Header { key: "table", value: Some(table) });
            let record = BaseRecord::with_opaque_to(topic, receipt.clone()).timestamp(now_ms).headers(headers);
            let record = record.payload(text);
            let key = keys.as_ref().map(|keys| keys.as_string::<i32>()).filter(|keys| keys.is_valid(row));
            match key {
                Some(keys) => self.send(record.key(keys.value(row)))?,
                None => self.send(record)?,
            }
        }
        self.answered(answered).await
    }

    fn send<P: rdkafka::message::ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'_, str, P, Arc<Receipt>>,
    ) -> Result<(), Error> {
        let payload_bytes = record.payload.map_or(0, |payload| payload.to_bytes().len()) as u64;
        let Err((cause, _)) = self.producer.send(record) else { return Ok(()) };
        let settings = &self.settings;
        Err(match cause.rdkafka_error_code() {
            Some(Code::QueueFull) => Error::Full {
                what: "the queue to Kafka",
                bytes_max: settings.queue_bytes_max,
                retry_after: settings.retry_after(),
                mend: "see that Kafka keeps up, or raise `queue_bytes_max`",
            },
            Some(Code::MessageSizeTooLarge) => Error::TooLarge {
                what: "an event",
                bytes: payload_bytes,
                bytes_max: settings.record_bytes_max.into(),
                setting: "record_bytes_max",
            },
            _ => fault(settings, &self.last_problem, "append", cause),
        })
    }

    async fn answered(&self, answered: oneshot::Receiver<Result<(), KafkaError>>) -> Result<(), Error> {
        let result = answered.await.map_err(|_| Error::Ended)?;
        result.map_err(|cause| fault(&self.settings, &self.last_problem, "append", cause))
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        // Gives waiting records a last chance; no caller was told that they are durable.
        let _ = self.producer.flush(Duration::from_secs(1));
    }
}

/// The rows as JSON objects with names in camelCase, one on each line.
fn lines(rows: &RecordBatch) -> Result<Vec<u8>, Error> {
    let fields = rows.schema_ref().fields().iter();
    let fields =
        fields.map(|field| Field::new(wire_name(field.name()), field.data_type().clone(), field.is_nullable()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut writer = LineDelimitedWriter::new(Vec::new());
    let renamed = RecordBatch::try_new(schema, rows.columns().to_vec());
    let written = renamed.and_then(|renamed| writer.write(&renamed)).and_then(|()| writer.finish());
    written.map_err(Error::arrow("write"))?;
    Ok(writer.into_inner())
}
