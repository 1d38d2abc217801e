//! Rewriting of position delete files: `rewrite_position_delete_files`.
//!
//! Small delete files of a partition become larger ones, sorted by path and position, without the positions of
//! data files that are gone. In a table of format version 3 they become deletion vectors, one a data file, as that
//! version demands. No data file is read, and no row changes.

mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Location, NoProgress, Progress, Stage, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_query::{IcebergTable, Session, SessionOptions, table_provider};
use calve_table::{
    ContentFile, DeleteFile, DeleteKey, DeletedPositions, Entry, FileFilter, ManifestRoller,
    PositionDeleteWriter, ReplaceFiles, Scan, Transaction, new_snapshot_id,
};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, DataFileFormat, FormatVersion, ManifestStatus, Operation, SnapshotRef, Struct,
};
use roaring::RoaringTreemap;

use self::rules::Rules;
use crate::error::delete_quietly;
use crate::options::RewriteOptions;
use crate::plan::Reason;
use crate::{Error, Result};

/// The stage that is reported.
const STAGE: &str = "delete files rewritten";

/// The table property that says whether a delete file is of one data file (`file`) or of a partition.
const GRANULARITY: &str = "write.delete.granularity";

/// What a rewrite of delete files did. The counts are called as Spark's.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Delete files that are gone.
    pub rewritten_delete_files_count: u64,
    /// Delete files that took their place; deletion vectors are counted one by one.
    pub added_delete_files_count: u64,
    /// The size of the files that are gone, in bytes.
    pub rewritten_bytes_count: u64,
    /// The size of those that took their place, in bytes.
    pub added_bytes_count: u64,
    /// Positions that were dropped, because their data files are gone or name them twice.
    pub dropped_positions_count: u64,
    /// The snapshots, one a commit; none where there is nothing to do.
    pub snapshot_ids: Vec<i64>,
    /// With partial progress: delete files that stay, because their commit failed.
    pub failed_delete_files_count: u64,
    /// With partial progress: why commits failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// What a run will do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// The snapshot that is read; none where the table is empty.
    pub snapshot_id: Option<i64>,
    /// The groups.
    pub groups: Vec<DeleteGroup>,
    /// How many position delete files stay as they are, deletion vectors not counted.
    pub left_alone_count: usize,
}

/// Delete files that become others together.
#[derive(Debug, Clone, serde::Serialize)]
pub struct DeleteGroup {
    /// The partition spec of the files.
    pub spec_id: i32,
    /// Their partition, as a path.
    pub partition: String,
    /// How many files there are.
    pub files_count: usize,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// How many positions they have.
    pub positions: u64,
    /// Why they are rewritten.
    pub reasons: Vec<Reason>,
    /// The files.
    #[serde(skip)]
    pub files: Vec<DeleteFile>,
}

/// Rewrites the position delete files of one table.
///
/// A second run right after finds nothing to do.
#[must_use = "a rewrite does nothing until awaited"]
pub struct RewriteDeletes {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    options: BTreeMap<String, String>,
    condition: Option<String>,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for RewriteDeletes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RewriteDeletes")
            .field("table", &self.table)
            .field("options", &self.options)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

impl RewriteDeletes {
    /// Starts with Spark's defaults.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent) -> Self {
        Self {
            catalog,
            table,
            options: BTreeMap::new(),
            condition: None,
            progress: Arc::new(NoProgress),
        }
    }

