use calve_base::{Failure, Location, TableIdent};

use crate::FileFormat;

/// What to do with formats that are not read.
const OTHER_ENGINE: &str = "rewrite it with an engine that reads the format";

/// What can go wrong while a lake is read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing at the source's location.
    #[error("{location}: no such file or folder")]
    Missing {
        /// The source.
        location: Location,
    },
    /// The source has no data file.
    #[error("{location}: no data files{}", skipped(*skipped_count))]
    Empty {
        /// The source.
        location: Location,
        /// Number of things there that are no data.
        skipped_count: u64,
    },
    /// The filter leaves nothing.
    #[error("{location}: no partition has {filter}")]
    NothingMatches {
        /// The source.
        location: Location,
        /// The filter: `year=2023, element=TMAX`.
        filter: String,
    },
    /// A partition folder has a value without a key.
    #[error("{folder}: the partition folder has no key before `=`")]
    EmptyKey {
        /// The folder.
        folder: Location,
    },
    /// A key comes twice in one path.
    #[error("{folder}: partition key `{key}` comes twice")]
    DuplicateKey {
        /// The folder.
        folder: Location,
        /// The key.
        key: String,
    },
    /// Two files of one lake have different partition keys.
    #[error(
        "partition keys differ: {} in {first}, {} in {second}",
        keys(first_keys),
        keys(second_keys)
    )]
    MixedKeys {
        /// The first file seen.
        first: Location,
        /// Its keys.
        first_keys: Vec<String>,
        /// The file that differs.
        second: Location,
        /// Its keys.
        second_keys: Vec<String>,
    },
    /// A folder is no partition.
    #[error("{folder}: not a partition folder")]
    SubFolder {
        /// The folder.
        folder: Location,
    },
    /// The files belong to a table format that knows which of them are alive.
    #[error("{location}: the files of {format} table")]
    TableFormat {
        /// Where the format's own files lie.
        location: Location,
        /// `a Delta`, `a Hudi`, `an Iceberg`.
        format: &'static str,
    },
    /// A partition value does not fit its type.
    #[error(
        "{location}: partition value {} is no {expected} (key `{key}`)",
        quoted(value)
    )]
    Value {
        /// The file or folder.
        location: Location,
        /// The partition key.
        key: String,
        /// The value, unescaped.
        value: String,
        /// The type, by Iceberg's name.
        expected: String,
    },
    /// The filter names a key that the lake does not have.
    #[error("{location}: the partition filter names `{key}`, which is no partition key")]
    UnknownFilterKey {
        /// The source.
        location: Location,
        /// The filter's key.
        key: String,
        /// The lake's keys.
        known: Vec<String>,
    },
    /// The filter names a key twice.
    #[error("the partition filter has key `{key}` twice")]
    DuplicateFilterKey {
        /// The key.
        key: String,
    },
    /// A type is given to a key that the lake does not have.
    #[error("{location}: a partition type is given for `{key}`, which is no partition key")]
    UnknownTypeKey {
        /// The source.
        location: Location,
        /// The key that was named.
        key: String,
        /// The lake's keys.
        known: Vec<String>,
    },
    /// A key is given two types.
    #[error("partition key `{key}` is given a type twice")]
    DuplicateTypeKey {
        /// The key.
        key: String,
    },
    /// A value of the filter does not fit its key's type.
    #[error(
        "the partition filter's {} is no {expected} (key `{key}`)",
        quoted(value)
    )]
    FilterValue {
        /// The key.
        key: String,
        /// The filter's value.
        value: String,
        /// The type, by Iceberg's name.
        expected: String,
    },
    /// The catalog has no Hive-style tables.
    #[error("catalog {catalog} has no Hive-style tables, so there is no source {ident}")]
    NoMetastore {
        /// The catalog's name.
        catalog: String,
        /// The table.
        ident: TableIdent,
    },
    /// The entry is no Hive-style table of the format that is asked for.
    #[error("{ident} is {kind}, not a Hive-style {expected} table")]
    NotHiveTable {
        /// The entry.
        ident: TableIdent,
        /// What it is: `a view`, `of format …`.
        kind: String,
        /// What it is to be.
        expected: FileFormat,
    },
    /// A partition of the entry is of another format than the entry.
    #[error("{ident}: partition {partition} is of format {format}, not {expected}")]
    PartitionFormat {
        /// The entry.
        ident: TableIdent,
        /// The partition: `year=2023/element=TMAX`.
        partition: String,
        /// Its input format.
        format: String,
        /// What it is to be.
        expected: FileFormat,
    },
    /// A partition of the entry does not have as many values as the entry has keys.
    #[error("{ident}: a partition has {found} values for {expected} keys")]
    PartitionValues {
        /// The entry.
        ident: TableIdent,
        /// Number of keys.
        expected: usize,
        /// Number of values.
        found: usize,
    },
    /// A partition key is of a type that no Iceberg partition can have.
    #[error("{ident}: partition key `{key}` is of type {hive_type}, which no partition can have")]
    KeyType {
        /// The entry.
        ident: TableIdent,
        /// The partition key.
        key: String,
        /// Its type.
        hive_type: String,
    },
    /// A partition projection is not understood.
    #[error("{ident}: {property}: {problem}")]
    Projection {
        /// The entry.
        ident: TableIdent,
        /// The property.
        property: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A stable name for reports: `missing`, `mixed_keys`, ….
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Empty { .. } => "empty",
            Self::NothingMatches { .. } => "nothing_matches",
            Self::EmptyKey { .. } => "empty_key",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::MixedKeys { .. } => "mixed_keys",
            Self::SubFolder { .. } => "sub_folder",
            Self::TableFormat { .. } => "table_format",
            Self::Value { .. } => "partition_value",
            Self::UnknownFilterKey { .. }
            | Self::DuplicateFilterKey { .. }
            | Self::FilterValue { .. } => "partition_filter",
            Self::UnknownTypeKey { .. } | Self::DuplicateTypeKey { .. } => "partition_type",
            Self::NoMetastore { .. } => "no_metastore",
            Self::NotHiveTable { .. } => "not_parquet_table",
            Self::PartitionFormat { .. } => "partition_format",
            Self::PartitionValues { .. } => "partition_values",
            Self::KeyType { .. } => "key_type",
            Self::Projection { .. } => "projection",
            Self::Catalog(_) => "catalog",
            Self::Storage(_) => "storage",
        }
    }
}

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_retryable(),
            Self::Storage(error) => error.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownFilterKey { known, .. } | Self::UnknownTypeKey { known, .. } => {
                return Some(match known.as_slice() {
                    [] => "the source is not partitioned".to_owned(),
                    known => format!("the partition keys are {}", known.join(", ")),
                });
            }
            Self::Missing { .. } => "check the address; nothing has this prefix",
            Self::MixedKeys { .. } => {
                "add each part as a source of its own, or move the file that differs"
            }
            Self::SubFolder { .. } => {
                "read such folders with `--recursive true`, or leave them out with `--recursive false`"
            }
            Self::TableFormat { .. } => {
                "some of its files may be deleted or replaced rows: read it with an engine that knows the format and write a new table"
            }
            Self::Value { .. } => {
                "give the key a type that fits all its values, with `--partition-type KEY=string` for instance"
            }
            Self::NothingMatches { .. } => "compare the filter with the names of the folders",
            Self::NotHiveTable { ident, kind, .. } => {
                let flag = match kind.as_str() {
                    "a view" => return Some("name the table that the view reads".to_owned()),
                    "of format ORC" => "orc",
                    "of format Avro" => "avro",
                    "of format Parquet" => "parquet",
                    _ => return Some(OTHER_ENGINE.to_owned()),
                };
                return Some(format!(
                    "rewrite it with `calve ctas glue:{ident} --format {flag}`"
                ));
            }
            Self::PartitionFormat { .. } => OTHER_ENGINE,
            Self::Catalog(error) => return error.hint(),
            Self::Storage(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn skipped(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => " (1 other object skipped)".to_owned(),
        count => format!(" ({count} other objects skipped)"),
    }
}

fn keys(keys: &[String]) -> String {
    match keys {
        [] => "no keys".to_owned(),
        keys => keys.join(", "),
    }
}

fn quoted(value: &str) -> String {
    format!("`{}`", value.escape_debug())
}
