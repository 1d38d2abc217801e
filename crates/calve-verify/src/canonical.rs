//! Cells in a form that does not depend on how they are stored.
//!
//! Two cells have the same form exactly when they hold the same value: numbers by value whatever
//! their width or scale, floats as doubles with one zero and one NaN, timestamps and dates by
//! instant, texts and binaries by their bytes, structs by the names (in any case) and values of the
//! fields that are not null, lists in their order, maps as sets of entries.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray,
    LargeBinaryArray, LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    i256,
};
use datafusion::error::{DataFusionError, Result};
use xxhash_rust::xxh3::xxh3_128;

const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// How finely times are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ticks {
    /// Microseconds: what is finer is left out.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// A column whose cells can be asked for their form.
pub(crate) struct Cells {
    nulls: Option<NullBuffer>,
    values: Values,
}

/// What a cell contributes to the statistics of its column.
pub(crate) enum Measure<'a> {
    /// A number without its scale, or a truth value.
    Number(i256),
    /// A float.
    Float(f64),
    /// A text or a binary.
    Bytes(&'a [u8]),
    /// A time, in ticks.
    Time(i128),
    /// A list or a map, and how many entries it has.
    Entries(usize),
    /// A struct.
    Struct,
}

type At<T> = Box<dyn Fn(usize) -> T>;

enum Values {
    Null,
    Boolean(BooleanArray),
    Integer { at: At<i128>, scale: i8 },
    Wide { at: At<i256>, scale: i8 },
    Float(At<f64>),
    Bytes(Bytes),
    Instant(At<i128>),
    TimeOfDay(At<i128>),
    Struct(Vec<(u128, Cells)>),
    List(At<Range<usize>>, Box<Cells>),
    Map(At<Range<usize>>, Box<(Cells, Cells)>),
}

enum Bytes {
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
}

/// The first byte of each form.
mod tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    pub(super) const INTEGER: u8 = 3;
    pub(super) const WIDE: u8 = 4;
    pub(super) const FLOAT: u8 = 5;
    pub(super) const BYTES: u8 = 6;
    pub(super) const INSTANT: u8 = 7;
    pub(super) const TIME_OF_DAY: u8 = 8;
    pub(super) const STRUCT: u8 = 9;
    pub(super) const FIELD: u8 = 10;
    pub(super) const LIST: u8 = 11;
    pub(super) const MAP: u8 = 12;
}

impl Cells {
    /// Prepares a column.
    ///
    /// # Errors
    /// When its type has no form, which no type that Iceberg can store lacks.
    pub(crate) fn new(array: &ArrayRef, ticks: Ticks) -> Result<Self> {
        if let Some(plain) = plain_type(array.data_type()) {
            return Self::new(&cast(array, &plain)?, ticks);
        }
        Ok(Self {
            nulls: array.nulls().cloned(),
            values: Values::new(array, ticks)?,
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null)
            || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Hashes the form of a cell that is not null; `buffer` is room to work in.
    pub(crate) fn hash(&self, row: usize, buffer: &mut Vec<u8>) -> u128 {
        buffer.clear();
        self.values.encode(row, buffer);
        xxh3_128(buffer)
    }

    /// What a cell that is not null adds to the statistics.
    pub(crate) fn measure(&self, row: usize) -> Measure<'_> {
        match &self.values {
            Values::Boolean(array) => Measure::Number(i256::from_i128(array.value(row).into())),
            Values::Integer { at, .. } => Measure::Number(i256::from_i128(at(row))),
            Values::Wide { at, .. } => Measure::Number(at(row)),
            Values::Float(at) => Measure::Float(at(row)),
            Values::Bytes(bytes) => Measure::Bytes(bytes.value(row)),
            Values::Instant(at) | Values::TimeOfDay(at) => Measure::Time(at(row)),
            Values::List(range, _) => Measure::Entries(range(row).len()),
            Values::Map(range, _) => Measure::Entries(range(row).len()),
            Values::Struct(_) | Values::Null => Measure::Struct,
        }
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.push(tag::NULL);
        } else {
            self.values.encode(row, out);
        }
    }
}

/// The type to cast to first, for encodings that have no reader of their own.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(_, values) => Some(values.as_ref().clone()),
        DataType::RunEndEncoded(_, values) => Some(values.data_type().clone()),
        DataType::ListView(item) => Some(DataType::List(Arc::clone(item))),
        DataType::LargeListView(item) => Some(DataType::LargeList(Arc::clone(item))),
        _ => None,
    }
}

