//! What inference may call a text.

use super::{Formats, number, temporal};

/// The kinds of values that inference tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Long,
    /// Digits before and after the point.
    Decimal(u8, u8),
    Double,
    Date,
    Time,
    Timestamp,
    TimestampNtz,
    String,
}

/// How texts are classified: the options of inference that matter for one value.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(crate) struct Classifier {
    /// Whether types are inferred at all; else everything is a string.
    pub(crate) infer_types: bool,
    /// Whether numbers with a fraction, and whole numbers beyond long, are decimals.
    pub(crate) prefers_decimal: bool,
    /// Whether dates are dates; else they are timestamps.
    pub(crate) prefers_date: bool,
    /// Whether timestamps without a zone are that; else they are taken in the options' zone.
    pub(crate) prefers_timestamp_ntz: bool,
    /// Whether numbers with needless leading zeros, as identifiers have them, are strings.
    pub(crate) keeps_leading_zeros: bool,
    pub(crate) formats: Formats,
}

impl Classifier {
    /// The narrowest kind of a text, by Spark's order: long, decimal, double, boolean, date, time,
    /// timestamp, string.
    pub(crate) fn kind(&self, text: &str) -> Kind {
        let bytes = text.as_bytes();
        let Some(first) = bytes.first() else {
            return Kind::Null;
        };
        if !self.infer_types {
            return Kind::String;
        }
        if matches!(first, b'0'..=b'9' | b'+' | b'-' | b'.') {
            if let Some(kind) = self.number(text) {
                return kind;
            }
            if let Some(kind) = self.temporal(text) {
                return kind;
            }
            return Kind::String;
        }
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            return Kind::Boolean;
        }
        if self.formats.has_patterns()
            && let Some(kind) = self.temporal(text)
        {
            return kind;
        }
        Kind::String
    }

    fn number(&self, text: &str) -> Option<Kind> {
        let bytes = text.as_bytes();
        if self.keeps_leading_zeros && has_leading_zeros(bytes) && number::double(text).is_some() {
            return Some(Kind::String);
        }
        if number::long(bytes).is_some() {
            return Some(Kind::Long);
        }
        // Dates and times have a second sign or a colon where numbers have none: no need to parse them.
        if bytes.len() > 4 && ((bytes[3].is_ascii_digit() && bytes[4] == b'-') || bytes[2] == b':')
        {
            return None;
        }
        if self.prefers_decimal
            && let Some((whole, fraction)) = number::decimal_digits(bytes)
        {
            return Some(Kind::Decimal(whole, fraction));
        }
        let is_double = number::starts_like_number(bytes) && number::double(text).is_some();
        is_double.then_some(Kind::Double)
    }

    fn temporal(&self, text: &str) -> Option<Kind> {
        if self.formats.date(text).is_some() {
            return Some(match (self.prefers_date, self.prefers_timestamp_ntz) {
                (true, _) => Kind::Date,
                (false, true) => Kind::TimestampNtz,
                (false, false) => Kind::Timestamp,
            });
        }
        if temporal::time(text.as_bytes()).is_some() {
            return Some(Kind::Time);
        }
        if self.prefers_timestamp_ntz && self.formats.timestamp_ntz(text).is_some() {
            return Some(Kind::TimestampNtz);
        }
        self.formats.timestamp(text).map(|_| Kind::Timestamp)
    }
}

/// `007` and `-007`, not `0`, `0.5` or `00:10`.
fn has_leading_zeros(text: &[u8]) -> bool {
    let digits = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    matches!(digits, [b'0', b'0'..=b'9', ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::XmlOptions;

    fn classifier() -> Classifier {
        Classifier {
            infer_types: true,
            prefers_decimal: false,
            prefers_date: true,
            prefers_timestamp_ntz: false,
            keeps_leading_zeros: false,
            formats: Formats::new(&XmlOptions::new("row")).unwrap(),
        }
    }

    #[test]
    fn kinds_by_default() {
        let classifier = classifier();
        for (text, expected) in [
            ("", Kind::Null),
            ("0", Kind::Long),
            ("-12", Kind::Long),
            ("+12", Kind::Long),
            ("00010", Kind::Long),
            ("92233720368547758070", Kind::Double),
            ("1.5", Kind::Double),
            (".5", Kind::Double),
            ("1e5", Kind::Double),
            ("4.9E-324", Kind::Double),
            ("1.5e-3", Kind::Double),
            ("1.5f", Kind::String),
            ("1-2", Kind::String),
            ("-", Kind::String),
            (".", Kind::String),
            ("NaN", Kind::String),
            ("inf", Kind::String),
            ("-inf", Kind::String),
            ("TRUE", Kind::Boolean),
            ("false", Kind::Boolean),
            ("yes", Kind::String),
            ("2024-01-15", Kind::Date),
            ("2024-02-30", Kind::String),
            ("2024-01-15T13:31:24", Kind::Timestamp),
            ("2024-01-15T13:31:24Z", Kind::Timestamp),
            ("13:31:24.123456", Kind::Time),
            ("27.31.100.29", Kind::String),
            ("978-3-16-148410-0", Kind::String),
        ] {
            assert_eq!(classifier.kind(text), expected, "{text}");
        }
    }

    #[test]
    fn kinds_by_option() {
        let mut decimal = classifier();
        decimal.prefers_decimal = true;
        assert_eq!(decimal.kind("1.25"), Kind::Decimal(1, 2));
        assert_eq!(decimal.kind("92233720368547758070"), Kind::Decimal(20, 0));
        assert_eq!(decimal.kind("4.9E-324"), Kind::Double);
        let mut zeros = classifier();
        zeros.keeps_leading_zeros = true;
        for (text, expected) in [
            ("007", Kind::String),
            ("00.5", Kind::String),
            ("0", Kind::Long),
            ("0.5", Kind::Double),
            ("07:30:00", Kind::Time),
        ] {
            assert_eq!(zeros.kind(text), expected, "{text}");
        }
        let mut strings = classifier();
        strings.infer_types = false;
        assert_eq!(strings.kind("7"), Kind::String);
        let mut ntz = classifier();
        ntz.prefers_timestamp_ntz = true;
        assert_eq!(ntz.kind("2024-01-15T13:31:24"), Kind::TimestampNtz);
        assert_eq!(ntz.kind("2024-01-15T13:31:24Z"), Kind::Timestamp);
        let mut dates = classifier();
        dates.prefers_date = false;
        assert_eq!(dates.kind("2024-01-15"), Kind::Timestamp);
    }
}
