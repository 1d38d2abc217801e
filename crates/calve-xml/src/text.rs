//! From raw character data to the characters that it stands for.

use std::borrow::Cow;
use std::str::Utf8Error;

use memchr::{memchr, memchr2};

use crate::entities::Entities;
use crate::lexer::Syntax;
use crate::lexer::names::is_character;

/// Bytes as text, as [`std::str::from_utf8`].
///
/// # Errors
/// When they are no UTF-8.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    // It does not tell where the fault is.
    simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes))
}

/// What [`check`] learns of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Whether there is neither a reference nor a carriage return.
    pub(crate) is_plain: bool,
    /// How many bytes the document's own entities add.
    pub(crate) expanded_bytes: u64,
}

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) syntax: Syntax,
}

/// Checks characters and references.
pub(crate) fn check(text: &str, entities: &Entities) -> Result<Checked, Fault> {
    check_characters(text)?;
    let mut checked = Checked {
        is_plain: memchr2(b'&', b'\r', text.as_bytes()).is_none(),
        expanded_bytes: 0,
    };
    let mut at = 0;
    while let Some(passed) = memchr(b'&', &text.as_bytes()[at..]) {
        let offset = at + passed;
        let (name, end) = reference(text, offset).ok_or(Fault {
            offset,
            syntax: Syntax::Ampersand,
        })?;
        let fault = |syntax| Fault { offset, syntax };
        if let Some(number) = name.strip_prefix('#') {
            character_of(number).map_err(fault)?;
        } else if predefined(name).is_none() {
            checked.expanded_bytes += entities.expanded_bytes(name).map_err(fault)?;
        }
        at = end;
    }
    Ok(checked)
}

/// Whether XML allows all the characters.
pub(crate) fn check_characters(text: &str) -> Result<(), Fault> {
    let is_suspect =
        |byte: &u8| *byte == 0xEF || (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'));
    // A pass that looks for any is much faster than one that looks for the first.
    if !text
        .as_bytes()
        .iter()
        .fold(false, |found, byte| found | is_suspect(byte))
    {
        return Ok(());
    }
    match text.char_indices().find(|(_, it)| !is_character(*it)) {
        None => Ok(()),
        Some((offset, character)) => Err(Fault {
            offset,
            syntax: Syntax::Character(character.into()),
        }),
    }
}

/// The characters that content stands for: references replaced, line ends normalised. References that
/// are not well-formed stay as they are; the lexer has refused them.
pub fn unescape<'a>(raw: &'a str, entities: &Entities) -> Cow<'a, str> {
    replace(raw, entities, |bytes| memchr2(b'&', b'\r', bytes), "\n")
}

/// The characters that an attribute's value stands for: references replaced, each tab and line end a
/// space.
pub fn unescape_attribute<'a>(raw: &'a str, entities: &Entities) -> Cow<'a, str> {
    replace(
        raw,
        entities,
        |bytes| {
            bytes
                .iter()
                .position(|byte| matches!(byte, b'&' | b'\r' | b'\n' | b'\t'))
        },
        " ",
    )
}

/// The content of a CDATA section with its line ends normalised.
pub fn normalize_line_ends(raw: &str) -> Cow<'_, str> {
    replace(
        raw,
        &Entities::default(),
        |bytes| memchr(b'\r', bytes),
        "\n",
    )
}

/// Replaces what `next` finds: references by what they refer to, white space by `white`.
fn replace<'a>(
    raw: &'a str,
    entities: &Entities,
    next: impl Fn(&[u8]) -> Option<usize>,
    white: &str,
) -> Cow<'a, str> {
    let bytes = raw.as_bytes();
    let find = |at: usize| {
        let passed = next(&bytes[at..])?;
        Some(at + passed)
    };
    let Some(mut special) = find(0) else {
        return Cow::Borrowed(raw);
    };
    let mut text = String::with_capacity(raw.len());
    let mut at = 0;
    loop {
        text.push_str(&raw[at..special]);
        at = special + 1;
        match bytes[special] {
            b'&' => match reference(raw, special) {
                Some((name, end)) if push_reference(name, entities, &mut text) => at = end,
                _ => text.push('&'),
            },
            b'\r' => {
                text.push_str(white);
                if bytes.get(at) == Some(&b'\n') {
                    at += 1;
                }
            }
            _ => text.push_str(white),
        }
        match find(at) {
            Some(next) => special = next,
            None => break,
        }
    }
    text.push_str(&raw[at..]);
    Cow::Owned(text)
}

