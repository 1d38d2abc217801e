use std::fmt;
use std::sync::Arc;

use calve_base::Location;
use iceberg::spec::{Literal, PrimitiveType};

/// A key that the files of a lake are partitioned by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionKey {
    /// Its name, in the first spelling seen.
    pub name: String,
    /// The type of its values.
    pub primitive_type: PrimitiveType,
}

/// A data file.
#[derive(Debug, Clone, PartialEq)]
pub struct LakeFile {
    /// Where it lies.
    pub location: Location,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since the epoch.
    pub last_modified_ms: i64,
    /// Its entity tag, where the store has one.
    pub etag: Option<String>,
    /// Its storage class by S3's name (`GLACIER`, …), where the listing tells one that is not `STANDARD`.
    pub storage_class: Option<String>,
    /// Its partition values, in the order of the lake's partition keys; `None` is null.
    pub partition: Arc<[Option<Literal>]>,
}

/// Something in the lake that is no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it lies.
    pub location: Location,
    /// Why it is no data.
    pub reason: SkipReason,
}

/// Why something in a lake is no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// A component of its path below the lake begins with `_` or `.`.
    Hidden,
    /// It has no bytes.
    ZeroByte,
    /// It stands for a folder, as some writers need it on object stores.
    Marker,
    /// It lies in a folder that is no partition, and those were not asked for.
    SubFolder,
    /// The metastore has the partition, but nothing lies there.
    EmptyPartition,
    /// The table's partition projection does not reach it, so that its readers never see it.
    OutsideProjection,
}

/// One thing that a lake holds.
#[derive(Debug, Clone, PartialEq)]
pub enum LakeEntry {
    /// A data file.
    File(LakeFile),
    /// Something else.
    Skipped(Skipped),
}

/// How much a lake holds, within the partition filter.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Number of data files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Number of partitions that have data files; 0 when the lake is not partitioned.
    pub partitions: u64,
    /// Number of things that are no data.
    pub skipped: u64,
}

/// Something about a lake that its reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The metastore's table is bucketed; an Iceberg table over its files is not.
    Bucketed {
        /// Number of buckets.
        buckets: i32,
    },
    /// A crawler keeps the entry up to date, and will change it back.
    Crawler {
        /// The crawler's name, where the entry says it.
        name: Option<String>,
    },
    /// The entry is partitioned, but has no partitions, though files lie at its location.
    NoPartitions {
        /// The entry's location.
        location: Location,
    },
    /// Dropping the entry would delete the files.
    Managed,
    /// The entry's partitions are computed by partition projection.
    Projected,
    /// Lake Formation decides who may see what of the entry.
    LakeFormation,
}

impl SkipReason {
    /// A stable name: `hidden`, `zero_byte`, ….
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::ZeroByte => "zero_byte",
            Self::Marker => "marker",
            Self::SubFolder => "sub_folder",
            Self::EmptyPartition => "empty_partition",
            Self::OutsideProjection => "outside_projection",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Warning {
    /// A stable name: `bucketed`, `crawler`, ….
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bucketed { .. } => "bucketed",
            Self::Crawler { .. } => "crawler",
            Self::NoPartitions { .. } => "no_partitions",
            Self::Managed => "managed",
            Self::Projected => "projected",
            Self::LakeFormation => "lake_formation",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucketed { buckets } => write!(
                f,
                "the source is bucketed ({buckets} buckets), the table is not: joins no longer profit from it"
            ),
            Self::Crawler { name } => {
                f.write_str("a crawler ")?;
                if let Some(name) = name {
                    write!(f, "({name}) ")?;
                }
                f.write_str("keeps the source up to date: pause it, or it may change entries and list metadata as data")
            }
            Self::NoPartitions { location } => write!(
                f,
                "the source is partitioned but the metastore has none of its partitions, though there are files in {location}"
            ),
            Self::Managed => f.write_str(
                "the source is a managed table: dropping it would delete the files that both share",
            ),
            Self::Projected => f.write_str(
                "the source's partitions are projected: partitions that appear later are no part of the table until they are added",
            ),
            Self::LakeFormation => f.write_str(
                "the source is registered with Lake Formation: whoever makes the table needs its grants and the data location permission, \
                 row and column filters do not go over to a table of another name, and Athena has no DDL on such Iceberg tables",
            ),
        }
    }
}
