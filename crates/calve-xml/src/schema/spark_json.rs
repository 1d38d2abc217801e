//! Schemas as JSON: Spark's `StructType.json` and Glue's `StructType.jsonValue`, which is what the
//! option `withSchema` takes.
//!
//! Spark's form loses nothing. Values of a column's metadata that are no strings are kept under keys
//! that begin with `json:`. The metadata of elements of lists, and of keys and values of maps, has no
//! place of its own in this form; it is written with the nearest column, under `element:` (`key:`,
//! `value:`, `element.element:`, …) and the key.
//!
//! Glue's form knows no nullability: all columns may be null. Its choices become [choice fields], and
//! its properties metadata.
//!
//! [choice fields]: super::choice

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde_json::{Map, Value, json};

use super::MAXIMUM_DEPTH;
use super::ddl::parse_typed;
use super::glue_json;
use super::types::{CHAR_VARCHAR, Typed, map_entries, map_type, scalar_name};
use crate::{Error, Result};

/// The beginning of metadata keys whose values are JSON, not strings.
const JSON_VALUE: &str = "json:";

/// Reads a schema in Spark's or Glue's form; which one is seen from the text.
///
/// # Errors
/// When the text is no such JSON; the error says at which part of it.
pub fn parse_json(text: &str) -> Result<Schema> {
    let value: Value = serde_json::from_str(text).map_err(|source| Error::SchemaText {
        format: "schema JSON",
        place: format!("line {}, column {}", source.line(), source.column()),
        problem: "is no JSON".to_owned(),
    })?;
    from_json_value(&value)
}

/// Reads a schema from JSON already parsed.
///
/// # Errors
/// When the value is no schema in Spark's or Glue's form.
pub fn from_json_value(value: &Value) -> Result<Schema> {
    let place = Place::root();
    if value.get("dataType").is_some() {
        return glue_json::schema(value, &place);
    }
    match data_type(value, &place)?.data_type {
        DataType::Struct(fields) => Ok(Schema::new(fields)),
        _ => Err(place.error("a schema has the type `struct`")),
    }
}

/// Writes a schema in Spark's form.
///
/// # Errors
/// When a column has a type that Spark has not.
pub fn to_spark_json(schema: &Schema) -> Result<Value> {
    struct_json(schema.fields(), "")
}

/// Where in the JSON something stands: `fields[2].type`.
pub(super) struct Place {
    path: String,
    depth: usize,
}

impl Place {
    fn root() -> Self {
        Self {
            path: String::new(),
            depth: 0,
        }
    }

    /// The place one step further down.
    pub(super) fn below(&self, step: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{step}", self.path),
            depth: self.depth + 1,
        }
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        let place = if self.path.is_empty() {
            "top level"
        } else {
            &self.path
        };
        Error::SchemaText {
            format: "schema JSON",
            place: place.to_owned(),
            problem: problem.into(),
        }
    }

    /// A part of an object that must be there.
    pub(super) fn get<'v>(&self, value: &'v Value, key: &str) -> Result<&'v Value> {
        value
            .get(key)
            .ok_or_else(|| self.error(format!("`{key}` is missing")))
    }

    /// A text that must be there.
    pub(super) fn text<'v>(&self, value: &'v Value, key: &str) -> Result<&'v str> {
        self.get(value, key)?
            .as_str()
            .ok_or_else(|| self.error(format!("`{key}` is no text")))
    }

    /// A list that must be there.
    pub(super) fn list<'v>(&self, value: &'v Value, key: &str) -> Result<&'v Vec<Value>> {
        self.get(value, key)?
            .as_array()
            .ok_or_else(|| self.error(format!("`{key}` is no list")))
    }

    /// Refuses nesting without end.
    pub(super) fn check_depth(&self) -> Result<()> {
        if self.depth > 2 * MAXIMUM_DEPTH {
            return Err(self.error(format!("types nest deeper than {MAXIMUM_DEPTH}")));
        }
        Ok(())
    }

    /// Refuses two fields of one name.
    pub(super) fn check_names(&self, fields: &[Field]) -> Result<()> {
        let mut names: Vec<&String> = fields.iter().map(Field::name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.error(format!("the name `{}` stands twice", pair[0]))),
            None => Ok(()),
        }
    }
}

