//! ORC files, decoded by `orc-rust`.
//!
//! The decoder is written for files that are right. What it does with others, and with what it does not do as ORC's
//! own libraries do, is dealt with here:
//!
//! - The footer is read and checked before ([`tail`], [`columns`]), and so are the parts of each stripe ([`stripe`]).
//! - Timestamps are decoded here ([`timestamps`]) and handed to the decoder as decimal numbers, so that none is beyond a
//!   range, and days of the Julian calendar are brought into today's ([`values`]).
//! - What was decoded is compared with what the writer counted ([`proof`]): a file has no checksums, but rows, values,
//!   bounds and sums.
//! - Where the decoder panics after all, that is an error of the file.

mod codec;
mod columns;
mod integers;
mod proof;
mod source;
mod stripe;
mod tail;
#[cfg(test)]
mod tests;
mod timestamps;
mod values;

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use calve_base::Location;
use datafusion::common::DataFusionError;
use datafusion::error::Result as DataFusionResult;
use orc_rust::error::OrcError;
use orc_rust::projection::ProjectionMask;
use orc_rust::{ArrowReader, ArrowReaderBuilder};

use self::columns::{Column, columns, fields};
use self::proof::Proof;
use self::stripe::Stripes;
use self::tail::Tail;
use self::values::Finish;
use super::SourceFile as Source;
use super::{BATCH_ROWS, OpenFile};
use crate::{Error, Nanoseconds};

/// What becomes of timestamps. ORC's have nanoseconds, and reach far beyond the years that 64 bits of nanoseconds do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrcTimestamps {
    /// They have microseconds, and digits beyond are an error, or cut off.
    Microseconds(Nanoseconds),
    /// They have nanoseconds, and those before 1677 and after 2262 are an error.
    Nanoseconds,
}

/// About how many bytes rows that are decoded at a time may have in the file.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it is no ORC file, or its end is missing")]
    NoOrc,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it is damaged, or its decoder fails: {0}")]
    Decoder(String),
    #[error("it is {0}, which is not read")]
    Unread(&'static str),
    #[error(
        "it belongs to a transactional (ACID) table of Hive, whose files are right only together: let Hive copy the \
         table's rows into one that is not transactional, and take that one's files"
    )]
    Transactional,
    #[error("its timestamps show the clocks of `{0}`, which is no time zone that is known")]
    TimeZone(String),
    #[error("column `{column}`: {problem}")]
    Column { column: String, problem: String },
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
}

impl Problem {
    /// Names the file.
    fn of(self, location: &Location) -> DataFusionError {
        let error = match self {
            Self::Storage(error) => Error::Storage(error),
            problem => Error::Text {
                location: location.clone(),
                problem: problem.to_string(),
            },
        };
        error.into()
    }
}

impl From<OrcError> for Problem {
    /// Takes out what was found here while the decoder asked for bytes.
    fn from(error: OrcError) -> Self {
        match error {
            OrcError::IoError { source, .. } => match source.downcast::<Self>() {
                Ok(own) => own,
                Err(other) => Self::Decoder(other.to_string()),
            },
            other => Self::Decoder(other.to_string()),
        }
    }
}

impl From<ArrowError> for Problem {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<OrcError>() {
                Ok(error) => Self::from(*error),
                Err(other) => Self::Decoder(other.to_string()),
            },
            other => Self::Decoder(other.to_string()),
        }
    }
}

/// What is known of names beside what a file tells.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    /// The columns whose rows are read; all when `None`.
    pub(super) wanted: Option<&'a [String]>,
    /// The names of all columns, in their order, for files that have none: Hive 1 wrote `_col0`, `_col1`, ….
    pub(super) names: Option<&'a [String]>,
}

impl Names<'_> {
    /// Gives columns the names that their file lacks.
    fn give(self, columns: &mut [(String, Column)]) {
        let names = self.names.unwrap_or_default();
        let mut numbered = columns.iter().enumerate();
        let has_none = numbered.all(|(place, (name, _))| *name == format!("_col{place}"));
        if has_none && columns.len() <= names.len() {
            for ((name, _), given) in columns.iter_mut().zip(names) {
                name.clone_from(given);
            }
        }
    }
}

