//! `entries`: one row a line of a manifest, removed files among them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::spec::TableMetadata;

use super::arrays::{array, structs};
use super::files::{FileColumns, Row};
use super::readable_metrics::ReadableMetrics;
use super::{BatchStream, Context};
use crate::Result;
use crate::manifests::Part;

pub(super) fn fields(metadata: &TableMetadata) -> Vec<Field> {
    let files = FileColumns::of(metadata).fields();
    vec![
        Field::new("status", DataType::Int32, false),
        Field::new("snapshot_id", DataType::Int64, true),
        Field::new("sequence_number", DataType::Int64, true),
        Field::new("file_sequence_number", DataType::Int64, true),
        Field::new("data_file", DataType::Struct(files.into()), false),
        ReadableMetrics::of(metadata).field(),
    ]
}

pub(super) fn stream(context: Context, parts: BoxStream<'static, Result<Part>>) -> BatchStream {
    let columns = FileColumns::of(&context.metadata);
    let metrics = ReadableMetrics::of(&context.metadata);
    parts
        .map(move |part| batch(&context, &columns, &metrics, &part?))
        .boxed()
}

fn batch(
    context: &Context,
    columns: &FileColumns,
    metrics: &ReadableMetrics,
    part: &Part,
) -> Result<RecordBatch> {
    let entries = &part.entries;
    let rows: Vec<Row<'_>> = entries
        .iter()
        .map(|entry| Row {
            file: &entry.file,
            spec_id: part.manifest.partition_spec_id,
        })
        .collect();
    context.batch(rows.len(), |at| {
        Ok(match at {
            0 => {
                let status = entries.iter().map(|entry| entry.status as i32);
                Arc::new(Int32Array::from_iter_values(status)) as ArrayRef
            }
            1 => longs(entries.iter().map(|entry| entry.snapshot_id)),
            2 => longs(entries.iter().map(|entry| entry.sequence_number)),
            3 => longs(entries.iter().map(|entry| entry.file_sequence_number)),
            4 => {
                let arrays = columns.columns.iter();
                let arrays = arrays.map(|column| columns.array(*column, &rows));
                let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
                structs(columns.fields().into(), arrays, rows.len())?
            }
            _ => metrics.array(&rows)?,
        })
    })
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    array::<Int64Array, _>(values)
}
