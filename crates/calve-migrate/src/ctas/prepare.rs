//! Rows of a query made ready to be written: in the table's types, counted, with the keys that they are
//! distributed and sorted by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use calve_query::{MapExec, Nanoseconds, SortKeys};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use iceberg::arrow::PartitionValueCalculator;
use iceberg::spec::TableMetadata;

use super::rows::convert;
use super::tally::Tally;
use crate::SortBy;

/// How rows are made ready.
pub(super) struct Preparation {
    /// The table's columns, in Arrow.
    table: SchemaRef,
    nanoseconds: Nanoseconds,
    /// Tells the partition of a row; nothing where the table has no partitions.
    partitions: Option<PartitionValueCalculator>,
    /// How many keys tell the partition: the first ones.
    partition_keys: usize,
    /// Behind the table's columns and the partitions' keys.
    sort_keys: SortKeys,
    tally: Mutex<Tally>,
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparation")
            .field("sort_keys", &self.sort_keys)
            .finish_non_exhaustive()
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl Preparation {
    /// Prepares rows for a table, to be sorted by these fields within their partitions.
    pub(super) fn new(
        metadata: &TableMetadata,
        sort_by: &SortBy,
        nanoseconds: Nanoseconds,
    ) -> iceberg::Result<Self> {
        let schema = metadata.current_schema();
        let spec = metadata.default_partition_spec();
        let table = Arc::new(iceberg::arrow::schema_to_arrow_schema(schema)?);
        let mut fields: Vec<Arc<Field>> = table.fields().iter().cloned().collect();
        let partitions = if spec.is_unpartitioned() {
            None
        } else {
            Some(PartitionValueCalculator::try_new(spec, schema)?)
        };
        let mut partition_keys = 0;
        if let Some(calculator) = &partitions
            && let arrow::datatypes::DataType::Struct(keys) = calculator.partition_arrow_type()
        {
            partition_keys = keys.len();
            for (index, key) in keys.iter().enumerate() {
                let name = format!("#partition{index}");
                fields.push(Arc::new(Field::new(name, key.data_type().clone(), true)));
            }
        }
        let with_partitions = Arc::new(ArrowSchema::new(fields));
        let order = sort_by.order(schema)?;
        let sort_keys = SortKeys::new(&order.fields, schema, &with_partitions)?;
        Ok(Self {
            tally: Mutex::new(Tally::new(table.fields().len())),
            table,
            nanoseconds,
            partitions,
            partition_keys,
            sort_keys,
        })
    }

    /// Makes the rows of a query ready, between the query and their distribution.
    pub(super) fn of(self: &Arc<Self>, rows: Arc<dyn ExecutionPlan>) -> MapExec {
        let preparation = Arc::clone(self);
        let schema = Arc::clone(self.with_keys());
        let prepare = move |batch: RecordBatch| preparation.apply(&batch);
        MapExec::new(rows, schema, Arc::new(prepare))
    }

    /// The keys that tell a row's partition.
    pub(super) fn partition_exprs(&self) -> Vec<Arc<dyn PhysicalExpr>> {
        let first = self.table.fields().len();
        let indices = first..first + self.partition_keys;
        indices.map(|index| self.column(index)).collect()
    }

    /// Whether rows are sorted by more than their partition.
    pub(super) fn is_sorted(&self) -> bool {
        !self.sort_keys.is_empty()
    }

    /// The order of the rows: by partition, then as they are to be sorted. `None` where any will do.
    pub(super) fn ordering(&self) -> Option<LexOrdering> {
        let by_partition = self.partition_exprs().into_iter();
        let by_partition = by_partition.map(|expr| PhysicalSortExpr {
            expr,
            options: SortOptions {
                descending: false,
                nulls_first: true,
            },
        });
        LexOrdering::new(by_partition.chain(self.sort_keys.ordering()))
    }

    /// The table's columns, then the keys.
    fn with_keys(&self) -> &SchemaRef {
        self.sort_keys.schema()
    }

    fn column(&self, index: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(self.with_keys().field(index).name(), index))
    }

    /// Takes the keys off prepared rows.
    pub(super) fn strip(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns()[..self.table.fields().len()].to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let stripped =
            RecordBatch::try_new_with_options(Arc::clone(&self.table), columns, &options);
        Ok(stripped?)
    }

    /// What was counted of the rows that went through.
    pub(super) fn tally(&self) -> Tally {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.clone()
    }

    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.with_keys().fields().len());
        for (field, column) in self.table.fields().iter().zip(batch.columns()) {
            let converted = convert(column, field.data_type(), self.nanoseconds);
            columns.push(converted.map_err(|error| {
                let problem = format!("column `{}`: {error}", field.name());
                DataFusionError::Execution(problem)
            })?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let plain = RecordBatch::try_new_with_options(Arc::clone(&self.table), columns, &options)?;
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(&plain);
        let mut columns = plain.columns().to_vec();
        if let Some(calculator) = &self.partitions {
            let values = calculator.calculate(&plain).map_err(external)?;
            columns.extend(values.as_struct().columns().iter().cloned());
        }
        columns.extend(self.sort_keys.columns(&plain)?);
        let schema = Arc::clone(self.with_keys());
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}
