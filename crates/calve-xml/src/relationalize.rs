//! `relationalize`: nested rows as flat tables, named as Glue names them.
//!
//! - Structs are flattened in place, names joined by dots: `player.arsenal.name`.
//! - A list becomes a table of its own, called by the root's name and the list's path: `root_items`,
//!   `root_items.val.tags`. In the parent stands a key under the list's path; in the list's table the
//!   same key is `id`, the element's position (from 0) is `index`, and the element is `items.val`, or
//!   `items.val.price` where it is a struct.
//! - A map becomes a table like a list's, with its keys in `path.key` and its values in `path.val`.
//!
//! Glue numbers keys as its tasks go, anew in each run. Here a key is made of the file's ordinal and the
//! ordinal, in that file, of the row that holds the list: the same input gives the same keys, and files
//! can be worked on apart. A list that is there but empty has a key that no element carries; a list that
//! is absent has none. What flat tables cannot tell apart is a struct that is null and one whose fields
//! all are; [`Relationalize::with_presence`] adds columns that do.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch,
    RecordBatchOptions, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::cast::visible_columns;
use crate::schema::types::map_entries;
use crate::{Error, Result};

/// How many bits of a key count the rows of one file; those above count the files.
pub const ROW_BITS: u32 = 40;

/// One of the tables that nested rows become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it is called: `root`, `root_items`.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The table and column of the key that this table's `id` repeats; none for the root.
    pub parent: Option<Parent>,
}

/// Where a table hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// The place of the parent among the tables.
    pub table: usize,
    /// The column of the key.
    pub column: String,
}

/// Turns nested rows into flat tables.
#[derive(Debug, Clone)]
pub struct Relationalize {
    root: String,
    presence: bool,
}

impl Relationalize {
    /// Starts with the name of the root table.
    pub fn new(root: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            presence: false,
        }
    }

    /// Sets whether each struct that may be null gets a column `path.present`, which Glue does not have.
    #[must_use]
    pub fn with_presence(mut self, presence: bool) -> Self {
        self.presence = presence;
        self
    }

    /// The tables that rows of this schema become: the root first, each table before its children.
    ///
    /// # Errors
    /// When two columns of a table, or two tables, would have one name.
    pub fn plan(&self, schema: &Schema) -> Result<Vec<Table>> {
        let batch = RecordBatch::new_empty(Arc::new(schema.clone()));
        let mut flattening = Flattening::new(self, 0, Vec::new());
        flattening.root(&batch)?;
        let mut names = HashSet::new();
        flattening
            .tables
            .into_iter()
            .map(|(name, parent, batch)| {
                check_columns(&name, &batch.schema())?;
                if !names.insert(name.to_lowercase()) {
                    return Err(Error::SameName { name, table: None });
                }
                let schema = batch.schema();
                Ok(Table {
                    name,
                    schema,
                    parent,
                })
            })
            .collect()
    }

    /// Starts to turn batches of this schema into tables.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn start(self, schema: SchemaRef) -> Result<Relationalizer> {
        let tables = self.plan(&schema)?;
        Ok(Relationalizer {
            rows: vec![0; tables.len()],
            options: self,
            schema,
            tables,
            file: 0,
        })
    }
}

fn check_columns(table: &str, schema: &Schema) -> Result<()> {
    let mut names = HashSet::new();
    // Catalogs do not tell names apart by case.
    match schema
        .fields()
        .iter()
        .find(|it| !names.insert(it.name().to_lowercase()))
    {
        None => Ok(()),
        Some(field) => Err(Error::SameName {
            name: field.name().clone(),
            table: Some(table.to_owned()),
        }),
    }
}

/// Turns one batch after another into tables. Memory holds one batch and its tables.
#[derive(Debug)]
pub struct Relationalizer {
    options: Relationalize,
    schema: SchemaRef,
    tables: Vec<Table>,
    /// How many rows of the current file each table has.
    rows: Vec<u64>,
    file: u32,
}

