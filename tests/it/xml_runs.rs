//! `xml convert`, several times: what one run made is there when the next one comes.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Sandbox;

/// The conversion of `rows.xml`.
const CONVERT: [&str; 5] = ["xml", "convert", "rows.xml", "--row-tag", "row"];

/// Converts a document, and gives the report.
#[track_caller]
fn convert(sandbox: &Sandbox, document: &str, flags: &[&str]) -> Value {
    sandbox.write("rows.xml", document.as_bytes());
    sandbox.json(&[&CONVERT[..], flags].concat())
}

/// Converts a document into the table `db.t`, and gives the report.
#[track_caller]
fn load(sandbox: &Sandbox, document: &str, flags: &[&str]) -> Value {
    convert(sandbox, document, &[&["--table", "db.t"], flags].concat())
}

/// Converts a document, which must end with this exit code and say this.
#[track_caller]
fn check_refused(sandbox: &Sandbox, document: &str, flags: &[&str], code: i32, expected: &str) {
    sandbox.write("rows.xml", document.as_bytes());
    let told = sandbox.run(&[&CONVERT[..], flags].concat());
    assert!(told.starts_with(&format!("exit {code}\n")), "{told}");
    assert!(told.contains(expected), "{told}");
}

#[track_caller]
fn check(sandbox: &Sandbox, query: &str, expected: &Value) {
    assert_eq!(sandbox.json(&["sql", query]), *expected, "{query}");
}

/// Nothing of the schema changes in a run.
#[track_caller]
fn check_same(report: &Value) {
    assert_eq!(report["drift"], json!([]), "{report}");
    assert_eq!(report["ingest"]["schema_changes"], json!([]), "{report}");
}

#[test]
fn a_table_knows_the_elements_of_its_columns() {
    let sandbox = Sandbox::new();
    let both = "<r><row><name>low</name><NAME>UP</NAME><e><x>1</x><X>2</X></e></row></r>";
    load(&sandbox, both, &[]);
    for flags in [&[][..], &["--on-drift", "fail"], &["--on-drift", "rescue"]] {
        let report = load(&sandbox, both, flags);
        assert_eq!(report["drift"], json!([]), "{flags:?}");
    }
    let rows = json!({"NAME": "UP", "name_2": "low", "e": {"X": 2, "x_2": 1}});
    check(
        &sandbox,
        "SELECT \"NAME\", name_2, e FROM db.t",
        &json!([rows, rows, rows, rows]),
    );
    // One of them alone, then one more that differs by case.
    check_same(&load(&sandbox, "<r><row><name>x</name></row></r>", &[]));
    let report = load(&sandbox, "<r><row><Name>y</Name></row></r>", &[]);
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `Name_3` added: string"])
    );
    check_same(&load(&sandbox, "<r><row><Name>z</Name></row></r>", &[]));
    check(
        &sandbox,
        "SELECT name_2, \"Name_3\" FROM db.t WHERE \"NAME\" IS NULL ORDER BY 1, 2",
        &json!([
            {"name_2": "x", "Name_3": null},
            {"name_2": null, "Name_3": "y"},
            {"name_2": null, "Name_3": "z"},
        ]),
    );
}

#[test]
fn choices_become_the_same_columns_in_every_run() {
    let mixed = "<r><row><v>1</v><l>1</l><l>a</l></row><row><v>a</v></row></r>";
    for (action, query, expected) in [
        (
            "make_cols",
            "SELECT v_long, v_string FROM db.t ORDER BY 1 NULLS LAST, 2",
            json!([
                {"v_long": 1, "v_string": null},
                {"v_long": 7, "v_string": null},
                {"v_long": null, "v_string": "a"},
                {"v_long": null, "v_string": "b"},
            ]),
        ),
        (
            "make_struct",
            "SELECT v.long AS long, v.string AS string FROM db.t ORDER BY 1 NULLS LAST, 2",
            json!([
                {"long": 1, "string": null},
                {"long": 7, "string": null},
                {"long": null, "string": "a"},
                {"long": null, "string": "b"},
            ]),
        ),
    ] {
        let sandbox = Sandbox::new();
        let v = format!("v:{action}");
        let flags = [
            "--resolve-choice",
            &v,
            "--resolve-choice",
            "l[]:make_struct",
        ];
        load(&sandbox, mixed, &flags);
        let list = "<l>2</l><l>3</l>";
        for value in ["7", "b"] {
            let document = format!("<r><row><v>{value}</v>{list}</row></r>");
            let flags = [&flags[..], &["--on-drift", "fail"]].concat();
            check_same(&load(&sandbox, &document, &flags));
        }
        check(&sandbox, query, &expected);
        check(
            &sandbox,
            "SELECT sum(cardinality(l)) AS l FROM db.t",
            &json!([{"l": 6}]),
        );
    }
}

