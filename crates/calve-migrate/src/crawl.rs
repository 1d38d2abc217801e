//! What a Glue crawler does for Parquet, from all footers rather than from a sample of the data.
//!
//! The columns are the union of all files' columns, the partition keys and their types are those that
//! all folders agree on, and both are the same each time. The lake is listed three times: to learn its
//! keys, to read its footers, and to enter its partitions; no list of it is held.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};

use calve_base::{Location, NoProgress, Progress, Stage, TableIdent};
use calve_catalog::{Catalog, HiveColumn};
use calve_lake::footer::read_footers;
use calve_lake::hive_path::{NULL_PARTITION, unescape};
use calve_lake::{Lake, LakeEntry, LakeFile, LakeOptions, PartitionKey, Source};
use calve_parquet::{SchemaCache, SchemaUnion, TypePolicy};
use calve_storage::Storage;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use iceberg::spec::{PrimitiveType, Type};
use serde::Serialize;

use crate::register_hive::{self, HiveEntry, HiveFormat, PartitionFolder, RegisterHive};
use crate::{Error, Result};

/// What a crawl found and entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The table.
    pub table: TableIdent,
    /// The folder that was crawled.
    pub location: Location,
    /// Number of data files.
    pub files: u64,
    /// Their rows.
    pub records: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// What was entered.
    #[serde(flatten)]
    pub entered: register_hive::Report,
}

/// Crawls a folder of Parquet files.
#[must_use = "nothing is crawled until awaited"]
pub struct Crawl {
    storage: Storage,
    catalog: Arc<dyn Catalog>,
    location: Location,
    table: TableIdent,
    options: LakeOptions,
    updates: bool,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for Crawl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crawl")
            .field("location", &self.location)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl Crawl {
    /// Starts with the default options.
    pub fn new(
        storage: Storage,
        catalog: Arc<dyn Catalog>,
        location: Location,
        table: TableIdent,
    ) -> Self {
        Self {
            storage,
            catalog,
            location,
            table,
            options: LakeOptions::default(),
            updates: false,
            progress: Arc::new(NoProgress),
        }
    }

    /// Sets whether an entry whose columns differ is brought up to date; else it is an error. New
    /// partitions are entered either way.
    pub fn with_updates(mut self, updates: bool) -> Self {
        self.updates = updates;
        self
    }

    /// Sets types of partition keys, by name, instead of the inferred ones.
    pub fn with_partition_types(mut self, types: Vec<(String, PrimitiveType)>) -> Self {
        self.options.partition_types = types;
        self
    }

    /// Sets how many requests are under way at once; at least one.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.options.concurrency = concurrency.max(1);
        self
    }

    /// Sets who hears how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.options.progress = Arc::clone(&progress);
        self.progress = progress;
        self
    }

    /// What crawling would enter.
    ///
    /// # Errors
    /// When the folder is no lake that one table can read, or the entry that is there does not fit.
    pub async fn plan(self) -> Result<Report> {
        self.run(false).await
    }

    async fn run(self, writes: bool) -> Result<Report> {
        let source = Source::Location(self.location.clone());
        let lake = Box::pin(Lake::open(&self.storage, source, self.options.clone())).await?;
        let (columns, records) = self.columns(&lake).await?;
        let entry = HiveEntry {
            location: lake.root().clone(),
            format: HiveFormat::Parquet,
            columns,
            partition_keys: lake.partition_keys().iter().map(key_column).collect(),
        };
        let register = RegisterHive::new(self.catalog, self.table.clone(), entry)
            .with_partitions(partitions(&lake))
            .with_updates(self.updates)
            .with_progress(self.progress);
        let entered = if writes {
            register.await?
        } else {
            register.plan().await?
        };
        Ok(Report {
            table: self.table,
            location: self.location,
            files: lake.totals().files,
            records,
            bytes: lake.totals().bytes,
            entered,
        })
    }

    /// The columns that the files have, without those that are partition keys; and the number of rows.
    async fn columns(&self, lake: &Lake) -> Result<(Vec<HiveColumn>, u64)> {
        let keys = lake.partition_keys();
        let path_columns: Vec<_> = keys
            .iter()
            .map(|key| (key.name.clone(), key.primitive_type.clone()))
            .collect();
        let mut union = SchemaUnion::for_new_table(&path_columns);
        let schemas = SchemaCache::new(TypePolicy::default());
        let failure = Arc::new(Mutex::new(None));
        let files = files(lake, Arc::clone(&failure));
        let concurrency = self.options.concurrency;
        let mut footers = Box::pin(read_footers(lake.storage(), files, concurrency));
        let stage = Stage::start(
            self.progress.as_ref(),
            "footers read",
            Some(lake.totals().files),
        );
        let mut records = 0;
        while let Some((file, footer)) = footers.next().await {
            stage.advance(1);
            if file.location == *lake.root() {
                return Err(Error::NoFolder {
                    location: file.location,
                });
            }
            let footer = footer?;
            records += u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
            let absorbed = union.absorb(&schemas.get(&footer));
            absorbed.map_err(|source| Error::CrawledFile {
                file: file.location,
                source,
            })?;
        }
        drop((stage, footers));
        if let Some(error) = failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            return Err(Error::Lake(error));
        }
        let schema = union.schema().map_err(|source| Error::Schema {
            table: self.table.clone(),
            source,
        })?;
        let is_key = |name: &str| {
            keys.iter()
                .any(|key| key.name.to_lowercase() == name.to_lowercase())
        };
        let mut columns = Vec::new();
        for field in schema.as_struct().fields() {
            if !is_key(&field.name) {
                columns.push(HiveColumn {
                    name: field.name.to_lowercase(),
                    hive_type: hive_type(&field.field_type, &field.name)?,
                    comment: field.doc.clone(),
                });
            }
        }
        Ok((columns, records))
    }
}

