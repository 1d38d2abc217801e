//! Puts a stream of record batches into a table: created by the rows' schema, or added to.
//!
//! The rows are written into new data files as they come, partitioned by the table's spec, and one
//! commit makes them all visible, or none: with a schema that has grown by what is new in the rows
//! (columns are added and widened, never dropped or narrowed). Memory holds open row groups, bounded by
//! an option, and one manifest.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use calve_base::{Clock, Location, NoProgress, Progress, Properties, SystemClock, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_table::{
    Append, DEFAULT_WRITE_MEMORY_BYTES, DataFileWriter, FieldMetadata, ManifestRoller, NewTable,
    Revalidation, SchemaChange, Transaction, evolve_schema, new_snapshot_id, schema_of_rows,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use iceberg::spec::{DataFile, FormatVersion, PartitionSpec, Schema, SortOrder, TableMetadata};
use uuid::Uuid;

use crate::PartitionBy;
use crate::{Error, Result};

/// What a stream of rows may fail with.
pub type StreamError = Box<dyn StdError + Send + Sync>;

/// Rows as they come.
pub type RowStream = BoxStream<'static, Result<RecordBatch, StreamError>>;

/// The stage that is reported: rows written into data files.
const STAGE: &str = "rows written";

/// What happens to a table whose schema lacks something that the rows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNewColumns {
    /// The table's schema grows: new columns are added, types widened.
    #[default]
    Evolve,
    /// The run ends before anything is written.
    Fail,
}

/// What would happen to the table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// Whether the table would be created.
    pub creates_table: bool,
    /// Where the table is or would be.
    pub table_location: Location,
    /// The table's columns, `name: type` each, as they would be.
    pub columns: Vec<String>,
    /// The partition fields, `name: transform` each.
    pub partition_by: Vec<String>,
    /// How an existing table's schema would change, one sentence each.
    pub schema_changes: Vec<String>,
}

/// What was put into the table.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The new snapshot; none where there were no rows.
    pub snapshot_id: Option<i64>,
    /// The table's metadata file after the run.
    pub metadata_location: Option<Location>,
    /// Number of data files written.
    pub added_files_count: u64,
    /// Number of rows in them.
    pub added_records_count: u64,
    /// Their size in bytes.
    pub added_files_size_bytes: u64,
    /// What happened to the table.
    #[serde(flatten)]
    pub plan: Plan,
}

