//! Columns and partitions as Delta writes them.

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::Date32Type;
use deltalake::kernel::{ArrayType, DataType, PrimitiveType, StructField};
use netcrab_schema::{Column, Type};

pub(super) fn delta_field(column: &Column) -> StructField {
    let field = StructField::new(column.name, delta_type(column.kind), column.nullable);
    field.with_metadata([("comment", format!("{} {}", column.meaning, column.unit).trim())])
}

pub(super) fn delta_type(kind: Type) -> DataType {
    let primitive = match kind {
        Type::Text | Type::Repeated | Type::Symbol => PrimitiveType::String,
        Type::Int64 => PrimitiveType::Long,
        Type::Int32 => PrimitiveType::Integer,
        Type::Float32 => PrimitiveType::Float,
        Type::Float64 => PrimitiveType::Double,
        Type::Bool => PrimitiveType::Boolean,
        Type::Timestamp => PrimitiveType::Timestamp,
        Type::Date => PrimitiveType::Date,
        Type::TextList => return ArrayType::new(DataType::STRING, false).into(),
    };
    DataType::Primitive(primitive)
}

/// Days since 1970 of a date such as `2026-10-01`.
pub(super) fn parse_day(text: &str) -> Option<i32> {
    <Date32Type as Parser>::parse(text).filter(|_| text.len() == 10)
}
