use std::io::{self, BufReader, Cursor, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// The most memory that an xz stream may ask for.
const XZ_MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// The longest of the signatures.
const SIGNATURE_BYTES: usize = 6;

/// What an input is.
pub(super) enum Opened {
    /// A document, decompressed.
    Stream(Box<dyn Read + Send>),
    /// A zip archive.
    Zip(BufReader<Box<dyn Read + Send>>),
}

/// Undoes the compression that the first bytes tell of. No XML document begins as these signatures do.
pub(super) fn open(mut reader: Box<dyn Read + Send>) -> io::Result<Opened> {
    let mut signature = Vec::with_capacity(SIGNATURE_BYTES);
    (&mut reader)
        .take(SIGNATURE_BYTES as u64)
        .read_to_end(&mut signature)?;
    let kind = signature.clone();
    let bytes = Cursor::new(signature).chain(reader);
    Ok(Opened::Stream(match kind.as_slice() {
        [0x1F, 0x8B, ..] => Box::new(MultiGzDecoder::new(bytes)),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Box::new(MultiBzDecoder::new(bytes)),
        // A frame, or one of the skippable frames before it.
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => {
            Box::new(zstd::Decoder::new(bytes)?)
        }
        [0xFD, b'7', b'z', b'X', b'Z', 0] => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
            Box::new(XzDecoder::new_stream(bytes, stream))
        }
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => {
            return Ok(Opened::Zip(BufReader::new(Box::new(bytes))));
        }
        _ => Box::new(bytes),
    }))
}
