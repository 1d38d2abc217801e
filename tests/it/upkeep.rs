//! `expire-snapshots`, `remove-orphans` and `rewrite-manifests`: what they say, and what other readers find after them.

use calve_testkit::python;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Sandbox;

/// A table of some rows for each commit; a compaction of all comes last where told.
fn table(commits: usize, compacted: bool) -> Sandbox {
    let sandbox = Sandbox::new();
    for number in 0..commits {
        let text = format!("<r><i><n>{number}</n><s>text {number}</s></i></r>");
        sandbox.write("a.xml", text.as_bytes());
        let xml = [
            "xml",
            "convert",
            "a.xml",
            "--row-tag",
            "i",
            "--table",
            "db.t",
        ];
        sandbox.json(&xml);
    }
    if compacted {
        sandbox.json(&["compact", "db.t", "--min-input-files", "2"]);
    }
    sandbox
}

/// The data files that lie in the table's folder.
fn data_files(sandbox: &Sandbox) -> usize {
    let folder = sandbox.path().join("warehouse/db/t/data");
    fs_err::read_dir(folder).unwrap().count()
}

/// What a reader of its own finds in the table as it is.
fn read(sandbox: &Sandbox, reader: &str) -> Value {
    let shown = sandbox.json(&["show", "db.t"]);
    let metadata = shown["metadata_location"].as_str().unwrap();
    let arguments = ["--reader", reader, "--metadata", metadata, "--rows"];
    python::run_file("read_table.py", &arguments)
}

#[track_caller]
fn check_readers(sandbox: &Sandbox, rows: usize) {
    let count = sandbox.json(&["sql", "SELECT count(*) AS c FROM db.t"]);
    assert_eq!(count, json!([{"c": rows}]));
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(read(sandbox, reader)["count"], json!(rows), "{reader}");
    }
}

