use std::sync::Arc;

use calve::Ctas;
use calve::base::units;
use calve::catalog::Catalog;
use calve::lake::LakeOptions;
use calve::migrate::CtasSource;
use calve::migrate::ctas::{Plan, Report};
use serde::Serialize;

use super::{Context, verify};
use crate::flags::CtasFlags;
use crate::printer::Render;
use crate::settings::{CtasSettings, SourceSettings};
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// How many batches people are shown; JSON has more.
const SHOWN_BATCHES: usize = 20;

/// Rewrites the rows of a source into a new table.
pub(crate) async fn ctas(context: &Context, flags: CtasFlags) -> anyhow::Result<ExitStatus> {
    let settings = CtasSettings::resolve(flags, &context.settings)?;
    let proof = settings.proof();
    let catalog = context.open_catalog().await?;
    let operation = operation(context, Arc::clone(&catalog), settings).await?;
    if context.settings.dry_run {
        let plan = operation.plan().await?;
        tell(context, &plan);
        return context.print_plan(&plan);
    }
    let report = operation.await?;
    let (verify, failure) = match proof {
        None => (None, None),
        // What was committed is told, whatever becomes of the proof.
        Some(proof) => match verify::prove(context, catalog, proof).await {
            Ok(verify) => (Some(verify), None),
            Err(error) => (
                None,
                Some(error.context("the table is written, but not compared")),
            ),
        },
    };
    let outcome = Outcome { report, verify };
    context.printer.print(&outcome)?;
    tell(context, &outcome.report.plan);
    match (failure, &outcome.verify) {
        (Some(error), _) => Err(error),
        _ if !outcome.report.plan.is_in_step() => Ok(ExitStatus::Problem),
        (None, Some(proof)) => Ok(verify::status(proof)),
        (None, None) => Ok(ExitStatus::Done),
    }
}

/// The operation that the settings ask for.
async fn operation(
    context: &Context,
    catalog: Arc<dyn Catalog>,
    settings: CtasSettings,
) -> anyhow::Result<Ctas> {
    let source = match settings.source {
        SourceSettings::IcebergTable(ident) => CtasSource::Table {
            catalog: Arc::clone(&catalog),
            ident,
            snapshot_id: settings.snapshot_id,
        },
        source => {
            let mut options = LakeOptions {
                partition_filter: settings.partition_filter,
                partition_types: settings.partition_types,
                recursive: settings.recursive,
                ..LakeOptions::default()
            };
            if let Some(concurrency) = context.settings.concurrency {
                options.concurrency = concurrency;
            }
            CtasSource::Lake {
                source: context.open_source(source, &catalog).await?,
                options: Box::new(options),
                format: settings.format,
            }
        }
    };
    let mut operation = Ctas::new(catalog, source, settings.table)
        .with_partition_by(settings.partition_by)
        .with_sort_by(settings.sort_by)
        .with_batch_by(settings.batch_by)
        .with_properties(settings.properties)
        .with_format_version(settings.format_version)
        .with_int96(settings.int96)
        .with_nanoseconds(settings.nanoseconds)
        .with_update(settings.update)
        .with_on_changed(settings.on_changed)
        .with_on_deleted(settings.on_deleted)
        .with_session(context.session_options())
        .with_progress(Arc::new(context.bars.clone()))
        .with_fail_point(context.settings.fail_point.clone());
    if let Some(location) = settings.location {
        operation = operation.with_location(location);
    }
    if let Some(filter) = settings.filter {
        operation = operation.with_filter(filter);
    }
    if let Some(select) = settings.select {
        operation = operation.with_select(select);
    }
    Ok(operation)
}

/// What was written, and the proof that it is what the source holds.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<calve::verify::Report>,
}

/// Says on stderr what is worth knowing beside the result.
fn tell(context: &Context, plan: &Plan) {
    for note in &plan.notes {
        context.printer.note(note);
    }
    if let Some(id) = &plan.resumes {
        context.printer.note(&format!(
            "going on with {id}; batches committed before: {}",
            plan.resumed_batches
        ));
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        render(self, &[], text);
        let batches = self.first_batches.iter().take(SHOWN_BATCHES);
        push_line(text, format_args!("\nBatches:"));
        for batch in batches {
            let rows = match batch.records {
                Some(rows) => format!(", {}", counted(rows, "row")),
                None => String::new(),
            };
            push_line(
                text,
                format_args!(
                    "  {} {}: {} ({}{rows})",
                    batch.number,
                    batch.rows_of,
                    counted(batch.files, "file"),
                    units::format_bytes(batch.bytes)
                ),
            );
        }
        let rest = self.batches.saturating_sub(SHOWN_BATCHES as u64);
        if rest > 0 {
            push_line(text, format_args!("  … and {rest} more"));
        }
    }
}

impl Render for Outcome {
    fn render(&self, text: &mut String) {
        let report = &self.report;
        let further = [
            ("migration", report.migration_id.to_string()),
            ("snapshots", report.snapshot_ids.len().to_string()),
            ("files", report.added_files_count.to_string()),
            ("rows", report.added_records_count.to_string()),
        ];
        render(&report.plan, &further, text);
        if let Some(proof) = &self.verify {
            push_line(text, format_args!("\nSource against table:\n"));
            proof.render(text);
        }
    }
}

/// Writes what is, or would be, the table.
fn render(plan: &Plan, further: &[(&str, String)], text: &mut String) {
    let rows = match plan.source_records_count {
        Some(rows) => format!(", {}", counted(rows, "row")),
        None => String::new(),
    };
    let or_none = |list: &[String], joint: &str| match list {
        [] => "none".to_owned(),
        list => list.join(joint),
    };
    let mut lines = vec![
        (
            "source",
            if plan.resumes.is_some() && plan.batches == 0 {
                format!("{} (nothing new)", plan.source)
            } else {
                format!(
                    "{} ({}, {}{rows})",
                    plan.source,
                    counted(plan.source_files_count, "file"),
                    units::format_bytes(plan.source_bytes)
                )
            },
        ),
        (
            "table",
            format!("{} (format version {})", plan.table, plan.format_version),
        ),
        ("location", plan.table_location.to_string()),
        ("columns", plan.columns.join("\n")),
        ("partitions", or_none(&plan.partition_by, ", ")),
        ("sorted by", or_none(&plan.sort_by, ", ")),
        ("changed types", or_none(&plan.cures, "\n")),
        ("batches", plan.batches.to_string()),
    ];
    lines.extend(further.iter().cloned());
    pairs(&lines, text);
}