#[test]
fn names_and_choices_go_together() {
    let sandbox = Sandbox::new();
    let choice = ["--resolve-choice", "v:make_cols"];
    let one = "<r><row><name>a</name><v>1</v></row><row><v>x</v></row></r>";
    let both = "<r><row><NAME>B</NAME><name>b</name><v>2</v></row></r>";
    load(&sandbox, one, &choice);
    let report = load(&sandbox, both, &choice);
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `NAME_2` added: string"])
    );
    assert_eq!(
        report["notes"],
        json!([
            "column `NAME_2` holds `NAME`, since another column has its name, or one that differs by case only"
        ])
    );
    let again = load(&sandbox, both, &choice);
    check_same(&again);
    assert_eq!(again["notes"], json!([]));
    check(
        &sandbox,
        "SELECT DISTINCT name, \"NAME_2\", v_long FROM db.t WHERE name = 'b'",
        &json!([{"name": "b", "NAME_2": "B", "v_long": 2}]),
    );
}

/// What is only ever empty in one run has the type that it had before, and gets none before it has values.
#[test]
fn empty_elements_have_no_type_of_their_own() {
    for flags in [&[][..], &["--resolve-choice", "make_cols"]] {
        let sandbox = Sandbox::new();
        let full = "<r><row><v>1</v><s><t>x</t></s><l>1</l><l>2</l></row></r>";
        load(&sandbox, full, flags);
        let empty = "<r><row><v/><s/><l/></row></r>";
        let fail = [flags, &["--on-drift", "fail"]].concat();
        let report = load(&sandbox, empty, &fail);
        check_same(&report);
        assert_eq!(
            (&report["nulled"], &report["misfits"]),
            (&json!({}), &json!({}))
        );
        check(
            &sandbox,
            "SELECT count(*) AS n, count(v) AS v, count(s.t) AS t FROM db.t",
            &json!([{"n": 2, "v": 1, "t": 1}]),
        );
    }
    let sandbox = Sandbox::new();
    load(&sandbox, "<r><row><v>1</v></row></r>", &[]);
    let report = load(&sandbox, "<r><row><v>2</v><w/></row></r>", &[]);
    check_same(&report);
    assert_eq!(report["unknown"], json!({"w": 1}));
    let report = load(&sandbox, "<r><row><w>1.5</w></row></r>", &[]);
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `w` added: double"])
    );
}

#[test]
fn choices_of_all_columns_do_not_take_columns_of_elements() {
    let sandbox = Sandbox::new();
    let document = "<r><row><v>1</v><v_string>s</v_string></row></r>";
    load(&sandbox, document, &["--resolve-choice", "make_cols"]);
    check_same(&load(
        &sandbox,
        document,
        &["--resolve-choice", "make_cols"],
    ));
    check(
        &sandbox,
        "SELECT DISTINCT v, v_string FROM db.t",
        &json!([{"v": 1, "v_string": "s"}]),
    );
}

#[test]
fn a_schema_with_choices_is_a_contract_too() {
    let sandbox = Sandbox::new();
    let mixed = "<r><row><v>1</v></row><row><v>a</v></row></r>";
    sandbox.write("rows.xml", mixed.as_bytes());
    sandbox.json(&[
        "xml",
        "infer",
        "rows.xml",
        "--row-tag",
        "row",
        "--resolve-choice",
        "make_cols",
        "--schema-out",
        "s.json",
    ]);
    let flags = [
        "--schema",
        "s.json",
        "--resolve-choice",
        "make_cols",
        "--on-drift",
    ];
    let fail = [&flags[..], &["fail"]].concat();
    load(&sandbox, mixed, &fail);
    check_same(&load(&sandbox, "<r><row><v>2</v></row></r>", &fail));
    let date = "<r><row><v>2024-01-01</v></row></r>";
    let into = [&fail[..], &["--table", "db.t"]].concat();
    check_refused(&sandbox, date, &into, 1, "`v.date` (DATE) is new");
    let report = load(&sandbox, date, &[&flags[..], &["widen"]].concat());
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `v_date` added: date"])
    );
}

