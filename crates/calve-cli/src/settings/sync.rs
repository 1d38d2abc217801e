use calve::base::TableIdent;
use calve::migrate::sync::{OnChanged, OnDeleted};
use calve::migrate::{Int96, OnRefused, OnUnsafe};

use super::add_files::{int96, on_refused, on_unsafe};
use super::{Error, Settings, SourceSettings};
use crate::flags::{OnChangedFlag, OnDeletedFlag, SyncFlags};

/// What `calve sync` is told.
#[derive(Debug, Clone)]
pub(crate) struct SyncSettings {
    pub(crate) source: SourceSettings,
    pub(crate) table: TableIdent,
    pub(crate) on_changed: OnChanged,
    pub(crate) on_deleted: OnDeleted,
    pub(crate) on_unsafe: OnUnsafe,
    pub(crate) on_refused: OnRefused,
    pub(crate) int96: Int96,
    pub(crate) allow_extra_columns: bool,
    pub(crate) create: bool,
}

impl SyncSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name or a location means nothing.
    pub(crate) fn resolve(flags: SyncFlags, settings: &Settings) -> Result<Self, Error> {
        let source = SourceSettings::parse(&flags.source, settings)?;
        if matches!(source, SourceSettings::IcebergTable(_)) {
            return Err(Error::IcebergSource { text: flags.source });
        }
        Ok(Self {
            source,
            table: Settings::table(&flags.table)?,
            on_changed: on_changed(flags.on_changed),
            on_deleted: on_deleted(flags.on_deleted),
            on_unsafe: on_unsafe(flags.on_unsafe),
            on_refused: on_refused(flags.on_refused),
            int96: int96(flags.int96),
            allow_extra_columns: flags.allow_extra_columns,
            create: !flags.no_create,
        })
    }
}

/// What becomes of files that changed.
pub(super) fn on_changed(flag: Option<OnChangedFlag>) -> OnChanged {
    match flag {
        Some(OnChangedFlag::Replace) => OnChanged::Replace,
        Some(OnChangedFlag::Keep) | None => OnChanged::Keep,
    }
}

/// What becomes of files that vanished.
pub(super) fn on_deleted(flag: Option<OnDeletedFlag>) -> OnDeleted {
    match flag {
        Some(OnDeletedFlag::Remove) => OnDeleted::Remove,
        Some(OnDeletedFlag::Keep) | None => OnDeleted::Keep,
    }
}
