use std::sync::Arc;

use calve::Snapshot;
use calve::migrate::snapshot::Report;

use super::{Context, add_files};
use crate::flags::SnapshotFlags;
use crate::printer::Render;
use crate::settings::SnapshotSettings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Report {
    fn render(&self, text: &mut String) {
        if let Some(id) = &self.migration_id {
            pairs(&[("migration", id.to_string())], text);
        }
        self.files.render(text);
    }
}

/// Makes a trial table over a lake's files.
pub(crate) async fn snapshot(
    context: &Context,
    flags: SnapshotFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = SnapshotSettings::resolve(flags, &context.settings)?;
    let catalog = context.open_catalog().await?;
    let source = context.open_source(settings.source, &catalog).await?;
    let mut operation = Snapshot::new(catalog, source, settings.table)
        .with_properties(settings.properties)
        .with_on_unsafe(settings.on_unsafe)
        .with_int96(settings.int96)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(location) = settings.location {
        operation = operation.with_location(location);
    }
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    if context.settings.dry_run {
        let plan = operation.plan().await?;
        add_files::tell(context, &plan);
        return context.print_plan(&plan);
    }
    let report = operation.await?;
    context.printer.print(&report)?;
    add_files::tell(context, &report.files.plan);
    Ok(match report.migration_id {
        Some(_) => ExitStatus::Done,
        None => ExitStatus::Problem,
    })
}
