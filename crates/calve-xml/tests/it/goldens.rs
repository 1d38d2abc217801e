//! The inputs for which Spark 4 states what it infers and reads. Where calve differs, the case says
//! so.

use calve_xml::XmlOptions;
use calve_xml::infer::InferSchema;
use calve_xml::schema::ddl::{parse_ddl, to_ddl};
use serde_json::{Value, json};

use super::{convert, input, options, plain};

/// Infers the schema of these rows, and reads them by it.
#[track_caller]
fn check(rows: &[&str], options: &XmlOptions, ddl: &str, expected: &Value) {
    check_with(
        &InferSchema::new(options.clone()),
        rows,
        options,
        ddl,
        expected,
    );
}

#[track_caller]
fn check_with(
    infer: &InferSchema,
    rows: &[&str],
    options: &XmlOptions,
    ddl: &str,
    expected: &Value,
) {
    let text = format!("<rows>{}</rows>", rows.concat());
    let inferred = infer.run([Ok(input(text.as_str()))]).unwrap();
    let schema = plain(&inferred.schema);
    assert_eq!(
        schema,
        plain(&parse_ddl(ddl).unwrap()),
        "{}",
        to_ddl(&schema).unwrap()
    );
    // The order of rows has no say.
    let reversed: Vec<&str> = rows.iter().rev().copied().collect();
    let text_reversed = format!("<rows>{}</rows>", reversed.concat());
    assert_eq!(
        infer.run([Ok(input(text_reversed))]).unwrap().schema,
        inferred.schema
    );
    let (found, _) = convert(text.as_bytes(), &inferred.schema, options).unwrap();
    assert_eq!(Value::Array(found), *expected);
}

fn defaults() -> XmlOptions {
    options(|_| {})
}

/// `nullValue` is the empty string.
fn empty_is_null() -> XmlOptions {
    options(|options| options.null_value = Some(String::new()))
}

#[test]
fn conflicts_between_values() {
    check(
        &[
            "<row><long>11</long><double/><mixed>1.1</mixed><bool>true</bool><string>13.1</string></row>",
            "<row><long/><double>21474836470.9</double><mixed/><bool>12</bool><string/></row>",
            "<row><long>21474836470</long><double>92233720368547758070</double><mixed>100</mixed><bool>false</bool><string>s</string></row>",
        ],
        &empty_is_null(),
        "bool STRING, double DOUBLE, long BIGINT, mixed DOUBLE, string STRING",
        &json!([
            {"bool": "true", "long": 11, "mixed": 1.1, "string": "13.1"},
            {"bool": "12", "double": 21_474_836_470.9},
            {"bool": "false", "double": 92_233_720_368_547_758_070.0, "long": 21_474_836_470_i64, "mixed": 100.0, "string": "s"},
        ]),
    );
}

#[test]
fn conflicts_between_values_and_children() {
    check(
        &[
            "<row><either>11</either><strings>1</strings><strings>2</strings><longs></longs><struct></struct></row>",
            "<row><either>\n <field>false</field>\n</either><strings/><longs/><struct/></row>",
            "<row><either/><strings>str</strings><longs>4</longs><longs>5</longs><struct><field/></struct></row>",
            "<row><either></either><longs>7</longs><struct><field>str</field></struct></row>",
        ],
        &empty_is_null(),
        "either STRING, longs ARRAY<BIGINT>, strings ARRAY<STRING>, struct STRUCT<field: STRING>",
        &json!([
            {"either": "11", "longs": [null], "strings": ["1", "2"], "struct": {}},
            {"either": "<field>false</field>", "longs": [null], "strings": [null], "struct": {}},
            {"longs": [4, 5], "strings": ["str"], "struct": {}},
            {"longs": [7], "struct": {"field": "str"}},
        ]),
    );
}

