//! From the bytes of a document to its text.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::sync::Arc;

use crate::{Error, Result};

/// How much memory is made ready in one go: a small document needs less than a whole segment.
const STEP_BYTES: usize = 256 * 1024;

/// A document to be read.
pub struct Input {
    name: Arc<str>,
    reader: Box<dyn Read + Send>,
}

impl Input {
    /// A document of this name, for messages, from these bytes.
    pub fn new(name: impl Into<Arc<str>>, reader: impl Read + Send + 'static) -> Self {
        Self {
            name: name.into(),
            reader: Box::new(reader),
        }
    }

    /// The document's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Gives the text of a document, piece by piece.
pub(crate) struct TextReader {
    name: Arc<str>,
    reader: Box<dyn Read + Send>,
    is_at_start: bool,
}

impl TextReader {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            name: input.name,
            reader: input.reader,
            is_at_start: true,
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Appends text until `buffer` has `target` bytes; gives whether the document ended.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, target: usize) -> Result<bool> {
        let mut filled = buffer.len();
        let mut is_at_end = false;
        while filled < target && !is_at_end {
            if filled == buffer.len() {
                buffer.resize(target.min(filled + STEP_BYTES), 0);
            }
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => is_at_end = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::Read {
                        file: self.name.as_ref().to_owned(),
                        source,
                    });
                }
            }
        }
        buffer.truncate(filled);
        if self.is_at_start {
            self.is_at_start = false;
            if buffer.starts_with(b"\xEF\xBB\xBF") {
                buffer.drain(..3);
            }
        }
        Ok(is_at_end)
    }
}