    /// Sets an option by its name in Spark: one of those about sizes of files and groups, or about partial progress.
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.insert(name.into(), value.into());
        self
    }

    /// Looks only at delete files of partitions that may have rows of which this condition in SQL is true.
    pub fn with_where(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
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
    /// When the table cannot be read, or an option is wrong.
    pub async fn plan(&self) -> Result<Plan> {
        Ok(self.prepare().await?.plan)
    }

    async fn prepare(&self) -> Result<Prepared> {
        let table = self.catalog.load_table(&self.table).await?;
        let metadata = table.metadata();
        let options = RewriteOptions::for_deletes(&self.options, metadata.properties())?;
        let rules = Rules {
            options,
            to_vectors: metadata.format_version() >= FormatVersion::V3,
            by_file: metadata
                .properties()
                .get(GRANULARITY)
                .is_some_and(|text| text.eq_ignore_ascii_case("file")),
        };
        let all = Scan::new(table.clone()).delete_files().await?;
        let partitions = self.partition_filter(&table).await?;
        let may_match = |delete: &DeleteFile| match &partitions {
            Some(filter) => metadata
                .partition_spec_by_id(delete.spec_id)
                .is_none_or(|spec| filter(&delete.file, spec)),
            None => true,
        };
        let is_wanted = |delete: &DeleteFile| {
            delete.file.content == DataContentType::PositionDeletes
                && delete.file.format == DataFileFormat::Parquet
                && may_match(delete)
        };
        let all: Vec<DeleteFile> = all.into_iter().filter(is_wanted).collect();
        let count = all.len();
        let path = |delete: &DeleteFile| {
            let spec = metadata.partition_spec_by_id(delete.spec_id);
            let schema = Arc::clone(metadata.current_schema());
            let path = spec.map(|spec| spec.partition_to_path(&delete.file.partition, schema));
            path.unwrap_or_default()
        };
        let groups = rules.groups(all, path);
        let rewritten: usize = groups.iter().map(|group| group.files_count).sum();
        let plan = Plan {
            table: self.table.clone(),
            snapshot_id: metadata.current_snapshot_id(),
            groups,
            left_alone_count: count - rewritten,
        };
        Ok(Prepared { plan, table, rules })
    }

    /// Says of delete files whether their partitions are looked at; delete files tell nothing of other columns.
    async fn partition_filter(&self, table: &Table) -> Result<Option<FileFilter>> {
        let Some(condition) = &self.condition else {
            return Ok(None);
        };
        let session = Session::new(Arc::clone(&self.catalog), SessionOptions::default())?;
        let provider = table_provider(table)?;
        Ok(Some(provider.file_filter(&session, condition).await?))
    }

    async fn run(self) -> Result<Report> {
        let Prepared { plan, table, rules } = self.prepare().await?;
        let Some(snapshot) = table.metadata().current_snapshot().cloned() else {
            return Ok(Report::default());
        };
        if plan.groups.is_empty() {
            return Ok(Report::default());
        }
        let files: usize = plan.groups.iter().map(|group| group.files_count).sum();
        let _stage = Stage::start(&*self.progress, STAGE, Some(files as u64));
        let (partial, most_failed) = (
            rules.options.partial_progress,
            rules.options.max_failed_commits,
        );
        let groups_a_commit = if partial {
            plan.groups.len().div_ceil(rules.options.max_commits)
        } else {
            plan.groups.len()
        };
        let mut work = Work {
            live: live_files(&table).await?,
            provider: table_provider(&table)?,
            catalog: Arc::clone(&self.catalog),
            table,
            snapshot,
            rules,
        };
        let mut report = Report::default();
        for groups in plan.groups.chunks(groups_a_commit) {
            match work.rewrite(groups, &*self.progress).await {
                Ok(done) => report.add(done),
                Err(error) if partial && !is_unknown(&error) => report.fail(groups, &error),
                Err(error) => return Err(error),
            }
        }
        let (failed, done) = (report.failures.len(), report.snapshot_ids.len());
        match report.failures.last() {
            Some(last) if failed > most_failed || done == 0 => Err(Error::TooManyFailures {
                failed,
                commits: done + failed,
                limit: most_failed,
                last: last.clone(),
            }),
            _ => Ok(report),
        }
    }
}

impl Report {
    /// Counts a commit in.
    fn add(&mut self, done: Self) {
        self.rewritten_delete_files_count += done.rewritten_delete_files_count;
        self.added_delete_files_count += done.added_delete_files_count;
        self.rewritten_bytes_count += done.rewritten_bytes_count;
        self.added_bytes_count += done.added_bytes_count;
        self.dropped_positions_count += done.dropped_positions_count;
        self.snapshot_ids.extend(done.snapshot_ids);
    }

