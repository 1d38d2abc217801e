use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::{Action, Report, ResolveChoice};
use crate::arbitrary_batch::batch_with;
use crate::json_text::json_strings;
use crate::schema::choice::choice_field;
use crate::schema::ddl::{parse_ddl, parse_type, to_ddl};
use crate::schema::has_choice;

/// The rows as JSON.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let array = arrow::array::StructArray::from(batch.clone());
    let texts = json_strings(&array).unwrap();
    texts
        .as_string::<i32>()
        .iter()
        .map(|it| it.unwrap().to_owned())
        .collect()
}

/// Column `a`, a choice of long, string and struct, and column `l`, a list of choices.
fn example() -> RecordBatch {
    let inner = parse_type("struct<x: int>").unwrap();
    let types = [DataType::Int64, DataType::Utf8, inner];
    let element = choice_field("element", &types[..2]);
    let list = DataType::List(std::sync::Arc::new(element));
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        choice_field("a", &types),
        Field::new("l", list, true),
    ]);
    batch_with(
        &schema,
        &[
            r#"{"id":1,"a":{"long":7},"l":[{"long":1},{"string":"x"},null]}"#,
            r#"{"id":2,"a":{"string":" 8 "},"l":[]}"#,
            r#"{"id":3,"a":{"struct":{"x":9}}}"#,
            r#"{"id":4}"#,
            r#"{"id":5,"a":{"string":"eight"}}"#,
        ],
    )
}

#[track_caller]
fn check(resolve: &ResolveChoice, schema: &str, expected: &[&str], nulled: &[(&str, u64)]) {
    let batch = example();
    let mut report = Report::default();
    let resolved = resolve.resolve(&batch, &mut report).unwrap();
    assert_eq!(
        &resolve.plan(&batch.schema()).unwrap(),
        resolved.schema().as_ref()
    );
    assert_eq!(rows(&resolved), expected);
    let counts: Vec<(&str, u64)> = report
        .nulled
        .iter()
        .map(|(k, v)| (k.as_str(), *v))
        .collect();
    assert_eq!(counts, nulled);
    if !resolved.schema().fields().iter().any(|it| has_choice(it)) {
        assert_eq!(to_ddl(&resolved.schema()).unwrap(), schema);
    }
}

fn specs(specs: &[(&str, &str)]) -> ResolveChoice {
    let specs = specs
        .iter()
        .map(|(path, action)| (path.parse().unwrap(), action.parse().unwrap()))
        .collect();
    ResolveChoice::by_specs(specs)
}

#[test]
fn cast_brings_all_values_into_one_type() {
    check(
        &specs(&[("a", "cast:string"), ("l[]", "cast:int")]),
        "id BIGINT NOT NULL, a STRING, l ARRAY<INT>",
        &[
            r#"{"id":1,"a":"7","l":[1,null,null]}"#,
            r#"{"id":2,"a":" 8 ","l":[]}"#,
            r#"{"id":3,"a":"{\"x\":9}"}"#,
            r#"{"id":4}"#,
            r#"{"id":5,"a":"eight"}"#,
        ],
        &[("l[]", 1)],
    );
}

