use std::io::Read;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::{Error, Place, Result};

use super::{STEP_BYTES, fill, read_error};

/// How many bytes of the document are decoded in one go.
const RAW_BYTES: usize = 64 * 1024;

/// The length of the byte-order mark, and how the document is decoded where it is not UTF-8.
///
/// A byte-order mark is believed first, then the option, then the look of UTF-16 and the declaration.
pub(super) fn of(
    head: &[u8],
    option: Option<&str>,
    file: &str,
) -> Result<(usize, Option<Decoding>)> {
    let unknown = |encoding: &str| Error::UnknownEncoding {
        file: file.to_owned(),
        encoding: encoding.to_owned(),
    };
    if head.starts_with(&[0xFF, 0xFE, 0, 0]) || head.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Err(unknown("UTF-32"));
    }
    if let Some((encoding, mark)) = Encoding::for_bom(head) {
        return Ok((mark, Decoding::of(encoding)));
    }
    if let Some(label) = option {
        let encoding = Encoding::for_label(label.as_bytes()).ok_or_else(|| unknown(label))?;
        return Ok((0, Decoding::of(encoding)));
    }
    if head.starts_with(&[0, b'<', 0]) {
        return Ok((0, Decoding::of(UTF_16BE)));
    }
    if head.starts_with(&[b'<', 0]) {
        return Ok((0, Decoding::of(UTF_16LE)));
    }
    let Some(label) = declared(head) else {
        return Ok((0, None));
    };
    let encoding =
        Encoding::for_label(label).ok_or_else(|| unknown(&String::from_utf8_lossy(label)))?;
    // A declaration that can be read byte by byte is not UTF-16, whatever it says.
    let encoding = if encoding == UTF_16LE || encoding == UTF_16BE {
        UTF_8
    } else {
        encoding
    };
    Ok((0, Decoding::of(encoding)))
}

/// The encoding that the XML declaration names.
fn declared(head: &[u8]) -> Option<&[u8]> {
    let declaration = head.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..memchr::memmem::find(declaration, b"?>")?];
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let value = declaration[at + 8..].trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let quote = *value
        .first()
        .filter(|quote| matches!(quote, b'"' | b'\''))?;
    let value = &value[1..];
    Some(&value[..memchr::memchr(quote, value)?])
}

/// Decodes a document that is not UTF-8.
pub(super) struct Decoding {
    decoder: Decoder,
    /// Bytes that were read and not decoded yet, from `at` on.
    raw: Vec<u8>,
    at: usize,
    is_at_end: bool,
    /// How much text there is so far, for the place of an error.
    byte: u64,
    line: u64,
}

impl Decoding {
    /// None for UTF-8, which is taken as it is.
    fn of(encoding: &'static Encoding) -> Option<Self> {
        (encoding != UTF_8).then(|| Self {
            decoder: encoding.new_decoder_without_bom_handling(),
            raw: Vec::new(),
            at: 0,
            is_at_end: false,
            byte: 0,
            line: 1,
        })
    }

    /// Appends text until `buffer` has about `target` bytes; gives whether the document ended.
    pub(super) fn fill(
        &mut self,
        reader: &mut impl Read,
        buffer: &mut Vec<u8>,
        target: usize,
        file: &str,
    ) -> Result<bool> {
        while buffer.len() < target {
            if self.at == self.raw.len() && !self.is_at_end {
                self.raw.clear();
                self.at = 0;
                self.is_at_end = fill(reader, &mut self.raw, RAW_BYTES)
                    .map_err(|source| read_error(file, source))?;
            }
            if self.decode(buffer, file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decodes some of the raw bytes; gives whether nothing is left.
    fn decode(&mut self, buffer: &mut Vec<u8>, file: &str) -> Result<bool> {
        let raw = &self.raw[self.at..];
        let start = buffer.len();
        let room = self
            .decoder
            .max_utf8_buffer_length_without_replacement(raw.len())
            .unwrap_or(STEP_BYTES)
            .clamp(16, STEP_BYTES);
        buffer.resize(start + room, 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
            raw,
            &mut buffer[start..],
            self.is_at_end,
        );
        buffer.truncate(start + written);
        self.at += read;
        self.byte += written as u64;
        self.line += memchr::memchr_iter(b'\n', &buffer[start..]).count() as u64;
        match result {
            DecoderResult::InputEmpty => Ok(self.is_at_end),
            DecoderResult::OutputFull => Ok(false),
            DecoderResult::Malformed(..) => Err(Error::Encoding {
                place: Place {
                    file: file.to_owned(),
                    byte: self.byte,
                    line: self.line,
                    path: String::new(),
                },
                encoding: self.decoder.encoding().name().to_owned(),
            }),
        }
    }
}
