//! The Iceberg write path: what `iceberg` lacks between a data file and a commit.

pub mod drop_table;
mod error;
mod new_table;
pub mod register_table;

pub use drop_table::DropTable;
pub use error::{Error, Result};
pub use new_table::NewTable;
pub use register_table::RegisterTable;
