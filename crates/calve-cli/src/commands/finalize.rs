use calve::Finalize;
use calve::migrate::finalize::Report;

use super::Context;
use crate::flags::FinalizeFlags;
use crate::printer::Render;
use crate::settings::FinalizeSettings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Report {
    fn render(&self, text: &mut String) {
        let owner = if self.owns_files {
            "gc.enabled=true: the table"
        } else {
            "as before"
        };
        let mut lines = vec![
            ("migration", self.migration_id.to_string()),
            ("owns the files", owner.to_owned()),
            (
                "partition entries removed",
                self.removed_partitions_count.to_string(),
            ),
        ];
        let backup = self.dropped_backup.as_ref();
        lines.extend(backup.map(|name| ("backup dropped", name.to_string())));
        pairs(&lines, text);
    }
}

/// Makes a migration final.
pub(crate) async fn finalize(
    context: &Context,
    flags: FinalizeFlags,
) -> anyhow::Result<ExitStatus> {
    let settings = FinalizeSettings::resolve(&flags)?;
    let catalog = context.open_catalog().await?;
    let operation = Finalize::new(catalog, settings.id)
        .with_own_files(settings.own_files)
        .with_drop_backup(settings.drop_backup);
    if context.settings.dry_run {
        return context.print_plan(&operation.plan().await?);
    }
    context.printer.print(&operation.await?)?;
    Ok(ExitStatus::Done)
}
