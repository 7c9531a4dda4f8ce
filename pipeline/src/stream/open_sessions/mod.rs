//! Open sessions, visible before they close.
//!
//!     open sessions ─▶ view: rows of the ordinary plans ─▶ feed: the API of this process, or files for others

pub mod feed;
pub mod view;
