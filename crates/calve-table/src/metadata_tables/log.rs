//! `snapshots`, `history`, `refs` and `metadata_log_entries`: what the metadata file alone tells.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, MapBuilder, RecordBatch, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field};
use calve_base::Location;
use iceberg::spec::{SnapshotRef, SnapshotRetention, TableMetadata};

use super::Context;
use super::arrays::{array, map_names, text_map_type, times, timestamptz};
use crate::Result;
use crate::references::references;

pub(super) fn snapshot_fields() -> Vec<Field> {
    vec![
        Field::new("committed_at", timestamptz(), false),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("parent_id", DataType::Int64, true),
        Field::new("operation", DataType::Utf8, true),
        Field::new("manifest_list", DataType::Utf8, true),
        Field::new("summary", text_map_type(), true),
    ]
}

pub(super) fn history_fields() -> Vec<Field> {
    vec![
        Field::new("made_current_at", timestamptz(), false),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("parent_id", DataType::Int64, true),
        Field::new("is_current_ancestor", DataType::Boolean, false),
    ]
}

pub(super) fn ref_fields() -> Vec<Field> {
    vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("type", DataType::Utf8, false),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("max_reference_age_in_ms", DataType::Int64, true),
        Field::new("min_snapshots_to_keep", DataType::Int32, true),
        Field::new("max_snapshot_age_in_ms", DataType::Int64, true),
    ]
}

pub(super) fn metadata_log_fields() -> Vec<Field> {
    vec![
        Field::new("timestamp", timestamptz(), false),
        Field::new("file", DataType::Utf8, false),
        Field::new("latest_snapshot_id", DataType::Int64, true),
        Field::new("latest_schema_id", DataType::Int32, true),
        Field::new("latest_sequence_number", DataType::Int64, true),
    ]
}

/// The snapshots, oldest first. The metadata keeps them in no order.
pub(super) fn snapshots_by_age(metadata: &TableMetadata) -> Vec<SnapshotRef> {
    let mut snapshots: Vec<SnapshotRef> = metadata.snapshots().cloned().collect();
    snapshots.sort_by_key(|snapshot| {
        let order = (snapshot.sequence_number(), snapshot.timestamp_ms());
        (order, snapshot.snapshot_id())
    });
    snapshots
}

pub(super) fn snapshots(context: &Context) -> Result<RecordBatch> {
    let snapshots = snapshots_by_age(&context.metadata);
    let rows = || snapshots.iter();
    context.batch(snapshots.len(), |at| {
        Ok(match at {
            0 => times(rows().map(|snapshot| Some(snapshot.timestamp_ms()))),
            1 => longs(rows().map(|snapshot| Some(snapshot.snapshot_id()))),
            2 => longs(rows().map(|snapshot| snapshot.parent_snapshot_id())),
            3 => texts(rows().map(|snapshot| snapshot.summary().operation.as_str())),
            4 => texts(rows().map(|snapshot| snapshot.manifest_list())),
            _ => summaries(&snapshots)?,
        })
    })
}

fn summaries(snapshots: &[SnapshotRef]) -> Result<ArrayRef> {
    let (keys, values) = (StringBuilder::new(), StringBuilder::new());
    let mut builder = MapBuilder::new(Some(map_names()), keys, values)
        .with_values_field(Field::new("value", DataType::Utf8, false));
    for snapshot in snapshots {
        let properties = &snapshot.summary().additional_properties;
        let mut properties: Vec<_> = properties.iter().collect();
        properties.sort_unstable();
        for (name, value) in properties {
            builder.keys().append_value(name);
            builder.values().append_value(value);
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

pub(super) fn history(context: &Context) -> Result<RecordBatch> {
    let metadata = &context.metadata;
    let ancestors = ancestors(metadata);
    let log = metadata.history();
    let rows = || log.iter();
    context.batch(log.len(), |at| {
        Ok(match at {
            0 => times(rows().map(|entry| Some(entry.timestamp_ms))),
            1 => longs(rows().map(|entry| Some(entry.snapshot_id))),
            2 => longs(rows().map(|entry| {
                let snapshot = metadata.snapshot_by_id(entry.snapshot_id)?;
                snapshot.parent_snapshot_id()
            })),
            _ => {
                let flags = rows().map(|entry| Some(ancestors.contains(&entry.snapshot_id)));
                array::<BooleanArray, _>(flags)
            }
        })
    })
}

/// The current snapshot and those it descends from.
fn ancestors(metadata: &TableMetadata) -> HashSet<i64> {
    let mut ancestors = HashSet::new();
    let mut next = metadata.current_snapshot();
    while let Some(snapshot) = next {
        if !ancestors.insert(snapshot.snapshot_id()) {
            break;
        }
        let parent = snapshot.parent_snapshot_id();
        next = parent.and_then(|id| metadata.snapshot_by_id(id));
    }
    ancestors
}

pub(super) fn refs(context: &Context) -> Result<RecordBatch> {
    let refs = references(&context.metadata);
    let rows = || refs.iter().map(|(_, reference)| reference);
    context.batch(refs.len(), |at| {
        Ok(match at {
            0 => texts(refs.iter().map(|(name, _)| name.as_str())),
            1 => texts(rows().map(|reference| {
                if reference.is_branch() {
                    "BRANCH"
                } else {
                    "TAG"
                }
            })),
            2 => longs(rows().map(|reference| Some(reference.snapshot_id))),
            3 => longs(rows().map(|reference| match reference.retention {
                SnapshotRetention::Branch { max_ref_age_ms, .. }
                | SnapshotRetention::Tag { max_ref_age_ms } => max_ref_age_ms,
            })),
            4 => {
                let counts = rows().map(|reference| match reference.retention {
                    SnapshotRetention::Branch {
                        min_snapshots_to_keep,
                        ..
                    } => min_snapshots_to_keep,
                    SnapshotRetention::Tag { .. } => None,
                });
                array::<Int32Array, _>(counts)
            }
            _ => longs(rows().map(|reference| match reference.retention {
                SnapshotRetention::Branch {
                    max_snapshot_age_ms,
                    ..
                } => max_snapshot_age_ms,
                SnapshotRetention::Tag { .. } => None,
            })),
        })
    })
}

pub(super) fn metadata_log(context: &Context, current: &Location) -> Result<RecordBatch> {
    let metadata = &context.metadata;
    let log = metadata.metadata_log().iter();
    let mut rows: Vec<(i64, &str)> = log
        .map(|entry| (entry.timestamp_ms, entry.metadata_file.as_str()))
        .collect();
    rows.push((metadata.last_updated_ms(), current.as_str()));
    let latest: Vec<Option<&SnapshotRef>> = rows
        .iter()
        .map(|(timestamp_ms, _)| {
            let log = metadata.history().iter().rev();
            let entry = log
                .into_iter()
                .find(|entry| entry.timestamp_ms <= *timestamp_ms)?;
            metadata.snapshot_by_id(entry.snapshot_id)
        })
        .collect();
    let snapshots = || latest.iter().copied();
    context.batch(rows.len(), |at| {
        Ok(match at {
            0 => times(rows.iter().map(|(timestamp_ms, _)| Some(*timestamp_ms))),
            1 => texts(rows.iter().map(|(_, file)| *file)),
            2 => longs(snapshots().map(|snapshot| Some(snapshot?.snapshot_id()))),
            3 => {
                let ids = snapshots().map(|snapshot| snapshot?.schema_id());
                array::<Int32Array, _>(ids)
            }
            _ => longs(snapshots().map(|snapshot| Some(snapshot?.sequence_number()))),
        })
    })
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    array::<Int64Array, _>(values)
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}
