use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};

use super::{Made, batch, write_parquet};

/// How the files of a lake came to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drift {
    /// Later files have a column `discount` more.
    Added,
    /// Later files lack the column `name`.
    Missing,
    /// Later files have wider types: int to long, float to double, decimal(9,2) to decimal(18,2).
    Widened,
    /// Later files spell `userId` as `userid`.
    Respelled,
    /// Later files have the columns in another order.
    Reordered,
    /// Later files hold text where earlier ones hold numbers: no table can read both.
    Conflicting,
}

impl Drift {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Added,
        Self::Missing,
        Self::Widened,
        Self::Respelled,
        Self::Reordered,
        Self::Conflicting,
    ];

    /// The name of the folder under `fixtures/drift`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Missing => "missing",
            Self::Widened => "widened",
            Self::Respelled => "respelled",
            Self::Reordered => "reordered",
            Self::Conflicting => "conflicting",
        }
    }
}

/// Makes a lake of three days, one file each: the first two alike, the third after the drift.
pub fn drift(dir: &Path, drift: Drift) -> Made {
    let mut made = Made::default();
    for (day, kind) in [(1, None), (2, None), (3, Some(drift))] {
        let path = dir.join(format!("day=2024-01-0{day}/part-0.parquet"));
        made.partitions += 1;
        made.add(write_parquet(&path, &rows(day, kind)));
    }
    made
}

fn rows(day: i32, drift: Option<Drift>) -> RecordBatch {
    let ids = [day * 10, day * 10 + 1];
    let cents = ids.map(|id| i128::from(id) * 101);
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("userId", Arc::new(Int32Array::from(ids.to_vec()))),
        (
            "name",
            Arc::new(StringArray::from(vec![Some(format!("name {day}")), None])),
        ),
        ("score", Arc::new(Float32Array::from(vec![0.5, -1.25]))),
        ("amount", decimals(&cents, 9)),
    ];
    match drift {
        None => {}
        Some(Drift::Added) => {
            columns.push((
                "discount",
                Arc::new(Float64Array::from(vec![Some(0.1), None])),
            ));
        }
        Some(Drift::Missing) => {
            columns.remove(1);
        }
        Some(Drift::Widened) => {
            let wide = vec![i64::from(i32::MAX) + 1, i64::from(ids[1])];
            columns[0].1 = Arc::new(Int64Array::from(wide));
            columns[2].1 = Arc::new(Float64Array::from(vec![0.1, 1e300]));
            columns[3].1 = decimals(&[10_i128.pow(15), cents[1]], 18);
        }
        Some(Drift::Respelled) => columns[0].0 = "userid",
        Some(Drift::Reordered) => columns.reverse(),
        Some(Drift::Conflicting) => {
            columns[2].1 = Arc::new(StringArray::from(vec!["high", "low"]));
        }
    }
    batch(columns)
}

fn decimals(values: &[i128], precision: u8) -> ArrayRef {
    let array = Decimal128Array::from(values.to_vec());
    Arc::new(array.with_precision_and_scale(precision, 2).unwrap())
}
