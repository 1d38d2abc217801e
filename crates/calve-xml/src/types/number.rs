//! Whole, floating and decimal numbers.

/// A whole number: a sign, digits. No white space, no separators.
pub(crate) fn long(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    // Eighteen digits cannot overflow, so that the loop of the common case has no check.
    if digits.len() <= 18 {
        let mut value = 0_i64;
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        return Some(if negative { -value } else { value });
    }
    let mut value = 0_i128;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i128::from(digit);
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

/// The powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A floating number as XML Schema and Java write it: `1`, `-1.5`, `.5`, `1e-3`, `NaN`, `INF`,
/// `Infinity`. A number that is too large is none: infinity was not said.
pub(crate) fn double(text: &str) -> Option<f64> {
    short_double(text.as_bytes()).or_else(|| match text {
        "NaN" => Some(f64::NAN),
        "INF" | "+INF" | "Infinity" | "+Infinity" => Some(f64::INFINITY),
        "-INF" | "-Infinity" => Some(f64::NEG_INFINITY),
        _ if starts_like_number(text.as_bytes()) => {
            text.parse().ok().filter(|it: &f64| it.is_finite())
        }
        _ => None,
    })
}

/// The same in single precision.
pub(crate) fn float(text: &str) -> Option<f32> {
    if starts_like_number(text.as_bytes()) {
        return text.parse().ok().filter(|it: &f32| it.is_finite());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is left is NaN and infinities"
    )]
    double(text).map(|value| value as f32)
}

/// Whether a text begins as numbers do: a sign, then a digit or a point. It keeps `inf` and `nan`, as
/// names begin, from being numbers.
pub(crate) fn starts_like_number(text: &[u8]) -> bool {
    let (_, rest) = split_sign(text);
    matches!(rest.first(), Some(b'0'..=b'9' | b'.'))
}

/// Digits and at most one point, few enough that one division gives the nearest double (Clinger's
/// fast path); other texts are left to the standard library.
fn short_double(text: &[u8]) -> Option<f64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if *byte == b'.' && point.is_none() {
            point = Some(at);
        } else {
            return None;
        }
    }
    let scale = point.map_or(0, |at| digits.len() - at - 1);
    if mantissa >= 1 << 53 || (point.is_some() && digits.len() == 1) {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "it was checked to be below 2^53"
    )]
    let value = mantissa as f64 / POWERS[scale];
    Some(if negative { -value } else { value })
}

/// The digits before the point (without leading zeros) and after it of a plain decimal number; none
/// for exponents, which say nothing of a column's scale.
pub(crate) fn decimal_digits(text: &[u8]) -> Option<(u8, u8)> {
    let (_, digits) = split_sign(text);
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
    let whole = whole.len() - zeros;
    if whole + fraction.len() > 38 {
        return None;
    }
    Some((
        u8::try_from(whole).ok()?,
        u8::try_from(fraction.len()).ok()?,
    ))
}

/// A decimal number as the whole number of its units of `10^-scale`. None where it does not fit the
/// precision, or where digits other than zero are beyond the scale: nothing is rounded.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (negative, rest) = split_sign(text);
    let exponent_at = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (digits, exponent) = match exponent_at {
        Some(at) => (&rest[..at], long(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    if point.is_some_and(|at| digits[at + 1..].contains(&b'.')) {
        return None;
    }
    let fraction_digits = point.map_or(0, |at| digits.len() - at - 1);
    if digits.len() == usize::from(point.is_some()) {
        return None;
    }
    // The value is `digits` without the point, times ten to this power, in units of the scale.
    let shift = exponent
        .checked_add(i64::from(scale))?
        .checked_sub(i64::try_from(fraction_digits).ok()?)?;
    let mut value = 0_i128;
    let count = i64::try_from(digits.len() - usize::from(point.is_some())).ok()?;
    let kept = count.checked_add(shift.min(0))?;
    let plain = digits.iter().filter(|byte| **byte != b'.');
    for (at, byte) in (0_i64..).zip(plain) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || (at >= kept && digit != 0) {
            return None;
        }
        if at < kept {
            value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
        }
    }
    for _ in 0..shift.max(0) {
        if value == 0 {
            break;
        }
        value = value.checked_mul(10)?;
    }
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (value < limit).then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("+7", Some(7)),
            ("00010", Some(10)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("1 ", None),
            ("1.0", None),
            ("--1", None),
            (
                "000000000000000000000000000000007",
                Some(7).filter(|_| false),
            ),
        ] {
            assert_eq!(long(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        for (text, precision, scale, expected) in [
            ("1", 3, 1, Some(10)),
            ("1.5", 3, 1, Some(15)),
            ("-1.5", 3, 1, Some(-15)),
            ("1.50", 3, 1, Some(15)),
            ("1.55", 3, 1, None),
            ("99.9", 3, 1, Some(999)),
            ("100", 3, 1, None),
            ("1e1", 3, 1, Some(100)),
            ("15e-1", 3, 1, Some(15)),
            ("15e-2", 3, 1, None),
            ("0e999999999999", 3, 1, Some(0)),
            (".5", 3, 1, Some(5)),
            ("5.", 3, 1, Some(50)),
            (".", 3, 1, None),
            ("1.2.3", 9, 4, None),
            ("", 3, 1, None),
            ("1e", 3, 1, None),
            ("1x", 3, 1, None),
            ("1e999999999999999999", 3, 1, None),
        ] {
            assert_eq!(
                decimal(text.as_bytes(), precision, scale),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn decimal_digits_are_those_of_the_value() {
        for (text, expected) in [
            ("92233720368547758070", Some((20, 0))),
            ("-1.1", Some((1, 1))),
            ("0.001", Some((0, 3))),
            ("00010", Some((2, 0))),
            ("4.9E-324", None),
            ("x", None),
            (".", None),
        ] {
            assert_eq!(decimal_digits(text.as_bytes()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn doubles_are_the_nearest(text in "[+-]?[0-9]{0,18}(\\.[0-9]{0,18})?(e-?[0-9]{1,2})?") {
            let expected = text.parse::<f64>().ok();
            prop_assert_eq!(double(&text), expected);
        }

        #[test]
        fn whole_numbers_are_those_of_the_standard_library(text in "[+-]?[0-9]{0,24}") {
            prop_assert_eq!(long(text.as_bytes()), text.parse::<i64>().ok());
        }
    }
}
