//! Shows which source file of a crate uses which.
//!
//!     src/**.rs ─▶ modules ─▶ names that files take from others  ─▶ FileGraph ─▶ layers, cycles
//!                  module.rs     names.rs, imports.rs, resolve.rs       graph.rs
//!
//! File A uses file B when A names an item that B defines: in a `use`, in a path such as
//! `super::keys::Key`, in the tokens of a macro or of an attribute. A re-export is followed to the
//! file that defines the item, so a parent that only re-exports uses nothing and is not used.
//! `mod b;` alone is no use. Items under `#[cfg(test)]` are ignored; every other `cfg` counts as on.
//!
//! Method calls are not seen: `shard.commit()` counts only where the file also names `Shard`.

mod crates;
mod error;
mod graph;
mod imports;
mod items;
mod module;
mod names;
mod resolve;

pub use crates::{Crate, crates};
pub use error::Error;
pub use graph::FileGraph;
