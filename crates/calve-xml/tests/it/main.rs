//! From documents to schemas and rows, as users of the crate see it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]

mod choices;
mod goldens;
mod laws;
mod options;
mod real;
mod rescue;
mod spark_xml;

use std::sync::{Arc, Mutex};

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::json::LineDelimitedWriter;
use arrow::record_batch::RecordBatch;
use calve_xml::convert::{Convert, Report};
use calve_xml::infer::{InferSchema, Inferred};
use calve_xml::input::Input;
use calve_xml::{Result, XmlOptions};
use serde_json::Value;

/// A document in memory.
fn input(text: impl Into<Vec<u8>>) -> Input {
    Input::new("test.xml", std::io::Cursor::new(text.into()))
}

/// Options with the row tag `row`, changed.
fn options(change: impl Fn(&mut XmlOptions)) -> XmlOptions {
    let mut options = XmlOptions::new("row");
    change(&mut options);
    options
}

fn infer(text: &str, options: &XmlOptions) -> Inferred {
    InferSchema::new(options.clone())
        .run([Ok(input(text))])
        .unwrap()
}

fn convert(text: &[u8], schema: &Schema, options: &XmlOptions) -> Result<(Vec<Value>, Report)> {
    let mut rows = Vec::new();
    let convert = Convert::new(&with_offsets(schema), options.clone())?;
    let report = convert.run([Ok(input(text))], |batch| {
        rows.extend(to_json(&batch));
        Ok(())
    })?;
    Ok((rows, report))
}

/// The rows of a batch as JSON.
fn to_json(batch: &RecordBatch) -> Vec<Value> {
    let lines = to_lines(batch);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The rows of a batch as lines of JSON. Nulls are left out.
fn to_lines(batch: &RecordBatch) -> String {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap()
}

/// The schema with offsets for the names of zones, which JSON cannot be written with.
fn with_offsets(schema: &Schema) -> Schema {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| with_offset(field))
        .collect();
    Schema::new(fields)
}

fn with_offset(field: &Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| with_offset(field)).collect())
        }
        DataType::List(item) => DataType::List(with_offset(item)),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        other => other.clone(),
    };
    Arc::new(field.clone().with_data_type(data_type))
}

/// The schema without metadata, all columns nullable.
fn plain(schema: &Schema) -> Schema {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| plain_field(field))
        .collect();
    Schema::new(fields)
}

fn plain_field(field: &Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| plain_field(field)).collect())
        }
        DataType::List(item) => DataType::List(plain_field(item)),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, true))
}

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
