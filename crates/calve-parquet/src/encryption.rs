//! Whether a plaintext footer belongs to a file with encrypted columns.
//!
//! The `parquet` crate, built without decryption, reads past the field that says so and shows such
//! columns like any other. This looks for that field in the bytes.

/// Field of `FileMetaData` that only files with encryption and a plaintext footer have.
const ENCRYPTION_ALGORITHM: i16 = 8;
/// Structs nested deeper than this are no footer.
const MAX_DEPTH: usize = 32;

/// Whether columns of a file are encrypted, by its footer: the bytes of the Thrift structure, without
/// the eight bytes behind it. Bytes that are no footer are not encrypted.
pub fn has_encrypted_columns(footer: &[u8]) -> bool {
    Compact { rest: footer }
        .any_field(ENCRYPTION_ALGORITHM)
        .unwrap_or(false)
}

/// Reads past values in Thrift's compact protocol. `None`: the bytes end too early or make no sense.
struct Compact<'a> {
    rest: &'a [u8],
}

/// What comes next in a struct.
enum Next {
    End,
    Field { id: i16, kind: u8 },
}

impl Compact<'_> {
    /// Whether the struct at hand has a field.
    fn any_field(&mut self, wanted: i16) -> Option<bool> {
        let mut last = 0;
        loop {
            match self.field(last)? {
                Next::End => return Some(false),
                Next::Field { id, .. } if id == wanted => return Some(true),
                Next::Field { id, kind } => {
                    self.skip(kind, false, 0)?;
                    last = id;
                }
            }
        }
    }

    fn field(&mut self, last: i16) -> Option<Next> {
        let header = self.byte()?;
        if header == 0 {
            return Some(Next::End);
        }
        let id = match i16::from(header >> 4) {
            0 => zigzag(self.number()?)?,
            delta => last.checked_add(delta)?,
        };
        Some(Next::Field {
            id,
            kind: header & 0x0f,
        })
    }

    /// Goes past a value. Booleans are in the field's type, but a byte each in a list.
    fn skip(&mut self, kind: u8, in_list: bool, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            1 | 2 => {
                if in_list {
                    self.byte()?;
                }
            }
            3 => {
                self.byte()?;
            }
            4..=6 => {
                self.number()?;
            }
            7 => self.advance(8)?,
            8 => {
                let length = usize::try_from(self.number()?).ok()?;
                self.advance(length)?;
            }
            9 | 10 => self.skip_list(depth)?,
            11 => self.skip_map(depth)?,
            12 => {
                let mut last = 0;
                while let Next::Field { id, kind } = self.field(last)? {
                    self.skip(kind, false, depth + 1)?;
                    last = id;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn skip_list(&mut self, depth: usize) -> Option<()> {
        let header = self.byte()?;
        let count = match u64::from(header >> 4) {
            15 => self.number()?,
            count => count,
        };
        for _ in 0..count {
            self.skip(header & 0x0f, true, depth + 1)?;
        }
        Some(())
    }

    fn skip_map(&mut self, depth: usize) -> Option<()> {
        let count = self.number()?;
        if count == 0 {
            return Some(());
        }
        let kinds = self.byte()?;
        for _ in 0..count {
            self.skip(kinds >> 4, true, depth + 1)?;
            self.skip(kinds & 0x0f, true, depth + 1)?;
        }
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn advance(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }
}

fn zigzag(number: u64) -> Option<i16> {
    let number = i64::try_from(number).ok()?;
    i16::try_from((number >> 1) ^ -(number & 1)).ok()
}

#[cfg(test)]
mod tests {
    use super::has_encrypted_columns;

    #[track_caller]
    fn check(footer: &[u8], encrypted: bool) {
        assert_eq!(has_encrypted_columns(footer), encrypted, "{footer:?}");
    }

    #[test]
    fn fields_of_every_type_are_passed_over() {
        // 1: i32, 2: list of two structs, 3: i64 of two bytes, 4: binary, 5: double, 6: true, then 8.
        let fields: &[u8] = &[
            0x15, 0x02, 0x19, 0x2c, 0x11, 0x00, 0x00, 0x16, 0x80, 0x01, 0x18, 0x02, b'a', b'b',
            0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0x11,
        ];
        check(&[fields, &[0x00]].concat(), false);
        check(&[fields, &[0x2c, 0x1c, 0x00, 0x00, 0x00]].concat(), true);
        // The id written out instead of the distance from the one before.
        check(&[fields, &[0x0c, 0x10, 0x00, 0x00]].concat(), true);
        // 7: a map of one pair, 8 behind it.
        check(
            &[fields, &[0x1b, 0x01, 0x55, 0x02, 0x04, 0x1c, 0x00, 0x00]].concat(),
            true,
        );
    }

    #[test]
    fn bytes_that_are_no_footer() {
        check(&[], false);
        check(
            &[
                0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ],
            false,
        );
        check(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f], false);
        check(&[0x1c; 100], false);
        check(&[0x1f, 0x00], false);
    }
}
