use std::collections::BTreeMap;
use std::sync::Arc;

use calve::Compact;
use calve::base::units::format_bytes;
use calve::compact::{LeftAlone, Plan, Report};

use super::Context;
use crate::flags::CompactFlags;
use crate::printer::Render;
use crate::settings::CompactSettings;
use crate::status::ExitStatus;
use crate::text_table::{counted, pairs, push_line};

/// How many groups of a plan people are shown; JSON has all.
const SHOWN_GROUPS: usize = 20;

/// Compacts a table.
pub(crate) async fn compact(context: &Context, flags: CompactFlags) -> anyhow::Result<ExitStatus> {
    let settings = CompactSettings::resolve(flags)?;
    let catalog = context.open_catalog().await?;
    let mut operation = Compact::new(catalog, settings.table)
        .with_strategy(settings.strategy)
        .with_session(context.session_options())
        .with_progress(Arc::new(context.bars.clone()));
    for (name, value) in settings.options {
        operation = operation.with_option(name, value);
    }
    if let Some(condition) = settings.condition {
        operation = operation.with_where(condition);
    }
    if let Some(branch) = settings.branch {
        operation = operation.with_branch(branch);
    }
    for (name, value) in settings.summary {
        operation = operation.with_snapshot_property(name, value);
    }
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    let report = operation.await?;
    context.printer.print(&report)?;
    for failure in &report.failures {
        context
            .printer
            .warning(&format!("not rewritten: {failure}"));
    }
    Ok(if report.failures.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    })
}

fn files_and_bytes(files: u64, bytes: u64) -> String {
    format!("{} ({})", counted(files, "file"), format_bytes(bytes))
}

/// Writes how many files stay, by reason.
fn push_left(left: &BTreeMap<LeftAlone, u64>, text: &mut String) {
    if left.is_empty() {
        return;
    }
    push_line(text, format_args!("\nLeft alone:"));
    for (reason, files) in left {
        push_line(
            text,
            format_args!("  {}: {reason}", counted(*files, "file")),
        );
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let snapshots: Vec<String> = self.snapshot_ids.iter().map(ToString::to_string).collect();
        let snapshots = if snapshots.is_empty() {
            "none: there is nothing to do".to_owned()
        } else {
            snapshots.join(", ")
        };
        let mut rewritten =
            files_and_bytes(self.rewritten_data_files_count, self.rewritten_bytes_count);
        if self.copied_data_files_count > 0 {
            let copied = self.copied_data_files_count;
            rewritten = format!("{rewritten}, {copied} of them copied without decoding");
        }
        pairs(
            &[
                ("snapshot", snapshots),
                ("rewritten", rewritten),
                (
                    "added",
                    files_and_bytes(self.added_data_files_count, self.added_bytes_count),
                ),
                ("rows", self.rows_count.to_string()),
                (
                    "delete files removed",
                    self.removed_delete_files_count.to_string(),
                ),
                ("failed", counted(self.failed_data_files_count, "file")),
            ],
            text,
        );
        push_left(&self.left_alone, text);
    }
}

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let sizes = [
            self.min_file_size_bytes,
            self.target_file_size_bytes,
            self.max_file_size_bytes,
        ];
        let [min, target, max] = sizes.map(format_bytes);
        pairs(
            &[
                ("table", self.table.to_string()),
                ("file size", format!("{target} (from {min} to {max})")),
                ("groups", self.groups.len().to_string()),
                (
                    "to rewrite",
                    files_and_bytes(self.files_count() as u64, self.bytes()),
                ),
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
            let expected = counted(group.expected_output_files, "file");
            push_line(
                text,
                format_args!("  {place}: {files}, {} rows, into {expected}", group.rows),
            );
        }
        if self.groups.len() > SHOWN_GROUPS {
            let rest = self.groups.len() - SHOWN_GROUPS;
            push_line(text, format_args!("  … and {rest} more"));
        }
        let mut left: BTreeMap<LeftAlone, u64> = BTreeMap::new();
        for file in &self.left_alone {
            *left.entry(file.reason).or_default() += 1;
        }
        push_left(&left, text);
    }
}
