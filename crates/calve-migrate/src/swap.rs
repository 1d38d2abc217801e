//! `swap`: a table takes the name of another, which is kept under a backup name.
//!
//! * SQL catalogs: both names change in one transaction.
//! * Glue has no renames, and deleting an entry to make it anew would leave readers without a table. So the source's
//!   own entry, whether it is a Hive-style table or an Iceberg one, is replaced by one conditional `UpdateTable`; before
//!   that it is copied under the backup name, and after it the entry of the table that took its place goes.
//! * Other catalogs: refused.
//!
//! The journal lies beside the metadata of the table that takes the name.

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, SystemClock, TableIdent};
use calve_catalog::{Catalog, Error as CatalogError, Metastore, Table};
use futures::future::BoxFuture;
use serde::Serialize;

use crate::journal::{FailPoint, Journal, Migration, MigrationId, MigrationState, Operation};
use crate::undo::{self, Shadow, Undo};
use crate::{Error, Result};

/// How the source is called afterwards, unless told otherwise.
const BACKUP_SUFFIX: &str = "_backup_";

/// What would happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The name that changes its table.
    pub table: TableIdent,
    /// The table that takes the name, and loses its own.
    pub takes_over: TableIdent,
    /// The name under which the source is kept.
    pub backup: TableIdent,
    /// How many partition entries the source has.
    pub partitions_count: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The migration's id, for `rollback` and `finalize`.
    pub migration_id: MigrationId,
    /// The folder of the journal, with the undo record.
    pub undo: Location,
    /// The metadata file that the name points to now.
    pub metadata_location: Location,
    /// What was planned.
    #[serde(flatten)]
    pub plan: Plan,
}

/// Gives a table the name of another one.
#[must_use = "nothing is swapped until this is awaited"]
#[derive(Debug, Clone)]
pub struct Swap {
    catalog: Arc<dyn Catalog>,
    old: TableIdent,
    new: TableIdent,
    backup: TableIdent,
    fail_point: FailPoint,
    clock: Arc<dyn Clock>,
}

impl Swap {
    /// Gives `new` the name `old`.
    pub fn new(catalog: Arc<dyn Catalog>, old: TableIdent, new: TableIdent) -> Self {
        let name = format!("{}{BACKUP_SUFFIX}", old.name());
        Self {
            catalog,
            backup: TableIdent::new(old.namespace_text(), name),
            old,
            new,
            fail_point: FailPoint::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// How the source is called afterwards. Default: its name, with `_backup_` after it.
    pub fn with_backup_name(mut self, backup: TableIdent) -> Self {
        self.backup = backup;
        self
    }

    /// Ends the process at a step, for tests: `undo_saved`, `backed_up`, `replaced`, `shadow_dropped`.
    pub fn with_fail_point(mut self, fail_point: FailPoint) -> Self {
        self.fail_point = fail_point;
        self
    }

    /// The clock that dates the journal.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Looks what would happen, without doing it.
    ///
    /// # Errors
    /// When one of the tables is missing, or the backup name is taken.
    pub async fn plan(&self) -> Result<Plan> {
        self.catalog.load_table(&self.new).await?;
        let Some(metastore) = self.catalog.metastore() else {
            self.catalog.load_table(&self.old).await?;
            return Ok(self.describe(0));
        };
        metastore.load_entry(&self.old).await?;
        let partitions = undo::count(metastore, &self.old).await?;
        Ok(self.describe(partitions.count))
    }

    fn describe(&self, partitions_count: u64) -> Plan {
        Plan {
            table: self.old.clone(),
            takes_over: self.new.clone(),
            backup: self.backup.clone(),
            partitions_count,
        }
    }
}

impl IntoFuture for Swap {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await })
    }
}

/// The folder that a table lies in.
fn location_of(table: &Table) -> Result<Location> {
    let location = Location::parse(table.metadata().location());
    Ok(location.map_err(calve_table::Error::from)?)
}

