use std::path::PathBuf;

use calve::base::{Location, Properties, TableIdent};
use calve::migrate::assess::Prices;
use calve::migrate::journal::MigrationId;
use calve::migrate::{Int96, OnUnsafe};
use calve::verify::Level;

use super::assess::prices;
use super::verify::level;
use super::{Error, Settings, SourceSettings};
use crate::flags::{
    FinalizeFlags, Int96Flag, MigrateFlags, OnUnsafeFlag, ProofFlag, ReportFlags, RollbackFlags,
    SnapshotFlags, SwapFlags,
};

/// What `calve snapshot` is told.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotSettings {
    pub(crate) source: SourceSettings,
    pub(crate) table: TableIdent,
    pub(crate) location: Option<Location>,
    pub(crate) properties: Properties,
    pub(crate) on_unsafe: OnUnsafe,
    pub(crate) int96: Int96,
}

impl SnapshotSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name or a location means nothing.
    pub(crate) fn resolve(flags: SnapshotFlags, settings: &Settings) -> Result<Self, Error> {
        let source = SourceSettings::parse(&flags.source, settings)?;
        if matches!(source, SourceSettings::IcebergTable(_)) {
            return Err(Error::IcebergSource { text: flags.source });
        }
        let location = flags.location.map(|text| settings.location(&text));
        Ok(Self {
            source,
            table: Settings::table(&flags.table)?,
            location: location.transpose()?,
            properties: flags.property.into_iter().collect(),
            on_unsafe: on_unsafe(flags.on_unsafe),
            int96: int96(flags.int96),
        })
    }
}

/// What `calve migrate` is told.
#[derive(Debug, Clone)]
pub(crate) struct MigrateSettings {
    pub(crate) table: TableIdent,
    pub(crate) location: Option<Location>,
    pub(crate) properties: Properties,
    pub(crate) backup: Option<TableIdent>,
    pub(crate) keep_backup: bool,
    pub(crate) verify: Option<Level>,
    pub(crate) on_unsafe: OnUnsafe,
    pub(crate) int96: Int96,
}

impl MigrateSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name or a location means nothing, or the source is no entry of a catalog.
    pub(crate) fn resolve(flags: MigrateFlags, settings: &Settings) -> Result<Self, Error> {
        let SourceSettings::HiveTable(table) = SourceSettings::parse(&flags.source, settings)?
        else {
            return Err(Error::Value {
                place: "SOURCE".to_owned(),
                text: flags.source,
                expected: "an entry of Glue, as glue:db.table; for files without one there is `add-files`",
            });
        };
        let location = flags.location.map(|text| settings.location(&text));
        let backup = flags.backup_name.as_deref().map(Settings::table);
        Ok(Self {
            table,
            location: location.transpose()?,
            properties: flags.property.into_iter().collect(),
            backup: backup.transpose()?,
            keep_backup: !flags.drop_backup,
            verify: match flags.verify {
                Some(ProofFlag::None) => None,
                Some(ProofFlag::Aggregates) => Some(Level::Aggregates),
                Some(ProofFlag::Counts) | None => Some(Level::Counts),
            },
            on_unsafe: on_unsafe(flags.on_unsafe),
            int96: int96(flags.int96),
        })
    }
}

/// What `calve swap` is told.
#[derive(Debug, Clone)]
pub(crate) struct SwapSettings {
    pub(crate) old: TableIdent,
    pub(crate) new: TableIdent,
    pub(crate) backup: Option<TableIdent>,
}

impl SwapSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name means nothing.
    pub(crate) fn resolve(flags: &SwapFlags) -> Result<Self, Error> {
        let backup = flags.backup_name.as_deref().map(Settings::table);
        Ok(Self {
            old: Settings::table(&flags.old)?,
            new: Settings::table(&flags.new)?,
            backup: backup.transpose()?,
        })
    }
}

/// What `calve rollback` is told.
#[derive(Debug, Clone)]
pub(crate) struct RollbackSettings {
    pub(crate) id: MigrationId,
    pub(crate) force: bool,
}

impl RollbackSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When the id is none.
    pub(crate) fn resolve(flags: &RollbackFlags) -> Result<Self, Error> {
        Ok(Self {
            id: migration_id(&flags.migration_id)?,
            force: flags.force,
        })
    }
}

/// What `calve finalize` is told.
#[derive(Debug, Clone)]
pub(crate) struct FinalizeSettings {
    pub(crate) id: MigrationId,
    pub(crate) drop_backup: bool,
    pub(crate) own_files: bool,
}

impl FinalizeSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When the id is none.
    pub(crate) fn resolve(flags: &FinalizeFlags) -> Result<Self, Error> {
        Ok(Self {
            id: migration_id(&flags.migration_id)?,
            drop_backup: flags.drop_backup,
            own_files: !flags.keep_gc,
        })
    }
}

/// What `calve report` is told.
#[derive(Debug, Clone)]
pub(crate) struct ReportSettings {
    pub(crate) id: MigrationId,
    pub(crate) out: Option<PathBuf>,
    pub(crate) level: Option<Level>,
    pub(crate) prices: Prices,
}

impl ReportSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When the id is none, or a price means nothing.
    pub(crate) fn resolve(flags: ReportFlags) -> Result<Self, Error> {
        Ok(Self {
            id: migration_id(&flags.migration_id)?,
            out: flags.out,
            level: (!flags.no_verify).then(|| level(flags.level)),
            prices: prices(flags.price)?,
        })
    }
}

fn migration_id(text: &str) -> Result<MigrationId, Error> {
    text.parse().map_err(|_| Error::Value {
        place: "MIGRATION_ID".to_owned(),
        text: text.to_owned(),
        expected: "the id of a migration, as `calve show TABLE --migrations` has it",
    })
}

fn on_unsafe(flag: Option<OnUnsafeFlag>) -> OnUnsafe {
    match flag {
        Some(OnUnsafeFlag::Allow) => OnUnsafe::Allow,
        Some(OnUnsafeFlag::Refuse) | None => OnUnsafe::Refuse,
    }
}

fn int96(flag: Option<Int96Flag>) -> Int96 {
    match flag {
        Some(Int96Flag::Instant) => Int96::Instant,
        Some(Int96Flag::Local) => Int96::Local,
        None => Int96::ByWriter,
    }
}
