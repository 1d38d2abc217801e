//! Row lineage (format version 3): columns that say which row a row is, and which commit changed it last.

use std::sync::Arc;

use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use crate::{Error, Result};

/// The column of row ids.
pub const ROW_ID_COLUMN: &str = "_row_id";
/// The field id of [`ROW_ID_COLUMN`] (spec, "Reserved Field IDs").
pub const ROW_ID_FIELD_ID: i32 = 2_147_483_540;
/// The column of the sequence numbers of the commits that changed rows last.
pub const LAST_UPDATED_COLUMN: &str = "_last_updated_sequence_number";
/// The field id of [`LAST_UPDATED_COLUMN`] (spec, "Reserved Field IDs").
pub const LAST_UPDATED_FIELD_ID: i32 = 2_147_483_539;

/// A table's schema with the columns of row lineage behind its own.
///
/// # Errors
/// When the table has a column of one of their names.
pub fn with_row_lineage(schema: &Schema) -> Result<Schema> {
    let added = [
        (ROW_ID_FIELD_ID, ROW_ID_COLUMN),
        (LAST_UPDATED_FIELD_ID, LAST_UPDATED_COLUMN),
    ];
    if let Some((_, name)) = added
        .iter()
        .find(|(_, name)| schema.field_id_by_name(name).is_some())
    {
        return Err(Error::ReservedColumn { column: name });
    }
    let added = added.map(|(id, name)| {
        let of = Type::Primitive(PrimitiveType::Long);
        Arc::new(NestedField::optional(id, name, of))
    });
    let fields = schema.as_struct().fields().iter().cloned();
    Ok(Schema::builder()
        .with_schema_id(schema.schema_id())
        .with_identifier_field_ids(schema.identifier_field_ids())
        .with_fields(fields.chain(added))
        .build()?)
}
