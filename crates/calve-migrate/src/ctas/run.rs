//! The batches, one after the other, each committed or gone without a trace.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::{Location, Stage};
use calve_catalog::Table;
use calve_query::{Session, SessionOptions};
use calve_table::{
    Append, Leftovers, ManifestRoller, NewTable, Revalidation, Transaction, new_snapshot_id,
};
use datafusion::prelude::DataFrame;
use futures::FutureExt;
use iceberg::spec::{DataFile, TableMetadata};
use uuid::Uuid;

use super::prepare::Preparation;
use super::resume::{Earlier, options};
use super::rows::table_schema;
use super::source::{Opened, Since};
use super::target::{MIGRATION_ID, RUN_ID, check_apart, describe, location, new_table};
use super::write::{Output, STAGE};
use super::{Ctas, CtasSource, DEFAULT_MEMORY_BYTES, Plan, PlannedBatch, Report};
use crate::journal::{
    Batch, BatchState, Journal, Migration, MigrationId, MigrationState, Operation,
};
use crate::{Error, Result};

/// The snapshot property that names the batch.
const BATCH_ID: &str = "calve.batch-id";
/// The snapshot property that says which batch of how many.
const BATCH: &str = "calve.batch";
/// How many batches a plan shows.
const SHOWN_BATCHES: usize = 100;
/// The part of the memory that open row groups may take: a quarter, up to this.
const MOST_WRITE_BYTES: u64 = 512 * 1024 * 1024;

/// All that is known before rows are read.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    session: Session,
    opened: Opened,
    batches: Vec<PlannedBatch>,
    new: NewTable,
    metadata: TableMetadata,
    earlier: Option<Earlier>,
    /// The number of the last batch of the runs before this one, where it only adds to what they did.
    before: u64,
    source_snapshot_id: Option<i64>,
    write_bytes: u64,
    sort_bytes: u64,
}

/// Lists the source, decides on the table, looks for an earlier run.
pub(super) async fn prepare(ctas: &Ctas) -> Result<Prepared> {
    let location = location(ctas).await?;
    let earlier = Earlier::find(ctas, &location).await?;
    let memory = ctas.options.session.memory_bytes;
    let memory = memory.unwrap_or(DEFAULT_MEMORY_BYTES);
    let write_bytes = (memory / 4).min(MOST_WRITE_BYTES);
    // What is allowed is divided among all that could spill. Half of them bring rows from thread to thread and take
    // next to nothing, so that sorts would have but one half of it.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let writers = ctas.options.session.concurrency.unwrap_or(processors);
    let is_divided = writers > 1 && !ctas.options.partition_by.is_empty();
    let sort_bytes = memory - write_bytes;
    let session = SessionOptions {
        memory_bytes: Some(sort_bytes * if is_divided { 2 } else { 1 }),
        ..ctas.options.session.clone()
    };
    let session = Session::new(Arc::clone(&ctas.catalog), session)?;
    let (mut opened, source_snapshot_id) = open(ctas, &session, earlier.as_ref()).await?;
    let update = earlier.as_ref().filter(|_| ctas.options.update);
    let since = match update {
        Some(earlier) => opened.leave_new(earlier.read_files(ctas)?),
        None => Since::default(),
    };
    check_apart(&location, opened.root.as_ref())?;
    let mut batches = Box::pin(opened.cut(&session, &ctas.options.batch_by)).await?;
    let before = update.map_or(0, Earlier::last_number);
    for batch in &mut batches {
        batch.number += before;
    }
    let rows = select(ctas, &session, opened.all()).await?;
    // Finds columns that cannot be read, before anything is written.
    let planned = Box::pin(rows.clone().create_physical_plan()).await;
    planned.map_err(calve_query::Error::from)?;
    let version = ctas.options.format_version;
    let (schema, cures) = table_schema(rows.schema().as_arrow(), &opened.schema, version)?;
    let new = new_table(ctas, location, schema)?;
    let metadata = new.clone().into_metadata()?;
    let metadata = match earlier.as_ref().and_then(|earlier| earlier.table.as_ref()) {
        None => metadata,
        Some(table) => same_shape(ctas, &metadata, table)?,
    };
    match (&earlier, update) {
        (Some(earlier), None) => earlier.check(&batches)?,
        (Some(_), Some(_)) => check_whole_files(ctas, &batches)?,
        (None, _) => {}
    }
    let mut prepared = Prepared {
        plan: plan(ctas, &opened, &metadata, &batches),
        session,
        opened,
        batches,
        new,
        metadata,
        earlier,
        before,
        source_snapshot_id,
        write_bytes,
        sort_bytes,
    };
    prepared.plan.cures = cures;
    prepared.plan.notes.extend(since.notes());
    prepared.plan.changed_files = since.changed;
    prepared.plan.missing_files = since.missing;
    if let Some(earlier) = &prepared.earlier {
        prepared.plan.resumes = Some(earlier.journal.id().clone());
        prepared.plan.resumed_batches = earlier.committed();
    }
    Ok(prepared)
}

