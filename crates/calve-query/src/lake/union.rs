//! The columns of a lake's files, united; those that cannot be read are set apart, with the reason.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::Location;
use calve_lake::PartitionKey;
use calve_parquet::{
    Error as SchemaError, FileField, FileSchema, FileType, NameMapping, Physical, SchemaUnion,
};
use iceberg::spec::Schema;

use crate::{Error, Result};

/// Unites the schemas of files. A column that one of them holds in a form that cannot be read, or that
/// contradicts the other files, does not stand in the way of the other columns: it becomes unusable.
#[derive(Debug)]
pub(super) struct ColumnUnion {
    union: SchemaUnion,
    /// The names of columns whose values come from paths, whatever the files hold.
    keys: Vec<String>,
    /// By the name in the file that made it unusable.
    unusable: HashMap<String, Unusable>,
}

/// Why no query may use a column.
#[derive(Debug, Clone)]
pub(super) struct Unusable {
    /// The first file that holds it so.
    location: Location,
    source: Arc<SchemaError>,
}

impl Unusable {
    pub(super) fn error(&self) -> Error {
        Error::Schema {
            location: self.location.clone(),
            source: Arc::clone(&self.source),
        }
    }
}

impl ColumnUnion {
    /// Starts from a union that knows the lake's partition keys.
    pub(super) fn new(union: SchemaUnion, keys: &[PartitionKey]) -> Self {
        Self {
            union,
            keys: keys.iter().map(|key| key.name.clone()).collect(),
            unusable: HashMap::new(),
        }
    }

    /// Takes in the schema of a file.
    ///
    /// # Errors
    /// When something is wrong with the file's schema as a whole.
    pub(super) fn absorb(&mut self, file: &Arc<FileSchema>, location: &Location) -> Result<()> {
        let mut file = Arc::clone(file);
        // Each round sets one column apart, for good at its second time.
        let mut replaced = vec![false; file.fields.len()];
        loop {
            let error = match self.union.absorb(&file) {
                Ok(_) => return Ok(()),
                Err(error) => Arc::new(error),
            };
            let Some(index) = culprit(&error, &file.fields) else {
                return Err(Error::Schema {
                    location: location.clone(),
                    source: error,
                });
            };
            let schema = Arc::make_mut(&mut file);
            let name = schema.fields[index].name.clone();
            let is_same = |key: &String| is_same_name(key, &name);
            let is_key = self.keys.iter().any(is_same);
            if is_key || replaced[index] || matches!(*error, SchemaError::SameField { .. }) {
                schema.fields.remove(index);
                replaced.remove(index);
            } else {
                schema.fields[index].kind = stand_in(&schema.fields[index].kind);
                replaced[index] = true;
            }
            if !is_key {
                self.unusable.entry(name).or_insert_with(|| Unusable {
                    location: location.clone(),
                    source: error,
                });
            }
        }
    }

    /// All columns, their names in files, and which of them are unusable, by their names in the schema.
    ///
    /// # Errors
    /// When the columns make no valid schema; then it is the error of the lake's `root`.
    pub(super) fn finish(
        self,
        root: &Location,
    ) -> Result<(Schema, NameMapping, HashMap<String, Unusable>)> {
        let schema = self.union.schema().map_err(|source| Error::Schema {
            location: root.clone(),
            source: Arc::new(source),
        })?;
        let mapping = self.union.name_mapping();
        let mut unusable = HashMap::new();
        for (name, why) in self.unusable {
            let fields = schema.as_struct().fields().iter();
            let mut alike: Vec<&str> = fields
                .map(|field| field.name.as_str())
                .filter(|field| is_same_name(field, &name))
                .collect();
            if alike.contains(&name.as_str()) {
                alike = vec![&name];
            }
            for field in alike {
                unusable.insert(field.to_owned(), why.clone());
            }
        }
        Ok((schema, mapping, unusable))
    }
}

/// The top-level column of a file that an error is about: of two that are one, the second.
fn culprit(error: &SchemaError, fields: &[FileField]) -> Option<usize> {
    let path = match error {
        SchemaError::SameField { second, .. } => second,
        other => other.column()?,
    };
    let begins = |field: &FileField, exactly: bool| {
        let Some((head, rest)) = path.split_at_checked(field.name.len()) else {
            return false;
        };
        let is_it = if exactly {
            head == field.name
        } else {
            is_same_name(head, &field.name)
        };
        is_it && (rest.is_empty() || rest.starts_with('.'))
    };
    // Of `a` and `a.b`, the longer name is meant; a name as it is written goes before one in another case.
    [true, false].into_iter().find_map(|exactly| {
        let fields = fields.iter().enumerate();
        let fitting = fields.filter(|(_, field)| begins(field, exactly));
        let longest = fitting.max_by_key(|(_, field)| field.name.len());
        longest.map(|(index, _)| index)
    })
}

/// A type for the schema in the place of one that cannot be read: the same shape, of the nearest types.
fn stand_in(kind: &FileType) -> FileType {
    let inside = |field: &FileField| FileField {
        kind: stand_in(&field.kind),
        ..field.clone()
    };
    match kind {
        FileType::Primitive { iceberg, leaf, .. } => FileType::Primitive {
            iceberg: iceberg.clone(),
            physical: Physical::Plain,
            leaf: *leaf,
        },
        FileType::Struct(fields) => FileType::Struct(fields.iter().map(inside).collect()),
        FileType::List(element) => FileType::List(Box::new(inside(element))),
        FileType::Map(key, value) => FileType::Map(Box::new(inside(key)), Box::new(inside(value))),
    }
}

fn is_same_name(left: &str, right: &str) -> bool {
    left == right || left.to_lowercase() == right.to_lowercase()
}
