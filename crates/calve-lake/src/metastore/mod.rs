//! A lake that an entry of a metastore describes: its partitions, wherever they lie.

mod date_format;
mod projection;
mod table;

pub use table::check as check_entry;

use std::sync::Arc;

use calve_base::Location;
use calve_catalog::{Catalog, HivePartition, HiveTable};
use calve_storage::Storage;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::PrimitiveType;

use crate::filter::{Comparison, PartitionFilter};
use crate::folder::{FolderReader, Layout, Reading};
use crate::folders::{Values, file, literal, skipped};
use crate::hive_path::{NULL_PARTITION, escape};
use crate::task::run_ahead;
use crate::{
    Error, FileFormat, LakeEntry, LakeOptions, PartitionKey, Result, SkipReason, Skipped, Warning,
};

use projection::Projection;

/// An entry that can be read as a lake.
#[derive(Debug)]
pub(crate) struct HiveSource {
    catalog: Arc<dyn Catalog>,
    table: HiveTable,
    location: Location,
    keys: Arc<[PartitionKey]>,
    projection: Option<Arc<Projection>>,
    warnings: Vec<Warning>,
    format: FileFormat,
}

/// What is read of an entry, and how.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) source: Arc<HiveSource>,
    pub(crate) storage: Storage,
    pub(crate) filter: Arc<PartitionFilter>,
    pub(crate) options: Arc<LakeOptions>,
}

/// A partition of the entry.
#[derive(Debug)]
struct Partition {
    location: Location,
    values: Values,
    /// Whether the user should hear of it when nothing lies there.
    is_registered: bool,
}

impl HiveSource {
    /// Loads an entry and checks that it is a Hive-style table of the format that is asked for.
    pub(crate) async fn load(
        catalog: Arc<dyn Catalog>,
        ident: &calve_base::TableIdent,
        options: &LakeOptions,
    ) -> Result<Self> {
        let metastore = catalog.metastore().ok_or_else(|| Error::NoMetastore {
            catalog: catalog.name().to_owned(),
            ident: ident.clone(),
        })?;
        let table = metastore.load_hive_table(ident).await?;
        let location = table::check(&table, options.format)?;
        let keys: Arc<[PartitionKey]> = table::keys(&table, &options.fixed_types())?.into();
        let projection = Projection::of(&table, &location, &keys, options.clock.as_ref())?;
        let warnings = table::warnings(&table);
        Ok(Self {
            catalog,
            table,
            location,
            keys,
            projection: projection.map(Arc::new),
            warnings,
            format: options.format,
        })
    }

    pub(crate) fn table(&self) -> &HiveTable {
        &self.table
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn keys(&self) -> &Arc<[PartitionKey]> {
        &self.keys
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether its partitions are registered one by one, so that they may have been forgotten.
    pub(crate) fn has_registered_partitions(&self) -> bool {
        !self.keys.is_empty() && self.projection.is_none()
    }

    /// Reads a partition as the metastore has it; `None` when the filter leaves it out.
    fn partition(
        &self,
        partition: HivePartition,
        filter: &PartitionFilter,
    ) -> Result<Option<Partition>> {
        if partition.values.len() != self.keys.len() {
            return Err(Error::PartitionValues {
                ident: self.table.ident.clone(),
                expected: self.keys.len(),
                found: partition.values.len(),
            });
        }
        let pairs = self.keys.iter().zip(&partition.values).map(|(key, value)| {
            let text = (value != NULL_PARTITION).then_some(value.as_str());
            (key.name.as_str(), text)
        });
        if !self.lets_through(filter, &pairs)? {
            return Ok(None);
        }
        let names: Vec<String> = self
            .keys
            .iter()
            .zip(&partition.values)
            .map(|(key, value)| format!("{}={}", escape(&key.name), escape(value)))
            .collect();
        let name = names.join("/");
        if let Some(format) = partition.input_format
            && !table::is_of(self.format, Some(&format), None)
        {
            return Err(Error::PartitionFormat {
                ident: self.table.ident.clone(),
                partition: name,
                format,
                expected: self.format,
            });
        }
        let location = partition
            .location
            .unwrap_or_else(|| self.location.join(&name));
        let values = self.literals(pairs.map(|(_, text)| text), &location)?;
        Ok(Some(Partition {
            location,
            values,
            is_registered: true,
        }))
    }

    fn lets_through<'a>(
        &self,
        filter: &PartitionFilter,
        pairs: &(impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone),
    ) -> Result<bool> {
        match filter.matches(pairs) {
            Ok(comparison) => Ok(comparison != Comparison::Unequal),
            Err(key) => Err(self.unknown_key(key)),
        }
    }

    pub(crate) fn unknown_key(&self, key: &str) -> Error {
        Error::UnknownFilterKey {
            location: self.location.clone(),
            key: key.to_owned(),
            known: self.keys.iter().map(|key| key.name.clone()).collect(),
        }
    }

    fn literals<'a>(
        &self,
        texts: impl Iterator<Item = Option<&'a str>>,
        location: &Location,
    ) -> Result<Values> {
        let keys = self.keys.iter().zip(texts);
        keys.map(|(key, text)| literal(text, &key.primitive_type, &key.name, location))
            .collect()
    }

