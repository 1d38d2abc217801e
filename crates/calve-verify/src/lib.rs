//! Proof that a table holds what its source holds.
//!
//! [`Verify`] compares a Parquet lake, or another Iceberg table, with an Iceberg table of a catalog.
//! Below it, [`compare`] does the same for any two DataFusion tables. Both sides are read whole, each
//! by one streaming query that groups the rows by partition, so that a difference is named with the
//! partition it is in, and memory holds statistics, never rows:
//!
//! - [`Level::Counts`] compares how many rows each partition has;
//! - [`Level::Aggregates`] compares each column of each partition, too: nulls, NaNs, the least and
//!   the greatest value, sums, lengths, and a checksum of all values in any order, however they are
//!   stored. A lost, doubled or changed cell shows. What does not show is that two rows of the same
//!   partition have swapped the cells of a column, because each column is looked at by itself.
//!
//! This crate changes nothing.

mod aggregate;
mod canonical;
mod columns;
mod compare;
mod error;
mod partition;
mod profile;
mod side;
mod verify;

pub use compare::{
    Check, CompareOptions, Comparison, DIFFERENCE_LIMIT, Difference, Level, UnknownLevel, compare,
};
pub use error::{Error, Result};
pub use partition::Partition;
pub use verify::{Report, Verify, VerifySource};
