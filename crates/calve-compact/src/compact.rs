//! Compaction of one table: `rewrite_data_files`, by bin-packing.
//!
//! The data work is done once, against the snapshot that was current at the start. The commit replaces the
//! files that were read and nothing else: files that others add meanwhile stay, a group whose files others
//! removed or deleted rows of is dropped and reported, and the other groups are committed.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use calve_base::{NoProgress, Progress, Stage, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_query::{Session, SessionOptions, table_provider};
use calve_table::Scan;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use iceberg::spec::{Datum, FormatVersion, PrimitiveType, SnapshotRef, TableMetadata, Transform};

use crate::commit::{Commits, Committer, Written};
use crate::options::RewriteOptions;
use crate::plan::{Candidate, FileGroup, LeftAlone, Plan, locations, plan};
use crate::rewrite::{Rewriter, STAGE};
use crate::{Error, Result};

/// How much memory a run takes, unless said otherwise.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;

/// What a compaction did. The counts are called as Spark's.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Files that are gone from the table.
    pub rewritten_data_files_count: u64,
    /// Files that took their place.
    pub added_data_files_count: u64,
    /// The size of the files that are gone, in bytes.
    pub rewritten_bytes_count: u64,
    /// The size of those that took their place, in bytes.
    pub added_bytes_count: u64,
    /// Delete files that are gone, because they concerned only files that are.
    pub removed_delete_files_count: u64,
    /// Files that were to be rewritten and are not, because others changed them, or a commit failed.
    pub failed_data_files_count: u64,
    /// Rows in the new files.
    pub rows_count: u64,
    /// The snapshots that were committed.
    pub snapshot_ids: Vec<i64>,
    /// Groups that were dropped or whose commit failed, and why.
    pub failures: Vec<String>,
    /// Files that stay, by reason.
    pub left_alone: BTreeMap<LeftAlone, u64>,
}

/// Compacts one table.
///
/// Files are rewritten where that is worth it, as [`Compact::plan`] tells beforehand. Rows that are deleted
/// are not written again. A second run right after finds nothing to do.
#[must_use = "a compaction does nothing until awaited"]
pub struct Compact {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    options: BTreeMap<String, String>,
    condition: Option<String>,
    session: SessionOptions,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Compact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compact")
            .field("table", &self.table)
            .field("options", &self.options)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

impl Compact {
    /// Starts with Spark's defaults.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent) -> Self {
        Self {
            catalog,
            table,
            options: BTreeMap::new(),
            condition: None,
            session: SessionOptions::default(),
            progress: Arc::new(NoProgress),
        }
    }

    /// Sets an option of [`RewriteOptions`], by its name in Spark.
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Looks only at files that may have rows of which this condition in SQL is true. They are rewritten
    /// whole.
    pub fn with_where(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    /// Sets the bounds of memory and of concurrency, and where is spilled to.
    pub fn with_session(mut self, session: SessionOptions) -> Self {
        self.session = session;
        self
    }

    /// Sets who hears how far the run is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Says what a run would do.
    ///
    /// # Errors
    /// When the table cannot be read, or an option or the condition is wrong.
    pub async fn plan(&self) -> Result<Plan> {
        Ok(Box::pin(self.prepare()).await?.plan)
    }

    async fn prepare(&self) -> Result<Prepared> {
        let table = self.catalog.load_table(&self.table).await?;
        let metadata = table.metadata();
        check_kind(&table)?;
        let options = RewriteOptions::new(&self.options, metadata.properties())?;
        // One half is for what is read, the other for what is written.
        let memory = self.session.memory_bytes.unwrap_or(DEFAULT_MEMORY_BYTES) / 2;
        let session = SessionOptions {
            memory_bytes: Some(memory),
            ..self.session.clone()
        };
        let session = Session::new(Arc::clone(&self.catalog), session)?;
        let provider = table_provider(&table)?;
        let mut scan = Scan::new(table.clone());
        if let Some(condition) = &self.condition {
            let filter = provider.file_filter(&session, condition).await?;
            scan = scan.with_file_filter(filter);
        }
        let order = order_column(metadata);
        let files = scan.plan().await?;
        let files: Vec<Candidate> = files
            .map_ok(|file| candidate(file, metadata, order.as_ref()))
            .try_collect()
            .await?;
        let (groups, left_alone) = plan(files, &options, metadata.default_partition_spec_id());
        let snapshot = metadata.current_snapshot().cloned();
        let plan = Plan {
            table: self.table.clone(),
            snapshot_id: snapshot.as_ref().map(|snapshot| snapshot.snapshot_id()),
            target_file_size_bytes: options.target_file_size_bytes,
            min_file_size_bytes: options.min_file_size_bytes,
            max_file_size_bytes: options.max_file_size_bytes,
            groups,
            left_alone,
        };
        let at_once = self.at_once(&options);
        let rewriter = Rewriter {
            table,
            provider,
            session,
            write_bytes: usize::try_from(memory).unwrap_or(usize::MAX) / at_once,
            options,
            progress: Arc::clone(&self.progress),
            is_stopped: AtomicBool::new(false),
        };
        Ok(Prepared {
            plan,
            snapshot,
            rewriter: Arc::new(rewriter),
        })
    }

    /// How many groups are rewritten at once.
    fn at_once(&self, options: &RewriteOptions) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let bound = self.session.concurrency.unwrap_or(processors).max(1);
        options.max_concurrent_file_group_rewrites.min(bound)
    }

