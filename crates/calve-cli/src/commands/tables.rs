use calve::base::TableIdent;
use serde::Serialize;

use super::Context;
use crate::flags::TablesFlags;
use crate::printer::Render;
use crate::status::ExitStatus;

/// The tables of a catalog.
#[derive(Debug, Serialize)]
struct Listing {
    catalog: String,
    tables: Vec<TableIdent>,
}

impl Render for Listing {
    fn render(&self, text: &mut String) {
        for table in &self.tables {
            text.push_str(&table.to_string());
            text.push('\n');
        }
    }
}

/// Lists the tables of the catalog, or of one of its namespaces.
pub(crate) async fn tables(context: &Context, flags: TablesFlags) -> anyhow::Result<ExitStatus> {
    let catalog = context.open_catalog().await?;
    let namespace: Option<Vec<String>> = flags
        .namespace
        .map(|namespace| namespace.split('.').map(ToOwned::to_owned).collect());
    let tables = catalog.list_tables(namespace.as_deref()).await?;
    if tables.is_empty() {
        context.printer.note("there are no tables");
    }
    context.printer.print(&Listing {
        catalog: catalog.name().to_owned(),
        tables,
    })?;
    Ok(ExitStatus::Done)
}
