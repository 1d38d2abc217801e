use std::collections::BTreeMap;
use std::io::BufWriter;
use std::sync::Arc;

use anyhow::Context as _;
use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::Schema;
use calve::base::units;
use calve::catalog::Catalog;
use calve::migrate::{PartitionBy, ingest, register_hive};
use calve::storage::BlockingWriters;
use calve::xml::XmlOptions;
use calve::xml::convert::{self, Convert};
use calve::xml::decode::Misfit;
use calve::xml::infer::Inferred;
use calve::xml::options::Mode;
use calve::xml::schema::evolve::OnDrift;
use calve::xml::schema::spark_json::to_spark_json;
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;

use super::columns::check_values;
use super::contract::contract;
use super::entry::from_entry;
use super::existing;
use super::faults;
use super::files::{Layout, OutputFile, Sinks};
use super::inputs::{Documents, pool};
use super::register::Target;
use super::schema::{RowSchema, Survey, decide, write_schema};
use super::shape::{Nulled, Shape};
use super::table;
use crate::commands::Context;
use crate::flags::XmlConvertFlags;
use crate::printer::Render;
use crate::settings::{IfExists, SchemaSettings, XmlConvertSettings, XmlTarget};
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line, section};

/// What a conversion did, or would do.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    rows: u64,
    /// Rows that did not fit: dropped, or kept with nulls in place of what did not fit.
    rejected_rows: u64,
    /// Those of them that are not in the output.
    dropped_rows: u64,
    rejects: Vec<String>,
    /// How often something between rows is not well-formed; rows may be missing there.
    faults: u64,
    first_faults: Vec<String>,
    input_files: u64,
    input_bytes: u64,
    skipped: Vec<String>,
    files: Vec<OutputFile>,
    /// Files of earlier runs that were deleted, since these took their place.
    replaced_files: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest: Option<ingest::Report>,
    /// What was entered in Glue.
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<register_hive::Report>,
    schema: Value,
    drift: Vec<String>,
    /// Elements, attributes and text that no column takes, with how often they were met.
    unknown: BTreeMap<String, u64>,
    /// Rows of which something is in the rescued-data column.
    rescued_rows: u64,
    /// What is there, by path, with how often it was met.
    rescued: BTreeMap<String, u64>,
    /// Values that did not fit the types of their columns, by column.
    misfits: BTreeMap<String, Misfit>,
    /// Values that the types of a mapping or a choice do not hold, by column.
    nulled: BTreeMap<String, u64>,
    notes: Vec<String>,
}

/// Converts the rows of documents.
pub(crate) async fn convert(
    context: &Context,
    flags: XmlConvertFlags,
) -> anyhow::Result<ExitStatus> {
    let mut flags = flags;
    let entry = from_entry(context, &mut flags.xml).await?;
    let mut settings = XmlConvertSettings::resolve(flags, entry.is_some(), &context.settings)?;
    let documents = Documents::find(context, &settings.xml.inputs).await?;
    let (catalog, contract) = match &settings.target {
        XmlTarget::Table { .. } => {
            let catalog = context.open_catalog().await?;
            let contract = contract(&catalog, &settings).await?;
            (Some(catalog), contract)
        }
        XmlTarget::Files { .. } => (None, None),
    };
    let layout = Layout::of(&settings.target);
    if let Some(layout) = &layout {
        existing::check(&documents.storage, layout).await?;
    }
    if contract.is_some() {
        note_unused(context, &settings.target);
    }
    match_catalog(&mut settings, entry.as_ref().or(contract.as_ref()))?;
    if let (Some(schema), SchemaSettings::Inferred) = (entry, &settings.schema) {
        settings.schema = SchemaSettings::Entry(schema);
    }
    let settings = Arc::new(settings);
    let metastore = match &settings.register {
        Some(_) => Some(context.open_catalog().await?),
        None => None,
    };
    let pool = pool(context)?;
    let rows = {
        let (settings, documents, pool) = (Arc::clone(&settings), documents.clone(), pool.clone());
        let reader = Reader {
            settings: Arc::clone(&settings),
            documents,
            pool,
        };
        tokio::task::spawn_blocking(move || decide(&settings, contract, &reader)).await??
    };
    let job = Job::new(context, settings, documents, rows, pool)?;
    let outcome = match catalog {
        _ if context.settings.dry_run => job.plan()?,
        // Without rows there are no columns that a table could have.
        Some(_) if job.shape.schema().fields().is_empty() => job.into_nothing().await?,
        Some(catalog) => Box::pin(job.into_table(context, catalog)).await?,
        None => {
            let layout = layout.context("the rows go into a table")?;
            job.into_files(layout, metastore).await?
        }
    };
    finish(context, &outcome)
}

