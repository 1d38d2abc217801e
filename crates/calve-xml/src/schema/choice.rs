//! Choices: one column, several types.
//!
//! Where the values of one path have types that no wider type covers, Glue keeps all of them, as a
//! *choice*. Arrow has unions, but Parquet has not, so a choice is a struct here: one nullable child per
//! alternative, called by Glue's name of its type (`long`, `string`, `struct`), at most one of which is
//! set in a row. The field carries the metadata [`CHOICE`] = `true`, and so is told from a struct that
//! stands in the data.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields};

/// The metadata key of a field that is a choice.
pub const CHOICE: &str = "xml.choice";

/// The metadata key under which a field carries its XML name, where the column's name differs.
pub const XML_NAME: &str = "xml.name";

/// A choice between types. Alternatives of one kind (two structs, say) must have been merged before.
///
/// The alternatives stand in the order of their names, in whatever order they were found.
pub fn choice_field(name: impl Into<String>, alternatives: &[DataType]) -> Field {
    let mut children: Vec<Field> = alternatives
        .iter()
        .map(|data_type| Field::new(type_name(data_type), data_type.clone(), true))
        .collect();
    children.sort_by(|a, b| a.name().cmp(b.name()));
    let children: Fields = children.into();
    let metadata = HashMap::from([(CHOICE.to_owned(), "true".to_owned())]);
    Field::new(name, DataType::Struct(children), true).with_metadata(metadata)
}

/// The alternatives, when the field is a choice.
pub fn alternatives(field: &Field) -> Option<&Fields> {
    match field.data_type() {
        DataType::Struct(children) if field.metadata().contains_key(CHOICE) => Some(children),
        _ => None,
    }
}

/// Whether a field is a choice, or has one somewhere below it.
pub fn has_choice(field: &Field) -> bool {
    alternatives(field).is_some()
        || match field.data_type() {
            DataType::Struct(children) => children.iter().any(|child| has_choice(child)),
            DataType::List(element) => has_choice(element),
            DataType::Map(entries, _) => has_choice(entries),
            _ => false,
        }
}

/// The name by which Glue calls a type, without its parameters: `long`, `decimal`, `array`.
pub fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Null => "null",
        DataType::Boolean => "boolean",
        DataType::Int8 => "byte",
        DataType::Int16 => "short",
        DataType::Int32 => "int",
        DataType::Int64 => "long",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Decimal128(..) => "decimal",
        DataType::Utf8 => "string",
        DataType::Binary => "binary",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, Some(_)) => "timestamp",
        DataType::Timestamp(_, None) => "timestamp_ntz",
        DataType::Struct(_) => "struct",
        DataType::List(_) => "array",
        DataType::Map(..) => "map",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::{alternatives, choice_field, has_choice};

    #[test]
    fn a_choice_is_told_from_a_struct() {
        let choice = choice_field("a", &[DataType::Int64, DataType::Utf8]);
        let names: Vec<&String> = alternatives(&choice)
            .unwrap()
            .iter()
            .map(|f| f.name())
            .collect();
        assert_eq!(names, ["long", "string"]);
        let plain = Field::new("a", choice.data_type().clone(), true);
        assert!(alternatives(&plain).is_none() && !has_choice(&plain));
        let list = Field::new_list("l", choice.with_name("element"), true);
        assert!(has_choice(&list));
    }
}
