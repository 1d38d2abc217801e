//! The batches, one after the other, each committed or gone without a trace.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use calve_base::{Location, Stage};
use calve_catalog::Table;
use calve_table::{
    Append, Leftovers, ManifestRoller, NewDeletes, NewTable, ReplaceFiles, Revalidation,
    Transaction, new_snapshot_id,
};
use futures::FutureExt;
use iceberg::spec::{DataFile, TableMetadata};
use uuid::Uuid;

use super::plan::{Work, select};
use super::prepare::Preparation;
use super::resume::{Earlier, SOURCE_SCHEMA, options};
use super::target::{MIGRATION_ID, RUN_ID};
use super::update::{removed_files, write_pages};
use super::write::{Output, STAGE};
use super::{Ctas, PlannedBatch, Report};
use crate::journal::{
    Batch, BatchState, Journal, Migration, MigrationId, MigrationState, Operation,
};
use crate::{Error, Result};

/// The snapshot property that names the batch.
const BATCH_ID: &str = "calve.batch-id";
/// The snapshot property that says which batch of how many.
const BATCH: &str = "calve.batch";

/// A rewrite under way.
struct Run<'a> {
    ctas: &'a Ctas,
    prepared: &'a Work,
    journal: Journal,
    own_id: String,
    /// The table, once there is one.
    table: Option<Table>,
    /// Batches that are committed, by number.
    committed: HashMap<u64, Batch>,
    /// The files that go with batches which are done anew, by the numbers of these.
    removed: HashMap<u64, Vec<Location>>,
    cleaned_files_count: u64,
}

/// Does what was planned.
pub(super) async fn run(ctas: &Ctas, mut prepared: Work) -> Result<Report> {
    let earlier = prepared.earlier.take();
    let mut run = Run::begin(ctas, &prepared, earlier).await?;
    let stage = Stage::start(
        ctas.progress.as_ref(),
        STAGE,
        prepared.plan.source_records_count,
    );
    for batch in &prepared.batches {
        if let Some(done) = run.committed.get(&batch.number) {
            stage.advance(done.rows);
            continue;
        }
        Box::pin(run.batch(batch)).await?;
    }
    drop(stage);
    let (journal, table, committed, cleaned) = Box::pin(run.finish()).await?;
    let mut batches: Vec<&Batch> = committed.values().collect();
    batches.retain(|batch| batch.number > prepared.before);
    batches.sort_by_key(|batch| batch.number);
    let with_rows = batches.iter().filter(|batch| !batch.files.is_empty());
    Ok(Report {
        migration_id: journal.id().clone(),
        snapshot_ids: with_rows.map(|batch| batch.snapshot_id).collect(),
        metadata_location: Some(table.metadata_location().clone()),
        added_files_count: batches.iter().map(|batch| batch.files.len() as u64).sum(),
        added_records_count: batches.iter().map(|batch| batch.rows).sum(),
        cleaned_files_count: cleaned,
        plan: prepared.plan,
    })
}

impl<'a> Run<'a> {
    /// Begins the journal, or goes on with that of an earlier run, whose cut-off batches are settled.
    async fn begin(ctas: &'a Ctas, prepared: &'a Work, earlier: Option<Earlier>) -> Result<Self> {
        let storage = ctas.catalog.storage();
        let (journal, table, batches) = if let Some(earlier) = earlier {
            let mut journal = earlier.journal;
            if journal.migration().listing.is_some() {
                let behind = |migration: &mut Migration| migration.listing = None;
                journal.update(ctas.clock.as_ref(), behind).await?;
            }
            (journal, earlier.table, earlier.batches)
        } else {
            let id = MigrationId::new(Operation::Ctas, ctas.table.clone(), ctas.clock.as_ref());
            let migration = Migration::new(id, &prepared.plan.source, ctas.clock.as_ref())
                .with_options(options(ctas, prepared.source_snapshot_id))
                .with_undo(serde_json::json!({ "drop-table": ctas.table.to_string() }));
            let location = &prepared.new.location;
            let journal = Journal::create(storage, location, migration).await?;
            ctas.fail_point.reach("journal-created");
            (journal, None, Vec::new())
        };
        let mut run = Self {
            ctas,
            prepared,
            journal,
            own_id: Uuid::new_v4().to_string(),
            table,
            committed: HashMap::new(),
            removed: HashMap::new(),
            cleaned_files_count: 0,
        };
        let replaced = prepared.batches.iter().filter_map(|batch| batch.replaces);
        let replaced: HashSet<u64> = replaced.collect();
        for batch in batches
            .iter()
            .filter(|batch| replaced.contains(&batch.number))
        {
            run.removed.insert(batch.number, removed_files(batch)?);
        }
        run.settle(batches).await?;
        Ok(run)
    }