fn data_type(value: &Value, place: &Place) -> Result<Typed> {
    place.check_depth()?;
    if let Some(name) = value.as_str() {
        return scalar(name, place);
    }
    if !value.is_object() {
        return Err(place.error("a type is a name or an object"));
    }
    match place.text(value, "type")? {
        "struct" => {
            let fields = place
                .list(value, "fields")?
                .iter()
                .enumerate()
                .map(|(at, value)| struct_field(value, &place.below(&format!("fields[{at}]"))))
                .collect::<Result<Vec<Field>>>()?;
            place.check_names(&fields)?;
            Ok(DataType::Struct(fields.into()).into())
        }
        "array" => {
            let element = place.get(value, "elementType")?;
            let element = data_type(element, &place.below("elementType"))?;
            let contains_null = flag(value, "containsNull", place)?;
            Ok(element.into_list(contains_null).into())
        }
        "map" => {
            let key = data_type(place.get(value, "keyType")?, &place.below("keyType"))?;
            let item = data_type(place.get(value, "valueType")?, &place.below("valueType"))?;
            let contains_null = flag(value, "valueContainsNull", place)?;
            Ok(map_type(key, item, contains_null).into())
        }
        // A user-defined type is stored as the type it is made of.
        "udt" => data_type(place.get(value, "sqlType")?, &place.below("sqlType")),
        other => Err(place.error(format!("`{other}` is no type"))),
    }
}

/// A truth value; yes where it is left out.
fn flag(value: &Value, key: &str, place: &Place) -> Result<bool> {
    match value.get(key) {
        None => Ok(true),
        Some(flag) => flag
            .as_bool()
            .ok_or_else(|| place.error(format!("`{key}` is neither true nor false"))),
    }
}

fn scalar(name: &str, place: &Place) -> Result<Typed> {
    let is_nested = ["array", "map", "struct"].contains(&name) || name.contains('<');
    match parse_typed(name) {
        Ok(typed) if !is_nested => Ok(typed),
        _ => Err(place.error(format!("`{name}` is no type that XML can be read as"))),
    }
}

fn struct_field(value: &Value, place: &Place) -> Result<Field> {
    let name = place.text(value, "name")?;
    let typed = data_type(place.get(value, "type")?, &place.below("type"))?;
    let nullable = flag(value, "nullable", place)?;
    let mut field = typed.into_field(name, nullable);
    match value.get("metadata") {
        None | Some(Value::Null) => {}
        Some(Value::Object(metadata)) => {
            for (key, value) in metadata {
                let (key, text) = match value {
                    Value::String(text) => (key.clone(), text.clone()),
                    other => (format!("{JSON_VALUE}{key}"), other.to_string()),
                };
                field = with_metadata(field, &key, text);
            }
        }
        Some(_) => return Err(place.error("`metadata` is no object")),
    }
    Ok(field)
}

/// Puts metadata where it belongs: on the field itself, or on what lies behind `element:` and the like.
fn with_metadata(field: Field, key: &str, text: String) -> Field {
    // The text of strings of limited length is written beside the type, and says the same.
    let nested = key.split_once(':').and_then(|(path, key)| {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, format!("{rest}:{key}")),
            None => (path, key.to_owned()),
        };
        let part = nested_part(&field, first)?;
        Some((first.to_owned(), with_metadata(part, &rest, text.clone())))
    });
    if let Some((part_name, part)) = nested {
        return replace_part(&field, &part_name, part);
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(key.to_owned(), text);
    field.with_metadata(metadata)
}

/// The field of a list's elements or of a map's keys or values.
fn nested_part(field: &Field, name: &str) -> Option<Field> {
    match (field.data_type(), name) {
        (DataType::List(element), "element") => Some(element.as_ref().clone()),
        (DataType::Map(entries, _), "key") => Some(map_entries(entries)?.0.as_ref().clone()),
        (DataType::Map(entries, _), "value") => Some(map_entries(entries)?.1.as_ref().clone()),
        _ => None,
    }
}

