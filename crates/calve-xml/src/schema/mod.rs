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

use arrow::datatypes::{DataType, FieldRef, Schema};

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
