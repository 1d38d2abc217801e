use calve_base::{Failure, Location};
use parquet::errors::ParquetError;

/// Why a file's footer could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FooterError {
    /// The file has no bytes.
    #[error("{location}: empty file")]
    Empty {
        /// The file.
        location: Location,
    },
    /// The file neither begins nor ends like a Parquet file.
    #[error("{location}: not a Parquet file")]
    NotParquet {
        /// The file.
        location: Location,
    },
    /// The file begins like one of another format.
    #[error(
        "{location}: an {format} file, not a Parquet file; `calve ctas --format {flag}` rewrites such lakes"
    )]
    OtherFormat {
        /// The file.
        location: Location,
        /// The format.
        format: &'static str,
        /// What the command line calls it.
        flag: &'static str,
    },
    /// The file begins like a Parquet file, but its end is missing or not where it says.
    #[error("{location}: the Parquet footer is cut off")]
    TruncatedFooter {
        /// The file.
        location: Location,
    },
    /// The whole footer is encrypted.
    #[error("{location}: the Parquet footer is encrypted (PARE)")]
    Encrypted {
        /// The file.
        location: Location,
    },
    /// The footer can be read, but some columns are encrypted.
    #[error("{location}: encrypted columns: {}", columns.join(", "))]
    EncryptedColumns {
        /// The file.
        location: Location,
        /// The columns, their names joined by dots.
        columns: Vec<String>,
    },
    /// The footer is no valid Parquet footer.
    #[error("{location}: malformed Parquet footer: {problem}")]
    Malformed {
        /// The file.
        location: Location,
        /// What is wrong with it.
        problem: String,
        /// The decoder's own words.
        #[source]
        source: Option<ParquetError>,
    },
    /// The footer is larger than the limit.
    #[error(
        "{location}: the Parquet footer has {footer_bytes} bytes, more than {max_footer_bytes}"
    )]
    TooLarge {
        /// The file.
        location: Location,
        /// What the file says its footer's size is.
        footer_bytes: u64,
        /// The limit.
        max_footer_bytes: u64,
    },
    /// The file is not the one that was listed.
    #[error("{location}: changed while it was read: {change}")]
    Changed {
        /// The file.
        location: Location,
        /// What differs.
        change: String,
    },
    /// The file was there when it was listed, and is not any more.
    #[error("{location}: deleted since it was listed")]
    Gone {
        /// The file.
        location: Location,
    },
    /// The file lies in an archive that answers no reads until it is restored.
    #[error("{location}: archived ({class}), and not restored: {source}")]
    Archived {
        /// The file.
        location: Location,
        /// The storage class, by S3's name.
        class: String,
        /// What the store says.
        #[source]
        source: Box<calve_storage::Error>,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(Box<calve_storage::Error>),
}

impl FooterError {
    /// The file; `None` where the store's own error names it.
    pub fn location(&self) -> Option<&Location> {
        match self {
            Self::Empty { location }
            | Self::NotParquet { location }
            | Self::OtherFormat { location, .. }
            | Self::TruncatedFooter { location }
            | Self::Encrypted { location }
            | Self::EncryptedColumns { location, .. }
            | Self::Malformed { location, .. }
            | Self::TooLarge { location, .. }
            | Self::Changed { location, .. }
            | Self::Archived { location, .. }
            | Self::Gone { location } => Some(location),
            Self::Storage(_) => None,
        }
    }

    /// A stable name: `not_parquet`, `truncated_footer`, ….
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "empty",
            Self::NotParquet { .. } | Self::OtherFormat { .. } => "not_parquet",
            Self::TruncatedFooter { .. } => "truncated_footer",
            Self::Encrypted { .. } | Self::EncryptedColumns { .. } => "encrypted",
            Self::Malformed { .. } => "malformed_footer",
            Self::TooLarge { .. } => "footer_too_large",
            Self::Changed { .. } => "changed",
            Self::Gone { .. } => "gone",
            Self::Archived { .. } => "archived",
            Self::Storage(_) => "storage",
        }
    }

    /// Whether the file itself is at fault, so that the rest of a lake can be gone on with.
    pub fn is_about_the_file(&self) -> bool {
        !matches!(self, Self::Storage(_))
    }
}

impl From<calve_storage::Error> for FooterError {
    fn from(source: calve_storage::Error) -> Self {
        Self::Storage(Box::new(source))
    }
}

impl Failure for FooterError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Storage(source) => source.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Empty { .. } | Self::NotParquet { .. } => {
                "move the file out of the lake, or give its name a leading `_`"
            }
            Self::OtherFormat { flag, .. } => {
                return Some(format!(
                    "rewrite the lake with `calve ctas --format {flag}`"
                ));
            }
            Self::TruncatedFooter { .. } | Self::Malformed { .. } => "write the file again",
            Self::Encrypted { .. } | Self::EncryptedColumns { .. } => {
                "decrypt the file with the engine that wrote it"
            }
            Self::Changed { .. } | Self::Gone { .. } => {
                "stop what writes to the lake, then run again"
            }
            Self::Archived { .. } => {
                "restore the objects from the archive, or leave their partitions out"
            }
            Self::TooLarge { .. } => return None,
            Self::Storage(source) => return source.hint(),
        };
        Some(hint.to_owned())
    }
}
