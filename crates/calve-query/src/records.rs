//! Lakes of files that hold row after row, with their schema at the top: Avro, as DataFusion tables.

use std::io::BufReader;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::util::display::FormatOptions;
use arrow_avro::reader::{Reader as AvroReader, ReaderBuilder};
use async_trait::async_trait;
use calve_base::{Location, Stage};
use calve_lake::{Lake, LakeEntry, LakeFile};
use calve_storage::{BlockingReader, ObjectInfo, Storage};
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::nested_struct::cast_column;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use crate::avro_frames::Framed;
use crate::read::{in_file, scalar};
use crate::text::unite_fields;
use crate::{Error, Result};

/// What is counted while columns are learnt.
const STAGE: &str = "file headers read";
/// How many headers are read at once.
const HEADERS_AT_ONCE: usize = 16;
/// How many rows are decoded at a time.
const BATCH_ROWS: usize = 8192;
/// How many batches of a partition wait to be taken.
const BATCHES_AHEAD: usize = 2;

/// Casts fail on values that do not fit. A silent null would be a lost value.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// The Avro files of a lake as one table.
#[derive(Debug, Clone)]
pub struct AvroTable {
    storage: Storage,
    /// The columns of the files, and after them the partition keys.
    schema: SchemaRef,
    keys: usize,
    files: Vec<AvroFile>,
}

#[derive(Debug, Clone)]
struct AvroFile {
    info: LakeFile,
    partition: Vec<ScalarValue>,
}

/// Makes a lake of Avro files (object container files) readable. The header of each file is read, no more.
///
/// Columns are told by their names. Where files differ about a type, the wider one holds, as Avro's own rules for
/// schema resolution widen; a column that a file lacks is null in its rows.
///
/// # Errors
/// When the lake cannot be listed, a file is no Avro, or files do not fit together.
pub async fn avro_provider(lake: &Lake) -> Result<AvroTable> {
    let mut keys: Vec<FieldRef> = Vec::new();
    for key in lake.partition_keys() {
        let data_type = scalar::arrow_type(&key.primitive_type);
        keys.extend(data_type.map(|of| Arc::new(Field::new(&key.name, of, true))));
    }
    let stage = Stage::start(lake.progress().as_ref(), STAGE, Some(lake.totals().files));
    let mut schema: Option<Schema> = None;
    let mut files = Vec::new();
    let mut found = headers(lake);
    while let Some((file, header)) = found.try_next().await? {
        schema = Some(match schema {
            None => header,
            Some(known) => {
                let fields = unite_fields(known.fields(), header.fields(), widened);
                let fields = fields.map_err(|problem| wrong(&file.location, problem))?;
                Schema::new(fields)
            }
        });
        let partition = partition(lake, &file)?;
        files.push(AvroFile {
            info: file,
            partition,
        });
        stage.advance(1);
    }
    let schema = schema.unwrap_or_else(Schema::empty);
    let both = |field: &&FieldRef| schema.field_with_name(field.name()).is_ok();
    if let Some(key) = keys.iter().find(both) {
        let name = key.name();
        let problem = format!("column `{name}` is both in the files and in their paths");
        return Err(wrong(lake.root(), problem));
    }
    let count = keys.len();
    let fields = schema.fields().iter().map(as_nullable).chain(keys);
    Ok(AvroTable {
        storage: lake.storage().clone(),
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        keys: count,
        files,
    })
}

/// The lake's files with the schemas in their headers, in the order of the listing.
fn headers(lake: &Lake) -> BoxStream<'_, Result<(LakeFile, Schema)>> {
    let files = lake
        .files()
        .err_into::<Error>()
        .try_filter_map(|entry| async {
            Ok(match entry {
                LakeEntry::File(file) => Some(file),
                LakeEntry::Skipped(_) => None,
            })
        });
    let read = files.map_ok(|file| {
        let storage = lake.storage().clone();
        async move {
            let read = file.clone();
            let schema = move |handle| {
                let reader = open(&storage, &read, handle)?;
                Ok(reader.schema().as_ref().clone())
            };
            let schema = blocking(&file.location, schema).await?;
            Ok((file, schema))
        }
    });
    read.try_buffered(HEADERS_AT_ONCE).boxed()
}

fn partition(lake: &Lake, file: &LakeFile) -> Result<Vec<ScalarValue>> {
    let keys = lake.partition_keys().iter().zip(file.partition.iter());
    keys.map(|(key, value)| {
        scalar::literal(value.as_ref(), &key.primitive_type).ok_or_else(|| {
            let name = &key.name;
            let problem = format!("the value of partition key `{name}` is not of its type");
            wrong(&file.location, problem)
        })
    })
    .collect()
}

impl AvroTable {
    /// Its files, in the order of the lake's listing.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &LakeFile> {
        self.files.iter().map(|file| &file.info)
    }

    /// The same table with some of its files only, by their places in [`AvroTable::files`]. Places that
    /// are none are passed over.
    #[must_use]
    pub fn with_files(&self, places: &[usize]) -> Self {
        let files = places.iter().filter_map(|place| self.files.get(*place));
        Self {
            files: files.cloned().collect(),
            ..self.clone()
        }
    }
}

