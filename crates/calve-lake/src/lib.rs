//! What already lies in the lake: Hive-partitioned Parquet sets, from a path or from a metastore.
//!
//! A lake may hold millions of files, so [`Lake`] never holds a list of them. [`Lake::open`] lists
//! once, to check the partition folders, to learn their keys and types and to count;
//! [`Lake::files`] lists again and streams the files, in the same order each time, each with its
//! partition values as Iceberg literals. What is no data (hidden files, markers, files of no bytes) is
//! part of the stream too, with the reason why it was left out.
//!
//! This crate writes nothing.

pub mod footer;
pub mod hive_path;

mod entry;
mod error;
mod filter;
mod folder;
mod folders;
mod inference;
mod lake;
mod metastore;
mod options;
mod task;
mod tree;
mod value;

pub use entry::{LakeEntry, LakeFile, PartitionKey, SkipReason, Skipped, Totals, Warning};
pub use error::{Error, Result};
pub use lake::Lake;
pub use metastore::check_entry;
pub use options::{DEFAULT_CONCURRENCY, FileFormat, LakeOptions, Recursive, Source};