/// Appends what a reference stands for.
fn push_reference(name: &str, entities: &Entities, text: &mut String) -> bool {
    if let Some(number) = name.strip_prefix('#') {
        return match character_of(number) {
            Ok(character) => {
                text.push(character);
                true
            }
            Err(_) => false,
        };
    }
    match predefined(name) {
        Some(character) => {
            text.push(character);
            true
        }
        None => entities.expand(name, text),
    }
}

/// The name or number of the reference at `offset`, where there is an `&`, and where it ends.
pub(crate) fn reference(text: &str, offset: usize) -> Option<(&str, usize)> {
    let rest = &text[offset + 1..];
    let length = rest
        .bytes()
        .position(|byte| matches!(byte, b';' | b'&' | b'<' | b' ' | b'\t' | b'\r' | b'\n'))?;
    let name = &rest[..length];
    let is_sound = rest.as_bytes()[length] == b';'
        && (name.starts_with('#') || crate::lexer::names::is_name(name));
    is_sound.then_some((name, offset + 1 + length + 1))
}

/// The character of a reference by number, without `&#` and `;`.
pub(crate) fn character_of(number: &str) -> Result<char, Syntax> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Syntax::Ampersand);
    }
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    char::from_u32(code)
        .filter(|character| code != 0 && is_character(*character))
        .ok_or(Syntax::Character(code))
}

/// The character of one of the five entities that need no declaration.
pub(crate) fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_unescaped(raw: &str, text: &str, attribute: &str) {
        let entities = Entities::default();
        assert_eq!(check(raw, &entities).map(|_| ()), Ok(()));
        assert_eq!(unescape(raw, &entities), text);
        assert_eq!(unescape_attribute(raw, &entities), attribute);
        let is_plain = check(raw, &entities).unwrap().is_plain;
        assert_eq!(
            is_plain,
            matches!(unescape(raw, &entities), Cow::Borrowed(_))
        );
    }

    #[test]
    fn references_and_line_ends_are_replaced() {
        check_unescaped("", "", "");
        check_unescaped("plain é", "plain é", "plain é");
        check_unescaped("a &lt; b &amp;&amp; c", "a < b && c", "a < b && c");
        check_unescaped("&quot;&apos;&gt;", "\"'>", "\"'>");
        check_unescaped("&#65;&#x42;&#x1F600;", "AB😀", "AB😀");
        check_unescaped("&#000000000065;", "A", "A");
        check_unescaped("a\r\nb\rc\nd\te", "a\nb\nc\nd\te", "a b c d e");
        check_unescaped("\r\r\n\n", "\n\n\n", "   ");
        check_unescaped("a&#13;&#10;&#9;b", "a\r\n\tb", "a\r\n\tb");
        check_unescaped("&amp;lt;", "&lt;", "&lt;");
    }

    #[track_caller]
    fn check_fault(raw: &str, offset: usize, syntax: Syntax) {
        let fault = check(raw, &Entities::default()).unwrap_err();
        assert_eq!(fault, Fault { offset, syntax });
    }

    #[test]
    fn wrong_references_are_found() {
        check_fault("a & b", 2, Syntax::Ampersand);
        check_fault("AT&T", 2, Syntax::Ampersand);
        check_fault("a&;", 1, Syntax::Ampersand);
        check_fault("&#;", 0, Syntax::Ampersand);
        check_fault("&#x;", 0, Syntax::Ampersand);
        check_fault("&#12a;", 0, Syntax::Ampersand);
        check_fault("&#X41;", 0, Syntax::Ampersand);
        check_fault("&1a;", 0, Syntax::Ampersand);
        check_fault("&nbsp;", 0, Syntax::UnknownEntity("nbsp".to_owned()));
        check_fault("&#0;", 0, Syntax::Character(0));
        check_fault("&#xD800;", 0, Syntax::Character(0xD800));
        check_fault("&#xFFFE;", 0, Syntax::Character(0xFFFE));
        check_fault("&#99999999999;", 0, Syntax::Character(u32::MAX));
        check_fault("ab\u{1}", 2, Syntax::Character(1));
        check_fault("é\u{FFFF}", 2, Syntax::Character(0xFFFF));
    }
}