#[test]
fn a_cast_that_fails_is_null_and_counted() {
    let types = [DataType::Int64, DataType::Utf8];
    let schema = Schema::new(vec![choice_field("a", &types)]);
    let batch = batch_with(
        &schema,
        &[
            r#"{"a":{"long":7}}"#,
            r#"{"a":{"string":" 8 "}}"#,
            r#"{"a":{"string":"x"}}"#,
            "{}",
        ],
    );
    let mut report = Report::default();
    let resolve = ResolveChoice::all("cast:decimal(5,1)".parse().unwrap());
    let resolved = resolve.resolve(&batch, &mut report).unwrap();
    assert_eq!(
        rows(&resolved),
        [r#"{"a":7.0}"#, r#"{"a":8.0}"#, "{}", "{}"]
    );
    assert_eq!(report.nulled["a"], 1);
}

#[test]
fn project_keeps_the_values_of_one_type() {
    check(
        &specs(&[("a", "project:struct"), ("l", "project:bigint")]),
        "id BIGINT NOT NULL, a STRUCT<x: INT>, l ARRAY<BIGINT>",
        &[
            r#"{"id":1,"l":[1,null,null]}"#,
            r#"{"id":2,"l":[]}"#,
            r#"{"id":3,"a":{"x":9}}"#,
            r#"{"id":4}"#,
            r#"{"id":5}"#,
        ],
        &[("a", 3), ("l[]", 1)],
    );
}

#[test]
fn make_cols_makes_a_column_for_each_type() {
    check(
        &specs(&[("a", "make_cols"), ("l[]", "make_struct")]),
        "id BIGINT NOT NULL, a_long BIGINT, a_string STRING, a_struct STRUCT<x: INT>, \
         l ARRAY<STRUCT<long: BIGINT, string: STRING>>",
        &[
            r#"{"id":1,"a_long":7,"l":[{"long":1},{"string":"x"},null]}"#,
            r#"{"id":2,"a_string":" 8 ","l":[]}"#,
            r#"{"id":3,"a_struct":{"x":9}}"#,
            r#"{"id":4}"#,
            r#"{"id":5,"a_string":"eight"}"#,
        ],
        &[],
    );
}

#[test]
fn make_struct_resolves_all_and_loses_nothing() {
    let resolve = ResolveChoice::all(Action::MakeStruct);
    let batch = example();
    let resolved = resolve.resolve(&batch, &mut Report::default()).unwrap();
    assert!(resolved.schema().fields().iter().all(|it| !has_choice(it)));
    assert_eq!(rows(&resolved), rows(&batch));
}

#[test]
fn the_catalog_says_what_choices_become() {
    // Glue's names are in lower case, and its columns in an order of their own.
    let catalog = parse_ddl("L ARRAY<INT>, A STRING, id STRING").unwrap();
    let resolve = ResolveChoice::parse(&["match_catalog"]).unwrap();
    assert!(resolve.matches_catalog());
    check(
        &resolve.with_catalog(catalog),
        "id BIGINT NOT NULL, a STRING, l ARRAY<INT>",
        &[
            r#"{"id":1,"a":"7","l":[1,null,null]}"#,
            r#"{"id":2,"a":" 8 ","l":[]}"#,
            r#"{"id":3,"a":"{\"x\":9}"}"#,
            r#"{"id":4}"#,
            r#"{"id":5,"a":"eight"}"#,
        ],
        &[("l[]", 1)],
    );
}

#[test]
fn columns_not_named_stay() {
    let batch = example();
    let resolved = specs(&[("id", "cast:string")])
        .resolve(&batch, &mut Report::default())
        .unwrap();
    assert_eq!(resolved.column(0).data_type(), &DataType::Utf8);
    assert_eq!(resolved.schema().field(1), batch.schema().field(1));
    assert_eq!(resolved.schema().field(2), batch.schema().field(2));
}

#[track_caller]
fn check_error(resolve: &ResolveChoice, expected: &str) {
    let error = resolve.plan(&example().schema()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_cannot_be_done_is_refused() {
    check_error(
        &specs(&[("b", "make_cols")]),
        "column `b`: there is no such column",
    );
    check_error(
        &specs(&[("l[]", "make_cols")]),
        "column `l[]`: elements of a list cannot become several columns: use `make_struct`",
    );
    check_error(
        &specs(&[("a", "project:date")]),
        "column `a`: is never a date, only long or string or struct",
    );
    assert!("cast".parse::<Action>().is_err());
    assert!("cast:interval".parse::<Action>().is_err());
    check_error(
        &ResolveChoice::all(Action::MatchCatalog),
        "column `a`: there is no table that it could match",
    );
    let catalog = parse_ddl("b STRING").unwrap();
    check_error(
        &specs(&[("a", "match_catalog")]).with_catalog(catalog),
        "column `a`: the table has no such column: say by an action of its own what it becomes",
    );
}
