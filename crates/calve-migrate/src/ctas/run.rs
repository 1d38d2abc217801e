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
use super::resume::{Begun, Earlier, SOURCE_KEYS, SOURCE_SCHEMA, has_landed, options};
use super::target::{LAST_SNAPSHOT_ID, MIGRATION_ID, RUN_ID};
use super::update::files_of;
use super::write::{Output, STAGE};
use super::{Ctas, PlannedBatch, Report};
use crate::journal::{
    Batch, BatchState, Journal, Listing, Migration, MigrationId, MigrationState, Operation,
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
    /// The batches that are done anew, by number.
    replaced: HashMap<u64, Batch>,
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
        let (journal, table, known) = if let Some(earlier) = earlier {
            let known = earlier.landed_snapshots();
            (earlier.journal, earlier.table, Some(known))
        } else {
            let id = MigrationId::new(Operation::Ctas, ctas.table.clone(), ctas.clock.as_ref());
            let migration = Migration::new(id, &prepared.plan.source, ctas.clock.as_ref())
                .with_options(options(ctas, prepared.source_snapshot_id))
                .with_undo(serde_json::json!({ "drop-table": ctas.table.to_string() }));
            let location = &prepared.new.location;
            let journal = Journal::create(storage, location, migration).await?;
            ctas.fail_point.reach("journal-created");
            (journal, None, None)
        };
        let mut run = Self {
            ctas,
            prepared,
            journal,
            own_id: Uuid::new_v4().to_string(),
            table,
            committed: HashMap::new(),
            replaced: HashMap::new(),
            cleaned_files_count: 0,
        };
        if let Some(known) = known {
            Box::pin(run.settle(known)).await?;
        }
        Ok(run)
    }

    /// Settles what became of the batches of an earlier run, of which `known` were committed when this one was planned.
    /// The table's pointer is moved first, so that a commit of that run which is still on its way can no longer take
    /// place; then what has not landed never will, and its files are deleted.
    async fn settle(&mut self, known: HashSet<i64>) -> Result<()> {
        if self.table.is_some() {
            self.fence().await?;
        } else if !self.journal.batches().await?.is_empty() {
            // Now the first commit of that run, which would create the table, fails.
            self.create().await?;
        }
        self.journal.reload().await?;
        let earlier = Earlier::load(Begun {
            journal: self.journal.clone(),
            table: self.table.clone(),
        });
        let earlier = earlier.await?;
        if earlier.landed_snapshots() != known {
            return Err(Error::TargetChanged {
                table: self.ctas.table.clone(),
                problem: "another run committed batches meanwhile".to_owned(),
            });
        }
        if self.journal.migration().listing.is_some() {
            let behind = |migration: &mut Migration| migration.listing = None;
            self.journal
                .update(self.ctas.clock.as_ref(), behind)
                .await?;
        }
        let replaced = self.prepared.batches.iter();
        let replaced: HashSet<u64> = replaced.filter_map(|batch| batch.replaces).collect();
        for mut batch in earlier.batches {
            if !has_landed(self.table.as_ref(), &batch) {
                self.clean(&batch).await?;
                continue;
            }
            if batch.state != BatchState::Committed {
                batch.state = BatchState::Committed;
                self.journal.record_batch(&batch).await?;
            }
            if replaced.contains(&batch.number) {
                self.replaced.insert(batch.number, batch.clone());
            }
            self.committed.insert(batch.number, batch);
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
        self.journal.forget_batch(batch).await
    }

    /// Does one batch, or undoes what there is of it.
    async fn batch(&mut self, planned: &PlannedBatch) -> Result<()> {
        let writer = Uuid::new_v4();
        let identity = planned.identity.clone();
        let mut batch = Batch::new(planned.number, identity, writer, new_snapshot_id());
        batch.whole_files = self.prepared.opened.is_of_whole_files(planned);
        batch.replaces = planned.replaces;
        self.journal.record_batch(&batch).await?;
        if batch.whole_files {
            let sources = self.prepared.opened.sources(&planned.places);
            self.journal.record_sources(Some(&batch), sources).await?;
        }
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
        let replaced = planned
            .replaces
            .and_then(|number| self.replaced.remove(&number));
        let removed = replaced.as_ref().map(files_of).transpose()?;
        let removed = removed.unwrap_or_default();
        if !(files.is_empty() && removed.is_empty()) {
            self.commit(planned, batch, files, removed).await?;
        }
        fail_point.reach("batch-landed");
        batch.state = BatchState::Committed;
        self.journal.record_batch(batch).await?;
        if let Some(replaced) = replaced {
            self.committed.remove(&replaced.number);
            // It does not count any more, and does no harm where it stays.
            if let Err(error) = self.journal.forget_batch(&replaced).await {
                tracing::warn!(%error, "the record of a replaced batch could not be deleted");
            }
        }
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
            .with_properties(HashMap::from([(
                LAST_SNAPSHOT_ID.to_owned(),
                id.to_string(),
            )]))
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
            let all: Vec<usize> = (0..prepared.opened.files.len()).collect();
            let sources = prepared.opened.sources(&all);
            self.journal.record_sources(None, sources).await?;
        }
        let schema = prepared.opened.known_schema().map(serde_json::to_value);
        let schema = schema.and_then(std::result::Result::ok);
        let listing = prepared.listing.clone().map(|sum| Listing {
            sum,
            batches: self.committed.len() as u64,
        });
        let done = |migration: &mut Migration| {
            migration.listing = listing;
            migration.options[SOURCE_KEYS] = prepared.opened.key_texts().into();
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
