//! `migrate`: a Hive-style table of Glue itself becomes an Iceberg table, in place.
//!
//! Spark's procedure renames the source, which Glue cannot do. Here the entry is replaced by one conditional
//! `UpdateTable`, so that readers see the old table or the new one and never neither. Before that, in this order:
//!
//! 1. a journal is begun beside the table-to-be, with the whole entry and all its partitions as undo record;
//! 2. manifests and metadata are written for the files where they lie, in a catalog of this process's own, and
//!    checked against the source;
//! 3. the entry is copied under a backup name, with its partitions;
//! 4. the source is listed once more: where a file appeared, changed or vanished meanwhile, all this is taken back.
//!
//! A crash before the replacement leaves files that nothing refers to; after it, the next run writes down
//! that the migration is done. The partitions' own entries stay below the replaced one, where no Iceberg reader looks,
//! until the migration is finalized.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, Properties, SystemClock, TableIdent};
use calve_catalog::{Catalog, HiveTable, Metastore, Table};
use calve_lake::{FileFormat, LakeOptions, Source};
use calve_table::drop_table::discard_metadata;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::add_files::{AddFiles, DEFAULT_CONCURRENCY, Int96, OnUnsafe};
use crate::ingest::StreamError;
use crate::journal::{FailPoint, Journal, Migration, MigrationId, MigrationState, Operation};
use crate::source_files::SourceFiles;
use crate::undo::{self, Undo};
use crate::{Error, Result};

/// The table property that names the migration which made a table.
pub const MIGRATION_ID: &str = "calve.migration-id";
/// What Spark's procedure sets.
const MIGRATED: &str = "migrated";
/// How the copy of the entry is called unless told otherwise.
const BACKUP_SUFFIX: &str = "_backup_";

/// Compares the source with the table that was made over its files, before it takes the source's place. The table is
/// the one of that name in the given catalog.
pub type Proof = Arc<
    dyn Fn(Arc<dyn Catalog>, TableIdent) -> BoxFuture<'static, Result<(), StreamError>>
        + Send
        + Sync,
>;

/// What would happen.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The name under which the old entry would be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<TableIdent>,
    /// How many partition entries the undo record would hold.
    pub partitions_count: u64,
    /// The files, and the table over them.
    #[serde(flatten)]
    pub files: crate::Plan,
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The migration's id, for `rollback` and `finalize`; none where files were refused and nothing was done.
    pub migration_id: Option<MigrationId>,
    /// How many files the table has, as Spark's procedure reports.
    pub migrated_files_count: u64,
    /// How many rows they hold.
    pub migrated_records_count: u64,
    /// The folder of the journal, with the undo record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Location>,
    /// The table's current snapshot.
    pub snapshot_id: Option<i64>,
    /// The table's metadata file.
    pub metadata_location: Option<Location>,
    /// What was planned; none where an earlier run was cut off after it had replaced the entry, and this one only
    /// wrote that down.
    #[serde(flatten)]
    pub plan: Option<Plan>,
}

/// Makes an Iceberg table of a Hive-style table of Glue.
#[must_use = "nothing is migrated until this is awaited"]
#[derive(Clone)]
pub struct Migrate {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    location: Option<Location>,
    properties: Properties,
    backup: Option<TableIdent>,
    keep_backup: bool,
    on_unsafe: OnUnsafe,
    int96: Int96,
    concurrency: usize,
    proof: Option<Proof>,
    fail_point: FailPoint,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Migrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrate")
            .field("table", &self.table)
            .field("location", &self.location)
            .field("backup", &self.backup)
            .finish_non_exhaustive()
    }
}

