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
use super::misfit::{Misfit, RowMisfits};
use super::rescue::Rescue;
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
    /// Values that did not fit, by dotted column.
    pub misfits: BTreeMap<String, Misfit>,
    /// The rows that did not fit: all of them when they are wanted, else the first ones.
    pub rejects: Vec<Reject>,
    /// Elements, attributes and text that no column takes, by dotted path, with how often they were met.
    pub unknown: BTreeMap<String, u64>,
    /// Rows of which something is in the rescued-data column.
    pub rescued_rows: u64,
    /// What is in that column, by dotted path, with how often it was met.
    pub rescued: BTreeMap<String, u64>,
}

/// How many bad rows of a segment are told of when their texts are not wanted.
const FIRST_REJECTS: usize = 8;

/// How many paths of rescued data are told apart; all others are counted as one.
const MOST_RESCUED: usize = 1024;

/// What stands for the others.
const OTHER_RESCUED: &str = "*";

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
    /// Whether the columns hold something of a row that did not fit.
    is_row_left: bool,
    /// What did not fit of that row.
    row_misfits: RowMisfits,
    misfits: BTreeMap<String, Misfit>,
    corrupt_rows: u64,
    dropped_rows: u64,
    rejects: Vec<Reject>,
    /// The name of the document, where it is needed.
    file: String,
    rescued_rows: u64,
    rescued: BTreeMap<String, u64>,
}

impl DecodeReader {
    /// Compiles a schema. All its columns become nullable, as in Spark.
    pub(crate) fn new(schema: &Schema, options: &XmlOptions, keeps_rejects: bool) -> Result<Self> {
        crate::schema::check_depth(schema)?;
        let settings = Settings::new(options)?;
        let schema = with_rescued_data(nullable(schema), options)?;
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
            is_row_left: false,
            row_misfits: RowMisfits::default(),
            misfits: BTreeMap::new(),
            corrupt_rows: 0,
            dropped_rows: 0,
            rejects: Vec::new(),
            file: String::new(),
            rescued_rows: 0,
            rescued: BTreeMap::new(),
        })
    }

    /// The schema of the batches.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn keep_raw(&mut self, raw: &str) {
        if self.has_corrupt_column {
            let settings = Arc::clone(&self.settings);
            self.store_own(&settings.corrupt, raw);
        } else if let Some(mut rescue) = Faults::new(&self.settings).rescue {
            // Without a column of its own the text is data like any other that no column takes.
            rescue.add_text(&self.settings.corrupt, raw);
            self.keep_rescued(rescue);
        }
    }

    fn keep_rescued(&mut self, rescue: Rescue) {
        self.rescued_rows += 1;
        for column in rescue.columns() {
            let is_told = self.rescued.len() < MOST_RESCUED || self.rescued.contains_key(column);
            let path = if is_told { column } else { OTHER_RESCUED };
            *self.rescued.entry(path.to_owned()).or_default() += 1;
        }
        let settings = Arc::clone(&self.settings);
        if let Some(column) = &settings.rescued {
            self.store_own(column, &rescue.into_json(&self.file));
        }
    }

    /// Stores text in a column that no element fills.
    fn store_own(&mut self, column: &str, text: &str) {
        if let Some(Column::Leaf(leaf)) = self.root.child_mut(column) {
            leaf.store_raw(self.rows, text, &self.settings);
        }
    }
}

impl RowReader for DecodeReader {
    type Output = Decoded;

    fn begin_segment(&mut self, file: &str, _byte: u64) {
        if self.settings.rescued.is_some() && self.file != file {
            file.clone_into(&mut self.file);
        }
    }

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        // A row that did not fit, and that nobody rejected because its segment is read again.
        if std::mem::take(&mut self.is_row_left) {
            self.root.truncate(self.rows);
            self.row_misfits.clear();
        }
        let mut faults = Faults::new(&self.settings);
        let mut reading = Reading {
            lexer,
            settings: &self.settings,
            faults: &mut faults,
            keeps_spaces: !self.settings.ignore_spaces,
        };
        if let Err(error) = self.root.read(self.rows, start.start, &mut reading) {
            self.root.truncate(self.rows);
            return Err(error);
        }
        match faults.first {
            None => {
                if let Some(rescue) = faults.rescue.filter(|it| !it.is_empty()) {
                    self.keep_rescued(rescue);
                }
                self.rows += 1;
                Ok(())
            }
            // What fitted stays until it is known what becomes of the row.
            Some(error) => {
                self.is_row_left = true;
                self.row_misfits = faults.misfits;
                Err(error)
            }
        }
    }

    fn reject_row(&mut self, raw: &str, place: &Place, error: RowError) -> Result<()> {
        self.is_row_left = false;
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
        self.row_misfits.move_to(&mut self.misfits, place);
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
        self.row_misfits.clear();
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
            misfits: std::mem::take(&mut self.misfits),
            rejects: std::mem::take(&mut self.rejects),
            unknown,
            rescued_rows: std::mem::take(&mut self.rescued_rows),
            rescued: std::mem::take(&mut self.rescued),
        })
    }
}

/// The schema with the rescued-data column, where there is to be one.
fn with_rescued_data(schema: Schema, options: &XmlOptions) -> Result<Schema> {
    let Some(name) = &options.rescued_data_column else {
        return Ok(schema);
    };
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    match fields.iter().find(|field| field.name() == name) {
        None => fields.push(Arc::new(Field::new(name, DataType::Utf8, true))),
        Some(field) if *field.data_type() == DataType::Utf8 => {}
        Some(field) => {
            return Err(Error::Column {
                column: name.clone(),
                problem: format!(
                    "is of type {}, but takes rescued data, which is a string",
                    field.data_type()
                ),
            });
        }
    }
    Ok(Schema::new_with_metadata(fields, schema.metadata().clone()))
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
