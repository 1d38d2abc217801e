use std::collections::BTreeMap;
use std::sync::Arc;

use calve::AddFiles;
use calve::base::{Location, units};
use calve::catalog::Catalog;
use calve::migrate::{Plan, Refused, Report};
use serde::Serialize;

use super::{Context, verify};
use crate::flags::AddFilesFlags;
use crate::printer::Render;
use crate::settings::AddFilesSettings;
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// How many entries of a list people are shown; JSON has more.
const SHOWN_ENTRIES: usize = 20;

/// The reason for which files that contradict others are refused.
const TYPE_CONFLICT: &str = "type_conflict";

/// Puts the files of a lake into a table, where they lie.
pub(crate) async fn add_files(
    context: &Context,
    flags: AddFilesFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = AddFilesSettings::resolve(flags, &context.settings)?;
    let proof = settings.proof();
    let catalog = context.open_catalog().await?;
    let operation = operation(context, Arc::clone(&catalog), settings).await?;
    if context.settings.dry_run {
        let plan = operation.plan().await?;
        tell(context, &plan);
        if proof.is_some() {
            context
                .printer
                .note("--dry-run adds nothing, so --verify compares nothing");
        }
        return context.print_plan(&plan);
    }
    let report = operation.await?;
    let verify = match proof {
        Some(proof) if report.metadata_location.is_some() => {
            verify::prove(context, catalog, proof).await.map(Some)
        }
        _ => Ok(None),
    };
    // What was committed is told, whatever becomes of the proof.
    let (verify, failure) = match verify {
        Ok(verify) => (verify, None),
        Err(error) => (
            None,
            Some(error.context("the files are added, but not compared")),
        ),
    };
    let outcome = Outcome { report, verify };
    context.printer.print(&outcome)?;
    tell(context, &outcome.report.plan);
    match failure {
        Some(error) => Err(error),
        None => Ok(outcome.status()),
    }
}

/// What was added, and the proof that it is what the source holds.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<calve::verify::Report>,
}

impl Outcome {
    fn status(&self) -> ExitStatus {
        match &self.verify {
            _ if self.report.plan.refused_count > 0 => ExitStatus::Problem,
            Some(proof) => verify::status(proof),
            None => ExitStatus::Done,
        }
    }
}

impl Render for Outcome {
    fn render(&self, text: &mut String) {
        self.report.render(text);
        if let Some(proof) = &self.verify {
            text.push_str("\nSource against table:\n\n");
            proof.render(text);
        }
    }
}

/// Hands the settings to the operation.
async fn operation(
    context: &Context,
    catalog: Arc<dyn Catalog>,
    settings: AddFilesSettings,
) -> anyhow::Result<AddFiles> {
    let source = context.open_source(settings.source, &catalog).await?;
    let mut operation = AddFiles::new(catalog, source, settings.table)
        .with_partition_filter(settings.partition_filter)
        .with_partition_types(settings.partition_types)
        .with_recursive(settings.recursive)
        .with_create(settings.create)
        .with_properties(settings.properties)
        .with_duplicates(settings.duplicates)
        .with_on_unsafe(settings.on_unsafe)
        .with_on_refused(settings.on_refused)
        .with_extra_columns(settings.allow_extra_columns)
        .with_int96(settings.int96)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(format_version) = settings.format_version {
        operation = operation.with_format_version(format_version);
    }
    if let Some(garbage_collection) = settings.garbage_collection {
        operation = operation.with_garbage_collection(garbage_collection);
    }
    if let Some(location) = settings.location {
        operation = operation.with_location(location);
    }
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    Ok(operation)
}

/// Tells on stderr what is good to know beside the result.
pub(super) fn tell(context: &Context, plan: &Plan) {
    for note in &plan.notes {
        context.printer.note(note);
    }
    if plan.refused_count > 0 {
        context.printer.warning(&format!(
            "{} of the source cannot be added in place",
            counted(plan.refused_count, "file")
        ));
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        render(self, &[], text);
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let snapshot = match self.snapshot_id {
            Some(id) => id.to_string(),
            None => "none: nothing was committed".to_owned(),
        };
        render(&self.plan, &[("snapshot", snapshot)], text);
    }
}

