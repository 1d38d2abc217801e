//! `rollback`: everything as it was before a migration.
//!
//! * `migrate`: the entry becomes what the undo record says, by one conditional request; its partitions are entered
//!   again where they are missing, its backup copy goes. Data files were never touched; metadata that was written
//!   for the table stays beside them, with the journal, until somebody deletes it.
//! * `swap`: the names go back to the tables that had them.
//! * `snapshot`, `ctas`: the table that was made goes, with the files that it owns.
//!
//! What was committed to the table since the migration would be lost to readers, so it is refused unless it is forced.

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, SystemClock};
use calve_catalog::{Catalog, Metastore, Table};
use calve_table::DropTable;
use calve_table::drop_table::discard_metadata;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::journal::{FailPoint, Journal, MigrationId, MigrationState, Operation};
use crate::migrate::MIGRATION_ID;
use crate::undo::{self, Undo};
use crate::{Error, Result};

/// The table property that tells whether a table owns its files.
const GC_ENABLED: &str = "gc.enabled";

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The migration.
    pub migration_id: MigrationId,
    /// What it did.
    pub operation: Operation,
    /// What would happen, one sentence each.
    pub steps: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The migration, which is undone.
    #[serde(flatten)]
    pub plan: Plan,
    /// How many files were deleted.
    pub deleted_files_count: u64,
}

/// Undoes a migration.
#[must_use = "nothing is rolled back until this is awaited"]
#[derive(Debug, Clone)]
pub struct Rollback {
    catalog: Arc<dyn Catalog>,
    id: MigrationId,
    force: bool,
    fail_point: FailPoint,
    clock: Arc<dyn Clock>,
}

/// What stands under the migration's name, and what the journal says.
struct Found {
    journal: Journal,
    table: Table,
    /// The snapshots that others committed since.
    since: usize,
}

impl Rollback {
    /// Undoes the migration of that id.
    pub fn new(catalog: Arc<dyn Catalog>, id: MigrationId) -> Self {
        Self {
            catalog,
            id,
            force: false,
            fail_point: FailPoint::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Whether it is undone though others have committed to the table since: their rows are then no longer to be
    /// seen. Default: no.
    pub fn with_force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Ends the process at a step, for tests: `restored`, `partitions_restored`.
    pub fn with_fail_point(mut self, fail_point: FailPoint) -> Self {
        self.fail_point = fail_point;
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
    /// When there is no such migration, or it cannot be undone.
    pub async fn plan(&self) -> Result<Plan> {
        let found = self.find().await?;
        self.describe(&found)
    }

    fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::WrongState {
            id: self.id.clone(),
            action: "rolled back",
            reason: reason.into(),
        }
    }

    /// The table under the migration's name and the journal beside it.
    async fn find(&self) -> Result<Found> {
        let table = match self.catalog.load_table(self.id.table()).await {
            Ok(table) => table,
            Err(error @ calve_catalog::Error::NotIceberg { .. }) => {
                return Err(self.wrong(format!("{error}; it was rolled back already, or replaced")));
            }
            Err(error) => return Err(error.into()),
        };
        let location =
            Location::parse(table.metadata().location()).map_err(calve_table::Error::from)?;
        let journal = Journal::open(self.catalog.storage(), &location, &self.id).await?;
        match journal.migration().state {
            MigrationState::RolledBack => Err(self.wrong("it was rolled back already")),
            MigrationState::Finalized => Err(self.wrong("it was finalized")),
            MigrationState::Running | MigrationState::Done => {
                let since = self.committed_since(&table)?;
                Ok(Found {
                    journal,
                    table,
                    since,
                })
            }
        }
    }

    /// How many snapshots are not the migration's own.
    fn committed_since(&self, table: &Table) -> Result<usize> {
        let id = self.id.to_string();
        let metadata = table.metadata();
        let properties = metadata.properties();
        if properties.get(MIGRATION_ID).is_none_or(|of| *of != id)
            && self.id.operation() != Operation::Swap
        {
            return Err(self.wrong("the table of that name is another one now"));
        }
        let is_own = |summary: &iceberg::spec::Summary| {
            let of = summary.additional_properties.get(MIGRATION_ID);
            of.is_some_and(|of| *of == id)
        };
        let own = match self.id.operation() {
            // Its one snapshot is the first.
            Operation::Migrate | Operation::Snapshot => 1,
            Operation::Ctas => metadata
                .snapshots()
                .filter(|snapshot| is_own(snapshot.summary()))
                .count(),
            // What was committed since stays with the table, under the name that it had before.
            Operation::Swap => return Ok(0),
            Operation::Sync => 0,
        };
        Ok(metadata.snapshots().count().saturating_sub(own))
    }

    fn describe(&self, found: &Found) -> Result<Plan> {
        if found.since > 0 && !self.force {
            return Err(self.wrong(format!(
                "{} snapshots were committed to the table since, whose rows would no longer be seen; \
                 copy them first, or force it",
                found.since
            )));
        }
        let table = self.id.table();
        let steps = match self.id.operation() {
            Operation::Migrate => {
                let undo = Undo::read(&found.journal)?;
                let mut steps = vec![format!(
                    "the entry of {table} becomes what it was, with {} partitions",
                    undo.partitions.count
                )];
                let drop = |backup| format!("the copy {backup} is taken out of the catalog");
                steps.extend(undo.backup.map(drop));
                steps
            }
            Operation::Snapshot => vec![format!("{table} is dropped, and its metadata deleted")],
            Operation::Ctas => vec![format!("{table} is dropped, and its files deleted")],
            Operation::Swap => {
                let undo = Undo::read(&found.journal)?;
                let backup = undo.backup.as_ref().map(ToString::to_string);
                vec![
                    format!(
                        "the table under {table} gets its name {} back",
                        undo.shadow()?.name
                    ),
                    format!("{} becomes {table} again", backup.unwrap_or_default()),
                ]
            }
            Operation::Sync => {
                return Err(self.wrong("`sync` has nothing that could be put back"));
            }
        };
        Ok(Plan {
            migration_id: self.id.clone(),
            operation: self.id.operation(),
            steps,
        })
    }
}

impl IntoFuture for Rollback {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await })
    }
}

