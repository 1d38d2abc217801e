//! `manifests`: one row a manifest of a snapshot.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use iceberg::spec::{Datum, FieldSummary, ManifestContentType, ManifestFile, TableMetadata};

use super::Context;
use super::arrays::{array, structs};
use super::human::human;
use crate::Result;
use crate::partition::value_types;

pub(super) fn fields(of_all_snapshots: bool) -> Vec<Field> {
    let mut fields = vec![
        Field::new("content", DataType::Int32, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("length", DataType::Int64, false),
        Field::new("partition_spec_id", DataType::Int32, true),
        Field::new("added_snapshot_id", DataType::Int64, true),
    ];
    let counts = COUNTS.iter();
    fields.extend(counts.map(|(name, _, _)| Field::new(*name, DataType::Int32, true)));
    fields.push(Field::new(
        "partition_summaries",
        DataType::List(summary_field()),
        true,
    ));
    if of_all_snapshots {
        fields.push(Field::new("reference_snapshot_id", DataType::Int64, false));
        fields.push(Field::new("key_metadata", DataType::Binary, true));
    }
    fields
}

type CountOf = fn(&ManifestFile) -> Option<u32>;

/// Files by status, for manifests of data and for manifests of deletes.
const COUNTS: [(&str, ManifestContentType, CountOf); 6] = [
    (
        "added_data_files_count",
        ManifestContentType::Data,
        |manifest| manifest.added_files_count,
    ),
    (
        "existing_data_files_count",
        ManifestContentType::Data,
        |manifest| manifest.existing_files_count,
    ),
    (
        "deleted_data_files_count",
        ManifestContentType::Data,
        |manifest| manifest.deleted_files_count,
    ),
    (
        "added_delete_files_count",
        ManifestContentType::Deletes,
        |manifest| manifest.added_files_count,
    ),
    (
        "existing_delete_files_count",
        ManifestContentType::Deletes,
        |manifest| manifest.existing_files_count,
    ),
    (
        "deleted_delete_files_count",
        ManifestContentType::Deletes,
        |manifest| manifest.deleted_files_count,
    ),
];

pub(super) fn batch(
    context: &Context,
    manifests: &[ManifestFile],
    snapshot_id: i64,
) -> Result<RecordBatch> {
    let rows = || manifests.iter();
    context.batch(manifests.len(), |at| {
        Ok(match at {
            0 => ints(rows().map(|manifest| Some(manifest.content as i32))),
            1 => {
                let paths = rows().map(|manifest| manifest.manifest_path.as_str());
                Arc::new(StringArray::from_iter_values(paths))
            }
            2 => longs(rows().map(|manifest| manifest.manifest_length)),
            3 => ints(rows().map(|manifest| Some(manifest.partition_spec_id))),
            4 => longs(rows().map(|manifest| manifest.added_snapshot_id)),
            5..=10 => {
                let (_, content, count) = COUNTS[at - 5];
                ints(rows().map(|manifest| {
                    if manifest.content != content {
                        return Some(0);
                    }
                    count(manifest).and_then(|count| i32::try_from(count).ok())
                }))
            }
            11 => summaries(&context.metadata, manifests)?,
            12 => longs(rows().map(|_| snapshot_id)),
            _ => array::<BinaryArray, _>(rows().map(|manifest| manifest.key_metadata.as_deref())),
        })
    })
}

fn summary_field() -> Arc<Field> {
    Arc::new(Field::new(
        "element",
        DataType::Struct(summary_fields()),
        false,
    ))
}

fn summary_fields() -> Fields {
    Fields::from(vec![
        Field::new("contains_null", DataType::Boolean, false),
        Field::new("contains_nan", DataType::Boolean, true),
        Field::new("lower_bound", DataType::Utf8, true),
        Field::new("upper_bound", DataType::Utf8, true),
    ])
}

/// The summaries of all manifests, one after the other, cut into one list a manifest.
fn summaries(metadata: &TableMetadata, manifests: &[ManifestFile]) -> Result<ArrayRef> {
    let of = |manifest: &ManifestFile| manifest.partitions.clone().unwrap_or_default();
    let all: Vec<Vec<FieldSummary>> = manifests.iter().map(of).collect();
    let mut bounds = Vec::new();
    for (manifest, summaries) in manifests.iter().zip(&all) {
        bounds.extend(readable_bounds(
            metadata,
            manifest.partition_spec_id,
            summaries,
        ));
    }
    let flat = || all.iter().flatten();
    let (lower, upper): (Vec<_>, Vec<_>) = bounds.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![
        array::<BooleanArray, _>(flat().map(|summary| Some(summary.contains_null))),
        array::<BooleanArray, _>(flat().map(|summary| summary.contains_nan)),
        Arc::new(StringArray::from(lower)),
        Arc::new(StringArray::from(upper)),
    ];
    let elements = structs(summary_fields(), columns, flat().count())?;
    let offsets = OffsetBuffer::from_lengths(all.iter().map(Vec::len));
    let nulls = manifests
        .iter()
        .map(|manifest| manifest.partitions.is_some());
    Ok(Arc::new(ListArray::try_new(
        summary_field(),
        offsets,
        elements,
        Some(nulls.collect::<Vec<_>>().into()),
    )?))
}

/// Bounds as text, below and above.
type Bounds = (Option<String>, Option<String>);

fn readable_bounds(
    metadata: &TableMetadata,
    spec_id: i32,
    summaries: &[FieldSummary],
) -> Vec<Bounds> {
    let Some(spec) = metadata.partition_spec_by_id(spec_id) else {
        return vec![(None, None); summaries.len()];
    };
    let types = value_types(metadata, spec);
    let readable = |at: usize, bytes: Option<&[u8]>| {
        let primitive = types.get(at)?.as_ref()?;
        let bound = Datum::try_from_bytes(bytes?, primitive.clone()).ok()?;
        human(spec.fields()[at].transform, primitive, bound.literal())
    };
    let summaries = summaries.iter().enumerate();
    summaries
        .map(|(at, summary)| {
            let lower = summary.lower_bound.as_ref().map(|bound| bound.as_slice());
            let upper = summary.upper_bound.as_ref().map(|bound| bound.as_slice());
            (readable(at, lower), readable(at, upper))
        })
        .collect()
}

fn ints(values: impl Iterator<Item = Option<i32>>) -> ArrayRef {
    array::<Int32Array, _>(values)
}

fn longs(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}
