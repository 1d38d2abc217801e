//! The files of a table as one DataFusion file source: a reader per file, made for that file.

use std::fmt::{self, Formatter};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use calve_base::Location;
use calve_lake::footer::FooterReader;
use calve_storage::Storage;
use datafusion::common::config::{ConfigOptions, TableParquetOptions};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource,
    FileStreamBuilder, ParquetSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, ProjectionExprs};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::{DisplayFormatType, PhysicalExpr};
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

use super::adapter::{Constants, FileAdapterFactory};
use super::ahead::{FilesAhead, ReadAhead};
use super::columns::TableColumns;
use super::deletes::{DeleteFile, EqualityFilter, access_plan, deleted_positions};
use super::direct::DirectReader;
use super::lineage::Lineage;
use super::reader::{FileReaderFactory, StoreReader, lake_file};
use crate::Error;

/// One file of a scan, attached to DataFusion's own description of it.
#[derive(Debug, Clone)]
pub(crate) struct ScanFile {
    /// Where it lies.
    pub(crate) location: Location,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How many rows it has, deleted ones included.
    pub(crate) rows: u64,
    /// The row id of its first row, where the table has row ids.
    pub(crate) first_row_id: Option<i64>,
    /// Its data sequence number.
    pub(crate) sequence_number: i64,
    /// The values that hold for all its rows.
    pub(crate) constants: Arc<Constants>,
    /// The delete files that apply to it.
    pub(crate) deletes: Vec<Arc<DeleteFile>>,
}

/// Begins the names of the table's columns where a file's could be taken for them. DataFusion changes
/// how a file's column is decoded by the type of the table's column of that name, which may be another
/// column, and decodes bytes as text without a way to fail.
pub(super) const TABLE_MARK: char = '\u{1}';

/// What all files of a scan share.
#[derive(Debug)]
pub(crate) struct ScanTable {
    pub(crate) columns: Arc<TableColumns>,
    pub(crate) storage: Storage,
    footers: FooterReader,
    /// The table's schema, its names marked.
    marked: SchemaRef,
    /// Whether the columns of row lineage are the table's last ones.
    has_lineage: bool,
}

impl ScanTable {
    /// A table of these columns, whose files lie in this storage.
    pub(crate) fn new(columns: TableColumns, storage: Storage) -> Self {
        let fields = columns.arrow().fields().iter().map(|field| {
            let name = format!("{TABLE_MARK}{}", field.name());
            field.as_ref().clone().with_name(name)
        });
        Self {
            marked: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            columns: Arc::new(columns),
            footers: FooterReader::new(storage.clone()),
            storage,
            has_lineage: false,
        }
    }

    /// Says that the last columns are those of row lineage, and fills them in. Files are then read whole, since
    /// the place of a row in its file tells its id.
    pub(crate) fn with_lineage(mut self) -> Self {
        self.has_lineage = true;
        self
    }

    /// The table's schema, its names marked, as a file is read by it: where texts and binaries are to be views, also
    /// those of the file's own names, by which DataFusion finds what to decode so.
    fn marked_for(&self, footer: &ParquetMetaData) -> Result<SchemaRef> {
        if !self.columns.has_views() {
            return Ok(Arc::clone(&self.marked));
        }
        let file = footer.file_metadata();
        let file = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
        let views = file.fields().iter().filter_map(|field| {
            let of = match field.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
                DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
                _ => return None,
            };
            Some(Arc::new(Field::new(field.name(), of, true)))
        });
        let fields = self.marked.fields().iter().cloned();
        Ok(Arc::new(Schema::new(
            fields.chain(views).collect::<Vec<_>>(),
        )))
    }

    /// Reads the footer of a file of the table.
    pub(crate) async fn footer(
        &self,
        (location, size): (&Location, u64),
    ) -> Result<Arc<ParquetMetaData>, Error> {
        Ok(self
            .footers
            .read(&lake_file(location.clone(), size))
            .await?)
    }

    /// Opens a file of the table.
    pub(super) async fn open(
        &self,
        place: (&Location, u64),
        bytes_scanned: Count,
    ) -> Result<StoreReader> {
        let reader = StoreReader::open(&self.storage, &self.footers, place, bytes_scanned).await;
        Ok(reader.map_err(Error::from)?)
    }
}

