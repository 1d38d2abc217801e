use std::sync::Arc;

use calve::base::units::format_bytes;
use calve::compact::RewriteDeletes;
use calve::compact::rewrite_deletes::{Plan, Report};

use super::Context;
use crate::flags::RewriteDeletesFlags;
use crate::printer::Render;
use crate::settings::RewriteDeletesSettings;
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// How many groups of a plan people are shown; JSON has all.
const SHOWN_GROUPS: usize = 20;

/// Rewrites the position delete files of a table.
pub(crate) async fn rewrite_deletes(
    context: &Context,
    flags: RewriteDeletesFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = RewriteDeletesSettings::resolve(flags)?;
    let catalog = context.open_catalog().await?;
    let mut operation =
        RewriteDeletes::new(catalog, settings.table).with_progress(Arc::new(context.bars.clone()));
    if let Some(condition) = settings.condition {
        operation = operation.with_where(condition);
    }
    for (name, value) in settings.options {
        operation = operation.with_option(name, value);
    }
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    context.printer.print(&operation.await?)?;
    Ok(ExitStatus::Done)
}

fn files_and_bytes(files: u64, bytes: u64) -> String {
    format!("{} ({})", counted(files, "file"), format_bytes(bytes))
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let snapshots = match self.snapshot_ids.as_slice() {
            [] => "none: there is nothing to do".to_owned(),
            ids => ids
                .iter()
                .map(i64::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        };
        let failures = self.failures.iter();
        let failures = failures.map(|why| ("failed", why.clone()));
        let mut facts = vec![
            ("snapshots", snapshots),
            (
                "rewritten",
                files_and_bytes(
                    self.rewritten_delete_files_count,
                    self.rewritten_bytes_count,
                ),
            ),
            (
                "added",
                files_and_bytes(self.added_delete_files_count, self.added_bytes_count),
            ),
            ("dropped", counted(self.dropped_positions_count, "position")),
        ];
        facts.extend(failures);
        pairs(&facts, text);
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let files: usize = self.groups.iter().map(|group| group.files_count).sum();
        let bytes = self.groups.iter().map(|group| group.bytes).sum();
        pairs(
            &[
                ("table", self.table.to_string()),
                ("groups", self.groups.len().to_string()),
                ("to rewrite", files_and_bytes(files as u64, bytes)),
                ("left alone", counted(self.left_alone_count as u64, "file")),
            ],
            text,
        );
        if !self.groups.is_empty() {
            push_line(text, format_args!("\nGroups:"));
        }
        for group in self.groups.iter().take(SHOWN_GROUPS) {
            let files = files_and_bytes(group.files_count as u64, group.bytes);
            let place = match group.partition.as_str() {
                "" => "all",
                partition => partition,
            };
            push_line(
                text,
                format_args!("  {place}: {files}, {} positions", group.positions),
            );
        }
        if self.groups.len() > SHOWN_GROUPS {
            let rest = self.groups.len() - SHOWN_GROUPS;
            push_line(text, format_args!("  … and {rest} more"));
        }
    }
}
