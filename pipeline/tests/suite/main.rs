//! The program as its users meet it, and the rules of the workspace.

mod bad_input;
mod command_line;
mod config;
mod incremental;
mod real_data;
mod rerun;
mod workspace;
