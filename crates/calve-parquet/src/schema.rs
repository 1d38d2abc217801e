//! A Parquet file's schema in Iceberg's terms.

use iceberg::spec::PrimitiveType;
use parquet::file::metadata::ParquetMetaData;

use crate::policy::{Finding, TypePolicy};

/// The schema of one file: what Iceberg type each column would have, how it is stored, and what
/// stands in the way of reading it in place. Shared by all files with the same `fingerprint`.
#[derive(Debug, Clone)]
pub struct FileSchema {
    /// The top-level columns, in the file's order.
    pub fields: Vec<FileField>,
    /// What the type policy has to say, each finding with its column.
    pub findings: Vec<Finding>,
    /// Equal for equal Parquet schemas (names, types, annotations, ids) under one policy.
    pub fingerprint: u128,
}

/// A column or a nested field.
#[derive(Debug, Clone, PartialEq)]
pub struct FileField {
    /// Its name, in the file's spelling (`element`, `key`, `value` inside lists and maps, whatever the file says).
    pub name: String,
    /// The id in the file, if it has one.
    pub field_id: Option<i32>,
    /// Whether the file promises that it is never null.
    pub required: bool,
    /// Its type.
    pub kind: FileType,
}

/// The type of a [`FileField`].
#[derive(Debug, Clone, PartialEq)]
pub enum FileType {
    /// A leaf column.
    Primitive {
        /// The Iceberg type it is read as (for a refused type: the nearest one).
        iceberg: PrimitiveType,
        /// How the file stores it, where that differs from the Iceberg type's plain encoding.
        physical: Physical,
        /// The index of the leaf column in the file.
        leaf: usize,
    },
    /// A group of fields.
    Struct(Vec<FileField>),
    /// A list of any Parquet shape; the element in it.
    List(Box<FileField>),
    /// A map; its key and its value.
    Map(Box<FileField>, Box<FileField>),
}

/// How a leaf is stored, as far as bounds and readers must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Physical {
    /// As the Iceberg specification's Parquet table says.
    Plain,
    /// Time or timestamp in milliseconds.
    Millis,
    /// Time or timestamp in nanoseconds.
    Nanos,
    /// A timestamp in 96 bits: no usable statistics.
    Int96,
    /// An unsigned integer of that many bits.
    Unsigned(u8),
    /// A decimal in a byte array of any length.
    DecimalBytes,
    /// A type that cannot be read in place; a finding says why.
    Unreadable,
}

impl FileSchema {
    /// Converts the schema of a footer. Never fails: what cannot be read is a finding.
    ///
    /// Rules: Java's `MessageTypeToType`, and section 4 of the policy.
    pub fn from_footer(_footer: &ParquetMetaData, _policy: &TypePolicy) -> Self {
        unimplemented!()
    }

    /// The fingerprint alone, cheap, for a cache lookup.
    pub fn fingerprint(_footer: &ParquetMetaData, _policy: &TypePolicy) -> u128 {
        unimplemented!()
    }
}
