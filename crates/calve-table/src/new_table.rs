//! The metadata of a table that is about to be created.

use calve_base::{Location, Properties};
use iceberg::spec::{FormatVersion, PartitionSpec, Schema, SortOrder, TableMetadata};
use serde_json::json;
use uuid::Uuid;

use crate::{Error, Result};

/// The last partition field id of a table that has no partition fields (spec, "Partition Specs").
const UNPARTITIONED_LAST_ASSIGNED_ID: i32 = 999;

/// A table that does not exist yet.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its identity for life.
    pub uuid: Uuid,
    /// The folder its metadata goes into.
    pub location: Location,
    /// Its schema, with the ids that its manifests already use.
    pub schema: Schema,
    /// How it is partitioned; bound to `schema`.
    pub partition_spec: PartitionSpec,
    /// How its files are sorted.
    pub sort_order: SortOrder,
    /// Its properties.
    pub properties: Properties,
    /// 1, 2 or 3.
    pub format_version: FormatVersion,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: i64,
}

impl NewTable {
    /// Makes the first metadata of the table, without a snapshot.
    ///
    /// `TableMetadataBuilder::new` gives every field a new id, in schema order. Here manifests are
    /// written while the schema still grows, so the ids are given already and must stay: the metadata
    /// is put together in its serialized form, which also has it validated.
    ///
    /// # Errors
    /// When the parts do not fit together.
    pub fn into_metadata(self) -> Result<TableMetadata> {
        let schema = self.schema.into_builder().with_schema_id(0).build()?;
        let spec = self.partition_spec.with_spec_id(0);
        let last_partition_id = spec
            .fields()
            .iter()
            .map(|field| field.field_id)
            .max()
            .unwrap_or(UNPARTITIONED_LAST_ASSIGNED_ID);
        let mut metadata = json!({
            "format-version": self.format_version as u8,
            "table-uuid": self.uuid,
            "location": self.location.as_str().trim_end_matches('/'),
            "last-sequence-number": 0,
            "last-updated-ms": self.created_ms,
            "last-column-id": schema.highest_field_id(),
            "schemas": [&schema],
            "current-schema-id": 0,
            "partition-specs": [&spec],
            "default-spec-id": 0,
            "last-partition-id": last_partition_id,
            "properties": self.properties,
            "snapshots": [],
            "sort-orders": [&self.sort_order],
            "default-sort-order-id": self.sort_order.order_id,
        });
        match self.format_version {
            FormatVersion::V1 => {
                metadata["schema"] = json!(&schema);
                metadata["partition-spec"] = json!(spec.fields());
            }
            FormatVersion::V2 => {}
            FormatVersion::V3 => metadata["next-row-id"] = json!(0),
        }
        serde_json::from_value(metadata).map_err(|source| Error::NewTable {
            location: self.location,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::{NestedField, PrimitiveType, Transform, Type};

    use super::*;

    #[test]
    fn ids_stay_as_they_are() {
        let schema = Schema::builder()
            .with_fields([
                Arc::new(NestedField::optional(
                    7,
                    "a",
                    Type::Primitive(PrimitiveType::Long),
                )),
                Arc::new(NestedField::optional(
                    1,
                    "year",
                    Type::Primitive(PrimitiveType::Int),
                )),
            ])
            .build()
            .unwrap();
        for format_version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
            let spec = PartitionSpec::builder(schema.clone())
                .add_partition_field("year", "year", Transform::Identity)
                .unwrap()
                .build()
                .unwrap();
            let metadata = NewTable {
                uuid: Uuid::from_u128(1),
                location: "s3://b/t/".parse().unwrap(),
                schema: schema.clone(),
                partition_spec: spec,
                sort_order: SortOrder::unsorted_order(),
                properties: Properties::from([("k".to_owned(), "v".to_owned())]),
                format_version,
                created_ms: 42,
            }
            .into_metadata()
            .unwrap();
            assert_eq!(metadata.format_version(), format_version);
            assert_eq!(metadata.location(), "s3://b/t");
            assert_eq!(metadata.last_column_id(), 7);
            assert_eq!(metadata.last_partition_id(), 1000);
            assert_eq!(metadata.current_schema().as_struct(), schema.as_struct());
            assert_eq!(metadata.default_partition_spec().fields()[0].source_id, 1);
            assert_eq!(metadata.properties()["k"], "v");
            assert!(metadata.current_snapshot().is_none());
        }
    }
}
