//! What an assessment tells.

use calve_base::Location;
use serde::{Deserialize, Serialize};

use super::cost::Ways;

/// How many examples each entry of a list names at the most.
pub const EXAMPLES_LIMIT: usize = 5;

/// What lies in a lake, and which way to take. Lists are cut at
/// [`REPORT_LIST_LIMIT`](crate::REPORT_LIST_LIMIT) entries; counts are not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// The source: a location, or `catalog:db.table`.
    pub source: String,
    /// Where it lies.
    pub location: Location,
    /// Whether the source lists as it did when the cache was written, so that no footer was read.
    pub from_cache: bool,
    /// What is there.
    #[serde(flatten)]
    pub census: Census,
    /// Who else has to do with the files, and what should be known before they change hands.
    pub ownership: Vec<Caution>,
    /// What each way costs.
    pub ways: Ways,
    /// Which way to take.
    pub recommendation: Recommendation,
    /// Why.
    pub reasons: Vec<String>,
    /// The commands to run, in this order. Empty where something has to be done by hand first.
    pub commands: Vec<String>,
}

/// Which way to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recommendation {
    /// All files can stay as they are.
    InPlace,
    /// All rows are to be rewritten.
    Ctas,
    /// All files can stay, but for some.
    InPlaceExcept,
    /// No file can be read.
    None,
}

/// Files and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// What is there, as listing and footers tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Number of data files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Number of rows in those whose footers can be read.
    pub records: u64,
    /// Number of row groups in them.
    pub row_groups: u64,
    /// Number of partitions that have files; 0 when the lake is not partitioned.
    pub partitions: u64,
    /// The partition keys.
    pub partition_keys: Vec<Key>,
    /// The columns that the table would have in place, `name: type` each.
    pub columns: Vec<String>,
    /// How large the files are.
    pub sizes: Vec<SizeBucket>,
    /// Below which size a file counts as small.
    pub target_file_bytes: u64,
    /// The small files.
    pub small_files: Amount,
    /// What in-place migration would do with each file.
    pub in_place: InPlace,
    /// Files whose rows `ctas` can read, beside each other.
    pub rewritable: Amount,
    /// Number of distinct schemas.
    pub schemas_count: u64,
    /// The distinct schemas, in the order of their first files.
    pub schemas: Vec<SeenSchema>,
    /// Number of findings, each rule and column once.
    pub findings_count: u64,
    /// What stands in the way of some files, the worst first.
    pub findings: Vec<FoundFinding>,
    /// Number of objects that are no data.
    pub skipped_count: u64,
    /// Objects that are no data, by reason.
    pub skipped: Vec<SkippedKind>,
    /// Files that do not lie in the store's standard class.
    pub storage_classes: Vec<StorageClass>,
    /// Partitions that cannot be added whole.
    pub except: Excepted,
    /// What else the user should know, one sentence each.
    pub notes: Vec<String>,
}

/// A partition key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Its type, by Iceberg's name.
    #[serde(rename = "type")]
    pub key_type: String,
}

/// Files of about one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeBucket {
    /// The size that none of them reaches; nothing for the largest.
    pub below_bytes: Option<u64>,
    /// The files.
    #[serde(flatten)]
    pub amount: Amount,
}

/// What in-place migration would do with the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InPlace {
    /// Added.
    pub safe: Amount,
    /// Refused, unless unsafe files are allowed.
    #[serde(rename = "unsafe")]
    pub only_if_allowed: Amount,
    /// Refused.
    pub refused: Amount,
    /// Passed over, because they hold no rows.
    pub no_rows: Amount,
}

/// A schema that some files have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenSchema {
    /// The files that have it.
    #[serde(flatten)]
    pub amount: Amount,
    /// The first of them.
    pub example: Location,
    /// Number of leaf columns.
    pub columns_count: u64,
    /// How it differs from that of the files before, one sentence each.
    pub differs: Vec<String>,
}

/// A finding, with the files it holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFinding {
    /// How bad it is: `note`, `unsafe`, `refused`.
    pub severity: String,
    /// Which rule: `milliseconds`, `type_conflict`, `not_parquet`, ….
    pub code: String,
    /// The path of the column; empty for the whole file.
    pub column: String,
    /// What is wrong, for people, with the first of the files.
    pub message: String,
    /// The files.
    #[serde(flatten)]
    pub amount: Amount,
    /// The files among them that `ctas` cannot read either, or not beside the others.
    pub not_rewritable_files: u64,
    /// The first files.
    pub examples: Vec<Location>,
}

/// Objects that are no data, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedKind {
    /// Why: `hidden`, `zero_byte`, ….
    pub reason: String,
    /// How many.
    pub objects: u64,
    /// The first of them.
    pub examples: Vec<Location>,
}

/// Files of one storage class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageClass {
    /// The class, by S3's name.
    pub class: String,
    /// The files.
    #[serde(flatten)]
    pub amount: Amount,
}

/// Partitions that cannot be added whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excepted {
    /// How many.
    pub partitions_count: u64,
    /// All files that lie in them.
    #[serde(flatten)]
    pub amount: Amount,
    /// How many of them have files that could be added, too.
    pub mixed_partitions_count: u64,
    /// The first of them.
    pub partitions: Vec<Partition>,
    /// Partitions that can be added whole, where they are few enough to be named in commands.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub others: Vec<Partition>,
}

/// The values of a partition, in the order of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition {
    /// The values as text; `None` is null.
    pub values: Vec<Option<String>>,
}

/// Something to know about who has to do with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caution {
    /// A stable name: `shared_files`, `crawler`, `other_table`, ….
    pub code: String,
    /// The whole of it, for people.
    pub message: String,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl Recommendation {
    /// Its name: `in-place`, `ctas`, `in-place-except`, `none`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InPlace => "in-place",
            Self::Ctas => "ctas",
            Self::InPlaceExcept => "in-place-except",
            Self::None => "none",
        }
    }
}

impl Partition {
    /// As folders are named: `year=2024/element=TMAX`.
    pub fn describe(&self, keys: &[Key]) -> String {
        let pairs = keys.iter().zip(&self.values).map(|(key, value)| {
            let value = value.as_deref();
            format!(
                "{}={}",
                key.name,
                value.unwrap_or(calve_lake::hive_path::NULL_PARTITION)
            )
        });
        pairs.collect::<Vec<_>>().join("/")
    }
}
