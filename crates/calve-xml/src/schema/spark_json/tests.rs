use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::json;

use super::{parse_json, to_spark_json};
use crate::schema::choice::{alternatives, choice_field};
use crate::schema::ddl::{parse_ddl, to_ddl};
use crate::schema::glue_json::to_glue_json;
use crate::schema::{arbitrary, parse_schema};

/// The JSON is read as the schema of this DDL.
#[track_caller]
fn check(json: &serde_json::Value, ddl: &str) {
    let schema = parse_json(&json.to_string()).unwrap();
    assert_eq!(to_ddl(&schema).unwrap(), ddl);
}

#[track_caller]
fn check_error(json: &str, expected: &str) {
    assert_eq!(parse_json(json).unwrap_err().to_string(), expected);
}

#[test]
fn the_form_of_spark_is_read() {
    check(
        &json!({"type": "struct", "fields": [
            {"name": "_id", "type": "string", "nullable": false, "metadata": {"comment": "key"}},
            {"name": "year", "type": "long", "nullable": true, "metadata": {}},
            {"name": "price", "type": "decimal(12,2)", "nullable": true, "metadata": {}},
            {"name": "when", "type": "timestamp_ntz"},
            {"name": "code", "type": "string", "nullable": true,
             "metadata": {"__CHAR_VARCHAR_TYPE_STRING": "varchar(3)"}},
            {"name": "tags", "type": {"type": "array", "elementType": "string", "containsNull": true}},
            {"name": "m", "type": {"type": "map", "keyType": "string", "valueType":
                {"type": "struct", "fields": [{"name": "x", "type": "integer"}]},
                "valueContainsNull": true}},
            {"name": "u", "type": {"type": "udt", "class": "P", "pyClass": null, "sqlType": "double"}},
        ]}),
        "_id STRING NOT NULL COMMENT 'key', year BIGINT, price DECIMAL(12,2), when TIMESTAMP_NTZ, \
         code VARCHAR(3), tags ARRAY<STRING>, m MAP<STRING, STRUCT<x: INT>>, u DOUBLE",
    );
}

#[test]
fn the_form_of_glue_is_read() {
    check(
        &json!({"dataType": "struct", "properties": {}, "fields": [
            {"name": "id", "container": {"dataType": "int", "properties": {}}, "properties": {}},
            {"name": "price", "container": {"dataType": "decimal", "precision": 8, "scale": 3}},
            {"name": "tags", "container": {"dataType": "array",
                "elementType": {"dataType": "string", "properties": {}}, "properties": {}}},
            {"name": "m", "container": {"dataType": "map", "valueType": {"dataType": "long"}}},
            {"name": "s", "container": {"dataType": "struct", "fields": [
                {"name": "x", "container": {"dataType": "date"}}]}},
            {"name": "e", "container": {"dataType": "enum", "options": ["a"]}},
        ]}),
        "id INT, price DECIMAL(8,3), tags ARRAY<STRING>, m MAP<STRING, BIGINT>, \
         s STRUCT<x: DATE>, e STRING",
    );
}

#[test]
fn choices_of_glue_are_kept() {
    let text = json!({"dataType": "struct", "fields": [
        {"name": "a", "container": {"dataType": "choice", "choices": [
            {"dataType": "string"}, {"dataType": "int"}]}},
        {"name": "l", "container": {"dataType": "array", "elementType":
            {"dataType": "choice", "choices": [{"dataType": "double"}, {"dataType": "string"}]}}},
        {"name": "single", "container": {"dataType": "choice", "choices": [{"dataType": "long"}]}},
    ]})
    .to_string();
    let schema = parse_json(&text).unwrap();
    assert_eq!(
        schema.field(0),
        &choice_field("a", &[DataType::Int32, DataType::Utf8])
    );
    let DataType::List(element) = schema.field(1).data_type() else {
        panic!("a list");
    };
    assert!(alternatives(element).is_some());
    assert_eq!(schema.field(2).data_type(), &DataType::Int64);
    // Both forms bring it back.
    let glue = to_glue_json(&schema).unwrap().to_string();
    assert_eq!(parse_json(&glue).unwrap(), schema);
    let spark = to_spark_json(&schema).unwrap().to_string();
    assert_eq!(parse_json(&spark).unwrap(), schema);
}

#[test]
fn metadata_of_any_type_comes_back() {
    let text = r#"{"type":"struct","fields":[{"name":"a","type":"string","nullable":true,"metadata":{"n":5,"s":"5","o":{"k":[true,null]}}}]}"#;
    let schema = parse_json(text).unwrap();
    let mut expected: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut written = to_spark_json(&schema).unwrap();
    expected.sort_all_objects();
    written.sort_all_objects();
    assert_eq!(written, expected);
}

#[test]
fn wrong_json_is_refused_where_it_goes_wrong() {
    check_error("[", "schema JSON, line 1, column 1: is no JSON");
    check_error(
        "\"string\"",
        "schema JSON, top level: a schema has the type `struct`",
    );
    check_error(
        r#"{"type":"struct","fields":[{"name":"a","type":{"type":"array"}}]}"#,
        "schema JSON, fields[0].type: `elementType` is missing",
    );
    check_error(
        r#"{"type":"struct","fields":[{"name":"a","type":"interval"}]}"#,
        "schema JSON, fields[0].type: `interval` is no type that XML can be read as",
    );
    check_error(
        r#"{"type":"struct","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
        "schema JSON, top level: the name `a` stands twice",
    );
    check_error(
        r#"{"dataType":"struct","fields":[{"name":"a","container":{"dataType":"choice","choices":[]}}]}"#,
        "schema JSON, fields[0].container: a choice has alternatives",
    );
}

#[test]
fn deep_nesting_is_refused() {
    let deep = 100_000;
    let text = r#"{"type":"array","elementType":"#.repeat(deep);
    assert!(parse_json(&text).is_err());
}

#[test]
fn any_form_is_told_from_the_text() {
    let ddl = "a INT, b ARRAY<STRING>";
    let expected = parse_ddl(ddl).unwrap();
    let spark = to_spark_json(&expected).unwrap().to_string();
    let glue = to_glue_json(&expected).unwrap().to_string();
    for text in [ddl.to_owned(), spark, glue] {
        assert_eq!(parse_schema(&text).unwrap(), expected);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(schema in arbitrary::schema_with_choices()) {
        let text = to_spark_json(&schema).unwrap().to_string();
        prop_assert_eq!(parse_json(&text).unwrap(), schema, "{}", text);
    }

    #[test]
    fn what_glue_can_say_comes_back(schema in arbitrary::schema_with_choices()) {
        if let Ok(glue) = to_glue_json(&schema) {
            let read = parse_json(&glue.to_string()).unwrap();
            prop_assert_eq!(to_glue_json(&read).unwrap(), glue);
            let kinds = |schema: &Schema| -> Vec<DataType> {
                schema.fields().iter().filter(|it| !it.data_type().is_nested())
                    .map(|it| Field::data_type(it).clone()).collect()
            };
            prop_assert_eq!(kinds(&read), kinds(&schema));
        }
    }
}
