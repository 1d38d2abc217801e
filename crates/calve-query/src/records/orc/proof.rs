//! What was decoded, counted, and compared with what the writer of the file counted.
//!
//! ORC files have no checksums. A flipped bit may make another value of one, or shift all that follow. The footer holds
//! numbers of values, bounds and sums, which show most of that.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use orc_rust::proto::ColumnStatistics;
use orc_rust::proto::r#type::Kind;

use super::Problem;
use super::columns::{Column, Shape};
use super::tail::Tail;

/// The version of Java's writer from which on sums of lengths are right (HIVE-8732).
const FIRST_RIGHT_SUMS: u32 = 1;

/// What was decoded of a file.
#[derive(Debug)]
pub(super) struct Proof {
    expected_rows: u64,
    rows: u64,
    statistics: Vec<ColumnStatistics>,
    tallies: Vec<Tally>,
    has_right_sums: bool,
}

/// What was decoded of a column.
#[derive(Debug, Clone, Default)]
struct Tally {
    values: u64,
    /// Of whole numbers and days: the least, the greatest, and all added up.
    whole: Option<(i64, i64, i128)>,
    /// Of floating-point numbers: the least and the greatest.
    real: Option<(f64, f64)>,
    has_nan: bool,
    true_count: u64,
    bytes: i64,
}

impl Proof {
    pub(super) fn new(tail: &Tail) -> Self {
        Self {
            expected_rows: tail.rows(),
            rows: 0,
            statistics: tail.footer.statistics.clone(),
            tallies: vec![Tally::default(); tail.footer.types.len()],
            has_right_sums: tail.postscript.writer_version() >= FIRST_RIGHT_SUMS,
        }
    }

    pub(super) fn add_rows(&mut self, rows: usize) {
        self.rows += rows as u64;
    }

    /// Counts values as they were decoded.
    pub(super) fn add(&mut self, column: &Column, array: &ArrayRef) {
        let tally = &mut self.tallies[column.index];
        tally.values += (array.len() - array.null_count()) as u64;
        match &column.shape {
            Shape::Plain { of, .. } => tally.add(of, array),
            Shape::Date => tally.add_whole(array.as_primitive::<Date32Type>()),
            Shape::Decimal { .. } | Shape::Timestamp { .. } => {}
            Shape::Struct(parts) => {
                for ((_, part), array) in parts.iter().zip(array.as_struct().columns()) {
                    self.add(part, array);
                }
            }
            Shape::List(element) => self.add(element, array.as_list::<i32>().values()),
            Shape::Map(parts) => {
                let maps = array.as_map();
                self.add(&parts[0], maps.keys());
                self.add(&parts[1], maps.values());
            }
        }
    }

    /// Compares what was decoded of these columns.
    ///
    /// # Errors
    /// What the first difference is.
    pub(super) fn check(&self, columns: &[(String, Column)]) -> Result<(), Problem> {
        if self.rows != self.expected_rows {
            return Err(Problem::Damaged(
                "its stripes have not the rows that its footer tells",
            ));
        }
        for (name, column) in columns {
            let mut outcome = Ok(());
            column.each(&mut |part| {
                if let Some(statistics) = self.statistics.get(part.index)
                    && outcome.is_ok()
                {
                    outcome = self.tallies[part.index].check(statistics, part, self.has_right_sums);
                }
            });
            outcome.map_err(|problem| Problem::Column {
                column: name.clone(),
                problem,
            })?;
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, of: &DataType, array: &ArrayRef) {
        match of {
            DataType::Boolean => self.true_count += array.as_boolean().true_count() as u64,
            DataType::Int8 => self.add_whole(array.as_primitive::<Int8Type>()),
            DataType::Int16 => self.add_whole(array.as_primitive::<Int16Type>()),
            DataType::Int32 => self.add_whole(array.as_primitive::<Int32Type>()),
            DataType::Int64 => self.add_whole(array.as_primitive::<Int64Type>()),
            DataType::Float32 => self.add_real(array.as_primitive::<Float32Type>()),
            DataType::Float64 => self.add_real(array.as_primitive::<Float64Type>()),
            DataType::Utf8 => self.add_bytes(array.as_string::<i32>().value_offsets()),
            DataType::Binary => self.add_bytes(array.as_binary::<i32>().value_offsets()),
            _ => {}
        }
    }

    fn add_whole<T: ArrowPrimitiveType<Native: Into<i64>>>(&mut self, array: &PrimitiveArray<T>) {
        for value in array.iter().flatten() {
            let value: i64 = value.into();
            let (least, greatest, sum) = self.whole.unwrap_or((value, value, 0));
            let sum = sum + i128::from(value);
            self.whole = Some((least.min(value), greatest.max(value), sum));
        }
    }

    fn add_real<T: ArrowPrimitiveType<Native: Into<f64>>>(&mut self, array: &PrimitiveArray<T>) {
        for value in array.iter().flatten() {
            let value: f64 = value.into();
            let (least, greatest) = self.real.unwrap_or((value, value));
            self.has_nan |= value.is_nan();
            self.real = Some((least.min(value), greatest.max(value)));
        }
    }

    fn add_bytes(&mut self, offsets: &[i32]) {
        if let (Some(first), Some(last)) = (offsets.first(), offsets.last()) {
            self.bytes += i64::from(*last) - i64::from(*first);
        }
    }

    fn check(
        &self,
        told: &ColumnStatistics,
        column: &Column,
        has_right_sums: bool,
    ) -> Result<(), String> {
        same("values", told.number_of_values, self.values)?;
        if self.values == 0 {
            return Ok(());
        }
        if let (Some(told), Some((least, greatest, sum))) = (&told.int_statistics, self.whole) {
            same("as the least value", told.minimum, least)?;
            same("as the greatest value", told.maximum, greatest)?;
            same("as the sum", told.sum.map(i128::from), sum)?;
        }
        if let (Some(told), Some((least, greatest, _))) = (&told.date_statistics, self.whole) {
            same("as the first day", told.minimum.map(i64::from), least)?;
            same("as the last day", told.maximum.map(i64::from), greatest)?;
        }
        if let (Some(told), Some((least, greatest)), false) =
            (&told.double_statistics, self.real, self.has_nan)
        {
            let number = |bound: Option<f64>| bound.filter(|bound| !bound.is_nan());
            same("as the least value", number(told.minimum), least)?;
            same("as the greatest value", number(told.maximum), greatest)?;
        }
        if let Some(told) = &told.bucket_statistics {
            same("true values", told.count.first().copied(), self.true_count)?;
        }
        // Of padded and cut values, writers count what they were given.
        let is_whole = |kind| matches!(&column.shape, Shape::Plain { kind: of, .. } if *of == kind);
        if let Some(told) = &told.string_statistics
            && is_whole(Kind::String)
            && has_right_sums
        {
            same("bytes", told.sum.filter(|sum| *sum > 0), self.bytes)?;
        }
        if let Some(told) = &told.binary_statistics
            && is_whole(Kind::Binary)
        {
            same("bytes", told.sum.filter(|sum| *sum > 0), self.bytes)?;
        }
        Ok(())
    }
}

fn same<T: Copy + PartialEq + std::fmt::Display>(
    what: &str,
    told: Option<T>,
    read: T,
) -> Result<(), String> {
    match told {
        Some(told) if told != read => Err(format!(
            "damaged: the file tells {told} {what}, and {read} was read"
        )),
        _ => Ok(()),
    }
}
