//! Catalogs: they know where each table's metadata lies and move that pointer atomically.
//!
//! [`open`] gives a [`Catalog`] for SQLite and PostgreSQL (in the tables that Java's `JdbcCatalog` and
//! PyIceberg's `SqlCatalog` share), for AWS Glue (in the entries that Java's `GlueCatalog` writes)
//! and for trials in memory. All of them share one commit path, so that each keeps the same promises:
//! a commit takes place once or not at all, an unclear answer is looked into before anybody hears
//! of it, and no metadata file is deleted that may be current.
//!
//! It goes past `iceberg`'s own catalogs because their commits take only that crate's own updates,
//! and because what they write to Glue is not what other engines expect there.

mod aws;
mod backend;
mod error;
mod glue;
mod hive;
mod memory;
mod metadata_file;
mod record;
mod sql;
mod table;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use calve_storage::Storage;
use iceberg::spec::TableMetadataBuildResult;

pub use aws::sdk_config;
use backend::BackendCatalog;
pub use error::{Cause, Error, Result};
pub use hive::{HiveColumn, HivePartition, HiveTable, Metastore};
pub use metadata_file::{read as read_metadata, read_document as read_metadata_document};
pub use record::{
    ColumnRecord, EntryRecord, Parameters, PartitionRecord, SchemaReferenceRecord, SerdeRecord,
    SkewRecord, SortRecord, StorageRecord, TableRecord,
};
pub use table::Table;

/// Where a catalog in memory puts new tables unless told otherwise.
const MEMORY_WAREHOUSE: &str = "memory:///warehouse";

/// A catalog of Iceberg tables.
///
/// Every implementation passes the same contract suite (`tests/contract`).
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

    /// Puts a table whose metadata file is there already in the place of another entry, which may be a
    /// Hive-style table: one request, so that readers see the old entry or the new one. The entry must still be
    /// as `base` says; [`Error::CommitConflict`] otherwise, [`Error::NoMetastore`] where there are no such entries.
    /// Owner, retention, description, comments and parameters that do not contradict an Iceberg table stay.
    async fn replace_entry(
        &self,
        ident: &TableIdent,
        base: &EntryRecord,
        metadata: &Location,
    ) -> Result<Table> {
        let _ = (ident, base, metadata);
        Err(Error::NoMetastore)
    }

    /// Gives `old` the name `backup` and `new` the name of `old`, in one transaction, if both stand where they were
    /// loaded from. [`Error::NoExchange`] where the catalog has no such transactions.
    async fn exchange_tables(&self, old: &Table, new: &Table, backup: &TableIdent) -> Result<()> {
        let _ = (old, new, backup);
        Err(Error::NoExchange)
    }

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
/// `memory`; `warehouse` is where new tables go. The storage is made from the same properties.
///
/// A database may hold several catalogs: `name` is part of the key there, so that Java and PyIceberg see
/// these tables under the same name only.
///
/// # Errors
/// When the properties are wrong or the catalog cannot be reached.
pub async fn open(name: &str, properties: Properties) -> Result<Arc<dyn Catalog>> {
    let kind = kind(name, &properties)?;
    let warehouse = warehouse(name, kind, &properties)?;
    Ok(match kind {
        Kind::Sql => {
            let backend = sql::Sql::open(name, &properties).await?;
            catalog(name, properties, warehouse, backend)
        }
        Kind::Glue => {
            let backend = glue::Glue::open(name, &properties).await?;
            catalog(name, properties, warehouse, backend)
        }
        Kind::Memory => catalog(name, properties, warehouse, memory::Memory::new(name)),
    })
}

/// A catalog in this process's memory over a store that is open already: tables are made there before another
/// catalog gets to know them.
pub fn in_memory(name: &str, storage: &Storage) -> Arc<dyn Catalog> {
    Arc::new(BackendCatalog {
        name: name.to_owned(),
        storage: storage.clone(),
        warehouse: None,
        backend: memory::Memory::new(name),
    })
}

fn catalog<B: backend::Backend + 'static>(
    name: &str,
    properties: Properties,
    warehouse: Option<Location>,
    backend: B,
) -> Arc<dyn Catalog> {
    Arc::new(BackendCatalog {
        name: name.to_owned(),
        storage: Storage::new(properties),
        warehouse,
        backend,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sql,
    Glue,
    Memory,
}

fn kind(catalog: &str, properties: &Properties) -> Result<Kind> {
    let wrong = |property: &str, problem: String| Error::Property {
        catalog: catalog.to_owned(),
        property: property.to_owned(),
        problem,
    };
    if let Some(kind) = properties.get("type") {
        return match kind.as_str() {
            "sql" | "jdbc" => Ok(Kind::Sql),
            "glue" => Ok(Kind::Glue),
            "memory" | "in-memory" => Ok(Kind::Memory),
            other => Err(wrong(
                "type",
                format!("`{other}` is unknown: expected sql, glue or memory"),
            )),
        };
    }
    let Some(uri) = properties.get("uri") else {
        return Err(wrong(
            "type",
            "missing: expected sql, glue or memory".to_owned(),
        ));
    };
    let uri = uri.strip_prefix("jdbc:").unwrap_or(uri);
    let scheme = uri.split(':').next().unwrap_or_default();
    match scheme.split('+').next().unwrap_or_default() {
        "sqlite" | "postgresql" | "postgres" => Ok(Kind::Sql),
        other => Err(wrong(
            "uri",
            format!("`{other}:` tells no kind of catalog: set `type` to sql, glue or memory"),
        )),
    }
}

/// The warehouse; a relative path is taken from the working directory.
fn warehouse(catalog: &str, kind: Kind, properties: &Properties) -> Result<Option<Location>> {
    let text = match properties.get("warehouse") {
        Some(text) if !text.is_empty() => text,
        _ if kind == Kind::Memory => MEMORY_WAREHOUSE,
        _ => return Ok(None),
    };
    let wrong = |problem: String| Error::Property {
        catalog: catalog.to_owned(),
        property: "warehouse".to_owned(),
        problem,
    };
    let here = std::env::current_dir().map_err(|error| wrong(error.to_string()))?;
    let location = Location::from_user(text.trim_end_matches('/'), &here.to_string_lossy());
    location.map(Some).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        #[track_caller]
        fn check(properties: &[(&str, &str)], expected: Result<Kind, &str>) {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let properties = properties.iter().map(owned).collect();
            let found = kind("c", &properties).map_err(|error| error.to_string());
            assert_eq!(
                found,
                expected.map_err(|problem| format!("catalog c: property {problem}"))
            );
        }
        check(&[("type", "sql")], Ok(Kind::Sql));
        check(&[("type", "glue"), ("uri", "unused")], Ok(Kind::Glue));
        check(&[("type", "memory")], Ok(Kind::Memory));
        check(&[("uri", "sqlite:///x.db")], Ok(Kind::Sql));
        check(&[("uri", "postgresql+psycopg2://h/d")], Ok(Kind::Sql));
        check(
            &[("type", "hive")],
            Err("`type`: `hive` is unknown: expected sql, glue or memory"),
        );
        check(&[], Err("`type`: missing: expected sql, glue or memory"));
        check(
            &[("uri", "thrift://h")],
            Err("`uri`: `thrift:` tells no kind of catalog: set `type` to sql, glue or memory"),
        );
    }
}
