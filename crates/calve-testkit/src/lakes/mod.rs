//! Parquet lakes made on the spot.
//!
//! Everything is a function of its arguments: the same seed makes the same bytes. The lakes under
//! `fixtures/` are made by [`fixtures`] (`cargo run -p calve-testkit --bin fixtures`).

mod drift;
mod fixtures;
mod ghcn;
mod hard;
mod json;
mod nested;
mod noise;
mod random;
mod sensors;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

pub use drift::{Drift, drift};
pub use fixtures::fixtures;
pub use ghcn::{GHCN_ELEMENTS, ghcn};
pub use hard::{
    HARD_VALUES, ORDERS, Typed, hard_partitions, hive_folder, keys_in_any_order, typed,
};
pub use json::from_json;
pub use nested::{milliseconds, nested};
pub use noise::{NOISE, Noise, NoiseReason, noise};
pub use random::Random;
pub use sensors::sensors;

/// How much a generator made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Number of Parquet files.
    pub files: u64,
    /// Number of rows in them.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// Number of folders of the last partition level; 0 when not partitioned.
    pub partitions: u64,
}

/// Encodes one Parquet file the way Hive does: no field ids, no Arrow schema, Snappy, one row group.
pub fn parquet_bytes(batch: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_created_by("calve-testkit".to_owned())
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut bytes = Vec::new();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Writes one Parquet file, and the folders above it.
pub fn write_parquet(path: &Path, batch: &RecordBatch) -> Made {
    let bytes = parquet_bytes(batch);
    write_bytes(path, &bytes);
    Made {
        files: 1,
        rows: batch.num_rows() as u64,
        bytes: bytes.len() as u64,
        partitions: 0,
    }
}

/// Writes any file, and the folders above it.
pub fn write_bytes(path: &Path, bytes: &[u8]) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
}

/// Copies a folder and all below it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes a batch from named columns, all of them nullable.
pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

impl Made {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.partitions += other.partitions;
    }
}
