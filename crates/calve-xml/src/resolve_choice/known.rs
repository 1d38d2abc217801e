//! Choices of earlier runs: what they became stands in the columns of a table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use super::{Action, ResolveChoice};
use crate::FieldPath;
use crate::schema::choice::{CHOICE, alternatives, choice_field, type_name};
use crate::schema::evolve::{Evolve, holds};
use crate::schema::typed;

impl ResolveChoice {
    /// The schema of rows that become columns of `table`, which earlier rows were resolved into: a column that
    /// is of one type in these rows is the choice that it was before (`v_long` and `v_string`, or `v` as a
    /// struct of `long` and `string`), for all runs to make the same columns of it. `schema` is
    /// [aligned](Evolve::aligned) with the table; `evolve` aligns what is inside of choices.
    #[must_use]
    pub fn with_known(&self, schema: &Schema, table: &Schema, evolve: &Evolve) -> Schema {
        let known = Known {
            choices: self,
            evolve,
        };
        let fields = known.fields(schema.fields(), table.fields(), &FieldPath::root());
        Schema::new_with_metadata(fields, schema.metadata().clone())
    }

    /// What is done with the column if it is a choice.
    fn known_action(&self, path: &FieldPath) -> Option<&Action> {
        let named = |spec: &FieldPath| {
            spec == path || (spec.names().eq(path.names()) && *spec == spec.without_elements())
        };
        let mut specs = self.specs.iter();
        let found = specs
            .find(|(spec, _)| named(spec))
            .map(|(_, action)| action);
        found.or(self.all.as_ref())
    }
}

struct Known<'a> {
    choices: &'a ResolveChoice,
    evolve: &'a Evolve,
}

impl Known<'_> {
    fn fields(&self, fields: &Fields, table: &Fields, path: &FieldPath) -> Fields {
        let known = |field: &FieldRef| -> FieldRef {
            let path = path.field(field.name());
            let before = match self.choices.known_action(&path) {
                Some(Action::MakeCols) => columns_of(field.name(), table),
                Some(Action::MakeStruct) => {
                    let column = table.iter().find(|it| it.name() == field.name());
                    column.map_or_else(Vec::new, |it| children_of(it.data_type()))
                }
                _ => Vec::new(),
            };
            if !before.is_empty() && may_be_alternative(field.data_type()) {
                return Arc::new(self.with_alternatives(field, &before, &path));
            }
            let column = table.iter().find(|it| it.name() == field.name());
            match column {
                Some(column) => Arc::new(self.parts(field, column.data_type(), &path)),
                None => Arc::clone(field),
            }
        };
        fields.iter().map(known).collect()
    }

    /// A column with what is known of the choices inside it.
    fn parts(&self, field: &Field, table: &DataType, path: &FieldPath) -> Field {
        let data_type = match (field.data_type(), table) {
            (DataType::Struct(fields), DataType::Struct(of)) if alternatives(field).is_none() => {
                DataType::Struct(self.fields(fields, of, path))
            }
            (DataType::List(item), DataType::List(of)) => {
                let path = path.element();
                let before = match self.choices.known_action(&path) {
                    Some(Action::MakeStruct) => children_of(of.data_type()),
                    _ => Vec::new(),
                };
                let item = if !before.is_empty() && may_be_alternative(item.data_type()) {
                    self.with_alternatives(item, &before, &path)
                } else {
                    self.parts(item, of.data_type(), &path)
                };
                DataType::List(Arc::new(item))
            }
            (other, _) => other.clone(),
        };
        field.clone().with_data_type(data_type)
    }

    /// The column as a choice of its own types and those that it had before.
    fn with_alternatives(&self, field: &Field, before: &[DataType], path: &FieldPath) -> Field {
        let mut types: Vec<DataType> = match alternatives(field) {
            Some(children) => children.iter().map(|it| it.data_type().clone()).collect(),
            None if *field.data_type() == DataType::Null => Vec::new(),
            None => vec![field.data_type().clone()],
        };
        types.retain(|own| {
            let is_held = |other| holds(other, own) && !own.is_nested();
            !before.iter().any(is_held)
        });
        for other in before {
            match types
                .iter_mut()
                .find(|it| type_name(it) == type_name(other))
            {
                Some(own) => *own = self.structure(own, other, path),
                None => types.push(other.clone()),
            }
        }
        let choice = choice_field(field.name(), &types);
        let mut metadata = field.metadata().clone();
        metadata.insert(CHOICE.to_owned(), "true".to_owned());
        choice.with_metadata(metadata)
    }

    /// An alternative with children, as it was before.
    fn structure(&self, own: &DataType, before: &DataType, path: &FieldPath) -> DataType {
        let field = Field::new("", own.clone(), true);
        match (self.evolve.aligned_type(&field, before), before) {
            (DataType::Struct(fields), DataType::Struct(of)) => {
                let path = match self.choices.known_action(path) {
                    Some(Action::MakeStruct) => path.field(type_name(before)),
                    _ => path.clone(),
                };
                typed(&DataType::Struct(self.fields(&fields, of, &path)), before)
            }
            (other, _) => other,
        }
    }
}

/// Whether a type may be one of a choice: what is a list in some rows is a list of choices in all.
fn may_be_alternative(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::List(_) | DataType::Map(..))
}

/// The types of the columns that `make_cols` made of one, where it made some.
fn columns_of(name: &str, table: &Fields) -> Vec<DataType> {
    if table.iter().any(|it| it.name() == name) {
        return Vec::new();
    }
    let made = |it: &&FieldRef| {
        let rest = it.name().strip_prefix(name);
        rest.and_then(|it| it.strip_prefix('_')) == Some(type_name(it.data_type()))
            && may_be_alternative(it.data_type())
    };
    let columns = table.iter().filter(made);
    columns.map(|it| it.data_type().clone()).collect()
}

/// The types of the fields of a struct that `make_struct` made.
fn children_of(data_type: &DataType) -> Vec<DataType> {
    match data_type {
        DataType::Struct(children)
            if children.iter().all(|it| {
                it.name() == type_name(it.data_type()) && may_be_alternative(it.data_type())
            }) =>
        {
            children.iter().map(|it| it.data_type().clone()).collect()
        }
        _ => Vec::new(),
    }
}
