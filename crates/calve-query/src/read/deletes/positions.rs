//! Rows deleted by their position.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema};
use calve_base::Location;
use calve_storage::Storage;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::metrics::Count;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringTreemap;

use super::{DeleteFile, FILE_PATH_ID, Kind, POS_ID, canonical};
use crate::Error;
use crate::read::columns::field_id;
use crate::read::reader::StoreReader;
use crate::read::source::{ScanTable, in_file};

/// What begins a deletion vector's bitmap (Puffin spec, `deletion-vector-v1`).
const VECTOR_MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];

/// Deleted positions by the canonical location of their data file.
pub(super) type Positions = HashMap<String, RoaringTreemap>;

/// All rows of a data file that these delete files delete by position.
pub(crate) async fn deleted_positions(
    table: &ScanTable,
    deletes: &[Arc<DeleteFile>],
    data_file: &Location,
) -> Result<RoaringTreemap> {
    let name = data_file.canonical();
    let mut all = RoaringTreemap::new();
    for delete in deletes {
        let positions = match &delete.kind {
            Kind::Positions(read) => read.get_or_try_init(|| read_positions(table, delete)).await,
            Kind::Vector {
                data_file,
                offset,
                length,
                read,
            } => {
                let range = *offset..offset.saturating_add(*length);
                read.get_or_try_init(|| read_vector(&table.storage, delete, data_file, range))
                    .await
            }
            Kind::Equality { .. } => continue,
        };
        let positions = positions.map_err(|error| in_file(&delete.location, error))?;
        if let Some(own) = positions.get(&name) {
            all |= own;
        }
    }
    Ok(all)
}

/// What delete files of positions delete, by the canonical locations of data files.
pub(crate) async fn positions_in(table: &ScanTable, delete: &DeleteFile) -> Result<Positions> {
    let positions = match &delete.kind {
        Kind::Positions(_) => read_positions(table, delete).await,
        Kind::Vector { .. } | Kind::Equality { .. } => Ok(Positions::new()),
    };
    positions.map_err(|error| in_file(&delete.location, error))
}

/// The rows to read of a file, where some are deleted by position.
pub(crate) async fn access_plan(
    deleted: &RoaringTreemap,
    reader: &mut StoreReader,
) -> Result<Option<ParquetAccessPlan>> {
    if deleted.is_empty() {
        return Ok(None);
    }
    let footer = reader.footer().await.map_err(Error::from)?;
    Ok(Some(ParquetAccessPlan::new(row_groups(&footer, deleted))))
}

fn row_groups(footer: &ParquetMetaData, deleted: &RoaringTreemap) -> Vec<RowGroupAccess> {
    let mut first = 0;
    let row_groups = footer.row_groups().iter().map(|row_group| {
        let rows = u64::try_from(row_group.num_rows()).unwrap_or(0);
        let range = first..first + rows;
        first = range.end;
        let gone = deleted.range_cardinality(range.clone());
        if gone == 0 {
            return RowGroupAccess::Scan;
        }
        if gone == rows {
            return RowGroupAccess::Skip;
        }
        let length = index(rows);
        RowGroupAccess::Selection(RowSelection::from_consecutive_ranges(
            kept(deleted, range).into_iter(),
            length,
        ))
    });
    row_groups.collect()
}

/// The ranges of rows in a row group that are not deleted, counted from its first row.
fn kept(deleted: &RoaringTreemap, rows: std::ops::Range<u64>) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut next = rows.start;
    let mut positions = deleted.iter();
    positions.advance_to(rows.start);
    for position in positions.take_while(|position| *position < rows.end) {
        if position > next {
            ranges.push(index(next - rows.start)..index(position - rows.start));
        }
        next = position + 1;
    }
    if next < rows.end {
        ranges.push(index(next - rows.start)..index(rows.end - rows.start));
    }
    ranges
}

/// A row group never has more rows than memory has addresses: its row count is an `i64` that was read.
fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

