//! Partition values: as Avro, as single-value bytes, in order.

use std::cmp::Ordering;

use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType, Type};

use crate::avro::{AvroError, Cursor, Encode, Kind, Logical, Schema};

/// Appends a value in the Avro type of `primitive`; `None` where the value is not of that type.
pub(crate) fn put_value(
    buffer: &mut Vec<u8>,
    primitive: &PrimitiveType,
    value: &PrimitiveLiteral,
) -> Option<()> {
    match (primitive, value) {
        (PrimitiveType::Boolean, PrimitiveLiteral::Boolean(value)) => {
            buffer.push(u8::from(*value));
        }
        (PrimitiveType::Int | PrimitiveType::Date, PrimitiveLiteral::Int(value)) => {
            buffer.put_long(i64::from(*value));
        }
        (
            PrimitiveType::Long
            | PrimitiveType::Time
            | PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::TimestampNs
            | PrimitiveType::TimestamptzNs,
            PrimitiveLiteral::Long(value),
        ) => buffer.put_long(*value),
        (PrimitiveType::Float, PrimitiveLiteral::Float(value)) => {
            buffer.extend_from_slice(&value.to_le_bytes());
        }
        (PrimitiveType::Double, PrimitiveLiteral::Double(value)) => {
            buffer.extend_from_slice(&value.to_le_bytes());
        }
        (PrimitiveType::String, PrimitiveLiteral::String(value)) => {
            buffer.put_bytes(value.as_bytes());
        }
        (PrimitiveType::Uuid, PrimitiveLiteral::UInt128(value)) => {
            buffer.extend_from_slice(&value.to_be_bytes());
        }
        (PrimitiveType::Fixed(length), PrimitiveLiteral::Binary(value))
            if value.len() as u64 == *length =>
        {
            buffer.extend_from_slice(value);
        }
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(value)) => buffer.put_bytes(value),
        (PrimitiveType::Decimal { precision, .. }, PrimitiveLiteral::Int128(value)) => {
            let length = Type::decimal_required_bytes(*precision).ok()? as usize;
            let bytes = value.to_be_bytes();
            if minimal(&bytes).len() > length {
                return None;
            }
            buffer.extend_from_slice(&bytes[bytes.len() - length..]);
        }
        _ => return None,
    }
    Some(())
}

