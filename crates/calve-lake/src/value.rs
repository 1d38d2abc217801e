//! Partition values: from the text of a folder's name to an Iceberg literal.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType};

/// Reads a partition value's text as a value of a type; `None` when it is none.
///
/// Numbers may have leading zeros; decimals take the type's scale, when no digit is lost. Timestamps
/// without an offset count as UTC when the type has a zone, and may not have one when it has not.
/// Binary types hold the text's UTF-8 bytes, as Java's readers have it.
pub(crate) fn parse(text: &str, primitive_type: &PrimitiveType) -> Option<Literal> {
    let literal = match primitive_type {
        PrimitiveType::Boolean => PrimitiveLiteral::Boolean(boolean(text)?),
        PrimitiveType::Int => PrimitiveLiteral::Int(text.parse().ok()?),
        PrimitiveType::Long => PrimitiveLiteral::Long(text.parse().ok()?),
        PrimitiveType::Float => PrimitiveLiteral::Float(text.parse::<f32>().ok()?.into()),
        PrimitiveType::Double => PrimitiveLiteral::Double(text.parse::<f64>().ok()?.into()),
        PrimitiveType::Decimal { precision, scale } => {
            PrimitiveLiteral::Int128(decimal(text, *precision, *scale)?)
        }
        PrimitiveType::Date => PrimitiveLiteral::Int(days(date(text)?)?),
        PrimitiveType::Time => PrimitiveLiteral::Long(microseconds_of_day(time(text)?)),
        PrimitiveType::Timestamp => {
            PrimitiveLiteral::Long(timestamp(text)?.and_utc().timestamp_micros())
        }
        PrimitiveType::Timestamptz => PrimitiveLiteral::Long(instant(text)?.timestamp_micros()),
        PrimitiveType::TimestampNs => {
            PrimitiveLiteral::Long(timestamp(text)?.and_utc().timestamp_nanos_opt()?)
        }
        PrimitiveType::TimestamptzNs => {
            PrimitiveLiteral::Long(instant(text)?.timestamp_nanos_opt()?)
        }
        PrimitiveType::String => PrimitiveLiteral::String(text.to_owned()),
        PrimitiveType::Uuid => PrimitiveLiteral::UInt128(uuid(text)?),
        PrimitiveType::Fixed(length) if text.len() as u64 != *length => return None,
        PrimitiveType::Fixed(_) | PrimitiveType::Binary => {
            PrimitiveLiteral::Binary(text.as_bytes().to_vec())
        }
    };
    Some(Literal::Primitive(literal))
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The unscaled value of `[+-]digits[.digits][e[+-]digits]`.
fn decimal(text: &str, precision: u32, scale: u32) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix(['-', '+']) {
        Some(unsigned) => (mantissa.starts_with('-'), unsigned),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let shift = i64::from(exponent) + i64::from(scale) - i64::try_from(fraction.len()).ok()?;
    let unscaled = if shift >= 0 {
        let zeros = usize::try_from(shift).ok()?;
        if digits.len().checked_add(zeros)? > precision as usize {
            return None;
        }
        format!("{digits}{}", "0".repeat(zeros))
    } else {
        let lost = usize::try_from(-shift).ok()?;
        let kept = digits.len().checked_sub(lost)?;
        if digits[kept..].bytes().any(|byte| byte != b'0') {
            return None;
        }
        digits[..kept].to_owned()
    };
    if unscaled.len() > precision as usize {
        return None;
    }
    let unscaled: i128 = unscaled.parse().ok()?;
    Some(if negative { -unscaled } else { unscaled })
}

/// `[+-]year-month-day`; month and day may have one digit.
pub(crate) fn date(text: &str) -> Option<NaiveDate> {
    let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(unsigned) => (text.starts_with('-'), unsigned),
        None => (false, text),
    };
    let mut parts = unsigned.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if parts.next().is_some()
        || !is_number(year, 4..=6)
        || !is_number(month, 1..=2)
        || !is_number(day, 1..=2)
    {
        return None;
    }
    let year: i32 = year.parse().ok()?;
    NaiveDate::from_ymd_opt(
        if negative { -year } else { year },
        month.parse().ok()?,
        day.parse().ok()?,
    )
}

/// Days since the epoch.
fn days(date: NaiveDate) -> Option<i32> {
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).ok()
}

/// `hour:minute[:second[.fraction]]`.
fn time(text: &str) -> Option<NaiveTime> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"))
        .ok()?;
    // A leap second would count as the next minute.
    (time.nanosecond() < 1_000_000_000).then_some(time)
}

fn microseconds_of_day(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1_000)
}

/// A date, alone or with a time after a space or `T`.
fn timestamp(text: &str) -> Option<NaiveDateTime> {
    match text.split_once(['T', ' ']) {
        Some((day, rest)) => Some(date(day)?.and_time(time(rest)?)),
        None => Some(date(text)?.and_time(NaiveTime::MIN)),
    }
}

/// A timestamp with `Z` or an offset; without, it counts as UTC.
fn instant(text: &str) -> Option<DateTime<chrono::Utc>> {
    if let Some(local) = timestamp(text) {
        return Some(local.and_utc());
    }
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if let Some(local) = text.strip_suffix(['Z', 'z']).and_then(timestamp) {
        return Some(local.and_utc());
    }
    if let Some(local) = timestamp(text) {
        return Some(local.and_utc());
    }
    // The offset begins at the last sign after the time's colon; a date has signs of its own.
    let colon = text.find(':')?;
    let sign = colon + text[colon..].rfind(['+', '-'])?;
    let offset = offset_seconds(&text[sign..])?;
    let local = timestamp(text[..sign].trim_end())?;
    Some((local - chrono::TimeDelta::seconds(offset)).and_utc())
}

/// `+hh`, `+hhmm` or `+hh:mm`.
fn offset_seconds(text: &str) -> Option<i64> {
    let digits: String = text[1..]
        .chars()
        .filter(|character| *character != ':')
        .collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = if digits.len() == 4 {
        digits[2..].parse().ok()?
    } else {
        0
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = hours * 3_600 + minutes * 60;
    Some(if text.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

/// 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid(text: &str) -> Option<u128> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if lengths != [8, 4, 4, 4, 12] || text.contains('+') {
        return None;
    }
    u128::from_str_radix(&groups.concat(), 16).ok()
}

#[cfg(test)]
mod tests;
