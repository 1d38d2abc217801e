//! `partitions`: one row a partition of a snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, PrimitiveLiteral, TableMetadata};

use super::arrays::{array, times, timestamptz};
use super::files::{partition_fields, partition_structs};
use super::{BatchStream, Context};
use crate::Result;
use crate::manifest::Entry;
use crate::manifests::Part;
use crate::partition::UnifiedPartition;

pub(super) fn fields(metadata: &TableMetadata) -> Vec<Field> {
    let partition = UnifiedPartition::of(metadata);
    let mut fields = Vec::new();
    if !partition.columns.is_empty() {
        fields.extend([
            Field::new(
                "partition",
                DataType::Struct(partition_fields(&partition)),
                false,
            ),
            Field::new("spec_id", DataType::Int32, false),
        ]);
    }
    fields.extend([
        Field::new("record_count", DataType::Int64, false),
        Field::new("file_count", DataType::Int32, false),
        Field::new("total_data_file_size_in_bytes", DataType::Int64, false),
        Field::new("position_delete_record_count", DataType::Int64, false),
        Field::new("position_delete_file_count", DataType::Int32, false),
        Field::new("equality_delete_record_count", DataType::Int64, false),
        Field::new("equality_delete_file_count", DataType::Int32, false),
        Field::new("last_updated_at", timestamptz(), true),
        Field::new("last_updated_snapshot_id", DataType::Int64, true),
    ]);
    fields
}

/// A partition's values, in the order of the struct `partition`.
type Key = Vec<Option<PrimitiveLiteral>>;

/// What is known of one partition.
#[derive(Debug, Default, Clone)]
struct Totals {
    spec_id: i32,
    records: u64,
    files: i32,
    bytes: u64,
    position_deletes: u64,
    position_delete_files: i32,
    equality_deletes: u64,
    equality_delete_files: i32,
    /// When and by which snapshot it was changed last.
    updated: Option<(i64, i64)>,
}

pub(super) fn stream(context: Context, parts: BoxStream<'static, Result<Part>>) -> BatchStream {
    stream::once(async move { collect(&context, parts).await }).boxed()
}

async fn collect(
    context: &Context,
    mut parts: BoxStream<'static, Result<Part>>,
) -> Result<RecordBatch> {
    let partition = UnifiedPartition::of(&context.metadata);
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut keys: Vec<Key> = Vec::new();
    let mut totals: Vec<Totals> = Vec::new();
    while let Some(part) = parts.try_next().await? {
        let spec_id = part.manifest.partition_spec_id;
        for entry in part.entries.iter().filter(|entry| entry.is_live()) {
            let key = partition.values(spec_id, &entry.file.partition);
            let place = *places.entry(key).or_insert_with_key(|key| {
                keys.push(key.clone());
                totals.push(Totals::default());
                keys.len() - 1
            });
            totals[place].add(&context.metadata, entry, spec_id);
        }
    }
    batch(context, &partition, keys, &totals)
}

impl Totals {
    fn add(&mut self, metadata: &TableMetadata, entry: &Entry, spec_id: i32) {
        let file = &entry.file;
        self.spec_id = spec_id;
        let (rows, files) = match file.content {
            DataContentType::Data => {
                self.bytes += file.size_bytes;
                (&mut self.records, &mut self.files)
            }
            DataContentType::PositionDeletes => {
                (&mut self.position_deletes, &mut self.position_delete_files)
            }
            DataContentType::EqualityDeletes => {
                (&mut self.equality_deletes, &mut self.equality_delete_files)
            }
        };
        *rows += file.record_count;
        *files += 1;
        let snapshot = entry.snapshot_id.and_then(|id| metadata.snapshot_by_id(id));
        let time = snapshot.map(|snapshot| (snapshot.timestamp_ms(), snapshot.snapshot_id()));
        // Of two snapshots of one time, the first that is met stays.
        if time.map(|(ms, _)| ms) > self.updated.map(|(ms, _)| ms) {
            self.updated = time;
        }
    }
}

fn batch(
    context: &Context,
    partition: &UnifiedPartition,
    keys: Vec<Key>,
    totals: &[Totals],
) -> Result<RecordBatch> {
    let rows = || totals.iter();
    // An unpartitioned table lacks the first two columns.
    let missing = if partition.columns.is_empty() { 2 } else { 0 };
    let mut keys = Some(keys);
    context.batch(totals.len(), |at| {
        Ok(match at + missing {
            0 => partition_structs(partition, keys.take().unwrap_or_default())?,
            1 => ints(rows().map(|totals| totals.spec_id)),
            2 => longs(rows().map(|totals| totals.records)),
            3 => ints(rows().map(|totals| totals.files)),
            4 => longs(rows().map(|totals| totals.bytes)),
            5 => longs(rows().map(|totals| totals.position_deletes)),
            6 => ints(rows().map(|totals| totals.position_delete_files)),
            7 => longs(rows().map(|totals| totals.equality_deletes)),
            8 => ints(rows().map(|totals| totals.equality_delete_files)),
            9 => times(rows().map(|totals| Some(totals.updated?.0))),
            _ => {
                let ids = rows().map(|totals| Some(totals.updated?.1));
                array::<Int64Array, _>(ids)
            }
        })
    })
}

fn ints(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn longs(values: impl Iterator<Item = u64>) -> ArrayRef {
    let values = values.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(values))
}
