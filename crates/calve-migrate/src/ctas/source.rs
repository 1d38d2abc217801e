//! What is rewritten: a lake or a table, opened, with its files.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use calve_base::Location;
use calve_lake::{Lake, LakeFile, LakeOptions, PartitionKey};
use calve_query::{
    Cures, LakeFormat, LakeTable, OrcTimestamps, RecordFormat, RecordTable, Session, TableFiles,
    TextTable, cured_lake_files, cured_lake_provider, record_provider, table_provider,
    table_provider_at, text_provider,
};
use calve_storage::{ObjectInfo, Storage};
use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlanBuilder, SortExpr, lit};
use datafusion::prelude::DataFrame;
use datafusion::scalar::ScalarValue;
use futures::{FutureExt, StreamExt, TryStreamExt};
use iceberg::spec::{FormatVersion, Literal, PrimitiveType, Schema, Type};
use xxhash_rust::xxh3::Xxh3;

use super::batches::group;
use super::{BatchBy, Ctas, CtasSource, DEFAULT_BATCH_BYTES, MAXIMUM_BATCHES, PlannedBatch};
use crate::{Error, Result};

/// How many files are looked at again at once.
const CHECKS: usize = 32;
/// The name of the table in plans that are made without SQL.
const SOURCE: &str = "source";

/// A file of the source.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    pub(super) location: Location,
    pub(super) size: u64,
    pub(super) rows: Option<u64>,
    pub(super) last_modified_ms: i64,
    pub(super) etag: Option<String>,
    /// The number of its partition, in the order of the listing.
    group: u64,
    /// The values of its partition, as a text.
    values: Arc<str>,
    partition: Arc<[Option<Literal>]>,
}

/// The source, opened.
pub(super) struct Opened {
    pub(super) files: Vec<SourceFile>,
    pub(super) skipped_count: u64,
    pub(super) notes: Vec<String>,
    /// The columns in Iceberg's types.
    pub(super) schema: Schema,
    /// Where it lies, for a lake; a table's files cannot change.
    pub(super) root: Option<Location>,
    /// The names of the keys that whole files share a value of.
    keys: Vec<PartitionKey>,
    rows: Rows,
}

enum Rows {
    Lake(Box<LakeTable>),
    Table(Box<TableFiles>),
    Text(Box<TextTable>),
    Records(Box<RecordTable>),
}

/// The files of a lake, with the numbers of their partitions.
pub(super) fn source_files<'a>(
    keys: &[PartitionKey],
    listed: impl Iterator<Item = (&'a LakeFile, Option<u64>)>,
) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = Vec::new();
    let mut group = 0;
    for (file, rows) in listed {
        let values = match files.last() {
            Some(last) if last.partition == file.partition => Arc::clone(&last.values),
            last => {
                group += u64::from(last.is_some());
                partition_values(keys, file)
            }
        };
        files.push(SourceFile {
            location: file.location.clone(),
            size: file.size,
            rows,
            last_modified_ms: file.last_modified_ms,
            etag: file.etag.clone(),
            group,
            values,
            partition: Arc::clone(&file.partition),
        });
    }
    files
}

/// Partition keys with their types.
pub(super) fn key_texts(keys: &[PartitionKey]) -> Vec<String> {
    let texts = keys
        .iter()
        .map(|key| format!("{}: {}", key.name, key.primitive_type));
    texts.collect()
}

/// The values of a file's partition, as a text.
fn partition_values(keys: &[PartitionKey], file: &LakeFile) -> Arc<str> {
    let values = keys.iter().zip(file.partition.iter()).map(|(key, value)| {
        let of = Type::Primitive(key.primitive_type.clone());
        let value = value.clone().map(|value| value.try_into_json(&of));
        let value = value.and_then(std::result::Result::ok).unwrap_or_default();
        format!("{}={value}/", key.name)
    });
    values.collect::<String>().into()
}

