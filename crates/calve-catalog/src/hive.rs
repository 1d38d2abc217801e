use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use futures::stream::BoxStream;

use crate::Result;

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

/// A catalog of Hive-style tables.
#[async_trait]
pub trait Metastore: Send + Sync {
    /// Loads an entry of any kind.
    async fn load_hive_table(&self, ident: &TableIdent) -> Result<HiveTable>;

    /// All partitions of a table, page by page, in no order. `expression` is Glue's partition filter
    /// (`year='2023' AND element='TMAX'`).
    fn partitions(
        &self,
        ident: &TableIdent,
        expression: Option<String>,
    ) -> BoxStream<'static, Result<HivePartition>>;
}