impl Values {
    fn new(array: &ArrayRef, ticks: Ticks) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::Decimal256(_, scale) => {
                let (array, scale) = (array.as_primitive::<Decimal256Type>().clone(), *scale);
                let at = Box::new(move |row| array.value(row));
                Self::Wide { at, scale }
            }
            DataType::Float16 => {
                float::<Float16Type>(array, <Float16Type as ArrowPrimitiveType>::Native::to_f64)
            }
            DataType::Float32 => float::<Float32Type>(array, f64::from),
            DataType::Float64 => float::<Float64Type>(array, |value| value),
            DataType::Struct(fields) => {
                let columns = fields.iter().zip(array.as_struct().columns());
                let mut named = columns
                    .map(|(field, column)| {
                        let name = xxh3_128(field.name().to_lowercase().as_bytes());
                        Ok((name, Cells::new(column, ticks)?))
                    })
                    .collect::<Result<Vec<_>>>()?;
                named.sort_by_key(|(name, _)| *name);
                Self::Struct(named)
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let entries = (
                    Cells::new(map.keys(), ticks)?,
                    Cells::new(map.values(), ticks)?,
                );
                let offsets = map.offsets().clone();
                Self::Map(ranges(offsets), Box::new(entries))
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let items = Box::new(Cells::new(list.values(), ticks)?);
                Self::List(ranges(list.offsets().clone()), items)
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let items = Box::new(Cells::new(list.values(), ticks)?);
                Self::List(ranges(list.offsets().clone()), items)
            }
            DataType::FixedSizeList(..) => {
                let list = array.as_fixed_size_list();
                let items = Box::new(Cells::new(list.values(), ticks)?);
                let length = usize::try_from(list.value_length()).unwrap_or(0);
                Self::List(Box::new(move |row| row * length..(row + 1) * length), items)
            }
            other => {
                if let Some(bytes) = Bytes::new(array) {
                    return Ok(Self::Bytes(bytes));
                }
                integer(array)
                    .or_else(|| time(array, ticks))
                    .ok_or_else(|| {
                        DataFusionError::NotImplemented(format!("verifying values of type {other}"))
                    })?
            }
        })
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(tag::NULL),
            Self::Boolean(array) => out.push(if array.value(row) {
                tag::TRUE
            } else {
                tag::FALSE
            }),
            Self::Integer { at, scale } if *scale == 0 => encode_integer(at(row), 0, out),
            Self::Integer { at, scale } => encode_number(i256::from_i128(at(row)), *scale, out),
            Self::Wide { at, scale } => encode_number(at(row), *scale, out),
            Self::Float(at) => {
                out.push(tag::FLOAT);
                out.extend_from_slice(&canonical_float(at(row)).to_bits().to_le_bytes());
            }
            Self::Bytes(bytes) => {
                let bytes = bytes.value(row);
                out.push(tag::BYTES);
                out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                out.extend_from_slice(bytes);
            }
            Self::Instant(at) => {
                out.push(tag::INSTANT);
                out.extend_from_slice(&at(row).to_le_bytes());
            }
            Self::TimeOfDay(at) => {
                out.push(tag::TIME_OF_DAY);
                out.extend_from_slice(&at(row).to_le_bytes());
            }
            Self::Struct(fields) => {
                out.push(tag::STRUCT);
                // A field that is null counts as one that is not there.
                for (name, cells) in fields.iter().filter(|(_, cells)| !cells.is_null(row)) {
                    out.push(tag::FIELD);
                    out.extend_from_slice(&name.to_le_bytes());
                    cells.encode(row, out);
                }
                out.push(tag::NULL);
            }
            Self::List(range, items) => {
                let range = range(row);
                out.push(tag::LIST);
                out.extend_from_slice(&(range.len() as u64).to_le_bytes());
                for item in range {
                    items.encode(item, out);
                }
            }
            Self::Map(range, entries) => {
                let range = range(row);
                let (keys, values) = entries.as_ref();
                out.push(tag::MAP);
                out.extend_from_slice(&(range.len() as u64).to_le_bytes());
                let start = out.len();
                let mut sum = 0_u128;
                for entry in range {
                    keys.encode(entry, out);
                    values.encode(entry, out);
                    sum = sum.wrapping_add(xxh3_128(&out[start..]));
                    out.truncate(start);
                }
                out.extend_from_slice(&sum.to_le_bytes());
            }
        }
    }
}

