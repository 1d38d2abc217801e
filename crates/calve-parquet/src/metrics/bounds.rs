//! A column's range of values as bounds in the table's type, cut to the wanted length.

use std::borrow::Cow;

use iceberg::spec::{Datum, PrimitiveType};

use super::column::{Column, Ends, UUID_WIDTH, ValueRange};
use super::truncate::{cut_bytes, cut_text, greater, next_bytes, next_text, text_prefix};
use crate::resolve::LeafMapping;
use crate::schema::Physical;

const NANOS_OF_MICRO: i128 = 1_000;
const NANOS_OF_MILLI: i128 = 1_000_000;
const NANOS_OF_DAY: i128 = 86_400_000_000_000;

/// How long bounds of text and bytes may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// That many code points or bytes.
    AtMost(usize),
    /// As long as the value.
    Whole,
}

/// The bounds of one column in the table's type.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Bounds {
    pub(super) lower: Option<Datum>,
    pub(super) upper: Option<Datum>,
}

impl Column<'_> {
    /// The bounds of the column's values, where known beyond doubt.
    pub(super) fn bounds(&self, length: Length) -> Bounds {
        let mapping = self.mapping;
        let bounds = self.value_range().and_then(|range| match range {
            ValueRange::Boolean(ends) => ends.convert(|value, _| Some(Datum::bool(value))),
            ValueRange::Integer(ends) => {
                ends.convert(|value, side| integer_bound(value, side, mapping))
            }
            ValueRange::Float(ends) => float_bounds(ends, &mapping.table_type),
            ValueRange::Double(ends) => double_bounds(ends),
            ValueRange::Bytes { ends, upper_prefix } => match mapping.table_type {
                PrimitiveType::String => text_bounds(ends, upper_prefix, length),
                _ => Some(binary_bounds(ends, upper_prefix, length)),
            },
            ValueRange::FixedBytes(ends) => {
                ends.convert(|value, _| fixed_bound(value, &mapping.table_type))
            }
        });
        bounds.unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

impl<T: Copy> Ends<T> {
    /// Converts both ends. One that cannot be a value of the table discredits the other.
    fn convert(self, bound: impl Fn(T, Side) -> Option<Datum>) -> Option<Bounds> {
        let convert = |end: Option<T>, side| match end {
            Some(end) => bound(end, side).map(Some),
            None => Some(None),
        };
        Some(Bounds {
            lower: convert(self.lower, Side::Lower)?,
            upper: convert(self.upper, Side::Upper)?,
        })
    }
}

fn integer_bound(value: i128, side: Side, mapping: &LeafMapping) -> Option<Datum> {
    let (file_type, table_type) = (&mapping.file_type, &mapping.table_type);
    let is_number = matches!(file_type, PrimitiveType::Int | PrimitiveType::Long);
    match table_type {
        PrimitiveType::Int if is_number => i32::try_from(value).ok().map(Datum::int),
        PrimitiveType::Long if is_number => i64::try_from(value).ok().map(Datum::long),
        PrimitiveType::Date if file_type == table_type => {
            i32::try_from(value).ok().map(Datum::date)
        }
        PrimitiveType::Time => Datum::time_micros(temporal(value, side, mapping)?).ok(),
        PrimitiveType::Timestamp => temporal(value, side, mapping).map(Datum::timestamp_micros),
        PrimitiveType::Timestamptz => temporal(value, side, mapping).map(Datum::timestamptz_micros),
        PrimitiveType::TimestampNs => temporal(value, side, mapping).map(Datum::timestamp_nanos),
        PrimitiveType::TimestamptzNs => {
            temporal(value, side, mapping).map(Datum::timestamptz_nanos)
        }
        PrimitiveType::Decimal { precision, scale } => {
            let file_scale = match file_type {
                PrimitiveType::Decimal { scale, .. } => *scale,
                _ => 0,
            };
            let limit = 10_u128.checked_pow(*precision)?;
            if file_scale != *scale || value.unsigned_abs() >= limit {
                return None;
            }
            Datum::try_from_bytes(&value.to_be_bytes(), table_type.clone()).ok()
        }
        _ => None,
    }
}

/// Converts a time between units: down for a lower bound, up for an upper one.
fn temporal(value: i128, side: Side, mapping: &LeafMapping) -> Option<i64> {
    let file_unit = match (mapping.physical, &mapping.file_type) {
        (Physical::Millis, _) => NANOS_OF_MILLI,
        (Physical::Nanos, _) | (_, PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) => 1,
        (_, PrimitiveType::Date) => NANOS_OF_DAY,
        (_, PrimitiveType::Time | PrimitiveType::Timestamp | PrimitiveType::Timestamptz) => {
            NANOS_OF_MICRO
        }
        _ => return None,
    };
    let table_unit = match mapping.table_type {
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => 1,
        _ => NANOS_OF_MICRO,
    };
    let nanos = value.checked_mul(file_unit)?;
    let floor = nanos.div_euclid(table_unit);
    let exact = nanos.rem_euclid(table_unit) == 0;
    let converted = match side {
        Side::Upper if !exact => floor + 1,
        Side::Lower | Side::Upper => floor,
    };
    i64::try_from(converted).ok()
}

/// Zero has two signs, and statistics may have seen either.
fn float_bounds(ends: Ends<f32>, table_type: &PrimitiveType) -> Option<Bounds> {
    if *table_type == PrimitiveType::Double {
        return double_bounds(Ends {
            lower: ends.lower.map(f64::from),
            upper: ends.upper.map(f64::from),
        });
    }
    ends.convert(|value, side| {
        Some(Datum::float(match side {
            Side::Lower if value == 0.0 => -0.0,
            Side::Upper if value == 0.0 => 0.0,
            Side::Lower | Side::Upper => value,
        }))
    })
}

fn double_bounds(ends: Ends<f64>) -> Option<Bounds> {
    ends.convert(|value, side| {
        Some(Datum::double(match side {
            Side::Lower if value == 0.0 => -0.0,
            Side::Upper if value == 0.0 => 0.0,
            Side::Lower | Side::Upper => value,
        }))
    })
}

/// A bound of the column's width: Java never cuts these. What a writer cut off of the least value
/// is made up for by zeros, which come before everything.
fn fixed_bound(value: &[u8], table_type: &PrimitiveType) -> Option<Datum> {
    let width = match table_type {
        PrimitiveType::Fixed(width) => usize::try_from(*width).ok()?,
        _ => UUID_WIDTH,
    };
    let whole = if value.len() == width {
        Cow::Borrowed(value)
    } else {
        let mut padded = value.to_vec();
        padded.resize(width, 0);
        Cow::Owned(padded)
    };
    Datum::try_from_bytes(&whole, table_type.clone()).ok()
}

/// Bounds of text. Bytes that are no text discredit both, except a character cut off at the end.
fn text_bounds(ends: Ends<&[u8]>, upper_prefix: Option<&[u8]>, length: Length) -> Option<Bounds> {
    let lower = match ends.lower {
        Some(bytes) => Some(shorten_text(text_prefix(bytes)?, length)),
        None => None,
    };
    let upper = match ends.upper {
        Some(bytes) => {
            let text = text_prefix(bytes)?;
            let whole = text.len() == bytes.len();
            let upper = upper_text(text, whole, length);
            match upper_prefix {
                Some(prefix) => greater(upper, upper_text(text_prefix(prefix)?, false, length)),
                None => upper,
            }
        }
        None => None,
    };
    Some(Bounds {
        lower: lower.map(Datum::string),
        upper: upper.map(|text| Datum::string(text.as_ref())),
    })
}

fn shorten_text(text: &str, length: Length) -> &str {
    match length {
        Length::AtMost(code_points) => cut_text(text, code_points),
        Length::Whole => text,
    }
}

/// An upper bound for a text, or (when it is not whole) for all that begins with it.
fn upper_text(text: &str, whole: bool, length: Length) -> Option<Cow<'_, str>> {
    let short = shorten_text(text, length);
    if whole && short.len() == text.len() {
        Some(Cow::Borrowed(text))
    } else {
        next_text(short).map(Cow::Owned)
    }
}

fn binary_bounds(ends: Ends<&[u8]>, upper_prefix: Option<&[u8]>, length: Length) -> Bounds {
    let upper = ends.upper.and_then(|bytes| {
        let upper = upper_bytes(bytes, true, length);
        match upper_prefix {
            Some(prefix) => greater(upper, upper_bytes(prefix, false, length)),
            None => upper,
        }
    });
    let datum = |bytes: &[u8]| Datum::binary(bytes.iter().copied());
    Bounds {
        lower: ends.lower.map(|bytes| datum(shorten_bytes(bytes, length))),
        upper: upper.map(|bytes| datum(&bytes)),
    }
}

fn shorten_bytes(bytes: &[u8], length: Length) -> &[u8] {
    match length {
        Length::AtMost(length) => cut_bytes(bytes, length),
        Length::Whole => bytes,
    }
}

/// As [`upper_text`], for bytes.
fn upper_bytes(bytes: &[u8], whole: bool, length: Length) -> Option<Cow<'_, [u8]>> {
    let short = shorten_bytes(bytes, length);
    if whole && short.len() == bytes.len() {
        Some(Cow::Borrowed(bytes))
    } else {
        next_bytes(short).map(Cow::Owned)
    }
}
