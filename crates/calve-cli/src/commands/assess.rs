use std::sync::Arc;

use anyhow::Context as _;
use calve::Assess;
use calve::base::{Location, units};
use calve::migrate::assess::{Amount, Assessment, Census, Cost, Recommendation, Ways};

use super::Context;
use crate::flags::AssessFlags;
use crate::printer::Render;
use crate::settings::AssessSettings;
use crate::status::ExitStatus;
use crate::text_table::{TextTable, counted, pairs, push_line, visible};

/// How many entries of a list people are shown; JSON and HTML have more.
const SHOWN_ENTRIES: usize = 20;
/// How many characters the longest bar of the histogram has.
const BAR_LENGTH: u64 = 32;

/// Says what lies in a lake, and which way into Iceberg to take.
pub(crate) async fn assess(context: &Context, flags: AssessFlags) -> anyhow::Result<ExitStatus> {
    let settings = AssessSettings::resolve(flags, &context.settings)?;
    let (is_html, out) = (settings.is_html, settings.out.clone());
    let assessment = operation(context, settings).await?.await?;
    let document = || {
        if is_html {
            return assessment.to_html();
        }
        let mut text = String::new();
        assessment.render(&mut text);
        text
    };
    if let Some(path) = &out {
        // The error of `fs_err` names the file.
        fs_err::write(path, document()).context("the report cannot be written")?;
    }
    if is_html && out.is_none() {
        context.printer.data(document().as_bytes())?;
    } else {
        context.printer.print(&assessment)?;
    }
    for note in &assessment.census.notes {
        context.printer.note(note);
    }
    if assessment.from_cache {
        context
            .printer
            .note("the source lists as before: no footer was read");
    }
    Ok(ExitStatus::Done)
}

/// Hands the settings to the operation.
async fn operation(context: &Context, settings: AssessSettings) -> anyhow::Result<Assess> {
    let catalog = context.open_catalog().await?;
    let source = context.open_source(settings.source, &catalog).await?;
    let mut operation = Assess::new(catalog, source)
        .with_partition_filter(settings.partition_filter)
        .with_partition_types(settings.partition_types)
        .with_recursive(settings.recursive)
        .with_int96(settings.int96)
        .with_prices(settings.prices)
        .with_neighbours(settings.neighbours)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(table) = settings.table {
        operation = operation.with_table(table);
    }
    if let Some(cache) = settings.cache {
        operation = operation.with_cache(cache);
    }
    if let Some(target_bytes) = settings.target_bytes {
        operation = operation.with_target_bytes(target_bytes);
    }
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    Ok(operation)
}

impl Render for Assessment {
    fn render(&self, text: &mut String) {
        let census = &self.census;
        let keys: Vec<String> = census
            .partition_keys
            .iter()
            .map(|key| format!("{}: {}", visible(&key.name), key.key_type))
            .collect();
        let by = match keys.as_slice() {
            [] => "none".to_owned(),
            keys => format!("{} by {}", census.partitions, keys.join(", ")),
        };
        let skipped: Vec<String> = census
            .skipped
            .iter()
            .map(|kind| format!("{} {}", kind.objects, kind.reason))
            .collect();
        let skipped = match skipped.as_slice() {
            [] => "0".to_owned(),
            reasons => format!("{} ({})", census.skipped_count, reasons.join(", ")),
        };
        let in_place = &census.in_place;
        pairs(
            &[
                ("source", visible(&self.source)),
                ("location", shown(&self.location)),
                (
                    "files",
                    format!("{} ({})", census.files, units::format_bytes(census.bytes)),
                ),
                ("rows", census.records.to_string()),
                ("row groups", census.row_groups.to_string()),
                ("partitions", by),
                ("columns", census.columns.len().to_string()),
                ("schemas", census.schemas_count.to_string()),
                ("skipped", skipped),
                ("can stay", described(in_place.safe)),
                ("unsafe", described(in_place.only_if_allowed)),
                ("refused", described(in_place.refused)),
                ("without rows", described(in_place.no_rows)),
                ("rewritable", described(census.rewritable)),
            ],
            text,
        );
        sizes(census, text);
        findings(census, text);
        costs(&self.ways, text);
        section(
            "Ownership",
            self.ownership.iter().map(|it| &it.message),
            text,
        );
        push_line(
            text,
            format_args!("\nRecommendation: {}", self.recommendation.as_str()),
        );
        for reason in &self.reasons {
            push_line(text, format_args!("  - {}", visible(reason)));
        }
        let keys = &census.partition_keys;
        let excepted = census.except.partitions.iter();
        let excepted: Vec<String> = excepted.map(|it| it.describe(keys)).collect();
        if self.recommendation == Recommendation::InPlaceExcept {
            section("Partitions to except", excepted.iter(), text);
        }
        section("Next", self.commands.iter(), text);
    }
}

