use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;

use crate::input::{Input, TextReader};
use crate::lexer::{Context, Event, Lexer};
use crate::options::XmlOptions;
use crate::rows::{RowTag, ends_name};
use crate::text;
use crate::{Error, Place, Result};

/// How many times the wanted size a segment may have before it is cut where no row begins.
const PATIENCE: usize = 4;

/// What is assumed of the segments of a document.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    /// The number of the document.
    pub(super) document: usize,
    /// What stands before a row.
    pub(super) context: Arc<Context>,
}

/// A segment as it is cut from its document.
#[derive(Debug)]
pub(super) struct Cut {
    /// The number of the document.
    pub(super) document: usize,
    pub(super) file: Arc<str>,
    pub(super) bytes: Vec<u8>,
    /// Where it begins in the document.
    pub(super) byte: u64,
    pub(super) line: u64,
    pub(super) is_last: bool,
    /// What is assumed to stand before it, where there is something to go by.
    pub(super) guess: Option<Guess>,
}

/// Cuts documents into segments.
pub(super) struct Cutter<'a, I> {
    inputs: I,
    options: &'a XmlOptions,
    row_tag: &'a RowTag,
    segment_bytes: usize,
    /// The better guess that the join has.
    corrected: &'a Mutex<Option<Guess>>,
    documents: usize,
    current: Option<Document>,
}

/// The document that is being cut.
struct Document {
    reader: TextReader,
    number: usize,
    /// What was read beyond the last cut.
    left: Vec<u8>,
    byte: u64,
    line: u64,
    /// The row's start tag up to its name, as it stands in the text.
    needle: String,
    guess: Option<Guess>,
    /// Whether a row seems to begin behind the last cut.
    begins_with_row: bool,
}

impl<'a, I: Iterator<Item = Result<Input>>> Cutter<'a, I> {
    pub(super) fn new(
        inputs: I,
        options: &'a XmlOptions,
        row_tag: &'a RowTag,
        segment_bytes: usize,
        corrected: &'a Mutex<Option<Guess>>,
    ) -> Self {
        Self {
            inputs,
            options,
            row_tag,
            segment_bytes,
            corrected,
            documents: 0,
            current: None,
        }
    }

    /// The next segment, in the memory of an earlier one.
    pub(super) fn next_cut(&mut self, mut buffer: Vec<u8>) -> Result<Option<Cut>> {
        let Some(mut document) = self.document()? else {
            return Ok(None);
        };
        buffer.clear();
        buffer.append(&mut document.left);
        let is_first = document.byte == 0;
        let (is_last, at_row) = self.fill(&mut document, &mut buffer)?;
        if is_first {
            self.learn(&mut document, &buffer, is_last);
        }
        let guess = if is_first {
            Some(Guess {
                document: document.number,
                context: Arc::new(Context::start().clone()),
            })
        } else {
            self.guess(&document).filter(|_| document.begins_with_row)
        };
        let cut = Cut {
            document: document.number,
            file: Arc::clone(document.reader.name()),
            byte: document.byte,
            line: document.line,
            is_last,
            guess,
            bytes: buffer,
        };
        document.byte += cut.bytes.len() as u64;
        document.line += lines(&cut.bytes);
        document.begins_with_row = at_row;
        if is_last {
            let next = document.reader.next_document(self.encoding())?;
            self.current = next.map(|reader| self.start(reader));
        } else {
            self.current = Some(document);
        }
        Ok(Some(cut))
    }

    fn encoding(&self) -> Option<&'a str> {
        self.options.encoding.as_deref()
    }

    /// The document that is being cut, or the next.
    fn document(&mut self) -> Result<Option<Document>> {
        if let Some(document) = self.current.take() {
            return Ok(Some(document));
        }
        loop {
            let Some(input) = self.inputs.next() else {
                return Ok(None);
            };
            if let Some(reader) = TextReader::open(input?, self.encoding())? {
                return Ok(Some(self.start(reader)));
            }
        }
    }

    fn start(&mut self, reader: TextReader) -> Document {
        let number = self.documents;
        self.documents += 1;
        Document {
            reader,
            number,
            left: Vec::new(),
            byte: 0,
            line: 1,
            needle: format!("<{}", self.row_tag.name()),
            guess: None,
            begins_with_row: false,
        }
    }

    /// Fills the buffer up to a place to cut at, and puts aside what lies beyond. Gives whether the
    /// document ends, and whether a row seems to begin behind the cut.
    fn fill(&self, document: &mut Document, buffer: &mut Vec<u8>) -> Result<(bool, bool)> {
        let mut target = self.segment_bytes;
        loop {
            // A cut must leave something on both sides.
            target = target.max(buffer.len() + 1);
            if document.reader.fill(buffer, target)? {
                return Ok((true, false));
            }
            let row = last_tag(buffer, document.needle.as_bytes());
            let is_long = buffer.len() >= self.segment_bytes.saturating_mul(PATIENCE);
            let cut = match row {
                Some(row) => Some(row),
                None if is_long => memchr::memrchr(b'<', &buffer[1..]).map(|at| at + 1),
                None => None,
            };
            if let Some(cut) = cut {
                document.left.extend_from_slice(&buffer[cut..]);
                buffer.truncate(cut);
                return Ok((false, row.is_some()));
            }
            let limit = self.options.limits.row_bytes;
            if is_long && buffer.len() > limit {
                let place = Place {
                    file: document.reader.name().as_ref().to_owned(),
                    byte: document.byte,
                    line: document.line,
                    path: String::new(),
                };
                return Err(if document.begins_with_row {
                    Error::RowTooLarge { place, limit }
                } else {
                    Error::MarkupTooLarge { place, limit }
                });
            }
            target = buffer.len() * 2;
        }
    }

    /// Learns from the first segment what stands before a row, and how its name is written.
    fn learn(&self, document: &mut Document, bytes: &[u8], is_last: bool) {
        if is_last {
            return;
        }
        let Ok(text) = text::utf8(bytes) else {
            return;
        };
        let mut lexer = Lexer::with_context(text, Context::start(), false, self.options.limits);
        loop {
            let context = lexer.offset();
            match lexer.next_event() {
                Ok(Event::Start(tag)) if self.row_tag.matches(tag.name, &lexer) => {
                    let around = lexer.depth() - 1;
                    lexer.recover(context, around);
                    document.needle = format!("<{}", tag.name);
                    document.guess = Some(Guess {
                        document: document.number,
                        context: Arc::new(lexer.context()),
                    });
                    return;
                }
                Ok(Event::Eof) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// What is assumed to stand before the rows of the document.
    fn guess(&self, document: &Document) -> Option<Guess> {
        let corrected = self
            .corrected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        corrected
            .filter(|guess| guess.document == document.number)
            .or_else(|| document.guess.clone())
    }
}

/// Where the last tag that begins with `needle` stands; not at the very start.
fn last_tag(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let finder = memmem::FinderRev::new(needle);
    let mut end = bytes.len();
    loop {
        let found = finder.rfind(&bytes[..end]).filter(|found| *found > 0)?;
        let behind = bytes.get(found + needle.len()).copied();
        if behind.is_some() && ends_name(behind) {
            return Some(found);
        }
        end = found + needle.len() - 1;
    }
}

/// How many lines end in the text.
pub(super) fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
