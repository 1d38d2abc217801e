//! Writing of record batches to Parquet files.
//!
//! Columns are encoded and compressed in parallel. What is held in memory is the row group that is
//! being filled, as encoded pages.

mod file;
mod first_batch;
pub mod partitioned;
mod share;

use std::io::Write;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::basic::{Compression, ZstdLevel};

use crate::{Error, Result};
use file::OpenFile;

pub use partitioned::PartitionedSink;

/// The most rows of a row group.
pub const DEFAULT_ROW_GROUP_ROWS: usize = 1_000_000;

/// The size at which a row group is closed, in bytes as encoded. A row group waits in memory until then.
pub const DEFAULT_ROW_GROUP_BYTES: usize = 24 * 1024 * 1024;

/// The level of zstd: fast, and smaller than snappy.
const ZSTD_LEVEL: i32 = 1;

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Small and fast to read.
    #[default]
    Zstd,
    /// What most other tools write.
    Snappy,
    /// Not at all.
    None,
}

impl Codec {
    fn compression(self) -> Compression {
        match self {
            Self::Zstd => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()),
            Self::Snappy => Compression::SNAPPY,
            Self::None => Compression::UNCOMPRESSED,
        }
    }
}

/// A file that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct WrittenFile {
    /// Its number, from 0.
    pub number: usize,
    /// Rows in it.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Row groups in it.
    pub row_groups: usize,
}

/// How files are laid out.
#[derive(Debug, Clone, Copy)]
struct Layout {
    codec: Codec,
    row_group_rows: usize,
    row_group_bytes: usize,
    file_bytes: Option<u64>,
}

/// Opens the file of a number, from 0.
pub type OpenFn = dyn FnMut(usize) -> std::io::Result<Box<dyn Write + Send>> + Send;

/// Writes record batches to one Parquet file, or to several where a size is given.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use arrow::array::{ArrayRef, Int64Array};
/// use arrow::record_batch::RecordBatch;
/// use calve_xml::write::{Codec, ParquetSink};
///
/// let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
/// let batch = RecordBatch::try_from_iter([("n", column)])?;
/// let mut sink = ParquetSink::new(batch.schema(), |_| Ok(Box::new(std::io::sink())))
///     .with_codec(Codec::Snappy);
/// sink.write(batch)?;
/// let files = sink.finish()?;
/// assert_eq!(files[0].rows, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetSink {
    schema: SchemaRef,
    open: Box<OpenFn>,
    layout: Layout,
    pool: Option<Arc<rayon::ThreadPool>>,
    file: Option<OpenFile>,
    written: Vec<WrittenFile>,
}

impl std::fmt::Debug for ParquetSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetSink")
            .field("layout", &self.layout)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl ParquetSink {
    /// Starts with the default layout. `open` gives the writer of each file, as it comes to be needed.
    pub fn new(
        schema: SchemaRef,
        open: impl FnMut(usize) -> std::io::Result<Box<dyn Write + Send>> + Send + 'static,
    ) -> Self {
        Self {
            schema,
            open: Box::new(open),
            layout: Layout {
                codec: Codec::default(),
                row_group_rows: DEFAULT_ROW_GROUP_ROWS,
                row_group_bytes: DEFAULT_ROW_GROUP_BYTES,
                file_bytes: None,
            },
            pool: None,
            file: None,
            written: Vec::new(),
        }
    }

    /// Sets how pages are compressed.
    #[must_use]
    pub fn with_codec(mut self, codec: Codec) -> Self {
        self.layout.codec = codec;
        self
    }

    /// Sets the most rows of a row group; at least one.
    #[must_use]
    pub fn with_row_group_rows(mut self, rows: usize) -> Self {
        self.layout.row_group_rows = rows.max(1);
        self
    }

    /// Sets the size at which a row group is closed, in bytes as encoded.
    #[must_use]
    pub fn with_row_group_bytes(mut self, bytes: usize) -> Self {
        self.layout.row_group_bytes = bytes;
        self
    }

    /// Sets the size at which a file is closed and the next one begins. Files end with a batch, so that
    /// they are somewhat larger. Default: all rows are in one file.
    #[must_use]
    pub fn with_file_bytes(mut self, bytes: u64) -> Self {
        self.layout.file_bytes = Some(bytes);
        self
    }

    /// Sets the threads that help to encode columns whenever they have nothing else to do. Default: none do.
    #[must_use]
    pub fn with_pool(mut self, pool: impl Into<Option<Arc<rayon::ThreadPool>>>) -> Self {
        self.pool = pool.into();
        self
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// When a file cannot be opened or written, or the batch is not of the sink's schema.
    pub fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let pool = self.pool.clone();
        let mut left = Some(batch).filter(|batch| batch.num_rows() > 0);
        while let Some(batch) = left.take() {
            let mut file = match self.file.take() {
                Some(file) => file,
                None => self.open_file(&batch)?,
            };
            let room = file.room();
            let fitting = if room < batch.num_rows() {
                left = Some(batch.slice(room, batch.num_rows() - room));
                batch.slice(0, room)
            } else {
                batch
            };
            file.write(fitting, pool.as_deref())?;
            let limit = self.layout.file_bytes;
            if limit.is_some_and(|limit| file.bytes() >= limit) {
                self.written.push(file.close(pool.as_deref())?);
            } else {
                self.file = Some(file);
            }
        }
        Ok(())
    }

    /// Closes the last file. Where there was no row, a file without rows is written, so that there is one
    /// that has the schema.
    ///
    /// # Errors
    /// When a file cannot be opened or written.
    pub fn finish(mut self) -> Result<Vec<WrittenFile>> {
        if self.file.is_none() && self.written.is_empty() {
            let none = RecordBatch::new_empty(Arc::clone(&self.schema));
            self.file = Some(self.open_file(&none)?);
        }
        if let Some(file) = self.file.take() {
            self.written.push(file.close(self.pool.as_deref())?);
        }
        Ok(self.written)
    }

    fn open_file(&mut self, first: &RecordBatch) -> Result<OpenFile> {
        let number = self.written.len();
        let writer = (self.open)(number).map_err(|source| Error::OpenOutput { number, source })?;
        OpenFile::new(number, writer, &self.schema, first, self.layout)
    }
}

#[cfg(test)]
mod tests;
