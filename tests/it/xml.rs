//! `xml infer` and `xml convert`: nested rows to Parquet and into tables.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Sandbox;

/// Descriptions of data sets in the shape of the FGDC's standard: deep, each once a row.
const METADATA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<catalog>
  <metadata>
    <idinfo>
      <citation><citeinfo><origin>USGS</origin><pubdate>20130101</pubdate><title>Lakes &amp; rivers</title></citeinfo></citation>
      <spdom><bounding><westbc>-124.7</westbc><eastbc>-66.9</eastbc></bounding></spdom>
      <keywords><theme><themekey>hydrology</themekey><themekey>lakes</themekey></theme></keywords>
    </idinfo>
  </metadata>
  <!-- <metadata>not a row</metadata> -->
  <metadata>
    <idinfo>
      <citation><citeinfo><origin>NOAA</origin><pubdate>20140615</pubdate><title>Buoys</title></citeinfo></citation>
      <spdom><bounding><westbc>-180</westbc><eastbc>180</eastbc></bounding></spdom>
      <keywords><theme><themekey>ocean</themekey></theme></keywords>
    </idinfo>
  </metadata>
</catalog>
"#;

/// Rows in the shape of Socrata's exports: a row in a row.
const VEHICLES: &str = r#"<response><row>
<row _id="r1" _uuid="u1"><county>King</county><model_year>2019</model_year><zip>00981</zip><base>7.5</base><location><x>-122.3</x><y>47.6</y></location></row>
<row _id="r2" _uuid="u2"><county>Kitsap</county><model_year>2021</model_year><zip>98366</zip><base>9</base></row>
<row _id="r3" _uuid="u3"><county/><model_year>2020</model_year><zip>98101</zip><location><x>-122.4</x><y>47.7</y></location></row>
</row></response>"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("in/metadata.xml", METADATA.as_bytes());
    sandbox.write("vehicles.xml", VEHICLES.as_bytes());
    sandbox
}

#[track_caller]
fn check(sandbox: &Sandbox, query: &str, expected: &Value) {
    assert_eq!(sandbox.json(&["sql", query]), *expected, "{query}");
}

