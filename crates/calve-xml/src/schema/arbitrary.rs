//! Schemas for property tests.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use proptest::prelude::*;

use super::choice::choice_field;
use super::types::{COMMENT, map_type};

/// Any type without parts.
pub(crate) fn scalar() -> impl Strategy<Value = DataType> {
    let us = TimeUnit::Microsecond;
    prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float64),
        Just(DataType::Utf8),
        Just(DataType::Date32),
        Just(DataType::Time64(us)),
        Just(DataType::Binary),
        Just(DataType::Timestamp(us, Some("UTC".into()))),
        Just(DataType::Timestamp(us, None)),
        (1..=38u8)
            .prop_flat_map(|precision| (Just(precision), 0..=i8::try_from(precision).unwrap()))
            .prop_map(|(precision, scale)| DataType::Decimal128(precision, scale)),
    ]
}

/// Any type, nested up to three levels.
pub(crate) fn data_type() -> impl Strategy<Value = DataType> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            fields(inner.clone()).prop_map(DataType::Struct),
            inner
                .clone()
                .prop_map(|it| DataType::List(Arc::new(Field::new("element", it, true)))),
            (scalar(), inner).prop_map(|(key, value)| map_type(key.into(), value.into(), true)),
        ]
    })
}

/// One to four fields of these types, with different names.
pub(crate) fn fields(types: impl Strategy<Value = DataType>) -> impl Strategy<Value = Fields> {
    prop::collection::vec((types, any::<bool>(), "[ -~é]{0,4}", any::<bool>()), 1..5).prop_map(
        |columns| {
            columns
                .into_iter()
                .enumerate()
                .map(|(at, (data_type, nullable, text, commented))| {
                    let mut metadata = HashMap::new();
                    if commented {
                        metadata.insert(COMMENT.to_owned(), text.clone());
                    }
                    Field::new(format!("{text}{at}"), data_type, nullable).with_metadata(metadata)
                })
                .collect()
        },
    )
}

/// Any schema; comments are its only metadata.
pub(crate) fn schema() -> impl Strategy<Value = Schema> {
    fields(data_type()).prop_map(Schema::new)
}

/// Any schema, some of whose columns are choices or lists of choices.
pub(crate) fn schema_with_choices() -> impl Strategy<Value = Schema> {
    let choice = (data_type(), any::<bool>()).prop_map(|(other, in_list)| {
        let alternatives = if other == DataType::Utf8 {
            vec![DataType::Int64, other]
        } else {
            vec![DataType::Utf8, other]
        };
        if in_list {
            let element = choice_field("element", &alternatives);
            Field::new("choice", DataType::List(Arc::new(element)), false)
        } else {
            choice_field("choice", &alternatives)
        }
    });
    (schema(), choice).prop_map(|(schema, choice)| {
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(choice));
        Schema::new(fields)
    })
}