impl Migrate {
    /// Makes an Iceberg table of `table`, a Hive-style table of the catalog.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent) -> Self {
        Self {
            catalog,
            table,
            location: None,
            properties: Properties::new(),
            backup: None,
            keep_backup: true,
            on_unsafe: OnUnsafe::default(),
            int96: Int96::default(),
            concurrency: DEFAULT_CONCURRENCY,
            proof: None,
            fail_point: FailPoint::default(),
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// Where the table keeps its metadata and its later files. Default: where the source lies, as with Spark; for
    /// a source without partitions a folder beside it (`<source>_iceberg`), since engines that still read the old entry
    /// would take everything below its location for data.
    pub fn with_location(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Further properties of the table.
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// The name under which the old entry is kept. Default: the table's, with `_backup_` after it.
    pub fn with_backup_name(mut self, backup: TableIdent) -> Self {
        self.backup = Some(backup);
        self
    }

    /// Whether the old entry is kept under another name. The undo record has it in any case. Default: yes.
    pub fn with_backup(mut self, keep: bool) -> Self {
        self.keep_backup = keep;
        self
    }

    /// What happens to files that some readers get wrong. Default: refused.
    pub fn with_on_unsafe(mut self, on_unsafe: OnUnsafe) -> Self {
        self.on_unsafe = on_unsafe;
        self
    }

    /// What INT96 timestamps are. Default: what their writer means by them.
    pub fn with_int96(mut self, int96: Int96) -> Self {
        self.int96 = int96;
        self
    }

    /// How many requests are under way at once.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Has the source compared with the new table before the entry is replaced. Counts of files and rows are
    /// checked in any case.
    pub fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Ends the process at a step, for tests: `undo_saved`, `staged`, `backed_up`, `replaced`.
    pub fn with_fail_point(mut self, fail_point: FailPoint) -> Self {
        self.fail_point = fail_point;
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The clock that dates the migration and the snapshot.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Reads every footer and decides what would happen, without writing.
    ///
    /// # Errors
    /// When the entry is none that can be migrated, or its files cannot be read.
    pub async fn plan(&self) -> Result<Plan> {
        let metastore = self.metastore()?;
        let record = metastore.load_entry(&self.table).await?;
        if record.metadata_location().is_some() {
            return Err(self.already());
        }
        let hive = self.check(metastore).await?;
        let location = self.location(&hive)?;
        let files = self
            .add_files(&self.staging(), location, None)
            .plan()
            .await?;
        Ok(Plan {
            backup: self.backup_name(),
            partitions_count: undo::count(metastore, &self.table).await?.count,
            files,
        })
    }

    fn metastore(&self) -> Result<&dyn Metastore> {
        let none = || calve_catalog::Error::NoMetastore.into();
        self.catalog.metastore().ok_or_else(none)
    }

    fn already(&self) -> Error {
        Error::CannotMigrate {
            table: self.table.clone(),
            reason: "it is an Iceberg table already".to_owned(),
        }
    }

    /// The catalog in which the table is made before it takes the entry's place.
    fn staging(&self) -> Arc<dyn Catalog> {
        calve_catalog::in_memory("staging", self.catalog.storage())
    }

    fn backup_name(&self) -> Option<TableIdent> {
        let default = || {
            let name = format!("{}{BACKUP_SUFFIX}", self.table.name());
            TableIdent::new(self.table.namespace_text(), name)
        };
        self.keep_backup
            .then(|| self.backup.clone().unwrap_or_else(default))
    }

    /// Refuses what would not be the same table afterwards: views, other formats, transactional tables, Delta, Hudi;
    /// buckets.
    async fn check(&self, metastore: &dyn Metastore) -> Result<HiveTable> {
        let hive = metastore.load_hive_table(&self.table).await?;
        calve_lake::check_entry(&hive, FileFormat::Parquet)?;
        if hive.buckets > 0 {
            let buckets = hive.buckets;
            return Err(Error::CannotMigrate {
                table: self.table.clone(),
                reason: format!(
                    "it is bucketed ({buckets} buckets), and an Iceberg table over its files would not be"
                ),
            });
        }
        Ok(hive)
    }

    fn location(&self, hive: &HiveTable) -> Result<Location> {
        if let Some(location) = &self.location {
            return Ok(location.clone());
        }
        let source = hive.location.as_ref().ok_or_else(|| Error::CannotMigrate {
            table: self.table.clone(),
            reason: "its entry has no location".to_owned(),
        })?;
        let folder = source.as_str().trim_end_matches('/');
        let text = if hive.partition_keys.is_empty() {
            format!("{folder}_iceberg")
        } else {
            folder.to_owned()
        };
        Location::parse(text).map_err(|source| calve_table::Error::from(source).into())
    }

    fn add_files(
        &self,
        staging: &Arc<dyn Catalog>,
        location: Location,
        id: Option<&MigrationId>,
    ) -> AddFiles {
        let source = self.source();
        let mut properties = self.properties.clone();
        properties.insert(MIGRATED.to_owned(), "true".to_owned());
        properties.extend(id.map(|id| (MIGRATION_ID.to_owned(), id.to_string())));
        AddFiles::new(Arc::clone(staging), source, self.table.clone())
            .with_location(location)
            .with_properties(properties)
            .with_on_unsafe(self.on_unsafe)
            .with_int96(self.int96)
            .with_concurrency(self.concurrency)
            .with_progress(Arc::clone(&self.progress))
            .with_clock(Arc::clone(&self.clock))
    }
}

impl IntoFuture for Migrate {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await })
    }
}

