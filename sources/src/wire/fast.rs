//! The fast decoder: decodes a whole batch in one pass, straight into columns.
//!
//! ```text
//! {"sentAt":…,"events":[{"orgId":"acme",…},…]}
//!                        └ key ─ column ─ cell ┘  a row when all of it is valid
//! ```
//!
//! It accepts what senders usually write, with the same result as the serde decoder. An event with anything else goes
//! to the serde decoder whole. A batch that is unusual as a whole is decoded again from the beginning. Only the serde
//! decoder decides what is refused and why, except events beyond `events_max`, which are refused here. At worst every
//! event is decoded twice.
//!
//! What makes it fast: there are no intermediate values; each key is first compared with the key that came at this
//! place in the last event; a symbol is compared with that of the row before, and hashed only if it differs; ids are
//! screened together at the end.

use netcrab_schema::Type;
use netcrab_schema::events::{EVENT, SEQ_MAX, UNKNOWN_DEVICE, wire_name};

use super::cursor::{Cursor, Key};
use super::event::{ReceiveTime, TS_CLIENT, corrected, push_event};
use super::fast_extra::{ExtraItem, ExtraItems, ExtraReader};
use crate::builder::{ABSENT, Cells, EventBatchBuilder};
use crate::event_columns::{COLUMNS, column_index};
use crate::event_id::EventIds;
use crate::reject::{Fault, Reason};

const EVENT_ID: usize = column_index("event_id");
const SEQ: usize = column_index("seq");
const DEVICE_TYPE: usize = column_index("device_type");
const SESSION_ID: usize = column_index("session_id");
const TS: usize = column_index("ts");
const RECEIVED_AT: usize = column_index("received_at");
const TASK_TYPE: u32 = 1 << column_index("task_type");
const TASK_PHASE: u32 = 1 << column_index("task_phase");
const EXTRA: usize = column_index("extra");

/// The columns that an event must state: those that are neither nullable, nor made, nor `false` by default. The serde
/// decoder makes a route.
const REQUIRED: u32 = {
    let mut required = 0;
    let mut at = 0;
    while at < COLUMNS {
        let made = matches!(at, EVENT_ID | SESSION_ID | DEVICE_TYPE) || matches!(EVENT[at].kind, Type::Bool);
        if !EVENT[at].nullable && !made {
            required |= 1 << at;
        }
        at += 1;
    }
    required
};

/// The fast decoder, with caches that outlive a batch.
#[derive(Debug)]
pub(super) struct FastDecoder {
    keys: [Key; COLUMNS],
    /// For each column, the column whose key followed it the last time. The last entry is for the beginning of an
    /// event.
    follows: [usize; COLUMNS + 1],
    extra: ExtraReader,
}

/// What all events of a batch have in common.
#[derive(Clone, Copy)]
pub(super) struct BatchContext<'a> {
    pub(super) received_at_ms: i64,
    pub(super) events_max: usize,
    pub(super) event_ids: &'a EventIds,
}

/// A decoded batch; its events are in the columns.
#[derive(Debug, Default)]
pub(super) struct FastBatch<'a> {
    pub(super) agent_id: Option<&'a str>,
    pub(super) sdk_version: Option<&'a str>,
    pub(super) indexes: Vec<usize>,
    pub(super) faults: Vec<(usize, Fault)>,
}

/// One event on its way into the columns.
struct FastEvent<'a> {
    cells: Cells,
    /// A bit for each column with a value.
    given: u32,
    event_id: Option<&'a str>,
    extra: Option<ExtraItems<'a>>,
}

impl FastDecoder {
    pub(super) fn new() -> Self {
        let key = |column: &str| if column == "received_at" { Key::NONE } else { Key::of(&wire_name(column)) };
        Self {
            keys: std::array::from_fn(|at| key(EVENT[at].name)),
            follows: std::array::from_fn(|at| (at + 1) % COLUMNS),
            extra: ExtraReader::default(),
        }
    }

