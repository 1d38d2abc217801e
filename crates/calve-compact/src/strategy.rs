//! In which order the rows of a group are written.

use calve_table::{SortBy, SortByError, SortByField};
use iceberg::spec::{NullOrder, SortDirection, SortOrder, TableMetadata, Transform};

use crate::{Error, Result};

/// The id of the order of files that are not sorted (spec, "Sorting").
const UNSORTED: i64 = 0;

/// In which order the rows of a group are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Strategy {
    /// In that of their files.
    #[default]
    BinPack,
    /// Sorted: by these fields, or by the table's sort order where there are none.
    Sort(Option<SortBy>),
    /// Along a Z-order curve through the values of these columns.
    ZOrder(Vec<String>),
}

/// A strategy, as it holds for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowOrder {
    /// Rows stay in the order of their files.
    AsTheyAre,
    /// Rows are sorted by this order, whose id is one of the table's, or 0.
    Sorted(SortOrder),
    /// Rows lie along a curve through the columns of these field ids.
    ZOrder(Vec<i32>),
}

impl Strategy {
    /// Reads what rows are sorted by: fields as in [`SortBy::parse`], or `zorder(a, b)`, as in Spark.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, SortByError> {
        let call = text.trim().strip_suffix(')');
        let call = call.and_then(|text| text.split_once('('));
        match call {
            Some((name, columns)) if name.trim().eq_ignore_ascii_case("zorder") => {
                Self::z_order(columns)
            }
            _ => Ok(Self::Sort(Some(SortBy::parse(text)?))),
        }
    }

    /// Reads the columns of a Z-order curve, divided by commas.
    ///
    /// # Errors
    /// When one of them is no plain column.
    pub fn z_order(columns: &str) -> Result<Self, SortByError> {
        let fields = SortBy::parse(columns)?;
        let is_plain = |field: &SortByField| {
            field.transform == Transform::Identity
                && field.direction == SortDirection::Ascending
                && field.nulls == NullOrder::First
        };
        if !fields.fields().iter().all(is_plain) {
            let problem = "a Z-order curve goes through plain columns";
            return Err(SortByError::new(columns, problem));
        }
        let columns = fields.fields().iter();
        Ok(Self::ZOrder(
            columns.map(|field| field.column.clone()).collect(),
        ))
    }

    /// Whether rows are brought into another order.
    pub(crate) fn sorts(&self) -> bool {
        !matches!(self, Self::BinPack)
    }

    /// Makes sense of the strategy for a table.
    ///
    /// # Errors
    /// When the table has no such columns, or rows are to be sorted and nobody says by what.
    pub(crate) fn order(&self, table: &str, metadata: &TableMetadata) -> Result<RowOrder> {
        let wrong = |problem: String| Error::Strategy {
            table: table.to_owned(),
            problem,
        };
        match self {
            Self::BinPack => Ok(RowOrder::AsTheyAre),
            Self::Sort(None) => {
                let order = metadata.default_sort_order();
                if order.is_unsorted() {
                    return Err(wrong(
                        "it has no sort order, and no columns to sort by are given".to_owned(),
                    ));
                }
                Ok(RowOrder::Sorted(order.as_ref().clone()))
            }
            Self::Sort(Some(sort_by)) => {
                let schema = metadata.current_schema();
                let order = sort_by.spelled_as(schema).order(schema);
                let order = order.map_err(|error| wrong(error.message().to_owned()))?;
                Ok(RowOrder::Sorted(of_table(order, metadata)))
            }
            Self::ZOrder(columns) => z_order(columns, metadata)
                .map_err(wrong)
                .map(RowOrder::ZOrder),
        }
    }
}

/// The same order with the id that it has in the table (Java's `SortOrderUtil.findTableSortOrder`): that of the
/// current order, of an earlier one, or 0, unsorted.
fn of_table(order: SortOrder, metadata: &TableMetadata) -> SortOrder {
    let current = std::iter::once(metadata.default_sort_order());
    let mut known = current.chain(metadata.sort_orders_iter());
    let id = known
        .find(|known| known.fields == order.fields)
        .map(|known| known.order_id);
    if id.is_none() {
        tracing::warn!(
            "the rows are sorted by an order that is not one of the table's: its files do not say so"
        );
    }
    SortOrder {
        order_id: id.unwrap_or(UNSORTED),
        ..order
    }
}

/// The columns that the curve goes through. Those whose value is the same in a whole partition say nothing.
fn z_order(columns: &[String], metadata: &TableMetadata) -> Result<Vec<i32>, String> {
    let schema = metadata.current_schema();
    let spec = metadata.default_partition_spec();
    let mut ids = Vec::new();
    for column in columns {
        let name = calve_table::spelling(schema, column);
        let field = schema.field_by_name(&name);
        let field = field.ok_or_else(|| format!("it has no column `{column}`"))?;
        if !field.field_type.is_primitive() {
            return Err(format!(
                "column `{column}` is a {}, which has no place on a curve",
                field.field_type
            ));
        }
        let is_partition = spec.fields().iter().any(|partition| {
            partition.source_id == field.id && partition.transform == Transform::Identity
        });
        if is_partition {
            tracing::warn!("column `{column}` is left out: a partition has one value of it");
        } else if !ids.contains(&field.id) {
            ids.push(field.id);
        }
    }
    if ids.is_empty() {
        return Err("no column is left for a curve to go through".to_owned());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let found = Strategy::parse(text).map(|strategy| match strategy {
            Strategy::ZOrder(columns) => columns,
            Strategy::Sort(Some(by)) => {
                let fields = by.fields().iter();
                fields.map(|field| format!("by {}", field.column)).collect()
            }
            other => panic!("{other:?}"),
        });
        let found = found.map_err(|error| error.to_string());
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(found, expected.map_err(ToOwned::to_owned), "{text}");
    }

    #[test]
    fn orders_as_people_write_them() {
        check("a, b desc", Ok(&["by a", "by b"]));
        check("bucket(4, a)", Ok(&["by a"]));
        check("zorder(a, `b c`)", Ok(&["a", "b c"]));
        check(" ZOrder (a)", Ok(&["a"]));
        check(
            "zorder(a desc)",
            Err("`a desc` is no sort field: a Z-order curve goes through plain columns"),
        );
        check("zorder()", Err("`` is no sort field: it names no column"));
    }
}
