//! Reads rows into record batches, by the mode for bad rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::lexer::{Lexer, StartTag};
use crate::options::{Mode, XmlOptions};
use crate::row_reader::{RowError, RowErrorReason, RowReader};
use crate::{Error, Place, Result};

use super::column::Column;
use super::structs::Struct;
use super::{Faults, Reading, Settings};

/// A row that did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Where.
    pub place: Place,
    /// What is wrong with it.
    pub reason: RowErrorReason,
    /// Its text as it stands in the document; none where it was not asked for.
    pub raw: Option<String>,
}

/// Rows that were read.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The rows that are kept, in the order of the text.
    pub batch: RecordBatch,
    /// Rows that are kept though something of them did not fit.
    pub corrupt_rows: u64,
    /// Rows that are dropped.
    pub dropped_rows: u64,
    /// The rows that did not fit: all of them when they are wanted, else the first ones.
    pub rejects: Vec<Reject>,
    /// Elements, attributes and text that no column takes, by dotted path, with how often they were met.
    pub unknown: BTreeMap<String, u64>,
}

/// How many bad rows of a segment are told of when their texts are not wanted.
const FIRST_REJECTS: usize = 8;

/// Reads rows into record batches.
#[derive(Debug)]
pub(crate) struct DecodeReader {
    settings: Arc<Settings>,
    schema: SchemaRef,
    root: Struct,
    mode: Mode,
    has_corrupt_column: bool,
    keeps_rejects: bool,
    rows: usize,
    corrupt_rows: u64,
    dropped_rows: u64,
    rejects: Vec<Reject>,
}

impl DecodeReader {
    /// Compiles a schema. All its columns become nullable, as in Spark.
    pub(crate) fn new(schema: &Schema, options: &XmlOptions, keeps_rejects: bool) -> Result<Self> {
        let settings = Settings::new(options)?;
        let schema = nullable(schema);
        let root = Struct::new(schema.fields(), "", &settings)?;
        let corrupt = schema.field_with_name(&options.corrupt_record_column);
        Ok(Self {
            has_corrupt_column: corrupt.is_ok_and(|field| *field.data_type() == DataType::Utf8),
            settings: Arc::new(settings),
            schema: Arc::new(schema),
            root,
            mode: options.mode,
            keeps_rejects,
            rows: 0,
            corrupt_rows: 0,
            dropped_rows: 0,
            rejects: Vec::new(),
        })
    }

    /// The schema of the batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn keep_raw(&mut self, raw: &str) {
        if !self.has_corrupt_column {
            return;
        }
        let column = self.root.child_mut(&self.settings.corrupt);
        if let Some(Column::Leaf(leaf)) = column {
            leaf.store_raw(self.rows, raw, &self.settings);
        }
    }
}

impl RowReader for DecodeReader {
    type Output = Decoded;

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        // A row that did not fit, and that nobody rejected because its segment is read again.
        self.root.truncate(self.rows);
        let mut faults = Faults::default();
        let mut reading = Reading {
            lexer,
            settings: &self.settings,
            faults: &mut faults,
            keeps_spaces: !self.settings.ignore_spaces,
        };
        if let Err(error) = self.root.read(self.rows, start, &mut reading) {
            self.root.truncate(self.rows);
            return Err(error);
        }
        match faults.first {
            None => {
                self.rows += 1;
                Ok(())
            }
            // What fitted stays until it is known what becomes of the row.
            Some(error) => Err(error),
        }
    }

    fn reject_row(&mut self, raw: &str, place: &Place, error: RowError) -> Result<()> {
        match self.mode {
            Mode::FailFast => return Err(Error::bad_row(place, error)),
            Mode::DropMalformed => {
                self.root.truncate(self.rows);
                self.dropped_rows += 1;
            }
            Mode::Permissive => {
                if matches!(error.reason, RowErrorReason::Malformed(_)) {
                    self.root.truncate(self.rows);
                }
                if self.root.len() == self.rows {
                    self.root.open(self.rows);
                }
                self.keep_raw(raw);
                self.rows += 1;
                self.corrupt_rows += 1;
            }
        }
        if self.keeps_rejects || self.rejects.len() < FIRST_REJECTS {
            self.rejects.push(Reject {
                place: place.clone(),
                reason: error.reason,
                raw: self.keeps_rejects.then(|| raw.to_owned()),
            });
        }
        Ok(())
    }

    fn finish_segment(&mut self) -> Result<Decoded> {
        let rows = std::mem::take(&mut self.rows);
        self.root.truncate(rows);
        let columns = self.root.finish_children(rows)?;
        self.root.reset();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        let mut unknown = BTreeMap::new();
        self.root.take_unknown(&self.settings, &mut unknown);
        Ok(Decoded {
            batch: batch.map_err(|source| Error::Array {
                column: "*".to_owned(),
                source,
            })?,
            corrupt_rows: std::mem::take(&mut self.corrupt_rows),
            dropped_rows: std::mem::take(&mut self.dropped_rows),
            rejects: std::mem::take(&mut self.rejects),
            unknown,
        })
    }
}

/// The schema with every column nullable: any element may be missing.
fn nullable(schema: &Schema) -> Schema {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| nullable_field(field))
        .collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn nullable_field(field: &Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(nullable_fields(fields)),
        DataType::List(item) => DataType::List(nullable_field(item)),
        DataType::Map(entries, sorted) => DataType::Map(nullable_entries(entries), *sorted),
        other => other.clone(),
    };
    Arc::new(field.clone().with_data_type(data_type).with_nullable(true))
}

fn nullable_fields(fields: &Fields) -> Fields {
    fields.iter().map(|field| nullable_field(field)).collect()
}

/// The entries of a map and their keys are never null.
fn nullable_entries(entries: &FieldRef) -> FieldRef {
    let DataType::Struct(fields) = entries.data_type() else {
        return Arc::clone(entries);
    };
    let [key, value] = &fields[..] else {
        return Arc::clone(entries);
    };
    let key = key.as_ref().clone().with_nullable(false);
    let fields = Fields::from(vec![Arc::new(key), nullable_field(value)]);
    let entries = entries
        .as_ref()
        .clone()
        .with_data_type(DataType::Struct(fields));
    Arc::new(entries.with_nullable(false))
}
