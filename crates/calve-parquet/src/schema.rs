//! A Parquet file's schema in Iceberg's terms.

mod cache;
mod checks;
mod convert;
mod file_findings;
mod fingerprint;
mod leaf;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use iceberg::spec::{FormatVersion, PrimitiveType};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::Type;

use crate::policy::{Finding, Severity, TypePolicy};

pub use cache::SchemaCache;
pub use file_findings::{file_findings, writes_int96_instants};

/// The schema of one file: what Iceberg type each column would have, how it is stored, and what
/// stands in the way of reading it in place. Shared by all files with the same `fingerprint`.
#[derive(Debug, Clone)]
pub struct FileSchema {
    /// The top-level columns, in the file's order.
    pub fields: Vec<FileField>,
    /// What the type policy has to say of the schema, each finding with its column, in the file's order.
    /// What depends on the file beyond its schema is in [`file_findings`].
    pub findings: Vec<Finding>,
    /// Equal for equal Parquet schemas (names, types, annotations, ids) under one policy.
    pub fingerprint: u128,
    /// Number of leaf columns in the file.
    pub leaf_count: usize,
    /// The format version that the policy judged for.
    pub format_version: FormatVersion,
}

/// A column or a nested field.
#[derive(Debug, Clone, PartialEq)]
pub struct FileField {
    /// Its name, in the file's spelling (`element`, `key`, `value` inside lists and maps, whatever the file says).
    pub name: String,
    /// For the element of a list of three levels: the name of the repeated group around it, where that is not the
    /// specification's `list` (Hive and Impala write `bag`).
    pub group_name: Option<String>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Physical {
    /// As the Iceberg specification's Parquet table says.
    #[default]
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
    /// A byte array without an annotation: binary, or text where the table says so (old Hive and Impala).
    Unannotated,
    /// A type that cannot be read in place; a finding says why.
    Unreadable,
}

/// Whether the columns of a file carry field ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdCoverage {
    /// No column does.
    None,
    /// Some do, some do not: readers disagree about what that means.
    Some,
    /// Every column and nested field does.
    All,
}

impl FileSchema {
    /// Converts the schema of a footer. Never fails: what cannot be read is a finding.
    ///
    /// Rules: Java's `MessageTypeToType`, and section 4 of the policy.
    pub fn from_footer(footer: &ParquetMetaData, policy: &TypePolicy) -> Self {
        Self::from_parquet(footer.file_metadata().schema_descr().root_schema(), policy)
    }

    /// Converts the root group of a Parquet schema. Never fails: what cannot be read is a finding.
    pub fn from_parquet(root: &Type, policy: &TypePolicy) -> Self {
        let (fields, mut findings, leaf_count) = convert::convert(root, policy);
        checks::check(&fields, &mut findings);
        Self {
            fields,
            findings,
            fingerprint: fingerprint::of(root, policy),
            leaf_count,
            format_version: policy.format_version,
        }
    }

    /// The fingerprint alone, cheap, for a cache lookup.
    pub fn fingerprint(footer: &ParquetMetaData, policy: &TypePolicy) -> u128 {
        fingerprint::of(footer.file_metadata().schema_descr().root_schema(), policy)
    }

    /// The worst of the findings, or `None` where there is none.
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Whether the columns carry field ids.
    pub fn id_coverage(&self) -> IdCoverage {
        let (mut with, mut without) = (0_usize, 0_usize);
        walk(&self.fields, &mut |field| match field.field_id {
            Some(_) => with += 1,
            None => without += 1,
        });
        match (with, without) {
            (0, _) => IdCoverage::None,
            (_, 0) => IdCoverage::All,
            _ => IdCoverage::Some,
        }
    }
}

/// Visits every field, nested ones too, parents first.
fn walk<'a>(fields: &'a [FileField], visit: &mut impl FnMut(&'a FileField)) {
    for field in fields {
        visit(field);
        match &field.kind {
            FileType::Primitive { .. } => {}
            FileType::Struct(inner) => walk(inner, visit),
            FileType::List(element) => walk(std::slice::from_ref(element), visit),
            FileType::Map(key, value) => {
                walk(std::slice::from_ref(key), visit);
                walk(std::slice::from_ref(value), visit);
            }
        }
    }
}

impl FileType {
    /// The fields directly inside: a struct's fields, a list's element, a map's key and value.
    pub fn children(&self) -> Vec<&FileField> {
        match self {
            Self::Primitive { .. } => Vec::new(),
            Self::Struct(fields) => fields.iter().collect(),
            Self::List(element) => vec![element],
            Self::Map(key, value) => vec![key, value],
        }
    }
}

/// Writes the type as Hive would, with Iceberg's names of primitives.
impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primitive { iceberg, .. } => write!(f, "{iceberg}"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", field.name, field.kind)?;
                }
                f.write_str(">")
            }
            Self::List(element) => write!(f, "array<{}>", element.kind),
            Self::Map(key, value) => write!(f, "map<{},{}>", key.kind, value.kind),
        }
    }
}
