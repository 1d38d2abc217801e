//! The rescued-data column: what the schema has no place for is kept.

use std::fmt::Write as _;

use calve_xml::convert::Convert;
use calve_xml::input::Input;
use calve_xml::options::{Mode, Namespaces};
use calve_xml::schema::ddl::parse_ddl;
use calve_xml::{Error, XmlOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{convert, options};

fn rescuing(change: impl Fn(&mut XmlOptions)) -> XmlOptions {
    options(|options| {
        options.rescued_data_column = Some("_rescued_data".to_owned());
        change(options);
    })
}

/// The only row becomes this, its rescued data read as JSON, without the document's name.
#[track_caller]
fn check(ddl: &str, row: &str, expected: &Value) {
    check_with(&rescuing(|_| {}), ddl, row, expected);
}

#[track_caller]
fn check_with(options: &XmlOptions, ddl: &str, row: &str, expected: &Value) {
    let schema = parse_ddl(ddl).unwrap();
    let text = format!("<r>{row}</r>");
    let (mut rows, report) = convert(text.as_bytes(), &schema, options).unwrap();
    assert_eq!((rows.len(), report.corrupt_rows), (1, 0));
    assert_eq!(report.unknown.len(), 0);
    let rescued = rows[0].as_object_mut().unwrap().remove("_rescued_data");
    assert_eq!(u64::from(rescued.is_some()), report.rescued_rows);
    if let Some(rescued) = rescued {
        let mut rescued: Value = serde_json::from_str(rescued.as_str().unwrap()).unwrap();
        let file = rescued.as_object_mut().unwrap().remove("_file_path");
        assert_eq!(file, Some(json!("test.xml")));
        rows[0]["rescued"] = rescued;
    }
    assert_eq!(rows[0], *expected, "{row}");
}

#[test]
fn values_that_do_not_fit() {
    check("n INT", "<row><n>1</n></row>", &json!({"n": 1}));
    check(
        "n INT, s STRING",
        "<row><n> x </n><s>y</s></row>",
        &json!({"s": "y", "rescued": {"n": "x"}}),
    );
    check(
        "n INT",
        "<row><n>3000000000</n></row>",
        &json!({"rescued": {"n": "3000000000"}}),
    );
    check(
        "n INT",
        "<row><n>1</n><n>2</n><n>3</n></row>",
        &json!({"n": 1, "rescued": {"n": ["2", "3"]}}),
    );
    check(
        "n INT, s STRUCT<a: INT>",
        "<row><n u='m'>1</n><s><a>1</a></s><s><a>2</a><a>3</a></s></row>",
        &json!({"n": 1, "s": {"a": 1}, "rescued": {"n._u": "m", "s": {"a": ["2", "3"]}}}),
    );
    check(
        "n INT",
        "<row><n u='m'>1<!-- -->2<b>x &lt; y</b></n></row>",
        &json!({"rescued": {"n": {"_VALUE": "12", "_u": "m", "b": "x < y"}}}),
    );
    check(
        "n INT",
        "<row><n u='m'><!-- no children -->12</n></row>",
        &json!({"n": 12, "rescued": {"n._u": "m"}}),
    );
    check(
        "s STRUCT<a: INT>",
        "<row><s>text</s></row>",
        &json!({"s": {}, "rescued": {"s._VALUE": "text"}}),
    );
    check(
        "s STRING",
        "<row><s k='1'>a <i>b</i></s></row>",
        &json!({"s": "a <i>b</i>", "rescued": {"s._k": "1"}}),
    );
}

#[test]
fn what_no_column_takes() {
    check(
        "n INT",
        "<row id='7'>before<n>1</n> after <u/><v><w>1</w>&amp;<w k='2'>3</w></v></row>",
        &json!({"n": 1, "rescued": {
            "_id": "7",
            "_VALUE": ["before", "after"],
            "u": "",
            "v": {"w": ["1", {"_VALUE": "3", "_k": "2"}], "_VALUE": "&"},
        }}),
    );
    check(
        "s STRUCT<a: INT>",
        "<row><s b='1'><a>1</a><c>2</c></s></row>",
        &json!({"s": {"a": 1}, "rescued": {"s._b": "1", "s.c": "2"}}),
    );
    // An element that is called like the column is data, too.
    check(
        "n INT, _rescued_data STRING",
        "<row><_rescued_data>x</_rescued_data></row>",
        &json!({"rescued": {"_rescued_data": "x"}}),
    );
    let namespaces = rescuing(|options| options.namespaces = Namespaces::Expand);
    check_with(
        &namespaces,
        "n INT",
        "<row xmlns:p='urn:p'><p:a p:b='1'><p:c/></p:a></row>",
        &json!({"rescued": {"{urn:p}a": {"_{urn:p}b": "1", "{urn:p}c": ""}}}),
    );
}

#[test]
fn positions_in_lists_and_keys_of_maps() {
    check(
        "n ARRAY<INT>",
        "<row><n>1</n><n>x</n><n>3</n><n>y</n></row>",
        &json!({"n": [1, null, 3, null], "rescued": {"n[1]": "x", "n[3]": "y"}}),
    );
    check(
        "i ARRAY<STRUCT<p: INT, q: ARRAY<STRUCT<r: INT>>>>",
        "<row><i><p>1</p></i><i><p>x</p><q><r>1</r></q><q><r>y</r><z>2</z></q></i></row>",
        &json!({
            "i": [{"p": 1}, {"q": [{"r": 1}, {}]}],
            "rescued": {"i[1].p": "x", "i[1].q[1].r": "y", "i[1].q[1].z": "2"},
        }),
    );
    check(
        "m MAP<STRING, INT>",
        "<row><m k='1' l='x'><a>2</a><b>y</b><a>3</a></m></row>",
        &json!({
            "m": {"_k": 1, "a": 2},
            "rescued": {"m._l": "x", "m.b": "y", "m.a": "3"},
        }),
    );
    check(
        "m MAP<STRING, STRUCT<v: INT>>",
        "<row><m><a><v>1</v></a><b><v>x</v></b></m></row>",
        &json!({"m": {"a": {"v": 1}, "b": {}}, "rescued": {"m.b.v": "x"}}),
    );
}

#[test]
fn only_malformed_rows_are_bad_rows() {
    let text = b"<r><row><n>x</n></row><row><n>1</row><row><n>2</n></row></r>";
    let schema = parse_ddl("n INT").unwrap();
    let (rows, report) = convert(text, &schema, &rescuing(|_| {})).unwrap();
    assert_eq!((report.corrupt_rows, report.rescued_rows), (1, 2));
    let rescued: Vec<_> = rows.iter().map(|row| &row["_rescued_data"]).collect();
    assert_eq!(
        rescued,
        [
            r#"{"n":"x","_file_path":"test.xml"}"#,
            r#"{"_corrupt_record":"<row><n>1</row>","_file_path":"test.xml"}"#,
        ]
        .map(|text| json!(text))
        .iter()
        .chain([&Value::Null])
        .collect::<Vec<_>>()
    );
    let dropping = rescuing(|options| options.mode = Mode::DropMalformed);
    let (rows, report) = convert(text, &schema, &dropping).unwrap();
    assert_eq!((rows.len(), report.dropped_rows), (2, 1));
    let failing = rescuing(|options| options.mode = Mode::FailFast);
    let values = b"<r><row><n>x</n></row></r>";
    assert!(convert(values, &schema, &failing).is_ok());
    assert!(convert(text, &schema, &failing).is_err());
    let wrong = parse_ddl("_rescued_data INT").unwrap();
    assert!(matches!(
        Convert::new(&wrong, rescuing(|_| {})),
        Err(Error::Column { .. })
    ));
}

/// An element: its name, whether it has an attribute, its text (a number or a word), its children.
#[derive(Debug, Clone)]
struct Element {
    name: &'static str,
    attribute: bool,
    text: Option<bool>,
    children: Vec<Self>,
}

fn element() -> impl Strategy<Value = Element> {
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    let text = prop::option::of(any::<bool>());
    let leaf =
        (name.clone(), any::<bool>(), text.clone()).prop_map(|(name, attribute, text)| Element {
            name,
            attribute,
            text,
            children: Vec::new(),
        });
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let children = prop::collection::vec(inner, 0..4);
        (name.clone(), any::<bool>(), text.clone(), children).prop_map(
            |(name, attribute, text, children)| Element {
                name,
                attribute,
                text,
                children,
            },
        )
    })
}

