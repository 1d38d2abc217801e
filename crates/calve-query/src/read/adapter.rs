//! Expressions over the table's columns, rewritten for one file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use datafusion::physical_plan::PhysicalExpr;
use datafusion::scalar::ScalarValue;

use super::columns::{Origin, TableColumns, has_field_ids};
use super::remap::{Conversion, RemapExpr, STRICT};
use super::source::TABLE_MARK;

/// Values that hold for every row of a file, by the table's column: identity partition values.
pub(crate) type Constants = HashMap<String, ScalarValue>;

/// Makes the adapter of one file.
#[derive(Debug)]
pub(crate) struct FileAdapterFactory {
    columns: Arc<TableColumns>,
    constants: Arc<Constants>,
}

impl FileAdapterFactory {
    /// An adapter of the table's columns to a file whose `constants` come from its manifest entry.
    pub(crate) fn new(columns: Arc<TableColumns>, constants: Arc<Constants>) -> Self {
        Self { columns, constants }
    }
}

impl PhysicalExprAdapterFactory for FileAdapterFactory {
    fn create(
        &self,
        _logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        Ok(Arc::new(FileAdapter {
            columns: Arc::clone(&self.columns),
            constants: Arc::clone(&self.constants),
            has_ids: has_field_ids(physical_file_schema.fields()),
            file: physical_file_schema,
        }))
    }
}

#[derive(Debug)]
struct FileAdapter {
    columns: Arc<TableColumns>,
    constants: Arc<Constants>,
    file: SchemaRef,
    has_ids: bool,
}

impl PhysicalExprAdapter for FileAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        expr.transform_down(|expr| match expr.downcast_ref::<Column>() {
            // What was put in place of the column has columns of the file inside.
            Some(column) => Ok(Transformed::new(
                self.column(column.name())?,
                true,
                datafusion::common::tree_node::TreeNodeRecursion::Jump,
            )),
            None => Ok(Transformed::no(expr)),
        })
        .data()
    }
}

impl FileAdapter {
    /// What stands in the place of the table's column of that (marked) name.
    fn column(&self, name: &str) -> Result<Arc<dyn PhysicalExpr>> {
        let name = name.trim_start_matches(TABLE_MARK);
        let target = Arc::new(self.columns.arrow().field_with_name(name)?.clone());
        // The manifest's value wins over what the file holds (spec, "Column Projection").
        if let Some(value) = self.constants.get(name) {
            return Ok(literal(value.clone(), &target));
        }
        let (index, conversion) = match self.columns.resolve(name, &self.file, self.has_ids)? {
            Origin::Constant(value) => return Ok(literal(value, &target)),
            Origin::Column(index, conversion) => (index, conversion),
        };
        let found = self.file.field(index);
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(found.name(), index));
        let may_break_promise = found.is_nullable() && !target.is_nullable();
        Ok(match conversion {
            Conversion::Same if !may_break_promise => column,
            Conversion::Cast(to) if !may_break_promise && prunable(found.data_type(), &to) => {
                Arc::new(CastExpr::new_with_target_field(
                    column,
                    target,
                    Some(STRICT),
                ))
            }
            conversion => Arc::new(RemapExpr::new(column, conversion, target)),
        })
    }
}

fn literal(value: ScalarValue, target: &FieldRef) -> Arc<dyn PhysicalExpr> {
    Arc::new(Literal::new_with_metadata(
        value,
        Some(FieldMetadata::from(target.as_ref())),
    ))
}

/// Casts that DataFusion may move to the other side of a comparison, because it does so without rounding.
fn prunable(from: &DataType, to: &DataType) -> bool {
    (from.is_integer() && to.is_integer())
        || (from.is_floating() && to.is_floating())
        || (from.is_decimal() && to.is_decimal())
        || (from.is_string() && to.is_string())
}
