//! Schema evolution by name: a table's schema takes in what new rows have (Java's `UnionByNameVisitor`).
//!
//! Columns that are new are added as optional ones, with new ids, at any depth; types are widened where
//! Iceberg allows it (spec, "Schema Evolution"); a required column becomes optional where the rows may
//! lack it. Nothing is dropped, renamed, reordered or narrowed.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::arrow::arrow_schema_to_schema_auto_assign_ids;
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, Type,
};

use crate::{DataError, Result};

/// One change of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaChange {
    /// A column was added.
    Added {
        /// The column, dotted.
        column: String,
        /// Its type.
        of: Box<Type>,
    },
    /// A column's type was widened.
    Widened {
        /// The column, dotted.
        column: String,
        /// Its type before.
        from: PrimitiveType,
        /// Its type now.
        to: PrimitiveType,
    },
    /// A required column may be null now.
    MadeOptional {
        /// The column, dotted.
        column: String,
    },
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { column, of } => {
                write!(
                    f,
                    "column `{column}` added: {}",
                    calve_parquet::type_text(of)
                )
            }
            Self::Widened { column, from, to } => {
                write!(f, "column `{column}` widened from {from} to {to}")
            }
            Self::MadeOptional { column } => write!(f, "column `{column}` may be null now"),
        }
    }
}

/// The Iceberg schema of record batches, with ids from 1.
///
/// Columns of type null become text, which can take whatever comes later, and 8- and 16-bit integers
/// become `int`.
///
/// # Errors
/// When a column has a type that Iceberg does not have: unsigned 64 bits, seconds, intervals, ….
pub fn schema_of_rows(rows: &ArrowSchema) -> Result<Schema> {
    let fields: Fields = rows.fields().iter().map(|field| known(field)).collect();
    Ok(arrow_schema_to_schema_auto_assign_ids(&ArrowSchema::new(
        fields,
    ))?)
}

/// A field without what Iceberg has no word for.
fn known(field: &Field) -> Field {
    let nested = |fields: &Fields| -> Fields { fields.iter().map(|field| known(field)).collect() };
    let data_type = match field.data_type() {
        DataType::Null => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(nested(fields)),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(known(item).with_name("element")))
        }
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(known(entries)), *sorted),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable())
}

/// Takes the columns of `rows` into `table`. `last_column_id` is the highest id that the table ever gave.
///
/// # Errors
/// [`DataError::Type`] when a column has a type that the table's cannot be widened to.
pub fn evolve_schema(
    table: &Schema,
    last_column_id: i32,
    rows: &Schema,
) -> Result<(Schema, Vec<SchemaChange>)> {
    let mut evolution = Evolution {
        last_id: last_column_id,
        changes: Vec::new(),
    };
    let fields = evolution.fields("", table.as_struct().fields(), rows.as_struct().fields())?;
    let schema = Schema::builder()
        .with_schema_id(table.schema_id())
        .with_identifier_field_ids(table.identifier_field_ids())
        .with_fields(fields)
        .build()?;
    Ok((schema, evolution.changes))
}

struct Evolution {
    last_id: i32,
    changes: Vec<SchemaChange>,
}

impl Evolution {
    fn fields(
        &mut self,
        path: &str,
        table: &[NestedFieldRef],
        rows: &[NestedFieldRef],
    ) -> Result<Vec<NestedFieldRef>> {
        let mut fields = Vec::with_capacity(table.len());
        for field in table {
            let new = rows.iter().find(|new| new.name == field.name);
            fields.push(match new {
                Some(new) => self.field(path, field, new)?,
                None => self.without(path, field),
            });
        }
        for new in rows {
            if table.iter().all(|field| field.name != new.name) {
                let column = joined(path, &new.name);
                let of = self.with_new_ids(&new.field_type);
                self.changes.push(SchemaChange::Added {
                    column,
                    of: Box::new(of.clone()),
                });
                let id = self.next_id();
                fields.push(Arc::new(NestedField::optional(id, &new.name, of)));
            }
        }
        Ok(fields)
    }

    /// A field that the rows lack, so that it is null in them.
    fn without(&mut self, path: &str, field: &NestedFieldRef) -> NestedFieldRef {
        if !field.required {
            return Arc::clone(field);
        }
        self.made_optional(path, field)
    }

    fn made_optional(&mut self, path: &str, field: &NestedFieldRef) -> NestedFieldRef {
        self.changes.push(SchemaChange::MadeOptional {
            column: joined(path, &field.name),
        });
        let mut optional = field.as_ref().clone();
        optional.required = false;
        Arc::new(optional)
    }

    fn field(
        &mut self,
        path: &str,
        field: &NestedFieldRef,
        new: &NestedFieldRef,
    ) -> Result<NestedFieldRef> {
        let field = if field.required && !new.required {
            self.made_optional(path, field)
        } else {
            Arc::clone(field)
        };
        let column = joined(path, &field.name);
        let evolved = self.of(&column, &field.field_type, &new.field_type)?;
        if evolved == *field.field_type {
            return Ok(field);
        }
        let mut changed = field.as_ref().clone();
        changed.field_type = Box::new(evolved);
        Ok(Arc::new(changed))
    }