    fn fail(&mut self, groups: &[DeleteGroup], error: &Error) {
        let files: usize = groups.iter().map(|group| group.files_count).sum();
        self.failed_delete_files_count += files as u64;
        self.failures.push(error.to_string());
    }
}

/// Whether a commit may have been made all the same.
fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Table(error) if error.is_outcome_unknown())
}

impl IntoFuture for RewriteDeletes {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Result<Report>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// All that a run needs to know.
struct Prepared {
    plan: Plan,
    table: Table,
    rules: Rules,
}

/// A live data file that position deletes apply to.
struct LiveFile {
    /// Its path, as its manifest spells it.
    path: String,
    deletes: HashSet<DeleteKey>,
}

/// The data files that position deletes apply to, by their canonical locations.
async fn live_files(table: &Table) -> Result<HashMap<String, LiveFile>> {
    let mut live = HashMap::new();
    let mut files = Scan::new(table.clone()).plan().await?;
    while let Some(file) = files.try_next().await? {
        let by_position = |delete: &&Arc<DeleteFile>| {
            delete.file.content == DataContentType::PositionDeletes
                && delete.file.format == DataFileFormat::Parquet
        };
        let deletes = file.deletes.iter().filter(by_position);
        let deletes: HashSet<DeleteKey> = deletes.map(|delete| delete.key()).collect();
        if !deletes.is_empty() {
            let location = Location::parse(file.file.path.as_str())?;
            let path = file.file.path;
            live.insert(location.canonical(), LiveFile { path, deletes });
        }
    }
    Ok(live)
}

/// A run under way.
struct Work {
    catalog: Arc<dyn Catalog>,
    /// The table as it was read, or as the last commit left it.
    table: Table,
    /// The snapshot that was read.
    snapshot: SnapshotRef,
    provider: IcebergTable,
    rules: Rules,
    live: HashMap<String, LiveFile>,
}

/// What one commit is to add.
#[derive(Default)]
struct Written {
    /// The new files, with their specs and sequence numbers.
    files: Vec<(i32, i64, ContentFile)>,
    /// The data files that deletion vectors were written for.
    concerned: HashSet<String>,
    report: Report,
}

impl Work {
    /// Rewrites groups and commits them together. Nothing is left of them where that fails for sure.
    async fn rewrite(&mut self, groups: &[DeleteGroup], progress: &dyn Progress) -> Result<Report> {
        let mut written = Written::default();
        for group in groups {
            if let Err(error) = self.rewrite_group(group, &mut written).await {
                self.discard(&written).await;
                return Err(error);
            }
            progress.advanced(STAGE, group.files_count as u64);
        }
        match self.commit(&written, groups).await {
            Ok(snapshot_id) => {
                written.report.snapshot_ids.extend(snapshot_id);
                Ok(written.report)
            }
            Err(error) => {
                if !is_unknown(&error) {
                    self.discard(&written).await;
                }
                Err(error)
            }
        }
    }

