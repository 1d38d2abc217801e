//! The catalog as DataFusion sees it: every table is loaded when a query names it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use calve_base::TableIdent;
use calve_catalog::Catalog;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result as DataFusionResult;

use crate::table::table_provider;
use crate::{Error, Result};

/// The namespace in which the tables stand that one query names otherwise than by `db.t`.
pub(crate) const QUERY_NAMESPACE: &str = "#query";

/// Finds tables by name.
#[derive(Debug)]
pub(crate) struct Tables {
    catalog: Arc<dyn Catalog>,
    /// Tables that were loaded for a query that is about to be planned.
    prepared: Mutex<HashMap<(String, String), Arc<dyn TableProvider>>>,
    /// The tables by namespace, as they were last listed.
    listing: Mutex<HashMap<String, Vec<String>>>,
}

impl Tables {
    pub(crate) fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self {
            catalog,
            prepared: Mutex::default(),
            listing: Mutex::default(),
        }
    }

    pub(crate) fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    /// Keeps a table at hand for the planning of one query.
    pub(crate) fn prepare(&self, namespace: &str, name: &str, table: Arc<dyn TableProvider>) {
        lock(&self.prepared).insert((namespace.to_owned(), name.to_owned()), table);
    }

    /// Forgets a prepared table.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        lock(&self.prepared).remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Lists all tables, for queries of `information_schema`.
    pub(crate) async fn list(&self) -> Result<()> {
        let mut listing: HashMap<String, Vec<String>> = HashMap::new();
        for namespace in self.catalog.list_namespaces().await? {
            listing.entry(namespace.join(".")).or_default();
        }
        for ident in self.catalog.list_tables(None).await? {
            listing
                .entry(ident.namespace_text())
                .or_default()
                .push(ident.name().to_owned());
        }
        *lock(&self.listing) = listing;
        Ok(())
    }

    fn listed(&self, namespace: &str) -> Vec<String> {
        lock(&self.listing)
            .get(namespace)
            .cloned()
            .unwrap_or_default()
    }

    async fn table(&self, namespace: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(table) = lock(&self.prepared).get(&key) {
            return Ok(Some(Arc::clone(table)));
        }
        let parts = namespace.split('.').map(ToOwned::to_owned).collect();
        let Ok(ident) = TableIdent::from_parts(parts, name) else {
            return Ok(None);
        };
        match self.catalog.load_table(&ident).await {
            Ok(table) => Ok(Some(Arc::new(table_provider(&table)?))),
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. }
                | calve_catalog::Error::Name { .. },
            ) => Ok(None),
            Err(error) => Err(Error::from(error)),
        }
    }
}

/// The guarded maps are replaced whole or entry by entry, so a panic elsewhere leaves them sound.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All namespaces of the catalog.
#[derive(Debug)]
pub(crate) struct Namespaces(pub(crate) Arc<Tables>);

impl CatalogProvider for Namespaces {
    fn schema_names(&self) -> Vec<String> {
        let mut names: Vec<_> = lock(&self.0.listing).keys().cloned().collect();
        names.sort();
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Namespace {
            tables: Arc::clone(&self.0),
            name: name.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct Namespace {
    tables: Arc<Tables>,
    name: String,
}

#[async_trait]
impl SchemaProvider for Namespace {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.tables.listed(&self.name);
        names.sort();
        names
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.tables.table(&self.name, name).await?)
    }

    async fn table_type(&self, _name: &str) -> DataFusionResult<Option<TableType>> {
        Ok(Some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables
            .listed(&self.name)
            .iter()
            .any(|listed| listed == name)
    }
}
