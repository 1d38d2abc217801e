//! Patterns of dates and timestamps by the letters of Spark and of Java's `DateTimeFormatter`.

use super::temporal;
use super::zone::Zone;
use crate::{Error, Result};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(char),
    /// A number of `least..=most` digits.
    Number {
        field: Field,
        least: usize,
        most: usize,
    },
    /// Two digits of a year of this century.
    ShortYear,
    /// An English month's name, whole or its first three letters.
    MonthName,
    /// An English name of a day of the week, which says nothing new.
    WeekdayName,
    /// Up to so many digits after the point.
    Fraction(usize),
    /// `AM` or `PM`.
    HalfDay,
    /// An offset, an abbreviation or a name of a zone.
    Zone,
    /// A section that may be missing.
    Optional(Vec<Self>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalfDay,
    Minute,
    Second,
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fields {
    year: i32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    half_day: Option<u32>,
    /// The zone that the text names.
    pub(crate) zone: Option<Zone>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            half_day: None,
            zone: None,
        }
    }
}

impl Fields {
    /// Days since 1970-01-01, if there is such a day.
    pub(crate) fn days(&self) -> Option<i32> {
        if let Some(day) = self.day_of_year {
            let first = temporal::days(self.year, 1, 1)?;
            let next = temporal::days(self.year + 1, 1, 1)?;
            let days = first + i32::try_from(day).ok()? - 1;
            return (day > 0 && days < next).then_some(days);
        }
        temporal::days(self.year, self.month, self.day)
    }

    /// Microseconds of the text's own clock since 1970-01-01T00:00:00, if there is such a time.
    pub(crate) fn micros(&self) -> Option<i64> {
        let hour = match self.half_day {
            Some(_) if self.hour == 0 || self.hour > 12 => return None,
            Some(half) => self.hour % 12 + 12 * half,
            None => self.hour,
        };
        let time = temporal::time_micros(hour, self.minute, self.second, self.micros)?;
        Some(i64::from(self.days()?) * temporal::MICROS_PER_DAY + time)
    }
}

impl Pattern {
    /// Compiles a pattern such as `yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]`.
    pub(crate) fn new(pattern: &str) -> Result<Self> {
        let fail = |reason: String| Error::Pattern {
            pattern: pattern.to_owned(),
            reason,
        };
        if pattern.is_empty() {
            return Err(fail("it is empty".to_owned()));
        }
        let mut characters = pattern.chars().peekable();
        let mut open: Vec<Vec<Item>> = vec![Vec::new()];
        while let Some(letter) = characters.next() {
            match letter {
                '[' => open.push(Vec::new()),
                ']' => {
                    let section = open.pop().unwrap_or_default();
                    let Some(outer) = open.last_mut() else {
                        return Err(fail("`]` closes nothing".to_owned()));
                    };
                    outer.push(Item::Optional(section));
                }
                '\'' => {
                    let items = literal(&mut characters)
                        .ok_or_else(|| fail("a `'` is not closed".to_owned()))?;
                    open.last_mut()
                        .expect("the outermost section stays")
                        .extend(items);
                }
                'a'..='z' | 'A'..='Z' => {
                    let mut count = 1;
                    while characters.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    let item = item(letter, count)
                        .ok_or_else(|| fail(format!("the letter `{letter}` is not known")))?;
                    open.last_mut()
                        .expect("the outermost section stays")
                        .push(item);
                }
                other => open
                    .last_mut()
                    .expect("the outermost section stays")
                    .push(Item::Literal(other)),
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some(items), true) => Ok(Self { items }),
            _ => Err(fail("a `[` is not closed".to_owned())),
        }
    }

    /// What a text says, if all of it follows the pattern.
    pub(crate) fn parse(&self, text: &str) -> Option<Fields> {
        let mut fields = Fields::default();
        let rest = parse_items(&self.items, text, &mut fields)?;
        rest.is_empty().then_some(fields)
    }
}

/// The rest of a quoted literal; two quotes are one.
fn literal(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Vec<Item>> {
    if characters.next_if_eq(&'\'').is_some() {
        return Some(vec![Item::Literal('\'')]);
    }
    let mut items = Vec::new();
    loop {
        match characters.next()? {
            '\'' if characters.next_if_eq(&'\'').is_some() => items.push(Item::Literal('\'')),
            '\'' => return Some(items),
            other => items.push(Item::Literal(other)),
        }
    }
}

fn item(letter: char, count: usize) -> Option<Item> {
    let number = |field, most| Item::Number {
        field,
        least: count,
        most: if count == 1 { most } else { count },
    };
    Some(match (letter, count) {
        ('y' | 'u', 2) => Item::ShortYear,
        ('y' | 'u', _) => number(Field::Year, 4),
        ('M' | 'L', 1 | 2) => number(Field::Month, 2),
        ('M' | 'L', 3 | 4) => Item::MonthName,
        ('d', 1 | 2) => number(Field::Day, 2),
        ('D', 1..=3) => Item::Number {
            field: Field::DayOfYear,
            least: count,
            most: 3,
        },
        ('E', _) => Item::WeekdayName,
        ('H' | 'k', 1 | 2) => number(Field::Hour, 2),
        ('h' | 'K', 1 | 2) => number(Field::HourOfHalfDay, 2),
        ('m', 1 | 2) => number(Field::Minute, 2),
        ('s', 1 | 2) => number(Field::Second, 2),
        ('S', 1..=9) => Item::Fraction(count),
        ('a', 1) => Item::HalfDay,
        ('z' | 'Z' | 'X' | 'x' | 'V' | 'O', _) => Item::Zone,
        _ => return None,
    })
}

fn parse_items<'a>(items: &[Item], mut text: &'a str, fields: &mut Fields) -> Option<&'a str> {
    for item in items {
        text = parse_item(item, text, fields)?;
    }
    Some(text)
}

