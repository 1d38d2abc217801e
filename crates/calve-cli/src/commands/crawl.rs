use std::sync::Arc;

use calve::Crawl;
use calve::base::{Progress, units};
use calve::migrate::RegisterHive;
use calve::migrate::crawl::Report;
use calve::migrate::register_hive::{Column, HiveEntry, HiveFormat};
use calve::storage::Storage;

use super::Context;
use super::xml::{hive_columns, infer_rows};
use crate::flags::CrawlFlags;
use crate::printer::Render;
use crate::settings::{CrawlFormat, CrawlSettings};
use crate::status::ExitStatus;
use crate::text_table::pairs;

/// Enters the files of a folder into Glue.
pub(crate) async fn crawl(context: &Context, flags: CrawlFlags) -> anyhow::Result<ExitStatus> {
    let settings = CrawlSettings::resolve(flags, &context.settings)?;
    let catalog = context.open_metastore().await?;
    let progress: Arc<dyn Progress> = Arc::new(context.bars.clone());
    let dry_run = context.settings.dry_run;
    let CrawlSettings {
        location,
        table,
        updates,
        partition_types,
        format,
    } = settings;
    let mut is_whole = true;
    let report = match format {
        CrawlFormat::Parquet => {
            let storage = Storage::new(context.settings.catalog.properties.clone());
            let mut crawl = Crawl::new(storage, catalog, location, table)
                .with_updates(updates)
                .with_partition_types(partition_types)
                .with_progress(progress);
            if let Some(concurrency) = context.settings.concurrency {
                crawl = crawl.with_concurrency(concurrency);
            }
            if dry_run {
                crawl.plan().await?
            } else {
                crawl.await?
            }
        }
        CrawlFormat::Xml(xml) => {
            let row_tag = xml.options.row_tag.clone();
            let rows = infer_rows(context, *xml).await?;
            is_whole = rows.is_whole;
            let entry = HiveEntry {
                location: location.clone(),
                format: HiveFormat::Xml { row_tag },
                columns: hive_columns(&rows.schema)?,
                partition_keys: Vec::new(),
            };
            let register = RegisterHive::new(catalog, table.clone(), entry)
                .with_updates(updates)
                .with_progress(progress);
            let entered = if dry_run {
                register.plan().await?
            } else {
                register.await?
            };
            Report {
                table,
                location,
                files: rows.files,
                records: rows.rows,
                bytes: rows.bytes,
                entered,
            }
        }
    };
    if dry_run {
        return context.print_plan(&report);
    }
    context.printer.print(&report)?;
    Ok(if is_whole {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    })
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let entered = &self.entered;
        let table = match (entered.creates_table, entered.changes.is_empty()) {
            (true, _) => format!("{} (new)", self.table),
            (false, true) => format!("{} (unchanged)", self.table),
            (false, false) => format!("{} (updated)", self.table),
        };
        let size = units::format_bytes(self.bytes);
        let mut lines = vec![
            ("table", table),
            ("location", self.location.to_string()),
            ("files", format!("{} ({size})", self.files)),
            ("records", self.records.to_string()),
            ("columns", columns(&entered.columns)),
        ];
        if !entered.partition_keys.is_empty() {
            lines.push(("keys", columns(&entered.partition_keys)));
            let partitions = format!(
                "{} added, {} updated, {} unchanged",
                entered.partitions_added, entered.partitions_updated, entered.partitions_unchanged
            );
            lines.push(("partitions", partitions));
        }
        if !entered.changes.is_empty() {
            let changes: Vec<String> = entered.changes.iter().map(ToString::to_string).collect();
            lines.push(("changes", changes.join("\n")));
        }
        pairs(&lines, text);
    }
}

fn columns(columns: &[Column]) -> String {
    let lines: Vec<String> = columns
        .iter()
        .map(|column| format!("{}: {}", column.name, column.hive_type))
        .collect();
    lines.join("\n")
}
