//! One contract for every sink.

mod contract;
mod delta;