    /// Decodes a batch. Returns `None` if the serde decoder must decode it; the columns then have rows that must be
    /// discarded.
    pub(super) fn batch<'a>(
        &mut self,
        columns: &mut EventBatchBuilder,
        text: &'a str,
        context: BatchContext<'_>,
    ) -> Option<FastBatch<'a>> {
        let settings = columns.settings();
        if !(settings.ts_min_ms..settings.ts_end_ms).contains(&context.received_at_ms) {
            return None;
        }
        let mut cursor = Cursor::new(text);
        let (mut read, mut seen, mut sent_at) = (FastBatch::default(), [false; 4], None);
        let mut later = None;
        cursor.skip_space();
        cursor.take(b'{')?;
        loop {
            cursor.skip_space();
            let key = cursor.string()?;
            cursor.skip_space();
            cursor.take(b':')?;
            cursor.skip_space();
            let place = ["agentId", "sdkVersion", "sentAt", "events"].iter().position(|known| *known == key)?;
            if std::mem::replace(&mut seen[place], true) {
                return None;
            }
            match key {
                "agentId" => read.agent_id = optional_text(&mut cursor)?,
                "sdkVersion" => read.sdk_version = optional_text(&mut cursor)?,
                "sentAt" => sent_at = optional_instant(&mut cursor)?,
                // The skew is known only when all of the batch except its events has been read.
                _ if !seen[2] && !is_last_value(cursor.rest()) => {
                    later = Some(cursor);
                    cursor.skip_value()?;
                }
                _ => self.events(columns, &mut cursor, context, sent_at, &mut read)?,
            }
            cursor.skip_space();
            if cursor.take(b',').is_none() {
                break;
            }
        }
        cursor.take(b'}')?;
        cursor.skip_space();
        if !cursor.rest().is_empty() || !seen[3] {
            return None;
        }
        if let Some(mut events) = later {
            self.events(columns, &mut events, context, sent_at, &mut read)?;
        }
        (!columns.may_hold_personal_data()).then_some(read)
    }

    /// Decodes the array of events.
    fn events(
        &mut self,
        columns: &mut EventBatchBuilder,
        cursor: &mut Cursor<'_>,
        context: BatchContext<'_>,
        sent_at: Option<i64>,
        read: &mut FastBatch<'_>,
    ) -> Option<()> {
        let skew_ms = sent_at.map(|sent| context.received_at_ms.saturating_sub(sent));
        let received = ReceiveTime { at_ms: Some(context.received_at_ms), skew_ms, in_event: false };
        cursor.take(b'[')?;
        cursor.skip_space();
        if cursor.take(b']').is_some() {
            return Some(());
        }
        for index in 0.. {
            cursor.skip_space();
            let start = cursor.at;
            if index >= context.events_max {
                cursor.skip_value()?;
                read.faults.push((index, Fault::line(Reason::TooManyEvents)));
            } else if self.event(columns, cursor, received, context.event_ids, index as u32).is_some() {
                read.indexes.push(index);
            } else {
                cursor.at = start;
                let event = cursor.skip_value()?;
                match push_event(columns, event, received, context.event_ids, 0, index as u32) {
                    Ok(()) => read.indexes.push(index),
                    Err(fault) => read.faults.push((index, fault)),
                }
            }
            cursor.skip_space();
            if cursor.take(b',').is_none() {
                break;
            }
        }
        cursor.take(b']')
    }

    /// Decodes one event into the columns. On `None`, nothing of it was stored.
    fn event(
        &mut self,
        columns: &mut EventBatchBuilder,
        cursor: &mut Cursor<'_>,
        received: ReceiveTime,
        event_ids: &EventIds,
        index: u32,
    ) -> Option<()> {
        let mut event = FastEvent { cells: ABSENT, given: 0, event_id: None, extra: None };
        let mut seen = 0u32;
        let mut before = COLUMNS;
        cursor.take(b'{')?;
        cursor.skip_space();
        loop {
            let at = self.column(cursor.key()?, before)?;
            before = at;
            let bit = 1 << at;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            if cursor.take_word(b"null").is_none() {
                let given = self.value(columns, cursor, at, &mut event)?;
                event.given |= if given { bit } else { 0 };
            }
            cursor.skip_space();
            if cursor.take(b',').is_none() {
                break;
            }
            cursor.skip_space();
        }
        cursor.take(b'}')?;
        self.store(columns, event, received, event_ids, index)
    }

    /// Decodes the value of one column; `false` if it counts as not stated.
    #[inline]
    fn value<'a>(
        &mut self,
        columns: &mut EventBatchBuilder,
        cursor: &mut Cursor<'a>,
        at: usize,
        event: &mut FastEvent<'a>,
    ) -> Option<bool> {
        match EVENT[at].kind {
            Type::Symbol | Type::Repeated => {
                let text = cursor.string()?;
                if !text.is_empty() {
                    event.cells[at] = columns.symbol(at, text)?;
                }
                return Some(!text.is_empty());
            }
            Type::Timestamp => event.cells[at] = cursor.instant()?,
            Type::Int64 => {
                event.cells[at] = cursor.number()?.whole().filter(|number| (0..=SEQ_MAX).contains(number))?;
            }
            Type::Float32 => {
                let number = cursor.number()?.value() as f32;
                event.cells[at] = number.to_bits().into();
                return Some(number.is_finite());
            }
            Type::Bool => event.cells[at] = cursor.boolean()?.into(),
            _ if at == EXTRA => event.extra = self.extra.read(cursor, columns.privacy())?,
            _ => {
                event.event_id = Some(cursor.string()?).filter(|id| !id.is_empty());
                if event.event_id.is_some_and(|id| id.len() > columns.settings().text_bytes_max) {
                    return None;
                }
            }
        }
        Some(true)
    }

    /// Stores a decoded event if it is valid as a whole, with its skew corrected.
    #[inline]
    fn store(
        &mut self,
        columns: &mut EventBatchBuilder,
        event: FastEvent<'_>,
        received: ReceiveTime,
        event_ids: &EventIds,
        index: u32,
    ) -> Option<()> {
        let FastEvent { mut cells, given, event_id, mut extra } = event;
        let task_is_whole = (given & TASK_TYPE != 0) == (given & TASK_PHASE != 0);
        if given & REQUIRED != REQUIRED || !task_is_whole {
            return None;
        }
        let allowed = columns.settings().ts_min_ms..columns.settings().ts_end_ms;
        let (sent_ms, corrected) = (cells[TS], corrected(cells[TS], received));
        if corrected.ts_ms != sent_ms {
            cells[TS] = corrected.ts_ms;
            extra.get_or_insert_with(ExtraItems::new).set(TS_CLIENT, ExtraItem::Instant(sent_ms));
        }
        if !allowed.contains(&cells[TS]) {
            return None;
        }
        cells[RECEIVED_AT] = received.at_ms?;
        if given & (1 << SESSION_ID) == 0 {
            cells[SESSION_ID] = columns.symbol(SESSION_ID, "")?;
        }
        if given & (1 << DEVICE_TYPE) == 0 {
            cells[DEVICE_TYPE] = columns.symbol(DEVICE_TYPE, UNKNOWN_DEVICE)?;
        }
        if given & (1 << SEQ) == 0 {
            cells[SEQ] = event_ids.seq(0, index)?;
        }
        let extra = extra.filter(|extra| extra.length > 0).map(|extra| self.extra.write(extra));
        columns.append_cells(&cells, event_id, extra, || event_ids.make(cells[TS], 0, index, || 0).to_string());
        if corrected.ahead {
            columns.count_ahead();
        }
        Some(())
    }

    /// The column of a key. Most senders write their keys in one order, so the expected key is tried first.
    #[inline]
    fn column(&mut self, key: Key, before: usize) -> Option<usize> {
        let expected = self.follows[before];
        if self.keys[expected] == key {
            return Some(expected);
        }
        let found = self.keys.iter().position(|known| *known == key)?;
        self.follows[before] = found;
        Some(found)
    }
}

fn optional_text<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
    if cursor.take_word(b"null").is_some() { Some(None) } else { cursor.string().map(Some) }
}

fn optional_instant(cursor: &mut Cursor<'_>) -> Option<Option<i64>> {
    if cursor.take_word(b"null").is_some() { Some(None) } else { cursor.instant().map(Some) }
}

/// Whether the value ahead, an array, seems to be the last value of its object. If it is not, the parse fails later,
/// at an unknown key or an unexpected array.
fn is_last_value(rest: &str) -> bool {
    let before_end = rest.trim_end().strip_suffix('}');
    before_end.is_some_and(|rest| rest.trim_end().ends_with(']'))
}
