use std::fmt;

use calve_base::Failure;

use crate::schema::evolve::Drift;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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
    /// Data does not fit the schema that is its contract.
    #[error("the data does not fit the schema: {}", joined(drift))]
    Drift {
        /// In what it does not fit.
        drift: Vec<Drift>,
        /// Whether the schema may be let evolve instead.
        may_widen: bool,
    },
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
            Self::Malformed { .. } | Self::Read { .. } => None,
            Self::RowTooLarge { .. } => {
                Some("choose a smaller element as the row, or raise the limit of rows".to_owned())
            }
            Self::MarkupTooLarge { .. } => Some("raise the limit of rows".to_owned()),
            Self::Encoding { .. } | Self::UnknownEncoding { .. } => {
                Some("name the encoding by option".to_owned())
            }
            Self::SchemaText { .. } | Self::Column { .. } => None,
            Self::Drift { drift, may_widen } => {
                let conflicts = drift.iter().any(|it| matches!(it, Drift::Conflict { .. }));
                Some(if *may_widen && !conflicts {
                    "let the schema evolve (on drift: widen), or rescue what does not fit".to_owned()
                } else {
                    "rescue what does not fit (on drift: rescue), or change the schema".to_owned()
                })
            }
            Self::Path { .. } => Some(
                "write names joined by dots, `[]` behind lists, and backticks around names with dots"
                    .to_owned(),
            ),
        }
    }
}
