//! Dates in the patterns of Java's `DateTimeFormatter`, as partition projections use them.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, TimeDelta, Timelike};

/// A pattern such as `yyyy/MM/dd/HH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateFormat {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(String),
    Number { unit: Unit, digits: usize },
}

/// A unit of time, from the longest to the shortest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Years,
    Months,
    Weeks,
    Days,
    Hours,
    Minutes,
    Seconds,
}

impl DateFormat {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The letter that is not understood.
    pub(super) fn new(pattern: &str) -> Result<Self, char> {
        let mut items: Vec<Item> = Vec::new();
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            if character == '\'' {
                let mut quoted = String::new();
                for inner in characters.by_ref() {
                    if inner == '\'' {
                        break;
                    }
                    quoted.push(inner);
                }
                items.push(Item::Literal(if quoted.is_empty() {
                    "'".to_owned()
                } else {
                    quoted
                }));
            } else if character.is_ascii_alphabetic() {
                let mut digits = 1;
                while characters.next_if_eq(&character).is_some() {
                    digits += 1;
                }
                let unit = match character {
                    'y' | 'u' => Unit::Years,
                    'M' if digits <= 2 => Unit::Months,
                    'd' if digits <= 2 => Unit::Days,
                    'H' if digits <= 2 => Unit::Hours,
                    'm' if digits <= 2 => Unit::Minutes,
                    's' if digits <= 2 => Unit::Seconds,
                    other => return Err(other),
                };
                items.push(Item::Number { unit, digits });
            } else {
                items.push(Item::Literal(character.to_string()));
            }
        }
        Ok(Self { items })
    }

    /// A regular expression for what the pattern prints.
    pub(super) fn regex(&self) -> String {
        let item = |item: &Item| match item {
            Item::Literal(text) => regex::escape(text),
            Item::Number {
                unit: Unit::Years,
                digits: 1,
            } => "[0-9]{4}".to_owned(),
            Item::Number { digits: 1, .. } => "[0-9]{1,2}".to_owned(),
            Item::Number { digits, .. } => format!("[0-9]{{{digits}}}"),
        };
        self.items.iter().map(item).collect()
    }

    /// The shortest unit that it prints.
    pub(super) fn shortest_unit(&self) -> Unit {
        let unit = |item: &Item| match item {
            Item::Number { unit, .. } => Some(*unit),
            Item::Literal(_) => None,
        };
        self.items
            .iter()
            .filter_map(unit)
            .max()
            .unwrap_or(Unit::Years)
    }

    /// Reads what the pattern prints. What it does not print is the first moment of the rest.
    pub(super) fn parse(&self, text: &str) -> Option<NaiveDateTime> {
        let mut rest = text;
        let (mut year, mut month, mut day) = (1970, 1, 1);
        let (mut hour, mut minute, mut second) = (0, 0, 0);
        for item in &self.items {
            let (unit, digits) = match item {
                Item::Literal(text) => {
                    rest = rest.strip_prefix(text.as_str())?;
                    continue;
                }
                Item::Number { unit, digits } => (*unit, *digits),
            };
            let most = match (unit, digits) {
                (Unit::Years, 1) => 4,
                (_, 1) => 2,
                (_, digits) => digits,
            };
            let available = rest
                .bytes()
                .take(most)
                .take_while(u8::is_ascii_digit)
                .count();
            if available == 0 || (digits > 1 && available < digits) {
                return None;
            }
            let number: u32 = rest[..available].parse().ok()?;
            rest = &rest[available..];
            match unit {
                // Java reads two digits as a year of this century.
                Unit::Years if digits == 2 => year = 2000 + i32::try_from(number).ok()?,
                Unit::Years => year = i32::try_from(number).ok()?,
                Unit::Months => month = number,
                Unit::Weeks | Unit::Days => day = number,
                Unit::Hours => hour = number,
                Unit::Minutes => minute = number,
                Unit::Seconds => second = number,
            }
        }
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        date.and_hms_opt(hour, minute, second)
            .filter(|_| rest.is_empty())
    }
}

