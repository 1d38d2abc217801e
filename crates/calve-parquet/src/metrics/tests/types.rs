//! Bounds of every type in every encoding, from files that parquet-rs wrote.

use super::*;

fn decimal(precision: u32, scale: u32) -> PrimitiveType {
    PrimitiveType::Decimal { precision, scale }
}

fn decimal_datum(unscaled: i128, precision: u32, scale: u32) -> Datum {
    Datum::try_from_bytes(&unscaled.to_be_bytes(), decimal(precision, scale)).unwrap()
}

fn int32(values: &[i32]) -> Values {
    Values::Int32(values.iter().copied().map(Some).collect())
}

fn int64(values: &[i64]) -> Values {
    Values::Int64(values.iter().copied().map(Some).collect())
}

fn fixed(values: &[&[u8]]) -> Values {
    Values::Fixed(values.iter().map(|value| Some(value.to_vec())).collect())
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "all callers make them in place"
)]
fn check(column: &str, values: Values, mapping: LeafMapping, bounds: Option<(Datum, Datum)>) {
    for repetition in ["required", "optional"] {
        let footer = footer(
            &format!("{repetition} {column}"),
            std::slice::from_ref(&values),
        );
        check_bounds(&footer, &mapping, bounds.clone());
        let metrics = metrics(&footer, &mapping, MetricsMode::Full);
        let count = values.len() as u64;
        assert_eq!(metrics.record_count, count);
        assert_eq!(metrics.value_counts, HashMap::from([(1, count)]));
        assert_eq!(metrics.null_value_counts, HashMap::from([(1, 0)]));
        assert_eq!(metrics.split_offsets, [4]);
        assert!(metrics.column_sizes[&1] > 0);
    }
}

#[test]
fn booleans() {
    check(
        "boolean c",
        Values::Boolean(vec![Some(true), Some(false)]),
        plain(PrimitiveType::Boolean),
        Some((Datum::bool(false), Datum::bool(true))),
    );
}

#[test]
fn integers() {
    let bounds = Some((Datum::int(-5), Datum::int(7)));
    for column in ["int32 c", "int32 c (INTEGER(8,true))", "int32 c (INT_16)"] {
        check(
            column,
            int32(&[3, -5, 7]),
            plain(PrimitiveType::Int),
            bounds.clone(),
        );
    }
    check(
        "int64 c",
        int64(&[i64::MIN, i64::MAX]),
        plain(PrimitiveType::Long),
        Some((Datum::long(i64::MIN), Datum::long(i64::MAX))),
    );
    check(
        "int32 c",
        int32(&[3, -5]),
        leaf(PrimitiveType::Long, PrimitiveType::Int, Physical::Plain),
        Some((Datum::long(-5), Datum::long(3))),
    );
}

#[test]
fn unsigned_integers() {
    let long = |bits| {
        leaf(
            PrimitiveType::Long,
            PrimitiveType::Long,
            Physical::Unsigned(bits),
        )
    };
    check(
        "int32 c (INTEGER(32,false))",
        int32(&[-1, 1, 5]),
        long(32),
        Some((Datum::long(1), Datum::long(i64::from(u32::MAX)))),
    );
    check(
        "int32 c (UINT_8)",
        int32(&[200, 1]),
        leaf(
            PrimitiveType::Int,
            PrimitiveType::Int,
            Physical::Unsigned(8),
        ),
        Some((Datum::int(1), Datum::int(200))),
    );
    // A table of ints cannot hold the greatest value: neither bound is of use.
    check(
        "int32 c (INTEGER(32,false))",
        int32(&[-1, 1]),
        leaf(
            PrimitiveType::Int,
            PrimitiveType::Int,
            Physical::Unsigned(32),
        ),
        None,
    );
    check(
        "int64 c (INTEGER(64,false))",
        int64(&[-1, 1]),
        leaf(decimal(20, 0), decimal(20, 0), Physical::Unsigned(64)),
        Some((
            decimal_datum(1, 20, 0),
            decimal_datum(i128::from(u64::MAX), 20, 0),
        )),
    );
    check(
        "int64 c (INTEGER(64,false))",
        int64(&[-1, 1]),
        long(64),
        None,
    );
}