/// Reads the files of one table. Projection and predicate are kept in a [`ParquetSource`] that is
/// never opened itself: each file gets one of its own, with its own adapter and its own metrics, so
/// that neither grows with the number of files.
#[derive(Clone)]
pub(crate) struct TableSource {
    table: Arc<ScanTable>,
    template: ParquetSource,
    pool: Arc<dyn MemoryPool>,
    ahead: Option<Arc<FilesAhead>>,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl TableSource {
    /// A source of all columns of the table.
    pub(crate) fn new(
        table: Arc<ScanTable>,
        mut options: TableParquetOptions,
        pool: Arc<dyn MemoryPool>,
    ) -> Self {
        // Nanoseconds, the default, cannot hold the years that INT96 can.
        options.global.coerce_int96 = Some("us".to_owned());
        options.global.coerce_int96_tz = None;
        let schema = TableSchema::from_file_schema(Arc::clone(table.columns.arrow()));
        Self {
            table,
            template: ParquetSource::new(schema).with_table_parquet_options(options),
            pool,
            ahead: None,
            batch_size: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Reads small files whole and ahead; `files` are all that are read, in the order of the scan.
    pub(crate) fn with_read_ahead(
        mut self,
        bounds: ReadAhead,
        files: impl Iterator<Item = (Location, u64)>,
    ) -> Self {
        let footers = self.table.footers.clone();
        self.ahead = Some(Arc::new(FilesAhead::new(bounds, footers, files)));
        self
    }

    fn with_template(&self, template: &Arc<dyn FileSource>) -> Option<Arc<dyn FileSource>> {
        let template = template.downcast_ref::<ParquetSource>()?.clone();
        Some(Arc::new(Self {
            template,
            ..self.clone()
        }))
    }

    /// A source like the template, fresh, for one file.
    fn for_file(
        &self,
        reader: StoreReader,
        footer: &ParquetMetaData,
        projection: &ProjectionExprs,
    ) -> Result<Arc<dyn FileSource>> {
        let schema = self.table.marked_for(footer)?;
        let mut source = ParquetSource::new(TableSchema::from_file_schema(schema))
            .with_table_parquet_options(self.template.table_parquet_options().clone())
            .with_parquet_file_reader_factory(Arc::new(FileReaderFactory::new(reader)));
        if let Some(predicate) = self.template.filter() {
            source = source.with_predicate(mark(predicate)?);
        }
        let source = source.with_batch_size(self.batch_size);
        let projection = projection.clone().try_map_exprs(mark)?;
        Ok(source
            .try_pushdown_projection(&projection)?
            .unwrap_or(source))
    }

    fn columns_read(&self) -> Result<&ProjectionExprs> {
        self.template.projection().ok_or_else(|| {
            DataFusionError::Internal("a Parquet source without a projection".to_owned())
        })
    }
}

impl FileSource for TableSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let bytes_scanned = MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition);
        let columns = Arc::clone(&self.table.columns);
        let projection = self.columns_read()?.clone();
        Ok(Arc::new(TableOpener {
            direct: Arc::new(DirectReader::new(columns, projection, self.batch_size)),
            source: self.clone(),
            limit: base_config.limit,
            output: base_config.projected_schema()?,
            store: object_store,
            bytes_scanned,
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.template.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self {
            batch_size,
            ..self.clone()
        })
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.template.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.template.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &'static str {
        "parquet"
    }

    fn supports_repartitioning(&self) -> bool {
        !self.table.has_lineage
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        self.template.fmt_extra(format, f)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let count = filters.len();
        if self.table.has_lineage {
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(
                vec![PushedDown::No; count],
            ));
        }
        let answer = self.template.try_pushdown_filters(filters, config)?;
        let Some(updated) = answer
            .updated_node
            .as_ref()
            .and_then(|node| self.with_template(node))
        else {
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(
                vec![PushedDown::No; count],
            ));
        };
        Ok(FilterPushdownPropagation {
            filters: answer.filters,
            updated_node: Some(updated),
        })
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        // What is computed of the columns of row lineage comes after they are filled in.
        let is_plain = |column: &ProjectionExpr| {
            let of = column.expr.downcast_ref::<Column>();
            of.is_some_and(|of| of.name() == column.alias)
        };
        if self.table.has_lineage && !projection.iter().all(is_plain) {
            return Ok(None);
        }
        let updated = self.template.try_pushdown_projection(projection)?;
        Ok(updated.and_then(|node| self.with_template(&node)))
    }
}

#[derive(Clone)]
struct TableOpener {
    source: TableSource,
    /// Reads files that are at hand whole.
    direct: Arc<DirectReader>,
    limit: Option<usize>,
    output: SchemaRef,
    /// Handed through; the readers know their stores themselves.
    store: Arc<dyn ObjectStore>,
    bytes_scanned: Count,
}

impl FileOpener for TableOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let scan = file.extension::<Arc<ScanFile>>().cloned().ok_or_else(|| {
            DataFusionError::Internal("a file of a table scan lacks its description".to_owned())
        })?;
        let opener = self.clone();
        let location = scan.location.clone();
        Ok(async move {
            let stream = opener.stream(file, &scan).await;
            let stream = stream.map_err(|error| in_file(&location, error))?;
            Ok(stream
                .map_err(move |error| in_file(&location, error))
                .boxed())
        }
        .boxed())
    }
}

