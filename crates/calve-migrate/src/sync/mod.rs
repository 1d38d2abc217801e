//! Keeps a table in step with a lake that goes on changing: what appeared is added, what changed or
//! vanished is reported, and, when asked, added anew or removed.
//!
//! The table remembers what the source looked like: a fingerprint of sixteen bytes a file beside its
//! metadata, and one number for the whole listing in its properties. A run lists the source once and
//! adds up what it sees; when that comes to the same number, it is over: nothing else is read. Otherwise
//! each file is compared with the fingerprint, and only the footers of new and changed files are read.
//! Everything is committed in one snapshot, with the new fingerprint. A source that lists no data file
//! at all is an error, so that a folder that is out of reach for a while empties no table.
//!
//! A file counts as changed when its size, its entity tag or the time of its last change differ. Where
//! others commit at the same time so that the run's findings are outdated, it starts again.

pub(crate) mod fingerprint;
mod memory;
mod tracker;

use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use calve_base::{Clock, Location, NoProgress, Progress, SystemClock, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_lake::Source;
use calve_table::{DEFAULT_MANIFEST_CONCURRENCY, FileSet};
use futures::future::BoxFuture;

use crate::add_files::{DEFAULT_CONCURRENCY, Selection};
use crate::copied::{Part, check_not_copied};
use crate::journal::FailPoint;
use crate::{
    AddFiles, DuplicateFiles, Error, Int96, OnRefused, OnUnsafe, Refused, Result, add_files,
};
use memory::SourceMemory;
use tracker::{Known, State, Tracker};

/// How often a run starts again when others change the table.
const RUNS: u32 = 4;

/// What becomes of files that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnChanged {
    /// They are reported; the table goes on describing them as they were.
    #[default]
    Keep,
    /// They are removed from the table, and added as they are now.
    Replace,
}

/// What becomes of files that vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDeleted {
    /// They are reported; the table goes on naming them.
    #[default]
    Keep,
    /// They are removed from the table.
    Remove,
}

/// What a run would do, or did. Lists are cut at [`crate::REPORT_LIST_LIMIT`] entries; counts are not.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The table.
    pub table: TableIdent,
    /// Whether the source lists as it did when the table was last in step with it, so that nothing
    /// else was looked at.
    pub up_to_date: bool,
    /// The new snapshot; none where no file was added or removed.
    pub snapshot_id: Option<i64>,
    /// The table's metadata file after the run; none where there is no table.
    pub metadata_location: Option<Location>,
    /// Number of files added, those that were replaced among them.
    pub added_files_count: u64,
    /// Number of rows in them.
    pub added_records_count: u64,
    /// Number of files that are as they were.
    pub unchanged_files_count: u64,
    /// Number of files that changed.
    pub changed_files_count: u64,
    /// The files that changed.
    pub changed_files: Vec<Location>,
    /// How many of them were added anew.
    pub replaced_files_count: u64,
    /// Number of files that the table has and the source has not any more.
    pub missing_files_count: u64,
    /// These files.
    pub missing_files: Vec<Location>,
    /// How many of them were removed from the table.
    pub removed_files_count: u64,
    /// Number of files that cannot be added.
    pub refused_count: u64,
    /// The files that cannot be added, and why.
    pub refused: Vec<Refused>,
    /// What the user should know, one sentence each.
    pub notes: Vec<String>,
}

