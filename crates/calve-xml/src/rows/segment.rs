use crate::lexer::{Context, Event, Lexer, StartTag, Syntax};
use crate::options::{Limits, Mode};
use crate::row_reader::{RowError, RowErrorReason, RowReader};
use crate::{Error, Place, Result};

use super::RowTag;
use super::recovery::{Malformed, Recovery, RowEnd, ends_name};

/// How many faults between rows are kept with their places.
const KEPT_FAULTS: usize = 20;

/// A piece of a document's text, and what is known of where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) text: &'a str,
    /// The document's name.
    pub(crate) file: &'a str,
    /// Where the text begins in the document.
    pub(crate) byte: u64,
    /// On which line the text begins.
    pub(crate) line: u64,
    /// What stands before it, as it is or as it is assumed to be.
    pub(crate) context: &'a Context,
    /// Whether the document ends with it.
    pub(crate) is_last: bool,
    /// Limits; the budget of entities is what is left of the document's.
    pub(crate) limits: Limits,
    pub(crate) mode: Mode,
}

/// Where the rows of a segment end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Between rows, with the text.
    Clean(Context),
    /// Inside of something that begins at `from`: it must be read again, with the text that follows.
    Incomplete {
        from: usize,
        context: Context,
        in_row: bool,
    },
}

/// Something between rows that is not well-formed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub reason: String,
}

/// What was found in a segment.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Rows that were read.
    pub(crate) read: u64,
    /// Rows that were rejected.
    pub(crate) rejected: u64,
    /// Faults between rows.
    pub(crate) faults: u64,
    /// The first of them.
    pub(crate) first_faults: Vec<Fault>,
    /// What entities added to the text before the end.
    pub(crate) expanded_bytes: u64,
}

/// Reads the rows of a segment into `reader`, which is then to be finished.
///
/// # Errors
/// When the run must end, provided that the context is the true one.
pub(crate) fn read_segment<R: RowReader>(
    segment: &Segment<'_>,
    row_tag: &RowTag,
    reader: &mut R,
) -> Result<(Rows, End)> {
    reader.begin_segment(segment.file, segment.byte);
    let lexer = Lexer::with_context(
        segment.text,
        segment.context,
        segment.is_last,
        segment.limits,
    );
    let mut reading = Reading {
        segment,
        row_tag,
        lexer,
        rows: Rows::default(),
        recovery: Recovery::default(),
        counted: (0, segment.line),
    };
    loop {
        reading.rows.expanded_bytes = reading.lexer.expanded_bytes();
        let end = match reading.lexer.next_event() {
            Ok(Event::Start(tag)) if row_tag.matches(tag.name, &reading.lexer) => {
                reading.row(tag, reader)?
            }
            Ok(Event::Eof) => Some(End::Clean(reading.lexer.context())),
            Ok(_) => None,
            Err(error) => reading.fault(error, reader)?,
        };
        if let Some(end) = end {
            return Ok((reading.rows, end));
        }
    }
}

/// A segment while it is read.
struct Reading<'s, 'a> {
    segment: &'s Segment<'a>,
    row_tag: &'s RowTag,
    lexer: Lexer<'a>,
    rows: Rows,
    recovery: Recovery,
    /// The line of a place that was told before.
    counted: (usize, u64),
}

