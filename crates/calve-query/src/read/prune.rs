//! Leaving out files, and whole manifests, that cannot hold a row that a query asks for.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::scalar::ScalarValue;

use super::adapter::Constants;

/// What is known of one column of a container of rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Range {
    /// A value that none is below.
    pub(crate) min: Option<ScalarValue>,
    /// A value that none is above.
    pub(crate) max: Option<ScalarValue>,
    /// How many NULLs there are.
    pub(crate) nulls: Option<u64>,
}

impl Range {
    /// The range of a column that has one value in all of `rows` rows.
    pub(crate) fn constant(value: &ScalarValue, rows: u64) -> Self {
        if value.is_null() {
            return Self {
                nulls: Some(rows),
                ..Self::default()
            };
        }
        Self {
            min: Some(value.clone()),
            max: Some(value.clone()),
            nulls: Some(0),
        }
    }
}

/// A file or a manifest.
pub(crate) trait Container {
    /// What is known of a column.
    fn range(&self, column: &str) -> Range;
    /// The number of its rows, where that is known.
    fn rows(&self) -> Option<u64>;
    /// The values of the columns that are constant in it.
    fn constants(&self) -> Option<&Constants>;
    /// Whether none of these values can be in the column.
    fn excludes(&self, _column: &str, _values: &HashSet<ScalarValue>) -> bool {
        false
    }
}

/// The filters of one query.
#[derive(Debug)]
pub(crate) struct Filters {
    schema: SchemaRef,
    /// Decides by ranges; may keep too much, never too little.
    ranges: Option<PruningPredicate>,
    /// Decides by constants alone, and finally: DataFusion does not ask again.
    exact: Option<(Arc<dyn PhysicalExpr>, SchemaRef)>,
}

/// Whether a filter is decided by the constants of each file alone.
pub(crate) fn support(filter: &Expr, constant: &HashSet<String>) -> TableProviderFilterPushDown {
    if is_exact(filter, constant) {
        TableProviderFilterPushDown::Exact
    } else {
        TableProviderFilterPushDown::Inexact
    }
}

fn is_exact(filter: &Expr, constant: &HashSet<String>) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && !filter.is_volatile()
        && columns.iter().all(|column| constant.contains(&column.name))
        && !filter
            .exists(|expr| {
                Ok(matches!(
                    expr,
                    Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)
                ))
            })
            .unwrap_or(true)
}

impl Filters {
    /// Prepares the filters of a query over a table whose `constant` columns have one value per file, all files.
    pub(crate) fn new(
        session: &dyn Session,
        schema: &SchemaRef,
        filters: &[Expr],
        constant: &HashSet<String>,
    ) -> Result<Self> {
        let df_schema = DFSchema::try_from(Arc::clone(schema))?;
        let ranges = match conjunction(filters.iter().cloned()) {
            Some(all) => {
                let expr = session.create_physical_expr(all, &df_schema)?;
                // What cannot be understood prunes nothing.
                PruningPredicate::try_new(expr, Arc::clone(schema))
                    .ok()
                    .filter(|predicate| !predicate.always_true())
            }
            None => None,
        };
        let exact = conjunction(
            filters
                .iter()
                .filter(|filter| is_exact(filter, constant))
                .cloned(),
        )
        .map(|expr| -> Result<_> {
            let fields = schema
                .fields()
                .iter()
                .filter(|field| constant.contains(field.name()));
            let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
            let df_schema = DFSchema::try_from(Arc::clone(&schema))?;
            Ok((session.create_physical_expr(expr, &df_schema)?, schema))
        })
        .transpose()?;
        Ok(Self {
            schema: Arc::clone(schema),
            ranges,
            exact,
        })
    }

    /// Which containers may hold rows that the query asks for.
    pub(crate) fn keep<C: Container>(&self, containers: &[C]) -> Result<Vec<bool>> {
        let mut keep = self.keep_by_range(containers);
        if let Some((expr, schema)) = &self.exact {
            let exact = keep_by_constant(expr, schema, containers)?;
            for (keep, exact) in keep.iter_mut().zip(exact) {
                *keep &= exact;
            }
        }
        Ok(keep)
    }

    /// Which containers may hold rows that the query asks for, by their ranges alone: all where ranges cannot be
    /// compared, as DataFusion's own scans do (it compares views with texts for `LIKE`, which Arrow refuses).
    pub(crate) fn keep_by_range<C: Container>(&self, containers: &[C]) -> Vec<bool> {
        let verdict = match &self.ranges {
            Some(predicate) if !containers.is_empty() => predicate.prune(&Statistics {
                schema: &self.schema,
                containers,
            }),
            _ => Ok(vec![true; containers.len()]),
        };
        verdict.unwrap_or_else(|_| vec![true; containers.len()])
    }
}

fn keep_by_constant<C: Container>(
    expr: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    containers: &[C],
) -> Result<Vec<bool>> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let null = ScalarValue::try_from(field.data_type())?;
        let values = containers.iter().map(|container| {
            let constants = container.constants();
            constants
                .and_then(|all| all.get(field.name()))
                .unwrap_or(&null)
                .clone()
        });
        columns.push(to_array(values.collect(), field.data_type())?);
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(containers.len()));
    // A NULL may stand in a required column here: the file lacks a value, and is judged by its rows.
    let relaxed = Schema::new(
        schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect::<Vec<_>>(),
    );
    let batch =
        arrow::array::RecordBatch::try_new_with_options(Arc::new(relaxed), columns, &options)?;
    let verdict = expr.evaluate(&batch)?.into_array(containers.len())?;
    let verdict = datafusion::common::cast::as_boolean_array(&verdict)?;
    Ok(verdict.iter().map(|keep| keep == Some(true)).collect())
}

fn to_array(values: Vec<ScalarValue>, data_type: &DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(values)
}

/// Containers as DataFusion's pruning sees them.
struct Statistics<'a, C> {
    schema: &'a SchemaRef,
    containers: &'a [C],
}

impl<C: Container> Statistics<'_, C> {
    fn values(
        &self,
        column: &Column,
        pick: impl Fn(Range) -> Option<ScalarValue>,
    ) -> Option<ArrayRef> {
        let data_type = self.schema.field_with_name(&column.name).ok()?.data_type();
        let null = ScalarValue::try_from(data_type).ok()?;
        let mut any = false;
        let values = self.containers.iter().map(|container| {
            let value = pick(container.range(&column.name));
            // A bound may be of the narrower type that the column had when the file was written.
            let value = value.and_then(|value| value.cast_to(data_type).ok());
            any |= value.is_some();
            value.unwrap_or_else(|| null.clone())
        });
        let values: Vec<_> = values.collect();
        if any {
            to_array(values, data_type).ok()
        } else {
            None
        }
    }
}

impl<C: Container> PruningStatistics for Statistics<'_, C> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |range| range.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |range| range.max)
    }

    fn num_containers(&self) -> usize {
        self.containers.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let counts = self
            .containers
            .iter()
            .map(|container| container.range(&column.name).nulls);
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts = self.containers.iter().map(Container::rows);
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let excluded = self
            .containers
            .iter()
            .map(|container| container.excludes(&column.name, values).then_some(false));
        let excluded: BooleanArray = excluded.collect();
        (excluded.null_count() < excluded.len()).then_some(excluded)
    }
}