#[test]
fn mapped_rows_are_held_against_the_table() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "map.json",
        br#"[["id", "long", "key", "int"], ["name", "string", "title", "string"]]"#,
    );
    let flags = ["--mapping", "map.json"];
    load(
        &sandbox,
        "<r><row><id>1</id><name>a</name></row></r>",
        &flags,
    );
    let fail = [&flags[..], &["--on-drift", "fail"]].concat();
    check_same(&load(
        &sandbox,
        "<r><row><id>2</id><name>b</name><more>x</more></row></r>",
        &fail,
    ));
    let report = load(&sandbox, "<r><row><id>3</id></row></r>", &fail);
    assert_eq!(
        report["notes"],
        json!(["no row has `name`: what is mapped from it is null"])
    );
    check(
        &sandbox,
        "SELECT key, title FROM db.t ORDER BY key",
        &json!([
            {"key": 1, "title": "a"},
            {"key": 2, "title": "b"},
            {"key": 3, "title": null},
        ]),
    );
}

/// A value that a type of the contract does not hold stops the run before it writes, or widens the type.
#[test]
fn values_that_do_not_fit_are_drift() {
    for (schema, value, fail, widened) in [
        ("v INT", "99999999999", "no INT", Some("long")),
        ("v TINYINT", "300", "no TINYINT", Some("long")),
        (
            "v DECIMAL(5,2)",
            "123456.25",
            "no DECIMAL(5,2)",
            Some("decimal(8,2)"),
        ),
        (
            "v DECIMAL(5,2)",
            "1234",
            "no DECIMAL(5,2)",
            Some("decimal(6,2)"),
        ),
        ("v DECIMAL(5,2)", "1.2345", "no DECIMAL(5,2)", None),
        ("v DECIMAL(5,2)", "1e9", "no DECIMAL(5,2)", None),
        ("v FLOAT", "1e39", "no FLOAT", Some("double")),
        ("v ARRAY<INT>", "99999999999", "no INT", None),
        ("v STRUCT<_VALUE: INT>", "99999999999", "no INT", None),
        ("v BINARY", "1", "no BINARY (2)", None),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("s.ddl", schema.as_bytes());
        let document = format!("<r>\n<row><v>1</v></row>\n<row><v>{value}</v></row></r>");
        let flags = ["--schema", "s.ddl", "--out", "out", "--on-drift"];
        let told = format!("the first `{value}` in ");
        let failing = [&flags[..], &["fail"]].concat();
        check_refused(&sandbox, &document, &failing, 1, &told);
        check_refused(&sandbox, &document, &failing, 1, fail);
        check_refused(&sandbox, &document, &failing, 1, "rows.xml: line");
        assert!(!sandbox.path().join("out").exists());
        let widen = [&flags[..], &["widen"]].concat();
        match widened {
            Some(expected) => {
                let report = convert(&sandbox, &document, &widen);
                assert_eq!(report["misfits"], json!({}), "{schema}");
                assert_eq!(report["schema"]["fields"][0]["type"], expected, "{schema}");
                let again = sandbox.json(&["sql", "SELECT count(v) AS n FROM 'out'"]);
                assert_eq!(again, json!([{"n": 2}]));
                let again = [&widen[..], &["--if-exists", "replace"]].concat();
                let report = convert(&sandbox, &document, &again);
                assert_eq!(report["drift"], json!([]), "{schema}");
            }
            None if schema.contains("INT") => {}
            None => check_refused(&sandbox, &document, &widen, 1, &told),
        }
    }
}