    /// The filter in Glue's words, as far as those can say it; the rest is checked here.
    fn expression(&self, filter: &PartitionFilter) -> Option<String> {
        let keys = self.table.partition_keys.iter().zip(self.keys.iter());
        let terms: Vec<String> = filter
            .typed()
            .filter_map(|(name, literal)| {
                let (column, key) = keys
                    .clone()
                    .find(|(_, key)| crate::hive_path::same_name(&key.name, name))?;
                table::expression(column, key, literal?)
            })
            .collect();
        (!terms.is_empty()).then(|| terms.join(" AND "))
    }
}

impl Reader {
    /// Everything in the partitions that the filter lets through.
    pub(crate) fn entries(&self) -> BoxStream<'static, Result<LakeEntry>> {
        if let Some(projection) = &self.source.projection {
            return Arc::clone(projection).entries(self.clone());
        }
        let reader = self.clone();
        self.partitions()
            .map_ok(move |partition| {
                std::future::ready(Ok(run_ahead(reader.partition_entries(partition))))
            })
            .try_buffered(self.options.concurrency.max(1))
            .try_flatten()
            .boxed()
    }

    fn partitions(&self) -> BoxStream<'static, Result<Partition>> {
        let source = Arc::clone(&self.source);
        if source.keys.is_empty() {
            let whole = Partition {
                location: source.location.clone(),
                values: Arc::new([]),
                is_registered: false,
            };
            return stream::once(std::future::ready(Ok(whole))).boxed();
        }
        let Some(metastore) = self.source.catalog.metastore() else {
            // It had one when the entry was loaded.
            return stream::empty().boxed();
        };
        let filter = Arc::clone(&self.filter);
        metastore
            .partitions(&source.table.ident, source.expression(&filter))
            .map_err(Error::from)
            .try_filter_map(move |partition| {
                std::future::ready(source.partition(partition, &filter))
            })
            .boxed()
    }

    /// What lies in one partition.
    fn partition_entries(&self, partition: Partition) -> BoxStream<'static, Result<LakeEntry>> {
        let mut folders = self.folder_reader(&partition.location, self.options.recursive);
        let values = Arc::clone(&partition.values);
        let mut is_empty = true;
        self.storage
            .list(&partition.location)
            .map(Some)
            .chain(stream::once(std::future::ready(None)))
            .filter_map(move |object| {
                let entry = match object {
                    None if is_empty && partition.is_registered => {
                        Some(Ok(LakeEntry::Skipped(Skipped {
                            location: partition.location.clone(),
                            reason: SkipReason::EmptyPartition,
                        })))
                    }
                    None => None,
                    Some(Err(error)) => Some(Err(error.into())),
                    Some(Ok(object)) => {
                        is_empty = false;
                        Some(folders.read(&object).map(|reading| match reading {
                            Reading::Skip(reason) => skipped(object, reason),
                            Reading::File(_) => file(object, Arc::clone(&values)),
                        }))
                    }
                };
                std::future::ready(entry)
            })
            .boxed()
    }

    fn folder_reader(&self, root: &Location, recursive: crate::Recursive) -> FolderReader {
        let allow = self.options.allow_table_formats;
        FolderReader::new(root.clone(), Layout::Flat, recursive, allow)
    }
}

/// The types of keys that were given, else those of the metastore.
fn key_type(
    given: &[(String, PrimitiveType)],
    name: &str,
    hive_type: &str,
) -> Option<PrimitiveType> {
    crate::folders::fixed_type(given, name)
        .cloned()
        .or_else(|| table::primitive_type(hive_type))
}
