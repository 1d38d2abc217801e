//! Integers of a stream (ORC specification, "Run Length Encoding").
//!
//! Most of them the decoder reads. Here are those that have to be looked at before: the lengths of lists and maps, for
//! which the decoder makes room whatever they add up to, and the parts of timestamps.

use super::Problem;

/// How integers are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Run length encoding version 1.
    V1,
    /// Run length encoding version 2.
    V2,
}

/// Whether the sign of integers is in their lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Lowest,
    None,
}

/// Adds up the lengths of a stream.
///
/// # Errors
/// When the stream ends within a run, a length is below zero, or they add up to more than 63 bits hold.
pub(super) fn total(stream: &[u8], encoding: Encoding) -> Result<u64, Problem> {
    let mut total = 0_i64;
    for length in read(stream, encoding, Sign::None)? {
        let sum = total.checked_add(length);
        total = sum.filter(|_| length >= 0).ok_or(DAMAGED)?;
    }
    u64::try_from(total).map_err(|_| DAMAGED)
}

/// Reads all integers of a stream.
///
/// # Errors
/// When the stream ends within a run, or a run makes no sense.
pub(super) fn read(stream: &[u8], encoding: Encoding, sign: Sign) -> Result<Vec<i64>, Problem> {
    let mut runs = Runs {
        bytes: stream,
        sign,
        values: Vec::new(),
    };
    while let Some((header, rest)) = runs.bytes.split_first() {
        runs.bytes = rest;
        match (encoding, header >> 6) {
            (Encoding::V1, _) => runs.version_1(*header)?,
            (Encoding::V2, 0) => runs.short_repeat(*header)?,
            (Encoding::V2, 1) => runs.direct(*header)?,
            (Encoding::V2, 2) => runs.patched_base(*header)?,
            (Encoding::V2, _) => runs.delta(*header)?,
        }
    }
    Ok(runs.values)
}

const DAMAGED: Problem = Problem::Damaged("the integers of a stream make no sense");

struct Runs<'a> {
    bytes: &'a [u8],
    sign: Sign,
    values: Vec<i64>,
}

impl Runs<'_> {
    fn byte(&mut self) -> Result<u8, Problem> {
        let (byte, rest) = self.bytes.split_first().ok_or(DAMAGED)?;
        self.bytes = rest;
        Ok(*byte)
    }

    /// Seven bits a byte, the lowest ones first.
    fn varint(&mut self) -> Result<u64, Problem> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DAMAGED)
    }

    /// What is written, as a value.
    fn value(&self, written: u64) -> i64 {
        match self.sign {
            Sign::Lowest => signed(written),
            Sign::None => written.cast_signed(),
        }
    }

    /// Numbers of so many bits each, the highest bits first; the last byte is filled up.
    fn packed(&mut self, bits: u32, count: u32) -> Result<Vec<u64>, Problem> {
        let mut numbers = Vec::with_capacity(count as usize);
        let (mut held, mut held_bits) = (0_u128, 0);
        for _ in 0..count {
            while held_bits < bits {
                held = (held << 8) | u128::from(self.byte()?);
                held_bits += 8;
            }
            held_bits -= bits;
            let number = held >> held_bits;
            held &= (1 << held_bits) - 1;
            numbers.push(u64::try_from(number).map_err(|_| DAMAGED)?);
        }
        Ok(numbers)
    }

    /// The second byte of a header holds what does not fit into the first one.
    fn run_length(&mut self, header: u8) -> Result<u32, Problem> {
        Ok((u32::from(header & 1) << 8 | u32::from(self.byte()?)) + 1)
    }

    fn version_1(&mut self, header: u8) -> Result<(), Problem> {
        if header >= 0x80 {
            for _ in header..=u8::MAX {
                let written = self.varint()?;
                self.values.push(self.value(written));
            }
            return Ok(());
        }
        let delta = i64::from(self.byte()?.cast_signed());
        let written = self.varint()?;
        let mut value = self.value(written);
        for _ in 0..u32::from(header) + 3 {
            self.values.push(value);
            value = value.wrapping_add(delta);
        }
        Ok(())
    }

    fn short_repeat(&mut self, header: u8) -> Result<(), Problem> {
        let bytes = u32::from(header >> 3 & 7) + 1;
        let written = self.packed(bytes * 8, 1)?[0];
        let values = std::iter::repeat_n(self.value(written), usize::from(header & 7) + 3);
        self.values.extend(values);
        Ok(())
    }

    fn direct(&mut self, header: u8) -> Result<(), Problem> {
        let count = self.run_length(header)?;
        for written in self.packed(width(header >> 1), count)? {
            self.values.push(self.value(written));
        }
        Ok(())
    }

    fn patched_base(&mut self, header: u8) -> Result<(), Problem> {
        let count = self.run_length(header)?;
        let bits = width(header >> 1);
        let (third, fourth) = (self.byte()?, self.byte()?);
        let base_bits = (u32::from(third >> 5) + 1) * 8;
        let patch_bits = width(third);
        let gap_bits = u32::from(fourth >> 5) + 1;
        if patch_bits + gap_bits > u64::BITS {
            return Err(DAMAGED);
        }
        // The highest bit is the sign, and the others are the value without it.
        let base = self.packed(base_bits, 1)?[0];
        let sign = 1 << (base_bits - 1);
        let size = (base & (sign - 1)).cast_signed();
        let base = if base & sign == 0 { size } else { -size };
        let mut above = self.packed(bits, count)?;
        let mut place = 0;
        // A patch is what a value has above its bits; the gap is how far it is from the one before.
        for patch in self.packed(whole_width(patch_bits + gap_bits), u32::from(fourth & 0x1f))? {
            place += usize::try_from(patch >> patch_bits).map_err(|_| DAMAGED)?;
            let patch = patch & ((1 << patch_bits) - 1);
            let patched = above.get_mut(place).ok_or(DAMAGED)?;
            *patched |= patch.checked_shl(bits).unwrap_or_default();
        }
        let values = above.into_iter();
        let values = values.map(|above| base.wrapping_add(above.cast_signed()));
        self.values.extend(values);
        Ok(())
    }

    fn delta(&mut self, header: u8) -> Result<(), Problem> {
        let count = self.run_length(header)?;
        let written = self.varint()?;
        let mut value = self.value(written);
        let first = signed(self.varint()?);
        self.values.push(value);
        let deltas = match header >> 1 & 0x1f {
            0 => vec![first; count as usize - 1],
            bits => {
                let mut deltas = vec![first];
                for delta in self.packed(width(bits), count.checked_sub(2).ok_or(DAMAGED)?)? {
                    let delta = delta.cast_signed();
                    deltas.push(if first > 0 {
                        delta
                    } else {
                        delta.wrapping_neg()
                    });
                }
                deltas
            }
        };
        for delta in deltas {
            value = value.wrapping_add(delta);
            self.values.push(value);
        }
        Ok(())
    }
}

