//! A table's entry in Glue, as Java's `GlueTableOperations` writes it.

use std::collections::{BTreeSet, HashMap, HashSet};

use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table, TableInput};
use iceberg::spec::{NestedField, PrimitiveType, TableMetadata, Type};

use crate::backend::Entry;

pub(super) const TABLE_TYPE: &str = "table_type";
pub(super) const METADATA_LOCATION: &str = "metadata_location";
const PREVIOUS_METADATA_LOCATION: &str = "previous_metadata_location";
const ICEBERG: &str = "ICEBERG";
const EXTERNAL_TABLE: &str = "EXTERNAL_TABLE";
const COMMENT: &str = "comment";
/// Where a table's files may lie besides its location.
const ADDITIONAL_LOCATIONS: [&str; 4] = [
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
];
/// Glue's limits.
const COLUMN_COMMENT_CHARS: usize = 255;
const DESCRIPTION_CHARS: usize = 2048;

/// The entry that points to `entry`, where `existing` stood before.
pub(super) fn table_input(
    name: &str,
    existing: Option<&Table>,
    entry: Entry<'_>,
) -> Result<TableInput, BuildError> {
    let properties = entry.metadata.properties();
    let description = properties
        .get(COMMENT)
        .map(String::as_str)
        .or_else(|| existing.and_then(Table::description));
    let additional: BTreeSet<&String> = ADDITIONAL_LOCATIONS
        .iter()
        .filter_map(|key| properties.get(*key))
        .collect();
    let storage = StorageDescriptor::builder()
        .location(entry.metadata.location())
        .set_additional_locations(Some(additional.into_iter().cloned().collect()))
        .set_columns(Some(columns(entry.metadata, existing)?))
        .build();
    TableInput::builder()
        .name(name)
        .table_type(EXTERNAL_TABLE)
        .set_description(description.map(|text| one_line(text, DESCRIPTION_CHARS)))
        .set_parameters(Some(parameters(existing, entry)))
        .storage_descriptor(storage)
        .build()
}

/// The entry that points to `entry`, in the place of one of another kind: what only a Hive-style table or its
/// crawler has goes (keys, formats, projection, statistics, Spark's copy of the schema); owner, retention, description,
/// comments and all other parameters stay.
pub(super) fn replacement_input(
    existing: &Table,
    entry: Entry<'_>,
) -> Result<TableInput, BuildError> {
    let mut kept = existing.clone();
    if let Some(parameters) = &mut kept.parameters {
        parameters.retain(|key, _| !is_of_hive(key));
    }
    let keys = kept.partition_keys.take().unwrap_or_default();
    if let Some(storage) = &mut kept.storage_descriptor {
        // Comments of keys are comments of columns now.
        storage.columns.get_or_insert_default().extend(keys);
    }
    let mut input = table_input(&existing.name, Some(&kept), entry)?;
    input.owner = kept.owner;
    input.retention = kept.retention;
    Ok(input)
}

