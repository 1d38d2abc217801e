//! What there is to do: the source listed, the table decided on, the batches cut.

use std::sync::Arc;

use calve_base::{Clock, Location};
use calve_catalog::Table;
use calve_query::{Session, SessionOptions};
use calve_table::NewTable;
use datafusion::prelude::DataFrame;
use iceberg::spec::TableMetadata;

use super::resume::{Begun, Earlier};
use super::rows::table_schema;
use super::source::Opened;
use super::target::{check_apart, describe, location, new_table};
use super::update::{Behind, Since, Update, listing_of};
use super::{Ctas, CtasSource, DEFAULT_MEMORY_BYTES, Plan, PlannedBatch, Report};
use crate::journal::{Journal, Listing, Migration, MigrationState};
use crate::{Error, Result};

/// How many batches a plan shows.
const SHOWN_BATCHES: usize = 100;
/// The part of the memory that open row groups may take: a quarter, up to this.
const MOST_WRITE_BYTES: u64 = 512 * 1024 * 1024;

/// What there is to do.
pub(super) enum Prepared {
    /// Nothing: the table is in step with its source, as far as it is told to be.
    InStep(Box<InStep>),
    /// Rows are to be read.
    Work(Box<Work>),
}

/// A table that is in step with its source.
pub(super) struct InStep {
    pub(super) plan: Plan,
    journal: Journal,
    metadata_location: Location,
    /// What the source lists as, to be written down.
    listing: Option<Listing>,
}

/// All that is known before rows are read.
pub(super) struct Work {
    pub(super) plan: Plan,
    pub(super) session: Session,
    pub(super) opened: Opened,
    pub(super) batches: Vec<PlannedBatch>,
    pub(super) new: NewTable,
    pub(super) metadata: TableMetadata,
    pub(super) earlier: Option<Earlier>,
    /// The number of the last batch of the runs before this one, where it only adds to what they did.
    pub(super) before: u64,
    /// The sequence number at which no row of a batch that is done anew was deleted.
    pub(super) sequence_number: i64,
    /// What the source lists as, where the table is in step with that in the end.
    pub(super) listing: Option<String>,
    pub(super) source_snapshot_id: Option<i64>,
    pub(super) write_bytes: u64,
    pub(super) sort_bytes: u64,
}

/// Looks for an earlier run, lists the source, decides on the table.
pub(super) async fn prepare(ctas: &Ctas) -> Result<Prepared> {
    let location = location(ctas).await?;
    let Some(begun) = Begun::find(ctas, &location).await? else {
        return work(ctas, location, None, None).await;
    };
    let listing = if ctas.options.update {
        listing_of(ctas).await?
    } else {
        None
    };
    if let Some(in_step) = InStep::of_listing(ctas, &begun, listing.as_ref()) {
        return Ok(Prepared::InStep(Box::new(in_step)));
    }
    let earlier = Earlier::load(begun).await?;
    if !ctas.options.update || earlier.is_cut_off_in_parts() {
        return work(ctas, location, Some(earlier), None).await;
    }
    match Box::pin(Update::find(ctas, &earlier, listing)).await? {
        Update::InStep(found) => {
            let in_step = InStep::new(ctas, &earlier, *found)?;
            Ok(Prepared::InStep(Box::new(in_step)))
        }
        Update::Behind(behind) => work(ctas, location, Some(earlier), Some(behind)).await,
    }
}

