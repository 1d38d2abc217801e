use crate::row_reader::{RowError, RowErrorReason};

/// How a text breaks the rules of XML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Syntax {
    /// The text ends inside of something.
    #[error("the text ends inside of {0}")]
    Truncated(&'static str),
    /// The text ends before an element does.
    #[error("`<{0}>` is not closed")]
    Unclosed(String),
    /// An end tag that is not of the innermost open element.
    #[error("`</{found}>` closes `<{open}>`")]
    EndTag {
        /// The name in the end tag.
        found: String,
        /// The name of the innermost open element.
        open: String,
    },
    /// An end tag where no element is open.
    #[error("`</{0}>` closes nothing")]
    NothingToClose(String),
    /// Something else was to stand here.
    #[error("{0} is expected here")]
    Expected(&'static str),
    /// Something that may not stand where it does.
    #[error("{0} may not stand here")]
    Misplaced(&'static str),
    /// A name breaks the rules of names.
    #[error("`{0}` is not a name")]
    Name(String),
    /// A character that XML does not allow.
    #[error("the character U+{0:04X} is not allowed in XML")]
    Character(u32),
    /// A tag names an attribute twice.
    #[error("the attribute `{0}` is given twice")]
    DuplicateAttribute(String),
    /// `&` that begins no reference.
    #[error("`&` begins no reference; as itself it is written `&amp;`")]
    Ampersand,
    /// A reference to an entity that is not declared in the document.
    #[error("the entity `&{0};` is not declared")]
    UnknownEntity(String),
    /// A reference to an entity that is declared but not supported.
    #[error("the entity `&{name};` is refused: {reason}")]
    RefusedEntity {
        /// The entity's name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// The document's own entities add more text than is allowed.
    #[error("entities expand to more than {0} bytes")]
    EntityExpansion(u64),
    /// A limit against hostile documents.
    #[error("{what} beyond the limit of {limit}")]
    Limit {
        /// What is too large, too long or too deep.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl Syntax {
    /// The same, at a place in the segment.
    #[cold]
    pub(crate) fn at(self, offset: usize) -> RowError {
        RowError {
            offset,
            reason: RowErrorReason::Malformed(self),
        }
    }
}
