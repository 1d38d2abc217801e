//! A catalog that fails on demand. The tests of `calve-compact` use this very file, too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Error as CatalogError, Result, Table};
use calve_storage::Storage;
use futures::future::BoxFuture;
use iceberg::spec::TableMetadataBuildResult;

/// What happens at a commit instead of, or before, the commit itself.
pub(crate) enum Fault {
    /// Another writer commits first.
    Before(Box<dyn FnOnce(Arc<dyn Catalog>) -> BoxFuture<'static, ()> + Send>),
    /// The catalog fails without having done anything.
    Fails,
    /// The commit takes place, but the catalog reports a conflict.
    LandsAsConflict,
    /// The commit takes place, but nobody learns of it.
    LandsUnknown,
    /// The commit does not take place, and nobody learns of it either.
    VanishesUnknown,
}

/// A catalog that does as it is told.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Catalog>,
    faults: Mutex<VecDeque<Fault>>,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fault")
    }
}

impl Faulty {
    pub(crate) fn new(
        inner: &Arc<dyn Catalog>,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            faults: Mutex::new(faults.into_iter().collect()),
        })
    }
}

#[async_trait]
impl Catalog for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn storage(&self) -> &Storage {
        self.inner.storage()
    }

    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        self.inner.list_namespaces().await
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()> {
        self.inner.create_namespace(namespace, properties).await
    }

    async fn list_tables(&self, namespace: Option<&[String]>) -> Result<Vec<TableIdent>> {
        self.inner.list_tables(namespace).await
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        self.inner.load_table(ident).await
    }

    async fn default_location(&self, ident: &TableIdent) -> Result<Location> {
        self.inner.default_location(ident).await
    }

    async fn commit(
        &self,
        ident: &TableIdent,
        base: Option<&Table>,
        build: TableMetadataBuildResult,
    ) -> Result<Table> {
        let fault = self.faults.lock().unwrap().pop_front();
        let commit = self.inner.commit(ident, base, build);
        match fault {
            None => commit.await,
            Some(Fault::Before(other)) => {
                other(Arc::clone(&self.inner)).await;
                commit.await
            }
            Some(Fault::Fails) => Err(CatalogError::TableNotFound {
                catalog: "faulty".to_owned(),
                ident: ident.clone(),
            }),
            Some(Fault::LandsAsConflict) => {
                commit.await?;
                Err(CatalogError::CommitConflict {
                    ident: ident.clone(),
                })
            }
            Some(Fault::LandsUnknown) => {
                let table = commit.await?;
                Err(CatalogError::CommitStateUnknown {
                    ident: ident.clone(),
                    metadata_location: table.metadata_location().clone(),
                    source: "no answer".into(),
                })
            }
            Some(Fault::VanishesUnknown) => Err(CatalogError::CommitStateUnknown {
                ident: ident.clone(),
                metadata_location: Location::parse("/nowhere.metadata.json").unwrap(),
                source: "no answer".into(),
            }),
        }
    }

    async fn register_table(&self, ident: &TableIdent, metadata: &Location) -> Result<Table> {
        self.inner.register_table(ident, metadata).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.inner.drop_table(ident).await
    }
}
