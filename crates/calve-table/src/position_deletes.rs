//! Writing deletes by position: Parquet files of paths and positions, and deletion vectors in Puffin files.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use calve_base::Location;
use calve_storage::Storage;
use iceberg::spec::{
    DataContentType, DataFileFormat, PartitionSpec, Schema, Struct, TableMetadata,
};
use roaring::RoaringTreemap;
use serde_json::json;
use uuid::Uuid;

use crate::Result;
use crate::data_file::{ParquetFile, Paths, writer_properties};
use crate::manifest::{Bounds, ContentFile};

/// The field ids of the columns of a position delete file (spec, "Position Delete Files").
const PATH_FIELD_ID: i32 = 2_147_483_546;
const POSITION_FIELD_ID: i32 = 2_147_483_545;
/// The field id of a row's position, which deletion vectors are of (spec, "Reserved Field IDs").
const ROW_POSITION_FIELD_ID: i32 = 2_147_483_645;

/// Begins and ends a Puffin file, and begins its footer.
const PUFFIN_MAGIC: &[u8; 4] = b"PFA1";
/// Begins the bitmap of a deletion vector (Puffin spec, `deletion-vector-v1`).
const VECTOR_MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];

/// How many rows are written at a time.
const BATCH_ROWS: usize = 8192;

/// Deleted positions of a data file, whose path is spelled as its manifest does.
pub type DeletedPositions = (String, RoaringTreemap);

/// Writes delete files into a table.
#[derive(Debug)]
pub struct PositionDeleteWriter {
    storage: Storage,
    paths: Paths,
    properties: ::parquet::file::properties::WriterProperties,
    schema: ArrowSchemaRef,
}

impl PositionDeleteWriter {
    /// Writes deletes of files of a partition spec of the table.
    ///
    /// # Errors
    /// When a table property has a value that it cannot have.
    pub fn new(storage: &Storage, metadata: &TableMetadata, spec: &PartitionSpec) -> Result<Self> {
        let name = format!("{}-deletes", Uuid::new_v4());
        // Bloom filters of the table's columns mean nothing here.
        let nothing = Schema::builder().build()?;
        let column = |name: &str, id: i32, of: DataType| {
            let id = [("PARQUET:field_id".to_owned(), id.to_string())];
            Field::new(name, of, false).with_metadata(id.into())
        };
        Ok(Self {
            storage: storage.clone(),
            paths: Paths::new(metadata, spec, name)?,
            properties: writer_properties(metadata.properties(), &nothing)?,
            schema: Arc::new(ArrowSchema::new(vec![
                column("file_path", PATH_FIELD_ID, DataType::Utf8),
                column("pos", POSITION_FIELD_ID, DataType::Int64),
            ])),
        })
    }

