//! Arrays of a file turned into arrays of the table: renamed, reordered, widened, filled up.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, RecordBatch, StructArray,
    make_array, new_null_array,
};
use arrow::compute::kernels::numeric::mul;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, FieldRef, Fields, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use chrono::{DateTime, LocalResult, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::scalar::ScalarValue;

/// Casts fail on values that do not fit. A silent NULL would be a wrong result.
pub(crate) const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// How the values of one column of a file become the table's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Conversion {
    /// They are the table's already.
    Same,
    /// A leaf of another type.
    Cast(DataType),
    /// A time of another unit or time zone.
    Instant(DataType),
    /// A time of a coarser unit: nanoseconds as microseconds, cut off where that is said, else only
    /// where no digit is lost.
    Coarser(DataType, bool),
    /// What clocks of a zone showed, as instants.
    Zoned(DataType, Tz),
    /// A struct: the table's fields, and where each comes from.
    Struct(Fields, Vec<Child>),
    /// A list: the file's element, the table's, and how one becomes the other.
    List(FieldRef, FieldRef, Box<Self>),
    /// A map: the table's entries, and how key and value become the table's.
    Map(FieldRef, Box<(Self, Self)>),
}

/// Where a field inside a struct comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Child {
    /// The file lacks it; every struct has this value.
    Constant(ScalarValue),
    /// The field of that index in the file's struct.
    Column(usize, Conversion),
}

impl Conversion {
    /// Converts one array.
    pub(crate) fn apply(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Same => Ok(Arc::clone(array)),
            Self::Cast(data_type) => cast(array, data_type),
            Self::Instant(data_type) => instant(array, data_type),
            Self::Coarser(data_type, truncates) => coarser(array, data_type, *truncates),
            Self::Zoned(data_type, zone) => zoned(array, data_type, *zone),
            Self::Struct(fields, children) => {
                let array = array
                    .as_struct_opt()
                    .ok_or_else(|| unexpected(array, "a struct"))?;
                let columns = children
                    .iter()
                    .map(|child| child.apply(array))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(Arc::new(StructArray::try_new_with_length(
                    fields.clone(),
                    columns,
                    array.nulls().cloned(),
                    array.len(),
                )?))
            }
            Self::List(file_element, element, inner) => {
                let plain = DataType::List(Arc::clone(file_element));
                let array = if *array.data_type() == plain {
                    Arc::clone(array)
                } else {
                    cast_with_options(array, &plain, &STRICT)?
                };
                let list = array
                    .as_list_opt::<i32>()
                    .ok_or_else(|| unexpected(&array, "a list"))?;
                Ok(Arc::new(ListArray::try_new(
                    Arc::clone(element),
                    list.offsets().clone(),
                    inner.apply(list.values())?,
                    list.nulls().cloned(),
                )?))
            }
            Self::Map(entries, inner) => {
                let map = array
                    .as_map_opt()
                    .ok_or_else(|| unexpected(array, "a map"))?;
                let DataType::Struct(fields) = entries.data_type() else {
                    return Err(unexpected(array, "a map"));
                };
                let (key, value) = &**inner;
                let columns = vec![key.apply(map.keys())?, value.apply(map.values())?];
                Ok(Arc::new(MapArray::try_new(
                    Arc::clone(entries),
                    map.offsets().clone(),
                    StructArray::try_new(fields.clone(), columns, None)?,
                    map.nulls().cloned(),
                    false,
                )?))
            }
        }
    }
}

/// Views are made in two steps, so that a value is turned into a text or a binary alike, whatever holds it then.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let plain = match to {
        DataType::Utf8View => &DataType::Utf8,
        DataType::BinaryView => &DataType::LargeBinary,
        _ => return cast_with_options(array, to, &STRICT),
    };
    let plain = cast_with_options(array, plain, &STRICT)?;
    cast_with_options(&plain, to, &STRICT)
}

