//! `finalize`: a migration stays. The table owns its files from now on (`gc.enabled=true`), the entries of partitions that
//! its Hive-style entry left behind go, and so does the backup copy where that is asked for.
//!
//! Afterwards the migration can no longer be rolled back.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, SystemClock};
use calve_catalog::{Catalog, Table};
use calve_table::Transaction;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::journal::{Journal, MigrationId, MigrationState, Operation};
use crate::undo::{self, Undo};
use crate::{Error, Result};

/// The table property that tells whether a table owns its files.
const GC_ENABLED: &str = "gc.enabled";

/// What is, or would be, done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The migration.
    pub migration_id: MigrationId,
    /// Whether the table owns its files: expiring snapshots may then delete them.
    pub owns_files: bool,
    /// How many entries of partitions are taken out of the catalog.
    pub removed_partitions_count: u64,
    /// The backup copy that is taken out of the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_backup: Option<calve_base::TableIdent>,
}

/// Makes a migration final.
#[must_use = "nothing is finalized until this is awaited"]
#[derive(Debug, Clone)]
pub struct Finalize {
    catalog: Arc<dyn Catalog>,
    id: MigrationId,
    own_files: bool,
    drop_backup: bool,
    clock: Arc<dyn Clock>,
}

impl Finalize {
    /// Makes the migration of that id final.
    pub fn new(catalog: Arc<dyn Catalog>, id: MigrationId) -> Self {
        Self {
            catalog,
            id,
            own_files: true,
            drop_backup: false,
            clock: Arc::new(SystemClock),
        }
    }

    /// Whether the table owns its files from now on. Default: yes.
    pub fn with_own_files(mut self, own_files: bool) -> Self {
        self.own_files = own_files;
        self
    }

    /// Whether the backup copy is taken out of the catalog. While it is there and the table owns the files, expiring
    /// snapshots deletes files that the copy still reads. Default: no.
    pub fn with_drop_backup(mut self, drop_backup: bool) -> Self {
        self.drop_backup = drop_backup;
        self
    }

    /// The clock that dates the journal.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Looks what would be done, without doing it.
    ///
    /// # Errors
    /// When there is no such migration, or it cannot be made final.
    pub async fn plan(&self) -> Result<Report> {
        let (_, journal) = self.find().await?;
        Ok(self.report(self.undo(&journal)?.as_ref()))
    }

    fn report(&self, undo: Option<&Undo>) -> Report {
        let backup = undo.and_then(|undo| undo.backup.clone());
        Report {
            migration_id: self.id.clone(),
            owns_files: self.own_files,
            removed_partitions_count: undo.map_or(0, |undo| undo.partitions.count),
            dropped_backup: backup.filter(|_| self.drop_backup),
        }
    }

    /// The undo record of an operation that changed what stood in the catalog.
    fn undo(&self, journal: &Journal) -> Result<Option<Undo>> {
        match self.id.operation() {
            Operation::Migrate | Operation::Swap => Undo::read(journal).map(Some),
            _ => Ok(None),
        }
    }

    async fn find(&self) -> Result<(Table, Journal)> {
        let wrong = |reason: &str| Error::WrongState {
            id: self.id.clone(),
            action: "finalized",
            reason: reason.to_owned(),
        };
        let table = self.catalog.load_table(self.id.table()).await?;
        let location =
            Location::parse(table.metadata().location()).map_err(calve_table::Error::from)?;
        let journal = Journal::open(self.catalog.storage(), &location, &self.id).await?;
        match journal.migration().state {
            MigrationState::Running => Err(wrong("it is not done: run the same command again")),
            MigrationState::RolledBack => Err(wrong("it was rolled back")),
            MigrationState::Done | MigrationState::Finalized => Ok((table, journal)),
        }
    }

    async fn run(&self) -> Result<Report> {
        let (table, mut journal) = self.find().await?;
        let undo = self.undo(&journal)?;
        let report = self.report(undo.as_ref());
        if self.own_files {
            let properties = HashMap::from([(GC_ENABLED.to_owned(), "true".to_owned())]);
            Transaction::new(Arc::clone(&self.catalog), table)
                .with_properties(properties)
                .with_clock(Arc::clone(&self.clock))
                .await?;
        }
        if let (Some(undo), Some(metastore)) = (&undo, self.catalog.metastore()) {
            if self.drop_backup {
                undo::drop_backup(metastore, undo).await?;
            }
            let table = self.id.table();
            undo::delete_partitions(metastore, table, &journal, undo.partitions).await?;
        }
        let change =
            |migration: &mut crate::journal::Migration| migration.state = MigrationState::Finalized;
        journal.update(self.clock.as_ref(), change).await?;
        Ok(report)
    }
}

impl IntoFuture for Finalize {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await })
    }
}
