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
//!   stored; and a checksum of all rows. A lost, doubled or changed cell shows, and so do cells that
//!   changed places. Checksums are sums of 128-bit hashes: that they hide a difference is possible,
//!   but not to be expected. Which rows differ, they do not tell.
//!
//! Both sides are read with calve's own reader. That other engines read the table alike is not
//! proven here.
//!
//! This crate changes nothing.

mod aggregate;
mod canonical;
mod columns;
mod compare;
mod error;
mod partition;
mod profile;
mod rows_read;
mod side;
mod verify;

pub use compare::{
    Check, CompareOptions, Comparison, DIFFERENCE_LIMIT, Difference, Level, UnknownLevel, compare,
};
pub use error::{Error, Result};
pub use partition::Partition;
pub use verify::{Report, Verify, VerifySource};
