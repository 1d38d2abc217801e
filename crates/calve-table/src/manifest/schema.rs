//! The Avro schema of manifests, as Java writes it for each format version.

use std::collections::HashSet;
use std::fmt::Write;

use iceberg::spec::{FormatVersion, PrimitiveType, Type};
use serde_json::{Value, json};

/// A partition field as a manifest stores it.
#[derive(Debug, Clone)]
pub(crate) struct PartitionColumn {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) primitive: PrimitiveType,
}

/// The schema of the entries of a manifest.
pub(super) fn entry_schema(version: FormatVersion, partition: &[PartitionColumn]) -> String {
    let is_v1 = version == FormatVersion::V1;
    let mut fields = vec![required("status", 0, "int")];
    if is_v1 {
        fields.push(required("snapshot_id", 1, "long"));
    } else {
        fields.extend([
            optional("snapshot_id", 1, "long"),
            optional("sequence_number", 3, "long"),
            optional("file_sequence_number", 4, "long"),
        ]);
    }
    let file = json!({"type": "record", "name": "r2", "fields": file_fields(version, partition)});
    fields.push(required("data_file", 2, file));
    json!({"type": "record", "name": "manifest_entry", "fields": fields}).to_string()
}

fn file_fields(version: FormatVersion, partition: &[PartitionColumn]) -> Vec<Value> {
    let is_v1 = version == FormatVersion::V1;
    let mut fields = Vec::with_capacity(24);
    if !is_v1 {
        fields.push(required("content", 134, "int"));
    }
    fields.extend([
        required("file_path", 100, "string"),
        required("file_format", 101, "string"),
        required("partition", 102, partition_record(partition)),
        required("record_count", 103, "long"),
        required("file_size_in_bytes", 104, "long"),
    ]);
    if is_v1 {
        fields.push(required("block_size_in_bytes", 105, "long"));
    }
    for (name, id, key, value, kind) in [
        ("column_sizes", 108, 117, 118, "long"),
        ("value_counts", 109, 119, 120, "long"),
        ("null_value_counts", 110, 121, 122, "long"),
        ("nan_value_counts", 137, 138, 139, "long"),
        ("lower_bounds", 125, 126, 127, "bytes"),
        ("upper_bounds", 128, 129, 130, "bytes"),
    ] {
        fields.push(optional(name, id, map(key, value, kind)));
    }
    fields.extend([
        optional("key_metadata", 131, "bytes"),
        optional("split_offsets", 132, list(133, "long")),
    ]);
    if !is_v1 {
        fields.push(optional("equality_ids", 135, list(136, "int")));
    }
    fields.push(optional("sort_order_id", 140, "int"));
    if version >= FormatVersion::V3 {
        fields.push(optional("first_row_id", 142, "long"));
    }
    if !is_v1 {
        fields.push(optional("referenced_data_file", 143, "string"));
    }
    if version >= FormatVersion::V3 {
        fields.extend([
            optional("content_offset", 144, "long"),
            optional("content_size_in_bytes", 145, "long"),
        ]);
    }
    fields
}

/// The record of the partition values. Avro allows fewer characters in names than Iceberg, and
/// every named type only once.
fn partition_record(partition: &[PartitionColumn]) -> Value {
    let mut defined = HashSet::new();
    let fields: Vec<Value> = partition
        .iter()
        .map(|column| {
            let name = avro_name(&column.name);
            let mut field = optional(
                &name,
                column.id,
                value_type(&column.primitive, &mut defined),
            );
            if name != column.name {
                field["iceberg-field-name"] = json!(column.name);
            }
            field
        })
        .collect();
    json!({"type": "record", "name": "r102", "fields": fields})
}

