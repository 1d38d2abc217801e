use std::sync::Arc;

use anyhow::Context as _;
use calve::Verify;
use calve::base::units::format_bytes;
use calve::catalog::Catalog;
use calve::lake::LakeOptions;
use calve::verify::{
    AthenaReader, Check, DEFAULT_CANDIDATES, DifferenceFile, DifferenceSink, PythonReader, ReadBy,
    Reader, Report, RowDifference, RowDifferences, RowKind, RowOptions, VerifySource,
};
use serde_json::{Map, Value};

use super::Context;
use crate::flags::VerifyFlags;
use crate::printer::Render;
use crate::settings::{ReaderSettings, SourceSettings, VerifySettings};
use crate::status::ExitStatus;
use crate::text_table::{TextTable, counted, pairs, push_line};

/// How many differences people are shown; JSON has more.
const SHOWN_DIFFERENCES: usize = 20;

/// What a row takes whose hash is held while rows that differ are searched, and what leaves room for
/// the queries themselves.
const CANDIDATE_BYTES: u64 = 400;

/// How many rows' hashes are held at once, however little memory there is.
const FEWEST_CANDIDATES: usize = 10_000;

/// How many rows that differ people are shown; JSON has more.
const SHOWN_ROWS: usize = 10;

/// Proves that a source and a table hold the same rows, or tells where they differ.
pub(crate) async fn verify(
    context: &Context,
    flags: Box<VerifyFlags>,
) -> anyhow::Result<ExitStatus> {
    let settings = VerifySettings::resolve(*flags, &context.settings)?;
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
                format: settings.format,
            }
        }
    };
    let rows = settings.rows;
    let file = rows.differences.map(DifferenceFile::create).transpose();
    let file = file.context("the rows that differ cannot be written")?;
    let file = file.map(Arc::new);
    let mut verify = Verify::new(catalog, source, settings.table)
        .with_level(settings.level)
        .with_rows(row_options(context, rows.key, rows.limit, file.as_ref()))
        .with_partition_filter(settings.partition_filter)
        .with_session_options(context.session_options())
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(snapshot_id) = settings.snapshot_id {
        verify = verify.with_snapshot(snapshot_id);
    }
    if let Some(fraction) = settings.sample {
        verify = verify.with_sample(fraction);
    }
    if let Some(reader) = settings.reader {
        verify = verify.with_reader(Box::pin(open_reader(context, reader)).await?);
    }
    let report = verify.await?;
    if let Some(file) = file {
        file.finish()
            .context("the rows that differ cannot be written")?;
    }
    Ok(report)
}

/// Another reader of the table.
async fn open_reader(context: &Context, settings: ReaderSettings) -> anyhow::Result<Reader> {
    let catalog = &context.settings.catalog;
    Ok(match settings {
        ReaderSettings::Python {
            package,
            python,
            timeout,
        } => Reader::Python(
            PythonReader::new(package, &catalog.properties)
                .with_python(python)
                .with_timeout(timeout),
        ),
        ReaderSettings::Athena(options) => Reader::Athena(
            AthenaReader::connect(&catalog.name, &catalog.properties, options).await?,
        ),
    })
}

/// How rows that differ are looked for.
fn row_options(
    context: &Context,
    key: Vec<String>,
    limit: Option<usize>,
    file: Option<&Arc<DifferenceFile>>,
) -> RowOptions {
    let mut options = RowOptions {
        key,
        ..RowOptions::default()
    };
    if let Some(limit) = limit {
        options.limit = Some(limit as u64);
    } else if file.is_some() {
        options.limit = None;
    }
    if let Some(bytes) = context.settings.memory_bytes {
        let rows = usize::try_from(bytes / CANDIDATE_BYTES).unwrap_or(usize::MAX);
        options.candidates = rows.clamp(FEWEST_CANDIDATES, DEFAULT_CANDIDATES);
    }
    options.sink = file.map(|file| Arc::clone(file) as Arc<dyn DifferenceSink>);
    options
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
        let mut facts = vec![
            (
                "source",
                format!("{}: {} rows", self.source, self.rows_source),
            ),
            (
                "table",
                format!("{}: {} rows ({snapshot})", self.table, self.rows_table),
            ),
        ];
        facts.extend(
            self.reader
                .as_ref()
                .map(|reader| ("read by", read_by(reader))),
        );
        facts.extend([
            ("level", self.level.to_string()),
            ("partitions", self.partitions_compared.to_string()),
            ("verdict", verdict),
        ]);
        pairs(&facts, text);
        text.push('\n');
        checks(&self.checks, text);
        if !self.differences.is_empty() {
            text.push('\n');
            differences(self, text);
        }
        if let Some(found) = &self.row_differences {
            text.push('\n');
            row_differences(found, text);
        }
    }
}

/// Who read the table.
fn read_by(reader: &ReadBy) -> String {
    let mut words = vec![reader.name.clone()];
    words.extend(reader.version.clone());
    words.extend(reader.query_id.as_ref().map(|id| format!("(query {id})")));
    let scanned = reader.scanned_bytes.map(format_bytes);
    words.extend(scanned.map(|bytes| format!("scanning {bytes}")));
    words.join(" ")
}

/// Writes which rows differ: how many in which way, where they changed, and the first of them.
fn row_differences(found: &RowDifferences, text: &mut String) {
    let kinds = [
        (found.changed, "changed"),
        (found.missing, "missing"),
        (found.extra, "extra"),
        (found.duplicated, "duplicated"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(rows, _)| *rows > 0)
        .map(|(rows, kind)| format!("{rows} {kind}"))
        .collect();
    let more = if found.complete {
        ""
    } else {
        ", and more that were not looked up"
    };
    let kinds = if kinds.is_empty() {
        "none".to_owned()
    } else {
        kinds.join(", ")
    };
    push_line(text, format_args!("rows that differ: {kinds}{more}"));
    for changed in found.changed_columns.iter().take(SHOWN_DIFFERENCES) {
        let rows = counted(changed.rows, "row");
        push_line(text, format_args!("  {} changed in {rows}", changed.column));
    }
    text.push('\n');
    for row in found.rows.iter().take(SHOWN_ROWS) {
        row_difference(row, text);
    }
    let counts = found.changed + found.missing + found.extra + found.duplicated;
    let rest = counts.saturating_sub(SHOWN_ROWS as u64);
    if rest > 0 {
        push_line(text, format_args!("… and {rest} more"));
    }
}

/// Writes a row that differs: of a changed one, what changed, side by side, and what tells it.
fn row_difference(row: &RowDifference, text: &mut String) {
    let counts = match (row.source_count, row.table_count) {
        (0 | 1, 0 | 1) => String::new(),
        (source, table) => format!(" ({source} in the source, {table} in the table)"),
    };
    let partition = row.partition.to_string();
    let place = if partition.is_empty() {
        String::new()
    } else {
        format!(" in {partition}")
    };
    push_line(text, format_args!("{}{place}{counts}", row.kind));
    let json = |row: &Map<String, Value>| Value::Object(row.clone()).to_string();
    match (row.kind, &row.source, &row.table) {
        (RowKind::Changed, Some(source), Some(table)) => {
            push_line(text, format_args!("  source  {}", json(source)));
            push_line(text, format_args!("  table   {}", json(table)));
        }
        // Where both sides have the row, it is the same.
        (_, Some(row), _) | (_, None, Some(row)) => {
            push_line(text, format_args!("  row     {}", json(row)));
        }
        (_, None, None) => {}
    }
    if !row.columns.is_empty() {
        push_line(text, format_args!("  differ  {}", row.columns.join(", ")));
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