#[test]
fn conflicts_between_items() {
    // Spark writes `<a></a>` for `<a/>`; here raw XML is what stands in the document.
    check(
        &[
            "<row><mixed><e>1</e><e>1.1</e><e>true</e><e/><e> <a/> </e></mixed><mixed><e><a><e>2</e></a></e></mixed><longs><f>1</f></longs><longs><f>2</f></longs></row>",
            "<row><either><f>str</f></either><either><f>1</f></either></row>",
            "<row><either>1</either><either>2</either></row>",
        ],
        &empty_is_null(),
        "either ARRAY<STRING>, longs ARRAY<STRUCT<f: BIGINT>>, mixed ARRAY<STRUCT<e: ARRAY<STRING>>>",
        &json!([
            {"longs": [{"f": 1}, {"f": 2}], "mixed": [{"e": ["1", "1.1", "true", null, "<a/>"]}, {"e": ["<a><e>2</e></a>"]}]},
            {"either": ["<f>str</f>", "<f>1</f>"]},
            {"either": ["1", "2"]},
        ]),
    );
}

#[test]
fn missing_elements() {
    check(
        &[
            "<row><a>true</a></row>",
            "<row><b>21474836470</b></row>",
            "<row><c>33</c><c>44</c></row>",
            "<row><d><field>true</field></d></row>",
            "<row><e>str</e></row>",
        ],
        &defaults(),
        "a BOOLEAN, b BIGINT, c ARRAY<BIGINT>, d STRUCT<field: BOOLEAN>, e STRING",
        &json!([
            {"a": true},
            {"b": 21_474_836_470_i64},
            {"c": [33, 44]},
            {"d": {"field": true}},
            {"e": "str"},
        ]),
    );
}

#[test]
fn decimals_where_they_are_preferred() {
    // Spark takes the least of all longs for a decimal (it parses the digits without the sign); here it
    // is the long that it is.
    let options = defaults();
    check_with(
        &InferSchema::new(options.clone()).with_prefers_decimal(true),
        &[
            "<row><big>92233720368547758070</big><bigs>922337203685477580700</bigs><bigs>-922337203685477580800</bigs>\
           <doubles>1.2</doubles><doubles>4.9E-324</doubles><longs>9223372036854775807</longs><longs>-9223372036854775808</longs>\
           <mixed>1</mixed><mixed>1.1</mixed><price>10.25</price></row>",
        ],
        &options,
        "big DECIMAL(20,0), bigs ARRAY<DECIMAL(21,0)>, doubles ARRAY<DOUBLE>, longs ARRAY<BIGINT>, mixed ARRAY<DECIMAL(21,1)>, price DECIMAL(4,2)",
        &json!([{
            "big": 92_233_720_368_547_758_070.0, "bigs": [922_337_203_685_477_580_700.0, -922_337_203_685_477_580_800.0],
            "doubles": [1.2, 5e-324], "longs": [i64::MAX, i64::MIN], "mixed": [1.0, 1.1], "price": 10.25,
        }]),
    );
}

#[test]
fn lists_of_structs_of_lists() {
    check(
        &["<row>\
           <one><list><item>5</item></list></one><one><list><item>6</item><item>7</item></list><list><item>8</item></list></one>\
           <two><list><item><a>s</a></item></list></two>\
           <two><list/><list><item><b>3</b><b>x</b></item><item><b>4</b><a>t</a></item></list></two>\
           <two><list><item><c><d>2</d><d>3</d></c><c/></item></list></two></row>"],
        &defaults(),
        "one ARRAY<STRUCT<list: ARRAY<STRUCT<item: ARRAY<BIGINT>>>>>, \
         two ARRAY<STRUCT<list: ARRAY<STRUCT<item: ARRAY<STRUCT<a: STRING, b: ARRAY<STRING>, c: ARRAY<STRUCT<d: ARRAY<BIGINT>>>>>>>>>",
        &json!([{
            "one": [{"list": [{"item": [5]}]}, {"list": [{"item": [6, 7]}, {"item": [8]}]}],
            "two": [
                {"list": [{"item": [{"a": "s"}]}]},
                {"list": [{}, {"item": [{"b": ["3", "x"]}, {"a": "t", "b": ["4"]}]}]},
                {"list": [{"item": [{"c": [{"d": [2, 3]}, {}]}]}]},
            ],
        }]),
    );
}

