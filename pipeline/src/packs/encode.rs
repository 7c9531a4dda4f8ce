//! Rows as Parquet, CSV and JSON.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::error::Error;

pub(super) fn as_parquet(batch: &RecordBatch, pack_id: &str, version: &str) -> Result<Vec<u8>, Error> {
    let about = vec![
        KeyValue::new("packId".to_owned(), pack_id.to_owned()),
        KeyValue::new("version".to_owned(), version.to_owned()),
    ];
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("netcrab".to_owned())
        .set_key_value_metadata(Some(about))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

pub(super) fn as_csv(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(batch.schema().fields().iter().map(|field| field.name()))?;
    let options = FormatOptions::default();
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        writer.write_record(columns.iter().map(|column| column.value(row).to_string()))?;
    }
    writer.into_inner().map_err(|error| Error::Csv(error.into_error().into()))
}

/// The rows as an array of objects; a null is left out of its object.
///
/// # Errors
///
/// [`Error::Arrow`] and [`Error::Json`] when the rows cannot be encoded.
pub fn as_json(batch: &RecordBatch) -> Result<Value, Error> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let bytes = writer.into_inner();
    Ok(if bytes.is_empty() { json!([]) } else { serde_json::from_slice(&bytes)? })
}

/// JSON for people to read, with a line break at the end.
pub(super) fn as_pretty_json(value: &Value) -> Result<Vec<u8>, Error> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}
