//! `ApplyMapping`: columns renamed, cast, dropped and nested anew, as Glue's console writes it down.
//!
//! A mapping is a list of tuples (source, source type, target, target type). Sources and targets are
//! paths: `address.city`, with backticks around names with dots. Columns that no tuple names are dropped;
//! target columns stand in the order of the tuples. Read are
//!
//! - lists: `["year", "long", "made", "int"]`, or `["year", "made"]`, which keeps the type,
//! - objects: `{"source": "year", "sourceType": "long", "target": "made", "targetType": "int"}`,
//! - Glue's own `Mapping` objects: `{"FromPath": ["year"], "ToKey": "made", "ToType": "int"}`, with
//!   `Dropped`, and all of them below `"Mapping"`.
//!
//! A source is the name of an element or attribute, or that of its column where clashes of names made another of it; case
//! counts only where it tells columns apart.
//!
//! The source type is what the console believed of the column. It is not held against scalars, which are
//! cast from what they are; a tuple that takes a struct for a scalar is refused. A target type without
//! parts (`array`, `struct`, `map`) keeps the column as it is.

mod parse;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use crate::cast::{Loss, cast, cast_choice, visible_columns};
use crate::field_path::Step;
use crate::schema::choice::{CHOICE, XML_NAME, alternatives, type_name};
use crate::schema::evolve::find_by_name;
use crate::schema::types::Typed;
use crate::{Error, FieldPath, Result};
use tree::Node;

/// One tuple of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    source: FieldPath,
    /// `struct`, `array`, `map` or none of them; nothing when the tuple does not say.
    source_kind: Option<Kind>,
    target: FieldPath,
    /// Nothing when the column keeps its type.
    target_type: Option<Typed>,
}

/// What a type looks like from far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scalar,
    Struct,
    Array,
    Map,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Struct(_) => Self::Struct,
            DataType::List(_) => Self::Array,
            DataType::Map(..) => Self::Map,
            _ => Self::Scalar,
        }
    }
}

/// What mapping did.
#[derive(Debug, Default, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Values that became null because the target's type does not hold them, by target column.
    pub nulled: BTreeMap<String, u64>,
    /// Sources that the schema lacks, whose targets are all null.
    pub missing: Vec<String>,
}

/// Maps the columns of record batches.
#[derive(Debug, Clone)]
pub struct Mapping {
    entries: Vec<Entry>,
    missing_as_null: bool,
    /// Whether sources are called as their columns are, and not as the elements in them.
    by_column: bool,
    loss: Loss,
}

impl Mapping {
    /// Reads a mapping from JSON.
    ///
    /// # Errors
    /// When the text is no mapping, or names a target twice.
    pub fn from_json(text: &str) -> Result<Self> {
        let entries = parse::entries(text)?;
        for (at, entry) in entries.iter().enumerate() {
            let names = folded(&entry.target);
            // One target inside another would be two columns of one name; and engines do not tell names apart that
            // differ by case only.
            let clash = entries[..at].iter().find(|other| {
                let others = folded(&other.target);
                let shared = names.len().min(others.len());
                names[..shared] == others[..shared]
            });
            if let Some(other) = clash {
                let mut problem = format!("the target `{}` is set before", other.target);
                let shared = entry.target.steps().iter().zip(other.target.steps());
                if shared.into_iter().any(|(mine, theirs)| mine != theirs) {
                    problem.push_str(" (case does not count)");
                }
                return Err(parse::error(at, problem));
            }
        }
        Ok(Self {
            entries,
            missing_as_null: false,
            by_column: false,
            loss: Loss::Rounds,
        })
    }

    /// Sets whether a source that the schema lacks makes a column of nulls, for data that does not always
    /// have it; the target type must be given then. Without, it is an error.
    #[must_use]
    pub fn with_missing_as_null(mut self, missing_as_null: bool) -> Self {
        self.missing_as_null = missing_as_null;
        self
    }

