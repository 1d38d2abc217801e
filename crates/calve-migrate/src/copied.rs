//! Tables that hold copies of a lake's rows.

use calve_base::Location;
use calve_catalog::Table;
use calve_lake::Source;

use crate::ctas::{MIGRATION_ID, has_filter};
use crate::journal::{Journal, MigrationId, Operation};
use crate::{Error, Result};

/// What part of a source must have been copied for its files to be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// Any rows of it.
    Any,
}

/// Refuses to add the files of a source to a table that [`Ctas`](crate::Ctas) copied its rows into: they would be there
/// twice. Only a source that has all of what was copied is judged: a folder in it may be newer than the copy.
///
/// # Errors
/// [`Error::Copied`]; when the journal that tells where the rows came from cannot be read.
pub(crate) async fn check_not_copied(table: &Table, source: &Source, part: Part) -> Result<()> {
    let id = table.metadata().properties().get(MIGRATION_ID);
    let id = id.and_then(|id| id.parse::<MigrationId>().ok());
    let Some(id) = id.filter(|id| id.operation() == Operation::Ctas) else {
        return Ok(());
    };
    let location =
        Location::parse(table.metadata().location()).map_err(calve_table::Error::from)?;
    let journal = match Journal::open(table.storage(), &location, &id).await {
        Ok(journal) => journal,
        // Nobody knows any more.
        Err(Error::JournalMissing { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if part == Part::All && has_filter(journal.migration()) {
        return Ok(());
    }
    let copied = journal.migration().source.clone();
    let has_all = match source {
        Source::Location(folder) => {
            Location::parse(&copied).is_ok_and(|copied| folder.contains(&copied))
        }
        Source::HiveTable { .. } => false,
    };
    if has_all || copied == source.to_string() {
        return Err(Error::Copied {
            table: table.ident().clone(),
            id,
            source_name: copied,
        });
    }
    Ok(())
}
