/// Appends values in Avro's binary encoding.
pub(crate) trait Encode {
    /// Appends an `int` or a `long`.
    fn put_long(&mut self, value: i64);
    /// Appends `bytes` or a `string`.
    fn put_bytes(&mut self, value: &[u8]);
    /// Appends an optional value: the branch of `["null", …]`, then the value.
    fn put_optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T));
    /// Appends an array.
    fn put_array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        put: impl FnMut(&mut Self, T),
    );
}

impl Encode for Vec<u8> {
    fn put_long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.push(rest.to_le_bytes()[0]);
    }

    fn put_bytes(&mut self, value: &[u8]) {
        self.put_long(i64::try_from(value.len()).expect("no slice is longer than i64::MAX"));
        self.extend_from_slice(value);
    }

    fn put_optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.push(0),
            Some(value) => {
                self.push(2);
                put(self, value);
            }
        }
    }

    fn put_array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) {
        let count = items.len();
        if count > 0 {
            self.put_long(i64::try_from(count).expect("no collection is longer than i64::MAX"));
            for item in items {
                put(self, item);
            }
        }
        self.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cursor;
    use super::*;

    #[test]
    fn longs_come_back() {
        for value in [0, -1, 1, 63, -64, 64, 8_388_608, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            bytes.put_long(value);
            assert_eq!(Cursor::new(&bytes).long().unwrap(), value);
        }
        assert!(Cursor::new(&[0xff; 11]).long().is_err());
        assert!(Cursor::new(&[0x80]).long().is_err());
    }
}