#[test]
fn a_sample_does_not_hide_drift() {
    let sandbox = Sandbox::new();
    sandbox.write("s.ddl", b"v INT");
    let document = "<r><row><v>1</v></row><row><v>x</v></row><row><w>2</w></row></r>";
    let flags = ["--schema", "s.ddl", "--sample-rows", "1", "--out", "out"];
    let fail = [&flags[..], &["--on-drift", "fail"]].concat();
    check_refused(
        &sandbox,
        document,
        &fail,
        1,
        "`v` has values that are no INT (1)",
    );
    check_refused(&sandbox, document, &fail, 1, "`w` (1 times");
}

#[test]
fn what_does_not_fit_a_table_stops_the_run() {
    let sandbox = Sandbox::new();
    let price = ["--type", "price=decimal(5,2)"];
    load(&sandbox, "<r><row><price>1.25</price></row></r>", &price);
    // Widened as Iceberg may; more digits behind the point no table takes.
    let report = load(
        &sandbox,
        "<r><row><price>123456.5</price></row></r>",
        &price,
    );
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `price` widened from decimal(5, 2) to decimal(8, 2)"])
    );
    let into = ["--table", "db.t"];
    let fine = "<r><row><price>1.2345</price></row></r>";
    check_refused(&sandbox, fine, &into, 1, "no DECIMAL(8,2)");
    check(
        &sandbox,
        "SELECT price FROM db.t ORDER BY 1",
        &json!([{"price": "1.25"}, {"price": "123456.50"}]),
    );
}

#[test]
fn files_of_an_earlier_run_are_not_mixed_with_new_ones() {
    let sandbox = Sandbox::new();
    sandbox.write("a.xml", b"<r><i><n>1</n><l>1</l><l>2</l></i></r>");
    sandbox.write("b.xml", b"<r><i><n>2</n><m/></i></r>");
    let convert = |file: &'static str, flags: &[&'static str]| {
        [&["xml", "convert", file, "--row-tag", "i"], flags].concat()
    };
    let count = |folder: &str| {
        sandbox.json(&["sql", &format!("SELECT count(*) AS n FROM '{folder}'")])[0]["n"].clone()
    };
    for (out, flags) in [
        ("plain", &["--out", "plain"][..]),
        ("flat", &["--out", "flat", "--relationalize", "root"]),
        ("keys", &["--out", "keys", "--partition-by", "n"]),
        ("one.parquet", &["--out", "one.parquet"]),
    ] {
        sandbox.json(&convert("a.xml", flags));
        let again = sandbox.run(&convert("b.xml", flags));
        assert!(again.starts_with("exit 2\n"), "{again}");
        assert!(again.contains("is there already"), "{again}");
        let dry = sandbox.run(&[&convert("b.xml", flags)[..], &["--dry-run"]].concat());
        assert!(dry.starts_with("exit 2\n"), "{dry}");
        let replace = [flags, &["--if-exists", "replace"]].concat();
        let report = sandbox.json(&convert("b.xml", &replace));
        let files = if out == "flat" { 2 } else { 1 };
        let replaced = if out == "one.parquet" { 0 } else { files };
        assert_eq!(report["replaced_files"], json!(replaced), "{out}");
        let root = if out == "flat" { "flat/root" } else { out };
        assert_eq!(count(root), json!(1), "{out}");
    }
    let append = ["--out", "plain", "--if-exists", "append"];
    sandbox.json(&convert("a.xml", &append));
    assert_eq!(count("plain"), json!(2));
    for (out, flags) in [
        ("one.parquet", &[][..]),
        ("flat", &["--relationalize", "root"]),
    ] {
        let flags = [&["--out", out, "--if-exists", "append"][..], flags].concat();
        let told = sandbox.run(&convert("a.xml", &flags));
        assert!(told.contains("--if-exists append:"), "{told}");
    }
    assert_snapshot!(sandbox.run(&convert("b.xml", &["--out", "one.parquet"])), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/one.parquet is there already
    hint: write elsewhere, or give `--if-exists replace` to delete what is there once all rows are written
    ");
    // What is not Parquet is nobody's earlier run.
    sandbox.write("notes/readme.txt", b"x");
    sandbox.json(&convert("b.xml", &["--out", "notes"]));
}

