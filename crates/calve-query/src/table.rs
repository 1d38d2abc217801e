//! Iceberg tables as DataFusion tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use calve_base::Location;
use calve_catalog::Table;
use calve_parquet::{NAME_MAPPING_PROPERTY, NameMapping};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, DataFileFormat, FormatVersion, Manifest, ManifestContentType, ManifestFile,
    ManifestList, PartitionSpec, Schema, SnapshotRef, Struct, Transform, Type,
};

use crate::read::{
    Constants, DeleteIndex, FileContainer, Filters, ScanFile, ScanTable, TableColumns, Wanted,
    plan, scalar, support,
};
use crate::sql::{Version, snapshot_at};
use crate::{Error, Result};

/// How many manifests are read at once.
const MANIFEST_CONCURRENCY: usize = 16;

/// A snapshot of an Iceberg table that DataFusion can read.
#[derive(Debug)]
pub struct IcebergTable {
    table: Table,
    snapshot: Option<SnapshotRef>,
    scan: Arc<ScanTable>,
    /// Columns that are identity partition fields in every spec of the table.
    constant: HashSet<String>,
    field_ids: HashMap<String, i32>,
}

/// Makes a table readable: its current snapshot, by its current schema.
///
/// # Errors
/// When the table's schema or name mapping cannot be understood.
pub fn table_provider(table: &Table) -> Result<IcebergTable> {
    let metadata = table.metadata();
    let snapshot = metadata.current_snapshot().cloned();
    IcebergTable::new(table, snapshot, Arc::clone(metadata.current_schema()))
}

/// Makes a snapshot of a table readable, by the schema that it was written with.
///
/// # Errors
/// When there is no such snapshot, or the table's schema or name mapping cannot be understood.
pub fn table_provider_at(table: &Table, snapshot_id: i64) -> Result<IcebergTable> {
    let (snapshot, schema) = snapshot_at(table, &Version::Snapshot(snapshot_id))?;
    IcebergTable::new(table, Some(snapshot), schema)
}

impl IcebergTable {
    pub(crate) fn new(
        table: &Table,
        snapshot: Option<SnapshotRef>,
        schema: Arc<Schema>,
    ) -> Result<Self> {
        let mapping = name_mapping(table)?;
        let columns = TableColumns::new(schema, mapping).map_err(|source| Error::Metadata {
            ident: table.ident().clone(),
            source,
        })?;
        let fields = columns.schema().as_struct().fields();
        let field_ids = fields
            .iter()
            .map(|field| (field.name.clone(), field.id))
            .collect();
        let specs = table.metadata().partition_specs_iter();
        let constant = constant_in_all(columns.schema(), specs.map(AsRef::as_ref));
        Ok(Self {
            table: table.clone(),
            snapshot,
            scan: Arc::new(ScanTable::new(columns, table.storage().clone())),
            constant,
            field_ids,
        })
    }

    /// The snapshot that is read; `None` where the table has none yet.
    pub fn snapshot_id(&self) -> Option<i64> {
        self.snapshot
            .as_ref()
            .map(|snapshot| snapshot.snapshot_id())
    }

    fn failed(&self, source: iceberg::Error) -> Error {
        Error::Metadata {
            ident: self.table.ident().clone(),
            source,
        }
    }

    fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::Table {
            ident: self.table.ident().clone(),
            problem: problem.into(),
        }
    }

    async fn manifest_list(&self, snapshot: &SnapshotRef) -> Result<ManifestList> {
        let location = Location::parse(snapshot.manifest_list())?;
        let bytes = self.table.storage().read(&location).await?;
        let version = self.table.metadata().format_version();
        ManifestList::parse_with_version(&bytes, version)
            .or_else(|error| match version {
                // A table that was upgraded keeps the lists that it had.
                FormatVersion::V1 => Err(error),
                _ => ManifestList::parse_with_version(&bytes, FormatVersion::V1).map_err(|_| error),
            })
            .map_err(|error| self.failed(error))
    }

    /// The files to read, and how many rows they have.
    async fn files(&self, filters: &Filters) -> Result<(Vec<ScanFile>, Precision<usize>)> {
        let Some(snapshot) = &self.snapshot else {
            return Ok((Vec::new(), Precision::Exact(0)));
        };
        let list = self.manifest_list(snapshot).await?;
        let (deletes, data): (Vec<ManifestFile>, Vec<ManifestFile>) = list
            .consume_entries()
            .into_iter()
            .filter(|manifest| manifest.has_added_files() || manifest.has_existing_files())
            .partition(|manifest| manifest.content == ManifestContentType::Deletes);
        let mut partitions = Partitions::new(self);
        let mut loaded = self.load(deletes);
        while let Some((manifest, read)) = loaded.try_next().await? {
            partitions.add_deletes(&manifest, &read)?;
        }
        let mut files = Vec::new();
        let mut rows = 0;
        let mut loaded = self.load(data);
        while let Some((manifest, read)) = loaded.try_next().await? {
            rows += partitions.add_files(&manifest, &read, filters, &mut files)?;
        }
        let rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
        let any_deleted = files.iter().any(|file| !file.deletes.is_empty());
        Ok((files, if any_deleted { rows.to_inexact() } else { rows }))
    }

    fn load(
        &self,
        manifests: Vec<ManifestFile>,
    ) -> impl Stream<Item = Result<(ManifestFile, Manifest)>> + Unpin {
        let file_io = self.table.storage().file_io();
        futures::stream::iter(manifests)
            .map(move |manifest| {
                let file_io = file_io.clone();
                async move {
                    manifest
                        .load_manifest(&file_io)
                        .await
                        .map(|read| (manifest, read))
                }
            })
            .buffered(MANIFEST_CONCURRENCY)
            .map_err(|error| self.failed(error))
            .boxed()
    }
}

/// Turns manifest entries into files to read. Files of one partition share its values.
struct Partitions<'a> {
    table: &'a IcebergTable,
    constants: HashMap<(i32, Struct), Arc<Constants>>,
    deletes: DeleteIndex,
}

impl<'a> Partitions<'a> {
    fn new(table: &'a IcebergTable) -> Self {
        Self {
            table,
            constants: HashMap::new(),
            deletes: DeleteIndex::default(),
        }
    }

    fn spec(&self, id: i32) -> Result<&'a PartitionSpec> {
        let spec = self.table.table.metadata().partition_spec_by_id(id);
        spec.map(AsRef::as_ref).ok_or_else(|| {
            self.table.wrong(format!(
                "a manifest is of partition spec {id}, which the table lacks"
            ))
        })
    }

    fn add_deletes(&mut self, manifest: &ManifestFile, read: &Manifest) -> Result<()> {
        let spec_id = manifest.partition_spec_id;
        let unpartitioned = self.spec(spec_id)?.is_unpartitioned();
        for entry in read.entries().iter().filter(|entry| entry.is_alive()) {
            // Entries of format version 1 have no sequence number, which means 0.
            let sequence_number = entry.sequence_number().unwrap_or(0);
            self.deletes
                .add(entry.data_file(), sequence_number, spec_id, unpartitioned)
                .map_err(|problem| self.table.wrong(problem))?;
        }
        Ok(())
    }

    fn add_files(
        &mut self,
        manifest: &ManifestFile,
        read: &Manifest,
        filters: &Filters,
        files: &mut Vec<ScanFile>,
    ) -> Result<u64> {
        let entries: Vec<_> = read
            .entries()
            .iter()
            .filter(|entry| entry.is_alive() && entry.content_type() == DataContentType::Data)
            .collect();
        let constants = entries
            .iter()
            .map(|entry| {
                self.constants_of(manifest.partition_spec_id, entry.data_file().partition())
            })
            .collect::<Result<Vec<_>>>()?;
        let containers: Vec<_> = entries
            .iter()
            .zip(&constants)
            .map(|(entry, constants)| FileContainer {
                file: entry.data_file(),
                constants,
                field_ids: &self.table.field_ids,
            })
            .collect();
        let keep = filters.keep(&containers)?;
        let mut rows = 0;
        for ((entry, constants), keep) in entries.iter().zip(&constants).zip(keep) {
            if !keep {
                continue;
            }
            let file = entry.data_file();
            let sequence_number = entry.sequence_number().unwrap_or(0);
            if file.file_format() != DataFileFormat::Parquet {
                return Err(self.table.wrong(format!(
                    "{} is {}, and only Parquet is read",
                    file.file_path(),
                    file.file_format()
                )));
            }
            rows += file.record_count();
            files.push(ScanFile {
                location: Location::parse(file.file_path())?,
                size: file.file_size_in_bytes(),
                constants: Arc::clone(constants),
                deletes: self
                    .deletes
                    .of(file, sequence_number, manifest.partition_spec_id),
            });
        }
        Ok(rows)
    }

    fn constants_of(&mut self, spec_id: i32, partition: &Struct) -> Result<Arc<Constants>> {
        let key = (spec_id, partition.clone());
        if let Some(known) = self.constants.get(&key) {
            return Ok(Arc::clone(known));
        }
        let spec = self.spec(spec_id)?;
        let schema = self.table.scan.columns.schema();
        let constants = constants(schema, spec, partition).map_err(|field| {
            self.table.wrong(format!(
                "the value of partition field `{field}` is not of its type"
            ))
        })?;
        let constants = Arc::new(constants);
        self.constants.insert(key, Arc::clone(&constants));
        Ok(constants)
    }
}

