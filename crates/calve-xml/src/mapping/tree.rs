//! Target columns on their way into structs.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};

use crate::{Error, Result};

/// Columns and structs of columns, in the order in which they were first named.
#[derive(Default)]
pub(super) struct Node {
    children: Vec<(String, Child)>,
}

enum Child {
    Column(Field, ArrayRef),
    Struct(Node),
}

impl Node {
    /// Puts a column at a path of names, which no other column has.
    pub(super) fn insert(&mut self, names: &[&str], field: Field, array: ArrayRef) {
        let Some((name, rest)) = names.split_first() else {
            return;
        };
        if rest.is_empty() {
            let column = Child::Column(field.with_name(*name), array);
            self.children.push(((*name).to_owned(), column));
            return;
        }
        let at = self.children.iter().position(|(it, _)| it == name);
        let at = at.unwrap_or_else(|| {
            self.children
                .push(((*name).to_owned(), Child::Struct(Self::default())));
            self.children.len() - 1
        });
        if let Child::Struct(node) = &mut self.children[at].1 {
            node.insert(rest, field, array);
        }
    }

    /// The columns, structs put together. A struct is null where all that was mapped into it is.
    pub(super) fn into_columns(self, rows: usize) -> Result<(Vec<Field>, Vec<ArrayRef>)> {
        self.children
            .into_iter()
            .map(|(name, child)| match child {
                Child::Column(field, array) => Ok((field, array)),
                Child::Struct(node) => {
                    let (fields, arrays) = node.into_columns(rows)?;
                    let nullable = fields.iter().all(Field::is_nullable);
                    let nulls = nullable.then(|| set_where_any_is(&arrays, rows));
                    let data_type = DataType::Struct(fields.clone().into());
                    let array =
                        StructArray::try_new(fields.into(), arrays, nulls).map_err(|source| {
                            Error::Arrow {
                                column: name.clone(),
                                source,
                            }
                        })?;
                    let array: ArrayRef = Arc::new(array);
                    Ok((Field::new(name, data_type, nullable), array))
                }
            })
            .collect::<Result<Vec<_>>>()
            .map(|columns| columns.into_iter().unzip())
    }
}

fn set_where_any_is(arrays: &[ArrayRef], rows: usize) -> NullBuffer {
    let mut set = vec![false; rows];
    for array in arrays {
        let nulls = array.logical_nulls();
        for (row, set) in set.iter_mut().enumerate() {
            *set |= nulls.as_ref().is_none_or(|it| it.is_valid(row));
        }
    }
    set.into()
}