impl Relationalizer {
    /// The tables, in the order of what [`Self::push`] gives.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Turns the next batch of a file into one batch for each table, some of them without rows. All
    /// batches of a file come one after another, in its order; ordinals of files ascend.
    ///
    /// # Errors
    /// When the batch has another schema, a file comes again, or there are more files or rows than keys.
    pub fn push(&mut self, file: u32, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        if batch.schema().fields() != self.schema.fields() {
            return Err(Error::BatchSchema {
                expected: Arc::clone(&self.schema),
                found: batch.schema(),
            });
        }
        if file < self.file || file >= 1 << (63 - ROW_BITS) {
            return Err(Error::FileOrdinal {
                ordinal: file,
                previous: self.file,
            });
        }
        if file > self.file {
            self.file = file;
            self.rows.fill(0);
        }
        let mut flattening = Flattening::new(&self.options, file, self.rows.clone());
        flattening.root(batch)?;
        self.rows = flattening.rows;
        if let Some(at) = self.rows.iter().position(|rows| *rows > 1 << ROW_BITS) {
            return Err(Error::TooManyRows {
                table: self.tables[at].name.clone(),
            });
        }
        let batches = flattening.tables.into_iter().zip(&self.tables);
        batches
            .map(|((_, _, batch), table)| {
                // Whether values may be null is known from the schema, not from one batch.
                let columns = batch.columns().to_vec();
                record_batch(&table.schema, columns, batch.num_rows(), &table.name)
            })
            .collect()
    }
}

fn record_batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
    table: &str,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|source| arrow_error(source, table))
}

fn arrow_error(source: arrow::error::ArrowError, column: &str) -> Error {
    Error::Arrow {
        column: column.to_owned(),
        source,
    }
}

/// A list or a map, whose elements become the rows of a table.
struct Nested {
    path: String,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    parts: Vec<(String, Field, ArrayRef)>,
    keys: Int64Array,
    parent: usize,
}

/// The columns of the table that is being put together, and the lists found in it.
#[derive(Default)]
struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    nested: Vec<Nested>,
}

struct Flattening<'a> {
    options: &'a Relationalize,
    file: u32,
    rows: Vec<u64>,
    tables: Vec<(String, Option<Parent>, RecordBatch)>,
}

impl<'a> Flattening<'a> {
    fn new(options: &'a Relationalize, file: u32, rows: Vec<u64>) -> Self {
        Self {
            options,
            file,
            rows,
            tables: Vec::new(),
        }
    }

    fn root(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let fields = schema.fields().iter().zip(batch.columns());
        let parts = fields
            .map(|(field, array)| {
                (
                    field.name().clone(),
                    field.as_ref().clone(),
                    Arc::clone(array),
                )
            })
            .collect();
        let name = self.options.root.clone();
        self.table(name, None, (Columns::default(), parts), batch.num_rows())
    }

    /// Puts one table together, then those of its lists.
    fn table(
        &mut self,
        name: String,
        parent: Option<Parent>,
        (mut columns, parts): (Columns, Vec<(String, Field, ArrayRef)>),
        rows: usize,
    ) -> Result<()> {
        let place = self.tables.len();
        if self.rows.len() == place {
            self.rows.push(0);
        }
        let first =
            i64::from(self.file) << ROW_BITS | i64::try_from(self.rows[place]).unwrap_or(i64::MAX);
        let keys: Vec<i64> = (first..).take(rows).collect();
        self.rows[place] += rows as u64;
        for (path, field, array) in parts {
            self.column(&path, &field, &array, (&keys, place), &mut columns)?;
        }
        let Columns {
            fields,
            arrays,
            nested,
        } = columns;
        let batch = record_batch(&Arc::new(Schema::new(fields)), arrays, rows, &name)?;
        self.tables.push((name, parent, batch));
        nested.into_iter().try_for_each(|nested| self.child(nested))
    }

