//! A hash over a Parquet schema, without building anything from it.

use parquet::basic::{LogicalType, TimeUnit};
use parquet::schema::types::{BasicTypeInfo, Type};
use xxhash_rust::xxh3::xxh3_128;

use crate::policy::TypePolicy;

/// Hashes names, types, annotations and ids of a schema together with the policy.
pub(super) fn of(root: &Type, policy: &TypePolicy) -> u128 {
    let mut bytes = Vec::with_capacity(1024);
    bytes.push(policy.format_version as u8);
    bytes.push(u8::from(policy.int96_is_instant));
    for column in &policy.text_columns {
        text(&mut bytes, column);
    }
    bytes.push(0xff);
    element(&mut bytes, root);
    xxh3_128(&bytes)
}

fn element(bytes: &mut Vec<u8>, parquet: &Type) {
    let info = parquet.get_basic_info();
    text(bytes, info.name());
    bytes.push(if info.has_repetition() {
        info.repetition() as u8
    } else {
        0xff
    });
    bytes.push(info.converted_type() as u8);
    annotation(bytes, info);
    if info.has_id() {
        bytes.push(1);
        number(bytes, info.id());
    } else {
        bytes.push(0);
    }
    match parquet {
        Type::PrimitiveType {
            physical_type,
            type_length,
            scale,
            precision,
            ..
        } => {
            bytes.push(*physical_type as u8);
            number(bytes, *type_length);
            number(bytes, *scale);
            number(bytes, *precision);
        }
        Type::GroupType { fields, .. } => {
            bytes.push(0xff);
            bytes.extend_from_slice(&(fields.len() as u64).to_le_bytes());
            for field in fields {
                element(bytes, field);
            }
        }
    }
}

fn annotation(bytes: &mut Vec<u8>, info: &BasicTypeInfo) {
    let Some(logical) = info.logical_type_ref() else {
        bytes.push(0);
        return;
    };
    match logical {
        LogicalType::String => bytes.push(1),
        LogicalType::Map => bytes.push(2),
        LogicalType::List => bytes.push(3),
        LogicalType::Enum => bytes.push(4),
        LogicalType::Decimal { scale, precision } => {
            bytes.push(5);
            number(bytes, *scale);
            number(bytes, *precision);
        }
        LogicalType::Date => bytes.push(6),
        LogicalType::Time {
            is_adjusted_to_u_t_c,
            unit,
        } => bytes.extend([7, u8::from(*is_adjusted_to_u_t_c), unit_code(*unit)]),
        LogicalType::Timestamp {
            is_adjusted_to_u_t_c,
            unit,
        } => bytes.extend([8, u8::from(*is_adjusted_to_u_t_c), unit_code(*unit)]),
        LogicalType::Integer {
            bit_width,
            is_signed,
        } => bytes.extend([9, bit_width.cast_unsigned(), u8::from(*is_signed)]),
        LogicalType::Unknown => bytes.push(10),
        LogicalType::Json => bytes.push(11),
        LogicalType::Bson => bytes.push(12),
        LogicalType::Uuid => bytes.push(13),
        LogicalType::Float16 => bytes.push(14),
        LogicalType::Variant { .. } => bytes.push(15),
        LogicalType::Geometry { .. } => bytes.push(16),
        LogicalType::Geography { .. } => bytes.push(17),
        LogicalType::_Unknown { field_id } => {
            bytes.push(18);
            number(bytes, i32::from(*field_id));
        }
    }
}

fn unit_code(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::MILLIS => 1,
        TimeUnit::MICROS => 2,
        TimeUnit::NANOS => 3,
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, number: i32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::of;
    use crate::policy::TypePolicy;
    use crate::schema::tests::parse;

    #[test]
    fn fingerprints_tell_schemas_and_policies_apart() {
        let bodies = [
            "optional int32 a;",
            "required int32 a;",
            "optional int32 b;",
            "optional int64 a;",
            "optional int32 a = 1;",
            "optional int32 a (DATE);",
            "optional int32 a; optional int32 b;",
            "optional group a { optional int32 b; } optional int32 c;",
            "optional group a { optional int32 b; optional int32 c; }",
            "optional int64 a (TIMESTAMP(MICROS,true));",
            "optional int64 a (TIMESTAMP(MICROS,false));",
            "optional fixed_len_byte_array(4) a;",
            "optional fixed_len_byte_array(5) a;",
            "optional int32 a (DECIMAL(5,2));",
            "optional int32 a (DECIMAL(6,2));",
        ];
        let policies = [
            TypePolicy::default(),
            TypePolicy {
                int96_is_instant: false,
                ..TypePolicy::default()
            },
            TypePolicy {
                text_columns: vec!["a".into()],
                ..TypePolicy::default()
            },
        ];
        let mut seen = HashSet::new();
        for body in bodies {
            for policy in &policies {
                let fingerprint = of(&parse(body), policy);
                assert!(seen.insert(fingerprint), "{body} {policy:?}");
                let again = of(&parse(body), policy);
                assert_eq!(fingerprint, again);
            }
        }
    }
}