impl Swap {
    async fn run(&self) -> Result<Report> {
        let new = match self.catalog.load_table(&self.new).await {
            Ok(new) => new,
            Err(error @ CatalogError::TableNotFound { .. }) => {
                return match self.finish_earlier().await? {
                    Some(report) => Ok(report),
                    None => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        let location = location_of(&new)?;
        let id = MigrationId::new(Operation::Swap, self.old.clone(), self.clock.as_ref());
        let migration = Migration::new(id, self.new.to_string(), self.clock.as_ref());
        match self.catalog.metastore() {
            Some(metastore) => self.replace(metastore, &new, &location, migration).await,
            None => self.exchange(&new, &location, migration).await,
        }
    }

    fn report(&self, journal: &Journal, table: &Table, partitions_count: u64) -> Report {
        Report {
            migration_id: journal.id().clone(),
            undo: journal.folder().clone(),
            metadata_location: table.metadata_location().clone(),
            plan: self.describe(partitions_count),
        }
    }

    /// Both names in one transaction.
    async fn exchange(
        &self,
        new: &Table,
        location: &Location,
        migration: Migration,
    ) -> Result<Report> {
        let old = self.catalog.load_table(&self.old).await?;
        let undo = Undo::of_names(&self.backup, new);
        let migration = migration.with_undo(undo.document());
        let mut journal = Journal::create(self.catalog.storage(), location, migration).await?;
        self.fail_point.reach("undo_saved");
        let exchanged = self.catalog.exchange_tables(&old, new, &self.backup).await;
        let state = match &exchanged {
            Ok(()) => MigrationState::Done,
            Err(_) => MigrationState::RolledBack,
        };
        self.fail_point.reach("replaced");
        undo.write(&mut journal, state, self.clock.as_ref()).await?;
        exchanged?;
        Ok(self.report(&journal, new, 0))
    }

    /// The source's entry replaced, the other one taken out.
    async fn replace(
        &self,
        metastore: &dyn Metastore,
        new: &Table,
        location: &Location,
        migration: Migration,
    ) -> Result<Report> {
        let old = metastore.load_entry(&self.old).await?;
        if old.metadata_location() == Some(new.metadata_location().as_str()) {
            // An earlier run was cut off between the two.
            return self.drop_shadow(location).await;
        }
        let mut undo = Undo::of_names(&self.backup, new);
        undo.entry = Some(old);
        undo.shadow = Some(Shadow {
            name: self.new.clone(),
            entry: Some(metastore.load_entry(&self.new).await?),
        });
        let migration = migration.with_undo(undo.document());
        let clock = self.clock.as_ref();
        let mut journal = Journal::create(self.catalog.storage(), location, migration).await?;
        undo.partitions = undo::save(metastore, &self.old, &journal).await?;
        undo.write(&mut journal, MigrationState::Running, clock)
            .await?;
        self.fail_point.reach("undo_saved");
        undo::back_up(metastore, &self.backup, &undo, &journal).await?;
        self.fail_point.reach("backed_up");
        let base = undo.entry()?;
        let replaced = self
            .catalog
            .replace_entry(&self.old, base, new.metadata_location())
            .await;
        if let Err(error) = replaced {
            if !matches!(error, CatalogError::CommitStateUnknown { .. }) {
                undo::drop_backup(metastore, &undo).await?;
                undo.write(&mut journal, MigrationState::RolledBack, clock)
                    .await?;
            }
            return Err(error.into());
        }
        self.fail_point.reach("replaced");
        self.drop_shadow(location).await
    }

    /// Takes the entry of the table that took the name out, once the name points to all that was committed to it.
    async fn drop_shadow(&self, location: &Location) -> Result<Report> {
        let metastore = self.catalog.metastore().ok_or(CatalogError::NoMetastore)?;
        loop {
            let shadow = self.catalog.load_table(&self.new).await?;
            let entry = metastore.load_entry(&self.old).await?;
            let wanted = shadow.metadata_location();
            if entry.metadata_location() == Some(wanted.as_str()) {
                break;
            }
            // Somebody committed to the shadow after it was read.
            self.catalog
                .replace_entry(&self.old, &entry, wanted)
                .await?;
        }
        self.catalog.drop_table(&self.new).await?;
        self.fail_point.reach("shadow_dropped");
        let finished = self.finish(location).await?;
        finished.ok_or_else(|| {
            CatalogError::CommitConflict {
                ident: self.old.clone(),
            }
            .into()
        })
    }

    /// A run was cut off when all but its journal was done.
    async fn finish_earlier(&self) -> Result<Option<Report>> {
        let table = match self.catalog.load_table(&self.old).await {
            Ok(table) => table,
            Err(CatalogError::TableNotFound { .. } | CatalogError::NotIceberg { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.finish(&location_of(&table)?).await
    }

    /// Writes down that the swap is done, if one of these names is under way there.
    async fn finish(&self, location: &Location) -> Result<Option<Report>> {
        let storage = self.catalog.storage();
        let migrations = Journal::list(storage, location).await?;
        let ours = migrations.into_iter().rev().find(|migration| {
            migration.id.operation() == Operation::Swap
                && *migration.id.table() == self.old
                && migration.source == self.new.to_string()
                && migration.state == MigrationState::Running
        });
        let Some(ours) = ours else {
            return Ok(None);
        };
        let mut journal = Journal::open(storage, location, &ours.id).await?;
        let undo = Undo::read(&journal)?;
        undo.write(&mut journal, MigrationState::Done, self.clock.as_ref())
            .await?;
        let table = self.catalog.load_table(&self.old).await?;
        Ok(Some(self.report(&journal, &table, undo.partitions.count)))
    }
}

/// Puts the names back as they were: the table keeps what was committed to it since, under its own name.
pub(crate) async fn undo(catalog: &dyn Catalog, journal: &Journal, table: &Table) -> Result<()> {
    let undo = Undo::read(journal)?;
    let (old, new) = (journal.id().table(), &undo.shadow()?.name);
    let backup = undo
        .backup
        .as_ref()
        .ok_or(Error::NoUndo { what: "backup" })?;
    let Some(metastore) = catalog.metastore() else {
        let source = catalog.load_table(backup).await?;
        return Ok(catalog.exchange_tables(table, &source, new).await?);
    };
    match catalog.register_table(new, table.metadata_location()).await {
        Ok(_) => {}
        // An earlier run was cut off after it.
        Err(CatalogError::TableExists { .. }) => {
            let found = catalog.load_table(new).await?;
            if found.metadata().uuid() != table.metadata().uuid() {
                return Err(Error::NameTaken { table: new.clone() });
            }
        }
        Err(error) => return Err(error.into()),
    }
    let current = metastore.load_entry(old).await?;
    undo::put_partitions(metastore, old, journal, undo.partitions).await?;
    let version = current.version_id.as_deref();
    metastore.restore_entry(old, version, undo.entry()?).await?;
    undo::drop_backup(metastore, &undo).await?;
    Ok(())
}
