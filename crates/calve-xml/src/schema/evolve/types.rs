//! Which type holds which, for columns without parts.

use arrow::datatypes::{DataType, TimeUnit};

use super::Promotions;
use crate::schema::ddl::type_to_ddl;

/// How a type of the contract and one of the data go together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fit {
    /// The data can be read as the contract says.
    Fits,
    /// Single values may not fit, which only reading them tells; this type holds all of them.
    Perhaps(DataType),
    /// The same, and which type holds all of them only reading them tells as well.
    Unless,
    /// This type holds both, and the contract's may become it.
    Widen(DataType),
    /// No type does.
    Conflict,
}

/// The type as DDL writes it, shortened where it is long.
pub(crate) fn name(data_type: &DataType) -> String {
    let text = type_to_ddl(data_type).unwrap_or_else(|_| data_type.to_string());
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether every value of one type is one of another, so that no column is needed for it.
pub(crate) fn holds(contract: &DataType, observed: &DataType) -> bool {
    !matches!(contract, DataType::Utf8 | DataType::Binary)
        && fit(contract, observed, Promotions::Iceberg) == Fit::Fits
}

/// The digits before the point of the largest number of an integer type.
fn integer_digits(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Int8 => Some(3),
        DataType::Int16 => Some(5),
        DataType::Int32 => Some(10),
        DataType::Int64 => Some(19),
        _ => None,
    }
}

/// How text that was inferred to be `observed` can be read as `contract`.
pub(super) fn fit(contract: &DataType, observed: &DataType, promotions: Promotions) -> Fit {
    use DataType::{
        Binary, Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Null, Timestamp,
        Utf8,
    };
    let spark = promotions == Promotions::Spark;
    match (contract, observed) {
        _ if contract == observed => Fit::Fits,
        // Raw XML holds everything that stands once.
        (Utf8 | Binary, DataType::List(_)) => Fit::Conflict,
        (Utf8, _) => Fit::Fits,
        // Bytes are written in base 64.
        (Binary, _) => Fit::Unless,
        (Null, _) => Fit::Widen(observed.clone()),
        (Float64, Int8 | Int16 | Int32 | Int64 | Float32 | Decimal128(..)) => Fit::Fits,
        (Float32, Int8 | Int16 | Int32 | Int64 | Decimal128(..)) => Fit::Unless,
        (Float32, Float64) => Fit::Perhaps(Float64),
        (Int8 | Int16 | Int32 | Int64, Int8 | Int16 | Int32 | Int64) => {
            if integer_digits(observed) <= integer_digits(contract) {
                Fit::Fits
            } else {
                Fit::Perhaps(observed.clone())
            }
        }
        (Int8 | Int16 | Int32, Float32 | Float64) if spark => Fit::Widen(Float64),
        (Int8 | Int16 | Int32 | Int64, Decimal128(precision, scale)) if spark => {
            let digits = integer_digits(contract).unwrap_or_default();
            decimal(digits.max(whole(*precision, *scale)), *scale)
        }
        // Whether the digits suffice is seen value by value.
        (Decimal128(..), Int8 | Int16 | Int32 | Int64 | Float32 | Float64) => Fit::Unless,
        (Decimal128(precision, scale), Decimal128(new_precision, new_scale)) => {
            let digits = whole(*precision, *scale).max(whole(*new_precision, *new_scale));
            let is_wide = digits == whole(*precision, *scale);
            match (is_wide, new_scale <= scale) {
                (true, true) => Fit::Fits,
                (false, true) => decimal(digits, *scale),
                (_, false) if spark => decimal(digits, *new_scale),
                (_, false) => Fit::Conflict,
            }
        }
        // A date is the midnight at which it begins.
        (Timestamp(..), Date32) => Fit::Fits,
        // What names no zone is in the zone of the options; what names one is a point in time.
        (Timestamp(_, Some(_)), Timestamp(_, None)) => Fit::Fits,
        (Date32, Timestamp(_, None)) if spark => Fit::Widen(Timestamp(TimeUnit::Microsecond, None)),
        _ => Fit::Conflict,
    }
}

pub(super) fn whole(precision: u8, scale: i8) -> u8 {
    precision.saturating_sub(scale.unsigned_abs())
}

/// The decimal with so many digits before and behind the point, where there is one.
pub(super) fn decimal(whole: u8, scale: i8) -> Fit {
    let precision = whole.saturating_add(scale.unsigned_abs());
    if precision <= 38 {
        Fit::Widen(DataType::Decimal128(precision, scale))
    } else {
        Fit::Conflict
    }
}
