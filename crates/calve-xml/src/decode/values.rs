//! The buffers of one column of values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Decimal128Array, NullArray,
    PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};

use crate::types::{Formats, number};
use crate::{Error, Result};

/// Values, one slot after another; which slots are null is kept beside.
#[derive(Debug)]
pub(crate) enum Values {
    Null(usize),
    Utf8(Bytes),
    Binary(Bytes),
    Boolean(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal {
        units: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp {
        micros: Vec<i64>,
        zone: Option<Arc<str>>,
    },
}

/// How much memory is made ready for the texts of one batch.
const MOST_READY_BYTES: usize = 2 * 1024 * 1024;

/// Texts end to end.
#[derive(Debug)]
pub(crate) struct Bytes {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Bytes {
    fn with_capacity(slots: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(slots + 1);
        offsets.push(0);
        Self {
            offsets,
            data: Vec::with_capacity(bytes),
        }
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> Option<()> {
        let end = i32::try_from(self.data.len() + text.len()).ok()?;
        self.data.extend_from_slice(text);
        self.offsets.push(end);
        Some(())
    }

    fn resize(&mut self, slots: usize) {
        let end = self
            .offsets
            .get(slots)
            .or(self.offsets.last())
            .copied()
            .unwrap_or(0);
        self.offsets.resize(slots + 1, end);
        self.data.truncate(usize::try_from(end).unwrap_or(0));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        // The next batch is about as large, but for a large value that came once.
        let bytes = self.data.len().min(MOST_READY_BYTES);
        let next = Self::with_capacity(self.offsets.len(), bytes);
        let full = std::mem::replace(self, next);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(full.offsets));
        (offsets, Buffer::from_vec(full.data))
    }
}

impl Values {
    /// Empty values of a type; none for types that values of XML cannot have.
    pub(crate) fn new(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null(0),
            DataType::Utf8 => Self::Utf8(Bytes::with_capacity(0, 0)),
            DataType::Binary => Self::Binary(Bytes::with_capacity(0, 0)),
            DataType::Boolean => Self::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int8 => Self::Int8(Vec::new()),
            DataType::Int16 => Self::Int16(Vec::new()),
            DataType::Int32 => Self::Int32(Vec::new()),
            DataType::Int64 => Self::Int64(Vec::new()),
            DataType::Float32 => Self::Float32(Vec::new()),
            DataType::Float64 => Self::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal {
                units: Vec::new(),
                precision: *precision,
                scale: *scale,
            },
            DataType::Date32 => Self::Date(Vec::new()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Self::Timestamp {
                micros: Vec::new(),
                zone: zone.clone(),
            },
            _ => return None,
        })
    }

    /// Whether any text is a value.
    #[inline]
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Utf8(_))
    }

    /// The bytes of a text that was stored.
    pub(crate) fn text(&self, slot: usize) -> Option<&[u8]> {
        let Self::Utf8(bytes) = self else {
            return None;
        };
        let start = usize::try_from(*bytes.offsets.get(slot)?).ok()?;
        let end = usize::try_from(*bytes.offsets.get(slot + 1)?).ok()?;
        bytes.data.get(start..end)
    }

