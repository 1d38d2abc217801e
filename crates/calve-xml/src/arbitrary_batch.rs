//! Record batches for tests: from JSON lines, and at random.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Int64Array, ListArray, MapArray,
    NullArray, RecordBatch, StringArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde_json::Value;

use crate::schema::ddl::parse_ddl;

/// The batch whose schema is this DDL and whose rows are these JSON objects.
pub(crate) fn batch_of(ddl: &str, rows: &[&str]) -> RecordBatch {
    batch_with(&parse_ddl(ddl).unwrap(), rows)
}

/// The batch of this schema whose rows are these JSON objects.
pub(crate) fn batch_with(schema: &Schema, rows: &[&str]) -> RecordBatch {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let rows: Vec<Option<&Value>> = rows.iter().map(Some).collect();
    let array = struct_array(schema.fields(), &rows);
    RecordBatch::try_new(Arc::new(schema.clone()), array.columns().to_vec()).unwrap()
}

fn array(data_type: &DataType, values: &[Option<&Value>]) -> ArrayRef {
    let values: Vec<Option<&Value>> = values
        .iter()
        .map(|it| it.filter(|it| !it.is_null()))
        .collect();
    match data_type {
        DataType::Struct(fields) => Arc::new(struct_array(fields, &values)),
        DataType::List(element) => {
            let lengths = values
                .iter()
                .map(|it| it.map_or(0, |it| it.as_array().unwrap().len()));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let items: Vec<Option<&Value>> = values
                .iter()
                .flatten()
                .flat_map(|it| it.as_array().unwrap().iter().map(Some))
                .collect();
            let nulls: NullBuffer = values
                .iter()
                .map(Option::is_some)
                .collect::<Vec<_>>()
                .into();
            let items = array(element.data_type(), &items);
            Arc::new(ListArray::new(
                Arc::clone(element),
                offsets,
                items,
                Some(nulls),
            ))
        }
        DataType::Map(entries, sorted) => map_array(entries, *sorted, &values),
        DataType::Null => Arc::new(NullArray::new(values.len())),
        scalar => {
            let texts: StringArray = values
                .iter()
                .map(|it| it.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)))
                .collect();
            cast(&texts, scalar).unwrap()
        }
    }
}

fn struct_array(fields: &Fields, values: &[Option<&Value>]) -> StructArray {
    let nulls: NullBuffer = values
        .iter()
        .map(Option::is_some)
        .collect::<Vec<_>>()
        .into();
    let columns = fields
        .iter()
        .map(|field| {
            let children: Vec<_> = values
                .iter()
                .map(|it| it.and_then(|it| it.get(field.name())))
                .collect();
            array(field.data_type(), &children)
        })
        .collect();
    StructArray::new(fields.clone(), columns, Some(nulls))
}

fn map_array(entries: &Arc<Field>, sorted: bool, values: &[Option<&Value>]) -> ArrayRef {
    let DataType::Struct(fields) = entries.data_type() else {
        panic!("entries of a map")
    };
    let lengths = values
        .iter()
        .map(|it| it.map_or(0, |it| it.as_object().unwrap().len()));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let pairs: Vec<(Value, Value)> = values
        .iter()
        .flatten()
        .flat_map(|it| it.as_object().unwrap().iter())
        .map(|(key, value)| (Value::String(key.clone()), value.clone()))
        .collect();
    let keys: Vec<_> = pairs.iter().map(|it| Some(&it.0)).collect();
    let items: Vec<_> = pairs.iter().map(|it| Some(&it.1)).collect();
    let columns = vec![
        array(fields[0].data_type(), &keys),
        array(fields[1].data_type(), &items),
    ];
    let nulls: NullBuffer = values
        .iter()
        .map(Option::is_some)
        .collect::<Vec<_>>()
        .into();
    let pairs = StructArray::new(fields.clone(), columns, None);
    Arc::new(MapArray::new(
        Arc::clone(entries),
        offsets,
        pairs,
        Some(nulls),
        sorted,
    ))
}

