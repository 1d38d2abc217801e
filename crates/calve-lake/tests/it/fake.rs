//! A catalog with one table of a metastore and nothing else.

use std::sync::Mutex;

use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Error, HivePartition, HiveTable, Metastore, Result, Table};
use calve_storage::Storage;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::spec::TableMetadataBuildResult;

#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) storage: Storage,
    pub(crate) table: HiveTable,
    pub(crate) partitions: Vec<HivePartition>,
    pub(crate) expressions: Mutex<Vec<Option<String>>>,
    pub(crate) has_metastore: bool,
}

impl Fake {
    fn missing<T>(&self) -> Result<T> {
        Err(Error::TableNotFound {
            catalog: "fake".to_owned(),
            ident: self.table.ident.clone(),
        })
    }
}

#[async_trait]
impl Catalog for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn storage(&self) -> &Storage {
        &self.storage
    }

    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        Ok(Vec::new())
    }

    async fn create_namespace(&self, _: &[String], _: &Properties) -> Result<()> {
        self.missing()
    }

    async fn list_tables(&self, _: Option<&[String]>) -> Result<Vec<TableIdent>> {
        Ok(Vec::new())
    }

    async fn load_table(&self, _: &TableIdent) -> Result<Table> {
        self.missing()
    }

    async fn default_location(&self, _: &TableIdent) -> Result<Location> {
        self.missing()
    }

    async fn commit(
        &self,
        _: &TableIdent,
        _: Option<&Table>,
        _: TableMetadataBuildResult,
    ) -> Result<Table> {
        self.missing()
    }

    async fn register_table(&self, _: &TableIdent, _: &Location) -> Result<Table> {
        self.missing()
    }

    async fn drop_table(&self, _: &TableIdent) -> Result<()> {
        self.missing()
    }

    fn metastore(&self) -> Option<&dyn Metastore> {
        self.has_metastore.then_some(self)
    }
}

#[async_trait]
impl Metastore for Fake {
    async fn load_hive_table(&self, ident: &TableIdent) -> Result<HiveTable> {
        if *ident == self.table.ident {
            Ok(self.table.clone())
        } else {
            self.missing()
        }
    }

    fn partitions(
        &self,
        _: &TableIdent,
        expression: Option<String>,
    ) -> BoxStream<'static, Result<HivePartition>> {
        self.expressions.lock().unwrap().push(expression);
        let partitions: Vec<_> = self.partitions.iter().cloned().map(Ok).collect();
        futures::stream::iter(partitions).boxed()
    }
}
