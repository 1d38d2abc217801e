//! `sync`: what it says, and how it exits, while a lake changes.

use insta::assert_snapshot;

use crate::support::{Sandbox, fixture};

fn put(sandbox: &Sandbox, from: &str, to: &str) {
    let path = format!("drift/widened/day={from}/part-0.parquet");
    let content = fs_err::read(fixture(&path)).unwrap();
    sandbox.write(&format!("lake/day={to}/part-0.parquet"), &content);
}

#[test]
fn a_table_follows_its_lake() {
    let sandbox = Sandbox::new();
    put(&sandbox, "2024-01-01", "2024-01-01");
    put(&sandbox, "2024-01-02", "2024-01-02");
    let sync = ["sync", "lake", "--table", "db.t"];
    let plan = sandbox.json(&[&sync[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["dry_run"], &plan["added_files_count"]),
        (&true.into(), &2.into())
    );
    assert_eq!(sandbox.json(&sync)["added_files_count"], 2);
    assert_snapshot!(sandbox.run(&sync), @"
    exit 0
    --- stdout ---
    table   db.t
    source  up to date: the source lists as before
    --- stderr ---
    ");

    put(&sandbox, "2024-01-01", "2024-01-03");
    put(&sandbox, "2024-01-01", "2024-01-02");
    fs_err::remove_file(sandbox.path().join("lake/day=2024-01-01/part-0.parquet")).unwrap();
    assert_snapshot!(sandbox.run(&sync), @"
    exit 1
    --- stdout ---
    table      db.t
    snapshot   [SNAPSHOT]
    added      1 file (2 rows)
    changed    1 (0 replaced)
    missing    1 (0 removed)
    unchanged  0
    refused    0

    Changed:
      [DIR]/lake/day=2024-01-02/part-0.parquet

    Missing:
      [DIR]/lake/day=2024-01-01/part-0.parquet
    --- stderr ---
    note: gc.enabled=false: the files still belong to the lake, so expiring snapshots will not delete them; set gc.enabled=true when the table alone owns them
    warning: 1 file changed, and the table describes what was there before: --on-changed replace adds what is there now
    warning: 1 file vanished, and the table still names them: --on-deleted remove takes them out
    ");
    let (code, report) = sandbox.json_with_code(&sync);
    assert_eq!((code, &report["up_to_date"]), (1, &false.into()));
    assert_eq!(report["changed_files"].as_array().unwrap().len(), 1);
    assert_eq!(report["missing_files"].as_array().unwrap().len(), 1);

    let all = ["--on-changed", "replace", "--on-deleted", "remove"];
    let report = sandbox.json(&[&sync[..], &all].concat());
    assert_eq!(report["replaced_files_count"], 1);
    assert_eq!(report["removed_files_count"], 1);
    assert_eq!(sandbox.json(&sync)["up_to_date"], true);
    let verify = ["verify", "lake", "--table", "db.t", "--level", "rows"];
    assert_eq!(sandbox.json(&verify)["equal"], true);
}

#[test]
fn a_table_is_no_source_to_follow() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["sync", "iceberg:db.t", "--table", "db.u"]);
    assert!(output.starts_with("exit 2"), "{output}");
    assert!(output.contains("an Iceberg table is no source"), "{output}");
}

/// A process that ends at any step leaves the table as it was, or in step; the next run brings it in step, once.
#[test]
fn a_run_that_was_cut_off_is_done_again() {
    for step in ["listed", "remembered", "committed"] {
        for first in [true, false] {
            let sandbox = Sandbox::new();
            let sync = [
                "sync",
                "lake",
                "--table",
                "db.t",
                "--on-changed",
                "replace",
                "--on-deleted",
                "remove",
            ];
            put(&sandbox, "2024-01-01", "2024-01-01");
            put(&sandbox, "2024-01-02", "2024-01-02");
            if !first {
                sandbox.json(&sync);
                put(&sandbox, "2024-01-01", "2024-01-03");
                put(&sandbox, "2024-01-01", "2024-01-02");
                fs_err::remove_file(sandbox.path().join("lake/day=2024-01-01/part-0.parquet"))
                    .unwrap();
            }
            let killed = sandbox.output(&[&sync[..], &["--fail-point", step]].concat());
            assert!(!killed.status.success(), "{step}");
            assert_eq!(killed.stdout, b"", "{step}");
            let report = sandbox.json(&sync);
            assert_eq!(
                report["up_to_date"],
                step == "committed",
                "{step}: {report:#}"
            );
            assert_eq!(sandbox.json(&sync)["up_to_date"], true, "{step}");
            let verify = ["verify", "lake", "--table", "db.t", "--level", "rows"];
            assert_eq!(sandbox.json(&verify)["equal"], true, "{step}");
            let query = "SELECT count(*) AS n, count(DISTINCT file_path) AS files FROM db.t.files";
            assert_eq!(
                sandbox.json(&["sql", query]),
                serde_json::json!([{"n": 2, "files": 2}]),
                "{step}"
            );
        }
    }
}
