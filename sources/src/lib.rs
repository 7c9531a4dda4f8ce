//! Where events come from: files and folders, local or in S3, become Arrow batches of events.
//!
//!     uris ─ listing ─▶ files ─ source ─▶ units ─ read ─▶ rows ─ check ─▶ events
//!                                                   │                 └─▶ rejects
//!                                                mapping
//!
//! Rows are judged once, here: what leaves as an event has every required field, times in range,
//! routes without ids, and no personal data. What does not is a reject with file, line and reason;
//! its value is never kept.
//!
//! Invariant: reading never panics and holds at most a line, a page or a batch, whatever the input.

mod blob;
mod builder;
mod error;
mod event_columns;
mod event_id;
pub mod extra;
#[doc(hidden)]
pub mod fuzz;
pub mod generate;
mod listing;
mod mapping;
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
mod time;
mod validate;
pub mod wire;

pub use error::{Error, hint as store_hint};
pub use listing::Format;
pub use mapping::Mapping;
pub use read::ReadBatch;
pub use s3::s3 as s3_store;
pub use settings::SourceSettings;
pub use source::{Source, SourceReader};