fn replace_part(field: &Field, name: &str, part: Field) -> Field {
    let data_type = match field.data_type() {
        DataType::List(_) => DataType::List(part.into()),
        DataType::Map(entries, sorted) => {
            let (key, value) = map_entries(entries).expect("a part of the map was found");
            let pair: Fields = if name == "key" {
                vec![part.into(), std::sync::Arc::clone(value)].into()
            } else {
                vec![std::sync::Arc::clone(key), part.into()].into()
            };
            let entries = entries
                .as_ref()
                .clone()
                .with_data_type(DataType::Struct(pair));
            DataType::Map(entries.into(), *sorted)
        }
        other => other.clone(),
    };
    field.clone().with_data_type(data_type)
}

fn struct_json(fields: &Fields, path: &str) -> Result<Value> {
    let fields = fields
        .iter()
        .map(|field| {
            let path = if path.is_empty() {
                field.name().clone()
            } else {
                format!("{path}.{}", field.name())
            };
            let mut metadata = Map::new();
            write_metadata(&mut metadata, field, "");
            Ok(json!({
                "name": field.name(),
                "type": type_json(field, &path)?,
                "nullable": field.is_nullable(),
                "metadata": metadata,
            }))
        })
        .collect::<Result<Vec<Value>>>()?;
    Ok(json!({"type": "struct", "fields": fields}))
}

fn type_json(field: &Field, path: &str) -> Result<Value> {
    let fail = |problem: String| Error::Column {
        column: path.to_owned(),
        problem,
    };
    match field.data_type() {
        DataType::Struct(fields) => struct_json(fields, path),
        DataType::List(element) => Ok(json!({
            "type": "array",
            "elementType": type_json(element, path)?,
            "containsNull": element.is_nullable(),
        })),
        DataType::Map(entries, _) => {
            let (key, value) =
                map_entries(entries).ok_or_else(|| fail("a map of another shape".to_owned()))?;
            Ok(json!({
                "type": "map",
                "keyType": type_json(key, path)?,
                "valueType": type_json(value, path)?,
                "valueContainsNull": value.is_nullable(),
            }))
        }
        other => scalar_name(other, field.metadata(), false)
            .map(Value::String)
            .ok_or_else(|| fail(format!("Spark has no type `{other}`"))),
    }
}

/// Writes the metadata of a field, and of what lies below it up to the next fields with places of
/// their own.
fn write_metadata(metadata: &mut Map<String, Value>, field: &Field, path: &str) {
    let sorted: std::collections::BTreeMap<_, _> = field.metadata().iter().collect();
    for (key, text) in sorted {
        let parsed = key
            .strip_prefix(JSON_VALUE)
            .and_then(|key| Some((key, serde_json::from_str(text).ok()?)));
        let (key, value) = parsed.unwrap_or((key, Value::String(text.clone())));
        // Spark's own metadata of limited strings in lists looks different; ours says where it belongs.
        let colon = if path.is_empty() { "" } else { ":" };
        metadata.insert(format!("{path}{colon}{key}"), value);
    }
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match field.data_type() {
        DataType::List(element) => write_metadata(metadata, element, &below("element")),
        DataType::Map(entries, _) => {
            if let Some((key, value)) = map_entries(entries) {
                write_metadata(metadata, key, &below("key"));
                write_metadata(metadata, value, &below("value"));
            }
        }
        _ => {}
    }
}

/// Metadata of a field from an object of properties.
pub(super) fn properties(value: Option<&Value>) -> HashMap<String, String> {
    let Some(Value::Object(properties)) = value else {
        return HashMap::new();
    };
    properties
        .iter()
        .filter(|(key, _)| key.as_str() != CHAR_VARCHAR)
        .map(|(key, value)| match value {
            Value::String(text) => (key.clone(), text.clone()),
            other => (format!("{JSON_VALUE}{key}"), other.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
