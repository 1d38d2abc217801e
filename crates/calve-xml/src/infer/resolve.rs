//! From what was seen to a schema.

use std::collections::{HashMap, HashSet};
use std::fmt;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};

use crate::FieldPath;
use crate::options::XmlOptions;
use crate::schema::MAXIMUM_DEPTH;
use crate::schema::choice::{XML_NAME, choice_field};
use crate::schema::types::Typed;

use super::scalar::Scalar;
use super::shape::{self, Origin, Shape};

/// The deepest nesting of structs: each may be in a list, and a value is in the innermost.
const MOST_STRUCTS: usize = (MAXIMUM_DEPTH - 2) / 2;

/// What becomes of a column that holds values in some elements, and children in others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MixedTypes {
    /// A string, for elements with children their raw inner XML, as in Spark.
    #[default]
    RawXml,
    /// A struct, the values under the value tag.
    ValueTag,
}

/// Which columns with values of several types are [choices](crate::schema::choice).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choices {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those at these paths, in which steps into lists do not count.
    At(Vec<FieldPath>),
}

/// What becomes of columns that one type does not hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy<'a> {
    pub(super) mixed: MixedTypes,
    pub(super) choices: &'a Choices,
}

/// Something about an inferred schema that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "note")]
#[non_exhaustive]
pub enum Note {
    /// Another column has the name, or one that differs by case only, so that this one was called otherwise.
    Renamed {
        /// The column, dotted.
        column: String,
        /// Its name in the XML.
        xml_name: String,
    },
    /// Things of several kinds, or of several prefixes, have one name, and are one column.
    Merged {
        /// The column, dotted.
        column: String,
        /// What is in it, in words.
        of: String,
    },
    /// The column has values in some elements and children in others.
    MixedTypes {
        /// The column, dotted.
        column: String,
        /// Whether it is a string of raw XML; else a struct with the value tag.
        is_raw_xml: bool,
    },
    /// The column has children, but is nested too deep to have columns for them: it is a string of raw XML.
    TooDeep {
        /// The column, dotted.
        column: String,
    },
    /// Rows that are malformed, and do not count.
    BadRows {
        /// How many.
        rows: u64,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed { column, xml_name } => write!(
                f,
                "column `{column}` holds `{xml_name}`, since another column has its name, or one that differs by case only"
            ),
            Self::Merged { column, of } => write!(
                f,
                "column `{column}` holds {of}, which have one name: other options for prefixes or the value tag keep them apart"
            ),
            Self::MixedTypes {
                column,
                is_raw_xml: true,
            } => write!(
                f,
                "column `{column}` has values in some rows and children in others: it is a string, with children their raw XML"
            ),
            Self::MixedTypes { column, .. } => write!(
                f,
                "column `{column}` has values in some rows and children in others: values are under the value tag"
            ),
            Self::TooDeep { column } => write!(
                f,
                "column `{column}` is nested too deep for columns of its children: it is a string, their raw XML"
            ),
            Self::BadRows { rows } => write!(f, "{rows} malformed rows do not count"),
        }
    }
}

/// Makes the schema of a shape. What never had a value is of type null.
pub(super) fn resolve(
    shape: &Shape,
    options: &XmlOptions,
    policy: Policy<'_>,
    has_bad_rows: bool,
) -> (Schema, Vec<Note>) {
    let mut resolver = Resolver {
        shape,
        value_tag: &options.value_tag,
        policy,
        depth: 0,
        notes: Vec::new(),
    };
    let text = shape.node(Shape::ROOT).text;
    let corrupt = Corrupt {
        column: &options.corrupt_record_column,
        is_wanted: has_bad_rows,
    };
    let fields = resolver.fields(Shape::ROOT, text, Some(corrupt), "");
    let mut notes = resolver.notes;
    notes.sort_by_cached_key(ToString::to_string);
    (Schema::new(fields), notes)
}

/// Notes on the columns of a schema that are called otherwise than the elements in them.
pub fn renamed(schema: &Schema) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut levels = vec![(schema.fields(), String::new())];
    while let Some((fields, path)) = levels.pop() {
        for field in fields {
            let column = join(&path, field.name());
            if let Some(xml_name) = field.metadata().get(XML_NAME) {
                notes.push(Note::Renamed {
                    column: column.clone(),
                    xml_name: xml_name.clone(),
                });
            }
            let mut inner = field.data_type();
            while let DataType::List(element) = inner {
                inner = element.data_type();
            }
            if let DataType::Struct(children) = inner {
                levels.push((children, column));
            }
        }
    }
    notes.sort_by_cached_key(ToString::to_string);
    notes
}

/// The column for the text of bad rows.
#[derive(Debug, Clone, Copy)]
struct Corrupt<'a> {
    column: &'a str,
    is_wanted: bool,
}

struct Resolver<'s> {
    shape: &'s Shape,
    value_tag: &'s str,
    policy: Policy<'s>,
    /// How many structs are around.
    depth: usize,
    notes: Vec<Note>,
}

