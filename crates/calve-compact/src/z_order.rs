//! Z-order: a key of bytes for each row, so that rows whose keys lie near to each other have near values in all
//! columns.
//!
//! Each value becomes bytes that are ordered as the values are (`ZOrderByteUtils` in Iceberg): numbers and times
//! eight, texts and binaries as many as are asked for, cut or filled with zeros. The bits of all columns are then
//! dealt in turn, the highest first. A null comes before all values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float64Type, Int64Type, Schema as ArrowSchema, SchemaRef,
};
use calve_query::{leaf, path};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use iceberg::spec::Schema;

/// How many bytes a number takes.
const NUMBER_BYTES: usize = 8;

/// Computes the keys.
#[derive(Debug)]
pub(crate) struct ZOrder {
    /// The way to each column, and how many bytes its values take.
    columns: Vec<(Vec<usize>, usize)>,
    key_bytes: usize,
    /// The columns of the rows, then the key.
    schema: SchemaRef,
}

/// How long keys are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    /// How many bytes of a text or a binary count.
    pub(crate) variable: usize,
    /// How long a key is at most.
    pub(crate) most: usize,
}

impl ZOrder {
    /// Keys of the columns of these field ids. `rows` is what the rows have.
    ///
    /// # Errors
    /// When a column is not among them, or lies in a list or a map.
    pub(crate) fn new(
        field_ids: &[i32],
        schema: &Schema,
        rows: &SchemaRef,
        lengths: Lengths,
    ) -> iceberg::Result<Self> {
        let mut columns = Vec::with_capacity(field_ids.len());
        for id in field_ids {
            let name = schema.name_by_field_id(*id).unwrap_or_default();
            let path = path(rows, name).ok_or_else(|| {
                iceberg::Error::new(
                    iceberg::ErrorKind::DataInvalid,
                    format!("column `{name}` has no place on a curve"),
                )
            })?;
            let bytes = if is_variable(&type_at(rows, &path)) {
                lengths.variable
            } else {
                NUMBER_BYTES
            };
            columns.push((path, bytes));
        }
        let all: usize = columns.iter().map(|(_, bytes)| bytes).sum();
        let mut fields: Vec<Arc<Field>> = rows.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("#z-order", DataType::Binary, false)));
        Ok(Self {
            columns,
            key_bytes: all.min(lengths.most),
            schema: Arc::new(ArrowSchema::new(fields)),
        })
    }

    /// The columns of the rows, then the key.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What rows with the key are sorted by.
    pub(crate) fn ordering(&self) -> PhysicalSortExpr {
        let index = self.schema.fields().len() - 1;
        let column = Column::new(self.schema.field(index).name(), index);
        PhysicalSortExpr::new_default(Arc::new(column))
    }

    /// The keys of the rows of a batch.
    pub(crate) fn keys(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let columns = self.columns.iter().map(|(path, bytes)| {
            let values = leaf(batch, path)?;
            Ok((ordered(&values, *bytes)?, *bytes))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let rows = batch.num_rows();
        let mut keys = BinaryBuilder::with_capacity(rows, rows * self.key_bytes);
        let mut key = vec![0; self.key_bytes];
        let mut parts = Vec::with_capacity(columns.len());
        for row in 0..rows {
            parts.clear();
            let of_row = |width: usize| row * width..(row + 1) * width;
            parts.extend(columns.iter().map(|(bytes, width)| &bytes[of_row(*width)]));
            interleave(&parts, &mut key);
            keys.append_value(&key);
        }
        let keys: BinaryArray = keys.finish();
        Ok(Arc::new(keys))
    }
}

fn type_at(rows: &ArrowSchema, path: &[usize]) -> DataType {
    let mut fields = rows.fields();
    let mut found = DataType::Null;
    for index in path {
        found = fields[*index].data_type().clone();
        if let DataType::Struct(inner) = fields[*index].data_type() {
            fields = inner;
        }
    }
    found
}

/// Whether values are bytes that are cut or filled up.
fn is_variable(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::FixedSizeBinary(_)
    )
}

/// The values of a column as bytes in the order of the values, so many each.
fn ordered(values: &ArrayRef, width: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; values.len() * width];
    let mut rows = bytes.chunks_exact_mut(width.max(1));
    match values.data_type() {
        data_type if is_variable(data_type) => {
            let binary = cast(values, &DataType::LargeBinary)?;
            for (value, row) in binary.as_binary::<i64>().iter().zip(&mut rows) {
                let value = value.unwrap_or_default();
                let length = value.len().min(width);
                row[..length].copy_from_slice(&value[..length]);
            }
        }
        DataType::Float32 | DataType::Float64 => {
            let floats = cast(values, &DataType::Float64)?;
            let floats = floats.as_primitive::<Float64Type>();
            put(rows, floats.iter().map(|value| value.map(of_float)));
        }
        DataType::Decimal128(precision, _) => {
            let decimals = values.as_primitive::<Decimal128Type>();
            let shift = surplus_bits(*precision);
            let numbers = decimals
                .iter()
                .map(|value| value.map(|value| value >> shift));
            put(
                rows,
                numbers.map(|value| value.map(|value| of_integer(narrow(value)))),
            );
        }
        DataType::Boolean => {
            let booleans = values.as_boolean().iter();
            let of = |value: bool| if value { 0x81 << 56 } else { 0 };
            put(rows, booleans.map(|value| value.map(of)));
        }
        DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Time64(_)
        | DataType::Timestamp(_, _) => {
            // Dates become integers of their own width first.
            let narrow = match values.data_type() {
                DataType::Date32 => cast(values, &DataType::Int32)?,
                _ => Arc::clone(values),
            };
            let integers = cast(&narrow, &DataType::Int64)?;
            let integers = integers.as_primitive::<Int64Type>();
            put(rows, integers.iter().map(|value| value.map(of_integer)));
        }
        other => {
            return Err(DataFusionError::Execution(format!(
                "values of type {other} have no place on a curve"
            )));
        }
    }
    Ok(bytes)
}

