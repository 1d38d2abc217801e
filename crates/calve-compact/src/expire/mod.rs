//! `expire_snapshots`: snapshots that nobody needs any more go, and the files with them that nothing else reaches.
//!
//! The metadata change is committed first; what expires is decided anew on each base that the commit is tried on.
//! Only then, against the table as it is after the commit, are files looked for and deleted. Nothing is deleted
//! while the outcome of the commit is unknown.

mod decision;
mod retention;

use std::collections::{BTreeMap, HashSet};
use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, NoProgress, Progress, SystemClock, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_table::drop_table::FailedFile;
use calve_table::{Transaction, statistics_files};
use futures::FutureExt;
use futures::future::BoxFuture;

pub use retention::{DEFAULT_MAX_SNAPSHOT_AGE_MS, DEFAULT_MIN_SNAPSHOTS_TO_KEEP, ExpiryReason};

use crate::clean_up::{CleanUp, FileKind, Found, UnreachableFile, delete_files};
use crate::{Error, Result};
use decision::{Decider, Decision, check_owner};
use retention::Wanted;

/// How many files are read or deleted at once, unless said otherwise.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// What an expiry did. The counts are called as Spark's.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Files of rows that are gone.
    pub deleted_data_files_count: u64,
    /// Files of position deletes, or of deletion vectors, that are gone.
    pub deleted_position_delete_files_count: u64,
    /// Files of equality deletes that are gone.
    pub deleted_equality_delete_files_count: u64,
    /// Manifests that are gone.
    pub deleted_manifest_files_count: u64,
    /// Manifest lists that are gone.
    pub deleted_manifest_lists_count: u64,
    /// Statistics files that are gone, those of partitions too.
    pub deleted_statistics_files_count: u64,
    /// The snapshots that expired, the oldest first.
    pub expired_snapshot_ids: Vec<i64>,
    /// Branches and tags that expired.
    pub removed_references: Vec<String>,
    /// Schemas that no snapshot has any more, and that were taken out.
    pub removed_schema_ids: Vec<i32>,
    /// Partition specs that no file has any more, and that were taken out.
    pub removed_spec_ids: Vec<i32>,
    /// Files that could not be read or deleted: they are left to `remove-orphans`.
    pub failed: Vec<FailedFile>,
}

/// What an expiry would do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// The snapshots that expire, the oldest first.
    pub snapshots: Vec<ExpiredSnapshot>,
    /// Branches and tags that expire.
    pub references: Vec<String>,
    /// Schemas that are taken out.
    pub schema_ids: Vec<i32>,
    /// Partition specs that are taken out.
    pub spec_ids: Vec<i32>,
    /// How many files are deleted, by what they hold.
    pub files_by_kind: BTreeMap<FileKind, u64>,
    /// The files that are deleted, each with a snapshot that leads to it.
    pub files: Vec<UnreachableFile>,
    /// Metadata of expired snapshots that cannot be read.
    pub failed: Vec<FailedFile>,
}

/// A snapshot that expires.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ExpiredSnapshot {
    /// Its id.
    pub snapshot_id: i64,
    /// When it was committed, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// What kind of change it was.
    pub operation: String,
    /// Why it expires.
    pub reason: ExpiryReason,
}

/// Which files go with the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CleanUpLevel {
    /// All that nothing else reaches.
    #[default]
    All,
    /// Manifests, their lists and statistics: data and delete files stay where they are.
    MetadataOnly,
    /// None. It is all that a table may do that does not own its files.
    None,
}