    /// Gives columns the names, the order and the types of a schema. What the source lacks is null; what
    /// the schema lacks is dropped. Numbers are not rounded: what a type does not hold is null, and counted.
    pub fn to_schema(schema: &Schema) -> Self {
        let entry = |field: &FieldRef| Entry {
            source: FieldPath::root().field(field.name()),
            source_kind: None,
            target: FieldPath::root().field(field.name()),
            target_type: Some(Typed {
                data_type: field.data_type().clone(),
                metadata: field.metadata().clone(),
            }),
        };
        Self {
            entries: schema.fields().iter().map(entry).collect(),
            missing_as_null: true,
            by_column: true,
            loss: Loss::Nulls,
        }
    }

    /// The schema by which rows are read that are mapped then, where their own was inferred: values that become text
    /// or decimals are read as text, so that `007` and `1.50` stay what they are, and digits that a double does not
    /// hold are not lost.
    #[must_use]
    pub fn with_text(&self, schema: &Schema) -> Schema {
        let texts = self.entries.iter().filter(|entry| {
            let target = entry.target_type.as_ref();
            target
                .is_some_and(|it| matches!(it.data_type, DataType::Utf8 | DataType::Decimal128(..)))
        });
        let mut fields = schema.fields().clone();
        for entry in texts {
            let names: Vec<&str> = entry.source.names().collect();
            if entry.source == entry.source.without_elements() {
                fields = self.as_text(&fields, &names);
            }
        }
        Schema::new_with_metadata(fields, schema.metadata().clone())
    }

    fn as_text(&self, fields: &Fields, names: &[&str]) -> Fields {
        let Some((name, rest)) = names.split_first() else {
            return fields.clone();
        };
        let Some(at) = self.position(fields, name) else {
            return fields.clone();
        };
        let mut fields: Vec<FieldRef> = fields.iter().cloned().collect();
        let field = fields[at].as_ref().clone();
        let data_type = match field.data_type() {
            DataType::Struct(children) if !rest.is_empty() => {
                DataType::Struct(self.as_text(children, rest))
            }
            scalar if rest.is_empty() && !scalar.is_nested() => DataType::Utf8,
            other => other.clone(),
        };
        fields[at] = Arc::new(field.with_data_type(data_type));
        fields.into()
    }

    /// Keeps a column that no tuple takes as it is, behind the others.
    #[must_use]
    pub fn with_kept(mut self, column: &str) -> Self {
        let path = FieldPath::root().field(column);
        if self.entries.iter().all(|entry| entry.source != path) {
            self.entries.push(Entry {
                source: path.clone(),
                source_kind: None,
                target: path,
                target_type: None,
            });
        }
        self
    }

    /// The tuples.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The schema of what [`Self::apply`] gives.
    ///
    /// # Errors
    /// When a source is missing or cannot become its target's type.
    pub fn plan(&self, schema: &Schema) -> Result<Schema> {
        let empty = RecordBatch::new_empty(Arc::new(schema.clone()));
        let mapped = self.apply(&empty, &mut Report::default())?;
        Ok(mapped.schema().as_ref().clone())
    }