/// What is to be done: anew, by going on with an earlier run, or by bringing its table in step.
async fn work(
    ctas: &Ctas,
    location: Location,
    earlier: Option<Earlier>,
    behind: Option<Box<Behind>>,
) -> Result<Prepared> {
    let Memory {
        session,
        write_bytes,
        sort_bytes,
    } = Memory::divide(ctas)?;
    let (opened, source_snapshot_id) = match (&behind, &earlier) {
        (Some(behind), Some(earlier)) => {
            let opened = behind.open(ctas, earlier, &session);
            (Box::pin(opened).await?, None)
        }
        _ => open(ctas, &session, earlier.as_ref()).await?,
    };
    check_apart(&location, opened.root.as_ref())?;
    let update = earlier.as_ref().filter(|_| behind.is_some());
    let before = update.map_or(0, Earlier::last_number);
    let since = behind.as_ref().map(|behind| &behind.since);
    let batches = Box::pin(cut(ctas, &session, &opened, since, before)).await?;
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
    if let (Some(earlier), None) = (&earlier, update) {
        earlier.check(&batches)?;
    }
    let mut plan = plan(source_name(ctas, source_snapshot_id), ctas, &metadata);
    plan.describe_source(&opened, &batches);
    if let Some(since) = since {
        plan.describe_changes(ctas, since);
    }
    if let Some(earlier) = &earlier {
        plan.describe_earlier(&earlier.journal, earlier.committed());
    }
    plan.cures = cures;
    let sequence_number = behind.as_ref().map_or(0, |behind| behind.sequence_number);
    Ok(Prepared::Work(Box::new(Work {
        plan,
        session,
        opened,
        batches,
        new,
        metadata,
        earlier,
        before,
        sequence_number,
        listing: behind.and_then(|behind| behind.listing),
        source_snapshot_id,
        write_bytes,
        sort_bytes,
    })))
}

/// What memory is for.
struct Memory {
    session: Session,
    write_bytes: u64,
    sort_bytes: u64,
}

impl Memory {
    fn divide(ctas: &Ctas) -> Result<Self> {
        let memory = ctas.options.session.memory_bytes;
        let memory = memory.unwrap_or(DEFAULT_MEMORY_BYTES);
        let write_bytes = (memory / 4).min(MOST_WRITE_BYTES);
        // What is allowed is divided among all that could spill. Half of them bring rows from thread to thread and take
        // next to nothing, so that sorts would have but one half of it.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let writers = ctas.options.session.concurrency.unwrap_or(processors);
        let is_divided = writers > 1 && !ctas.options.partition_by.is_empty();
        let sort_bytes = memory - write_bytes;
        let options = SessionOptions {
            memory_bytes: Some(sort_bytes * if is_divided { 2 } else { 1 }),
            ..ctas.options.session.clone()
        };
        Ok(Self {
            session: Session::new(Arc::clone(&ctas.catalog), options)?,
            write_bytes,
            sort_bytes,
        })
    }
}

/// The batches: of all files, or of those that are new, and those that are done anew. Numbers go on after `before`.
async fn cut(
    ctas: &Ctas,
    session: &Session,
    opened: &Opened,
    since: Option<&Since>,
    before: u64,
) -> Result<Vec<PlannedBatch>> {
    let by = &ctas.options.batch_by;
    let Some(since) = since else {
        let all: Vec<usize> = (0..opened.files.len()).collect();
        return opened.cut(session, by, &all, false).await;
    };
    let mut batches = opened.cut(session, by, &since.new, true).await?;
    for (number, places) in &since.redone {
        let mut batch = PlannedBatch::new(0, &opened.files, places.clone(), None);
        batch.replaces = Some(*number);
        batches.push(batch);
    }
    for (number, batch) in (before + 1..).zip(&mut batches) {
        batch.number = number;
    }
    Ok(batches)
}

impl InStep {
    /// Where the source lists as it did when the table was last in step with it, that is all there is to look at.
    fn of_listing(ctas: &Ctas, begun: &Begun, listing: Option<&String>) -> Option<Self> {
        let migration = begun.journal.migration();
        let (table, known) = (begun.table.as_ref()?, migration.listing.as_ref()?);
        if migration.state == MigrationState::Running || Some(&known.sum) != listing {
            return None;
        }
        let mut plan = plan(migration.source.clone(), ctas, table.metadata());
        plan.describe_earlier(&begun.journal, known.batches);
        Some(Self {
            plan,
            journal: begun.journal.clone(),
            metadata_location: table.metadata_location().clone(),
            listing: None,
        })
    }

