use std::sync::{Arc, Mutex, PoisonError};

use crate::lexer::Context;
use crate::options::{Limits, XmlOptions};
use crate::row_reader::RowReader;
use crate::rows::{End, RowTag, Rows, Segment};
use crate::text;
use crate::{Error, Place, Result};

use super::cut::{Cut, lines};
use super::{Guess, Readers, Report, not_utf8};

/// How many faults between rows are told with their places.
const TOLD_FAULTS: usize = 20;

/// The largest buffer that is used again for another segment: that of a large row is given back.
const MOST_KEPT_BYTES: usize = 8 * 1024 * 1024;

/// What a segment became.
#[derive(Debug)]
pub(super) struct Read<O> {
    pub(super) rows: Rows,
    pub(super) end: End,
    pub(super) output: O,
}

/// A segment, and what became of it if it was read already.
#[derive(Debug)]
pub(super) struct Outcome<O> {
    cut: Cut,
    read: Option<Result<Read<O>>>,
}

impl<O> Outcome<O> {
    /// A segment that was not read yet.
    pub(super) fn unread(cut: Cut) -> Self {
        Self { cut, read: None }
    }

    /// A segment that was read under its assumption.
    pub(super) fn read(cut: Cut, read: Result<Read<O>>) -> Self {
        Self {
            cut,
            read: Some(read),
        }
    }
}

/// Puts segments together again in the order of the text, and reads those again that began elsewhere
/// than was assumed.
pub(super) struct Join<'a, R, F, C> {
    options: &'a XmlOptions,
    row_tag: &'a RowTag,
    corrected: &'a Mutex<Option<Guess>>,
    readers: &'a Readers<'a, R, F>,
    consume: C,
    report: Report,
    /// What stands before the next segment, or before the text that is carried over.
    context: Context,
    carried: Carried,
    /// What entities added to the document so far.
    expanded_bytes: u64,
}

/// Text that must be read together with what follows it.
#[derive(Debug, Default)]
struct Carried {
    text: Vec<u8>,
    file: Arc<str>,
    byte: u64,
    line: u64,
    in_row: bool,
    /// How long it must be for another try. A large row is tried again only once it has grown by half,
    /// so that the work stays in proportion to its size.
    enough: usize,
}

