//! The chunks of a compressed ORC stream (ORC specification, "Compression"): three bytes say how long the chunk is, and
//! whether it is compressed at all.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::DeflateDecoder;
use orc_rust::proto::CompressionKind;

use super::Problem;

/// The bytes before each chunk.
const HEADER_BYTES: usize = 3;
/// The length of a chunk is told in 23 bits, and no chunk may be larger once it is decompressed.
const MOST_BLOCK_BYTES: u64 = 1 << 23;
/// What a writer means that does not say how large its chunks are.
const DEFAULT_BLOCK_BYTES: u64 = 256 * 1024;

/// How the streams of a file are compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Codec {
    kind: CompressionKind,
    block_bytes: usize,
}

impl Codec {
    /// Takes what the postscript says.
    ///
    /// # Errors
    /// When it is compressed in a way that is not read.
    pub(super) fn new(kind: i32, block_bytes: Option<u64>) -> Result<Self, Problem> {
        let kind = match CompressionKind::try_from(kind) {
            Ok(CompressionKind::Lzo) => return Err(Problem::Unread("compressed with LZO")),
            Ok(kind) => kind,
            Err(_) => return Err(Problem::Unread("compressed in a way that is not known")),
        };
        let block_bytes = block_bytes.unwrap_or(DEFAULT_BLOCK_BYTES);
        let block_bytes = usize::try_from(block_bytes.min(MOST_BLOCK_BYTES));
        Ok(Self {
            kind,
            block_bytes: block_bytes.expect("eight mebibytes are within the range"),
        })
    }

    /// Decompresses a stream, or another part that is compressed as streams are.
    ///
    /// # Errors
    /// When a chunk is cut off or damaged, or larger than the file says that chunks are.
    pub(super) fn decompress(self, stream: Bytes) -> Result<Bytes, Problem> {
        if self.kind == CompressionKind::None {
            return Ok(stream);
        }
        let mut whole = Vec::with_capacity(stream.len());
        let mut rest = stream.as_ref();
        while !rest.is_empty() {
            let (header, after) = rest
                .split_at_checked(HEADER_BYTES)
                .ok_or(Problem::Damaged("a stream ends within a chunk's header"))?;
            let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
            let length = usize::try_from(header >> 1).unwrap_or(usize::MAX);
            let (chunk, after) = after
                .split_at_checked(length)
                .ok_or(Problem::Damaged("a chunk is longer than its stream"))?;
            if header & 1 == 1 {
                whole.extend_from_slice(chunk);
            } else {
                let before = whole.len();
                self.chunk(chunk, &mut whole)
                    .map_err(|_| Problem::Damaged("a chunk cannot be decompressed"))?;
                if whole.len() - before > self.block_bytes {
                    return Err(Problem::Damaged("a chunk is larger than chunks are"));
                }
            }
            rest = after;
        }
        Ok(Bytes::from(whole))
    }

    /// Appends one chunk, decompressed: a byte more than chunks have at most.
    fn chunk(self, chunk: &[u8], whole: &mut Vec<u8>) -> io::Result<()> {
        match self.kind {
            CompressionKind::Zlib => {
                let most = self.block_bytes as u64 + 1;
                DeflateDecoder::new(chunk).take(most).read_to_end(whole)?;
            }
            CompressionKind::Snappy => {
                if snap::raw::decompress_len(chunk)? > self.block_bytes {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                whole.extend(snap::raw::Decoder::new().decompress_vec(chunk)?);
            }
            CompressionKind::Lz4 => {
                let before = whole.len();
                whole.resize(before + self.block_bytes, 0);
                let length = lz4_flex::block::decompress_into(chunk, &mut whole[before..]);
                whole.truncate(before + length.map_err(io::Error::other)?);
            }
            CompressionKind::Zstd => {
                whole.extend(zstd::bulk::decompress(chunk, self.block_bytes)?);
            }
            CompressionKind::None | CompressionKind::Lzo => whole.extend_from_slice(chunk),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn chunk(bytes: &[u8], is_original: bool) -> Vec<u8> {
        let header = u32::try_from(bytes.len()).unwrap() << 1 | u32::from(is_original);
        let mut chunk = header.to_le_bytes()[..HEADER_BYTES].to_vec();
        chunk.extend_from_slice(bytes);
        chunk
    }

    fn compressed(kind: CompressionKind, bytes: &[u8]) -> Vec<u8> {
        match kind {
            CompressionKind::Zlib => {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            CompressionKind::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
            CompressionKind::Lz4 => lz4_flex::block::compress(bytes),
            CompressionKind::Zstd => zstd::bulk::compress(bytes, 3).unwrap(),
            _ => bytes.to_vec(),
        }
    }

    #[track_caller]
    fn check(kind: CompressionKind) {
        let codec = Codec::new(kind.into(), Some(100)).unwrap();
        let read = |stream: &[u8]| codec.decompress(Bytes::copy_from_slice(stream));
        let mut stream = chunk(&compressed(kind, &[7; 100]), false);
        stream.extend(chunk(b"as it is", true));
        let whole = [&[7; 100], b"as it is".as_slice()].concat();
        assert_eq!(read(&stream).unwrap(), whole);
        assert_eq!(read(b"").unwrap(), b"".as_slice());
        for end in 1..stream.len() {
            if let Ok(part) = read(&stream[..end]) {
                assert_eq!(part, [7; 100].as_slice(), "{kind:?} {end}");
            }
        }
        // A chunk that is larger than the file says.
        let large = chunk(&compressed(kind, &[7; 101]), false);
        read(&large).unwrap_err();
    }

    #[test]
    fn chunks() {
        for kind in [
            CompressionKind::Zlib,
            CompressionKind::Snappy,
            CompressionKind::Lz4,
            CompressionKind::Zstd,
        ] {
            check(kind);
        }
        let plain = Codec::new(CompressionKind::None.into(), None).unwrap();
        let plain = plain.decompress(Bytes::from_static(b"x")).unwrap();
        assert_eq!(plain, b"x".as_slice());
    }

    #[test]
    fn what_is_not_read() {
        for (kind, expected) in [
            (3, "it is compressed with LZO, which is not read"),
            (
                6,
                "it is compressed in a way that is not known, which is not read",
            ),
        ] {
            let error = Codec::new(kind, None).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