    fn new(ctas: &Ctas, earlier: &Earlier, found: super::update::InStep) -> Result<Self> {
        let Some(table) = &earlier.table else {
            return Err(Error::TargetChanged {
                table: ctas.table.clone(),
                problem: "it is gone".to_owned(),
            });
        };
        let source = earlier.journal.migration().source.clone();
        let mut plan = plan(source, ctas, table.metadata());
        plan.describe_changes(ctas, &found.since);
        let batches = earlier.committed();
        plan.describe_earlier(&earlier.journal, batches);
        Ok(Self {
            plan,
            journal: earlier.journal.clone(),
            metadata_location: table.metadata_location().clone(),
            listing: found.listing.map(|sum| Listing { sum, batches }),
        })
    }

    /// Writes down that it is in step.
    pub(super) async fn settle(mut self, clock: &dyn Clock) -> Result<Report> {
        if let Some(listing) = self.listing {
            let settled = |migration: &mut Migration| migration.listing = Some(listing);
            match self.journal.update(clock, settled).await {
                // Another run found out the same, or more.
                Ok(()) | Err(Error::JournalChanged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Report {
            migration_id: self.journal.id().clone(),
            snapshot_ids: Vec::new(),
            metadata_location: Some(self.metadata_location),
            added_files_count: 0,
            added_records_count: 0,
            cleaned_files_count: 0,
            plan: self.plan,
        })
    }
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

pub(super) async fn select(
    ctas: &Ctas,
    session: &Session,
    table: Arc<dyn datafusion::catalog::TableProvider>,
) -> Result<DataFrame> {
    let options = &ctas.options;
    let rows = session.select_from(table, options.select.as_deref(), options.filter.as_deref());
    Ok(Box::pin(rows).await?)
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

/// The source, for people.
fn source_name(ctas: &Ctas, snapshot_id: Option<i64>) -> String {
    match &ctas.source {
        CtasSource::Lake { source, .. } => source.to_string(),
        CtasSource::Table { catalog, ident, .. } => {
            let snapshot = snapshot_id.map_or_else(|| "empty".to_owned(), |id| id.to_string());
            format!("{}:{ident}@{snapshot}", catalog.name())
        }
    }
}

/// What is planned of a table, as long as nothing is read.
fn plan(source: String, ctas: &Ctas, metadata: &TableMetadata) -> Plan {
    let (columns, partition_by, sort_by) = describe(metadata);
    let properties = metadata.properties().iter();
    Plan {
        source,
        source_files_count: 0,
        source_bytes: 0,
        source_records_count: Some(0),
        skipped_count: 0,
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
        batches: 0,
        first_batches: Vec::new(),
        resumes: None,
        resumed_batches: 0,
        changed_files: Vec::new(),
        replaced_files_count: 0,
        missing_files: Vec::new(),
        removed_files_count: 0,
        notes: Vec::new(),
    }
}

impl Plan {
    fn describe_source(&mut self, opened: &Opened, batches: &[PlannedBatch]) {
        self.source_files_count = opened.files.len() as u64;
        self.source_bytes = opened.files.iter().map(|file| file.size).sum();
        self.source_records_count = opened.files.iter().map(|file| file.rows).sum();
        self.skipped_count = opened.skipped_count;
        self.batches = batches.len() as u64;
        self.first_batches = batches.iter().take(SHOWN_BATCHES).cloned().collect();
        self.notes.extend_from_slice(&opened.notes);
    }

    fn describe_changes(&mut self, ctas: &Ctas, since: &Since) {
        self.notes.extend(since.notes(ctas));
        self.changed_files.clone_from(&since.changed);
        self.replaced_files_count = since.replaced_count;
        self.missing_files.clone_from(&since.missing);
        self.removed_files_count = since.removed_count;
    }

    fn describe_earlier(&mut self, journal: &Journal, batches: u64) {
        self.resumes = Some(journal.id().clone());
        self.resumed_batches = batches;
    }
}
