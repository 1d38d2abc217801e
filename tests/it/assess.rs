//! `assess`: what it says of a lake, as text, JSON and HTML, and that the commands which it recommends do it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use calve::arrow::array::{
    ArrayRef, Int64Array, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use calve_testkit::lakes;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Sandbox, files_below, fixture, ghcn};

/// Writes a file whose `at` counts microseconds, or milliseconds.
fn write_times(path: &Path, milliseconds: bool, first: i64) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 3));
    let times = (first..first + 3).map(|it| 1_714_521_600_123 + it);
    let times: ArrayRef = if milliseconds {
        Arc::new(TimestampMillisecondArray::from_iter_values(times))
    } else {
        Arc::new(TimestampMicrosecondArray::from_iter_values(
            times.map(|it| it * 1_000),
        ))
    };
    lakes::write_parquet(path, &lakes::batch(vec![("id", ids), ("at", times)]));
}

/// Days in folders, those that are named with milliseconds, and something that is no data.
fn write_days(sandbox: &Sandbox, days: std::ops::RangeInclusive<i64>, milliseconds: &[i64]) {
    for day in days {
        let path = format!("lake/Day=2024-01-{day:02}/part-0.parquet");
        write_times(
            &sandbox.path().join(path),
            milliseconds.contains(&day),
            day * 10,
        );
    }
    sandbox.write("lake/_SUCCESS", b"");
}

#[test]
fn it_tells_people() {
    let sandbox = Sandbox::new();
    write_days(&sandbox, 1..=3, &[2]);
    let before = files_below(&sandbox.path().join("lake"));
    assert_snapshot!(
        "assess",
        sandbox.run(&["assess", "lake", "--table", "db.t"])
    );
    assert_eq!(files_below(&sandbox.path().join("lake")), before);
}

#[test]
fn json_has_the_promised_fields() {
    let sandbox = Sandbox::new();
    write_days(&sandbox, 1..=3, &[2]);
    let report = sandbox.json(&["assess", "lake", "--target-file-size", "1kB"]);
    for (field, value) in [
        ("files", json!(3)),
        ("records", json!(9)),
        ("partitions", json!(3)),
        ("recommendation", json!("in-place-except")),
        ("from_cache", json!(false)),
        ("target_file_bytes", json!(1000)),
        ("partition_keys", json!([{"name": "Day", "type": "date"}])),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    assert_eq!(report["except"]["partitions"], json!([["2024-01-02"]]));
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["severity"], &finding["code"]),
        (&json!("unsafe"), &json!("milliseconds"))
    );
    assert_eq!(
        (&finding["column"], &finding["files"]),
        (&json!("at"), &json!(1))
    );
    assert_eq!(report["in_place"]["unsafe"]["files"], 1);
    assert_eq!(report["skipped"][0]["reason"], "hidden");
    assert_eq!(report["ways"]["in_place"]["dollars"], 0.0);
    assert!(report["bytes"].as_u64().unwrap() > 1000);

    let sound = sandbox.json(&["assess", &ghcn()]);
    assert_eq!(sound["recommendation"], "in-place");
    assert_eq!(
        (&sound["findings"], &sound["partitions"]),
        (&json!([]), &json!(25))
    );
}

