use calve::arrow::datatypes::Schema;
use calve::xml::InferSchema;
use calve::xml::infer::Inferred;
use calve::xml::resolve_choice::ResolveChoice;
use calve::xml::schema::ddl::type_to_ddl;
use calve::xml::schema::spark_json::to_spark_json;
use serde::Serialize;
use serde_json::Value;

use super::entry::from_entry;
use super::faults;
use super::inputs::{Documents, pool};
use super::schema::write_schema;
use crate::commands::Context;
use crate::flags::XmlInferFlags;
use crate::printer::Render;
use crate::settings::XmlSettings;
use crate::status::ExitStatus;
use crate::text_table::{pairs, push_line, section};

/// A schema, and what it rests on.
#[derive(Debug, Serialize)]
struct Outcome {
    rows: u64,
    rejected_rows: u64,
    faults: u64,
    first_faults: Vec<String>,
    files: u64,
    input_bytes: u64,
    skipped: Vec<String>,
    schema: Value,
    notes: Vec<String>,
    #[serde(skip)]
    columns: Vec<String>,
}

impl Render for Outcome {
    fn render(&self, text: &mut String) {
        pairs(
            &[
                ("rows", self.rows.to_string()),
                ("files", self.files.to_string()),
                ("columns", self.columns.join("\n")),
            ],
            text,
        );
        if self.rejected_rows > 0 {
            push_line(text, format_args!("malformed   {}", self.rejected_rows));
        }
        section("Not well-formed between rows", &self.first_faults, text);
    }
}

/// The rows of documents, and what they were found in.
pub(crate) struct Found {
    pub(crate) schema: Schema,
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Whether all rows were found, and none is malformed.
    pub(crate) is_whole: bool,
}

/// Infers the schema of rows for other commands.
///
/// # Errors
/// When documents cannot be found or read.
pub(crate) async fn infer_rows(context: &Context, settings: XmlSettings) -> anyhow::Result<Found> {
    let documents = Documents::find(context, &settings.inputs).await?;
    let inferred = read(context, &documents, settings.inference).await?;
    for note in &inferred.notes {
        context.printer.note(&note.to_string());
    }
    let is_whole = faults::warn(
        context,
        inferred.reading.faults,
        inferred.rows + inferred.reading.rejected_rows,
    );
    Ok(Found {
        is_whole: is_whole && inferred.reading.rejected_rows == 0,
        schema: resolved(settings.choices.as_ref(), &inferred)?,
        rows: inferred.rows,
        files: documents.count(),
        bytes: documents.bytes(),
    })
}

async fn read(
    context: &Context,
    documents: &Documents,
    inference: InferSchema,
) -> anyhow::Result<Inferred> {
    let pool = pool(context)?;
    let inputs = documents.open();
    let inferred =
        tokio::task::spawn_blocking(move || inference.run_on(inputs, pool.as_deref())).await?;
    documents.finished();
    Ok(inferred?)
}

/// The schema with its choices resolved.
fn resolved(choices: Option<&ResolveChoice>, inferred: &Inferred) -> calve::xml::Result<Schema> {
    match choices {
        Some(choices) => choices.plan(&inferred.schema),
        None => Ok(inferred.schema.clone()),
    }
}

/// Infers the schema of the rows of documents.
pub(crate) async fn infer(context: &Context, flags: XmlInferFlags) -> anyhow::Result<ExitStatus> {
    let schema_out = flags.schema_out;
    let mut xml = flags.xml;
    // What an entry says of the columns is what is asked here.
    from_entry(context, &mut xml).await?;
    let settings = XmlSettings::resolve(xml, &context.settings)?;
    let documents = Documents::find(context, &settings.inputs).await?;
    let inferred = read(context, &documents, settings.inference).await?;
    let schema = resolved(settings.choices.as_ref(), &inferred)?;
    let columns = schema.fields().iter().map(|field| {
        let of = type_to_ddl(field.data_type())?;
        Ok(format!("{}: {of}", field.name()))
    });
    let outcome = Outcome {
        rows: inferred.rows,
        rejected_rows: inferred.reading.rejected_rows,
        faults: inferred.reading.faults,
        first_faults: faults::texts(&inferred.reading),
        files: documents.count(),
        input_bytes: documents.bytes(),
        skipped: documents.skipped.iter().map(ToString::to_string).collect(),
        schema: to_spark_json(&schema)?,
        notes: inferred.notes.iter().map(ToString::to_string).collect(),
        columns: columns.collect::<calve::xml::Result<_>>()?,
    };
    if let Some(file) = schema_out
        && !context.settings.dry_run
    {
        write_schema(&file, &inferred.schema)?;
    }
    context.printer.print(&outcome)?;
    for note in &outcome.notes {
        context.printer.note(note);
    }
    let is_whole = faults::warn(
        context,
        outcome.faults,
        outcome.rows + outcome.rejected_rows,
    );
    Ok(if is_whole && outcome.rejected_rows == 0 {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    })
}
