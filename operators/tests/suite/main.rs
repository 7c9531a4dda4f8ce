//! The stages against a naive reference, on random events, in any split.

mod arrow_rows;
mod chain;
mod examples;
mod reference;
mod strategy;
