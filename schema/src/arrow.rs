//! Arrow schemas of the tables.
//!
//! *In flight* is the schema between stages: symbols are dictionaries, texts are views, and instants are
//! milliseconds. *At rest* is the schema in Delta and Parquet: texts are plain strings, and instants are
//! microseconds, the only unit that Delta has. The values of instants are whole milliseconds in both.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::table::{Table, Type};

/// The name of the inner field of a list, as in Parquet and Delta.
pub const LIST_ITEM: &str = "element";

/// The Arrow type of a column between stages.
pub fn in_flight_type(kind: Type) -> DataType {
    match kind {
        Type::Text => DataType::Utf8View,
        Type::Symbol | Type::Repeated => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        Type::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        Type::TextList => DataType::List(Arc::new(Field::new(LIST_ITEM, DataType::Utf8View, false))),
        other => at_rest_type(other),
    }
}

/// The Arrow type of a column in the schema of [`Table::to_store`].
pub fn to_store_type(kind: Type) -> DataType {
    match kind {
        Type::Text | Type::Repeated | Type::TextList => at_rest_type(kind),
        other => in_flight_type(other),
    }
}

/// The Arrow type of a column in files.
pub fn at_rest_type(kind: Type) -> DataType {
    match kind {
        Type::Text | Type::Repeated | Type::Symbol => DataType::Utf8,
        Type::Int64 => DataType::Int64,
        Type::Int32 => DataType::Int32,
        Type::Float32 => DataType::Float32,
        Type::Float64 => DataType::Float64,
        Type::Bool => DataType::Boolean,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Date => DataType::Date32,
        Type::TextList => DataType::List(Arc::new(Field::new(LIST_ITEM, DataType::Utf8, false))),
    }
}

impl Table {
    /// The schema between stages.
    pub fn in_flight(&self) -> SchemaRef {
        self.schema(in_flight_type)
    }

    /// The schema in which rows are sorted and passed to a sink: in flight, but texts are plain strings.
    ///
    /// Rows that are taken out of a batch of views keep all texts of that batch alive. A sort, which splits batches,
    /// would hold and count the same texts many times.
    pub fn to_store(&self) -> SchemaRef {
        self.schema(to_store_type)
    }

    /// The schema in files.
    pub fn at_rest(&self) -> SchemaRef {
        self.schema(at_rest_type)
    }

    fn schema(&self, data_type: fn(Type) -> DataType) -> SchemaRef {
        let fields = self.columns().map(|column| Field::new(column.name, data_type(column.kind), column.nullable));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The schema of an event between stages: the columns of [`crate::events::EVENT`].
pub fn event_in_flight() -> SchemaRef {
    let fields = crate::events::EVENT.iter();
    let fields = fields.map(|column| Field::new(column.name, in_flight_type(column.kind), column.nullable));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