#[test]
fn a_run_that_fails_leaves_what_it_was_to_replace() {
    let sandbox = Sandbox::new();
    sandbox.write("a.xml", b"<r><i><n>1</n></i></r>");
    sandbox.write("bad.xml", b"<r><i><n>2</n></i><i><n>3</m></i></r>");
    let convert = ["--row-tag", "i", "--out", "out"];
    sandbox.json(&[&["xml", "convert", "a.xml"], &convert[..]].concat());
    let fail = ["--mode", "failfast", "--if-exists", "replace"];
    sandbox.write("s.ddl", b"n BIGINT");
    let schema = ["--schema", "s.ddl"];
    let failed = [&["xml", "convert", "bad.xml"], &convert[..], &fail, &schema].concat();
    let told = sandbox.run(&failed);
    assert!(told.starts_with("exit 1\n"), "{told}");
    check(&sandbox, "SELECT n FROM 'out'", &json!([{"n": 1}]));
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("s.ddl", b"n BIGINT");
    let document = "<r><row><n>1</n></row></r>";
    for flag in [
        &["--sample-rows", "1"][..],
        &["--sampling-ratio", "0.5"],
        &["--type", "n=int"],
        &["--array", "n"],
        &["--infer-types", "false"],
        &["--prefers-decimal"],
        &["--prefers-timestamp-ntz"],
        &["--keep-leading-zeros"],
        &["--mixed-types", "raw-xml"],
    ] {
        let told = format!("{} has no effect here", flag[0]);
        for drift in [&[][..], &["--on-drift", "rescue"]] {
            let given = ["--schema", "s.ddl", "--out", "out"];
            let flags = [&given[..], flag, drift].concat();
            check_refused(&sandbox, document, &flags, 2, &told);
        }
        let given = [
            "--schema",
            "s.ddl",
            "--out",
            "out",
            "--if-exists",
            "replace",
        ];
        let flags = [&given[..], flag, &["--on-drift", "fail"]].concat();
        let (code, told) = match flag[0] {
            "--array" => (1, "`n` is ARRAY<BIGINT>, not BIGINT"),
            "--infer-types" => (1, "`n` is STRING, not BIGINT"),
            _ => (0, "rows"),
        };
        check_refused(&sandbox, document, &flags, code, told);
    }
    let drift = ["--out", "out", "--on-drift", "fail"];
    check_refused(
        &sandbox,
        document,
        &drift,
        2,
        "--on-drift has no effect here",
    );
}

#[test]
fn mapped_columns_are_those_of_the_table_whatever_their_case() {
    let sandbox = Sandbox::new();
    load(&sandbox, "<r><row><x>1</x><s><y>1</y></s></row></r>", &[]);
    sandbox.write(
        "map.json",
        br#"[["a", "long", "X", "long"], ["b", "long", "S.Y", "long"], ["q", "string", "new", "string"]]"#,
    );
    let document = "<r><row><a>5</a><b>6</b><q>t</q></row></r>";
    let report = load(&sandbox, document, &["--mapping", "map.json"]);
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `new` added: string"])
    );
    check_same(&load(&sandbox, document, &["--mapping", "map.json"]));
    check(
        &sandbox,
        "SELECT DISTINCT x, s.y AS y, new FROM db.t ORDER BY x",
        &json!([{"x": 1, "y": 1, "new": null}, {"x": 5, "y": 6, "new": "t"}]),
    );
}

/// The columns of elements whose names clash are called by the elements' names, whatever a run called them.
#[test]
fn mappings_go_by_elements() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "map.json",
        br#"[["A", "low"], ["a", "long", "up", "long"]]"#,
    );
    let mapping = ["--mapping", "map.json"];
    load(&sandbox, "<r><row><A>x</A><a>1</a></row></r>", &mapping);
    check_same(&load(
        &sandbox,
        "<r><row><A>y</A><a>2</a></row></r>",
        &mapping,
    ));
    check(
        &sandbox,
        "SELECT low, up FROM db.t ORDER BY up",
        &json!([{"low": "x", "up": 1}, {"low": "y", "up": 2}]),
    );
}

#[test]
fn columns_of_choices_do_not_meet_those_of_elements() {
    let sandbox = Sandbox::new();
    load(&sandbox, "<r><row><A_long>5</A_long></row></r>", &[]);
    let mixed = "<r><row><a>1</a></row><row><a>x</a></row></r>";
    let flags = ["--table", "db.t", "--resolve-choice", "make_cols"];
    check_refused(
        &sandbox,
        mixed,
        &flags,
        2,
        "a column `a_long`, and the table has `A_long`",
    );
}

