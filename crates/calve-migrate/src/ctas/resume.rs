//! What an earlier run of the same rewrite left.

use std::collections::HashSet;

use calve_base::Location;
use calve_catalog::Table;
use iceberg::spec::Schema;
use serde_json::{Value, json};

use super::target::{LAST_SNAPSHOT_ID, MIGRATION_ID};
use super::{Ctas, CtasSource, PlannedBatch};
use crate::journal::{
    Batch, BatchState, Journal, Migration, MigrationId, MigrationState, Operation,
};
use crate::{Error, Result};

/// What an earlier run left: its journal, and the table if it came that far.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) journal: Journal,
    pub(super) table: Option<Table>,
    pub(super) batches: Vec<Batch>,
}

/// Under which name the journal keeps the snapshot of a source that is a table.
const SOURCE_SNAPSHOT: &str = "source-snapshot-id";
/// Under which name it keeps the partition keys of the source, with their types.
pub(super) const SOURCE_KEYS: &str = "source-keys";
/// Under which name it keeps the columns of the source's files.
pub(super) const SOURCE_SCHEMA: &str = "source-schema";

/// What the rewrite is told to do, as the journal keeps it.
pub(super) fn options(ctas: &Ctas, source_snapshot_id: Option<i64>) -> Value {
    json!({ "asked": asked(ctas), SOURCE_SNAPSHOT: source_snapshot_id })
}

/// Whether a rewrite took a part of its source only: some partitions, or rows.
pub(crate) fn has_filter(migration: &Migration) -> bool {
    let asked = &migration.options["asked"];
    let partitions = asked["source"]["partition-filter"].as_array();
    partitions.is_some_and(|filter| !filter.is_empty()) || asked["where"].is_string()
}

fn asked(ctas: &Ctas) -> Value {
    let options = &ctas.options;
    let source = match &ctas.source {
        CtasSource::Lake {
            source,
            options,
            format,
        } => json!({
            "lake": source.to_string(),
            "format": format.as_str(),
            "partition-filter": options.partition_filter,
            "partition-types": format!("{:?}", options.partition_types),
            "recursive": format!("{:?}", options.recursive),
        }),
        CtasSource::Table { catalog, ident, .. } => json!({
            "catalog": catalog.name(),
            "table": ident.to_string(),
        }),
    };
    json!({
        "source": source,
        "location": options.location.as_ref().map(ToString::to_string),
        "properties": options.properties,
        "format-version": options.format_version as u8,
        "partition-by": format!("{:?}", options.partition_by),
        "sort-by": format!("{:?}", options.sort_by),
        "select": options.select,
        "where": options.filter,
        "batch-by": options.batch_by.to_string(),
        "int96": format!("{:?}", options.int96),
        "nanoseconds": format!("{:?}", options.nanoseconds),
    })
}

/// The journal of an earlier run, and the table if it came that far.
pub(super) struct Begun {
    pub(super) journal: Journal,
    pub(super) table: Option<Table>,
}

impl Begun {
    /// Looks for what an unfinished run left.
    ///
    /// # Errors
    /// When the table exists and is not an unfinished run's of the same rewrite.
    pub(super) async fn find(ctas: &Ctas, location: &Location) -> Result<Option<Self>> {
        let table = match ctas.catalog.load_table(&ctas.table).await {
            Ok(table) => Some(table),
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. },
            ) => None,
            Err(error) => return Err(error.into()),
        };
        let journal = match &table {
            Some(table) => Some(of_table(ctas, table).await?),
            None => of_location(ctas, location).await?,
        };
        Ok(journal.map(|journal| Self { journal, table }))
    }
}

/// Whether a batch is committed, be it that the journal does not know of it.
pub(super) fn has_landed(table: Option<&Table>, batch: &Batch) -> bool {
    let is_in = |table: &Table| {
        let metadata = table.metadata();
        let last = metadata.properties().get(LAST_SNAPSHOT_ID);
        metadata.snapshot_by_id(batch.snapshot_id).is_some()
            || last.is_some_and(|last| *last == batch.snapshot_id.to_string())
    };
    batch.state == BatchState::Committed || table.is_some_and(is_in)
}

