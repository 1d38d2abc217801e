//! Conversion of documents to record batches by a schema.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::decode::{DecodeReader, Decoded, Misfit, Reject, misfit};
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
    /// Values that did not fit the types of their columns, by dotted column.
    pub misfits: BTreeMap<String, Misfit>,
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
    segment_bytes: Option<usize>,
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
            segment_bytes: None,
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
        self.segment_bytes = Some(bytes);
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

    /// Reads the documents on the calling thread and on those of a pool, which has one thread less than there are cores to be
    /// used.
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

    /// Gives the batches one by one, in the order of the text, while the documents are read on a thread of
    /// their own, or on those of a pool. That thread is never more than two batches ahead, and ends when the
    /// iterator is dropped.
    ///
    /// ```
    /// use calve_xml::convert::Convert;
    /// use calve_xml::input::Input;
    /// use calve_xml::schema::parse_schema;
    /// use calve_xml::XmlOptions;
    ///
    /// let convert = Convert::new(&parse_schema("n BIGINT")?, XmlOptions::new("row"))?;
    /// let document = Input::new("example.xml", &b"<all><row><n>1</n></row></all>"[..]);
    /// let mut batches = convert.into_batches([Ok(document)], None);
    /// let rows: usize = batches
    ///     .by_ref()
    ///     .map(|batch| Ok(batch?.num_rows()))
    ///     .sum::<calve_xml::Result<_>>()?;
    /// let report = batches.report().expect("the batches are at their end");
    /// assert_eq!((rows, report.rows), (1, 1));
    /// # Ok::<(), calve_xml::Error>(())
    /// ```
    pub fn into_batches<I>(self, inputs: I, pool: Option<Arc<rayon::ThreadPool>>) -> Batches
    where
        I: IntoIterator<Item = Result<Input>> + Send + 'static,
        I::IntoIter: Send,
    {
        let schema = Arc::clone(&self.schema);
        let (batches, arrived) = mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            self.run_by_document(inputs, pool.as_deref(), |_, batch| {
                // Whoever has dropped the iterator wants no more, and no error either.
                batches.send(batch).map_err(|_| Error::Enough)
            })
        });
        Batches {
            schema,
            arrived: Some(arrived),
            thread: Some(thread),
            report: None,
        }
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
        let rows = ReadRows::new(&self.options)
            .with_segment_bytes(self.segment_bytes)
            .with_pool(pool);
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

/// The batches of documents, as an iterator: see [`Convert::into_batches`].
#[derive(Debug)]
pub struct Batches {
    schema: SchemaRef,
    arrived: Option<Receiver<RecordBatch>>,
    thread: Option<JoinHandle<Result<Report>>>,
    report: Option<Report>,
}

impl Batches {
    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the conversion did; none before the last batch was given, or when there was an error.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Waits for the thread to end.
    fn end(&mut self) -> Result<()> {
        self.arrived = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(report)) => {
                self.report = Some(report?);
                Ok(())
            }
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batch) = self.arrived.as_ref().and_then(|it| it.recv().ok()) {
            return Some(Ok(batch));
        }
        self.end().err().map(Err)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.arrived = None;
        if let Some(thread) = self.thread.take() {
            // What it did does not matter to anybody any more.
            let _ = thread.join();
        }
    }
}

impl Report {
    /// Counts what a segment became; gives its batch.
    fn add(&mut self, decoded: Decoded) -> RecordBatch {
        self.rows += decoded.batch.num_rows() as u64;
        self.corrupt_rows += decoded.corrupt_rows;
        self.dropped_rows += decoded.dropped_rows;
        for (column, misfit) in decoded.misfits {
            misfit::add(&mut self.misfits, column, misfit);
        }
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