impl Resolver<'_> {
    /// The fields of a struct, by name. `text` is what else goes to the value tag.
    fn fields(
        &mut self,
        node: usize,
        text: Scalar,
        corrupt: Option<Corrupt<'_>>,
        path: &str,
    ) -> Fields {
        let mut seen: Vec<&shape::Field> = self.shape.node(node).fields.iter().collect();
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        let has_value_tag = seen.iter().any(|field| *field.name == *self.value_tag);
        let names: Vec<&str> = seen.iter().map(|field| &*field.name).collect();
        let adds_value_tag = text.has_values() && !has_value_tag;
        // Columns that the reader itself makes keep their names; one may be wanted in a later run.
        let is_taken = |corrupt: &Corrupt<'_>| corrupt.is_wanted || names.contains(&corrupt.column);
        let reserved: Vec<&str> = corrupt
            .filter(is_taken)
            .map(|corrupt| corrupt.column)
            .into_iter()
            .chain(adds_value_tag.then_some(self.value_tag))
            .collect();
        let columns = distinct(&names, &reserved);
        let mut fields: Vec<FieldRef> = Vec::with_capacity(seen.len() + reserved.len());
        for (field, column) in seen.iter().zip(&columns) {
            let path = join(path, column);
            let is_value = *field.name == *self.value_tag;
            let extra = if is_value { text } else { Scalar::default() };
            let mut typed = self.typed(field.node, extra, &path);
            if field.is_repeated {
                typed = typed.into_list(true).into();
            }
            let mut origin = field.origin;
            if is_value && text.has_values() {
                origin = origin.union(Origin::TEXT);
            }
            if let Some(of) = origin.told() {
                self.notes.push(Note::Merged {
                    column: path.clone(),
                    of: of.to_owned(),
                });
            }
            let mut made = typed.into_field(column, true);
            if **column != *field.name {
                let metadata = made.metadata_mut();
                metadata.insert(XML_NAME.to_owned(), field.name.to_string());
                self.notes.push(Note::Renamed {
                    column: path,
                    xml_name: field.name.to_string(),
                });
            }
            fields.push(made.into());
        }
        if let Some(corrupt) = corrupt.filter(|it| it.is_wanted) {
            fields.push(Field::new(corrupt.column, DataType::Utf8, true).into());
        }
        if adds_value_tag {
            let typed = self.values(text, &join(path, self.value_tag));
            fields.push(typed.into_field(self.value_tag, true).into());
        }
        fields.sort_by(|a, b| a.name().cmp(b.name()));
        fields.into()
    }

    /// Whether the column is a choice where one type does not hold its values.
    fn is_choice(&self, path: &str) -> bool {
        match self.policy.choices {
            Choices::None => false,
            Choices::All => true,
            Choices::At(paths) => paths.iter().any(|it| {
                let names: Vec<&str> = it.names().collect();
                names.join(".") == path
            }),
        }
    }

    /// The type of values.
    fn values(&self, text: Scalar, path: &str) -> Typed {
        let alternatives = text.alternatives();
        if alternatives.len() > 1 && self.is_choice(path) {
            return choice(&alternatives);
        }
        text.data_type().unwrap_or(DataType::Null).into()
    }

    fn typed(&mut self, node: usize, extra: Scalar, path: &str) -> Typed {
        let seen = self.shape.node(node);
        let text = seen.text.union(extra);
        if seen.fields.is_empty() {
            return self.values(text, path);
        }
        if self.depth == MOST_STRUCTS {
            self.notes.push(Note::TooDeep {
                column: path.to_owned(),
            });
            return DataType::Utf8.into();
        }
        if !text.has_values() {
            return self.structure(node, Scalar::default(), path).into();
        }
        // Values beside attributes or text between children have a place already: the value tag.
        let has_value_tag = seen
            .fields
            .iter()
            .any(|field| *field.name == *self.value_tag);
        let has_place = has_value_tag || seen.has_attributes;
        if !has_place && self.is_choice(path) {
            let mut alternatives = text.alternatives();
            alternatives.push(self.structure(node, Scalar::default(), path));
            return choice(&alternatives);
        }
        let is_struct = has_place || self.policy.mixed == MixedTypes::ValueTag;
        if !has_place {
            self.notes.push(Note::MixedTypes {
                column: path.to_owned(),
                is_raw_xml: !is_struct,
            });
        }
        if is_struct {
            self.structure(node, text, path).into()
        } else {
            DataType::Utf8.into()
        }
    }

    fn structure(&mut self, node: usize, text: Scalar, path: &str) -> DataType {
        self.depth += 1;
        let fields = self.fields(node, text, None, path);
        self.depth -= 1;
        DataType::Struct(fields)
    }
}

fn choice(alternatives: &[DataType]) -> Typed {
    let field = choice_field("", alternatives);
    Typed {
        data_type: field.data_type().clone(),
        metadata: field.metadata().clone(),
    }
}

fn join(path: &str, column: &str) -> String {
    if path.is_empty() {
        column.to_owned()
    } else {
        format!("{path}.{column}")
    }
}

/// Names that differ by more than case: the first by the order of bytes keeps its name, the others
/// get a number.
fn distinct(names: &[&str], reserved: &[&str]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for name in names.iter().chain(reserved) {
        *counts.entry(name.to_lowercase()).or_default() += 1;
    }
    let mut taken: HashSet<String> = reserved.iter().map(|name| name.to_lowercase()).collect();
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let folded = name.to_lowercase();
        if taken.insert(folded.clone()) {
            columns.push((*name).to_owned());
            continue;
        }
        let free = (2..usize::MAX)
            .map(|number| format!("{name}_{number}"))
            .find(|candidate| {
                let folded = candidate.to_lowercase();
                !counts.contains_key(&folded) && !taken.contains(&folded)
            });
        let column = free.expect("there are more numbers than names");
        taken.insert(column.to_lowercase());
        columns.push(column);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_by_case_get_numbers() {
        for (names, reserved, expected) in [
            (&["a", "b"][..], &[][..], &["a", "b"][..]),
            (&["A", "a"], &[], &["A", "a_2"]),
            (&["A", "a", "a_2"], &[], &["A", "a_3", "a_2"]),
            (&["FOO", "Foo", "foo"], &[], &["FOO", "Foo_2", "foo_3"]),
            (&["_value"], &["_VALUE"], &["_value_2"]),
        ] {
            assert_eq!(distinct(names, reserved), expected);
        }
    }
}
