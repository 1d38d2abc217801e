//! What the options do.

use std::sync::Arc;

use calve_xml::convert::Convert;
use calve_xml::infer::{InferSchema, MixedTypes, Note};
use calve_xml::options::{Mode, Namespaces};
use calve_xml::schema::ddl::{parse_ddl, to_ddl};
use calve_xml::schema::hints::Hints;
use calve_xml::{Error, XmlOptions};
use serde_json::{Value, json};

use super::{Buffer, convert, infer, input, options, plain, to_json};

#[track_caller]
fn check_inferred(infer: &InferSchema, text: &str, ddl: &str) {
    let schema = plain(&infer.run([Ok(input(text))]).unwrap().schema);
    assert_eq!(
        schema,
        plain(&parse_ddl(ddl).unwrap()),
        "{}",
        to_ddl(&schema).unwrap()
    );
}

fn inference() -> InferSchema {
    InferSchema::new(XmlOptions::new("row"))
}

#[test]
fn inference_can_be_told_what_types_to_see() {
    let text = "<r><row><zip>00501</zip><price>1.50</price><at>2024-01-15T10:00:00</at><on>2024-01-15</on></row></r>";
    check_inferred(
        &inference(),
        text,
        "at TIMESTAMP, on DATE, price DOUBLE, zip BIGINT",
    );
    check_inferred(
        &inference().with_infer_types(false),
        text,
        "at STRING, on STRING, price STRING, zip STRING",
    );
    check_inferred(
        &inference()
            .with_keeps_leading_zeros(true)
            .with_prefers_decimal(true),
        text,
        "at TIMESTAMP, on DATE, price DECIMAL(3,2), zip STRING",
    );
    check_inferred(
        &inference()
            .with_prefers_timestamp_ntz(true)
            .with_prefers_date(false),
        text,
        "at TIMESTAMP_NTZ, on TIMESTAMP_NTZ, price DOUBLE, zip BIGINT",
    );
    let hints = Hints::new()
        .with_type("price=decimal(12,2)")
        .unwrap()
        .with_array("on")
        .unwrap();
    check_inferred(
        &inference().with_hints(hints),
        text,
        "at TIMESTAMP, on ARRAY<DATE>, price DECIMAL(12,2), zip BIGINT",
    );
}

#[test]
fn a_sample_is_the_first_rows() {
    let text = "<r><row><a>1</a></row><row><a>2</a></row><row><a>x</a><b/></row></r>";
    let sampled = inference()
        .with_sample_rows(2)
        .run([Ok(input(text))])
        .unwrap();
    assert_eq!(to_ddl(&sampled.schema).unwrap(), "a BIGINT");
    assert_eq!(sampled.rows, 2);
    check_inferred(&inference().with_sample_rows(9), text, "a STRING, b STRING");
}

#[test]
fn values_and_children_in_one_column() {
    let text = "<r><row><a>1</a></row><row><a><b>2</b></a></row></r>";
    check_inferred(&inference(), text, "a STRING");
    check_inferred(
        &inference().with_mixed_types(MixedTypes::ValueTag),
        text,
        "a STRUCT<_VALUE: BIGINT, b: BIGINT>",
    );
    let inferred = inference().run([Ok(input(text))]).unwrap();
    let note = Note::MixedTypes {
        column: "a".to_owned(),
        is_raw_xml: true,
    };
    assert_eq!(inferred.notes, [note]);
}

/// The column holds all of these, and a note says so: whatever the text is cut into.
#[track_caller]
fn check_merged(options: &XmlOptions, text: &str, schema: &str, column: &str, expected: &str) {
    for bytes in [1, 1 << 20] {
        let infer = InferSchema::new(options.clone()).with_segment_bytes(bytes);
        let inferred = infer.run([Ok(input(text))]).unwrap();
        assert_eq!(to_ddl(&inferred.schema).unwrap(), schema, "{text}");
        let note = Note::Merged {
            column: column.to_owned(),
            of: expected.to_owned(),
        };
        let merged = |it: &&Note| matches!(it, Note::Merged { .. });
        let notes: Vec<&Note> = inferred.notes.iter().filter(merged).collect();
        assert_eq!(notes, [&note], "{text}");
    }
}

