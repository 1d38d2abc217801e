//! Schemas of rows: what they are written as, and how they are put together.
//!
//! Inside the crate a schema is an Arrow [`Schema`]. Outside it is a file, which
//! is a contract across runs: Spark's JSON, Glue's JSON, Spark's DDL text, or an XML Schema.

pub mod choice;
pub mod ddl;
pub mod evolve;
pub mod glue_json;
pub mod hints;
pub mod hive;
pub mod spark_json;
pub(crate) mod types;
pub mod xsd;

#[cfg(test)]
pub(crate) mod arbitrary;

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, Schema};

use choice::alternatives;
pub use choice::has_choice;

use crate::{Error, Result};

/// The deepest nesting of types. All that goes through a schema goes down level by level, Arrow's and
/// Parquet's own code as well, and a thread's stack is small.
pub const MAXIMUM_DEPTH: usize = 128;

/// Refuses a schema that is nested too deep.
pub(crate) fn check_depth(schema: &Schema) -> Result<()> {
    match schema
        .fields()
        .iter()
        .find(|field| nesting(field) > MAXIMUM_DEPTH)
    {
        None => Ok(()),
        Some(field) => Err(Error::Column {
            column: field.name().clone(),
            problem: format!("is nested deeper than {MAXIMUM_DEPTH} types"),
        }),
    }
}

/// How deep types are nested.
pub(crate) fn depth(schema: &Schema) -> usize {
    schema.fields().iter().map(nesting).max().unwrap_or(0)
}

fn nesting(field: &FieldRef) -> usize {
    let mut deepest = 0;
    let mut left = vec![(field, 1)];
    while let Some((inner, depth)) = left.pop() {
        deepest = deepest.max(depth);
        match inner.data_type() {
            DataType::Struct(fields) => left.extend(fields.iter().map(|it| (it, depth + 1))),
            DataType::List(item) | DataType::Map(item, _) => left.push((item, depth + 1)),
            _ => {}
        }
    }
    deepest
}

/// The schema with text for columns of type null, which never had a value: text holds whatever comes later.
#[must_use]
pub fn text_where_null(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(settled).collect::<Fields>();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// The schema with the types that `table` has for columns of type null, which never had a value.
#[must_use]
pub fn typed_where_null(schema: &Schema, table: &Schema) -> Schema {
    let fields = typed_fields(schema.fields(), table.fields());
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn typed_fields(fields: &Fields, table: &Fields) -> Fields {
    let typed = |field: &FieldRef| -> FieldRef {
        let known = table.iter().find(|it| it.name() == field.name());
        match known {
            Some(known) if alternatives(field).is_none() => {
                let data_type = typed(field.data_type(), known.data_type());
                Arc::new(field.as_ref().clone().with_data_type(data_type))
            }
            _ => Arc::clone(field),
        }
    };
    fields.iter().map(typed).collect()
}

/// The type, with those of another for type null inside of it.
pub(crate) fn typed(data_type: &DataType, table: &DataType) -> DataType {
    match (data_type, table) {
        (DataType::Null, _) => table.clone(),
        (DataType::Struct(fields), DataType::Struct(of)) => {
            DataType::Struct(typed_fields(fields, of))
        }
        (DataType::List(element), DataType::List(of)) if alternatives(element).is_none() => {
            let of = typed(element.data_type(), of.data_type());
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(of)))
        }
        (other, _) => other.clone(),
    }
}

/// The schema with text for columns of type null, column by column where `fits` says that the schema will do: text does not become everything that a
/// column without values can become.
#[must_use]
pub fn text_where_null_if(schema: &Schema, fits: impl Fn(&Schema) -> bool) -> Schema {
    let mut schema = schema.clone();
    for at in 0..schema.fields().len() {
        let mut fields = schema.fields().to_vec();
        fields[at] = settled(&fields[at]);
        let with_text = Schema::new_with_metadata(fields, schema.metadata().clone());
        if with_text != schema && fits(&with_text) {
            schema = with_text;
        }
    }
    schema
}

/// The field with text for type null, at any depth.
pub(crate) fn settled(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(settled).collect()),
        DataType::List(element) => DataType::List(settled(element)),
        DataType::Map(entries, sorted) => DataType::Map(settled(entries), *sorted),
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Reads a schema in Spark's JSON, Glue's JSON or Spark's DDL text; which one is seen from the text.
///
/// # Errors
/// When the text is no schema; the error says where it goes wrong.
pub fn parse_schema(text: &str) -> Result<Schema> {
    // A byte-order mark is no part of the text, but editors put it there.
    let text = text.trim_start_matches('\u{feff}').trim();
    let (format, schema) = if text.starts_with('{') {
        ("JSON", spark_json::parse_json(text)?)
    } else {
        ("DDL", ddl::parse_ddl(text)?)
    };
    if schema.fields().is_empty() {
        return Err(Error::SchemaText {
            format,
            place: "the whole text".to_owned(),
            problem: "there is no column".to_owned(),
        });
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::parse_schema;

    #[test]
    fn a_schema_has_columns() {
        for (text, format) in [
            ("", "DDL"),
            (" \u{feff}\n", "DDL"),
            (r#"{"type":"struct","fields":[]}"#, "JSON"),
        ] {
            let error = parse_schema(text).unwrap_err().to_string();
            assert!(error.starts_with(format), "{error}");
        }
        assert_eq!(parse_schema("a int").unwrap().fields().len(), 1);
    }
}
