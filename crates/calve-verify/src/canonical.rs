//! Cells by what they contribute to the statistics of their column.

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
    Integer(At<i128>),
    Wide(At<i256>),
    Float(At<f64>),
    Bytes(Bytes),
    Time(At<i128>),
    Entries(At<Range<usize>>),
    Struct,
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

    /// What a cell that is not null adds to the statistics.
    pub(crate) fn measure(&self, row: usize) -> Measure<'_> {
        match &self.values {
            Values::Boolean(array) => Measure::Number(i256::from_i128(array.value(row).into())),
            Values::Integer(at) => Measure::Number(i256::from_i128(at(row))),
            Values::Wide(at) => Measure::Number(at(row)),
            Values::Float(at) => Measure::Float(at(row)),
            Values::Bytes(bytes) => Measure::Bytes(bytes.value(row)),
            Values::Time(at) => Measure::Time(at(row)),
            Values::Entries(range) => Measure::Entries(range(row).len()),
            Values::Struct | Values::Null => Measure::Struct,
        }
    }
}

/// The type to cast to first, for encodings that have no reader of their own.
pub(crate) fn plain_type(data_type: &DataType) -> Option<DataType> {
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
            DataType::Decimal256(..) => {
                let array = array.as_primitive::<Decimal256Type>().clone();
                Self::Wide(Box::new(move |row| array.value(row)))
            }
            DataType::Float16 => {
                float::<Float16Type>(array, <Float16Type as ArrowPrimitiveType>::Native::to_f64)
            }
            DataType::Float32 => float::<Float32Type>(array, f64::from),
            DataType::Float64 => float::<Float64Type>(array, |value| value),
            DataType::Struct(_) => Self::Struct,
            DataType::Map(..) => Self::Entries(ranges(array.as_map().offsets().clone())),
            DataType::List(_) => Self::Entries(ranges(array.as_list::<i32>().offsets().clone())),
            DataType::LargeList(_) => {
                Self::Entries(ranges(array.as_list::<i64>().offsets().clone()))
            }
            DataType::FixedSizeList(_, length) => {
                let length = usize::try_from(*length).unwrap_or(0);
                Self::Entries(Box::new(move |row| row * length..(row + 1) * length))
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
    let at = match array.data_type() {
        DataType::Int8 => at::<Int8Type>(array, 1),
        DataType::Int16 => at::<Int16Type>(array, 1),
        DataType::Int32 => at::<Int32Type>(array, 1),
        DataType::Int64 => at::<Int64Type>(array, 1),
        DataType::UInt8 => at::<UInt8Type>(array, 1),
        DataType::UInt16 => at::<UInt16Type>(array, 1),
        DataType::UInt32 => at::<UInt32Type>(array, 1),
        DataType::UInt64 => at::<UInt64Type>(array, 1),
        DataType::Decimal32(..) => at::<Decimal32Type>(array, 1),
        DataType::Decimal64(..) => at::<Decimal64Type>(array, 1),
        DataType::Decimal128(..) => at::<Decimal128Type>(array, 1),
        _ => return None,
    };
    Some(Values::Integer(at))
}

/// Dates, timestamps and times of day in ticks.
fn time(array: &ArrayRef, ticks: Ticks) -> Option<Values> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let nanos = match array.data_type() {
        DataType::Date32 => at::<Date32Type>(array, NANOS_PER_DAY),
        DataType::Date64 => at::<Date64Type>(array, 1_000_000),
        DataType::Timestamp(Second, _) => at::<TimestampSecondType>(array, 1_000_000_000),
        DataType::Timestamp(Millisecond, _) => at::<TimestampMillisecondType>(array, 1_000_000),
        DataType::Timestamp(Microsecond, _) => at::<TimestampMicrosecondType>(array, 1_000),
        DataType::Timestamp(Nanosecond, _) => at::<TimestampNanosecondType>(array, 1),
        DataType::Time32(Second) => at::<Time32SecondType>(array, 1_000_000_000),
        DataType::Time32(_) => at::<Time32MillisecondType>(array, 1_000_000),
        DataType::Time64(Nanosecond) => at::<Time64NanosecondType>(array, 1),
        DataType::Time64(_) => at::<Time64MicrosecondType>(array, 1_000),
        _ => return None,
    };
    let counted: At<i128> = match ticks {
        Ticks::Nanos => nanos,
        Ticks::Micros => Box::new(move |row| nanos(row).div_euclid(1_000)),
    };
    Some(Values::Time(counted))
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
