//! Parquet files that were written, entered in Glue.

use std::sync::Arc;

use calve::arrow::datatypes::Schema;
use calve::base::{Location, TableIdent};
use calve::catalog::{Catalog, HiveColumn};
use calve::lake::hive_path::NULL_PARTITION;
use calve::migrate::RegisterHive;
use calve::migrate::register_hive::{HiveEntry, HiveFormat, PartitionFolder};
use calve::xml::schema::hive::to_hive_columns;
use futures::{StreamExt, stream};

use super::files::OutputFile;

/// Where the output is to be entered.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) table: TableIdent,
    pub(super) entry: HiveEntry,
}

/// The columns of a schema in Glue's words.
///
/// # Errors
/// When Hive cannot say a type or a name.
pub(crate) fn hive_columns(schema: &Schema) -> calve::xml::Result<Vec<HiveColumn>> {
    let column = |(name, hive_type)| HiveColumn {
        name,
        hive_type,
        comment: None,
    };
    let columns = to_hive_columns(schema)?;
    Ok(columns.into_iter().map(column).collect())
}

impl Target {
    /// # Errors
    /// As [`hive_columns`].
    pub(super) fn new(
        catalog: Arc<dyn Catalog>,
        table: TableIdent,
        location: &Location,
        schema: &Schema,
        partition_by: &[String],
    ) -> calve::xml::Result<Self> {
        let names: Vec<String> = partition_by
            .iter()
            .map(|name| name.to_lowercase())
            .collect();
        let (keys, columns): (Vec<_>, Vec<_>) = hive_columns(schema)?
            .into_iter()
            .partition(|column| names.contains(&column.name));
        let keys = names
            .iter()
            .filter_map(|name| keys.iter().find(|key| key.name == *name));
        Ok(Self {
            catalog,
            table,
            entry: HiveEntry {
                location: location.clone(),
                format: HiveFormat::Parquet,
                partition_keys: keys.cloned().collect(),
                columns,
            },
        })
    }

    /// Enters the files' folders, or the table alone where they have none.
    pub(super) fn register(&self, files: &[OutputFile], partition_by: &[String]) -> RegisterHive {
        let mut folders: Vec<PartitionFolder> = Vec::new();
        for file in files {
            let value = |key| file.partition.get(key).cloned().flatten();
            let values = partition_by.iter();
            let values: Vec<String> = values
                .map(|key| value(key).unwrap_or_else(|| NULL_PARTITION.to_owned()))
                .collect();
            // The files of one partition follow each other.
            let is_new = folders.last().is_none_or(|last| last.values != values);
            if let Some(location) = file.location.parent().filter(|_| is_new) {
                folders.push(PartitionFolder { values, location });
            }
        }
        RegisterHive::new(
            Arc::clone(&self.catalog),
            self.table.clone(),
            self.entry.clone(),
        )
        .with_partitions(stream::iter(folders.into_iter().map(Ok)).boxed())
        .with_updates(true)
    }
}
