//! Partition values from statistics.

use iceberg::spec::Transform;

use super::*;
use crate::{PartitionUnknown, PartitionValue, constant_value, partition_value};

#[track_caller]
fn check(
    footer: &ParquetMetaData,
    mapping: &LeafMapping,
    transform: Transform,
    value: &PartitionValue,
) {
    assert_eq!(
        partition_value(footer, 0, mapping, transform).unwrap(),
        *value
    );
    let constant = match value {
        PartitionValue::Constant(value) => Some(value.clone()),
        _ => None,
    };
    if transform == Transform::Identity {
        assert_eq!(constant_value(footer, 0, mapping).unwrap(), constant);
    }
}

fn ints(values: &[Option<i32>]) -> ParquetMetaData {
    footer("optional int32 c", &[Values::Int32(values.to_vec())])
}

#[test]
fn identity() {
    let int = plain(PrimitiveType::Int);
    let check = |values: &[Option<i32>], value: PartitionValue| {
        check(&ints(values), &int, Transform::Identity, &value);
    };
    check(&[Some(5), Some(5)], PartitionValue::Constant(Datum::int(5)));
    check(&[None, None], PartitionValue::Null);
    check(&[], PartitionValue::NoRows);
    check(&[Some(5), None], PartitionValue::SomeNulls);
    check(
        &[Some(5), Some(6)],
        PartitionValue::Several {
            lower: Datum::int(5),
            upper: Datum::int(6),
        },
    );
}

#[test]
fn statistics_that_do_not_tell() {
    let int = plain(PrimitiveType::Int);
    let file = ints(&[Some(5)]);
    for (statistics, unknown) in [
        (None, PartitionUnknown::NoNullCount),
        (
            Some(Statistics::int32(Some(5), Some(5), None, None, false)),
            PartitionUnknown::NoNullCount,
        ),
        (
            Some(Statistics::int32(None, Some(5), None, Some(0), false)),
            PartitionUnknown::NoBounds,
        ),
    ] {
        let footer = with_statistics(&file, vec![statistics]);
        check(
            &footer,
            &int,
            Transform::Identity,
            &PartitionValue::Unknown(unknown),
        );
    }
    let floats = footer(
        "required double c",
        &[Values::Double(vec![Some(1.0), Some(f64::NAN)])],
    );
    check(
        &floats,
        &plain(PrimitiveType::Double),
        Transform::Identity,
        &PartitionValue::Unknown(PartitionUnknown::Floats),
    );
    assert!(partition_value(&file, 1, &int, Transform::Identity).is_err());
}

#[test]
fn transforms_of_times() {
    let millis = leaf(
        PrimitiveType::Timestamp,
        PrimitiveType::Timestamp,
        Physical::Millis,
    );
    // 2023-11-14 22:13:20 and ten minutes later.
    let column = "required int64 c (TIMESTAMP(MILLIS,false))";
    let (first, last) = (1_700_000_000_000, 1_700_000_600_000);
    let times = footer(column, &[Values::Int64(vec![Some(first), Some(last)])]);
    let of = |transform, value: PartitionValue| check(&times, &millis, transform, &value);
    of(Transform::Year, PartitionValue::Constant(Datum::int(53)));
    of(Transform::Month, PartitionValue::Constant(Datum::int(646)));
    of(
        Transform::Day,
        PartitionValue::Constant(Datum::date(19_675)),
    );
    of(
        Transform::Hour,
        PartitionValue::Constant(Datum::int(472_222)),
    );
    of(
        Transform::Identity,
        PartitionValue::Several {
            lower: Datum::timestamp_micros(first * 1_000),
            upper: Datum::timestamp_micros(last * 1_000),
        },
    );
    of(Transform::Void, PartitionValue::Null);
    of(
        Transform::Bucket(4),
        PartitionValue::Unknown(PartitionUnknown::NotOrdered),
    );
}

#[test]
fn transforms_of_texts_and_numbers() {
    let words = text(&["aardvark", "aargh"]);
    let words = footer("required binary c (STRING)", &[words]);
    let string = plain(PrimitiveType::String);
    let of = |transform, value: PartitionValue| check(&words, &string, transform, &value);
    of(
        Transform::Truncate(3),
        PartitionValue::Constant(Datum::string("aar")),
    );
    of(
        Transform::Truncate(4),
        PartitionValue::Several {
            lower: Datum::string("aard"),
            upper: Datum::string("aarg"),
        },
    );
    let one = ints(&[Some(34), Some(34)]);
    let int = plain(PrimitiveType::Int);
    let of = |transform, value: PartitionValue| check(&one, &int, transform, &value);
    of(
        Transform::Bucket(16),
        PartitionValue::Constant(Datum::int(3)),
    );
    of(
        Transform::Truncate(10),
        PartitionValue::Constant(Datum::int(30)),
    );
    let error = partition_value(&one, 0, &int, Transform::Day).unwrap_err();
    assert!(error.to_string().starts_with("column `c`: "), "{error}");
}

#[test]
fn cut_statistics_prove_nothing() {
    let file = footer("required binary c (STRING)", &[text(&["a"])]);
    let cut = "x".repeat(64).into_bytes();
    let statistics = |max_is_exact| {
        let ends = || Some(ByteArray::from(cut.clone()));
        let Statistics::ByteArray(values) =
            Statistics::byte_array(ends(), ends(), None, Some(0), false)
        else {
            unreachable!("they are made as byte arrays");
        };
        Statistics::ByteArray(values.with_max_is_exact(max_is_exact))
    };
    let string = plain(PrimitiveType::String);
    let exact = with_statistics(&file, vec![Some(statistics(true))]);
    assert!(constant_value(&exact, 0, &string).unwrap().is_some());
    let inexact = with_statistics(&file, vec![Some(statistics(false))]);
    assert_eq!(constant_value(&inexact, 0, &string).unwrap(), None);
}
