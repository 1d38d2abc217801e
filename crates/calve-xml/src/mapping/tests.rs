use arrow::array::{AsArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Schema};
use proptest::prelude::*;
use serde_json::json;

use super::{Mapping, Report};
use crate::FieldPath;
use crate::arbitrary_batch::{batch_of, batch_with, random_batch};
use crate::json_text::json_strings;
use crate::schema::choice::choice_field;
use crate::schema::ddl::to_ddl;
use crate::schema::{arbitrary, has_choice};

fn rows(batch: &RecordBatch) -> Vec<String> {
    let texts = json_strings(&StructArray::from(batch.clone())).unwrap();
    texts
        .as_string::<i32>()
        .iter()
        .map(|it| it.unwrap().to_owned())
        .collect()
}

fn example() -> RecordBatch {
    batch_of(
        "id bigint not null, `a.b` string, address struct<city: string, zip: string, geo: struct<lat: double>>, \
         tags array<string>",
        &[
            r#"{"id":1,"a.b":"x","address":{"city":"Bonn","zip":"53111","geo":{"lat":50.5}},"tags":["t"]}"#,
            r#"{"id":2,"address":{"zip":"none"}}"#,
            r#"{"id":3,"a.b":"7"}"#,
        ],
    )
}

#[track_caller]
fn check(mapping: &str, schema: &str, expected: &[&str], nulled: &[(&str, u64)]) {
    let mapping = Mapping::from_json(mapping).unwrap();
    let mut report = Report::default();
    let mapped = mapping.apply(&example(), &mut report).unwrap();
    assert_eq!(
        &mapping.plan(&example().schema()).unwrap(),
        mapped.schema().as_ref()
    );
    assert_eq!(to_ddl(&mapped.schema()).unwrap(), schema);
    assert_eq!(rows(&mapped), expected);
    let counts: Vec<(&str, u64)> = report
        .nulled
        .iter()
        .map(|(k, v)| (k.as_str(), *v))
        .collect();
    assert_eq!(counts, nulled);
}

#[test]
fn columns_are_renamed_cast_dropped_and_nested() {
    check(
        r#"[["id","long","key","string"],["address.city","string","place.town","string"],
            ["`a.b`","string","b","string"],["address.geo.lat","double","place.at.lat","decimal(5,2)"]]"#,
        "key STRING, place STRUCT<town: STRING, at: STRUCT<lat: DECIMAL(5,2)>>, b STRING",
        &[
            r#"{"key":"1","place":{"town":"Bonn","at":{"lat":50.50}},"b":"x"}"#,
            r#"{"key":"2"}"#,
            r#"{"key":"3","b":"7"}"#,
        ],
        &[],
    );
}

#[test]
fn structs_are_flattened_and_their_names_may_hold_dots() {
    check(
        r#"[["address.zip","string","zip","int"],["address.geo","struct","`geo.x`","struct"],["tags","array","labels","array"]]"#,
        "zip INT, `geo.x` STRUCT<lat: DOUBLE>, labels ARRAY<STRING>",
        &[
            r#"{"zip":53111,"geo.x":{"lat":50.5},"labels":["t"]}"#,
            "{}",
            "{}",
        ],
        &[("zip", 1)],
    );
}