/// Times are counted in UTC on both sides, whatever time zone they are shown in. Arrow's own cast
/// asks the calendar, which ends long before the numbers do.
fn instant(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let (DataType::Timestamp(from_unit, _), DataType::Timestamp(to_unit, _)) =
        (array.data_type(), to)
    else {
        return Err(unexpected(array, "a timestamp"));
    };
    let mut numbers = cast_with_options(array, &DataType::Int64, &STRICT)?;
    let factor = per_second(*to_unit) / per_second(*from_unit);
    if factor > 1 {
        // Fails where a number would not fit.
        numbers = mul(&numbers, &Int64Array::new_scalar(factor))?;
    }
    let data = numbers
        .to_data()
        .into_builder()
        .data_type(to.clone())
        .build()?;
    Ok(make_array(data))
}

/// Nanoseconds as microseconds.
fn coarser(array: &ArrayRef, to: &DataType, truncates: bool) -> Result<ArrayRef, ArrowError> {
    let numbers = cast_with_options(array, &DataType::Int64, &STRICT)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    let micros: Int64Array = numbers.try_unary(|nanos| {
        let rest = nanos.rem_euclid(1000);
        if rest == 0 || truncates {
            return Ok(nanos.div_euclid(1000));
        }
        Err(ArrowError::CastError(format!(
            "{nanos} ns has digits beyond the microsecond"
        )))
    })?;
    let data = micros
        .to_data()
        .into_builder()
        .data_type(to.clone())
        .build()?;
    Ok(make_array(data))
}

/// The instants at which clocks of a zone showed these times. Of a time that came twice the first is
/// meant, and one that was skipped is taken as far after the gap as it lies in it (as Java's
/// `ZonedDateTime.ofLocal`).
fn zoned(array: &ArrayRef, to: &DataType, zone: Tz) -> Result<ArrayRef, ArrowError> {
    let local = array
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| unexpected(array, "a timestamp in microseconds"))?;
    let instants: Int64Array = local.try_unary(|micros| {
        instant_of(micros, zone)
            .ok_or_else(|| ArrowError::CastError(format!("{micros} us is beyond the calendar")))
    })?;
    let data = instants
        .to_data()
        .into_builder()
        .data_type(to.clone())
        .build()?;
    Ok(make_array(data))
}

fn instant_of(micros: i64, zone: Tz) -> Option<i64> {
    let local = DateTime::from_timestamp_micros(micros)?.naive_utc();
    let instant = match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => instant,
        // The offset from before the gap moves the time behind it.
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::days(1))?;
            let offset = zone.offset_from_utc_datetime(&before).fix();
            let utc = local.checked_sub_offset(offset)?;
            zone.from_utc_datetime(&utc)
        }
    };
    Some(instant.timestamp_micros())
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

impl Child {
    fn apply(&self, parent: &StructArray) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Column(index, conversion) => conversion.apply(parent.column(*index)),
            Self::Constant(value) if value.is_null() => {
                Ok(new_null_array(&value.data_type(), parent.len()))
            }
            Self::Constant(value) => value
                .to_array_of_size(parent.len())
                .map_err(|error| ArrowError::ExternalError(Box::new(error))),
        }
    }
}

fn unexpected(array: &ArrayRef, expected: &str) -> ArrowError {
    ArrowError::SchemaError(format!("expected {expected}, found {}", array.data_type()))
}

/// A [`Conversion`] as an expression over a column of the file.
///
/// Opaque to DataFusion's pruning on purpose: its cast unwrapping rounds time literals, so a
/// comparison of a column in milliseconds with one in microseconds would drop rows.
#[derive(Debug, Clone, Eq)]
pub(crate) struct RemapExpr {
    column: Arc<dyn PhysicalExpr>,
    conversion: Conversion,
    field: FieldRef,
}

impl RemapExpr {
    /// Turns `column` of the file into `field` of the table.
    pub(crate) fn new(
        column: Arc<dyn PhysicalExpr>,
        conversion: Conversion,
        field: FieldRef,
    ) -> Self {
        Self {
            column,
            conversion,
            field,
        }
    }

    fn context(&self, error: &ArrowError) -> DataFusionError {
        crate::Error::Column {
            column: self.field.name().clone(),
            problem: error.to_string(),
        }
        .into()
    }
}

