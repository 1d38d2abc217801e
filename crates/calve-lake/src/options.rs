use std::fmt;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, SystemClock, TableIdent};
use calve_catalog::Catalog;
use iceberg::spec::PrimitiveType;

use crate::hive_path::same_name;
use crate::{Error, PartitionKey, Result};

/// How many listing requests are under way at once unless told otherwise.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Where a lake is described.
#[derive(Clone)]
pub enum Source {
    /// By its folders: a folder, or one file.
    Location(Location),
    /// By an entry of a metastore: its partitions and their locations.
    HiveTable {
        /// A catalog with a metastore.
        metastore: Arc<dyn Catalog>,
        /// The entry's name.
        ident: TableIdent,
    },
}

/// What the files of a lake are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FileFormat {
    /// Parquet.
    #[default]
    Parquet,
    /// ORC.
    Orc,
    /// Avro object container files.
    Avro,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "Parquet",
            Self::Orc => "ORC",
            Self::Avro => "Avro",
        })
    }
}

/// What happens with folders that are not partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recursive {
    /// The first one is an error.
    #[default]
    Fail,
    /// Their files belong to the partition they lie in.
    True,
    /// Their files are skipped, and reported.
    False,
}

/// How a lake is read.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// Types of partition keys, by name in any case: instead of the metastore's or inferred ones.
    /// A name that the lake does not have is an error.
    pub partition_types: Vec<(String, PrimitiveType)>,
    /// Types of the columns of a table that the lake belongs to, by name in any case: they are the
    /// types of partition keys that `partition_types` does not name. Other names mean nothing here.
    pub column_types: Vec<(String, PrimitiveType)>,
    /// Keys, in any case, and the values that partitions must have. `__HIVE_DEFAULT_PARTITION__`
    /// stands for null, and so does `null` unless the key is text.
    pub partition_filter: Vec<(String, String)>,
    /// What happens with folders that are not partitions.
    pub recursive: Recursive,
    /// What the files are to be. An entry of a metastore that tells another format is an error; what lies in folders is
    /// not looked at.
    pub format: FileFormat,
    /// Whether the files of a Delta, Hudi or Iceberg table are read as if they were a plain lake.
    pub allow_table_formats: bool,
    /// How many listing requests are under way at once.
    pub concurrency: usize,
    /// Tells what `NOW` means in partition projections.
    pub clock: Arc<dyn Clock>,
    /// Hears how far the first pass is.
    pub progress: Arc<dyn Progress>,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self {
            partition_types: Vec::new(),
            column_types: Vec::new(),
            partition_filter: Vec::new(),
            recursive: Recursive::default(),
            format: FileFormat::default(),
            allow_table_formats: false,
            concurrency: DEFAULT_CONCURRENCY,
            clock: Arc::new(SystemClock),
            progress: Arc::new(NoProgress),
        }
    }
}

impl LakeOptions {
    /// The types that partition keys are given.
    pub(crate) fn fixed_types(&self) -> Vec<(String, PrimitiveType)> {
        let named = |name: &str| {
            let mut types = self.partition_types.iter();
            types.any(|(other, _)| same_name(other, name))
        };
        let others = self.column_types.iter().filter(|(name, _)| !named(name));
        self.partition_types.iter().chain(others).cloned().collect()
    }

    /// Checks that each partition type is for one of the keys, and the only one.
    pub(crate) fn check_types(&self, root: &Location, keys: &[PartitionKey]) -> Result<()> {
        for (index, (name, _)) in self.partition_types.iter().enumerate() {
            if !keys.iter().any(|key| same_name(&key.name, name)) {
                return Err(Error::UnknownTypeKey {
                    location: root.clone(),
                    key: name.clone(),
                    known: keys.iter().map(|key| key.name.clone()).collect(),
                });
            }
            let before = &self.partition_types[..index];
            if before.iter().any(|(other, _)| same_name(other, name)) {
                return Err(Error::DuplicateTypeKey { key: name.clone() });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(location) => write!(f, "{location}"),
            Self::HiveTable { metastore, ident } => write!(f, "{}:{ident}", metastore.name()),
        }
    }
}