impl IntoFuture for Crawl {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(true))
    }
}

fn key_column(key: &PartitionKey) -> HiveColumn {
    HiveColumn {
        name: key.name.to_lowercase(),
        hive_type: primitive(&key.primitive_type),
        comment: None,
    }
}

/// The data files; the stream ends where the listing fails, with the error set aside.
fn files(
    lake: &Lake,
    failure: Arc<Mutex<Option<calve_lake::Error>>>,
) -> impl Stream<Item = LakeFile> + Send + use<> {
    lake.files().filter_map(move |entry| {
        let file = match entry {
            Ok(LakeEntry::File(file)) => Some(file),
            Ok(LakeEntry::Skipped(_)) => None,
            Err(error) => {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        };
        std::future::ready(file)
    })
}

/// The folders that have data files, each once.
fn partitions(lake: &Lake) -> BoxStream<'static, Result<PartitionFolder>> {
    let (root, keys) = (lake.root().clone(), lake.partition_keys().len());
    let mut last = None;
    let folders = lake.files().filter_map(move |entry| {
        let folder = match entry {
            Ok(LakeEntry::File(file)) => {
                let folder = folder(&root, &file.location, keys);
                let is_new = last.as_ref() != Some(&folder.values);
                last = Some(folder.values.clone());
                is_new.then_some(Ok(folder))
            }
            Ok(LakeEntry::Skipped(_)) => None,
            Err(error) => Some(Err(Error::Lake(error))),
        };
        std::future::ready(folder)
    });
    folders.boxed()
}

/// The partition's folder that a file lies in, with the values as the folders' names have them.
fn folder(root: &Location, file: &Location, keys: usize) -> PartitionFolder {
    let root = root.as_str().trim_end_matches('/');
    let below = file.as_str().strip_prefix(root).unwrap_or_default();
    let (mut values, mut length) = (Vec::with_capacity(keys), root.len());
    for name in below.trim_start_matches('/').split('/') {
        if values.len() == keys {
            break;
        }
        length += name.len() + 1;
        if let Some((_, value)) = name.split_once('=') {
            values.push(match value {
                NULL_PARTITION => value.to_owned(),
                value => unescape(value),
            });
        }
    }
    let location = file.as_str().get(..length).unwrap_or(root);
    PartitionFolder {
        values,
        location: Location::parse(location).unwrap_or_else(|_| file.clone()),
    }
}

fn primitive(primitive: &PrimitiveType) -> String {
    match primitive {
        PrimitiveType::Boolean => "boolean".to_owned(),
        PrimitiveType::Int => "int".to_owned(),
        // Hive has no time of day: it reads the number that is in the file.
        PrimitiveType::Long | PrimitiveType::Time => "bigint".to_owned(),
        PrimitiveType::Float => "float".to_owned(),
        PrimitiveType::Double => "double".to_owned(),
        PrimitiveType::Date => "date".to_owned(),
        PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => "timestamp".to_owned(),
        PrimitiveType::String => "string".to_owned(),
        PrimitiveType::Uuid | PrimitiveType::Fixed(_) | PrimitiveType::Binary => {
            "binary".to_owned()
        }
        PrimitiveType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
    }
}

/// A type as Hive spells it: names of fields in lower case.
///
/// # Errors
/// When the name of a field cannot stand in a Hive type.
fn hive_type(of: &Type, column: &str) -> Result<String> {
    Ok(match of {
        Type::Primitive(of) => primitive(of),
        Type::Struct(fields) => {
            let mut parts = Vec::new();
            for field in fields.fields() {
                if field.name.contains([':', ',', '<', '>', '`', ' ']) {
                    return Err(Error::HiveName {
                        column: column.to_owned(),
                        field: field.name.clone(),
                    });
                }
                let part = hive_type(&field.field_type, column)?;
                parts.push(format!("{}:{part}", field.name.to_lowercase()));
            }
            format!("struct<{}>", parts.join(","))
        }
        Type::List(list) => {
            format!(
                "array<{}>",
                hive_type(&list.element_field.field_type, column)?
            )
        }
        Type::Map(map) => format!(
            "map<{},{}>",
            hive_type(&map.key_field.field_type, column)?,
            hive_type(&map.value_field.field_type, column)?
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, keys: usize, values: &[&str], location: &str) {
        let root = Location::parse("s3://b/lake").unwrap();
        let folder = folder(&root, &Location::parse(file).unwrap(), keys);
        assert_eq!(folder.values, values);
        assert_eq!(folder.location.as_str(), location);
    }

    #[test]
    fn folders_of_files() {
        check("s3://b/lake/f", 0, &[], "s3://b/lake");
        check("s3://b/lake/a=01/f", 1, &["01"], "s3://b/lake/a=01");
        check(
            "s3://b/lake/a=x%2Fy/b=__HIVE_DEFAULT_PARTITION__/f",
            2,
            &["x/y", "__HIVE_DEFAULT_PARTITION__"],
            "s3://b/lake/a=x%2Fy/b=__HIVE_DEFAULT_PARTITION__",
        );
        check("s3://b/lake/a=1/sub/f", 1, &["1"], "s3://b/lake/a=1");
    }
}
