use calve::base::{Location, TableIdent};

use super::{Error, Settings};

/// How the name of a table in a metastore begins.
const HIVE_PREFIX: &str = "glue:";

/// Where files come from, as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceSettings {
    /// A folder or a file.
    Location(Location),
    /// A Hive-style table of a metastore.
    HiveTable(TableIdent),
}

impl SourceSettings {
    /// Reads `SOURCE`: `glue:db.table`, or a location.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn parse(text: &str, settings: &Settings) -> Result<Self, Error> {
        if let Some(name) = text.strip_prefix(HIVE_PREFIX) {
            return Ok(Self::HiveTable(name.parse()?));
        }
        if text.starts_with("iceberg:") {
            return Err(Error::IcebergSource {
                text: text.to_owned(),
            });
        }
        Ok(Self::Location(settings.location(text)?))
    }
}