/// Tells what only a new table takes.
fn note_unused(context: &Context, target: &XmlTarget) {
    let XmlTarget::Table {
        partition_by,
        location,
        properties,
        ..
    } = target
    else {
        return;
    };
    for (flag, is_given) in [
        ("--partition-by", *partition_by != PartitionBy::default()),
        ("--location", location.is_some()),
        ("--property", !properties.is_empty()),
    ] {
        if is_given {
            let note = format!("the table is there already: {flag} is for a new one");
            context.printer.note(&note);
        }
    }
}

/// Prints the outcome.
fn finish(context: &Context, outcome: &Outcome) -> anyhow::Result<ExitStatus> {
    context.printer.print(outcome)?;
    if outcome.dry_run {
        context
            .printer
            .note("this was a dry run: nothing was written");
    }
    for note in &outcome.notes {
        context.printer.note(note);
    }
    let is_whole = outcome.dry_run
        || faults::warn(context, outcome.faults, outcome.rows + outcome.dropped_rows);
    if outcome.rejected_rows > 0 {
        let rows = counted(outcome.rejected_rows, "row");
        let message = format!("{rows} malformed, not valid or of other types than the schema's");
        context.printer.warning(&message);
        return Ok(ExitStatus::Problem);
    }
    Ok(if is_whole {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    })
}

/// Tells the choices that are to match a table's columns what these are.
fn match_catalog(settings: &mut XmlConvertSettings, table: Option<&Schema>) -> anyhow::Result<()> {
    let choices = settings.xml.choices.take();
    settings.xml.choices = match (choices, table) {
        (Some(choices), Some(table)) => Some(choices.with_catalog(table.clone())),
        (Some(choices), None) if choices.matches_catalog() => anyhow::bail!(
            "--resolve-choice match_catalog goes by a table's columns, and there is none: give an existing \
             table by --table, or start from an entry as glue:db.table"
        ),
        (choices, _) => choices,
    };
    Ok(())
}