    /// Maps the columns of one batch and adds to the report.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn apply(&self, batch: &RecordBatch, report: &mut Report) -> Result<RecordBatch> {
        let mut root = Node::default();
        for entry in &self.entries {
            let (field, array) = self.source(batch, entry, report)?;
            let (field, array) = convert((entry, self.loss), &field, array, report)?;
            let names: Vec<&str> = entry.target.names().collect();
            root.insert(&names, field, array);
        }
        let (fields, arrays) = root.into_columns(batch.num_rows())?;
        let schema = Schema::new_with_metadata(fields, batch.schema().metadata().clone());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options).map_err(|source| {
            Error::Arrow {
                column: String::new(),
                source,
            }
        })
    }

    /// The column a tuple takes.
    fn source(
        &self,
        batch: &RecordBatch,
        entry: &Entry,
        report: &mut Report,
    ) -> Result<(FieldRef, ArrayRef)> {
        let fail = |problem: &str| Error::Column {
            column: entry.source.to_string(),
            problem: problem.to_owned(),
        };
        let schema = batch.schema();
        let mut fields = schema.fields().clone();
        let mut arrays = batch.columns().to_vec();
        let mut found: Option<(FieldRef, ArrayRef)> = None;
        for step in entry.source.steps() {
            let Step::Field(name) = step else {
                return Err(fail(
                    "a mapping cannot reach into lists: relationalize them",
                ));
            };
            if let Some((field, array)) = &found {
                match field.data_type() {
                    DataType::Struct(children) => {
                        arrays = visible_columns(array.as_struct(), name)?;
                        fields = children.clone();
                    }
                    DataType::List(_) => {
                        return Err(fail(
                            "a mapping cannot reach into lists: relationalize them",
                        ));
                    }
                    other => {
                        return Err(fail(&format!("leads through a column of type `{other}`")));
                    }
                }
            }
            // What lies in a struct that may be null may be null.
            let inherited = found
                .as_ref()
                .is_some_and(|(parent, _)| parent.is_nullable());
            let Some(at) = self.position(&fields, name) else {
                return self.missing(entry, batch.num_rows(), report);
            };
            let nullable = inherited || fields[at].is_nullable();
            let field = fields[at].as_ref().clone().with_nullable(nullable);
            found = Some((Arc::new(field), Arc::clone(&arrays[at])));
        }
        found.ok_or_else(|| fail("names no column"))
    }

    /// The column of a name: the one that holds the element of that name, whatever it is called; else the one
    /// that is called so; else one whose name differs by case only.
    fn position(&self, fields: &Fields, name: &str) -> Option<usize> {
        let holds = |it: &FieldRef| it.metadata().get(XML_NAME).unwrap_or(it.name()) == name;
        let by_element = fields.iter().position(holds).filter(|_| !self.by_column);
        by_element.or_else(|| {
            let found = find_by_name(fields, name)?;
            // What another tuple names is not meant by this one.
            let named = found.metadata().get(XML_NAME).unwrap_or(found.name());
            let others = || self.entries.iter().flat_map(|entry| entry.source.names());
            let is_taken = named != name && !self.by_column && others().any(|it| it == named);
            let is_it = |it: &FieldRef| it.name() == found.name() && !is_taken;
            fields.iter().position(is_it)
        })
    }

    fn missing(
        &self,
        entry: &Entry,
        rows: usize,
        report: &mut Report,
    ) -> Result<(FieldRef, ArrayRef)> {
        let column = entry.source.to_string();
        let target = entry.target_type.as_ref().filter(|_| self.missing_as_null);
        let Some(target) = target else {
            return Err(Error::Column {
                column,
                problem: "there is no such column to map".to_owned(),
            });
        };
        if !report.missing.contains(&column) {
            report.missing.push(column);
        }
        let array = new_null_array(&target.data_type, rows);
        let field = Field::new("", target.data_type.clone(), true);
        Ok((Arc::new(field), array))
    }
}

/// The names of a path, in lower case.
fn folded(path: &FieldPath) -> Vec<String> {
    path.names().map(str::to_lowercase).collect()
}

/// The column in its target's type.
fn convert(
    (entry, loss): (&Entry, Loss),
    field: &FieldRef,
    array: ArrayRef,
    report: &mut Report,
) -> Result<(Field, ArrayRef)> {
    let source = entry.source.to_string();
    let is_choice = alternatives(field).is_some();
    let kind = Kind::of(field.data_type());
    let differs = entry.source_kind.is_some_and(|it| it != kind);
    if differs && !is_choice && !matches!(field.data_type(), DataType::Null) {
        let found = type_name(field.data_type());
        return Err(Error::Column {
            column: source,
            problem: format!("is of type {found}, which the mapping does not expect"),
        });
    }
    let mut metadata = field.metadata().clone();
    // The name in the document belongs to the column as it was read.
    metadata.remove(XML_NAME);
    let Some(target) = &entry.target_type else {
        let field = field.as_ref().clone().with_metadata(metadata);
        return Ok((field, array));
    };
    metadata.remove(CHOICE);
    metadata.extend(target.metadata.clone());
    let cast = if is_choice {
        cast_choice(array.as_struct(), &target.data_type, &source, loss)?
    } else {
        cast(&array, &target.data_type, &source, loss)?
    };
    if cast.failed > 0 {
        *report.nulled.entry(entry.target.to_string()).or_default() += cast.failed;
    }
    // Only a column that stays as it is is known to have no nulls in any batch.
    let nullable = field.is_nullable() || *field.data_type() != target.data_type;
    let field = Field::new("", target.data_type.clone(), nullable).with_metadata(metadata);
    Ok((field, cast.array))
}

#[cfg(test)]
mod tests;
