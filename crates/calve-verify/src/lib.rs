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
//!   but not to be expected. Which rows differ, they do not tell;
//! - [`Level::Rows`] compares the nulls and the checksums of each column and of all rows, at the speed
//!   of a scan, and, in partitions that differ, finds the rows: those that are missing, extra, doubled
//!   or changed, and in which columns, however deeply nested.
//!
//! Values are equal when they mean the same, however they are stored: timestamps and dates by instant
//! (so that milliseconds, microseconds and INT96 compare equal; where one side cannot hold
//! nanoseconds, they are left out on both), numbers by value whatever their width and scale, `-0.0` as
//! `0.0`, any NaN as any other, texts and binaries by their bytes, structs by the names of the fields
//! that are not null, maps in any order.
//!
//! Both sides are read with calve's own reader, unless another [`Reader`] is given for the table:
//! PyIceberg and DuckDB hand over rows, which are compared as calve's own are, and Athena answers a
//! query for counts, bounds and sums.
//!
//! This crate changes nothing.

mod aggregate;
mod canonical;
mod columns;
mod compare;
mod error;
mod findings;
mod hash;
mod partition;
mod profile;
mod reader;
mod rows;
mod rows_read;
mod sample;
mod side;
mod verify;

pub use compare::{
    Check, CompareOptions, Comparison, DIFFERENCE_LIMIT, Difference, Level, UnknownLevel, compare,
};
pub use error::{Error, Result};
pub use partition::Partition;
pub use reader::{
    AthenaReader, DEFAULT_READER_TIMEOUT, PythonPackage, PythonReader, ReadBy, Reader,
};
pub use rows::{
    ChangedColumn, DEFAULT_CANDIDATES, DEFAULT_ROW_LIMIT, DifferenceFile, DifferenceSink,
    RowDifference, RowDifferences, RowKind, RowOptions,
};
pub use verify::{Report, Verify, VerifySource};