/// How a lake is listed.
pub(super) fn lake_options(ctas: &Ctas, options: &LakeOptions, format: LakeFormat) -> LakeOptions {
    LakeOptions {
        progress: Arc::clone(&ctas.progress),
        clock: Arc::clone(&ctas.clock),
        format: format.of_entries(),
        ..options.clone()
    }
}

impl Ctas {
    /// How types are read that no table holds.
    fn cures(&self) -> Cures {
        Cures {
            format_version: self.options.format_version,
            int96: self.options.int96,
            nanoseconds: self.options.nanoseconds,
        }
    }

    /// What becomes of the timestamps of ORC files, which all have nanoseconds.
    fn orc_timestamps(&self) -> OrcTimestamps {
        match self.options.format_version {
            FormatVersion::V1 | FormatVersion::V2 => {
                OrcTimestamps::Microseconds(self.options.nanoseconds)
            }
            FormatVersion::V3 => OrcTimestamps::Nanoseconds,
        }
    }
}

impl Opened {
    /// Opens the source and learns its files.
    pub(super) async fn open(ctas: &Ctas, session: &Session) -> Result<Self> {
        match &ctas.source {
            CtasSource::Lake {
                source,
                options,
                format,
            } => {
                let options = lake_options(ctas, options, *format);
                let lake = Lake::open(ctas.catalog.storage(), source.clone(), options);
                let lake = Box::pin(lake).await?;
                Self::of_lake(ctas, session, &lake, *format).await
            }
            CtasSource::Table {
                catalog,
                ident,
                snapshot_id,
            } => {
                let table = catalog.load_table(ident).await?;
                let provider = match snapshot_id {
                    Some(id) => table_provider_at(&table, *id)?,
                    None => table_provider(&table)?,
                };
                let schema = provider.iceberg_schema().clone();
                let state = session.context().state();
                let rows = Box::pin(provider.table_files(&state)).await?;
                let files = rows
                    .files()
                    .enumerate()
                    .map(|(place, (location, size, rows))| SourceFile {
                        location: location.clone(),
                        size,
                        rows: Some(rows),
                        last_modified_ms: 0,
                        etag: None,
                        group: place as u64,
                        values: "".into(),
                        partition: Arc::new([]),
                    });
                let files = files.collect();
                Ok(Self {
                    files,
                    skipped_count: 0,
                    notes: Vec::new(),
                    schema,
                    root: None,
                    keys: Vec::new(),
                    rows: Rows::Table(Box::new(rows)),
                })
            }
        }
    }

    async fn of_lake(
        ctas: &Ctas,
        session: &Session,
        lake: &Lake,
        format: LakeFormat,
    ) -> Result<Self> {
        // How many rows there are is not known of Avro and text, before they are read.
        let (files, rows) = match format {
            LakeFormat::Parquet => {
                let table = Box::pin(cured_lake_provider(lake, ctas.cures())).await?;
                return Self::of_parquet(lake, table);
            }
            LakeFormat::Text(format) => {
                let table = Box::pin(text_provider(session, lake, format)).await?;
                let files = table.files().map(|file| (file, None));
                let files = source_files(lake.partition_keys(), files);
                (files, Rows::Text(Box::new(table)))
            }
            LakeFormat::Avro | LakeFormat::Orc => {
                let format = match format {
                    LakeFormat::Orc => RecordFormat::Orc(ctas.orc_timestamps()),
                    _ => RecordFormat::Avro,
                };
                let table = Box::pin(record_provider(lake, format)).await?;
                let files = source_files(lake.partition_keys(), table.files());
                (files, Rows::Records(Box::new(table)))
            }
        };
        let none = Schema::builder()
            .build()
            .map_err(calve_table::Error::from)?;
        Ok(Self::new(lake, files, none, rows))
    }

    fn of_parquet(lake: &Lake, table: LakeTable) -> Result<Self> {
        let table = table.with_views()?;
        let files = table.files().map(|(file, rows)| (file, Some(rows)));
        let files = source_files(lake.partition_keys(), files);
        let schema = table.iceberg_schema().clone();
        Ok(Self::new(lake, files, schema, Rows::Lake(Box::new(table))))
    }

