//! `calve xml`: the schema of nested rows, and the rows as Parquet or in a table.
//!
//! Reading and converting is work for threads that wait: each command hands it to one of its own, which
//! has a pool for the rest.

mod columns;
mod contract;
mod convert;
mod entry;
mod existing;
mod faults;
mod files;
mod infer;
mod inputs;
mod register;
mod schema;
mod shape;
mod table;

pub(crate) use convert::convert;
pub(crate) use infer::{infer, infer_rows};
pub(crate) use register::hive_columns;
