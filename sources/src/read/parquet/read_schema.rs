//! Chooses the Arrow types as which the columns of a Parquet file are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use netcrab_schema::Type;
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::{EVENT, wire_name};
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::schema::types::{SchemaDescriptor, Type as ParquetType};

use crate::Error;
use crate::listing::SourceFile;
use crate::privacy::Privacy;
use crate::read::event_header::{not_an_event, require};

/// The index of each event column in the file. Any other column is an error.
pub(super) fn places(file: &SourceFile, schema: &Schema, privacy: &Privacy) -> Result<Vec<Option<usize>>, Error> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let mut places = vec![None; EVENT.len()];
    for (place, field) in schema.fields().iter().enumerate() {
        let column =
            EVENT.iter().position(|column| column.name == field.name() || wire_name(column.name) == *field.name());
        let name = field.name().clone();
        let Some(column) = column else { return Err(not_an_event(file, names(), privacy)) };
        if places[column].replace(place).is_some() {
            return Err(Error::RepeatedColumn { file: file.name.clone(), column: name });
        }
    }
    for (column, place) in EVENT.iter().zip(&places) {
        require(file, column, place.is_some()).map_err(|_| not_an_event(file, names(), privacy))?;
    }
    Ok(places)
}

/// The indexes of the text and symbol columns.
pub(super) fn texts(places: &[Option<usize>]) -> Vec<usize> {
    let columns = EVENT
        .iter()
        .zip(places)
        .filter(|(column, _)| matches!(column.kind, Type::Text | Type::Repeated | Type::Symbol));
    columns.filter_map(|(_, place)| *place).collect()
}

/// The schema with byte columns that hold text (JSON, enum, or not annotated) labelled as UTF-8, so that the decoder
/// checks them and keeps their dictionaries. `None` if no column needs it.
pub(super) fn relabel(schema: &SchemaDescriptor, texts: &[usize]) -> Option<SchemaDescriptor> {
    let root = schema.root_schema();
    let mut changed = false;
    let mut fields = Vec::new();
    for (place, field) in root.get_fields().iter().enumerate() {
        let bytes = field.is_primitive() && field.get_physical_type() == PhysicalType::BYTE_ARRAY;
        let info = field.get_basic_info();
        let decimal = info.converted_type() == ConvertedType::DECIMAL;
        if !texts.contains(&place) || !bytes || decimal || info.converted_type() == ConvertedType::UTF8 {
            fields.push(field.clone());
            continue;
        }
        let label = ParquetType::primitive_type_builder(info.name(), PhysicalType::BYTE_ARRAY)
            .with_repetition(info.repetition())
            .with_converted_type(ConvertedType::UTF8)
            .with_logical_type(Some(LogicalType::String))
            .build();
        fields.push(Arc::new(label.ok()?));
        changed = true;
    }
    let root = ParquetType::group_type_builder(root.name()).with_fields(fields).build().ok()?;
    changed.then(|| SchemaDescriptor::new(Arc::new(root)))
}

/// The schema to read with: symbols as dictionaries, texts as views, everything else as stored. Parquet has no
/// timestamps in seconds: they are stored as plain numbers, and only the embedded Arrow schema tells them apart.
pub(super) fn wanted(
    file: &SourceFile,
    found: &Schema,
    places: &[Option<usize>],
    seconds: &dyn Fn(usize) -> bool,
) -> Result<SchemaRef, Error> {
    let mut fields: Vec<Field> = found.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (column, place) in EVENT.iter().zip(places) {
        let Some(place) = *place else { continue };
        let field = &found.fields()[place];
        let wanted = wanted_type(column.kind, field.data_type()).ok_or_else(|| Error::ColumnType {
            file: file.name.clone(),
            column: field.name().clone(),
            found: field.data_type().to_string(),
            expected: expectation(column.kind),
        })?;
        let wanted = match wanted {
            DataType::Int64 if column.kind == Type::Timestamp && seconds(place) => {
                DataType::Timestamp(TimeUnit::Second, None)
            }
            wanted => wanted,
        };
        fields[place] = fields[place].clone().with_data_type(wanted);
    }
    Ok(Arc::new(Schema::new(Fields::from(fields))))
}

fn wanted_type(kind: Type, stored: &DataType) -> Option<DataType> {
    use DataType as D;
    let number = stored.is_integer() || stored.is_floating();
    Some(match (kind, stored) {
        (_, D::Null) => D::Null,
        (Type::Symbol | Type::Repeated | Type::Text, D::Utf8 | D::LargeUtf8 | D::Utf8View) => in_flight_type(kind),
        (Type::Timestamp, D::Timestamp(TimeUnit::Nanosecond, None)) => D::Timestamp(TimeUnit::Nanosecond, None),
        (Type::Timestamp, D::Timestamp(_, _) | D::Int64 | D::UInt64) => stored.clone(),
        (Type::Float32, _) if number => stored.clone(),
        (Type::Bool, D::Boolean) => D::Boolean,
        _ => return None,
    })
}

fn expectation(kind: Type) -> &'static str {
    match kind {
        Type::Symbol | Type::Repeated | Type::Text => "a text (UTF-8)",
        Type::Timestamp => "a timestamp, or whole milliseconds since 1970",
        Type::Float32 => "a number",
        _ => "a boolean",
    }
}
