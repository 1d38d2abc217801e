//! Finds the next byte that matters, sixteen bytes at a time.
//!
//! Markup comes every ten bytes or so: a call of `memchr` for each piece would cost more than the
//! comparison itself.

use wide::u8x16;

/// How many bytes are looked at together.
const WIDTH: usize = 16;

/// Where a scan stopped, and whether it passed anything that needs a closer look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    /// Offset of the byte that ended the scan, or the length of the text.
    pub(super) end: usize,
    /// Whether a byte before `end` is special: see each function.
    pub(super) special: bool,
}

/// The sixteen bytes at `at`, when the text has as many.
#[inline]
fn load(bytes: &[u8], at: usize) -> Option<u8x16> {
    let chunk = bytes.get(at..)?.first_chunk::<WIDTH>()?;
    Some(u8x16::new(*chunk))
}

/// Runs over the text from `at` on, until `masks` finds a byte to stop at. `masks` gives the bytes to
/// stop at and the special ones, one bit a byte.
#[inline]
fn scan(bytes: &[u8], mut at: usize, masks: impl Fn(u8x16) -> (u32, u32)) -> Scan {
    let mut special = 0;
    while let Some(chunk) = load(bytes, at) {
        let (stop, odd) = masks(chunk);
        if stop != 0 {
            let passed = stop.trailing_zeros();
            let odd = odd & ((1 << passed) - 1);
            return Scan {
                end: at + passed as usize,
                special: (special | odd) != 0,
            };
        }
        special |= odd;
        at += WIDTH;
    }
    // The last bytes, padded with zeros; what is found beyond the text is cut off.
    let rest = bytes.get(at..).unwrap_or_default();
    let mut last = [0; WIDTH];
    last[..rest.len()].copy_from_slice(rest);
    let (stop, odd) = masks(u8x16::new(last));
    let passed = (stop | (1 << rest.len())).trailing_zeros();
    let odd = odd & ((1 << passed) - 1);
    Scan {
        end: at + passed as usize,
        special: (special | odd) != 0,
    }
}

#[inline]
fn equals(chunk: u8x16, byte: u8) -> u8x16 {
    chunk.simd_eq(u8x16::splat(byte))
}

#[inline]
fn at_most(chunk: u8x16, byte: u8) -> u8x16 {
    chunk.min(u8x16::splat(byte)).simd_eq(chunk)
}

#[inline]
fn bits(mask: u8x16) -> u32 {
    mask.to_bitmask()
}

/// Control characters but tab and line feed (so carriage returns, too), `&`, and the first byte of
/// U+FFFE and U+FFFF.
#[inline]
fn special(chunk: u8x16) -> u8x16 {
    let control = at_most(chunk, 0x1F);
    let white = equals(chunk, b'\n') | equals(chunk, b'\t');
    (control & !white) | equals(chunk, b'&') | equals(chunk, 0xEF)
}

/// Runs over character data to the next `<`. Special: what may be illegal or must be replaced.
#[inline]
pub(super) fn text(bytes: &[u8], at: usize) -> Scan {
    scan(bytes, at, |chunk| {
        let stop = equals(chunk, b'<');
        (bits(stop), bits(special(chunk) | equals(chunk, b']')))
    })
}

/// Runs over an attribute's value to its closing quote, or to a `<`. Special: what may be illegal or
/// must be replaced, tabs and line feeds among it.
#[inline]
pub(super) fn value(bytes: &[u8], at: usize, quote: u8) -> Scan {
    scan(bytes, at, |chunk| {
        let stop = equals(chunk, quote) | equals(chunk, b'<');
        let odd = at_most(chunk, 0x1F) | equals(chunk, b'&') | equals(chunk, 0xEF);
        (bits(stop), bits(odd))
    })
}

/// Runs over a name. Special: bytes beyond ASCII, whose characters must be looked at one by one.
#[inline]
pub(super) fn name(bytes: &[u8], at: usize) -> Scan {
    scan(bytes, at, |chunk| {
        let lower = chunk | u8x16::splat(0x20);
        let letter = at_most(lower - u8x16::splat(b'a'), 25);
        // Digits and the colon that follows them; the hyphen and the dot that follows it.
        let digit = at_most(chunk - u8x16::splat(b'0'), 10);
        let mark = at_most(chunk - u8x16::splat(b'-'), 1);
        let beyond = bits(chunk);
        let good = bits(letter | digit | mark | equals(chunk, b'_')) | beyond;
        (!good & 0xFFFF, beyond)
    })
}

/// The end of the white space at `at`.
#[inline]
pub(super) fn white_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the white space at `at`, if it is short and a tag follows; else `at`.
#[inline]
pub(super) fn short_blank(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b' ' | b'\t' | b'\n') => {}
        _ => return at,
    }
    let Some(chunk) = load(bytes, at) else {
        return at;
    };
    let white = equals(chunk, b' ') | equals(chunk, b'\n') | equals(chunk, b'\t');
    let end = at + bits(white).trailing_ones() as usize;
    if bytes.get(end) == Some(&b'<') {
        end
    } else {
        at
    }
}

