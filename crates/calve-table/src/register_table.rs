//! Entering an existing metadata file into a catalog.

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Location, TableIdent};
use calve_catalog::{Catalog, read_metadata};
use futures::future::BoxFuture;
use iceberg::spec::TableMetadata;
use serde::Serialize;

use crate::Result;

/// What a registration enters, or has entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The name in the catalog.
    pub table: TableIdent,
    /// The metadata file.
    pub metadata_location: Location,
    /// The snapshot that is current in it, if any.
    pub current_snapshot_id: Option<i64>,
    /// How many rows that snapshot has, where it tells.
    pub total_records_count: Option<u64>,
    /// How many data files that snapshot has, where it tells.
    pub total_data_files_count: Option<u64>,
}

/// Enters an existing metadata file into a catalog, under a free name.
#[derive(Debug, Clone)]
#[must_use = "a registration does nothing until awaited"]
pub struct RegisterTable {
    catalog: Arc<dyn Catalog>,
    ident: TableIdent,
    metadata_location: Location,
}

impl RegisterTable {
    /// Starts a registration.
    pub fn new(catalog: Arc<dyn Catalog>, ident: TableIdent, metadata_location: Location) -> Self {
        Self {
            catalog,
            ident,
            metadata_location,
        }
    }

    /// Reads the metadata file and looks whether the name is free, without writing.
    ///
    /// # Errors
    /// When the name is taken, or the file is missing or is no metadata file.
    pub async fn plan(&self) -> Result<Report> {
        let namespace = self.ident.namespace();
        let tables = match self.catalog.list_tables(Some(namespace)).await {
            Err(calve_catalog::Error::NamespaceNotFound { .. }) => Vec::new(),
            other => other?,
        };
        if tables.contains(&self.ident) {
            return Err(calve_catalog::Error::TableExists {
                catalog: self.catalog.name().to_owned(),
                ident: self.ident.clone(),
            }
            .into());
        }
        let storage = self.catalog.storage();
        let metadata = read_metadata(storage, &self.metadata_location).await?;
        Ok(self.report(&metadata))
    }

    fn report(&self, metadata: &TableMetadata) -> Report {
        let total = |name: &str| {
            let summary = metadata.current_snapshot()?.summary();
            summary.additional_properties.get(name)?.parse().ok()
        };
        Report {
            table: self.ident.clone(),
            metadata_location: self.metadata_location.clone(),
            current_snapshot_id: metadata.current_snapshot_id(),
            total_records_count: total("total-records"),
            total_data_files_count: total("total-data-files"),
        }
    }
}

impl IntoFuture for RegisterTable {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.plan().await?;
            let table = self
                .catalog
                .register_table(&self.ident, &self.metadata_location)
                .await?;
            Ok(self.report(table.metadata()))
        })
    }
}
