use calve::Swap;
use calve::migrate::swap::{Plan, Report};

use super::Context;
use crate::flags::SwapFlags;
use crate::printer::Render;
use crate::settings::SwapSettings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let lines = [
            ("table", self.table.to_string()),
            ("becomes", self.takes_over.to_string()),
            ("backup", self.backup.to_string()),
            ("partition entries", self.partitions_count.to_string()),
        ];
        pairs(&lines, text);
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let lines = [
            ("migration", self.migration_id.to_string()),
            ("table", self.plan.table.to_string()),
            ("was", self.plan.takes_over.to_string()),
            ("backup", self.plan.backup.to_string()),
            ("metadata", self.metadata_location.to_string()),
            ("undo record", self.undo.to_string()),
        ];
        pairs(&lines, text);
    }
}

/// Gives a table the name of another one.
pub(crate) async fn swap(context: &Context, flags: SwapFlags) -> anyhow::Result<ExitStatus> {
    let settings = SwapSettings::resolve(&flags)?;
    let catalog = context.open_catalog().await?;
    let mut operation = Swap::new(catalog, settings.old, settings.new)
        .with_fail_point(context.settings.fail_point.clone());
    if let Some(backup) = settings.backup {
        operation = operation.with_backup_name(backup);
    }
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    context.printer.print(&operation.await?)?;
    Ok(ExitStatus::Done)
}