#[test]
fn floats() {
    let floats = |values: &[f32]| Values::Float(values.iter().copied().map(Some).collect());
    let doubles = |values: &[f64]| Values::Double(values.iter().copied().map(Some).collect());
    check(
        "float c",
        floats(&[1.5, -2.5]),
        plain(PrimitiveType::Float),
        Some((Datum::float(-2.5), Datum::float(1.5))),
    );
    check(
        "float c",
        floats(&[1.1, -2.5]),
        leaf(PrimitiveType::Double, PrimitiveType::Float, Physical::Plain),
        Some((Datum::double(-2.5), Datum::double(f64::from(1.1_f32)))),
    );
    check(
        "double c",
        doubles(&[f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
        plain(PrimitiveType::Double),
        Some((
            Datum::double(f64::NEG_INFINITY),
            Datum::double(f64::INFINITY),
        )),
    );
    check(
        "double c",
        doubles(&[f64::NAN]),
        plain(PrimitiveType::Double),
        None,
    );
    let footer = footer("required double c", &[doubles(&[0.0]), doubles(&[-0.0])]);
    let metrics = metrics(&footer, &plain(PrimitiveType::Double), MetricsMode::Full);
    let bits = |bound: &Datum| bound.to_bytes().unwrap().to_vec();
    assert_eq!(bits(&metrics.lower_bounds[&1]), (-0.0_f64).to_le_bytes());
    assert_eq!(bits(&metrics.upper_bounds[&1]), 0.0_f64.to_le_bytes());
}

#[test]
fn decimals() {
    let bounds = |precision, scale| {
        Some((
            decimal_datum(-300, precision, scale),
            decimal_datum(70_000, precision, scale),
        ))
    };
    check(
        "int32 c (DECIMAL(9,2))",
        int32(&[70_000, -300, 0]),
        plain(decimal(9, 2)),
        bounds(9, 2),
    );
    check(
        "int64 c (DECIMAL(18,2))",
        int64(&[70_000, -300, 0]),
        leaf(decimal(20, 2), decimal(18, 2), Physical::Plain),
        bounds(20, 2),
    );
    for width in [4, 5, 8, 16, 17, 20] {
        let bytes = |value: i128| {
            let mut bytes = [if value < 0 { 0xFF } else { 0 }; 20];
            bytes[4..].copy_from_slice(&value.to_be_bytes());
            bytes[20 - width..].to_vec()
        };
        let values = [bytes(70_000), bytes(-300), bytes(0)];
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        check(
            &format!("fixed_len_byte_array({width}) c (DECIMAL(9,2))"),
            fixed(&values),
            plain(decimal(9, 2)),
            bounds(9, 2),
        );
    }
    // Other scale, or values beyond the precision.
    check(
        "int32 c (DECIMAL(9,2))",
        int32(&[1]),
        leaf(decimal(9, 3), decimal(9, 2), Physical::Plain),
        None,
    );
    check(
        "int32 c (DECIMAL(4,2))",
        int32(&[70_000]),
        plain(decimal(4, 2)),
        None,
    );
}

#[test]
fn decimals_in_byte_arrays() {
    let mapping = leaf(decimal(38, 2), decimal(20, 2), Physical::DecimalBytes);
    let values = [
        Some(vec![0x01, 0x11, 0x70]),
        Some(vec![0xFE, 0xD4]),
        Some(vec![0]),
    ];
    let footer = footer(
        "required binary c (DECIMAL(20,2))",
        &[Values::Bytes(values.to_vec())],
    );
    // arrow-rs compares them wrongly in one of its writers, so what it says counts for nothing.
    check_bounds(&footer, &mapping, None);
    let statistics = Statistics::byte_array(
        Some(vec![0xFE, 0xD4].into()),
        Some(vec![0, 0, 0x01, 0x11, 0x70].into()),
        None,
        Some(0),
        false,
    );
    let footer = with_statistics(&with_writer(&footer, JAVA, SIGNED), vec![Some(statistics)]);
    check_bounds(
        &footer,
        &mapping,
        Some((decimal_datum(-300, 38, 2), decimal_datum(70_000, 38, 2))),
    );
}

#[test]
fn dates_and_times() {
    check(
        "int32 c (DATE)",
        int32(&[-1, 19_000]),
        plain(PrimitiveType::Date),
        Some((Datum::date(-1), Datum::date(19_000))),
    );
    let time = |micros| Datum::time_micros(micros).unwrap();
    let millis = leaf(PrimitiveType::Time, PrimitiveType::Time, Physical::Millis);
    check(
        "int32 c (TIME(MILLIS,false))",
        int32(&[1, 86_399_999]),
        millis.clone(),
        Some((time(1_000), time(86_399_999_000))),
    );
    // The day has no such millisecond.
    check(
        "int32 c (TIME(MILLIS,false))",
        int32(&[1, 86_400_000]),
        millis,
        None,
    );
    check(
        "int64 c (TIME(MICROS,false))",
        int64(&[1, 86_399_999_999]),
        plain(PrimitiveType::Time),
        Some((time(1), time(86_399_999_999))),
    );
    check(
        "int64 c (TIME(NANOS,false))",
        int64(&[1_999, 2_001]),
        leaf(PrimitiveType::Time, PrimitiveType::Time, Physical::Nanos),
        Some((time(1), time(3))),
    );
}

#[test]
fn timestamps() {
    use PrimitiveType::{Timestamp, TimestampNs, Timestamptz, TimestamptzNs};
    let millis = |kind: PrimitiveType| leaf(kind.clone(), kind, Physical::Millis);
    check(
        "int64 c (TIMESTAMP(MILLIS,false))",
        int64(&[-1, 1_700_000_000_123]),
        millis(Timestamp),
        Some((
            Datum::timestamp_micros(-1_000),
            Datum::timestamp_micros(1_700_000_000_123_000),
        )),
    );
    check(
        "int64 c (TIMESTAMP_MILLIS)",
        int64(&[-1, 5]),
        millis(Timestamptz),
        Some((
            Datum::timestamptz_micros(-1_000),
            Datum::timestamptz_micros(5_000),
        )),
    );
    check(
        "int64 c (TIMESTAMP(MILLIS,true))",
        int64(&[i64::MAX, 5]),
        millis(Timestamptz),
        None,
    );
    check(
        "int64 c (TIMESTAMP(MICROS,true))",
        int64(&[-1, 5]),
        plain(Timestamptz),
        Some((Datum::timestamptz_micros(-1), Datum::timestamptz_micros(5))),
    );
    check(
        "int64 c (TIMESTAMP(NANOS,false))",
        int64(&[-1, 5]),
        plain(TimestampNs),
        Some((Datum::timestamp_nanos(-1), Datum::timestamp_nanos(5))),
    );
    check(
        "int64 c (TIMESTAMP(NANOS,false))",
        int64(&[-1, 1_001]),
        leaf(Timestamp, TimestampNs, Physical::Nanos),
        Some((Datum::timestamp_micros(-1), Datum::timestamp_micros(2))),
    );
    check(
        "int64 c (TIMESTAMP(MILLIS,true))",
        int64(&[-1, 5]),
        leaf(TimestamptzNs, Timestamptz, Physical::Millis),
        Some((
            Datum::timestamptz_nanos(-1_000_000),
            Datum::timestamptz_nanos(5_000_000),
        )),
    );
    check(
        "int32 c (DATE)",
        int32(&[-1, 1]),
        leaf(Timestamp, PrimitiveType::Date, Physical::Plain),
        Some((
            Datum::timestamp_micros(-86_400_000_000),
            Datum::timestamp_micros(86_400_000_000),
        )),
    );
    let mut int96 = Int96::new();
    int96.set_data(0, 0, 2_440_588);
    check(
        "int96 c",
        Values::Int96(vec![Some(int96)]),
        leaf(Timestamptz, Timestamptz, Physical::Int96),
        None,
    );
}

#[test]
fn texts_and_bytes() {
    let bounds = Some((Datum::string(""), Datum::string("日本")));
    for column in [
        "binary c (STRING)",
        "binary c (UTF8)",
        "binary c (ENUM)",
        "binary c (JSON)",
        "binary c",
    ] {
        check(
            column,
            text(&["", "日本", "a"]),
            plain(PrimitiveType::String),
            bounds.clone(),
        );
    }
    check(
        "binary c",
        Values::Bytes(vec![Some(vec![0xFF, 0]), Some(vec![0x7F])]),
        plain(PrimitiveType::Binary),
        Some((Datum::binary([0x7F]), Datum::binary([0xFF, 0]))),
    );
    // Text that is none.
    check(
        "binary c",
        Values::Bytes(vec![Some(vec![0xFF, 0]), Some(vec![0x61])]),
        plain(PrimitiveType::String),
        None,
    );
    check(
        "fixed_len_byte_array(3) c",
        fixed(&[b"abc", b"\xFFbc"]),
        plain(PrimitiveType::Fixed(3)),
        Some((Datum::fixed(*b"abc"), Datum::fixed(*b"\xFFbc"))),
    );
    let uuid =
        |value: u128| Datum::try_from_bytes(&value.to_be_bytes(), PrimitiveType::Uuid).unwrap();
    check(
        "fixed_len_byte_array(16) c (UUID)",
        fixed(&[&u128::MAX.to_be_bytes(), &7_u128.to_be_bytes()]),
        plain(PrimitiveType::Uuid),
        Some((uuid(7), uuid(u128::MAX))),
    );
    check(
        "fixed_len_byte_array(12) c (INTERVAL)",
        fixed(&[&[1; 12]]),
        leaf(
            PrimitiveType::Fixed(12),
            PrimitiveType::Fixed(12),
            Physical::Unreadable,
        ),
        None,
    );
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "all callers make them in place"
)]
fn check_cut(
    column: &str,
    values: &Values,
    kind: PrimitiveType,
    mode: MetricsMode,
    bounds: (Option<Datum>, Option<Datum>),
) {
    let footer = footer(column, std::slice::from_ref(values));
    let mut metrics = metrics(&footer, &plain(kind), mode);
    let found = (
        metrics.lower_bounds.remove(&1),
        metrics.upper_bounds.remove(&1),
    );
    assert_eq!(found, bounds);
}

#[test]
fn texts_are_cut_by_mode() {
    let strings = "required binary c (STRING)";
    let words = text(&["aardvark", "zebra"]);
    let bounds =
        |lower: &str, upper: &str| (Some(Datum::string(lower)), Some(Datum::string(upper)));
    for (mode, expected) in [
        (MetricsMode::Truncate(3), bounds("aar", "zec")),
        (MetricsMode::Truncate(5), bounds("aardv", "zebra")),
        (MetricsMode::Truncate(1), bounds("a", "{")),
        (MetricsMode::Full, bounds("aardvark", "zebra")),
        (MetricsMode::Counts, (None, None)),
        (MetricsMode::None, (None, None)),
    ] {
        check_cut(strings, &words, PrimitiveType::String, mode, expected);
    }
    check_cut(
        strings,
        &text(&["日本語", "\u{10FFFF}\u{10FFFF}x"]),
        PrimitiveType::String,
        MetricsMode::Truncate(2),
        (Some(Datum::string("日本")), None),
    );
}

#[test]
fn bytes_are_cut_by_mode() {
    let two = MetricsMode::Truncate(2);
    check_cut(
        "required binary c",
        &Values::Bytes(vec![Some(vec![1, 2, 3]), Some(vec![9, 0xFF, 3])]),
        PrimitiveType::Binary,
        two,
        (Some(Datum::binary([1, 2])), Some(Datum::binary([10]))),
    );
    let of = |bytes: &[u8]| Datum::try_from_bytes(bytes, PrimitiveType::Fixed(3)).ok();
    check_cut(
        "required fixed_len_byte_array(3) c",
        &fixed(&[&[1, 2, 3], &[9, 5, 3]]),
        PrimitiveType::Fixed(3),
        two,
        (of(&[1, 2, 3]), of(&[9, 5, 3])),
    );
    check_cut(
        "required int64 c",
        &int64(&[i64::MAX]),
        PrimitiveType::Long,
        two,
        (Some(Datum::long(i64::MAX)), Some(Datum::long(i64::MAX))),
    );
}
