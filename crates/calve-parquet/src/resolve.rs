//! Which column of a file is which field of a table.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, HashSet};

use iceberg::spec::{FormatVersion, NestedFieldRef, PrimitiveType, Schema, Type};

use crate::error::{Error, Result};
use crate::name_mapping::{MappedField, NameMapping, children};
use crate::policy::same_name;
use crate::schema::{FileField, FileSchema, FileType, IdCoverage, Physical};
use crate::types::{is_unreadable, reads_as, type_text};

/// How a file's columns map to a table's fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnMapping {
    /// For each leaf column of the file, by its index: the field it is, or `None` where the table has no such field.
    pub leaves: Vec<Option<LeafMapping>>,
    /// For every field id of the table (at any depth) that the file has: the path of names in the file
    /// (`element`, `key`, `value` inside lists and maps, whatever the file says).
    pub file_paths: HashMap<i32, Vec<String>>,
    /// The fields that the file has, as a tree: the top-level columns in the table's order.
    pub root: Vec<FieldMapping>,
    /// The fields of the table that the file lacks, outermost only (not the fields inside a missing struct), in the table's order.
    pub missing: Vec<i32>,
    /// The paths of columns of the file that the table lacks, outermost only, in the file's order.
    pub extra: Vec<String>,
    /// The fields that the table requires and the file may leave null: add the file only if its null counts say that it does not.
    pub unproven: Vec<UnprovenField>,
}

/// A field of the table in a file, with the fields inside it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldMapping {
    /// The field's id in the table.
    pub field_id: i32,
    /// Its place among the file's columns, or among the fields of the file's struct around it
    /// (an element is 0; a key is 0 and a value is 1).
    pub file_index: usize,
    /// Its name in the file.
    pub file_name: String,
    /// The index of the leaf column, for a primitive.
    pub leaf: Option<usize>,
    /// The fields inside it that the file has, in the table's order.
    pub children: Vec<Self>,
}

/// A leaf column of a file that is a field of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafMapping {
    /// The field's id in the table.
    pub field_id: i32,
    /// The field's type in the table (may be wider than the file's).
    pub table_type: PrimitiveType,
    /// The type the file's own schema says, before promotion.
    pub file_type: PrimitiveType,
    /// How the file stores it.
    pub physical: Physical,
    /// Whether it lies inside a list or a map (no bounds then, as in Java).
    pub repeated: bool,
}

/// A field that the table requires and the file's schema does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnprovenField {
    /// The field's id in the table.
    pub field_id: i32,
    /// The path of the field in the table.
    pub column: String,
    /// The leaf columns in it. The field is never null if any one of them has no nulls at all, by the
    /// null counts of all row groups.
    pub leaves: Vec<usize>,
}

/// Resolves a file against a table: by field ids where the file has them (all or none, and they must
/// agree with the table), by the name mapping otherwise, by the schema's own names without one.
///
/// # Errors
/// When a column's type cannot be read as the table's (int → long, float → double and wider decimals can),
/// when ids contradict, when two columns of the file are one field, or when the table requires a column
/// that the file lacks. Columns that the table lacks are no error, but listed.
pub fn resolve(
    file: &FileSchema,
    table: &Schema,
    mapping: Option<&NameMapping>,
) -> Result<ColumnMapping> {
    resolve_with(file, table, mapping, &[])
}

/// Like [`resolve`], where the values of some columns do not come from files (identity partition
/// columns): they may be missing though the table requires them, and files do not have to prove them.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_with(
    file: &FileSchema,
    table: &Schema,
    mapping: Option<&NameMapping>,
    path_fields: &[i32],
) -> Result<ColumnMapping> {
    let coverage = file.id_coverage();
    if coverage == IdCoverage::Some {
        return Err(Error::FieldIds {
            column: String::new(),
            problem: "some columns of the file have field ids and some have none".into(),
        });
    }
    let mut resolver = Resolver {
        by_id: coverage == IdCoverage::All,
        version: file.format_version,
        table,
        path_fields: path_fields.iter().copied().collect(),
        path: Vec::new(),
        file_path: Vec::new(),
        repeated: false,
        result: ColumnMapping {
            leaves: vec![None; file.leaf_count],
            ..ColumnMapping::default()
        },
    };
    let names = mapping.map(|mapping| mapping.fields.as_slice());
    let columns: Vec<&FileField> = file.fields.iter().collect();
    resolver.result.root = resolver.fields(&columns, table.as_struct().fields(), names)?;
    Ok(resolver.result)
}

