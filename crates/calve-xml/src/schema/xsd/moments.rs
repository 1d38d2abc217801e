//! Dates, times and durations of XML Schema, for checks of their form and order.

/// A point in time; what a type leaves out is that of the first of January of 1972, and a missing zone
/// is UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    seconds: i64,
    nanoseconds: u32,
}

impl Moment {
    /// Whether values of this type are moments.
    pub(super) fn has_type(name: &str) -> bool {
        matches!(
            name,
            "date"
                | "dateTime"
                | "dateTimeStamp"
                | "time"
                | "gYear"
                | "gYearMonth"
                | "gMonth"
                | "gMonthDay"
                | "gDay"
        )
    }

    /// Reads a value of this type.
    pub(super) fn parse(name: &str, text: &str) -> Option<Self> {
        let mut cursor = Cursor { rest: text };
        let (mut year, mut month, mut day) = (1972, 1, 1);
        let mut time = (0, 0);
        match name {
            "time" => {}
            "gMonth" | "gMonthDay" | "gDay" => cursor.take("--")?,
            _ => year = cursor.year()?,
        }
        if matches!(name, "date" | "dateTime" | "dateTimeStamp" | "gYearMonth") {
            cursor.take("-")?;
        }
        if matches!(
            name,
            "date" | "dateTime" | "dateTimeStamp" | "gYearMonth" | "gMonth" | "gMonthDay"
        ) {
            month = cursor.two(1, 12)?;
        }
        if matches!(
            name,
            "date" | "dateTime" | "dateTimeStamp" | "gMonthDay" | "gDay"
        ) {
            cursor.take("-")?;
            day = cursor.two(1, days_in(year, month))?;
        }
        if matches!(name, "dateTime" | "dateTimeStamp") {
            cursor.take("T")?;
        }
        if matches!(name, "dateTime" | "dateTimeStamp" | "time") {
            time = cursor.time()?;
        }
        let has_zone = !cursor.rest.is_empty();
        let offset = cursor.zone()?;
        if !cursor.rest.is_empty() || (name == "dateTimeStamp" && !has_zone) {
            return None;
        }
        Some(Self {
            seconds: days(year, month, day) * 86_400 + time.0 - offset,
            nanoseconds: time.1,
        })
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the first of January of 1970, in the calendar that is carried on backwards.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin with March have their leap day at their end.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn take(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    fn digits(&mut self, min: usize, max: usize) -> Option<&str> {
        let end = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if end < min || end > max {
            return None;
        }
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(digits)
    }

    fn year(&mut self) -> Option<i64> {
        let is_negative = self.take("-").is_some();
        let year: i64 = self.digits(4, 9)?.parse().ok()?;
        Some(if is_negative { -year } else { year })
    }

    fn two(&mut self, min: i64, max: i64) -> Option<i64> {
        let digits = self.rest.get(..2)?;
        if !digits.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        let number: i64 = digits.parse().ok()?;
        self.rest = &self.rest[2..];
        (min..=max).contains(&number).then_some(number)
    }

    fn time(&mut self) -> Option<(i64, u32)> {
        let hours = self.two(0, 24)?;
        self.take(":")?;
        let minutes = self.two(0, 59)?;
        self.take(":")?;
        let seconds = self.two(0, 59)?;
        let mut nanoseconds = 0;
        if self.take(".").is_some() {
            let digits = self.digits(1, usize::MAX)?;
            let kept = &digits[..digits.len().min(9)];
            nanoseconds = format!("{kept:0<9}").parse().ok()?;
        }
        let total = hours * 3600 + minutes * 60 + seconds;
        // Midnight may be written as the end of the day before.
        let is_valid = total < 86_400 || (total == 86_400 && nanoseconds == 0);
        is_valid.then_some((total, nanoseconds))
    }

    /// Seconds east of UTC; none are UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.rest.is_empty() || self.take("Z").is_some() {
            return Some(0);
        }
        let sign = if self.take("-").is_some() {
            -1
        } else {
            self.take("+")?;
            1
        };
        let hours = self.two(0, 14)?;
        self.take(":")?;
        let minutes = self.two(0, 59)?;
        (hours < 14 || minutes == 0).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

/// Whether the text has the form `-P1Y2M3DT4H5M6.7S`.
pub(super) fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let Some(text) = text.strip_prefix('P') else {
        return false;
    };
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let has_parts = !date.is_empty() || time.is_some();
    has_parts
        && has_units(date, "YMD")
        && time.is_none_or(|time| !time.is_empty() && has_units(time, "HMS"))
}

/// Whether the text is numbers, each with its unit, in the order of the units.
fn has_units(mut text: &str, mut units: &str) -> bool {
    while !text.is_empty() {
        let end = text.find(|it: char| it.is_ascii_uppercase());
        let Some(end) = end.filter(|end| *end > 0) else {
            return false;
        };
        let number = &text[..end];
        let unit = &text[end..=end];
        let Some(place) = units.find(unit) else {
            return false;
        };
        let is_decimal = unit == "S"
            && number.split_once('.').is_some_and(|(whole, fraction)| {
                let all = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
                all(whole) && all(fraction)
            });
        if !is_decimal && !number.bytes().all(|it| it.is_ascii_digit()) {
            return false;
        }
        units = &units[place + 1..];
        text = &text[end + 1..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Moment, is_duration};

    #[track_caller]
    fn ordered(name: &str, texts: &[&str]) {
        let moments: Vec<Moment> = texts
            .iter()
            .map(|it| Moment::parse(name, it).unwrap())
            .collect();
        assert!(
            moments.windows(2).all(|it| it[0] < it[1]),
            "{texts:?}: {moments:?}"
        );
    }

    #[track_caller]
    fn refused(name: &str, texts: &[&str]) {
        for text in texts {
            assert!(Moment::parse(name, text).is_none(), "{name}: {text}");
        }
    }

    #[test]
    fn moments_are_ordered() {
        ordered(
            "date",
            &[
                "-0044-03-15",
                "1582-10-04",
                "1969-12-31",
                "2024-02-29",
                "2024-03-01",
                "12024-01-01",
            ],
        );
        ordered(
            "dateTime",
            &[
                "2024-01-01T00:00:00+01:00",
                "2024-01-01T00:00:00Z",
                "2024-01-01T00:00:00.5",
                "2024-01-01T24:00:00",
            ],
        );
        ordered("time", &["00:00:00", "12:30:00-01:00", "23:59:59.999"]);
        ordered("gYear", &["1999", "2000Z"]);
        ordered("gYearMonth", &["1999-12", "2000-01"]);
        ordered("gMonthDay", &["--02-28", "--02-29", "--03-01"]);
        assert_eq!(
            Moment::parse("dateTime", "2023-12-31T24:00:00Z"),
            Moment::parse("dateTime", "2024-01-01T00:00:00Z"),
        );
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        refused(
            "date",
            &[
                "",
                "2024-1-1",
                "2023-02-29",
                "24-01-01",
                "2024-01-01T00:00:00",
                "2024-13-01",
                "é024-01-01",
            ],
        );
        refused(
            "dateTime",
            &[
                "2024-01-01",
                "2024-01-01T25:00:00",
                "2024-01-01T24:00:01",
                "2024-01-01T00:00:00+15:00",
            ],
        );
        refused("time", &["1:00:00", "01:60:00", "01:00:00."]);
        refused("dateTimeStamp", &["2024-01-01T00:00:00"]);
        refused("gDay", &["31", "---32"]);
    }

    #[test]
    fn durations_have_their_form() {
        for text in ["P1Y", "-P1Y2M3DT4H5M6.7S", "PT0S", "P3D"] {
            assert!(is_duration(text), "{text}");
        }
        for text in [
            "P", "PT", "1Y", "P1S", "P1M1Y", "PT1.5H", "P1YT", "P-1Y", "PT.5S",
        ] {
            assert!(!is_duration(text), "{text}");
        }
    }
}
