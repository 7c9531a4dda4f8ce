//! The columns of a Parquet file and the fields of its structs, under the names that others call them by.
//!
//! ```text
//! user_id · context{plan, page{path}} · tags[]   ─▶   user_id · context · tags · context.plan · context.page · …
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use parquet::basic::{LogicalType, Type as PhysicalType};
use parquet::schema::types::SchemaDescriptor;

use crate::Error;
use crate::table::KnownColumns;
use crate::validate::uuid_texts;

/// A column, or a field of structs.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    /// The name in the table that the file belongs to; of a file alone, the stored names joined by dots.
    pub(crate) name: String,
    /// The index of the column in the file, then those of the fields.
    path: Vec<usize>,
    pub(crate) kind: DataType,
    /// Bytes that are annotated as UUIDs.
    uuid: bool,
}

impl Leaf {
    /// Whether it is a column of the file itself.
    pub(crate) fn is_column(&self) -> bool {
        self.path.len() == 1
    }

    /// The index of its column in the file.
    pub(crate) fn root(&self) -> usize {
        self.path[0]
    }

    /// Its values in a batch, where its column is at `root`. UUIDs become text.
    pub(crate) fn values(&self, batch: &RecordBatch, root: usize) -> Result<ArrayRef, Error> {
        let mut values = batch.column(root).clone();
        for at in &self.path[1..] {
            let Some(parent) = values.as_struct_opt() else { break };
            values = with_nulls(parent.column(*at), parent.nulls())?;
        }
        if self.uuid { uuid_texts(&values) } else { Ok(values) }
    }
}

/// The field of a struct is null where the struct is.
fn with_nulls(field: &ArrayRef, parent: Option<&NullBuffer>) -> Result<ArrayRef, Error> {
    if parent.is_none_or(|nulls| nulls.null_count() == 0) || *field.data_type() == DataType::Null {
        return Ok(field.clone());
    }
    let nulls = NullBuffer::union(field.nulls(), parent);
    Ok(make_array(field.to_data().into_builder().nulls(nulls).build()?))
}

/// All leaves of a file, columns before fields of structs. Columns that the table of the file no longer has are left
/// out.
pub(crate) fn leaves(known: &KnownColumns, schema: &Schema, parquet: &SchemaDescriptor) -> Vec<Leaf> {
    let mut walk = Walk { known, parquet, leaf: 0, found: Vec::new() };
    walk.fields(schema.fields(), &[], &[]);
    let mut found = walk.found;
    found.sort_by_key(|leaf| leaf.path.len());
    found
}

struct Walk<'a> {
    known: &'a KnownColumns,
    parquet: &'a SchemaDescriptor,
    /// The number of primitive columns passed so far.
    leaf: usize,
    found: Vec<Leaf>,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &Fields, names: &[String], path: &[usize]) {
        for (at, field) in fields.iter().enumerate() {
            let (names, path) = ([names, &[field.name().clone()]].concat(), [path, &[at]].concat());
            let first = self.leaf;
            match field.data_type() {
                DataType::Struct(fields) => self.fields(fields, &names, &path),
                kind => self.leaf += primitives(kind),
            }
            let Some(name) = self.known.name(&names) else { continue };
            let uuid = self.leaf == first + 1 && annotated(self.parquet, first);
            self.found.push(Leaf { name, path, kind: field.data_type().clone(), uuid });
        }
    }
}

fn annotated(parquet: &SchemaDescriptor, leaf: usize) -> bool {
    leaf < parquet.num_columns() && matches!(parquet.column(leaf).logical_type_ref(), Some(LogicalType::Uuid))
}

/// The number of primitive columns of a type.
fn primitives(kind: &DataType) -> usize {
    match kind {
        DataType::Struct(fields) => fields.iter().map(|field| primitives(field.data_type())).sum(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::Map(field, _) => primitives(field.data_type()),
        _ => 1,
    }
}

/// The schema with INT96 read as whole milliseconds, which no INT96 exceeds. As nanoseconds, which is the default, a
/// time before 1677 or after 2262 would become another one.
pub(super) fn exact_int96(schema: &SchemaRef, parquet: &SchemaDescriptor) -> SchemaRef {
    if (0..parquet.num_columns()).all(|leaf| parquet.column(leaf).physical_type() != PhysicalType::INT96) {
        return schema.clone();
    }
    let fields: Fields =
        schema.fields().iter().scan(0, |leaf, field| Some(milliseconds(field, parquet, leaf))).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn milliseconds(field: &FieldRef, parquet: &SchemaDescriptor, leaf: &mut usize) -> FieldRef {
    let mut inside = |field: &FieldRef| milliseconds(field, parquet, leaf);
    let kind = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::List(field) => DataType::List(inside(field)),
        DataType::LargeList(field) => DataType::LargeList(inside(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(inside(field), *length),
        DataType::Map(field, sorted) => DataType::Map(inside(field), *sorted),
        kind => {
            let int96 = *leaf < parquet.num_columns() && parquet.column(*leaf).physical_type() == PhysicalType::INT96;
            *leaf += 1;
            if int96 { DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())) } else { kind.clone() }
        }
    };
    Arc::new(Field::clone(field).with_data_type(kind))
}
