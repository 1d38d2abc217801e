//! Compaction of one table: `rewrite_data_files`.
//!
//! The data work is done once, against the snapshot that was current at the start. The commit replaces the
//! files that were read and nothing else: files that others add meanwhile stay, a group whose files others
//! removed or deleted rows of is dropped and reported, and the other groups are committed.

use std::collections::{BTreeMap, HashMap};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use calve_base::{NoProgress, Progress, Stage, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_query::{ReadAhead, Session, SessionOptions, table_provider};
use calve_table::{Scan, SnapshotLookup};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    Datum, FormatVersion, MAIN_BRANCH, PartitionSpecRef, PrimitiveType, SnapshotRef, TableMetadata,
    Transform,
};

use crate::commit::{Commits, Committer, Written};
use crate::dangling::remove_dangling_deletes;
use crate::options::RewriteOptions;
use crate::plan::{Candidate, FileGroup, LeftAlone, Plan, count_deletes, locations, plan};
use crate::rewrite::{Rewriter, STAGE};
use crate::{Error, Result, Strategy};

/// How much memory a run takes, unless said otherwise.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;

/// What a run takes beside the rows: requests, parts of files on their way to the store, what the allocator keeps.
const OVERHEAD_BYTES: u64 = 128 << 20;

/// What it takes for each file: its entry in the plan and what is noted of it for the commit.
const CANDIDATE_BYTES: u64 = 1024;

/// How many small files are read at once, all groups together, unless said otherwise.
pub(crate) const REQUESTS: usize = 128;

/// How many bytes of them wait to be decoded, at most.
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// Up to which size a file is read by one request, instead of its footer first and its columns then.
const WHOLE_FILE_BYTES: u64 = 4 << 20;

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
    /// Of the files that are gone, those whose row groups were copied as they are, without decoding.
    pub copied_data_files_count: u64,
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
    strategy: Strategy,
    branch: String,
    summary: BTreeMap<String, String>,
    session: SessionOptions,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Compact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compact")
            .field("table", &self.table)
            .field("options", &self.options)
            .field("condition", &self.condition)
            .field("strategy", &self.strategy)
            .field("branch", &self.branch)
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
            strategy: Strategy::default(),
            branch: MAIN_BRANCH.to_owned(),
            summary: BTreeMap::new(),
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

    /// Says in which order rows are written. Default: [`Strategy::BinPack`].
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Compacts a branch other than `main`, which has to be there.
    pub fn with_branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = branch.into();
        self
    }

    /// Puts an entry of the caller's into the summaries of the snapshots.
    pub fn with_snapshot_property(
        mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        self.summary.insert(name.into(), value.into());
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
        let options = RewriteOptions::new(&self.options, metadata.properties())?;
        RewriteOptions::check_strategy(&self.options, &self.strategy)?;
        let order = self.strategy.order(&table.ident().to_string(), metadata)?;
        let output_spec = output_spec(&options, metadata)?;
        let snapshot = self.head(&table)?;
        let mut provider = table_provider(&table)?;
        if metadata.format_version() >= FormatVersion::V3 {
            provider = provider.with_row_lineage()?;
        }
        let files = match &snapshot {
            Some(snapshot) => {
                let scan = Scan::new(table.clone()).with_snapshot(Arc::clone(snapshot));
                self.candidates(scan, &table, &options).await?
            }
            None => Vec::new(),
        };
        // One half is for what is read and sorted, the other for what is written.
        let memory = self.session.memory_bytes.unwrap_or(DEFAULT_MEMORY_BYTES);
        let overhead = OVERHEAD_BYTES + files.len() as u64 * CANDIDATE_BYTES;
        let memory = memory.saturating_sub(overhead).max(memory / 4) / 2;
        let session = SessionOptions {
            memory_bytes: Some(memory),
            ..self.session.clone()
        };
        let session = Session::new(Arc::clone(&self.catalog), session)?;
        let (groups, left_alone) = plan(files, &options, output_spec.spec_id());
        let plan = Plan {
            table: self.table.clone(),
            snapshot_id: snapshot.as_ref().map(|snapshot| snapshot.snapshot_id()),
            target_file_size_bytes: options.target_file_size_bytes,
            min_file_size_bytes: options.min_file_size_bytes,
            max_file_size_bytes: options.max_file_size_bytes,
            groups,
            left_alone,
        };
        let at_once = self.at_once(&options).min(plan.groups.len()).max(1);
        let requests = self.session.concurrency.unwrap_or(REQUESTS);
        let rewriter = Rewriter {
            table,
            provider,
            session,
            read_ahead: ReadAhead {
                files: requests.div_ceil(at_once),
                bytes: (memory / 8).min(READ_AHEAD_BYTES) / at_once as u64,
                max_file_bytes: WHOLE_FILE_BYTES,
            },
            write_bytes: usize::try_from(memory).unwrap_or(usize::MAX) / at_once,
            options,
            output_spec,
            order,
            sort_parts: (self.concurrency() / at_once).max(1),
            progress: Arc::clone(&self.progress),
            is_stopped: AtomicBool::new(false),
        };
        Ok(Prepared {
            plan,
            snapshot,
            rewriter: Arc::new(rewriter),
        })
    }

    /// The newest snapshot of the branch; `None` where the table has none.
    fn head(&self, table: &Table) -> Result<Option<SnapshotRef>> {
        if self.branch == MAIN_BRANCH {
            return Ok(table.metadata().current_snapshot().cloned());
        }
        Ok(Some(table.snapshot_of_branch(&self.branch)?))
    }

    /// The files that are asked about.
    async fn candidates(
        &self,
        mut scan: Scan,
        table: &Table,
        options: &RewriteOptions,
    ) -> Result<Vec<Candidate>> {
        if let Some(condition) = &self.condition {
            let session = Session::new(Arc::clone(&self.catalog), self.session.clone())?;
            let provider = table_provider(table)?;
            let filter = provider.file_filter(&session, condition).await?;
            scan = scan.with_file_filter(filter);
        }
        let metadata = table.metadata();
        let order = order_column(metadata);
        let files = scan.plan().await?;
        let mut partitions = HashMap::new();
        let files = files.map_ok(|file| {
            let spec = metadata.partition_spec_by_id(file.spec_id);
            let partition = (file.spec_id, file.file.partition.clone());
            let partition = partitions.entry(partition).or_insert_with(|| {
                let schema = Arc::clone(metadata.current_schema());
                let path = spec.map(|spec| spec.partition_to_path(&file.file.partition, schema));
                Arc::from(path.unwrap_or_default())
            });
            candidate(file, Arc::clone(partition), order.as_ref(), options)
        });
        Ok(files.try_collect().await?)
    }

    /// How many processors are used.
    fn concurrency(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.session.concurrency.unwrap_or(processors).max(1)
    }

    /// How many groups are rewritten at once.
    fn at_once(&self, options: &RewriteOptions) -> usize {
        let most = options.max_concurrent_file_group_rewrites;
        most.min(self.concurrency())
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
        let has_work = !plan.groups.is_empty() || rewriter.options.remove_dangling_deletes;
        let Some(snapshot) = snapshot.filter(|_| has_work) else {
            return Ok(report);
        };
        let rows = plan.groups.iter().map(|group| group.rows).sum();
        let _stage = Stage::start(&*self.progress, STAGE, Some(rows));
        let at_once = self.at_once(&rewriter.options);
        let mut committer = self.committer(&plan, &rewriter, snapshot, report);
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
        let options = &rewriter.options;
        let mut report = committer.finish(options.max_failed_commits).await?;
        if options.remove_dangling_deletes {
            let (table, branch) = (&self.table, &self.branch);
            let removed =
                remove_dangling_deletes(&self.catalog, table, branch, &self.summary).await?;
            report.removed_delete_files_count += removed.delete_files;
            report.snapshot_ids.extend(removed.snapshot_id);
        }
        Ok(report)
    }
}