    /// Writes one position delete file. Data files have to be given in the order of their paths.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write_positions(
        &mut self,
        partition: &Struct,
        deleted: &[DeletedPositions],
    ) -> Result<ContentFile> {
        let location = self.paths.next(partition);
        let (schema, properties) = (Arc::clone(&self.schema), self.properties.clone());
        let mut writer =
            ParquetFile::begin(&self.storage, location, schema, None, properties).await?;
        for (path, positions) in deleted {
            let mut positions = positions.iter();
            loop {
                let some = positions.by_ref().take(BATCH_ROWS);
                let some: Vec<i64> = some.filter_map(|at| i64::try_from(at).ok()).collect();
                if some.is_empty() {
                    break;
                }
                let paths = StringArray::from(vec![path.as_str(); some.len()]);
                let columns: Vec<ArrayRef> =
                    vec![Arc::new(paths), Arc::new(Int64Array::from(some))];
                let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
                writer.write(&batch).await?;
            }
        }
        writer.finish().await?;
        let size = writer.bytes_written();
        let only = match deleted {
            [(path, _)] => Some(path.clone()),
            _ => None,
        };
        let rows = deleted.iter().map(|(_, positions)| positions.len()).sum();
        let mut file = described(
            &writer.location,
            DataFileFormat::Parquet,
            partition,
            rows,
            size,
        );
        (file.lower_bounds, file.upper_bounds) = bounds(deleted);
        file.referenced_data_file = only;
        Ok(file)
    }

    /// Writes deletion vectors, one a data file, into one Puffin file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn write_vectors(
        &mut self,
        partition: &Struct,
        deleted: &[DeletedPositions],
    ) -> Result<Vec<ContentFile>> {
        let location = self.paths.next_puffin(partition);
        let mut bytes = PUFFIN_MAGIC.to_vec();
        let mut blobs = Vec::with_capacity(deleted.len());
        let mut places = Vec::with_capacity(deleted.len());
        for (path, positions) in deleted {
            let blob = vector(positions);
            blobs.push(json!({
                "type": "deletion-vector-v1",
                "fields": [ROW_POSITION_FIELD_ID],
                "snapshot-id": -1,
                "sequence-number": -1,
                "offset": bytes.len(),
                "length": blob.len(),
                "properties": {
                    "referenced-data-file": path,
                    "cardinality": positions.len().to_string(),
                },
            }));
            places.push((bytes.len(), blob.len()));
            bytes.extend(blob);
        }
        let created_by = format!("calve version {}", env!("CARGO_PKG_VERSION"));
        let footer = json!({ "blobs": blobs, "properties": { "created-by": created_by } });
        let footer = footer.to_string();
        bytes.extend(PUFFIN_MAGIC);
        bytes.extend(footer.as_bytes());
        bytes.extend(
            u32::try_from(footer.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        // No flag: the footer is not compressed.
        bytes.extend([0; 4]);
        bytes.extend(PUFFIN_MAGIC);
        let size = bytes.len() as u64;
        self.storage.write(&location, bytes.into()).await?;
        let files = deleted.iter().zip(places);
        Ok(files
            .map(|((path, positions), (offset, length))| {
                let rows = positions.len();
                let format = DataFileFormat::Puffin;
                let mut file = described(&location, format, partition, rows, size);
                file.referenced_data_file = Some(path.clone());
                file.content_offset = i64::try_from(offset).ok();
                file.content_size_bytes = i64::try_from(length).ok();
                file
            })
            .collect())
    }
}

fn described(
    location: &Location,
    format: DataFileFormat,
    partition: &Struct,
    rows: u64,
    size: u64,
) -> ContentFile {
    ContentFile {
        content: DataContentType::PositionDeletes,
        path: location.canonical(),
        format,
        partition: partition.clone(),
        record_count: rows,
        size_bytes: size,
        column_sizes: None,
        value_counts: None,
        null_value_counts: None,
        nan_value_counts: None,
        lower_bounds: None,
        upper_bounds: None,
        key_metadata: None,
        split_offsets: None,
        equality_ids: None,
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
    }
}

/// Whole bounds of paths and positions: readers tell from them which data files are concerned.
fn bounds(deleted: &[DeletedPositions]) -> (Option<Bounds>, Option<Bounds>) {
    let bound = |path: &str, position: u64| -> Bounds {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        vec![
            (POSITION_FIELD_ID, Box::new(position.to_le_bytes()) as _),
            (PATH_FIELD_ID, path.as_bytes().into()),
        ]
    };
    let paths = || deleted.iter().map(|(path, _)| path.as_str());
    let least = deleted.iter().filter_map(|(_, positions)| positions.min());
    let most = deleted.iter().filter_map(|(_, positions)| positions.max());
    let lower = paths().min().zip(least.min());
    let upper = paths().max().zip(most.max());
    (
        lower.map(|(path, position)| bound(path, position)),
        upper.map(|(path, position)| bound(path, position)),
    )
}

/// Length, magic, bitmap, checksum (Puffin spec, `deletion-vector-v1`).
fn vector(positions: &RoaringTreemap) -> Vec<u8> {
    let mut content = VECTOR_MAGIC.to_vec();
    positions
        .serialize_into(&mut content)
        .expect("memory takes all bytes");
    let checksum = crc32fast::hash(&content);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut blob = length.to_be_bytes().to_vec();
    blob.extend(content);
    blob.extend(checksum.to_be_bytes());
    blob
}
