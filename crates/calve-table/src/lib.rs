//! The Iceberg write path: what `iceberg` lacks between a data file and a commit.

mod error;
mod new_table;

pub use error::{Error, Result};
pub use new_table::NewTable;
