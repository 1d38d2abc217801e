//! What is known of rows before they are sorted and written, to compare the written files with.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{
    DataType, Date32Type, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use iceberg::spec::{DataFile, Datum, PrimitiveLiteral, Schema};

use crate::Error;

/// Numbers of rows, and of each column: its nulls, and the least and the greatest value where it counts
/// something whole (numbers, dates, times).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) rows: u64,
    columns: Vec<ColumnTally>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ColumnTally {
    nulls: u64,
    range: Option<(i64, i64)>,
}

impl Tally {
    /// Nothing of that many columns.
    pub(super) fn new(columns: usize) -> Self {
        Self {
            rows: 0,
            columns: vec![ColumnTally::default(); columns],
        }
    }

    /// Counts the columns of some rows.
    pub(super) fn add(&mut self, columns: &[ArrayRef], rows: usize) {
        self.rows += rows as u64;
        for (tally, column) in self.columns.iter_mut().zip(columns) {
            tally.nulls += column.null_count() as u64;
            if let Some((least, greatest)) = range(column) {
                tally.range = Some(match tally.range {
                    Some((low, high)) => (low.min(least), high.max(greatest)),
                    None => (least, greatest),
                });
            }
        }
    }

    /// Counts other rows in.
    pub(super) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        for (own, other) in self.columns.iter_mut().zip(&other.columns) {
            own.nulls += other.nulls;
            own.range = match (own.range, other.range) {
                (Some((low, high)), Some((least, greatest))) => {
                    Some((low.min(least), high.max(greatest)))
                }
                (own, other) => own.or(other),
            };
        }
    }

    /// Compares with what the written files say of themselves.
    ///
    /// # Errors
    /// [`Error::BatchDiffers`] that names the first difference.
    pub(super) fn check(
        &self,
        batch: &str,
        schema: &Schema,
        files: &[DataFile],
    ) -> Result<(), Error> {
        let differs = |what: String, read: String, written: String| Error::BatchDiffers {
            batch: batch.to_owned(),
            what,
            read,
            written,
        };
        let rows: u64 = files.iter().map(DataFile::record_count).sum();
        if rows != self.rows {
            let (read, written) = (self.rows.to_string(), rows.to_string());
            return Err(differs("rows".to_owned(), read, written));
        }
        for (field, tally) in schema.as_struct().fields().iter().zip(&self.columns) {
            // Tables may have metrics turned off, and nested columns have none of their own.
            if let Some(nulls) = sum(files, |file| file.null_value_counts(), field.id)
                && nulls != tally.nulls
            {
                let what = format!("nulls of column `{}`", field.name);
                return Err(differs(what, tally.nulls.to_string(), nulls.to_string()));
            }
            let (Some((least, greatest)), true) = (tally.range, !files.is_empty()) else {
                continue;
            };
            let low = bounds(files, DataFile::lower_bounds, field.id)
                .into_iter()
                .min();
            let high = bounds(files, DataFile::upper_bounds, field.id)
                .into_iter()
                .max();
            for (what, read, written) in [("least", least, low), ("greatest", greatest, high)] {
                if let Some(written) = written.filter(|written| *written != read) {
                    let what = format!("{what} value of column `{}`", field.name);
                    return Err(differs(what, read.to_string(), written.to_string()));
                }
            }
        }
        Ok(())
    }
}

/// A count over all files, where all of them have it.
fn sum(
    files: &[DataFile],
    counts: impl Fn(&DataFile) -> &HashMap<i32, u64>,
    id: i32,
) -> Option<u64> {
    files.iter().map(|file| counts(file).get(&id)).sum()
}

/// The bounds of a column in the files that have some, as whole numbers.
fn bounds(files: &[DataFile], of: impl Fn(&DataFile) -> &HashMap<i32, Datum>, id: i32) -> Vec<i64> {
    let bounds = files.iter().filter_map(|file| of(file).get(&id));
    let numbers = bounds.filter_map(|bound| match bound.literal() {
        PrimitiveLiteral::Int(value) => Some(i64::from(*value)),
        PrimitiveLiteral::Long(value) => Some(*value),
        _ => None,
    });
    numbers.collect()
}

fn range(column: &ArrayRef) -> Option<(i64, i64)> {
    macro_rules! of {
        ($type:ty) => {{
            let array = column.as_primitive::<$type>();
            min(array)
                .zip(max(array))
                .map(|(least, greatest)| (i64::from(least), i64::from(greatest)))
        }};
    }
    match column.data_type() {
        DataType::Int32 => of!(Int32Type),
        DataType::Date32 => of!(Date32Type),
        DataType::Int64 => of!(Int64Type),
        DataType::Time64(TimeUnit::Microsecond) => of!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => of!(TimestampNanosecondType),
        _ => None,
    }
}
