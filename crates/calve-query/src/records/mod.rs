//! Lakes of files that hold records and tell their own columns, Avro and ORC, as DataFusion tables.

mod avro;
mod avro_frames;
mod orc;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::util::display::FormatOptions;
use async_trait::async_trait;
use calve_base::{Location, Stage};
use calve_lake::{Lake, LakeEntry, LakeFile};
use calve_storage::{ObjectInfo, Storage};
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

use crate::read::{in_file, scalar};
use crate::text::unite_fields;
use crate::{Error, Result};
pub use orc::{OrcTimestamps, is_decoding};

/// What is counted while columns are learnt.
const STAGE: &str = "headers of files read";
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

/// What the files of a lake are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordFormat {
    /// Avro object container files.
    Avro,
    /// ORC.
    Orc(OrcTimestamps),
}

/// A file to be read by a thread that waits.
#[derive(Debug)]
struct SourceFile {
    storage: Storage,
    object: ObjectInfo,
    handle: Handle,
}

/// A file, of which no more was read than what tells its columns.
struct OpenFile {
    schema: Schema,
    /// How many rows it says that it has, where it says so.
    rows: Option<u64>,
    /// Its rows. Columns that are not wanted may be missing.
    batches: Box<dyn Iterator<Item = DataFusionResult<RecordBatch>>>,
}

/// Opens the files of a lake.
#[derive(Debug, Clone)]
struct Opener {
    storage: Storage,
    format: RecordFormat,
    /// The names of the columns, in their order, as an entry of a metastore tells them.
    names: Option<Arc<[String]>>,
}

impl Opener {
    fn new(lake: &Lake, format: RecordFormat) -> Self {
        let names = lake
            .hive_columns()
            .map(|columns| columns.iter().map(|column| column.name.clone()).collect());
        Self {
            storage: lake.storage().clone(),
            format,
            names,
        }
    }

    /// Begins to read a file, for all of its columns or those that are `wanted`.
    fn open(
        &self,
        file: &LakeFile,
        handle: Handle,
        wanted: Option<&[String]>,
    ) -> DataFusionResult<OpenFile> {
        let source = SourceFile {
            storage: self.storage.clone(),
            object: ObjectInfo {
                location: file.location.clone(),
                size: file.size,
                last_modified_ms: file.last_modified_ms,
                etag: file.etag.clone(),
                storage_class: file.storage_class.clone(),
            },
            handle,
        };
        match self.format {
            RecordFormat::Avro => avro::open(source),
            RecordFormat::Orc(timestamps) => {
                let names = self.names.as_deref();
                orc::open(source, timestamps, orc::Names { wanted, names })
            }
        }
    }
}

/// The files of a lake as one table.
#[derive(Debug, Clone)]
pub struct RecordTable {
    opener: Opener,
    /// The columns of the files, and after them the partition keys.
    schema: SchemaRef,
    keys: usize,
    files: Vec<RecordFile>,
}

#[derive(Debug, Clone)]
struct RecordFile {
    info: LakeFile,
    rows: Option<u64>,
    partition: Vec<ScalarValue>,
}

