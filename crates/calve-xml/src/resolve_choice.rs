//! `resolveChoice`: what becomes of columns that hold values of several types.
//!
//! The actions are Glue's. Each takes a column that is a [choice](crate::schema::choice):
//!
//! | action | column `a`, a choice of long and string |
//! |---|---|
//! | `cast:T` | `a: T`; values that `T` does not hold are null, and counted |
//! | `project:T` | `a: T` with the values that are of this type; the others are null, and counted |
//! | `make_cols` | `a_long: long` and `a_string: string` |
//! | `make_struct` | `a: struct<long: long, string: string>` |
//! | `match_catalog` | `cast` to the type that the column has in a table of the catalog |
//!
//! `cast` rounds numbers as Spark does; what would be rounded to match a catalog is null, and counted.
//! `cast` changes columns that are no choice as well. In lists (`items[]`), where a column cannot become
//! two, `make_cols` is refused.

mod known;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema};

use crate::cast::{Loss, cast, cast_choice, visible_columns};
use crate::field_path::Step;
use crate::infer::Choices;
use crate::schema::choice::{CHOICE, alternatives, type_name};
use crate::schema::ddl::parse_type;
use crate::{Error, FieldPath, Result};

/// What is done with a choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// All values in one type.
    Cast(DataType),
    /// The values of one type; the name alone (`struct`) names a type with parts.
    Project(String),
    /// A column for each type.
    MakeCols,
    /// A struct with a field for each type.
    MakeStruct,
    /// All values in the type that the column has in the [catalog](ResolveChoice::with_catalog).
    MatchCatalog,
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().split_once(':') {
            None if text.trim() == "make_cols" => Ok(Self::MakeCols),
            None if text.trim() == "make_struct" => Ok(Self::MakeStruct),
            None if text.trim() == "match_catalog" => Ok(Self::MatchCatalog),
            Some(("cast", data_type)) => Ok(Self::Cast(parse_type(data_type)?)),
            Some(("project", data_type)) => {
                let data_type = data_type.trim().to_lowercase();
                // Spellings of one type are one alternative; types with parts go by their bare names.
                let name = parse_type(&data_type).map(|it| type_name(&it).to_owned());
                Ok(Self::Project(name.unwrap_or(data_type)))
            }
            _ => Err(Error::Action {
                action: text.to_owned(),
            }),
        }
    }
}

/// What resolving choices did.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Values that became null, by column: those a cast did not fit, and those a projection left out.
    pub nulled: BTreeMap<String, u64>,
}

/// Resolves the choices of record batches.
#[derive(Debug, Clone)]
pub struct ResolveChoice {
    specs: Vec<(FieldPath, Action)>,
    all: Option<Action>,
    catalog: Option<Arc<Schema>>,
}

impl ResolveChoice {
    /// Resolves every choice by one action.
    pub fn all(action: Action) -> Self {
        Self {
            specs: Vec::new(),
            all: Some(action),
            catalog: None,
        }
    }

    /// Resolves the columns named, each by its own action; other choices stay.
    pub fn by_specs(specs: Vec<(FieldPath, Action)>) -> Self {
        Self {
            specs,
            all: None,
            catalog: None,
        }
    }

    /// Sets the columns that [`Action::MatchCatalog`] goes by: those of a table in a catalog. Names that are
    /// not found exactly are compared without their case, since Glue's are in lower case.
    #[must_use]
    pub fn with_catalog(mut self, catalog: Schema) -> Self {
        self.catalog = Some(Arc::new(catalog));
        self
    }

    /// Whether a choice is to match the catalog.
    pub fn matches_catalog(&self) -> bool {
        let mut actions = self.specs.iter().map(|(_, action)| action).chain(&self.all);
        actions.any(|action| *action == Action::MatchCatalog)
    }

    /// Reads specs as people write them: an action for every choice (`make_cols`), or actions for
    /// columns (`path:cast:long`), as Glue's `choice` and `specs`; not both.
    ///
    /// # Errors
    /// When a text is neither, or there is an action for all beside others.
    pub fn parse<S: AsRef<str>>(specs: &[S]) -> Result<Self> {
        let mut columns = Vec::new();
        for text in specs.iter().map(AsRef::as_ref) {
            let unknown = |()| Error::Action {
                action: text.to_owned(),
            };
            if let Ok(action) = text.parse() {
                if specs.len() > 1 {
                    return Err(Error::ActionForAll {
                        action: text.to_owned(),
                    });
                }
                return Ok(Self::all(action));
            }
            // Names of namespaces have colons, too: the action is what can be read as one.
            let split = text
                .match_indices(':')
                .find_map(|(at, _)| Some((&text[..at], text[at + 1..].parse().ok()?)));
            let (path, action) = split.ok_or(()).map_err(unknown)?;
            columns.push((path.parse()?, action));
        }
        Ok(Self::by_specs(columns))
    }

