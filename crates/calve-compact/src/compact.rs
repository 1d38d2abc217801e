//! Compaction of one table: `rewrite_data_files`, by bin-packing.
//!
//! The data work is done once, against the snapshot that was current at the start. The commit replaces the
//! files that were read and nothing else: files that others add meanwhile stay, a group whose files others
//! removed or deleted rows of is dropped and reported, and the other groups are committed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use calve_base::{Location, NoProgress, Progress, Stage, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_query::{Session, SessionOptions, table_provider};
use calve_table::{
    ContentFile, Entry, ManifestRoller, NewDeletes, ReplaceFiles, Scan, Transaction,
    new_snapshot_id,
};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    DataContentType, DataFile, Datum, FormatVersion, ManifestStatus, Operation, PrimitiveType,
    SnapshotRef, TableMetadata, Transform,
};

use crate::error::delete_quietly;
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

/// A group whose new files are written.
struct Written {
    group: FileGroup,
    removed: Vec<Location>,
    added: Vec<DataFile>,
}

impl Written {
    /// Deletes the new files, which nothing refers to.
    async fn discard(self, table: &Table) {
        let locations = self.added.iter();
        let locations = locations.filter_map(|file| Location::parse(file.file_path()).ok());
        delete_quietly(table.storage(), &locations.collect::<Vec<_>>()).await;
    }
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

/// Commits groups.
struct Committer {
    catalog: Arc<dyn Catalog>,
    /// The table as it was read, or as the last commit left it.
    table: Table,
    /// The snapshot that was read.
    snapshot: SnapshotRef,
    /// The partition spec and the format version that the new files are of.
    output_spec_id: i32,
    format_version: FormatVersion,
    keeps_sequence_number: bool,
    partial_progress: bool,
    /// How many groups go into one commit.
    groups_a_commit: usize,
    /// Groups that wait for others to be committed with.
    ready: Vec<Written>,
    commits: Commits,
    report: Report,
}

/// What became of commits.
#[derive(Debug, Default)]
struct Commits {
    done: usize,
    failed: usize,
    /// Why the last one failed.
    last: String,
}

impl Committer {
    /// Takes a group that was written, or was not. Without partial progress it is all or nothing.
    async fn take(&mut self, outcome: Result<Written, (Error, FileGroup)>) -> Result<()> {
        match outcome {
            Ok(group) => self.ready.push(group),
            Err((error, group)) if self.partial_progress => self.fail(&group, &error.to_string()),
            Err((error, _)) => return Err(error),
        }
        if self.ready.len() >= self.groups_a_commit {
            self.commit_ready().await?;
        }
        Ok(())
    }

    async fn commit_ready(&mut self) -> Result<()> {
        let ready = std::mem::take(&mut self.ready);
        let error = match self.commit(ready).await {
            Ok(None) => {
                self.commits.done += 1;
                return Ok(());
            }
            // Every group of it was dropped.
            Ok(Some(error)) if self.partial_progress => error,
            Ok(Some(_)) => return Ok(()),
            Err(error) => error,
        };
        let is_unknown = matches!(&error, Error::Table(error) if error.is_outcome_unknown());
        if is_unknown || !self.partial_progress {
            return Err(error);
        }
        self.commits.failed += 1;
        self.commits.last = error.to_string();
        Ok(())
    }

    /// Commits what is left.
    async fn finish(mut self, most_failed: usize) -> Result<Report> {
        if !self.ready.is_empty() {
            self.commit_ready().await?;
        }
        let Commits { done, failed, last } = self.commits;
        if failed > most_failed || (failed > 0 && done == 0) {
            return Err(Error::TooManyFailures {
                failed,
                commits: done + failed,
                limit: most_failed,
                last,
            });
        }
        Ok(self.report)
    }

    async fn give_up(self) {
        for written in self.ready {
            written.discard(&self.table).await;
        }
    }

    /// Replaces the files of groups in one snapshot. Groups that others changed are dropped; gives why, where
    /// none is left.
    async fn commit(&mut self, groups: Vec<Written>) -> Result<Option<Error>> {
        let mut groups = groups;
        loop {
            let error = match self.try_commit(&groups).await {
                Ok(()) => {
                    for written in &groups {
                        self.report.count(written);
                    }
                    return Ok(None);
                }
                Err(error) => error,
            };
            let is_conflict = matches!(
                error,
                Error::Table(
                    calve_table::Error::FilesGone { .. } | calve_table::Error::NewDeletes { .. }
                )
            );
            if matches!(&error, Error::Table(error) if error.is_outcome_unknown()) {
                // The new files may be the table's.
                return Err(error);
            }
            // Where the table cannot be read again, the conflict stays what happened.
            let stale = if is_conflict {
                self.stale(&groups).await.unwrap_or_default()
            } else {
                HashSet::new()
            };
            if stale.is_empty() {
                for written in groups {
                    self.fail(&written.group, &error.to_string());
                    written.discard(&self.table).await;
                }
                return Err(error);
            }
            let (dropped, kept): (Vec<_>, Vec<_>) = groups
                .into_iter()
                .enumerate()
                .partition(|(at, _)| stale.contains(at));
            for (_, written) in dropped {
                self.fail(&written.group, &error.to_string());
                written.discard(&self.table).await;
            }
            groups = kept.into_iter().map(|(_, written)| written).collect();
            if groups.is_empty() {
                return Ok(Some(error));
            }
        }
    }

