//! Schemas of rows: what they are written as, and how they are put together.
//!
//! Inside the crate a schema is an Arrow [`Schema`]. Outside it is a file, which
//! is a contract across runs: Spark's JSON, Glue's JSON, Spark's DDL text, or an XML Schema.

pub mod choice;
pub mod ddl;
pub mod evolve;
pub mod glue_json;
pub mod hints;
pub mod hive;
pub mod spark_json;
pub(crate) mod types;
pub mod xsd;

#[cfg(test)]
pub(crate) mod arbitrary;

use arrow::datatypes::Schema;

pub use choice::has_choice;

use crate::Result;

/// Reads a schema in Spark's JSON, Glue's JSON or Spark's DDL text; which one is seen from the text.
///
/// # Errors
/// When the text is no schema; the error says where it goes wrong.
pub fn parse_schema(text: &str) -> Result<Schema> {
    // A byte-order mark is no part of the text, but editors put it there.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') {
        spark_json::parse_json(text)
    } else {
        ddl::parse_ddl(text)
    }
}
