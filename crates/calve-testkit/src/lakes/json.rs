use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray,
    StructArray, Time32MillisecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Fields, SchemaRef, TimeUnit};
use serde_json::Value;

/// Makes a batch from rows written as JSON objects. Dates, times and decimals are written as the
/// whole numbers they are stored as; a missing member is null.
pub fn from_json(schema: SchemaRef, rows: &[Value]) -> RecordBatch {
    let arrays = members(schema.fields(), rows);
    RecordBatch::try_new(schema, arrays).unwrap()
}

fn members(fields: &Fields, rows: &[Value]) -> Vec<ArrayRef> {
    let column = |name: &str| -> Vec<Value> {
        rows.iter()
            .map(|row| row.get(name).cloned().unwrap_or_default())
            .collect()
    };
    fields
        .iter()
        .map(|field| array(field.data_type(), &column(field.name())))
        .collect()
}

fn array(data_type: &DataType, values: &[Value]) -> ArrayRef {
    let numbers = || values.iter().map(Value::as_i64);
    #[expect(clippy::cast_possible_truncation, reason = "tests write what fits")]
    let small = || numbers().map(|number| number.map(|number| number as i32));
    #[expect(clippy::cast_possible_truncation, reason = "tests write what fits")]
    let single = || values.iter().map(|value| value.as_f64().map(|n| n as f32));
    match data_type {
        DataType::Boolean => Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>()),
        DataType::Int32 => Arc::new(small().collect::<Int32Array>()),
        DataType::Int64 => Arc::new(numbers().collect::<Int64Array>()),
        DataType::Float32 => Arc::new(single().collect::<Float32Array>()),
        DataType::Float64 => Arc::new(values.iter().map(Value::as_f64).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(values.iter().map(Value::as_str).collect::<StringArray>()),
        DataType::Binary => Arc::new(values.iter().map(Value::as_str).collect::<BinaryArray>()),
        DataType::Date32 => Arc::new(small().collect::<Date32Array>()),
        DataType::Time32(TimeUnit::Millisecond) => {
            Arc::new(small().collect::<Time32MillisecondArray>())
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => Arc::new(
            numbers()
                .collect::<TimestampMillisecondArray>()
                .with_timezone_opt(zone.clone()),
        ),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Arc::new(
            numbers()
                .collect::<TimestampMicrosecondArray>()
                .with_timezone_opt(zone.clone()),
        ),
        DataType::Decimal128(precision, scale) => Arc::new(
            numbers()
                .map(|number| number.map(i128::from))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(*precision, *scale)
                .unwrap(),
        ),
        DataType::Struct(fields) => Arc::new(StructArray::new(
            fields.clone(),
            members(fields, values),
            Some(nulls(values)),
        )),
        DataType::List(element) => {
            let (lengths, items) = flatten(values, |value| value.as_array().cloned());
            let items = array(element.data_type(), &items);
            Arc::new(ListArray::new(
                Arc::clone(element),
                lengths,
                items,
                Some(nulls(values)),
            ))
        }
        DataType::Map(entries, sorted) => {
            let (lengths, items) = flatten(values, pairs);
            let items = array(entries.data_type(), &items);
            let items = items
                .as_any()
                .downcast_ref::<StructArray>()
                .unwrap()
                .clone();
            Arc::new(MapArray::new(
                Arc::clone(entries),
                lengths,
                items,
                Some(nulls(values)),
                *sorted,
            ))
        }
        other => panic!("no test writes {other}"),
    }
}

/// The members of an object, each as `{"key": …, "value": …}`.
fn pairs(value: &Value) -> Option<Vec<Value>> {
    let pair = |(key, value): (&String, &Value)| serde_json::json!({"key": key, "value": value});
    Some(value.as_object()?.iter().map(pair).collect())
}

fn flatten(
    values: &[Value],
    items: impl Fn(&Value) -> Option<Vec<Value>>,
) -> (OffsetBuffer<i32>, Vec<Value>) {
    let lists: Vec<Vec<Value>> = values
        .iter()
        .map(|value| items(value).unwrap_or_default())
        .collect();
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
    (offsets, lists.into_iter().flatten().collect())
}

fn nulls(values: &[Value]) -> NullBuffer {
    values.iter().map(|value| !value.is_null()).collect()
}
