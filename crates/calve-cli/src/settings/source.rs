use calve::base::{Location, TableIdent};
use calve::iceberg::spec::PrimitiveType;
use calve::lake::Recursive;
use calve::query::{LakeFormat, TextFormat};

use super::{Error, Settings};
use crate::flags::{LakeFormatFlag, RecursiveFlag};

/// How the name of a table in a metastore begins.
const HIVE_PREFIX: &str = "glue:";

/// How the name of an Iceberg table begins.
const ICEBERG_PREFIX: &str = "iceberg:";

/// Where files come from, as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceSettings {
    /// A folder or a file.
    Location(Location),
    /// A Hive-style table of a metastore.
    HiveTable(TableIdent),
    /// An Iceberg table of the chosen catalog.
    IcebergTable(TableIdent),
}

impl SourceSettings {
    /// Reads `SOURCE`: `glue:db.table`, `iceberg:db.table`, or a location.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn parse(text: &str, settings: &Settings) -> Result<Self, Error> {
        if let Some(name) = text.strip_prefix(HIVE_PREFIX) {
            return Ok(Self::HiveTable(name.parse()?));
        }
        if let Some(name) = text.strip_prefix(ICEBERG_PREFIX) {
            return Ok(Self::IcebergTable(name.parse()?));
        }
        Ok(Self::Location(settings.location(text)?))
    }
}

/// Reads how folders that are no partition are taken.
pub(super) fn recursive(flag: Option<RecursiveFlag>) -> Recursive {
    match flag {
        Some(RecursiveFlag::True) => Recursive::True,
        Some(RecursiveFlag::False) => Recursive::False,
        Some(RecursiveFlag::Fail) | None => Recursive::Fail,
    }
}

/// Reads the types of partition keys.
pub(super) fn partition_types(
    types: Vec<(String, String)>,
) -> Result<Vec<(String, PrimitiveType)>, Error> {
    types.into_iter().map(partition_type).collect()
}

/// Reads the type of a partition key by Iceberg's names.
fn partition_type((key, text): (String, String)) -> Result<(String, PrimitiveType), Error> {
    let name = text.trim().to_lowercase();
    match serde_json::from_value(serde_json::Value::String(name)) {
        Ok(primitive_type) => Ok((key, primitive_type)),
        Err(_) => Err(Error::Value {
            place: format!("--partition-type {key}"),
            text,
            expected: "a type of Iceberg: boolean, int, long, float, double, decimal(p,s), date, \
                       timestamp, timestamptz, string, …",
        }),
    }
}

/// Reads what the files of a lake are.
pub(super) fn format(flag: Option<LakeFormatFlag>) -> LakeFormat {
    match flag {
        None | Some(LakeFormatFlag::Parquet) => LakeFormat::Parquet,
        Some(LakeFormatFlag::Csv) => LakeFormat::Text(TextFormat::Csv),
        Some(LakeFormatFlag::Json) => LakeFormat::Text(TextFormat::Json),
        Some(LakeFormatFlag::Avro) => LakeFormat::Avro,
        Some(LakeFormatFlag::Orc) => LakeFormat::Orc,
    }
}
