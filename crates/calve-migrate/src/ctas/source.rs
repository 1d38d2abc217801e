//! What is rewritten: a lake or a table, opened, with its files.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use calve_base::Location;
use calve_lake::{Lake, LakeFile, LakeOptions, PartitionKey, Source};
use calve_query::{
    Cures, LakeFormat, LakeTable, OrcTimestamps, RecordFormat, RecordTable, Session, TableFiles,
    TextTable, cured_lake_provider, record_provider, table_provider, table_provider_at,
    text_provider,
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
use super::{BatchBy, Ctas, CtasSource, MAXIMUM_BATCHES, PlannedBatch};
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
    partition: Arc<[Option<Literal>]>,
}

/// The source, opened.
pub(super) struct Opened {
    pub(super) name: String,
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

/// What became of the files that were read before.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) changed: Vec<String>,
    pub(super) missing: Vec<String>,
}

impl Since {
    /// What people should know of it.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let note = |files: &[String], what: &str| {
            let first = files.first()?;
            let count = files.len();
            Some(format!(
                "{count} of the files that were copied {what}, such as {first}: the table has their rows as they were"
            ))
        };
        let changed = note(&self.changed, "have changed since");
        changed.into_iter().chain(note(&self.missing, "are gone"))
    }
}

enum Rows {
    Lake(Box<LakeTable>),
    Table(Box<TableFiles>),
    Text(Box<TextTable>),
    Records(Box<RecordTable>),
}

/// The files of a lake, with the numbers of their partitions.
fn source_files<'a>(listed: impl Iterator<Item = (&'a LakeFile, Option<u64>)>) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = Vec::new();
    let mut group = 0;
    for (file, rows) in listed {
        let is_new = |last: &SourceFile| last.partition != file.partition;
        group += u64::from(files.last().is_some_and(is_new));
        files.push(SourceFile {
            location: file.location.clone(),
            size: file.size,
            rows,
            last_modified_ms: file.last_modified_ms,
            etag: file.etag.clone(),
            group,
            partition: Arc::clone(&file.partition),
        });
    }
    files
}

