//! Rows of a query made ready to be written: in the table's types, counted, with the keys that they are
//! distributed and sorted by.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;
use calve_query::{MapExec, Nanoseconds, SortKeys};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use iceberg::arrow::PartitionValueCalculator;
use iceberg::spec::{TableMetadata, Transform};

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
    /// The places of the table's columns that partitions and keys are computed of.
    computed: Vec<usize>,
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
        let sorted = sort_keys.schema().fields().iter().map(|field| {
            let of = sorted_type(field.data_type());
            Arc::new(field.as_ref().clone().with_data_type(of))
        });
        let is_computed = |id: i32| {
            let mut keys = order.fields.iter();
            spec.fields().iter().any(|field| field.source_id == id)
                || keys.any(|key| key.source_id == id && key.transform != Transform::Identity)
        };
        let columns = schema.as_struct().fields().iter().enumerate();
        let computed = columns.filter(|(_, field)| is_computed(field.id));
        let computed = computed.map(|(place, _)| place).collect();
        Ok(Self {
            sorted: Arc::new(ArrowSchema::new(sorted.collect::<Vec<_>>())),
            tally: Mutex::new(Tally::new(table.fields().len())),
            table,
            nanoseconds,
            partitions,
            sort_keys,
            computed,
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

    /// Takes the keys off prepared rows.
    pub(super) fn strip(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns: Vec<usize> = (0..self.table.fields().len()).collect();
        Ok(batch.project(&columns)?)
    }

    /// What was counted of the rows that went through.
    pub(super) fn tally(&self) -> Tally {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.clone()
    }

    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.sorted.fields().len());
        let fields = self.table.fields().iter().zip(self.sorted.fields());
        for ((field, sorted), column) in fields.zip(batch.columns()) {
            let converted = self.convert(column, field.data_type(), sorted.data_type());
            columns.push(converted.map_err(|error| {
                let problem = format!("column `{}`: {error}", field.name());
                DataFusionError::Execution(problem)
            })?);
        }
        let mut tally = Tally::new(columns.len());
        tally.add(&columns, batch.num_rows());
        let mut all = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        all.merge(&tally);
        drop(all);
        let plain = self.plain(&columns, batch.num_rows())?;
        if let Some(calculator) = &self.partitions {
            let values = calculator.calculate(&plain).map_err(external)?;
            let mut hashes = vec![0; plain.num_rows()];
            let values = values.as_struct().columns();
            create_hashes(values, &RandomState::default(), &mut hashes)?;
            columns.push(Arc::new(UInt64Array::from(hashes)));
        }
        columns.extend(self.sort_keys.columns(&plain)?);
        for (field, column) in self.sorted.fields().iter().zip(&mut columns) {
            if field.data_type() != column.data_type() {
                *column = cast(column, field.data_type())?;
            }
        }
        with_rows(Arc::clone(&self.sorted), columns, batch.num_rows())
    }

    /// A column in the type that rows are sorted in, which has the values of the table's.
    fn convert(
        &self,
        column: &ArrayRef,
        table: &DataType,
        sorted: &DataType,
    ) -> std::result::Result<ArrayRef, ArrowError> {
        if column.data_type() == sorted {
            return Ok(Arc::clone(column));
        }
        let converted = convert(column, table, self.nanoseconds)?;
        cast(&converted, sorted)
    }

    /// The table's columns, in its types where something is computed of them.
    fn plain(&self, columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        let mut fields = self.sorted.fields()[..columns.len()].to_vec();
        let mut columns = columns.to_vec();
        for place in &self.computed {
            let field = &self.table.fields()[*place];
            columns[*place] = cast(&columns[*place], field.data_type())?;
            fields[*place] = Arc::clone(field);
        }
        with_rows(Arc::new(ArrowSchema::new(fields)), columns, rows)
    }
}

fn with_rows(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema, columns, &options);
    Ok(batch?)
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
