//! `schema.name-mapping.default`: which names stand for which field id (spec, "Column Projection").

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{NestedFieldRef, Schema, Type};

use crate::error::{Error, Result};

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_id: Option<i32>,
    /// Every name it goes by in files.
    pub names: Vec<String>,
    /// The fields inside it.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub fields: Vec<Self>,
}

impl NameMapping {
    /// The mapping of a schema by its own names, as Java's `MappingUtil.create`.
    pub fn of_schema(schema: &Schema) -> Self {
        Self {
            fields: mapped_fields(schema.as_struct().fields()),
        }
    }

    /// Reads the property's JSON.
    ///
    /// # Errors
    /// When it is no name mapping, or when one name stands for two fields beside each other.
    pub fn parse(json: &str) -> Result<Self> {
        let fields: Vec<MappedField> =
            serde_json::from_str(json).map_err(|error| Error::NameMapping {
                problem: error.to_string(),
            })?;
        check_unique(&fields, "")?;
        Ok(Self { fields })
    }

    /// Writes the property's JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.fields).expect("strings and numbers always make JSON")
    }

    /// Adds a spelling of a field. Returns whether it was new.
    pub fn add_name(&mut self, field_id: i32, name: &str) -> bool {
        add_name(&mut self.fields, field_id, name) == Some(true)
    }

    /// Adds what the schema has and this mapping lacks, and keeps all the rest. Returns whether anything was new.
    ///
    /// A name that the mapping gives to a field which the schema no longer has goes to the schema's
    /// field of that name, as it does in Java; a name of a living field stays with it, and so does one that is mapped to nothing.
    pub fn merge_schema(&mut self, schema: &Schema) -> bool {
        let alive: HashSet<i32> = schema.field_id_to_name_map().keys().copied().collect();
        merge(&mut self.fields, schema.as_struct().fields(), &alive)
    }

    /// The mapped field with an id, wherever it is.
    pub fn find(&self, field_id: i32) -> Option<&MappedField> {
        fn search(fields: &[MappedField], field_id: i32) -> Option<&MappedField> {
            fields.iter().find_map(|field| {
                if field.field_id == Some(field_id) {
                    Some(field)
                } else {
                    search(&field.fields, field_id)
                }
            })
        }
        search(&self.fields, field_id)
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<MappedField>, D::Error> {
    let fields: Option<Vec<MappedField>> = serde::Deserialize::deserialize(deserializer)?;
    Ok(fields.unwrap_or_default())
}

fn check_unique(fields: &[MappedField], parent: &str) -> Result<()> {
    let mut seen = HashSet::new();
    for field in fields {
        for name in field.names.iter().collect::<HashSet<_>>() {
            if !seen.insert(name) {
                return Err(Error::NameMapping {
                    problem: format!("`{parent}{name}` stands for two fields"),
                });
            }
        }
        let first = field.names.first().map_or("", String::as_str);
        check_unique(&field.fields, &format!("{parent}{first}."))?;
    }
    Ok(())
}

fn add_name(fields: &mut [MappedField], field_id: i32, name: &str) -> Option<bool> {
    for field in fields {
        if field.field_id == Some(field_id) {
            let new = !field.names.iter().any(|known| known == name);
            if new {
                field.names.push(name.to_owned());
            }
            return Some(new);
        }
        if let Some(new) = add_name(&mut field.fields, field_id, name) {
            return Some(new);
        }
    }
    None
}

fn mapped_fields(fields: &[NestedFieldRef]) -> Vec<MappedField> {
    fields
        .iter()
        .map(|field| MappedField {
            field_id: Some(field.id),
            names: vec![field.name.clone()],
            fields: mapped_fields(&children(&field.field_type)),
        })
        .collect()
}

fn merge(mapped: &mut Vec<MappedField>, fields: &[NestedFieldRef], alive: &HashSet<i32>) -> bool {
    let mut changed = false;
    for field in fields {
        let known = mapped
            .iter()
            .position(|mapped| mapped.field_id == Some(field.id));
        if let Some(index) = known {
            let inner = children(&field.field_type);
            changed |= merge(&mut mapped[index].fields, &inner, alive);
            continue;
        }
        let mut names = vec![field.name.clone()];
        for other in mapped.iter_mut() {
            if !other.names.contains(&field.name) {
                continue;
            }
            if other.field_id.is_none_or(|id| alive.contains(&id)) {
                names.clear();
            } else {
                other.names.retain(|name| *name != field.name);
            }
        }
        mapped.push(MappedField {
            field_id: Some(field.id),
            names,
            fields: mapped_fields(&children(&field.field_type)),
        });
        changed = true;
    }
    changed
}

/// The fields directly inside a type.
pub(crate) fn children(field_type: &Type) -> Vec<NestedFieldRef> {
    match field_type {
        Type::Primitive(_) => Vec::new(),
        Type::Struct(inner) => inner.fields().to_vec(),
        Type::List(list) => vec![Arc::clone(&list.element_field)],
        Type::Map(map) => vec![Arc::clone(&map.key_field), Arc::clone(&map.value_field)],
    }
}

#[cfg(test)]
mod tests {
    use iceberg::spec::Schema;

    use super::NameMapping;
    use crate::resolve::tests::schema;

    #[track_caller]
    fn check_of_schema(table: &Schema, json: &str) {
        let mapping = NameMapping::of_schema(table);
        assert_eq!(mapping.to_json(), json);
        assert_eq!(NameMapping::parse(json).unwrap(), mapping);
    }

    #[test]
    fn mappings_of_schemas() {
        check_of_schema(&schema("1 a: int"), r#"[{"field-id":1,"names":["a"]}]"#);
        check_of_schema(
            &schema("1 s: struct<2 b: int>, 3 l: list<4 element: struct<5 c: int>>"),
            concat!(
                r#"[{"field-id":1,"names":["s"],"fields":[{"field-id":2,"names":["b"]}]},"#,
                r#"{"field-id":3,"names":["l"],"fields":[{"field-id":4,"names":["element"],"#,
                r#""fields":[{"field-id":5,"names":["c"]}]}]}]"#
            ),
        );
        check_of_schema(
            &schema("1 m: map<2 key!: string, 3 value: int>"),
            concat!(
                r#"[{"field-id":1,"names":["m"],"fields":[{"field-id":2,"names":["key"]},"#,
                r#"{"field-id":3,"names":["value"]}]}]"#
            ),
        );
        check_of_schema(&schema(""), "[]");
    }

    /// Others write spaces, empty or null fields, and names without an id.
    #[track_caller]
    fn check_parse(json: &str, printed: &str) {
        assert_eq!(NameMapping::parse(json).unwrap().to_json(), printed);
    }

    #[test]
    fn other_writers() {
        check_parse(
            r#"[ { "field-id": 1, "names": ["id", "record_id"] } ]"#,
            r#"[{"field-id":1,"names":["id","record_id"]}]"#,
        );
        check_parse(
            r#"[{"field-id":1,"names":["a"],"fields":[]},{"names":["b"],"fields":null}]"#,
            r#"[{"field-id":1,"names":["a"]},{"names":["b"]}]"#,
        );
        check_parse(
            r#"[{"field-id":1,"names":[],"unknown":true}]"#,
            r#"[{"field-id":1,"names":[]}]"#,
        );
    }

    #[track_caller]
    fn check_wrong(json: &str, message: &str) {
        let error = NameMapping::parse(json).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }

    #[test]
    fn what_is_no_mapping() {
        check_wrong("", "name mapping: ");
        check_wrong("{}", "name mapping: ");
        check_wrong(r#"[{"field-id":1}]"#, "name mapping: missing field `names`");
        check_wrong(
            r#"[{"field-id":1,"names":["a"]},{"field-id":2,"names":["a"]}]"#,
            "name mapping: `a` stands for two fields",
        );
        check_wrong(
            r#"[{"field-id":1,"names":["s"],"fields":[{"field-id":2,"names":["a"]},{"names":["a"]}]}]"#,
            "name mapping: `s.a` stands for two fields",
        );
    }

    #[test]
    fn names_are_added_anywhere() {
        let mut mapping = NameMapping::of_schema(&schema("1 s: struct<2 b: int>"));
        assert!(mapping.add_name(2, "B"));
        assert!(!mapping.add_name(2, "B"));
        assert!(!mapping.add_name(9, "B"));
        assert_eq!(mapping.find(2).unwrap().names, ["b", "B"]);
        assert_eq!(mapping.find(9), None);
    }

    #[track_caller]
    fn check_merge(mapping: &str, table: &str, merged: &str) {
        let mut actual = NameMapping::parse(mapping).unwrap();
        let changed = actual.merge_schema(&schema(table));
        assert_eq!(actual.to_json(), merged);
        assert_eq!(changed, mapping != merged);
        assert!(
            !actual.merge_schema(&schema(table)),
            "merging again changes nothing"
        );
    }

    #[test]
    fn schemas_are_merged() {
        let a = r#"[{"field-id":1,"names":["a","A"]}]"#;
        check_merge(a, "1 a: int", a);
        check_merge(
            a,
            "1 a: int, 2 b: struct<3 c: int>",
            concat!(
                r#"[{"field-id":1,"names":["a","A"]},{"field-id":2,"names":["b"],"#,
                r#""fields":[{"field-id":3,"names":["c"]}]}]"#
            ),
        );
        check_merge(
            r#"[{"field-id":1,"names":["s"]}]"#,
            "1 s: struct<2 b: int>",
            r#"[{"field-id":1,"names":["s"],"fields":[{"field-id":2,"names":["b"]}]}]"#,
        );
        // The column was dropped and made again: the name goes to the living one.
        check_merge(
            a,
            "2 a: int",
            r#"[{"field-id":1,"names":["A"]},{"field-id":2,"names":["a"]}]"#,
        );
        // The column was renamed and another made under its old name: old files still mean the first.
        check_merge(
            a,
            "1 b: int, 2 a: int",
            r#"[{"field-id":1,"names":["a","A"]},{"field-id":2,"names":[]}]"#,
        );
        let nothing = r#"[{"names":["a"]}]"#;
        check_merge(
            nothing,
            "1 a: int",
            r#"[{"names":["a"]},{"field-id":1,"names":[]}]"#,
        );
    }
}
