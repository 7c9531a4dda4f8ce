//! Reads events: files and folders, on a local disk or in S3, become Arrow batches of events.
//!
//! ```text
//! uris ─ listing ─▶ files ─ source ─▶ units ─ read ─▶ rows ─ validate ─▶ events
//!                                               │                    └─▶ rejects
//!                                            mapping
//! ```
//!
//! Each row is validated once, here. A row that leaves as an event has every required field, times in range, routes
//! without ids, and no personal data. Every other row becomes a reject with file, line and reason; its value is never
//! stored.
//!
//! Invariant: reading never panics, and holds at most one line, one page or one batch in memory, whatever the input.

mod blob;
mod builder;
mod decompress;
mod encoding;
mod error;
mod event_columns;
mod event_id;
pub mod extra;
mod found_table;
#[doc(hidden)]
pub mod fuzz;
pub mod generate;
mod left_out;
mod listing;
mod mapping;
mod partitions;
mod percent;
pub mod privacy;
mod read;
pub mod record;
pub mod reject;
pub mod route;
mod row;
mod rules;
mod s3;
mod settings;
mod source;
mod source_file;
mod surrogate;
mod table;
mod time;
mod validate;
pub mod wire;

pub use error::{Error, hint as store_hint};
pub use left_out::{LEFT_OUT_MAX, LeftOut, WhyLeftOut};
pub use listing::Format;
pub use mapping::Mapping;
pub use read::ReadBatch;
pub use s3::s3 as s3_store;
pub use settings::SourceSettings;
pub use source::{Source, SourceReader};
pub use table::{TableColumn, TableFile, TableLog};
pub use validate::row_hashes;