/// Writes what is, or would be, in the table, then what is not and why.
fn render(plan: &Plan, further: &[(&str, String)], text: &mut String) {
    let table = if plan.creates_table {
        format!("{} (new)", plan.table)
    } else {
        plan.table.to_string()
    };
    let mut lines = vec![
        ("table", table),
        ("location", plan.table_location.to_string()),
    ];
    lines.extend(further.iter().cloned());
    lines.extend([
        (
            "files",
            format!(
                "{} ({})",
                plan.added_files_count,
                units::format_bytes(plan.added_files_size_bytes)
            ),
        ),
        ("rows", plan.added_records_count.to_string()),
        ("partitions", partitions(plan)),
        ("columns", plan.columns.join("\n")),
        ("skipped", skipped(plan)),
        ("refused", plan.refused_count.to_string()),
    ]);
    pairs(&lines, text);
    section("Refused", refusals(plan).into_iter(), text);
    section("Findings", findings(plan).into_iter(), text);
    let drifted = plan.drifted.iter().map(|it| {
        let drift: Vec<String> = it.drift.iter().map(ToString::to_string).collect();
        format!("{}: {}", it.file, drift.join(", "))
    });
    section("Differing schemas", drifted, text);
}

/// What is refused, each reason once. Files that contradict others are named, because they are what
/// is wrong; of those that share a rule there may be as many as in the lake.
fn refusals(plan: &Plan) -> Vec<String> {
    let mut groups: Vec<(&Refused, Vec<&Location>)> = Vec::new();
    for refused in &plan.refused {
        match groups
            .iter_mut()
            .find(|(first, _)| first.message == refused.message)
        {
            Some((_, files)) => files.push(&refused.file),
            None => groups.push((refused, vec![&refused.file])),
        }
    }
    let describe = |(first, files): (&Refused, Vec<&Location>)| {
        if first.reason != TYPE_CONFLICT {
            return with_example(&first.message, files[0], files.len() as u64);
        }
        let mut lines = vec![first.message.clone()];
        lines.extend(files.iter().take(SHOWN_ENTRIES).map(ToString::to_string));
        let rest = files.len().saturating_sub(SHOWN_ENTRIES);
        if rest > 0 {
            lines.push(format!("… and {rest} more"));
        }
        lines.join("\n    ")
    };
    groups.into_iter().map(describe).collect()
}

/// What else the type policy says, each rule once.
fn findings(plan: &Plan) -> Vec<String> {
    let is_told = |message: &str| plan.refused.iter().any(|it| it.message == message);
    plan.findings
        .iter()
        .filter(|finding| !is_told(&finding.message))
        .map(|finding| with_example(&finding.message, &finding.example, finding.files_count))
        .collect()
}

/// A message with the files it is about.
fn with_example(message: &str, example: &Location, count: u64) -> String {
    match count {
        1 => format!("{message}\n    {example}"),
        count => format!("{message}\n    {count} files, such as {example}"),
    }
}

/// How many partitions, and by what.
fn partitions(plan: &Plan) -> String {
    if plan.partition_by.is_empty() {
        "none".to_owned()
    } else {
        format!(
            "{} by {}",
            plan.changed_partition_count,
            plan.partition_by.join(", ")
        )
    }
}

/// How many objects were passed over, by reason.
fn skipped(plan: &Plan) -> String {
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for skipped in &plan.skipped {
        *reasons.entry(skipped.reason.as_str()).or_default() += 1;
    }
    let reasons: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    if reasons.is_empty() {
        plan.skipped_count.to_string()
    } else {
        format!("{} ({})", plan.skipped_count, reasons.join(", "))
    }
}

/// Writes the first entries of a list below its title, if there are any.
fn section(title: &str, entries: impl ExactSizeIterator<Item = String>, text: &mut String) {
    let count = entries.len();
    if count == 0 {
        return;
    }
    push_line(text, format_args!("\n{title}:"));
    for entry in entries.take(SHOWN_ENTRIES) {
        push_line(text, format_args!("  {entry}"));
    }
    if count > SHOWN_ENTRIES {
        push_line(text, format_args!("  … and {} more", count - SHOWN_ENTRIES));
    }
}
