use std::collections::BTreeMap;
use std::sync::Arc;

use calve::RemoveOrphans;
use calve::base::Location;
use calve::base::units::format_bytes;
use calve::compact::orphans::{KeptReason, Plan, Report};

use super::Context;
use super::upkeep::{push_files, warn_of};
use crate::flags::RemoveOrphansFlags;
use crate::printer::Render;
use crate::settings::RemoveOrphansSettings;
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// Removes files of a table's folders that nobody needs.
pub(crate) async fn remove_orphans(
    context: &Context,
    flags: RemoveOrphansFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = RemoveOrphansSettings::resolve(flags, &context.settings)?;
    let catalog = context.open_catalog().await?;
    let mut operation = RemoveOrphans::new(catalog, settings.table)
        .with_prefix_mismatch_mode(settings.mismatch)
        .with_other_tables(settings.looks_at_others)
        .with_force(settings.is_forced)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(older_than_ms) = settings.older_than_ms {
        operation = operation.with_older_than_ms(older_than_ms);
    }
    if let Some(location) = settings.location {
        operation = operation.with_location(location);
    }
    for (scheme, like) in &settings.equal_schemes {
        operation = operation.with_equal_scheme(scheme, like);
    }
    for (authority, like) in &settings.equal_authorities {
        operation = operation.with_equal_authority(authority, like);
    }
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    let report = operation.await?;
    context.printer.print(&report)?;
    Ok(warn_of(context, &report.failed))
}

/// Lists what stays, and for which reason.
fn push_kept(kept: &BTreeMap<KeptReason, u64>, others: &[String], text: &mut String) {
    if !kept.is_empty() {
        push_line(text, format_args!("\nFiles that stay:"));
    }
    for (reason, files) in kept {
        push_line(
            text,
            format_args!("  {}: {reason}", counted(*files, "file")),
        );
    }
    if !others.is_empty() {
        push_line(text, format_args!("\nLeft to other tables:"));
    }
    for folder in others {
        push_line(text, format_args!("  {folder}"));
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let bytes = format_bytes(self.deleted_bytes);
        let files = counted(self.deleted_files_count, "file");
        pairs(&[("deleted orphans", format!("{files} ({bytes})"))], text);
        push_kept(&self.kept, &self.other_tables, text);
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let locations: Vec<&str> = self.locations.iter().map(Location::as_str).collect();
        let bytes = self.orphans.iter().map(|orphan| orphan.bytes).sum();
        let files = counted(self.orphans.len() as u64, "file");
        pairs(
            &[
                ("table", self.table.to_string()),
                ("looked through", locations.join("\n")),
                ("orphans", format!("{files} ({})", format_bytes(bytes))),
            ],
            text,
        );
        let files = self.orphans.iter().map(|orphan| {
            let file = orphan.orphan_file_location.as_str();
            (file, orphan.reason.to_string())
        });
        push_files("Orphans:", files, text);
        push_kept(&self.kept, &self.other_tables, text);
    }
}
