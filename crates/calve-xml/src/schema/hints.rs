//! Hints: what the user knows better than the inference about single columns.
//!
//! `--type path=T` sets a column's type, `--array path` makes a column a list although it was never seen
//! twice in a row. Steps into lists may be left out of the path (`items.price`), but for the last one:
//! `tags=…` sets the type of the whole column, `tags[]=…` that of its elements.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::choice::{CHOICE, alternatives};
use super::ddl::parse_typed;
use super::types::{Typed, map_entries};
use crate::field_path::Step;
use crate::{Error, FieldPath, Result};

/// What is known of some columns.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    types: Vec<(FieldPath, Typed)>,
    arrays: Vec<FieldPath>,
}

/// What a hint does with the field it names.
enum Change<'a> {
    Type(&'a Typed),
    /// It becomes a list.
    Array,
    /// It stays a list, of text where nothing else is known of its elements.
    ArrayOfText,
}

impl Hints {
    /// No hints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `path=type`, such as `items.price=decimal(12,2)`. Types are written as in DDL.
    ///
    /// # Errors
    /// When the text is no such hint.
    pub fn with_type(mut self, hint: &str) -> Result<Self> {
        // A name may hold `=` in backticks; a type never does.
        let (path, data_type) = hint.rsplit_once('=').ok_or_else(|| Error::Path {
            path: hint.to_owned(),
            problem: "a hint has the form `path=type`".to_owned(),
        })?;
        self.types
            .push((path.trim().parse()?, parse_typed(data_type)?));
        Ok(self)
    }

