//! `report`: a migration as one HTML page.

use serde_json::json;

use crate::support::{Sandbox, ghcn};

/// Rewrites the bundled lake and returns the migration's id.
fn rewritten(sandbox: &Sandbox, table: &str, more: &[&str]) -> String {
    let lake = ghcn();
    let ctas = ["ctas", &lake, "--table", table, "--batch-by", "YEAR"];
    let report = sandbox.json(&[&ctas[..], more].concat());
    report["migration_id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check_page(page: &str, expected: &[&str]) {
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for markup in ["<script", "<img", "http://", "https://", "src=\"", "url("] {
        assert!(!page.contains(markup), "{markup} in {page}");
    }
    for text in expected {
        assert!(page.contains(text), "{text} is not in {page}");
    }
}

#[test]
fn a_rewrite_is_told_with_its_files_and_checks() {
    let sandbox = Sandbox::new();
    let id = rewritten(&sandbox, "noaa.new", &["--partition-by", "ELEMENT"]);
    let report = sandbox.json(&["report", &id, "--out", "page.html", "--level", "rows"]);
    assert_eq!(
        (&report["operation"], &report["state"]),
        (&json!("ctas"), &json!("done"))
    );
    let (before, after) = (&report["before"], &report["after"]);
    assert_eq!(
        (&before["files"], &before["partitions"]),
        (&json!(100), &json!(25))
    );
    assert_eq!(
        (&after["records"], &after["partitions"]),
        (&json!(73_000), &json!(5))
    );
    assert!(
        after["files"].as_u64() < before["files"].as_u64(),
        "{report:#}"
    );
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(
        checks[0]["what"],
        "rows of each batch, as read and as committed"
    );
    assert_eq!(checks[0]["compared"], 5);
    assert!(checks.len() > 5, "{report:#}");
    assert!(
        checks.iter().all(|check| check["equal"] == true),
        "{report:#}"
    );
    let page = fs_err::read_to_string(sandbox.path().join("page.html")).unwrap();
    check_page(
        &page,
        &[&id, "Equal in all", "Files before and after", "noaa.new"],
    );
    // Without a file, people get the page itself.
    let output = sandbox.output(&["report", &id, "--no-verify"]);
    assert!(output.status.success());
    check_page(
        &String::from_utf8(output.stdout).unwrap(),
        &["Equal in all 1 checks"],
    );
}

#[test]
fn rows_that_were_lost_since_show() {
    let sandbox = Sandbox::new();
    let id = rewritten(&sandbox, "noaa.new", &["--partition-by", "YEAR, ELEMENT"]);
    // Another writer adds rows that the source does not have.
    let more = format!("{}/YEAR=2019/ELEMENT=PRCP", ghcn());
    let lake = sandbox.path().join("more/YEAR=2019/ELEMENT=PRCP");
    fs_err::create_dir_all(&lake).unwrap();
    for entry in fs_err::read_dir(&more).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, lake.join(path.file_name().unwrap())).unwrap();
    }
    sandbox.json(&["add-files", "more", "--table", "noaa.new"]);
    let (code, report) = sandbox.json_with_code(&["report", &id]);
    assert_eq!(code, 1);
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<_> = checks
        .iter()
        .filter(|check| check["equal"] == false)
        .collect();
    assert!(!failed.is_empty(), "{report:#}");
    assert!(
        failed[0]["found"]
            .as_str()
            .unwrap()
            .contains("source 73000 table "),
        "{failed:?}"
    );
}

#[test]
fn a_swap_is_compared_with_what_had_the_name() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    sandbox.json(&["add-files", &lake, "--table", "noaa.ghcn"]);
    rewritten(&sandbox, "noaa.new", &[]);
    let swap = sandbox.json(&["swap", "noaa.ghcn", "noaa.new"]);
    let id = swap["migration_id"].as_str().unwrap();
    let report = sandbox.json(&["report", id, "--level", "aggregates"]);
    assert_eq!(report["before"]["name"], swap["backup"]);
    assert_eq!(report["before"]["files"], 100);
    assert_eq!(report["cost"], json!(null));
    assert!(report["checks"].as_array().unwrap().len() > 5);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let sandbox = Sandbox::new();
    let id = rewritten(&sandbox, "noaa.hot", &["--where", "\"ELEMENT\" = 'TMAX'"]);
    let report = sandbox.json(&["report", &id]);
    let notes = report["notes"].to_string();
    assert!(notes.contains("only rows as asked: where"), "{notes}");
    assert_eq!(report["checks"].as_array().unwrap().len(), 1);
    let output = sandbox.run(&["report", "ctas-noaa.none-20260101T000000Z-00000000"]);
    assert!(output.starts_with("exit 2"), "{output}");
    let output = sandbox.run(&["report", "what"]);
    assert!(output.contains("MIGRATION_ID"), "{output}");
}
