//! Inference of a schema from the rows of any number of documents.
//!
//! All rows count, unless a sample is asked for. The result depends neither on the order of rows and
//! documents nor on the number of threads: for each column the set of the kinds of its values is
//! gathered, and only at the end is the narrowest type chosen that holds them all.

mod reader;
mod resolve;
mod scalar;
mod shape;

use arrow::datatypes::Schema;

use crate::input::Input;
use crate::options::XmlOptions;
use crate::schema::hints::Hints;
use crate::schema::text_where_null;
use crate::segments::{self, ReadRows};
use crate::types::Formats;
use crate::types::classify::Classifier;
use crate::{Error, Result};

use reader::{InferReader, Sampling, Seen};

pub use resolve::{Choices, MixedTypes, Note, renamed};

/// What was inferred.
#[derive(Debug, Clone)]
pub struct Inferred {
    /// The schema, its columns by name.
    pub schema: Schema,
    /// The same, but columns that never had a value are of type null, and not text: what a contract is held
    /// against, which may have another type for them ([`Evolve::plan`](crate::schema::evolve::Evolve::plan)).
    pub observed: Schema,
    /// Rows that it rests on.
    pub rows: u64,
    /// Documents that were read.
    pub files: u64,
    /// What a person should know of it.
    pub notes: Vec<Note>,
    /// What reading the rows did.
    pub reading: segments::Report,
}

/// Infers a schema.
///
/// ```
/// use calve_xml::infer::InferSchema;
/// use calve_xml::input::Input;
/// use calve_xml::schema::ddl::to_ddl;
/// use calve_xml::XmlOptions;
///
/// let text = "<all><row><n>1</n></row><row id='a'><n>2</n><n>3</n></row></all>";
/// let inferred = InferSchema::new(XmlOptions::new("row"))
///     .run([Ok(Input::new("example.xml", text.as_bytes()))])?;
/// assert_eq!(to_ddl(&inferred.schema)?, "_id STRING, n ARRAY<BIGINT>");
/// # Ok::<(), calve_xml::Error>(())
/// ```
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
#[must_use = "nothing is inferred until `run`"]
pub struct InferSchema {
    options: XmlOptions,
    infer_types: bool,
    prefers_decimal: bool,
    prefers_date: bool,
    prefers_timestamp_ntz: bool,
    keeps_leading_zeros: bool,
    mixed_types: MixedTypes,
    sample_rows: Option<u64>,
    sampling: Sampling,
    choices: Choices,
    hints: Hints,
    segment_bytes: Option<usize>,
}

impl InferSchema {
    /// Starts with Spark's defaults: all types are inferred, from all rows.
    pub fn new(options: XmlOptions) -> Self {
        Self {
            options,
            infer_types: true,
            prefers_decimal: false,
            prefers_date: true,
            prefers_timestamp_ntz: false,
            keeps_leading_zeros: false,
            mixed_types: MixedTypes::default(),
            sample_rows: None,
            sampling: Sampling::All,
            choices: Choices::default(),
            hints: Hints::new(),
            segment_bytes: None,
        }
    }

    /// Sets whether values have types; else all are strings. Default: yes.
    pub fn with_infer_types(mut self, infer_types: bool) -> Self {
        self.infer_types = infer_types;
        self
    }

    /// Sets whether numbers with a fraction, and whole numbers beyond 64 bits, are decimals as wide as
    /// they need to be, rather than doubles. Default: no.
    pub fn with_prefers_decimal(mut self, prefers_decimal: bool) -> Self {
        self.prefers_decimal = prefers_decimal;
        self
    }

    /// Sets whether dates are dates, rather than timestamps. Default: yes.
    pub fn with_prefers_date(mut self, prefers_date: bool) -> Self {
        self.prefers_date = prefers_date;
        self
    }

    /// Sets whether timestamps that name no zone have none, rather than being taken in the options'
    /// zone. Default: no.
    pub fn with_prefers_timestamp_ntz(mut self, prefers_timestamp_ntz: bool) -> Self {
        self.prefers_timestamp_ntz = prefers_timestamp_ntz;
        self
    }

    /// Sets whether numbers with needless leading zeros, as identifiers have them, are strings.
    /// Default: no, as in Spark.
    pub fn with_keeps_leading_zeros(mut self, keeps_leading_zeros: bool) -> Self {
        self.keeps_leading_zeros = keeps_leading_zeros;
        self
    }

    /// Sets what becomes of a column that has values in some elements and children in others.
    pub fn with_mixed_types(mut self, mixed_types: MixedTypes) -> Self {
        self.mixed_types = mixed_types;
        self
    }