/// Brings a table in step with a lake.
#[must_use = "nothing is synchronized until this is awaited"]
#[derive(Debug, Clone)]
pub struct Sync {
    catalog: Arc<dyn Catalog>,
    source: Source,
    table: TableIdent,
    on_changed: OnChanged,
    on_deleted: OnDeleted,
    on_unsafe: OnUnsafe,
    on_refused: OnRefused,
    int96: Int96,
    allow_extra_columns: bool,
    create: bool,
    concurrency: usize,
    fail_point: FailPoint,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

impl Sync {
    /// Brings `table` in step with `source`: the table is created if it is missing; what changed or
    /// vanished is only reported.
    pub fn new(catalog: Arc<dyn Catalog>, source: Source, table: TableIdent) -> Self {
        Self {
            catalog,
            source,
            table,
            on_changed: OnChanged::default(),
            on_deleted: OnDeleted::default(),
            on_unsafe: OnUnsafe::default(),
            on_refused: OnRefused::default(),
            int96: Int96::default(),
            allow_extra_columns: false,
            create: true,
            concurrency: DEFAULT_CONCURRENCY,
            fail_point: FailPoint::default(),
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// What becomes of files that changed.
    pub fn with_on_changed(mut self, on_changed: OnChanged) -> Self {
        self.on_changed = on_changed;
        self
    }

    /// What becomes of files that vanished.
    pub fn with_on_deleted(mut self, on_deleted: OnDeleted) -> Self {
        self.on_deleted = on_deleted;
        self
    }

    /// What happens to new files that some readers get wrong. Default: refused.
    pub fn with_on_unsafe(mut self, on_unsafe: OnUnsafe) -> Self {
        self.on_unsafe = on_unsafe;
        self
    }

    /// What happens to the rest when a file is refused. Default: nothing is committed.
    pub fn with_on_refused(mut self, on_refused: OnRefused) -> Self {
        self.on_refused = on_refused;
        self
    }

    /// What INT96 timestamps are. Default: what their writer means by them.
    pub fn with_int96(mut self, int96: Int96) -> Self {
        self.int96 = int96;
        self
    }

    /// Whether files may have columns that the table lacks (they stay unread). Default: no.
    pub fn with_extra_columns(mut self, allow: bool) -> Self {
        self.allow_extra_columns = allow;
        self
    }

    /// Whether a missing table is created. Default: yes.
    pub fn with_create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How many requests are under way at once. Default: [`DEFAULT_CONCURRENCY`].
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Ends the process at a step on purpose: `listed`, `remembered` or `committed`.
    pub fn with_fail_point(mut self, fail_point: FailPoint) -> Self {
        self.fail_point = fail_point;
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The clock that dates the snapshot.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Finds what appeared, changed and vanished, and reads the footers of what would be added,
    /// without writing.
    ///
    /// # Errors
    /// When the source or the table cannot be read, or do not fit together.
    pub async fn plan(&self) -> Result<Report> {
        match Box::pin(self.prepare()).await? {
            Prepared::UpToDate(table) => Ok(self.up_to_date(&table)),
            Prepared::Compare(tracker, table) => {
                let plan = self.add_files(&tracker).plan().await?;
                let report = add_files::Report {
                    snapshot_id: None,
                    metadata_location: table.map(|it| it.metadata_location().clone()),
                    plan,
                };
                Ok(self.report(report, &tracker))
            }
        }
    }
}

impl IntoFuture for Sync {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            for run in 1.. {
                match Box::pin(self.run()).await {
                    Err(error) if run < RUNS && is_outdated(&error) => {
                        tracing::info!(%error, "others changed the table: once more");
                    }
                    outcome => return outcome,
                }
            }
            unreachable!("the last run's outcome is returned")
        })
    }
}

/// What there is to do.
enum Prepared {
    UpToDate(Table),
    Compare(Arc<Tracker>, Option<Table>),
}

impl Sync {
    async fn run(&self) -> Result<Report> {
        let (tracker, before) = match self.prepare().await? {
            Prepared::UpToDate(table) => return Ok(self.up_to_date(&table)),
            Prepared::Compare(tracker, table) => {
                let before = table.and_then(|table| tracker.memory.fingerprint_of(&table));
                (tracker, before)
            }
        };
        self.fail_point.reach("listed");
        let outcome = self.add_files(&tracker).await;
        if outcome.is_ok() {
            self.fail_point.reach("committed");
        }
        let written = tracker.lock().written.take();
        match outcome {
            Ok(report) => {
                // What an earlier run left is of no use now.
                if let (Some(_), Some(before)) = (written, before) {
                    tracker.memory.forget(&before).await;
                }
                Ok(self.report(report, &tracker))
            }
            Err(error) => {
                if let (Some(written), false) = (written, may_have_landed(&error)) {
                    tracker.memory.forget(&written).await;
                }
                Err(error)
            }
        }
    }

