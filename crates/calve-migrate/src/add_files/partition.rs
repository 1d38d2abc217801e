//! The partition value of one file: from its path, or from its statistics.

use calve_lake::{LakeFile, PartitionKey};
use calve_parquet::{ColumnMapping, LeafMapping, PartitionValue, partition_value};
use iceberg::spec::{Literal, PartitionSpec, Schema, Struct, Transform};
use parquet::file::metadata::ParquetMetaData;

use super::target::PartitionSource;

/// How the fields of the partition spec get their values.
#[derive(Debug, Default)]
pub(super) struct PartitionRules {
    fields: Vec<FieldRule>,
}

#[derive(Debug)]
struct FieldRule {
    /// The name of the source column, for messages.
    column: String,
    source: PartitionSource,
    /// The source column's field id; a new table's schema gives it when the first file is known.
    source_id: Option<i32>,
}

/// Why a file has no partition value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrongValue {
    pub(super) column: String,
    pub(super) problem: String,
}

impl PartitionRules {
    /// The rules of a spec of an existing table.
    pub(super) fn of_spec(
        spec: &PartitionSpec,
        schema: &Schema,
        sources: Vec<PartitionSource>,
    ) -> Self {
        let name = |id| schema.name_by_field_id(id).unwrap_or_default().to_owned();
        let fields = spec
            .fields()
            .iter()
            .zip(sources)
            .map(|(field, source)| FieldRule {
                column: name(field.source_id),
                source,
                source_id: Some(field.source_id),
            });
        Self {
            fields: fields.collect(),
        }
    }

    /// The rules of a new table that is partitioned as the lake is.
    pub(super) fn of_keys(keys: &[PartitionKey]) -> Self {
        let fields = keys.iter().enumerate().map(|(index, key)| FieldRule {
            column: key.name.clone(),
            source: PartitionSource::Key(index),
            source_id: None,
        });
        Self {
            fields: fields.collect(),
        }
    }

    /// Learns the field ids of a new table's partition columns.
    pub(super) fn bind(&mut self, schema: &Schema) {
        for field in self
            .fields
            .iter_mut()
            .filter(|field| field.source_id.is_none())
        {
            field.source_id = schema
                .field_by_name_case_insensitive(&field.column)
                .map(|found| found.id);
        }
    }

    /// The partition value of a file, in the order of the spec's fields.
    pub(super) fn value(
        &self,
        file: &LakeFile,
        footer: &ParquetMetaData,
        mapping: &ColumnMapping,
    ) -> Result<Struct, WrongValue> {
        let values = self.fields.iter().map(|field| {
            let leaf = mapping.leaves.iter().enumerate().find_map(|(index, leaf)| {
                let leaf = leaf.as_ref()?;
                (Some(leaf.field_id) == field.source_id).then_some((index, leaf))
            });
            let wrong = |problem| WrongValue {
                column: field.column.clone(),
                problem,
            };
            match &field.source {
                PartitionSource::Key(index) => {
                    let value = file.partition[*index].clone();
                    check_against_column(value.as_ref(), footer, leaf).map_err(wrong)?;
                    Ok(value)
                }
                PartitionSource::Statistics { transform, .. } => {
                    from_statistics(footer, leaf, *transform).map_err(wrong)
                }
            }
        });
        values.collect::<Result<Vec<_>, _>>().map(Struct::from_iter)
    }
}

/// Where the file holds the column too, its values must be those of the path: readers take the one or
/// the other.
fn check_against_column(
    value: Option<&Literal>,
    footer: &ParquetMetaData,
    leaf: Option<(usize, &LeafMapping)>,
) -> Result<(), String> {
    let Some((index, mapping)) = leaf else {
        return Ok(());
    };
    let in_file = partition_value(footer, index, mapping, Transform::Identity)
        .map_err(|error| error.to_string())?;
    let agrees = match &in_file {
        PartitionValue::Constant(datum) => {
            value == Some(&Literal::Primitive(datum.literal().clone()))
        }
        PartitionValue::Null => value.is_none(),
        PartitionValue::NoRows => true,
        PartitionValue::Several { .. } | PartitionValue::SomeNulls => false,
        PartitionValue::Unknown(_) => false,
    };
    if agrees {
        return Ok(());
    }
    Err(match in_file {
        PartitionValue::Constant(datum) => {
            format!("the file's own column says {datum}, its path says otherwise")
        }
        PartitionValue::Null => "the file's own column is null, its path says otherwise".to_owned(),
        PartitionValue::Unknown(why) => {
            format!(
                "the file holds the column too, and whether it agrees with the path is unknown: {why}"
            )
        }
        _ => "the file's own column has several values, its path only one".to_owned(),
    })
}

fn from_statistics(
    footer: &ParquetMetaData,
    leaf: Option<(usize, &LeafMapping)>,
    transform: Transform,
) -> Result<Option<Literal>, String> {
    let Some((index, mapping)) = leaf else {
        return Err("neither the path nor the file has this partition column".to_owned());
    };
    match partition_value(footer, index, mapping, transform).map_err(|error| error.to_string())? {
        PartitionValue::Constant(datum) => Ok(Some(Literal::Primitive(datum.literal().clone()))),
        PartitionValue::Null | PartitionValue::NoRows => Ok(None),
        PartitionValue::Several { lower, upper } => Err(format!(
            "the file has rows of several partitions, {lower} to {upper}"
        )),
        PartitionValue::SomeNulls => {
            Err("the file has rows of the null partition beside others".to_owned())
        }
        PartitionValue::Unknown(why) => Err(format!("its partition is unknown: {why}")),
    }
}
