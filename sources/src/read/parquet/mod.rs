//! Decodes Parquet files, one row group at a time.
//!
//! ```text
//! file     org_id · route · ts(us) · …        any order; names as in tables or on the wire
//! read as  Dictionary · Dictionary · ts …     symbols keep the dictionary of their column chunk
//! batch    in-flight schema                   never across row groups
//! ```
//!
//! Columns are read as they are stored. Texts may be utf8, large utf8, views, dictionaries, or bytes annotated as
//! JSON or enum. Instants may be timestamps of any unit or whole numbers (ms). Numbers may be of any type. Damage is
//! an error, never a panic: the decoder runs behind `catch_unwind`.

mod footer;
mod foreign;
mod guard;
mod read_schema;
mod row_group;
mod whole_file;

pub(crate) use footer::Footer;
pub(crate) use foreign::{ForeignRowGroupDecoder, find};
pub(crate) use row_group::RowGroupDecoder;
pub(crate) use whole_file::WholeFileDecoder;
