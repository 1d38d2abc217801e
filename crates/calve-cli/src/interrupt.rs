//! Ctrl-C: a commit in flight ends well, anything else stops at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use calve::base::{Location, Properties, TableIdent};
use calve::catalog::{Catalog, EntryRecord, Metastore, Result, Table};
use calve::iceberg::spec::TableMetadataBuildResult;
use calve::storage::Storage;

use crate::printer::Printer;

/// How many commits are in flight in this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitWatch {
    in_flight: Arc<AtomicUsize>,
}

/// Counts one commit while it lives.
struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl CommitWatch {
    /// Watches the commits of a catalog.
    pub(crate) fn guard(&self, catalog: Arc<dyn Catalog>) -> Arc<dyn Catalog> {
        Arc::new(WatchedCatalog {
            catalog,
            watch: self.clone(),
        })
    }

    /// Runs `work` until it ends or Ctrl-C is pressed; then `None`. While a commit is in flight the
    /// work goes on to its end, unless Ctrl-C is pressed again.
    pub(crate) async fn run<T>(
        &self,
        work: impl Future<Output = T>,
        printer: &Printer,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            result = &mut work => return Some(result),
            () = interrupted() => {}
        }
        if self.in_flight.load(Ordering::SeqCst) == 0 {
            return None;
        }
        printer.warning("a commit is in flight and is brought to its end; Ctrl-C again stops it");
        tokio::select! {
            result = work => Some(result),
            () = interrupted() => None,
        }
    }

    fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        InFlight(Arc::clone(&self.in_flight))
    }
}

/// Waits for Ctrl-C, or for ever where the process cannot hear it.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A catalog whose commits are counted while they are in flight.
#[derive(Debug)]
struct WatchedCatalog {
    catalog: Arc<dyn Catalog>,
    watch: CommitWatch,
}

#[async_trait]
impl Catalog for WatchedCatalog {
    fn name(&self) -> &str {
        self.catalog.name()
    }

    fn storage(&self) -> &Storage {
        self.catalog.storage()
    }

    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        self.catalog.list_namespaces().await
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()> {
        self.catalog.create_namespace(namespace, properties).await
    }

    async fn list_tables(&self, namespace: Option<&[String]>) -> Result<Vec<TableIdent>> {
        self.catalog.list_tables(namespace).await
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        self.catalog.load_table(ident).await
    }

    async fn default_location(&self, ident: &TableIdent) -> Result<Location> {
        self.catalog.default_location(ident).await
    }

    async fn commit(
        &self,
        ident: &TableIdent,
        base: Option<&Table>,
        build: TableMetadataBuildResult,
    ) -> Result<Table> {
        let _in_flight = self.watch.begin();
        self.catalog.commit(ident, base, build).await
    }

    async fn register_table(&self, ident: &TableIdent, metadata: &Location) -> Result<Table> {
        let _in_flight = self.watch.begin();
        self.catalog.register_table(ident, metadata).await
    }

    async fn replace_entry(
        &self,
        ident: &TableIdent,
        base: &EntryRecord,
        metadata: &Location,
    ) -> Result<Table> {
        let _in_flight = self.watch.begin();
        self.catalog.replace_entry(ident, base, metadata).await
    }

    async fn exchange_tables(&self, old: &Table, new: &Table, backup: &TableIdent) -> Result<()> {
        let _in_flight = self.watch.begin();
        self.catalog.exchange_tables(old, new, backup).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        let _in_flight = self.watch.begin();
        self.catalog.drop_table(ident).await
    }

    fn metastore(&self) -> Option<&dyn Metastore> {
        self.catalog.metastore()
    }
}
