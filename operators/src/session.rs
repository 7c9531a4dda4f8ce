//! The session batch: what travels between the stages.
//!
//!     org_id  product_id  date  session_key  session_id  session_no  user_hash  events        incidents …
//!     acme    crm         …     5f3a…        77ac…       0           1be9…      [e1 e2 e3]    [i1]
//!     acme    crm         …     90b1…        77ac…       1           1be9…      [e4 e5]       []
//!
//! One row is one closed session; its `session_id` and `user_hash` are those of its first event. `events` is a list of
//! structs: the events of all sessions lie column by column, contiguous and in order, and the offsets of the list are
//! the borders of the sessions. `detect` adds `incidents`; `aggregate` adds the facts.
//!
//! The twenty symbols of an event are two codes, `client` and `action`: dictionaries of structs, one for the whole
//! run. So a rule looks up what it asks of an event in a small table.
//!
//! Invariant: within a batch out of `sessionize` a dictionary holds each text once, in byte order,
//! so kernels compare codes instead of texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, RecordBatch, StringViewArray, StructArray};
use arrow::datatypes::{DataType, Date32Type, Field, FieldRef, Fields, Int32Type, Int64Type, Schema, SchemaRef};
use datafusion::common::{Result, exec_datafusion_err};
use netcrab_schema::arrow::{LIST_ITEM, in_flight_type};
use netcrab_schema::{Column, Type, events::EVENT};

use crate::sessionize::layout::{ACTION, CLIENT, group_of};
use crate::symbols::SymbolArray;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// The UTC day of an instant in milliseconds, in days since 1970.
pub fn day_of(ts: i64) -> i32 {
    ts.div_euclid(DAY_MS) as i32
}

/// The two columns of an event's struct that stand for several event columns each, by group: codes of tuples
/// (`sessionize::action_dictionary`) over a dictionary of structs that all batches share.
pub const TUPLES: [&str; 2] = ["client", "action"];

/// Columns of an event, besides its tuples, that the facts are made from.
const OF_FACTS: [&str; 3] = ["event_id", "ts", "reaction_ms"];

/// Names of the event columns to read where events themselves are not written, in table order.
///
/// All columns but `extra` are here, whether or not a fact is made from them: of two rows that repeat an event, the
/// first column in which they differ decides which one counts.
pub fn columns_of_facts() -> Vec<&'static str> {
    EVENT.iter().map(|column| column.name).filter(|name| *name != "extra").collect()
}

/// The fields of an event's struct that the facts are made from.
pub fn fields_of_facts() -> Fields {
    fields(|name| OF_FACTS.contains(&name))
}

/// The fields of an event's struct that may differ within a session: all but those of its owner.
/// session_id may differ: an event without one belongs to the session key that its user_hash names.
pub fn fields_of_events() -> Fields {
    fields(|name| !matches!(name, "org_id" | "product_id"))
}

fn fields(wanted: impl Fn(&str) -> bool) -> Fields {
    let own = EVENT.iter().filter(|column| group_of(column).is_none() && wanted(column.name));
    let own = own.map(|column| Field::new(column.name, column_type(column), column.nullable));
    let tuples = [CLIENT, ACTION].map(|group| Field::new(TUPLES[group], tuple_type(group), false));
    own.chain(tuples).collect()
}

/// The fields of the struct that a tuple is. A column that was not read is null in all tuples.
pub fn tuple_fields(group: usize) -> Fields {
    let columns = EVENT.iter().filter(|column| group_of(column) == Some(group));
    columns.map(|column| Field::new(column.name, in_flight_type(column.kind), true)).collect()
}

fn tuple_type(group: usize) -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Struct(tuple_fields(group))))
}

/// The fields of the events in session batches of this schema.
///
/// # Errors
/// Where `schema` has no list `events` of structs.
pub fn event_fields(schema: &Schema) -> Result<&Fields> {
    match schema.field_with_name("events")?.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(fields) => Ok(fields),
            _ => Err(wrong_type("events")),
        },
        _ => Err(wrong_type("events")),
    }
}

/// The type of an event's column within a session. session_id and user_hash are texts, since they hardly repeat here;
/// event_ids stay packed, since few are ever read.
fn column_type(column: &Column) -> DataType {
    match column.kind {
        _ if column.name == "event_id" => DataType::BinaryView,
        Type::Repeated => in_flight_type(Type::Text),
        kind => in_flight_type(kind),
    }
}