    /// Settles what became of the batches of an earlier run. The table's pointer is moved first, so that a
    /// commit of that run which is still on its way can no longer take place; then what has not landed
    /// never will, and its files are deleted.
    async fn settle(&mut self, batches: Vec<Batch>) -> Result<()> {
        if self.table.is_some() {
            self.fence().await?;
        } else if !batches.is_empty() {
            // Now the first commit of that run, which would create the table, fails.
            self.create().await?;
        }
        for mut batch in batches {
            let has_landed = self.table.as_ref().is_some_and(|table| {
                let snapshot = table.metadata().snapshot_by_id(batch.snapshot_id);
                snapshot.is_some()
            });
            if has_landed && batch.state != BatchState::Committed {
                batch.state = BatchState::Committed;
                self.journal.record_batch(&batch).await?;
            }
            if batch.state == BatchState::Committed {
                self.committed.insert(batch.number, batch);
            } else {
                self.clean(&batch).await?;
            }
        }
        Ok(())
    }

    /// Moves the table's pointer, and says that this run is the one at work.
    async fn fence(&mut self) -> Result<()> {
        let Some(table) = self.table.take() else {
            return Ok(());
        };
        let property = HashMap::from([(RUN_ID.to_owned(), self.own_id.clone())]);
        let catalog = Arc::clone(&self.ctas.catalog);
        let fence = Transaction::new(catalog, table).with_properties(property);
        let committed = fence.with_clock(Arc::clone(&self.ctas.clock)).await?;
        self.table = Some(committed.table);
        Ok(())
    }

    fn new_table(&self) -> NewTable {
        let mut new = self.prepared.new.clone();
        let id = self.journal.id().to_string();
        new.properties.insert(MIGRATION_ID.to_owned(), id);
        new.properties
            .insert(RUN_ID.to_owned(), self.own_id.clone());
        new
    }

    /// Creates the table without rows.
    async fn create(&mut self) -> Result<()> {
        let catalog = Arc::clone(&self.ctas.catalog);
        let ident = self.ctas.table.clone();
        let create = Transaction::create(catalog, ident, self.new_table());
        let committed = create.with_clock(Arc::clone(&self.ctas.clock)).await?;
        self.table = Some(committed.table);
        Ok(())
    }

    /// Deletes what a batch left that will not be committed, and forgets it.
    async fn clean(&mut self, batch: &Batch) -> Result<()> {
        let storage = self.ctas.catalog.storage();
        let leftovers = Leftovers::find(
            storage,
            self.table.as_ref(),
            &self.prepared.metadata,
            batch.writer,
            batch.snapshot_id,
        )
        .await?;
        self.ctas.fail_point.reach("leftovers-found");
        self.cleaned_files_count += leftovers.files().len() as u64;
        leftovers.delete(storage).await?;
        self.journal.forget_batch(batch.number).await
    }