#[test]
fn empty_structs() {
    check(
        &[
            "<row><null></null><ip>27.31.100.29</ip><headers><Host>a.b</Host><Charset>UTF-8</Charset></headers></row>",
            "<row><null/><ip>27.31.100.29</ip><headers/></row>",
            "<row><null> </null><ip>27.31.100.29</ip><headers></headers></row>",
        ],
        &defaults(),
        "headers STRUCT<Charset: STRING, Host: STRING>, ip STRING, null STRING",
        &json!([
            {"headers": {"Charset": "UTF-8", "Host": "a.b"}, "ip": "27.31.100.29", "null": ""},
            {"headers": {}, "ip": "27.31.100.29", "null": ""},
            {"headers": {}, "ip": "27.31.100.29", "null": ""},
        ]),
    );
    check(
        &[
            "<row><a><s></s></a></row>",
            "<row><a><s><b><c/></b></s></a></row>",
            "<row><b><item><c><s></s></c></item><item/></b></row>",
        ],
        &defaults(),
        "a STRUCT<s: STRUCT<b: STRUCT<c: STRING>>>, b STRUCT<item: ARRAY<STRUCT<c: STRUCT<s: STRING>>>>",
        &json!([
            {"a": {"s": {}}},
            {"a": {"s": {"b": {"c": ""}}}},
            {"b": {"item": [{"c": {"s": ""}}, {}]}},
        ]),
    );
}

#[test]
fn nulls_in_lists() {
    check(
        &[
            "<row><x><a><b>v1</b><b>v2</b></a><a/></x><x/></row>",
            "<row><y/><y><a><t>1</t></a><a/></y></row>",
            "<row><x/><x><a/></x><y/></row>",
        ],
        &defaults(),
        "x ARRAY<STRUCT<a: ARRAY<STRUCT<b: ARRAY<STRING>>>>>, y ARRAY<STRUCT<a: ARRAY<STRUCT<t: BIGINT>>>>",
        &json!([
            {"x": [{"a": [{"b": ["v1", "v2"]}, {}]}, {}]},
            {"y": [{}, {"a": [{"t": 1}, {}]}]},
            {"x": [{}, {"a": [{}]}], "y": [{}]},
        ]),
    );
}

#[test]
fn text_around_children() {
    check(
        &[
            "<row>\n  13.1\n  <a>\n 11 <b> true <c>1</c></b></a> string </row>",
            "<row> string <a> 21474836470 <b> false <c>2</c></b></a> true </row>",
            "<row><a><b> 12 <c>3</c></b></a> 92233720368547758070 </row>",
        ],
        &defaults(),
        "_VALUE ARRAY<STRING>, a STRUCT<_VALUE: BIGINT, b: STRUCT<_VALUE: STRING, c: BIGINT>>",
        &json!([
            {"_VALUE": ["13.1", "string"], "a": {"_VALUE": 11, "b": {"_VALUE": "true", "c": 1}}},
            {"_VALUE": ["string", "true"], "a": {"_VALUE": 21_474_836_470_i64, "b": {"_VALUE": "false", "c": 2}}},
            {"_VALUE": ["92233720368547758070"], "a": {"b": {"_VALUE": "12", "c": 3}}},
        ]),
    );
    check(
        &[
            "<row>value1<a>value2<b>3<c>1</c></b>value4</a>value5</row>",
            "<row>value1<a>value2<b>3</b>value4</a></row>",
        ],
        &defaults(),
        "_VALUE ARRAY<STRING>, a STRUCT<_VALUE: ARRAY<STRING>, b: STRUCT<_VALUE: BIGINT, c: BIGINT>>",
        &json!([
            {"_VALUE": ["value1", "value5"], "a": {"_VALUE": ["value2", "value4"], "b": {"_VALUE": 3, "c": 1}}},
            {"_VALUE": ["value1"], "a": {"_VALUE": ["value2", "value4"], "b": {"_VALUE": 3}}},
        ]),
    );
}

#[test]
fn white_space_around_children() {
    let rows = [
        "<row>\n str1\n <a>  <b>1</b>\n </a>str2\n</row>",
        "<row> <a><b/> value</a></row>",
        "<row><a><b>3</b> </a> </row>",
    ];
    let ddl = "_VALUE ARRAY<STRING>, a STRUCT<_VALUE: STRING, b: BIGINT>";
    check(
        &rows,
        &defaults(),
        ddl,
        &json!([
            {"_VALUE": ["str1", "str2"], "a": {"b": 1}},
            {"a": {"_VALUE": "value"}},
            {"a": {"b": 3}},
        ]),
    );
    check(
        &rows,
        &options(|options| options.ignore_surrounding_spaces = false),
        ddl,
        &json!([
            {"_VALUE": ["\n str1\n ", "str2\n"], "a": {"b": 1}},
            {"a": {"_VALUE": " value"}},
            {"a": {"b": 3}},
        ]),
    );
}

