//! `files` and its kin: one row a data or delete file.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::TableMetadata;

use super::arrays::{array, bound_maps, count_maps, list_type, lists, map_type, structs, values};
use super::readable_metrics::ReadableMetrics;
use super::{BatchStream, Context};
use crate::Result;
use crate::manifest::{ContentFile, Entry};
use crate::manifests::Part;
use crate::partition::UnifiedPartition;

/// A column that describes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Content,
    FilePath,
    FileFormat,
    SpecId,
    Partition,
    RecordCount,
    FileSize,
    Sizes,
    ValueCounts,
    NullValueCounts,
    NanValueCounts,
    LowerBounds,
    UpperBounds,
    KeyMetadata,
    SplitOffsets,
    EqualityIds,
    SortOrderId,
    FirstRowId,
    ReferencedDataFile,
    ContentOffset,
    ContentSize,
}

/// All of them, in Java's order.
const COLUMNS: [Column; 21] = [
    Column::Content,
    Column::FilePath,
    Column::FileFormat,
    Column::SpecId,
    Column::Partition,
    Column::RecordCount,
    Column::FileSize,
    Column::Sizes,
    Column::ValueCounts,
    Column::NullValueCounts,
    Column::NanValueCounts,
    Column::LowerBounds,
    Column::UpperBounds,
    Column::KeyMetadata,
    Column::SplitOffsets,
    Column::EqualityIds,
    Column::SortOrderId,
    Column::FirstRowId,
    Column::ReferencedDataFile,
    Column::ContentOffset,
    Column::ContentSize,
];

/// The columns of the files of one table. An unpartitioned table's files have no partition.
#[derive(Debug)]
pub(super) struct FileColumns {
    partition: UnifiedPartition,
    pub(super) columns: Vec<Column>,
}

/// A file with the partition spec it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) file: &'a ContentFile,
    pub(super) spec_id: i32,
}

impl FileColumns {
    pub(super) fn of(metadata: &TableMetadata) -> Self {
        let partition = UnifiedPartition::of(metadata);
        let mut columns = COLUMNS.to_vec();
        if partition.columns.is_empty() {
            columns.retain(|column| *column != Column::Partition);
        }
        Self { partition, columns }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let columns = self.columns.iter();
        columns.map(|column| self.field(*column)).collect()
    }

    fn field(&self, column: Column) -> Field {
        let long_map = || map_type(DataType::Int64);
        let bound_map = || map_type(DataType::Binary);
        let (name, data_type, nullable) = match column {
            Column::Content => ("content", DataType::Int32, true),
            Column::FilePath => ("file_path", DataType::Utf8, false),
            Column::FileFormat => ("file_format", DataType::Utf8, false),
            Column::SpecId => ("spec_id", DataType::Int32, true),
            Column::Partition => (
                "partition",
                DataType::Struct(partition_fields(&self.partition)),
                false,
            ),
            Column::RecordCount => ("record_count", DataType::Int64, false),
            Column::FileSize => ("file_size_in_bytes", DataType::Int64, false),
            Column::Sizes => ("column_sizes", long_map(), true),
            Column::ValueCounts => ("value_counts", long_map(), true),
            Column::NullValueCounts => ("null_value_counts", long_map(), true),
            Column::NanValueCounts => ("nan_value_counts", long_map(), true),
            Column::LowerBounds => ("lower_bounds", bound_map(), true),
            Column::UpperBounds => ("upper_bounds", bound_map(), true),
            Column::KeyMetadata => ("key_metadata", DataType::Binary, true),
            Column::SplitOffsets => ("split_offsets", list_type(DataType::Int64), true),
            Column::EqualityIds => ("equality_ids", list_type(DataType::Int32), true),
            Column::SortOrderId => ("sort_order_id", DataType::Int32, true),
            Column::FirstRowId => ("first_row_id", DataType::Int64, true),
            Column::ReferencedDataFile => ("referenced_data_file", DataType::Utf8, true),
            Column::ContentOffset => ("content_offset", DataType::Int64, true),
            Column::ContentSize => ("content_size_in_bytes", DataType::Int64, true),
        };
        Field::new(name, data_type, nullable)
    }

