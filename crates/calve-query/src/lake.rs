//! Parquet lakes as DataFusion tables.

mod cures;
mod union;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use calve_base::{Location, Stage};
use calve_lake::footer::FooterReader;
use calve_lake::{Lake, LakeEntry, LakeFile, PartitionKey};
use calve_parquet::{HiveColumn, SchemaCache, SchemaUnion, TypePolicy};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{FormatVersion, Literal};
use parquet::file::metadata::RowGroupMetaData;

use crate::read::{
    Constants, Container, Filters, Range, ScanFile, ScanTable, TableColumns, Wanted, plan, scalar,
    support,
};
use crate::{Error, Result};
use cures::cure;
pub use cures::{CureCheck, Cures, Int96Zone, Int96ZoneError, Nanoseconds};
use union::{ColumnUnion, Unusable};

/// What is counted while a lake's columns are learnt.
const STAGE: &str = "footers read";
/// How many footers are read at once.
const FOOTER_CONCURRENCY: usize = 32;

/// The files of a Parquet lake as one table: all columns that any of them has, and the partition
/// keys, with the types that [`Lake`] found.
#[derive(Debug)]
pub struct LakeTable {
    root: Location,
    scan: Arc<ScanTable>,
    constant: HashSet<String>,
    unusable: HashMap<String, Unusable>,
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    info: LakeFile,
    rows: u64,
    constants: Arc<Constants>,
}

/// Makes a lake readable. Reads the footers of all its files, because only they tell its columns.
///
/// A column that some file holds in a form that cannot be read, or that files contradict each other
/// about, is an error only for queries that use it.
///
/// # Errors
/// When the lake cannot be listed or a footer cannot be read.
pub async fn lake_provider(lake: &Lake) -> Result<LakeTable> {
    read(lake, None, None).await
}

/// As [`lake_provider`], with columns of types that no Iceberg table holds read as those it holds.
///
/// # Errors
/// As [`lake_provider`].
pub async fn cured_lake_provider(lake: &Lake, cures: Cures) -> Result<LakeTable> {
    read(lake, Some(cures), None).await
}

/// As [`cured_lake_provider`], of some of the lake's files, whose footers alone are read. `known` is what
/// [`LakeTable::iceberg_schema`] said of the others: the columns are those, and what these files add.
///
/// # Errors
/// As [`lake_provider`].
pub async fn cured_lake_files(
    lake: &Lake,
    cures: Cures,
    files: Vec<LakeFile>,
    known: &iceberg::spec::Schema,
) -> Result<LakeTable> {
    read(lake, Some(cures), Some((files, known))).await
}

/// Reads the footers of all files, or of some whose columns go on from known ones.
async fn read(
    lake: &Lake,
    cures: Option<Cures>,
    some: Option<(Vec<LakeFile>, &iceberg::spec::Schema)>,
) -> Result<LakeTable> {
    let keys = lake.partition_keys();
    let mut union = seeded_union(lake).map_err(|error| union_error(lake.root(), error))?;
    let mut policy = TypePolicy {
        // What is only looked at may hold more than a table of format version 2.
        format_version: cures
            .as_ref()
            .map_or(FormatVersion::V3, |cures| cures.format_version),
        int96_is_instant: cures
            .as_ref()
            .is_none_or(|cures| cures.int96 != Int96Zone::Local),
        ..TypePolicy::default()
    };
    if lake.hive_columns().is_some() {
        let seeded = union.schema();
        let seeded = seeded.map_err(|error| union_error(lake.root(), error))?;
        policy = TypePolicy {
            int96_is_instant: policy.int96_is_instant,
            ..TypePolicy::for_table(&seeded, policy.format_version)
        };
    }
    let schemas = SchemaCache::new(policy);
    let (entries, count) = match some {
        None => (data_files(lake), lake.totals().files),
        Some((files, known)) => {
            let names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
            union = SchemaUnion::resume(known, &names);
            let count = files.len() as u64;
            (
                futures::stream::iter(files.into_iter().map(Ok)).boxed(),
                count,
            )
        }
    };
    let mut union = ColumnUnion::new(union, keys);
    let reader = FooterReader::new(lake.storage().clone());
    let mut footers = entries
        .map(|file| {
            let reader = reader.clone();
            async move {
                let file = file?;
                let footer = reader.read(&file).await?;
                Ok::<_, Error>((file, footer))
            }
        })
        .buffered(FOOTER_CONCURRENCY)
        .boxed();
    let mut files = Vec::new();
    let mut partitions = Partitions::new(keys);
    let stage = Stage::start(lake.progress().as_ref(), STAGE, Some(count));
    while let Some((file, footer)) = footers.try_next().await? {
        stage.advance(1);
        let schema = schemas.get(&footer);
        let schema = match &cures {
            Some(_) => cure(&schema),
            None => schema,
        };
        union.absorb(&schema, &file.location)?;
        let rows = footer
            .row_groups()
            .iter()
            .map(RowGroupMetaData::num_rows)
            .sum::<i64>();
        files.push(File {
            rows: u64::try_from(rows).unwrap_or(0),
            constants: partitions.of(&file)?,
            info: file,
        });
    }
    LakeTable::new(lake, union, files, cures)
}

