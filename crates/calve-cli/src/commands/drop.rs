use std::sync::Arc;

use calve::table::DropTable;
use calve::table::drop_table::{Plan, Report};

use super::Context;
use crate::flags::DropFlags;
use crate::printer::Render;
use crate::settings::Settings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let mut lines = vec![("table", self.table.to_string())];
        if let Some(files) = &self.files {
            lines.extend([
                ("data files", files.data_files.to_string()),
                ("delete files", files.delete_files.to_string()),
                ("manifests", files.manifests.to_string()),
                ("manifest lists", files.manifest_lists.to_string()),
                ("statistics files", files.statistics_files.to_string()),
                ("metadata files", files.metadata_files.to_string()),
            ]);
        }
        pairs(&lines, text);
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        pairs(
            &[
                ("dropped", self.table.clone()),
                ("files deleted", self.deleted_files_count.to_string()),
            ],
            text,
        );
    }
}

/// Takes a table out of the catalog, and deletes its files where asked to.
pub(crate) async fn drop(context: &Context, flags: DropFlags) -> anyhow::Result<ExitStatus> {
    let ident = Settings::table(&flags.table)?;
    let mut drop = DropTable::new(context.open_catalog().await?, ident)
        .with_purge(flags.purge)
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(concurrency) = context.settings.concurrency {
        drop = drop.with_concurrency(concurrency);
    }
    if context.settings.dry_run {
        return context.print_plan(&drop.plan().await?);
    }
    let report = drop.await?;
    context.printer.print(&report)?;
    for file in &report.failed {
        let message = format!("{} was not deleted: {}", file.location, file.error);
        context.printer.warning(&message);
    }
    Ok(if report.failed.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    })
}