impl Migrate {
    async fn run(&self) -> Result<Report> {
        let metastore = self.metastore()?;
        let record = metastore.load_entry(&self.table).await?;
        if record.metadata_location().is_some() {
            return self.write_down().await;
        }
        let hive = self.check(metastore).await?;
        let location = self.location(&hive)?;
        self.abandon_unfinished(&location).await?;
        let id = MigrationId::new(Operation::Migrate, self.table.clone(), self.clock.as_ref());
        let mut undo = Undo {
            entry: Some(record),
            backup: self.backup_name(),
            ..Undo::default()
        };
        let source = format!("glue:{}", self.table);
        let migration = Migration::new(id, source, self.clock.as_ref()).with_undo(undo.document());
        let storage = self.catalog.storage();
        let mut journal = Journal::create(storage, &location, migration).await?;
        undo.partitions = undo::save(metastore, &self.table, &journal).await?;
        undo.write(&mut journal, MigrationState::Running, self.clock.as_ref())
            .await?;
        self.fail_point.reach("undo_saved");
        let before = self.list_source().await?;
        let staged = self.stage(location, &journal, &mut undo).await;
        match staged {
            Ok((files, Some(_))) => {
                self.replace(metastore, journal, undo, (files, before))
                    .await
            }
            Ok((files, None)) => {
                self.give_up(&undo, &mut journal).await?;
                Ok(nothing(files, &undo))
            }
            Err(error) => {
                self.give_up(&undo, &mut journal).await?;
                Err(error)
            }
        }
    }

    /// Writes the table's metadata over the files where they lie, and checks it. `None` where files were refused.
    async fn stage(
        &self,
        location: Location,
        journal: &Journal,
        undo: &mut Undo,
    ) -> Result<(crate::Report, Option<Table>)> {
        let staging = self.staging();
        let operation = self.add_files(&staging, location, Some(journal.id()));
        let report = operation.await?;
        if report.metadata_location.is_none() {
            return Ok((report, None));
        }
        // What a reader would read: not what this process remembers.
        let table = staging.load_table(&self.table).await?;
        undo.staged = Some(table.metadata_location().clone());
        let expected = (
            report.plan.added_files_count,
            report.plan.added_records_count,
        );
        let files = total(&table, "total-data-files");
        let rows = total(&table, "total-records");
        if (files, rows) != expected {
            let message = format!(
                "the table has {files} files with {rows} rows, the source {} with {}",
                expected.0, expected.1
            );
            return Err(self.not_proven(message.into()));
        }
        if let Some(proof) = &self.proof {
            proof(Arc::clone(&staging), self.table.clone())
                .await
                .map_err(|source| self.not_proven(source))?;
        }
        Ok((report, Some(table)))
    }

    fn not_proven(&self, source: StreamError) -> Error {
        Error::NotProven {
            table: self.table.clone(),
            source,
        }
    }

    /// Copies the entry, then replaces it.
    async fn replace(
        &self,
        metastore: &dyn Metastore,
        mut journal: Journal,
        undo: Undo,
        (files, before): (crate::Report, SourceFiles),
    ) -> Result<Report> {
        undo.write(&mut journal, MigrationState::Running, self.clock.as_ref())
            .await?;
        self.fail_point.reach("staged");
        if let Some(backup) = &undo.backup {
            undo::back_up(metastore, backup, &undo, &journal).await?;
        }
        self.fail_point.reach("backed_up");
        let staged = match self.staged(metastore, &undo, &before).await {
            Ok(staged) => staged,
            Err(error) => {
                undo::drop_backup(metastore, &undo).await?;
                self.give_up(&undo, &mut journal).await?;
                return Err(error);
            }
        };
        let replaced = self
            .catalog
            .replace_entry(&self.table, undo.entry()?, &staged)
            .await;
        let table = match replaced {
            Ok(table) => table,
            Err(error) => {
                if !matches!(error, calve_catalog::Error::CommitStateUnknown { .. }) {
                    undo::drop_backup(metastore, &undo).await?;
                    self.give_up(&undo, &mut journal).await?;
                }
                return Err(error.into());
            }
        };
        self.fail_point.reach("replaced");
        undo.write(&mut journal, MigrationState::Done, self.clock.as_ref())
            .await?;
        Ok(Report {
            migration_id: Some(journal.id().clone()),
            migrated_files_count: files.plan.added_files_count,
            migrated_records_count: files.plan.added_records_count,
            undo: Some(journal.folder().clone()),
            snapshot_id: files.snapshot_id,
            metadata_location: Some(table.metadata_location().clone()),
            plan: Some(Plan {
                backup: undo.backup,
                partitions_count: undo.partitions.count,
                files: files.plan,
            }),
        })
    }

