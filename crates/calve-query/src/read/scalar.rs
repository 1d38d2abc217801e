//! Iceberg's single values as DataFusion's.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use iceberg::spec::{Datum, Literal, PrimitiveLiteral, PrimitiveType};

/// The time zone of `timestamptz` columns in Arrow.
pub(crate) const UTC: &str = "+00:00";

/// The Arrow type of a primitive type, as `iceberg::arrow::schema_to_arrow_schema` gives it.
pub(crate) fn arrow_type(primitive: &PrimitiveType) -> Option<DataType> {
    Some(match primitive {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => {
            DataType::Decimal128(u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?)
        }
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => {
            DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC)))
        }
        PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        PrimitiveType::TimestamptzNs => {
            DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from(UTC)))
        }
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(length) => {
            i32::try_from(*length).map_or(DataType::LargeBinary, DataType::FixedSizeBinary)
        }
        PrimitiveType::Binary => DataType::LargeBinary,
    })
}

/// A literal of a primitive type. `None` where literal and type do not belong together.
pub(crate) fn literal(value: Option<&Literal>, primitive: &PrimitiveType) -> Option<ScalarValue> {
    match value {
        None => ScalarValue::try_from(&arrow_type(primitive)?).ok(),
        Some(Literal::Primitive(value)) => primitive_literal(value, primitive),
        Some(_) => None,
    }
}

/// A column bound in its own type. `None` for bounds beyond what the type holds.
pub(crate) fn datum(datum: &Datum) -> Option<ScalarValue> {
    primitive_literal(datum.literal(), datum.data_type())
}

/// A value of a query as Iceberg's, where it is of the column's type.
pub(crate) fn to_datum(value: &ScalarValue, primitive: &PrimitiveType) -> Option<Datum> {
    let value = value.cast_to(&arrow_type(primitive)?).ok()?;
    Some(match (primitive, value) {
        (PrimitiveType::Int, ScalarValue::Int32(Some(value))) => Datum::int(value),
        (PrimitiveType::Long, ScalarValue::Int64(Some(value))) => Datum::long(value),
        (PrimitiveType::Date, ScalarValue::Date32(Some(value))) => Datum::date(value),
        (PrimitiveType::Timestamp, ScalarValue::TimestampMicrosecond(Some(value), _)) => {
            Datum::timestamp_micros(value)
        }
        (PrimitiveType::Timestamptz, ScalarValue::TimestampMicrosecond(Some(value), _)) => {
            Datum::timestamptz_micros(value)
        }
        (PrimitiveType::String, ScalarValue::Utf8(Some(value))) => Datum::string(value),
        (PrimitiveType::Binary, ScalarValue::LargeBinary(Some(value))) => Datum::binary(value),
        _ => return None,
    })
}