#[test]
fn what_has_one_name_is_told() {
    let keep = options(|_| {});
    check_merged(
        &keep,
        "<r><row k='9'><_k>8</_k></row></r>",
        "_k ARRAY<BIGINT>",
        "_k",
        "an attribute and elements",
    );
    check_merged(
        &keep,
        "<r><row><e VALUE='7'>x</e></row></r>",
        "e STRUCT<_VALUE: ARRAY<STRING>>",
        "e._VALUE",
        "an attribute and text",
    );
    check_merged(
        &keep,
        "<r><row><_VALUE>1</_VALUE></row><row>2</row></r>",
        "_VALUE BIGINT",
        "_VALUE",
        "elements and text",
    );
    // In different rows, one of them malformed.
    check_merged(
        &options(|options| options.attribute_prefix = String::new()),
        "<r><row k='1'/><row><k>1</m></row><row/><row><k>2</k></row></r>",
        "_corrupt_record STRING, k BIGINT",
        "k",
        "an attribute and elements",
    );
    check_merged(
        &options(|options| options.namespaces = Namespaces::Strip),
        "<r><row><a:x>1</a:x><b:x>2</b:x></row></r>",
        "x ARRAY<BIGINT>",
        "x",
        "names of several prefixes",
    );
    let text = "<r xmlns:a='u' xmlns:b='u'><row><a:x>1</a:x><b:x>2</b:x></row></r>";
    let expand = options(|options| options.namespaces = Namespaces::Expand);
    assert_eq!(infer(text, &expand).notes, []);
    let bad = "<r><row k='1'/><row><_k>1</m></row></r>";
    assert_eq!(infer(bad, &keep).notes, [Note::BadRows { rows: 1 }]);
}

#[test]
fn several_documents_have_one_schema() {
    let one = "<r><row><a>1</a></row></r>";
    let other = "<q><row><a>x</a></row><row><b>2024-01-01</b></row></q>";
    let inferred = inference().run([Ok(input(one)), Ok(input(other))]).unwrap();
    assert_eq!((inferred.files, inferred.rows), (2, 3));
    assert_eq!(to_ddl(&inferred.schema).unwrap(), "a STRING, b DATE");
    let again = inference().run([Ok(input(other)), Ok(input(one))]).unwrap();
    assert_eq!(again.schema, inferred.schema);
}

#[test]
fn bad_rows_while_inferring() {
    let text = "<r><row><a>1</a></row><row><z>1</y></row><row><a>2</a></row></r>";
    let inferred = infer(text, &options(|_| {}));
    assert_eq!(
        to_ddl(&inferred.schema).unwrap(),
        "_corrupt_record STRING, a BIGINT"
    );
    assert_eq!(inferred.notes, [Note::BadRows { rows: 1 }]);
    let dropping = options(|options| options.mode = Mode::DropMalformed);
    assert_eq!(to_ddl(&infer(text, &dropping).schema).unwrap(), "a BIGINT");
    let failing = options(|options| options.mode = Mode::FailFast);
    let error = InferSchema::new(failing)
        .run([Ok(input(text))])
        .unwrap_err();
    assert!(
        matches!(&error, Error::BadRow { place, .. } if place.line == 1),
        "{error}"
    );
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "it is written in place")]
fn check_rows(text: &str, options: &XmlOptions, ddl: &str, expected: Value) {
    let (rows, _) = convert(text.as_bytes(), &parse_ddl(ddl).unwrap(), options).unwrap();
    assert_eq!(Value::Array(rows), expected);
}

#[test]
fn namespaces_can_be_expanded() {
    let text = "<r xmlns='urn:d' xmlns:p='urn:p'><row p:k='1' k='2'><p:a>3</p:a><a xmlns=''>4</a><b xmlns:p='urn:q'><p:a>5</p:a></b></row></r>";
    let options = options(|options| options.namespaces = Namespaces::Expand);
    let ddl = "`_{urn:p}k` INT, _k INT, `{urn:p}a` INT, a INT, `{urn:d}b` STRUCT<`{urn:q}a`: INT>";
    check_rows(
        text,
        &options,
        ddl,
        json!([{"_{urn:p}k": 1, "_k": 2, "{urn:p}a": 3, "a": 4, "{urn:d}b": {"{urn:q}a": 5}}]),
    );
}

