use std::fmt;

use calve_base::Failure;

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
}

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        false
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => None,
        }
    }
}
