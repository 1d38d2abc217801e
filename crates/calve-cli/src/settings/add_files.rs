use calve::base::{Location, Properties, TableIdent};
use calve::iceberg::spec::{FormatVersion, PrimitiveType};
use calve::lake::Recursive;
use calve::migrate::{DuplicateFiles, GarbageCollection, Int96, OnRefused, OnUnsafe};
use calve::verify::Level;

use super::source::{partition_types, recursive};
use super::verify::level;
use super::{Error, Settings, SourceSettings, VerifySettings};
use crate::flags::{
    AddFilesFlags, GcFlag, Int96Flag, OnDuplicateFlag, OnRefusedFlag, OnUnsafeFlag,
};

/// The property that `--gc` sets.
const GC_ENABLED: &str = "gc.enabled";

/// What `calve add-files` is told.
#[derive(Debug, Clone)]
pub(crate) struct AddFilesSettings {
    pub(crate) source: SourceSettings,
    pub(crate) table: TableIdent,
    pub(crate) partition_filter: Vec<(String, String)>,
    pub(crate) partition_types: Vec<(String, PrimitiveType)>,
    pub(crate) recursive: Recursive,
    pub(crate) create: bool,
    pub(crate) location: Option<Location>,
    pub(crate) properties: Properties,
    pub(crate) format_version: Option<FormatVersion>,
    pub(crate) duplicates: DuplicateFiles,
    pub(crate) on_unsafe: OnUnsafe,
    pub(crate) on_refused: OnRefused,
    pub(crate) allow_extra_columns: bool,
    pub(crate) garbage_collection: Option<GarbageCollection>,
    pub(crate) int96: Int96,
    /// Whether, and how closely, source and table are compared afterwards.
    pub(crate) verify: Option<Level>,
}

impl AddFilesSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name, a location or a type means nothing.
    pub(crate) fn resolve(flags: AddFilesFlags, settings: &Settings) -> Result<Self, Error> {
        let duplicates = match (flags.on_duplicate, flags.no_check_duplicates) {
            (Some(OnDuplicateFlag::Allow), _) | (None, true) => DuplicateFiles::Allow,
            (Some(OnDuplicateFlag::Skip), _) => DuplicateFiles::Skip,
            (Some(OnDuplicateFlag::Fail), _) | (None, false) => DuplicateFiles::Fail,
        };
        let source = SourceSettings::parse(&flags.source, settings)?;
        if matches!(source, SourceSettings::IcebergTable(_)) {
            return Err(Error::IcebergSource { text: flags.source });
        }
        if flags.gc.is_some() && flags.property.iter().any(|(key, _)| key == GC_ENABLED) {
            return Err(Error::Useless {
                flag: "--property gc.enabled=…",
                reason: "--gc says the same, or the contrary",
            });
        }
        let location = flags.location.map(|text| settings.location(&text));
        Ok(Self {
            source,
            table: Settings::table(&flags.table)?,
            partition_filter: flags.partition_filter,
            partition_types: partition_types(flags.partition_type)?,
            recursive: recursive(flags.recursive),
            create: !flags.no_create,
            location: location.transpose()?,
            properties: flags.property.into_iter().collect(),
            format_version: flags.format_version.map(|number| match number {
                1 => FormatVersion::V1,
                3 => FormatVersion::V3,
                _ => FormatVersion::V2,
            }),
            duplicates,
            on_unsafe: on_unsafe(flags.on_unsafe),
            on_refused: on_refused(flags.on_refused),
            allow_extra_columns: flags.allow_extra_columns,
            garbage_collection: flags.gc.map(|flag| match flag {
                GcFlag::Own => GarbageCollection::Own,
                GcFlag::Protect => GarbageCollection::Protect,
            }),
            int96: int96(flags.int96),
            verify: flags.verify.map(level),
        })
    }

    /// What to compare afterwards: the same source, read in the same way.
    pub(crate) fn proof(&self) -> Option<VerifySettings> {
        self.verify.map(|level| VerifySettings {
            partition_filter: self.partition_filter.clone(),
            partition_types: self.partition_types.clone(),
            recursive: self.recursive,
            ..VerifySettings::whole(self.source.clone(), self.table.clone(), level)
        })
    }
}

/// Reads what becomes of files that are unsafe to read in place.
pub(super) fn on_unsafe(flag: Option<OnUnsafeFlag>) -> OnUnsafe {
    match flag {
        Some(OnUnsafeFlag::Allow) => OnUnsafe::Allow,
        Some(OnUnsafeFlag::Refuse) | None => OnUnsafe::Refuse,
    }
}

/// Reads what becomes of the run when files are refused.
pub(super) fn on_refused(flag: Option<OnRefusedFlag>) -> OnRefused {
    match flag {
        Some(OnRefusedFlag::Skip) => OnRefused::Skip,
        Some(OnRefusedFlag::Fail) | None => OnRefused::Fail,
    }
}

/// Reads what INT96 timestamps mean.
pub(super) fn int96(flag: Option<Int96Flag>) -> Int96 {
    match flag {
        Some(Int96Flag::Instant) => Int96::Instant,
        Some(Int96Flag::Local) => Int96::Local,
        None => Int96::ByWriter,
    }
}
