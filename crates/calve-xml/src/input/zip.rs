//! Zip archives as a stream: entry after entry, without the directory at their end.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

/// The archive's bytes.
pub(super) type Archive = BufReader<Box<dyn Read + Send>>;

/// The entry's name is UTF-8 or not: what matters is that it can be shown.
const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";

/// What may follow the last entry.
const AFTER_ENTRIES: [[u8; 4]; 4] = [
    *b"PK\x01\x02",
    *b"PK\x05\x06",
    *b"PK\x06\x06",
    *b"PK\x06\x08",
];

/// One file of an archive, while it is read.
pub(super) struct ZipEntry {
    name: String,
    body: Body,
    /// Whether the checksum and the sizes come behind the body.
    has_descriptor: bool,
    /// Whether sizes have eight bytes there.
    is_large: bool,
    checksum: u32,
    hasher: Hasher,
    is_at_end: bool,
}

enum Body {
    Stored(io::Take<Archive>),
    Deflated(DeflateDecoder<Archive>),
}

impl ZipEntry {
    /// The first file of an archive.
    pub(super) fn first(mut archive: Archive) -> io::Result<Option<Self>> {
        loop {
            let Some(entry) = Self::open(archive)? else {
                return Ok(None);
            };
            if entry.is_document() {
                return Ok(Some(entry));
            }
            archive = entry.skip()?;
        }
    }

    /// The file after this one.
    pub(super) fn next(self) -> io::Result<Option<Self>> {
        Self::first(self.skip()?)
    }

    /// The path in the archive.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the entry is neither a folder nor what a file manager keeps for itself.
    fn is_document(&self) -> bool {
        !self.name.ends_with('/') && !self.name.starts_with("__MACOSX/")
    }

    /// Opens the entry that begins here; none at the end of the entries.
    fn open(mut archive: Archive) -> io::Result<Option<Self>> {
        let mut signature = [0; 4];
        archive.read_exact(&mut signature)?;
        if AFTER_ENTRIES.contains(&signature) {
            return Ok(None);
        }
        if signature != LOCAL_HEADER {
            return Err(invalid("the zip archive is damaged"));
        }
        let mut header = [0; 26];
        archive.read_exact(&mut header)?;
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let long = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (flags, method, checksum) = (short(2), short(4), long(10));
        let mut size = u64::from(long(14));
        let mut name = vec![0; usize::from(short(22))];
        archive.read_exact(&mut name)?;
        let mut extra = vec![0; usize::from(short(24))];
        archive.read_exact(&mut extra)?;
        let large = large_sizes(&extra);
        if let (
            Some(Large {
                compressed: Some(compressed),
            }),
            0xFFFF_FFFF,
        ) = (&large, size)
        {
            size = *compressed;
        }
        if flags & 1 != 0 {
            return Err(unsupported("encrypted zip archives are not supported"));
        }
        let has_descriptor = flags & 8 != 0;
        let body = match method {
            0 if has_descriptor && size == 0 => {
                return Err(unsupported(
                    "zip entries that are stored without their size are not supported",
                ));
            }
            0 => Body::Stored(archive.take(size)),
            8 => Body::Deflated(DeflateDecoder::new(archive)),
            _ => return Err(unsupported("this zip compression is not supported")),
        };
        Ok(Some(Self {
            name: String::from_utf8_lossy(&name).into_owned(),
            body,
            has_descriptor,
            is_large: large.is_some(),
            checksum,
            hasher: Hasher::new(),
            is_at_end: false,
        }))
    }

    /// Reads what is left; gives the archive back where the next entry begins.
    fn skip(mut self) -> io::Result<Archive> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(match self.body {
            Body::Stored(body) => body.into_inner(),
            Body::Deflated(body) => body.into_inner(),
        })
    }

    /// Reads what is behind the body, and compares the checksum.
    fn end(&mut self) -> io::Result<()> {
        if self.has_descriptor {
            let archive = match &mut self.body {
                Body::Stored(body) => body.get_mut(),
                Body::Deflated(body) => body.get_mut(),
            };
            let mut first = [0; 4];
            archive.read_exact(&mut first)?;
            if first == *b"PK\x07\x08" {
                archive.read_exact(&mut first)?;
            }
            self.checksum = u32::from_le_bytes(first);
            let mut sizes = [0; 16];
            archive.read_exact(&mut sizes[..if self.is_large { 16 } else { 8 }])?;
        } else if let Body::Stored(body) = &mut self.body
            && body.limit() > 0
            && body.get_mut().fill_buf()?.is_empty()
        {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.hasher.clone().finalize() != self.checksum {
            return Err(invalid("the checksum of the zip entry is wrong"));
        }
        Ok(())
    }
}

impl Read for ZipEntry {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end || buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.body {
            Body::Stored(body) => body.read(buffer)?,
            Body::Deflated(body) => body.read(buffer)?,
        };
        self.hasher.update(&buffer[..read]);
        if read == 0 {
            self.is_at_end = true;
            self.end()?;
        }
        Ok(read)
    }
}

/// The extra field of entries whose sizes may need eight bytes.
struct Large {
    /// The compressed size, where it stands before the body.
    compressed: Option<u64>,
}

/// The extra field of large entries, where there is one.
fn large_sizes(mut extra: &[u8]) -> Option<Large> {
    while let [one, two, three, four, rest @ ..] = extra {
        let length = usize::from(u16::from_le_bytes([*three, *four]));
        let field = rest.get(..length)?;
        if u16::from_le_bytes([*one, *two]) == 1 {
            let compressed = field.get(8..).and_then(|sizes| sizes.first_chunk::<8>());
            return Some(Large {
                compressed: compressed.map(|bytes| u64::from_le_bytes(*bytes)),
            });
        }
        extra = &rest[length..];
    }
    None
}

fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}

fn unsupported(reason: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, reason)
}
