use std::sync::Arc;

use calve::Verify;
use calve::catalog::Catalog;
use calve::lake::LakeOptions;
use calve::verify::{Check, Report, VerifySource};

use super::Context;
use crate::flags::VerifyFlags;
use crate::printer::Render;
use crate::settings::{SourceSettings, VerifySettings};
use crate::status::ExitStatus;
use crate::text_table::{TextTable, counted, pairs, push_line};

/// How many differences people are shown; JSON has more.
const SHOWN_DIFFERENCES: usize = 20;

/// Proves that a source and a table hold the same rows, or tells where they differ.
pub(crate) async fn verify(context: &Context, flags: VerifyFlags) -> anyhow::Result<ExitStatus> {
    let settings = VerifySettings::resolve(flags, &context.settings)?;
    let catalog = context.open_catalog().await?;
    let report = prove(context, catalog, settings).await?;
    context.printer.print(&report)?;
    Ok(status(&report))
}

/// Compares source and table.
///
/// # Errors
/// When a side cannot be read.
pub(super) async fn prove(
    context: &Context,
    catalog: Arc<dyn Catalog>,
    settings: VerifySettings,
) -> anyhow::Result<Report> {
    let source = match settings.source {
        SourceSettings::IcebergTable(ident) => VerifySource::Table(ident),
        source => {
            let mut options = LakeOptions {
                partition_types: settings.partition_types,
                recursive: settings.recursive,
                ..LakeOptions::default()
            };
            if let Some(concurrency) = context.settings.concurrency {
                options.concurrency = concurrency;
            }
            VerifySource::Lake {
                source: context.open_source(source, &catalog).await?,
                options: Box::new(options),
            }
        }
    };
    let mut verify = Verify::new(catalog, source, settings.table)
        .with_level(settings.level)
        .with_partition_filter(settings.partition_filter)
        .with_session_options(context.session_options())
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(snapshot_id) = settings.snapshot_id {
        verify = verify.with_snapshot(snapshot_id);
    }
    Ok(verify.await?)
}

/// What the proof says about the run.
pub(super) fn status(report: &Report) -> ExitStatus {
    if report.equal {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let snapshot = match self.snapshot_id {
            Some(id) => format!("snapshot {id}"),
            None => "no snapshot".to_owned(),
        };
        let verdict = if self.equal {
            format!("equal: no difference in {} checks", self.checks_count)
        } else {
            format!(
                "DIFFERENT: {} in {} checks",
                counted(self.differences_count, "difference"),
                self.checks_count
            )
        };
        pairs(
            &[
                (
                    "source",
                    format!("{}: {} rows", self.source, self.rows_source),
                ),
                (
                    "table",
                    format!("{}: {} rows ({snapshot})", self.table, self.rows_table),
                ),
                ("level", self.level.to_string()),
                ("partitions", self.partitions_compared.to_string()),
                ("verdict", verdict),
            ],
            text,
        );
        text.push('\n');
        checks(&self.checks, text);
        if !self.differences.is_empty() {
            text.push('\n');
            differences(self, text);
        }
    }
}

/// Writes what was compared, each kind of check once.
fn checks(checks: &[Check], text: &mut String) {
    let mut kinds: Vec<(&str, u64, u64, bool)> = Vec::new();
    for check in checks {
        let columns = u64::from(check.column.is_some());
        match kinds.iter_mut().find(|kind| kind.0 == check.name) {
            Some(kind) => {
                kind.1 += columns;
                kind.2 += check.compared;
                kind.3 &= check.equal;
            }
            None => kinds.push((check.name, columns, check.compared, check.equal)),
        }
    }
    let rows: Vec<Vec<String>> = kinds
        .into_iter()
        .map(|(name, columns, compared, equal)| {
            vec![
                name.to_owned(),
                if columns == 0 {
                    String::new()
                } else {
                    columns.to_string()
                },
                compared.to_string(),
                if equal { "equal" } else { "DIFFERENT" }.to_owned(),
            ]
        })
        .collect();
    let headers = [
        ("check", false),
        ("columns", true),
        ("compared", true),
        ("", false),
    ];
    table(&headers, &rows, text);
}

/// Writes the first differences.
fn differences(report: &Report, text: &mut String) {
    let rows: Vec<Vec<String>> = report
        .differences
        .iter()
        .take(SHOWN_DIFFERENCES)
        .map(|difference| {
            vec![
                difference.partition.to_string(),
                difference.column.clone().unwrap_or_default(),
                difference.check.to_owned(),
                difference.source.to_string(),
                difference.table.to_string(),
            ]
        })
        .collect();
    let headers = ["partition", "column", "check", "source", "table"].map(|it| (it, false));
    table(&headers, &rows, text);
    let rest = report.differences_count.saturating_sub(rows.len() as u64);
    if rest > 0 {
        push_line(text, format_args!("… and {rest} more"));
    }
}

/// Writes a table.
fn table(headers: &[(&str, bool)], rows: &[Vec<String>], text: &mut String) {
    let columns = headers
        .iter()
        .map(|(name, right)| ((*name).to_owned(), *right));
    let mut table = TextTable::new(columns);
    table.settle(rows);
    table.header(text);
    for row in rows {
        table.row(row, text);
    }
}
