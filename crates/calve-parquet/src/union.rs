//! The schemas of many files, united into one table schema.

use std::sync::Arc;

use iceberg::spec::{PrimitiveType, Schema};

use crate::name_mapping::NameMapping;
use crate::resolve::ColumnMapping;
use crate::schema::FileSchema;

/// Grows a table schema file by file. Ids are given in the order in which columns are first seen and never change.
#[derive(Debug)]
pub struct SchemaUnion {}

/// How one file's schema differs from the union so far. Reported per file, not an error.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "drift")]
#[non_exhaustive]
pub enum Drift {
    /// The file brings a column that files before it lack.
    Added {
        /// Path of the column.
        column: String,
    },
    /// The file lacks a column that files before it have.
    Missing {
        /// Path of the column.
        column: String,
    },
    /// The file widens a column (`int` → `long`).
    Widened {
        /// Path of the column.
        column: String,
        /// The type so far.
        from: String,
        /// The type from now on.
        to: String,
    },
    /// The file's column is narrower than the union's.
    Narrower {
        /// Path of the column.
        column: String,
        /// The type in the file.
        from: String,
        /// The type of the union.
        to: String,
    },
    /// The file spells a column otherwise (`airport_fee`, `Airport_fee`).
    Respelled {
        /// Path of the column, as the schema spells it.
        column: String,
        /// The file's spelling.
        spelling: String,
    },
}

impl SchemaUnion {
    /// Starts a schema for a new table, with partition columns (name, type) that come from the lake's
    /// paths; they follow the data columns in the final schema unless the files hold them too.
    pub fn for_new_table(_partition_columns: &[(String, PrimitiveType)]) -> Self {
        unimplemented!()
    }

    /// Starts from an existing table, whose columns are fixed: a file's extra columns are an error
    /// unless `allow_extra` (then they are ignored and noted).
    pub fn for_table(_schema: &Schema, _mapping: Option<NameMapping>, _allow_extra: bool) -> Self {
        unimplemented!()
    }

    /// Takes in one file's schema. Cached by fingerprint: files of one schema cost one lookup.
    ///
    /// # Errors
    /// When a column contradicts the union (`string` beside `int`), when two columns of the file are
    /// one, or when a required column of the table is optional in the file (the caller checks null counts then).
    pub fn absorb(
        &mut self,
        _file: &FileSchema,
    ) -> crate::Result<(Arc<ColumnMapping>, Arc<[Drift]>)> {
        unimplemented!()
    }

    /// The schema so far, with all partition columns.
    pub fn schema(&self) -> crate::Result<Schema> {
        unimplemented!()
    }

    /// The name mapping so far, with every spelling seen.
    pub fn name_mapping(&self) -> NameMapping {
        unimplemented!()
    }
}
