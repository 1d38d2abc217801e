//! The bytes of an ORC file as the decoder asks for them.
//!
//! The decoder trusts what it reads. Each stripe is therefore read and decompressed here, and what the decoder would
//! stumble over is looked at first: it is handed a file without compression, whose parts are all there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use chrono_tz::Tz;
use orc_rust::proto::column_encoding::Kind as EncodingKind;
use orc_rust::proto::stream::Kind as StreamKind;
use orc_rust::proto::{ColumnEncoding, StripeFooter, StripeInformation};
use orc_rust::reader::ChunkReader;
use prost::Message;

use super::columns::{Column, Shape};
use super::integers::{Encoding, total};
use super::tail::Tail;
use super::timestamps::as_decimals;
use super::{Problem, Source};

/// No byte stands for more values than this: two bytes of run lengths for 130 bytes of eight bits.
const MOST_VALUES_PER_BYTE: u64 = 520;

/// Hands a file to the decoder.
pub(super) struct Stripes {
    source: Source,
    tail: Tail,
    /// The end of the file that the decoder sees, behind that of the file.
    plain_tail: Bytes,
    /// The columns that are read.
    columns: Vec<Column>,
    /// The streams of the stripe that is being read, by where they begin in the file.
    streams: RefCell<HashMap<u64, Bytes>>,
}

impl Stripes {
    /// Reads these columns of a file.
    pub(super) fn new(source: Source, tail: Tail, columns: Vec<Column>) -> Self {
        Self {
            plain_tail: tail.plain(),
            source,
            tail,
            columns,
            streams: RefCell::default(),
        }
    }

    fn bytes(&self, offset: u64, length: u64) -> Result<Bytes, Problem> {
        if let Some(offset) = offset.checked_sub(self.source.size()) {
            let range = usize::try_from(offset)
                .ok()
                .zip(usize::try_from(length).ok());
            let range = range.map(|(start, length)| start..start.saturating_add(length));
            let range = range.filter(|range| range.end <= self.plain_tail.len());
            return Ok(self.plain_tail.slice(range.ok_or(DAMAGED)?));
        }
        if length == 0 {
            // The next stream begins where this one does.
            return Ok(Bytes::new());
        }
        let begins_here = |stripe: &&StripeInformation| {
            stripe.offset() + stripe.index_length() + stripe.data_length() == offset
                && stripe.footer_length() == length
        };
        let streams = self.streams.borrow_mut().remove(&offset);
        match (streams, self.tail.footer.stripes.iter().find(begins_here)) {
            (Some(stream), _) => Ok(stream),
            (None, Some(stripe)) => self.open(stripe),
            // What nobody reads, such as indexes.
            (None, None) => Ok(Bytes::new()),
        }
    }

    /// Reads a stripe, and returns its footer.
    fn open(&self, stripe: &StripeInformation) -> Result<Bytes, Problem> {
        let data_end = stripe.offset() + stripe.index_length() + stripe.data_length();
        let footer = self
            .source
            .range(data_end..data_end + stripe.footer_length())?;
        let footer = self.tail.codec.decompress(footer)?;
        let mut decoded = StripeFooter::decode(footer).map_err(|_| DAMAGED)?;
        if decoded.columns.len() != self.tail.footer.types.len() {
            return Err(DAMAGED);
        }
        let mut streams = self.read(stripe, &decoded)?;
        for column in &self.columns {
            check_column(column, &decoded.columns, &streams)?;
        }
        self.replace_timestamps(&mut decoded, &mut streams)?;
        *self.streams.borrow_mut() = streams.into_values().collect();
        decoded.writer_timezone = None;
        Ok(Bytes::from(decoded.encode_to_vec()))
    }

    /// Makes decimal numbers of timestamps.
    fn replace_timestamps(
        &self,
        footer: &mut StripeFooter,
        streams: &mut Streams,
    ) -> Result<(), Problem> {
        let mut found = Vec::new();
        for column in &self.columns {
            column.each(&mut |part| {
                if let Shape::Timestamp { is_instant } = part.shape {
                    found.push((part.index, is_instant));
                }
            });
        }
        for (index, is_instant) in found {
            // Instants are counted in UTC.
            let zone = match &footer.writer_timezone {
                Some(zone) if !is_instant => Some(
                    zone.parse::<Tz>()
                        .map_err(|_| Problem::TimeZone(zone.clone()))?,
                ),
                _ => None,
            };
            let column = &mut footer.columns[index];
            let encoding = integers(encoding_kind(column)?);
            column.kind = Some(EncodingKind::Direct.into());
            let [seconds, nanos] = [StreamKind::Data, StreamKind::Secondary].map(|kind| {
                let stream = streams.get(&(index, kind));
                stream.map_or_else(Bytes::new, |(_, bytes)| bytes.clone())
            });
            let (numbers, scales) = as_decimals(&seconds, &nanos, encoding, zone)?;
            for (kind, bytes) in [(StreamKind::Data, numbers), (StreamKind::Secondary, scales)] {
                if let Some((_, stream)) = streams.get_mut(&(index, kind)) {
                    *stream = bytes;
                }
            }
        }
        Ok(())
    }