/// Makes a lake of Avro or ORC files readable. The header or footer of each file is read, no more.
///
/// Columns are told by their names. Where files differ about a type, the wider one holds, as Avro's own rules for
/// schema resolution widen; a column that a file lacks is null in its rows.
///
/// # Errors
/// When the lake cannot be listed, a file is of another format, or files do not fit together.
pub async fn record_provider(lake: &Lake, format: RecordFormat) -> Result<RecordTable> {
    let mut keys: Vec<FieldRef> = Vec::new();
    for key in lake.partition_keys() {
        let data_type = scalar::arrow_type(&key.primitive_type);
        keys.extend(data_type.map(|of| Arc::new(Field::new(&key.name, of, true))));
    }
    let stage = Stage::start(lake.progress().as_ref(), STAGE, Some(lake.totals().files));
    let mut schema: Option<Schema> = None;
    let mut files = Vec::new();
    let opener = Opener::new(lake, format);
    let mut found = headers(lake, &opener);
    while let Some((file, header, rows)) = found.try_next().await? {
        schema = Some(match schema {
            None => header,
            Some(known) => {
                let fields = unite_fields(known.fields(), header.fields(), widened);
                let fields = fields.map_err(|problem| wrong(&file.location, problem))?;
                Schema::new(fields)
            }
        });
        let partition = partition(lake, &file)?;
        files.push(RecordFile {
            info: file,
            rows,
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
    drop(found);
    Ok(RecordTable {
        opener,
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        keys: count,
        files,
    })
}

/// The lake's files with the schemas in their headers and the rows that those tell of, in the order of the listing.
fn headers<'a>(
    lake: &'a Lake,
    opener: &'a Opener,
) -> BoxStream<'a, Result<(LakeFile, Schema, Option<u64>)>> {
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
        let opener = opener.clone();
        async move {
            let read = file.clone();
            let header = move |handle| {
                let opened = opener.open(&read, handle, None)?;
                Ok((opened.schema, opened.rows))
            };
            let (schema, rows) = blocking(&file.location, header).await?;
            Ok((file, schema, rows))
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

impl RecordTable {
    /// Its files, in the order of the lake's listing, with the numbers of their rows where files tell them.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&LakeFile, Option<u64>)> {
        self.files.iter().map(|file| (&file.info, file.rows))
    }

    /// The same table with some of its files only, by their places in [`RecordTable::files`]. Places that
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
impl TableProvider for RecordTable {
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
        let columns = self.schema.fields().len() - self.keys;
        let taken = match projection {
            Some(taken) => taken.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let schema = Arc::new(self.schema.project(&taken)?);
        let place = |index: usize| match index.checked_sub(columns) {
            None => Place::Column,
            Some(key) => Place::Key(key),
        };
        let taken: Arc<[Place]> = taken.into_iter().map(place).collect();
        let partitions = groups.into_iter().map(|files| {
            let files = OneByOne {
                opener: self.opener.clone(),
                schema: Arc::clone(&schema),
                taken: Arc::clone(&taken),
                files: files.into(),
            };
            Arc::new(files) as Arc<dyn PartitionStream>
        });
        Ok(Arc::new(StreamingTableExec::try_new(
            Arc::clone(&schema),
            partitions.collect(),
            None,
            [],
            false,
            limit,
        )?))
    }
}

/// Where the values of a column come from.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The column of that name in the file.
    Column,
    /// The partition's values.
    Key(usize),
}

/// Files that are read one after the other.
#[derive(Debug)]
struct OneByOne {
    opener: Opener,
    schema: SchemaRef,
    /// Where the values of the schema's columns come from.
    taken: Arc<[Place]>,
    files: Arc<[RecordFile]>,
}

impl PartitionStream for OneByOne {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream =
            RecordBatchReceiverStream::builder(Arc::clone(&self.schema), BATCHES_AHEAD);
        let sender = stream.tx();
        let (opener, schema) = (self.opener.clone(), Arc::clone(&self.schema));
        let (files, taken) = (Arc::clone(&self.files), Arc::clone(&self.taken));
        let handle = Handle::current();
        stream.spawn_blocking(move || {
            let columns = schema.fields().iter().zip(taken.iter());
            let columns = columns.filter(|(_, place)| matches!(place, Place::Column));
            let wanted: Vec<String> = columns.map(|(field, _)| field.name().clone()).collect();
            for file in files.iter() {
                let named = |error: DataFusionError| in_file(&file.info.location, error);
                let opened = opener.open(&file.info, handle.clone(), Some(&wanted));
                for batch in opened.map_err(named)?.batches {
                    let batch = batch.and_then(|it| fit(&it, &schema, &taken, &file.partition));
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

/// A batch of a file as one of the table: its columns by their names, and the partition's values.
fn fit(
    batch: &RecordBatch,
    schema: &SchemaRef,
    taken: &[Place],
    partition: &[ScalarValue],
) -> DataFusionResult<RecordBatch> {
    let rows = batch.num_rows();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (field, place) in schema.fields().iter().zip(taken) {
        arrays.push(match (place, batch.column_by_name(field.name())) {
            (Place::Key(key), _) => partition[*key].to_array_of_size(rows)?,
            (Place::Column, Some(array)) => cast_column(array, field.data_type(), &STRICT)?,
            (Place::Column, None) => new_null_array(field.data_type(), rows),
        });
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
        (T::Int8 | T::Int16 | T::Int32 | T::Int64, T::Int8 | T::Int16 | T::Int32 | T::Int64) => {
            wider(left, right)
        }
        (T::Int8 | T::Int16, of @ (T::Float32 | T::Float64))
        | (of @ (T::Float32 | T::Float64), T::Int8 | T::Int16) => of.clone(),
        (T::Int32 | T::Float32, T::Float64) | (T::Float64, T::Int32 | T::Float32) => T::Float64,
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

/// The wider one of two types of signed integers.
fn wider(left: &DataType, right: &DataType) -> DataType {
    let is_left = left.primitive_width() >= right.primitive_width();
    if is_left { left.clone() } else { right.clone() }
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