/// Reads the documents on the threads of a pool.
struct Reader {
    settings: Arc<XmlConvertSettings>,
    documents: Documents,
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Survey for Reader {
    fn infer(&self) -> calve::xml::Result<Inferred> {
        let inference = &self.settings.xml.inference;
        let inferred = inference.run_on(self.documents.open(), self.pool.as_deref());
        self.documents.finished();
        inferred
    }

    fn fit(&self, schema: &Schema) -> calve::xml::Result<convert::Report> {
        // What does not fit is counted here, whatever becomes of it afterwards.
        let options = XmlOptions {
            mode: Mode::Permissive,
            ..self.settings.xml.options.clone()
        };
        let convert = Convert::new(schema, options)?;
        let inputs = self.documents.open();
        let report = convert.run_by_document(inputs, self.pool.as_deref(), |_, _| Ok(()));
        self.documents.finished();
        report
    }
}

/// All that a conversion needs.
struct Job {
    settings: Arc<XmlConvertSettings>,
    documents: Documents,
    rows: RowSchema,
    shape: Shape,
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Job {
    fn new(
        context: &Context,
        settings: Arc<XmlConvertSettings>,
        documents: Documents,
        rows: RowSchema,
        pool: Option<Arc<rayon::ThreadPool>>,
    ) -> anyhow::Result<Self> {
        if !rows.drift.is_empty() {
            let widened = counted(rows.drift.len() as u64, "difference");
            context
                .printer
                .note(&format!("the schema grew by {widened} in the data"));
        }
        let read_by = Convert::new(&rows.schema, settings.xml.options.clone())?;
        let shape = Shape::new(&settings, &rows, read_by.schema())?;
        Ok(Self {
            settings,
            documents,
            rows,
            shape,
            pool,
        })
    }

    /// What is known before a row is converted.
    fn outcome(&self) -> anyhow::Result<Outcome> {
        Ok(Outcome {
            input_files: self.documents.count(),
            input_bytes: self.documents.bytes(),
            skipped: texts(&self.documents.skipped),
            schema: to_spark_json(self.shape.schema())?,
            drift: texts(&self.rows.drift),
            notes: self.rows.notes.clone(),
            ..Outcome::default()
        })
    }

    fn plan(&self) -> anyhow::Result<Outcome> {
        Ok(Outcome {
            dry_run: true,
            ..self.outcome()?
        })
    }

    /// Where the files are to be entered; checked before anything is written.
    async fn register(
        &self,
        metastore: Option<Arc<dyn Catalog>>,
        layout: &Layout,
    ) -> anyhow::Result<Option<Target>> {
        let (Some(catalog), Some(table)) = (metastore, &self.settings.register) else {
            return Ok(None);
        };
        if layout.is_one_file() {
            anyhow::bail!(
                "--register enters a folder of files, and {} is one file",
                layout.out
            );
        }
        let schema = self.shape.schema();
        let keys = &layout.partition_by;
        let target = Target::new(catalog, table.clone(), &layout.out, schema, keys)?;
        target.register(&[], keys).plan().await?;
        Ok(Some(target))
    }

    async fn into_files(
        self,
        layout: Layout,
        metastore: Option<Arc<dyn Catalog>>,
    ) -> anyhow::Result<Outcome> {
        let storage = self.documents.storage.clone();
        let target = self.register(metastore, &layout).await?;
        let keys = layout.partition_by.clone();
        let writers = BlockingWriters::new(&self.documents.storage, Handle::current());
        let (theirs, written) = (writers.clone(), layout.clone());
        let converted = tokio::task::spawn_blocking(move || {
            let mut sinks = Sinks::new(&written, self.shape.schema(), &theirs, self.pool.as_ref())?;
            let mut outcome = self.run(|document, batch| sinks.write(document, batch))?;
            let written = sinks.finish()?;
            outcome.files = written.files;
            if written.empty_values > 0 {
                let rows = counted(written.empty_values, "row");
                outcome.notes.push(format!(
                    "{rows} with an empty string in a partition column: in the names of folders it is null"
                ));
            }
            anyhow::Ok((outcome, self))
        })
        .await?;
        match converted {
            Ok((mut outcome, job)) => {
                if let Err(refusal) =
                    existing::check_replaced(&storage, &layout, outcome.rows, &outcome.first_faults)
                        .await
                {
                    writers.abort().await?;
                    return Err(refusal);
                }
                let new = writers.finish().await?.into_iter().collect();
                if layout.if_exists == IfExists::Replace {
                    let replaced = existing::delete_others(&storage, &layout, &new).await.context(
                        "the new files are written; of the older ones, some could not be deleted",
                    )?;
                    outcome.replaced_files = replaced;
                }
                job.write_schemas()?;
                if let Some(target) = target {
                    outcome.registered = Some(target.register(&outcome.files, &keys).await?);
                }
                Ok(outcome)
            }
            // When an upload failed, its own error says more than that of whoever met it.
            Err(error) => match writers.abort().await {
                Ok(()) => Err(error),
                Err(cause) => Err(cause.into()),
            },
        }
    }

    /// Reads documents without rows, for what is wrong with them.
    async fn into_nothing(self) -> anyhow::Result<Outcome> {
        tokio::task::spawn_blocking(move || self.run(|_, _| Ok(()))).await?
    }

    async fn into_table(
        self,
        context: &Context,
        catalog: Arc<dyn Catalog>,
    ) -> anyhow::Result<Outcome> {
        let way = table::ingest(context, &catalog, &self.settings, self.shape.schema());
        let (ingest, batches) = way.context("the rows go into files")?;
        let thread = tokio::task::spawn_blocking(move || {
            let handle = Handle::current();
            let send = |batch| {
                let sent = handle.block_on(batches.send(batch));
                // When the other side has ended, it has an error of its own to tell.
                sent.map_err(|_| calve::xml::Error::Output {
                    source: "the table cannot be written".into(),
                })
            };
            let converted = self.run(|_, batch| send(Ok(batch)));
            if let Err(error) = &converted {
                let _ = send(Err(error.to_string().into()));
            }
            converted.map(|outcome| (outcome, self))
        });
        let ingested = ingest.await;
        let converted = thread.await?;
        match (converted, ingested) {
            (Ok((mut outcome, job)), Ok(report)) => {
                outcome.ingest = Some(report);
                job.write_schemas()?;
                Ok(outcome)
            }
            // The stream's error only repeats what the thread knows better.
            (Err(error), Err(calve::migrate::Error::Rows { .. })) => Err(error),
            (_, Err(error @ calve::migrate::Error::Table(calve::table::Error::Data(_)))) => {
                Err(anyhow::Error::new(error).context("the rows do not fit the table"))
            }
            (_, Err(error)) => Err(error.into()),
            (Err(error), Ok(_)) => Err(error),
        }
    }

    /// Converts all rows; `consume` takes them in their order.
    fn run(
        &self,
        mut consume: impl FnMut(usize, RecordBatch) -> calve::xml::Result<()>,
    ) -> anyhow::Result<Outcome> {
        let mut convert = Convert::new(&self.rows.schema, self.settings.xml.options.clone())?;
        if let Some(validator) = &self.rows.validator {
            convert = convert.with_validator(validator.clone());
        }
        if let Some(file) = &self.settings.rejects {
            convert = convert.with_rejects(BufWriter::new(fs_err::File::create(file)?));
        }
        let mut nulled = Nulled::default();
        let inputs = self.documents.open();
        let report = convert.run_by_document(inputs, self.pool.as_deref(), |document, batch| {
            consume(document, self.shape.apply(batch, &mut nulled)?)
        });
        self.documents.finished();
        let report = report?;
        check_values(&self.settings, &self.rows, &report, nulled.in_table())?;
        let rejects = report.first_rejects.iter();
        Ok(Outcome {
            rows: report.rows,
            rejected_rows: report.corrupt_rows + report.dropped_rows,
            dropped_rows: report.dropped_rows,
            faults: report.reading.faults,
            first_faults: faults::texts(&report.reading),
            rejects: rejects
                .map(|reject| format!("{}: {}", reject.place, reject.reason))
                .collect(),
            misfits: report.misfits,
            unknown: report.unknown,
            rescued_rows: report.rescued_rows,
            rescued: report.rescued,
            nulled: nulled.by_column(),
            ..self.outcome()?
        })
    }

    /// Writes the schema where it was asked for, and back into the contract where it grew.
    fn write_schemas(&self) -> anyhow::Result<()> {
        if let Some(file) = &self.settings.schema_out {
            write_schema(file, &self.rows.schema)?;
        }
        if let SchemaSettings::File(file) = &self.settings.schema
            && self.settings.on_drift == Some(OnDrift::Widen)
            && !self.rows.drift.is_empty()
        {
            write_schema(file, &self.rows.schema)?;
        }
        Ok(())
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

impl Render for Outcome {
    fn render(&self, text: &mut String) {
        let size = units::format_bytes(self.input_bytes);
        let mut lines = vec![("input", format!("{} files ({size})", self.input_files))];
        if !self.dry_run {
            lines.push(("rows", self.rows.to_string()));
            lines.push(("rejected", self.rejected()));
        }
        if let Some(report) = &self.ingest {
            lines.extend(table::lines(report));
        }
        pairs(&lines, text);
        for file in &self.files {
            let size = units::format_bytes(file.bytes);
            push_line(
                text,
                format_args!("  {} ({} rows, {size})", file.location, file.rows),
            );
        }
        section("Differences from the schema", &self.drift, text);
        section("Rejected", &self.rejects, text);
        section("Not well-formed between rows", &self.first_faults, text);
        section("In no column", &counts(&self.unknown), text);
        section("Rescued", &counts(&self.rescued), text);
        section(
            "Null, since its type does not hold it",
            &counts(&self.nulled),
            text,
        );
    }
}

impl Outcome {
    fn rejected(&self) -> String {
        match (self.rejected_rows, self.dropped_rows) {
            (0, _) => "0".to_owned(),
            (rows, dropped) => format!("{rows} ({dropped} dropped)"),
        }
    }
}

fn counts(paths: &BTreeMap<String, u64>) -> Vec<String> {
    let times = |(path, count): (&String, &u64)| format!("{path} ({count} times)");
    paths.iter().map(times).collect()
}
