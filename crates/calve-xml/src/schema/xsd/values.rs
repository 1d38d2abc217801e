//! Whether text is a value of a type.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::facets::{Bound, Facets};
use super::model::{Kind, SimpleType};
use super::moments::Moment;
use crate::lexer::names;

/// What is done with white space before a value is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhiteSpace {
    Preserve,
    Replace,
    Collapse,
}

impl WhiteSpace {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.trim() {
            "preserve" => Self::Preserve,
            "replace" => Self::Replace,
            "collapse" => Self::Collapse,
            _ => return None,
        })
    }

    fn of(simple: &SimpleType) -> Self {
        let facet = simple
            .restrictions
            .iter()
            .rev()
            .find_map(|it| it.white_space);
        facet.unwrap_or(match &simple.kind {
            Kind::Builtin("string" | "anySimpleType" | "anyAtomicType") => Self::Preserve,
            Kind::Builtin("normalizedString") => Self::Replace,
            // Each member of a union looks at the text in its own way.
            Kind::Union(_) => Self::Preserve,
            _ => Self::Collapse,
        })
    }

    fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Preserve => Cow::Borrowed(text),
            Self::Replace if !text.contains(['\t', '\n', '\r']) => Cow::Borrowed(text),
            Self::Replace => Cow::Owned(text.replace(['\t', '\n', '\r'], " ")),
            Self::Collapse => {
                let trimmed = text.trim_matches(is_space);
                let is_single = !trimmed.contains(['\t', '\n', '\r']) && !trimmed.contains("  ");
                if is_single {
                    return Cow::Borrowed(trimmed);
                }
                let words: Vec<&str> = trimmed
                    .split(is_space)
                    .filter(|it| !it.is_empty())
                    .collect();
                Cow::Owned(words.join(" "))
            }
        }
    }
}

fn is_space(it: char) -> bool {
    matches!(it, ' ' | '\t' | '\n' | '\r')
}

/// The type as it is said in a message.
pub(super) fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Builtin(name) => format!("xs:{name}"),
        Kind::List(item) => format!("list of {}", describe(&item.kind)),
        Kind::Union(members) => {
            let names: Vec<String> = members.iter().map(|it| describe(&it.kind)).collect();
            names.join(" or ")
        }
    }
}

/// Whether bounds of such values can be checked.
pub(super) fn is_ordered(kind: &Kind) -> bool {
    matches!(kind, Kind::Builtin(name) if is_numeric(name) || Moment::has_type(name))
}

fn is_numeric(name: &str) -> bool {
    matches!(name, "decimal" | "double" | "float") || integer_range(name).is_some()
}

/// The value, shortened where it is long.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Whether two texts are one value of a type.
pub(super) fn same(simple: &SimpleType, a: &str, b: &str) -> bool {
    let white_space = WhiteSpace::of(simple);
    is_same(&simple.kind, &white_space.apply(a), &white_space.apply(b))
}

/// Checks text against a type.
///
/// # Errors
/// With what is wrong, as a sentence without its end.
pub(super) fn check(simple: &SimpleType, raw: &str) -> Result<(), String> {
    let text = WhiteSpace::of(simple).apply(raw);
    match &simple.kind {
        Kind::Builtin(name) => {
            if !is_lexical(name, &text) {
                return Err(format!("`{}` is no xs:{name}", shortened(&text)));
            }
        }
        Kind::List(item) => text
            .split(is_space)
            .filter(|it| !it.is_empty())
            .try_for_each(|it| check(item, it))?,
        Kind::Union(members) => {
            if !members.iter().any(|it| check(it, &text).is_ok()) {
                let types = describe(&simple.kind);
                return Err(format!("`{}` is no {types}", shortened(&text)));
            }
        }
    }
    simple
        .restrictions
        .iter()
        .try_for_each(|facets| check_facets(facets, &simple.kind, &text))
}

fn check_facets(facets: &Facets, kind: &Kind, text: &str) -> Result<(), String> {
    let fail = |problem: String| Err(format!("`{}` {problem}", shortened(text)));
    let patterns = &facets.patterns;
    if !patterns.is_empty() && !patterns.iter().any(|it| it.is_match(text)) {
        return fail("does not match the pattern of its type".to_owned());
    }
    let allowed = &facets.enumeration;
    if !allowed.is_empty() && !allowed.iter().any(|it| is_same(kind, it, text)) {
        return fail("is none of the values of its type".to_owned());
    }
    let length = length(kind, text);
    if facets.length.is_some_and(|it| length != it) {
        return fail(format!("has a length of {length}"));
    }
    if facets.min_length.is_some_and(|it| length < it) {
        return fail("is too short".to_owned());
    }
    if facets.max_length.is_some_and(|it| length > it) {
        return fail("is too long".to_owned());
    }
    for (bound, limit) in &facets.bounds {
        let Some(order) = compare(kind, text, limit) else {
            continue;
        };
        let (is_inside, phrase) = match bound {
            Bound::MinInclusive => (order.is_ge(), "below"),
            Bound::MinExclusive => (order.is_gt(), "not above"),
            Bound::MaxInclusive => (order.is_le(), "above"),
            Bound::MaxExclusive => (order.is_lt(), "not below"),
        };
        if !is_inside {
            return fail(format!("is {phrase} {limit}"));
        }
    }
    if let Some(number) = Number::parse(text) {
        let digits = number.whole.len() + number.fraction.len();
        if facets.total_digits.is_some_and(|it| digits > it as usize) {
            return fail("has too many digits".to_owned());
        }
        if facets
            .fraction_digits
            .is_some_and(|it| number.fraction.len() > it as usize)
        {
            return fail("has too many digits behind the point".to_owned());
        }
    }
    Ok(())
}

