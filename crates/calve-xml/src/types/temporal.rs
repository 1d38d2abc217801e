//! Dates and times as ISO 8601 and XML Schema write them, by the proleptic Gregorian calendar.

/// Microseconds of a day.
pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;

/// `2020-02-29`, in days since 1970-01-01.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    days(
        i32::try_from(digits(&text[0..4])?).ok()?,
        digits(&text[5..7])?,
        digits(&text[8..10])?,
    )
}

/// `13:31:24` with up to nine digits of a fraction, in microseconds since midnight; what is finer than
/// a microsecond is cut off, as Spark does.
pub(crate) fn time(text: &[u8]) -> Option<i64> {
    let (micros, rest) = time_prefix(text)?;
    rest.is_empty().then_some(micros)
}

/// `2020-02-29T13:31:24.5+01:00`: microseconds of the local time since 1970-01-01T00:00:00, and the
/// zone's offset in seconds where there is one. `T` may be a space, seconds may be missing.
pub(crate) fn timestamp(text: &[u8]) -> Option<(i64, Option<i32>)> {
    if text.len() < 16 || !matches!(text[10], b'T' | b' ') {
        return None;
    }
    let day = i64::from(date(&text[..10])?);
    let (time, rest) = match time_prefix(&text[11..]) {
        Some(parsed) => parsed,
        None => minutes_prefix(&text[11..])?,
    };
    let offset = match rest {
        [] => None,
        [b' ', zone @ ..] | zone => Some(offset(zone)?),
    };
    Some((day * MICROS_PER_DAY + time, offset))
}

/// `Z`, `+01`, `+01:00`, `+0100`, in seconds east of Greenwich.
pub(crate) fn offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [_, _] => (digits(rest)?, 0),
        [_, _, b':', _, _] => (digits(&rest[..2])?, digits(&rest[3..])?),
        [_, _, _, _] => (digits(&rest[..2])?, digits(&rest[2..])?),
        _ => return None,
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    i32::try_from(hours * 3600 + minutes * 60)
        .ok()
        .map(|seconds| sign * seconds)
}

fn minutes_prefix(text: &[u8]) -> Option<(i64, &[u8])> {
    if text.len() < 5 || text[2] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&text[..2])?, digits(&text[3..5])?);
    let micros = time_micros(hour, minute, 0, 0)?;
    Some((micros, &text[5..]))
}

fn time_prefix(text: &[u8]) -> Option<(i64, &[u8])> {
    if text.len() < 8 || text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (
        digits(&text[..2])?,
        digits(&text[3..5])?,
        digits(&text[6..8])?,
    );
    let (fraction, rest) = match &text[8..] {
        [b'.' | b',', rest @ ..] => {
            let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if count == 0 || count > 9 {
                return None;
            }
            (fraction_micros(&rest[..count])?, &rest[count..])
        }
        rest => (0, rest),
    };
    Some((time_micros(hour, minute, second, fraction)?, rest))
}

/// The microseconds of the digits after a decimal point.
pub(crate) fn fraction_micros(text: &[u8]) -> Option<u32> {
    let kept = text.len().min(6);
    let mut micros = digits(&text[..kept])?;
    digits(&text[kept..]).or(text.get(kept).is_none().then_some(0))?;
    for _ in kept..6 {
        micros *= 10;
    }
    Some(micros)
}

/// Microseconds since midnight.
pub(crate) fn time_micros(hour: u32, minute: u32, second: u32, micros: u32) -> Option<i64> {
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * 1_000_000 + i64::from(micros))
}

fn digits(text: &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    (!text.is_empty()).then_some(value)
}

/// Days since 1970-01-01 of a date that exists.
pub(crate) fn days(year: i32, month: u32, day: u32) -> Option<i32> {
    if !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i32::try_from((month + 9) % 12).ok()?;
    let day_of_year = (153 * month + 2) / 5 + i32::try_from(day).ok()? - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn days_of_month(year: i32, month: u32) -> u32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_that_exist() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11016)),
            ("1900-02-29", None),
            ("2020-13-01", None),
            ("2020-00-01", None),
            ("2020-01-00", None),
            ("2020-1-1", None),
            ("2020-01-01Z", None),
        ] {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn times_of_day() {
        for (text, expected) in [
            ("13:31:24.123456", Some(48_684_123_456)),
            ("13:31:24.1234569", Some(48_684_123_456)),
            ("00:00:00", Some(0)),
            ("24:00:00", None),
            ("13:31", None),
            ("13:31:24.", None),
            ("13:31:24Z", None),
        ] {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn offsets() {
        for (text, expected) in [
            ("2020-01-01T00:00", Some((1_577_836_800_000_000, None))),
            ("2020-01-01T00:00Z", Some((1_577_836_800_000_000, Some(0)))),
            (
                "2020-01-01T00:00:00-0130",
                Some((1_577_836_800_000_000, Some(-5400))),
            ),
            (
                "2020-01-01T00:00:00 +02",
                Some((1_577_836_800_000_000, Some(7200))),
            ),
            ("2020-01-01T00:00:00+1", None),
            ("2020-01-01X00:00:00", None),
            ("2020-01-01T00:00:00 ", None),
        ] {
            assert_eq!(timestamp(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(year in 1..9999_i32, month in 0..14_u32, day in 0..33_u32) {
            let text = format!("{year:04}-{month:02}-{day:02}");
            let expected = NaiveDate::from_ymd_opt(year, month, day)
                .map(|date| i32::try_from((date - NaiveDate::default()).num_days()).unwrap());
            prop_assert_eq!(date(text.as_bytes()), expected);
        }

        #[test]
        fn timestamps_are_those_of_rfc_3339(seconds in -60_000_000_000_i64..200_000_000_000, micros in 0..1_000_000_u32) {
            let text = DateTime::from_timestamp(seconds, micros * 1000).unwrap().to_rfc3339();
            let (local, offset) = timestamp(text.as_bytes()).unwrap();
            prop_assert_eq!(local, seconds * 1_000_000 + i64::from(micros));
            prop_assert_eq!(offset, Some(0));
        }
    }
}