    /// Lists the source, and finds what is known of it.
    async fn prepare(&self) -> Result<Prepared> {
        let table = match self.catalog.load_table(&self.table).await {
            Ok(table) => Some(table),
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. },
            ) => None,
            Err(error) => return Err(error.into()),
        };
        let location = match &table {
            Some(table) => {
                check_not_copied(table, &self.source, Part::Any).await?;
                None
            }
            None => Some(self.catalog.default_location(&self.table).await?),
        };
        let mut memory =
            SourceMemory::new(self.catalog.storage(), &self.source).with_table_location(location);
        memory.list(&self.source).await?;
        let known = match &table {
            Some(table) if memory.is_in_step(table) => {
                return Ok(Prepared::UpToDate(table.clone()));
            }
            Some(table) => match memory.recall(table).await {
                Some(fingerprint) => Known::Fingerprint(fingerprint),
                None => Known::Table(FileSet::of_table(table, DEFAULT_MANIFEST_CONCURRENCY).await?),
            },
            None => Known::Table(FileSet::new()),
        };
        let tracker = Tracker {
            known,
            root: match &self.source {
                Source::Location(location) => Some(location.clone()),
                Source::HiveTable { .. } => None,
            },
            on_changed: self.on_changed,
            on_deleted: self.on_deleted,
            memory,
            fail_point: self.fail_point.clone(),
            state: Mutex::new(State::default()),
        };
        Ok(Prepared::Compare(Arc::new(tracker), table))
    }

    /// The operation that reads footers and commits.
    fn add_files(&self, tracker: &Arc<Tracker>) -> AddFiles {
        let tracker = Arc::clone(tracker);
        AddFiles::new(
            Arc::clone(&self.catalog),
            self.source.clone(),
            self.table.clone(),
        )
        .with_selection(tracker as Arc<dyn Selection>)
        .with_duplicates(DuplicateFiles::Skip)
        .with_on_unsafe(self.on_unsafe)
        .with_on_refused(self.on_refused)
        .with_int96(self.int96)
        .with_extra_columns(self.allow_extra_columns)
        .with_create(self.create)
        .with_concurrency(self.concurrency)
        .with_progress(Arc::clone(&self.progress))
        .with_clock(Arc::clone(&self.clock))
    }

    fn up_to_date(&self, table: &Table) -> Report {
        Report {
            table: self.table.clone(),
            up_to_date: true,
            snapshot_id: None,
            metadata_location: Some(table.metadata_location().clone()),
            added_files_count: 0,
            added_records_count: 0,
            unchanged_files_count: 0,
            changed_files_count: 0,
            changed_files: Vec::new(),
            replaced_files_count: 0,
            missing_files_count: 0,
            missing_files: Vec::new(),
            removed_files_count: 0,
            refused_count: 0,
            refused: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn report(&self, added: add_files::Report, tracker: &Tracker) -> Report {
        let state = tracker.lock();
        let plan = added.plan;
        Report {
            table: self.table.clone(),
            up_to_date: false,
            snapshot_id: added.snapshot_id,
            metadata_location: added.metadata_location,
            added_files_count: plan.added_files_count,
            added_records_count: plan.added_records_count,
            unchanged_files_count: state.unchanged_count,
            changed_files_count: state.changed.count,
            changed_files: state.changed.first.clone(),
            replaced_files_count: state.replaced_count,
            missing_files_count: state.missing.count,
            missing_files: state.missing.first.clone(),
            removed_files_count: state.removed_count,
            refused_count: plan.refused_count,
            refused: plan.refused,
            notes: plan.notes,
        }
    }
}

impl Report {
    /// Whether the table is in step with the source now.
    pub fn is_in_step(&self) -> bool {
        self.refused_count == 0
            && self.replaced_files_count >= self.changed_files_count
            && self.removed_files_count >= self.missing_files_count
    }
}

/// Whether an error says that others changed the table, so that another run finds what there is now.
fn is_outdated(error: &Error) -> bool {
    matches!(
        error,
        Error::TargetChanged { .. }
            | Error::Duplicates { .. }
            | Error::Table(
                calve_table::Error::Duplicates { .. }
                    | calve_table::Error::FilesGone { .. }
                    | calve_table::Error::NewDeletes { .. }
                    | calve_table::Error::Catalog(calve_catalog::Error::CommitConflict { .. })
            )
    )
}

/// Whether a commit may have taken place although it failed.
fn may_have_landed(error: &Error) -> bool {
    matches!(error, Error::Table(error) if error.is_outcome_unknown())
}
