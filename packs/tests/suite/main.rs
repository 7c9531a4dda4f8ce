//! What the gate promises, held against random populations; and what a definition may say.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod audit;
mod bounds;
mod definitions;
mod gate;
mod population;
mod tallies;
