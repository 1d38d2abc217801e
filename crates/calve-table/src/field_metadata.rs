//! Metadata of fields that Iceberg's schema has no place for, kept in a property of the table.
//!
//! An Arrow field may carry what must outlive the run that made the column: the name of the XML element
//! that fills it, where the column had to be called otherwise. A schema of Iceberg knows a name, a type
//! and a comment. The property `calve.field-metadata.KEY` holds a JSON object of field ids and values, so
//! that the column keeps what belongs to it when somebody renames it.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::spec::{NestedFieldRef, Schema, TableMetadata, Type};
use iceberg::{Error, ErrorKind};

use crate::Result;

/// Before the key in the name of the property.
const PREFIX: &str = "calve.field-metadata.";

/// What the fields of a table carry under one key, by field id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMetadata {
    key: String,
    values: BTreeMap<i32, String>,
}

impl FieldMetadata {
    /// Nothing yet, under a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            values: BTreeMap::new(),
        }
    }

    /// What a table has under a key: nothing where it has no such property.
    ///
    /// # Errors
    /// When the property is no JSON object of field ids and texts.
    pub fn of_table(table: &TableMetadata, key: &str) -> Result<Self> {
        let property = format!("{PREFIX}{key}");
        let values = match table.properties().get(&property) {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text).map_err(|source| {
                let message = format!("table property `{property}` is no object of field ids");
                Error::new(ErrorKind::DataInvalid, message).with_source(source)
            })?,
        };
        Ok(Self {
            key: key.to_owned(),
            values,
        })
    }

    /// The value of a field.
    pub fn get(&self, field_id: i32) -> Option<&str> {
        self.values.get(&field_id).map(String::as_str)
    }

    /// Takes in what the fields of `rows` carry; `schema` has the same columns, and their ids.
    #[must_use]
    pub fn with_rows(mut self, rows: &ArrowSchema, schema: &Schema) -> Self {
        self.fields(rows.fields(), schema.as_struct().fields());
        self
    }

    fn fields(&mut self, rows: &Fields, columns: &[NestedFieldRef]) {
        for field in rows {
            if let Some(column) = columns.iter().find(|it| it.name == *field.name()) {
                self.field(field, column);
            }
        }
    }

    fn field(&mut self, field: &Field, column: &NestedFieldRef) {
        if let Some(value) = field.metadata().get(&self.key) {
            self.values.insert(column.id, value.clone());
        }
        match (field.data_type(), column.field_type.as_ref()) {
            (DataType::Struct(fields), Type::Struct(of)) => self.fields(fields, of.fields()),
            (
                DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item),
                Type::List(of),
            ) => self.field(item, &of.element_field),
            (DataType::Map(entries, _), Type::Map(of)) => {
                if let DataType::Struct(pair) = entries.data_type()
                    && let [key, value] = pair.as_ref()
                {
                    self.field(key, &of.key_field);
                    self.field(value, &of.value_field);
                }
            }
            _ => {}
        }
    }

    /// The property's name and value; none where no field carries anything.
    pub fn property(&self) -> Option<(String, String)> {
        if self.values.is_empty() {
            return None;
        }
        let text = serde_json::to_string(&self.values).expect("numbers and texts are JSON");
        Some((format!("{PREFIX}{}", self.key), text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::schema_of_rows;

    fn named(name: &str, data_type: DataType, value: &str) -> Field {
        let metadata = HashMap::from([("xml.name".to_owned(), value.to_owned())]);
        Field::new(name, data_type, true).with_metadata(metadata)
    }

    #[test]
    fn values_go_by_field_ids_at_any_depth() {
        let inner = named("b_2", DataType::Utf8, "B");
        let list = DataType::List(Arc::new(Field::new(
            "element",
            DataType::Struct(vec![inner].into()),
            true,
        )));
        let rows = ArrowSchema::new(vec![
            Field::new("plain", DataType::Int64, true),
            named("a_2", DataType::Utf8, "A"),
            Field::new("l", list, true),
        ]);
        let schema = schema_of_rows(&rows).unwrap();
        let id = |name: &str| schema.field_id_by_name(name).unwrap();
        let empty = FieldMetadata::new("xml.name");
        assert_eq!(empty.property(), None);
        let filled = empty.with_rows(&rows, &schema);
        assert_eq!(filled.get(id("a_2")), Some("A"));
        assert_eq!(filled.get(id("l.element.b_2")), Some("B"));
        assert_eq!(filled.get(id("plain")), None);
        let (name, text) = filled.property().unwrap();
        assert_eq!(name, "calve.field-metadata.xml.name");
        assert_eq!(
            serde_json::from_str::<BTreeMap<i32, String>>(&text).unwrap(),
            filled.values
        );
    }
}
