use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Write};

use bytes::Bytes;

use super::{AvroError, Cursor, Encode, Result, Schema};

const MAGIC: &[u8; 4] = b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// Blocks are closed at this size, as Java's writer does.
const BLOCK_BYTES: usize = 64 * 1024;

/// No block is decompressed beyond this: a manifest's blocks are far smaller.
const MAX_BLOCK_BYTES: usize = 1 << 30;

/// How blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Zstandard => "zstandard",
        }
    }

    fn from_name(name: &[u8]) -> Result<Self> {
        [Self::Null, Self::Deflate, Self::Snappy, Self::Zstandard]
            .into_iter()
            .find(|codec| codec.name().as_bytes() == name)
            .ok_or_else(|| AvroError::UnknownCodec {
                codec: String::from_utf8_lossy(name).into_owned(),
            })
    }

    fn decompress(self, data: &[u8]) -> Result<Cow<'_, [u8]>> {
        let mut out = Vec::new();
        let limit = MAX_BLOCK_BYTES as u64 + 1;
        let read = match self {
            Self::Null => return Ok(Cow::Borrowed(data)),
            Self::Deflate => flate2::read::DeflateDecoder::new(data)
                .take(limit)
                .read_to_end(&mut out),
            Self::Zstandard => zstd::stream::read::Decoder::new(data)
                .and_then(|decoder| decoder.take(limit).read_to_end(&mut out)),
            Self::Snappy => {
                // Four bytes of checksum follow the compressed block.
                let data = &data[..data.len().saturating_sub(4)];
                let length = snap::raw::decompress_len(data).unwrap_or(usize::MAX);
                if length > MAX_BLOCK_BYTES {
                    return Err(AvroError::BlockTooLarge {
                        limit: MAX_BLOCK_BYTES,
                    });
                }
                out.resize(length, 0);
                snap::raw::Decoder::new()
                    .decompress(data, &mut out)
                    .map_err(std::io::Error::other)
            }
        };
        read.map_err(|source| AvroError::Decompress { source })?;
        if out.len() > MAX_BLOCK_BYTES {
            return Err(AvroError::BlockTooLarge {
                limit: MAX_BLOCK_BYTES,
            });
        }
        Ok(Cow::Owned(out))
    }
}

/// Reads a container file block by block.
#[derive(Debug)]
pub(crate) struct ContainerReader {
    bytes: Bytes,
    first_block: usize,
    at: usize,
    sync: [u8; SYNC_BYTES],
    codec: Codec,
    schema: Schema,
}

impl ContainerReader {
    /// Reads the header.
    pub(crate) fn open(bytes: Bytes) -> Result<Self> {
        let mut cursor = Cursor::new(&bytes);
        if !bytes.starts_with(MAGIC) {
            return Err(AvroError::NotAvro);
        }
        cursor.take(MAGIC.len())?;
        let mut metadata = HashMap::new();
        cursor.items(false, |cursor| {
            let key = cursor.string()?.to_owned();
            metadata.insert(key, cursor.bytes()?.to_vec());
            Ok(())
        })?;
        let sync = cursor.array()?;
        let at = cursor.position();
        let schema = metadata
            .get("avro.schema")
            .ok_or(AvroError::FieldMissing {
                field: "avro.schema",
            })
            .and_then(|json| Schema::parse(json))?;
        let codec = match metadata.get("avro.codec") {
            Some(name) => Codec::from_name(name)?,
            None => Codec::Null,
        };
        Ok(Self {
            bytes,
            first_block: at,
            at,
            sync,
            codec,
            schema,
        })
    }

    /// The schema the file was written with.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How much the blocks take together, in bytes.
    pub(crate) fn block_bytes(&self) -> usize {
        self.bytes.len() - self.first_block
    }

    /// The next block: how many records it holds, and the records.
    pub(crate) fn next_block(&mut self) -> Result<Option<(usize, Vec<u8>)>> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let rest = &self.bytes[self.at..];
        let mut cursor = Cursor::new(rest);
        let count = cursor.long()?;
        let data = cursor.bytes()?;
        if cursor.array()? != self.sync {
            return Err(AvroError::Marker {
                offset: self.at + cursor.position(),
            });
        }
        self.at += cursor.position();
        let data = self.codec.decompress(data)?.into_owned();
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= data.len())
            .ok_or(AvroError::Truncated { offset: 0 })?;
        Ok(Some((count, data)))
    }
}

/// Writes a container file; the header last, when all is known that it says.
///
/// Blocks are deflated, as Java's are unless a table says otherwise.
#[derive(Debug)]
pub(crate) struct ContainerWriter {
    sync: [u8; SYNC_BYTES],
    /// The closed blocks, as they will be in the file.
    blocks: Vec<u8>,
    /// The open block, not compressed yet.
    open: Vec<u8>,
    open_count: i64,
    /// How much the closed blocks held before they were compressed.
    closed_bytes: usize,
}

impl ContainerWriter {
    /// Starts a file. `sync` separates blocks; any 16 bytes that are unlikely within one.
    pub(crate) fn new(sync: [u8; SYNC_BYTES]) -> Self {
        Self {
            sync,
            blocks: Vec::new(),
            open: Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4),
            open_count: 0,
            closed_bytes: 0,
        }
    }

    /// Appends one record. When it fails, nothing has been appended.
    pub(crate) fn append<E>(
        &mut self,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.open.len();
        if let Err(error) = put(&mut self.open) {
            self.open.truncate(before);
            return Err(error);
        }
        self.open_count += 1;
        if self.open.len() >= BLOCK_BYTES {
            self.close_block();
        }
        Ok(())
    }

    /// The file's size so far without its header; the open block counts as if it were compressed
    /// as well as those before it.
    pub(crate) fn size(&self) -> usize {
        let open = match self.closed_bytes {
            0 => self.open.len() / 4,
            closed => self.open.len() * self.blocks.len() / closed,
        };
        self.blocks.len() + open
    }

    /// Ends the file.
    pub(crate) fn finish(mut self, schema: &str, metadata: &[(&str, String)]) -> Bytes {
        self.close_block();
        let mut file = Vec::with_capacity(self.blocks.len() + schema.len() + 4096);
        file.extend_from_slice(MAGIC);
        let pairs = [
            ("avro.codec", Codec::Deflate.name()),
            ("avro.schema", schema),
        ];
        let pairs: Vec<(&str, &str)> = pairs
            .into_iter()
            .chain(metadata.iter().map(|(key, value)| (*key, value.as_str())))
            .collect();
        file.put_array(pairs.into_iter(), |file, (key, value)| {
            file.put_bytes(key.as_bytes());
            file.put_bytes(value.as_bytes());
        });
        file.extend_from_slice(&self.sync);
        file.extend_from_slice(&self.blocks);
        file.into()
    }

    fn close_block(&mut self) {
        if self.open_count == 0 {
            return;
        }
        self.blocks.put_long(self.open_count);
        let compressed = self.deflate();
        self.blocks.put_bytes(&compressed);
        self.blocks.extend_from_slice(&self.sync);
        self.closed_bytes += self.open.len();
        self.open.clear();
        self.open_count = 0;
    }

    fn deflate(&self) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(
            Vec::with_capacity(self.open.len() / 2),
            flate2::Compression::fast(),
        );
        encoder
            .write_all(&self.open)
            .and_then(|()| encoder.finish())
            .expect("writing to memory does not fail")
    }
}
