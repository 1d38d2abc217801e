//! Statistics of columns as SQL of Athena, and back.

use std::fmt::Write as _;

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{
    DataType, Date32Type, Decimal256Type, DecimalType, Time64MicrosecondType,
    TimestampMicrosecondType, i256,
};

use crate::profile::{BOUND_BYTES, Bound, Profile};

const MICROS_PER_DAY: i128 = 86_400_000_000;

/// The greatest number of digits a decimal of Athena has.
const DECIMAL_DIGITS: u8 = 38;

/// What Athena can tell of a column, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Boolean,
    /// A number with so many digits after the point.
    Number(i8),
    Float,
    Text,
    Binary,
    /// A binary of another type than that.
    Uuid,
    Date,
    /// A timestamp, with or without a zone.
    Timestamp {
        zoned: bool,
    },
    Time,
    Entries,
    /// Nothing but its nulls.
    Struct,
}

/// One column of a table, asked for in SQL.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    name: String,
    form: Form,
}

/// A name in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Asked {
    pub(super) fn new(name: &str, data_type: &DataType, is_uuid: bool) -> Self {
        let form = match data_type {
            _ if is_uuid => Form::Uuid,
            DataType::Boolean => Form::Boolean,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Form::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Form::Text,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Form::Binary,
            DataType::Date32 | DataType::Date64 => Form::Date,
            DataType::Timestamp(_, zone) => Form::Timestamp {
                zoned: zone.is_some(),
            },
            DataType::Time32(_) | DataType::Time64(_) => Form::Time,
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => Form::Number(*scale),
            other if other.is_integer() => Form::Number(0),
            DataType::List(_) | DataType::LargeList(_) | DataType::Map(..) => Form::Entries,
            _ => Form::Struct,
        };
        Self {
            name: quoted(name),
            form,
        }
    }

    /// The column as a key of groups: a text of its values.
    pub(super) fn key(&self) -> String {
        let name = &self.name;
        match self.form {
            Form::Binary => format!("lower(to_hex({name}))"),
            _ => self.as_text(name),
        }
    }

    /// What is asked of the column, in the order in which [`Self::profile`] takes the answers.
    pub(super) fn statistics(&self) -> Vec<String> {
        let name = &self.name;
        let mut asked = vec![format!("count({name})")];
        let text = |value: String| self.as_text(&value);
        match self.form {
            Form::Boolean => asked.extend([
                text(format!("min({name})")),
                text(format!("max({name})")),
                format!("CAST(sum(CASE WHEN {name} THEN 1 ELSE 0 END) AS varchar)"),
            ]),
            Form::Number(scale) => asked.extend([
                text(format!("min({name})")),
                text(format!("max({name})")),
                format!("CAST(sum(CAST({name} AS decimal({DECIMAL_DIGITS}, {scale}))) AS varchar)"),
            ]),
            Form::Float => {
                let number = format!("CASE WHEN is_nan({name}) THEN NULL ELSE {name} END");
                asked.extend([
                    text(format!("min({number})")),
                    text(format!("max({number})")),
                    format!("CAST(sum(CASE WHEN is_nan({name}) THEN 1 ELSE 0 END) AS varchar)"),
                ]);
            }
            Form::Text => asked.extend([
                format!("substr(min({name}), 1, {BOUND_BYTES})"),
                format!("substr(max({name}), 1, {BOUND_BYTES})"),
                format!("CAST(sum(length(to_utf8({name}))) AS varchar)"),
            ]),
            Form::Binary => asked.extend([
                format!("to_hex(substr(min({name}), 1, {BOUND_BYTES}))"),
                format!("to_hex(substr(max({name}), 1, {BOUND_BYTES}))"),
                format!("CAST(sum(length({name})) AS varchar)"),
            ]),
            Form::Uuid => asked.extend([
                text(format!("min({name})")),
                text(format!("max({name})")),
                format!("CAST(16 * count({name}) AS varchar)"),
            ]),
            Form::Date | Form::Timestamp { .. } | Form::Time => {
                asked.extend([text(format!("min({name})")), text(format!("max({name})"))]);
            }
            Form::Entries => asked.push(format!("CAST(sum(cardinality({name})) AS varchar)")),
            Form::Struct => {}
        }
        asked
    }

    /// The condition that the column has this value.
    pub(super) fn equals(&self, value: &str) -> String {
        let name = &self.name;
        let cast = |data_type: &str| format!("{name} = CAST({} AS {data_type})", literal(value));
        match self.form {
            Form::Boolean => cast("boolean"),
            Form::Number(0) => cast("bigint"),
            Form::Number(scale) => cast(&format!("decimal({DECIMAL_DIGITS}, {scale})")),
            Form::Float => cast("double"),
            Form::Uuid => cast("uuid"),
            Form::Date => cast("date"),
            Form::Time => cast("time(6)"),
            Form::Timestamp { zoned: true } => cast("timestamp(6) with time zone"),
            Form::Timestamp { zoned: false } => cast("timestamp(6)"),
            Form::Binary => format!("{} = {}", self.key(), literal(&value.to_lowercase())),
            Form::Text | Form::Entries | Form::Struct => format!("{name} = {}", literal(value)),
        }
    }

    /// How many answers it takes.
    pub(super) fn width(&self) -> usize {
        match self.form {
            Form::Struct => 1,
            Form::Entries => 2,
            Form::Date | Form::Timestamp { .. } | Form::Time => 3,
            _ => 4,
        }
    }

    /// A value of the column's type as a text that [`Self::bound`] reads.
    fn as_text(&self, value: &str) -> String {
        match self.form {
            // Numbers would get an exponent, and moments a zone.
            Form::Float => format!("CAST(CAST({value} AS double) AS varchar)"),
            Form::Timestamp { zoned: true } => {
                format!("CAST(CAST({value} AT TIME ZONE 'UTC' AS timestamp(6)) AS varchar)")
            }
            _ => format!("CAST({value} AS varchar)"),
        }
    }

    /// Reads what was answered of a group of `rows` rows; the value that means nothing where there is one.
    pub(super) fn profile(&self, rows: u64, answers: &[Option<String>]) -> Result<Profile, String> {
        let answer = |index: usize| answers.get(index).and_then(Option::as_deref);
        let bound = |index: usize| answer(index).map(|text| self.bound(text)).transpose();
        let count = |index: usize| number::<u64>(answer(index));
        let values = count(0)?;
        let mut profile = Profile {
            values,
            nulls: rows.saturating_sub(values),
            ..Profile::default()
        };
        if self.form == Form::Entries {
            profile.length = count(1)?;
        } else if self.width() > 2 {
            profile.minimum = bound(1)?;
            profile.maximum = bound(2)?;
        }
        match self.form {
            Form::Boolean => profile.sum = i256::from_i128(count(3)?.into()),
            Form::Number(scale) => {
                profile.sum = answer(3)
                    .map(|text| decimal(text, scale))
                    .transpose()?
                    .unwrap_or(i256::ZERO);
            }
            Form::Float => profile.nans = count(3)?,
            Form::Text | Form::Binary | Form::Uuid => profile.length = count(3)?,
            _ => {}
        }
        Ok(profile)
    }

    fn bound(&self, text: &str) -> Result<Bound, String> {
        let wrong = || text.to_owned();
        let ticks = |value: Option<i64>| {
            let value = value.ok_or_else(wrong)?;
            Ok(Bound::Number(i256::from_i128(value.into())))
        };
        let bytes = |mut bytes: Vec<u8>| {
            bytes.truncate(BOUND_BYTES);
            Bound::Bytes(bytes.into())
        };
        match self.form {
            Form::Boolean => {
                let value: bool = text.parse().map_err(|_| wrong())?;
                Ok(Bound::Number(i256::from_i128(value.into())))
            }
            Form::Number(scale) => Ok(Bound::Number(decimal(text, scale)?)),
            Form::Float => {
                let value: f64 = text.parse().map_err(|_| wrong())?;
                // Adding zero makes a negative zero positive.
                Ok(Bound::Float(value + 0.0))
            }
            Form::Text => Ok(bytes(text.as_bytes().to_vec())),
            Form::Binary => Ok(bytes(unhex(text).ok_or_else(wrong)?)),
            Form::Uuid => Ok(bytes(unhex(&text.replace('-', "")).ok_or_else(wrong)?)),
            Form::Date => {
                let days = Date32Type::parse(text).ok_or_else(wrong)?;
                Ok(Bound::Number(i256::from_i128(
                    i128::from(days) * MICROS_PER_DAY,
                )))
            }
            Form::Timestamp { .. } => ticks(TimestampMicrosecondType::parse(text)),
            Form::Time => ticks(Time64MicrosecondType::parse(text)),
            Form::Entries | Form::Struct => Err(wrong()),
        }
    }
}

