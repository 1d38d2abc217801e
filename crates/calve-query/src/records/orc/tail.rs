//! The end of an ORC file (ORC specification, "File Tail"): the footer, which says where the stripes are, what columns
//! there are, and what the writer counted of them; behind it the postscript; and in the last byte, how long that is.

use arrow::datatypes::DECIMAL128_MAX_PRECISION;
use bytes::{BufMut, Bytes, BytesMut};
use orc_rust::proto::r#type::Kind;
use orc_rust::proto::{CalendarKind, Footer, PostScript, StripeInformation};
use prost::Message;

use super::codec::Codec;
use super::timestamps::SCALE;
use super::{Problem, Source};

/// How much is read at once, in the hope that it holds all.
const FIRST_READ_BYTES: u64 = 16 * 1024;
/// What files begin with, and postscripts end with.
const MAGIC: &str = "ORC";
/// The number of the writer of ORC's own Java library.
const JAVA_WRITER: u32 = 0;

/// The end of a file, read and checked.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) postscript: PostScript,
    pub(super) footer: Footer,
    pub(super) codec: Codec,
}

impl Tail {
    /// Reads the end of a file.
    ///
    /// # Errors
    /// When it is no ORC file, or is damaged or cut off, or is encrypted or compressed in a way that is not read.
    pub(super) fn read(source: &Source) -> Result<Self, Problem> {
        let size = source.size();
        let last = source.range(size.saturating_sub(FIRST_READ_BYTES)..size)?;
        let (length, before) = last.split_last().ok_or(Problem::NoOrc)?;
        let end = before.len().checked_sub(usize::from(*length));
        let end = end.ok_or(Problem::NoOrc)?;
        let postscript = PostScript::decode(&before[end..]).map_err(|_| Problem::NoOrc)?;
        match postscript.magic.as_deref() {
            Some(MAGIC) => {}
            // Hive 0.11 did not write it there.
            None if source.range(0..MAGIC.len() as u64)? == MAGIC.as_bytes() => {}
            _ => return Err(Problem::NoOrc),
        }
        let codec = Codec::new(
            postscript.compression.unwrap_or_default(),
            postscript.compression_block_size,
        )?;
        let footer_bytes = postscript.footer_length.unwrap_or_default();
        let start = (size - u64::from(*length) - 1).checked_sub(footer_bytes);
        let start = start.ok_or(DAMAGED)?;
        let footer = match usize::try_from(footer_bytes) {
            Ok(bytes) if bytes <= end => last.slice(end - bytes..end),
            _ => source.range(start..start + footer_bytes)?,
        };
        let footer = codec.decompress(footer)?;
        let footer = Footer::decode(footer).map_err(|_| DAMAGED)?;
        check(&footer, start)?;
        Ok(Self {
            postscript,
            footer,
            codec,
        })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.footer.number_of_rows.unwrap_or_default()
    }

    /// Whether days before October 15, 1582 are those of the Julian calendar. As ORC's Java library decides, which did
    /// not say before version 1.6, and then went by the calendar of its time; other writers never did.
    pub(super) fn is_julian(&self) -> bool {
        match self.footer.calendar.map(CalendarKind::try_from) {
            Some(Ok(CalendarKind::JulianGregorian)) => true,
            Some(Ok(CalendarKind::ProlepticGregorian)) => false,
            _ => self.footer.writer.unwrap_or(JAVA_WRITER) == JAVA_WRITER,
        }
    }

    /// The end of a file that has the same footer, but for timestamps, which are decimal numbers. It is not compressed,
    /// and lies behind so many zeros that one read of the decoder does not go beyond them.
    pub(super) fn plain(&self) -> Bytes {
        let mut footer = Footer {
            // Nothing asks for them, and the decoder trusts them.
            statistics: Vec::new(),
            ..self.footer.clone()
        };
        for of in &mut footer.types {
            if matches!(of.kind(), Kind::Timestamp | Kind::TimestampInstant) {
                of.kind = Some(Kind::Decimal.into());
                of.precision = Some(u32::from(DECIMAL128_MAX_PRECISION));
                of.scale = Some(u32::from(SCALE));
            }
        }
        let footer = footer.encode_to_vec();
        let postscript = PostScript {
            footer_length: Some(footer.len() as u64),
            compression: None,
            metadata_length: Some(0),
            stripe_statistics_length: None,
            magic: Some(MAGIC.to_owned()),
            version: self.postscript.version.iter().copied().take(2).collect(),
            ..self.postscript.clone()
        };
        let postscript = postscript.encode_to_vec();
        let length = u8::try_from(postscript.len());
        let mut bytes = BytesMut::zeroed(usize::try_from(FIRST_READ_BYTES).unwrap_or_default());
        bytes.extend_from_slice(&footer);
        bytes.extend_from_slice(&postscript);
        bytes.put_u8(length.expect("eight short fields have less than 256 bytes"));
        bytes.freeze()
    }
}

const DAMAGED: Problem = Problem::Damaged("its footer makes no sense");

/// Where a stripe ends, and how many rows it has.
fn end(stripe: &StripeInformation) -> Option<u64> {
    stripe
        .offset()
        .checked_add(stripe.index_length())?
        .checked_add(stripe.data_length())?
        .checked_add(stripe.footer_length())
}

/// Checks that all stripes lie before `end_of_stripes`, and hold the rows that the file is to have.
fn check(footer: &Footer, end_of_stripes: u64) -> Result<(), Problem> {
    if footer.encryption.is_some() {
        return Err(Problem::Unread("encrypted"));
    }
    let mut rows = 0_u64;
    for stripe in &footer.stripes {
        if end(stripe).is_none_or(|end| end > end_of_stripes) {
            return Err(DAMAGED);
        }
        rows = rows.checked_add(stripe.number_of_rows()).ok_or(DAMAGED)?;
    }
    let has_columns = footer.types.len() > 1;
    if rows != footer.number_of_rows() || (rows > 0 && !has_columns) {
        return Err(DAMAGED);
    }
    Ok(())
}