/// Expires snapshots of one table.
///
/// Without further word, those older than the table's `history.expire.max-snapshot-age-ms` (5 days) go, but for the
/// newest `history.expire.min-snapshots-to-keep` (1) of each branch, and what a tag names.
#[derive(Debug, Clone)]
#[must_use = "nothing expires until this is awaited"]
pub struct ExpireSnapshots {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    wanted: Wanted,
    level: CleanUpLevel,
    cleans_metadata: bool,
    concurrency: usize,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

impl ExpireSnapshots {
    /// Starts with what the table's properties say.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent) -> Self {
        Self {
            catalog,
            table,
            wanted: Wanted::default(),
            level: CleanUpLevel::default(),
            cleans_metadata: false,
            concurrency: DEFAULT_CONCURRENCY,
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// Lets snapshots from before this time expire, in milliseconds since the epoch, where a branch has no limit of
    /// its own. Of several calls, the last holds.
    pub fn with_older_than_ms(mut self, older_than_ms: i64) -> Self {
        self.wanted.older_than_ms = Some(older_than_ms);
        self
    }

    /// Keeps so many snapshots of each branch, however old, where it has no number of its own. At least 1.
    pub fn with_retain_last(mut self, snapshots: u64) -> Self {
        self.wanted.retain_last = Some(snapshots);
        self
    }

    /// Lets a snapshot expire, however young. May be called several times.
    pub fn with_snapshot_id(mut self, snapshot_id: i64) -> Self {
        self.wanted.snapshot_ids.insert(snapshot_id);
        self
    }

    /// Says which files go with the snapshots.
    pub fn with_clean_up(mut self, level: CleanUpLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets whether schemas and partition specs that nothing needs any more are taken out. Default: no.
    pub fn with_clean_expired_metadata(mut self, cleans_metadata: bool) -> Self {
        self.cleans_metadata = cleans_metadata;
        self
    }

    /// Sets how many files are read or deleted at once.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Sets who hears how far the run is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Replaces the machine's clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Says what would expire, and which files would go.
    ///
    /// # Errors
    /// When a snapshot cannot expire that is named, the table does not own its files, or metadata cannot be read.
    pub async fn plan(&self) -> Result<Plan> {
        let (table, decider) = self.prepare().await?;
        let metadata = table.metadata();
        let decision = decider.decide(metadata)?;
        let found = self.find(&table, &decision, true).await?;
        let mut files_by_kind = BTreeMap::new();
        for file in &found.files {
            *files_by_kind.entry(file.kind).or_default() += 1;
        }
        let snapshots = decision.expiry.snapshots.iter();
        Ok(Plan {
            table: self.table.clone(),
            snapshots: snapshots
                .map(|(snapshot, reason)| ExpiredSnapshot {
                    snapshot_id: snapshot.snapshot_id(),
                    timestamp_ms: snapshot.timestamp_ms(),
                    operation: snapshot.summary().operation.as_str().to_owned(),
                    reason: *reason,
                })
                .collect(),
            references: decision.expiry.references,
            schema_ids: decision.schema_ids,
            spec_ids: decision.spec_ids,
            files_by_kind,
            files: found.files,
            failed: found.failed,
        })
    }

    /// Loads the table, and all that is needed to decide.
    async fn prepare(&self) -> Result<(Table, Arc<Decider>)> {
        if self.wanted.retain_last == Some(0) {
            return Err(Error::Option {
                name: "retain_last".to_owned(),
                value: "0".to_owned(),
                problem: "at least one snapshot stays".to_owned(),
            });
        }
        let table = self.catalog.load_table(&self.table).await?;
        for id in &self.wanted.snapshot_ids {
            if table.metadata().snapshot_by_id(*id).is_none() {
                return Err(calve_table::Error::NoSnapshot {
                    ident: self.table.clone(),
                    wanted: id.to_string(),
                }
                .into());
            }
        }
        let decider = Decider::new(self);
        decider.look_at(&table).await?;
        Ok((table, Arc::new(decider)))
    }

    /// Finds the files of what expires that the table does not reach. `is_planned` where the table still has the
    /// snapshots that are to expire.
    async fn find(&self, table: &Table, decision: &Decision, is_planned: bool) -> Result<Found> {
        if self.level == CleanUpLevel::None {
            return Ok(Found::default());
        }
        let metadata = table.metadata();
        let ids: HashSet<i64> = decision.expiry.snapshot_ids().into_iter().collect();
        let stays =
            |id: i64| metadata.snapshot_by_id(id).is_some() && !(is_planned && ids.contains(&id));
        let kept: HashSet<String> = statistics_files(metadata)
            .into_iter()
            .filter(|(id, _)| stays(*id))
            .map(|(_, path)| path)
            .collect();
        let snapshots = decision
            .expiry
            .snapshots
            .iter()
            .map(|(snapshot, _)| snapshot);
        let statistics = decision.statistics.iter();
        CleanUp {
            storage: table.storage().clone(),
            expired: snapshots
                .filter(|snapshot| !stays(snapshot.snapshot_id()))
                .cloned()
                .collect(),
            retained: metadata
                .snapshots()
                .filter(|snapshot| stays(snapshot.snapshot_id()))
                .cloned()
                .collect(),
            statistics: statistics
                .filter(|(_, path)| !kept.contains(path))
                .cloned()
                .collect(),
            takes_data: self.level == CleanUpLevel::All,
            concurrency: self.concurrency,
        }
        .find()
        .await
    }

    async fn run(self) -> Result<Report> {
        let (table, decider) = self.prepare().await?;
        let decision = self.commit(table, decider).await?;
        let mut report = Report {
            expired_snapshot_ids: decision.expiry.snapshot_ids(),
            removed_references: decision.expiry.references.clone(),
            removed_schema_ids: decision.schema_ids.clone(),
            removed_spec_ids: decision.spec_ids.clone(),
            ..Report::default()
        };
        if let Err(error) = self.clean_up(&decision, &mut report).await {
            return Err(Error::CleanUp {
                table: self.table.clone(),
                snapshots: report.expired_snapshot_ids.len(),
                source: Box::new(error),
            });
        }
        Ok(report)
    }

    /// Commits what expires of the table as it is. Returns what was decided on the base that the commit took.
    async fn commit(&self, table: Table, decider: Arc<Decider>) -> Result<Decision> {
        let (change, look) = (Arc::clone(&decider), Arc::clone(&decider));
        let committed = Transaction::new(Arc::clone(&self.catalog), table)
            .with_metadata_change(Arc::new(move |base, builder| change.apply(base, builder)))
            .with_revalidation(Arc::new(move |_, now| {
                let look = Arc::clone(&look);
                async move {
                    let looked = look.look_at(&now).await;
                    looked.map_err(calve_table::Error::rejected)
                }
                .boxed()
            }))
            .await;
        let decision = decider.decided();
        match committed {
            Ok(_) => Ok(decision),
            Err(error) if error.is_outcome_unknown() => {
                // A table without the snapshots settles it, whoever took them out.
                let now = self.catalog.load_table(&self.table).await;
                let is_settled = now.is_ok_and(|now| {
                    let ids = decision.expiry.snapshot_ids();
                    !ids.is_empty()
                        && ids
                            .iter()
                            .all(|id| now.metadata().snapshot_by_id(*id).is_none())
                });
                if is_settled {
                    Ok(decision)
                } else {
                    Err(error.into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the files of what expired that the table as it is now does not reach.
    async fn clean_up(&self, decision: &Decision, report: &mut Report) -> Result<()> {
        if decision.expiry.snapshots.is_empty() || self.level == CleanUpLevel::None {
            return Ok(());
        }
        // Others may have committed since, and may even have put a snapshot back.
        let now = self.catalog.load_table(&self.table).await?;
        check_owner(&self.table, now.metadata())?;
        let found = self.find(&now, decision, false).await?;
        report.failed = found.failed;
        let files = found.files.into_iter().map(|file| {
            tracing::debug!(file = %file.file, kind = ?file.kind, snapshot_id = file.snapshot_id, "deleted: only an expired snapshot leads to it");
            (file.kind, file.file)
        });
        let failed = delete_files(
            now.storage(),
            files,
            self.concurrency,
            self.progress.as_ref(),
            |kind| *report.count_of(kind) += 1,
        )
        .await;
        report.failed.extend(failed);
        Ok(())
    }
}

impl Report {
    fn count_of(&mut self, kind: FileKind) -> &mut u64 {
        match kind {
            FileKind::Data => &mut self.deleted_data_files_count,
            FileKind::PositionDeletes => &mut self.deleted_position_delete_files_count,
            FileKind::EqualityDeletes => &mut self.deleted_equality_delete_files_count,
            FileKind::Manifest => &mut self.deleted_manifest_files_count,
            FileKind::ManifestList => &mut self.deleted_manifest_lists_count,
            FileKind::Statistics => &mut self.deleted_statistics_files_count,
        }
    }
}

impl IntoFuture for ExpireSnapshots {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
