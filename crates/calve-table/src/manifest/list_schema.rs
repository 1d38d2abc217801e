//! The Avro schema of manifest lists, as Java writes it for each format version.

use iceberg::spec::FormatVersion;
use serde_json::{Value, json};

use super::schema::{list, optional, required};

/// The schema of the entries of a manifest list.
pub(super) fn list_schema(version: FormatVersion) -> String {
    let mut fields = vec![
        required("manifest_path", 500, "string"),
        required("manifest_length", 501, "long"),
        required("partition_spec_id", 502, "int"),
    ];
    let summaries = optional("partitions", 507, list(508, summary()));
    let key = optional("key_metadata", 519, "bytes");
    if version == FormatVersion::V1 {
        fields.extend([
            required("added_snapshot_id", 503, "long"),
            optional("added_files_count", 504, "int"),
            optional("existing_files_count", 505, "int"),
            optional("deleted_files_count", 506, "int"),
            summaries,
            optional("added_rows_count", 512, "long"),
            optional("existing_rows_count", 513, "long"),
            optional("deleted_rows_count", 514, "long"),
            key,
        ]);
    } else {
        fields.extend([
            required("content", 517, "int"),
            required("sequence_number", 515, "long"),
            required("min_sequence_number", 516, "long"),
            required("added_snapshot_id", 503, "long"),
            required("added_files_count", 504, "int"),
            required("existing_files_count", 505, "int"),
            required("deleted_files_count", 506, "int"),
            required("added_rows_count", 512, "long"),
            required("existing_rows_count", 513, "long"),
            required("deleted_rows_count", 514, "long"),
            summaries,
            key,
        ]);
    }
    if version >= FormatVersion::V3 {
        fields.push(optional("first_row_id", 520, "long"));
    }
    json!({"type": "record", "name": "manifest_file", "fields": fields}).to_string()
}

fn summary() -> Value {
    json!({
        "type": "record",
        "name": "r508",
        "fields": [
            required("contains_null", 509, "boolean"),
            optional("contains_nan", 518, "boolean"),
            optional("lower_bound", 510, "bytes"),
            optional("upper_bound", 511, "bytes"),
        ],
    })
}
