//! The rules of the workspace.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod mentions;
mod module_graph;
mod rules;