    /// Which columns inference is to make choices, for this to resolve them.
    pub fn choices(&self) -> Choices {
        match &self.all {
            Some(_) => Choices::All,
            None => Choices::At(self.specs.iter().map(|(path, _)| path.clone()).collect()),
        }
    }

    /// The schema of what [`Self::resolve`] gives.
    ///
    /// # Errors
    /// When a path names no column, or an action cannot be done to its column.
    pub fn plan(&self, schema: &Schema) -> Result<Schema> {
        let empty = RecordBatch::new_empty(Arc::new(schema.clone()));
        let mut walk = Walk::new(self);
        let batch = walk.batch(&empty)?;
        if let Some(at) = walk.used.iter().position(|used| !used) {
            return Err(Error::Column {
                column: self.specs[at].0.to_string(),
                problem: "there is no such column".to_owned(),
            });
        }
        Ok(batch.schema().as_ref().clone())
    }

    /// Resolves the choices of one batch and adds to the report.
    ///
    /// # Errors
    /// When an action cannot be done to its column.
    pub fn resolve(&self, batch: &RecordBatch, report: &mut Report) -> Result<RecordBatch> {
        let mut walk = Walk::new(self);
        let resolved = walk.batch(batch)?;
        for (column, count) in walk.nulled {
            *report.nulled.entry(column).or_default() += count;
        }
        Ok(resolved)
    }
}

type Column = (Field, ArrayRef);

struct Walk<'a> {
    options: &'a ResolveChoice,
    used: Vec<bool>,
    nulled: BTreeMap<String, u64>,
}

