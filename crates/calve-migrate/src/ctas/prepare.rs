//! Rows of a query made ready to be written: in the table's types, counted, with the keys that they are
//! distributed and sorted by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::NullBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use calve_query::Nanoseconds;
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PhysicalExpr,
    PlanProperties,
};
use futures::StreamExt;
use iceberg::arrow::PartitionValueCalculator;
use iceberg::spec::{NullOrder, SortDirection, TableMetadata, Transform};
use iceberg::transform::{BoxedTransformFunction, create_transform_function};

use super::rows::convert;
use super::tally::Tally;
use crate::SortBy;

/// How rows are made ready.
pub(super) struct Preparation {
    /// The table's columns, in Arrow.
    table: SchemaRef,
    /// The table's columns, then the keys.
    with_keys: SchemaRef,
    nanoseconds: Nanoseconds,
    /// Tells the partition of a row; nothing where the table has no partitions.
    partitions: Option<PartitionValueCalculator>,
    /// How many keys tell the partition: the first ones.
    partition_keys: usize,
    sort_keys: Vec<SortKey>,
    tally: Mutex<Tally>,
}

/// Where one field that rows are sorted by comes from.
struct SortKey {
    /// The path to the column, as indices of fields.
    path: Vec<usize>,
    /// What is made of it; nothing where the column itself is the key.
    transform: Option<BoxedTransformFunction>,
    options: SortOptions,
    /// The column of the prepared rows that is the key.
    index: usize,
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preparation")
            .field("with_keys", &self.with_keys)
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
        let mut sort_keys = Vec::new();
        for field in sort_by.fields() {
            let path = path(&table, &field.column).ok_or_else(|| {
                let problem = format!("cannot sort by column `{}`", field.column);
                iceberg::Error::new(iceberg::ErrorKind::DataInvalid, problem)
            })?;
            let is_itself = path.len() == 1 && field.transform == Transform::Identity;
            let index = if is_itself { path[0] } else { fields.len() };
            if !is_itself {
                let id = schema.field_id_by_name(&field.column);
                let source = id.and_then(|id| schema.field_by_id(id));
                let of = source.map_or_else(
                    || {
                        Err(iceberg::Error::new(
                            iceberg::ErrorKind::DataInvalid,
                            "no column",
                        ))
                    },
                    |source| field.transform.result_type(&source.field_type),
                )?;
                let of = iceberg::arrow::type_to_arrow_type(&of)?;
                fields.push(Arc::new(Field::new(format!("#sort{index}"), of, true)));
            }
            sort_keys.push(SortKey {
                path,
                transform: if is_itself {
                    None
                } else {
                    Some(create_transform_function(&field.transform)?)
                },
                options: SortOptions {
                    descending: field.direction == SortDirection::Descending,
                    nulls_first: field.nulls == NullOrder::First,
                },
                index,
            });
        }
        Ok(Self {
            tally: Mutex::new(Tally::new(table.fields().len())),
            table,
            with_keys: Arc::new(ArrowSchema::new(fields)),
            nanoseconds,
            partitions,
            partition_keys,
            sort_keys,
        })
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
        let by_key = self.sort_keys.iter().map(|key| PhysicalSortExpr {
            expr: self.column(key.index),
            options: key.options,
        });
        LexOrdering::new(by_partition.chain(by_key))
    }

    fn column(&self, index: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(self.with_keys.field(index).name(), index))
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
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.with_keys.fields().len());
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
        for key in &self.sort_keys {
            if let Some(transform) = &key.transform {
                let source = leaf(&plain, &key.path)?;
                columns.push(transform.transform(source).map_err(external)?);
            }
        }
        let schema = Arc::clone(&self.with_keys);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// The indices of the fields on the way to a column; `None` where there is none or it lies in a list.
fn path(schema: &ArrowSchema, column: &str) -> Option<Vec<usize>> {
    fn find(fields: &arrow::datatypes::Fields, column: &str, path: &mut Vec<usize>) -> Option<()> {
        for (index, field) in fields.iter().enumerate() {
            let Some(rest) = column.strip_prefix(field.name().as_str()) else {
                continue;
            };
            path.push(index);
            if rest.is_empty() {
                return Some(());
            }
            if let Some(rest) = rest.strip_prefix('.')
                && let arrow::datatypes::DataType::Struct(inner) = field.data_type()
                && find(inner, rest, path).is_some()
            {
                return Some(());
            }
            path.pop();
        }
        None
    }
    let mut found = Vec::new();
    find(schema.fields(), column, &mut found).map(|()| found)
}

/// The column at the end of a path, null where a struct around it is.
fn leaf(batch: &RecordBatch, path: &[usize]) -> Result<ArrayRef> {
    let Some((first, rest)) = path.split_first() else {
        return internal_err!("a sort key without a column");
    };
    let mut array = Arc::clone(batch.column(*first));
    for index in rest {
        let parent = array.as_struct();
        let nulls = NullBuffer::union(parent.nulls(), parent.column(*index).nulls());
        let child = parent.column(*index).to_data().into_builder().nulls(nulls);
        array = arrow::array::make_array(child.build()?);
    }
    Ok(array)
}

/// The operator that makes rows ready, between the query and their distribution.
#[derive(Debug)]
pub(super) struct PrepareExec {
    input: Arc<dyn ExecutionPlan>,
    preparation: Arc<Preparation>,
    properties: Arc<PlanProperties>,
}

impl PrepareExec {
    /// Makes the rows of `input` ready.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, preparation: Arc<Preparation>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&preparation.with_keys)),
            input.output_partitioning().clone().into_unknown(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            preparation,
            properties: Arc::new(properties),
        }
    }
}

/// Keeps the number of partitions, whose expressions would mean other columns.
trait IntoUnknown {
    fn into_unknown(self) -> Self;
}

impl IntoUnknown for datafusion::physical_plan::Partitioning {
    fn into_unknown(self) -> Self {
        Self::UnknownPartitioning(self.partition_count())
    }
}

impl DisplayAs for PrepareExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrepareExec")
    }
}

impl ExecutionPlan for PrepareExec {
    fn name(&self) -> &'static str {
        "PrepareExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let (Some(input), true) = (children.pop(), children.is_empty()) {
            let preparation = Arc::clone(&self.preparation);
            return Ok(Arc::new(Self::new(input, preparation)));
        }
        internal_err!("PrepareExec has one child")
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let preparation = Arc::clone(&self.preparation);
        let schema = Arc::clone(&preparation.with_keys);
        let rows = rows.map(move |batch| preparation.apply(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
