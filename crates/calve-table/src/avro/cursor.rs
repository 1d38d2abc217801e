use super::{AvroError, Kind, Result, Schema};

/// Reads Avro's binary encoding from a block.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Takes the next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(AvroError::Truncated { offset: self.at })?;
        self.at += length;
        Ok(taken)
    }

    /// Takes an array of known length.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as long as was asked for"))
    }

    /// Reads an `int` or a `long`: they are encoded alike.
    pub(crate) fn long(&mut self) -> Result<i64> {
        let offset = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self
                .bytes
                .get(self.at)
                .ok_or(AvroError::Truncated { offset })?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        Err(AvroError::OutOfRange { offset })
    }

    /// Reads an `int`.
    pub(crate) fn int(&mut self) -> Result<i32> {
        let offset = self.at;
        i32::try_from(self.long()?).map_err(|_| AvroError::OutOfRange { offset })
    }

    /// Reads a length that cannot exceed what is left.
    fn length(&mut self) -> Result<usize> {
        let offset = self.at;
        usize::try_from(self.long()?).map_err(|_| AvroError::OutOfRange { offset })
    }

    /// Reads `bytes`.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads a `string`.
    pub(crate) fn string(&mut self) -> Result<&'a str> {
        let offset = self.at;
        std::str::from_utf8(self.bytes()?).map_err(|_| AvroError::NotUtf8 { offset })
    }

    /// Reads a `boolean`.
    pub(crate) fn boolean(&mut self) -> Result<bool> {
        Ok(self.array::<1>()? != [0])
    }

    /// Chooses the branch of a union; `None` where it is null.
    pub(crate) fn branch<'s>(&mut self, schema: &'s Schema) -> Result<Option<&'s Schema>> {
        let chosen = match &schema.kind {
            Kind::Union(branches) => {
                let offset = self.at;
                let index = self.length()?;
                branches
                    .get(index)
                    .ok_or(AvroError::OutOfRange { offset })?
            }
            _ => schema,
        };
        Ok((!matches!(chosen.kind, Kind::Null)).then_some(chosen))
    }

    /// Visits the elements of an array, or the values of a map whose keys are stepped over.
    pub(crate) fn items(
        &mut self,
        is_map: bool,
        mut visit: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        while let Some(count) = self.block_count()? {
            for _ in 0..count {
                if is_map {
                    self.bytes()?;
                }
                visit(self)?;
            }
        }
        Ok(())
    }

    /// Reads how many items the next part of an array or map has; `None` at its end.
    fn block_count(&mut self) -> Result<Option<usize>> {
        let offset = self.at;
        let count = self.long()?;
        if count < 0 {
            // The part's size in bytes follows, for those who skip.
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs())
            .ok()
            .filter(|count| *count <= self.bytes.len() - self.at)
            .ok_or(AvroError::Truncated { offset })?;
        Ok((count > 0).then_some(count))
    }

    /// Steps over a value.
    pub(crate) fn skip(&mut self, schema: &Schema) -> Result<()> {
        match &schema.kind {
            Kind::Null => {}
            Kind::Boolean => self.at = self.ahead(1)?,
            Kind::Int | Kind::Long | Kind::Enum => {
                self.long()?;
            }
            Kind::Float => self.at = self.ahead(4)?,
            Kind::Double => self.at = self.ahead(8)?,
            Kind::Bytes | Kind::String => {
                self.bytes()?;
            }
            Kind::Fixed(length) => self.at = self.ahead(*length)?,
            Kind::Array(items) => self.skip_items(false, items)?,
            Kind::Map(values) => self.skip_items(true, values)?,
            Kind::Union(_) => {
                if let Some(schema) = self.branch(schema)? {
                    self.skip(schema)?;
                }
            }
            Kind::Record(record) => {
                for field in &record.fields {
                    self.skip(&field.schema)?;
                }
            }
        }
        Ok(())
    }

    fn skip_items(&mut self, is_map: bool, items: &Schema) -> Result<()> {
        loop {
            let offset = self.at;
            let count = self.long()?;
            match count {
                0 => return Ok(()),
                1.. => {
                    if usize::try_from(count).map_or(true, |count| count > self.bytes.len()) {
                        return Err(AvroError::Truncated { offset });
                    }
                    for _ in 0..count {
                        if is_map {
                            self.bytes()?;
                        }
                        self.skip(items)?;
                    }
                }
                _ => {
                    let size = self.length()?;
                    self.at = self.ahead(size)?;
                }
            }
        }
    }

    /// The position `length` bytes ahead.
    fn ahead(&self, length: usize) -> Result<usize> {
        self.at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())
            .ok_or(AvroError::Truncated { offset: self.at })
    }
}
