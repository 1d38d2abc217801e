//! Rewrites the rows of a source into a new table, batch by batch (`CREATE TABLE … AS SELECT`).
//!
//! The source is cut into batches of whole files. Each batch is read, brought into types that Iceberg
//! has, distributed and sorted by the table's partitions and sort order, written into new data files,
//! compared with what was read, and committed as one snapshot that names the migration and the batch.
//! The first batch's commit creates the table. A [`Journal`](crate::journal::Journal) beside the table's
//! metadata says how far each batch is, so that the same command goes on where a killed one ended:
//! without a lost and without a doubled row, and without the files of a batch that was cut off.
//!
//! Memory holds the sort's buffers and open row groups, bounded by options (more spills), and the list of
//! the source's files.

mod batches;
mod plan;
mod prepare;
mod report;
mod resume;
mod rows;
mod run;
mod source;
mod tally;
mod target;
mod update;
mod write;

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, Properties, SystemClock, TableIdent};
use calve_catalog::Catalog;
use calve_lake::{LakeOptions, Source};
use calve_query::{Int96Zone, LakeFormat, Nanoseconds, SessionOptions};
use futures::FutureExt;
use futures::future::BoxFuture;
use iceberg::spec::FormatVersion;

pub use batches::{BatchBy, BatchByError, DEFAULT_BATCH_BYTES, MAXIMUM_BATCHES, PlannedBatch};
use plan::Prepared;
pub use report::{Plan, Report};
pub(crate) use resume::has_filter;
pub(crate) use target::MIGRATION_ID;

use crate::journal::FailPoint;
use crate::sync::{OnChanged, OnDeleted};
use crate::{Error, PartitionBy, Result, SortBy};

/// How much memory a rewrite may take, unless said otherwise.
pub const DEFAULT_MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// How often a run starts again when another one committed batches after it had looked.
const RUNS: u32 = 4;

/// Where rows come from.
#[derive(Debug, Clone)]
pub enum CtasSource {
    /// A lake, by its location or by its entry in a metastore.
    Lake {
        /// Where it is described.
        source: Source,
        /// How its folders are read.
        options: Box<LakeOptions>,
        /// What its files are. Timestamps of ORC become microseconds in a table of format version 2, and
        /// nanoseconds in one of version 3.
        format: LakeFormat,
    },
    /// An Iceberg table.
    Table {
        /// Its catalog.
        catalog: Arc<dyn Catalog>,
        /// Its name.
        ident: TableIdent,
        /// The snapshot that is read; the current one when `None`.
        snapshot_id: Option<i64>,
    },
}

/// Rewrites a source into a new table.
///
/// What is not told comes from the source: all its columns and rows. The table is not partitioned and
/// not sorted unless told so. See [`Cures`](calve_query::Cures) for the types that change on the way.
#[derive(Debug, Clone)]
#[must_use = "rows are rewritten only when this is awaited"]
pub struct Ctas {
    catalog: Arc<dyn Catalog>,
    source: CtasSource,
    table: TableIdent,
    options: Options,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
    fail_point: FailPoint,
}

/// What the builder was told.
#[derive(Debug, Clone)]
struct Options {
    location: Option<Location>,
    properties: Properties,
    format_version: FormatVersion,
    partition_by: PartitionBy,
    sort_by: SortBy,
    select: Option<String>,
    filter: Option<String>,
    batch_by: BatchBy,
    int96: Int96Zone,
    nanoseconds: Nanoseconds,
    update: bool,
    on_changed: OnChanged,
    on_deleted: OnDeleted,
    session: SessionOptions,
}

impl Ctas {
    /// Rewrites `source` into `table`, which must not exist, unless it is what an unfinished run of the same
    /// rewrite left.
    pub fn new(catalog: Arc<dyn Catalog>, source: CtasSource, table: TableIdent) -> Self {
        Self {
            catalog,
            source,
            table,
            options: Options {
                location: None,
                properties: Properties::new(),
                format_version: FormatVersion::V2,
                partition_by: PartitionBy::default(),
                sort_by: SortBy::default(),
                select: None,
                filter: None,
                batch_by: BatchBy::default(),
                int96: Int96Zone::default(),
                nanoseconds: Nanoseconds::default(),
                update: false,
                on_changed: OnChanged::default(),
                on_deleted: OnDeleted::default(),
                session: SessionOptions::default(),
            },
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
            fail_point: FailPoint::default(),
        }
    }

    /// Where the table lies. Default: where the catalog says.
    pub fn with_location(mut self, location: Location) -> Self {
        self.options.location = Some(location);
        self
    }