#[test]
fn rows_can_be_of_a_namespace() {
    let text = "<r xmlns='urn:d/1' xmlns:p='urn:p'><row><a>1</a></row><p:row><a>2</a></p:row><q:row xmlns:q='urn:p'><a>3</a></q:row>\
                <row xmlns=''><a>4</a></row><u:row><a>5</a></u:row></r>";
    let check = |row_tag: &str, expected: &[i64]| {
        let options = options(|options| options.row_tag = row_tag.to_owned());
        let expected = expected.iter().map(|a| json!({"a": a})).collect();
        check_rows(text, &options, "a INT", expected);
    };
    check("row", &[1, 4]);
    check("{urn:d/1}row", &[1]);
    check("{urn:p}row", &[2, 3]);
    check("{}row", &[4, 5]);
    check("{urn:x}row", &[]);
    check("{urn:d/1}r/{urn:p}row", &[2, 3]);
    check("{urn:p}r/{urn:p}row", &[]);
    check("r/{urn:d/1}row", &[1]);
}

#[test]
fn space_can_be_kept_by_the_document() {
    check_rows(
        "<r><row><a xml:space='preserve'> x </a><b> y </b><c xml:space='preserve'><d> z </d><e xml:space='default'> z </e></c></row></r>",
        &options(|_| {}),
        "a STRING, b STRING, c STRUCT<d: STRING, e: STRING>",
        json!([{"a": " x ", "b": "y", "c": {"d": " z ", "e": "z"}}]),
    );
}

#[test]
fn columns_are_found_whatever_the_case_of_their_names() {
    let text = "<r><row Id='1'><Name>x</Name></row></r>";
    check_rows(
        text,
        &options(|_| {}),
        "_id INT, name STRING",
        json!([{"_id": 1, "name": "x"}]),
    );
    let exact = options(|options| options.case_sensitive = true);
    check_rows(text, &exact, "_id INT, Name STRING", json!([{"Name": "x"}]));
    // An exact name goes first.
    check_rows(
        "<r><row><A>1</A><a>2</a></row></r>",
        &options(|_| {}),
        "a INT, A INT",
        json!([{"A": 1, "a": 2}]),
    );
}

#[test]
fn references_and_sections_are_text() {
    check_rows(
        "<!DOCTYPE r [<!ENTITY co 'calve &amp; co'>]><r><row t='&lt;&#65;&gt;'><a>1&#50;</a><b>&co;</b><c>x<![CDATA[<y>]]>z</c><d>&lt;<e/></d></row></r>",
        &options(|_| {}),
        "_t STRING, a INT, b STRING, c STRING, d STRING",
        json!([{"_t": "<A>", "a": 12, "b": "calve & co", "c": "x<y>z", "d": "&lt;<e/>"}]),
    );
}

#[test]
fn rejected_rows_are_written_aside() {
    let text = "<r>\n<row><n>1</n></row>\n<row><n>x</n></row>\n<row><n>2</m></row>\n<row><n>3</n></row>\n</r>";
    let rejects = Buffer::default();
    let schema = parse_ddl("n INT").unwrap();
    let options = options(|options| options.mode = Mode::DropMalformed);
    let convert = Convert::new(&schema, options)
        .unwrap()
        .with_rejects(rejects.clone());
    let report = convert.run([Ok(input(text))], |_| Ok(())).unwrap();
    assert_eq!(
        (report.rows, report.dropped_rows, report.corrupt_rows),
        (2, 2, 0)
    );
    let lines: Vec<Value> = rejects
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["row"], "<row><n>x</n></row>");
    assert_eq!(
        lines[0]["reason"],
        "column `n`: `x` is no whole number of 32 bits"
    );
    assert_eq!(
        (&lines[0]["line"], &lines[0]["file"]),
        (&json!(3), &json!("test.xml"))
    );
    assert_eq!(lines[1]["row"], "<row><n>2</m></row>");
    assert_eq!(lines[1]["line"], 4);
}

#[test]
fn what_no_column_takes_is_counted() {
    let text = "<r><row x='1'>t<a y=''>1</a><b><c/><c/></b></row><row><a y='2'/><b>u<d z=''/></b></row></r>";
    let schema = parse_ddl("a INT, b STRUCT<d: STRING>").unwrap();
    let (rows, report) = convert(text.as_bytes(), &schema, &options(|_| {})).unwrap();
    assert_eq!(rows, [json!({"a": 1, "b": {}}), json!({"b": {"d": ""}})]);
    let expected = [
        ("_VALUE", 1),
        ("_x", 1),
        ("a._y", 2),
        ("b._VALUE", 1),
        ("b.c", 2),
        ("b.d._z", 1),
    ];
    let expected = expected.map(|(path, count)| (path.to_owned(), count));
    assert_eq!(report.unknown, expected.into());
}