/// Takes the sign out of the lowest bit.
fn signed(written: u64) -> i64 {
    (written >> 1).cast_signed() ^ -(written & 1).cast_signed()
}

/// How many bits five bits stand for.
fn width(encoded: u8) -> u32 {
    match encoded & 0x1f {
        few @ 0..=23 => u32::from(few) + 1,
        24 => 26,
        25 => 28,
        26 => 30,
        27 => 32,
        28 => 40,
        29 => 48,
        30 => 56,
        _ => 64,
    }
}

/// The next width that five bits can stand for.
fn whole_width(bits: u32) -> u32 {
    let mut widths = (0..32).map(width);
    widths.find(|width| *width >= bits).unwrap_or(u64::BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stream: &[u8], encoding: Encoding, expected: Option<u64>) {
        assert_eq!(total(stream, encoding).ok(), expected, "{stream:x?}");
        // Wherever it is cut off, nothing panics.
        for end in 1..stream.len() {
            let _ = total(&stream[..end], encoding);
        }
    }

    /// The examples of the specification.
    #[test]
    fn examples() {
        use Encoding::{V1, V2};
        check(&[], V1, Some(0));
        check(&[0x61, 0x00, 0x07], V1, Some(700));
        check(&[0x61, 0xff, 0x64], V1, Some(5050));
        check(&[0xfb, 0x02, 0x03, 0x06, 0x07, 0x0b], V1, Some(29));
        check(&[], V2, Some(0));
        check(&[0x0a, 0x27, 0x10], V2, Some(50_000));
        check(
            &[0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef],
            V2,
            Some(23713 + 43806 + 57005 + 48879),
        );
        check(
            &[
                0x8e, 0x13, 0x2b, 0x21, 0x07, 0xd0, 0x1e, 0x00, 0x14, 0x70, 0x28, 0x32, 0x3c, 0x46,
                0x50, 0x5a, 0x64, 0x6e, 0x78, 0x82, 0x8c, 0x96, 0xa0, 0xaa, 0xb4, 0xbe, 0xfc, 0xe8,
            ],
            V2,
            Some(
                [
                    2030, 2000, 2020, 1_000_000, 2040, 2050, 2060, 2070, 2080, 2090,
                ]
                .into_iter()
                .chain((2100..=2190).step_by(10))
                .sum(),
            ),
        );
        check(
            &[0xc6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46],
            V2,
            Some(2 + 3 + 5 + 7 + 11 + 13 + 17 + 19 + 23 + 29),
        );
    }

    #[test]
    fn damage() {
        use Encoding::{V1, V2};
        check(&[0x61, 0x00], V1, None);
        check(&[0x61, 0xff, 0x01], V1, None);
        check(&[0xff; 12], V1, None);
        check(&[0x0a, 0x27], V2, None);
        check(&[0x38, 0xff, 0, 0, 0, 0, 0, 0, 0], V2, None);
        check(&[0xc0, 0x09, 0x02, 0x03], V2, None);
        check(&[0xc2, 0x00, 0x02, 0x03, 0x01], V2, None);
    }

    #[test]
    fn signs() {
        let read = |stream: &[u8], encoding| read(stream, encoding, Sign::Lowest).unwrap();
        assert_eq!(read(&[0xfd, 0x00, 0x01, 0x02], Encoding::V1), [0, -1, 1]);
        assert_eq!(read(&[0x00, 0x03], Encoding::V2), [-2; 3]);
        assert_eq!(read(&[0xc0, 0x02, 0x01, 0x03], Encoding::V2), [-1, -3, -5]);
    }
}
