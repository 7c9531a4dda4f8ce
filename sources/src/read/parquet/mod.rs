//! Decodes Parquet files, one row group at a time.
//!
//! ```text
//! file     org_id · route · ts(us) · …        any order; names as in tables or on the wire
//! read as  Dictionary · Dictionary · ts …     symbols keep the dictionary of their column chunk
//! batch    in-flight schema                   never across row groups
//! ```
//!
//! Columns are read as they are stored, and converted exactly or not at all ([`crate::validate`]). Damage is an error,
//! never a panic: the decoder runs behind `catch_unwind`.

mod encrypted;
mod footer;
mod foreign;
mod guard;
mod leaves;
mod read_schema;
mod row_group;
mod whole_file;

pub(crate) use footer::{Footer, RowGroup};
pub(crate) use foreign::{ForeignRowGroupDecoder, find};
pub(crate) use row_group::RowGroupDecoder;
pub(crate) use whole_file::WholeFileDecoder;
