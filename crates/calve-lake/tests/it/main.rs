//! Lakes of all shapes, read through storage.
#![allow(clippy::unwrap_used)]

mod duckdb_trees;
mod fake;
mod fixtures;
mod folders;
mod metastore;
mod support;
