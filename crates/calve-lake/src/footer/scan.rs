//! A first look at a footer's bytes, before they are decoded.
//!
//! The decoder believes what a footer says of its own sizes, panics on some statistics, follows
//! schemas of any depth, and passes over encryption. So a walk over the bytes comes first: it
//! allocates next to nothing, and what it lets pass has the shape and the sizes that it claims.
//! On its way it finds the schema's bytes, by which files of one schema can be told.

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::shape::{
    COLUMN_CHUNK, COLUMN_META_DATA, CRYPTO_META_DATA, ENCRYPTION_WITH_COLUMN_KEY, FILE_META_DATA,
    Kind, ROW_GROUP, SCHEMA_ELEMENT, STATISTICS, STATISTICS_VALUES, Shape, column_chunk,
    column_meta_data, crypto_meta_data, encryption_with_column_key, file_meta_data, row_group,
    schema_element,
};

/// How deep groups may lie in groups. The decoder recurses, as do all that use the schema.
const MAX_SCHEMA_DEPTH: usize = 256;
/// How deep structures that this version of the format does not know may lie in each other.
const MAX_UNKNOWN_DEPTH: usize = 32;
/// The length of a 96-bit integer.
const INT96_LENGTH: usize = 12;
const DOUBLE_LENGTH: usize = 8;
/// What stands for the length of a list that is written separately.
const LONG_LIST: u8 = 15;

const ELEMENT: Kind = Kind::Struct(SCHEMA_ELEMENT);
const GROUP: Kind = Kind::Struct(ROW_GROUP);
const CHUNK: Kind = Kind::Struct(COLUMN_CHUNK);
const NAME: Kind = Kind::Binary;

/// What a walk over a footer found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where the schema's bytes lie.
    pub(super) schema: Range<usize>,
    /// Columns that are encrypted, by the first row group.
    pub(super) encrypted_columns: Vec<String>,
}

/// Why a footer is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it ends in the middle of a value")]
    End,
    #[error("a number is too long")]
    Number,
    #[error("a list claims more elements than there are bytes")]
    List,
    #[error("a field has another type than the format says")]
    FieldType,
    #[error("fields lie too deep in each other")]
    Depth,
    #[error("its schema is no tree of columns")]
    SchemaTree,
    #[error("its columns lie more than {MAX_SCHEMA_DEPTH} groups deep")]
    SchemaDepth,
    #[error("a 96-bit statistic has another length")]
    Int96,
}

type Result<T, E = Malformed> = std::result::Result<T, E>;

/// Walks over the `FileMetaData` in these bytes.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan> {
    let mut walk = Walk { bytes, position: 0 };
    let mut scan = Scan::default();
    walk.structure(FILE_META_DATA, |walk, id, kind| match id {
        file_meta_data::SCHEMA if scan.schema.is_empty() => {
            let start = walk.position;
            walk.schema()?;
            scan.schema = start..walk.position;
            Ok(())
        }
        file_meta_data::ROW_GROUPS if !scan.schema.is_empty() => walk.list(GROUP, |walk| {
            let mut encrypted = Vec::new();
            walk.row_group(&mut encrypted)?;
            if scan.encrypted_columns.is_empty() {
                scan.encrypted_columns = encrypted;
            }
            Ok(())
        }),
        file_meta_data::SCHEMA | file_meta_data::ROW_GROUPS => Err(Malformed::SchemaTree),
        _ => walk.known(kind),
    })?;
    Ok(scan)
}

/// The types of the Thrift compact protocol.
mod wire {
    pub(super) const STOP: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const INT16: u8 = 4;
    pub(super) const INT32: u8 = 5;
    pub(super) const INT64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const STRUCT: u8 = 12;
}