fn primitive_literal(value: &PrimitiveLiteral, primitive: &PrimitiveType) -> Option<ScalarValue> {
    use PrimitiveLiteral as Value;
    Some(match (primitive, value) {
        (PrimitiveType::Boolean, Value::Boolean(value)) => ScalarValue::Boolean(Some(*value)),
        (PrimitiveType::Int, Value::Int(value)) => ScalarValue::Int32(Some(*value)),
        (PrimitiveType::Long, Value::Long(value)) => ScalarValue::Int64(Some(*value)),
        // A column that was widened after the value was written.
        (PrimitiveType::Long, Value::Int(value)) => ScalarValue::Int64(Some(i64::from(*value))),
        (PrimitiveType::Float, Value::Float(value)) => ScalarValue::Float32(Some(value.0)),
        (PrimitiveType::Double, Value::Double(value)) => ScalarValue::Float64(Some(value.0)),
        (PrimitiveType::Double, Value::Float(value)) => {
            ScalarValue::Float64(Some(f64::from(value.0)))
        }
        // And one that was not widened yet at the time that is read.
        (PrimitiveType::Int, Value::Long(value)) => {
            ScalarValue::Int32(Some(i32::try_from(*value).ok()?))
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the value was a float once"
        )]
        (PrimitiveType::Float, Value::Double(value)) => ScalarValue::Float32(Some(value.0 as f32)),
        (PrimitiveType::Decimal { precision, scale }, Value::Int128(value)) => {
            ScalarValue::Decimal128(
                Some(*value),
                u8::try_from(*precision).ok()?,
                i8::try_from(*scale).ok()?,
            )
        }
        (PrimitiveType::Date, Value::Int(value)) => ScalarValue::Date32(Some(*value)),
        (PrimitiveType::Time, Value::Long(value)) => ScalarValue::Time64Microsecond(Some(*value)),
        (PrimitiveType::Timestamp, Value::Long(value)) => {
            ScalarValue::TimestampMicrosecond(Some(*value), None)
        }
        (PrimitiveType::Timestamptz, Value::Long(value)) => {
            ScalarValue::TimestampMicrosecond(Some(*value), Some(Arc::from(UTC)))
        }
        (PrimitiveType::TimestampNs, Value::Long(value)) => {
            ScalarValue::TimestampNanosecond(Some(*value), None)
        }
        (PrimitiveType::TimestamptzNs, Value::Long(value)) => {
            ScalarValue::TimestampNanosecond(Some(*value), Some(Arc::from(UTC)))
        }
        (PrimitiveType::String, Value::String(value)) => ScalarValue::Utf8(Some(value.clone())),
        (PrimitiveType::Uuid, Value::UInt128(value)) => {
            ScalarValue::FixedSizeBinary(16, Some(value.to_be_bytes().to_vec()))
        }
        (PrimitiveType::Fixed(length), Value::Binary(value)) => match i32::try_from(*length) {
            Ok(length) if usize::try_from(length).ok()? == value.len() => {
                ScalarValue::FixedSizeBinary(length, Some(value.clone()))
            }
            _ => return None,
        },
        (PrimitiveType::Binary, Value::Binary(value)) => {
            ScalarValue::LargeBinary(Some(value.clone()))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{NestedField, Schema, Type};

    use super::*;

    #[test]
    fn types_are_icebergs_own() {
        for primitive in [
            PrimitiveType::Boolean,
            PrimitiveType::Int,
            PrimitiveType::Long,
            PrimitiveType::Float,
            PrimitiveType::Double,
            PrimitiveType::Decimal {
                precision: 9,
                scale: 2,
            },
            PrimitiveType::Date,
            PrimitiveType::Time,
            PrimitiveType::Timestamp,
            PrimitiveType::Timestamptz,
            PrimitiveType::TimestampNs,
            PrimitiveType::TimestamptzNs,
            PrimitiveType::String,
            PrimitiveType::Uuid,
            PrimitiveType::Fixed(3),
            PrimitiveType::Binary,
        ] {
            let schema = Schema::builder()
                .with_fields([
                    NestedField::optional(1, "c", Type::Primitive(primitive.clone())).into(),
                ])
                .build()
                .unwrap();
            let arrow = iceberg::arrow::schema_to_arrow_schema(&schema).unwrap();
            assert_eq!(
                arrow_type(&primitive).as_ref(),
                Some(arrow.field(0).data_type()),
                "{primitive}"
            );
            assert!(literal(None, &primitive).unwrap().is_null());
        }
    }

    #[test]
    fn values_must_fit_their_type() {
        assert_eq!(
            literal(Some(&Literal::int(3)), &PrimitiveType::Long),
            Some(ScalarValue::Int64(Some(3)))
        );
        assert_eq!(
            literal(Some(&Literal::string("3")), &PrimitiveType::Int),
            None
        );
        assert_eq!(
            datum(&Datum::timestamptz_micros(5)),
            Some(ScalarValue::TimestampMicrosecond(
                Some(5),
                Some(Arc::from(UTC))
            ))
        );
    }
}