    fn of(&mut self, column: &str, table: &Type, rows: &Type) -> Result<Type> {
        Ok(match (table, rows) {
            (Type::Primitive(from), Type::Primitive(to)) => {
                Type::Primitive(self.primitive(column, from, to)?)
            }
            (Type::Struct(table), Type::Struct(rows)) => Type::Struct(StructType::new(
                self.fields(column, table.fields(), rows.fields())?,
            )),
            (Type::List(table), Type::List(rows)) => Type::List(ListType::new(self.field(
                column,
                &table.element_field,
                &rows.element_field,
            )?)),
            (Type::Map(table), Type::Map(rows)) => {
                // Keys are never optional, and what they are made of must not change.
                let value = self.field(column, &table.value_field, &rows.value_field)?;
                Type::Map(MapType::new(Arc::clone(&table.key_field), value))
            }
            _ => return Err(mismatch(column, table, rows).into()),
        })
    }

    /// The type that holds both, where Iceberg can get there from the table's.
    fn primitive(
        &mut self,
        column: &str,
        table: &PrimitiveType,
        rows: &PrimitiveType,
    ) -> Result<PrimitiveType> {
        use PrimitiveType as P;
        let to = match (table, rows) {
            (table, rows) if table == rows => return Ok(table.clone()),
            // What is narrower than the table's type is widened as it is written.
            (P::Long, P::Int) | (P::Double, P::Float) => return Ok(table.clone()),
            (P::Int, P::Long) | (P::Float, P::Double) => rows.clone(),
            (
                P::Decimal { precision, scale },
                P::Decimal {
                    precision: new_precision,
                    scale: new_scale,
                },
            ) if scale == new_scale => {
                if precision >= new_precision {
                    return Ok(table.clone());
                }
                rows.clone()
            }
            _ => {
                let (table, rows) = (
                    Type::Primitive(table.clone()),
                    Type::Primitive(rows.clone()),
                );
                return Err(mismatch(column, &table, &rows).into());
            }
        };
        self.changes.push(SchemaChange::Widened {
            column: column.to_owned(),
            from: table.clone(),
            to: to.clone(),
        });
        Ok(to)
    }

    fn next_id(&mut self) -> i32 {
        self.last_id += 1;
        self.last_id
    }

    fn with_new_ids(&mut self, of: &Type) -> Type {
        let mut optional = |field: &NestedFieldRef| {
            let of = self.with_new_ids(&field.field_type);
            let mut new = field.as_ref().clone();
            new.field_type = Box::new(of);
            new.id = self.next_id();
            Arc::new(new)
        };
        match of {
            Type::Primitive(_) => of.clone(),
            Type::Struct(of) => {
                Type::Struct(StructType::new(of.fields().iter().map(optional).collect()))
            }
            Type::List(of) => Type::List(ListType::new(optional(&of.element_field))),
            Type::Map(of) => {
                let key = optional(&of.key_field);
                Type::Map(MapType::new(key, optional(&of.value_field)))
            }
        }
    }
}

fn mismatch(column: &str, table: &Type, rows: &Type) -> DataError {
    DataError::Mismatch {
        column: column.to_owned(),
        found: calve_parquet::type_text(rows),
        expected: calve_parquet::type_text(table),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(fields: Vec<Field>) -> Schema {
        schema_of_rows(&ArrowSchema::new(fields)).unwrap()
    }

    fn point(fields: Vec<Field>) -> Field {
        Field::new("p", DataType::Struct(fields.into()), true)
    }

    #[track_caller]
    fn check(table: Vec<Field>, new: Vec<Field>, expected: Result<&[&str], &str>) {
        let table = rows(table);
        let got = evolve_schema(&table, table.highest_field_id(), &rows(new));
        let expected: Result<Vec<String>, String> = expected
            .map(|changes| changes.iter().map(|change| (*change).to_owned()).collect())
            .map_err(ToOwned::to_owned);
        let got = got
            .map(|(schema, changes)| {
                for field in table.as_struct().fields() {
                    let evolved = schema.field_by_id(field.id).expect("no field is lost");
                    assert_eq!(evolved.name, field.name);
                }
                changes.iter().map(ToString::to_string).collect::<Vec<_>>()
            })
            .map_err(|error| error.to_string());
        assert_eq!(got, expected);
    }

    #[test]
    fn schemas_grow_and_never_shrink() {
        let int = |name: &str| Field::new(name, DataType::Int32, true);
        let long = |name: &str| Field::new(name, DataType::Int64, true);
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        check(vec![int("a")], vec![int("a")], Ok(&[]));
        check(vec![int("a"), text("b")], vec![text("b")], Ok(&[]));
        check(vec![long("a")], vec![int("a")], Ok(&[]));
        check(
            vec![int("a")],
            vec![long("a"), text("b")],
            Ok(&[
                "column `a` widened from int to long",
                "column `b` added: string",
            ]),
        );
        check(
            vec![point(vec![int("x")])],
            vec![point(vec![int("x"), int("y")])],
            Ok(&["column `p.y` added: int"]),
        );
        check(
            vec![Field::new("a", DataType::Int32, false)],
            vec![text("b")],
            Ok(&["column `a` may be null now", "column `b` added: string"]),
        );
        check(
            vec![text("a")],
            vec![int("a")],
            Err("column `a`: int cannot be written into string"),
        );
        check(
            vec![int("p")],
            vec![point(vec![int("x")])],
            Err("column `p`: struct<x:int> cannot be written into int"),
        );
    }

    #[test]
    fn new_ids_follow_the_last_one() {
        let table = rows(vec![Field::new("a", DataType::Int32, true)]);
        let new = rows(vec![point(vec![Field::new("x", DataType::Int32, true)])]);
        let (schema, _) = evolve_schema(&table, 40, &new).unwrap();
        assert_eq!(schema.field_id_by_name("p.x"), Some(41));
        assert_eq!(schema.field_id_by_name("p"), Some(42));
    }
}
