//! How many values of a column are not a number: footers do not tell, and manifests do.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Fields, Float32Type, Float64Type};
use calve_parquet::{MetricsConfig, MetricsMode};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

/// The floating-point columns that are counted: those of the top level and of structs, as all counts in manifests.
#[derive(Debug)]
pub(super) struct NanColumns(Vec<NanColumn>);

#[derive(Debug)]
struct NanColumn {
    field_id: i32,
    /// The places of the column and of the fields in it, from the outside in.
    path: Vec<usize>,
}

impl NanColumns {
    /// Those of rows of this schema of which metrics are wanted.
    pub(super) fn new(fields: &Fields, metrics: &MetricsConfig) -> Self {
        let mut found = Vec::new();
        find(fields, &[], metrics, &mut found);
        Self(found)
    }

    /// The counts of no rows.
    pub(super) fn zeros(&self) -> Vec<u64> {
        vec![0; self.0.len()]
    }

    /// Adds those of a batch.
    pub(super) fn count(&self, batch: &RecordBatch, counts: &mut [u64]) {
        for (column, count) in self.0.iter().zip(counts) {
            *count += column.count(batch);
        }
    }

    /// The counts by field id.
    pub(super) fn by_id(&self, counts: &[u64]) -> HashMap<i32, u64> {
        let ids = self.0.iter().map(|column| column.field_id);
        ids.zip(counts.iter().copied()).collect()
    }
}

fn find(fields: &Fields, outer: &[usize], metrics: &MetricsConfig, found: &mut Vec<NanColumn>) {
    for (index, field) in fields.iter().enumerate() {
        let path = [outer, &[index]].concat();
        match field.data_type() {
            DataType::Struct(fields) => find(fields, &path, metrics, found),
            DataType::Float32 | DataType::Float64 => {
                let id = field.metadata().get(PARQUET_FIELD_ID_META_KEY);
                if let Some(field_id) = id.and_then(|id| id.parse().ok())
                    && metrics.mode(field_id) != MetricsMode::None
                {
                    found.push(NanColumn { field_id, path });
                }
            }
            _ => {}
        }
    }
}

impl NanColumn {
    fn count(&self, batch: &RecordBatch) -> u64 {
        let Some((first, inner)) = self.path.split_first() else {
            return 0;
        };
        let mut values: &ArrayRef = batch.column(*first);
        let mut nulls = values.nulls().cloned();
        for index in inner {
            values = values.as_struct().column(*index);
            nulls = NullBuffer::union(nulls.as_ref(), values.nulls());
        }
        let count = if *values.data_type() == DataType::Float32 {
            let values = values.as_primitive::<Float32Type>().values();
            count_where(values, nulls.as_ref(), |value| value.is_nan())
        } else {
            let values = values.as_primitive::<Float64Type>().values();
            count_where(values, nulls.as_ref(), |value| value.is_nan())
        };
        count as u64
    }
}

/// How many values that are there are such.
fn count_where<T>(values: &[T], nulls: Option<&NullBuffer>, is_such: impl Fn(&T) -> bool) -> usize {
    let such = (0..).zip(values).filter(|(_, value)| is_such(value));
    let is_there = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
    such.filter(|(row, _)| is_there(*row)).count()
}