#[test]
fn the_schema_of_nested_rows() {
    let sandbox = sandbox();
    let infer = ["xml", "infer", "in", "--row-tag", "metadata"];
    assert_snapshot!(sandbox.run(&infer), @"
    exit 0
    --- stdout ---
    rows     2
    files    1
    columns  idinfo: STRUCT<citation: STRUCT<citeinfo: STRUCT<origin: STRING, pubdate: BIGINT, title: STRING>>, keywords: STRUCT<theme: STRUCT<themekey: ARRAY<STRING>>>, spdom: STRUCT<bounding: STRUCT<eastbc: DOUBLE, westbc: DOUBLE>>>
    --- stderr ---
    ");
}

#[test]
fn nested_rows_are_queried_with_dots() {
    let sandbox = sandbox();
    let convert = [
        "xml",
        "convert",
        "in",
        "--row-tag",
        "metadata",
        "--table",
        "geo.metadata",
    ];
    assert_snapshot!(sandbox.run(&convert), @"
    exit 0
    --- stdout ---
    input     1 files (797 B)
    rows      2
    rejected  0
    table     geo.metadata (new)
    location  [DIR]/warehouse/geo/metadata
    snapshot  [SNAPSHOT]
    --- stderr ---
    ");
    let query = "SELECT m.idinfo.citation.citeinfo.title AS title, \
                 m.idinfo.spdom.bounding.westbc AS west, \
                 m.idinfo.keywords.theme.themekey AS themekey FROM geo.metadata m ORDER BY 1";
    check(
        &sandbox,
        query,
        &json!([
            {"title": "Buoys", "west": -180.0, "themekey": ["ocean"]},
            {"title": "Lakes & rivers", "west": -124.7, "themekey": ["hydrology", "lakes"]},
        ]),
    );
}

#[test]
fn a_row_in_a_row_by_an_inferred_and_by_a_fixed_schema() {
    let sandbox = sandbox();
    let rows = ["--row-tag", "response/row/row"];
    let convert = [
        "xml",
        "convert",
        "vehicles.xml",
        "--keep-leading-zeros",
        "--out",
        "v.parquet",
    ];
    let report = sandbox.json(&[&convert[..], &rows[..]].concat());
    assert_eq!(report["rows"], 3);
    check(
        &sandbox,
        "SELECT county, model_year, zip, base FROM 'v.parquet' ORDER BY __id",
        &json!([
            {"county": "King", "model_year": 2019, "zip": "00981", "base": 7.5},
            {"county": "Kitsap", "model_year": 2021, "zip": "98366", "base": 9.0},
            {"county": "", "model_year": 2020, "zip": "98101", "base": null},
        ]),
    );
    sandbox.write(
        "schema.ddl",
        b"county STRING, model_year INT, base DECIMAL(4,1)",
    );
    let convert = [
        "xml",
        "convert",
        "vehicles.xml",
        "--schema",
        "schema.ddl",
        "--out",
        "fixed",
    ];
    let report = sandbox.json(&[&convert[..], &rows[..]].concat());
    assert_eq!(report["unknown"]["zip"], 3, "{report:#}");
    check(
        &sandbox,
        "SELECT sum(model_year) AS years, max(base) AS base FROM 'fixed'",
        &json!([{"years": 6060, "base": "9.0"}]),
    );
}

#[test]
fn flat_tables_join_back() {
    let sandbox = sandbox();
    let convert = [
        "xml",
        "convert",
        "in",
        "--row-tag",
        "metadata",
        "--out",
        "flat",
    ];
    let report = sandbox.json(&[&convert[..], &["--relationalize", "root"]].concat());
    let tables: Vec<&Value> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| &file["table"])
        .collect();
    assert_eq!(tables, ["root", "root_idinfo.keywords.theme.themekey"]);
    check(
        &sandbox,
        "SELECT r.\"idinfo.citation.citeinfo.origin\" AS origin, k.index, \
         k.\"idinfo.keywords.theme.themekey.val\" AS word \
         FROM 'flat/root' r JOIN 'flat/root_idinfo.keywords.theme.themekey' k \
         ON r.\"idinfo.keywords.theme.themekey\" = k.id ORDER BY 1, 2",
        &json!([
            {"origin": "NOAA", "index": 0, "word": "ocean"},
            {"origin": "USGS", "index": 0, "word": "hydrology"},
            {"origin": "USGS", "index": 1, "word": "lakes"},
        ]),
    );
}

#[test]
fn a_schema_file_is_a_contract() {
    let sandbox = sandbox();
    sandbox.write("a.xml", b"<r><i><n>1</n></i></r>");
    sandbox.write("b.xml", b"<r><i><n>2</n><m>x</m></i></r>");
    let infer = [
        "xml",
        "infer",
        "a.xml",
        "--row-tag",
        "i",
        "--schema-out",
        "s.json",
    ];
    sandbox.json(&infer);
    let convert = [
        "xml",
        "convert",
        "b.xml",
        "--row-tag",
        "i",
        "--schema",
        "s.json",
    ];
    let failed = [&convert[..], &["--on-drift", "fail", "--out", "b.parquet"]].concat();
    assert_snapshot!(sandbox.run(&failed), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: the data does not fit the schema: `m` (STRING) is new
    hint: let the schema evolve (--on-drift widen), or change the schema
    ");
    assert!(!sandbox.path().join("b.parquet").exists());
    let widened = [&convert[..], &["--on-drift", "widen", "--out", "b.parquet"]].concat();
    assert_eq!(
        sandbox.json(&widened)["drift"],
        json!(["`m` (STRING) is new"])
    );
    // The contract has grown: the same data fits it now.
    assert_eq!(sandbox.json(&failed)["drift"], json!([]));
    check(
        &sandbox,
        "SELECT * FROM 'b.parquet'",
        &json!([{"m": "x", "n": 2}]),
    );
}

#[test]
fn a_table_grows_with_its_rows() {
    let sandbox = sandbox();
    sandbox.write("a.xml", b"<r><i><n>1</n></i></r>");
    sandbox.write("b.xml", b"<r><i><n>2.5</n></i><i><m>x</m></i></r>");
    let into = ["--row-tag", "i", "--table", "db.t"];
    sandbox.json(
        &[
            &["xml", "convert", "a.xml", "--type", "n=double"],
            &into[..],
        ]
        .concat(),
    );
    let report = sandbox.json(&[&["xml", "convert", "b.xml"], &into[..]].concat());
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `m` added: string"])
    );
    check(
        &sandbox,
        "SELECT n, m FROM db.t ORDER BY n NULLS LAST",
        &json!([{"n": 1.0, "m": null}, {"n": 2.5, "m": null}, {"n": null, "m": "x"}]),
    );
}

#[test]
fn bad_rows_are_told_and_set_aside() {
    let sandbox = sandbox();
    sandbox.write(
        "bad.xml",
        b"<r>\n<i><n>1</n></i>\n<i><n>2</i>\n<i><n>x</n></i>\n</r>",
    );
    sandbox.write("s.ddl", b"n BIGINT, _corrupt_record STRING");
    let convert = [
        "xml",
        "convert",
        "bad.xml",
        "--row-tag",
        "i",
        "--schema",
        "s.ddl",
    ];
    let aside = ["--rejects", "rejects.jsonl", "--out", "n.parquet"];
    assert_snapshot!(sandbox.run(&[&convert[..], &aside[..]].concat()), @"
    exit 1
    --- stdout ---
    input     1 files (52 B)
    rows      3
    rejected  2 (0 dropped)
      [DIR]/n.parquet (3 rows, 859 B)

    Rejected:
      [DIR]/bad.xml: line 3, byte 27, in r/i/n: `</i>` closes `<n>`
      [DIR]/bad.xml: line 4, byte 35, in r: column `n`: `x` is no whole number of 64 bits
    --- stderr ---
    warning: 2 rows malformed, not valid or of other types than the schema's
    ");
    check(
        &sandbox,
        "SELECT * FROM 'n.parquet'",
        &json!([
            {"n": 1, "_corrupt_record": null},
            {"n": null, "_corrupt_record": "<i><n>2</i>"},
            {"n": null, "_corrupt_record": "<i><n>x</n></i>"},
        ]),
    );
    let rejects = fs_err::read_to_string(sandbox.path().join("rejects.jsonl")).unwrap();
    assert_eq!(rejects.lines().count(), 2);
    let fail = ["--mode", "failfast", "--out", "f.parquet"];
    assert_snapshot!(sandbox.run(&[&convert[..], &fail[..]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/bad.xml: line 3, byte 27, in r/i/n: `</i>` closes `<n>`
    hint: choose the mode `permissive` to keep bad rows aside, or `dropmalformed` to drop them
    ");
    assert!(!sandbox.path().join("f.parquet").exists());
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = sandbox();
    let convert = ["xml", "convert", "in", "--row-tag", "metadata", "--dry-run"];
    let report = sandbox.json(&[&convert[..], &["--out", "x.parquet"]].concat());
    assert_eq!(report["dry_run"], true);
    assert!(!sandbox.path().join("x.parquet").exists());
    assert_snapshot!(sandbox.run(&["xml", "convert", "nowhere", "--row-tag", "i", "--out", "x"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/nowhere: not found
    ");
}

/// What the second document has no place for by the schema of the first.
fn drifted() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a.xml", b"<r><i><n>1</n></i></r>");
    sandbox.write(
        "b.xml",
        b"<r><i k='7'><n>x</n><m><o>1</o><o>2</o></m></i><i><n>3</n></i></r>",
    );
    sandbox.write("s.ddl", b"n INT");
    sandbox
}

#[test]
fn what_does_not_fit_the_schema_is_rescued_into_files() {
    let sandbox = drifted();
    let convert = [
        "xml",
        "convert",
        "b.xml",
        "--row-tag",
        "i",
        "--on-drift",
        "rescue",
    ];
    let into = ["--schema", "s.ddl", "--out", "b.parquet"];
    let report = sandbox.json(&[&convert[..], &into[..]].concat());
    assert_eq!(
        (
            &report["rows"],
            &report["rejected_rows"],
            &report["rescued_rows"]
        ),
        (&json!(2), &json!(0), &json!(1))
    );
    assert_eq!(report["rescued"], json!({"_k": 1, "m": 1, "n": 1}));
    let path = sandbox.path().join("b.xml");
    let rescued = json!({"n": "x", "_k": "7", "m": {"o": ["1", "2"]}, "_file_path": path});
    let rows = sandbox.json(&["sql", "SELECT * FROM 'b.parquet'"]);
    assert_eq!(rows[1], json!({"n": 3, "_rescued_data": null}));
    let text = rows[0]["_rescued_data"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), rescued);

    sandbox.write("m.json", br#"[["n", "int", "number", "string"]]"#);
    let mapped = [
        "--schema",
        "s.ddl",
        "--out",
        "m.parquet",
        "--mapping",
        "m.json",
    ];
    let named = ["--rescued-data-column", "_rest"];
    sandbox.json(&[&convert[..], &mapped[..], &named[..]].concat());
    let query = "SELECT number, _rest IS NOT NULL AS rest FROM 'm.parquet'";
    check(
        &sandbox,
        query,
        &json!([{"number": null, "rest": true}, {"number": "3", "rest": false}]),
    );
    let widen = [
        &convert[..5],
        &into[..],
        &named[..],
        &["--on-drift", "widen"],
    ]
    .concat();
    assert_snapshot!(sandbox.run(&widen), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --rescued-data-column has no effect here: only `--on-drift rescue` fills the column
    hint: leave out --rescued-data-column
    ");
}

#[test]
fn what_does_not_fit_the_table_is_rescued_into_it() {
    let sandbox = drifted();
    let into = ["--row-tag", "i", "--table", "db.t", "--on-drift", "rescue"];
    let convert = |file| [&["xml", "convert", file], &into[..]].concat();
    // The first run says the types, and no later one has others.
    assert_eq!(sandbox.json(&convert("a.xml"))["rescued_rows"], 0);
    let report = sandbox.json(&convert("b.xml"));
    assert_eq!(
        (&report["rescued_rows"], &report["rescued"]),
        (&json!(1), &json!({"_k": 1, "m": 1, "n": 1}))
    );
    assert_eq!(report["ingest"]["schema_changes"], json!([]));
    check(
        &sandbox,
        "SELECT n, _rescued_data IS NOT NULL AS rescued FROM db.t ORDER BY n NULLS LAST",
        &json!([
            {"n": 1, "rescued": false},
            {"n": 3, "rescued": false},
            {"n": null, "rescued": true},
        ]),
    );
}
