//! One Parquet file that is being written.

use std::io::Write;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory,
    compute_leaves,
};
use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;

use crate::{Error, Result, schema};

use super::share::share;
use super::{Layout, WrittenFile, first_batch};

/// The size of pages before compression. A page and what it is compressed to are to stay in the cache nearest
/// to a core, and to be in memory that is used again for the next.
const PAGE_BYTES: usize = 128 * 1024;

/// Up to how many types may be nested for any thread to have stack enough.
const SHALLOW: usize = 16;

/// Stack enough for the deepest schema.
const LARGE_STACK_BYTES: usize = 64 * 1024 * 1024;

/// A text that is longer makes its row group lean: statistics would keep whole copies of it.
const HUGE_BYTES: usize = 4 * 1024 * 1024;

/// The size at which pages with huge values end: large enough for what comes of one batch, small enough for the next
/// value to fit into a page of at most 2 GiB.
const HUGE_PAGE_BYTES: usize = 256 * 1024 * 1024;

/// The most values that are encoded before the size of the page is looked at.
const MOST_VALUES: usize = 1024;

/// The least of them: looking costs as well.
const LEAST_VALUES: usize = 32;

/// One file.
pub(super) struct OpenFile {
    number: usize,
    schema: SchemaRef,
    layout: Layout,
    writer: SerializedFileWriter<Box<dyn Write + Send>>,
    factory: ArrowRowGroupWriterFactory,
    /// For row groups with huge values.
    lean_factory: Option<ArrowRowGroupWriterFactory>,
    /// Whether the row group that is being filled is one of those.
    is_lean: bool,
    /// The row group that is being filled: the writers of its leaves.
    columns: Vec<ArrowColumnWriter>,
    group_rows: usize,
    rows: u64,
    row_groups: usize,
}

impl OpenFile {
    /// Begins a file; `first` is what it will begin with.
    pub(super) fn new(
        number: usize,
        writer: Box<dyn Write + Send>,
        schema: &SchemaRef,
        first: &RecordBatch,
        layout: Layout,
    ) -> Result<Self> {
        let failed = |source| Error::WriteParquet { number, source };
        let properties = properties(schema, first, layout).map_err(failed)?;
        let writer = ArrowWriter::try_new(writer, Arc::clone(schema), Some(properties));
        let (writer, factory) = writer
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(failed)?;
        Ok(Self {
            number,
            schema: Arc::clone(schema),
            layout,
            writer,
            factory,
            lean_factory: None,
            is_lean: false,
            columns: Vec::new(),
            group_rows: 0,
            rows: 0,
            row_groups: 0,
        })
    }

    /// How many rows the row group still takes.
    pub(super) fn room(&self) -> usize {
        self.layout.row_group_rows - self.group_rows
    }

    /// The size of the file so far, with what waits in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.bytes_written() as u64 + self.waiting() as u64
    }

    /// What waits in memory, in bytes.
    pub(super) fn waiting(&self) -> usize {
        let writers = self.columns.iter();
        writers
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }

    /// Writes rows, no more than there is room for. Those with huge values are gone before they are compressed, where
    /// nobody else has them.
    pub(super) fn write(
        &mut self,
        batch: RecordBatch,
        pool: Option<&rayon::ThreadPool>,
    ) -> Result<()> {
        let number = self.number;
        let failed = |source| Error::WriteParquet { number, source };
        let is_lean = first_batch::has_longer(HUGE_BYTES, &batch);
        if is_lean != self.is_lean {
            self.close_row_group(pool)?;
            self.is_lean = is_lean;
        }
        if self.columns.is_empty() {
            self.columns = self.new_row_group().map_err(failed)?;
        }
        let fields = self.schema.fields();
        match pool {
            Some(pool) => encode_shared(pool, &mut self.columns, fields, &batch),
            None => encode(&mut self.columns, fields, &batch),
        }
        .map_err(failed)?;
        self.group_rows += batch.num_rows();
        drop(batch);
        if is_lean || self.room() == 0 || self.waiting() >= self.layout.row_group_bytes {
            self.close_row_group(pool)?;
        }
        Ok(())
    }

    fn new_row_group(&mut self) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
        let factory = if self.is_lean {
            match &mut self.lean_factory {
                Some(factory) => factory,
                none => none.insert(lean_factory(&self.schema, self.layout)?),
            }
        } else {
            &self.factory
        };
        column_writers(factory, self.row_groups, &self.schema)
    }

    /// Ends the row group that is being filled, so that nothing waits in memory.
    pub(super) fn close_row_group(&mut self, pool: Option<&rayon::ThreadPool>) -> Result<()> {
        let number = self.number;
        let failed = |source| Error::WriteParquet { number, source };
        let writers = std::mem::take(&mut self.columns);
        if self.group_rows == 0 {
            return Ok(());
        }
        let close = ArrowColumnWriter::close;
        let chunks: Result<Vec<ArrowColumnChunk>, ParquetError> = match pool {
            Some(pool) => share(pool, writers, close).into_iter().collect(),
            None => writers.into_iter().map(close).collect(),
        };
        let chunks = chunks.map_err(failed)?;
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        self.rows += self.group_rows as u64;
        self.group_rows = 0;
        self.row_groups += 1;
        Ok(())
    }

    /// Ends the file.
    pub(super) fn close(mut self, pool: Option<&rayon::ThreadPool>) -> Result<WrittenFile> {
        self.close_row_group(pool)?;
        let number = self.number;
        let failed = |source| Error::WriteParquet { number, source };
        self.writer.finish().map_err(failed)?;
        let bytes = self.writer.bytes_written() as u64;
        let flush = self.writer.inner_mut().flush();
        flush.map_err(|source| Error::OpenOutput { number, source })?;
        Ok(WrittenFile {
            number,
            rows: self.rows,
            bytes,
            row_groups: self.row_groups,
        })
    }
}

