//! Open sessions, seen before they close.
//!
//!     open sessions ─▶ view: their rows ─▶ feed: this process's API, or files that other processes follow

pub mod feed;
pub mod view;
