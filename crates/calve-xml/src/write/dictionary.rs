//! Which columns are worth a dictionary.
//!
//! A dictionary costs a look-up a value. For columns whose values hardly repeat the writer would fill
//! one, and then give it up; it is told beforehand, from the first batch.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;

/// How many values are looked at.
const SAMPLE: usize = 4096;

/// Fewer values say nothing.
const LEAST: usize = 512;

/// For each leaf, in the order of Parquet's columns, whether its values repeat enough.
pub(super) fn worth(batch: &RecordBatch) -> Vec<bool> {
    let mut worth = Vec::new();
    for column in batch.columns() {
        visit(column, &mut worth);
    }
    worth
}

fn visit(array: &ArrayRef, worth: &mut Vec<bool>) {
    match array.data_type() {
        DataType::Struct(_) => {
            for child in array.as_struct().columns() {
                visit(child, worth);
            }
        }
        DataType::List(_) => visit(array.as_list::<i32>().values(), worth),
        DataType::Map(..) => {
            for child in array.as_map().entries().columns() {
                visit(child, worth);
            }
        }
        _ => worth.push(repeats(array)),
    }
}

fn repeats(array: &ArrayRef) -> bool {
    let (seen, distinct) = match array.data_type() {
        DataType::Utf8 => count(array.as_string::<i32>().iter()),
        DataType::Int64 => count(array.as_primitive::<Int64Type>().iter()),
        DataType::Date32 => count(array.as_primitive::<Date32Type>().iter()),
        DataType::Decimal128(..) => count(array.as_primitive::<Decimal128Type>().iter()),
        DataType::Time64(_) => count(array.as_primitive::<Time64MicrosecondType>().iter()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            count(array.as_primitive::<TimestampMicrosecondType>().iter())
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter();
            count(values.map(|value| value.map(f64::to_bits)))
        }
        _ => return true,
    };
    seen < LEAST || distinct * 2 < seen
}

fn count<T: std::hash::Hash + Eq>(values: impl Iterator<Item = Option<T>>) -> (usize, usize) {
    let mut distinct = HashSet::new();
    let mut seen = 0;
    for value in values.flatten().take(SAMPLE) {
        seen += 1;
        distinct.insert(value);
    }
    (seen, distinct.len())
}