#[test]
fn snapshots_expire_and_their_files_go() {
    let sandbox = table(3, true);
    assert_eq!(data_files(&sandbox), 4);
    let none = sandbox.json(&["expire-snapshots", "db.t"]);
    assert_eq!(none["expired_snapshot_ids"], json!([]));
    let plan = sandbox.json(&[
        "expire-snapshots",
        "db.t",
        "--older-than",
        "0s",
        "--dry-run",
    ]);
    assert_eq!(plan["snapshots"].as_array().unwrap().len(), 3);
    assert_eq!(plan["snapshots"][0]["reason"], "too_old");
    assert_eq!(plan["files_by_kind"]["data"], 3);
    assert_eq!(data_files(&sandbox), 4);
    assert_snapshot!(sandbox.run(&["expire-snapshots", "db.t", "--older-than", "0s"]), @"
    exit 0
    --- stdout ---
    expired snapshots              [SNAPSHOT], [SNAPSHOT], [SNAPSHOT]
    deleted data files             3
    deleted position delete files  0
    deleted equality delete files  0
    deleted manifests              3
    deleted manifest lists         3
    deleted statistics files       0
    --- stderr ---
    ");
    assert_eq!(data_files(&sandbox), 1);
    check_readers(&sandbox, 3);
    let report = sandbox.json(&["expire-snapshots", "db.t", "--older-than", "0s"]);
    assert_eq!(report["deleted_manifest_lists_count"], 0);
}

#[test]
fn what_cannot_expire_is_said() {
    let sandbox = table(2, false);
    let snapshots = sandbox.json(&[
        "sql",
        "SELECT snapshot_id FROM db.t.snapshots ORDER BY committed_at",
    ]);
    let current = snapshots[1]["snapshot_id"].to_string();
    assert_snapshot!(sandbox.run(&["expire-snapshots", "db.t", "--snapshot-id", &current]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: snapshot [SNAPSHOT] cannot expire: it is named by `main`
    hint: choose another snapshot, or take the branch or tag away first
    ");
    assert_snapshot!(sandbox.run(&["expire-snapshots", "db.t", "--older-than", "soon"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --older-than: `soon` is not a duration before now, such as 5d, or a time, such as 2024-05-01T12:00:00Z
    ");
    let first = snapshots[0]["snapshot_id"].to_string();
    let report = sandbox.json(&["expire-snapshots", "db.t", "--snapshot-id", &first]);
    assert_eq!(report["expired_snapshot_ids"][0].to_string(), first);
    check_readers(&sandbox, 2);
}

#[test]
fn a_lakes_files_are_not_deleted() {
    let sandbox = Sandbox::new();
    let lake = calve_testkit::workspace_root().join("fixtures/ghcn");
    let lake = lake.to_str().unwrap();
    sandbox.json(&["snapshot", lake, "--table", "db.t"]);
    assert_snapshot!(sandbox.run(&["expire-snapshots", "db.t", "--older-than", "0s"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.t does not own its files (gc.enabled=false), so none of them are deleted
    hint: other tables may read them; `calve finalize` gives the files of a migration to its table, and `--clean-up none` leaves all files where they are
    ");
    let report = sandbox.json(&[
        "expire-snapshots",
        "db.t",
        "--older-than",
        "0s",
        "--clean-up",
        "none",
    ]);
    assert_eq!(report["deleted_data_files_count"], 0);
}

#[test]
fn orphans_go() {
    let sandbox = table(2, false);
    for name in [
        "data/lost.parquet",
        "data/_temporary/x",
        "inner/metadata/1.metadata.json",
    ] {
        sandbox.write(&format!("warehouse/db/t/{name}"), b"lost");
    }
    assert_snapshot!(sandbox.run(&["remove-orphans", "db.t"]), @"
    exit 0
    --- stdout ---
    deleted orphans  0 files (0 B)

    Files that stay:
      2 files: too young
      1 file: hidden

    Left to other tables:
      [DIR]/warehouse/db/t/inner
    --- stderr ---
    ");
    assert_snapshot!(sandbox.run(&["remove-orphans", "db.t", "--older-than", "1h"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: files that are younger than 24 hours may be about to be committed, and are not removed
    hint: name an earlier time, or `--force` it while nobody writes
    ");
    let forced = ["remove-orphans", "db.t", "--older-than", "0s", "--force"];
    assert_snapshot!(sandbox.run(&[&forced[..], &["--dry-run"]].concat()), @"
    exit 0
    --- stdout ---
    table           db.t
    looked through  [DIR]/warehouse/db/t
    orphans         1 file (4 B)

    Orphans:
      [DIR]/warehouse/db/t/data/lost.parquet: no snapshot refers to it

    Files that stay:
      1 file: hidden
      1 file: another table's

    Left to other tables:
      [DIR]/warehouse/db/t/inner
    --- stderr ---
    note: this was a dry run: nothing was written
    ");
    let report = sandbox.json(&forced);
    assert_eq!(report["deleted_files_count"], 1);
    assert_eq!(data_files(&sandbox), 3);
    check_readers(&sandbox, 2);
    // What an expiry left behind goes too.
    sandbox.json(&["compact", "db.t", "--min-input-files", "2"]);
    sandbox.json(&[
        "expire-snapshots",
        "db.t",
        "--older-than",
        "0s",
        "--clean-up",
        "none",
    ]);
    let report = sandbox.json(&forced);
    assert_eq!(report["deleted_files_count"], 6);
    check_readers(&sandbox, 2);
}

#[test]
fn manifests_become_one() {
    let sandbox = table(3, false);
    let plan = sandbox.json(&["rewrite-manifests", "db.t", "--dry-run"]);
    assert_eq!(plan["sets"][0]["manifests_count"], 3);
    assert_eq!(plan["sets"][0]["reasons"], json!(["small"]));
    let text = sandbox.run(&["rewrite-manifests", "db.t", "--dry-run"]);
    assert!(
        text.contains("3 files, into about 1: small manifests"),
        "{text}"
    );
    assert_snapshot!(sandbox.run(&["rewrite-manifests", "db.t"]), @"
    exit 0
    --- stdout ---
    snapshot       [SNAPSHOT]
    rewritten      3 manifests
    added          1 manifest
    files in them  3
    --- stderr ---
    ");
    check_readers(&sandbox, 3);
    let again = sandbox.json(&["rewrite-manifests", "db.t"]);
    assert_eq!(again["snapshot_id"], Value::Null);
    let rows = sandbox.json(&["sql", "SELECT n FROM db.t ORDER BY n"]);
    assert_eq!(rows, json!([{"n": 0}, {"n": 1}, {"n": 2}]));
    assert_snapshot!(sandbox.run(&["rewrite-manifests", "db.t", "--sort-by", "n"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: option sort_by=n: partition spec 0 has no field of that name
    ");
}