async fn read_positions(table: &ScanTable, delete: &DeleteFile) -> Result<Positions> {
    let reader = table
        .open((&delete.location, delete.size), Count::new())
        .await?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let schema = Arc::clone(builder.schema());
    let (path, position) = (
        column(&schema, FILE_PATH_ID, "file_path")?,
        column(&schema, POS_ID, "pos")?,
    );
    let mask = ProjectionMask::roots(builder.parquet_schema(), [path, position]);
    // The projection keeps the file's order.
    let (path, position) = if path < position { (0, 1) } else { (1, 0) };
    let mut batches = builder.with_projection(mask).build()?;
    let mut positions = Positions::new();
    while let Some(batch) = batches.try_next().await? {
        let paths = cast(batch.column(path), &DataType::Utf8)?;
        let rows = cast(batch.column(position), &DataType::Int64)?;
        let (paths, rows) = (paths.as_string::<i32>(), rows.as_primitive::<Int64Type>());
        // The file is sorted by path: one look-up per run of equal paths.
        let mut at = 0;
        while at < batch.num_rows() {
            let name = paths.value(at);
            let of_name = positions.entry(canonical(name)).or_default();
            while at < batch.num_rows() && paths.value(at) == name {
                if paths.is_null(at) || rows.is_null(at) {
                    return Err(malformed("a path or a position is NULL"));
                }
                let row = u64::try_from(rows.value(at))
                    .map_err(|_| malformed("a position is negative"))?;
                of_name.insert(row);
                at += 1;
            }
        }
    }
    Ok(positions)
}

fn column(schema: &Schema, id: i32, name: &str) -> Result<usize> {
    schema
        .fields()
        .iter()
        .position(|field| field_id(field) == Some(id))
        .or_else(|| schema.index_of(name).ok())
        .ok_or_else(|| malformed(&format!("it has no column `{name}`")))
}

async fn read_vector(
    storage: &Storage,
    delete: &DeleteFile,
    data_file: &str,
    range: std::ops::Range<u64>,
) -> Result<Positions> {
    let blob = storage
        .read_range(&delete.location, range)
        .await
        .map_err(Error::from)?;
    let bitmap = decode_vector(&blob)?;
    Ok(Positions::from([(canonical(data_file), bitmap)]))
}

/// Length, magic, bitmap, checksum: the length and the checksum are big-endian, and of magic and bitmap.
fn decode_vector(blob: &[u8]) -> Result<RoaringTreemap> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_be_bytes(blob.get(at..at + 4)?.try_into().ok()?))
    };
    let content = word(0)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| length + 8 == blob.len())
        .and_then(|length| blob.get(4..4 + length))
        .ok_or_else(|| malformed("the deletion vector's length is wrong"))?;
    let bitmap = content
        .strip_prefix(VECTOR_MAGIC.as_slice())
        .ok_or_else(|| malformed("the deletion vector's magic bytes are wrong"))?;
    if word(blob.len() - 4) != Some(crc32fast::hash(content)) {
        return Err(malformed("the deletion vector's checksum is wrong"));
    }
    RoaringTreemap::deserialize_from(bitmap)
        .map_err(|error| malformed(&format!("the deletion vector's bitmap: {error}")))
}

fn malformed(problem: &str) -> DataFusionError {
    DataFusionError::Execution(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_between_deleted_ones_are_kept() {
        let deleted: RoaringTreemap = [0, 5, 6, 9, 10, 30].into_iter().collect();
        assert_eq!(kept(&deleted, 0..10), [1..5, 7..9]);
        assert_eq!(kept(&deleted, 10..13).first(), Some(&(1..3)));
        assert_eq!(kept(&deleted, 20..30).first(), Some(&(0..10)));
        assert!(kept(&deleted, 9..11).is_empty());
    }

    fn vector(positions: &[u64]) -> Vec<u8> {
        let mut content = VECTOR_MAGIC.to_vec();
        let bitmap: RoaringTreemap = positions.iter().copied().collect();
        bitmap.serialize_into(&mut content).unwrap();
        let mut blob = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
        let checksum = crc32fast::hash(&content);
        blob.extend(content);
        blob.extend(checksum.to_be_bytes());
        blob
    }

    #[test]
    fn vectors() {
        let positions = [1, 7, 1 << 33];
        let blob = vector(&positions);
        assert_eq!(
            decode_vector(&blob).unwrap().iter().collect::<Vec<_>>(),
            positions
        );
        for at in [0, 5, blob.len() - 1] {
            let mut broken = blob.clone();
            broken[at] ^= 1;
            decode_vector(&broken).unwrap_err();
        }
        for length in 0..blob.len() {
            decode_vector(&blob[..length]).unwrap_err();
        }
    }
}
