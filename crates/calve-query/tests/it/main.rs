//! SQL over tables, metadata tables and lakes, checked row by row.
#![allow(clippy::unwrap_used, clippy::too_many_lines)]

mod deletes;
mod lakehouse;
mod lakes;
mod memory;
mod metadata;
mod pruning;
mod spark;
mod tables;
mod views;