    /// The metadata file that may take the entry's place: if the source still is what it was made of. What is
    /// written between this look and the replacement itself, by a writer that does not know of it, is not seen.
    async fn staged(
        &self,
        metastore: &dyn Metastore,
        undo: &Undo,
        before: &SourceFiles,
    ) -> Result<Location> {
        let changed = |change: String| Error::EntryChanged {
            source_name: format!("glue:{}", self.table),
            change,
        };
        let now = undo::count(metastore, &self.table).await?;
        let partitions = "partitions were added, changed or taken away";
        let (Some(staged), true) = (&undo.staged, now.same_as(undo.partitions)) else {
            return Err(changed(partitions.to_owned()));
        };
        let storage = self.catalog.storage();
        let change = before.change(storage, self.source(), self.lake_options());
        match change.await? {
            Some(change) => Err(changed(change)),
            None => Ok(staged.clone()),
        }
    }

    async fn list_source(&self) -> Result<SourceFiles> {
        SourceFiles::list(self.catalog.storage(), self.source(), self.lake_options()).await
    }

    fn source(&self) -> Source {
        Source::HiveTable {
            metastore: Arc::clone(&self.catalog),
            ident: self.table.clone(),
        }
    }

    fn lake_options(&self) -> LakeOptions {
        LakeOptions {
            concurrency: self.concurrency,
            clock: Arc::clone(&self.clock),
            ..LakeOptions::default()
        }
    }

    /// The entry is an Iceberg table: because an earlier run was cut off after it had replaced it, or for another
    /// reason.
    async fn write_down(&self) -> Result<Report> {
        let table = self.catalog.load_table(&self.table).await?;
        let metadata = table.metadata();
        let id = metadata.properties().get(MIGRATION_ID);
        let Some(id) = id.and_then(|id| id.parse::<MigrationId>().ok()) else {
            return Err(self.already());
        };
        let location = Location::parse(metadata.location()).map_err(calve_table::Error::from)?;
        let mut journal = Journal::open(self.catalog.storage(), &location, &id).await?;
        if id.operation() != Operation::Migrate
            || journal.migration().state != MigrationState::Running
        {
            return Err(self.already());
        }
        let undo = Undo::read(&journal)?;
        undo.write(&mut journal, MigrationState::Done, self.clock.as_ref())
            .await?;
        Ok(Report {
            migration_id: Some(id),
            migrated_files_count: total(&table, "total-data-files"),
            migrated_records_count: total(&table, "total-records"),
            undo: Some(journal.folder().clone()),
            snapshot_id: metadata.current_snapshot_id(),
            metadata_location: Some(table.metadata_location().clone()),
            plan: None,
        })
    }

    /// Writes down that runs which were cut off before they replaced the entry came to nothing.
    async fn abandon_unfinished(&self, location: &Location) -> Result<()> {
        let storage = self.catalog.storage();
        for migration in Journal::list(storage, location).await? {
            let is_ours = migration.id.operation() == Operation::Migrate
                && *migration.id.table() == self.table
                && migration.state == MigrationState::Running;
            if !is_ours {
                continue;
            }
            let mut journal = Journal::open(storage, location, &migration.id).await?;
            let undo = Undo::read(&journal)?;
            self.give_up(&undo, &mut journal).await?;
        }
        Ok(())
    }

    /// Writes down that the migration came to nothing, and deletes the metadata that was written for it.
    async fn give_up(&self, undo: &Undo, journal: &mut Journal) -> Result<()> {
        if let Some(staged) = &undo.staged {
            discard_metadata(self.catalog.storage(), staged).await?;
        }
        undo.write(journal, MigrationState::RolledBack, self.clock.as_ref())
            .await
    }
}

/// The report of a run that found files which cannot be read in place.
fn nothing(files: crate::Report, undo: &Undo) -> Report {
    Report {
        migration_id: None,
        migrated_files_count: 0,
        migrated_records_count: 0,
        undo: None,
        snapshot_id: None,
        metadata_location: None,
        plan: Some(Plan {
            backup: None,
            partitions_count: undo.partitions.count,
            files: files.plan,
        }),
    }
}

/// A number of the current snapshot's summary.
fn total(table: &Table, key: &str) -> u64 {
    let snapshot = table.metadata().current_snapshot();
    let number = snapshot
        .and_then(|snapshot| snapshot.summary().additional_properties.get(key))
        .and_then(|text| text.parse().ok());
    number.unwrap_or_default()
}
