//! The type of a partition key, from all its values.

use iceberg::spec::PrimitiveType;

use crate::value;

/// What a key's values have in common so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Inferred {
    /// All were null.
    #[default]
    Null,
    /// All are whole numbers of 32 bits, written the one canonical way.
    Int,
    /// All are whole numbers of 64 bits, written the one canonical way.
    Long,
    /// All are dates, `yyyy-mm-dd`.
    Date,
    /// They are text.
    Text,
}

impl Inferred {
    /// Takes one more value in.
    pub(crate) fn absorb(&mut self, text: Option<&str>) {
        if *self == Self::Text {
            return;
        }
        if let Some(text) = text {
            *self = self.merge(Self::of(text));
        }
    }

    /// What the values of both have in common.
    pub(crate) fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Null, found) | (found, Self::Null) => found,
            (known, found) if known == found => known,
            (Self::Int | Self::Long, Self::Int | Self::Long) => Self::Long,
            _ => Self::Text,
        }
    }

    /// The type. A key that is always null is text: every value there may be later fits.
    pub(crate) fn primitive_type(self) -> PrimitiveType {
        match self {
            Self::Int => PrimitiveType::Int,
            Self::Long => PrimitiveType::Long,
            Self::Date => PrimitiveType::Date,
            Self::Null | Self::Text => PrimitiveType::String,
        }
    }

    fn of(text: &str) -> Self {
        // Only what prints back the same is a number or a date: `01`, `+1` and `-0` are text.
        if let Ok(number) = text.parse::<i64>() {
            return match i32::try_from(number) {
                _ if number.to_string() != text => Self::Text,
                Ok(_) => Self::Int,
                Err(_) => Self::Long,
            };
        }
        match value::date(text) {
            Some(date) if date.format("%Y-%m-%d").to_string() == text => Self::Date,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[Option<&str>], expected: &PrimitiveType) {
        let mut forwards = Inferred::default();
        for value in values {
            forwards.absorb(*value);
        }
        let mut backwards = Inferred::default();
        for value in values.iter().rev() {
            backwards.absorb(*value);
        }
        assert_eq!(forwards.primitive_type(), *expected, "{values:?}");
        assert_eq!(
            backwards.primitive_type(),
            *expected,
            "{values:?} backwards"
        );
    }

    #[test]
    fn types_of_all_values() {
        check(&[], &PrimitiveType::String);
        check(&[None, None], &PrimitiveType::String);
        check(
            &[Some("1"), None, Some("-7"), Some("0")],
            &PrimitiveType::Int,
        );
        check(&[Some("1"), Some("2147483648")], &PrimitiveType::Long);
        check(&[Some("9223372036854775808")], &PrimitiveType::String);
        check(&[Some("1"), Some("01")], &PrimitiveType::String);
        check(&[Some("01"), Some("12")], &PrimitiveType::String);
        check(&[Some("+1")], &PrimitiveType::String);
        check(&[Some("-0")], &PrimitiveType::String);
        check(&[Some("1"), Some("")], &PrimitiveType::String);
        check(&[Some("1.5")], &PrimitiveType::String);
        check(&[Some("true")], &PrimitiveType::String);
        check(
            &[Some("2024-01-31"), None, Some("1969-12-31")],
            &PrimitiveType::Date,
        );
        check(
            &[Some("2024-01-31"), Some("2024-1-31")],
            &PrimitiveType::String,
        );
        check(&[Some("2024-02-30")], &PrimitiveType::String);
        check(
            &[Some("2024-01-31"), Some("20240131")],
            &PrimitiveType::String,
        );
        check(
            &[Some("1"), Some("2024-01-31"), Some("2")],
            &PrimitiveType::String,
        );
    }
}