    /// Opens some files of a lake. Where the columns of the others are known, nothing is read of those.
    pub(super) async fn of_files(
        ctas: &Ctas,
        session: &Session,
        lake: &Lake,
        format: LakeFormat,
        (files, known): (Vec<LakeFile>, Option<Schema>),
    ) -> Result<Self> {
        if let (LakeFormat::Parquet, Some(known)) = (format, known) {
            let table = cured_lake_files(lake, ctas.cures(), files, &known);
            return Self::of_parquet(lake, Box::pin(table).await?);
        }
        let mut opened = Self::of_lake(ctas, session, lake, format).await?;
        let mut known = HashMap::new();
        for (place, file) in opened.files.iter().enumerate() {
            known.insert(file.name(), place);
        }
        let mut places = Vec::with_capacity(files.len());
        for file in source_files(&opened.keys, files.iter().map(|file| (file, None))) {
            match known.get(&file.name()) {
                Some(place) => places.push(*place),
                None => return Err(file.changed("is gone")),
            }
        }
        opened.rows = match &opened.rows {
            Rows::Lake(table) => Rows::Lake(Box::new(table.with_files(&places))),
            Rows::Table(table) => Rows::Table(Box::new(table.with_files(&places))),
            Rows::Text(table) => Rows::Text(Box::new(table.with_files(&places))),
            Rows::Records(table) => Rows::Records(Box::new(table.with_files(&places))),
        };
        let files = places.iter().map(|place| opened.files[*place].clone());
        opened.files = files.collect();
        Ok(opened)
    }

    fn new(lake: &Lake, files: Vec<SourceFile>, schema: Schema, rows: Rows) -> Self {
        let warnings = lake.warnings().iter();
        Self {
            files,
            skipped_count: lake.totals().skipped,
            notes: warnings.map(ToString::to_string).collect(),
            schema,
            root: Some(lake.root().clone()),
            keys: lake.partition_keys().to_vec(),
            rows,
        }
    }

    /// The partition keys, with their types.
    pub(super) fn key_texts(&self) -> Vec<String> {
        key_texts(&self.keys)
    }

    /// The columns of all files, where they need not be looked for in each of them again.
    pub(super) fn known_schema(&self) -> Option<&Schema> {
        matches!(self.rows, Rows::Lake(_)).then_some(&self.schema)
    }

    /// All of it as a table.
    pub(super) fn all(&self) -> Arc<dyn TableProvider> {
        let places: Vec<usize> = (0..self.files.len()).collect();
        self.some(&places)
    }

    fn some(&self, places: &[usize]) -> Arc<dyn TableProvider> {
        match &self.rows {
            Rows::Lake(table) => Arc::new(table.with_files(places)),
            Rows::Table(table) => Arc::new(table.with_files(places)),
            Rows::Text(table) => Arc::new(table.with_files(places)),
            Rows::Records(table) => Arc::new(table.with_files(places)),
        }
    }

    /// The rows of a batch as a table.
    pub(super) fn batch(&self, batch: &PlannedBatch) -> Result<Arc<dyn TableProvider>> {
        let table = self.some(&batch.places);
        let Some((column, value)) = &batch.value else {
            return Ok(table);
        };
        let column = datafusion::common::Column::new_unqualified(column.as_str());
        let column = datafusion::logical_expr::Expr::Column(column);
        let condition = if value.is_null() {
            column.is_null()
        } else {
            column.eq(lit(value.clone()))
        };
        let plan = LogicalPlanBuilder::scan(SOURCE, provider_as_source(table), None)
            .and_then(|plan| plan.filter(condition))
            .and_then(LogicalPlanBuilder::build)
            .map_err(calve_query::Error::from)?;
        Ok(Arc::new(datafusion::datasource::ViewTable::new(plan, None)))
    }