/// The name of an element, ready to be compared with what stands in a tag.
#[derive(Debug, Clone)]
pub(crate) struct TagName {
    name: Box<str>,
    /// The name, and the `>` of a tag without attributes, where that is short.
    chunk: [u8; WIDTH],
    /// One bit for each byte of `chunk` that counts; more bits than bytes where none does.
    mask: u32,
}

impl TagName {
    pub(crate) fn new(name: &str) -> Self {
        let mut chunk = [0; WIDTH];
        let mut mask = u32::MAX;
        if (1..WIDTH).contains(&name.len()) {
            chunk[..name.len()].copy_from_slice(name.as_bytes());
            chunk[name.len()] = b'>';
            mask = (1 << (name.len() + 1)) - 1;
        }
        Self {
            name: name.into(),
            chunk,
            mask,
        }
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether the name and `>` are at `at`. It may be told that they are not near the end of the text, and where the
    /// name is empty.
    #[inline]
    pub(super) fn is_whole_tag(&self, bytes: &[u8], at: usize) -> bool {
        if self.mask != u32::MAX {
            let Some(chunk) = load(bytes, at) else {
                return false;
            };
            return bits(chunk.simd_eq(u8x16::new(self.chunk))) & self.mask == self.mask;
        }
        let name = self.name.as_bytes();
        let rest = bytes.get(at..).unwrap_or_default();
        !name.is_empty() && rest.starts_with(name) && rest.get(name.len()) == Some(&b'>')
    }

    /// Whether the name and white space are at `at`. It may be told that they are not where the name is empty.
    #[inline]
    pub(super) fn is_before_attributes(&self, bytes: &[u8], at: usize) -> bool {
        let name = self.name.as_bytes();
        let is_white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        bytes.get(at + name.len()).is_some_and(is_white)
            && !name.is_empty()
            && match load(bytes, at) {
                Some(chunk) if self.mask != u32::MAX => {
                    let same = bits(chunk.simd_eq(u8x16::new(self.chunk)));
                    same & (self.mask >> 1) == self.mask >> 1
                }
                _ => bytes[at..].starts_with(name),
            }
    }
}

/// Whether the `length` bytes at `left` and at `right` are the same.
#[inline]
pub(super) fn same(bytes: &[u8], left: usize, right: usize, length: usize) -> bool {
    if length <= WIDTH
        && let (Some(one), Some(two)) = (load(bytes, left), load(bytes, right))
    {
        let differ = !bits(one.simd_eq(two));
        return differ.trailing_zeros() as usize >= length;
    }
    match (
        bytes.get(left..left + length),
        bytes.get(right..right + length),
    ) {
        (Some(one), Some(two)) => one == two,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_name(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"-._:".contains(&byte) || byte >= 0x80
    }

    fn is_special(byte: u8) -> bool {
        byte == b'&' || byte == 0xEF || (byte < 0x20 && byte != b'\n' && byte != b'\t')
    }

    /// What a scan does, one byte at a time.
    fn slowly(
        bytes: &[u8],
        at: usize,
        stop: impl Fn(u8) -> bool,
        odd: impl Fn(u8) -> bool,
    ) -> Scan {
        let passed = bytes[at..]
            .iter()
            .position(|byte| stop(*byte))
            .unwrap_or(bytes.len() - at);
        Scan {
            end: at + passed,
            special: bytes[at..at + passed].iter().any(|byte| odd(*byte)),
        }
    }

    proptest! {
        #[test]
        fn scans_do_what_they_do_byte_by_byte(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(b'a'), Just(b'z'), Just(b' ')],
                0..70,
            ),
            start in 0_usize..20,
        ) {
            let at = start.min(bytes.len());
            let bytes = bytes.as_slice();
            prop_assert_eq!(
                text(bytes, at),
                slowly(bytes, at, |it| it == b'<', |it| is_special(it) || it == b']')
            );
            prop_assert_eq!(
                value(bytes, at, b'"'),
                slowly(
                    bytes,
                    at,
                    |it| it == b'<' || it == b'"',
                    |it| is_special(it) || it == b'\n' || it == b'\t'
                )
            );
            prop_assert_eq!(
                name(bytes, at),
                slowly(bytes, at, |it| !is_name(it), |it| it >= 0x80)
            );
        }

        #[test]
        fn comparison_is_of_the_bytes(
            bytes in "[ab]{0,60}",
            left in 0_usize..30,
            right in 0_usize..30,
            length in 1_usize..20,
        ) {
            let bytes = bytes.as_bytes();
            let one = bytes.get(left..left + length);
            let two = bytes.get(right..right + length);
            prop_assert_eq!(
                same(bytes, left, right, length),
                one.is_some() && one == two
            );
        }
    }
}