/// The schema of batches out of `sessionize`, with these event columns.
pub fn schema(event: Fields) -> SchemaRef {
    let field = |name, kind| Arc::new(Field::new(name, in_flight_type(kind), false));
    Arc::new(Schema::new(vec![
        field("org_id", Type::Symbol),
        field("product_id", Type::Symbol),
        field("date", Type::Date),
        field("session_key", Type::Text),
        field("session_id", Type::Text),
        field("session_no", Type::Int64),
        field("user_hash", Type::Text),
        list_field("events", event),
    ]))
}

/// A required column that is a list of structs of `fields`.
pub fn list_field(name: &str, fields: Fields) -> FieldRef {
    let item = Field::new(LIST_ITEM, DataType::Struct(fields), false);
    Arc::new(Field::new(name, DataType::List(Arc::new(item)), false))
}

/// Rows of `fields`, `lengths` of them for each session.
///
/// # Errors
/// Where `columns` do not fit `fields` or `lengths`.
pub fn list_column(fields: Fields, lengths: impl Iterator<Item = usize>, columns: Vec<ArrayRef>) -> Result<ArrayRef> {
    let rows = StructArray::try_new(fields.clone(), columns, None)?;
    let item = Arc::new(Field::new(LIST_ITEM, DataType::Struct(fields), false));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(rows), None)?))
}

/// Typed access to the columns of a session batch.
pub struct SessionBatch<'a> {
    batch: &'a RecordBatch,
    events: &'a ListArray,
}

impl<'a> SessionBatch<'a> {
    /// A view of `batch`.
    ///
    /// # Errors
    /// Where `batch` has no column `events`.
    pub fn new(batch: &'a RecordBatch) -> Result<Self> {
        let events = list(batch, "events")?;
        Ok(Self { batch, events })
    }

    /// How many sessions.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where each session begins and ends in the columns of [`Self::events`].
    pub fn borders(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<'a> {
        self.events.value_offsets().windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }

    /// The events of all sessions, column by column.
    pub fn events(&self) -> &'a StructArray {
        self.events.values().as_struct()
    }

    /// The hash that names each session.
    ///
    /// # Errors
    /// An internal error where the batch has no such column, or one of another type.
    pub fn session_key(&self) -> Result<&'a StringViewArray> {
        let column = column(self.batch, "session_key")?;
        column.as_string_view_opt().ok_or_else(|| wrong_type("session_key"))
    }

    /// The number of each session within its key.
    ///
    /// # Errors
    /// An internal error where the batch has no such column, or one of another type.
    pub fn session_no(&self) -> Result<&'a [i64]> {
        let column = column(self.batch, "session_no")?;
        Ok(column.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong_type("session_no"))?.values())
    }

    /// The day of each session.
    ///
    /// # Errors
    /// An internal error where the batch has no such column, or one of another type.
    pub fn date(&self) -> Result<&'a [i32]> {
        let column = column(self.batch, "date")?;
        Ok(column.as_primitive_opt::<Date32Type>().ok_or_else(|| wrong_type("date"))?.values())
    }
}

/// The column `name` of `batch`.
///
/// # Errors
/// Where `batch` has no such column.
pub fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| exec_datafusion_err!("a session batch without column `{name}`"))
}

/// The codes of one group of the rows (client or action), and the dictionary of tuples.
///
/// # Errors
/// Where the rows have no such column.
pub fn tuples(rows: &StructArray, group: usize) -> Result<(&[i32], &ArrayRef)> {
    let tuples = rows.column_by_name(TUPLES[group]).and_then(|tuples| tuples.as_dictionary_opt::<Int32Type>());
    let tuples = tuples.ok_or_else(|| wrong_type(TUPLES[group]))?;
    Ok((tuples.keys().values(), tuples.values()))
}

/// The list column `name` of `batch`.
///
/// # Errors
/// An internal error where the batch has no such column, or one of another type.
pub fn list<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ListArray> {
    column(batch, name)?.as_list_opt().ok_or_else(|| wrong_type(name))
}

/// The symbol column `name` of the sessions of `batch`.
///
/// # Errors
/// An internal error where the batch has no such column, or one of another type.
pub fn session_symbols<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a SymbolArray> {
    column(batch, name)?.as_dictionary_opt().ok_or_else(|| wrong_type(name))
}

/// The symbol column `name` of `rows`.
///
/// # Errors
/// An internal error where the batch has no such column, or one of another type.
pub fn symbols<'a>(rows: &'a StructArray, name: &str) -> Result<&'a SymbolArray> {
    let column = rows.column_by_name(name).ok_or_else(|| exec_datafusion_err!("an event without column `{name}`"))?;
    column.as_dictionary_opt().ok_or_else(|| wrong_type(name))
}

/// The error for a column whose type differs from what the stage before promised.
pub fn wrong_type(name: &str) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("column `{name}` of a session batch has an unexpected type")
}
