//! A second opinion: single values as the table reads them, from the data and not from statistics.

use super::*;

/// A value as a file stores it.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
}

impl Value {
    fn integer(&self, unsigned: bool) -> Option<i128> {
        Some(match self {
            Self::Int32(value) if unsigned => value.cast_unsigned().into(),
            Self::Int64(value) if unsigned => value.cast_unsigned().into(),
            Self::Int32(value) => (*value).into(),
            Self::Int64(value) => (*value).into(),
            Self::Bytes(bytes) => bytes.iter().fold(
                if bytes.first()? & 0x80 == 0 { 0 } else { -1 },
                |value: i128, byte| (value << 8) | i128::from(*byte),
            ),
            Self::Boolean(_) | Self::Float(_) | Self::Double(_) => return None,
        })
    }

    /// The value in the table's type; `None` for NaN and what is no value of that type.
    pub(super) fn datum(&self, mapping: &LeafMapping) -> Option<Datum> {
        let unsigned = matches!(mapping.physical, Physical::Unsigned(_));
        let long = || i64::try_from(self.integer(unsigned)?).ok();
        let micros = || match mapping.physical {
            Physical::Millis => long()?.checked_mul(1_000),
            Physical::Nanos => Some(long()?.div_euclid(1_000)),
            _ => long(),
        };
        match (&mapping.table_type, self) {
            (PrimitiveType::Boolean, Self::Boolean(value)) => Some(Datum::bool(*value)),
            (PrimitiveType::Int, _) => long().and_then(|v| i32::try_from(v).ok()).map(Datum::int),
            (PrimitiveType::Long, _) => long().map(Datum::long),
            (PrimitiveType::Float, Self::Float(v)) if !v.is_nan() => Some(Datum::float(*v)),
            (PrimitiveType::Double, Self::Double(v)) if !v.is_nan() => Some(Datum::double(*v)),
            (PrimitiveType::Double, Self::Float(v)) if !v.is_nan() => Some(Datum::double(*v)),
            (PrimitiveType::Date, Self::Int32(value)) => Some(Datum::date(*value)),
            (PrimitiveType::Time, _) => Datum::time_micros(micros()?).ok(),
            (PrimitiveType::Timestamp, _) => micros().map(Datum::timestamp_micros),
            (PrimitiveType::Timestamptz, _) => micros().map(Datum::timestamptz_micros),
            (PrimitiveType::TimestampNs, _) => long().map(Datum::timestamp_nanos),
            (PrimitiveType::TimestamptzNs, _) => long().map(Datum::timestamptz_nanos),
            (PrimitiveType::Decimal { .. }, _) => {
                let unscaled = self.integer(unsigned)?.to_be_bytes();
                Datum::try_from_bytes(&unscaled, mapping.table_type.clone()).ok()
            }
            (
                PrimitiveType::String
                | PrimitiveType::Uuid
                | PrimitiveType::Fixed(_)
                | PrimitiveType::Binary,
                Self::Bytes(bytes),
            ) => Datum::try_from_bytes(bytes, mapping.table_type.clone()).ok(),
            _ => None,
        }
    }
}

/// Checks that all values lie within the bounds, and that the bounds are values when they are tight.
#[track_caller]
pub(super) fn check_within(
    metrics: &FileMetrics,
    field_id: i32,
    values: &[Datum],
    tight: bool,
    context: &str,
) {
    let lower = metrics.lower_bounds.get(&field_id);
    let upper = metrics.upper_bounds.get(&field_id);
    for value in values {
        if let Some(lower) = lower {
            assert!(lower <= value, "{context}: {lower} > {value}");
        }
        if let Some(upper) = upper {
            assert!(value <= upper, "{context}: {value} > {upper}");
        }
    }
    if tight && !values.is_empty() {
        // Zero is a bound by either sign.
        let is =
            |bound: &Datum, value: &Datum| bound == value || (is_zero(bound) && is_zero(value));
        let found = |bound: &Datum| values.iter().any(|value| is(bound, value));
        assert!(lower.is_some_and(found), "{context}: lower bound {lower:?}");
        assert!(upper.is_some_and(found), "{context}: upper bound {upper:?}");
    }
}

fn is_zero(datum: &Datum) -> bool {
    [
        Datum::float(0.0),
        Datum::float(-0.0),
        Datum::double(0.0),
        Datum::double(-0.0),
    ]
    .iter()
    .any(|zero| zero.data_type() == datum.data_type() && zero.literal() == datum.literal())
}
