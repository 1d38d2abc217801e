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
    exit 1
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
    let again = [&failed[..], &["--if-exists", "replace"]].concat();
    assert_eq!(sandbox.json(&again)["drift"], json!([]));
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
    exit 1
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

/// Documents with a struct, a number and a word in one column.
fn mixed() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "a.xml",
        b"<r><i><v>1</v></i><i><v>x</v></i><i><v><w>2</w></v></i></r>",
    );
    sandbox
}

#[test]
fn what_becomes_of_columns_of_several_types() {
    let sandbox = mixed();
    let rows = ["a.xml", "--row-tag", "i"];
    let convert = |action: &str, out: &str| {
        let flags = ["--resolve-choice", action, "--out", out];
        sandbox.json(&[&["xml", "convert"], &rows[..], &flags[..]].concat())
    };
    assert_eq!(convert("make_cols", "cols.parquet")["nulled"], json!({}));
    check(
        &sandbox,
        "SELECT v_long, v_string, c.v_struct.w AS w FROM 'cols.parquet' c",
        &json!([
            {"v_long": 1, "v_string": null, "w": null},
            {"v_long": null, "v_string": "x", "w": null},
            {"v_long": null, "v_string": null, "w": 2},
        ]),
    );
    assert_eq!(
        convert("v:project:long", "long.parquet")["nulled"],
        json!({"v": 2})
    );
    check(
        &sandbox,
        "SELECT v FROM 'long.parquet'",
        &json!([{"v": 1}, {"v": null}, {"v": null}]),
    );
    assert_eq!(
        convert("project:struct", "s.parquet")["nulled"],
        json!({"v": 2})
    );
    check(
        &sandbox,
        "SELECT s.v.w AS w FROM 's.parquet' s WHERE v IS NOT NULL",
        &json!([{"w": 2}]),
    );
    let infer = ["--resolve-choice", "make_struct", "--schema-out", "s.json"];
    assert_snapshot!(sandbox.run(&[&["xml", "infer"], &rows[..], &infer[..]].concat()), @"
    exit 0
    --- stdout ---
    rows     3
    files    1
    columns  v: STRUCT<long: BIGINT, string: STRING, struct: STRUCT<w: BIGINT>>
    --- stderr ---
    ");
    // The file keeps the choice, for the same or another action.
    let by_file = [
        &["xml", "convert"],
        &rows[..],
        &["--schema", "s.json", "--out", "f.parquet"],
    ]
    .concat();
    assert_snapshot!(sandbox.run(&by_file), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: the schema has columns of several types: say with --resolve-choice what they become
    ");
    let report = sandbox.json(&[&by_file[..], &["--resolve-choice", "project:string"]].concat());
    assert_eq!(report["nulled"], json!({"v": 2}));
    assert_snapshot!(sandbox.run(&[&["xml", "infer"], &rows[..], &["--resolve-choice", "split"]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: `split` is no action on a choice of types
    hint: write `cast:T`, `project:T`, `make_cols`, `make_struct` or `match_catalog`, behind `PATH:` for one column
    ");
}

#[test]
fn choices_match_a_table() {
    let sandbox = mixed();
    sandbox.write("words.xml", b"<r><i><v>word</v></i></r>");
    let into = ["--row-tag", "i", "--table", "db.t"];
    let matched = [&into[..], &["--resolve-choice", "match_catalog"]].concat();
    assert_snapshot!(sandbox.run(&[&["xml", "convert", "a.xml"], &matched[..]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --resolve-choice match_catalog goes by a table's columns, and there is none: give an existing table by --table, or start from an entry as glue:db.table
    ");
    sandbox.json(&[&["xml", "convert", "words.xml"], &into[..]].concat());
    let report = sandbox.json(&[&["xml", "convert", "a.xml"], &matched[..]].concat());
    assert_eq!(
        (&report["rows"], &report["nulled"]),
        (&json!(3), &json!({}))
    );
    check(
        &sandbox,
        "SELECT v FROM db.t ORDER BY v",
        &json!([{"v": "1"}, {"v": "word"}, {"v": "x"}, {"v": "{\"w\":2}"}]),
    );
}

#[test]
fn limits_and_samples_are_flags() {
    let sandbox = Sandbox::new();
    sandbox.write("a.xml", b"<r><i long-name='1' b='2'/></r>");
    let infer = |flags: &[&str]| {
        let rows = [
            "xml",
            "infer",
            "a.xml",
            "--row-tag",
            "i",
            "--mode",
            "failfast",
        ];
        sandbox.run(&[&rows[..], flags].concat())
    };
    assert!(infer(&[]).starts_with("exit 0"));
    for (flags, code, expected) in [
        (["--max-name-size", "4"], 1, "name"),
        (["--max-attributes-size", "8"], 1, "attributes"),
        (["--max-attributes", "1"], 1, "attributes"),
        (["--sampling-ratio", "0"], 2, "0 is no part of the rows"),
    ] {
        let found = infer(&flags);
        assert!(
            found.starts_with(&format!("exit {code}")),
            "{flags:?}: {found}"
        );
        assert!(found.contains(expected), "{flags:?}: {found}");
    }
}

#[test]
fn choices_become_the_columns_of_a_table() {
    let sandbox = mixed();
    sandbox.write("b.xml", b"<r><i><v>2</v></i><i><v><w>y</w></v></i></r>");
    let into = [
        "--row-tag",
        "i",
        "--table",
        "db.t",
        "--resolve-choice",
        "make_cols",
    ];
    for file in ["a.xml", "a.xml"] {
        let report = sandbox.json(&[&["xml", "convert", file], &into[..]].concat());
        assert_eq!((&report["rows"], &report["drift"]), (&json!(3), &json!([])));
    }
    check(
        &sandbox,
        "SELECT count(v_long) AS n, count(v_string) AS s, count(v_struct) AS w FROM db.t",
        &json!([{"n": 2, "s": 2, "w": 2}]),
    );
    let other = sandbox.run(&[&["xml", "convert", "b.xml"], &into[..]].concat());
    assert!(
        other.contains("`v_struct.w` is STRING, not BIGINT"),
        "{other}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one way, step by step")]
fn values_are_folders() {
    let sandbox = sandbox();
    let convert = [
        "xml",
        "convert",
        "vehicles.xml",
        "--row-tag",
        "response/row/row",
    ];
    let by = [
        "--out",
        "v",
        "--partition-by",
        "county, model_year",
        "--max-open-files",
        "1",
    ];
    let (code, report) = sandbox.json_with_code(&[&convert[..], &by[..]].concat());
    assert_eq!((code, &report["rows"]), (0, &json!(3)));
    let root = sandbox.path().join("v");
    let files: Vec<String> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let file = std::path::Path::new(file["location"].as_str().unwrap());
            file.strip_prefix(&root).unwrap().display().to_string()
        })
        .collect();
    assert_eq!(
        files,
        [
            "county=__HIVE_DEFAULT_PARTITION__/model_year=2020/part-00000.parquet",
            "county=King/model_year=2019/part-00000.parquet",
            "county=Kitsap/model_year=2021/part-00000.parquet",
        ]
    );
    assert_eq!(
        report["files"][0]["partition"],
        json!({"county": null, "model_year": "2020"})
    );
    assert_eq!(
        report["notes"],
        json!([
            "1 row with an empty string in a partition column: in the names of folders it is null"
        ])
    );
    check(
        &sandbox,
        "SELECT county, model_year, __id FROM 'v' ORDER BY model_year",
        &json!([
            {"county": "King", "model_year": 2019, "__id": "r1"},
            {"county": null, "model_year": 2020, "__id": "r3"},
            {"county": "Kitsap", "model_year": 2021, "__id": "r2"},
        ]),
    );
    // A lake like any other.
    let added = sandbox.json(&["add-files", "v", "--table", "db.v", "--verify"]);
    assert_eq!(
        (&added["added_files_count"], &added["verify"]["equal"]),
        (&json!(3), &json!(true))
    );
    let wrong = ["--out", "w", "--partition-by", "bucket(4, county)"];
    assert_snapshot!(sandbox.run(&[&convert[..], &wrong[..]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --partition-by: `bucket(4, county)` is not a list of columns, whose values are folders
    ");
    let missing = ["--out", "w", "--partition-by", "state"];
    assert_snapshot!(sandbox.run(&[&convert[..], &missing[..]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: column `state`: there is no such column to partition by
    ");
    assert!(!sandbox.path().join("w").exists());
}

#[test]
fn the_documents_of_the_fixtures_both_ways() {
    let sandbox = Sandbox::new();
    let fixtures = calve_testkit::workspace_root().join("fixtures/xml");
    let (metadata, vehicles) = (fixtures.join("metadata"), fixtures.join("vehicles.xml"));
    let (metadata, vehicles) = (metadata.to_str().unwrap(), vehicles.to_str().unwrap());
    // Descriptions of data sets: each document is a row, queried with dots.
    let into = ["--row-tag", "metadata", "--table", "geo.metadata"];
    let hint = ["--type", "idinfo.descript.abstract=string"];
    let report = sandbox.json(&[&["xml", "convert", metadata], &into[..], &hint[..]].concat());
    assert_eq!(
        (&report["rows"], &report["input_files"]),
        (&json!(8), &json!(8))
    );
    let rows = sandbox.json(&[
        "sql",
        "SELECT m.idinfo.citation.citeinfo.title AS title, m.idinfo.descript.abstract AS abstract, \
         m.idinfo.spdom.bounding.northbc - m.idinfo.spdom.bounding.southbc AS height, \
         cardinality(m.idinfo.keywords.theme.themekey) AS keys FROM geo.metadata m ORDER BY title",
    ]);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert!(
            row["title"].as_str().unwrap().contains(" & more, sheet "),
            "{row}"
        );
        assert!(
            row["abstract"].as_str().unwrap().starts_with("About <b>"),
            "{row}"
        );
        assert_eq!(row["height"], 5.75, "{row}");
        assert!((1..=4).contains(&row["keys"].as_u64().unwrap()), "{row}");
    }
    // Rows in a row: by an inferred schema and by a fixed one, nested and as flat tables.
    let tag = ["--row-tag", "response/row/row"];
    sandbox.write(
        "fixed.ddl",
        b"__id STRING, zip_code STRING, model_year INT, owner ARRAY<STRUCT<_since: DATE, name: STRING>>",
    );
    let (inferred, fixed) = (["--keep-leading-zeros"], ["--schema", "fixed.ddl"]);
    for (name, schema) in [("inferred", &inferred[..]), ("fixed", &fixed[..])] {
        let nested = format!("{name}.parquet");
        let convert = [&["xml", "convert", vehicles], &tag[..], schema].concat();
        let report = sandbox.json(&[&convert[..], &["--out", &nested]].concat());
        assert_eq!(
            (&report["rows"], &report["rejected_rows"]),
            (&json!(60), &json!(0))
        );
        let flat =
            sandbox.json(&[&convert[..], &["--out", name, "--relationalize", "root"]].concat());
        let rows = |table: &str| {
            let files = flat["files"].as_array().unwrap().iter();
            let rows = files.filter(|file| file["table"] == table);
            rows.map(|file| file["rows"].as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(rows("root"), 60);
        check(
            &sandbox,
            &format!("SELECT sum(cardinality(owner)) AS owners FROM '{nested}'"),
            &json!([{"owners": rows("root_owner")}]),
        );
        // Joined back, each owner is with its vehicle again.
        check(
            &sandbox,
            &format!(
                "SELECT count(*) AS n FROM '{name}/root' r JOIN '{name}/root_owner' o ON r.owner = o.id \
                 WHERE concat('row-', lpad(split_part(split_part(o.\"owner.val.name\", ' ', 2), '.', 1), 4, '0')) = r.__id \
                 AND split_part(o.\"owner.val.name\", '.', 2) = CAST(o.index AS VARCHAR)"
            ),
            &json!([{"n": rows("root_owner")}]),
        );
    }
}

#[test]
fn keys_stay_when_a_document_is_added() {
    let sandbox = Sandbox::new();
    let row = |name: &str| {
        format!("<r><i><n>{name}</n><k>1</k><k>2</k></i><i><n>{name}{name}</n></i></r>")
    };
    let keys = |out: &str| {
        let convert = ["xml", "convert", "in", "--row-tag", "i", "--out", out];
        sandbox.json(&[&convert[..], &["--relationalize", "t", "--array", "k"]].concat());
        let query = format!(
            "SELECT r.n, k.id FROM '{out}/t' r JOIN '{out}/t_k' k ON r.k = k.id WHERE index = 0 ORDER BY 1"
        );
        sandbox.json(&["sql", &query])
    };
    sandbox.write("in/a.xml", row("a").as_bytes());
    sandbox.write("in/b.xml", row("b").as_bytes());
    let before = keys("before");
    sandbox.write("in/a.xml", format!("{}\n", row("a")).as_bytes());
    sandbox.write("in/c.xml", row("c").as_bytes());
    let after = keys("after");
    assert_eq!(
        before.as_array().unwrap()[..2],
        after.as_array().unwrap()[..2]
    );
    assert_ne!(before[0]["id"], before[1]["id"]);
    assert_eq!(after.as_array().unwrap().len(), 3);
}

/// Infers and converts a document by a row tag, and looks for words in what both tell.
#[track_caller]
fn check_told(sandbox: &Sandbox, text: &str, row_tag: &str, code: i32, expected: &str) {
    sandbox.write("a.xml", text.as_bytes());
    let infer = ["xml", "infer", "a.xml", "--row-tag", row_tag];
    let _ = fs_err::remove_file(sandbox.path().join("out.parquet"));
    let convert = ["--out", "out.parquet", "--schema", "schema.ddl"];
    let convert = [&["xml", "convert"], &infer[2..], &convert].concat();
    for arguments in [&infer[..], &convert] {
        let told = sandbox.run(arguments);
        assert!(told.starts_with(&format!("exit {code}\n")), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}

/// What makes rows go missing without one of them being bad.
#[test]
fn what_hides_rows_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("schema.ddl", b"a BIGINT");
    let row = "<r><row><a>1</a></row>";
    let whole = format!("{row}</r>");
    check_told(&sandbox, &whole, "row", 0, "rows");
    check_told(&sandbox, &whole, "/r/row", 0, "rows");
    let none = "warning: no row was found";
    check_told(&sandbox, &whole, "rwo", 0, none);
    check_told(&sandbox, "<r/>", "row", 0, none);
    check_told(&sandbox, row, "row", 1, "`<r>` is not closed");
    for damage in ["<!-- <row><a>2</a></row></r>", "<x></y></r>", "&foo;</r>"] {
        let text = format!("{row}{damage}");
        check_told(&sandbox, &text, "row", 1, "between rows not well-formed");
        check_told(&sandbox, &text, "row", 1, "a.xml: line 1, byte");
    }
    for (row_tag, wrong) in [("", ""), ("<row>", "<row>"), ("r//row", ""), ("*/row", "*")] {
        let problem = format!("row tag `{row_tag}`: `{wrong}` is no name of an element");
        check_told(&sandbox, &whole, row_tag, 2, &problem);
    }
}

#[test]
fn flags_of_files_and_of_tables_do_not_mix() {
    let sandbox = sandbox();
    let convert = ["xml", "convert", "in", "--row-tag", "metadata"];
    for (target, flag) in [
        ("--table", ["--relationalize", "root"]),
        ("--table", ["--compression", "snappy"]),
        ("--table", ["--row-group-size", "1MiB"]),
        ("--table", ["--file-size", "1MiB"]),
        ("--table", ["--register", "db.x"]),
        ("--out", ["--location", "there"]),
        ("--out", ["--property", "a=b"]),
    ] {
        let told = sandbox.run(&[&convert[..], &[target, "db.x"], &flag].concat());
        assert!(told.starts_with("exit 2\n"), "{told}");
        assert!(told.contains("cannot be used with"), "{told}");
        assert!(told.contains(flag[0]), "{told}");
    }
}
