//! Iceberg tables as DataFusion tables.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use calve_base::Location;
use calve_catalog::Table;
use calve_parquet::{NAME_MAPPING_PROPERTY, NameMapping};
use calve_table::with_row_lineage;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::datasource::TableType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use iceberg::spec::{PartitionSpec, Schema, SnapshotRef, Transform};
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringTreemap;

use crate::plan::{Planner, PrimitiveColumns, file_filter, top_level};
use crate::read::{
    DeleteFile, Filters, ReadAhead, ScanFile, ScanTable, TableColumns, Wanted, plan, positions_in,
    support,
};
use crate::sql::{Version, snapshot_at};
use crate::{Error, Result};

/// A snapshot of an Iceberg table that DataFusion can read.
#[derive(Debug)]
pub struct IcebergTable {
    table: Table,
    snapshot: Option<SnapshotRef>,
    scan: Arc<ScanTable>,
    /// Columns that are identity partition fields in every spec of the table.
    constant: HashSet<String>,
    primitives: Arc<PrimitiveColumns>,
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
        let columns = columns(table, schema)?;
        let primitives = Arc::new(PrimitiveColumns::new(columns.schema()));
        let specs = table.metadata().partition_specs_iter();
        let constant = constant_in_all(columns.schema(), specs.map(AsRef::as_ref));
        Ok(Self {
            table: table.clone(),
            snapshot,
            scan: Arc::new(ScanTable::new(columns, table.storage().clone())),
            constant,
            primitives,
        })
    }

    /// The same table with the columns of row lineage behind its own: `_row_id` and
    /// `_last_updated_sequence_number`, as format version 3 has them.
    ///
    /// # Errors
    /// When the table has a column of one of their names.
    pub fn with_row_lineage(self) -> Result<Self> {
        let schema = with_row_lineage(self.scan.columns.schema())?;
        let columns = columns(&self.table, Arc::new(schema))?;
        let scan = ScanTable::new(columns, self.table.storage().clone()).with_lineage();
        // The bounds of files say nothing of these columns: `primitives` stays without them.
        Ok(Self {
            scan: Arc::new(scan),
            ..self
        })
    }

    /// The snapshot that is read; `None` where the table has none yet.
    pub fn snapshot_id(&self) -> Option<i64> {
        self.snapshot
            .as_ref()
            .map(|snapshot| snapshot.snapshot_id())
    }
}

/// The conditions of a plan, its columns without the names of tables.
fn conditions(plan: &LogicalPlan) -> Vec<Expr> {
    let mut conditions: Vec<Expr> = plan.inputs().into_iter().flat_map(conditions).collect();
    if let LogicalPlan::Filter(filter) = plan {
        let parts = split_conjunction(&filter.predicate);
        conditions.extend(parts.into_iter().cloned().map(unnormalize_col));
    }
    conditions
}

/// All files of a snapshot as a table, which can be read in parts.
#[derive(Debug, Clone)]
pub struct TableFiles {
    scan: Arc<ScanTable>,
    files: Vec<ScanFile>,
    ahead: Option<ReadAhead>,
}

impl IcebergTable {
    /// Lists the files of the snapshot. Rows that delete files take away stay away.
    ///
    /// # Errors
    /// When the manifests cannot be read.
    pub async fn table_files(&self, session: &dyn Session) -> Result<TableFiles> {
        let schema = self.scan.columns.arrow();
        let filters = Arc::new(Filters::new(session, schema, &[], &self.constant)?);
        let planner = Planner {
            table: &self.table,
            schema: self.scan.columns.schema(),
            primitives: &self.primitives,
            filters: &filters,
        };
        let (mut files, _) = planner.files(self.snapshot.as_ref()).await?;
        files.sort_by(|left, right| left.location.as_str().cmp(right.location.as_str()));
        Ok(TableFiles {
            scan: Arc::clone(&self.scan),
            files,
            ahead: None,
        })
    }

    /// Some files of the table, as a scan has listed them, to be read in this order. Rows that delete files
    /// take away stay away.
    ///
    /// # Errors
    /// When a file is of no format that is read, or its partition makes no sense.
    pub fn files_of(
        &self,
        session: &dyn Session,
        files: &[calve_table::ScanFile],
    ) -> Result<TableFiles> {
        let schema = self.scan.columns.arrow();
        let filters = Arc::new(Filters::new(session, schema, &[], &self.constant)?);
        let planner = Planner {
            table: &self.table,
            schema: self.scan.columns.schema(),
            primitives: &self.primitives,
            filters: &filters,
        };
        Ok(TableFiles {
            scan: Arc::clone(&self.scan),
            files: planner.listed(files)?,
            ahead: None,
        })
    }

