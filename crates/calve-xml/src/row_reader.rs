//! The joint between finding rows and reading them.

use crate::lexer::{Lexer, StartTag, Syntax};
use crate::{Place, Result};

/// Why a row could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Where in the segment, in bytes from its start.
    pub offset: usize,
    /// What is wrong.
    pub reason: RowErrorReason,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowErrorReason {
    /// It is not well-formed.
    #[error("{0}")]
    Malformed(Syntax),
    /// A value does not fit its column.
    #[error("column `{column}`: `{text}` is no {expected}")]
    Value {
        /// The column, dotted: `order.items.price`.
        column: String,
        /// The value, shortened where it is long.
        text: String,
        /// The column's type.
        expected: String,
    },
    /// The row is not as its XML Schema says.
    #[error("{path}: {problem}")]
    Invalid {
        /// The elements that are open, from the row on: `order/items/item`.
        path: String,
        /// What is wrong there.
        problem: String,
    },
}

/// Reads the rows of one segment after another: into columns, or into an inferred schema.
///
/// Each worker has a reader of its own. Rows arrive in the order of the text. The driver decides which
/// elements are rows; a reader sees one row at a time and never more than one segment.
pub trait RowReader: Send {
    /// What a segment's rows become. Outputs are handed on in the order of the text; those of segments
    /// that turn out to have begun inside a comment or another row are dropped and read again.
    type Output: Send;

    /// Begins a segment of a document that is called so, which starts at this byte of its text.
    fn begin_segment(&mut self, _file: &str, _byte: u64) {}

    /// Reads the row whose start tag was just taken from the lexer, through its end tag.
    ///
    /// # Errors
    /// When the row is malformed or does not fit. Where it is malformed, the reader has forgotten whatever
    /// it had of the row, and the driver moves the lexer behind it. Where a value does not fit, the lexer
    /// is behind the row already, and the reader still has what did fit. Either way
    /// [`RowReader::reject_row`] comes next, before any other row.
    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError>;

    /// Takes note of a row that could not be read: `raw` is its text as it stands in the document.
    ///
    /// # Errors
    /// When such a row ends the run (fail fast).
    fn reject_row(&mut self, raw: &str, place: &Place, error: RowError) -> Result<()>;

    /// Ends a segment and gives what its rows became.
    ///
    /// # Errors
    /// When the output cannot be built.
    fn finish_segment(&mut self) -> Result<Self::Output>;
}
