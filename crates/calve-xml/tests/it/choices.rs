//! Columns with values of several types, and what `resolveChoice` makes of them.

use calve_xml::convert::Convert;
use calve_xml::infer::{Choices, InferSchema};
use calve_xml::resolve_choice::{Report, ResolveChoice};
use calve_xml::schema::ddl::to_ddl;
use calve_xml::schema::glue_json::to_glue_json;
use calve_xml::schema::parse_schema;
use calve_xml::{Error, XmlOptions};
use serde_json::{Value, json};

use super::{input, options, to_json};

/// A struct in the first row, a number in the second, a word in the third.
const MIXED: &str = "<r><row><a><b>1</b></a></row><row><a>2</a></row><row><a>x</a></row><row/></r>";

fn inference(choices: Choices) -> InferSchema {
    InferSchema::new(XmlOptions::new("row")).with_choices(choices)
}

/// Inferred, converted and resolved, the document has these columns and rows, and this many nulls more.
#[track_caller]
fn check(specs: &[&str], text: &str, ddl: &str, rows: &Value, nulled: &Value) {
    let resolve = ResolveChoice::parse(specs).unwrap();
    let inferred = inference(resolve.choices()).run([Ok(input(text))]).unwrap();
    // A schema file keeps the choices.
    let file = to_glue_json(&inferred.schema).unwrap().to_string();
    let schema = parse_schema(&file).unwrap();
    let plan = resolve.plan(&schema).unwrap();
    assert_eq!(to_ddl(&plan).unwrap(), ddl);
    let (mut found, mut report) = (Vec::new(), Report::default());
    let convert = Convert::new(&schema, XmlOptions::new("row")).unwrap();
    let converted = convert
        .with_segment_bytes(7)
        .run([Ok(input(text))], |batch| {
            let batch = resolve.resolve(&batch, &mut report)?;
            assert_eq!(batch.schema().fields(), plan.fields());
            found.extend(to_json(&batch));
            Ok(())
        })
        .unwrap();
    assert_eq!(converted.corrupt_rows, 0);
    assert_eq!(Value::from(found), *rows);
    assert_eq!(json!(report.nulled), *nulled);
}

#[test]
fn values_and_children_in_one_column() {
    check(
        &["make_cols"],
        MIXED,
        "a_long BIGINT, a_string STRING, a_struct STRUCT<b: BIGINT>",
        &json!([{"a_struct": {"b": 1}}, {"a_long": 2}, {"a_string": "x"}, {}]),
        &json!({}),
    );
    check(
        &["make_struct"],
        MIXED,
        "a STRUCT<long: BIGINT, string: STRING, struct: STRUCT<b: BIGINT>>",
        &json!([{"a": {"struct": {"b": 1}}}, {"a": {"long": 2}}, {"a": {"string": "x"}}, {}]),
        &json!({}),
    );
    check(
        &["project:struct"],
        MIXED,
        "a STRUCT<b: BIGINT>",
        &json!([{"a": {"b": 1}}, {}, {}, {}]),
        &json!({"a": 2}),
    );
    check(
        &["cast:long"],
        "<r><row><a>1</a></row><row><a>x</a></row><row><a>007</a></row></r>",
        "a BIGINT",
        &json!([{"a": 1}, {}, {"a": 7}]),
        &json!({"a": 1}),
    );
    check(
        &["project:long"],
        "<r><row><a>1</a></row><row><a>x</a></row><row><a>007</a></row></r>",
        "a BIGINT",
        &json!([{"a": 1}, {}, {}]),
        &json!({"a": 2}),
    );
    check(
        &["cast:string"],
        MIXED,
        "a STRING",
        &json!([{"a": "{\"b\":1}"}, {"a": "2"}, {"a": "x"}, {}]),
        &json!({}),
    );
}

