use arrow::datatypes::{DataType, Schema};
use proptest::prelude::*;

use super::{Evolve, OnDrift, Promotions};
use crate::schema::arbitrary;
use crate::schema::choice::{alternatives, choice_field};
use crate::schema::ddl::{parse_ddl, to_ddl};

const WIDEN: OnDrift = OnDrift::Widen;

/// Widening the contract by the data gives this schema, with this many notes of drift.
#[track_caller]
fn check_widen(contract: &str, observed: &str, expected: &str, drift: usize) {
    let (contract, observed) = (parse_ddl(contract).unwrap(), parse_ddl(observed).unwrap());
    let evolution = Evolve::new(WIDEN).plan(&contract, &observed).unwrap();
    assert_eq!(to_ddl(&evolution.schema).unwrap(), expected);
    assert_eq!(evolution.drift.len(), drift, "{:?}", evolution.drift);
    let again = Evolve::new(WIDEN)
        .plan(&evolution.schema, &observed)
        .unwrap();
    assert_eq!((again.schema, again.drift.len()), (evolution.schema, 0));
}

/// The data fits as it is, under every policy.
#[track_caller]
fn check_fits(contract: &str, observed: &str) {
    let (contract, observed) = (parse_ddl(contract).unwrap(), parse_ddl(observed).unwrap());
    let evolution = Evolve::new(OnDrift::Fail)
        .plan(&contract, &observed)
        .unwrap();
    assert_eq!(evolution.schema, contract);
    assert!(evolution.drift.is_empty());
}

#[track_caller]
fn check_refused(on_drift: OnDrift, contract: &str, observed: &str, expected: &str) {
    let (contract, observed) = (parse_ddl(contract).unwrap(), parse_ddl(observed).unwrap());
    let error = Evolve::new(on_drift)
        .plan(&contract, &observed)
        .unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text.trim_start_matches("the data does not fit the schema: "),
        expected
    );
}

#[track_caller]
fn check_rescued(contract: &str, observed: &str, expected: &[&str]) {
    let (contract, observed) = (parse_ddl(contract).unwrap(), parse_ddl(observed).unwrap());
    let evolution = Evolve::new(OnDrift::Rescue)
        .plan(&contract, &observed)
        .unwrap();
    let rescued: Vec<String> = evolution.rescued.iter().map(ToString::to_string).collect();
    assert_eq!(rescued, expected);
    let kept = contract.fields().len();
    assert_eq!(evolution.schema.fields()[..kept], contract.fields()[..]);
    assert_eq!(evolution.schema.field(kept).name(), "_rescued_data");
}

#[test]
fn what_can_be_read_as_the_contract_says_fits() {
    check_fits("a double", "a bigint");
    check_fits("a int", "a bigint");
    check_fits("a float", "a double");
    check_fits("a decimal(12,2)", "a double");
    check_fits("a decimal(12,2)", "a decimal(10,1)");
    check_fits("a string", "a bigint");
    check_fits("a string", "a struct<b: int>");
    check_fits("a timestamp", "a date");
    check_fits("a array<double>", "a bigint");
    check_fits("a array<struct<b: string>>", "a struct<b: bigint>");
    check_fits("a map<string, double>", "a struct<x: bigint, y: double>");
    check_fits("a struct<_VALUE: double, _unit: string>", "a bigint");
    check_fits("a int, b int", "a void");
    check_fits("a int", "a int, unseen void");
}

#[test]
fn schemas_widen() {
    check_widen("a int", "a bigint", "a BIGINT", 1);
    check_widen("a float", "a double", "a DOUBLE", 1);
    check_widen("a decimal(5,2)", "a decimal(10,2)", "a DECIMAL(10,2)", 1);
    check_widen("a decimal(5,2)", "a decimal(10,1)", "a DECIMAL(11,2)", 1);
    check_widen("a bigint", "b string, a bigint", "a BIGINT, b STRING", 1);
    check_widen("a void", "a struct<b: int>", "a STRUCT<b: INT>", 1);
    check_widen(
        "o struct<items: array<struct<x: int>>>",
        "o struct<items: struct<x: bigint, y: date>>",
        "o STRUCT<items: ARRAY<STRUCT<x: BIGINT, y: DATE>>>",
        2,
    );
    check_widen("a int not null, b int", "b int", "a INT, b INT", 1);
    check_widen(
        "price int",
        "Price string, price int",
        "price INT, Price_2 STRING",
        1,
    );
}

#[test]
fn the_xml_name_of_a_renamed_column_is_remembered() {
    let contract = parse_ddl("price int").unwrap();
    let observed = parse_ddl("Price string").unwrap();
    let evolution = Evolve::new(WIDEN).plan(&contract, &observed).unwrap();
    let added = evolution.schema.field(1);
    assert_eq!(
        (added.name().as_str(), super::xml_name(added)),
        ("Price_2", "Price")
    );
}