/// Writes keys. A null's is zero.
fn put<'a>(rows: impl Iterator<Item = &'a mut [u8]>, keys: impl Iterator<Item = Option<u64>>) {
    for (key, row) in keys.zip(rows) {
        row.copy_from_slice(&key.unwrap_or_default().to_be_bytes());
    }
}

/// Negative numbers before positive ones.
fn of_integer(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// The order of `f64::total_cmp`.
fn of_float(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits ^ (1 << 63)
    }
}

/// How many of the lowest bits of a decimal of that precision do not fit.
fn surplus_bits(precision: u8) -> u32 {
    // 3322 thousandths of a bit a digit, and the sign.
    let bits = (u32::from(precision) * 3322).div_ceil(1000) + 1;
    bits.saturating_sub(i64::BITS)
}

fn narrow(value: i128) -> i64 {
    let most = if value < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(value).unwrap_or(most)
}

/// Deals the bits of columns in turn, the highest first. A column that has no more is passed over; bits that the
/// key has no place for are left out.
fn interleave(columns: &[&[u8]], key: &mut [u8]) {
    key.fill(0);
    let longest = columns.iter().map(|column| column.len()).max().unwrap_or(0);
    let room = key.len() * 8;
    let mut at = 0;
    for byte in 0..longest {
        for bit in (0..8).rev() {
            for column in columns {
                let Some(value) = column.get(byte) else {
                    continue;
                };
                if at == room {
                    return;
                }
                key[at / 8] |= ((value >> bit) & 1) << (7 - at % 8);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
        Int64Array, LargeBinaryArray, StringArray, TimestampMicrosecondArray,
    };
    use proptest::prelude::*;

    use super::*;

    /// The keys of two values and of null, which comes first.
    fn check(values: &ArrayRef, width: usize) -> Result<(), TestCaseError> {
        let keys = ordered(values, width).unwrap();
        let keys: Vec<&[u8]> = keys.chunks(width).collect();
        let least = arrow::compute::sort_to_indices(values, None, None).unwrap();
        let by_value: Vec<&[u8]> = least
            .values()
            .iter()
            .map(|index| keys[*index as usize])
            .collect();
        prop_assert!(by_value.is_sorted(), "{values:?}: {by_value:?}");
        Ok(())
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_values_are(
            longs in prop::collection::vec(any::<Option<i64>>(), 2..20),
            ints in prop::collection::vec(any::<Option<i32>>(), 2..20),
            doubles in prop::collection::vec(any::<Option<f64>>(), 2..20),
            floats in prop::collection::vec(any::<Option<f32>>(), 2..20),
            texts in prop::collection::vec(any::<Option<String>>(), 2..20),
            binaries in prop::collection::vec(any::<Option<Vec<u8>>>(), 2..20),
            booleans in prop::collection::vec(any::<Option<bool>>(), 2..20),
            precision in 1_u8..=38,
            decimals in prop::collection::vec(any::<Option<i128>>(), 2..20),
            width in 1_usize..12,
        ) {
            check(&(Arc::new(Int64Array::from(longs.clone())) as _), 8)?;
            check(&(Arc::new(TimestampMicrosecondArray::from(longs)) as _), 8)?;
            check(&(Arc::new(Int32Array::from(ints.clone())) as _), 8)?;
            check(&(Arc::new(Date32Array::from(ints)) as _), 8)?;
            check(&(Arc::new(Float64Array::from(doubles)) as _), 8)?;
            check(&(Arc::new(Float32Array::from(floats)) as _), 8)?;
            check(&(Arc::new(StringArray::from(texts)) as _), width)?;
            let binaries: LargeBinaryArray = binaries.into_iter().collect();
            check(&(Arc::new(binaries) as _), width)?;
            check(&(Arc::new(BooleanArray::from(booleans)) as _), 8)?;
            let bound = 10_i128.pow(u32::from(precision));
            let decimals = decimals.into_iter().map(|value| value.map(|value| value % bound));
            let decimals: Decimal128Array = decimals.collect();
            let decimals = decimals.with_precision_and_scale(precision, 0).unwrap();
            check(&(Arc::new(decimals) as _), 8)?;
        }

        /// No bit is lost, and a curve through one column is that column.
        #[test]
        fn bits_are_dealt_in_turn(
            columns in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5), 1..5),
            most in 0_usize..24,
        ) {
            let parts: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
            let all: usize = parts.iter().map(|part| part.len()).sum();
            let mut whole = vec![0; all];
            interleave(&parts, &mut whole);
            let ones = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
            prop_assert_eq!(ones(&whole), parts.iter().map(|part| ones(part)).sum::<u32>());
            let mut cut = vec![0; most.min(all)];
            interleave(&parts, &mut cut);
            prop_assert!(whole.starts_with(&cut));
            let mut one = vec![0; parts[0].len()];
            interleave(&parts[..1], &mut one);
            prop_assert_eq!(&one, parts[0]);
        }
    }

    #[test]
    fn the_highest_bits_come_first() {
        let mut key = [0; 4];
        interleave(&[&[0b1111_0000], &[0b1010_1010, 0xff], &[0]], &mut key);
        assert_eq!(key, [0b1101_0011, 0b0100_0100, 0b0001_0000, 0b1111_1111]);
    }
}
