use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;

use super::{parse_ddl, parse_type, to_ddl, type_to_ddl};
use crate::schema::arbitrary;
use crate::schema::choice::choice_field;
use crate::schema::types::map_type;

/// The text is read as this type, which is written in this form.
#[track_caller]
fn check(text: &str, expected: &DataType, written: &str) {
    assert_eq!(&parse_type(text).unwrap(), expected);
    assert_eq!(type_to_ddl(expected).unwrap(), written);
}

/// The text is read as a schema that is written in this form.
#[track_caller]
fn check_schema(text: &str, written: &str) {
    let schema = parse_ddl(text).unwrap();
    assert_eq!(to_ddl(&schema).unwrap(), written);
    assert_eq!(parse_ddl(written).unwrap(), schema);
}

/// The text is refused at this character.
#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(parse_ddl(text).unwrap_err().to_string(), expected);
}

fn list(inner: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", inner, true)))
}

#[test]
fn types_are_read_and_written() {
    let us = TimeUnit::Microsecond;
    check("STRING", &DataType::Utf8, "STRING");
    check("long", &DataType::Int64, "BIGINT");
    check(" bigint ", &DataType::Int64, "BIGINT");
    check("Integer", &DataType::Int32, "INT");
    check("smallint", &DataType::Int16, "SMALLINT");
    check("byte", &DataType::Int8, "TINYINT");
    check("real", &DataType::Float32, "FLOAT");
    check("decimal", &DataType::Decimal128(10, 0), "DECIMAL(10,0)");
    check("dec(5)", &DataType::Decimal128(5, 0), "DECIMAL(5,0)");
    check(
        "numeric(38 , 18)",
        &DataType::Decimal128(38, 18),
        "DECIMAL(38,18)",
    );
    check(
        "timestamp",
        &DataType::Timestamp(us, Some("UTC".into())),
        "TIMESTAMP",
    );
    check(
        "timestamp_ntz",
        &DataType::Timestamp(us, None),
        "TIMESTAMP_NTZ",
    );
    check("time(3)", &DataType::Time64(us), "TIME(6)");
    check("void", &DataType::Null, "VOID");
    check(
        "array<array<int>>",
        &list(list(DataType::Int32)),
        "ARRAY<ARRAY<INT>>",
    );
    check(
        "map<string,array<double>>",
        &map_type(DataType::Utf8.into(), list(DataType::Float64).into(), true),
        "MAP<STRING, ARRAY<DOUBLE>>",
    );
    check(
        "struct<a: int not null, `b ``c` array<string>>",
        &DataType::Struct(
            vec![
                Field::new("a", DataType::Int32, false),
                Field::new("b `c", list(DataType::Utf8), true),
            ]
            .into(),
        ),
        "STRUCT<a: INT NOT NULL, `b ``c`: ARRAY<STRING>>",
    );
}

#[test]
fn schemas_are_read_and_written() {
    check_schema("", "");
    check_schema("a int, b string", "a INT, b STRING");
    check_schema("struct<a:int,b:string>", "a INT, b STRING");
    check_schema("struct int", "struct INT");
    check_schema(
        "_id STRING NOT NULL COMMENT 'the book\\'s \\\\ id',\n price STRUCT<_VALUE: DECIMAL(12,2), _unit: STRING>",
        "_id STRING NOT NULL COMMENT 'the book\\'s \\\\ id', price STRUCT<_VALUE: DECIMAL(12,2), _unit: STRING>",
    );
    check_schema(
        "a struct<b:int comment \"x, y > z\">",
        "a STRUCT<b: INT COMMENT 'x, y > z'>",
    );
    check_schema(
        "a varchar(10), b array<char(3)>",
        "a VARCHAR(10), b ARRAY<CHAR(3)>",
    );
    check_schema("größe double", "`größe` DOUBLE");
}

#[test]
fn wrong_texts_are_refused_where_they_go_wrong() {
    check_error("a", "DDL, character 2: a type is missing");
    check_error("a int,", "DDL, character 7: a name is missing");
    check_error("a int b", "DDL, character 7: `,` is missing");
    check_error("a array<int", "DDL, character 12: `>` is missing");
    check_error(
        "a decimal(39,1)",
        "DDL, character 3: decimal(39,1): the precision is from 1 to 38, the scale not above it",
    );
    check_error(
        "a interval",
        "DDL, character 3: `interval` is no type that XML can be read as",
    );
    check_error(
        "a int comment 'x",
        "DDL, character 16: a quote is not closed",
    );
    check_error(
        "a int, a int",
        "DDL, character 13: the name `a` stands twice",
    );
    check_error("`a int", "DDL, character 2: a backtick is not closed");
    let deep = "array<".repeat(300);
    assert!(parse_ddl(&format!("a {deep}")).is_err());
}

#[test]
fn what_ddl_cannot_say_is_refused() {
    let choice = choice_field("a", &[DataType::Int64, DataType::Utf8]);
    assert!(to_ddl(&Schema::new(vec![choice])).is_err());
    assert!(type_to_ddl(&DataType::UInt8).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(schema in arbitrary::schema()) {
        let text = to_ddl(&schema).unwrap();
        prop_assert_eq!(parse_ddl(&text).unwrap(), schema, "{}", text);
    }

    #[test]
    fn no_text_panics(text in "[a-z<>(),:`' 0-9é]{0,40}") {
        let _ = parse_ddl(&text);
    }

    #[test]
    fn metadata_but_the_comment_is_left_out(schema in arbitrary::schema()) {
        let noisy: Vec<Field> = schema.fields().iter().map(|field| {
            let mut metadata: HashMap<_, _> = field.metadata().clone();
            metadata.insert("other".to_owned(), "x".to_owned());
            field.as_ref().clone().with_metadata(metadata)
        }).collect();
        prop_assert_eq!(to_ddl(&Schema::new(noisy)).unwrap(), to_ddl(&schema).unwrap());
    }
}
