//! Conversion of documents to record batches by a schema.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::decode::{DecodeReader, Decoded, Reject};
use crate::input::Input;
use crate::options::XmlOptions;
use crate::schema::xsd::RowValidator;
use crate::segments::{self, ReadRows};
use crate::validated::Validated;
use crate::{Error, Result};

/// How many bad rows are told of with their places.
const TOLD_REJECTS: usize = 20;

/// What a conversion did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rows that were handed on, those included of which something did not fit.
    pub rows: u64,
    /// Rows that were handed on though something of them did not fit: values that did not are null, and
    /// the row's text is in the corrupt-record column where the schema has one.
    pub corrupt_rows: u64,
    /// Rows that were dropped, as the mode says.
    pub dropped_rows: u64,
    /// The first bad rows, with their places.
    pub first_rejects: Vec<Reject>,
    /// Elements, attributes and text that no column takes, by dotted path, with how often they were met.
    pub unknown: BTreeMap<String, u64>,
    /// Rows of which something is in the rescued-data column.
    pub rescued_rows: u64,
    /// What is in that column, by dotted path, with how often it was met.
    pub rescued: BTreeMap<String, u64>,
    /// What reading the rows did.
    pub reading: segments::Report,
}

/// Converts documents.
///
/// ```
/// use calve_xml::convert::Convert;
/// use calve_xml::input::Input;
/// use calve_xml::schema::parse_schema;
/// use calve_xml::XmlOptions;
///
/// let schema = parse_schema("n BIGINT, s STRING")?;
/// let text = "<all><row><n>1</n></row><row><s>x</s></row></all>";
/// let mut rows = 0;
/// let report = Convert::new(&schema, XmlOptions::new("row"))?.run(
///     [Ok(Input::new("example.xml", text.as_bytes()))],
///     |batch| {
///         rows += batch.num_rows();
///         Ok(())
///     },
/// )?;
/// assert_eq!((rows, report.rows), (2, 2));
/// # Ok::<(), calve_xml::Error>(())
/// ```
#[must_use = "nothing is converted until `run`"]
pub struct Convert {
    schema: SchemaRef,
    given: Arc<Schema>,
    options: XmlOptions,
    segment_bytes: usize,
    rejects: Option<Box<dyn Write + Send>>,
    validator: Option<Arc<RowValidator>>,
}

impl std::fmt::Debug for Convert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Convert")
            .field("schema", &self.schema)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Convert {
    /// Starts with a schema, as inferred or given.
    ///
    /// # Errors
    /// When the schema has a type that values of XML cannot have, or an option cannot be understood.
    pub fn new(schema: &Schema, options: XmlOptions) -> Result<Self> {
        let reader = DecodeReader::new(schema, &options, false)?;
        Ok(Self {
            schema: Arc::clone(reader.schema()),
            given: Arc::new(schema.clone()),
            options,
            segment_bytes: segments::DEFAULT_SEGMENT_BYTES,
            rejects: None,
            validator: None,
        })
    }

    /// Writes bad rows aside, as lines of JSON with `file`, `line`, `byte`, `path`, `reason` and `row`,
    /// the row's text.
    pub fn with_rejects(mut self, rejects: impl Write + Send + 'static) -> Self {
        self.rejects = Some(Box::new(rejects));
        self
    }

    /// Takes rows that are not valid for bad rows (Spark's `rowValidationXSDPath`).
    pub fn with_validator(mut self, validator: RowValidator) -> Self {
        self.validator = Some(Arc::new(validator));
        self
    }

    /// Sets about how many bytes of text become one batch. The rows do not depend on it.
    pub fn with_segment_bytes(mut self, bytes: usize) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// The schema of the batches: the given one, with all columns nullable.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads the documents on the calling thread. `consume` gets the batches in the order of the text;
    /// none of them is empty.
    ///
    /// # Errors
    /// When a document cannot be read, a row is bad and the mode is to fail, or `consume` fails.
    pub fn run<I>(self, inputs: I, consume: impl FnMut(RecordBatch) -> Result<()>) -> Result<Report>
    where
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
    {
        let mut consume = consume;
        self.run_by_document(inputs, None, |_, batch| consume(batch))
    }

    /// Reads the documents on the threads of a pool.
    ///
    /// # Errors
    /// As [`Convert::run`].
    pub fn run_on<I>(
        self,
        inputs: I,
        pool: &rayon::ThreadPool,
        consume: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<Report>
    where
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
    {
        let mut consume = consume;
        self.run_by_document(inputs, Some(pool), |_, batch| consume(batch))
    }

    /// Reads the documents on the threads of a pool, or on the calling thread; `consume` gets each batch
    /// with the number of its document, from 0.
    ///
    /// # Errors
    /// As [`Convert::run`].
    pub fn run_by_document<I>(
        mut self,
        inputs: I,
        pool: Option<&rayon::ThreadPool>,
        mut consume: impl FnMut(usize, RecordBatch) -> Result<()>,
    ) -> Result<Report>
    where
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
    {
        let mut rows = ReadRows::new(&self.options).with_segment_bytes(self.segment_bytes);
        if let Some(pool) = pool {
            rows = rows.with_pool(pool);
        }
        let keeps_rejects = self.rejects.is_some();
        let mut report = Report::default();
        let mut rejects = self.rejects.take();
        report.reading = rows.run(
            inputs,
            || {
                let reader = DecodeReader::new(&self.given, &self.options, keeps_rejects)?;
                Ok(Validated::new(reader, self.validator.clone()))
            },
            |document, decoded: Decoded| {
                if let Some(rejects) = &mut rejects {
                    write_rejects(rejects, &decoded.rejects)?;
                }
                let batch = report.add(decoded);
                if batch.num_rows() == 0 {
                    return Ok(());
                }
                consume(document, batch)
            },
        )?;
        if let Some(mut rejects) = rejects {
            rejects
                .flush()
                .map_err(|source| Error::WriteRejects { source })?;
        }
        Ok(report)
    }
}

impl Report {
    /// Counts what a segment became; gives its batch.
    fn add(&mut self, decoded: Decoded) -> RecordBatch {
        self.rows += decoded.batch.num_rows() as u64;
        self.corrupt_rows += decoded.corrupt_rows;
        self.dropped_rows += decoded.dropped_rows;
        let room = TOLD_REJECTS.saturating_sub(self.first_rejects.len());
        let told = decoded.rejects.into_iter().take(room);
        self.first_rejects.extend(told);
        for (path, count) in decoded.unknown {
            *self.unknown.entry(path).or_default() += count;
        }
        self.rescued_rows += decoded.rescued_rows;
        for (path, count) in decoded.rescued {
            *self.rescued.entry(path).or_default() += count;
        }
        decoded.batch
    }
}

/// A bad row as a line of JSON.
#[derive(serde::Serialize)]
struct RejectLine<'a> {
    file: &'a str,
    line: u64,
    byte: u64,
    path: &'a str,
    reason: String,
    row: &'a str,
}

fn write_rejects(writer: &mut dyn Write, rejects: &[Reject]) -> Result<()> {
    for reject in rejects {
        let line = RejectLine {
            file: &reject.place.file,
            line: reject.place.line,
            byte: reject.place.byte,
            path: &reject.place.path,
            reason: reject.reason.to_string(),
            row: reject.raw.as_deref().unwrap_or_default(),
        };
        let text = serde_json::to_string(&line).expect("strings and numbers are JSON");
        writeln!(writer, "{text}").map_err(|source| Error::WriteRejects { source })?;
    }
    Ok(())
}
