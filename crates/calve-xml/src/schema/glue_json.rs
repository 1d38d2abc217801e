//! Glue's form of schemas: `{"dataType": "struct", "fields": [{"name": …, "container": …}]}`.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde_json::{Map, Value, json};

use super::choice::{CHOICE, alternatives, choice_field, type_name};
use super::spark_json::{Place, properties};
use super::types::{Typed, map_entries, map_type, named, with_parameters};
use crate::{Error, Result};

/// Reads a schema in Glue's form.
pub(super) fn schema(value: &Value, place: &Place) -> Result<Schema> {
    match data_type(value, place)?.data_type {
        DataType::Struct(fields) => Ok(Schema::new(fields)),
        _ => Err(place.error("a schema has the type `struct`")),
    }
}

/// Writes a schema in Glue's form. That columns may not be null is lost: Glue does not say it.
///
/// # Errors
/// When a column has a type that Glue has not.
pub fn to_glue_json(schema: &Schema) -> Result<Value> {
    struct_json(schema.fields(), "")
}

fn data_type(value: &Value, place: &Place) -> Result<Typed> {
    place.check_depth()?;
    let data_type = match place.text(value, "dataType")? {
        "struct" => {
            let fields = place
                .list(value, "fields")?
                .iter()
                .enumerate()
                .map(|(at, value)| struct_field(value, &place.below(&format!("fields[{at}]"))))
                .collect::<Result<Vec<Field>>>()?;
            place.check_names(&fields)?;
            DataType::Struct(fields.into())
        }
        "array" | "set" => {
            let element = place.get(value, "elementType")?;
            data_type(element, &place.below("elementType"))?.into_list(true)
        }
        "map" => {
            let item = place.get(value, "valueType")?;
            let item = data_type(item, &place.below("valueType"))?;
            map_type(DataType::Utf8.into(), item, true)
        }
        "choice" => return choice(value, place),
        "decimal" => {
            let digits = |key: &str, default: u32| match value.get(key) {
                None => Ok(default),
                Some(number) => number
                    .as_u64()
                    .and_then(|it| u32::try_from(it).ok())
                    .ok_or_else(|| place.error(format!("`{key}` is no small number"))),
            };
            // Glue's own defaults.
            let parameters = [digits("precision", 10)?, digits("scale", 2)?];
            return with_parameters("decimal", &parameters).map_err(|it| place.error(it));
        }
        "enum" => DataType::Utf8,
        other => named(other)
            .ok_or_else(|| place.error(format!("`{other}` is no type that XML can be read as")))?,
    };
    Ok(data_type.into())
}

fn choice(value: &Value, place: &Place) -> Result<Typed> {
    let types = place
        .list(value, "choices")?
        .iter()
        .enumerate()
        .map(|(at, value)| data_type(value, &place.below(&format!("choices[{at}]"))))
        .collect::<Result<Vec<Typed>>>()?;
    let mut types: Vec<DataType> = types.into_iter().map(|it| it.data_type).collect();
    types.sort_by_key(type_name);
    if types
        .windows(2)
        .any(|pair| type_name(&pair[0]) == type_name(&pair[1]))
    {
        return Err(place.error("a choice has one alternative of each kind"));
    }
    match types.as_slice() {
        [] => Err(place.error("a choice has alternatives")),
        [single] => Ok(single.clone().into()),
        several => {
            let field = choice_field("", several);
            Ok(Typed {
                data_type: field.data_type().clone(),
                metadata: field.metadata().clone(),
            })
        }
    }
}

fn struct_field(value: &Value, place: &Place) -> Result<Field> {
    let name = place.text(value, "name")?;
    let container = place.get(value, "container")?;
    let mut typed = data_type(container, &place.below("container"))?;
    typed
        .metadata
        .extend(properties(container.get("properties")));
    typed.metadata.extend(properties(value.get("properties")));
    Ok(typed.into_field(name, true))
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
            let sorted: BTreeMap<_, _> = field.metadata().iter().collect();
            let properties: Map<String, Value> = sorted
                .into_iter()
                .filter(|(key, _)| key.as_str() != CHOICE)
                .map(|(key, text)| (key.clone(), Value::String(text.clone())))
                .collect();
            Ok(json!({
                "name": field.name(),
                "container": type_json(field, &path)?,
                "properties": properties,
            }))
        })
        .collect::<Result<Vec<Value>>>()?;
    Ok(json!({"dataType": "struct", "fields": fields, "properties": {}}))
}

fn type_json(field: &Field, path: &str) -> Result<Value> {
    let fail = |problem: String| Error::Column {
        column: path.to_owned(),
        problem,
    };
    if let Some(children) = alternatives(field) {
        let choices = children
            .iter()
            .map(|child| type_json(child, path))
            .collect::<Result<Vec<Value>>>()?;
        return Ok(json!({"dataType": "choice", "choices": choices, "properties": {}}));
    }
    match field.data_type() {
        DataType::Struct(fields) => struct_json(fields, path),
        DataType::List(element) => Ok(json!({
            "dataType": "array",
            "elementType": type_json(element, path)?,
            "properties": {},
        })),
        DataType::Map(entries, _) => match map_entries(entries) {
            Some((key, value)) if *key.data_type() == DataType::Utf8 => Ok(json!({
                "dataType": "map",
                "valueType": type_json(value, path)?,
                "properties": {},
            })),
            _ => Err(fail("Glue's maps have keys of type string".to_owned())),
        },
        DataType::Decimal128(precision, scale) => Ok(json!({
            "dataType": "decimal",
            "precision": precision,
            "scale": scale,
            "properties": {},
        })),
        // These are younger than Glue's types.
        DataType::Time64(_) | DataType::Timestamp(_, None) => Err(fail(format!(
            "Glue has no type `{}`",
            type_name(field.data_type())
        ))),
        other => match type_name(other) {
            "unknown" => Err(fail(format!("Glue has no type `{other}`"))),
            name => Ok(json!({"dataType": name, "properties": {}})),
        },
    }
}