    /// Adds the path of a column that is a list.
    ///
    /// # Errors
    /// When the text is no path.
    pub fn with_array(mut self, path: &str) -> Result<Self> {
        self.arrays.push(path.trim().parse()?);
        Ok(self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty() && self.arrays.is_empty()
    }

    /// Applies the hints to an inferred schema. Columns that the schema lacks are added, so that every
    /// run has them. What is a list is one before types are set in it (`tags[]=int`), and after its own type
    /// is set (`tags=int`).
    ///
    /// # Errors
    /// When a path leads through a column that has no fields, or two hints contradict each other.
    pub fn apply(&self, schema: &Schema) -> Result<Schema> {
        for (at, (path, typed)) in self.types.iter().enumerate() {
            let clash = self.types[..at]
                .iter()
                .any(|(other, theirs)| other == path && theirs != typed);
            if clash {
                return Err(column_error(path, "two hints give it different types"));
            }
        }
        let mut fields = schema.fields().clone();
        for path in &self.arrays {
            fields = in_fields(&fields, path, path.steps(), &Change::Array)?;
        }
        for (path, typed) in &self.types {
            fields = in_fields(&fields, path, path.steps(), &Change::Type(typed))?;
        }
        for path in &self.arrays {
            fields = in_fields(&fields, path, path.steps(), &Change::Array)?;
            fields = in_fields(&fields, path, path.steps(), &Change::ArrayOfText)?;
        }
        Ok(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }
}

fn column_error(path: &FieldPath, problem: &str) -> Error {
    Error::Column {
        column: path.to_string(),
        problem: problem.to_owned(),
    }
}

/// Follows `steps` into one of the fields, which is added where there is none.
fn in_fields(
    fields: &Fields,
    path: &FieldPath,
    steps: &[Step],
    change: &Change<'_>,
) -> Result<Fields> {
    let Some((Step::Field(name), rest)) = steps.split_first() else {
        return Err(column_error(
            path,
            "`[]` stands behind something that is no list",
        ));
    };
    let mut fields: Vec<FieldRef> = fields.iter().cloned().collect();
    if let Some(field) = fields.iter_mut().find(|field| field.name() == name) {
        *field = Arc::new(in_field(field, path, rest, change)?);
    } else {
        fields.push(Arc::new(in_field(
            &Field::new(name, DataType::Null, true),
            path,
            rest,
            change,
        )?));
    }
    Ok(fields.into())
}

fn in_field(field: &Field, path: &FieldPath, steps: &[Step], change: &Change<'_>) -> Result<Field> {
    if steps.is_empty() {
        return Ok(changed(field, change));
    }
    let is_element = matches!(steps[0], Step::Element);
    if alternatives(field).is_some() {
        return Err(column_error(path, "leads through a choice of types"));
    }
    let data_type = match field.data_type() {
        DataType::List(element) => {
            let rest = if is_element { &steps[1..] } else { steps };
            DataType::List(Arc::new(in_field(element, path, rest, change)?))
        }
        // What was never seen, or only empty, may have any parts.
        DataType::Null if is_element => {
            let element = Field::new("element", DataType::Null, true);
            DataType::List(Arc::new(in_field(&element, path, &steps[1..], change)?))
        }
        DataType::Null => DataType::Struct(in_fields(&Fields::empty(), path, steps, change)?),
        DataType::Struct(fields) => DataType::Struct(in_fields(fields, path, steps, change)?),
        DataType::Map(entries, sorted) => map(entries, *sorted, path, (steps, change))?,
        other => {
            let problem = format!("leads through a column of type `{other}`, which has no fields");
            return Err(column_error(path, &problem));
        }
    };
    Ok(field.clone().with_data_type(data_type))
}

/// Follows the step `key` or `value` into a map.
fn map(
    entries: &Field,
    sorted: bool,
    path: &FieldPath,
    (steps, change): (&[Step], &Change<'_>),
) -> Result<DataType> {
    let (key, value) =
        map_entries(entries).ok_or_else(|| column_error(path, "a map of another shape"))?;
    let pair: Fields = match &steps[0] {
        Step::Field(name) if name == "key" => {
            let key = in_field(key, path, &steps[1..], change)?;
            vec![Arc::new(key), Arc::clone(value)].into()
        }
        Step::Field(name) if name == "value" => {
            let value = in_field(value, path, &steps[1..], change)?;
            vec![Arc::clone(key), Arc::new(value)].into()
        }
        _ => return Err(column_error(path, "a map has the parts `key` and `value`")),
    };
    let entries = entries.clone().with_data_type(DataType::Struct(pair));
    Ok(DataType::Map(Arc::new(entries), sorted))
}

fn changed(field: &Field, change: &Change<'_>) -> Field {
    match change {
        Change::Type(typed) => {
            let mut metadata = field.metadata().clone();
            metadata.remove(CHOICE);
            metadata.extend(typed.metadata.clone());
            let data_type = typed.data_type.clone();
            field
                .clone()
                .with_data_type(data_type)
                .with_metadata(metadata)
        }
        Change::ArrayOfText => match field.data_type() {
            DataType::List(element) if *element.data_type() == DataType::Null => {
                let element = element.as_ref().clone().with_data_type(DataType::Utf8);
                field
                    .clone()
                    .with_data_type(DataType::List(Arc::new(element)))
            }
            _ => field.clone(),
        },
        Change::Array => match field.data_type() {
            DataType::List(_) => field.clone(),
            data_type => {
                // What was known of the value is now known of the elements; the name stays above.
                let mut metadata = field.metadata().clone();
                let choice = metadata
                    .remove(CHOICE)
                    .map(|text| (CHOICE.to_owned(), text));
                let element = Field::new("element", data_type.clone(), true)
                    .with_metadata(choice.into_iter().collect());
                field
                    .clone()
                    .with_data_type(DataType::List(Arc::new(element)))
                    .with_metadata(metadata)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Hints;
    use crate::schema::ddl::{parse_ddl, to_ddl};
    use crate::{Result, schema::arbitrary};

    fn hints(hints: &[&str]) -> Result<Hints> {
        hints.iter().try_fold(Hints::new(), |all, hint| {
            match hint.strip_prefix("array ") {
                Some(path) => all.with_array(path),
                None => all.with_type(hint),
            }
        })
    }

    #[track_caller]
    fn check(schema: &str, given: &[&str], expected: &str) {
        let schema = parse_ddl(schema).unwrap();
        let hinted = hints(given).unwrap().apply(&schema).unwrap();
        assert_eq!(to_ddl(&hinted).unwrap(), expected);
        // A hint that is given again changes nothing.
        assert_eq!(hints(given).unwrap().apply(&hinted).unwrap(), hinted);
    }

    #[track_caller]
    fn check_error(schema: &str, given: &[&str], expected: &str) {
        let schema = parse_ddl(schema).unwrap();
        let error = hints(given).and_then(|it| it.apply(&schema)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn hints_change_columns() {
        check("a bigint", &["a=string"], "a STRING");
        check(
            "o struct<items: array<struct<price: double>>>",
            &["o.items.price=decimal(12,2)"],
            "o STRUCT<items: ARRAY<STRUCT<price: DECIMAL(12,2)>>>",
        );
        check(
            "o array<struct<price: double>>",
            &["o[].price=decimal(12,2)"],
            "o ARRAY<STRUCT<price: DECIMAL(12,2)>>",
        );
        check("t array<bigint>", &["t[]=string"], "t ARRAY<STRING>");
        check("t array<bigint>", &["t=string"], "t STRING");
        check("a bigint", &["array a"], "a ARRAY<BIGINT>");
        check("a array<bigint>", &["array a"], "a ARRAY<BIGINT>");
        check("a bigint", &["a[]=int", "array a"], "a ARRAY<INT>");
        check("a bigint", &["a=int", "array a"], "a ARRAY<INT>");
        check(
            "a bigint",
            &["array b", "b[].c=int"],
            "a BIGINT, b ARRAY<STRUCT<c: INT>>",
        );
        check(
            "s struct<x: array<struct<y: int>>>",
            &["array s.x.y"],
            "s STRUCT<x: ARRAY<STRUCT<y: ARRAY<INT>>>>",
        );
        check(
            "a bigint",
            &["b.c=date", "array d"],
            "a BIGINT, d ARRAY<STRING>, b STRUCT<c: DATE>",
        );
        check(
            "m map<string, int>",
            &["m.value=bigint"],
            "m MAP<STRING, BIGINT>",
        );
        check("`a.b` int", &["`a.b`=string"], "`a.b` STRING");
        check("a int", &["a=varchar(5)"], "a VARCHAR(5)");
        check("a void", &["a[].b=int"], "a ARRAY<STRUCT<b: INT>>");
    }

    #[test]
    fn wrong_hints_are_refused() {
        check_error("a int", &["a"], "path `a`: a hint has the form `path=type`");
        check_error(
            "a int",
            &["a.b=int"],
            "column `a.b`: leads through a column of type `Int32`, which has no fields",
        );
        check_error(
            "a int",
            &["a=interval"],
            "DDL, character 1: `interval` is no type that XML can be read as",
        );
        check_error(
            "a int",
            &["a=long", "a=string"],
            "column `a`: two hints give it different types",
        );
        check_error(
            "m map<string,int>",
            &["m.x=int"],
            "column `m.x`: a map has the parts `key` and `value`",
        );
    }

    proptest! {
        #[test]
        fn no_hints_change_nothing(schema in arbitrary::schema()) {
            prop_assert_eq!(Hints::new().apply(&schema).unwrap(), schema);
        }
    }
}
