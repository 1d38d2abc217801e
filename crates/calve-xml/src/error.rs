use std::fmt;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use calve_base::Failure;
use parquet::errors::ParquetError;

use crate::row_reader::{RowError, RowErrorReason};
use crate::schema::evolve::Drift;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// What the document is called, such as its location; empty where the caller gave no name.
    pub file: String,
    /// Offset in bytes from the start of the document as decoded to UTF-8 (and decompressed).
    pub byte: u64,
    /// Line, counted from 1.
    pub line: u64,
    /// The open elements, outermost first: `response/row/row`.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file.is_empty() {
            "document"
        } else {
            &self.file
        };
        write!(f, "{file}: line {}, byte {}", self.line, self.byte)?;
        if !self.path.is_empty() {
            write!(f, ", in {}", self.path)?;
        }
        Ok(())
    }
}

/// What can go wrong between XML and Parquet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A document is not well-formed.
    #[error("{place}: {reason}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong, such as `` `</b>` closes `<a>` ``.
        reason: String,
    },
    /// A row is larger than allowed; it must fit into memory.
    #[error("{place}: the row is larger than {limit} bytes")]
    RowTooLarge {
        /// Where it begins.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// Something that is no row, such as a comment, is larger than a row may be.
    #[error("{place}: what begins here is larger than {limit} bytes")]
    MarkupTooLarge {
        /// Where it begins.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// A document cannot be read or decompressed.
    #[error("{file}: cannot be read")]
    Read {
        /// The document.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Bytes are not of the document's encoding.
    #[error("{place}: the bytes here are not {encoding}")]
    Encoding {
        /// Where, as far as it is known.
        place: Place,
        /// The encoding's name.
        encoding: String,
    },
    /// The document or the options name an encoding that is not supported.
    #[error("{file}: the encoding `{encoding}` is not supported")]
    UnknownEncoding {
        /// The document.
        file: String,
        /// The encoding's name.
        encoding: String,
    },
    /// A row is malformed or does not fit, and the mode is to fail.
    #[error("{place}: {reason}")]
    BadRow {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: Box<RowErrorReason>,
    },
    /// A pattern of dates or timestamps cannot be read.
    #[error("pattern `{pattern}`: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A time zone is not known.
    #[error("`{name}` is no time zone")]
    TimeZone {
        /// What was given.
        name: String,
    },
    /// A column has a type that values of XML cannot have.
    #[error("column `{column}`: XML is not read as {data_type}")]
    UnsupportedType {
        /// The column, dotted.
        column: String,
        /// Its type in the schema.
        data_type: DataType,
    },
    /// A column cannot be built or changed.
    #[error("column `{column}`")]
    Array {
        /// The column, dotted; `*` for all.
        column: String,
        /// Arrow's word.
        source: ArrowError,
    },
    /// A sample is full: it ends the run and no caller sees it.
    #[doc(hidden)]
    #[error("the sample is full")]
    Enough,
    /// Whoever takes the rows takes no more of them.
    #[error("{source}")]
    Output {
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An output file cannot be opened or flushed.
    #[error("output file {number}")]
    OpenOutput {
        /// Its number, from 0.
        number: usize,
        /// The system's word.
        source: std::io::Error,
    },
    /// The bad rows cannot be written aside.
    #[error("rejected rows")]
    WriteRejects {
        /// The system's word.
        source: std::io::Error,
    },
    /// An output file cannot be written.
    #[error("output file {number}")]
    WriteParquet {
        /// Its number, from 0.
        number: usize,
        /// The writer's word.
        source: ParquetError,
    },
    /// The documents have more columns than a schema should.
    #[error("the documents have more than {limit} columns")]
    TooManyInferredColumns {
        /// How many are allowed.
        limit: usize,
    },
    /// A part of the rows that is none.
    #[error("{ratio} is no part of the rows")]
    SamplingRatio {
        /// What was asked for.
        ratio: f64,
    },
    /// The text of a schema cannot be read.
    #[error("{format}, {place}: {problem}")]
    SchemaText {
        /// What it was read as, such as `DDL`.
        format: &'static str,
        /// Where in the text.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// An XML Schema cannot be read, or says what is not supported.
    #[error("{file}: line {line}: {problem}")]
    Xsd {
        /// The document.
        file: String,
        /// Line, counted from 1.
        line: u64,
        /// What is wrong there.
        problem: String,
    },
    /// A document that an XML Schema includes or imports cannot be loaded.
    #[error("{file}: `{location}` cannot be loaded: {source}")]
    XsdLoad {
        /// The document that asks for it.
        file: String,
        /// Its location, or its namespace where it has none.
        location: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row tag has something that is no name, or does not name one element of an XML Schema.
    #[error("row tag `{row_tag}`: {problem}")]
    RowTag {
        /// The row tag.
        row_tag: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An XML Schema makes more columns than anyone has data for.
    #[error("the XML Schema makes more than {limit} columns")]
    TooManyColumns {
        /// The most columns that are made.
        limit: usize,
    },
    /// An XML Schema says what rows cannot be validated against.
    #[error("rows cannot be validated against {}", constructs.join("; "))]
    NotValidatable {
        /// What cannot be checked.
        constructs: Vec<String>,
    },
    /// A path to a column cannot be read.
    #[error("path `{path}`: {problem}")]
    Path {
        /// The whole path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A column does not allow what was asked.
    #[error("column `{column}`: {problem}")]
    Column {
        /// The path of the column.
        column: String,
        /// What is wrong.
        problem: String,
    },
    /// A column cannot be computed.
    #[error("column `{column}`: {source}")]
    Arrow {
        /// The path of the column; empty for all of them.
        column: String,
        /// Why.
        source: ArrowError,
    },
    /// Two columns of one table, or two tables, would have one name.
    #[error("{} would have two {} of the name `{name}`", of_table(table.as_ref()), if table.is_some() { "columns" } else { "tables" })]
    SameName {
        /// The name, which is compared without regard to case.
        name: String,
        /// The table, when it is columns that have it.
        table: Option<String>,
    },
    /// A batch has another schema than those before it.
    #[error(
        "a batch has another schema than was planned for: {}",
        difference(expected, found)
    )]
    BatchSchema {
        /// The schema planned for.
        expected: SchemaRef,
        /// The schema of the batch.
        found: SchemaRef,
    },
    /// The ordinals of files do not ascend, or there are too many.
    #[error("file {ordinal} comes after file {previous}: ordinals ascend, and are below 2^23")]
    FileOrdinal {
        /// The ordinal.
        ordinal: u32,
        /// The one before it.
        previous: u32,
    },
    /// One file has more rows of a table than there are keys.
    #[error("table `{table}`: one file has more than 2^40 rows")]
    TooManyRows {
        /// The table.
        table: String,
    },
    /// A mapping cannot be read.
    #[error("mapping{}: {problem}", entry.map(|it| format!(", tuple {it}")).unwrap_or_default())]
    Mapping {
        /// Which tuple, counted from 1; none for the whole text.
        entry: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// An action on a choice of types cannot be read.
    #[error("`{action}` is no action on a choice of types")]
    Action {
        /// What was written.
        action: String,
    },
    /// An action for all choices stands beside others.
    #[error("`{action}` is for every choice, and stands beside other actions")]
    ActionForAll {
        /// The action.
        action: String,
    },
    /// Data does not fit the schema that is its contract.
    #[error("the data does not fit the schema: {}", joined(drift))]
    Drift {
        /// In what it does not fit.
        drift: Vec<Drift>,
        /// Whether the schema may be let evolve instead.
        may_widen: bool,
    },
}

fn of_table(table: Option<&String>) -> String {
    table.map_or_else(|| "the flat form".to_owned(), |it| format!("table `{it}`"))
}

/// The first column in which two schemas differ.
fn difference(expected: &SchemaRef, found: &SchemaRef) -> String {
    let pairs = expected.fields().iter().zip(found.fields());
    match pairs.into_iter().find(|(a, b)| a != b) {
        Some((a, b)) => format!(
            "column `{}` ({}) in place of `{}` ({})",
            b.name(),
            b.data_type(),
            a.name(),
            a.data_type()
        ),
        None => format!(
            "{} columns in place of {}",
            found.fields().len(),
            expected.fields().len()
        ),
    }
}

/// The first few ways in which data does not fit, as one line.
fn joined(drift: &[Drift]) -> String {
    const SHOWN: usize = 5;
    let mut parts: Vec<String> = drift.iter().take(SHOWN).map(Drift::to_string).collect();
    if drift.len() > SHOWN {
        parts.push(format!("and {} more", drift.len() - SHOWN));
    }
    parts.join("; ")
}

impl Error {
    /// Whether the documents are the problem, and not how they were to be read: a bad row, data that does not fit
    /// its contract, text that is not well-formed or larger than allowed.
    pub fn is_in_data(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. }
                | Self::RowTooLarge { .. }
                | Self::MarkupTooLarge { .. }
                | Self::Encoding { .. }
                | Self::BadRow { .. }
                | Self::Drift { .. }
        )
    }

    /// A bad row as the error that ends the run.
    pub(crate) fn bad_row(place: &Place, error: RowError) -> Self {
        Self::BadRow {
            place: place.clone(),
            reason: Box::new(error.reason),
        }
    }
}

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Read { source, .. } if matches!(
            source.kind(),
            std::io::ErrorKind::TimedOut
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::ConnectionAborted
        ))
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. }
            | Self::Read { .. }
            | Self::Array { .. }
            | Self::Enough
            | Self::OpenOutput { .. }
            | Self::Output { .. }
            | Self::WriteRejects { .. }
            | Self::WriteParquet { .. } => None,
            Self::BadRow { .. } => Some(
                "choose the mode `permissive` to keep bad rows aside, or `dropmalformed` to drop them"
                    .to_owned(),
            ),
            Self::Pattern { .. } => {
                Some("write it with the letters of Spark, such as `yyyy-MM-dd HH:mm:ss`".to_owned())
            }
            Self::TimeZone { .. } => {
                Some("write an offset (`+01:00`) or an IANA name (`Europe/Paris`)".to_owned())
            }
            Self::UnsupportedType { .. } => Some("give the column another type".to_owned()),
            Self::TooManyInferredColumns { .. } => Some(
                "names may hold data, or the row tag may be wrong; a schema that you give has no such limit"
                    .to_owned(),
            ),
            Self::RowTag { .. } => Some(
                "write the name of the rows' element, such as `book`, or its path from the root, such as \
                 `response/row/row`"
                    .to_owned(),
            ),
            Self::SamplingRatio { .. } => Some("write a number above 0 and up to 1".to_owned()),
            Self::RowTooLarge { .. } => {
                Some("choose a smaller element as the row, or raise the limit of rows".to_owned())
            }
            Self::MarkupTooLarge { .. } => Some("raise the limit of rows".to_owned()),
            Self::Encoding { .. } | Self::UnknownEncoding { .. } => {
                Some("name the encoding that the document has by option (--encoding)".to_owned())
            }
            Self::SchemaText { .. } | Self::Column { .. } | Self::Arrow { .. } => None,
            Self::Xsd { .. } | Self::XsdLoad { .. } => None,
            Self::TooManyColumns { .. } => Some("choose a smaller element as the row".to_owned()),
            Self::NotValidatable { .. } => {
                Some("take these constructs out of the schema, or read without validation".to_owned())
            }
            Self::BatchSchema { .. } | Self::FileOrdinal { .. } | Self::TooManyRows { .. } => None,
            Self::Mapping { .. } => Some(
                "write a list of tuples [source, source type, target, target type]".to_owned(),
            ),
            Self::SameName { .. } => Some("rename one of the columns by a mapping".to_owned()),
            Self::Action { .. } => Some(
                "write `cast:T`, `project:T`, `make_cols`, `make_struct` or `match_catalog`, behind `PATH:` for one column"
                    .to_owned(),
            ),
            Self::ActionForAll { .. } => {
                Some("name the column of each action, as in `PATH:make_cols`".to_owned())
            }
            Self::Drift { drift, may_widen } => {
                let conflicts = drift.iter().any(|it| matches!(it, Drift::Conflict { .. }));
                Some(if *may_widen && !conflicts {
                    "let the schema evolve (--on-drift widen), or change the schema".to_owned()
                } else {
                    "change the schema, keep what does not fit out of the input, or have it kept as JSON \
                     (--on-drift rescue)"
                        .to_owned()
                })
            }
            Self::Path { .. } => Some(
                "write names joined by dots, `[]` behind lists, and backticks around names with dots"
                    .to_owned(),
            ),
        }
    }
}