    /// Sets which columns with values of several types are choices; the others are strings, or as
    /// [`InferSchema::with_mixed_types`] says. Default: none.
    pub fn with_choices(mut self, choices: Choices) -> Self {
        self.choices = choices;
        self
    }

    /// Infers from the first rows only, of all documents in their order.
    pub fn with_sample_rows(mut self, rows: u64) -> Self {
        self.sample_rows = Some(rows);
        self
    }

    /// Infers from about this part of the rows of all documents (Spark's `samplingRatio`), above 0. Which rows
    /// that are depends on nothing but their places in their documents.
    ///
    /// # Errors
    /// When it is not a number above 0 and up to 1.
    pub fn with_sampling_ratio(mut self, ratio: f64) -> Result<Self> {
        if !(ratio > 0.0 && ratio <= 1.0) {
            return Err(Error::SamplingRatio { ratio });
        }
        self.sampling = Sampling::of(ratio);
        Ok(self)
    }

    /// Sets what is known of single columns beforehand.
    pub fn with_hints(mut self, hints: Hints) -> Self {
        self.hints = hints;
        self
    }

    /// Sets about how many bytes of text a thread reads in one go. The result does not depend on it.
    pub fn with_segment_bytes(mut self, bytes: usize) -> Self {
        self.segment_bytes = Some(bytes);
        self
    }

    /// Reads the documents on the calling thread.
    ///
    /// # Errors
    /// When a document cannot be read, or a row is malformed and the mode is to fail.
    pub fn run<I>(&self, inputs: I) -> Result<Inferred>
    where
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
    {
        self.read(inputs, None)
    }

    /// Reads the documents on the calling thread and on those of a pool. A sample is read on the calling thread alone.
    ///
    /// # Errors
    /// As [`InferSchema::run`].
    pub fn run_on<'p, I>(
        &self,
        inputs: I,
        pool: impl Into<Option<&'p rayon::ThreadPool>>,
    ) -> Result<Inferred>
    where
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
    {
        let pool = pool.into().filter(|_| self.sample_rows.is_none());
        self.read(inputs, pool)
    }

    fn read<I>(&self, inputs: I, pool: Option<&rayon::ThreadPool>) -> Result<Inferred>
    where
        I: IntoIterator<Item = Result<Input>>,
        I::IntoIter: Send,
    {
        let classifier = Classifier {
            infer_types: self.infer_types,
            prefers_decimal: self.prefers_decimal,
            prefers_date: self.prefers_date,
            prefers_timestamp_ntz: self.prefers_timestamp_ntz,
            keeps_leading_zeros: self.keeps_leading_zeros,
            formats: Formats::new(&self.options)?,
        };
        let reader = InferReader::new(
            &self.options,
            classifier,
            (self.sample_rows, self.sampling),
            self.choices != Choices::None,
        );
        let rows = ReadRows::new(&self.options)
            .with_segment_bytes(self.segment_bytes)
            .with_pool(pool);
        let mut all = Seen::default();
        let mut files = 0;
        let run = rows.run(
            inputs,
            || Ok(reader.clone()),
            |document, seen: Seen| {
                files = document as u64 + 1;
                all.rows += seen.rows;
                all.bad_rows += seen.bad_rows;
                all.shape.merge(&seen.shape);
                if all.shape.columns() > shape::MOST_COLUMNS {
                    return Err(Error::TooManyInferredColumns {
                        limit: shape::MOST_COLUMNS,
                    });
                }
                if seen.is_full {
                    Err(Error::Enough)
                } else {
                    Ok(())
                }
            },
        );
        let reading = match run {
            Ok(reading) => reading,
            Err(Error::Enough) => segments::Report {
                documents: files,
                rows: all.rows,
                rejected_rows: all.bad_rows,
                ..segments::Report::default()
            },
            Err(error) => return Err(error),
        };
        self.finish(&all, reading)
    }

    fn finish(&self, all: &Seen, reading: segments::Report) -> Result<Inferred> {
        let keeps_bad_rows = self.options.mode == crate::options::Mode::Permissive;
        let has_corrupt = all.bad_rows > 0 && keeps_bad_rows;
        let policy = resolve::Policy {
            mixed: self.mixed_types,
            choices: &self.choices,
        };
        let (observed, mut notes) =
            resolve::resolve(&all.shape, &self.options, policy, has_corrupt);
        if all.bad_rows > 0 {
            notes.push(Note::BadRows { rows: all.bad_rows });
        }
        let observed = self.hints.apply(&observed)?;
        Ok(Inferred {
            schema: text_where_null(&observed),
            observed,
            rows: all.rows,
            files: reading.documents,
            notes,
            reading,
        })
    }
}