/// Runs the recommended commands in a shell, and compares the table with the lake.
#[track_caller]
fn check_commands(sandbox: &Sandbox, lake: &str, recommendation: &str, count: usize) {
    let report = sandbox.json(&["assess", lake, "--table", "db.t"]);
    assert_eq!(report["recommendation"], recommendation, "{report:#}");
    let commands = report["commands"].as_array().unwrap();
    assert_eq!(commands.len(), count, "{commands:#?}");
    let program = Path::new(env!("CARGO_BIN_EXE_calve"));
    for command in commands {
        let output = Command::new("/bin/sh")
            .args(["-c", command.as_str().unwrap()])
            .env_clear()
            .env("PATH", program.parent().unwrap())
            .env("HOME", sandbox.path())
            .current_dir(sandbox.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {stderr}");
    }
    let proof = sandbox.json(&["verify", lake, "--table", "db.t", "--level", "rows"]);
    assert_eq!(proof["equal"], true, "{proof:#}");
    // There is nothing left to add.
    let rest = [
        "add-files",
        lake,
        "--table",
        "db.t",
        "--on-duplicate",
        "skip",
        "--dry-run",
    ];
    assert_eq!(sandbox.json(&rest)["added_files_count"], 0);
}

#[test]
fn the_commands_do_what_is_recommended() {
    let sandbox = Sandbox::new();
    check_commands(&sandbox, &fixture("drift/widened"), "in-place", 2);
}

#[test]
fn the_commands_rewrite_everything() {
    let sandbox = Sandbox::new();
    let lake = fixture("milliseconds");
    let report = sandbox.json(&["assess", &lake, "--table", "db.t"]);
    assert_eq!(report["recommendation"], "ctas");
    for command in report["commands"].as_array().unwrap() {
        let words: Vec<&str> = command.as_str().unwrap().split(' ').skip(1).collect();
        let output = sandbox.output(&words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {stderr}");
    }
}

#[test]
fn the_commands_except_partitions() {
    // The others are named one by one.
    let sandbox = Sandbox::new();
    write_days(&sandbox, 1..=6, &[2, 5]);
    check_commands(&sandbox, "lake", "in-place-except", 1 + 4 + 1);
}

#[test]
fn hostile_names_are_text() {
    let sandbox = Sandbox::new();
    let hostile = "k=<script>alert(1)<%2Fscript>'\"&$(touch pwned)";
    let path = sandbox.path().join("lake").join(hostile);
    write_times(&path.join("a<img src=x onerror=alert(2)>.parquet"), true, 0);
    write_times(&sandbox.path().join("lake/k=plain/a.parquet"), false, 3);
    write_times(&sandbox.path().join("lake/k=plain/b.parquet"), false, 6);
    let page = sandbox.output(&["assess", "lake", "--format", "html"]);
    assert!(page.status.success());
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for markup in ["<script", "<img", "http://", "https://", "src=\"", "url("] {
        assert!(!page.contains(markup), "{markup} in {page}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(
        page.contains("&lt;img src=x onerror=alert(2)&gt;.parquet"),
        "{page}"
    );
    assert!(
        page.contains("<svg ") && page.contains("in-place-except"),
        "{page}"
    );
    // Nor does a shell take them for more than text.
    check_commands(&sandbox, "lake", "in-place-except", 1 + 1 + 1);
    assert!(!sandbox.path().join("pwned").exists());
}

#[test]
fn a_page_in_a_file_beside_json() {
    let sandbox = Sandbox::new();
    write_days(&sandbox, 1..=2, &[]);
    let report = sandbox.json(&["assess", "lake", "--format", "html", "--out", "page.html"]);
    assert_eq!(report["files"], 2);
    let page = fs_err::read_to_string(sandbox.path().join("page.html")).unwrap();
    assert!(page.contains("<strong>in-place</strong>"), "{page}");
}

#[test]
fn a_cache_answers_for_an_unchanged_lake() {
    let sandbox = Sandbox::new();
    write_days(&sandbox, 1..=2, &[]);
    let assess = ["assess", "lake", "--cache", "cache.json"];
    assert_eq!(sandbox.json(&assess)["from_cache"], false);
    let again = sandbox.json(&assess);
    assert_eq!(again["from_cache"], true);
    write_days(&sandbox, 1..=3, &[]);
    let more = sandbox.json(&assess);
    assert_eq!(
        (&more["from_cache"], &more["files"]),
        (&json!(false), &json!(3))
    );
}

#[track_caller]
fn check_refused(sandbox: &Sandbox, arguments: &[&str], message: &str) {
    let output = sandbox.run(&[&["assess"], arguments].concat());
    assert!(output.starts_with("exit 2"), "{output}");
    assert!(output.contains(message), "{output}");
}

#[test]
fn what_cannot_be_assessed() {
    let sandbox = Sandbox::new();
    write_days(&sandbox, 1..=2, &[]);
    check_refused(&sandbox, &["nothing"], "no such file or folder");
    check_refused(&sandbox, &["iceberg:db.t"], "an Iceberg table is no source");
    check_refused(&sandbox, &["glue:db.t"], "glue");
    check_refused(
        &sandbox,
        &["lake", "--cache", "lake/c.json"],
        "would lie in the source",
    );
    check_refused(
        &sandbox,
        &["lake", "--price", "tea=1"],
        "`tea` is not list, put, get, glue or athena",
    );
    check_refused(
        &sandbox,
        &["lake", "--price", "get=-1"],
        "a number of dollars",
    );
    check_refused(
        &sandbox,
        &["lake", "--target-file-size", "0"],
        "a size above 0",
    );
    let html = ["lake", "--format", "html", "--output-format", "json"];
    check_refused(&sandbox, &html, "name a file for the page");
    check_refused(
        &sandbox,
        &["lake", "--out", "no/folder/page"],
        "the report cannot be written",
    );
    fs_err::create_dir(sandbox.path().join("empty")).unwrap();
    check_refused(&sandbox, &["empty"], "no data files");
}

#[test]
fn damaged_files_are_findings() {
    let sandbox = Sandbox::new();
    sandbox.write("lake/a.parquet", b"PAR1 is how it begins, and that is all");
    let report: Value = sandbox.json(&["assess", "lake"]);
    assert_eq!(
        (&report["recommendation"], &report["commands"]),
        (&json!("none"), &json!([]))
    );
    assert_eq!(report["findings"][0]["code"], "truncated_footer");
}