/// Whether a parameter is about a Hive-style table, its crawler, its statistics or Spark's view of it.
fn is_of_hive(key: &str) -> bool {
    const KEYS: [&str; 28] = [
        "averagerecordsize",
        "bucketing_version",
        "classification",
        "column_stats_accurate",
        "compressiontype",
        "crawlerschemadeserializerversion",
        "crawlerschemaserializerversion",
        "exclusions",
        "external",
        "last_modified_by",
        "last_modified_time",
        "metadata_location",
        "numfiles",
        "numrows",
        "objectcount",
        "parquet.compress",
        "parquet.compression",
        "partition_filtering.enabled",
        "partitionindexfilteringenabled",
        "path",
        "previous_metadata_location",
        "rawdatasize",
        "recordcount",
        "serialization.format",
        "sizekey",
        "totalsize",
        "transient_lastddltime",
        "typeofdata",
    ];
    const PREFIXES: [&str; 4] = [
        "projection.",
        "spark.sql.",
        "storage.location.",
        "updated_by_crawler",
    ];
    let key = key.to_lowercase();
    KEYS.binary_search(&key.as_str()).is_ok()
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// What the entry says already stays, but for the pointer.
fn parameters(existing: Option<&Table>, entry: Entry<'_>) -> HashMap<String, String> {
    let mut parameters = existing
        .and_then(Table::parameters)
        .cloned()
        .unwrap_or_default();
    parameters.insert(TABLE_TYPE.to_owned(), ICEBERG.to_owned());
    let previous = parameters.insert(METADATA_LOCATION.to_owned(), entry.location.to_string());
    if let Some(previous) = previous {
        parameters.insert(PREVIOUS_METADATA_LOCATION.to_owned(), previous);
    }
    parameters
}

/// The columns of the current schema, then those of older schemas whose names are not there yet.
fn columns(metadata: &TableMetadata, existing: Option<&Table>) -> Result<Vec<Column>, BuildError> {
    let comments: HashMap<&str, &str> = existing
        .and_then(Table::storage_descriptor)
        .map(StorageDescriptor::columns)
        .unwrap_or_default()
        .iter()
        .filter_map(|column| Some((column.name(), column.comment()?)))
        .collect();
    let mut older: Vec<_> = metadata
        .schemas_iter()
        .filter(|schema| schema.schema_id() != metadata.current_schema_id())
        .collect();
    older.sort_by_key(|schema| schema.schema_id());
    let current = metadata.current_schema().as_struct().fields();
    let historical = older.iter().flat_map(|schema| schema.as_struct().fields());
    let mut names = HashSet::new();
    current
        .iter()
        .map(|field| (field, true))
        .chain(historical.map(|field| (field, false)))
        .filter(|(field, _)| names.insert(field.name.as_str()))
        .map(|(field, is_current)| column(field, is_current, &comments))
        .collect()
}

fn column(
    field: &NestedField,
    is_current: bool,
    comments: &HashMap<&str, &str>,
) -> Result<Column, BuildError> {
    let comment = field
        .doc
        .as_deref()
        .filter(|doc| !doc.is_empty())
        .or_else(|| comments.get(field.name.as_str()).copied());
    Column::builder()
        .name(&field.name)
        .r#type(type_text(&field.field_type))
        .set_comment(comment.map(|text| one_line(text, COLUMN_COMMENT_CHARS)))
        .parameters("iceberg.field.id", field.id.to_string())
        .parameters("iceberg.field.optional", (!field.required).to_string())
        .parameters("iceberg.field.current", is_current.to_string())
        .build()
}

/// A type as Hive spells it, as far as Hive has it.
fn type_text(field_type: &Type) -> String {
    match field_type {
        Type::Primitive(primitive) => match primitive {
            PrimitiveType::Boolean => "boolean".to_owned(),
            PrimitiveType::Int => "int".to_owned(),
            PrimitiveType::Long => "bigint".to_owned(),
            PrimitiveType::Float => "float".to_owned(),
            PrimitiveType::Double => "double".to_owned(),
            PrimitiveType::Date => "date".to_owned(),
            PrimitiveType::Time | PrimitiveType::String | PrimitiveType::Uuid => {
                "string".to_owned()
            }
            PrimitiveType::Timestamp | PrimitiveType::Timestamptz => "timestamp".to_owned(),
            PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => {
                "timestamp_nano".to_owned()
            }
            PrimitiveType::Fixed(_) | PrimitiveType::Binary => "binary".to_owned(),
            PrimitiveType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        },
        Type::Struct(fields) => {
            let fields: Vec<String> = fields
                .fields()
                .iter()
                .map(|field| format!("{}:{}", field.name, type_text(&field.field_type)))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        Type::List(list) => format!("array<{}>", type_text(&list.element_field.field_type)),
        Type::Map(map) => format!(
            "map<{},{}>",
            type_text(&map.key_field.field_type),
            type_text(&map.value_field.field_type)
        ),
    }
}

/// Glue refuses a table whose comments are long or have line breaks: what does not fit is cut.
fn one_line(text: &str, chars: usize) -> String {
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(chars)
        .collect()
}
