//! Values of Iceberg's types as Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanArray, Date32Array, Decimal128Array,
    FixedSizeBinaryBuilder, Float32Array, Float64Array, Int32Array, Int64Array, ListBuilder,
    MapBuilder, MapFieldNames, PrimitiveBuilder, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Fields, Int32Type, Int64Type, TimeUnit,
};
use iceberg::spec::{PrimitiveLiteral, PrimitiveType};

use crate::Result;
use crate::manifest::{Bounds, Counts};

/// Collects a column.
pub(super) fn array<A: Array + FromIterator<T> + 'static, T>(
    values: impl Iterator<Item = T>,
) -> ArrayRef {
    Arc::new(values.collect::<A>())
}

/// The zone of times with a zone: all of them are kept in it.
const UTC: &str = "UTC";

/// The Arrow type of a column of an Iceberg type.
pub(super) fn data_type(primitive: &PrimitiveType) -> DataType {
    match primitive {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => {
            let narrow = |digits: u32| u8::try_from(digits.min(38)).unwrap_or(38);
            DataType::Decimal128(narrow(*precision), narrow(*scale).cast_signed())
        }
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => timestamptz(),
        PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        PrimitiveType::TimestamptzNs => DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into())),
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(size) => {
            DataType::FixedSizeBinary(i32::try_from(*size).unwrap_or(i32::MAX))
        }
        PrimitiveType::Binary => DataType::Binary,
    }
}

/// The type of the times at which snapshots were made.
pub(super) fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// Milliseconds since the epoch as an array of such times.
pub(super) fn times(ms: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let array: TimestampMicrosecondArray = ms
        .map(|ms| ms.and_then(|ms| ms.checked_mul(1000)))
        .collect();
    Arc::new(array.with_timezone(UTC))
}

/// The type of a map from field ids, as `column_sizes` has.
pub(super) fn map_type(value: DataType) -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Int32, false),
        Field::new("value", value, false),
    ]);
    map_of(entries)
}

/// The type of a map from text to text.
pub(super) fn text_map_type() -> DataType {
    map_of(Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, false),
    ]))
}

fn map_of(entries: Fields) -> DataType {
    let entries = Field::new("entries", DataType::Struct(entries), false);
    DataType::Map(Arc::new(entries), false)
}

pub(super) fn map_names() -> MapFieldNames {
    MapFieldNames {
        entry: "entries".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    }
}

/// The type of a list without nulls.
pub(super) fn list_type(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, false)))
}

/// A column of maps from field id to count.
pub(super) fn count_maps<'a>(maps: impl Iterator<Item = Option<&'a Counts>>) -> Result<ArrayRef> {
    let keys = PrimitiveBuilder::<Int32Type>::new();
    let values = PrimitiveBuilder::<Int64Type>::new();
    let mut builder = MapBuilder::new(Some(map_names()), keys, values)
        .with_values_field(Field::new("value", DataType::Int64, false));
    for map in maps {
        for (id, count) in map.into_iter().flatten() {
            builder.keys().append_value(*id);
            builder.values().append_value(*count);
        }
        builder.append(map.is_some())?;
    }
    Ok(Arc::new(builder.finish()))
}

/// A column of maps from field id to bytes.
pub(super) fn bound_maps<'a>(maps: impl Iterator<Item = Option<&'a Bounds>>) -> Result<ArrayRef> {
    let keys = PrimitiveBuilder::<Int32Type>::new();
    let mut builder = MapBuilder::new(Some(map_names()), keys, BinaryBuilder::new())
        .with_values_field(Field::new("value", DataType::Binary, false));
    for map in maps {
        for (id, bound) in map.into_iter().flatten() {
            builder.keys().append_value(*id);
            builder.values().append_value(bound);
        }
        builder.append(map.is_some())?;
    }
    Ok(Arc::new(builder.finish()))
}

/// A column of lists of numbers.
pub(super) fn lists<'a, T: ArrowPrimitiveType>(
    lists: impl Iterator<Item = Option<&'a Vec<T::Native>>>,
) -> ArrayRef
where
    T::Native: 'a,
{
    let element = Field::new("element", T::DATA_TYPE, false);
    let mut builder = ListBuilder::new(PrimitiveBuilder::<T>::new()).with_field(element);
    for list in lists {
        if let Some(list) = list {
            builder.values().append_slice(list);
        }
        builder.append(list.is_some());
    }
    Arc::new(builder.finish())
}

