//! Rows on stdout, as they arrive: no more than a window of them is ever held.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use calve::parquet::arrow::ArrowWriter;
use calve::parquet::basic::Compression;
use calve::parquet::file::properties::WriterProperties;
use calve::query::json;

use crate::flags::RowFormat;
use crate::text_table::{TextTable, visible};

/// How many rows settle the widths of the columns in a table.
const TABLE_WINDOW_ROWS: usize = 1_000;

/// Writes batches of rows in one format.
pub(crate) enum RowWriter<W: Write + Send> {
    /// Aligned columns.
    Table(TableWriter<W>),
    /// One array of row objects.
    Json(json::Writer<W>),
    /// Comma-separated values with a header.
    Csv {
        writer: Box<arrow::csv::Writer<W>>,
        schema: SchemaRef,
    },
    /// A Parquet file.
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> RowWriter<W> {
    /// Makes a writer of rows of that schema.
    ///
    /// # Errors
    /// When the format has no form for the schema.
    pub(crate) fn new(format: RowFormat, schema: &SchemaRef, mut into: W) -> anyhow::Result<Self> {
        Ok(match format {
            RowFormat::Table => Self::Table(TableWriter::new(schema, into)),
            RowFormat::Json => {
                check_names(schema)?;
                Self::Json(json::writer(into))
            }
            RowFormat::Csv => {
                let schema = flat_schema(schema);
                // A result without rows has a header all the same.
                let empty = RecordBatch::new_empty(Arc::clone(&schema));
                let mut writer = arrow::csv::WriterBuilder::new()
                    .with_header(true)
                    .build(&mut into);
                writer.write(&empty)?;
                drop(writer);
                Self::Csv {
                    writer: Box::new(
                        arrow::csv::WriterBuilder::new()
                            .with_header(false)
                            .build(into),
                    ),
                    schema,
                }
            }
            RowFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .build();
                let writer = ArrowWriter::try_new(into, Arc::clone(schema), Some(properties))?;
                Self::Parquet(Box::new(writer))
            }
        })
    }

    /// Writes some rows.
    ///
    /// # Errors
    /// When the rows have no form in the format, or cannot be written.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        match self {
            Self::Table(writer) => writer.write(batch)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Csv { writer, schema } => writer.write(&flatten(batch, schema)?)?,
            Self::Parquet(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Table(writer) => writer.finish(),
            Self::Json(mut writer) => {
                writer.finish()?;
                let mut into = writer.into_inner();
                into.write_all(b"\n")?;
                Ok(into.flush()?)
            }
            Self::Csv { writer, .. } => Ok(writer.into_inner().flush()?),
            Self::Parquet(writer) => Ok(writer.into_inner()?.flush()?),
        }
    }
}

/// Writes rows as a table whose columns the first rows have settled.
pub(crate) struct TableWriter<W> {
    into: W,
    table: TextTable,
    window: Option<Vec<Vec<String>>>,
    rows: u64,
}

impl<W: Write> TableWriter<W> {
    fn new(schema: &SchemaRef, into: W) -> Self {
        let columns = schema
            .fields()
            .iter()
            .map(|field| (visible(field.name()), field.data_type().is_numeric()));
        Self {
            into,
            table: TextTable::new(columns),
            window: Some(Vec::new()),
            rows: 0,
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        let rows = cells(batch)?;
        self.rows += rows.len() as u64;
        let Some(window) = &mut self.window else {
            return self.write_rows(&rows);
        };
        window.extend(rows);
        if window.len() >= TABLE_WINDOW_ROWS {
            self.open()?;
        }
        Ok(())
    }

    /// Writes the header and the rows that waited for it.
    fn open(&mut self) -> anyhow::Result<()> {
        let Some(window) = self.window.take() else {
            return Ok(());
        };
        self.table.settle(&window);
        let mut text = String::new();
        self.table.header(&mut text);
        self.into.write_all(text.as_bytes())?;
        self.write_rows(&window)
    }

    fn write_rows(&mut self, rows: &[Vec<String>]) -> anyhow::Result<()> {
        let mut text = String::new();
        for row in rows {
            self.table.row(row, &mut text);
        }
        Ok(self.into.write_all(text.as_bytes())?)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.open()?;
        let noun = if self.rows == 1 { "row" } else { "rows" };
        writeln!(self.into, "({} {noun})", self.rows)?;
        Ok(self.into.flush()?)
    }
}

/// The values of a batch as text, row by row.
fn cells(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<_, ArrowError>>()?;
    (0..batch.num_rows())
        .map(|row| {
            columns
                .iter()
                .map(|column| Ok(visible(&column.value(row).try_to_string()?)))
                .collect()
        })
        .collect()
}

/// Refuses a schema in which two columns have one name: an object of JSON would hold only one.
fn check_names(schema: &Schema) -> anyhow::Result<()> {
    let mut names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|it| it.name().as_str())
        .collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Error::NameTwice {
            name: pair[0].to_owned(),
        }
        .into()),
    }
}

/// The schema in which nested columns are JSON text, for formats without nesting.
fn flat_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            if field.data_type().is_nested() {
                Arc::new(Field::new(field.name(), DataType::Utf8, true))
            } else {
                Arc::clone(field)
            }
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Makes JSON text of nested columns.
fn flatten(batch: &RecordBatch, flat: &SchemaRef) -> anyhow::Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if !field.data_type().is_nested() {
                return Ok(Arc::clone(column));
            }
            let texts = StringArray::from(json::texts(field, column)?);
            Ok(Arc::new(texts) as ArrayRef)
        })
        .collect::<Result<Vec<_>, ArrowError>>()?;
    RecordBatch::try_new(Arc::clone(flat), columns).context("the rows cannot be flattened")
}

/// What cannot be printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Two columns have one name.
    #[error("two columns of the result are named `{name}`, which JSON cannot hold")]
    NameTwice { name: String },
    /// Parquet is no text.
    #[error("a Parquet file is not for a terminal")]
    Terminal,
}

impl calve::base::Failure for Error {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NameTwice { name } => {
                format!("give them names of their own: SELECT … {name} AS …")
            }
            Self::Terminal => "redirect stdout into a file: calve sql … > rows.parquet".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