    /// Cuts some of the source's files, by their places. With `whole`, none of them goes into more than one batch.
    pub(super) async fn cut(
        &self,
        session: &Session,
        by: &BatchBy,
        places: &[usize],
        whole: bool,
    ) -> Result<Vec<PlannedBatch>> {
        let files = || places.iter().map(|place| &self.files[*place]);
        let sizes = files().map(|file| (file.size, file.group));
        let rows = files().map(|file| (file.rows.unwrap_or(0), file.group));
        let groups = match by {
            BatchBy::Partitions(bytes) => group(sizes, *bytes, true),
            BatchBy::Bytes(bytes) => group(sizes, *bytes, false),
            BatchBy::Rows(_) if files().any(|file| file.rows.is_none()) => {
                return Err(Error::RowsUnknown);
            }
            BatchBy::Rows(limit) => group(rows, *limit, false),
            BatchBy::Column(column) => match self.key(column) {
                Some(key) => return Ok(self.cut_by_key(key, places)),
                None if whole => group(sizes, DEFAULT_BATCH_BYTES, true),
                None => return self.cut_by_column(session, column).await,
            },
        };
        let batches = groups.into_iter().enumerate().map(|(index, group)| {
            let places = group.into_iter().map(|at| places[at]).collect();
            PlannedBatch::new(index as u64 + 1, &self.files, places, None)
        });
        Ok(batches.collect())
    }

    /// The place of the partition key of that name.
    fn key(&self, column: &str) -> Option<usize> {
        let is_it = |key: &PartitionKey| key.name.eq_ignore_ascii_case(column);
        self.keys.iter().position(is_it)
    }

    async fn cut_by_column(&self, session: &Session, column: &str) -> Result<Vec<PlannedBatch>> {
        if matches!(self.rows, Rows::Text(_) | Rows::Records(_)) {
            let column = column.to_owned();
            return Err(Error::BatchColumn { column });
        }
        let column = calve_table::spelling(&self.schema, column);
        let field = self.schema.field_by_name(&column);
        let of = field.and_then(|field| field.field_type.as_primitive_type());
        if !of.is_some_and(|of| !matches!(of, PrimitiveType::Float | PrimitiveType::Double)) {
            // Of floating-point numbers, -0.0 and 0.0 are one value to some operators, and two to others.
            return Err(Error::BatchColumn { column });
        }
        let values = self.values(session, &column).await?;
        let places: Vec<usize> = (0..self.files.len()).collect();
        let batches = values.into_iter().enumerate().map(|(index, value)| {
            let value = Some((column.clone(), value));
            PlannedBatch::new(index as u64 + 1, &self.files, places.clone(), value)
        });
        Ok(batches.collect())
    }

    /// One batch for each value of a partition key, in the order of the listing.
    fn cut_by_key(&self, key: usize, places: &[usize]) -> Vec<PlannedBatch> {
        let mut groups: Vec<(Option<Literal>, Vec<usize>)> = Vec::new();
        let mut known = HashMap::new();
        for place in places.iter().copied() {
            let file = &self.files[place];
            let value = file.partition.get(key).cloned().flatten();
            let at = *known.entry(value.clone()).or_insert(groups.len());
            if at == groups.len() {
                groups.push((value, Vec::new()));
            }
            groups[at].1.push(place);
        }
        let batches = groups.into_iter().enumerate();
        let PartitionKey {
            name,
            primitive_type,
        } = &self.keys[key];
        let batches = batches.map(|(index, (value, places))| {
            let of = Type::Primitive(primitive_type.clone());
            let rows_of = match value.map(|value| value.try_into_json(&of)) {
                Some(Ok(value)) => format!("{name} = {value}"),
                Some(Err(_)) => format!("one value of {name}"),
                None => format!("{name} is null"),
            };
            PlannedBatch::new(index as u64 + 1, &self.files, places, None).with_rows_of(rows_of)
        });
        batches.collect()
    }