/// A list in the table and one value in a document: the value is a list of one, choices and names included.
#[test]
fn single_values_are_lists_of_one() {
    let sandbox = Sandbox::new();
    let choice = ["--resolve-choice", "make_struct"];
    load(
        &sandbox,
        "<r><row><l>1</l><l>x</l><m><B>1</B></m><m><b>t</b></m></row></r>",
        &choice,
    );
    for document in [
        "<r><row><l>7</l></row></r>",
        "<r><row><l>y</l><m><b>u</b></m></row></r>",
    ] {
        check_same(&load(&sandbox, document, &choice));
    }
    let report = load(&sandbox, "<r><row><l><k>1</k></l></row></r>", &choice);
    assert_eq!(
        report["ingest"]["schema_changes"],
        json!(["column `l.element.struct` added: struct<k:long>"])
    );
    check(
        &sandbox,
        "SELECT l[1]['long'] AS long, l[1]['string'] AS string, m[1]['b_2'] AS b FROM db.t WHERE cardinality(l) = 1 AND l[1]['struct'] IS NULL ORDER BY 1",
        &json!([
            {"long": 7, "string": null, "b": null},
            {"long": null, "string": "y", "b": "u"},
        ]),
    );
}

/// On the way into a table no number is rounded, and no value lost: the run ends before it commits.
#[test]
fn columns_of_a_table_round_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("map.json", br#"[["a", "double", "a", "double"]]"#);
    load(
        &sandbox,
        "<r><row><a>1.25</a></row></r>",
        &["--type", "a=decimal(5,2)"],
    );
    for flags in [
        &["--resolve-choice", "make_cols"][..],
        &["--mapping", "map.json"],
    ] {
        for value in ["1.255", "1234567.2"] {
            let document = format!("<r><row><a>{value}</a></row><row><a>3</a></row></r>");
            let flags = [&["--table", "db.t"], flags].concat();
            let told = "`a` has values that are no ";
            check_refused(&sandbox, &document, &flags, 1, told);
        }
    }
    check(&sandbox, "SELECT a FROM db.t", &json!([{"a": "1.25"}]));
    let mixed = "<r><row><a>1.999</a></row><row><a>x</a></row><row><a>2.5</a></row></r>";
    let report = load(&sandbox, mixed, &["--resolve-choice", "match_catalog"]);
    assert_eq!(report["nulled"], json!({"a": 2}));
}

/// Digits, zeros and raw XML are in a column of text as they are in the document, on whichever way they get there.
#[test]
fn text_stays_as_it_is_written() {
    let text = json!([{"zip": "00981", "price": "1.50", "x": "<y>1</y>"}]);
    let document = "<r><row><zip>00981</zip><price>1.50</price><x><y>1</y></x></row></r>";
    for flags in [&[][..], &["--resolve-choice", "make_cols"]] {
        let sandbox = Sandbox::new();
        load(
            &sandbox,
            "<r><row><zip>a</zip><price>b</price><x>c</x></row></r>",
            &[],
        );
        let report = load(
            &sandbox,
            document,
            &[flags, &["--on-drift", "fail"]].concat(),
        );
        check_same(&report);
        check(&sandbox, "SELECT * FROM db.t WHERE zip <> 'a'", &text);
    }
    let sandbox = Sandbox::new();
    let document = "<r><row><zip>00981</zip><price>1.50</price><x><y>07</y></x></row></r>";
    sandbox.write(
        "map.json",
        br#"[["zip", "string", "zip", "string"], ["x.y", "string", "y", "string"]]"#,
    );
    for _ in 0..2 {
        load(&sandbox, document, &["--mapping", "map.json"]);
    }
    let row = json!({"zip": "00981", "y": "07"});
    check(&sandbox, "SELECT * FROM db.t", &json!([row, row]));
}

