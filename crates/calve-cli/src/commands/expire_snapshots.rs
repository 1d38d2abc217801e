use std::sync::Arc;

use calve::ExpireSnapshots;
use calve::compact::expire::{Plan, Report};

use super::Context;
use super::upkeep::{push_files, warn_of};
use crate::flags::ExpireSnapshotsFlags;
use crate::printer::Render;
use crate::settings::ExpireSnapshotsSettings;
use crate::status::ExitStatus;
use crate::text_table::{pairs, push_line};

/// How many snapshots people are shown; JSON has all.
const SHOWN_SNAPSHOTS: usize = 20;

/// Lets snapshots of a table expire, and deletes their files.
pub(crate) async fn expire_snapshots(
    context: &Context,
    flags: ExpireSnapshotsFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = ExpireSnapshotsSettings::resolve(flags)?;
    let catalog = context.open_catalog().await?;
    let mut operation = ExpireSnapshots::new(catalog, settings.table)
        .with_clean_expired_metadata(settings.cleans_metadata)
        .with_clean_up(settings.clean_up)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(older_than_ms) = settings.older_than_ms {
        operation = operation.with_older_than_ms(older_than_ms);
    }
    if let Some(snapshots) = settings.retain_last {
        operation = operation.with_retain_last(snapshots);
    }
    for snapshot_id in settings.snapshot_ids {
        operation = operation.with_snapshot_id(snapshot_id);
    }
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    if context.settings.dry_run {
        let plan = operation.plan().await?;
        context.print_plan(&plan)?;
        return Ok(warn_of(context, &plan.failed));
    }
    let report = operation.await?;
    context.printer.print(&report)?;
    Ok(warn_of(context, &report.failed))
}

fn or_none(names: &[impl ToString]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let mut lines = vec![("expired snapshots", or_none(&self.expired_snapshot_ids))];
        for (label, removed) in [
            (
                "removed branches and tags",
                or_none(&self.removed_references),
            ),
            ("removed schemas", or_none(&self.removed_schema_ids)),
            ("removed partition specs", or_none(&self.removed_spec_ids)),
        ] {
            if removed != "none" {
                lines.push((label, removed));
            }
        }
        for (label, count) in [
            ("deleted data files", self.deleted_data_files_count),
            (
                "deleted position delete files",
                self.deleted_position_delete_files_count,
            ),
            (
                "deleted equality delete files",
                self.deleted_equality_delete_files_count,
            ),
            ("deleted manifests", self.deleted_manifest_files_count),
            ("deleted manifest lists", self.deleted_manifest_lists_count),
            (
                "deleted statistics files",
                self.deleted_statistics_files_count,
            ),
        ] {
            lines.push((label, count.to_string()));
        }
        pairs(&lines, text);
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        pairs(
            &[
                ("table", self.table.to_string()),
                ("snapshots", self.snapshots.len().to_string()),
                ("branches and tags", or_none(&self.references)),
                ("schemas", or_none(&self.schema_ids)),
                ("partition specs", or_none(&self.spec_ids)),
                ("files", self.files.len().to_string()),
            ],
            text,
        );
        if !self.snapshots.is_empty() {
            push_line(text, format_args!("\nSnapshots:"));
        }
        for snapshot in self.snapshots.iter().take(SHOWN_SNAPSHOTS) {
            let (id, operation) = (snapshot.snapshot_id, &snapshot.operation);
            push_line(
                text,
                format_args!("  {id} ({operation}): {}", snapshot.reason),
            );
        }
        if self.snapshots.len() > SHOWN_SNAPSHOTS {
            let rest = self.snapshots.len() - SHOWN_SNAPSHOTS;
            push_line(text, format_args!("  … and {rest} more"));
        }
        let files = self.files.iter().map(|file| {
            let reason = format!("{}, of snapshot {}", file.kind, file.snapshot_id);
            (file.file.as_str(), reason)
        });
        push_files("Files that only these lead to:", files, text);
    }
}