// By hand, because the derived comparison moves out of the `Arc<dyn …>`.
impl PartialEq for RemapExpr {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column)
            && self.conversion == other.conversion
            && self.field == other.field
    }
}

impl Hash for RemapExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.conversion.hash(state);
        self.field.hash(state);
    }
}

impl fmt::Display for RemapExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remap({})", self.column)
    }
}

impl PhysicalExpr for RemapExpr {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        let array = self
            .conversion
            .apply(&array)
            .map_err(|error| self.context(&error))?;
        if !self.field.is_nullable() && array.null_count() > 0 {
            let problem = "it is required, but the file has NULLs in it".to_owned();
            return Err(self.context(&ArrowError::InvalidArgumentError(problem)));
        }
        Ok(ColumnarValue::Array(array))
    }

    fn return_field(&self, _input_schema: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let column = children.pop().unwrap_or_else(|| Arc::clone(&self.column));
        Ok(Arc::new(Self {
            column,
            ..(*self).clone()
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{TimestampMicrosecondArray, TimestampMillisecondArray};

    use super::*;

    #[track_caller]
    fn check_clock(to: &DataType, local: &str, expected: &str) {
        let micros = |text: &str| {
            let time = chrono::NaiveDateTime::parse_from_str(text, "%F %T").unwrap();
            time.and_utc().timestamp_micros()
        };
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
            Some(micros(local)),
            None,
        ]));
        let zone = chrono_tz::America::New_York;
        let found = Conversion::Zoned(to.clone(), zone).apply(&array).unwrap();
        let wanted = TimestampMicrosecondArray::from(vec![Some(micros(expected)), None]);
        assert_eq!(found.to_data(), wanted.with_timezone("+00:00").to_data());
    }

    #[test]
    fn clocks_of_a_zone() {
        let to = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        check_clock(&to, "2024-01-15 12:00:00", "2024-01-15 17:00:00");
        check_clock(&to, "2024-07-15 12:00:00", "2024-07-15 16:00:00");
        // Twice, and never.
        check_clock(&to, "2024-11-03 01:30:00", "2024-11-03 05:30:00");
        check_clock(&to, "2024-03-10 02:30:00", "2024-03-10 07:30:00");
    }

    #[test]
    fn nanoseconds_lose_no_digit_unless_told() {
        let to = DataType::Timestamp(TimeUnit::Microsecond, None);
        let nanos = |value| -> ArrayRef {
            Arc::new(arrow::array::TimestampNanosecondArray::from(vec![
                Some(value),
                None,
            ]))
        };
        let convert = |value, truncates| {
            let converted = Conversion::Coarser(to.clone(), truncates).apply(&nanos(value));
            converted.map(|array| array.as_primitive::<TimestampMicrosecondType>().value(0))
        };
        assert_eq!(convert(5_000, false).unwrap(), 5);
        assert_eq!(convert(-5_000, false).unwrap(), -5);
        assert_eq!(convert(-1, true).unwrap(), -1);
        assert_eq!(convert(5_999, true).unwrap(), 5);
        convert(5_001, false).unwrap_err();
    }

    #[test]
    fn times_keep_their_instant_to_the_end_of_numbers() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let convert = |array: ArrayRef| Conversion::Instant(utc.clone()).apply(&array);
        let numbers = vec![Some(i64::MAX), None, Some(i64::MIN)];
        let same = convert(Arc::new(TimestampMicrosecondArray::from(numbers.clone()))).unwrap();
        let expected = TimestampMicrosecondArray::from(numbers).with_timezone("+00:00");
        assert_eq!(same.to_data(), expected.to_data());
        let millis = TimestampMillisecondArray::from(vec![Some(-1), None]);
        let zoned = convert(Arc::new(millis.with_timezone("America/New_York"))).unwrap();
        let expected = TimestampMicrosecondArray::from(vec![Some(-1000), None]);
        assert_eq!(zoned.to_data(), expected.with_timezone("+00:00").to_data());
        convert(Arc::new(TimestampMillisecondArray::from(vec![i64::MAX]))).unwrap_err();
    }
}