/// A column of structs whose rows are all there.
pub(super) fn structs(fields: Fields, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrayRef> {
    if columns.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(
            rows,
            None::<NullBuffer>,
        )));
    }
    Ok(Arc::new(StructArray::try_new(fields, columns, None)?))
}

/// Values of one Iceberg type. A value of another type, which no valid table has, is null.
pub(super) fn values(
    primitive: &PrimitiveType,
    values: &[Option<PrimitiveLiteral>],
) -> Result<ArrayRef> {
    Ok(match primitive {
        PrimitiveType::Boolean => {
            array::<BooleanArray, _>(values.iter().map(|value| match value {
                Some(PrimitiveLiteral::Boolean(value)) => Some(*value),
                _ => None,
            }))
        }
        PrimitiveType::Int => array::<Int32Array, _>(ints(values)),
        PrimitiveType::Date => array::<Date32Array, _>(ints(values)),
        PrimitiveType::Long => array::<Int64Array, _>(longs(values)),
        PrimitiveType::Time => array::<Time64MicrosecondArray, _>(longs(values)),
        PrimitiveType::Timestamp => array::<TimestampMicrosecondArray, _>(longs(values)),
        PrimitiveType::Timestamptz => Arc::new(
            longs(values)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone(UTC),
        ),
        PrimitiveType::TimestampNs => array::<TimestampNanosecondArray, _>(longs(values)),
        PrimitiveType::TimestamptzNs => Arc::new(
            longs(values)
                .collect::<TimestampNanosecondArray>()
                .with_timezone(UTC),
        ),
        PrimitiveType::Float => array::<Float32Array, _>(values.iter().map(|value| match value {
            Some(PrimitiveLiteral::Float(value)) => Some(value.0),
            _ => None,
        })),
        PrimitiveType::Double => array::<Float64Array, _>(values.iter().map(|value| match value {
            Some(PrimitiveLiteral::Double(value)) => Some(value.0),
            _ => None,
        })),
        PrimitiveType::Decimal { .. } => {
            let unscaled = values.iter().map(|value| match value {
                Some(PrimitiveLiteral::Int128(value)) => Some(*value),
                _ => None,
            });
            let array: Decimal128Array = unscaled.collect();
            Arc::new(array.with_data_type(data_type(primitive)))
        }
        PrimitiveType::String => array::<StringArray, _>(values.iter().map(|value| match value {
            Some(PrimitiveLiteral::String(value)) => Some(value.as_str()),
            _ => None,
        })),
        PrimitiveType::Binary | PrimitiveType::Fixed(_) | PrimitiveType::Uuid => {
            binary(primitive, values)?
        }
    })
}

fn ints(values: &[Option<PrimitiveLiteral>]) -> impl Iterator<Item = Option<i32>> {
    values.iter().map(|value| match value {
        Some(PrimitiveLiteral::Int(value)) => Some(*value),
        _ => None,
    })
}

fn longs(values: &[Option<PrimitiveLiteral>]) -> impl Iterator<Item = Option<i64>> {
    values.iter().map(|value| match value {
        Some(PrimitiveLiteral::Long(value)) => Some(*value),
        _ => None,
    })
}

fn binary(primitive: &PrimitiveType, values: &[Option<PrimitiveLiteral>]) -> Result<ArrayRef> {
    let bytes = |value: &Option<PrimitiveLiteral>| match value {
        Some(PrimitiveLiteral::Binary(value)) => Some(value.clone()),
        Some(PrimitiveLiteral::UInt128(value)) => Some(value.to_be_bytes().to_vec()),
        _ => None,
    };
    let DataType::FixedSizeBinary(size) = data_type(primitive) else {
        let mut builder = BinaryBuilder::new();
        for value in values {
            builder.append_option(bytes(value));
        }
        return Ok(Arc::new(builder.finish()));
    };
    let mut builder = FixedSizeBinaryBuilder::new(size);
    for value in values {
        match bytes(value).filter(|value| i32::try_from(value.len()) == Ok(size)) {
            Some(value) => builder.append_value(value)?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}