    /// The distinct values of a column, sorted.
    async fn values(&self, session: &Session, column: &str) -> Result<Vec<ScalarValue>> {
        let wrong = calve_query::Error::from;
        let name = datafusion::common::Column::new_unqualified(column);
        let expr = datafusion::logical_expr::Expr::Column(name);
        let sorted: SortExpr = expr.clone().sort(true, true);
        let plan = LogicalPlanBuilder::scan(SOURCE, provider_as_source(self.all()), None)
            .and_then(|plan| plan.project([expr]))
            .and_then(LogicalPlanBuilder::distinct)
            .and_then(|plan| plan.sort([sorted]))
            .and_then(|plan| plan.limit(0, Some(MAXIMUM_BATCHES + 1)))
            .and_then(LogicalPlanBuilder::build)
            .map_err(wrong)?;
        let found = DataFrame::new(session.context().state(), plan);
        let found: Vec<RecordBatch> = found.collect().await.map_err(wrong)?;
        let mut values = Vec::new();
        for batch in &found {
            let array = batch.column(0);
            for row in 0..array.len() {
                values.push(ScalarValue::try_from_array(array, row).map_err(wrong)?);
            }
        }
        if values.len() > MAXIMUM_BATCHES {
            return Err(Error::TooManyBatches {
                column: column.to_owned(),
                limit: MAXIMUM_BATCHES,
            });
        }
        Ok(values)
    }

    /// Whether a batch has all rows of its files, which may change.
    pub(super) fn is_of_whole_files(&self, batch: &PlannedBatch) -> bool {
        self.root.is_some() && batch.value.is_none()
    }

    /// Files, as the journal keeps them: with their versions.
    pub(super) fn sources(&self, places: &[usize]) -> Vec<(String, String)> {
        let files = places.iter().map(|place| &self.files[*place]);
        files.map(|file| (file.name(), file.version())).collect()
    }

    /// Looks whether the files of a batch are still those that were listed.
    ///
    /// # Errors
    /// [`Error::SourceChanged`] when one is another, or gone.
    pub(super) async fn recheck(&self, storage: &Storage, batch: &PlannedBatch) -> Result<()> {
        if self.root.is_none() {
            return Ok(());
        }
        let files: Vec<SourceFile> = batch
            .places
            .iter()
            .map(|place| self.files[*place].clone())
            .collect();
        let checks = files.into_iter().map(|file| {
            let storage = storage.clone();
            async move {
                let now = storage.head(&file.location).await?;
                match now {
                    None => Err(file.changed("is gone")),
                    Some(now) if file.is_same(&now) => Ok(()),
                    Some(_) => Err(file.changed("is another")),
                }
            }
            .boxed()
        });
        let checks: Vec<_> = checks.collect();
        let checked = futures::stream::iter(checks).buffer_unordered(CHECKS);
        checked.try_collect::<Vec<()>>().await?;
        Ok(())
    }

    /// Whether the number of rows that files have is that of the rows which are read.
    pub(super) fn counts_rows(&self) -> bool {
        // Rows of a table may be deleted.
        matches!(self.rows, Rows::Lake(_) | Rows::Records(_))
    }
}

impl SourceFile {
    pub(super) fn name(&self) -> String {
        self.location.canonical().clone()
    }

    /// What tells it from what lies at its place at other times.
    pub(super) fn version(&self) -> String {
        let mut hash = Xxh3::new();
        hash.update(&self.size.to_le_bytes());
        hash.update(&self.last_modified_ms.to_le_bytes());
        hash.update(self.etag.as_deref().unwrap_or_default().as_bytes());
        // A metastore may give the files of a folder other values.
        hash.update(self.values.as_bytes());
        format!("{:032x}", hash.digest128())
    }

    /// Whether an object is still the one that was listed: by its entity tag, or by its time where the store
    /// tells no tag. Then seconds are compared, since S3 tells milliseconds in listings only.
    fn is_same(&self, now: &ObjectInfo) -> bool {
        let same_content = match (&self.etag, &now.etag) {
            (Some(before), Some(now)) => before == now,
            _ => self.last_modified_ms.div_euclid(1000) == now.last_modified_ms.div_euclid(1000),
        };
        same_content && self.size == now.size
    }

    fn changed(&self, change: &'static str) -> Error {
        Error::SourceChanged {
            file: self.location.clone(),
            change,
        }
    }
}
