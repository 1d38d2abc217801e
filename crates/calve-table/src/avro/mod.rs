//! As much of Avro as manifests need: container files, records by field id, values skipped unread.
//!
//! `apache-avro` goes through a tree of values for every record, which costs some hundred
//! allocations a manifest entry. Here a record is read from, and written to, bytes directly, and
//! fields that nobody asked for are stepped over.

mod container;
mod cursor;
mod encode;
mod schema;

pub(crate) use container::{ContainerReader, ContainerWriter};
pub(crate) use cursor::Cursor;
pub(crate) use encode::Encode;
pub(crate) use schema::{Field, Kind, Logical, Record, Schema};

/// Why bytes are not the Avro file they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AvroError {
    /// The file does not begin as an Avro container does.
    #[error("not an Avro file")]
    NotAvro,
    /// The bytes end, or a length is wrong, inside a value.
    #[error("a value ends beyond the end of its block, at byte {offset}")]
    Truncated {
        /// Where the value begins, counted from the beginning of the block.
        offset: usize,
    },
    /// A number does not fit its type.
    #[error("a number is out of range, at byte {offset}")]
    OutOfRange {
        /// Where the number begins, counted from the beginning of the block.
        offset: usize,
    },
    /// A text is not UTF-8.
    #[error("a text is not UTF-8, at byte {offset}")]
    NotUtf8 {
        /// Where the text begins, counted from the beginning of the block.
        offset: usize,
    },
    /// The marker between two blocks is not the file's.
    #[error("the block that ends at byte {offset} does not end in the file's marker")]
    Marker {
        /// Where the block ends in the file.
        offset: usize,
    },
    /// The file's schema is not JSON.
    #[error("the file's schema cannot be read: {source}")]
    SchemaJson {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The file's schema is not an Avro schema, or one that refers to itself.
    #[error("the file's schema is not one of a manifest: {problem}")]
    Schema {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A field has another type than the specification gives it.
    #[error("field `{field}` has an unexpected type")]
    FieldType {
        /// The field's name in the specification.
        field: &'static str,
    },
    /// A required field is not there.
    #[error("field `{field}` is missing")]
    FieldMissing {
        /// The field's name in the specification.
        field: &'static str,
    },
    /// A field holds a value the specification does not know.
    #[error("field `{field}` has the unknown value {value}")]
    FieldValue {
        /// The field's name in the specification.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// Blocks are compressed in a way that is not known.
    #[error("unknown codec `{codec}`")]
    UnknownCodec {
        /// The codec's name.
        codec: String,
    },
    /// A block cannot be decompressed.
    #[error("a block cannot be decompressed: {source}")]
    Decompress {
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// A block is larger than any that a manifest has.
    #[error("a block of more than {limit} bytes")]
    BlockTooLarge {
        /// The largest size that is accepted.
        limit: usize,
    },
}

/// What the functions of this module return.
pub(crate) type Result<T, E = AvroError> = std::result::Result<T, E>;
