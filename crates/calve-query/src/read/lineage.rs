//! Row lineage (format version 3): what a file leaves to its manifest entry is filled in as its rows are read.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Int64Type;
use calve_table::{LAST_UPDATED_COLUMN, ROW_ID_COLUMN};
use datafusion::error::Result;
use datafusion::physical_expr::projection::ProjectionExprs;
use roaring::RoaringTreemap;

/// Gives the rows of one file their ids and sequence numbers, where the file itself does not (spec, "Row
/// Lineage"). The rows come in the order of the file, all but those that are deleted by their positions.
pub(super) struct Lineage {
    first_row_id: Option<i64>,
    sequence_number: i64,
    /// The positions of rows that do not come.
    deleted: RoaringTreemap,
    /// The position after the last row that came.
    next: u64,
    /// Where the columns are in what is read, if they are read.
    row_id: Option<usize>,
    last_updated: Option<usize>,
}

impl Lineage {
    /// The lineage of a file's rows, of which some are deleted.
    pub(super) fn new(
        first_row_id: Option<i64>,
        sequence_number: i64,
        deleted: RoaringTreemap,
        projection: &ProjectionExprs,
    ) -> Self {
        let place = |name: &str| projection.iter().position(|column| column.alias == name);
        Self {
            first_row_id,
            sequence_number,
            deleted,
            next: 0,
            row_id: place(ROW_ID_COLUMN),
            last_updated: place(LAST_UPDATED_COLUMN),
        }
    }

    /// Fills in what is missing in the next rows.
    pub(super) fn apply(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let positions = self.positions(batch.num_rows());
        let mut columns = batch.columns().to_vec();
        if let (Some(at), Some(first)) = (self.row_id, self.first_row_id) {
            let ids = positions.iter().map(|position| first + position);
            columns[at] = filled(&columns[at], ids);
        }
        if let Some(at) = self.last_updated {
            let number = std::iter::repeat_n(self.sequence_number, batch.num_rows());
            columns[at] = filled(&columns[at], number);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            batch.schema(),
            columns,
            &options,
        )?)
    }

    /// The positions of the next rows in the file.
    fn positions(&mut self, count: usize) -> Vec<i64> {
        let mut deleted = self.deleted.iter();
        deleted.advance_to(self.next);
        let mut gone = deleted.next();
        let mut positions = Vec::with_capacity(count);
        while positions.len() < count {
            if gone == Some(self.next) {
                gone = deleted.next();
            } else {
                positions.push(i64::try_from(self.next).unwrap_or(i64::MAX));
            }
            self.next += 1;
        }
        positions
    }
}

/// The column, with these values where it is null.
fn filled(column: &ArrayRef, values: impl Iterator<Item = i64>) -> ArrayRef {
    let column = column.as_primitive::<Int64Type>();
    let values = column.iter().zip(values);
    let filled: Int64Array = values
        .map(|(own, value)| Some(own.unwrap_or(value)))
        .collect();
    debug_assert_eq!(filled.len(), column.len());
    Arc::new(filled)
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_expr::projection::ProjectionExpr;

    use super::*;

    fn batch(ids: &[Option<i64>]) -> RecordBatch {
        let field = |name| Field::new(name, DataType::Int64, true);
        let schema = Schema::new(vec![field(ROW_ID_COLUMN), field(LAST_UPDATED_COLUMN)]);
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
        let none: ArrayRef = Arc::new(Int64Array::new_null(ids.len()));
        RecordBatch::try_new(Arc::new(schema), vec![ids, none]).unwrap()
    }

    #[track_caller]
    fn check(first: Option<i64>, deleted: &[u64], batches: &[&[Option<i64>]], expected: &[i64]) {
        let columns = [ROW_ID_COLUMN, LAST_UPDATED_COLUMN].into_iter().enumerate();
        let columns = columns.map(|(index, name)| {
            ProjectionExpr::new(Arc::new(Column::new(name, index)), name.to_owned())
        });
        let projection = ProjectionExprs::new(columns.collect::<Vec<_>>());
        let deleted = deleted.iter().copied().collect();
        let mut lineage = Lineage::new(first, 7, deleted, &projection);
        let mut found = Vec::new();
        for ids in batches {
            let batch = lineage.apply(&batch(ids)).unwrap();
            found.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            assert!(numbers.iter().all(|number| number == Some(7)));
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_are_counted_past_those_that_are_deleted() {
        check(
            Some(100),
            &[0, 3, 4],
            &[&[None, None], &[None], &[None]],
            &[101, 102, 105, 106],
        );
        // What the file says goes before.
        check(Some(100), &[], &[&[Some(3), None]], &[3, 101]);
        // From before the table had row ids.
        check(None, &[], &[&[None, None]], &[]);
    }
}
