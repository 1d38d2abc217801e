//! Laws that hold for any column: every value lies within the bounds, and whole bounds are values.

use proptest::prelude::*;

use super::oracle::{Value, check_within};
use super::*;

/// A column of a kind, and row groups of its values.
fn column() -> impl Strategy<Value = (String, LeafMapping, Vec<Values>)> {
    let decimal = |precision, scale| PrimitiveType::Decimal { precision, scale };
    let as_is = |physical, kind: PrimitiveType| leaf(kind.clone(), kind, physical);
    let long_of_int = leaf(PrimitiveType::Long, PrimitiveType::Int, Physical::Plain);
    let unsigned = leaf(
        PrimitiveType::Long,
        PrimitiveType::Long,
        Physical::Unsigned(32),
    );
    let double_of_float = leaf(PrimitiveType::Double, PrimitiveType::Float, Physical::Plain);
    let (millis, nanos) = (Physical::Millis, Physical::Nanos);
    prop_oneof![
        kind(
            "boolean c",
            plain(PrimitiveType::Boolean),
            any::<bool>(),
            Values::Boolean
        ),
        kind(
            "int32 c",
            plain(PrimitiveType::Int),
            any::<i32>(),
            Values::Int32
        ),
        kind("int32 c", long_of_int, any::<i32>(), Values::Int32),
        kind(
            "int32 c (INTEGER(32,false))",
            unsigned,
            any::<i32>(),
            Values::Int32
        ),
        kind(
            "int32 c (DATE)",
            plain(PrimitiveType::Date),
            any::<i32>(),
            Values::Int32
        ),
        kind(
            "int32 c (TIME(MILLIS,false))",
            as_is(millis, PrimitiveType::Time),
            0..86_400_000,
            Values::Int32
        ),
        kind(
            "int32 c (DECIMAL(9,2))",
            plain(decimal(9, 2)),
            -999_999_999..=999_999_999,
            Values::Int32
        ),
        kind(
            "int64 c",
            plain(PrimitiveType::Long),
            any::<i64>(),
            Values::Int64
        ),
        kind(
            "int64 c (TIMESTAMP(MILLIS,true))",
            as_is(millis, PrimitiveType::Timestamptz),
            -1_i64 << 50..1 << 50,
            Values::Int64
        ),
        kind(
            "int64 c (TIMESTAMP(NANOS,false))",
            leaf(PrimitiveType::Timestamp, PrimitiveType::Timestamp, nanos),
            any::<i64>(),
            Values::Int64
        ),
        kind(
            "float c",
            plain(PrimitiveType::Float),
            any::<f32>(),
            Values::Float
        ),
        kind("float c", double_of_float, any::<f32>(), Values::Float),
        kind(
            "double c",
            plain(PrimitiveType::Double),
            any::<f64>(),
            Values::Double
        ),
        kind(
            "binary c (STRING)",
            plain(PrimitiveType::String),
            any::<String>().prop_map(String::into_bytes),
            Values::Bytes
        ),
        kind(
            "binary c",
            plain(PrimitiveType::Binary),
            any::<Vec<u8>>(),
            Values::Bytes
        ),
        kind(
            "fixed_len_byte_array(5) c",
            plain(PrimitiveType::Fixed(5)),
            any::<[u8; 5]>().prop_map(Vec::from),
            Values::Fixed
        ),
        kind(
            "fixed_len_byte_array(16) c (UUID)",
            plain(PrimitiveType::Uuid),
            any::<[u8; 16]>().prop_map(Vec::from),
            Values::Fixed
        ),
        kind(
            "fixed_len_byte_array(9) c (DECIMAL(18,2))",
            plain(decimal(18, 2)),
            (-999_999_999_999_999_999_i128..=999_999_999_999_999_999)
                .prop_map(|value| value.to_be_bytes()[7..].to_vec()),
            Values::Fixed
        ),
    ]
}

/// Row groups of one kind of values.
fn kind<T: std::fmt::Debug + Clone + 'static>(
    column: &'static str,
    mapping: LeafMapping,
    value: impl Strategy<Value = T> + 'static,
    values: fn(Vec<Option<T>>) -> Values,
) -> BoxedStrategy<(String, LeafMapping, Vec<Values>)> {
    let group = prop::collection::vec(prop::option::weighted(0.8, value), 0..6);
    prop::collection::vec(group, 0..4)
        .prop_map(move |groups| {
            let column = format!("optional {column}");
            let groups = groups.into_iter().map(values).collect();
            (column, mapping.clone(), groups)
        })
        .boxed()
}

fn stored(values: &Values) -> Vec<Value> {
    fn each<T: Clone>(values: &[Option<T>], value: impl Fn(T) -> Value) -> Vec<Value> {
        values.iter().flatten().cloned().map(value).collect()
    }
    match values {
        Values::Boolean(values) => each(values, Value::Boolean),
        Values::Int32(values) => each(values, Value::Int32),
        Values::Int64(values) => each(values, Value::Int64),
        Values::Int96(_) => Vec::new(),
        Values::Float(values) => each(values, Value::Float),
        Values::Double(values) => each(values, Value::Double),
        Values::Bytes(values) | Values::Fixed(values) => each(values, Value::Bytes),
    }
}

fn data(mapping: &LeafMapping, groups: &[Values]) -> Vec<Datum> {
    groups
        .iter()
        .flat_map(stored)
        .filter_map(|value| value.datum(mapping))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn values_lie_within_tight_bounds((column, mapping, groups) in column()) {
        let footer = footer(&column, &groups);
        let metrics = metrics(&footer, &mapping, MetricsMode::Full);
        let data = data(&mapping, &groups);
        // A row group of nothing but NaN has no statistics; nanoseconds are cut to microseconds.
        let nan_only = groups.iter().any(|group| {
            let stored = stored(group);
            !stored.is_empty() && stored.iter().all(|value| value.datum(&mapping).is_none())
        });
        let tight = !nan_only && mapping.physical != Physical::Nanos;
        check_within(&metrics, 1, &data, tight, &column);
        let nulls: usize = groups.iter().map(|group| group.len() - stored(group).len()).sum();
        let rows: usize = groups.iter().map(Values::len).sum();
        prop_assert_eq!(metrics.record_count, rows as u64);
        if !groups.is_empty() {
            prop_assert_eq!(metrics.value_counts[&1], rows as u64);
            prop_assert_eq!(metrics.null_value_counts[&1], nulls as u64);
        }
    }

    #[test]
    fn values_lie_within_cut_bounds(
        (column, mapping, groups) in column(),
        length in 1_usize..6,
        writers_length in prop::option::of(1_usize..6),
    ) {
        let properties = WriterProperties::builder()
            .set_statistics_truncate_length(writers_length)
            .build();
        let footer = footer_with(&column, &groups, properties);
        let data = data(&mapping, &groups);
        for mode in [MetricsMode::Truncate(length), MetricsMode::Full] {
            let metrics = metrics(&footer, &mapping, mode);
            check_within(&metrics, 1, &data, false, &column);
        }
    }
}
