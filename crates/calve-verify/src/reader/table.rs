//! The table as another reader shows it, for DataFusion.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use calve_catalog::Table;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;

use super::ReadBy;
use super::process::{Request, Rows};
use super::python::PythonReader;
use crate::{Error, Result};

/// The key of the schema's metadata under which a reader names itself.
const READ_BY: &str = "calve.reader";

/// A table that a process of Python reads. Each scan starts one, which reads the wanted columns.
#[derive(Debug, Clone)]
pub(crate) struct ForeignTable {
    schema: SchemaRef,
    read_by: ReadBy,
    scanned: Arc<Scanned>,
}

/// What is the same in all scans.
#[derive(Debug)]
struct Scanned {
    reader: PythonReader,
    metadata_location: String,
    snapshot_id: Option<i64>,
    /// Why a scan failed. DataFusion keeps no more of it than the text.
    failure: Mutex<Option<Error>>,
}

impl ForeignTable {
    /// Asks the reader for the table's schema as it sees it.
    ///
    /// # Errors
    /// When the reader cannot be started, lacks a package, or cannot read the table.
    pub(crate) async fn open(
        reader: &PythonReader,
        table: &Table,
        snapshot_id: Option<i64>,
    ) -> Result<Self> {
        let scanned = Scanned {
            reader: reader.clone(),
            metadata_location: table.metadata_location().to_string(),
            snapshot_id,
            failure: Mutex::new(None),
        };
        let rows = scanned.start(None).await?;
        let name = rows.schema.metadata().get(READ_BY);
        let name = name.map_or(reader.package.as_str(), String::as_str);
        Ok(Self {
            read_by: ReadBy::parse(name),
            schema: Arc::new(plain(&rows.schema)),
            scanned: Arc::new(scanned),
        })
    }

    /// Who reads.
    pub(crate) fn read_by(&self) -> &ReadBy {
        &self.read_by
    }

    /// Why a scan failed, if one did.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.scanned.failure().take()
    }
}

impl Scanned {
    async fn start(&self, columns: Option<&[String]>) -> Result<Rows> {
        let request = Request {
            reader: self.reader.package.as_str(),
            metadata_location: &self.metadata_location,
            snapshot_id: self.snapshot_id,
            columns,
            properties: &self.reader.properties,
        };
        Rows::start(&self.reader, request).await
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error, and gives DataFusion its text.
    fn keep(&self, error: Error) -> DataFusionError {
        let text = error.to_string();
        self.failure().get_or_insert(error);
        DataFusionError::Execution(text)
    }
}

/// A schema without notes, whose columns may all be null.
fn plain(schema: &Schema) -> Schema {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Schema::new(fields.collect::<Vec<_>>())
}

#[async_trait]
impl TableProvider for ForeignTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let mut columns: Vec<String> = names(&schema);
        if columns.is_empty() {
            // No reader hands over rows without columns.
            columns.extend(names(&self.schema).into_iter().take(1));
        }
        let scan = Arc::new(Scan {
            schema: Arc::clone(&schema),
            columns,
            scanned: Arc::clone(&self.scanned),
        });
        let plan = StreamingTableExec::try_new(schema, vec![scan], None, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

fn names(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// One pass over some columns.
struct Scan {
    schema: SchemaRef,
    columns: Vec<String>,
    scanned: Arc<Scanned>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let scan = Arc::new(Self {
            schema: Arc::clone(&self.schema),
            columns: self.columns.clone(),
            scanned: Arc::clone(&self.scanned),
        });
        let batches = stream::try_unfold(None, move |rows: Option<Rows>| {
            let scan = Arc::clone(&scan);
            async move {
                let started = match rows {
                    Some(rows) => Ok(rows),
                    None => scan.scanned.start(Some(&scan.columns)).await,
                };
                let mut rows = started.map_err(|error| scan.scanned.keep(error))?;
                let Some(batch) = rows.next().await else {
                    return Ok(None);
                };
                let batch = batch.map_err(|error| scan.scanned.keep(error))?;
                Ok(Some((fit(&batch, &scan.schema)?, Some(rows))))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

/// The wanted columns of a batch, with the schema that was promised.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> DataFusionResult<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch.column_by_name(field.name());
            column.cloned().ok_or_else(|| {
                let name = field.name();
                DataFusionError::Execution(format!("the reader left out the column `{name}`"))
            })
        })
        .collect::<DataFusionResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}
