//! What kinds of values one column has had, and the type that holds them all.

use arrow::datatypes::{DataType, TimeUnit};

use crate::types::classify::Kind;

const NULL: u16 = 1;
const BOOLEAN: u16 = 1 << 1;
const LONG: u16 = 1 << 2;
const DECIMAL: u16 = 1 << 3;
const DOUBLE: u16 = 1 << 4;
const DATE: u16 = 1 << 5;
const TIME: u16 = 1 << 6;
const TIMESTAMP: u16 = 1 << 7;
const TIMESTAMP_NTZ: u16 = 1 << 8;
const STRING: u16 = 1 << 9;

/// The digits before the point that Spark gives to a long among decimals.
const LONG_DIGITS: u8 = 20;

/// The set of kinds that were seen. Sets only grow, and their union does not depend on the order:
/// that is what makes inference the same for any order of rows and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scalar {
    kinds: u16,
    /// The most digits before the point of any decimal.
    whole: u8,
    /// The most digits after it.
    fraction: u8,
}

impl Scalar {
    /// The set of one value's kind.
    pub(crate) fn of(kind: Kind) -> Self {
        let (kinds, whole, fraction) = match kind {
            Kind::Null => (NULL, 0, 0),
            Kind::Boolean => (BOOLEAN, 0, 0),
            Kind::Long => (LONG, 0, 0),
            Kind::Decimal(whole, fraction) => (DECIMAL, whole, fraction),
            Kind::Double => (DOUBLE, 0, 0),
            Kind::Date => (DATE, 0, 0),
            Kind::Time => (TIME, 0, 0),
            Kind::Timestamp => (TIMESTAMP, 0, 0),
            Kind::TimestampNtz => (TIMESTAMP_NTZ, 0, 0),
            Kind::String => (STRING, 0, 0),
        };
        Self {
            kinds,
            whole,
            fraction,
        }
    }

    /// The union of two sets.
    #[must_use]
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            kinds: self.kinds | other.kinds,
            whole: self.whole.max(other.whole),
            fraction: self.fraction.max(other.fraction),
        }
    }

    /// Whether no value can change the type any more, so that values need not be classified.
    #[inline]
    pub(crate) fn is_string(self) -> bool {
        self.kinds & STRING != 0
    }

    /// Whether there was a value that is not null.
    pub(crate) fn has_values(self) -> bool {
        self.kinds & !NULL != 0
    }

    /// The narrowest type that holds all values; none where all were null.
    pub(crate) fn data_type(self) -> Option<DataType> {
        const NUMBERS: u16 = LONG | DECIMAL | DOUBLE;
        const TIMES: u16 = DATE | TIMESTAMP | TIMESTAMP_NTZ;
        let kinds = self.kinds & !NULL;
        if kinds == 0 {
            return None;
        }
        let is_within = |family: u16| kinds & !family == 0;
        let has = |kind: u16| kinds & kind != 0;
        Some(if is_within(BOOLEAN) {
            DataType::Boolean
        } else if is_within(NUMBERS) {
            self.number()
        } else if is_within(TIME) {
            DataType::Time64(TimeUnit::Microsecond)
        } else if is_within(DATE) {
            DataType::Date32
        } else if is_within(TIMES) && has(TIMESTAMP) {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        } else if is_within(TIMES) {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        } else {
            DataType::Utf8
        })
    }

    /// A type for each family of values that were seen: numbers, booleans, times, dates and timestamps,
    /// text. No type but that of text holds values of two.
    pub(crate) fn alternatives(self) -> Vec<DataType> {
        const FAMILIES: [u16; 5] = [
            BOOLEAN,
            LONG | DECIMAL | DOUBLE,
            TIME,
            DATE | TIMESTAMP | TIMESTAMP_NTZ,
            STRING,
        ];
        let of = |family: u16| Self {
            kinds: self.kinds & family,
            ..self
        };
        FAMILIES
            .iter()
            .filter_map(|family| of(*family).data_type())
            .collect()
    }

    fn number(self) -> DataType {
        if self.kinds & DOUBLE != 0 {
            return DataType::Float64;
        }
        if self.kinds & DECIMAL == 0 {
            return DataType::Int64;
        }
        let whole = match self.kinds & LONG {
            0 => self.whole,
            _ => self.whole.max(LONG_DIGITS),
        };
        let precision = (whole + self.fraction).max(1);
        match i8::try_from(self.fraction) {
            Ok(scale) if precision <= 38 => DataType::Decimal128(precision, scale),
            _ => DataType::Float64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kinds: &[Kind], expected: impl Into<Option<DataType>>) {
        let forward = kinds
            .iter()
            .fold(Scalar::default(), |set, kind| set.union(Scalar::of(*kind)));
        let backward = kinds
            .iter()
            .rev()
            .fold(Scalar::default(), |set, kind| Scalar::of(*kind).union(set));
        assert_eq!(forward, backward);
        assert_eq!(forward.data_type(), expected.into(), "{kinds:?}");
    }

    #[test]
    fn types_widen_as_sparks_do() {
        let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let ntz = DataType::Timestamp(TimeUnit::Microsecond, None);
        check(&[], None);
        check(&[Kind::Null], None);
        check(&[Kind::Null, Kind::Long], Some(DataType::Int64));
        check(&[Kind::Long, Kind::Double], Some(DataType::Float64));
        check(&[Kind::Long, Kind::Boolean], Some(DataType::Utf8));
        check(&[Kind::Boolean, Kind::String], Some(DataType::Utf8));
        check(&[Kind::Date, Kind::Timestamp], Some(utc()));
        check(&[Kind::Date, Kind::TimestampNtz], Some(ntz));
        check(&[Kind::TimestampNtz, Kind::Timestamp], Some(utc()));
        check(&[Kind::Date, Kind::Long], Some(DataType::Utf8));
        check(&[Kind::Date, Kind::Time], Some(DataType::Utf8));
        check(
            &[Kind::Time, Kind::Time],
            Some(DataType::Time64(TimeUnit::Microsecond)),
        );
    }

    #[test]
    fn decimals_keep_all_digits() {
        check(&[Kind::Decimal(1, 2)], Some(DataType::Decimal128(3, 2)));
        check(&[Kind::Decimal(0, 3)], Some(DataType::Decimal128(3, 3)));
        check(&[Kind::Decimal(0, 0)], Some(DataType::Decimal128(1, 0)));
        check(
            &[Kind::Decimal(3, 0), Kind::Decimal(1, 2)],
            Some(DataType::Decimal128(5, 2)),
        );
        check(
            &[Kind::Decimal(1, 1), Kind::Long],
            Some(DataType::Decimal128(21, 1)),
        );
        check(&[Kind::Decimal(1, 19), Kind::Long], Some(DataType::Float64));
        check(
            &[Kind::Decimal(1, 1), Kind::Double],
            Some(DataType::Float64),
        );
    }
}
