//! Reads Parquet files whose columns are event columns, a row group at a time.
//!
//!     file     org_id · route · ts(us) · …        any order; names as in tables or on the wire
//!     read as  Dictionary · Dictionary · ts …     symbols keep the dictionary of their column chunk
//!     batch    in-flight schema                   never across row groups
//!
//! Columns are taken as they are stored: utf8, large utf8, views, dictionaries, and JSON or enum
//! annotated bytes for texts; timestamps of any unit and whole numbers (ms) for instants; any number
//! for numbers. Damage is an error, never a panic: the decoder runs behind `catch_unwind`.

mod footer;
mod foreign;
mod guard;
mod read_schema;
mod row_group;

pub(crate) use footer::Footer;
pub(crate) use foreign::{ForeignRowGroupDecoder, find};
pub(crate) use row_group::RowGroupDecoder;
