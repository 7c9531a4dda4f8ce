//! The incidents of a session batch, column by column as they are found.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, ListArray, StringArray, StringViewArray, StringViewBuilder, TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::Result;
use netcrab_schema::arrow::{LIST_ITEM, in_flight_type};
use netcrab_schema::tables::FACT_INCIDENTS;
use xxhash_rust::xxh3::xxh3_128;

use super::actions::Action;
use super::events::Events;
use super::incident_kind::IncidentKind;
use crate::rules::Detect;
use crate::sessionize::fold::hex;
use crate::sessionize::text;
use crate::symbols::column;

/// Most event ids listed as evidence of one incident.
pub(crate) const EVIDENCE_MAX: usize = 50;

/// The columns of an incident in the list `incidents` of a session batch.
const COLUMNS: [&str; 13] = [
    "incident_id",
    "kind",
    "rule_id",
    "rule_version",
    "screen_id",
    "route",
    "element_type",
    "element_label_h",
    "started_at",
    "ended_at",
    "event_count",
    "evidence",
    "detail",
];

/// The fields of an incident in the list `incidents` of a session batch.
pub fn incident_fields() -> Fields {
    let column = |name: &&str| {
        let column = FACT_INCIDENTS.column(name)?;
        Some(Field::new(column.name, in_flight_type(column.kind), column.nullable))
    };
    COLUMNS.iter().filter_map(column).collect()
}

/// `text` as a JSON string.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One incident, as a detector finds it.
pub struct Incident<'a> {
    /// Its kind.
    pub kind: IncidentKind,
    /// Row of the first event of the evidence: its screen and route are those of the incident.
    pub first: usize,
    /// Whether the element of the first event is that of the incident too.
    pub on_element: bool,
    /// When it began, in ms.
    pub started_at: i64,
    /// When it ended, in ms.
    pub ended_at: i64,
    /// Rows of all events of the evidence, in order.
    pub evidence: &'a [usize],
    /// The measures of its kind, as a JSON object.
    pub detail: std::fmt::Arguments<'a>,
}

/// The dictionaries that the incidents of all batches share: merging batches with one dictionary costs nothing.
#[derive(Debug)]
pub struct IncidentDictionaries {
    kinds: ArrayRef,
    rule_id: ArrayRef,
    rule_version: ArrayRef,
}

impl IncidentDictionaries {
    /// The dictionaries of incidents found by `rules`.
    pub fn new(rules: &Detect) -> Self {
        Self {
            kinds: Arc::new(StringArray::from_iter_values(IncidentKind::ALL.map(IncidentKind::name))),
            rule_id: Arc::new(StringArray::from_iter_values([&rules.rule_id])),
            rule_version: Arc::new(StringArray::from_iter_values([&rules.rule_version])),
        }
    }
}

/// All incidents of a batch.
#[derive(Default)]
pub struct Incidents {
    kinds: Vec<IncidentKind>,
    first: Vec<u32>,
    on_element: Vec<bool>,
    started_at: Vec<i64>,
    ended_at: Vec<i64>,
    event_count: Vec<i64>,
    evidence: Vec<u32>,
    evidence_ends: Vec<usize>,
    detail: String,
    detail_ends: Vec<usize>,
    session_ends: Vec<usize>,
}

impl Incidents {
    /// Adds an incident to the session being detected.
    pub fn push(&mut self, found: Incident<'_>) {
        use std::fmt::Write;
        self.kinds.push(found.kind);
        self.first.push(found.first as u32);
        self.on_element.push(found.on_element);
        self.started_at.push(found.started_at);
        self.ended_at.push(found.ended_at);
        self.event_count.push(found.evidence.len() as i64);
        self.evidence.extend(found.evidence.iter().take(EVIDENCE_MAX).map(|&row| row as u32));
        self.evidence_ends.push(self.evidence.len());
        self.detail.write_fmt(found.detail).expect("a String takes every write");
        self.detail_ends.push(self.detail.len());
    }

    /// Ends the session being detected.
    pub fn end_session(&mut self) {
        self.session_ends.push(self.kinds.len());
    }

