use calve::RewriteManifests;
use calve::base::units::format_bytes;
use calve::compact::manifests::{Plan, Report};

use super::Context;
use crate::flags::RewriteManifestsFlags;
use crate::printer::Render;
use crate::settings::Settings;
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// Writes the manifests of a table anew.
pub(crate) async fn rewrite_manifests(
    context: &Context,
    flags: RewriteManifestsFlags,
) -> anyhow::Result<ExitStatus> {
    let table = Settings::table(&flags.table)?;
    let catalog = context.open_catalog().await?;
    let mut operation = RewriteManifests::new(catalog, table).with_sort_by(flags.sort_by);
    if let Some(spec_id) = flags.spec_id {
        operation = operation.with_spec_id(spec_id);
    }
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    context.printer.print(&operation.await?)?;
    Ok(ExitStatus::Done)
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let snapshot = self.snapshot_id.map_or_else(
            || "none: there is nothing to do".to_owned(),
            |id| id.to_string(),
        );
        pairs(
            &[
                ("snapshot", snapshot),
                (
                    "rewritten",
                    counted(self.rewritten_manifests_count, "manifest"),
                ),
                ("added", counted(self.added_manifests_count, "manifest")),
                ("files in them", self.processed_entries_count.to_string()),
            ],
            text,
        );
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        pairs(
            &[
                ("table", self.table.to_string()),
                ("manifest size", format_bytes(self.target_size_bytes)),
            ],
            text,
        );
        let title = match self.sets.len() {
            0 => "\nNothing to rewrite.",
            _ => "\nTo rewrite:",
        };
        push_line(text, format_args!("{title}"));
        for set in &self.sets {
            let manifests = counted(set.manifests_count as u64, "manifest");
            let files = counted(set.files_count, "file");
            let reasons: Vec<String> = set.reasons.iter().map(ToString::to_string).collect();
            push_line(
                text,
                format_args!(
                    "  {}, spec {}: {manifests} ({}) of {files}, into about {}: {}",
                    set.content,
                    set.spec_id,
                    format_bytes(set.bytes),
                    set.expected_manifests,
                    reasons.join(", ")
                ),
            );
        }
    }
}
