//! Partition values as people read them, as Java's `Transform.toHumanString`.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime};
use iceberg::spec::{PrimitiveLiteral, PrimitiveType, Transform};

/// A partition value as text.
pub(crate) fn human(
    transform: Transform,
    primitive: &PrimitiveType,
    value: &PrimitiveLiteral,
) -> Option<String> {
    let whole = match value {
        PrimitiveLiteral::Int(value) => Some(i64::from(*value)),
        PrimitiveLiteral::Long(value) => Some(*value),
        _ => None,
    };
    match (transform, whole) {
        (Transform::Year, Some(years)) => Some(format!("{:04}", 1970 + years)),
        (Transform::Month, Some(months)) => {
            let (year, month) = (1970 + months.div_euclid(12), 1 + months.rem_euclid(12));
            Some(format!("{year:04}-{month:02}"))
        }
        (Transform::Day, Some(days)) => date(days),
        (Transform::Hour, Some(hours)) => Some(format!(
            "{}-{:02}",
            date(hours.div_euclid(24))?,
            hours.rem_euclid(24)
        )),
        _ => plain(primitive, value),
    }
}

fn plain(primitive: &PrimitiveType, value: &PrimitiveLiteral) -> Option<String> {
    Some(match (primitive, value) {
        (PrimitiveType::Date, PrimitiveLiteral::Int(days)) => date(i64::from(*days))?,
        (PrimitiveType::Time, PrimitiveLiteral::Long(micros)) => {
            let midnight = NaiveTime::MIN;
            let (time, _) = midnight.overflowing_add_signed(Duration::microseconds(*micros));
            time.format("%H:%M:%S%.f").to_string()
        }
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(micros)) => time(micros_time(*micros)?),
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(micros)) => {
            time(micros_time(*micros)?) + "+00:00"
        }
        (PrimitiveType::TimestampNs, PrimitiveLiteral::Long(nanos)) => {
            time(DateTime::from_timestamp_nanos(*nanos).naive_utc())
        }
        (PrimitiveType::TimestamptzNs, PrimitiveLiteral::Long(nanos)) => {
            time(DateTime::from_timestamp_nanos(*nanos).naive_utc()) + "+00:00"
        }
        (PrimitiveType::Decimal { scale, .. }, PrimitiveLiteral::Int128(unscaled)) => {
            decimal(*unscaled, *scale as usize)
        }
        (PrimitiveType::Uuid, PrimitiveLiteral::UInt128(value)) => {
            uuid::Uuid::from_u128(*value).to_string()
        }
        (_, PrimitiveLiteral::Boolean(value)) => value.to_string(),
        (_, PrimitiveLiteral::Int(value)) => value.to_string(),
        (_, PrimitiveLiteral::Long(value)) => value.to_string(),
        (_, PrimitiveLiteral::Float(value)) => float(f64::from(value.0), &value.0.to_string()),
        (_, PrimitiveLiteral::Double(value)) => float(value.0, &value.0.to_string()),
        (_, PrimitiveLiteral::String(value)) => value.clone(),
        (_, PrimitiveLiteral::Binary(value)) => base64(value),
        _ => return None,
    })
}

fn date(days: i64) -> Option<String> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let date = epoch.checked_add_signed(Duration::try_days(days)?)?;
    Some(format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        date.month(),
        date.day()
    ))
}

fn micros_time(micros: i64) -> Option<NaiveDateTime> {
    Some(DateTime::from_timestamp_micros(micros)?.naive_utc())
}

/// ISO 8601, with as many decimals of a second as are needed, in threes.
fn time(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.f").to_string()
}

fn float(value: f64, text: &str) -> String {
    if value.fract() == 0.0 && !text.contains('.') {
        format!("{text}.0")
    } else {
        text.to_owned()
    }
}

fn decimal(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = unscaled.unsigned_abs().to_string();
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut bits = [0; 3];
        bits[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, bits[0], bits[1], bits[2]]);
        for place in 0..4 {
            if place > group.len() {
                text.push('=');
            } else {
                let index = (bits >> (18 - 6 * place)) & 63;
                text.push(char::from(LETTERS[index as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        transform: Transform,
        primitive: &PrimitiveType,
        value: &PrimitiveLiteral,
        text: &str,
    ) {
        assert_eq!(human(transform, primitive, value).as_deref(), Some(text));
    }

    #[test]
    fn values_as_java_prints_them() {
        use PrimitiveLiteral as Value;
        use PrimitiveType as Of;
        let same = Transform::Identity;
        check(Transform::Year, &Of::Int, &Value::Int(53), "2023");
        check(Transform::Year, &Of::Int, &Value::Int(-1), "1969");
        check(Transform::Month, &Of::Int, &Value::Int(-1), "1969-12");
        check(Transform::Month, &Of::Int, &Value::Int(12), "1971-01");
        check(Transform::Day, &Of::Date, &Value::Int(19_000), "2022-01-08");
        check(Transform::Hour, &Of::Int, &Value::Int(-1), "1969-12-31-23");
        check(same, &Of::Date, &Value::Int(-1), "1969-12-31");
        check(same, &Of::String, &Value::String("a=b".to_owned()), "a=b");
        check(same, &Of::Boolean, &Value::Boolean(true), "true");
        check(same, &Of::Double, &Value::Double(2.0.into()), "2.0");
        check(same, &Of::Float, &Value::Float(2.5.into()), "2.5");
        check(same, &Of::Binary, &Value::Binary(b"any".to_vec()), "YW55");
        check(same, &Of::Binary, &Value::Binary(b"a".to_vec()), "YQ==");
        check(same, &Of::Binary, &Value::Binary(b"ab".to_vec()), "YWI=");
        let decimal = Of::Decimal {
            precision: 9,
            scale: 2,
        };
        check(same, &decimal, &Value::Int128(-5), "-0.05");
        check(same, &decimal, &Value::Int128(12_345), "123.45");
        check(
            same,
            &Of::Timestamp,
            &Value::Long(1_500_000),
            "1970-01-01T00:00:01.500",
        );
        check(
            same,
            &Of::Timestamptz,
            &Value::Long(0),
            "1970-01-01T00:00:00+00:00",
        );
        check(
            same,
            &Of::Uuid,
            &Value::UInt128(1),
            "00000000-0000-0000-0000-000000000001",
        );
    }
}
