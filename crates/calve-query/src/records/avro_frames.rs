//! The frames of an Avro object container file (Avro specification, "Object Container Files"): a header, and blocks
//! that each end with the file's sync marker.
//!
//! A decoder that runs out of bytes within a block takes that for the end of the file, so that the rest of a file that
//! is cut off would be missing without a word. [`Framed`] watches the bytes on their way and fails instead.

use std::io::{self, Read};

const MAGIC: [u8; 4] = *b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// Reads from another reader, and fails where the file ends within its header or a block, or a block does not end with
/// the file's sync marker.
#[derive(Debug)]
pub(crate) struct Framed<R> {
    inner: R,
    part: Part,
    /// The number that is being read, and how many of its bits there are.
    number: u64,
    bits: u32,
    /// How many entries of the header's metadata follow in its current part.
    entries: u64,
    sync: [u8; SYNC_BYTES],
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Magic { at: usize },
    Entries,
    EntriesSize,
    KeyLength,
    Key { left: u64 },
    ValueLength,
    Value { left: u64 },
    HeaderSync { at: usize },
    BlockRows,
    BlockLength,
    Block { left: u64 },
    BlockSync { at: usize },
}

impl<R: Read> Framed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            part: Part::Magic { at: 0 },
            number: 0,
            bits: 0,
            entries: 0,
            sync: [0; SYNC_BYTES],
        }
    }

    /// Follows bytes of the file.
    fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let Some(byte) = bytes.first().copied() {
            let (Part::Key { left } | Part::Value { left } | Part::Block { left }) = self.part
            else {
                self.byte(byte)?;
                bytes = &bytes[1..];
                continue;
            };
            let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            bytes = &bytes[taken..];
            self.passed(left - taken as u64);
        }
        Ok(())
    }

    /// So much of what is not looked at is left.
    fn passed(&mut self, left: u64) {
        self.part = match self.part {
            Part::Key { .. } if left == 0 => Part::ValueLength,
            Part::Key { .. } => Part::Key { left },
            Part::Value { .. } if left == 0 => {
                self.entries -= 1;
                if self.entries == 0 {
                    Part::Entries
                } else {
                    Part::KeyLength
                }
            }
            Part::Value { .. } => Part::Value { left },
            _ if left == 0 => Part::BlockSync { at: 0 },
            _ => Part::Block { left },
        };
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        match self.part {
            Part::Magic { at } if byte != MAGIC[at] => return Err(damaged("it is no Avro file")),
            Part::Magic { at } if at + 1 == MAGIC.len() => self.part = Part::Entries,
            Part::Magic { at } => self.part = Part::Magic { at: at + 1 },
            Part::HeaderSync { at } => {
                self.sync[at] = byte;
                self.part = match at + 1 {
                    SYNC_BYTES => Part::BlockRows,
                    at => Part::HeaderSync { at },
                };
            }
            Part::BlockSync { at } if byte != self.sync[at] => {
                return Err(damaged("a block does not end with the file's sync marker"));
            }
            Part::BlockSync { at } => {
                self.part = match at + 1 {
                    SYNC_BYTES => Part::BlockRows,
                    at => Part::BlockSync { at },
                };
            }
            _ => {
                if let Some(number) = self.digit(byte)? {
                    self.number(number)?;
                }
            }
        }
        Ok(())
    }

    /// Takes one byte of a number (zigzag, seven bits a byte), and returns the number with its last one.
    fn digit(&mut self, byte: u8) -> io::Result<Option<i64>> {
        if self.bits >= u64::BITS {
            return Err(damaged("a number has too many bytes"));
        }
        self.number |= u64::from(byte & 0x7f) << self.bits;
        self.bits += 7;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        let number = std::mem::take(&mut self.number);
        self.bits = 0;
        Ok(Some(
            (number >> 1).cast_signed() ^ -((number & 1).cast_signed()),
        ))
    }

    fn number(&mut self, number: i64) -> io::Result<()> {
        let length = || u64::try_from(number).map_err(|_| damaged("a length is below zero"));
        match self.part {
            Part::Entries if number == 0 => self.part = Part::HeaderSync { at: 0 },
            Part::Entries => {
                self.entries = number.unsigned_abs();
                self.part = if number < 0 {
                    Part::EntriesSize
                } else {
                    Part::KeyLength
                };
            }
            Part::EntriesSize => self.part = Part::KeyLength,
            Part::KeyLength => {
                self.part = Part::Key { left: length()? };
                self.skip_nothing();
            }
            Part::ValueLength => {
                self.part = Part::Value { left: length()? };
                self.skip_nothing();
            }
            Part::BlockRows => {
                length()?;
                self.part = Part::BlockLength;
            }
            _ => {
                self.part = Part::Block { left: length()? };
                self.skip_nothing();
            }
        }
        Ok(())
    }

    /// Goes on at once where there is nothing to pass over.
    fn skip_nothing(&mut self) {
        if let Part::Key { left: 0 } | Part::Value { left: 0 } | Part::Block { left: 0 } = self.part
        {
            self.passed(0);
        }
    }
}

impl<R: Read> Read for Framed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.follow(&buffer[..count])?;
        let is_end = count == 0 && !buffer.is_empty();
        if is_end && (self.part != Part::BlockRows || self.bits > 0) {
            return Err(damaged("it ends within a block: it is cut off"));
        }
        Ok(count)
    }
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use arrow_avro::writer::AvroWriter;

    use super::*;

    /// A file of three blocks.
    fn file() -> Vec<u8> {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let mut writer = AvroWriter::new(Vec::new(), schema.clone()).unwrap();
        for block in 0..3 {
            let numbers = Int64Array::from_iter_values(block * 50..block * 50 + 50);
            let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![Arc::new(numbers)]);
            writer.write(&batch.unwrap()).unwrap();
        }
        writer.finish().unwrap();
        writer.into_inner()
    }

    /// Reads all, so many bytes at a time.
    fn read(bytes: &[u8], step: usize) -> io::Result<Vec<u8>> {
        let mut reader = Framed::new(bytes);
        let mut found = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(found),
                count => found.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn whole_files_pass() {
        let file = file();
        for step in [1, 2, 7, 64, 4096] {
            assert_eq!(read(&file, step).unwrap(), file, "{step}");
        }
    }

    #[test]
    fn a_file_is_whole_at_the_ends_of_blocks_only() {
        let file = file();
        let whole: Vec<usize> = (0..=file.len())
            .filter(|end| read(&file[..*end], 100).is_ok())
            .collect();
        // After the header, and after each block.
        assert_eq!(whole.len(), 4, "{whole:?}");
        assert_eq!(whole.last(), Some(&file.len()));
    }

    #[test]
    fn a_damaged_marker_is_found() {
        let mut file = file();
        let last = file.len() - 1;
        file[last] ^= 1;
        let error = read(&file, 100).unwrap_err();
        assert!(error.to_string().contains("sync marker"), "{error}");
        let error = read(b"PAR1", 100).unwrap_err();
        assert_eq!(error.to_string(), "it is no Avro file");
        let error = read(b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 100).unwrap_err();
        assert!(error.to_string().contains("too many bytes"), "{error}");
    }
}