#[test]
fn comments_do_not_split_text() {
    // Spark makes two values of text with a comment between; for XML it is one text.
    check(
        &["<row><a>12<!-- x -->3</a><b><!-- x --></b><c>s <!-- x --> t <d/></c></row>"],
        &defaults(),
        "a BIGINT, b STRING, c STRUCT<_VALUE: STRING, d: STRING>",
        &json!([{"a": 123, "b": "", "c": {"_VALUE": "s  t", "d": ""}}]),
    );
    check(
        &["<row><!-- x --><a><!-- x --></a><a attr='1'><!-- x --> <!-- y --></a> 2 </row>"],
        &defaults(),
        "_VALUE BIGINT, a ARRAY<STRUCT<_attr: BIGINT>>",
        &json!([{"_VALUE": 2, "a": [{}, {"_attr": 1}]}]),
    );
}

#[test]
fn sections_of_characters_are_text() {
    check(
        &[
            "<row><![CDATA[a <b> c]]><a>\n <![CDATA[d <e>]]>\n <![CDATA[f]]> <b>1</b> <![CDATA[g &amp;]]>\n <b>2</b></a></row>",
        ],
        &defaults(),
        "_VALUE STRING, a STRUCT<_VALUE: ARRAY<STRING>, b: ARRAY<BIGINT>>",
        &json!([{"_VALUE": "a <b> c", "a": {"_VALUE": ["d <e>\n f", "g &amp;"], "b": [1, 2]}}]),
    );
}

#[test]
fn a_child_named_as_the_value_tag() {
    check(
        &["<row><a>1</a> 2 </row>"],
        &options(|options| options.value_tag = "a".to_owned()),
        "a ARRAY<BIGINT>",
        &json!([{"a": [1, 2]}]),
    );
}

#[test]
fn the_null_value_does_not_change_types() {
    check(
        &["<row> 1 </row>"],
        &options(|options| options.null_value = Some("1".to_owned())),
        "_VALUE BIGINT",
        &json!([{}]),
    );
    // Unlike in Spark, a text that could only be a string does not make its column one.
    check(
        &["<row><n>1</n></row>", "<row><n>N/A</n></row>"],
        &options(|options| options.null_value = Some("N/A".to_owned())),
        "n BIGINT",
        &json!([{"n": 1}, {}]),
    );
}

#[test]
fn times_and_dates() {
    check(
        &[
            "<row><t>13:31:24.123456</t><d>2024-01-15</d><z>2024-01-15T13:31:24</z></row>",
            "<row><d>2024-01-16T00:00:01Z</d></row>",
        ],
        &defaults(),
        "d TIMESTAMP, t TIME, z TIMESTAMP",
        &json!([
            {"d": "2024-01-15T00:00:00Z", "t": "13:31:24.123456", "z": "2024-01-15T13:31:24Z"},
            {"d": "2024-01-16T00:00:01Z"},
        ]),
    );
    check(
        &["<row><t>13:31:24</t></row>", "<row><t>2024-01-15</t></row>"],
        &defaults(),
        "t STRING",
        &json!([{"t": "13:31:24"}, {"t": "2024-01-15"}]),
    );
}

#[test]
fn values_in_some_rows_and_attributes_in_others() {
    // Spark makes strings of these, and loses the attributes.
    check(
        &[
            "<row><a x='1'/></row>",
            "<row><a>5</a></row>",
            "<row><a x='2'>6</a></row>",
        ],
        &defaults(),
        "a STRUCT<_VALUE: BIGINT, _x: BIGINT>",
        &json!([{"a": {"_x": 1}}, {"a": {"_VALUE": 5}}, {"a": {"_VALUE": 6, "_x": 2}}]),
    );
}

#[test]
fn names_that_differ_by_case_only() {
    // Spark makes one column of them, or two that its own tables refuse.
    check(
        &["<row><a>1</a><A>x</A><n value='7'>8</n></row>"],
        &defaults(),
        "A STRING, a_2 BIGINT, n STRUCT<_VALUE: BIGINT, _value_2: BIGINT>",
        &json!([{"A": "x", "a_2": 1, "n": {"_VALUE": 8, "_value_2": 7}}]),
    );
}