#[test]
fn choices_in_lists_and_structs() {
    let text = "<r><row><s><a>1</a></s><l>1</l><l><b>x</b></l></row>\
                <row><s><a>y</a></s><l>2</l></row></r>";
    check(
        &["s.a:cast:long", "l:make_struct"],
        text,
        "l ARRAY<STRUCT<long: BIGINT, struct: STRUCT<b: STRING>>>, s STRUCT<a: BIGINT>",
        &json!([
            {"l": [{"long": 1}, {"struct": {"b": "x"}}], "s": {"a": 1}},
            {"l": [{"long": 2}], "s": {}},
        ]),
        &json!({"s.a": 1}),
    );
    // What no spec names is as it is without.
    check(
        &["l:project:struct"],
        text,
        "l ARRAY<STRUCT<b: STRING>>, s STRUCT<a: STRING>",
        &json!([
            {"l": [null, {"b": "x"}], "s": {"a": "1"}},
            {"l": [null], "s": {"a": "y"}},
        ]),
        &json!({"l[]": 2}),
    );
}

#[test]
fn dates_and_booleans_are_alternatives() {
    check(
        &["make_cols"],
        "<r><row><v>2024-01-15</v></row><row><v>true</v></row><row><v>1.5</v></row></r>",
        "v_boolean BOOLEAN, v_date DATE, v_double DOUBLE",
        &json!([{"v_date": "2024-01-15"}, {"v_boolean": true}, {"v_double": 1.5}]),
        &json!({}),
    );
}

#[test]
fn attributes_make_a_struct_whose_text_may_be_a_choice() {
    check(
        &["make_cols"],
        "<r><row><a k='1'>2</a></row><row><a>x</a></row></r>",
        "a STRUCT<_VALUE_long: BIGINT, _VALUE_string: STRING, _k: BIGINT>",
        &json!([{"a": {"_VALUE_long": 2, "_k": 1}}, {"a": {"_VALUE_string": "x"}}]),
        &json!({}),
    );
}

#[test]
fn choices_do_not_depend_on_the_order_of_rows() {
    let rows = [
        "<row><a>x</a></row>",
        "<row><a>1</a></row>",
        "<row><a>2.5</a></row>",
        "<row><a><b/></a></row>",
    ];
    let orders = [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0], [2, 0, 3, 1]];
    let schemas: Vec<_> = [5, 1_000_000]
        .into_iter()
        .flat_map(|bytes| {
            orders.map(|order| {
                let text = format!("<r>{}</r>", order.map(|at| rows[at]).concat());
                inference(Choices::All)
                    .with_segment_bytes(bytes)
                    .run([Ok(input(text))])
                    .unwrap()
                    .schema
            })
        })
        .collect();
    assert!(schemas.iter().all(|schema| *schema == schemas[0]));
}

#[test]
fn what_is_no_spec_is_refused() {
    for specs in [
        &["make_columns"][..],
        &["a:b"],
        &[":make_cols"],
        &["make_cols", "a:cast:int"],
    ] {
        assert!(ResolveChoice::parse(specs).is_err(), "{specs:?}");
    }
    let named = ResolveChoice::parse(&["gml:pos:cast:struct<x: int>"]).unwrap();
    assert!(matches!(named.choices(), Choices::At(paths) if paths[0].to_string() == "gml:pos"));
    let missing = ResolveChoice::parse(&["x:make_cols"]).unwrap();
    let schema = parse_schema("a INT").unwrap();
    assert!(matches!(missing.plan(&schema), Err(Error::Column { .. })));
    // Without its alternatives no value fits.
    let choice = parse_schema(
        r#"{"dataType": "struct", "fields": [{"name": "a", "container": {"dataType": "choice",
            "choices": [{"dataType": "long"}, {"dataType": "date"}]}}]}"#,
    )
    .unwrap();
    let text = "<r><row><a>1</a></row><row><a>x</a></row><row><a><b/></a></row><row><a/></row></r>";
    let options = options(|_| {});
    let report = Convert::new(&choice, options)
        .unwrap()
        .run([Ok(input(text))], |_| Ok(()))
        .unwrap();
    assert_eq!((report.rows, report.corrupt_rows), (4, 2));
}
