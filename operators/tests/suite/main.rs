//! The stages against a naive reference, on random events, in any split.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod arrow_rows;
mod chain;
mod examples;
mod history;
mod reference;
mod sort;
mod strategy;
mod streaming;
mod traffic;
