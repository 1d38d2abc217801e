//! The rows of a group in the order in which they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use calve_query::{MapExec, SortKeys};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use iceberg::arrow::PartitionValueCalculator;
use iceberg::spec::{PartitionSpec, Schema};

use crate::strategy::RowOrder;
use crate::z_order::{Lengths, ZOrder};

/// Brings rows into an order by keys that are made of them.
#[derive(Debug)]
pub(crate) struct OrderedRows {
    /// The columns of the rows.
    rows: SchemaRef,
    /// Tells the partitions, which come before the keys where a group's rows are of several.
    partitions: Option<Partitions>,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Sort(SortKeys),
    ZOrder(ZOrder),
}

/// The values of a partition spec.
struct Partitions {
    calculator: PartitionValueCalculator,
    /// Where they stand behind the columns of the rows.
    count: usize,
}

impl std::fmt::Debug for Partitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partitions")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl OrderedRows {
    /// Rows of these columns in this order, partition by partition where `spec` is given; `None` where they stay
    /// as they are.
    ///
    /// # Errors
    /// When the rows have no such columns.
    pub(crate) fn new(
        order: &RowOrder,
        schema: &Schema,
        rows: &SchemaRef,
        spec: Option<&PartitionSpec>,
        lengths: Lengths,
    ) -> iceberg::Result<Option<Arc<Self>>> {
        let mut fields: Vec<Arc<Field>> = rows.fields().iter().cloned().collect();
        let partitions = spec.map(|spec| Partitions::new(spec, schema, &mut fields));
        let partitions = partitions.transpose()?;
        let with_partitions = Arc::new(ArrowSchema::new(fields));
        let keys = match order {
            RowOrder::AsTheyAre => return Ok(None),
            RowOrder::Sorted(order) => {
                Keys::Sort(SortKeys::new(&order.fields, schema, &with_partitions)?)
            }
            RowOrder::ZOrder(ids) => {
                Keys::ZOrder(ZOrder::new(ids, schema, &with_partitions, lengths)?)
            }
        };
        Ok(Some(Arc::new(Self {
            rows: Arc::clone(rows),
            partitions,
            keys,
        })))
    }

    /// Sorts rows, in as many parts at once as they come in, and spills what memory has no room for.
    pub(crate) fn sort(self: &Arc<Self>, rows: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let (this, that) = (Arc::clone(self), Arc::clone(self));
        let add = move |batch: RecordBatch| this.with_keys(&batch);
        let strip = move |batch: RecordBatch| that.without_keys(&batch);
        let with_keys = Arc::clone(self.schema());
        let mut sorted: Arc<dyn ExecutionPlan> =
            Arc::new(MapExec::new(rows, with_keys, Arc::new(add)));
        if let Some(ordering) = self.ordering() {
            let sort = SortExec::new(ordering.clone(), sorted).with_preserve_partitioning(true);
            sorted = Arc::new(sort);
            if sorted.output_partitioning().partition_count() > 1 {
                sorted = Arc::new(SortPreservingMergeExec::new(ordering, sorted));
            }
        }
        Arc::new(MapExec::new(
            sorted,
            Arc::clone(&self.rows),
            Arc::new(strip),
        ))
    }

    fn schema(&self) -> &SchemaRef {
        match &self.keys {
            Keys::Sort(keys) => keys.schema(),
            Keys::ZOrder(keys) => keys.schema(),
        }
    }

    fn ordering(&self) -> Option<LexOrdering> {
        let first = self.rows.fields().len();
        let count = self.partitions.as_ref().map_or(0, |it| it.count);
        let by_partition = (first..first + count).map(|index| {
            let column = Column::new(self.schema().field(index).name(), index);
            let options = SortOptions {
                descending: false,
                nulls_first: true,
            };
            PhysicalSortExpr::new(Arc::new(column), options)
        });
        match &self.keys {
            Keys::Sort(keys) => LexOrdering::new(by_partition.chain(keys.ordering())),
            Keys::ZOrder(keys) => LexOrdering::new(by_partition.chain([keys.ordering()])),
        }
    }

    fn with_keys(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        if let Some(partitions) = &self.partitions {
            columns.extend(partitions.values(batch)?);
        }
        match &self.keys {
            Keys::Sort(keys) => columns.extend(keys.columns(batch)?),
            Keys::ZOrder(keys) => columns.push(keys.keys(batch)?),
        }
        with_columns(self.schema(), columns, batch.num_rows())
    }

    fn without_keys(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns()[..self.rows.fields().len()].to_vec();
        with_columns(&self.rows, columns, batch.num_rows())
    }
}

impl Partitions {
    /// Adds a field for each value to those of the rows.
    fn new(
        spec: &PartitionSpec,
        schema: &Schema,
        fields: &mut Vec<Arc<Field>>,
    ) -> iceberg::Result<Self> {
        let calculator = PartitionValueCalculator::try_new(spec, schema)?;
        let before = fields.len();
        if let DataType::Struct(values) = calculator.partition_arrow_type() {
            fields.extend(values.iter().enumerate().map(|(index, value)| {
                let name = format!("#partition{index}");
                Arc::new(Field::new(name, value.data_type().clone(), true))
            }));
        }
        Ok(Self {
            calculator,
            count: fields.len() - before,
        })
    }

    fn values(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let values = self.calculator.calculate(batch);
        let values = values.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(values.as_struct().columns().to_vec())
    }
}

fn with_columns(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(schema);
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}