/// A small generator of numbers, the same on every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A batch of this schema with values at random, null where the schema allows it.
pub(crate) fn random_batch(schema: &Schema, rows: usize, seed: u64) -> RecordBatch {
    let mut numbers = Numbers(seed);
    let columns = schema
        .fields()
        .iter()
        .map(|field| random_array(field, rows, &mut numbers))
        .collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(schema.clone()), columns, &options).unwrap()
}

fn random_array(field: &Field, rows: usize, numbers: &mut Numbers) -> ArrayRef {
    let valid: Vec<bool> = (0..rows)
        .map(|_| !field.is_nullable() || numbers.below(4) > 0)
        .collect();
    if field.data_type().is_nested() {
        random_parts(field.data_type(), valid, numbers)
    } else {
        random_scalars(field.data_type(), &valid, numbers)
    }
}

fn random_scalars(data_type: &DataType, valid: &[bool], numbers: &mut Numbers) -> ArrayRef {
    let mut draw = |end: u32| -> Vec<Option<i64>> {
        valid
            .iter()
            .map(|it| it.then(|| i64::try_from(numbers.below(u64::from(end))).unwrap()))
            .collect()
    };
    match data_type {
        DataType::Boolean => Arc::new(
            draw(2)
                .iter()
                .map(|it| it.map(|it| it > 0))
                .collect::<BooleanArray>(),
        ),
        DataType::Int32 => cast(&Int64Array::from(draw(99)), &DataType::Int32).unwrap(),
        DataType::Int64 => Arc::new(Int64Array::from(draw(99))),
        DataType::Float64 => cast(&Int64Array::from(draw(99)), &DataType::Float64).unwrap(),
        DataType::Utf8 => Arc::new(
            draw(9)
                .iter()
                .map(|it| it.map(|it| format!("text {it}")))
                .collect::<StringArray>(),
        ),
        DataType::Binary => {
            let texts: Vec<Option<Vec<u8>>> = draw(9)
                .iter()
                .map(|it| it.map(|it| vec![u8::try_from(it).unwrap(); 2]))
                .collect();
            Arc::new(texts.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
        DataType::Date32 => {
            let days = cast(&Int64Array::from(draw(20_000)), &DataType::Int32).unwrap();
            cast(&days, &DataType::Date32).unwrap()
        }
        DataType::Time64(_) => Arc::new(Time64MicrosecondArray::from(draw(86_400))),
        DataType::Timestamp(_, zone) => Arc::new(
            TimestampMicrosecondArray::from(draw(1_000_000)).with_timezone_opt(zone.clone()),
        ),
        DataType::Decimal128(precision, scale) => Arc::new(
            draw(9)
                .iter()
                .map(|it| it.map(i128::from))
                .collect::<Decimal128Array>()
                .with_precision_and_scale(*precision, *scale)
                .unwrap(),
        ),
        other => new_null_array(other, valid.len()),
    }
}

fn random_parts(data_type: &DataType, valid: Vec<bool>, numbers: &mut Numbers) -> ArrayRef {
    let rows = valid.len();
    match data_type {
        DataType::Struct(fields) => {
            let columns = fields
                .iter()
                .map(|it| random_array(it, rows, numbers))
                .collect();
            Arc::new(StructArray::new(
                fields.clone(),
                columns,
                Some(valid.into()),
            ))
        }
        DataType::List(element) => {
            // Lists that are null hide values now and then, which must not come to light.
            let lengths: Vec<usize> = (0..rows)
                .map(|_| usize::try_from(numbers.below(3)).unwrap())
                .collect();
            let total = lengths.iter().sum();
            let values = random_array(element, total, numbers);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::new(
                Arc::clone(element),
                offsets,
                values,
                Some(valid.into()),
            ))
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(fields) = entries.data_type() else {
                panic!("entries of a map")
            };
            let lengths: Vec<usize> = vec![1; rows];
            let columns = fields
                .iter()
                .map(|it| random_array(it, rows, numbers))
                .collect();
            let pairs = StructArray::new(fields.clone(), columns, None);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(MapArray::new(
                Arc::clone(entries),
                offsets,
                pairs,
                Some(valid.into()),
                *sorted,
            ))
        }
        other => new_null_array(other, rows),
    }
}