/// The values that all rows of a partition have. The error is the field whose value makes no sense.
fn constants(
    schema: &Schema,
    spec: &PartitionSpec,
    partition: &Struct,
) -> Result<Constants, String> {
    let mut constants = Constants::new();
    for (field, value) in spec.fields().iter().zip(partition.fields()) {
        if field.transform != Transform::Identity {
            continue;
        }
        // A column inside a struct stays with the file: only whole columns are replaced.
        let Some(column) = top_level(schema, field.source_id) else {
            continue;
        };
        let Type::Primitive(primitive) = &*column.field_type else {
            continue;
        };
        let value = scalar::literal(value.as_ref(), primitive).ok_or_else(|| field.name.clone())?;
        constants.insert(column.name.clone(), value);
    }
    Ok(constants)
}

fn top_level(schema: &Schema, id: i32) -> Option<&iceberg::spec::NestedFieldRef> {
    schema
        .as_struct()
        .fields()
        .iter()
        .find(|field| field.id == id)
}

fn constant_in_all<'a>(
    schema: &Schema,
    specs: impl Iterator<Item = &'a PartitionSpec>,
) -> HashSet<String> {
    let mut all: Option<HashSet<String>> = None;
    for spec in specs {
        let here: HashSet<String> = spec
            .fields()
            .iter()
            .filter(|field| field.transform == Transform::Identity)
            .filter_map(|field| top_level(schema, field.source_id))
            .map(|column| column.name.clone())
            .collect();
        all = Some(match all {
            None => here,
            Some(before) => before.intersection(&here).cloned().collect(),
        });
    }
    all.unwrap_or_default()
}

fn name_mapping(table: &Table) -> Result<Option<NameMapping>> {
    let json = table.metadata().properties().get(NAME_MAPPING_PROPERTY);
    json.map(|json| NameMapping::parse(json))
        .transpose()
        .map_err(|error| Error::Table {
            ident: table.ident().clone(),
            problem: error.to_string(),
        })
}

#[async_trait]
impl TableProvider for IcebergTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.scan.columns.arrow())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = self.scan.columns.arrow();
        let filters = Filters::new(session, schema, filters, &self.constant)?;
        let (files, rows) = self.files(&filters).await?;
        let wanted = Wanted { projection, limit };
        plan(session, Arc::clone(&self.scan), files, rows, wanted)
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| support(filter, &self.constant))
            .collect())
    }
}