    /// Reads and decompresses the streams of the columns that are read.
    fn read(&self, stripe: &StripeInformation, footer: &StripeFooter) -> Result<Streams, Problem> {
        let mut wanted = Vec::new();
        for column in &self.columns {
            column.each(&mut |part| wanted.push(part.index));
        }
        wanted.sort_unstable();
        let end = stripe.offset() + stripe.index_length() + stripe.data_length();
        let mut offset = stripe.offset();
        let mut ranges = Vec::new();
        let mut keys = Vec::new();
        for stream in &footer.streams {
            let start = offset;
            offset = start.checked_add(stream.length()).ok_or(DAMAGED)?;
            if offset > end {
                return Err(Problem::Damaged("a stream ends behind its stripe"));
            }
            let Ok(column) = usize::try_from(stream.column()) else {
                return Err(DAMAGED);
            };
            let kind = stream.kind.map(StreamKind::try_from);
            if let Some(Ok(
                kind @ (StreamKind::Present
                | StreamKind::Data
                | StreamKind::Length
                | StreamKind::DictionaryData
                | StreamKind::Secondary),
            )) = kind
                && offset > start
                && wanted.binary_search(&column).is_ok()
            {
                ranges.push(start..offset);
                keys.push((column, kind));
            }
        }
        let read = self.source.ranges(&ranges)?;
        let mut streams = Streams::new();
        for ((key, range), stream) in keys.into_iter().zip(ranges).zip(read) {
            let stream = self.tail.codec.decompress(stream)?;
            if streams.insert(key, (range.start, stream)).is_some() {
                return Err(Problem::Damaged("a stream is there twice"));
            }
        }
        Ok(streams)
    }
}

/// Streams by their column and kind: where they begin in the file, and their bytes.
type Streams = HashMap<(usize, StreamKind), (u64, Bytes)>;

const DAMAGED: Problem = Problem::Damaged("a stripe makes no sense");

fn stream_bytes(streams: &Streams, column: &Column, kind: StreamKind) -> u64 {
    let stream = streams.get(&(column.index, kind));
    stream.map_or(0, |(_, bytes)| bytes.len() as u64)
}

fn encoding_kind(encoding: &ColumnEncoding) -> Result<EncodingKind, Problem> {
    EncodingKind::try_from(encoding.kind.unwrap_or_default())
        .map_err(|_| Problem::Damaged("a column's encoding is not known"))
}

/// How a column's integers are encoded.
fn integers(kind: EncodingKind) -> Encoding {
    match kind {
        EncodingKind::Direct | EncodingKind::Dictionary => Encoding::V1,
        EncodingKind::DirectV2 | EncodingKind::DictionaryV2 => Encoding::V2,
    }
}

/// Checks what the decoder makes room for before it reads on.
fn check_column(
    column: &Column,
    encodings: &[ColumnEncoding],
    streams: &Streams,
) -> Result<(), Problem> {
    let encoding = &encodings[column.index];
    let kind = encoding_kind(encoding)?;
    let entries = stream_bytes(streams, column, StreamKind::Length) * MOST_VALUES_PER_BYTE;
    if u64::from(encoding.dictionary_size()) > entries
        && matches!(kind, EncodingKind::Dictionary | EncodingKind::DictionaryV2)
    {
        return Err(Problem::Damaged("a dictionary is larger than its stream"));
    }
    if matches!(column.shape, Shape::List(_) | Shape::Map(_))
        && let Some((_, lengths)) = streams.get(&(column.index, StreamKind::Length))
    {
        let mut bytes = 0;
        for part in column.parts() {
            part.each(&mut |part| {
                let kinds = [StreamKind::Present, StreamKind::Data, StreamKind::Length];
                let sizes = kinds.map(|kind| stream_bytes(streams, part, kind));
                bytes += sizes.into_iter().sum::<u64>();
            });
        }
        if total(lengths, integers(kind))? > bytes.saturating_mul(MOST_VALUES_PER_BYTE) {
            return Err(Problem::Damaged(
                "lists or maps are to hold more than there is",
            ));
        }
    }
    column
        .parts()
        .into_iter()
        .try_for_each(|part| check_column(part, encodings, streams))
}

impl ChunkReader for Stripes {
    type T = io::Empty;

    fn len(&self) -> u64 {
        self.source.size() + self.plain_tail.len() as u64
    }

    fn get_read(&self, _offset_from_start: u64) -> io::Result<Self::T> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn get_bytes(&self, offset_from_start: u64, length: u64) -> io::Result<Bytes> {
        self.bytes(offset_from_start, length)
            .map_err(io::Error::other)
    }
}