    /// What people call a value of this type.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Self::Null(_) => "null",
            Self::Utf8(_) => "text below 2 GiB a batch",
            Self::Binary(_) => "base64",
            Self::Boolean(_) => "boolean",
            Self::Int8(_) => "whole number of 8 bits",
            Self::Int16(_) => "whole number of 16 bits",
            Self::Int32(_) => "whole number of 32 bits",
            Self::Int64(_) => "whole number of 64 bits",
            Self::Float32(_) | Self::Float64(_) => "number",
            Self::Decimal { .. } => "decimal number that fits exactly",
            Self::Date(_) => "date",
            Self::Time(_) => "time",
            Self::Timestamp { zone: Some(_), .. } => "timestamp",
            Self::Timestamp { .. } => "timestamp without zone",
        }
    }

    /// Appends the value of a text; none, and nothing appended, where it does not fit.
    #[inline]
    pub(crate) fn push(&mut self, text: &str, formats: &Formats) -> Option<()> {
        match self {
            Self::Utf8(bytes) => bytes.push(text.as_bytes())?,
            Self::Int64(values) => values.push(number::long(text.as_bytes())?),
            Self::Float64(values) => values.push(number::double(text)?),
            Self::Decimal {
                units,
                precision,
                scale,
            } => {
                units.push(number::decimal(text.as_bytes(), *precision, *scale)?);
            }
            Self::Date(values) => values.push(formats.date(text)?),
            Self::Timestamp { micros, zone } => micros.push(match zone {
                Some(_) => formats.timestamp(text)?,
                None => formats.timestamp_ntz(text)?,
            }),
            Self::Int32(values) => values.push(number::long(text.as_bytes())?.try_into().ok()?),
            Self::Boolean(values) => values.append(boolean(text)?),
            Self::Int16(values) => values.push(number::long(text.as_bytes())?.try_into().ok()?),
            Self::Int8(values) => values.push(number::long(text.as_bytes())?.try_into().ok()?),
            Self::Float32(values) => values.push(number::float(text)?),
            Self::Time(values) => values.push(Formats::time(text)?),
            Self::Binary(bytes) => bytes.push(&base64(text)?)?,
            Self::Null(_) => return None,
        }
        Some(())
    }

    /// Cuts off, or fills up with whatever stands for null.
    #[inline]
    pub(crate) fn resize(&mut self, slots: usize) {
        match self {
            Self::Null(count) => *count = slots,
            Self::Utf8(bytes) | Self::Binary(bytes) => bytes.resize(slots),
            Self::Boolean(values) => {
                let missing = slots.saturating_sub(values.len());
                values.append_n(missing, false);
                values.truncate(slots);
            }
            Self::Int8(values) => values.resize(slots, 0),
            Self::Int16(values) => values.resize(slots, 0),
            Self::Int32(values) | Self::Date(values) => values.resize(slots, 0),
            Self::Int64(values) | Self::Time(values) => values.resize(slots, 0),
            Self::Timestamp { micros, .. } => micros.resize(slots, 0),
            Self::Float32(values) => values.resize(slots, 0.0),
            Self::Float64(values) => values.resize(slots, 0.0),
            Self::Decimal { units, .. } => units.resize(slots, 0),
        }
    }

    /// The values as an array; what is left is empty.
    pub(crate) fn finish(&mut self, nulls: Option<NullBuffer>, column: &str) -> Result<ArrayRef> {
        let failed = |source| Error::Array {
            column: column.to_owned(),
            source,
        };
        Ok(match self {
            Self::Null(count) => Arc::new(NullArray::new(std::mem::take(count))),
            Self::Utf8(bytes) => {
                let (offsets, data) = bytes.take();
                Arc::new(StringArray::try_new(offsets, data, nulls).map_err(failed)?)
            }
            Self::Binary(bytes) => {
                let (offsets, data) = bytes.take();
                Arc::new(BinaryArray::try_new(offsets, data, nulls).map_err(failed)?)
            }
            Self::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Self::Int8(values) => primitive::<Int8Type>(values, nulls),
            Self::Int16(values) => primitive::<Int16Type>(values, nulls),
            Self::Int32(values) => primitive::<Int32Type>(values, nulls),
            Self::Int64(values) => primitive::<Int64Type>(values, nulls),
            Self::Float32(values) => primitive::<Float32Type>(values, nulls),
            Self::Float64(values) => primitive::<Float64Type>(values, nulls),
            Self::Date(values) => primitive::<Date32Type>(values, nulls),
            Self::Time(values) => primitive::<Time64MicrosecondType>(values, nulls),
            Self::Timestamp { micros, zone } => {
                let array = PrimitiveArray::<TimestampMicrosecondType>::new(take(micros), nulls);
                Arc::new(array.with_timezone_opt(zone.clone()))
            }
            Self::Decimal {
                units,
                precision,
                scale,
            } => {
                let array = Decimal128Array::new(take(units), nulls);
                let array = array.with_precision_and_scale(*precision, *scale);
                Arc::new(array.map_err(failed)?)
            }
        })
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
) -> Arc<dyn Array> {
    Arc::new(PrimitiveArray::<T>::new(take(values), nulls))
}

fn take<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, next))
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The bytes of base64 text, as XML Schema has it: white space may stand anywhere.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0_u32, 0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = match byte {
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            b'=' => {
                padding += 1;
                continue;
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 1;
        if count == 4 {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    match (count, padding) {
        (0, 0) => {}
        (2, 2) => bytes.push(u8::try_from(bits >> 4 & 0xFF).ok()?),
        (3, 1) => bytes.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
        _ => return None,
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9v\n  YmFy", Some(b"foobar")),
            ("Zg", None),
            ("Zg=", None),
            ("Z===", None),
            ("Zg==Zg==", None),
            ("Z!==", None),
        ] {
            assert_eq!(base64(text).as_deref(), expected, "{text}");
        }
    }
}