impl Earlier {
    /// Reads the journal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn load(begun: Begun) -> Result<Self> {
        let Begun { journal, table } = begun;
        let batches = journal.batches().await?;
        let batches = Batch::current(batches, |batch| has_landed(table.as_ref(), batch));
        Ok(Self {
            journal,
            table,
            batches,
        })
    }

    /// The snapshots of its batches that are committed.
    pub(super) fn landed_snapshots(&self) -> HashSet<i64> {
        self.landed().map(|batch| batch.snapshot_id).collect()
    }

    /// The snapshot that the earlier run read, where its source is a table.
    pub(super) fn source_snapshot_id(&self) -> Option<i64> {
        self.journal.migration().options[SOURCE_SNAPSHOT].as_i64()
    }

    /// The columns of the source's files, as they were read, where that is known.
    pub(super) fn source_schema(&self) -> Option<Schema> {
        let schema = self.journal.migration().options.get(SOURCE_SCHEMA)?;
        serde_json::from_value(schema.clone()).ok()
    }

    /// The partition keys of the source, as they were, where that is known.
    pub(super) fn source_keys(&self) -> Option<Vec<String>> {
        let keys = self.journal.migration().options.get(SOURCE_KEYS)?;
        serde_json::from_value(keys.clone()).ok()
    }

    /// Its batches that are committed, be it that the journal does not know of it.
    pub(super) fn landed(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(|batch| self.has_landed(batch))
    }

    /// Number of its batches that are committed.
    pub(super) fn committed(&self) -> u64 {
        self.landed().count() as u64
    }

    fn has_landed(&self, batch: &Batch) -> bool {
        has_landed(self.table.as_ref(), batch)
    }

    /// Whether all of its batches are committed.
    pub(super) fn is_whole(&self) -> bool {
        self.batches.iter().all(|batch| self.has_landed(batch))
    }

    /// Whether it ended before all of its batches were there, of which each has parts of all files.
    pub(super) fn is_cut_off_in_parts(&self) -> bool {
        let is_part = |batch: &Batch| !batch.whole_files;
        self.journal.migration().state == MigrationState::Running && self.landed().any(is_part)
    }

    /// The greatest number that a batch has.
    pub(super) fn last_number(&self) -> u64 {
        let numbers = self.batches.iter().map(|batch| batch.number);
        numbers.max().unwrap_or(0)
    }

    /// Checks that its batches are those that are planned now.
    ///
    /// # Errors
    /// [`Error::SourceDiffers`] when the source changed in between.
    pub(super) fn check(&self, planned: &[PlannedBatch]) -> Result<()> {
        for batch in self.landed() {
            let index = usize::try_from(batch.number.saturating_sub(1)).unwrap_or(usize::MAX);
            let is_same = planned
                .get(index)
                .is_some_and(|planned| planned.identity == batch.identity);
            if !is_same {
                return Err(Error::SourceDiffers {
                    id: self.journal.id().clone(),
                    batch: batch.number,
                });
            }
        }
        Ok(())
    }
}

/// The journal of the migration that made a table.
async fn of_table(ctas: &Ctas, table: &Table) -> Result<Journal> {
    let exists = || Error::TargetExists {
        table: ctas.table.clone(),
    };
    let properties = table.metadata().properties();
    let id = properties.get(MIGRATION_ID).ok_or_else(exists)?;
    let id: MigrationId = id.parse().map_err(|_| exists())?;
    let location =
        Location::parse(table.metadata().location()).map_err(calve_table::Error::from)?;
    let journal = match Journal::open(ctas.catalog.storage(), &location, &id).await {
        Ok(journal) => journal,
        Err(Error::JournalMissing { .. }) => return Err(exists()),
        Err(error) => return Err(error),
    };
    let goes_on = match journal.migration().state {
        MigrationState::Running => *id.table() == ctas.table,
        // Under another name, too: a swap may have given it one.
        MigrationState::Done | MigrationState::Finalized => ctas.options.update,
        MigrationState::RolledBack => false,
    };
    if !goes_on {
        return Err(exists());
    }
    if journal.migration().options["asked"] != asked(ctas) {
        return Err(Error::OtherMigration {
            table: ctas.table.clone(),
            id,
        });
    }
    Ok(journal)
}

/// The journal of a run that ended before there was a table.
async fn of_location(ctas: &Ctas, location: &Location) -> Result<Option<Journal>> {
    let storage = ctas.catalog.storage();
    let asked = asked(ctas);
    let is_it = |migration: &Migration| {
        migration.state == MigrationState::Running
            && migration.id.operation() == Operation::Ctas
            && *migration.id.table() == ctas.table
            && migration.options["asked"] == asked
    };
    let migrations = Journal::list(storage, location).await?;
    match migrations.into_iter().rfind(is_it) {
        Some(migration) => Ok(Some(Journal::open(storage, location, &migration.id).await?)),
        None => Ok(None),
    }
}