/// Reads the footer of a file.
pub(super) fn open(
    source: Source,
    timestamps: OrcTimestamps,
    names: Names<'_>,
) -> DataFusionResult<OpenFile> {
    let location = source.object.location.clone();
    begin(source, timestamps, names).map_err(|problem| problem.of(&location))
}

fn begin(source: Source, timestamps: OrcTimestamps, names: Names<'_>) -> Result<OpenFile, Problem> {
    let location = source.object.location.clone();
    let tail = Tail::read(&source)?;
    let mut columns = columns(&tail.footer.types)?;
    names.give(&mut columns);
    let schema = Schema::new(fields(&columns, |column| column.table_type(timestamps)));
    columns.retain(|(name, _)| names.wanted.is_none_or(|wanted| wanted.contains(name)));
    let rows = tail.rows();
    let finish = Finish {
        timestamps,
        is_julian: tail.is_julian(),
    };
    let proof = Proof::new(&tail);
    let batch_rows = batch_rows(&tail);
    let read = columns.iter().map(|(_, column)| column.clone()).collect();
    let stripes = Stripes::new(source, tail, read);
    let builder = guarded(|| ArrowReaderBuilder::try_new(stripes))??;
    let root = builder.file_metadata().root_data_type();
    let mask = ProjectionMask::roots(root, columns.iter().map(|(_, column)| column.index));
    let decoded = Schema::new(fields(&columns, Column::decoded_type));
    let reader = builder
        .with_projection(mask)
        .with_schema(Arc::new(decoded))
        .with_batch_size(batch_rows)
        .build();
    let taken = Schema::new(fields(&columns, |column| column.table_type(timestamps)));
    let batches = Batches {
        location,
        reader: Some(reader),
        columns,
        schema: Arc::new(taken),
        finish,
        proof,
    };
    Ok(OpenFile {
        schema,
        rows: Some(rows),
        batches: Box::new(batches),
    })
}

/// How many rows are decoded at a time, fewer where they are large.
fn batch_rows(tail: &Tail) -> usize {
    let stripes = tail.footer.stripes.iter();
    let row_bytes = stripes.map(|stripe| stripe.data_length() / stripe.number_of_rows().max(1));
    let row_bytes = row_bytes.max().unwrap_or_default().max(1);
    let rows = usize::try_from(BATCH_BYTES / row_bytes).unwrap_or(BATCH_ROWS);
    rows.clamp(1, BATCH_ROWS)
}

/// The rows of a file.
struct Batches {
    location: Location,
    /// Nothing at the end, and after an error.
    reader: Option<ArrowReader<Stripes>>,
    columns: Vec<(String, Column)>,
    schema: SchemaRef,
    finish: Finish,
    proof: Proof,
}

impl Iterator for Batches {
    type Item = DataFusionResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let decoded = match guarded(|| reader.next()) {
            Ok(Some(decoded)) => decoded.map_err(Problem::from),
            Ok(None) => {
                self.reader = None;
                let proven = self.proof.check(&self.columns);
                return proven.err().map(|problem| Err(problem.of(&self.location)));
            }
            Err(problem) => Err(problem),
        };
        let finished = decoded.and_then(|batch| self.finished(&batch));
        if finished.is_err() {
            self.reader = None;
        }
        Some(finished.map_err(|problem| problem.of(&self.location)))
    }
}

impl Batches {
    fn finished(&mut self, decoded: &RecordBatch) -> Result<RecordBatch, Problem> {
        if decoded.num_columns() != self.columns.len() {
            return Err(Problem::Damaged("columns are missing"));
        }
        self.proof.add_rows(decoded.num_rows());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for ((name, column), array) in self.columns.iter().zip(decoded.columns()) {
            self.proof.add(column, array);
            let finished = self.finish.array(column, array);
            arrays.push(finished.map_err(|problem| Problem::Column {
                column: name.clone(),
                problem,
            })?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.num_rows()));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is within a decoder whose panics become errors that name the file, so that a panic hook need
/// not tell of them.
pub fn is_decoding() -> bool {
    IS_DECODING.get()
}

/// Calls the decoder.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Problem> {
    IS_DECODING.set(true);
    // Whoever gets the error gives the decoder up.
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_DECODING.set(false);
    done.map_err(|panic| Problem::Decoder(message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it does not say why").to_owned()
}
