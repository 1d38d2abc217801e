//! Sizes and durations as people write them: `128MB`, `1GiB`, `5d`, `3h`.

use std::time::Duration;

/// Why a text is no size or duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: expected {expected}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    expected: &'static str,
}

/// Reads a size in bytes. `MB` and its kin are powers of 1000, `MiB` powers of 1024;
/// a bare number is bytes.
///
/// # Errors
/// When the text is not a non-negative number with a known unit, or too large.
///
/// ```
/// assert_eq!(calve_base::units::parse_bytes("128MB").unwrap(), 128_000_000);
/// assert_eq!(calve_base::units::parse_bytes("1 GiB").unwrap(), 1 << 30);
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let error = || UnitError {
        text: text.to_owned(),
        what: "size",
        expected: "a number of bytes, with kB, MB, GB, TB, KiB, MiB, GiB or TiB",
    };
    let (number, unit) = split_number(text).ok_or_else(error)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(error()),
    };
    scale(number, factor).ok_or_else(error)
}

/// Reads a duration: `90s`, `15m`, `3h`, `5d`, `250ms`.
///
/// # Errors
/// When the text is not a non-negative number with a known unit, or too large.
///
/// ```
/// assert_eq!(calve_base::units::parse_duration("3h").unwrap().as_secs(), 10_800);
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let error = || UnitError {
        text: text.to_owned(),
        what: "duration",
        expected: "a number with ms, s, m, h or d",
    };
    let (number, unit) = split_number(text).ok_or_else(error)?;
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(error()),
    };
    scale(number, factor)
        .map(Duration::from_millis)
        .ok_or_else(error)
}

/// Writes a size for people, in binary units with one decimal: `1.5 GiB`, `312 B`.
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Splits `12.5 MB` into its number and its unit.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (!number.is_empty()).then_some((number, unit.trim()))
}

/// Multiplies exactly where the number is whole, rounded to the nearest unit where it is not.
fn scale(number: &str, factor: u64) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value: f64 = number.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a fraction of a unit is rounded anyway"
    )]
    let scaled = value * factor as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "checked to be within range; a number never starts with a sign here"
    )]
    (scaled < u64::MAX as f64).then_some(scaled.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("42", 42),
            ("512B", 512),
            ("1.5kB", 1_500),
            ("128MB", 128_000_000),
            ("128 MiB", 134_217_728),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1XB", "1.2.3MB", "99999999999TB", "1e3"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("1.5h", 5_400_000),
            ("5d", 432_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in ["", "5", "5y", "-3h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 40, "1.0 TiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }
}