    /// Reads a position delete file of the table: the deleted positions of each data file that it names, by the
    /// files' canonical locations. Of other delete files, nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or is malformed.
    pub async fn deleted_positions(
        &self,
        delete: &calve_table::DeleteFile,
    ) -> Result<HashMap<String, RoaringTreemap>> {
        let wrong = |problem| Error::Table {
            ident: self.table.ident().clone(),
            problem,
        };
        let delete = DeleteFile::new(&delete.file).map_err(wrong)?;
        Ok(positions_in(&self.scan, &delete).await?)
    }

    /// Reads the footer of a data file of the table, without its page indexes.
    ///
    /// # Errors
    /// When the file cannot be read, or is malformed.
    pub async fn footer(&self, file: &calve_table::ScanFile) -> Result<Arc<ParquetMetaData>> {
        let path = file.file.path.as_str();
        let location = Location::parse(path).map_err(|error| Error::Table {
            ident: self.table.ident().clone(),
            problem: error.to_string(),
        })?;
        self.scan.footer((&location, file.file.size_bytes)).await
    }

    /// Says of data files whether they may have rows of which a condition in SQL is true.
    ///
    /// # Errors
    /// When the condition is wrong.
    pub async fn file_filter(
        &self,
        session: &crate::Session,
        condition: &str,
    ) -> Result<calve_table::FileFilter> {
        let all = Self::new(&self.table, None, Arc::clone(self.scan.columns.schema()))?;
        let rows = session
            .select_from(Arc::new(all), None, Some(condition))
            .await?;
        let conditions = conditions(rows.logical_plan());
        let state = session.context().state();
        let schema = self.scan.columns.arrow();
        let filters = Filters::new(&state, schema, &conditions, &self.constant)?;
        Ok(file_filter(
            Arc::clone(self.scan.columns.schema()),
            Arc::clone(&self.primitives),
            filters,
        ))
    }

    /// The schema that is read.
    pub fn iceberg_schema(&self) -> &Schema {
        self.scan.columns.schema()
    }
}

impl TableFiles {
    /// Each file's location, size in bytes and number of rows (deleted ones included), in the order of
    /// their locations.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&Location, u64, u64)> {
        let files = self.files.iter();
        files.map(|file| (&file.location, file.size, file.rows))
    }

    /// The same table with some of its files only, by their places in [`TableFiles::files`]. Places that
    /// are none are passed over.
    #[must_use]
    pub fn with_files(&self, places: &[usize]) -> Self {
        let files = places.iter().filter_map(|place| self.files.get(*place));
        Self {
            scan: Arc::clone(&self.scan),
            files: files.cloned().collect(),
            ahead: self.ahead,
        }
    }

    /// Reads small files whole, one request each, before they are asked for.
    #[must_use]
    pub fn with_read_ahead(mut self, ahead: ReadAhead) -> Self {
        self.ahead = Some(ahead);
        self
    }
}

#[async_trait]
impl TableProvider for TableFiles {
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
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let wanted = Wanted {
            projection,
            limit,
            ahead: self.ahead,
        };
        let scan = Arc::clone(&self.scan);
        plan(session, scan, self.files.clone(), Precision::Absent, wanted)
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let nothing = HashSet::new();
        Ok(filters
            .iter()
            .map(|filter| support(filter, &nothing))
            .collect())
    }
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

/// How a table's files are read by a schema.
fn columns(table: &Table, schema: Arc<Schema>) -> Result<TableColumns> {
    let mapping = name_mapping(table)?;
    TableColumns::new(schema, mapping).map_err(|source| Error::Metadata {
        ident: table.ident().clone(),
        source,
    })
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
        let filters = Arc::new(Filters::new(session, schema, filters, &self.constant)?);
        let planner = Planner {
            table: &self.table,
            schema: self.scan.columns.schema(),
            primitives: &self.primitives,
            filters: &filters,
        };
        let (files, rows) = planner.files(self.snapshot.as_ref()).await?;
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
