//! Decoding of rows into Arrow columns by a schema.
//!
//! A schema is compiled into a tree of columns, one kind per file: `leaf`, `structs`, `list`,
//! `map`, `choice`. Values are parsed from the text straight into the columns' own buffers. Slots are written
//! by number, so that a missing value costs nothing until the batch is built, and a row that turns out
//! to be malformed is cut off again.

mod choice;
mod column;
mod leaf;
mod list;
mod map;
pub(crate) mod misfit;
mod reader;
mod rescue;
mod structs;
mod values;

pub use misfit::{Digits, Misfit};
pub use reader::{Decoded, Reject};

pub(crate) use reader::DecodeReader;

use crate::Result;
use crate::lexer::Lexer;
use crate::names::Naming;
use crate::options::XmlOptions;
use crate::row_reader::{RowError, RowErrorReason};
use crate::types::Formats;
use misfit::RowMisfits;
use rescue::Rescue;

/// The longest piece of a value that errors quote, in characters.
const QUOTED: usize = 60;

/// What all columns need to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    naming: Naming,
    formats: Formats,
    null_value: Option<String>,
    empty_is_null: bool,
    ignore_spaces: bool,
    case_sensitive: bool,
    value_tag: String,
    wildcard: String,
    corrupt: String,
    rescued: Option<String>,
}

impl Settings {
    pub(crate) fn new(options: &XmlOptions) -> Result<Self> {
        Ok(Self {
            naming: Naming::new(options),
            formats: Formats::new(options)?,
            null_value: options.null_value.clone(),
            empty_is_null: options.treat_empty_values_as_nulls,
            ignore_spaces: options.ignore_surrounding_spaces,
            case_sensitive: options.case_sensitive,
            value_tag: options.value_tag.clone(),
            wildcard: options.wildcard_column.clone(),
            corrupt: options.corrupt_record_column.clone(),
            rescued: options.rescued_data_column.clone(),
        })
    }
}

/// What did not fit of the row that is being read.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    first: Option<RowError>,
    misfits: RowMisfits,
    /// Where what does not fit is kept; it is no fault then.
    rescue: Option<Rescue>,
}

impl Faults {
    fn new(settings: &Settings) -> Self {
        Self {
            rescue: settings.rescued.is_some().then(Rescue::default),
            ..Self::default()
        }
    }

    #[cold]
    fn add(&mut self, offset: usize, column: &str, text: &str, expected: &str) {
        if let Some(rescue) = &mut self.rescue {
            rescue.add_text(column, text);
            return;
        }
        self.misfits.add(column, text, expected);
        if self.first.is_some() {
            return;
        }
        self.first = Some(RowError {
            offset,
            reason: RowErrorReason::Value {
                column: column.to_owned(),
                text: quoted(text),
                expected: expected.to_owned(),
            },
        });
    }
}

/// A value as errors quote it.
fn quoted(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    quoted
}

/// What reading one row needs.
pub(crate) struct Reading<'a, 'r> {
    lexer: &'r mut Lexer<'a>,
    settings: &'r Settings,
    faults: &'r mut Faults,
    /// Whether white space around values is kept here.
    keeps_spaces: bool,
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