impl Kind {
    fn fits(self, wire: u8) -> bool {
        match self {
            Self::Boolean => matches!(wire, wire::TRUE | wire::FALSE),
            Self::Byte => wire == wire::BYTE,
            // One encoding for all widths.
            Self::Int16 | Self::Int32 | Self::Int64 => {
                matches!(wire, wire::INT16 | wire::INT32 | wire::INT64)
            }
            Self::Double => wire == wire::DOUBLE,
            Self::Binary => wire == wire::BINARY,
            Self::Struct(_) => wire == wire::STRUCT,
            Self::List(_) => wire == wire::LIST,
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Walk<'a> {
    /// Walks over the schema, which is a tree in the order of its nodes, each with its number of children.
    fn schema(&mut self) -> Result<()> {
        let start = self.position;
        let (count, _) = self.list_header()?;
        self.position = start;
        // How many children each group on the way down still lacks.
        let mut open: Vec<usize> = vec![1];
        self.list(ELEMENT, |walk| {
            match open.last_mut() {
                Some(lacking) => *lacking -= 1,
                None => return Err(Malformed::SchemaTree),
            }
            let mut children = 0;
            walk.structure(SCHEMA_ELEMENT, |walk, id, kind| {
                if id == schema_element::NUM_CHILDREN {
                    children = usize::try_from(walk.number()?)
                        .ok()
                        .filter(|children| *children < count)
                        .ok_or(Malformed::SchemaTree)?;
                    Ok(())
                } else {
                    walk.known(kind)
                }
            })?;
            if children > 0 {
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
            if open.len() > MAX_SCHEMA_DEPTH {
                return Err(Malformed::SchemaDepth);
            }
            Ok(())
        })?;
        if open.is_empty() {
            Ok(())
        } else {
            Err(Malformed::SchemaTree)
        }
    }

    fn row_group(&mut self, encrypted: &mut Vec<String>) -> Result<()> {
        self.structure(ROW_GROUP, |walk, id, kind| {
            if id == row_group::COLUMNS {
                walk.list(CHUNK, |walk| walk.column_chunk(encrypted))
            } else {
                walk.known(kind)
            }
        })
    }

    fn column_chunk(&mut self, encrypted: &mut Vec<String>) -> Result<()> {
        let mut path = None;
        let mut is_encrypted = false;
        self.structure(COLUMN_CHUNK, |walk, id, kind| match id {
            column_chunk::META_DATA => {
                path = walk.column_meta_data()?;
                Ok(())
            }
            column_chunk::CRYPTO_META_DATA => {
                is_encrypted = true;
                path = walk.crypto_meta_data()?.or(path.take());
                Ok(())
            }
            column_chunk::ENCRYPTED_META_DATA => {
                is_encrypted = true;
                walk.known(kind)
            }
            _ => walk.known(kind),
        })?;
        if is_encrypted {
            encrypted.push(self.path_text(path)?);
        }
        Ok(())
    }

    /// Walks over a column's metadata, and says where its path begins.
    fn column_meta_data(&mut self) -> Result<Option<usize>> {
        let mut path = None;
        let mut is_int96 = false;
        let mut odd_length = false;
        self.structure(COLUMN_META_DATA, |walk, id, kind| match id {
            column_meta_data::TYPE => {
                is_int96 = walk.number()? == column_meta_data::INT96;
                Ok(())
            }
            column_meta_data::PATH => {
                path = Some(walk.position);
                walk.known(kind)
            }
            column_meta_data::STATISTICS => walk.structure(STATISTICS, |walk, id, kind| {
                if STATISTICS_VALUES.contains(&id) {
                    odd_length |= walk.binary()?.len() != INT96_LENGTH;
                    Ok(())
                } else {
                    walk.known(kind)
                }
            }),
            _ => walk.known(kind),
        })?;
        if is_int96 && odd_length {
            return Err(Malformed::Int96);
        }
        Ok(path)
    }

    /// Walks over what says how a column is encrypted, and says where the path in it begins.
    fn crypto_meta_data(&mut self) -> Result<Option<usize>> {
        let mut path = None;
        self.structure(CRYPTO_META_DATA, |walk, id, kind| {
            if id != crypto_meta_data::COLUMN_KEY {
                return walk.known(kind);
            }
            walk.structure(ENCRYPTION_WITH_COLUMN_KEY, |walk, id, kind| {
                if id == encryption_with_column_key::PATH {
                    path = Some(walk.position);
                }
                walk.known(kind)
            })
        })?;
        Ok(path)
    }

    /// The path that begins there, its names joined by dots.
    fn path_text(&self, start: Option<usize>) -> Result<String> {
        let mut text = String::new();
        if let Some(position) = start {
            let mut walk = Walk { position, ..*self };
            walk.list(NAME, |walk| {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&String::from_utf8_lossy(walk.binary()?));
                Ok(())
            })?;
        }
        Ok(text)
    }

    /// Walks over a value of a known kind.
    fn known(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Boolean => Ok(()),
            Kind::Byte => self.skip_bytes(1),
            Kind::Int16 | Kind::Int32 | Kind::Int64 => self.varint().map(drop),
            Kind::Double => self.skip_bytes(DOUBLE_LENGTH),
            Kind::Binary => self.binary().map(drop),
            Kind::Struct(shape) => self.structure(shape, |walk, _, kind| walk.known(kind)),
            Kind::List(element) => self.list(*element, |walk| walk.known(*element)),
        }
    }

    /// Walks over a structure; `field` walks over the value of each known field.
    fn structure(
        &mut self,
        shape: &Shape,
        mut field: impl FnMut(&mut Self, i16, Kind) -> Result<()>,
    ) -> Result<()> {
        self.fields(
            |walk, id, wire| match shape.iter().find(|(known, _)| *known == id) {
                Some((_, kind)) if kind.fits(wire) => field(walk, id, *kind),
                Some(_) => Err(Malformed::FieldType),
                None => walk.skip(wire, MAX_UNKNOWN_DEPTH),
            },
        )
    }

    fn fields(&mut self, mut field: impl FnMut(&mut Self, i16, u8) -> Result<()>) -> Result<()> {
        let mut id: i16 = 0;
        loop {
            let header = self.byte()?;
            let (delta, wire) = (header >> 4, header & 0x0F);
            if wire == wire::STOP {
                return Ok(());
            }
            id = if delta == 0 {
                i16::try_from(self.number()?).map_err(|_| Malformed::Number)?
            } else {
                id.checked_add(i16::from(delta)).ok_or(Malformed::Number)?
            };
            field(self, id, wire)?;
        }
    }

    /// Walks over a list of a known kind; `element` walks over each.
    fn list(&mut self, kind: Kind, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (count, wire) = self.list_header()?;
        if count > 0 && !kind.fits(wire) {
            return Err(Malformed::FieldType);
        }
        for _ in 0..count {
            element(self)?;
        }
        Ok(())
    }

    /// The number and the type of a list's elements. Each takes a byte at least.
    fn list_header(&mut self) -> Result<(usize, u8)> {
        let header = self.byte()?;
        let (short, wire) = (header >> 4, header & 0x0F);
        let count = if short == LONG_LIST {
            usize::try_from(self.varint()?).map_err(|_| Malformed::List)?
        } else {
            usize::from(short)
        };
        if count > self.bytes.len() - self.position {
            return Err(Malformed::List);
        }
        Ok((count, wire))
    }

    /// Passes over a value of a field that this version of the format does not know.
    fn skip(&mut self, wire: u8, depth: usize) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
        match wire {
            wire::TRUE | wire::FALSE => Ok(()),
            wire::BYTE => self.skip_bytes(1),
            wire::INT16 | wire::INT32 | wire::INT64 => self.varint().map(drop),
            wire::DOUBLE => self.skip_bytes(DOUBLE_LENGTH),
            wire::BINARY => self.binary().map(drop),
            wire::LIST | wire::SET => {
                let (count, element) = self.list_header()?;
                for _ in 0..count {
                    match element {
                        // In a list, a truth value has a byte of its own.
                        wire::TRUE | wire::FALSE => self.skip_bytes(1)?,
                        element => self.skip(element, depth)?,
                    }
                }
                Ok(())
            }
            wire::STRUCT => self.fields(|walk, _, wire| walk.skip(wire, depth)),
            _ => Err(Malformed::FieldType),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = self.bytes.get(self.position).ok_or(Malformed::End)?;
        self.position += 1;
        Ok(*byte)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Number)
    }

    /// A signed number.
    fn number(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn binary(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed::End)?;
        let start = self.position;
        self.skip_bytes(length)?;
        Ok(&self.bytes[start..self.position])
    }

    fn skip_bytes(&mut self, count: usize) -> Result<()> {
        if count > self.bytes.len() - self.position {
            return Err(Malformed::End);
        }
        self.position += count;
        Ok(())
    }
}