impl<'a> Reading<'_, 'a> {
    /// Reads one row. Gives the end of the segment where the row goes beyond it.
    fn row<R: RowReader>(&mut self, tag: StartTag<'a>, reader: &mut R) -> Result<Option<End>> {
        let around = self.lexer.enter_row();
        let outcome = match reader.read_row(&mut self.lexer, tag) {
            Ok(()) => self.rest_of_row(around).map_err(|error| (error, true)),
            // The rest of a row that does not fit the schema must be well-formed all the same.
            Err(error) if is_value(&error) => match self.rest_of_row(around) {
                Ok(()) => Err((error, false)),
                Err(error) => Err((error, true)),
            },
            Err(error) => Err((error, true)),
        };
        match outcome {
            Ok(()) => {
                self.lexer.leave_row();
                self.check_size(tag.start)?;
                self.rows.read += 1;
                Ok(None)
            }
            Err((error, false)) => {
                self.lexer.leave_row();
                let place = self.place(error.offset);
                self.reject(tag.start, &place, error, reader)
            }
            Err((error, true)) => {
                let mut open = self.lexer.open_elements().skip(around.saturating_sub(1));
                let parent = (around > 0).then(|| open.next()).flatten();
                // The first is the row itself.
                let nested = open.skip(1).filter(|(name, _)| *name == tag.name).count();
                let row = Malformed {
                    name: tag.name,
                    around: parent.map(|(name, _)| name),
                    start: tag.start,
                    fault: error.offset,
                    nested,
                };
                self.malformed_row(row, around, error, reader)
            }
        }
    }

    /// Moves behind a malformed row and rejects it.
    fn malformed_row<R: RowReader>(
        &mut self,
        row: Malformed<'a>,
        around: usize,
        error: RowError,
        reader: &mut R,
    ) -> Result<Option<End>> {
        let place = self.place(error.offset);
        let end = if !self.segment.is_last && is_truncation(&error) {
            RowEnd::Unknown
        } else {
            self.recovery
                .end_of_row(self.segment.text, row, self.segment.is_last)
        };
        match end {
            RowEnd::At(end) => {
                self.lexer.recover(end, around);
                self.reject(row.start, &place, error, reader)
            }
            RowEnd::Unknown => {
                self.lexer.recover(row.start, around);
                Ok(Some(End::Incomplete {
                    from: row.start,
                    context: self.lexer.context(),
                    in_row: true,
                }))
            }
        }
    }

    /// Gives the text of a row, from `start` to where the lexer is, back to the reader.
    fn reject<R: RowReader>(
        &mut self,
        start: usize,
        place: &Place,
        error: RowError,
        reader: &mut R,
    ) -> Result<Option<End>> {
        self.check_size(start)?;
        self.rows.rejected += 1;
        let raw = &self.segment.text[start..self.lexer.offset()];
        reader.reject_row(raw, place, error)?;
        Ok(None)
    }

    /// Takes what the reader left of its row.
    fn rest_of_row(&mut self, around: usize) -> Result<(), RowError> {
        while self.lexer.depth() > around {
            self.lexer.next_event()?;
        }
        Ok(())
    }

    /// Whether the row that ends here is too large.
    fn check_size(&mut self, start: usize) -> Result<()> {
        if self.lexer.offset() - start > self.segment.limits.row_bytes {
            return Err(Error::RowTooLarge {
                place: self.place(start),
                limit: self.segment.limits.row_bytes,
            });
        }
        Ok(())
    }

    /// Something outside of rows is not well-formed, be it a row's own start tag. Gives the end of the
    /// segment where more text is needed or nothing is left.
    fn fault<R: RowReader>(&mut self, error: RowError, reader: &mut R) -> Result<Option<End>> {
        let at = self.lexer.event_start();
        let is_truncated = is_truncation(&error);
        if !self.segment.is_last && is_truncated {
            return Ok(Some(End::Incomplete {
                from: at,
                context: self.lexer.context(),
                in_row: self.row_name_at(at).is_some(),
            }));
        }
        let around = self.lexer.depth();
        if let Some(name) = self
            .row_name_at(at)
            .filter(|_| !self.lexer.is_behind_root())
        {
            let parent = self.lexer.open_elements().next_back();
            let row = Malformed {
                name,
                around: parent.map(|(name, _)| name),
                start: at,
                fault: error.offset,
                nested: 0,
            };
            return self.malformed_row(row, around, error, reader);
        }
        let place = self.place(error.offset);
        let reason = error.reason.to_string();
        if self.segment.mode == Mode::FailFast {
            return Err(Error::Malformed { place, reason });
        }
        self.rows.faults += 1;
        if self.rows.first_faults.len() < KEPT_FAULTS {
            self.rows.first_faults.push(Fault { place, reason });
        }
        if is_truncated || at >= self.segment.text.len() {
            self.lexer.recover(self.segment.text.len(), 0);
            return Ok(Some(End::Clean(self.lexer.context())));
        }
        self.go_on(at, &error);
        Ok(None)
    }

    /// The name of the row whose start tag seems to be at `at`.
    fn row_name_at(&self, at: usize) -> Option<&'a str> {
        let rest = self.segment.text.get(at..)?.strip_prefix('<')?;
        let length = rest
            .bytes()
            .position(|byte| ends_name(Some(byte)))
            .unwrap_or(rest.len());
        let name = &rest[..length];
        self.row_tag.would_match(name, &self.lexer).then_some(name)
    }

    /// Moves behind a fault outside of rows.
    fn go_on(&mut self, at: usize, error: &RowError) {
        if self.lexer.is_behind_root() && self.segment.text[at..].starts_with('<') {
            // What follows the root is read as another document.
            self.lexer.recover(at, 0);
            return;
        }
        let mut depth = self.lexer.depth();
        if let RowErrorReason::Malformed(Syntax::EndTag { found, .. }) = &error.reason {
            // The tag closes what it names, and what was left open in it.
            let open: Vec<_> = self.lexer.open_elements().map(|(name, _)| name).collect();
            depth = open.iter().rposition(|name| name == found).unwrap_or(depth);
        }
        let text = self.segment.text.as_bytes();
        let from = error.offset.max(at + 1).min(text.len());
        let next = memchr::memchr(b'<', &text[from..]).map_or(text.len(), |passed| from + passed);
        self.lexer.recover(next, depth);
    }

    /// Where an offset is in the document.
    fn place(&mut self, offset: usize) -> Place {
        let bytes = self.segment.text.as_bytes();
        let offset = offset.min(bytes.len());
        let (from, line) = match self.counted {
            counted if counted.0 <= offset => counted,
            _ => (0, self.segment.line),
        };
        let line = line + memchr::memchr_iter(b'\n', &bytes[from..offset]).count() as u64;
        self.counted = (offset, line);
        Place {
            file: self.segment.file.to_owned(),
            byte: self.segment.byte + offset as u64,
            line,
            path: self.lexer.path(),
        }
    }
}

fn is_value(error: &RowError) -> bool {
    !matches!(error.reason, RowErrorReason::Malformed(_))
}

/// Whether more text could help.
fn is_truncation(error: &RowError) -> bool {
    matches!(
        error.reason,
        RowErrorReason::Malformed(Syntax::Truncated(_) | Syntax::Unclosed(_))
    )
}