    pub(super) fn array(&self, column: Column, rows: &[Row<'_>]) -> Result<ArrayRef> {
        let files = || rows.iter().map(|row| row.file);
        Ok(match column {
            Column::Content => {
                let content = files().map(|file| file.content as i32);
                Arc::new(Int32Array::from_iter_values(content))
            }
            Column::FilePath => {
                let paths = files().map(|file| file.path.as_str());
                Arc::new(StringArray::from_iter_values(paths))
            }
            Column::FileFormat => {
                let formats = files().map(|file| file.format.to_string().to_ascii_uppercase());
                Arc::new(StringArray::from_iter_values(formats))
            }
            Column::SpecId => {
                let ids = rows.iter().map(|row| row.spec_id);
                Arc::new(Int32Array::from_iter_values(ids))
            }
            Column::Partition => partition_array(&self.partition, rows.iter().copied())?,
            Column::RecordCount => counts(files().map(|file| file.record_count)),
            Column::FileSize => counts(files().map(|file| file.size_bytes)),
            Column::Sizes => count_maps(files().map(|file| file.column_sizes.as_ref()))?,
            Column::ValueCounts => count_maps(files().map(|file| file.value_counts.as_ref()))?,
            Column::NullValueCounts => {
                count_maps(files().map(|file| file.null_value_counts.as_ref()))?
            }
            Column::NanValueCounts => {
                count_maps(files().map(|file| file.nan_value_counts.as_ref()))?
            }
            Column::LowerBounds => bound_maps(files().map(|file| file.lower_bounds.as_ref()))?,
            Column::UpperBounds => bound_maps(files().map(|file| file.upper_bounds.as_ref()))?,
            Column::KeyMetadata => {
                let keys = files().map(|file| file.key_metadata.as_deref());
                array::<BinaryArray, _>(keys)
            }
            Column::SplitOffsets => {
                lists::<Int64Type>(files().map(|file| file.split_offsets.as_ref()))
            }
            Column::EqualityIds => {
                lists::<Int32Type>(files().map(|file| file.equality_ids.as_ref()))
            }
            Column::SortOrderId => {
                let ids = files().map(|file| file.sort_order_id);
                array::<Int32Array, _>(ids)
            }
            Column::FirstRowId => longs(files().map(|file| file.first_row_id)),
            Column::ReferencedDataFile => {
                let paths = files().map(|file| file.referenced_data_file.as_deref());
                array::<StringArray, _>(paths)
            }
            Column::ContentOffset => longs(files().map(|file| file.content_offset)),
            Column::ContentSize => longs(files().map(|file| file.content_size_bytes)),
        })
    }
}

fn counts(counts: impl Iterator<Item = u64>) -> ArrayRef {
    let counts = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(counts))
}

fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    array::<Int64Array, _>(values)
}

/// The fields of the struct `partition`.
pub(super) fn partition_fields(partition: &UnifiedPartition) -> Fields {
    let columns = partition.columns.iter();
    columns
        .map(|column| {
            let data_type = super::arrays::data_type(&column.primitive);
            Field::new(column.name.clone(), data_type, true)
        })
        .collect()
}

/// The column `partition` of some files.
fn partition_array<'a>(
    partition: &UnifiedPartition,
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<ArrayRef> {
    let rows = rows.map(|row| partition.values(row.spec_id, &row.file.partition));
    partition_structs(partition, rows.collect())
}

/// Partitions, each as the values of its fields, as a column of structs.
pub(super) fn partition_structs(
    partition: &UnifiedPartition,
    mut rows: Vec<Vec<Option<iceberg::spec::PrimitiveLiteral>>>,
) -> Result<ArrayRef> {
    let mut columns = Vec::with_capacity(partition.columns.len());
    for (index, column) in partition.columns.iter().enumerate() {
        let of_column: Vec<_> = rows.iter_mut().map(|row| row[index].take()).collect();
        columns.push(values(&column.primitive, &of_column)?);
    }
    structs(partition_fields(partition), columns, rows.len())
}

pub(super) fn fields(metadata: &TableMetadata) -> Vec<Field> {
    let mut fields = FileColumns::of(metadata).fields();
    fields.push(ReadableMetrics::of(metadata).field());
    fields
}

pub(super) fn stream(context: Context, parts: BoxStream<'static, Result<Part>>) -> BatchStream {
    let columns = FileColumns::of(&context.metadata);
    let metrics = ReadableMetrics::of(&context.metadata);
    parts
        .map(move |part| batch(&context, &columns, &metrics, &part?))
        .try_filter(|batch| futures::future::ready(batch.num_rows() > 0))
        .boxed()
}

fn batch(
    context: &Context,
    columns: &FileColumns,
    metrics: &ReadableMetrics,
    part: &Part,
) -> Result<RecordBatch> {
    let live = part.entries.iter().filter(|entry| Entry::is_live(entry));
    let rows: Vec<Row<'_>> = live
        .map(|entry| Row {
            file: &entry.file,
            spec_id: part.manifest.partition_spec_id,
        })
        .collect();
    context.batch(rows.len(), |at| match columns.columns.get(at) {
        Some(column) => columns.array(*column, &rows),
        None => metrics.array(&rows),
    })
}
