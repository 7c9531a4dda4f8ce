//! Decoders of the file formats: bytes of one unit of work in, batches of events and rejects out.

pub(crate) mod access_log;
mod batch;
pub(crate) mod csv;
mod csv_header;
mod event_header;
mod json;
mod json_scan;
mod lines;
mod mapped;
pub(crate) mod parquet;
mod row_writer;
pub(crate) mod seen;
pub(crate) mod text;
mod w3c_log;

pub use batch::ReadBatch;
pub(crate) use batch::UnitDecoder;