    /// How many incidents.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// How many incidents each session has.
    pub fn lengths(&self) -> impl Iterator<Item = usize> {
        lengths(&self.session_ends)
    }

    /// The columns of [`incident_fields`], for sessions with these session_keys and events.
    ///
    /// # Errors
    /// Where an event column is missing.
    pub fn into_columns(
        self,
        rules: &Detect,
        names: &IncidentDictionaries,
        keys: &StringViewArray,
        events: &Events<'_>,
    ) -> Result<Vec<ArrayRef>> {
        let count = self.len();
        let named = |code: fn(&Action) -> i32| self.first.iter().map(|&row| code(events.of(row as usize))).collect();
        let clicked = |code: fn(&Action) -> i32| {
            let rows = self.first.iter().zip(&self.on_element);
            rows.map(|(&row, &clicked)| if clicked { code(events.of(row as usize)) } else { -1 }).collect()
        };
        let symbol = |codes: Vec<i32>, name: &str| -> Result<ArrayRef> {
            Ok(Arc::new(column(codes, events.symbols(name)?.values())))
        };
        let kinds = self.kinds.iter().map(|&kind| kind as i32).collect();
        Ok(vec![
            Arc::new(self.ids(rules, keys, events)),
            Arc::new(column(kinds, &names.kinds)),
            Arc::new(column(vec![0; count], &names.rule_id)),
            Arc::new(column(vec![0; count], &names.rule_version)),
            symbol(named(|action| action.screen), "screen_id")?,
            symbol(named(|action| action.route), "route")?,
            symbol(clicked(|action| action.element_type), "element_type")?,
            symbol(clicked(|action| action.element_label_h), "element_label_h")?,
            instants(&self.started_at),
            instants(&self.ended_at),
            Arc::new(Int64Array::from(self.event_count.clone())),
            self.evidence_column(events)?,
            Arc::new(texts(&self.detail, &self.detail_ends)),
        ])
    }

    /// The hash that names each incident; see `docs/rules.md`, section 5.
    fn ids(&self, rules: &Detect, keys: &StringViewArray, events: &Events<'_>) -> StringViewArray {
        let mut ids = StringViewBuilder::with_capacity(self.len());
        let (mut hashed, mut digits) = (Vec::new(), [0; 64]);
        let mut start = 0;
        for (session, &end) in self.session_ends.iter().enumerate() {
            for incident in start..end {
                let first = self.evidence_start(incident);
                let event_id = events.event_id(self.evidence[first] as usize, &mut digits);
                let kind = self.kinds[incident].name();
                hashed.clear();
                for part in [keys.value(session), kind, &rules.rule_id, &rules.rule_version, event_id] {
                    hashed.extend_from_slice(&(part.len() as u32).to_le_bytes());
                    hashed.extend_from_slice(part.as_bytes());
                }
                ids.append_value(hex(xxh3_128(&hashed), &mut [0; 32]));
            }
            start = end;
        }
        ids.finish()
    }

    fn evidence_start(&self, incident: usize) -> usize {
        if incident == 0 { 0 } else { self.evidence_ends[incident - 1] }
    }

    fn evidence_column(&self, events: &Events<'_>) -> Result<ArrayRef> {
        let ids = text::unpack_all(events.packed_ids(&self.evidence));
        let item = Arc::new(Field::new(LIST_ITEM, DataType::Utf8View, false));
        Ok(Arc::new(ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths(&self.evidence_ends)),
            Arc::new(ids),
            None,
        )?))
    }
}

fn instants(values: &[i64]) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(values.to_vec()).with_timezone("UTC"))
}

fn texts(bytes: &str, ends: &[usize]) -> StringViewArray {
    let mut start = 0;
    let mut views = StringViewBuilder::with_capacity(ends.len());
    for &end in ends {
        views.append_value(&bytes[start..end]);
        start = end;
    }
    views.finish()
}

fn lengths(ends: &[usize]) -> impl Iterator<Item = usize> {
    ends.iter().scan(0, |start, &end| {
        let length = end - *start;
        *start = end;
        Some(length)
    })
}
