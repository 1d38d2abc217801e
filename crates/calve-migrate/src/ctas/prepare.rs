//! Rows of a query made ready to be written: in the table's types, counted, with the keys that they are
//! distributed and sorted by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use calve_query::{MapExec, Nanoseconds, SortKeys};
use datafusion::common::hash_utils::{RandomState, create_hashes};
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
    /// Behind the table's columns and the partition's key.
    sort_keys: SortKeys,
    /// All of these as they are sorted.
    sorted: SchemaRef,
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
        if partitions.is_some() {
            let key = Field::new("#partition", DataType::UInt64, false);
            fields.push(Arc::new(key));
        }
        let with_partitions = Arc::new(ArrowSchema::new(fields));
        let order = sort_by.order(schema)?;
        let sort_keys = SortKeys::new(&order.fields, schema, &with_partitions)?;
        let is_sorted = partitions.is_some() || !sort_keys.is_empty();
        let sorted = sort_keys.schema().fields().iter().map(|field| {
            let of = field.data_type();
            let of = if is_sorted {
                sorted_type(of)
            } else {
                of.clone()
            };
            Arc::new(field.as_ref().clone().with_data_type(of))
        });
        Ok(Self {
            sorted: Arc::new(ArrowSchema::new(sorted.collect::<Vec<_>>())),
            tally: Mutex::new(Tally::new(table.fields().len())),
            table,
            nanoseconds,
            partitions,
            sort_keys,
        })
    }

    /// Makes the rows of a query ready, between the query and their distribution.
    pub(super) fn of(self: &Arc<Self>, rows: Arc<dyn ExecutionPlan>) -> MapExec {
        let preparation = Arc::clone(self);
        let schema = Arc::clone(&self.sorted);
        let prepare = move |batch: RecordBatch| preparation.apply(&batch);
        MapExec::new(rows, schema, Arc::new(prepare))
    }

    /// The key that rows of a partition have in common: a hash of its values, since it is only there to bring them
    /// together, and values would have to be moved and compared with each row. Two partitions of one hash would be
    /// written by turns, each into more files.
    pub(super) fn partition_expr(&self) -> Option<Arc<dyn PhysicalExpr>> {
        let index = self.table.fields().len();
        self.partitions.as_ref().map(|_| self.column(index))
    }

    /// Whether rows are sorted by more than their partition.
    pub(super) fn is_sorted(&self) -> bool {
        !self.sort_keys.is_empty()
    }

    /// The order of the rows: by partition, then as they are to be sorted. `None` where any will do.
    pub(super) fn ordering(&self) -> Option<LexOrdering> {
        let by_partition = self.partition_expr().into_iter();
        let by_partition = by_partition.map(|expr| PhysicalSortExpr {
            expr,
            options: SortOptions {
                descending: false,
                nulls_first: true,
            },
        });
        LexOrdering::new(by_partition.chain(self.sort_keys.ordering()))
    }

    fn column(&self, index: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(self.sorted.field(index).name(), index))
    }

    /// Takes the keys off prepared rows, and gives their columns the table's types again.
    pub(super) fn strip(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().zip(self.table.fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
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
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.sorted.fields().len());
        for (field, column) in self.table.fields().iter().zip(batch.columns()) {
            let converted = convert(column, field.data_type(), self.nanoseconds);
            columns.push(converted.map_err(|error| {
                let problem = format!("column `{}`: {error}", field.name());
                DataFusionError::Execution(problem)
            })?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let plain = RecordBatch::try_new_with_options(Arc::clone(&self.table), columns, &options)?;
        let mut tally = Tally::new(plain.num_columns());
        tally.add(&plain);
        let mut all = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        all.merge(&tally);
        drop(all);
        let mut columns = plain.columns().to_vec();
        if let Some(calculator) = &self.partitions {
            let values = calculator.calculate(&plain).map_err(external)?;
            let mut hashes = vec![0; plain.num_rows()];
            let values = values.as_struct().columns();
            create_hashes(values, &RandomState::default(), &mut hashes)?;
            columns.push(Arc::new(UInt64Array::from(hashes)));
        }
        columns.extend(self.sort_keys.columns(&plain)?);
        let schema = Arc::clone(&self.sorted);
        for (field, column) in schema.fields().iter().zip(&mut columns) {
            if field.data_type() != column.data_type() {
                *column = cast(column, field.data_type())?;
            }
        }
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// The type that rows have while they are sorted: texts and binaries are views, of which short ones are compared and
/// moved without a look elsewhere.
fn sorted_type(of: &DataType) -> DataType {
    match of {
        DataType::Utf8 => DataType::Utf8View,
        DataType::LargeBinary => DataType::BinaryView,
        other => other.clone(),
    }
}