    async fn run(self) -> Result<Report> {
        let Prepared {
            plan,
            snapshot,
            rewriter,
        } = Box::pin(self.prepare()).await?;
        let mut report = Report::default();
        for left in &plan.left_alone {
            *report.left_alone.entry(left.reason).or_default() += 1;
        }
        let Some(snapshot) = snapshot.filter(|_| !plan.groups.is_empty()) else {
            return Ok(report);
        };
        let rows = plan.groups.iter().map(|group| group.rows).sum();
        let _stage = Stage::start(&*self.progress, STAGE, Some(rows));
        let at_once = self.at_once(&rewriter.options);
        let options = &rewriter.options;
        let mut committer = Committer {
            catalog: Arc::clone(&self.catalog),
            table: rewriter.table.clone(),
            snapshot,
            output_spec_id: rewriter.table.metadata().default_partition_spec_id(),
            format_version: rewriter.table.metadata().format_version(),
            keeps_sequence_number: options.use_starting_sequence_number
                && rewriter.table.metadata().format_version() >= FormatVersion::V2,
            partial_progress: options.partial_progress,
            groups_a_commit: if options.partial_progress {
                plan.groups.len().div_ceil(options.max_commits)
            } else {
                plan.groups.len()
            },
            ready: Vec::new(),
            commits: Commits::default(),
            report,
        };
        let written = stream::iter(plan.groups).map(|group| {
            let rewriter = Arc::clone(&rewriter);
            async move { written(&rewriter, group).await }
        });
        let mut written = written.buffered(at_once);
        while let Some(outcome) = written.next().await {
            if let Err(error) = committer.take(outcome).await {
                // What is being written ends soon; what was written and not committed is deleted.
                rewriter.stop();
                while let Some(outcome) = written.next().await {
                    committer.ready.extend(outcome.ok());
                }
                committer.give_up().await;
                return Err(error);
            }
        }
        committer.finish(options.max_failed_commits).await
    }
}

impl IntoFuture for Compact {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Result<Report>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// All that a run needs to know.
struct Prepared {
    plan: Plan,
    snapshot: Option<SnapshotRef>,
    rewriter: Arc<Rewriter>,
}

async fn written(rewriter: &Rewriter, group: FileGroup) -> Result<Written, (Error, FileGroup)> {
    let removed = match locations(&group) {
        Ok(removed) => removed,
        Err(error) => return Err((error.into(), group)),
    };
    match rewriter.rewrite(&group).await {
        Ok(added) => Ok(Written {
            group,
            removed,
            added,
        }),
        Err(error) => Err((error, group)),
    }
}

/// Refuses tables that would lose something.
fn check_kind(table: &Table) -> Result<()> {
    if table.metadata().format_version() >= FormatVersion::V3 {
        return Err(Error::Unsupported {
            table: table.ident().to_string(),
            reason: "its format version is 3, and the ids of its rows would not be kept".to_owned(),
        });
    }
    Ok(())
}

/// The column whose bounds tell how files lie to each other: the first of the table's sort order.
fn order_column(metadata: &TableMetadata) -> Option<(i32, PrimitiveType)> {
    let order = metadata.default_sort_order();
    let first = order.fields.first()?;
    if first.transform != Transform::Identity {
        return None;
    }
    let field = metadata.current_schema().field_by_id(first.source_id)?;
    Some((field.id, field.field_type.as_primitive_type()?.clone()))
}

/// Takes from a file's entry what a plan needs, and lets go of the rest.
fn candidate(
    mut scan: calve_table::ScanFile,
    metadata: &TableMetadata,
    order: Option<&(i32, PrimitiveType)>,
) -> Candidate {
    let file = &mut scan.file;
    let bounds = file.lower_bounds.take().unwrap_or_default();
    let order = order.and_then(|(id, of)| {
        let (_, bytes) = bounds.iter().find(|(field, _)| field == id)?;
        Datum::try_from_bytes(bytes, of.clone()).ok()
    });
    file.upper_bounds = None;
    file.column_sizes = None;
    file.value_counts = None;
    file.null_value_counts = None;
    file.nan_value_counts = None;
    file.split_offsets = None;
    let schema = Arc::clone(metadata.current_schema());
    let spec = metadata.partition_spec_by_id(scan.spec_id);
    let partition = spec.map(|spec| spec.partition_to_path(&scan.file.partition, schema));
    Candidate {
        partition: partition.unwrap_or_default(),
        order,
        scan,
    }
}

impl Report {
    pub(crate) fn count(&mut self, written: &Written) {
        self.rewritten_data_files_count += written.removed.len() as u64;
        self.rewritten_bytes_count += written.group.bytes;
        self.added_data_files_count += written.added.len() as u64;
        for file in &written.added {
            self.added_bytes_count += file.file_size_in_bytes();
            self.rows_count += file.record_count();
        }
    }
}