/// With `fail`, nothing is written of rows with something that only reading them shows.
#[test]
fn what_types_hide_stops_the_run() {
    let struct_first = "<r><row><b>s<q>1</q></b></row></r>";
    let text_first = "<r><row><a>x</a></row></r>";
    for (first, document, told) in [
        (
            struct_first,
            "<r><row><b>t</b></row><row><b><q>2</q><z>NEW</z></b></row></r>",
            "`b.z` (1 times, in no column) is new",
        ),
        (
            struct_first,
            "<r><row><b>t</b></row><row><b><q>no</q></b></row></r>",
            "the first `no` in",
        ),
        (
            text_first,
            "<r><row><a u='LOST'>y</a></row></r>",
            "`a._u` (1 times, in no column) is new",
        ),
    ] {
        let sandbox = Sandbox::new();
        load(&sandbox, first, &[]);
        let fail = ["--table", "db.t", "--on-drift", "fail"];
        check_refused(&sandbox, document, &fail, 1, told);
        check(
            &sandbox,
            "SELECT count(*) AS n FROM db.t",
            &json!([{"n": 1}]),
        );
    }
}

#[test]
fn decimals_do_not_become_doubles_on_the_way() {
    let sandbox = Sandbox::new();
    load(
        &sandbox,
        "<r><row><d>1.5</d></row></r>",
        &["--type", "d=decimal(30,4)"],
    );
    sandbox.write("map.json", br#"[["d", "decimal", "d", "decimal(30,4)"]]"#);
    let document = "<r><row><d>12345678901234567.8912</d></row></r>";
    let fail = ["--resolve-choice", "make_cols", "--on-drift", "fail"];
    load(&sandbox, document, &fail);
    load(&sandbox, document, &["--mapping", "map.json"]);
    let row = json!({"d": "12345678901234567.8912"});
    check(
        &sandbox,
        "SELECT d FROM db.t WHERE d > 2",
        &json!([row, row]),
    );
    sandbox.write("map.json", br#"[["d", "decimal", "d", "decimal(10,2)"]]"#);
    sandbox.write(
        "rows.xml",
        b"<r><row><d>1.255</d></row><row><d>1.005</d></row></r>",
    );
    let flags = ["--out", "out", "--mapping", "map.json"];
    sandbox.json(&[&CONVERT[..], &flags].concat());
    let rounded = json!([{"d": "1.01"}, {"d": "1.26"}]);
    check(&sandbox, "SELECT d FROM 'out' ORDER BY d", &rounded);
}

#[test]
fn one_element_is_mapped_once() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "map.json",
        br#"[["name", "string", "a", "string"], ["NAME", "string", "b", "string"]]"#,
    );
    let mapping = ["--mapping", "map.json"];
    load(
        &sandbox,
        "<r><row><name>low</name><NAME>UP</NAME></row></r>",
        &mapping,
    );
    load(&sandbox, "<r><row><name>low2</name></row></r>", &mapping);
    check(
        &sandbox,
        "SELECT a, b FROM db.t ORDER BY a",
        &json!([{"a": "low", "b": "UP"}, {"a": "low2", "b": null}]),
    );
    sandbox.write("s.ddl", b"A STRING");
    let flags = ["--table", "db.t", "--schema", "s.ddl"];
    check_refused(
        &sandbox,
        "<r><row><A>x</A></row></r>",
        &flags,
        2,
        "and the table has `a`",
    );
}

#[test]
fn a_sample_does_not_hide_drift_from_choices() {
    let sandbox = Sandbox::new();
    load(&sandbox, "<r><row><a>1</a></row></r>", &[]);
    let flags = [
        "--table",
        "db.t",
        "--resolve-choice",
        "make_cols",
        "--sample-rows",
        "1",
        "--on-drift",
        "fail",
    ];
    let new = "<r><row><a>1</a></row><row><b>x</b></row></r>";
    check_refused(
        &sandbox,
        new,
        &flags,
        1,
        "`b` (1 times, in no column) is new",
    );
    let other = "<r><row><a>1</a></row><row><a>x</a></row></r>";
    check_refused(&sandbox, other, &flags, 1, "the first `x` in");
    check(
        &sandbox,
        "SELECT count(*) AS n FROM db.t",
        &json!([{"n": 1}]),
    );
}