#[test]
fn every_form_of_tuple_says_the_same() {
    let expected = Mapping::from_json(r#"[["address.zip","string","zip","int"]]"#).unwrap();
    for text in [
        json!([{"source": "address.zip", "sourceType": "string", "target": "zip", "targetType": "int"}]),
        json!([{"source": "address.zip", "source_type": "string", "target": "zip", "target_type": "int"}]),
        json!({"Mapping": [
            {"ToKey": "zip", "FromPath": ["address", "zip"], "FromType": "string", "ToType": "int", "Dropped": false},
            {"ToKey": "id", "FromPath": ["id"], "FromType": "long", "ToType": "long", "Dropped": true},
        ]}),
    ] {
        let mapping = Mapping::from_json(&text.to_string()).unwrap();
        assert_eq!(mapping.entries(), expected.entries());
    }
    check(
        r#"[["id","key"],["address","address"]]"#,
        "key BIGINT NOT NULL, address STRUCT<city: STRING, zip: STRING, geo: STRUCT<lat: DOUBLE>>",
        &[
            r#"{"key":1,"address":{"city":"Bonn","zip":"53111","geo":{"lat":50.5}}}"#,
            r#"{"key":2,"address":{"zip":"none"}}"#,
            r#"{"key":3}"#,
        ],
        &[],
    );
}

#[test]
fn a_missing_source_is_null_when_it_may_be() {
    let mapping =
        Mapping::from_json(r#"[["id","long","id","long"],["x.y","string","y","date"]]"#).unwrap();
    assert!(mapping.plan(&example().schema()).is_err());
    let mapping = mapping.with_missing_as_null(true);
    let mut report = Report::default();
    let mapped = mapping.apply(&example(), &mut report).unwrap();
    assert_eq!(mapped.column(1).data_type(), &DataType::Date32);
    assert_eq!(report.missing, ["x.y"]);
}

#[test]
fn a_choice_is_cast() {
    let schema = Schema::new(vec![choice_field("a", &[DataType::Int64, DataType::Utf8])]);
    let batch = batch_with(
        &schema,
        &[
            r#"{"a":{"long":7}}"#,
            r#"{"a":{"string":"8"}}"#,
            r#"{"a":{"string":"x"}}"#,
        ],
    );
    let mapping = Mapping::from_json(r#"[["a","choice","b","int"]]"#).unwrap();
    let mut report = Report::default();
    let mapped = mapping.apply(&batch, &mut report).unwrap();
    assert_eq!(rows(&mapped), [r#"{"b":7}"#, r#"{"b":8}"#, "{}"]);
    assert_eq!(report.nulled["b"], 1);
    let kept = Mapping::from_json(r#"[["a","b"]]"#)
        .unwrap()
        .plan(&schema)
        .unwrap();
    assert!(has_choice(kept.field(0)));
}

#[track_caller]
fn check_error(mapping: &str, expected: &str) {
    let error = Mapping::from_json(mapping).and_then(|it| it.plan(&example().schema()));
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[test]
fn wrong_mappings_are_refused() {
    check_error("[", "mapping: is no JSON (line 1, column 1)");
    check_error("{}", "mapping: is no list of tuples");
    check_error("[]", "mapping: maps no column");
    check_error(
        r#"[["id","long","id"]]"#,
        "mapping, tuple 1: has the four texts source, source type, target, target type",
    );
    check_error(
        r#"[["id","a.b"],["id","a.b"]]"#,
        "mapping, tuple 2: the target `a.b` is set before",
    );
    check_error(
        r#"[["id","a.b"],["name","A"]]"#,
        "mapping, tuple 2: the target `a.b` is set before (case does not count)",
    );
    check_error(
        r#"[["id","a.b"],["id","a"]]"#,
        "mapping, tuple 2: the target `a.b` is set before",
    );
    check_error(
        r#"[["id","long","id","interval"]]"#,
        "mapping, tuple 1: DDL, character 1: `interval` is no type that XML can be read as",
    );
    check_error(
        r#"[["no","string","no","string"]]"#,
        "column `no`: there is no such column to map",
    );
    check_error(
        r#"[["address","string","a","string"]]"#,
        "column `address`: is of type struct, which the mapping does not expect",
    );
    check_error(
        r#"[["id","long","id","array"]]"#,
        "mapping, tuple 1: `id` cannot become `id`: their types are of different kinds",
    );
    check_error(
        r#"[["tags.x","string","x","string"]]"#,
        "column `tags.x`: a mapping cannot reach into lists: relationalize them",
    );
    check_error(r#"[["a..b","x"]]"#, "path `a..b`: a name is missing");
}

proptest! {
    #[test]
    fn the_mapping_onto_itself_changes_nothing(schema in arbitrary::schema(), seed in any::<u64>()) {
        let batch = random_batch(&schema, 5, seed);
        let tuples: Vec<[String; 2]> = schema.fields().iter().map(|field| {
            let path = FieldPath::root().field(field.name()).to_string();
            [path.clone(), path]
        }).collect();
        let mapping = Mapping::from_json(&serde_json::to_string(&tuples).unwrap()).unwrap();
        prop_assert_eq!(mapping.apply(&batch, &mut Report::default()).unwrap(), batch);
    }
}
