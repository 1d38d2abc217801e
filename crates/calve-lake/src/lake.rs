use calve_base::Location;
use calve_catalog::HiveColumn;
use calve_storage::Storage;
use futures::stream::BoxStream;

use crate::{LakeEntry, LakeOptions, PartitionKey, Result, Source, Totals, Warning};

/// A lake whose partition keys are known and whose files can be streamed.
#[derive(Debug, Clone)]
pub struct Lake {
    storage: Storage,
    root: Location,
    keys: Vec<PartitionKey>,
    totals: Totals,
    warnings: Vec<Warning>,
    columns: Option<Vec<HiveColumn>>,
}

impl Lake {
    /// Lists the source once: checks its folders, learns its partition keys and their types, counts.
    ///
    /// # Errors
    /// When the source is missing, has no data files, or is no lake that one table can read.
    pub async fn open(_storage: &Storage, _source: Source, _options: LakeOptions) -> Result<Self> {
        unimplemented!()
    }

    /// The partition keys, in the order of the folders of the first file, or of the metastore.
    pub fn partition_keys(&self) -> &[PartitionKey] {
        &self.keys
    }

    /// How much there is.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What its reader should know.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The data columns as the metastore has them; `None` for a source of folders.
    pub fn hive_columns(&self) -> Option<&[HiveColumn]> {
        self.columns.as_deref()
    }

    /// The source's folder or file; of a metastore's table, the table's location.
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// The storage that the files lie in.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Lists again and streams what there is, in the order of the keys, or of the metastore's
    /// partitions. The order is the same each time.
    pub fn files(&self) -> BoxStream<'static, Result<LakeEntry>> {
        unimplemented!()
    }
}
