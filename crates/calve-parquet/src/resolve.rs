//! Which column of a file is which field of a table.

use std::collections::HashMap;

use iceberg::spec::{PrimitiveType, Schema};

use crate::name_mapping::NameMapping;
use crate::schema::{FileSchema, Physical};

/// How a file's columns map to a table's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnMapping {
    /// For each leaf column of the file, by its index: the field it is, or `None` where the table has no such field.
    pub leaves: Vec<Option<LeafMapping>>,
    /// For every field id of the table (at any depth) that the file has: the path of names in the file.
    pub file_paths: HashMap<i32, Vec<String>>,
}

/// A leaf column of a file that is a field of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafMapping {
    /// The field's id in the table.
    pub field_id: i32,
    /// The field's type in the table (may be wider than the file's).
    pub table_type: PrimitiveType,
    /// The type the file's own schema says, before promotion.
    pub file_type: PrimitiveType,
    /// How the file stores it.
    pub physical: Physical,
    /// Whether it lies inside a list or a map (no bounds then, as in Java).
    pub repeated: bool,
}

/// Resolves a file against a table: by field ids where the file has them (all or none, and they must
/// agree with the table), by the name mapping otherwise, by the schema's own names without one.
///
/// # Errors
/// When a column's type cannot be read as the table's (int → long, float → double and wider decimals can),
/// when ids contradict, or when two columns of the file are one field.
pub fn resolve(
    _file: &FileSchema,
    _table: &Schema,
    _mapping: Option<&NameMapping>,
) -> crate::Result<ColumnMapping> {
    unimplemented!()
}
