//! Timestamps, decoded here and handed to the decoder as decimal numbers of seconds.
//!
//! The decoder takes nanoseconds for positive. Arrow's writer, and with it `PyArrow`, writes negative ones for what was
//! before 1970.

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::Problem;
use super::integers::{Encoding, Sign, read};

/// January 1, 2015, in seconds since 1970: what timestamps are counted from.
const EPOCH_SECONDS: i64 = 1_420_070_400;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// How many digits of a second the decimal numbers have.
pub(super) const SCALE: u8 = 9;
/// How many values a run of one value has at least, which its first byte does not count.
const LEAST_RUN: usize = 3;

const DAMAGED: Problem = Problem::Damaged("a timestamp makes no sense");

/// The streams of a column of timestamps as those of a column of decimal numbers: the numbers, and their scales in run
/// length encoding version 1.
///
/// What the clocks of `zone` showed is kept, whatever clocks show now.
///
/// # Errors
/// When the streams are damaged.
pub(super) fn as_decimals(
    seconds: &[u8],
    nanos: &[u8],
    encoding: Encoding,
    zone: Option<Tz>,
) -> Result<(Bytes, Bytes), Problem> {
    let seconds = read(seconds, encoding, Sign::Lowest)?;
    let nanos = read(nanos, encoding, Sign::None)?;
    if seconds.len() != nanos.len() {
        return Err(DAMAGED);
    }
    let zone = zone.filter(|zone| *zone != Tz::UTC);
    let midnight = |zone: Tz| zone.with_ymd_and_hms(2015, 1, 1, 0, 0, 0).earliest();
    let epoch = match zone {
        Some(zone) => midnight(zone).ok_or(DAMAGED)?.timestamp(),
        None => EPOCH_SECONDS,
    };
    let mut numbers = BytesMut::with_capacity(seconds.len() * 10);
    for (seconds, nanos) in seconds.iter().zip(nanos) {
        let mut seconds = seconds.checked_add(epoch).ok_or(DAMAGED)?;
        let nanos = nanoseconds(nanos)?;
        // Writers add a second to what is before 1970 and has a fraction (ORC-763).
        if seconds < 0 && nanos > 999_999 {
            seconds -= 1;
        }
        if let Some(zone) = zone {
            seconds += shift(zone, seconds)?;
        }
        let number = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
        put(&mut numbers, number);
    }
    Ok((numbers.freeze(), scales(seconds.len())))
}

/// The lowest three bits tell how many zeros were left out, if any: one more than that.
fn nanoseconds(written: i64) -> Result<i64, Problem> {
    let zeros = written & 7;
    let factor = match zeros {
        0 => 1,
        zeros => 10_i64.pow(u32::try_from(zeros + 1).unwrap_or_default()),
    };
    let nanos = (written >> 3).checked_mul(factor);
    let nanos = nanos.filter(|nanos| (1 - NANOS_PER_SECOND..NANOS_PER_SECOND).contains(nanos));
    nanos.ok_or(DAMAGED)
}

/// How far the clocks of a zone are ahead, in seconds.
fn shift(zone: Tz, seconds: i64) -> Result<i64, Problem> {
    let instant = DateTime::from_timestamp(seconds, 0).ok_or(DAMAGED)?;
    let offset = zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
    Ok(i64::from(offset.local_minus_utc()))
}

/// Appends a number: the sign in the lowest bit, seven bits a byte, the lowest ones first.
fn put(into: &mut BytesMut, number: i128) {
    let mut rest = ((number << 1) ^ (number >> 127)).cast_unsigned();
    while rest >= 0x80 {
        into.put_u8(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    into.put_u8(rest.to_le_bytes()[0]);
}

/// The scales of so many numbers.
fn scales(count: usize) -> Bytes {
    // The sign is in the lowest bit.
    let scale = SCALE << 1;
    let mut scales = BytesMut::new();
    let mut left = count;
    while left >= LEAST_RUN {
        // Up to 127 more.
        let more = u8::try_from(left - LEAST_RUN).unwrap_or(u8::MAX).min(127);
        scales.put_slice(&[more, 0, scale]);
        left -= LEAST_RUN + usize::from(more);
    }
    for _ in 0..left {
        // One value that is in no run.
        scales.put_slice(&[u8::MAX, scale]);
    }
    scales.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions() {
        for (written, expected) in [
            (0, Some(0)),
            (5 << 3, Some(5)),
            (678_901 << 3 | 2, Some(678_901_000)),
            (6 << 3 | 7, Some(600_000_000)),
            (-321_099 * 8 + 2, Some(-321_099_000)),
            (10 << 3 | 7, None),
            (i64::MAX, None),
            (1_000_000_000 << 3, None),
        ] {
            assert_eq!(nanoseconds(written).ok(), expected, "{written}");
        }
    }

    #[test]
    fn scales_can_be_read_back() {
        for count in [0, 1, 2, 3, 4, 130, 131, 132, 133, 1000] {
            let values = read(&scales(count), Encoding::V1, Sign::Lowest).unwrap();
            assert_eq!(values, vec![9; count]);
        }
    }

    #[test]
    fn numbers() {
        for (number, expected) in [
            (0, [0].as_slice()),
            (-1, &[1]),
            (63, &[126]),
            (64, &[0x80, 1]),
            (-65, &[0x81, 1]),
        ] {
            let mut bytes = BytesMut::new();
            put(&mut bytes, number);
            assert_eq!(bytes, expected, "{number}");
        }
    }

    #[test]
    fn streams_of_different_lengths() {
        let one = [0xff, 0x02];
        as_decimals(&one, &[0xfe, 0x02, 0x02], Encoding::V1, None).unwrap_err();
        assert!(as_decimals(&one, &one, Encoding::V1, None).is_ok());
    }
}
