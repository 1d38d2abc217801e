use calve::base::{Location, Properties, TableIdent};
use calve::iceberg::spec::{FormatVersion, PrimitiveType};
use calve::lake::Recursive;
use calve::migrate::sync::{OnChanged, OnDeleted};
use calve::migrate::{BatchBy, PartitionBy, SortBy};
use calve::query::{Int96Zone, LakeFormat, Nanoseconds};
use calve::verify::Level;

use super::source::{format, partition_types, recursive};
use super::sync::{on_changed, on_deleted};
use super::verify::level;
use super::{Error, Settings, SourceSettings, VerifySettings, bytes};
use crate::flags::CtasFlags;

/// The property that `--target-file-size` sets.
const TARGET_FILE_SIZE: &str = "write.target-file-size-bytes";
/// The property that `--compression` sets.
const CODEC: &str = "write.parquet.compression-codec";

/// What `calve ctas` is told.
#[derive(Debug, Clone)]
pub(crate) struct CtasSettings {
    pub(crate) source: SourceSettings,
    pub(crate) format: LakeFormat,
    pub(crate) table: TableIdent,
    pub(crate) partition_by: PartitionBy,
    pub(crate) sort_by: SortBy,
    pub(crate) filter: Option<String>,
    pub(crate) select: Option<String>,
    pub(crate) batch_by: BatchBy,
    pub(crate) location: Option<Location>,
    pub(crate) properties: Properties,
    pub(crate) format_version: FormatVersion,
    pub(crate) int96: Int96Zone,
    pub(crate) nanoseconds: Nanoseconds,
    pub(crate) partition_filter: Vec<(String, String)>,
    pub(crate) partition_types: Vec<(String, PrimitiveType)>,
    pub(crate) recursive: Recursive,
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) update: bool,
    pub(crate) on_changed: OnChanged,
    pub(crate) on_deleted: OnDeleted,
    /// Whether, and how closely, source and table are compared afterwards.
    pub(crate) verify: Option<Level>,
}

impl CtasSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name, a location, a type or a list of fields means nothing.
    pub(crate) fn resolve(flags: CtasFlags, settings: &Settings) -> Result<Self, Error> {
        let source = SourceSettings::parse(&flags.source, settings)?;
        check_useful(&source, &flags)?;
        let mut properties: Properties = flags.property.into_iter().collect();
        if let Some(text) = &flags.target_file_size {
            let size = bytes("--target-file-size", text)?;
            properties.insert(TARGET_FILE_SIZE.to_owned(), size.to_string());
        }
        if let Some(codec) = flags.compression {
            properties.insert(CODEC.to_owned(), codec);
        }
        let partition_by = flags.partition_by.as_deref().map(PartitionBy::parse);
        let sort_by = flags.sort_by.as_deref().map(SortBy::parse);
        let location = flags.location.map(|text| settings.location(&text));
        Ok(Self {
            source,
            format: format(flags.format),
            table: Settings::table(&flags.table)?,
            partition_by: partition_by.transpose()?.unwrap_or_default(),
            sort_by: sort_by.transpose()?.unwrap_or_default(),
            filter: flags.filter,
            select: flags.select,
            batch_by: match flags.batch_by {
                Some(text) => text.parse()?,
                None => BatchBy::default(),
            },
            location: location.transpose()?,
            properties,
            format_version: match flags.format_version {
                Some(3) => FormatVersion::V3,
                _ => FormatVersion::V2,
            },
            int96: match flags.int96_zone {
                Some(text) => text.parse()?,
                None => Int96Zone::default(),
            },
            nanoseconds: if flags.truncate_nanoseconds {
                Nanoseconds::Truncate
            } else {
                Nanoseconds::Check
            },
            partition_filter: flags.partition_filter,
            partition_types: partition_types(flags.partition_type)?,
            recursive: recursive(flags.recursive),
            snapshot_id: flags.snapshot_id,
            update: flags.update,
            on_changed: on_changed(flags.on_changed),
            on_deleted: on_deleted(flags.on_deleted),
            verify: flags.verify.map(level),
        })
    }

    /// What to compare afterwards: the same source, read in the same way.
    pub(crate) fn proof(&self) -> Option<VerifySettings> {
        self.verify.map(|level| VerifySettings {
            partition_filter: self.partition_filter.clone(),
            partition_types: self.partition_types.clone(),
            recursive: self.recursive,
            format: self.format,
            ..VerifySettings::whole(self.source.clone(), self.table.clone(), level)
        })
    }
}

/// Refuses flags that would do nothing, or would make the proof fail by themselves.
fn check_useful(source: &SourceSettings, flags: &CtasFlags) -> Result<(), Error> {
    let is_table = matches!(source, SourceSettings::IcebergTable(_));
    let table = "an Iceberg table has no partition folders";
    let given = [
        (
            "--partition-filter",
            is_table && !flags.partition_filter.is_empty(),
            table,
        ),
        (
            "--partition-type",
            is_table && !flags.partition_type.is_empty(),
            table,
        ),
        ("--recursive", is_table && flags.recursive.is_some(), table),
        (
            "--snapshot-id",
            !is_table && flags.snapshot_id.is_some(),
            "only Iceberg tables have snapshots",
        ),
        (
            "--format",
            is_table && flags.format.is_some(),
            "an Iceberg table knows its files",
        ),
        (
            "--update",
            is_table && flags.update,
            "files of an Iceberg table do not appear, its snapshots do",
        ),
        (
            "--verify",
            flags.verify.is_some() && (flags.select.is_some() || flags.filter.is_some()),
            "with --select or --where, the table is not to be equal to its source",
        ),
    ];
    match given.into_iter().find(|(_, is_given, _)| *is_given) {
        Some((flag, _, reason)) => Err(Error::Useless { flag, reason }),
        None => Ok(()),
    }
}
