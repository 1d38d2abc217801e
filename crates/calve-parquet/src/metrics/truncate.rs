//! Bounds of limited length: a lower bound is cut, an upper bound is cut and rounded up.

use std::cmp::Ordering;

/// Cuts a text to at most that many code points.
pub(super) fn cut_text(text: &str, code_points: usize) -> &str {
    // No text has more code points than bytes: most bounds are decided here.
    if text.len() <= code_points {
        return text;
    }
    match text.char_indices().nth(code_points) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Cuts bytes to at most that many.
pub(super) fn cut_bytes(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// The least text above everything that begins with this prefix, no longer in code points than
/// the prefix; `None` where there is none.
pub(super) fn next_text(prefix: &str) -> Option<String> {
    prefix.char_indices().rev().find_map(|(start, last)| {
        let next = next_char(last)?;
        let mut text = String::with_capacity(start + next.len_utf8());
        text.push_str(&prefix[..start]);
        text.push(next);
        Some(text)
    })
}

/// The next code point that text can hold: surrogates are skipped.
fn next_char(character: char) -> Option<char> {
    match character {
        '\u{D7FF}' => Some('\u{E000}'),
        other => char::from_u32(u32::from(other) + 1),
    }
}

/// The least bytes above everything that begins with this prefix; `None` where there are none.
pub(super) fn next_bytes(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut bytes = prefix[..=last].to_vec();
    bytes[last] += 1;
    Some(bytes)
}

/// The part of the bytes that is text, when all but a character cut off at the end is.
pub(super) fn text_prefix(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// The greater of two bounds, where both are known.
pub(super) fn greater<T: Ord>(left: Option<T>, right: Option<T>) -> Option<T> {
    let (left, right) = (left?, right?);
    Some(match left.cmp(&right) {
        Ordering::Less => right,
        Ordering::Equal | Ordering::Greater => left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn next_of_text() {
        for (prefix, next) in [
            ("", None),
            ("a", Some("b")),
            ("ab\u{10FFFF}", Some("ac")),
            ("\u{10FFFF}\u{10FFFF}", None),
            ("x\u{D7FF}", Some("x\u{E000}")),
            ("\u{7F}", Some("\u{80}")),
            ("\u{FFFF}", Some("\u{10000}")),
            ("ß", Some("à")),
        ] {
            assert_eq!(next_text(prefix).as_deref(), next, "{prefix:?}");
        }
    }

    #[test]
    fn next_of_bytes() {
        for (prefix, next) in [
            (&[][..], None),
            (&[0][..], Some(&[1][..])),
            (&[1, 0xFF, 0xFF][..], Some(&[2][..])),
            (&[0xFF][..], None),
            (&[0xFF, 0xFE][..], Some(&[0xFF, 0xFF][..])),
        ] {
            assert_eq!(next_bytes(prefix).as_deref(), next, "{prefix:?}");
        }
    }

    #[test]
    fn cuts() {
        assert_eq!(cut_text("日本語", 2), "日本");
        assert_eq!(cut_text("日本語", 3), "日本語");
        assert_eq!(cut_text("abc", 2), "ab");
        assert_eq!(cut_bytes(&[1, 2, 3], 2), [1, 2]);
        assert_eq!(text_prefix("日本".as_bytes()), Some("日本"));
        assert_eq!(text_prefix(&"日本".as_bytes()[..5]), Some("日"));
        assert_eq!(text_prefix(b"a\xFFb"), None);
    }

    proptest! {
        #[test]
        fn text_stays_between(text in any::<String>(), length in 1_usize..20) {
            let cut = cut_text(&text, length);
            prop_assert!(cut <= text.as_str());
            prop_assert!(cut.chars().count() <= length);
            if let Some(next) = next_text(cut) {
                prop_assert!(next.as_str() > text.as_str());
                prop_assert!(next.chars().count() <= length);
            }
        }

        #[test]
        fn bytes_stay_between(bytes in any::<Vec<u8>>(), length in 1_usize..20) {
            let cut = cut_bytes(&bytes, length);
            prop_assert!(cut <= bytes.as_slice());
            if let Some(next) = next_bytes(cut) {
                prop_assert!(next.as_slice() > bytes.as_slice());
            }
        }
    }
}