struct Resolver<'a> {
    by_id: bool,
    version: FormatVersion,
    table: &'a Schema,
    path_fields: HashSet<i32>,
    /// Where we are, in the table's names.
    path: Vec<String>,
    /// Where we are, in the file's names.
    file_path: Vec<String>,
    repeated: bool,
    result: ColumnMapping,
}

impl Resolver<'_> {
    /// The fields of one level. `names`: the mapping of this level; `None` without a name mapping.
    fn fields(
        &mut self,
        file: &[&FileField],
        table: &[NestedFieldRef],
        names: Option<&[MappedField]>,
    ) -> Result<Vec<FieldMapping>> {
        let mut found: HashMap<i32, (usize, &FileField)> = HashMap::new();
        for (index, field) in file.iter().enumerate() {
            let Some(id) = self.id_of(field, table, names)? else {
                self.result.extra.push(self.file_column(&field.name));
                continue;
            };
            if let Some((_, first)) = found.insert(id, (index, field)) {
                return Err(Error::SameField {
                    column: self.table_column(id),
                    first: self.file_column(&first.name),
                    second: self.file_column(&field.name),
                });
            }
        }
        let mut mapped = Vec::with_capacity(found.len());
        for field in table {
            if let Some((index, file_field)) = found.get(&field.id) {
                let inner = inner_names(names, field.id);
                mapped.push(self.field(*index, file_field, field, inner)?);
            } else {
                self.missing(field)?;
            }
        }
        Ok(mapped)
    }

    /// The field of the table that a column of the file is.
    fn id_of(
        &self,
        field: &FileField,
        table: &[NestedFieldRef],
        names: Option<&[MappedField]>,
    ) -> Result<Option<i32>> {
        if self.by_id {
            return self.trusted_id(field, table, names);
        }
        let Some(names) = names else {
            let same = table.iter().find(|known| known.name == field.name);
            return Ok(same.map(|known| known.id));
        };
        let mapped = names
            .iter()
            .find(|mapped| mapped.names.contains(&field.name));
        Ok(mapped
            .and_then(|mapped| mapped.field_id)
            .filter(|id| table.iter().any(|known| known.id == *id)))
    }

    /// The field by its id in the file, which must not contradict its name.
    fn trusted_id(
        &self,
        field: &FileField,
        table: &[NestedFieldRef],
        names: Option<&[MappedField]>,
    ) -> Result<Option<i32>> {
        let spelled = |known: &NestedFieldRef| {
            same_name(&known.name, &field.name)
                || names.is_some_and(|names| {
                    names.iter().any(|mapped| {
                        mapped.field_id == Some(known.id) && mapped.names.contains(&field.name)
                    })
                })
        };
        let by_id = table.iter().find(|known| Some(known.id) == field.field_id);
        let contradiction = match by_id {
            Some(known) if spelled(known) => return Ok(Some(known.id)),
            Some(known) => format!("its field id is that of column `{}`", known.name),
            None => match table.iter().find(|known| spelled(known)) {
                Some(known) => format!("its field id is {} in the table", known.id),
                None => return Ok(None),
            },
        };
        let id = field.field_id.unwrap_or_default();
        Err(Error::FieldIds {
            column: self.file_column(&field.name),
            problem: format!("the file gives it field id {id}, but {contradiction}"),
        })
    }

    fn missing(&mut self, field: &NestedFieldRef) -> Result<()> {
        let from_path = self.path_fields.contains(&field.id);
        if field.required && field.initial_default.is_none() && !from_path {
            return Err(Error::MissingRequired {
                column: self.table_column(field.id),
            });
        }
        self.result.missing.push(field.id);
        Ok(())
    }

    fn field(
        &mut self,
        index: usize,
        file: &FileField,
        table: &NestedFieldRef,
        names: Option<&[MappedField]>,
    ) -> Result<FieldMapping> {
        self.path.push(table.name.clone());
        self.file_path.push(file.name.clone());
        self.result
            .file_paths
            .insert(table.id, self.file_path.clone());
        if table.required && !file.required && !self.path_fields.contains(&table.id) {
            self.result.unproven.push(UnprovenField {
                field_id: table.id,
                column: self.path.join("."),
                leaves: leaves(file),
            });
        }
        let (leaf, inner) = self.kind(file, table, names)?;
        self.path.pop();
        self.file_path.pop();
        Ok(FieldMapping {
            field_id: table.id,
            file_index: index,
            file_name: file.name.clone(),
            leaf,
            children: inner,
        })
    }

    fn kind(
        &mut self,
        file: &FileField,
        table: &NestedFieldRef,
        names: Option<&[MappedField]>,
    ) -> Result<(Option<usize>, Vec<FieldMapping>)> {
        let table_type = table.field_type.as_ref();
        match (&file.kind, table_type) {
            (
                FileType::Primitive {
                    iceberg,
                    physical,
                    leaf,
                },
                Type::Primitive(primitive),
            ) => {
                if is_unreadable(iceberg, *physical) {
                    return Err(Error::Unreadable {
                        column: self.path.join("."),
                    });
                }
                if !reads_as(iceberg, *physical, primitive, self.version) {
                    return Err(self.conflict(file, table_type));
                }
                self.result.leaves[*leaf] = Some(LeafMapping {
                    field_id: table.id,
                    table_type: primitive.clone(),
                    file_type: iceberg.clone(),
                    physical: *physical,
                    repeated: self.repeated,
                });
                Ok((Some(*leaf), Vec::new()))
            }
            (FileType::Struct(_), Type::Struct(_)) => {
                let mapped = self.fields(&file.kind.children(), &children(table_type), names)?;
                Ok((None, mapped))
            }
            (FileType::List(_), Type::List(_)) | (FileType::Map(..), Type::Map(_)) => {
                Ok((None, self.repeated(file, table_type, names)?))
            }
            _ => Err(self.conflict(file, table_type)),
        }
    }

    /// An element, or a key and a value: they are matched by what they are, not by name.
    fn repeated(
        &mut self,
        file: &FileField,
        table: &Type,
        names: Option<&[MappedField]>,
    ) -> Result<Vec<FieldMapping>> {
        let outer = std::mem::replace(&mut self.repeated, true);
        let mut mapped = Vec::new();
        for (index, (inner, field)) in file
            .kind
            .children()
            .into_iter()
            .zip(children(table))
            .enumerate()
        {
            if let Some(id) = inner.field_id.filter(|id| self.by_id && *id != field.id) {
                return Err(Error::FieldIds {
                    column: self.file_column(&inner.name),
                    problem: format!(
                        "the file gives it field id {id}, but it is {} in the table",
                        field.id
                    ),
                });
            }
            mapped.push(self.field(index, inner, &field, inner_names(names, field.id))?);
        }
        self.repeated = outer;
        Ok(mapped)
    }

    fn conflict(&self, file: &FileField, table: &Type) -> Error {
        Error::TypeConflict {
            column: self.path.join("."),
            file_type: file.kind.to_string(),
            table_type: type_text(table),
        }
    }

    fn table_column(&self, field_id: i32) -> String {
        self.table
            .name_by_field_id(field_id)
            .unwrap_or_default()
            .to_owned()
    }

    fn file_column(&self, name: &str) -> String {
        let mut path = self.file_path.clone();
        path.push(name.to_owned());
        path.join(".")
    }
}

/// The mapping of the fields inside a field. Where the mapping does not know the field, nothing inside has a name.
fn inner_names(names: Option<&[MappedField]>, field_id: i32) -> Option<&[MappedField]> {
    names.map(|names| {
        names
            .iter()
            .find(|mapped| mapped.field_id == Some(field_id))
            .map_or(&[][..], |mapped| mapped.fields.as_slice())
    })
}

fn leaves(field: &FileField) -> Vec<usize> {
    match &field.kind {
        FileType::Primitive { leaf, .. } => vec![*leaf],
        kind => kind.children().into_iter().flat_map(leaves).collect(),
    }
}
