//! Lake → table: the ways in which files that already lie in a lake become an Iceberg table.
//!
//! * [`AddFiles`]: in place. The files stay where and as they are; one new snapshot refers to them.

mod add_files;
mod error;

pub use add_files::{
    AddFiles, DEFAULT_CONCURRENCY, Drifted, DuplicateFiles, GarbageCollection, Int96, OnRefused,
    OnUnsafe, Plan, REPORT_LIST_LIMIT, Refused, Report, SeenFinding, SkippedFile,
};
pub use error::{Error, Result};