    /// Sets table properties: the target size of files (`write.target-file-size-bytes`), the codec and
    /// other properties of the writer (`write.parquet.*`) among them.
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.options.properties = properties;
        self
    }

    /// The table's format version. Default: 2. Version 3 keeps nanoseconds.
    pub fn with_format_version(mut self, format_version: FormatVersion) -> Self {
        self.options.format_version = format_version;
        self
    }

    /// How the table is partitioned. Default: not.
    pub fn with_partition_by(mut self, partition_by: PartitionBy) -> Self {
        self.options.partition_by = partition_by;
        self
    }

    /// How the rows of each file are sorted; it becomes the table's sort order. Default: not.
    pub fn with_sort_by(mut self, sort_by: SortBy) -> Self {
        self.options.sort_by = sort_by;
        self
    }

    /// Which columns the table has: a list of SQL expressions over the source's columns, casts and new names
    /// included. Default: all of the source's.
    pub fn with_select(mut self, select: impl Into<String>) -> Self {
        self.options.select = Some(select.into());
        self
    }

    /// Which rows are taken: an SQL condition over the source's columns. Default: all.
    pub fn with_filter(mut self, filter: impl Into<String>) -> Self {
        self.options.filter = Some(filter.into());
        self
    }

    /// How the source is cut into batches. Default: whole partitions, up to [`DEFAULT_BATCH_BYTES`].
    pub fn with_batch_by(mut self, batch_by: BatchBy) -> Self {
        self.options.batch_by = batch_by;
        self
    }

    /// What INT96 timestamps mean. Default: instants, counted in UTC.
    pub fn with_int96(mut self, int96: Int96Zone) -> Self {
        self.options.int96 = int96;
        self
    }

    /// What becomes of nanoseconds in a table of format version 2. Default: digits beyond the microsecond are
    /// an error.
    pub fn with_nanoseconds(mut self, nanoseconds: Nanoseconds) -> Self {
        self.options.nanoseconds = nanoseconds;
        self
    }

    /// Whether a table that this very rewrite made before is kept in step: files that appeared in the source since are
    /// rewritten into it, in batches of their own. Files that changed or vanished since are reported
    /// ([`Plan::changed_files`], [`Plan::missing_files`]), and the table keeps their rows unless told otherwise. Where
    /// the source lists as it did when the table was last in step with it, that one listing is all. Default: no, such a
    /// table is an error.
    pub fn with_update(mut self, update: bool) -> Self {
        self.options.update = update;
        self
    }

    /// What an update does about files that changed. [`OnChanged::Replace`] does the batches that read them anew: what is
    /// there of all of a batch's files is written, and what it wrote before leaves the table, in one snapshot. Not
    /// possible where others rewrote the batch's files in the table or deleted rows of them, nor where batches are values
    /// of a column.
    pub fn with_on_changed(mut self, on_changed: OnChanged) -> Self {
        self.options.on_changed = on_changed;
        self
    }

    /// What an update does about files that vanished. [`OnDeleted::Remove`] does the batches that read them anew, as
    /// [`Ctas::with_on_changed`].
    pub fn with_on_deleted(mut self, on_deleted: OnDeleted) -> Self {
        self.options.on_deleted = on_deleted;
        self
    }

    /// The bounds of memory ([`DEFAULT_MEMORY_BYTES`] unless said otherwise) and concurrency, and where
    /// to spill.
    pub fn with_session(mut self, session: SessionOptions) -> Self {
        self.options.session = session;
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The clock that dates the migration and its snapshots.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// A step at which the process ends, for tests: `journal-created`, `batch-begun`, `batch-written`,
    /// `batch-verified`, `batch-landed`, `batch-committed`, `migration-done`, `leftovers-found`.
    pub fn with_fail_point(mut self, fail_point: FailPoint) -> Self {
        self.fail_point = fail_point;
        self
    }

    /// Says what would be done, without writing: lists the source and reads the footers of what would be read.
    ///
    /// # Errors
    /// As the run, as far as it can be told before rows are read.
    pub async fn plan(&self) -> Result<Plan> {
        match Box::pin(plan::prepare(self)).await? {
            Prepared::InStep(in_step) => Ok(in_step.plan),
            Prepared::Work(work) => Ok(work.plan),
        }
    }
}

impl IntoFuture for Ctas {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            for run in 1.. {
                let outcome = match Box::pin(plan::prepare(&self)).await? {
                    Prepared::InStep(in_step) => in_step.settle(self.clock.as_ref()).await,
                    Prepared::Work(work) => Box::pin(run::run(&self, *work)).await,
                };
                match outcome {
                    Err(error @ Error::TargetChanged { .. }) if run < RUNS => {
                        tracing::info!(%error, "another run was at work: once more");
                    }
                    outcome => return outcome,
                }
            }
            unreachable!("the last run's outcome is returned")
        }
        .boxed()
    }
}
