//! `schema.name-mapping.default`: which names stand for which field id (spec, "Column Projection").

use iceberg::spec::Schema;

/// The table property that holds the mapping.
pub const NAME_MAPPING_PROPERTY: &str = "schema.name-mapping.default";

/// A name mapping, recursive, with every spelling seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameMapping {
    /// The mapped fields of the top level.
    pub fields: Vec<MappedField>,
}

/// One field of a [`NameMapping`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MappedField {
    /// The field's id; `None` maps names to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_id: Option<i32>,
    /// Every name it goes by in files.
    pub names: Vec<String>,
    /// The fields inside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Self>,
}

impl NameMapping {
    /// The mapping of a schema by its own names, as Java's `MappingUtil.create`.
    pub fn of_schema(_schema: &Schema) -> Self {
        unimplemented!()
    }

    /// Reads the property's JSON.
    pub fn parse(_json: &str) -> crate::Result<Self> {
        unimplemented!()
    }

    /// Writes the property's JSON.
    pub fn to_json(&self) -> String {
        unimplemented!()
    }

    /// Adds a spelling of a field. Returns whether it was new.
    pub fn add_name(&mut self, _field_id: i32, _name: &str) -> bool {
        unimplemented!()
    }

    /// Adds what the schema has and this mapping lacks, and keeps all the rest. Returns whether anything was new.
    pub fn merge_schema(&mut self, _schema: &Schema) -> bool {
        unimplemented!()
    }
}