    async fn rewrite_group(&self, group: &DeleteGroup, written: &mut Written) -> Result<()> {
        let Some(first) = group.files.first() else {
            return Ok(());
        };
        let deleted = self.positions(group).await?;
        let metadata = self.table.metadata();
        let spec = metadata.partition_spec_by_id(group.spec_id);
        let spec = spec.ok_or_else(|| calve_table::Error::UnknownSpec {
            path: first.file.path.clone(),
            spec_id: group.spec_id,
        })?;
        let partition = &first.file.partition;
        let mut writer = PositionDeleteWriter::new(self.table.storage(), metadata, spec)?;
        let files = if deleted.is_empty() {
            Vec::new()
        } else if self.rules.to_vectors {
            let paths = deleted.iter().map(|(path, _)| path.clone());
            written.concerned.extend(paths);
            writer.write_vectors(partition, &deleted).await?
        } else if self.rules.by_file {
            let lots: Vec<Vec<DeletedPositions>> = deleted.into_iter().map(|it| vec![it]).collect();
            self.write_lots(&mut writer, partition, &lots).await?
        } else {
            self.write_sized(&mut writer, partition, &deleted, group.bytes)
                .await?
        };
        let kept: u64 = files.iter().map(|file| file.record_count).sum();
        let report = &mut written.report;
        report.rewritten_delete_files_count += group.files_count as u64;
        report.rewritten_bytes_count += group.bytes;
        report.dropped_positions_count += group.positions.saturating_sub(kept);
        // Of the deletes that are merged the youngest tells the number: a path is never used twice, so that
        // older positions take nothing more by it.
        let numbers = group.files.iter().map(|file| file.sequence_number);
        let number = numbers.max().unwrap_or_default();
        for file in files {
            let is_vector = file.is_deletion_vector();
            let size = file.content_size_bytes.filter(|_| is_vector);
            report.added_delete_files_count += 1;
            report.added_bytes_count += size.map_or(file.size_bytes, i64::unsigned_abs);
            written.files.push((group.spec_id, number, file));
        }
        Ok(())
    }

    /// The positions of live data files that a group deletes, in the order of their paths.
    async fn positions(&self, group: &DeleteGroup) -> Result<Vec<DeletedPositions>> {
        let mut deleted: BTreeMap<&str, RoaringTreemap> = BTreeMap::new();
        for delete in &group.files {
            let key = delete.key();
            for (location, positions) in self.provider.deleted_positions(delete).await? {
                let live = self.live.get(&location);
                if let Some(live) = live.filter(|live| live.deletes.contains(&key)) {
                    *deleted.entry(&live.path).or_default() |= positions;
                }
            }
        }
        let deleted = deleted.into_iter();
        let deleted = deleted.filter(|(_, positions)| !positions.is_empty());
        Ok(deleted
            .map(|(path, positions)| (path.to_owned(), positions))
            .collect())
    }

    /// Writes files of the wanted size: of what they turn out to take, not of what was expected.
    async fn write_sized(
        &self,
        writer: &mut PositionDeleteWriter,
        partition: &Struct,
        deleted: &[DeletedPositions],
        bytes: u64,
    ) -> Result<Vec<ContentFile>> {
        let options = &self.rules.options;
        let mut count = options.expected_output_files(bytes);
        loop {
            let files = self
                .write_lots(writer, partition, &parts(deleted, count))
                .await?;
            let bytes = files.iter().map(|file| file.size_bytes).sum();
            let fewer = options.expected_output_files(bytes);
            if files.len() as u64 <= fewer || fewer >= count {
                return Ok(files);
            }
            count = fewer;
            delete_files(self.table.storage(), files.iter()).await;
        }
    }

    /// Writes a file for each lot. Nothing is left where one of them fails.
    async fn write_lots(
        &self,
        writer: &mut PositionDeleteWriter,
        partition: &Struct,
        lots: &[Vec<DeletedPositions>],
    ) -> Result<Vec<ContentFile>> {
        let mut files = Vec::with_capacity(lots.len());
        for lot in lots {
            match writer.write_positions(partition, lot).await {
                Ok(file) => files.push(file),
                Err(error) => {
                    delete_files(self.table.storage(), files.iter()).await;
                    return Err(error.into());
                }
            }
        }
        Ok(files)
    }

    async fn commit(&mut self, written: &Written, groups: &[DeleteGroup]) -> Result<Option<i64>> {
        let metadata = self.table.metadata();
        let snapshot_id = new_snapshot_id();
        let mut roller = ManifestRoller::new(self.table.storage(), metadata, snapshot_id)?;
        for (spec_id, number, file) in &written.files {
            let entry = Entry {
                status: ManifestStatus::Added,
                snapshot_id: Some(snapshot_id),
                sequence_number: Some(*number),
                file_sequence_number: None,
                file: file.clone(),
            };
            roller.add_entry(*spec_id, entry).await?;
        }
        let manifests = roller.finish().await?;
        let removed = groups.iter().flat_map(|group| &group.files);
        let replace = ReplaceFiles::new(snapshot_id, Vec::new(), manifests)
            .with_operation(Operation::Replace)
            .with_removed_deletes(removed.map(DeleteFile::key))
            .with_base(self.snapshot.snapshot_id(), metadata.format_version());
        let concerned = Arc::new(written.concerned.clone());
        let since = self.snapshot.sequence_number();
        let committed = Transaction::new(Arc::clone(&self.catalog), self.table.clone())
            .with_snapshot(replace)
            .with_revalidation(Arc::new(move |_, now| {
                check_vectors(now, Arc::clone(&concerned), since).boxed()
            }))
            .await?;
        self.table = committed.table;
        Ok(committed.snapshot_id)
    }