fn parse_item<'a>(item: &Item, text: &'a str, fields: &mut Fields) -> Option<&'a str> {
    match item {
        Item::Literal(expected) => text.strip_prefix(*expected),
        Item::Number { field, least, most } => {
            let (value, rest) = number(text, *least, *most)?;
            set(fields, *field, value)?;
            Some(rest)
        }
        Item::ShortYear => {
            let (value, rest) = number(text, 2, 2)?;
            fields.year = 2000 + i32::try_from(value).ok()?;
            Some(rest)
        }
        Item::MonthName => {
            let (index, rest) = name(text, &MONTHS)?;
            fields.month = index + 1;
            Some(rest)
        }
        Item::WeekdayName => name(text, &WEEKDAYS).map(|(_, rest)| rest),
        Item::Fraction(most) => {
            let count = text
                .bytes()
                .take(*most)
                .take_while(u8::is_ascii_digit)
                .count();
            fields.micros = temporal::fraction_micros(text.get(..count)?.as_bytes())?;
            text.get(count..)
        }
        Item::HalfDay => {
            let half = text.get(..2)?;
            let index = ["AM", "PM"]
                .iter()
                .position(|name| name.eq_ignore_ascii_case(half))?;
            fields.half_day = u32::try_from(index).ok();
            text.get(2..)
        }
        Item::Zone => {
            let end = text
                .find(|c: char| {
                    !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | ':' | '/' | '_'))
                })
                .unwrap_or(text.len());
            fields.zone = Some(Zone::parse(&text[..end])?);
            Some(&text[end..])
        }
        Item::Optional(items) => {
            let mut attempt = fields.clone();
            match parse_items(items, text, &mut attempt) {
                Some(rest) => {
                    *fields = attempt;
                    Some(rest)
                }
                None => Some(text),
            }
        }
    }
}

fn number(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count < least {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

fn set(fields: &mut Fields, field: Field, value: u32) -> Option<()> {
    match field {
        Field::Year => fields.year = i32::try_from(value).ok()?,
        Field::Month => fields.month = value,
        Field::Day => fields.day = value,
        Field::DayOfYear => fields.day_of_year = Some(value),
        Field::Hour | Field::HourOfHalfDay => fields.hour = value,
        Field::Minute => fields.minute = value,
        Field::Second => fields.second = value,
    }
    Some(())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Which of the names the text begins with: whole, or by its first three letters.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(u32, &'a str)> {
    let begins = |name: &str| {
        let prefix = text.get(..name.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(name))
    };
    for (index, name) in (0..).zip(names) {
        for spelling in [name, &name[..3]] {
            if begins(spelling) {
                return Some((index, &text[spelling.len()..]));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: Option<&str>) {
        let found = Pattern::new(pattern)
            .unwrap()
            .parse(text)
            .and_then(|fields| fields.micros());
        let expected = expected.map(|iso| temporal::timestamp(iso.as_bytes()).unwrap().0);
        assert_eq!(found, expected, "`{text}` by `{pattern}`");
    }

    #[test]
    fn texts_follow_patterns() {
        check(
            "yyyy-MM-dd HH:mm",
            "2020-03-04 05:06",
            Some("2020-03-04T05:06:00"),
        );
        check("yyyy-MM-dd HH:mm", "2020-3-04 05:06", None);
        check("d/M/yyyy", "4/3/2020", Some("2020-03-04T00:00:00"));
        check("dd.MM.yy", "04.03.20", Some("2020-03-04T00:00:00"));
        check(
            "yyyyMMddHHmmss",
            "20200304050607",
            Some("2020-03-04T05:06:07"),
        );
        check(
            "yyyy-MM-dd'T'HH:mm:ss[.SSS]",
            "2020-03-04T05:06:07",
            Some("2020-03-04T05:06:07"),
        );
        check(
            "yyyy-MM-dd'T'HH:mm:ss[.SSS]",
            "2020-03-04T05:06:07.25",
            Some("2020-03-04T05:06:07.250"),
        );
        check(
            "hh:mm a, dd MMM yyyy",
            "12:30 AM, 04 Mar 2020",
            Some("2020-03-04T00:30:00"),
        );
        check(
            "h:mm a, EEE dd MMMM yyyy",
            "1:30 PM, Wed 04 March 2020",
            Some("2020-03-04T13:30:00"),
        );
        check("yyyy DDD", "2020 366", Some("2020-12-31T00:00:00"));
        check("yyyy DDD", "2021 366", None);
        check("'it''s' yyyy", "it's 2020", Some("2020-01-01T00:00:00"));
        check("yyyy-MM-dd", "2020-03-04 ", None);
        check("yyyy-MM-dd", "2020-02-30", None);
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["yyyy-MM-dd [HH", "yyyy]", "yyyy 'T", "yyyy-bb"] {
            assert!(
                matches!(Pattern::new(pattern), Err(Error::Pattern { .. })),
                "{pattern}"
            );
        }
    }
}