fn sizes(census: &Census, text: &mut String) {
    let most = census.sizes.iter().map(|it| it.amount.files).max();
    let most = u128::from(most.unwrap_or(0).max(1));
    push_line(
        text,
        format_args!(
            "\nSizes ({} below {}):",
            counted(census.small_files.files, "file"),
            units::format_bytes(census.target_file_bytes)
        ),
    );
    for bucket in &census.sizes {
        let label = match bucket.below_bytes {
            Some(bytes) => format!("< {}", units::format_bytes(bytes)),
            None => "larger".to_owned(),
        };
        let files = bucket.amount.files;
        let length = u128::from(files) * u128::from(BAR_LENGTH) / most;
        let length = usize::try_from(length)
            .unwrap_or(0)
            .max(usize::from(files > 0));
        let bar = "#".repeat(length);
        let line = format!("  {label:>11}  {files:>9}  {bar}");
        push_line(text, format_args!("{}", line.trim_end()));
    }
}

fn findings(census: &Census, text: &mut String) {
    let findings = census.findings.iter().map(|it| {
        let example = it.examples.first().map_or_else(String::new, shown);
        format!(
            "{} {}: {}\n    {}, such as {example}",
            it.severity,
            it.code,
            visible(&it.message),
            described(it.amount)
        )
    });
    section("Findings", findings, text);
    let differing = census.schemas.iter().filter(|it| !it.differs.is_empty());
    let differing: Vec<String> = differing
        .map(|it| {
            format!(
                "{}, such as {}\n    {}",
                described(it.amount),
                shown(&it.example),
                visible(&it.differs.join("; "))
            )
        })
        .collect();
    section("Differing schemas", differing.into_iter(), text);
}

fn costs(ways: &Ways, text: &mut String) {
    let names = ["way", "LIST", "GET", "PUT", "Glue", "read", "written", "$"];
    let columns = names.iter().enumerate();
    let mut table = TextTable::new(columns.map(|(at, name)| ((*name).to_owned(), at > 0)));
    let row = |name: &str, cost: &Cost| {
        vec![
            name.to_owned(),
            cost.list_requests.to_string(),
            cost.get_requests.to_string(),
            cost.put_requests.to_string(),
            cost.glue_requests.to_string(),
            units::format_bytes(cost.scanned_bytes),
            units::format_bytes(cost.written_bytes),
            format!("{:.2}", cost.dollars),
        ]
    };
    let rows = [
        row("in place", &ways.in_place),
        row("ctas", &ways.ctas),
        row("ctas by Athena", &ways.ctas_by_athena),
    ];
    table.settle(&rows);
    text.push('\n');
    table.header(text);
    for row in &rows {
        table.row(row, text);
    }
}

/// Writes the first entries of a list below its title, if there are any.
fn section(
    title: &str,
    entries: impl ExactSizeIterator<Item = impl AsRef<str>>,
    text: &mut String,
) {
    let more = entries.len().saturating_sub(SHOWN_ENTRIES);
    if entries.len() == 0 {
        return;
    }
    push_line(text, format_args!("\n{title}:"));
    for entry in entries.take(SHOWN_ENTRIES) {
        for line in entry.as_ref().split('\n') {
            push_line(text, format_args!("  {}", visible(line)));
        }
    }
    if more > 0 {
        push_line(text, format_args!("  … and {more} more"));
    }
}

/// A location as a terminal may show it.
fn shown(location: &Location) -> String {
    visible(location.as_str())
}

fn described(amount: Amount) -> String {
    match amount.files {
        0 => "0".to_owned(),
        files => format!(
            "{} ({})",
            counted(files, "file"),
            units::format_bytes(amount.bytes)
        ),
    }
}