impl<'a> Walk<'a> {
    fn new(options: &'a ResolveChoice) -> Self {
        Self {
            options,
            used: vec![false; options.specs.len()],
            nulled: BTreeMap::new(),
        }
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = batch.schema();
        let columns = self.columns(schema.fields(), batch.columns(), &FieldPath::root())?;
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options)
            .map_err(|source| arrow_error(source, &FieldPath::root()))
    }

    fn columns(
        &mut self,
        fields: &Fields,
        arrays: &[ArrayRef],
        path: &FieldPath,
    ) -> Result<Vec<Column>> {
        let mut columns: Vec<Column> = Vec::with_capacity(fields.len());
        for (field, array) in fields.iter().zip(arrays) {
            for column in self.column(field, array, &path.field(field.name()))? {
                if columns.iter().any(|(it, _)| it.name() == column.0.name()) {
                    return Err(column_error(
                        &path.field(column.0.name()),
                        "there would be two of it",
                    ));
                }
                columns.push(column);
            }
        }
        Ok(columns)
    }

    /// The action for a column, when there is one.
    fn action(&mut self, field: &Field, path: &FieldPath) -> Option<&'a Action> {
        let is_choice = alternatives(field).is_some();
        for (at, (spec, action)) in self.options.specs.iter().enumerate() {
            // Steps into lists may be left out of the path to a choice.
            let names = || spec.names().eq(path.names()) && *spec == spec.without_elements();
            if spec == path || (is_choice && names()) {
                self.used[at] = true;
                return Some(action);
            }
        }
        self.options.all.as_ref().filter(|_| is_choice)
    }

    fn column(&mut self, field: &Field, array: &ArrayRef, path: &FieldPath) -> Result<Vec<Column>> {
        let Some(action) = self.action(field, path) else {
            return Ok(vec![self.parts(field, array, path)?]);
        };
        let (matched, loss);
        let action = if *action == Action::MatchCatalog {
            matched = Action::Cast(self.catalog_type(path)?);
            loss = Loss::Nulls;
            &matched
        } else {
            loss = Loss::Rounds;
            action
        };
        if alternatives(field).is_none() {
            let Action::Cast(to) = action else {
                return Ok(vec![self.parts(field, array, path)?]);
            };
            let cast = cast(array, to, &path.to_string(), loss)?;
            self.count(path, cast.failed);
            // A cast may fail in a later batch, and the schema must not change then.
            let field = field.clone().with_data_type(to.clone()).with_nullable(true);
            return Ok(vec![(field, cast.array)]);
        }
        let mut metadata = field.metadata().clone();
        metadata.remove(CHOICE);
        let field = field.clone().with_metadata(metadata).with_nullable(true);
        let choice = array.as_struct();
        let resolved = match action {
            Action::Cast(to) => {
                let cast = cast_choice(choice, to, &path.to_string(), loss)?;
                self.count(path, cast.failed);
                vec![(field.with_data_type(to.clone()), cast.array)]
            }
            Action::Project(name) => vec![self.project(&field, choice, name, path)?],
            // What matches the catalog has become a cast.
            Action::MakeStruct | Action::MatchCatalog => vec![(field, Arc::clone(array))],
            Action::MakeCols => {
                let arrays = visible_columns(choice, &path.to_string())?;
                let column = |(child, array): (&Arc<Field>, ArrayRef)| {
                    let name = format!("{}_{}", field.name(), child.name());
                    (child.as_ref().clone().with_name(name), array)
                };
                choice.fields().iter().zip(arrays).map(column).collect()
            }
        };
        // What was inside the alternatives may hold choices of its own.
        resolved
            .into_iter()
            .map(|(field, array)| self.parts(&field, &array, path))
            .collect()
    }

    /// The type that a column has in the catalog.
    fn catalog_type(&self, path: &FieldPath) -> Result<DataType> {
        let Some(catalog) = &self.options.catalog else {
            return Err(column_error(path, "there is no table that it could match"));
        };
        type_at(catalog.fields(), path).ok_or_else(|| {
            column_error(
                path,
                "the table has no such column: say by an action of its own what it becomes",
            )
        })
    }

    fn project(
        &mut self,
        field: &Field,
        choice: &StructArray,
        name: &str,
        path: &FieldPath,
    ) -> Result<Column> {
        let children = choice.fields();
        let Some(at) = children.iter().position(|it| it.name() == name) else {
            let names: Vec<&str> = children.iter().map(|it| it.name().as_str()).collect();
            let problem = format!("is never a {name}, only {}", names.join(" or "));
            return Err(column_error(path, &problem));
        };
        let arrays = visible_columns(choice, &path.to_string())?;
        let others = arrays.iter().enumerate().filter(|(other, _)| *other != at);
        let left_out: usize = others
            .map(|(_, it)| it.len() - it.logical_null_count())
            .sum();
        self.count(path, left_out as u64);
        let data_type = children[at].data_type().clone();
        Ok((
            field.clone().with_data_type(data_type),
            Arc::clone(&arrays[at]),
        ))
    }

    fn count(&mut self, path: &FieldPath, count: u64) {
        if count > 0 {
            *self.nulled.entry(path.to_string()).or_default() += count;
        }
    }

    /// The column with the choices inside it resolved.
    fn parts(&mut self, field: &Field, array: &ArrayRef, path: &FieldPath) -> Result<Column> {
        let fail = |source| arrow_error(source, path);
        let array: ArrayRef = match field.data_type() {
            // A choice that stays, stays as it is.
            DataType::Struct(_) if alternatives(field).is_some() => Arc::clone(array),
            DataType::Struct(fields) => {
                let array = array.as_struct();
                let columns = self.columns(fields, array.columns(), path)?;
                let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
                let nulls = array.nulls().cloned();
                Arc::new(
                    StructArray::try_new_with_length(fields.into(), arrays, nulls, array.len())
                        .map_err(fail)?,
                )
            }
            DataType::List(element) => {
                let array = array.as_list::<i32>();
                let path = path.element();
                let (element, values) = self.single(element, array.values(), &path)?;
                let offsets = array.offsets().clone();
                let nulls = array.nulls().cloned();
                let list = ListArray::try_new(Arc::new(element), offsets, values, nulls);
                Arc::new(list.map_err(fail)?)
            }
            DataType::Map(entries, sorted) => {
                let array = array.as_map();
                let pairs: ArrayRef = Arc::new(array.entries().clone());
                let (entries, pairs) = self.parts(entries, &pairs, path)?;
                let map = MapArray::try_new(
                    Arc::new(entries),
                    array.offsets().clone(),
                    pairs.as_struct().clone(),
                    array.nulls().cloned(),
                    *sorted,
                );
                Arc::new(map.map_err(fail)?)
            }
            _ => Arc::clone(array),
        };
        Ok((
            field.clone().with_data_type(array.data_type().clone()),
            array,
        ))
    }

    /// A column that cannot become several.
    fn single(&mut self, field: &Field, array: &ArrayRef, path: &FieldPath) -> Result<Column> {
        let mut columns = self.column(field, array, path)?;
        match columns.pop() {
            Some(column) if columns.is_empty() => Ok(column),
            _ => Err(column_error(
                path,
                "elements of a list cannot become several columns: use `make_struct`",
            )),
        }
    }
}

/// The type of a column, found by name.
fn type_at(fields: &Fields, path: &FieldPath) -> Option<DataType> {
    let mut found = DataType::Struct(fields.clone());
    for step in path.steps() {
        found = match (step, found) {
            (Step::Element, DataType::List(element)) => element.data_type().clone(),
            (Step::Field(name), DataType::Struct(fields)) => {
                let mut exact = fields.iter().filter(|field| field.name() == name);
                let mut folded = fields
                    .iter()
                    .filter(|field| field.name().to_lowercase() == name.to_lowercase());
                let field = exact.next().or_else(|| folded.next())?;
                field.data_type().clone()
            }
            (Step::Field(_), DataType::Map(entries, _)) => match entries.data_type() {
                DataType::Struct(pair) => pair.get(1)?.data_type().clone(),
                _ => return None,
            },
            _ => return None,
        };
    }
    Some(found)
}

fn column_error(path: &FieldPath, problem: &str) -> Error {
    Error::Column {
        column: path.to_string(),
        problem: problem.to_owned(),
    }
}

fn arrow_error(source: arrow::error::ArrowError, path: &FieldPath) -> Error {
    Error::Arrow {
        column: path.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
