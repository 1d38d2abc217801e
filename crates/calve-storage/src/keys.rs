//! Any key as an `object_store` path.
//!
//! Object stores allow keys that `object_store`'s paths refuse: with empty components (`a//b`, or
//! `a/` for the marker of a folder), `.` and `..`, and control characters. Such parts are written
//! with two characters in their place, the first of which ([`MARK`]) stands in no sensible key, and
//! are put back where a request or a file name is made. All other keys are their own paths.

use std::borrow::Cow;

use object_store::path::Path;

/// A code point that Unicode sets aside for nobody, so that no text has it by accident.
const MARK: char = '\u{10FFFD}';
/// [`MARK`] as it stands in a URL.
pub(crate) const MARK_IN_URL: &str = "%F4%8F%BF%BD";
/// After the mark: nothing, where a component is empty.
const EMPTY: char = '\u{E100}';
/// After the mark: one dot or two, where they are a whole component.
const DOT: char = '\u{E101}';
const TWO_DOTS: char = '\u{E102}';
/// After the mark: the control character so many places further down.
const CONTROLS: u32 = 0xE000;

/// The path of a local file, by its absolute path.
pub(crate) fn to_local_path(absolute: &str) -> Path {
    to_path(absolute.strip_prefix('/').unwrap_or(absolute))
}

/// The path of a key.
pub(crate) fn to_path(key: &str) -> Path {
    if key.is_empty() {
        return Path::default();
    }
    let mut text = String::with_capacity(key.len());
    for (number, part) in key.split('/').enumerate() {
        if number > 0 {
            text.push('/');
        }
        push_part(&mut text, part);
    }
    Path::parse(text).expect("all that a path refuses has been replaced")
}

fn push_part(text: &mut String, part: &str) {
    let whole = match part {
        "" => Some(EMPTY),
        "." => Some(DOT),
        ".." => Some(TWO_DOTS),
        _ => None,
    };
    if let Some(whole) = whole {
        text.push(MARK);
        text.push(whole);
        return;
    }
    for character in part.chars() {
        if character == MARK {
            text.push(MARK);
            text.push(MARK);
        } else if character.is_ascii_control() {
            text.push(MARK);
            text.extend(char::from_u32(CONTROLS + u32::from(character)));
        } else {
            text.push(character);
        }
    }
}

/// The key of a path.
pub(crate) fn from_path(path: &Path) -> Cow<'_, str> {
    decode(path.as_ref())
}

/// Puts back what [`to_path`] replaced.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let mut key = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != MARK {
            key.push(character);
            continue;
        }
        match characters.next() {
            Some(EMPTY) | None => {}
            Some(DOT) => key.push('.'),
            Some(TWO_DOTS) => key.push_str(".."),
            Some(MARK) => key.push(MARK),
            Some(other) => key.extend(
                u32::from(other)
                    .checked_sub(CONTROLS)
                    .and_then(char::from_u32),
            ),
        }
    }
    Cow::Owned(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives() {
        for key in [
            "",
            "a",
            "/a",
            "a/b",
            "a/",
            "a//",
            "a//b",
            "//",
            "./a",
            "a/../b",
            "...",
            "k=a%2Fb",
            "k=\t\u{1}\u{7f}",
            "\u{10FFFD}",
            "x\u{10FFFD}\u{E100}/y",
            "Grüße/日本語",
            "#?%\\*\"",
        ] {
            let path = to_path(key);
            assert_eq!(from_path(&path), key, "{path}");
            assert_eq!(Path::parse(path.as_ref()).unwrap(), path);
        }
    }

    #[test]
    fn usual_keys_are_their_own_paths() {
        for key in ["lake/k=a%2Fb/part-0.parquet", "a b", ".hidden", "日本語"] {
            assert_eq!(to_path(key).as_ref(), key);
        }
        let url =
            percent_encoding::utf8_percent_encode("\u{10FFFD}", percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(url.to_string(), MARK_IN_URL);
    }
}
