use calve::table::RegisterTable;
use calve::table::register_table::Report;

use super::Context;
use crate::flags::RegisterFlags;
use crate::printer::Render;
use crate::settings::Settings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Report {
    fn render(&self, text: &mut String) {
        let number = |count: Option<u64>| count.map_or_else(String::new, |it| it.to_string());
        let snapshot = self.current_snapshot_id;
        pairs(
            &[
                ("table", self.table.to_string()),
                ("metadata", self.metadata_location.to_string()),
                (
                    "snapshot",
                    snapshot.map_or("none".to_owned(), |id| id.to_string()),
                ),
                ("data files", number(self.total_data_files_count)),
                ("records", number(self.total_records_count)),
            ],
            text,
        );
    }
}

/// Enters an existing metadata file into the catalog.
pub(crate) async fn register(
    context: &Context,
    flags: RegisterFlags,
) -> anyhow::Result<ExitStatus> {
    let ident = Settings::table(&flags.table)?;
    let metadata = context.settings.location(&flags.metadata)?;
    let register = RegisterTable::new(context.open_catalog().await?, ident, metadata);
    if context.settings.dry_run {
        return context.print_plan(&register.plan().await?);
    }
    context.printer.print(&register.await?)?;
    Ok(ExitStatus::Done)
}
