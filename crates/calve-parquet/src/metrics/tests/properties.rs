//! Laws that hold for any column: every value lies within the bounds, and whole bounds are values.

use proptest::prelude::*;

use super::oracle::{Value, check_within};
use super::*;

/// A column of a kind, and row groups of its values.
type Case = (String, LeafMapping, Vec<Values>);

fn column() -> impl Strategy<Value = Case> {
    prop_oneof![numbers(), times(), floats(), bytes()]
}

fn numbers() -> impl Strategy<Value = Case> {
    use PrimitiveType::{Boolean, Int, Long};
    let long_of_int = leaf(Long, Int, Physical::Plain);
    let unsigned = leaf(Long, Long, Physical::Unsigned(32));
    let (int32, int64) = (any::<i32>(), any::<i64>());
    let unscaled = -999_999_999..=999_999_999;
    prop_oneof![
        kind("boolean c", plain(Boolean), any::<bool>(), Values::Boolean),
        kind("int32 c", plain(Int), int32, Values::Int32),
        kind("int32 c", long_of_int, int32, Values::Int32),
        kind("int32 c (UINT_32)", unsigned, int32, Values::Int32),
        kind(
            "int32 c (DECIMAL(9,2))",
            decimal(9),
            unscaled,
            Values::Int32
        ),
        kind("int64 c", plain(Long), int64, Values::Int64),
    ]
}

fn times() -> impl Strategy<Value = Case> {
    use PrimitiveType::{Date, Time, Timestamp, Timestamptz};
    let time = leaf(Time, Time, Physical::Millis);
    let millis = leaf(Timestamptz, Timestamptz, Physical::Millis);
    let nanos = leaf(Timestamp, Timestamp, Physical::Nanos);
    let (int32, int64) = (any::<i32>(), any::<i64>());
    let (of_day, of_era) = (0..86_400_000, -1_i64 << 50..1 << 50);
    prop_oneof![
        kind("int32 c (DATE)", plain(Date), int32, Values::Int32),
        kind("int32 c (TIME(MILLIS,false))", time, of_day, Values::Int32),
        kind(
            "int64 c (TIMESTAMP(MILLIS,true))",
            millis,
            of_era,
            Values::Int64
        ),
        kind(
            "int64 c (TIMESTAMP(NANOS,false))",
            nanos,
            int64,
            Values::Int64
        ),
    ]
}

fn floats() -> impl Strategy<Value = Case> {
    use PrimitiveType::{Double, Float};
    let wider = leaf(Double, Float, Physical::Plain);
    prop_oneof![
        kind("float c", plain(Float), any::<f32>(), Values::Float),
        kind("float c", wider, any::<f32>(), Values::Float),
        kind("double c", plain(Double), any::<f64>(), Values::Double),
    ]
}

fn bytes() -> impl Strategy<Value = Case> {
    use PrimitiveType::{Binary, Fixed, String as Text, Uuid};
    let text = any::<String>().prop_map(String::into_bytes);
    let five = any::<[u8; 5]>().prop_map(Vec::from);
    let sixteen = any::<[u8; 16]>().prop_map(Vec::from);
    let unscaled = (-999_999_999_999_999_999_i128..=999_999_999_999_999_999)
        .prop_map(|value| value.to_be_bytes()[7..].to_vec());
    let decimals = "fixed_len_byte_array(9) c (DECIMAL(18,2))";
    let uuids = "fixed_len_byte_array(16) c (UUID)";
    prop_oneof![
        kind("binary c (STRING)", plain(Text), text, Values::Bytes),
        kind("binary c", plain(Binary), any::<Vec<u8>>(), Values::Bytes),
        kind(
            "fixed_len_byte_array(5) c",
            plain(Fixed(5)),
            five,
            Values::Fixed
        ),
        kind(uuids, plain(Uuid), sixteen, Values::Fixed),
        kind(decimals, decimal(18), unscaled, Values::Fixed),
    ]
}

fn decimal(precision: u32) -> LeafMapping {
    plain(PrimitiveType::Decimal {
        precision,
        scale: 2,
    })
}

/// Row groups of one kind of values.
fn kind<T: std::fmt::Debug + Clone + 'static>(
    column: &'static str,
    mapping: LeafMapping,
    value: impl Strategy<Value = T> + 'static,
    values: fn(Vec<Option<T>>) -> Values,
) -> BoxedStrategy<Case> {
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
