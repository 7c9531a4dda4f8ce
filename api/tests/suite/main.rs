//! The API over small Delta tables, asked through its router as a client would.

mod access;
mod contract;
mod filters;
mod ingest;
mod insights;
mod operations;
mod paging;
mod problems;
mod speed;
mod world;