/// Writes an element, each of its values once in the whole document.
fn write_element(element: &Element, text: &mut String, tokens: &mut Vec<String>) {
    let mut token = |is_number: bool| {
        let number = 1_000 + tokens.len();
        let token = if is_number {
            number.to_string()
        } else {
            format!("w{number}")
        };
        tokens.push(token.clone());
        token
    };
    let _ = write!(text, "<{}", element.name);
    if element.attribute {
        let _ = write!(text, " k='{}'", token(true));
    }
    text.push('>');
    if let Some(is_number) = element.text {
        text.push_str(&token(is_number));
    }
    for child in &element.children {
        write_element(child, text, tokens);
    }
    let _ = write!(text, "</{}>", element.name);
}

proptest! {
    #[test]
    fn nothing_is_lost(
        rows in prop::collection::vec(prop::collection::vec(element(), 0..5), 1..4),
        ddl in prop::sample::select(vec![
            "a INT",
            "a ARRAY<INT>, b STRING",
            "a STRUCT<_k: INT, b: INT, _VALUE: INT>, c ARRAY<STRUCT<a: INT, d: ARRAY<BIGINT>>>",
            "b STRUCT<b: STRUCT<b: STRING>>, d STRING, _VALUE STRING",
            "a MAP<STRING, INT>, b MAP<STRING, STRUCT<a: INT>>",
            "xs_any ARRAY<STRING>, a INT",
        ]),
        segment_bytes in 1..200_usize,
    ) {
        let (mut text, mut tokens) = (String::from("<r>"), Vec::new());
        for row in &rows {
            text.push_str("<row>");
            for element in row {
                write_element(element, &mut text, &mut tokens);
            }
            text.push_str("</row>");
        }
        text.push_str("</r>");
        let mut kept = String::new();
        let convert = Convert::new(&parse_ddl(ddl).unwrap(), rescuing(|_| {})).unwrap();
        let report = convert.with_segment_bytes(segment_bytes).run(
            [Ok(Input::new("t.xml", std::io::Cursor::new(text.clone().into_bytes())))],
            |batch| {
                kept.push_str(&super::to_lines(&batch));
                Ok(())
            },
        ).unwrap();
        prop_assert_eq!(report.rows, rows.len() as u64);
        prop_assert_eq!(report.corrupt_rows, 0);
        for token in tokens {
            let found = kept.matches(token.trim_start_matches('w')).count();
            prop_assert_eq!(found, 1, "{} of {} in {}", token, text, kept);
        }
    }
}
