//! Nested XML to Arrow and Parquet, of any size.
//!
//! Rows are the elements that a *row tag* names; they become records of nested columns, by a schema
//! that is inferred or given. The crate works on any [`std::io::Read`]: it knows no object store, no
//! table format and no async runtime.
//!
//! The way of the data: bytes are decompressed and decoded to UTF-8 text, the text is cut into
//! segments at what looks like the start of a row, workers read their segments' rows by
//! [`lexer::Lexer`], and their record batches are put together in the order of the text.

#[cfg(test)]
mod arbitrary_batch;
mod cast;
mod content;
pub mod convert;
pub mod decode;
pub mod entities;
mod error;
pub mod field_path;
pub mod infer;
pub mod input;
mod json_text;
pub mod lexer;
pub mod mapping;
mod names;
pub mod options;
pub mod relationalize;
pub mod resolve_choice;
pub mod row_reader;
mod rows;
pub mod schema;
pub mod segments;
pub mod text;
mod types;
mod validated;
pub mod write;

pub use convert::Convert;
pub use error::{Error, Place, Result};
pub use field_path::FieldPath;
pub use infer::InferSchema;
pub use input::Input;
pub use options::XmlOptions;
pub use segments::ReadRows;