#[test]
fn repeated_values_of_a_single_column_are_not_lost_silently() {
    let text = "<r><row><a>1</a><a>2</a></row></r>";
    let ddl = "a INT, _corrupt_record STRING";
    check_rows(
        text,
        &options(|_| {}),
        ddl,
        json!([{"a": 1, "_corrupt_record": "<row><a>1</a><a>2</a></row>"}]),
    );
    let text = "<r><row><s><x/></s><s/></row></r>";
    let ddl = "s STRUCT<x: STRING>, _corrupt_record STRING";
    check_rows(
        text,
        &options(|_| {}),
        ddl,
        json!([{"s": {"x": ""}, "_corrupt_record": "<row><s><x/></s><s/></row>"}]),
    );
}

#[test]
fn types_that_xml_has_not_are_refused() {
    use arrow::datatypes::{DataType, Field, IntervalUnit, Schema};
    let field = Field::new("i", DataType::Interval(IntervalUnit::DayTime), true);
    let error = Convert::new(&Schema::new(vec![field]), XmlOptions::new("row")).unwrap_err();
    assert!(
        matches!(&error, Error::UnsupportedType { column, .. } if column == "i"),
        "{error}"
    );
    let zone = options(|options| options.time_zone = "Mars".to_owned());
    assert!(matches!(
        Convert::new(&parse_ddl("a INT").unwrap(), zone),
        Err(Error::TimeZone { .. })
    ));
}

#[test]
fn batches_come_one_by_one() {
    let text = "<r><row><n>1</n></row><row><n>2</n></row><row><n>3</n></row></r>";
    let schema = parse_ddl("n INT").unwrap();
    let convert = || {
        let convert = Convert::new(&schema, options(|_| {})).unwrap();
        convert.with_segment_bytes(8)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    for pool in [None, Some(Arc::new(pool.unwrap()))] {
        let mut batches = convert().into_batches([Ok(input(text))], pool);
        assert_eq!(*batches.schema().as_ref(), schema);
        assert_eq!(batches.report(), None);
        let rows: Vec<Value> = batches
            .by_ref()
            .flat_map(|batch| to_json(&batch.unwrap()))
            .collect();
        assert_eq!(rows, [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})]);
        assert!(batches.next().is_none());
        assert_eq!(batches.report().unwrap().rows, 3);
    }
    // Whoever has seen enough drops it, and the thread ends.
    let mut batches = convert().into_batches([Ok(input(text))], None);
    batches.next().unwrap().unwrap();
    drop(batches);
    // An error comes once, in its place.
    let fail = options(|options| options.mode = Mode::FailFast);
    let text = "<r><row><n>1</n></row><row><n>x</n></row></r>";
    let convert = Convert::new(&schema, fail).unwrap().with_segment_bytes(8);
    let mut batches = convert.into_batches([Ok(input(text))], None);
    assert_eq!(
        to_json(&batches.next().unwrap().unwrap()),
        [json!({"n": 1})]
    );
    assert!(batches.next().unwrap().is_err());
    assert!(batches.next().is_none());
    assert_eq!(batches.report(), None);
}

#[test]
fn a_sample_is_the_same_however_it_is_read() {
    let rows = (0..2_000).map(|n| format!("<row><c{0}>1</c{0}></row>", n % 400));
    let text = format!("<r>{}</r>", rows.collect::<Vec<_>>().concat());
    let other = "<r><row><z>1</z></row></r>".to_owned();
    let infer = |ratio: f64, segment_bytes: usize, texts: &[&String]| {
        let inference = InferSchema::new(options(|_| {}))
            .with_segment_bytes(segment_bytes)
            .with_sampling_ratio(ratio)
            .unwrap();
        let inputs = texts.iter().map(|text| Ok(input(text.as_str())));
        let inputs: Vec<_> = inputs.collect();
        inference.run(inputs).unwrap()
    };
    let whole = infer(0.1, 1 << 20, &[&text, &other]);
    assert!((100..=320).contains(&whole.rows), "{}", whole.rows);
    for (bytes, texts) in [(64, [&text, &other]), (1000, [&other, &text])] {
        let found = infer(0.1, bytes, &texts);
        assert_eq!((&found.schema, found.rows), (&whole.schema, whole.rows));
    }
    assert_eq!(infer(1.0, 1000, &[&text]).rows, 2_000);
    for ratio in [0.0, -1.0, 1.5, f64::NAN] {
        let refused = InferSchema::new(options(|_| {})).with_sampling_ratio(ratio);
        assert!(matches!(refused, Err(Error::SamplingRatio { .. })));
    }
}