impl Unit {
    /// Reads a unit's name, singular or plural, in any case.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().trim_end_matches('S') {
            "YEAR" => Self::Years,
            "MONTH" => Self::Months,
            "WEEK" => Self::Weeks,
            "DAY" => Self::Days,
            "HOUR" => Self::Hours,
            "MINUTE" => Self::Minutes,
            "SECOND" => Self::Seconds,
            _ => return None,
        })
    }

    /// The beginning of the unit that a moment lies in.
    pub(super) fn truncate(self, moment: NaiveDateTime) -> Option<NaiveDateTime> {
        let keep = |unit: Self, value: u32, first: u32| if unit <= self { value } else { first };
        NaiveDate::from_ymd_opt(
            moment.year(),
            keep(Self::Months, moment.month(), 1),
            keep(Self::Weeks, moment.day(), 1),
        )?
        .and_hms_opt(
            keep(Self::Hours, moment.hour(), 0),
            keep(Self::Minutes, moment.minute(), 0),
            keep(Self::Seconds, moment.second(), 0),
        )
    }

    /// A moment some units later.
    pub(super) fn add(self, moment: NaiveDateTime, count: i32) -> Option<NaiveDateTime> {
        let size = count.unsigned_abs();
        let later = count >= 0;
        let months = |months: Option<u32>| {
            let months = Months::new(months?);
            if later {
                moment.checked_add_months(months)
            } else {
                moment.checked_sub_months(months)
            }
        };
        let days = |days: u64| {
            let days = Days::new(days);
            if later {
                moment.checked_add_days(days)
            } else {
                moment.checked_sub_days(days)
            }
        };
        let seconds = |each: i64| {
            moment.checked_add_signed(TimeDelta::try_seconds(i64::from(count).checked_mul(each)?)?)
        };
        match self {
            Self::Years => months(size.checked_mul(12)),
            Self::Months => months(Some(size)),
            Self::Weeks => days(u64::from(size) * 7),
            Self::Days => days(u64::from(size)),
            Self::Hours => seconds(3_600),
            Self::Minutes => seconds(60),
            Self::Seconds => seconds(1),
        }
    }

    /// Whole units from one moment to another.
    pub(super) fn between(self, start: NaiveDateTime, end: NaiveDateTime) -> i64 {
        let months =
            |moment: NaiveDateTime| i64::from(moment.year()) * 12 + i64::from(moment.month0());
        let seconds = end.signed_duration_since(start).num_seconds();
        match self {
            Self::Years => i64::from(end.year()) - i64::from(start.year()),
            Self::Months => months(end) - months(start),
            Self::Weeks => seconds / 604_800,
            Self::Days => seconds / 86_400,
            Self::Hours => seconds / 3_600,
            Self::Minutes => seconds / 60,
            Self::Seconds => seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: Option<&str>) {
        let format = DateFormat::new(pattern).unwrap();
        let found = format
            .parse(text)
            .map(|moment| moment.format("%Y-%m-%dT%H:%M:%S").to_string());
        assert_eq!(found.as_deref(), expected, "{text} as {pattern}");
        let regex = regex::Regex::new(&format!("^(?:{})$", format.regex())).unwrap();
        assert!(
            expected.is_none() || regex.is_match(text),
            "{regex} for {text}"
        );
    }

    #[test]
    fn patterns() {
        check("yyyy-MM-dd", "2024-02-29", Some("2024-02-29T00:00:00"));
        check("yyyy-MM-dd", "2023-02-29", None);
        check("yyyy-MM-dd", "2024-2-29", None);
        check("yyyy-MM-dd", "2024-02-29x", None);
        check("yyyyMMddHH", "2024022923", Some("2024-02-29T23:00:00"));
        check(
            "yyyy/MM/dd/HH",
            "2024/02/29/07",
            Some("2024-02-29T07:00:00"),
        );
        check("yyyy/M/d", "2024/2/9", Some("2024-02-09T00:00:00"));
        check("yyyy", "2024", Some("2024-01-01T00:00:00"));
        check("yy", "24", Some("2024-01-01T00:00:00"));
        check(
            "yyyy-MM-dd'T'HH''mm",
            "2024-01-01T10'30",
            Some("2024-01-01T10:30:00"),
        );
        check("yyyy", "日本", None);
        assert_eq!(DateFormat::new("yyyy-MMM"), Err('M'));
        assert_eq!(DateFormat::new("yyyy-Q"), Err('Q'));
    }

    #[test]
    fn arithmetic() {
        let format = DateFormat::new("yyyy-MM-dd HH:mm:ss").unwrap();
        let at = |text: &str| format.parse(text).unwrap();
        let now = at("2024-03-31 12:34:56");
        assert_eq!(Unit::Months.add(now, -1), Some(at("2024-02-29 12:34:56")));
        assert_eq!(Unit::Years.add(now, 1), Some(at("2025-03-31 12:34:56")));
        assert_eq!(Unit::Hours.add(now, -13), Some(at("2024-03-30 23:34:56")));
        assert_eq!(Unit::Years.add(now, i32::MIN), None);
        assert_eq!(Unit::Days.truncate(now), Some(at("2024-03-31 00:00:00")));
        assert_eq!(Unit::Years.truncate(now), Some(at("2024-01-01 00:00:00")));
        assert_eq!(Unit::Minutes.truncate(now), Some(at("2024-03-31 12:34:00")));
        assert_eq!(Unit::Months.between(at("2023-11-01 00:00:00"), now), 4);
        assert_eq!(Unit::parse("days"), Some(Unit::Days));
        assert_eq!(Unit::parse("fortnight"), None);
    }
}