/// Opens the source; a table as it was when the earlier run read it.
async fn open(
    ctas: &Ctas,
    session: &Session,
    earlier: Option<&Earlier>,
) -> Result<(Opened, Option<i64>)> {
    let mut pinned = ctas.clone();
    let mut snapshot = None;
    if let CtasSource::Table {
        catalog,
        ident,
        snapshot_id,
    } = &mut pinned.source
    {
        if snapshot_id.is_none() {
            *snapshot_id = if let Some(earlier) = earlier {
                earlier.source_snapshot_id()
            } else {
                let table = catalog.load_table(ident).await?;
                table.metadata().current_snapshot_id()
            };
        }
        snapshot = *snapshot_id;
    }
    Ok((Box::pin(Opened::open(&pinned, session)).await?, snapshot))
}

async fn select(
    ctas: &Ctas,
    session: &Session,
    table: Arc<dyn datafusion::catalog::TableProvider>,
) -> Result<DataFrame> {
    let options = &ctas.options;
    let rows = session.select_from(table, options.select.as_deref(), options.filter.as_deref());
    Ok(Box::pin(rows).await?)
}

/// Only batches of whole files can be told from those that were read before.
fn check_whole_files(ctas: &Ctas, batches: &[PlannedBatch]) -> Result<()> {
    if batches.iter().any(|batch| batch.value.is_some()) {
        return Err(Error::CannotUpdate {
            table: ctas.table.clone(),
            problem: "a batch for each value of a column reads parts of files".to_owned(),
        });
    }
    Ok(())
}

/// The metadata of the table that an earlier run made, if it is what this run would make.
fn same_shape(ctas: &Ctas, new: &TableMetadata, table: &Table) -> Result<TableMetadata> {
    let old = table.metadata();
    let is_same = old.current_schema().as_struct() == new.current_schema().as_struct()
        && old.default_partition_spec().fields() == new.default_partition_spec().fields();
    let table = table.ident().clone();
    if is_same {
        Ok(old.clone())
    } else if ctas.options.update {
        let problem = "it has other columns than the rows, or is partitioned in another way";
        let problem = problem.to_owned();
        Err(Error::CannotUpdate { table, problem })
    } else {
        let problem = "its schema or its partitioning is another now".to_owned();
        Err(Error::TargetChanged { table, problem })
    }
}

fn plan(ctas: &Ctas, opened: &Opened, metadata: &TableMetadata, batches: &[PlannedBatch]) -> Plan {
    let (columns, partition_by, sort_by) = describe(metadata);
    let rows = opened.files.iter().map(|file| file.rows);
    let properties = metadata.properties().iter();
    Plan {
        source: opened.name.clone(),
        source_files_count: opened.files.len() as u64,
        source_bytes: opened.files.iter().map(|file| file.size).sum(),
        source_records_count: rows.sum(),
        skipped_count: opened.skipped_count,
        table: ctas.table.clone(),
        table_location: Location::parse(metadata.location())
            .expect("the location of valid metadata is one"),
        format_version: metadata.format_version() as u8,
        columns,
        partition_by,
        sort_by,
        properties: properties
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        cures: Vec::new(),
        batches: batches.len() as u64,
        first_batches: batches.iter().take(SHOWN_BATCHES).cloned().collect(),
        resumes: None,
        resumed_batches: 0,
        changed_files: Vec::new(),
        missing_files: Vec::new(),
        notes: opened.notes.clone(),
    }
}

/// A rewrite under way.
struct Run<'a> {
    ctas: &'a Ctas,
    prepared: &'a Prepared,
    journal: Journal,
    own_id: String,
    /// The table, once there is one.
    table: Option<Table>,
    /// Batches that are committed, by number.
    committed: HashMap<u64, Batch>,
    cleaned_files_count: u64,
}

/// Does what was planned.
pub(super) async fn run(ctas: &Ctas, mut prepared: Prepared) -> Result<Report> {
    let earlier = prepared.earlier.take();
    if let Some(earlier) = &earlier
        && let (Some(table), true) = (&earlier.table, ctas.options.update)
        && prepared.batches.is_empty()
        && earlier.is_whole()
    {
        return Ok(Report {
            migration_id: earlier.journal.id().clone(),
            snapshot_ids: Vec::new(),
            metadata_location: Some(table.metadata_location().clone()),
            added_files_count: 0,
            added_records_count: 0,
            cleaned_files_count: 0,
            plan: prepared.plan,
        });
    }
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
    async fn begin(
        ctas: &'a Ctas,
        prepared: &'a Prepared,
        earlier: Option<Earlier>,
    ) -> Result<Self> {
        let storage = ctas.catalog.storage();
        let (journal, table, batches) = if let Some(earlier) = earlier {
            (earlier.journal, earlier.table, earlier.batches)
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
            cleaned_files_count: 0,
        };
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
        if !files.is_empty() {
            self.commit(planned, batch, files).await?;
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
    ) -> Result<()> {
        let storage = self.ctas.catalog.storage();
        let (id, writer) = (batch.snapshot_id, batch.writer);
        let mut manifests = ManifestRoller::with_commit_uuid(storage, self.metadata(), id, writer)?;
        for file in files {
            manifests.add(file).await?;
        }
        let append = Append::new(id, manifests.finish().await?);
        let catalog = Arc::clone(&self.ctas.catalog);
        let transaction = match &self.table {
            Some(table) => Transaction::new(catalog, table.clone())
                .with_revalidation(same_run(&self.own_id, self.journal.id())),
            None => Transaction::create(catalog, self.ctas.table.clone(), self.new_table()),
        };
        let number = planned.number;
        let count = self.prepared.before + self.prepared.batches.len() as u64;
        let committed = transaction
            .with_snapshot(append)
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
        let done = |migration: &mut Migration| {
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
