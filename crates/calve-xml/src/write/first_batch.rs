//! What the values of a batch, mostly of the first, tell of how columns are best written.
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

/// For each leaf, in the order of Parquet's columns, whether its values repeat so often that it is worth a
/// dictionary.
pub(super) fn repeats(batch: &RecordBatch) -> Vec<bool> {
    leaves(batch).into_iter().map(repeats_enough).collect()
}

/// How many values make about so many bytes, in the column of the longest texts.
pub(super) fn values_in(bytes: usize, batch: &RecordBatch) -> usize {
    let widths = leaves(batch).into_iter().filter_map(|array| {
        let texts = array.as_string_opt::<i32>()?;
        texts.value_data().len().checked_div(texts.len())
    });
    bytes / widths.max().unwrap_or(1).max(1)
}

/// Whether any text is longer than so many bytes.
pub(super) fn has_longer(bytes: usize, batch: &RecordBatch) -> bool {
    leaves(batch).into_iter().any(|array| {
        let texts = array.as_string_opt::<i32>();
        texts.is_some_and(|texts| {
            texts.value_data().len() > bytes
                && texts.offsets().lengths().any(|length| length > bytes)
        })
    })
}

/// The arrays of values, in the order of Parquet's columns.
fn leaves(batch: &RecordBatch) -> Vec<&ArrayRef> {
    let mut leaves = Vec::new();
    let mut left: Vec<&ArrayRef> = batch.columns().iter().rev().collect();
    while let Some(array) = left.pop() {
        match array.data_type() {
            DataType::Struct(_) => left.extend(array.as_struct().columns().iter().rev()),
            DataType::List(_) => left.push(array.as_list::<i32>().values()),
            DataType::Map(..) => left.extend(array.as_map().entries().columns().iter().rev()),
            _ => leaves.push(array),
        }
    }
    leaves
}

fn repeats_enough(array: &ArrayRef) -> bool {
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