impl<'a, R, F, C> Join<'a, R, F, C>
where
    R: RowReader,
    F: Fn() -> Result<R>,
    C: FnMut(usize, R::Output) -> Result<()>,
{
    pub(super) fn new(
        options: &'a XmlOptions,
        row_tag: &'a RowTag,
        corrected: &'a Mutex<Option<Guess>>,
        readers: &'a Readers<'a, R, F>,
        consume: C,
    ) -> Self {
        Self {
            options,
            row_tag,
            corrected,
            readers,
            consume,
            report: Report::default(),
            context: Context::default(),
            carried: Carried::default(),
            expanded_bytes: 0,
        }
    }

    pub(super) fn row_tag(&self) -> &'a RowTag {
        self.row_tag
    }

    pub(super) fn readers(&self) -> &'a Readers<'a, R, F> {
        self.readers
    }

    /// What was done, at the end of all documents.
    pub(super) fn finish(self) -> Report {
        self.report
    }

    /// Takes the next segment; gives its memory back.
    pub(super) fn add(&mut self, outcome: Outcome<R::Output>) -> Result<Vec<u8>> {
        let Outcome { mut cut, read } = outcome;
        self.report.segments += 1;
        self.report.text_bytes += cut.bytes.len() as u64;
        let read = match read {
            None => None,
            Some(read) if self.is_as_assumed(&cut, &read) => Some(read?),
            Some(_) => {
                self.report.segments_read_again += 1;
                None
            }
        };
        let mut memory = Vec::new();
        let is_last = cut.is_last;
        if !self.carried.text.is_empty() {
            self.carried.text.extend_from_slice(&cut.bytes);
            if cut.bytes.capacity() > MOST_KEPT_BYTES {
                cut.bytes = Vec::new();
            }
            if !cut.is_last && self.carried.text.len() < self.carried.enough {
                self.check_carried()?;
                return Ok(cut.bytes);
            }
            memory = std::mem::replace(&mut cut.bytes, std::mem::take(&mut self.carried.text));
            (cut.byte, cut.line) = (self.carried.byte, self.carried.line);
        }
        let read = match read {
            Some(read) => read,
            None => self.read(&cut)?,
        };
        let left = self.take(cut, read)?;
        if is_last {
            self.next_document();
        }
        if memory.capacity() == 0 {
            memory = left;
        }
        Ok(memory)
    }

    /// Whether a segment was read under the right assumption.
    fn is_as_assumed(&self, cut: &Cut, read: &Result<Read<R::Output>>) -> bool {
        let guess = cut.guess.as_ref();
        self.carried.text.is_empty()
            && guess.is_some_and(|guess| *guess.context == self.context)
            && read
                .as_ref()
                .is_ok_and(|read| read.rows.expanded_bytes <= self.budget())
    }

    /// What is left of the document's budget for entities.
    fn budget(&self) -> u64 {
        let limit = self.options.limits.entity_expansion_bytes;
        limit.saturating_sub(self.expanded_bytes)
    }

    /// Reads a segment from what is known to stand before it.
    fn read(&mut self, cut: &Cut) -> Result<Read<R::Output>> {
        let text = text::utf8(&cut.bytes).map_err(|error| {
            let valid = &cut.bytes[..error.valid_up_to()];
            not_utf8(&cut.file, cut.byte, cut.line, valid)
        })?;
        let segment = Segment {
            text,
            file: &cut.file,
            byte: cut.byte,
            line: cut.line,
            context: &self.context,
            is_last: cut.is_last,
            limits: Limits {
                entity_expansion_bytes: self.budget(),
                ..self.options.limits
            },
            mode: self.options.mode,
        };
        self.readers.read(&segment, self.row_tag)
    }

    /// Hands a segment's output on, and learns what stands before the next. Gives its memory back. Of a large
    /// row, the text is gone before the output is handed on.
    fn take(&mut self, mut cut: Cut, read: Read<R::Output>) -> Result<Vec<u8>> {
        let Read { rows, end, output } = read;
        self.report.rows += rows.read;
        self.report.rejected_rows += rows.rejected;
        self.report.faults += rows.faults;
        let room = TOLD_FAULTS.saturating_sub(self.report.first_faults.len());
        let told = rows.first_faults.into_iter().take(room);
        self.report.first_faults.extend(told);
        self.expanded_bytes += rows.expanded_bytes;
        match end {
            End::Clean(context) => {
                self.correct_guess(cut.document, &context);
                self.context = context;
                self.carried.enough = 0;
                if cut.bytes.capacity() > MOST_KEPT_BYTES {
                    cut.bytes = Vec::new();
                }
            }
            End::Incomplete {
                from,
                context,
                in_row,
            } => {
                self.context = context;
                let line = cut.line + lines(&cut.bytes[..from]);
                let mut text = std::mem::take(&mut cut.bytes);
                text.drain(..from);
                self.carried = Carried {
                    file: Arc::clone(&cut.file),
                    byte: cut.byte + from as u64,
                    line,
                    in_row,
                    enough: text.len() + text.len() / 2,
                    text,
                };
            }
        }
        (self.consume)(cut.document, output)?;
        self.check_carried()?;
        Ok(cut.bytes)
    }

    /// Tells the cutter of what stands before rows, where it assumes something else.
    fn correct_guess(&self, document: usize, context: &Context) {
        let is_known = self.context == *context;
        if is_known {
            return;
        }
        *self
            .corrected
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Guess {
            document,
            context: Arc::new(context.clone()),
        });
    }

    /// Whether what is carried over is not too large.
    fn check_carried(&self) -> Result<()> {
        let limit = self.options.limits.row_bytes;
        if self.carried.text.len() <= limit {
            return Ok(());
        }
        let place = Place {
            file: self.carried.file.as_ref().to_owned(),
            byte: self.carried.byte,
            line: self.carried.line,
            path: path(&self.context),
        };
        Err(if self.carried.in_row {
            Error::RowTooLarge { place, limit }
        } else {
            Error::MarkupTooLarge { place, limit }
        })
    }

    fn next_document(&mut self) {
        self.report.documents += 1;
        self.context = Context::default();
        self.carried = Carried::default();
        self.expanded_bytes = 0;
    }
}

fn path(context: &Context) -> String {
    let names: Vec<&str> = context.open.iter().map(|it| it.name.as_str()).collect();
    names.join("/")
}