impl Ctas {
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
                let (source, options) = (source.clone(), options.as_ref().clone());
                Self::open_lake(ctas, session, (source, options), *format).await
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
                let snapshot = provider.snapshot_id();
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
                        partition: Arc::new([]),
                    });
                let files = files.collect();
                Ok(Self {
                    name: format!(
                        "{}:{ident}@{}",
                        catalog.name(),
                        snapshot.map_or_else(|| "empty".to_owned(), |id| id.to_string())
                    ),
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

    async fn open_lake(
        ctas: &Ctas,
        session: &Session,
        (source, mut options): (Source, LakeOptions),
        format: LakeFormat,
    ) -> Result<Self> {
        options.progress = Arc::clone(&ctas.progress);
        options.clock = Arc::clone(&ctas.clock);
        options.format = format.of_entries();
        let name = source.to_string();
        let storage = ctas.catalog.storage();
        let lake = Box::pin(Lake::open(storage, source, options)).await?;
        // How many rows there are is not known of Avro and text, before they are read.
        let (files, rows) = match format {
            LakeFormat::Parquet => {
                let cures = Cures {
                    format_version: ctas.options.format_version,
                    int96: ctas.options.int96,
                    nanoseconds: ctas.options.nanoseconds,
                };
                let table = Box::pin(cured_lake_provider(&lake, cures)).await?;
                let table = table.with_views()?;
                let files = table.files().map(|(file, rows)| (file, Some(rows)));
                let files = source_files(files);
                let schema = table.iceberg_schema().clone();
                let rows = Rows::Lake(Box::new(table));
                return Ok(Self::of_lake(name, &lake, files, schema, rows));
            }
            LakeFormat::Text(format) => {
                let table = Box::pin(text_provider(session, &lake, format)).await?;
                let files = source_files(table.files().map(|file| (file, None)));
                (files, Rows::Text(Box::new(table)))
            }
            LakeFormat::Avro | LakeFormat::Orc => {
                let format = match format {
                    LakeFormat::Orc => RecordFormat::Orc(ctas.orc_timestamps()),
                    _ => RecordFormat::Avro,
                };
                let table = Box::pin(record_provider(&lake, format)).await?;
                let files = source_files(table.files());
                (files, Rows::Records(Box::new(table)))
            }
        };
        let none = Schema::builder()
            .build()
            .map_err(calve_table::Error::from)?;
        Ok(Self::of_lake(name, &lake, files, none, rows))
    }

    fn of_lake(
        name: String,
        lake: &Lake,
        files: Vec<SourceFile>,
        schema: Schema,
        rows: Rows,
    ) -> Self {
        let warnings = lake.warnings().iter();
        Self {
            name,
            files,
            skipped_count: lake.totals().skipped,
            notes: warnings.map(ToString::to_string).collect(),
            schema,
            root: Some(lake.root().clone()),
            keys: lake.partition_keys().to_vec(),
            rows,
        }
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

    /// Cuts the source.
    pub(super) async fn cut(&self, session: &Session, by: &BatchBy) -> Result<Vec<PlannedBatch>> {
        let sizes = self.files.iter().map(|file| (file.size, file.group));
        let rows = self.files.iter();
        let rows = rows.map(|file| (file.rows.unwrap_or(0), file.group));
        let groups = match by {
            BatchBy::Partitions(bytes) => group(sizes, *bytes, true),
            BatchBy::Bytes(bytes) => group(sizes, *bytes, false),
            BatchBy::Rows(_) if self.files.iter().any(|file| file.rows.is_none()) => {
                return Err(Error::RowsUnknown);
            }
            BatchBy::Rows(limit) => group(rows, *limit, false),
            BatchBy::Column(column) => return self.cut_by_column(session, column).await,
        };
        let batches = groups.into_iter().enumerate();
        let batches = batches
            .map(|(index, places)| PlannedBatch::new(index as u64 + 1, &self.files, places, None));
        Ok(batches.collect())
    }

    async fn cut_by_column(&self, session: &Session, column: &str) -> Result<Vec<PlannedBatch>> {
        let is_it = |key: &PartitionKey| key.name.eq_ignore_ascii_case(column);
        if let Some(index) = self.keys.iter().position(is_it) {
            return Ok(self.cut_by_key(index));
        }
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
    fn cut_by_key(&self, key: usize) -> Vec<PlannedBatch> {
        let mut groups: Vec<(Option<Literal>, Vec<usize>)> = Vec::new();
        let mut known = HashMap::new();
        for (place, file) in self.files.iter().enumerate() {
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

    /// The files that a batch reads, as the journal keeps them: none of a table, whose files cannot change, and none
    /// where other batches read them, too.
    pub(super) fn sources_of(&self, batch: &PlannedBatch) -> Vec<(String, String)> {
        if self.root.is_none() || batch.value.is_some() {
            return Vec::new();
        }
        let files = batch.places.iter().map(|place| &self.files[*place]);
        files.map(|file| (file.name(), file.version())).collect()
    }

    /// Leaves the files that were not read before, by their names and versions.
    pub(super) fn leave_new(&mut self, read: HashMap<String, String>) -> Since {
        let mut since = Since::default();
        let mut missing = read;
        let mut new = Vec::new();
        for (place, file) in self.files.iter().enumerate() {
            match missing.remove(&file.name()) {
                None => new.push(place),
                Some(version) if version == file.version() => {}
                Some(_) => since.changed.push(file.name()),
            }
        }
        since.missing = missing.into_keys().collect();
        since.missing.sort();
        self.rows = match &self.rows {
            Rows::Lake(table) => Rows::Lake(Box::new(table.with_files(&new))),
            Rows::Table(table) => Rows::Table(Box::new(table.with_files(&new))),
            Rows::Text(table) => Rows::Text(Box::new(table.with_files(&new))),
            Rows::Records(table) => Rows::Records(Box::new(table.with_files(&new))),
        };
        self.files = new.iter().map(|place| self.files[*place].clone()).collect();
        since
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
    fn name(&self) -> String {
        self.location.canonical().clone()
    }

    /// What tells it from what lies at its place at other times.
    fn version(&self) -> String {
        let mut hash = Xxh3::new();
        hash.update(&self.size.to_le_bytes());
        hash.update(&self.last_modified_ms.to_le_bytes());
        hash.update(self.etag.as_deref().unwrap_or_default().as_bytes());
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