#[test]
fn rows_without_columns_do_not_vanish() {
    let sandbox = Sandbox::new();
    let empty = "<r><row a='1'/><row a='2'/></r>";
    for target in [["--table", "db.t"], ["--out", "out"]] {
        let flags = [&target[..], &["--exclude-attributes"]].concat();
        check_refused(
            &sandbox,
            empty,
            &flags,
            1,
            "2 rows found, with nothing in them",
        );
    }
    let none = ["--table", "db.t"];
    check_refused(&sandbox, "<r/>", &none, 0, "no row was found");
    let query = sandbox.run(&["sql", "SELECT * FROM db.t"]);
    assert!(query.starts_with("exit 2"), "{query}");
    // Where there are columns already, they are null.
    load(&sandbox, "<r><row><a>1</a></row></r>", &[]);
    load(&sandbox, "<r><row/><row/></r>", &[]);
    check(
        &sandbox,
        "SELECT count(*) AS n FROM db.t",
        &json!([{"n": 3}]),
    );
}

#[test]
fn less_than_was_to_be_read_replaces_nothing() {
    let sandbox = Sandbox::new();
    let rows = "<r><row><a>1</a></row></r>";
    sandbox.write("rows.xml", rows.as_bytes());
    sandbox.json(&[&CONVERT[..], &["--out", "out"]].concat());
    let flags = ["--out", "out", "--if-exists", "replace"];
    let cut = "<r><row><a>2</a></row>";
    check_refused(&sandbox, cut, &flags, 1, "nothing is replaced: ");
    check_refused(
        &sandbox,
        "<r/>",
        &flags,
        1,
        "nothing is replaced: no row was found",
    );
    check(&sandbox, "SELECT a FROM 'out'", &json!([{"a": 1}]));
    // Where nothing is there, what can be read is written.
    let elsewhere = ["--out", "new", "--if-exists", "replace"];
    check_refused(&sandbox, cut, &elsewhere, 1, "between rows not well-formed");
    check(&sandbox, "SELECT a FROM 'new'", &json!([{"a": 2}]));
}

#[test]
fn names_that_lead_elsewhere_or_nowhere_are_refused() {
    let sandbox = Sandbox::new();
    let document = "<r><row><a>1</a></row></r>";
    for name in ["../up", "a/b", "", "..", " "] {
        let flags = ["--out", "out", "--relationalize", name];
        check_refused(&sandbox, document, &flags, 2, "the name of a table");
    }
    let nameless = ["--out", "out", "--value-tag", ""];
    check_refused(&sandbox, document, &nameless, 2, "the name of a column");
    sandbox.write("file", b"x");
    check_refused(&sandbox, document, &["--out", "file"], 2, "file is a file");
    sandbox.write("s.ddl", b"a INT, s STRUCT<b: INT, B: STRING>");
    let schema = ["--out", "out", "--schema", "s.ddl"];
    check_refused(&sandbox, document, &schema, 2, "columns `s.b` and `s.B`");
}

#[test]
fn an_element_called_like_the_column_of_bad_rows_keeps_its_values() {
    let sandbox = Sandbox::new();
    load(
        &sandbox,
        "<r><row><_corrupt_record>5</_corrupt_record></row></r>",
        &[],
    );
    let bad = "<r><row><_corrupt_record>6</_corrupt_record></row><row><x></row></r>";
    sandbox.write("rows.xml", bad.as_bytes());
    let into = [&CONVERT[..], &["--table", "db.t"]].concat();
    assert_eq!(sandbox.json_with_code(&into).0, 1);
    check(
        &sandbox,
        "SELECT _corrupt_record_2 AS e, _corrupt_record AS c FROM db.t ORDER BY 1",
        &json!([
            {"e": 5, "c": null},
            {"e": 6, "c": null},
            {"e": null, "c": "<row><x></row>"},
        ]),
    );
    let fail = ["--table", "db.u", "--on-drift", "fail"];
    sandbox.write("rows.xml", b"<r><row><a>1</a></row></r>");
    sandbox.json(&[
        "xml",
        "convert",
        "rows.xml",
        "--row-tag",
        "row",
        "--table",
        "db.u",
    ]);
    check_refused(
        &sandbox,
        "<r><row><x></row></r>",
        &fail,
        1,
        "1 row malformed",
    );
}