    async fn discard(&self, written: &Written) {
        let files = written.files.iter().map(|(_, _, file)| file);
        delete_files(self.table.storage(), files).await;
    }
}

/// Refuses deletion vectors of data files that others have replaced or deleted rows of meanwhile: a data file has
/// one vector.
async fn check_vectors(
    now: Table,
    concerned: Arc<HashSet<String>>,
    since: i64,
) -> calve_table::Result<()> {
    if concerned.is_empty() {
        return Ok(());
    }
    let mut missing: HashSet<&String> = concerned.iter().collect();
    let mut files = Scan::new(now).plan().await?;
    while let Some(file) = files.try_next().await? {
        if !missing.remove(&file.file.path) {
            continue;
        }
        let new = file.deletes.iter().find(|delete| {
            delete.sequence_number > since
                && delete.file.content == DataContentType::PositionDeletes
        });
        if let Some(new) = new {
            return Err(calve_table::Error::NewDeletes {
                path: new.file.path.clone(),
            });
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(calve_table::Error::FilesGone {
        count: missing.len() as u64,
        first: missing.into_iter().take(10).cloned().collect(),
    })
}

/// Cuts positions into so many parts of about the same size.
fn parts(deleted: &[DeletedPositions], count: u64) -> Vec<Vec<DeletedPositions>> {
    let all: u64 = deleted.iter().map(|(_, positions)| positions.len()).sum();
    let most = all.div_ceil(count.max(1)).max(1);
    let mut parts = Vec::new();
    let mut open: Vec<DeletedPositions> = Vec::new();
    let mut room = most;
    for (path, positions) in deleted {
        let mut positions = positions.iter();
        loop {
            let taken = usize::try_from(room).unwrap_or(usize::MAX);
            let some: RoaringTreemap = positions.by_ref().take(taken).collect();
            if some.is_empty() {
                break;
            }
            room -= some.len();
            open.push((path.clone(), some));
            if room == 0 {
                parts.push(std::mem::take(&mut open));
                room = most;
            }
        }
    }
    if !open.is_empty() {
        parts.push(open);
    }
    parts
}

async fn delete_files(storage: &calve_storage::Storage, files: impl Iterator<Item = &ContentFile>) {
    let locations: HashSet<&str> = files.map(|file| file.path.as_str()).collect();
    let locations = locations.into_iter();
    let locations: Vec<Location> = locations
        .filter_map(|path| Location::parse(path).ok())
        .collect();
    delete_quietly(storage, &locations).await;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_even_and_lose_nothing(
            files in prop::collection::vec(prop::collection::btree_set(0_u64..500, 1..40), 1..6),
            count in 1_u64..9,
        ) {
            let deleted: Vec<DeletedPositions> = files
                .into_iter()
                .enumerate()
                .map(|(number, positions)| (format!("f{number}"), positions.into_iter().collect()))
                .collect();
            let parts = parts(&deleted, count);
            prop_assert!(parts.len() as u64 <= count);
            let mut joined: BTreeMap<String, RoaringTreemap> = BTreeMap::new();
            for (path, positions) in parts.into_iter().flatten() {
                let known = joined.entry(path).or_default();
                prop_assert!(known.is_disjoint(&positions));
                *known |= positions;
            }
            prop_assert_eq!(joined.into_iter().collect::<Vec<_>>(), deleted);
        }
    }
}
