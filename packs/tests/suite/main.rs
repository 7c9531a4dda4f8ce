//! The promises of the gate over random populations; and definitions.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod audit;
mod bounds;
mod definitions;
mod gate;
mod population;
mod tallies;