    /// Does one batch, or undoes what there is of it.
    async fn batch(&mut self, planned: &PlannedBatch) -> Result<()> {
        let writer = Uuid::new_v4();
        let identity = planned.identity.clone();
        let mut batch = Batch::new(planned.number, identity, writer, new_snapshot_id());
        batch.sources = self.prepared.opened.sources_of(planned);
        batch.replaces = planned.replaces;
        self.journal.record_batch(&batch).await?;
        self.ctas.fail_point.reach("batch-begun");
        let error = match Box::pin(self.attempt(planned, &mut batch)).await {
            Ok(()) => {
                self.committed.insert(batch.number, batch);
                return Ok(());
            }
            Err(Error::Table(error)) if error.is_outcome_unknown() => return Err(error.into()),
            Err(error) => error,
        };
        // A batch that landed is settled by the next run; whatever else fails now, the first error counts.
        let before = self.cleaned_files_count;
        if let Err(second) = self.clean(&batch).await {
            tracing::warn!(%second, "what a failed batch left could not be deleted; the next run does");
        } else if self.table.is_none()
            && let Err(second) = self.journal.discard().await
        {
            tracing::warn!(%second, "the journal of a failed migration could not be deleted");
        }
        self.cleaned_files_count = before;
        // A file that changed or went under its reader explains the reader's error better than it does.
        let storage = self.ctas.catalog.storage();
        match self.prepared.opened.recheck(storage, planned).await {
            Err(changed @ Error::SourceChanged { .. }) => Err(changed),
            _ => Err(error),
        }
    }

    async fn attempt(&mut self, planned: &PlannedBatch, batch: &mut Batch) -> Result<()> {
        let fail_point = &self.ctas.fail_point;
        let files = self.write(planned, batch).await?;
        batch.state = BatchState::Written;
        let paths = files.iter().map(|file| file.file_path().to_owned());
        batch.files = paths.collect();
        self.journal.record_batch(batch).await?;
        fail_point.reach("batch-written");
        let storage = self.ctas.catalog.storage();
        self.prepared.opened.recheck(storage, planned).await?;
        batch.state = BatchState::Verified;
        self.journal.record_batch(batch).await?;
        fail_point.reach("batch-verified");
        let removed = planned
            .replaces
            .and_then(|number| self.removed.remove(&number));
        let removed = removed.unwrap_or_default();
        if !(files.is_empty() && removed.is_empty()) {
            self.commit(planned, batch, files, removed).await?;
        }
        fail_point.reach("batch-landed");
        batch.state = BatchState::Committed;
        self.journal.record_batch(batch).await?;
        fail_point.reach("batch-committed");
        Ok(())
    }

    /// Writes the rows and compares the files with what was read.
    async fn write(&self, planned: &PlannedBatch, batch: &mut Batch) -> Result<Vec<DataFile>> {
        let (ctas, prepared) = (self.ctas, self.prepared);
        if planned.places.is_empty() {
            return Ok(Vec::new());
        }
        let wrong = calve_query::Error::from;
        let metadata = self.metadata();
        let table = prepared.opened.batch(planned)?;
        let rows = select(ctas, &prepared.session, table).await?;
        let context = Arc::new(rows.task_ctx());
        let rows = Box::pin(rows.create_physical_plan()).await.map_err(wrong)?;
        let sort_by = ctas.options.sort_by.spelled_as(metadata.current_schema());
        let preparation = Preparation::new(metadata, &sort_by, ctas.options.nanoseconds);
        let preparation = Arc::new(preparation.map_err(|source| Error::Iceberg {
            table: ctas.table.clone(),
            source,
        })?);
        let output = Output {
            storage: ctas.catalog.storage(),
            metadata,
            writers: context.session_config().target_partitions().max(1),
            memory_bytes: usize::try_from(prepared.write_bytes).unwrap_or(usize::MAX),
            sort_bytes: prepared.sort_bytes,
            progress: &ctas.progress,
        };
        let files = output
            .write(rows, context, &preparation, batch.writer)
            .await?;
        let tally = preparation.tally();
        batch.rows = tally.rows;
        tally.check(&planned.rows_of, metadata.current_schema(), &files)?;
        if let (None, Some(expected)) = (&ctas.options.filter, planned.records)
            && prepared.opened.counts_rows()
            && expected != tally.rows
        {
            return Err(Error::BatchDiffers {
                batch: planned.rows_of.clone(),
                what: "rows".to_owned(),
                read: expected.to_string(),
                written: tally.rows.to_string(),
            });
        }
        Ok(files)
    }