#[test]
fn choices_are_compared_by_their_alternatives() {
    let choice = |types: &[DataType]| Schema::new(vec![choice_field("a", types)]);
    let both = choice(&[DataType::Int64, DataType::Utf8]);
    let fail = Evolve::new(OnDrift::Fail);
    // What one type holds is read as it.
    let text = parse_ddl("a string").unwrap();
    assert_eq!(fail.plan(&text, &both).unwrap().schema, text);
    let number = parse_ddl("a bigint").unwrap();
    let error = fail.plan(&number, &both).unwrap_err().to_string();
    assert!(error.ends_with("`a` is STRING, not BIGINT"), "{error}");
    // What is one of the alternatives is in the choice, and another type makes it wider.
    assert_eq!(fail.plan(&both, &number).unwrap().schema, both);
    let date = parse_ddl("a date").unwrap();
    assert!(fail.plan(&both, &date).is_err());
    let wider = Evolve::new(WIDEN).plan(&both, &date).unwrap().schema;
    let names = |schema: &Schema| -> Vec<String> {
        let fields = alternatives(schema.field(0)).unwrap().clone();
        fields.iter().map(|it| it.name().clone()).collect()
    };
    assert_eq!(names(&wider), ["long", "string", "date"]);
}

#[test]
fn what_no_promotion_holds_is_refused() {
    for policy in [OnDrift::Fail, WIDEN] {
        check_refused(policy, "a bigint", "a double", "`a` is DOUBLE, not BIGINT");
        check_refused(policy, "a bigint", "a string", "`a` is STRING, not BIGINT");
        check_refused(
            policy,
            "a string",
            "a array<string>",
            "`a` is ARRAY<STRING>, not STRING",
        );
        check_refused(
            policy,
            "s array<struct<x: struct<y: int>>>",
            "s struct<x: date>",
            "`s[].x` is DATE, not STRUCT<y: INT>",
        );
    }
    check_refused(OnDrift::Fail, "a int", "a int, b int", "`b` (INT) is new");
    check_refused(
        OnDrift::Fail,
        "a decimal(5,2)",
        "a decimal(10,2)",
        "`a` needs DECIMAL(10,2), not DECIMAL(5,2)",
    );
    check_refused(
        OnDrift::Rescue,
        "a int not null",
        "b int",
        "`a` is required and never there",
    );
}

#[test]
fn promotions_of_spark_reach_further() {
    let spark = Evolve::new(WIDEN).with_promotions(Promotions::Spark);
    for (contract, observed, expected) in [
        ("a int", "a double", "a DOUBLE"),
        ("a bigint", "a decimal(5,2)", "a DECIMAL(21,2)"),
        ("a decimal(5,2)", "a decimal(5,4)", "a DECIMAL(7,4)"),
        ("a date", "a timestamp_ntz", "a TIMESTAMP_NTZ"),
    ] {
        let (contract, observed) = (parse_ddl(contract).unwrap(), parse_ddl(observed).unwrap());
        let evolution = spark.plan(&contract, &observed).unwrap();
        assert_eq!(to_ddl(&evolution.schema).unwrap(), expected);
        assert!(Evolve::new(WIDEN).plan(&contract, &observed).is_err());
    }
}

#[test]
fn what_does_not_fit_is_rescued() {
    check_rescued("a bigint", "a double, b string", &["a", "b"]);
    check_rescued("a bigint", "a bigint", &[]);
    check_rescued(
        "o struct<x: bigint, l: array<struct<k: date>>>",
        "o struct<x: string, l: array<struct<k: date, n: int>>>",
        &["o.x", "o.l[].n"],
    );
}

/// Whether every column of `narrow` is in `wide` at the same place, with a type that fits it.
fn holds(wide: &Schema, narrow: &Schema) -> bool {
    wide.fields().len() >= narrow.fields().len()
        && narrow
            .fields()
            .iter()
            .zip(wide.fields())
            .all(|(a, b)| a.name() == b.name())
        && Evolve::new(OnDrift::Fail).plan(wide, narrow).is_ok()
}

proptest! {
    #[test]
    fn a_schema_fits_itself(schema in arbitrary::schema()) {
        for policy in [OnDrift::Fail, WIDEN] {
            let evolution = Evolve::new(policy).plan(&schema, &schema).unwrap();
            prop_assert_eq!(&evolution.schema, &schema);
            prop_assert!(evolution.drift.is_empty());
        }
    }

    #[test]
    fn evolving_never_narrows_and_ends(a in arbitrary::schema(), b in arbitrary::schema()) {
        for promotions in [Promotions::Iceberg, Promotions::Spark] {
            let evolve = Evolve::new(WIDEN).with_promotions(promotions);
            if let Ok(evolution) = evolve.plan(&a, &b) {
                prop_assert!(holds(&evolution.schema, &a));
                prop_assert!(Evolve::new(OnDrift::Fail).plan(&evolution.schema, &b).is_ok());
                let again = evolve.plan(&evolution.schema, &b).unwrap();
                prop_assert_eq!(again.schema, evolution.schema);
                prop_assert!(again.drift.is_empty());
            }
        }
    }

    #[test]
    fn a_subset_of_a_schema_fits_or_misses_what_is_required(schema in arbitrary::schema(), at in 0..4usize) {
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        let removed = fields.remove(at % fields.len());
        let plan = Evolve::new(OnDrift::Fail).plan(&schema, &Schema::new(fields));
        prop_assert_eq!(plan.is_ok(), removed.is_nullable());
    }
}