impl Compact {
    fn committer(
        &self,
        plan: &Plan,
        rewriter: &Rewriter,
        snapshot: SnapshotRef,
        report: Report,
    ) -> Committer {
        let options = &rewriter.options;
        let format_version = rewriter.table.metadata().format_version();
        let mut files = plan.groups.iter().flat_map(|group| &group.files);
        let lacks_row_ids = format_version >= FormatVersion::V3
            && files.any(|file| file.file.first_row_id.is_none());
        // The first commit gives ids to all rows that have none: a second one would find other rows.
        let partial_progress = options.partial_progress && !lacks_row_ids;
        Committer {
            catalog: Arc::clone(&self.catalog),
            table: rewriter.table.clone(),
            snapshot,
            output_spec_id: rewriter.output_spec.spec_id(),
            format_version,
            keeps_sequence_number: options.use_starting_sequence_number
                && format_version >= FormatVersion::V2,
            lacks_row_ids,
            branch: self.branch.clone(),
            summary: self.summary.clone(),
            partial_progress,
            groups_a_commit: if partial_progress {
                plan.groups.len().div_ceil(options.max_commits)
            } else {
                plan.groups.len()
            },
            ready: Vec::new(),
            commits: Commits::default(),
            report,
        }
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
        Ok(rewritten) => Ok(Written {
            group,
            removed,
            added: rewritten.files,
            are_copied: rewritten.are_copied,
        }),
        Err(error) => Err((error, group)),
    }
}

/// The partition spec that new files are of.
fn output_spec(options: &RewriteOptions, metadata: &TableMetadata) -> Result<PartitionSpecRef> {
    let Some(id) = options.output_spec_id else {
        return Ok(Arc::clone(metadata.default_partition_spec()));
    };
    let spec = metadata.partition_spec_by_id(id);
    spec.cloned().ok_or_else(|| Error::Option {
        name: "output-spec-id".to_owned(),
        value: id.to_string(),
        problem: "the table has no such partition spec".to_owned(),
    })
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
    partition: Arc<str>,
    order: Option<&(i32, PrimitiveType)>,
    options: &RewriteOptions,
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
    // Only files whose row groups may be copied need it further on.
    if file.size_bytes < options.min_copied_row_group_bytes {
        file.nan_value_counts = None;
    }
    file.split_offsets = None;
    Candidate {
        partition,
        order,
        deletes: count_deletes(&scan),
        scan: Box::new(scan),
    }
}

impl Report {
    pub(crate) fn count(&mut self, written: &Written) {
        self.rewritten_data_files_count += written.removed.len() as u64;
        if written.are_copied {
            self.copied_data_files_count += written.removed.len() as u64;
        }
        self.rewritten_bytes_count += written.group.bytes;
        self.added_data_files_count += written.added.len() as u64;
        for file in &written.added {
            self.added_bytes_count += file.file_size_in_bytes();
            self.rows_count += file.record_count();
        }
    }
}