    fn metadata(&self) -> &TableMetadata {
        let table = self.table.as_ref();
        table.map_or(&self.prepared.metadata, |table| table.metadata())
    }

    async fn commit(
        &mut self,
        planned: &PlannedBatch,
        batch: &Batch,
        files: Vec<DataFile>,
        removed: Vec<Location>,
    ) -> Result<()> {
        let storage = self.ctas.catalog.storage();
        let (id, writer) = (batch.snapshot_id, batch.writer);
        let mut manifests = ManifestRoller::with_commit_uuid(storage, self.metadata(), id, writer)?;
        for file in files {
            manifests.add(file).await?;
        }
        let manifests = manifests.finish().await?;
        let catalog = Arc::clone(&self.ctas.catalog);
        let transaction = match &self.table {
            Some(table) => Transaction::new(catalog, table.clone())
                .with_revalidation(same_run(&self.own_id, self.journal.id())),
            None => Transaction::create(catalog, self.ctas.table.clone(), self.new_table()),
        };
        let number = planned.number;
        let count = self.prepared.before + self.prepared.batches.len() as u64;
        let transaction = if removed.is_empty() {
            transaction.with_snapshot(Append::new(id, manifests))
        } else {
            let new_deletes = NewDeletes::Refuse {
                since: self.prepared.sequence_number,
                except_equality: false,
            };
            let replace = ReplaceFiles::new(id, removed, manifests);
            transaction.with_snapshot(replace.with_writer(writer).with_new_deletes(new_deletes))
        };
        let committed = transaction
            .with_summary("engine-name", "calve")
            .with_summary("engine-version", env!("CARGO_PKG_VERSION"))
            .with_summary(MIGRATION_ID, self.journal.id().to_string())
            .with_summary(BATCH_ID, &batch.identity)
            .with_summary(BATCH, format!("{number} of {count}"))
            .with_clock(Arc::clone(&self.ctas.clock))
            .await?;
        self.table = Some(committed.table);
        Ok(())
    }

    /// Ends the migration: there is a table even where there were no rows.
    async fn finish(mut self) -> Result<(Journal, Table, HashMap<u64, Batch>, u64)> {
        if self.table.is_none() {
            self.create().await?;
        }
        let clock = self.ctas.clock.as_ref();
        let prepared = self.prepared;
        if prepared.batches.iter().any(|batch| batch.value.is_some()) {
            write_pages(&self.journal, &prepared.opened.files).await?;
        }
        let schema = prepared.opened.known_schema().map(serde_json::to_value);
        let schema = schema.and_then(std::result::Result::ok);
        let done = |migration: &mut Migration| {
            migration.listing.clone_from(&prepared.listing);
            if let Some(schema) = schema {
                migration.options[SOURCE_SCHEMA] = schema;
            }
            if migration.state == MigrationState::Running {
                migration.state = MigrationState::Done;
            }
        };
        self.journal.update(clock, done).await?;
        self.ctas.fail_point.reach("migration-done");
        let table = self.table.take();
        let table = table.expect("the table was created above, if not before");
        Ok((
            self.journal,
            table,
            self.committed,
            self.cleaned_files_count,
        ))
    }
}

/// The table must still be what this run is at work on.
fn same_run(run_id: &str, id: &MigrationId) -> Revalidation {
    let (run_id, id) = (run_id.to_owned(), id.clone());
    Arc::new(move |before: Table, now: Table| {
        let (old, new) = (before.metadata(), now.metadata());
        let is_same = new.properties().get(RUN_ID) == Some(&run_id)
            && old.uuid() == new.uuid()
            && old.current_schema_id() == new.current_schema_id()
            && old.default_partition_spec_id() == new.default_partition_spec_id();
        let outcome = if is_same {
            Ok(())
        } else {
            Err(calve_table::Error::rejected(Error::TakenOver {
                id: id.clone(),
            }))
        };
        futures::future::ready(outcome).boxed()
    })
}
