//! From the bytes of a document to its text: decompressed, and decoded to UTF-8.

mod compression;
mod encoding;
mod zip;

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use crate::{Error, Result};

use compression::Opened;
use encoding::Decoding;
use zip::ZipEntry;

/// How much memory is made ready in one go: a small document needs less than a whole segment.
const STEP_BYTES: usize = 256 * 1024;

/// How many bytes tell the encoding: the byte-order mark and the XML declaration are in them.
const HEAD_BYTES: usize = 1024;

/// A document to be read, or a zip archive of them.
///
/// What it is compressed by, gzip, bzip2, Zstandard, xz or zip, is told by its first bytes, whatever
/// its name.
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

/// Where the bytes of a document come from.
enum Source {
    Stream(Box<dyn Read + Send>),
    Zip(Box<ZipEntry>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.read(buffer),
            Self::Zip(entry) => entry.read(buffer),
        }
    }
}

/// Gives the text of a document, piece by piece.
pub(crate) struct TextReader {
    /// What the whole input is called.
    input: Arc<str>,
    name: Arc<str>,
    source: Source,
    /// The first bytes, which were read to know what they are.
    head: io::Cursor<Vec<u8>>,
    /// How other encodings than UTF-8 are decoded.
    decoding: Option<Decoding>,
}

impl TextReader {
    /// Opens an input; none where it is an archive without documents. `encoding` is the option.
    pub(crate) fn open(input: Input, encoding: Option<&str>) -> Result<Option<Self>> {
        let Input { name, reader } = input;
        match compression::open(reader).map_err(|source| read_error(&name, source))? {
            Opened::Stream(stream) => {
                let document = Arc::clone(&name);
                Self::start(name, document, Source::Stream(stream), encoding).map(Some)
            }
            Opened::Zip(archive) => {
                let entry = ZipEntry::first(archive).map_err(|source| read_error(&name, source))?;
                Self::entry(name, entry, encoding)
            }
        }
    }

    /// The next document of the same input.
    pub(crate) fn next_document(self, encoding: Option<&str>) -> Result<Option<Self>> {
        match self.source {
            Source::Stream(_) => Ok(None),
            Source::Zip(entry) => {
                let next = entry
                    .next()
                    .map_err(|source| read_error(&self.name, source))?;
                Self::entry(self.input, next, encoding)
            }
        }
    }

    fn entry(
        input: Arc<str>,
        entry: Option<ZipEntry>,
        encoding: Option<&str>,
    ) -> Result<Option<Self>> {
        let Some(entry) = entry else {
            return Ok(None);
        };
        let name = format!("{input}/{}", entry.name()).into();
        Self::start(input, name, Source::Zip(Box::new(entry)), encoding).map(Some)
    }

    /// Looks at the first bytes of a document.
    fn start(
        input: Arc<str>,
        name: Arc<str>,
        mut source: Source,
        encoding: Option<&str>,
    ) -> Result<Self> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        (&mut source)
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(|error| read_error(&name, error))?;
        let (mark, decoding) = encoding::of(&head, encoding, &name)?;
        head.drain(..mark);
        Ok(Self {
            input,
            name,
            source,
            head: io::Cursor::new(head),
            decoding,
        })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Appends text until `buffer` has about `target` bytes; gives whether the document ended.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, target: usize) -> Result<bool> {
        let Self {
            name,
            source,
            head,
            decoding,
            ..
        } = self;
        let mut bytes = head.chain(source);
        match decoding {
            Some(decoding) => decoding.fill(&mut bytes, buffer, target, name),
            None => fill(&mut bytes, buffer, target).map_err(|source| read_error(name, source)),
        }
    }
}

/// Appends bytes until `buffer` has `target` of them; gives whether the stream ended.
fn fill(reader: &mut impl Read, buffer: &mut Vec<u8>, target: usize) -> io::Result<bool> {
    let mut filled = buffer.len();
    while filled < target {
        if filled == buffer.len() {
            buffer.resize(target.min(filled + STEP_BYTES), 0);
        }
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => {
                buffer.truncate(filled);
                return Ok(true);
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(false)
}

fn read_error(file: &str, source: io::Error) -> Error {
    Error::Read {
        file: file.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
