//! Sums over columns, by which it is told that two readers of a document found the same values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::record_batch::RecordBatch;

/// How many values a column has, and their sum: of lengths in bytes for text, of cents for numbers with a
/// fraction, of days and seconds for dates and timestamps as text.
pub(crate) type Sum = (usize, i64);

/// The sum over a column by its dotted name; lists stand for their items.
pub(crate) fn of(batches: &[RecordBatch], path: &str) -> Sum {
    let (mut count, mut sum) = (0, 0);
    for batch in batches {
        let mut names = path.split('.');
        let mut column = Arc::clone(batch.column_by_name(names.next().unwrap()).unwrap());
        for name in names {
            let parents = items(&column);
            column = Arc::clone(parents.as_struct().column_by_name(name).unwrap());
        }
        let (values, total) = sum_of(&items(&column));
        count += values;
        sum += total;
    }
    (count, sum)
}

fn items(array: &ArrayRef) -> ArrayRef {
    let lists = array.as_list_opt::<i32>();
    Arc::clone(lists.map_or(array, |lists| lists.values()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "cents of prices, and lengths of texts"
)]
fn sum_of(array: &ArrayRef) -> Sum {
    let values = array.len() - array.logical_null_count();
    let sum = match array.data_type() {
        DataType::Utf8 => array
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(|text| text.len() as i64)
            .sum(),
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter().flatten();
            values.map(|value| (value * 100.0).round() as i64).sum()
        }
        DataType::Boolean => array.as_boolean().true_count() as i64,
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().flatten().sum(),
        DataType::Timestamp(unit, Some(zone)) if &**zone == "UTC" => {
            // Names of zones cannot be written without their database.
            let offset = DataType::Timestamp(*unit, Some("+00:00".into()));
            return sum_of(&cast(array, &offset).unwrap());
        }
        _ => return sum_of(&cast(array, &DataType::Utf8).unwrap()),
    };
    (values, sum)
}