/// Puts rows into a table.
#[must_use = "rows are put into the table only when this is awaited"]
pub struct Ingest {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    schema: ArrowSchemaRef,
    /// Behind a lock only so that the operation can be looked at from several threads.
    rows: Mutex<RowStream>,
    options: Options,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Options {
    create: bool,
    location: Option<Location>,
    properties: Properties,
    format_version: FormatVersion,
    partition_by: PartitionBy,
    on_new_columns: OnNewColumns,
    memory_bytes: usize,
    summary: BTreeMap<String, String>,
    kept_field_metadata: Option<String>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest")
            .field("table", &self.table)
            .field("schema", &self.schema)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Ingest {
    /// Puts `rows`, which all have `schema`, into `table`, which is created if it is missing.
    pub fn new(
        catalog: Arc<dyn Catalog>,
        table: TableIdent,
        schema: ArrowSchemaRef,
        rows: RowStream,
    ) -> Self {
        Self {
            catalog,
            table,
            schema,
            rows: Mutex::new(rows),
            options: Options {
                create: true,
                location: None,
                properties: Properties::new(),
                format_version: FormatVersion::V2,
                partition_by: PartitionBy::default(),
                on_new_columns: OnNewColumns::default(),
                memory_bytes: DEFAULT_WRITE_MEMORY_BYTES,
                summary: BTreeMap::new(),
                kept_field_metadata: None,
            },
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// Whether a missing table is created. Default: yes.
    pub fn with_create(mut self, create: bool) -> Self {
        self.options.create = create;
        self
    }

    /// Where a table that is created lies. Default: where the catalog says.
    pub fn with_location(mut self, location: Location) -> Self {
        self.options.location = Some(location);
        self
    }

    /// Sets properties of a table that is created.
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.options.properties = properties;
        self
    }

    /// The format version of a table that is created. Default: 2.
    pub fn with_format_version(mut self, format_version: FormatVersion) -> Self {
        self.options.format_version = format_version;
        self
    }

    /// How a table that is created is partitioned. Default: not. An existing table keeps its spec.
    pub fn with_partition_by(mut self, partition_by: PartitionBy) -> Self {
        self.options.partition_by = partition_by;
        self
    }

    /// What happens when the rows have what the table lacks. Default: the table's schema grows.
    pub fn with_on_new_columns(mut self, on_new_columns: OnNewColumns) -> Self {
        self.options.on_new_columns = on_new_columns;
        self
    }

    /// How much memory open row groups may take. Default: [`DEFAULT_WRITE_MEMORY_BYTES`].
    pub fn with_memory_bytes(mut self, memory_bytes: usize) -> Self {
        self.options.memory_bytes = memory_bytes;
        self
    }

    /// Puts an entry of the caller's into the snapshot's summary.
    pub fn with_summary(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.summary.insert(name.into(), value.into());
        self
    }

    /// Keeps what the fields of the rows carry under this key of their metadata, in a property of the table, where
    /// [`FieldMetadata::of_table`] finds it. Default: nothing is kept.
    pub fn with_kept_field_metadata(mut self, key: impl Into<String>) -> Self {
        self.options.kept_field_metadata = Some(key.into());
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The clock that dates the snapshot.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Says what would happen to the table, without reading a row.
    ///
    /// # Errors
    /// When the table cannot be read, or the rows' schema does not fit it.
    pub async fn plan(&self) -> Result<Plan> {
        Ok(self.target().await?.plan(&self.table))
    }

    async fn target(&self) -> Result<Target> {
        let rows = schema_of_rows(&self.schema)?;
        match self.catalog.load_table(&self.table).await {
            Ok(table) => self.existing(table, &rows),
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. },
            ) => self.created(rows).await,
            Err(error) => Err(error.into()),
        }
    }

    fn existing(&self, table: Table, rows: &Schema) -> Result<Target> {
        let metadata = table.metadata();
        let current = metadata.current_schema();
        let (schema, changes) = evolve_schema(current, metadata.last_column_id(), rows)?;
        if let (OnNewColumns::Fail, Some(change)) = (self.options.on_new_columns, changes.first()) {
            return Err(Error::SchemaWouldChange {
                table: self.table.clone(),
                change: change.clone(),
                count: changes.len(),
            });
        }
        let property = self.kept(Some(metadata), &schema)?;
        let metadata = if changes.is_empty() {
            metadata.clone()
        } else {
            let wrong = |source| self.iceberg(source);
            let builder = metadata.clone().into_builder(None);
            let builder = builder.add_current_schema(schema).map_err(wrong)?;
            builder.build().map_err(wrong)?.metadata
        };
        Ok(Target {
            metadata,
            changes,
            property,
            base: Base::Existing(Box::new(table)),
        })
    }

    async fn created(&self, schema: Schema) -> Result<Target> {
        let options = &self.options;
        if !options.create {
            return Err(Error::TargetMissing {
                table: self.table.clone(),
            });
        }
        let location = match &options.location {
            Some(location) => location.clone(),
            None => self.catalog.default_location(&self.table).await?,
        };
        let mut properties = options.properties.clone();
        properties
            .entry("write.parquet.compression-codec".to_owned())
            .or_insert_with(|| "zstd".to_owned());
        properties.extend(self.kept(None, &schema)?);
        let spec = options.partition_by.spec(&schema);
        let new = NewTable {
            uuid: Uuid::new_v4(),
            location,
            partition_spec: spec.map_err(|source| self.iceberg(source))?,
            schema,
            sort_order: SortOrder::unsorted_order(),
            properties,
            format_version: options.format_version,
            created_ms: self.clock.now_ms(),
        };
        Ok(Target {
            metadata: new.clone().into_metadata()?,
            changes: Vec::new(),
            property: None,
            base: Base::New(Box::new(new)),
        })
    }

    /// The property that keeps what fields carry, where that is more than the table has.
    fn kept(
        &self,
        table: Option<&TableMetadata>,
        schema: &Schema,
    ) -> Result<Option<(String, String)>> {
        let Some(key) = &self.options.kept_field_metadata else {
            return Ok(None);
        };
        let known = match table {
            Some(table) => FieldMetadata::of_table(table, key)?,
            None => FieldMetadata::new(key),
        };
        let property = known.with_rows(&self.schema, schema).property();
        let before = |name: &String| table.and_then(|it| it.properties().get(name));
        Ok(property.filter(|(name, value)| before(name) != Some(value)))
    }

    fn iceberg(&self, source: iceberg::Error) -> Error {
        Error::Iceberg {
            table: self.table.clone(),
            source,
        }
    }

    async fn run(mut self) -> Result<Report> {
        let target = self.target().await?;
        let plan = target.plan(&self.table);
        let storage = self.catalog.storage().clone();
        let snapshot_id = new_snapshot_id();
        let mut files = Files {
            writer: DataFileWriter::new(&storage, &target.metadata)?
                .with_memory_bytes(self.options.memory_bytes),
            manifests: ManifestRoller::new(&storage, &target.metadata, snapshot_id)?,
            paths: Vec::new(),
            report: Report {
                snapshot_id: None,
                metadata_location: None,
                added_files_count: 0,
                added_records_count: 0,
                added_files_size_bytes: 0,
                plan,
            },
        };
        self.progress.started(STAGE, None);
        let none = Mutex::new(futures::stream::empty().boxed());
        let rows = std::mem::replace(&mut self.rows, none);
        let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        let written = files.take(&mut rows, self.progress.as_ref()).await;
        self.progress.finished(STAGE);
        if let Err(error) = written {
            files.discard(&storage).await;
            return Err(error);
        }
        let (paths, committed) = files.commit(self, target, snapshot_id).await;
        match committed {
            Ok(report) => Ok(report),
            // While nobody knows whether the commit took place, the files stay.
            Err(Error::Table(error)) if error.is_outcome_unknown() => Err(error.into()),
            Err(error) => {
                delete(&storage, &paths).await;
                Err(error)
            }
        }
    }
}

impl IntoFuture for Ingest {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

/// The table as it will be.
#[derive(Debug)]
struct Target {
    metadata: TableMetadata,
    changes: Vec<SchemaChange>,
    /// A property to set.
    property: Option<(String, String)>,
    base: Base,
}

#[derive(Debug)]
enum Base {
    New(Box<NewTable>),
    Existing(Box<Table>),
}

impl Target {
    fn plan(&self, ident: &TableIdent) -> Plan {
        let schema = self.metadata.current_schema();
        let spec: &PartitionSpec = self.metadata.default_partition_spec();
        let columns = schema.as_struct().fields().iter().map(|field| {
            let of = calve_parquet::type_text(&field.field_type);
            format!("{}: {of}", field.name)
        });
        let fields = spec
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name, field.transform));
        Plan {
            table: ident.clone(),
            creates_table: matches!(self.base, Base::New(_)),
            table_location: Location::parse(self.metadata.location())
                .expect("the location of valid metadata is one"),
            columns: columns.collect(),
            partition_by: fields.collect(),
            schema_changes: self.changes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What is written so far.
struct Files {
    writer: DataFileWriter,
    manifests: ManifestRoller,
    /// The data files, by path: what is deleted when nothing comes of it.
    paths: Vec<String>,
    report: Report,
}

impl Files {
    async fn take(&mut self, rows: &mut RowStream, progress: &dyn Progress) -> Result<()> {
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|source| Error::Rows { source })?;
            self.writer.write(&batch).await?;
            for file in self.writer.take_ended() {
                self.note(file).await?;
            }
            progress.advanced(STAGE, batch.num_rows() as u64);
        }
        self.writer.end_all().await?;
        for file in self.writer.take_ended() {
            self.note(file).await?;
        }
        Ok(())
    }

    async fn note(&mut self, file: DataFile) -> Result<()> {
        self.paths.push(file.file_path().to_owned());
        self.report.added_files_count += 1;
        self.report.added_records_count += file.record_count();
        self.report.added_files_size_bytes += file.file_size_in_bytes();
        Ok(self.manifests.add(file).await?)
    }

    async fn discard(self, storage: &calve_storage::Storage) {
        self.manifests.discard().await;
        self.writer.discard().await;
        delete(storage, &self.paths).await;
    }

    /// Makes the files visible. The paths come back with the outcome: they are no use where it failed.
    async fn commit(
        self,
        ingest: Ingest,
        target: Target,
        snapshot_id: i64,
    ) -> (Vec<String>, Result<Report>) {
        let Self {
            manifests,
            paths,
            mut report,
            ..
        } = self;
        let written = match manifests.finish().await {
            Ok(written) => written,
            Err(error) => return (paths, Err(error.into())),
        };
        let is_new = matches!(target.base, Base::New(_));
        if written.manifests.is_empty() && !is_new && target.changes.is_empty() {
            if let Base::Existing(table) = target.base {
                report.metadata_location = Some(table.metadata_location().clone());
            }
            return (paths, Ok(report));
        }
        let mut transaction = transaction(&ingest, target);
        if !written.manifests.is_empty() {
            transaction = transaction.with_snapshot(Append::new(snapshot_id, written));
        }
        match transaction.with_clock(ingest.clock).await {
            Ok(committed) => {
                report.snapshot_id = committed.snapshot_id;
                report.metadata_location = Some(committed.table.metadata_location().clone());
                (paths, Ok(report))
            }
            Err(error) => (paths, Err(error.into())),
        }
    }
}

/// The commit's start: the creation of the table, or the growth of its schema.
fn transaction(ingest: &Ingest, target: Target) -> Transaction {
    let (catalog, ident) = (Arc::clone(&ingest.catalog), ingest.table.clone());
    let mut transaction = match target.base {
        Base::New(new) => Transaction::create(catalog, ident, *new),
        Base::Existing(table) => {
            let mut transaction =
                Transaction::new(catalog, *table).with_revalidation(same_schema());
            if let Some(property) = target.property {
                transaction = transaction.with_properties(HashMap::from([property]));
            }
            if target.changes.is_empty() {
                transaction
            } else {
                transaction.with_schema(target.metadata.current_schema().as_ref().clone())
            }
        }
    };
    transaction = transaction
        .with_summary("engine-name", "calve")
        .with_summary("engine-version", env!("CARGO_PKG_VERSION"));
    for (name, value) in &ingest.options.summary {
        transaction = transaction.with_summary(name, value);
    }
    transaction
}

/// The files were written for the schema and the spec as they were: others must not have changed them.
fn same_schema() -> Revalidation {
    Arc::new(|before: Table, now: Table| {
        let (old, new) = (before.metadata(), now.metadata());
        let problem = if old.uuid() != new.uuid() {
            Some("it was dropped and made again")
        } else if old.current_schema_id() != new.current_schema_id() {
            Some("its schema is another now")
        } else if old.default_partition_spec_id() != new.default_partition_spec_id() {
            Some("its partitioning is another now")
        } else {
            None
        };
        let outcome = match problem {
            None => Ok(()),
            Some(problem) => Err(calve_table::Error::rejected(Error::TargetChanged {
                table: now.ident().clone(),
                problem: problem.to_owned(),
            })),
        };
        futures::future::ready(outcome).boxed()
    })
}

/// Deletes files that no table refers to. What cannot be deleted is left, and logged.
async fn delete(storage: &calve_storage::Storage, paths: &[String]) {
    for path in paths {
        let Ok(location) = Location::parse(path) else {
            continue;
        };
        if let Err(error) = storage.delete(&location).await {
            tracing::warn!(%location, %error, "a data file that is not needed could not be deleted");
        }
    }
}
