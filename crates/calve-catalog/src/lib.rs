//! Catalogs: they know where each table's metadata lies and move that pointer atomically.

mod error;
mod hive;
mod table;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use calve_storage::Storage;
use iceberg::spec::TableMetadataBuildResult;

pub use error::{Error, Result};
pub use hive::{HiveColumn, HivePartition, HiveTable, Metastore};
pub use table::Table;

/// A catalog of Iceberg tables.
///
/// Every implementation passes the same contract suite (`tests/contract.rs`).
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// The name the user gave it.
    fn name(&self) -> &str;

    /// The storage its tables lie in.
    fn storage(&self) -> &Storage;

    /// All namespaces, sorted.
    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>>;

    /// Makes a namespace. One that exists is an error of kind [`Error::NamespaceExists`].
    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()>;

    /// All Iceberg tables of a namespace, or of all, sorted.
    async fn list_tables(&self, namespace: Option<&[String]>) -> Result<Vec<TableIdent>>;

    /// Loads a table. [`Error::TableNotFound`] where there is none, [`Error::NotIceberg`] where the
    /// entry is another kind of table.
    async fn load_table(&self, ident: &TableIdent) -> Result<Table>;

    /// Where a new table of that name goes unless told otherwise.
    async fn default_location(&self, ident: &TableIdent) -> Result<Location>;

    /// The one way to change a table: writes `build.metadata` as a new metadata file and moves the
    /// pointer to it, atomically.
    ///
    /// With `base`, the pointer moves only if it still stands where `base` was loaded from;
    /// [`Error::CommitConflict`] otherwise (reload, re-apply, try again). Without `base`, the table is
    /// created; [`Error::TableExists`] if the name is taken. The namespace is made if it is missing.
    ///
    /// An outcome that the catalog left open is settled by re-reading; where even that fails, the
    /// error is [`Error::CommitStateUnknown`] and nothing may be deleted.
    async fn commit(
        &self,
        ident: &TableIdent,
        base: Option<&Table>,
        build: TableMetadataBuildResult,
    ) -> Result<Table>;

    /// Enters an existing metadata file under a free name.
    async fn register_table(&self, ident: &TableIdent, metadata: &Location) -> Result<Table>;

    /// Takes the entry out. Files stay where they are.
    async fn drop_table(&self, ident: &TableIdent) -> Result<()>;

    /// The Hive-style tables beside the Iceberg ones, where this catalog has such (Glue).
    fn metastore(&self) -> Option<&dyn Metastore> {
        None
    }
}

/// Opens the catalog that the properties describe.
///
/// `type` is `sql` (also chosen by a `uri` that begins with `sqlite:` or `postgresql:`), `glue` or
/// `memory`; `warehouse` is where new tables go.
///
/// # Errors
/// When the properties are wrong or the catalog cannot be reached.
pub async fn open(_name: &str, _properties: Properties) -> Result<Arc<dyn Catalog>> {
    unimplemented!()
}
