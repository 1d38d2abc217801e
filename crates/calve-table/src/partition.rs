//! Partition specs and the types of their values.

use iceberg::spec::{PartitionSpec, PrimitiveType, Schema, TableMetadata, Type};

use crate::manifest::PartitionColumn;
use crate::{Error, Result};

/// The fields of a spec with the types of their values, by a schema that has all their sources.
pub(crate) fn partition_columns(
    spec: &PartitionSpec,
    schema: &Schema,
) -> Result<Vec<PartitionColumn>> {
    let fields = spec.fields().iter();
    fields
        .map(|field| {
            let source = schema.field_by_id(field.source_id);
            let value = source.and_then(|source| {
                let result = field.transform.result_type(&source.field_type).ok()?;
                result.as_primitive_type().cloned()
            });
            Ok(PartitionColumn {
                id: field.field_id,
                name: field.name.clone(),
                primitive: value.ok_or_else(|| Error::PartitionSource {
                    spec_id: spec.spec_id(),
                    field: field.name.clone(),
                    source_id: field.source_id,
                })?,
            })
        })
        .collect()
}

/// The type of the values of each field of a spec; `None` where the column is in no schema of the
/// table any more. The current schema is asked first, then the newest that has the column.
pub(crate) fn value_types(
    metadata: &TableMetadata,
    spec: &PartitionSpec,
) -> Vec<Option<PrimitiveType>> {
    let fields = spec.fields().iter();
    fields
        .map(|field| {
            let source = source_type(metadata, field.source_id)?;
            let result = field.transform.result_type(&source).ok()?;
            result.as_primitive_type().cloned()
        })
        .collect()
}

fn source_type(metadata: &TableMetadata, source_id: i32) -> Option<Type> {
    let current = metadata.current_schema().field_by_id(source_id);
    let newest = || {
        let schemas = metadata.schemas_iter();
        let with_column = schemas.filter(|schema| schema.field_by_id(source_id).is_some());
        let newest = with_column.max_by_key(|schema| schema.schema_id())?;
        newest.field_by_id(source_id)
    };
    Some(current.or_else(newest)?.field_type.as_ref().clone())
}
