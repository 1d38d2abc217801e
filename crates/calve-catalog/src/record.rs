//! Entries of a catalog as documents, whole, so that they can be put back as they were.
//!
//! The documents are spelled as Glue's own API spells `TableInput` and `PartitionInput`, so that
//! `aws glue update-table --table-input` understands them too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An entry of any kind as the catalog held it: what an undo record keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EntryRecord {
    /// The version that the catalog locks updates with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The entry.
    pub table_input: TableRecord,
}

/// A table's entry: Glue's `TableInput`, but for what only views and links have.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct TableRecord {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// In seconds since 1970, as all times here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_access_time: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_analyzed_time: Option<f64>,
    #[serde(default)]
    pub retention: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<StorageRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_keys: Option<Vec<ColumnRecord>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_original_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_expanded_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// A partition's entry: Glue's `PartitionInput`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct PartitionRecord {
    #[serde(default)]
    pub values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_access_time: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_analyzed_time: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<StorageRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// Parameters, sorted by their keys.
pub type Parameters = BTreeMap<String, String>;

/// Glue's `StorageDescriptor`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct StorageRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<ColumnRecord>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_locations: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    #[serde(default)]
    pub compressed: bool,
    #[serde(default)]
    pub number_of_buckets: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serde_info: Option<SerdeRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_columns: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_columns: Option<Vec<SortRecord>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skewed_info: Option<SkewRecord>,
    #[serde(default)]
    pub stored_as_sub_directories: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_reference: Option<SchemaReferenceRecord>,
}

/// Glue's `Column`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct ColumnRecord {
    pub name: String,
    #[serde(default, rename = "Type", skip_serializing_if = "Option::is_none")]
    pub type_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// Glue's `SerDeInfo`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct SerdeRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serialization_library: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// Glue's `Order`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct SortRecord {
    pub column: String,
    pub sort_order: i32,
}

/// Glue's `SkewedInfo`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct SkewRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skewed_column_names: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skewed_column_values: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skewed_column_value_location_maps: Option<Parameters>,
}

/// Glue's `SchemaReference`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of Glue's API, by its names")]
pub struct SchemaReferenceRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version_number: Option<i64>,
}

impl EntryRecord {
    /// A parameter of the entry.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        let parameters = self.table_input.parameters.as_ref()?;
        parameters.get(key).map(String::as_str)
    }

    /// Where the entry points to, if it is an Iceberg table's.
    pub fn metadata_location(&self) -> Option<&str> {
        let kind = self.parameter("table_type")?;
        kind.eq_ignore_ascii_case("iceberg")
            .then(|| self.parameter("metadata_location"))
            .flatten()
    }
}