/// Encodes the columns of a batch one after another.
fn encode(
    columns: &mut [ArrowColumnWriter],
    fields: &[FieldRef],
    batch: &RecordBatch,
) -> Result<(), ParquetError> {
    let mut columns = columns.iter_mut();
    for (field, array) in fields.iter().zip(batch.columns()) {
        for leaf in compute_leaves(field, array)? {
            if let Some(writer) = columns.next() {
                writer.write(&leaf)?;
            }
        }
    }
    Ok(())
}

/// Encodes the columns of a batch with the help of idle threads.
fn encode_shared(
    pool: &rayon::ThreadPool,
    columns: &mut Vec<ArrowColumnWriter>,
    fields: &[FieldRef],
    batch: &RecordBatch,
) -> Result<(), ParquetError> {
    let arrays = batch.columns().iter().map(Arc::clone);
    let arrays = fields.iter().map(Arc::clone).zip(arrays).collect();
    let leaves = share(pool, arrays, |(field, array)| {
        compute_leaves(&field, &array)
    });
    let leaves: Vec<Vec<ArrowLeafColumn>> = leaves.into_iter().collect::<Result<_, _>>()?;
    let writers = columns
        .drain(..)
        .zip(leaves.into_iter().flatten())
        .collect();
    let write = |(mut writer, leaf): (ArrowColumnWriter, ArrowLeafColumn)| {
        writer.write(&leaf).map(|()| writer)
    };
    let written = share(pool, writers, write);
    *columns = written.into_iter().collect::<Result<_, _>>()?;
    Ok(())
}

/// Makes the writers of a row group. Parquet's code for it needs much of the stack for each level of the
/// schema, so that deep ones have a thread for it.
fn column_writers(
    factory: &ArrowRowGroupWriterFactory,
    row_group: usize,
    schema: &SchemaRef,
) -> Result<Vec<ArrowColumnWriter>, ParquetError> {
    if schema::depth(schema) <= SHALLOW {
        return factory.create_column_writers(row_group);
    }
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .stack_size(LARGE_STACK_BYTES)
            .spawn_scoped(threads, || factory.create_column_writers(row_group))
            .map_err(|error| ParquetError::External(Box::new(error)))?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes writers that keep no copies of values: neither the least and the greatest, nor a dictionary. A page is
/// compressed when the row group is closed, not before its rows are gone. Pages are of version 2, since those of version 1 are put together in a buffer of their own before they are
/// compressed; the encoding is that of version 1 all the same.
fn lean_factory(
    schema: &SchemaRef,
    layout: Layout,
) -> Result<ArrowRowGroupWriterFactory, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(layout.codec.compression())
        .set_dictionary_enabled(false)
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_size_limit(HUGE_PAGE_BYTES)
        .set_write_batch_size(1);
    let schema = Arc::clone(schema);
    // The writer itself is never written to: only what makes its columns is taken.
    let writer = ArrowWriter::try_new(std::io::sink(), schema, Some(properties.build()))?;
    Ok(writer.into_serialized_writer()?.1)
}

fn properties(
    schema: &SchemaRef,
    first: &RecordBatch,
    layout: Layout,
) -> Result<WriterProperties, ParquetError> {
    let columns = ArrowSchemaConverter::new().convert(schema)?;
    let values = first_batch::values_in(PAGE_BYTES / 2, first);
    let mut properties = WriterProperties::builder()
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(values.clamp(LEAST_VALUES, MOST_VALUES))
        .set_compression(layout.codec.compression())
        .set_created_by(format!("calve {}", env!("CARGO_PKG_VERSION")));
    for (column, repeats) in columns.columns().iter().zip(first_batch::repeats(first)) {
        if !repeats {
            properties = properties.set_column_dictionary_enabled(column.path().clone(), false);
        }
    }
    Ok(properties.build())
}
