use iceberg::spec::{Literal, PrimitiveType};
use proptest::prelude::*;

use super::parse;

#[track_caller]
fn check(primitive_type: &PrimitiveType, cases: &[(&str, Option<Literal>)]) {
    for (text, expected) in cases {
        assert_eq!(
            parse(text, primitive_type),
            *expected,
            "`{text}` as {primitive_type}"
        );
    }
}

#[test]
fn booleans() {
    let (yes, no) = (Some(Literal::bool(true)), Some(Literal::bool(false)));
    check(
        &PrimitiveType::Boolean,
        &[
            ("true", yes.clone()),
            ("TRUE", yes),
            ("false", no),
            ("yes", None),
            ("1", None),
            ("", None),
        ],
    );
}

#[test]
fn numbers() {
    let int = |value: i32| Some(Literal::int(value));
    check(
        &PrimitiveType::Int,
        &[
            ("1", int(1)),
            ("01", int(1)),
            ("+1", int(1)),
            ("-7", int(-7)),
            ("2147483647", int(i32::MAX)),
            ("2147483648", None),
            ("1.0", None),
            (" 1", None),
            ("", None),
        ],
    );
    check(
        &PrimitiveType::Long,
        &[
            ("2147483648", Some(Literal::long(2_147_483_648_i64))),
            ("9223372036854775808", None),
        ],
    );
    check(
        &PrimitiveType::Float,
        &[("1.1", Some(Literal::float(1.1))), ("x", None), ("", None)],
    );
    check(
        &PrimitiveType::Double,
        &[
            ("1e300", Some(Literal::double(1e300))),
            ("-Infinity", Some(Literal::double(f64::NEG_INFINITY))),
            ("NaN", Some(Literal::double(f64::NAN))),
        ],
    );
}

#[test]
fn decimals() {
    let value = |value: i128| Some(Literal::decimal(value));
    check(
        &PrimitiveType::Decimal {
            precision: 6,
            scale: 3,
        },
        &[
            ("2.718", value(2_718)),
            ("2.7", value(2_700)),
            ("2.7180", value(2_718)),
            ("2.7181", None),
            ("-2", value(-2_000)),
            ("+2", value(2_000)),
            ("999.999", value(999_999)),
            ("1000", None),
            ("0000.5", value(500)),
            ("-0.5", value(-500)),
            (".5", value(500)),
            ("5.", value(5_000)),
            ("0E-10", value(0)),
            ("1E+2", value(100_000)),
            ("1E2147483647", None),
            ("1E-2147483648", None),
            ("1e-3", value(1)),
            ("1e-4", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1,5", None),
            ("٣", None),
        ],
    );
    check(
        &PrimitiveType::Decimal {
            precision: 38,
            scale: 0,
        },
        &[(
            "99999999999999999999999999999999999999",
            value(10_i128.pow(38) - 1),
        )],
    );
}

#[test]
fn dates_and_times() {
    check(
        &PrimitiveType::Date,
        &[
            ("1970-01-01", Some(Literal::date(0))),
            ("1969-12-31", Some(Literal::date(-1))),
            ("2024-02-29", Some(Literal::date(19_782))),
            ("2024-2-9", Some(Literal::date(19_762))),
            ("+12024-01-01", Some(Literal::date(3_672_148))),
            ("2023-02-29", None),
            ("2024-01-01 00:00:00", None),
            ("20240101", None),
            ("2024-01", None),
            ("24-01-01", None),
            ("", None),
        ],
    );
    check(
        &PrimitiveType::Time,
        &[
            ("00:00:01", Some(Literal::time(1_000_000))),
            ("23:59:59.999999", Some(Literal::time(86_399_999_999))),
            ("10:30", Some(Literal::time(37_800_000_000))),
            ("24:00:00", None),
            ("23:59:60", None),
        ],
    );
}

#[test]
fn timestamps() {
    let wall = |micros: i64| Some(Literal::timestamp(micros));
    check(
        &PrimitiveType::Timestamp,
        &[
            ("1970-01-01 00:00:00", wall(0)),
            ("1970-01-01T00:00:00.000001", wall(1)),
            ("1970-01-02", wall(86_400_000_000)),
            ("1969-12-31 23:59:59.5", wall(-500_000)),
            ("1970-01-01 00:00:00Z", None),
            ("1970-01-01 00:00:00+00:00", None),
            ("now", None),
        ],
    );
    check(
        &PrimitiveType::Timestamptz,
        &[
            ("1970-01-01 00:00:00", wall(0)),
            ("1970-01-01T00:00:00Z", wall(0)),
            ("1970-01-01 00:00:00 UTC", wall(0)),
            ("1970-01-01 02:00:00+02:00", wall(0)),
            ("1970-01-01 02:00:00.5 +0200", wall(500_000)),
            ("1969-12-31 19:00:00-05", wall(0)),
            ("1970-01-01 00:00:00+99", None),
            ("1970-01-01 00:00:00+é", None),
        ],
    );
    check(
        &PrimitiveType::TimestampNs,
        &[
            ("1970-01-01 00:00:00.000000001", wall(1)),
            ("9999-01-01", None),
        ],
    );
    check(
        &PrimitiveType::TimestamptzNs,
        &[("1970-01-01 00:00:01Z", wall(1_000_000_000))],
    );
}

#[test]
fn bytes_and_text() {
    check(
        &PrimitiveType::String,
        &[
            ("", Some(Literal::string(""))),
            ("01", Some(Literal::string("01"))),
        ],
    );
    check(
        &PrimitiveType::Uuid,
        &[
            (
                "f79c3e09-677c-4bbd-a479-3f349cb785e7",
                Literal::uuid_from_str("f79c3e09-677c-4bbd-a479-3f349cb785e7").ok(),
            ),
            ("f79c3e09677c4bbda4793f349cb785e7", None),
            ("+79c3e09-677c-4bbd-a479-3f349cb785e7", None),
        ],
    );
    check(
        &PrimitiveType::Fixed(2),
        &[
            ("ab", Some(Literal::fixed(*b"ab"))),
            ("a", None),
            ("é", Some(Literal::fixed("é".bytes()))),
        ],
    );
    check(
        &PrimitiveType::Binary,
        &[("a", Some(Literal::binary(*b"a")))],
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>(), near in "[-+0-9eE.:TZ é]{0,30}") {
        for primitive_type in [
            PrimitiveType::Decimal { precision: 38, scale: 10 },
            PrimitiveType::Double,
            PrimitiveType::Date,
            PrimitiveType::Time,
            PrimitiveType::Timestamp,
            PrimitiveType::Timestamptz,
            PrimitiveType::TimestamptzNs,
            PrimitiveType::Uuid,
            PrimitiveType::Fixed(3),
        ] {
            parse(&text, &primitive_type);
            parse(&near, &primitive_type);
        }
    }

    #[test]
    fn what_is_printed_is_read_back(long in any::<i64>(), unscaled in -(10_i128.pow(37))..10_i128.pow(37), double in any::<f64>()) {
        prop_assert_eq!(parse(&long.to_string(), &PrimitiveType::Long), Some(Literal::long(long)));
        prop_assert_eq!(parse(&double.to_string(), &PrimitiveType::Double), Some(Literal::double(double)));
        let text = format!("{}{}.{:04}", if unscaled < 0 { "-" } else { "" }, unscaled.abs() / 10_000, unscaled.abs() % 10_000);
        let decimal = PrimitiveType::Decimal { precision: 38, scale: 4 };
        prop_assert_eq!(parse(&text, &decimal), Some(Literal::decimal(unscaled)));
    }
}