/// A value as the specification's "binary single-value serialization".
pub(crate) fn single_value(value: &PrimitiveLiteral) -> Vec<u8> {
    match value {
        PrimitiveLiteral::Boolean(value) => vec![u8::from(*value)],
        PrimitiveLiteral::Int(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Long(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Float(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::Double(value) => value.to_le_bytes().to_vec(),
        PrimitiveLiteral::String(value) => value.as_bytes().to_vec(),
        PrimitiveLiteral::Binary(value) => value.clone(),
        PrimitiveLiteral::UInt128(value) => value.to_be_bytes().to_vec(),
        PrimitiveLiteral::Int128(value) => minimal(&value.to_be_bytes()).to_vec(),
        PrimitiveLiteral::AboveMax | PrimitiveLiteral::BelowMin => Vec::new(),
    }
}

/// The order of two values of one type, as Iceberg compares bounds.
pub(crate) fn compare(left: &PrimitiveLiteral, right: &PrimitiveLiteral) -> Ordering {
    match (left, right) {
        // The standard order of bytes and of UTF-8 text is by unsigned byte, as Iceberg's.
        (PrimitiveLiteral::Float(left), PrimitiveLiteral::Float(right)) => {
            left.0.total_cmp(&right.0)
        }
        (PrimitiveLiteral::Double(left), PrimitiveLiteral::Double(right)) => {
            left.0.total_cmp(&right.0)
        }
        _ => left.partial_cmp(right).unwrap_or(Ordering::Equal),
    }
}

/// Reads a partition value by the type it was written with.
pub(crate) fn read_value(
    cursor: &mut Cursor<'_>,
    schema: &Schema,
) -> Result<Option<PrimitiveLiteral>, AvroError> {
    let Some(schema) = cursor.branch(schema)? else {
        return Ok(None);
    };
    let offset = cursor.position();
    let decimal = |bytes: &[u8]| match from_minimal(bytes) {
        Some(value) => Ok(PrimitiveLiteral::Int128(value)),
        None => Err(AvroError::OutOfRange { offset }),
    };
    Ok(Some(match (&schema.kind, schema.logical) {
        (Kind::Boolean, _) => PrimitiveLiteral::Boolean(cursor.boolean()?),
        (Kind::Int, _) => PrimitiveLiteral::Int(cursor.int()?),
        (Kind::Long, _) => PrimitiveLiteral::Long(cursor.long()?),
        (Kind::Float, _) => PrimitiveLiteral::Float(f32::from_le_bytes(cursor.array()?).into()),
        (Kind::Double, _) => PrimitiveLiteral::Double(f64::from_le_bytes(cursor.array()?).into()),
        (Kind::String, Some(Logical::Uuid)) => {
            let value = uuid::Uuid::parse_str(cursor.string()?);
            let value = value.map_err(|_| AvroError::OutOfRange { offset })?;
            PrimitiveLiteral::UInt128(value.as_u128())
        }
        (Kind::String, _) => PrimitiveLiteral::String(cursor.string()?.to_owned()),
        (Kind::Fixed(16), Some(Logical::Uuid)) => {
            PrimitiveLiteral::UInt128(u128::from_be_bytes(cursor.array()?))
        }
        (Kind::Fixed(length), Some(Logical::Decimal)) => decimal(cursor.take(*length)?)?,
        (Kind::Bytes, Some(Logical::Decimal)) => decimal(cursor.bytes()?)?,
        (Kind::Fixed(length), _) => PrimitiveLiteral::Binary(cursor.take(*length)?.to_vec()),
        (Kind::Bytes, _) => PrimitiveLiteral::Binary(cursor.bytes()?.to_vec()),
        _ => return Err(AvroError::FieldType { field: "partition" }),
    }))
}

/// Turns a value that was written before its column was promoted into the column's type today.
pub(crate) fn promote(value: PrimitiveLiteral, primitive: Option<&PrimitiveType>) -> Literal {
    Literal::Primitive(match (primitive, value) {
        (Some(PrimitiveType::Long), PrimitiveLiteral::Int(value)) => {
            PrimitiveLiteral::Long(i64::from(value))
        }
        (Some(PrimitiveType::Double), PrimitiveLiteral::Float(value)) => {
            PrimitiveLiteral::Double(f64::from(value.0).into())
        }
        (_, value) => value,
    })
}

/// The shortest two's complement of a big-endian number: what its sign repeats is left out.
fn minimal(bytes: &[u8; 16]) -> &[u8] {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
    let repeated = bytes
        .windows(2)
        .take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0)
        .count();
    &bytes[repeated..]
}

fn from_minimal(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let sign = if first & 0x80 == 0 { 0 } else { 0xff };
    let padding = bytes.len().saturating_sub(16);
    if bytes[..padding].iter().any(|byte| *byte != sign) {
        return None;
    }
    let mut wide = [sign; 16];
    let kept = &bytes[padding..];
    wide[16 - kept.len()..].copy_from_slice(kept);
    Some(i128::from_be_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_as_short_as_they_can_be() {
        for (value, bytes) in [
            (0_i128, vec![0]),
            (-1, vec![0xff]),
            (127, vec![0x7f]),
            (128, vec![0, 0x80]),
            (-128, vec![0x80]),
            (-129, vec![0xff, 0x7f]),
            (1_000_000, vec![0x0f, 0x42, 0x40]),
        ] {
            assert_eq!(single_value(&PrimitiveLiteral::Int128(value)), bytes);
            assert_eq!(from_minimal(&bytes), Some(value));
        }
        assert_eq!(
            from_minimal(&i128::MIN.to_be_bytes()),
            Some(i128::MIN),
            "the widest"
        );
        assert_eq!(from_minimal(&[]), None);
        assert_eq!(from_minimal(&[1; 17]), None);
    }
}
