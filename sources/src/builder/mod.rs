//! Builds batches of events from rows.
//!
//! ```text
//! wire JSON · CSV · mapping  ─▶  Row  ─ validate, intern ─▶  EventBatchBuilder  ─▶  batch
//! ```
//!
//! A row is validated as a whole before any of it is stored, so a refused row leaves nothing behind.

mod cells;
mod column;
mod symbols;
mod validity;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use netcrab_schema::Type;
use netcrab_schema::events::{EVENT, SEQ_MAX, UNKNOWN_DEVICE};

pub(crate) use cells::{ABSENT, Cells};
use column::ColumnBuilder;

use crate::event_columns::{COLUMNS, column_index, project, schema_of};
use crate::event_id::{Content, EventIds};
use crate::privacy::Privacy;
use crate::reject::{Fault, Reason};
use crate::route::{of_screen, template};
use crate::row::{Row, Value};
use crate::rules::{rule_of, violation};
use crate::{Error, SourceSettings};

const EVENT_ID: usize = column_index("event_id");
const SEQ: usize = column_index("seq");
const SCREEN_ID: usize = column_index("screen_id");
const ROUTE: usize = column_index("route");
const DEVICE_TYPE: usize = column_index("device_type");
const SESSION_ID: usize = column_index("session_id");
const TASK_TYPE: usize = column_index("task_type");
const TASK_PHASE: usize = column_index("task_phase");
const TS: usize = column_index("ts");
const EXTRA: usize = column_index("extra");

