//! One Parquet file that is being written.

use std::io::Write;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;

use crate::{Error, Result};

use super::{Layout, WrittenFile, dictionary};

/// One file.
pub(super) struct OpenFile {
    number: usize,
    schema: SchemaRef,
    layout: Layout,
    writer: SerializedFileWriter<Box<dyn Write + Send>>,
    factory: ArrowRowGroupWriterFactory,
    /// The row group that is being filled: for each top-level column the writers of its leaves.
    columns: Vec<Vec<ArrowColumnWriter>>,
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

    fn waiting(&self) -> usize {
        let writers = self.columns.iter().flatten();
        writers
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }

    /// Writes rows, no more than there is room for.
    pub(super) fn write(
        &mut self,
        batch: &RecordBatch,
        pool: Option<&rayon::ThreadPool>,
    ) -> Result<()> {
        let number = self.number;
        let failed = |source| Error::WriteParquet { number, source };
        if self.columns.is_empty() {
            self.columns = self.new_row_group().map_err(failed)?;
        }
        let mut encode = || encode(&mut self.columns, self.schema.fields(), batch);
        match pool {
            Some(pool) => pool.install(encode),
            None => encode(),
        }
        .map_err(failed)?;
        self.group_rows += batch.num_rows();
        if self.room() == 0 || self.waiting() >= self.layout.row_group_bytes {
            self.close_row_group(pool)?;
        }
        Ok(())
    }

    fn new_row_group(&self) -> Result<Vec<Vec<ArrowColumnWriter>>, ParquetError> {
        let mut writers = self
            .factory
            .create_column_writers(self.row_groups)?
            .into_iter();
        let fields = self.schema.fields().iter();
        Ok(fields
            .map(|field| writers.by_ref().take(leaves(field)).collect())
            .collect())
    }

    fn close_row_group(&mut self, pool: Option<&rayon::ThreadPool>) -> Result<()> {
        let number = self.number;
        let failed = |source| Error::WriteParquet { number, source };
        let writers: Vec<ArrowColumnWriter> = std::mem::take(&mut self.columns)
            .into_iter()
            .flatten()
            .collect();
        if self.group_rows == 0 {
            return Ok(());
        }
        let close = || -> Result<Vec<ArrowColumnChunk>, ParquetError> {
            writers
                .into_par_iter()
                .map(ArrowColumnWriter::close)
                .collect()
        };
        let chunks = match pool {
            Some(pool) => pool.install(close),
            None => close(),
        }
        .map_err(failed)?;
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

/// Encodes the columns of a batch, each in a task of its own, and in it each leaf.
fn encode(
    columns: &mut [Vec<ArrowColumnWriter>],
    fields: &[FieldRef],
    batch: &RecordBatch,
) -> Result<(), ParquetError> {
    let columns = columns.par_iter_mut().zip(fields).zip(batch.columns());
    columns.try_for_each(|((writers, field), array)| {
        let leaves = compute_leaves(field, array)?;
        let leaves = writers.par_iter_mut().zip(leaves);
        leaves.try_for_each(|(writer, leaf)| writer.write(&leaf))
    })
}

/// How many columns of Parquet a field has.
fn leaves(field: &FieldRef) -> usize {
    use arrow::datatypes::DataType;
    match field.data_type() {
        DataType::Struct(children) => children.iter().map(leaves).sum(),
        DataType::List(item) => leaves(item),
        DataType::Map(entries, _) => leaves(entries),
        _ => 1,
    }
}

fn properties(
    schema: &SchemaRef,
    first: &RecordBatch,
    layout: Layout,
) -> Result<WriterProperties, ParquetError> {
    let columns = ArrowSchemaConverter::new().convert(schema)?;
    let mut properties = WriterProperties::builder()
        .set_compression(layout.codec.compression())
        .set_created_by(format!("calve {}", env!("CARGO_PKG_VERSION")));
    for (column, is_worth) in columns.columns().iter().zip(dictionary::worth(first)) {
        if !is_worth {
            properties = properties.set_column_dictionary_enabled(column.path().clone(), false);
        }
    }
    Ok(properties.build())
}