impl TableOpener {
    async fn stream(
        self,
        mut file: PartitionedFile,
        scan: &ScanFile,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let table = &self.source.table;
        let scanned = self.bytes_scanned.clone();
        let mut reader = table.open((&scan.location, scan.size), scanned).await?;
        if let Some(ahead) = &self.source.ahead {
            let bytes = ahead.take((&scan.location, scan.size)).await;
            reader = reader.with_bytes(bytes.map_err(Error::from)?);
        }
        let footer = reader.footer().await.map_err(Error::from)?;
        let mut projection = self.source.columns_read()?.clone();
        let mut equality = None;
        let deleted = deleted_positions(table, &scan.deletes, &scan.location).await?;
        if let Some(plan) = access_plan(&deleted, &mut reader).await? {
            file = file.with_extension(plan);
        }
        let lineage = table.has_lineage.then(|| {
            Lineage::new(
                scan.first_row_id,
                scan.sequence_number,
                deleted,
                &projection,
            )
        });
        if !scan.deletes.is_empty() {
            let pool = &self.source.pool;
            let output = &self.output;
            equality =
                EqualityFilter::prepare(table, pool, &scan.deletes, &projection, output).await?;
            if let Some((_, wider)) = &equality {
                projection = wider.clone();
            }
        }
        let stream = match reader.bytes().filter(|_| self.reads_directly(scan)) {
            Some(bytes) => {
                let footer = Arc::clone(&footer);
                self.direct.rows(bytes, footer, &scan.constants)?
            }
            None => None,
        };
        let stream = match stream {
            Some(rows) => unpanicked(stream::iter(rows)).boxed(),
            None => self.scan(file, scan, (reader, &footer), &projection)?,
        };
        let stream = match lineage {
            Some(mut lineage) => stream
                .map(move |batch| batch.and_then(|batch| lineage.apply(&batch)))
                .boxed(),
            None => stream,
        };
        let output = self.output;
        Ok(match equality {
            Some((filter, _)) => stream
                .map(move |batch| batch.and_then(|batch| filter.apply(&batch)))
                .boxed(),
            None => stream
                .map(move |batch| batch.and_then(|batch| with_schema(&batch, &output)))
                .boxed(),
        })
    }

    /// Whether a file that is at hand is read whole.
    fn reads_directly(&self, scan: &ScanFile) -> bool {
        scan.deletes.is_empty() && self.limit.is_none() && self.source.template.filter().is_none()
    }

    /// Reads a file by a scan of DataFusion's of its own.
    fn scan(
        &self,
        file: PartitionedFile,
        scan: &ScanFile,
        (reader, footer): (StoreReader, &ParquetMetaData),
        projection: &ProjectionExprs,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        // Rows that are deleted do not count, and only the scan around this one knows how many are.
        let limit = self.limit.filter(|_| scan.deletes.is_empty());
        let columns = Arc::clone(&self.source.table.columns);
        let adapter = FileAdapterFactory::new(columns, Arc::clone(&scan.constants));
        let source = self.source.for_file(reader, footer, projection)?;
        let config =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::clone(&source))
                .with_file(file)
                .with_limit(limit)
                .with_batch_size(Some(self.source.batch_size))
                .with_expr_adapter(Some(Arc::new(adapter)))
                .build();
        let store = Arc::clone(&self.store);
        let stream = FileStreamBuilder::new(&config)
            .with_partition(0)
            .with_morselizer(source.create_morselizer(store, &config, 0)?)
            .with_metrics(source.metrics())
            .build()?;
        Ok(unpanicked(stream).boxed())
    }
}

/// Marks the columns in an expression as the table's.
fn mark(expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    expr.transform(|expr| {
        Ok(match expr.downcast_ref::<Column>() {
            Some(column) => {
                let name = format!("{TABLE_MARK}{}", column.name());
                Transformed::yes(Arc::new(Column::new(&name, column.index())))
            }
            None => Transformed::no(expr),
        })
    })
    .data()
}

/// Turns a panic of the decoder, which some malformed pages cause, into an error.
fn unpanicked(
    stream: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static {
    AssertUnwindSafe(stream).catch_unwind().map(|item| {
        item.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("for an unknown reason");
            Err(DataFusionError::Execution(format!(
                "the file is malformed: its decoder gave up: {text}"
            )))
        })
    })
}

/// The same columns under the scan's schema, which is one for all files.
fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        batch.columns().to_vec(),
        &options,
    )?)
}

/// Names the file in an error that does not name one yet.
pub(crate) fn in_file(location: &Location, error: DataFusionError) -> DataFusionError {
    match Error::from(error) {
        error @ (Error::Query { .. } | Error::Column { .. }) => Error::File {
            location: location.clone(),
            source: Box::new(error),
        },
        error => error,
    }
    .into()
}
