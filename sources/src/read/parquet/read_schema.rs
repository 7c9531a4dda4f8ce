//! Chooses the Arrow types as which the columns of a Parquet file are read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use netcrab_schema::arrow::in_flight_type;
use netcrab_schema::events::{EVENT, wire_name};
use netcrab_schema::{Column, Type};
use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::schema::types::{SchemaDescriptor, Type as ParquetType};

use super::leaves::{Leaf, leaves};
use crate::Error;
use crate::listing::SourceFile;
use crate::privacy::Privacy;
use crate::read::event_header::{not_an_event, require};
use crate::rules::{Rule, rule_of};
use crate::validate::element;

/// Each event column that the file has. Any other column is an error.
pub(super) fn places(
    file: &SourceFile,
    schema: &Schema,
    parquet: &SchemaDescriptor,
    privacy: &Privacy,
) -> Result<Vec<Option<Leaf>>, Error> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let mut places: Vec<Option<Leaf>> = vec![None; EVENT.len()];
    for leaf in leaves(&file.known, schema, parquet).into_iter().filter(Leaf::is_column) {
        let column = EVENT.iter().position(|column| column.name == leaf.name || wire_name(column.name) == leaf.name);
        let name = leaf.name.clone();
        // The columns of partitions are those of folders, which need not be columns of events.
        let Some(column) = column else {
            if file.known.partitions.has(&name) {
                continue;
            }
            return Err(not_an_event(file, names(), privacy));
        };
        if places[column].replace(leaf).is_some() {
            return Err(Error::RepeatedColumn { file: file.name.clone(), column: name });
        }
    }
    for (column, place) in EVENT.iter().zip(&places) {
        let known = file.known.has(column.name) || file.known.has(&wire_name(column.name));
        require(file, column, place.is_some() || known).map_err(|_| not_an_event(file, names(), privacy))?;
    }
    Ok(places)
}

/// The indexes of the text and symbol columns.
pub(super) fn texts(places: &[Option<Leaf>]) -> Vec<usize> {
    let columns = EVENT
        .iter()
        .zip(places)
        .filter(|(column, _)| matches!(column.kind, Type::Text | Type::Repeated | Type::Symbol));
    columns.filter_map(|(_, place)| place.as_ref().map(Leaf::root)).collect()
}

/// The schema with byte columns that hold text (JSON, enum) labelled as UTF-8, so that the decoder checks them and
/// keeps their dictionaries. `None` if no column needs it.
pub(super) fn relabel(schema: &SchemaDescriptor, texts: &[usize]) -> Option<SchemaDescriptor> {
    let root = schema.root_schema();
    let mut changed = false;
    let mut fields = Vec::new();
    for (place, field) in root.get_fields().iter().enumerate() {
        let bytes = field.is_primitive() && field.get_physical_type() == PhysicalType::BYTE_ARRAY;
        let info = field.get_basic_info();
        let text = matches!(info.logical_type_ref(), Some(LogicalType::Json | LogicalType::Enum))
            || matches!(info.converted_type(), ConvertedType::JSON | ConvertedType::ENUM);
        if !texts.contains(&place) || !bytes || !text {
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
    places: &[Option<Leaf>],
    seconds: &dyn Fn(usize) -> bool,
) -> Result<SchemaRef, Error> {
    let mut fields: Vec<Field> = found.fields().iter().map(|field| field.as_ref().clone()).collect();
    for (column, place) in EVENT.iter().zip(places) {
        let Some(place) = place.as_ref().map(Leaf::root) else { continue };
        let field = &found.fields()[place];
        let wanted = wanted_type(column, field.data_type()).ok_or_else(|| Error::ColumnType {
            file: file.name.clone(),
            column: field.name().clone(),
            found: kind_name(field.data_type()),
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

/// The type to read a column as, or `None` where it cannot become that event column.
fn wanted_type(column: &Column, stored: &DataType) -> Option<DataType> {
    use DataType as D;
    if let Some(element) = element(stored) {
        return (!element.is_nested()).then(|| wanted_type(column, element)).flatten().map(|_| stored.clone());
    }
    let number = stored.is_integer() || stored.is_decimal();
    // Texts of a closed list and routes are never numbers.
    let free = matches!(rule_of(column.name), Rule::Identifier | Rule::Hash | Rule::Free) && column.name != "extra";
    Some(match (column.kind, stored) {
        (_, D::Null) => D::Null,
        (Type::Symbol | Type::Repeated | Type::Text, D::Utf8 | D::LargeUtf8 | D::Utf8View) => {
            in_flight_type(column.kind)
        }
        (Type::Symbol | Type::Repeated, D::Binary) => D::Dictionary(Box::new(D::Int32), Box::new(D::Binary)),
        (Type::Text, D::Binary) => D::BinaryView,
        (Type::Symbol | Type::Repeated | Type::Text, D::FixedSizeBinary(_) | D::Boolean | D::Date32) if free => {
            stored.clone()
        }
        (Type::Symbol | Type::Repeated | Type::Text, _) if free && number => stored.clone(),
        (Type::Timestamp, D::Timestamp(_, _) | D::Date32 | D::Date64 | D::Int64 | D::UInt64) => stored.clone(),
        (Type::Timestamp, D::Utf8) => D::Utf8View,
        (Type::Int64, _) if stored.is_integer() => stored.clone(),
        (Type::Float32, _) if number || stored.is_floating() => stored.clone(),
        (Type::Float32, D::Utf8) => D::Utf8View,
        (Type::Bool, D::Boolean) => D::Boolean,
        (Type::Bool, _) if number || stored.is_floating() => stored.clone(),
        (Type::Bool, D::Utf8) => D::Utf8View,
        _ => return None,
    })
}

/// A type as an error names it.
pub(super) fn kind_name(kind: &DataType) -> String {
    match kind {
        DataType::Map(_, _) => "a map".to_owned(),
        DataType::Struct(_) => "a struct".to_owned(),
        kind => match element(kind) {
            Some(element) => format!("a list of {}", kind_name(element)),
            None => kind.to_string(),
        },
    }
}

fn expectation(kind: Type) -> &'static str {
    match kind {
        Type::Symbol | Type::Repeated | Type::Text => "a text (UTF-8)",
        Type::Timestamp => "a timestamp, a date, an ISO 8601 text, or whole milliseconds since 1970",
        Type::Int64 => "a whole number",
        Type::Float32 => "a number",
        _ => "a boolean",
    }
}