    /// Adds a column, or the columns of a struct; notes lists for later.
    fn column(
        &self,
        path: &str,
        field: &Field,
        array: &ArrayRef,
        (keys, place): (&[i64], usize),
        columns: &mut Columns,
    ) -> Result<()> {
        match field.data_type() {
            DataType::Struct(fields) => {
                let array = array.as_struct();
                if self.options.presence && field.is_nullable() {
                    let present: BooleanArray = (0..array.len())
                        .map(|row| Some(array.is_valid(row)))
                        .collect();
                    columns.fields.push(Field::new(
                        format!("{path}.present"),
                        DataType::Boolean,
                        false,
                    ));
                    columns.arrays.push(Arc::new(present));
                }
                for (child, array) in fields.iter().zip(visible_columns(array, path)?) {
                    let child_path = format!("{path}.{}", child.name());
                    let nullable = child.is_nullable() || field.is_nullable();
                    let child = child.as_ref().clone().with_nullable(nullable);
                    self.column(&child_path, &child, &array, (keys, place), columns)?;
                }
            }
            DataType::List(element) => {
                let array = array.as_list::<i32>();
                let part = (
                    format!("{path}.val"),
                    element.as_ref().clone(),
                    Arc::clone(array.values()),
                );
                columns.list(path, field, (array.offsets(), array.nulls()), (keys, place));
                columns
                    .nested
                    .last_mut()
                    .expect("just added")
                    .parts
                    .push(part);
            }
            DataType::Map(entries, _) => {
                let array = array.as_map();
                columns.list(path, field, (array.offsets(), array.nulls()), (keys, place));
                if let Some((key, value)) = map_entries(entries) {
                    let parts = &mut columns.nested.last_mut().expect("just added").parts;
                    parts.push((
                        format!("{path}.key"),
                        key.as_ref().clone(),
                        Arc::clone(array.keys()),
                    ));
                    parts.push((
                        format!("{path}.val"),
                        value.as_ref().clone(),
                        Arc::clone(array.values()),
                    ));
                }
            }
            _ => {
                columns.fields.push(field.clone().with_name(path));
                columns.arrays.push(Arc::clone(array));
            }
        }
        Ok(())
    }

    /// The table of a list's elements.
    fn child(&mut self, nested: Nested) -> Result<()> {
        let mut ids = Vec::new();
        let mut positions = Vec::new();
        let mut elements: Vec<u32> = Vec::new();
        for (row, window) in nested.offsets.windows(2).enumerate() {
            // A list that is null may hide elements, which are not part of the data.
            if nested
                .nulls
                .as_ref()
                .is_some_and(|nulls| nulls.is_null(row))
            {
                continue;
            }
            for (position, element) in (window[0]..window[1]).enumerate() {
                ids.push(nested.keys.value(row));
                positions.push(i32::try_from(position).expect("offsets are 32 bits"));
                elements.push(u32::try_from(element).expect("offsets are not negative"));
            }
        }
        let rows = ids.len();
        let elements = UInt32Array::from(elements);
        let parts = nested
            .parts
            .into_iter()
            .map(|(path, field, array)| {
                let array = take(&array, &elements, None).map_err(|it| arrow_error(it, &path))?;
                Ok((path, field, array))
            })
            .collect::<Result<Vec<_>>>()?;
        let columns = Columns {
            fields: vec![
                Field::new("id", DataType::Int64, false),
                Field::new("index", DataType::Int32, false),
            ],
            arrays: vec![
                Arc::new(Int64Array::from(ids)),
                Arc::new(Int32Array::from(positions)),
            ],
            nested: Vec::new(),
        };
        let name = format!("{}_{}", self.options.root, nested.path);
        let parent = Parent {
            table: nested.parent,
            column: nested.path,
        };
        self.table(name, Some(parent), (columns, parts), rows)
    }
}

impl Columns {
    /// Adds the column of a list's keys, and the list itself without its parts.
    fn list(
        &mut self,
        path: &str,
        field: &Field,
        (offsets, nulls): (&OffsetBuffer<i32>, Option<&NullBuffer>),
        (keys, place): (&[i64], usize),
    ) {
        let keys = Int64Array::new(keys.to_vec().into(), nulls.cloned());
        let comment = field.metadata().clone();
        let column = Field::new(path, DataType::Int64, field.is_nullable()).with_metadata(comment);
        self.fields.push(column);
        self.arrays.push(Arc::new(keys.clone()));
        self.nested.push(Nested {
            path: path.to_owned(),
            offsets: offsets.clone(),
            nulls: nulls.cloned(),
            parts: Vec::new(),
            keys,
            parent: place,
        });
    }
}

#[cfg(test)]
mod tests;