/// A count; none is zero.
pub(super) fn number<T: std::str::FromStr + Default>(text: Option<&str>) -> Result<T, String> {
    let Some(text) = text else {
        return Ok(T::default());
    };
    text.parse().map_err(|_| text.to_owned())
}

/// A number without its scale.
fn decimal(text: &str, scale: i8) -> Result<i256, String> {
    let wrong = || text.to_owned();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (i256::MINUS_ONE, digits),
        None => (i256::ONE, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = usize::try_from(scale).map_err(|_| wrong())?;
    if fraction.len() > scale || whole.is_empty() {
        return Err(wrong());
    }
    let mut all = format!("{whole}{fraction}");
    let _ = write!(all, "{:0<1$}", "", scale - fraction.len());
    if all.len() > usize::from(Decimal256Type::MAX_PRECISION)
        || !all.bytes().all(|it| it.is_ascii_digit())
    {
        return Err(wrong());
    }
    let value = i256::from_string(&all).ok_or_else(wrong)?;
    Ok(value.wrapping_mul(sign))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    digits
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, TimeUnit, i256};

    use super::Asked;
    use crate::profile::Bound;

    #[track_caller]
    fn check(data_type: &DataType, text: &str, expected: Result<Bound, &str>) {
        let asked = Asked::new("it", data_type, false);
        assert_eq!(asked.bound(text), expected.map_err(ToOwned::to_owned));
    }

    fn number(value: i128) -> Bound {
        Bound::Number(i256::from_i128(value))
    }

    #[test]
    fn answers_are_read_exactly() {
        let decimal = DataType::Decimal128(38, 3);
        check(&decimal, "12.5", Ok(number(12_500)));
        check(&decimal, "-0.001", Ok(number(-1)));
        let most = "9".repeat(35);
        check(
            &decimal,
            &format!("{most}.999"),
            Ok(number(10_i128.pow(38) - 1)),
        );
        check(&decimal, "1.2345", Err("1.2345"));
        check(
            &DataType::Int64,
            "-9223372036854775808",
            Ok(number(i64::MIN.into())),
        );
        check(&DataType::Int64, "1e3", Err("1e3"));
        check(&DataType::Float64, "-0.0", Ok(Bound::Float(0.0)));
        check(&DataType::Float64, "1.5E10", Ok(Bound::Float(1.5e10)));
        check(
            &DataType::Float64,
            "-Infinity",
            Ok(Bound::Float(f64::NEG_INFINITY)),
        );
        check(&DataType::Boolean, "true", Ok(number(1)));
        check(&DataType::Date32, "1969-12-31", Ok(number(-86_400_000_000)));
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        check(&timestamp, "1969-12-31 23:59:59.999999", Ok(number(-1)));
        check(&timestamp, "soon", Err("soon"));
        check(
            &DataType::Time64(TimeUnit::Microsecond),
            "00:00:01.5",
            Ok(number(1_500_000)),
        );
        check(
            &DataType::Binary,
            "00FF",
            Ok(Bound::Bytes(Box::new([0, 255]))),
        );
        check(&DataType::Binary, "0", Err("0"));
        let long = "é".repeat(64);
        check(
            &DataType::Utf8,
            &long,
            Ok(Bound::Bytes(long.as_bytes()[..64].into())),
        );
    }

    #[test]
    fn names_and_values_stay_what_they_are_in_sql() {
        let asked = Asked::new("a\"b", &DataType::Utf8, false);
        assert_eq!(asked.equals("it's"), "\"a\"\"b\" = 'it''s'");
        let asked = Asked::new("id", &DataType::FixedSizeBinary(16), true);
        let id = "00000000-0000-0000-0000-0000000000ff";
        assert_eq!(asked.equals(id), format!("\"id\" = CAST('{id}' AS uuid)"));
    }
}