fn is_same(kind: &Kind, allowed: &str, text: &str) -> bool {
    allowed == text
        || compare(kind, allowed.trim_matches(is_space), text) == Some(Ordering::Equal)
        || (!matches!(kind, Kind::Builtin("string")) && allowed.trim_matches(is_space) == text)
}

fn length(kind: &Kind, text: &str) -> u64 {
    let length = match kind {
        Kind::List(_) | Kind::Builtin("NMTOKENS" | "IDREFS" | "ENTITIES") => {
            text.split(is_space).filter(|it| !it.is_empty()).count()
        }
        Kind::Builtin("hexBinary") => text.len() / 2,
        Kind::Builtin("base64Binary") => {
            text.bytes().filter(|it| !matches!(it, b' ' | b'=')).count() * 3 / 4
        }
        _ => text.chars().count(),
    };
    length as u64
}

fn compare(kind: &Kind, a: &str, b: &str) -> Option<Ordering> {
    let Kind::Builtin(name) = kind else {
        return None;
    };
    match *name {
        "double" | "float" => float(a)?.partial_cmp(&float(b)?),
        name if Moment::has_type(name) => {
            Some(Moment::parse(name, a)?.cmp(&Moment::parse(name, b)?))
        }
        name if is_numeric(name) => Some(Number::parse(a)?.compare(&Number::parse(b)?)),
        _ => None,
    }
}

fn float(text: &str) -> Option<f64> {
    match text {
        "INF" | "+INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => {
            let is_plain =
                |it: u8| it.is_ascii_digit() || matches!(it, b'+' | b'-' | b'.' | b'e' | b'E');
            let number = text.bytes().all(is_plain).then(|| text.parse().ok());
            number.flatten()
        }
    }
}

/// A decimal number of any size, without zeros that say nothing.
struct Number<'a> {
    is_negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all(whole) || !all(fraction) {
            return None;
        }
        let (whole, fraction) = (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            is_negative: is_negative && !is_zero,
            whole,
            fraction,
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| {
            let whole = a.whole.len().cmp(&b.whole.len()).then(a.whole.cmp(b.whole));
            whole.then(a.fraction.cmp(b.fraction))
        };
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(self, other),
            (true, true) => size(other, self),
        }
    }
}

/// The smallest and largest value of an integer type.
fn integer_range(name: &str) -> Option<(Option<&'static str>, Option<&'static str>)> {
    Some(match name {
        "integer" => (None, None),
        "nonPositiveInteger" => (None, Some("0")),
        "negativeInteger" => (None, Some("-1")),
        "nonNegativeInteger" => (Some("0"), None),
        "positiveInteger" => (Some("1"), None),
        "long" => (Some("-9223372036854775808"), Some("9223372036854775807")),
        "int" => (Some("-2147483648"), Some("2147483647")),
        "short" => (Some("-32768"), Some("32767")),
        "byte" => (Some("-128"), Some("127")),
        "unsignedLong" => (Some("0"), Some("18446744073709551615")),
        "unsignedInt" => (Some("0"), Some("4294967295")),
        "unsignedShort" => (Some("0"), Some("65535")),
        "unsignedByte" => (Some("0"), Some("255")),
        _ => return None,
    })
}

fn is_lexical(name: &str, text: &str) -> bool {
    if let Some((min, max)) = integer_range(name) {
        let Some(number) = Number::parse(text).filter(|_| !text.contains('.')) else {
            return false;
        };
        let limit = |text: &'static str| Number::parse(text).expect("limits are numbers");
        return min.is_none_or(|it| number.compare(&limit(it)).is_ge())
            && max.is_none_or(|it| number.compare(&limit(it)).is_le());
    }
    if Moment::has_type(name) {
        return Moment::parse(name, text).is_some();
    }
    let is_ncname = |text: &str| names::is_name(text) && !text.contains(':');
    match name {
        "boolean" => matches!(text, "true" | "false" | "1" | "0"),
        "decimal" => Number::parse(text).is_some(),
        "double" | "float" => float(text).is_some(),
        "hexBinary" => {
            text.len().is_multiple_of(2) && text.bytes().all(|it| it.is_ascii_hexdigit())
        }
        "base64Binary" => {
            let bare: Vec<u8> = text.bytes().filter(|it| *it != b' ').collect();
            let padding = bare.iter().rev().take_while(|it| **it == b'=').count();
            let body = &bare[..bare.len() - padding];
            let is_digit = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'/');
            bare.len().is_multiple_of(4) && padding <= 2 && body.iter().all(is_digit)
        }
        "duration" | "dayTimeDuration" | "yearMonthDuration" => super::moments::is_duration(text),
        "Name" => names::is_name(text),
        "NCName" | "ID" | "IDREF" | "ENTITY" => is_ncname(text),
        "QName" | "NOTATION" => {
            let (prefix, local) = text.split_once(':').unwrap_or(("p", text));
            is_ncname(prefix) && is_ncname(local)
        }
        // A token may begin with what a name may only go on with.
        "NMTOKEN" => !text.is_empty() && names::is_name(&format!("n{text}")),
        "NMTOKENS" => {
            !text.is_empty() && text.split(' ').all(|it| names::is_name(&format!("n{it}")))
        }
        "IDREFS" | "ENTITIES" => !text.is_empty() && text.split(' ').all(is_ncname),
        "language" => {
            let mut parts = text.split('-');
            let is_part = |it: &str| (1..=8).contains(&it.len());
            let first = parts.next().unwrap_or_default();
            is_part(first)
                && first.bytes().all(|it| it.is_ascii_alphabetic())
                && parts.all(|it| is_part(it) && it.bytes().all(|it| it.is_ascii_alphanumeric()))
        }
        _ => true,
    }
}
