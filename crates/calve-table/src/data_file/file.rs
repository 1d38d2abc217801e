//! One Parquet file that is being written.
//!
//! Rows are encoded as they come. A row group is uploaded column by column, and what was uploaded is let go, so that
//! no row group is in memory twice.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef as ArrowSchemaRef;
use bytes::Bytes;
use calve_base::Location;
use calve_storage::{Storage, Writer};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use crate::{Error, Result};

/// How much is handed to the store at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// A Parquet file that is being written.
pub(crate) struct ParquetFile {
    pub(crate) location: Location,
    upload: Writer,
    writer: SerializedFileWriter<Pieces>,
    encoded: Pieces,
    factory: ArrowRowGroupWriterFactory,
    arrow: ArrowSchemaRef,
    /// The leaves of the row group under way; none before its first row.
    columns: Vec<ArrowColumnWriter>,
    /// How many rows that row group has.
    rows: usize,
    most_rows: usize,
    most_bytes: usize,
}

impl ParquetFile {
    /// Begins a file. `columns` is what `arrow` is in Parquet; `parquet`'s own translation if it is not given.
    pub(crate) async fn begin(
        storage: &Storage,
        location: Location,
        arrow: ArrowSchemaRef,
        columns: Option<SchemaDescriptor>,
        properties: WriterProperties,
    ) -> Result<Self> {
        let most_rows = properties.max_row_group_row_count();
        let most_bytes = properties.max_row_group_bytes();
        let mut options = ArrowWriterOptions::new().with_properties(properties);
        if let Some(columns) = columns {
            options = options.with_parquet_schema(columns);
        }
        let encoded = Pieces::default();
        let made = ArrowWriter::try_new_with_options(encoded.clone(), Arc::clone(&arrow), options)
            .and_then(ArrowWriter::into_serialized_writer);
        let (writer, factory) = made.map_err(|source| Error::Parquet {
            location: location.clone(),
            source,
        })?;
        Ok(Self {
            upload: storage.writer(&location).await?,
            location,
            writer,
            encoded,
            factory,
            arrow,
            columns: Vec::new(),
            rows: 0,
            most_rows: most_rows.unwrap_or(usize::MAX),
            most_bytes: most_bytes.unwrap_or(usize::MAX),
        })
    }

    /// Writes rows of the file's schema, and ends row groups at the sizes that the properties name.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let rows = self.room().min(batch.num_rows() - at);
            if rows > 0 {
                let encoded = self.encode(&batch.slice(at, rows));
                encoded.map_err(|source| self.failed(source))?;
                at += rows;
            }
            if self.room() == 0 {
                self.end_row_group().await?;
            }
        }
        Ok(())
    }

    /// How many more rows the row group takes, by what those that it has take.
    fn room(&self) -> usize {
        let rows = self.most_rows - self.rows;
        if self.rows == 0 || self.most_bytes == usize::MAX {
            return rows;
        }
        let bytes = self.row_group_bytes();
        let bytes_a_row = (bytes / self.rows).max(1);
        rows.min(self.most_bytes.saturating_sub(bytes) / bytes_a_row)
    }

    fn encode(&mut self, batch: &RecordBatch) -> ParquetResult<()> {
        if self.columns.is_empty() {
            let row_group = self.writer.flushed_row_groups().len();
            self.columns = self.factory.create_column_writers(row_group)?;
        }
        let mut columns = self.columns.iter_mut();
        for (field, array) in self.arrow.fields().iter().zip(batch.columns()) {
            let leaves = compute_leaves(field, array)?;
            for (leaf, column) in leaves.iter().zip(columns.by_ref()) {
                column.write(leaf)?;
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Ends the row group under way and uploads it.
    pub(crate) async fn end_row_group(&mut self) -> Result<()> {
        let columns = std::mem::take(&mut self.columns);
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(());
        }
        let location = &self.location;
        let failed = |source| Error::Parquet {
            location: location.clone(),
            source,
        };
        let mut row_group = self.writer.next_row_group().map_err(failed)?;
        for column in columns {
            let chunk = column.close().map_err(failed)?;
            chunk.append_to_row_group(&mut row_group).map_err(failed)?;
            for piece in self.encoded.take_full() {
                self.upload.put(piece).await?;
            }
        }
        row_group.close().map_err(failed)?;
        Ok(())
    }

    /// Ends the file: only then is it visible.
    pub(crate) async fn finish(&mut self) -> Result<ParquetMetaData> {
        self.end_row_group().await?;
        let footer = self.writer.finish();
        let footer = footer.map_err(|source| self.failed(source))?;
        for piece in self.encoded.take_all() {
            self.upload.put(piece).await?;
        }
        self.upload.finish().await?;
        Ok(footer)
    }

    /// Whether rows wait to be written as a row group.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// How many bytes it has: of a row group under way, about as many as it will have.
    pub(crate) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.row_group_bytes()
    }

    /// How many bytes were written, once it has ended.
    pub(crate) fn bytes_written(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    fn row_group_bytes(&self) -> usize {
        let columns = self.columns.iter();
        columns
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }

    /// What it takes in memory.
    pub(crate) fn memory(&self) -> Memory {
        let mut memory = Memory {
            held: self.upload.held_bytes(),
            ..Memory::default()
        };
        for column in &self.columns {
            // `memory_size` alone leaves out the pages that wait until their dictionary is complete.
            let bytes = column.memory_size();
            let bytes = bytes.max(column.get_estimated_total_bytes());
            memory.row_group += bytes;
            memory.largest_column = memory.largest_column.max(bytes);
        }
        memory
    }

    fn failed(&self, source: ParquetError) -> Error {
        Error::Parquet {
            location: self.location.clone(),
            source,
        }
    }
}

impl std::fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFile")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// What a file takes in memory, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// The row group under way.
    pub(crate) row_group: usize,
    /// Its largest column, which is there twice for a moment.
    pub(crate) largest_column: usize,
    /// What waits to be uploaded.
    pub(crate) held: usize,
}

/// Bytes of a file that were not handed to the store yet.
#[derive(Debug, Clone, Default)]
struct Pieces(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl Pieces {
    /// All but the last, which may grow.
    fn take_full(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.held().full)
    }

    fn take_all(&self) -> Vec<Bytes> {
        let mut held = self.held();
        let last = std::mem::take(&mut held.open);
        held.full.push(last.into());
        std::mem::take(&mut held.full)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut held = self.held();
        held.open.extend_from_slice(bytes);
        if held.open.len() >= PIECE_BYTES {
            let piece = std::mem::take(&mut held.open);
            held.full.push(piece.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
