//! Lakes of all shapes, read through storage.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::large_futures)]

mod duckdb_trees;
mod fake;
mod fixtures;
mod folders;
mod glue;
mod metastore;
mod s3;
mod support;