fn value_type(primitive: &PrimitiveType, defined: &mut HashSet<String>) -> Value {
    let mut fixed = |name: String, size: u64| {
        if defined.insert(name.clone()) {
            json!({"type": "fixed", "name": name, "size": size})
        } else {
            json!(name)
        }
    };
    let timestamp = |logical: &str, adjusts: bool| json!({"type": "long", "logicalType": logical, "adjust-to-utc": adjusts});
    match primitive {
        PrimitiveType::Boolean => json!("boolean"),
        PrimitiveType::Int => json!("int"),
        PrimitiveType::Long => json!("long"),
        PrimitiveType::Float => json!("float"),
        PrimitiveType::Double => json!("double"),
        PrimitiveType::Date => json!({"type": "int", "logicalType": "date"}),
        PrimitiveType::Time => json!({"type": "long", "logicalType": "time-micros"}),
        PrimitiveType::Timestamp => timestamp("timestamp-micros", false),
        PrimitiveType::Timestamptz => timestamp("timestamp-micros", true),
        PrimitiveType::TimestampNs => timestamp("timestamp-nanos", false),
        PrimitiveType::TimestamptzNs => timestamp("timestamp-nanos", true),
        PrimitiveType::String => json!("string"),
        PrimitiveType::Binary => json!("bytes"),
        PrimitiveType::Fixed(size) => fixed(format!("fixed_{size}"), *size),
        PrimitiveType::Uuid => {
            let mut schema = fixed("uuid_fixed".to_owned(), 16);
            if schema.is_object() {
                schema["logicalType"] = json!("uuid");
            }
            schema
        }
        PrimitiveType::Decimal { precision, scale } => {
            let size = Type::decimal_required_bytes(*precision).unwrap_or(16);
            let mut schema = fixed(format!("decimal_{precision}_{scale}"), u64::from(size));
            if schema.is_object() {
                schema["logicalType"] = json!("decimal");
                schema["precision"] = json!(precision);
                schema["scale"] = json!(scale);
            }
            schema
        }
    }
}

/// A name that Avro allows, made as Java makes it: `special@col` is `special_x40col`.
fn avro_name(name: &str) -> String {
    let mut made = String::with_capacity(name.len());
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_alphabetic() || letter == '_' {
            made.push(letter);
        } else if letter.is_ascii_digit() {
            if index == 0 {
                made.push('_');
            }
            made.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                write!(made, "_x{unit:X}").expect("writing to a string does not fail");
            }
        }
    }
    made
}

pub(super) fn required(name: &str, id: i32, schema: impl Into<Value>) -> Value {
    json!({"name": name, "type": schema.into(), "field-id": id})
}

pub(super) fn optional(name: &str, id: i32, schema: impl Into<Value>) -> Value {
    json!({"name": name, "type": ["null", schema.into()], "default": null, "field-id": id})
}

pub(super) fn list(element: i32, schema: impl Into<Value>) -> Value {
    json!({"type": "array", "items": schema.into(), "element-id": element})
}

/// A map whose keys are not text is an array of pairs.
fn map(key: i32, value: i32, schema: &str) -> Value {
    json!({
        "type": "array",
        "logicalType": "map",
        "items": {
            "type": "record",
            "name": format!("k{key}_v{value}"),
            "fields": [required("key", key, "int"), required("value", value, schema)],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_avro_allows() {
        for (name, made) in [
            ("year", "year"),
            ("special@col", "special_x40col"),
            ("1st", "_1st"),
            ("a b", "a_x20b"),
            ("größe", "gr_xF6_xDFe"),
            ("😎", "_xD83D_xDE0E"),
        ] {
            assert_eq!(avro_name(name), made);
        }
    }

    #[test]
    fn named_types_are_defined_once() {
        let column = |id| PartitionColumn {
            id,
            name: format!("c{id}"),
            primitive: PrimitiveType::Decimal {
                precision: 9,
                scale: 2,
            },
        };
        let schema = entry_schema(FormatVersion::V2, &[column(1000), column(1001)]);
        assert_eq!(schema.matches(r#""name":"decimal_9_2""#).count(), 1);
        crate::avro::Schema::parse(schema.as_bytes()).unwrap();
    }
}