    async fn try_commit(&mut self, groups: &[Written]) -> Result<()> {
        let metadata = self.table.metadata();
        let snapshot_id = new_snapshot_id();
        let since = self.snapshot.sequence_number();
        let mut roller = ManifestRoller::new(self.table.storage(), metadata, snapshot_id)?;
        for written in groups {
            let keeps = self.keeps_sequence_number && written.group.spec_id == self.output_spec_id;
            for file in &written.added {
                let entry = Entry {
                    status: ManifestStatus::Added,
                    snapshot_id: Some(snapshot_id),
                    sequence_number: keeps.then_some(since),
                    file_sequence_number: None,
                    file: ContentFile::from_data_file(file)?,
                };
                roller.add_entry(self.output_spec_id, entry).await?;
            }
        }
        let manifests = roller.finish().await?;
        let removed = groups.iter().flat_map(|written| written.removed.clone());
        let replace = ReplaceFiles::new(snapshot_id, removed.collect(), manifests)
            .with_operation(Operation::Replace)
            .with_new_deletes(NewDeletes::Refuse {
                since,
                except_equality: self.excepts_equality(groups),
            })
            .with_base(self.snapshot.snapshot_id(), self.format_version);
        let committed = Transaction::new(Arc::clone(&self.catalog), self.table.clone())
            .with_snapshot(replace)
            .await?;
        self.table = committed.table;
        self.report.snapshot_ids.extend(committed.snapshot_id);
        let added = committed
            .snapshot_id
            .and_then(|id| self.table.metadata().snapshot_by_id(id));
        if let Some(snapshot) = added {
            let summary = &snapshot.summary().additional_properties;
            let number = summary.get("removed-delete-files");
            let number = number.and_then(|text| text.parse::<u64>().ok());
            self.report.removed_delete_files_count += number.unwrap_or(0);
        }
        Ok(())
    }

    /// The places of the groups whose files others removed, or deleted rows of.
    async fn stale(&mut self, groups: &[Written]) -> Result<HashSet<usize>> {
        self.table = self.catalog.load_table(self.table.ident()).await?;
        let since = self.snapshot.sequence_number();
        let excepts_equality = self.excepts_equality(groups);
        // The files that are still to be found, with the places of their groups.
        let mut missing: HashMap<&str, usize> = HashMap::new();
        for (at, written) in groups.iter().enumerate() {
            let files = written.group.files.iter();
            missing.extend(files.map(|file| (&*file.file.path, at)));
        }
        let mut stale = HashSet::new();
        let mut files = Scan::new(self.table.clone()).plan().await?;
        while let Some(file) = files.try_next().await? {
            let Some(at) = missing.remove(&*file.file.path) else {
                continue;
            };
            let is_new = file.deletes.iter().any(|delete| {
                let is_equality = delete.file.content == DataContentType::EqualityDeletes;
                delete.sequence_number > since && !(is_equality && excepts_equality)
            });
            if is_new {
                stale.insert(at);
            }
        }
        stale.extend(missing.into_values());
        Ok(stale)
    }

    /// Whether equality deletes that others commit go on applying to the rows: those of the output's own spec
    /// do, to files with the sequence number of the files that they replace.
    fn excepts_equality(&self, groups: &[Written]) -> bool {
        let mut groups = groups.iter();
        self.keeps_sequence_number
            && groups.all(|written| written.group.spec_id == self.output_spec_id)
    }

    fn fail(&mut self, group: &FileGroup, why: &str) {
        self.report.failed_data_files_count += group.files_count as u64;
        let partition = &group.partition;
        let place = if partition.is_empty() {
            "all"
        } else {
            partition
        };
        self.report
            .failures
            .push(format!("{place} ({} files): {why}", group.files_count));
    }
}

impl Report {
    fn count(&mut self, written: &Written) {
        self.rewritten_data_files_count += written.removed.len() as u64;
        self.rewritten_bytes_count += written.group.bytes;
        self.added_data_files_count += written.added.len() as u64;
        for file in &written.added {
            self.added_bytes_count += file.file_size_in_bytes();
            self.rows_count += file.record_count();
        }
    }
}
