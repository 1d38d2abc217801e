use calve_base::Failure;

/// What can go wrong while a Parquet footer is read and understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file's schema does not fit the table's.
    #[error("column `{column}`: {problem}")]
    Column {
        /// The path of the column, its names joined by dots.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The footer contradicts itself.
    #[error("footer: {problem}")]
    Footer {
        /// What is wrong with it.
        problem: String,
    },
    /// A table property is wrong.
    #[error("property `{property}`: {problem}")]
    Property {
        /// The property.
        property: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {}