/// The data files of a lake, in the order of its listing.
fn data_files(lake: &Lake) -> BoxStream<'static, calve_lake::Result<LakeFile>> {
    let files = lake.files().try_filter_map(|entry| {
        futures::future::ready(Ok(match entry {
            LakeEntry::File(file) => Some(file),
            LakeEntry::Skipped(_) => None,
        }))
    });
    files.boxed()
}

/// The columns that are known before a footer is read: the partition keys, and those of a metastore.
fn seeded_union(lake: &Lake) -> calve_parquet::Result<SchemaUnion> {
    let keys = lake.partition_keys().iter();
    let partition_columns: Vec<_> = keys
        .map(|key| (key.name.clone(), key.primitive_type.clone()))
        .collect();
    let mut union = SchemaUnion::for_new_table(&partition_columns);
    if let Some(columns) = lake.hive_columns() {
        let columns: Vec<HiveColumn> = columns.iter().map(hive_column).collect();
        union.seed(&columns)?;
    }
    Ok(union)
}

fn hive_column(column: &calve_catalog::HiveColumn) -> HiveColumn {
    HiveColumn {
        name: column.name.clone(),
        hive_type: column.hive_type.clone(),
        comment: column.comment.clone(),
    }
}

fn union_error(location: &Location, source: calve_parquet::Error) -> Error {
    Error::Schema {
        location: location.clone(),
        source: Arc::new(source),
    }
}

impl LakeTable {
    fn new(
        lake: &Lake,
        union: ColumnUnion,
        files: Vec<File>,
        cures: Option<Cures>,
    ) -> Result<Self> {
        let (schema, mapping, unusable) = union.finish(lake.root())?;
        let columns = TableColumns::new(Arc::new(schema), Some(mapping)).map_err(|source| {
            Error::Unreadable {
                location: lake.root().clone(),
                source,
            }
        })?;
        let columns = columns.with_cures(cures);
        Ok(Self {
            root: lake.root().clone(),
            scan: Arc::new(ScanTable::new(columns, lake.storage().clone())),
            constant: lake
                .partition_keys()
                .iter()
                .map(|key| key.name.clone())
                .collect(),
            unusable,
            files,
        })
    }

    /// The same table with the texts and binaries of its top level as views. Short ones are compared and moved without
    /// a look elsewhere, and those of a file's dictionary are not copied; few other kinds of arrays are as quick to
    /// sort.
    ///
    /// # Errors
    /// When a partition value is not of its key's type.
    pub fn with_views(mut self) -> Result<Self> {
        let columns = self.scan.columns.as_ref().clone().with_views();
        let mut last: Option<(Arc<Constants>, Arc<Constants>)> = None;
        for file in &mut self.files {
            let before = Arc::clone(&file.constants);
            // Files of one partition share its values.
            file.constants = match &last {
                Some((known, views)) if Arc::ptr_eq(known, &before) => Arc::clone(views),
                _ => Arc::new(of_columns(&before, columns.arrow())?),
            };
            last = Some((before, Arc::clone(&file.constants)));
        }
        self.scan = Arc::new(ScanTable::new(columns, self.scan.storage.clone()));
        Ok(self)
    }

    /// The lake's folder or file.
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// The names of its partition keys.
    pub fn partition_keys(&self) -> &HashSet<String> {
        &self.constant
    }

