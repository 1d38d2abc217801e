//! The keys that rows of a table are sorted by, as its sort orders have them.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use iceberg::spec::{NullOrder, Schema, SortDirection, SortField, Transform};
use iceberg::transform::{BoxedTransformFunction, create_transform_function};

/// Computes the keys of rows that are to be sorted.
///
/// A column of the table that is a key itself is used where it is; what is made of columns, and columns inside
/// others, become columns behind those that are there.
#[derive(Debug)]
pub struct SortKeys {
    keys: Vec<SortKey>,
    /// The columns that were there, then the keys.
    schema: SchemaRef,
}

/// Where one field that rows are sorted by comes from.
struct SortKey {
    /// The path to the column, as indices of fields.
    path: Vec<usize>,
    /// What is made of it; nothing where the column itself is the key.
    transform: Option<BoxedTransformFunction>,
    options: SortOptions,
    /// The column that is the key.
    index: usize,
}

impl fmt::Debug for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SortKey")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SortKeys {
    /// The keys of some fields of a sort order of a table. `rows` is what the rows have: the table's columns,
    /// and others behind them.
    ///
    /// # Errors
    /// When the table has no such column, it lies in a list or a map, or a transform does not take its type.
    pub fn new(fields: &[SortField], schema: &Schema, rows: &SchemaRef) -> iceberg::Result<Self> {
        let mut columns: Vec<Arc<Field>> = rows.fields().iter().cloned().collect();
        let mut keys = Vec::with_capacity(fields.len());
        for field in fields {
            let name = schema.name_by_field_id(field.source_id);
            let source = schema.field_by_id(field.source_id);
            let path = name.and_then(|name| path(rows, name));
            let (Some(source), Some(path)) = (source, path) else {
                let column = name.map_or_else(|| field.source_id.to_string(), ToOwned::to_owned);
                return Err(iceberg::Error::new(
                    iceberg::ErrorKind::DataInvalid,
                    format!("cannot sort by column `{column}`"),
                ));
            };
            let is_itself = path.len() == 1 && field.transform == Transform::Identity;
            let index = if is_itself { path[0] } else { columns.len() };
            let mut transform = None;
            if !is_itself {
                let of = field.transform.result_type(&source.field_type)?;
                let of = iceberg::arrow::type_to_arrow_type(&of)?;
                columns.push(Arc::new(Field::new(format!("#sort{index}"), of, true)));
                transform = Some(create_transform_function(&field.transform)?);
            }
            keys.push(SortKey {
                path,
                transform,
                options: SortOptions {
                    descending: field.direction == SortDirection::Descending,
                    nulls_first: field.null_order == NullOrder::First,
                },
                index,
            });
        }
        Ok(Self {
            keys,
            schema: Arc::new(ArrowSchema::new(columns)),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The columns of the rows, then those that were made of them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What rows with these columns are sorted by.
    pub fn ordering(&self) -> impl Iterator<Item = PhysicalSortExpr> {
        self.keys.iter().map(|key| {
            let column = Column::new(self.schema.field(key.index).name(), key.index);
            PhysicalSortExpr::new(Arc::new(column), key.options)
        })
    }

    /// Makes of a batch the columns that come behind its own.
    ///
    /// # Errors
    /// When the batch is not of the columns that were promised.
    pub fn columns(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::new();
        for key in &self.keys {
            if let Some(transform) = &key.transform {
                let source = leaf(batch, &key.path)?;
                let made = transform.transform(source);
                columns.push(made.map_err(|error| DataFusionError::External(Box::new(error)))?);
            }
        }
        Ok(columns)
    }
}

/// The indices of the fields on the way to a column; `None` where there is none or it lies in a list.
pub fn path(schema: &ArrowSchema, column: &str) -> Option<Vec<usize>> {
    fn find(fields: &Fields, column: &str, path: &mut Vec<usize>) -> Option<()> {
        for (index, field) in fields.iter().enumerate() {
            let Some(rest) = column.strip_prefix(field.name().as_str()) else {
                continue;
            };
            path.push(index);
            if rest.is_empty() {
                return Some(());
            }
            if let Some(rest) = rest.strip_prefix('.')
                && let DataType::Struct(inner) = field.data_type()
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
///
/// # Errors
/// When the path is empty.
pub fn leaf(batch: &RecordBatch, path: &[usize]) -> Result<ArrayRef> {
    let Some((first, rest)) = path.split_first() else {
        return internal_err!("a key without a column");
    };
    let mut array = Arc::clone(batch.column(*first));
    for index in rest {
        let parent = array.as_struct();
        let nulls = NullBuffer::union(parent.nulls(), parent.column(*index).nulls());
        let child = parent.column(*index).to_data().into_builder().nulls(nulls);
        array = make_array(child.build()?);
    }
    Ok(array)
}