/// One zero, one NaN.
fn canonical_float(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

fn encode_integer(value: i128, scale: i8, out: &mut Vec<u8>) {
    out.push(tag::INTEGER);
    out.extend_from_slice(&scale.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
}

fn encode_number(value: i256, scale: i8, out: &mut Vec<u8>) {
    let (value, scale) = reduced(value, scale);
    if let Some(value) = value.to_i128() {
        encode_integer(value, scale, out);
    } else {
        out.push(tag::WIDE);
        out.extend_from_slice(&scale.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// The same number with as small a scale as it can have, but not below zero where it can be helped.
pub(crate) fn reduced(mut value: i256, mut scale: i8) -> (i256, i8) {
    let ten = i256::from_i128(10);
    if value == i256::ZERO {
        return (value, 0);
    }
    while scale > 0 && value.wrapping_rem(ten) == i256::ZERO {
        value = value.wrapping_div(ten);
        scale -= 1;
    }
    while scale < 0 {
        let Some(larger) = value.checked_mul(ten) else {
            break;
        };
        value = larger;
        scale += 1;
    }
    (value, scale)
}

fn ranges<O: arrow::array::OffsetSizeTrait>(
    offsets: arrow::buffer::OffsetBuffer<O>,
) -> At<Range<usize>> {
    Box::new(move |row| offsets[row].as_usize()..offsets[row + 1].as_usize())
}

fn float<T: ArrowPrimitiveType>(array: &ArrayRef, widen: fn(T::Native) -> f64) -> Values {
    let array = array.as_primitive::<T>().clone();
    Values::Float(Box::new(move |row| widen(array.value(row))))
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> PrimitiveArray<T> {
    array.as_primitive::<T>().clone()
}

fn at<T>(array: &ArrayRef, factor: i128) -> At<i128>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    let array = primitive::<T>(array);
    if factor == 1 {
        return Box::new(move |row| array.value(row).into());
    }
    Box::new(move |row| array.value(row).into() * factor)
}

fn integer(array: &ArrayRef) -> Option<Values> {
    let (at, scale) = match array.data_type() {
        DataType::Int8 => (at::<Int8Type>(array, 1), 0),
        DataType::Int16 => (at::<Int16Type>(array, 1), 0),
        DataType::Int32 => (at::<Int32Type>(array, 1), 0),
        DataType::Int64 => (at::<Int64Type>(array, 1), 0),
        DataType::UInt8 => (at::<UInt8Type>(array, 1), 0),
        DataType::UInt16 => (at::<UInt16Type>(array, 1), 0),
        DataType::UInt32 => (at::<UInt32Type>(array, 1), 0),
        DataType::UInt64 => (at::<UInt64Type>(array, 1), 0),
        DataType::Decimal32(_, scale) => (at::<Decimal32Type>(array, 1), *scale),
        DataType::Decimal64(_, scale) => (at::<Decimal64Type>(array, 1), *scale),
        DataType::Decimal128(_, scale) => (at::<Decimal128Type>(array, 1), *scale),
        _ => return None,
    };
    Some(Values::Integer { at, scale })
}

/// Dates and timestamps become instants, times of day stay apart.
fn time(array: &ArrayRef, ticks: Ticks) -> Option<Values> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let (nanos, is_instant) = match array.data_type() {
        DataType::Date32 => (at::<Date32Type>(array, NANOS_PER_DAY), true),
        DataType::Date64 => (at::<Date64Type>(array, 1_000_000), true),
        DataType::Timestamp(Second, _) => (at::<TimestampSecondType>(array, 1_000_000_000), true),
        DataType::Timestamp(Millisecond, _) => {
            (at::<TimestampMillisecondType>(array, 1_000_000), true)
        }
        DataType::Timestamp(Microsecond, _) => (at::<TimestampMicrosecondType>(array, 1_000), true),
        DataType::Timestamp(Nanosecond, _) => (at::<TimestampNanosecondType>(array, 1), true),
        DataType::Time32(Second) => (at::<Time32SecondType>(array, 1_000_000_000), false),
        DataType::Time32(_) => (at::<Time32MillisecondType>(array, 1_000_000), false),
        DataType::Time64(Nanosecond) => (at::<Time64NanosecondType>(array, 1), false),
        DataType::Time64(_) => (at::<Time64MicrosecondType>(array, 1_000), false),
        _ => return None,
    };
    let counted: At<i128> = match ticks {
        Ticks::Nanos => nanos,
        Ticks::Micros => Box::new(move |row| nanos(row).div_euclid(1_000)),
    };
    Some(if is_instant {
        Values::Instant(counted)
    } else {
        Values::TimeOfDay(counted)
    })
}

impl Bytes {
    fn new(array: &ArrayRef) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Self::LargeText(array.as_string().clone()),
            DataType::Utf8View => Self::TextView(array.as_string_view().clone()),
            DataType::Binary => Self::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Self::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Self::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Self::Fixed(array.as_fixed_size_binary().clone()),
            _ => return None,
        })
    }

    fn value(&self, row: usize) -> &[u8] {
        match self {
            Self::Text(array) => array.value(row).as_bytes(),
            Self::LargeText(array) => array.value(row).as_bytes(),
            Self::TextView(array) => array.value(row).as_bytes(),
            Self::Binary(array) => array.value(row),
            Self::LargeBinary(array) => array.value(row),
            Self::BinaryView(array) => array.value(row),
            Self::Fixed(array) => array.value(row),
        }
    }
}