#[async_trait]
impl TableProvider for AvroTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let count = session.config().target_partitions();
        let count = count.clamp(1, self.files.len().max(1));
        let mut groups = vec![Vec::new(); count];
        for (index, file) in self.files.iter().enumerate() {
            groups[index * count / self.files.len()].push(file.clone());
        }
        let partitions = groups.into_iter().map(|files| {
            let files = OneByOne {
                storage: self.storage.clone(),
                schema: Arc::clone(&self.schema),
                keys: self.keys,
                files: files.into(),
            };
            Arc::new(files) as Arc<dyn PartitionStream>
        });
        Ok(Arc::new(StreamingTableExec::try_new(
            Arc::clone(&self.schema),
            partitions.collect(),
            projection,
            [],
            false,
            limit,
        )?))
    }
}

/// Files that are read one after the other.
#[derive(Debug)]
struct OneByOne {
    storage: Storage,
    schema: SchemaRef,
    keys: usize,
    files: Arc<[AvroFile]>,
}

impl PartitionStream for OneByOne {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream =
            RecordBatchReceiverStream::builder(Arc::clone(&self.schema), BATCHES_AHEAD);
        let sender = stream.tx();
        let (storage, schema) = (self.storage.clone(), Arc::clone(&self.schema));
        let (files, columns) = (
            Arc::clone(&self.files),
            self.schema.fields().len() - self.keys,
        );
        let handle = Handle::current();
        stream.spawn_blocking(move || {
            for file in files.iter() {
                let named = |error: DataFusionError| in_file(&file.info.location, error);
                let batches = open(&storage, &file.info, handle.clone()).map_err(named)?;
                for batch in batches {
                    let batch = batch.map_err(DataFusionError::from);
                    let batch = batch.and_then(|it| fit(&it, &schema, columns, &file.partition));
                    let is_last = batch.is_err();
                    // Nobody takes what follows, where the receiver is gone.
                    if sender.blocking_send(batch.map_err(named)).is_err() || is_last {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        stream.build()
    }
}

/// Begins to read a file.
fn open(
    storage: &Storage,
    file: &LakeFile,
    handle: Handle,
) -> DataFusionResult<AvroReader<BufReader<Framed<BlockingReader>>>> {
    let object = ObjectInfo {
        location: file.location.clone(),
        size: file.size,
        last_modified_ms: file.last_modified_ms,
        etag: file.etag.clone(),
        storage_class: file.storage_class.clone(),
    };
    let reader = BlockingReader::new(storage, object, handle);
    let reader = BufReader::new(Framed::new(reader));
    let reader = ReaderBuilder::new()
        .with_batch_size(BATCH_ROWS)
        .build(reader);
    Ok(reader?)
}

/// Runs something that reads a file, away from the runtime.
async fn blocking<T: Send + 'static>(
    location: &Location,
    work: impl FnOnce(Handle) -> DataFusionResult<T> + Send + 'static,
) -> Result<T> {
    let handle = Handle::current();
    let done = tokio::task::spawn_blocking(move || work(handle)).await;
    let done = done.unwrap_or_else(|error| Err(DataFusionError::External(Box::new(error))));
    done.map_err(|error| Error::from(in_file(location, error)))
}

/// A batch of a file as one of the table: its columns by their names, and the partition's values after them.
fn fit(
    batch: &RecordBatch,
    schema: &SchemaRef,
    columns: usize,
    partition: &[ScalarValue],
) -> DataFusionResult<RecordBatch> {
    let rows = batch.num_rows();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields().iter().take(columns) {
        arrays.push(match batch.column_by_name(field.name()) {
            Some(array) => cast_column(array, field.data_type(), &STRICT)?,
            None => new_null_array(field.data_type(), rows),
        });
    }
    for value in partition {
        arrays.push(value.to_array_of_size(rows)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(schema);
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

fn as_nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

/// The type that holds the values of both: as Avro promotes numbers, where nothing is lost, and units of time.
fn widened(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match (left, right) {
        (left, right) if left == right => left.clone(),
        (T::Null, other) | (other, T::Null) => other.clone(),
        (T::Int32, T::Int64) | (T::Int64, T::Int32) => T::Int64,
        (T::Int32 | T::Float32 | T::Float64, T::Float64) | (T::Float64, T::Int32 | T::Float32) => {
            T::Float64
        }
        (T::Timestamp(left, zone), T::Timestamp(right, other)) if zone == other => {
            T::Timestamp(finer(*left, *right), zone.clone())
        }
        (T::Decimal128(left, scale), T::Decimal128(right, other)) if scale == other => {
            T::Decimal128(*left.max(right), *scale)
        }
        (T::Struct(left), T::Struct(right)) => T::Struct(unite_fields(left, right, widened).ok()?),
        (T::List(left), T::List(right)) => {
            let element = widened(left.data_type(), right.data_type())?;
            T::List(Arc::new(Field::new(left.name(), element, true)))
        }
        _ => return None,
    })
}

fn finer(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    // Units are declared from the coarsest to the finest.
    left.max(right)
}

fn wrong(location: &Location, problem: String) -> Error {
    Error::Text {
        location: location.clone(),
        problem,
    }
}
