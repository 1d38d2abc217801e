//! Partition specs and the types of their values.

use std::collections::{BTreeMap, HashMap, HashSet};

use iceberg::spec::{
    Literal, PartitionSpec, PrimitiveLiteral, PrimitiveType, Struct, TableMetadata, Transform, Type,
};

use crate::manifest::PartitionColumn;
use crate::{Error, Result};

/// The fields of a spec with the types of their values.
///
/// # Errors
/// When one of the types is not known: its column is in no schema of the table.
pub(crate) fn partition_columns(
    spec: &PartitionSpec,
    types: &[Option<PrimitiveType>],
) -> Result<Vec<PartitionColumn>> {
    let fields = spec.fields().iter().zip(types);
    fields
        .map(|(field, primitive)| {
            Ok(PartitionColumn {
                id: field.field_id,
                name: field.name.clone(),
                primitive: primitive.clone().ok_or_else(|| Error::PartitionSource {
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
pub fn value_types(metadata: &TableMetadata, spec: &PartitionSpec) -> Vec<Option<PrimitiveType>> {
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

/// The fields of all specs of a table in one struct, as its metadata tables show partitions
/// (Java's `Partitioning.partitionType`).
#[derive(Debug, Clone)]
pub(crate) struct UnifiedPartition {
    pub(crate) columns: Vec<PartitionColumn>,
    /// For each spec, where each column of the struct stands in it.
    places: HashMap<i32, Vec<Option<usize>>>,
}

impl UnifiedPartition {
    /// Unites the specs: fields by id, each under the name that its newest spec gives it. Fields
    /// whose column is not in the current schema are left out.
    pub(crate) fn of(metadata: &TableMetadata) -> Self {
        let mut specs: Vec<_> = metadata.partition_specs_iter().collect();
        specs.sort_by_key(|spec| std::cmp::Reverse(spec.spec_id()));
        let mut columns: BTreeMap<i32, PartitionColumn> = BTreeMap::new();
        let mut void = HashSet::new();
        for spec in &specs {
            for (field, value) in spec.fields().iter().zip(value_types(metadata, spec)) {
                let is_current = metadata
                    .current_schema()
                    .field_by_id(field.source_id)
                    .is_some();
                let (true, Some(primitive)) = (is_current, value) else {
                    continue;
                };
                let is_void = field.transform == Transform::Void;
                // A field that version 1 dropped is void in newer specs; its type is in older ones.
                let known = columns.entry(field.field_id).or_insert_with(|| {
                    if is_void {
                        void.insert(field.field_id);
                    }
                    PartitionColumn {
                        id: field.field_id,
                        name: field.name.clone(),
                        primitive: primitive.clone(),
                    }
                });
                if !is_void && void.remove(&field.field_id) {
                    known.primitive = primitive;
                }
            }
        }
        let columns: Vec<PartitionColumn> = columns.into_values().collect();
        let places = specs.iter().map(|spec| {
            let place = |column: &PartitionColumn| {
                spec.fields()
                    .iter()
                    .position(|field| field.field_id == column.id)
            };
            (spec.spec_id(), columns.iter().map(place).collect())
        });
        Self {
            places: places.collect(),
            columns,
        }
    }

    /// The values of a partition of one of the specs, in the order of the struct.
    pub(crate) fn values(&self, spec_id: i32, partition: &Struct) -> Vec<Option<PrimitiveLiteral>> {
        let places = self.places.get(&spec_id).map_or(&[][..], Vec::as_slice);
        let value = |place: &Option<usize>| match partition.fields().get((*place)?)? {
            Some(Literal::Primitive(value)) => Some(value.clone()),
            _ => None,
        };
        let mut values: Vec<_> = places.iter().map(value).collect();
        values.resize(self.columns.len(), None);
        values
    }
}