/// Builds batches of events.
#[derive(Debug)]
pub(crate) struct EventBatchBuilder {
    settings: Arc<SourceSettings>,
    privacy: Arc<Privacy>,
    builders: Vec<ColumnBuilder>,
    keys: [i32; COLUMNS],
    rows: usize,
    ahead: usize,
    projection: Vec<usize>,
    schema: SchemaRef,
    /// Event ids that were stored without being screened; see [`Self::may_hold_personal_data`].
    unscreened: String,
    /// Values that the folders of the file give, by index of the column.
    partitions: Vec<(usize, Value<'static>)>,
}

impl EventBatchBuilder {
    /// A builder of batches of these event columns; of all columns if `columns` is `None`.
    pub(crate) fn new(columns: Option<&[&'static str]>, settings: Arc<SourceSettings>, privacy: Arc<Privacy>) -> Self {
        let projection = project(columns);
        let places = projection.iter().map(|column| column_index(column.name)).collect();
        let builders = EVENT.iter().map(|column| ColumnBuilder::new(column, false)).collect();
        Self {
            settings,
            privacy,
            builders,
            keys: [0; COLUMNS],
            rows: 0,
            ahead: 0,
            projection: places,
            schema: schema_of(&projection),
            unscreened: String::new(),
            partitions: Vec::new(),
        }
    }

    /// Rows do not state these columns, or state the same values.
    pub(crate) fn with_partitions(self, partitions: Vec<(usize, Value<'static>)>) -> Self {
        Self { partitions, ..self }
    }

    /// A builder of small batches of many senders: the dictionaries of a batch hold only the values of that batch.
    pub(crate) fn with_batch_dictionaries(settings: Arc<SourceSettings>, privacy: Arc<Privacy>) -> Self {
        let builders = EVENT.iter().map(|column| ColumnBuilder::new(column, true)).collect();
        Self { builders, ..Self::new(None, settings, privacy) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Counts an event whose time was set to that of its receipt.
    pub(crate) fn count_ahead(&mut self) {
        self.ahead += 1;
    }

    /// How many events were counted since the last call.
    pub(crate) fn take_ahead(&mut self) -> usize {
        std::mem::take(&mut self.ahead)
    }

    pub(crate) fn settings(&self) -> &Arc<SourceSettings> {
        &self.settings
    }

    pub(crate) fn privacy(&self) -> &Arc<Privacy> {
        &self.privacy
    }

    /// Validates a row and stores its event. `line` and `place` say where the row stood; `event_ids` makes an event id
    /// and a `seq` that are missing. A missing route is `/` and the screen, a missing device is unknown.
    ///
    /// # Errors
    ///
    /// The first fault of the row; nothing of it is stored then.
    pub(crate) fn push(&mut self, row: &Row<'_>, event_ids: &EventIds, line: u64, place: u32) -> Result<(), Fault> {
        let completed = (!self.partitions.is_empty()).then(|| self.completed(row)).transpose()?;
        let row = completed.as_ref().unwrap_or(row);
        let route = match &row.values[ROUTE] {
            Value::Absent => row.text(SCREEN_ID).map_or(Value::Absent, |screen| Value::Text(of_screen(screen).into())),
            _ => Value::Absent,
        };
        let device = Value::Text(UNKNOWN_DEVICE.into());
        let values: [&Value<'_>; COLUMNS] = std::array::from_fn(|at| match (at, &row.values[at]) {
            (ROUTE, Value::Absent) => &route,
            (DEVICE_TYPE, Value::Absent) => &device,
            (_, value) => value,
        });
        for (at, value) in values.iter().enumerate() {
            self.validate(at, value)?;
        }
        let (begun, phase) = (row.text(TASK_TYPE), row.text(TASK_PHASE));
        if begun.is_some() != phase.is_some() {
            let missing = if begun.is_none() { "task_type" } else { "task_phase" };
            return Err(Fault::field(Reason::TaskIncomplete, missing));
        }
        for (at, builder) in self.builders.iter_mut().enumerate() {
            match (at, values[at]) {
                (SEQ, Value::Absent) => {
                    builder.push(at, &event_ids.seq(line, place).map_or(Value::Absent, Value::Whole), 0)
                }
                (_, value) => builder.push(at, value, self.keys[at]),
            }
        }
        if let (ColumnBuilder::Text(ids), Value::Absent) = (&mut self.builders[EVENT_ID], &row.values[EVENT_ID]) {
            let id = event_ids.make(row.instant(TS).unwrap_or(0), line, place, || content(&values));
            ids.append_value(id.encode_lower(&mut [0; 36]));
        }
        self.rows += 1;
        Ok(())
    }

    /// The row with the values of its folders. A row that states others is refused.
    fn completed<'a>(&self, row: &Row<'a>) -> Result<Row<'a>, Fault> {
        let mut row = row.clone();
        for (at, given) in &self.partitions {
            match &row.values[*at] {
                Value::Absent => row.set(*at, given.clone()),
                stated if stated == given => {}
                _ => return Err(Fault::field(Reason::PartitionMismatch, EVENT[*at].name)),
            }
        }
        Ok(row)
    }

    fn validate(&mut self, at: usize, value: &Value<'_>) -> Result<(), Fault> {
        let column = &EVENT[at];
        let fault = |reason| Err(Fault::field(reason, column.name));
        match (&mut self.builders[at], value) {
            (_, Value::Absent) => {
                let made = matches!(at, SESSION_ID | EVENT_ID) || column.kind == Type::Bool;
                if column.nullable || made { Ok(()) } else { fault(Reason::MissingField) }
            }
            (ColumnBuilder::Symbol(symbols), Value::Text(text)) => {
                match symbols.key(text, &self.settings, &self.privacy) {
                    Ok(key) => self.keys[at] = key,
                    Err(reason) => return fault(reason),
                }
                Ok(())
            }
            (ColumnBuilder::Text(_), Value::Text(_)) if at == EXTRA => Ok(()),
            (ColumnBuilder::Text(_), Value::Text(text)) => {
                violation(rule_of(column.name), text, &self.settings, &self.privacy).map_or(Ok(()), fault)
            }
            (ColumnBuilder::Instant(_), Value::Instant(ms)) => {
                let inside = (self.settings.ts_min_ms..self.settings.ts_end_ms).contains(ms);
                if inside { Ok(()) } else { fault(Reason::TsOutOfRange) }
            }
            (ColumnBuilder::Whole(_), Value::Whole(number)) => {
                let inside = (0..=SEQ_MAX).contains(number);
                if inside { Ok(()) } else { fault(Reason::SeqOutOfRange) }
            }
            (ColumnBuilder::Number(_), Value::Number(number)) => {
                if (*number as f32).is_finite() {
                    Ok(())
                } else {
                    fault(Reason::NotFinite)
                }
            }
            (ColumnBuilder::Truth(_), Value::Truth(_)) => Ok(()),
            _ => fault(Reason::WrongType),
        }
    }

    /// Takes the stored rows as a batch and leaves the builder empty.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, Error> {
        let mut arrays: Vec<Option<ArrayRef>> = Vec::with_capacity(COLUMNS);
        for builder in &mut self.builders {
            arrays.push(Some(builder.finish()?));
        }
        self.rows = 0;
        self.unscreened.clear();
        let columns = self.projection.iter().filter_map(|at| arrays[*at].take()).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// A hash of all that an event says; its event_id is absent.
fn content(values: &[&Value<'_>]) -> u128 {
    let mut content = Content::default();
    for (column, value) in EVENT.iter().zip(values) {
        match value {
            Value::Absent => {}
            // The route that is stored: with or without ids it is the same event.
            Value::Text(text) if column.name == "route" => content.text(column, &template(text)),
            Value::Text(text) => content.text(column, text),
            Value::Instant(number) | Value::Whole(number) => content.whole(column, *number),
            Value::Number(number) => content.number(column, *number as f32),
            Value::Truth(truth) => content.truth(column, *truth),
        }
    }
    content.hash()
}

/// For the fast decoder, which writes columns directly. It refuses nothing: where it is not sure that an event is
/// valid, it leaves the event to [`EventBatchBuilder::push`].
impl EventBatchBuilder {
    /// The dictionary key of a symbol that is not empty; `None` if the symbol may be invalid. Random ids are not
    /// screened here, but all at once in [`Self::may_hold_personal_data`].
    #[inline]
    pub(crate) fn symbol(&mut self, at: usize, text: &str) -> Option<i64> {
        let ColumnBuilder::Symbol(symbols) = &mut self.builders[at] else { return None };
        symbols.fast_key(text, &self.settings, &self.privacy).map(i64::from)
    }

    /// Stores an event whose cells are valid. `event_id` was not screened; where it is absent, `made` makes one.
    pub(crate) fn append_cells(
        &mut self,
        cells: &Cells,
        event_id: Option<&str>,
        extra: Option<&str>,
        made: impl FnOnce() -> String,
    ) {
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            match builder {
                ColumnBuilder::Symbol(symbols) => symbols.append(*cell as i32),
                ColumnBuilder::Instant(numbers) | ColumnBuilder::Whole(numbers) => numbers.push(*cell),
                ColumnBuilder::Number(numbers) => numbers.push(f32::from_bits(*cell as u32)),
                ColumnBuilder::Truth(truths) => truths.push(*cell as u8),
                ColumnBuilder::Text(_) => {}
            }
        }
        if let ColumnBuilder::Text(ids) = &mut self.builders[EVENT_ID] {
            match event_id {
                Some(event_id) => {
                    self.unscreened.push_str(event_id);
                    ids.append_value(event_id);
                }
                None => ids.append_value(made()),
            }
        }
        if let ColumnBuilder::Text(extras) = &mut self.builders[EXTRA] {
            extras.append_option(extra);
        }
        self.rows += 1;
    }

    /// Whether an id that was not screened may hold personal data. Scans all of them at once.
    pub(crate) fn may_hold_personal_data(&self) -> bool {
        let unscreened = |builder: &ColumnBuilder| match builder {
            ColumnBuilder::Symbol(symbols) => symbols.may_hold_personal_data(&self.privacy),
            _ => false,
        };
        self.privacy.may_hold_identity(self.unscreened.as_bytes()) || self.builders.iter().any(unscreened)
    }
}
