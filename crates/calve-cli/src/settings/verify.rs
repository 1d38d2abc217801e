use std::path::PathBuf;

use calve::base::TableIdent;
use calve::iceberg::spec::PrimitiveType;
use calve::lake::Recursive;
use calve::query::LakeFormat;
use calve::verify::Level;

use super::source::{format, partition_types, recursive};
use super::{Error, ReaderSettings, Settings, SourceSettings};
use crate::flags::{LevelFlag, VerifyFlags};

/// What `calve verify` is told.
#[derive(Debug, Clone)]
pub(crate) struct VerifySettings {
    pub(crate) source: SourceSettings,
    pub(crate) table: TableIdent,
    pub(crate) level: Level,
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) partition_filter: Vec<(String, String)>,
    pub(crate) partition_types: Vec<(String, PrimitiveType)>,
    pub(crate) recursive: Recursive,
    pub(crate) format: LakeFormat,
    pub(crate) rows: RowSettings,
    pub(crate) sample: Option<f64>,
    pub(crate) reader: Option<ReaderSettings>,
}

/// How rows that differ are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowSettings {
    pub(crate) key: Vec<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) differences: Option<PathBuf>,
}

impl VerifySettings {
    /// The whole of a source against the current state of a table.
    pub(crate) fn whole(source: SourceSettings, table: TableIdent, level: Level) -> Self {
        Self {
            source,
            table,
            level,
            snapshot_id: None,
            partition_filter: Vec::new(),
            partition_types: Vec::new(),
            recursive: Recursive::default(),
            format: LakeFormat::default(),
            rows: RowSettings::default(),
            sample: None,
            reader: None,
        }
    }

    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name, a location or a type means nothing.
    pub(crate) fn resolve(flags: VerifyFlags, settings: &Settings) -> Result<Self, Error> {
        let source = SourceSettings::parse(&flags.source, settings)?;
        if matches!(source, SourceSettings::IcebergTable(_)) {
            let folders = "an Iceberg table has no partition folders";
            let given = [
                (
                    "--partition-type",
                    !flags.partition_type.is_empty(),
                    folders,
                ),
                ("--recursive", flags.recursive.is_some(), folders),
                (
                    "--format",
                    flags.format.is_some(),
                    "an Iceberg table knows its files",
                ),
            ];
            if let Some((flag, _, reason)) = given.into_iter().find(|(_, is_given, _)| *is_given) {
                return Err(Error::Useless { flag, reason });
            }
        }
        let level = flags.level.map_or_else(Level::default, level);
        let given = [
            ("--key", !flags.key.is_empty()),
            ("--limit", flags.limit.is_some()),
            ("--differences", flags.differences.is_some()),
        ];
        let given = given.into_iter().find(|(_, is_given)| *is_given);
        if let (Some((flag, _)), true) = (given, level != Level::Rows) {
            return Err(Error::Useless {
                flag,
                reason: "rows are looked up with --level rows",
            });
        }
        Ok(Self {
            source,
            table: Settings::table(&flags.table)?,
            level,
            snapshot_id: flags.snapshot_id,
            partition_filter: flags.partition_filter,
            partition_types: partition_types(flags.partition_type)?,
            recursive: recursive(flags.recursive),
            format: format(flags.format),
            rows: RowSettings {
                key: flags.key,
                limit: flags.limit,
                differences: flags.differences,
            },
            sample: flags.sample,
            reader: ReaderSettings::resolve(flags.reader, settings)?,
        })
    }
}

/// Reads how much is compared.
pub(super) fn level(flag: LevelFlag) -> Level {
    match flag {
        LevelFlag::Counts => Level::Counts,
        LevelFlag::Aggregates => Level::Aggregates,
        LevelFlag::Rows => Level::Rows,
    }
}
