use std::sync::Arc;

use calve::Sync;
use calve::base::Location;
use calve::catalog::Catalog;
use calve::migrate::sync::Report;

use super::Context;
use crate::flags::SyncFlags;
use crate::printer::Render;
use crate::settings::SyncSettings;
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// How many files of a list people are shown; JSON has more.
const SHOWN_FILES: usize = 20;

/// Brings a table in step with a lake.
pub(crate) async fn sync(context: &Context, flags: SyncFlags) -> anyhow::Result<ExitStatus> {
    let settings = SyncSettings::resolve(flags, &context.settings)?;
    let catalog = context.open_catalog().await?;
    let operation = operation(context, catalog, settings).await?;
    if context.settings.dry_run {
        let plan = operation.plan().await?;
        tell(context, &plan);
        return context.print_plan(&plan);
    }
    let report = operation.await?;
    context.printer.print(&report)?;
    tell(context, &report);
    Ok(if report.is_in_step() {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    })
}

/// Hands the settings to the operation.
async fn operation(
    context: &Context,
    catalog: Arc<dyn Catalog>,
    settings: SyncSettings,
) -> anyhow::Result<Sync> {
    let source = context.open_source(settings.source, &catalog).await?;
    let mut operation = Sync::new(catalog, source, settings.table)
        .with_on_changed(settings.on_changed)
        .with_on_deleted(settings.on_deleted)
        .with_on_unsafe(settings.on_unsafe)
        .with_on_refused(settings.on_refused)
        .with_int96(settings.int96)
        .with_extra_columns(settings.allow_extra_columns)
        .with_create(settings.create)
        .with_fail_point(context.settings.fail_point.clone())
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    Ok(operation)
}

/// Tells on stderr what is good to know beside the result.
fn tell(context: &Context, report: &Report) {
    for note in &report.notes {
        context.printer.note(note);
    }
    let left = |found: u64, settled: u64| found.saturating_sub(settled);
    let changed = left(report.changed_files_count, report.replaced_files_count);
    if changed > 0 {
        context.printer.warning(&format!(
            "{} changed, and the table describes what was there before: --on-changed replace adds what is there now",
            counted(changed, "file")
        ));
    }
    let missing = left(report.missing_files_count, report.removed_files_count);
    if missing > 0 {
        context.printer.warning(&format!(
            "{} vanished, and the table still names them: --on-deleted remove takes them out",
            counted(missing, "file")
        ));
    }
    if report.refused_count > 0 {
        context.printer.warning(&format!(
            "{} of the source cannot be added in place",
            counted(report.refused_count, "file")
        ));
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let snapshot = match self.snapshot_id {
            Some(id) => id.to_string(),
            None => "none: no file was added or removed".to_owned(),
        };
        if self.up_to_date {
            let verdict = "up to date: the source lists as before".to_owned();
            pairs(
                &[("table", self.table.to_string()), ("source", verdict)],
                text,
            );
            return;
        }
        let settled = |found: u64, settled: u64, how: &str| match found {
            0 => "0".to_owned(),
            found => format!("{found} ({settled} {how})"),
        };
        pairs(
            &[
                ("table", self.table.to_string()),
                ("snapshot", snapshot),
                (
                    "added",
                    format!(
                        "{} ({})",
                        counted(self.added_files_count, "file"),
                        counted(self.added_records_count, "row")
                    ),
                ),
                (
                    "changed",
                    settled(
                        self.changed_files_count,
                        self.replaced_files_count,
                        "replaced",
                    ),
                ),
                (
                    "missing",
                    settled(
                        self.missing_files_count,
                        self.removed_files_count,
                        "removed",
                    ),
                ),
                ("unchanged", self.unchanged_files_count.to_string()),
                ("refused", self.refused_count.to_string()),
            ],
            text,
        );
        files(
            "Changed",
            &self.changed_files,
            self.changed_files_count,
            text,
        );
        files(
            "Missing",
            &self.missing_files,
            self.missing_files_count,
            text,
        );
        if !self.refused.is_empty() {
            push_line(text, format_args!("\nRefused:"));
            for refused in self.refused.iter().take(SHOWN_FILES) {
                push_line(
                    text,
                    format_args!("  {}\n    {}", refused.file, refused.message),
                );
            }
        }
    }
}

/// Writes the first files of a list below its title, if there are any.
fn files(title: &str, files: &[Location], count: u64, text: &mut String) {
    if count == 0 {
        return;
    }
    push_line(text, format_args!("\n{title}:"));
    for file in files.iter().take(SHOWN_FILES) {
        push_line(text, format_args!("  {file}"));
    }
    if count > SHOWN_FILES as u64 {
        push_line(
            text,
            format_args!("  … and {} more", count - SHOWN_FILES as u64),
        );
    }
}
