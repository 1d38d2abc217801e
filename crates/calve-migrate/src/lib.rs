//! Lake → table: the ways in which files that already lie in a lake become an Iceberg table.
//!
//! * [`Assess`]: before anything moves, what lies there, and which way to take.
//! * [`AddFiles`]: in place. The files stay where and as they are; one new snapshot refers to them.
//! * [`Ctas`]: rewritten, batch by batch, into a new table with its own partitions, order and types.
//! * [`Sync`]: as [`AddFiles`], again and again, for a lake that goes on changing.
//! * [`Crawl`] enters a folder of Parquet files into Glue as a Hive-style table, and [`RegisterHive`] any
//!   files whose columns are known.
//! * [`Snapshot`]: a trial table over the same files.
//! * [`Migrate`]: an entry of Glue itself becomes the table; [`Rollback`] puts it back, [`Finalize`] makes it final.
//! * [`Swap`]: a table takes the name of another.
//! * [`DescribeMigration`]: what a migration did, for people, as one HTML page.
//! * [`Ingest`]: any stream of record batches is written into new data files of a table.

mod add_files;
pub mod assess;
mod copied;
pub mod crawl;
pub mod ctas;
pub mod describe;
mod error;
pub mod finalize;
mod html;
pub mod ingest;
pub mod journal;
mod listing_sum;
pub mod migrate;
pub mod register_hive;
pub mod rollback;
pub mod snapshot;
mod source_files;
pub mod swap;
pub mod sync;
mod undo;

pub use add_files::{
    AddFiles, DEFAULT_CONCURRENCY, Drifted, DuplicateFiles, GarbageCollection, Int96, OnRefused,
    OnUnsafe, Plan, REPORT_LIST_LIMIT, Refused, Report, SeenFinding, SkippedFile,
};
pub use assess::{Assess, Assessment};
pub use calve_table::{PartitionBy, PartitionByError, SortBy, SortByError};
pub use crawl::Crawl;
pub use ctas::{BatchBy, Ctas, CtasSource};
pub use describe::DescribeMigration;
pub use error::{Error, Result};
pub use finalize::Finalize;
pub use ingest::Ingest;
pub use migrate::Migrate;
pub use register_hive::RegisterHive;
pub use rollback::Rollback;
pub use snapshot::Snapshot;
pub use swap::Swap;
pub use sync::Sync;