    /// Its files, each with the number of its rows, in the order of the lake's listing.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&LakeFile, u64)> {
        self.files.iter().map(|file| (&file.info, file.rows))
    }

    /// The same table with some of its files only, by their places in [`LakeTable::files`]. Places that
    /// are none are passed over.
    #[must_use]
    pub fn with_files(&self, places: &[usize]) -> Self {
        let files = places.iter().filter_map(|place| self.files.get(*place));
        Self {
            root: self.root.clone(),
            scan: Arc::clone(&self.scan),
            constant: self.constant.clone(),
            unusable: self.unusable.clone(),
            files: files.cloned().collect(),
        }
    }

    /// Columns that no query can use, each with the reason.
    pub fn unusable_columns(&self) -> impl Iterator<Item = (&str, Error)> {
        let unusable = self.unusable.iter();
        unusable.map(|(name, why)| (name.as_str(), why.error()))
    }

    /// The table's columns in Iceberg's types, with the notes that a metastore has on them.
    pub fn iceberg_schema(&self) -> &iceberg::spec::Schema {
        self.scan.columns.schema()
    }

    /// Refuses a query that uses a column which cannot be read.
    fn check_usable(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> Result<()> {
        if self.unusable.is_empty() {
            return Ok(());
        }
        let fields = self.scan.columns.arrow().fields();
        for (index, field) in fields.iter().enumerate() {
            let Some(why) = self.unusable.get(field.name()) else {
                continue;
            };
            let is_read = projection.is_none_or(|wanted| wanted.contains(&index));
            let is_compared = filters.iter().any(|filter| {
                let columns = filter.column_refs();
                columns.iter().any(|column| column.name == *field.name())
            });
            if is_read || is_compared {
                return Err(why.error());
            }
        }
        Ok(())
    }
}

/// Partition values in the types of the columns.
fn of_columns(values: &Constants, columns: &Schema) -> Result<Constants> {
    let values = values.iter().map(|(name, value)| {
        let of = columns
            .field_with_name(name)
            .map_err(DataFusionError::from)?;
        Ok((name.clone(), value.cast_to(of.data_type())?))
    });
    Ok(values.collect::<DataFusionResult<_>>()?)
}

type PartitionValues = Arc<[Option<Literal>]>;

/// Files of one partition share its values.
struct Partitions<'a> {
    keys: &'a [PartitionKey],
    last: Option<(PartitionValues, Arc<Constants>)>,
}

impl<'a> Partitions<'a> {
    fn new(keys: &'a [PartitionKey]) -> Self {
        Self { keys, last: None }
    }

    fn of(&mut self, file: &LakeFile) -> Result<Arc<Constants>> {
        // Files come in the order of their folders.
        if let Some((partition, constants)) = &self.last
            && *partition == file.partition
        {
            return Ok(Arc::clone(constants));
        }
        let mut constants = Constants::new();
        for (key, value) in self.keys.iter().zip(file.partition.iter()) {
            let value = scalar::literal(value.as_ref(), &key.primitive_type).ok_or_else(|| {
                Error::Column {
                    column: key.name.clone(),
                    problem: format!(
                        "the partition value of {} is not of its type",
                        file.location
                    ),
                }
            })?;
            constants.insert(key.name.clone(), value);
        }
        let constants = Arc::new(constants);
        self.last = Some((Arc::clone(&file.partition), Arc::clone(&constants)));
        Ok(constants)
    }
}

impl Container for &File {
    fn range(&self, column: &str) -> Range {
        let value = self.constants.get(column);
        value.map_or_else(Range::default, |value| Range::constant(value, self.rows))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn constants(&self) -> Option<&Constants> {
        Some(&self.constants)
    }
}

#[async_trait]
impl TableProvider for LakeTable {
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
        self.check_usable(projection, filters)?;
        let filters = Filters::new(session, self.scan.columns.arrow(), filters, &self.constant)?;
        let all: Vec<&File> = self.files.iter().collect();
        let keep = filters.keep(&all)?;
        let mut rows = 0;
        let mut files = Vec::new();
        for (file, _) in all.into_iter().zip(keep).filter(|(_, keep)| *keep) {
            rows += file.rows;
            files.push(ScanFile {
                location: file.info.location.clone(),
                size: file.info.size,
                rows: file.rows,
                first_row_id: None,
                sequence_number: 0,
                constants: Arc::clone(&file.constants),
                deletes: Vec::new(),
            });
        }
        let rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
        let wanted = Wanted {
            projection,
            limit,
            ahead: None,
        };
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
