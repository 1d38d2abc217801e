use calve::Rollback;
use calve::migrate::rollback::{Plan, Report};

use super::Context;
use crate::flags::RollbackFlags;
use crate::printer::Render;
use crate::settings::RollbackSettings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let lines = [
            ("migration", self.migration_id.to_string()),
            ("steps", self.steps.join("\n")),
        ];
        pairs(&lines, text);
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let lines = [
            ("rolled back", self.plan.migration_id.to_string()),
            ("steps", self.plan.steps.join("\n")),
            ("files deleted", self.deleted_files_count.to_string()),
        ];
        pairs(&lines, text);
    }
}

/// Undoes a migration.
pub(crate) async fn rollback(
    context: &Context,
    flags: RollbackFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = RollbackSettings::resolve(&flags)?;
    let catalog = context.open_catalog().await?;
    let operation = Rollback::new(catalog, settings.id)
        .with_force(settings.force)
        .with_fail_point(context.settings.fail_point.clone());
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    context.printer.print(&operation.await?)?;
    Ok(ExitStatus::Done)
}
