use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{EntryRecord, Error, PartitionRecord, Result};

/// A Hive-style table, as Glue or a metastore describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveTable {
    /// Its name.
    pub ident: TableIdent,
    /// `EXTERNAL_TABLE`, `MANAGED_TABLE`, `VIRTUAL_VIEW`, ….
    pub table_type: Option<String>,
    /// Where its files lie; `None` for views.
    pub location: Option<Location>,
    /// The data columns, in order.
    pub columns: Vec<HiveColumn>,
    /// The partition keys, in order.
    pub partition_keys: Vec<HiveColumn>,
    /// The table's parameters.
    pub parameters: Properties,
    /// The class of the input format.
    pub input_format: Option<String>,
    /// The class of the serializer.
    pub serde: Option<String>,
    /// The number of buckets; 0 or less when not bucketed.
    pub buckets: i32,
    /// The entry's version, which locks updates.
    pub version: Option<String>,
    /// Whether its location is registered with Lake Formation, which then decides who may see what.
    pub is_registered_with_lake_formation: bool,
}

/// A column of a Hive-style table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveColumn {
    /// Its name, in lower case as a rule.
    pub name: String,
    /// Its Hive type: `bigint`, `struct<a:int,b:string>`, ….
    pub hive_type: String,
    /// Its comment.
    pub comment: Option<String>,
}

/// A partition of a Hive-style table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HivePartition {
    /// The values as text, in the order of the partition keys. `__HIVE_DEFAULT_PARTITION__` is null.
    pub values: Vec<String>,
    /// Where its files lie; may be outside the table's folder.
    pub location: Option<Location>,
    /// The class of the input format, which may differ from the table's.
    pub input_format: Option<String>,
}

/// A catalog of Hive-style tables. What writes entries is refused unless a catalog says how.
#[async_trait]
pub trait Metastore: Send + Sync {
    /// Loads an entry of any kind.
    async fn load_hive_table(&self, ident: &TableIdent) -> Result<HiveTable>;

    /// All entries of a database, of any kind, page by page. A database that is not there has none.
    fn entries(&self, namespace: &[String]) -> BoxStream<'static, Result<HiveTable>> {
        let _ = namespace;
        futures::stream::once(async { Err(Error::NoMetastore) }).boxed()
    }

    /// All partitions of a table, page by page, in no order. `expression` is Glue's partition filter
    /// (`year='2023' AND element='TMAX'`).
    fn partitions(
        &self,
        ident: &TableIdent,
        expression: Option<String>,
    ) -> BoxStream<'static, Result<HivePartition>>;

    /// An entry of any kind as it is, whole.
    async fn load_entry(&self, ident: &TableIdent) -> Result<EntryRecord> {
        let _ = ident;
        Err(Error::NoMetastore)
    }

    /// All partitions of a table as they are, whole, page by page, in no order.
    fn partition_records(&self, ident: &TableIdent) -> BoxStream<'static, Result<PartitionRecord>> {
        let _ = ident;
        futures::stream::once(async { Err(Error::NoMetastore) }).boxed()
    }

    /// Enters what a record says under a free name. [`Error::TableExists`] if it is taken.
    async fn create_entry(&self, ident: &TableIdent, record: &EntryRecord) -> Result<()> {
        let _ = (ident, record);
        Err(Error::NoMetastore)
    }

    /// Puts an entry back: what stands under the name becomes what the record says, in one request. The
    /// entry must still have the version `expected`; [`Error::CommitConflict`] otherwise.
    async fn restore_entry(
        &self,
        ident: &TableIdent,
        expected: Option<&str>,
        record: &EntryRecord,
    ) -> Result<()> {
        let _ = (ident, expected, record);
        Err(Error::NoMetastore)
    }

    /// Enters partitions, and puts those that are there already back to what their records say. In requests of
    /// Glue's sizes, one after another.
    async fn put_partitions(
        &self,
        ident: &TableIdent,
        partitions: &[PartitionRecord],
    ) -> Result<()> {
        let _ = (ident, partitions);
        Err(Error::NoMetastore)
    }

    /// Takes partitions out by their values; those that are not there are no error.
    async fn delete_partitions(&self, ident: &TableIdent, values: &[Vec<String>]) -> Result<()> {
        let _ = (ident, values);
        Err(Error::NoMetastore)
    }

    /// Takes an entry of any kind out, with its partitions. Files stay where they are.
    async fn delete_entry(&self, ident: &TableIdent) -> Result<()> {
        let _ = ident;
        Err(Error::NoMetastore)
    }
}
