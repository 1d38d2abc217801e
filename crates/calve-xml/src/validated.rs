//! Rows that must be valid before they are read.

use std::sync::Arc;

use crate::lexer::{Lexer, StartTag};
use crate::row_reader::{RowError, RowReader};
use crate::schema::xsd::RowValidator;
use crate::{Place, Result};

/// Validates each row, and hands the valid ones to another reader. The others are bad rows.
#[derive(Debug)]
pub(crate) struct Validated<R> {
    reader: R,
    validator: Option<Arc<RowValidator>>,
}

impl<R> Validated<R> {
    /// Without a validator every row is taken as it is.
    pub(crate) fn new(reader: R, validator: Option<Arc<RowValidator>>) -> Self {
        Self { reader, validator }
    }
}

impl<R: RowReader> RowReader for Validated<R> {
    type Output = R::Output;

    fn begin_segment(&mut self, file: &str, byte: u64) {
        self.reader.begin_segment(file, byte);
    }

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        if let Some(validator) = &self.validator {
            validator.validate_row(&mut lexer.clone(), start)?;
        }
        self.reader.read_row(lexer, start)
    }

    fn reject_row(&mut self, raw: &str, place: &Place, error: RowError) -> Result<()> {
        self.reader.reject_row(raw, place, error)
    }

    fn finish_segment(&mut self) -> Result<Self::Output> {
        self.reader.finish_segment()
    }
}