impl Rollback {
    async fn run(&self) -> Result<Report> {
        let mut found = self.find().await?;
        let plan = self.describe(&found)?;
        let deleted_files_count = match self.id.operation() {
            Operation::Migrate => {
                self.restore(&mut found).await?;
                0
            }
            Operation::Swap => {
                crate::swap::undo(self.catalog.as_ref(), &found.journal, &found.table).await?;
                let state = MigrationState::RolledBack;
                let undo = Undo::read(&found.journal)?;
                undo.write(&mut found.journal, state, self.clock.as_ref())
                    .await?;
                0
            }
            _ => self.drop_table(&mut found).await?,
        };
        Ok(Report {
            plan,
            deleted_files_count,
        })
    }

    /// Puts the entry and its partitions back. The partitions go first: they are not looked at while the entry is an
    /// Iceberg table's, and complete when it is none any more.
    async fn restore(&self, found: &mut Found) -> Result<()> {
        let none = || calve_catalog::Error::NoMetastore;
        let metastore: &dyn Metastore = self.catalog.metastore().ok_or_else(none)?;
        let undo = Undo::read(&found.journal)?;
        let table = self.id.table();
        let current = metastore.load_entry(table).await?;
        if current.metadata_location() != Some(found.table.metadata_location().as_str()) {
            return Err(calve_catalog::Error::CommitConflict {
                ident: table.clone(),
            }
            .into());
        }
        undo::put_partitions(metastore, table, &found.journal, undo.partitions).await?;
        self.fail_point.reach("partitions_restored");
        metastore
            .restore_entry(table, current.version_id.as_deref(), undo.entry()?)
            .await?;
        self.fail_point.reach("restored");
        undo::drop_backup(metastore, &undo).await?;
        undo.write(
            &mut found.journal,
            MigrationState::RolledBack,
            self.clock.as_ref(),
        )
        .await
    }

    /// Drops a table that the migration made: with its files where it owns them, else with its metadata only.
    async fn drop_table(&self, found: &mut Found) -> Result<u64> {
        let properties = found.table.metadata().properties();
        let owns = properties.get(GC_ENABLED).map(String::as_str) != Some("false");
        let state = MigrationState::RolledBack;
        let change = |migration: &mut crate::journal::Migration| migration.state = state;
        found.journal.update(self.clock.as_ref(), change).await?;
        let drop = DropTable::new(Arc::clone(&self.catalog), self.id.table().clone());
        let report = drop.with_purge(owns).await?;
        if !owns {
            let metadata = found.table.metadata_location();
            discard_metadata(self.catalog.storage(), metadata).await?;
        }
        Ok(report.deleted_files_count)
    }
}
