//! Tables that `ctas` made, kept in step with a lake that goes on changing.

use std::path::Path;

use calve_testkit::lakes::copy_folder;
use serde_json::{Value, json};

use crate::ctas::{check_whole, rewrite, rows};
use crate::support::{Sandbox, ghcn};

/// A copy of the bundled lake, which may change.
fn lake(sandbox: &Sandbox) -> String {
    let lake = sandbox.path().join("lake");
    copy_folder(Path::new(&ghcn()), &lake);
    lake.to_str().unwrap().to_owned()
}

fn update(lake: &str) -> Vec<&str> {
    [rewrite(lake), vec!["--update"]].concat()
}

/// Adds a partition of that year; gives the number of its rows.
fn grow(lake: &str, year: u32) -> u64 {
    let of = |year| format!("{lake}/YEAR={year}/ELEMENT=PRCP");
    copy_folder(Path::new(&of(2023)), Path::new(&of(year)));
    14_600 / 5
}

fn snapshots(sandbox: &Sandbox) -> Vec<String> {
    rows(sandbox, "SELECT snapshot_id FROM noaa.ghcn.snapshots")
}

#[test]
fn what_appeared_is_copied() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    let first = sandbox.json(&update(&lake));
    assert_eq!(first["added_records_count"], json!(73_000));
    let before = snapshots(&sandbox);
    let nothing = |report: &Value| {
        assert_eq!(report["added_records_count"], json!(0), "{report:#}");
        assert_eq!(report["snapshot_ids"], json!([]), "{report:#}");
    };
    nothing(&sandbox.json(&update(&lake)));
    assert_eq!(snapshots(&sandbox), before);

    let more = grow(&lake, 2030) + grow(&lake, 2031);
    let plan = sandbox.json(&[&update(&lake)[..], &["--dry-run"]].concat());
    assert_eq!(plan["source_records_count"], json!(more));
    assert_eq!(snapshots(&sandbox), before);
    let report = sandbox.json(&update(&lake));
    assert_eq!(report["added_records_count"], json!(more), "{report:#}");
    assert_eq!(report["batches"], json!(2));
    check_whole(&sandbox, &lake, "two more partitions");
    nothing(&sandbox.json(&update(&lake)));

    // Compaction moves rows into other files, and takes no snapshot that counts.
    sandbox.json(&["compact", "noaa.ghcn", "--option", "rewrite-all=true"]);
    let more = grow(&lake, 2032);
    let report = sandbox.json(&update(&lake));
    assert_eq!(report["added_records_count"], json!(more), "{report:#}");
    let proof = sandbox.json(&["verify", &lake, "--table", "noaa.ghcn"]);
    assert_eq!(proof["equal"], json!(true), "{proof:#}");
}

#[test]
fn what_changed_or_vanished_is_reported() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    sandbox.json(&rewrite(&lake));
    let folder = format!("{lake}/YEAR=2023/ELEMENT=PRCP");
    let mut files: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let other = format!("{lake}/YEAR=2023/ELEMENT=SNOW");
    let other = fs_err::read_dir(other).unwrap().next().unwrap().unwrap();
    fs_err::copy(other.path(), &files[0]).unwrap();
    fs_err::remove_file(&files[1]).unwrap();
    let more = grow(&lake, 2030);
    // Of the partition that was copied, three of four files are there.
    let more = more - more / 4;
    let report = sandbox.json(&update(&lake));
    for (key, file) in [("changed_files", &files[0]), ("missing_files", &files[1])] {
        let named = report[key].as_array().unwrap();
        assert_eq!(named.len(), 1, "{report:#}");
        let named = named[0].as_str().unwrap();
        assert!(named.ends_with(file.to_str().unwrap()), "{named}");
    }
    assert_eq!(report["added_records_count"], json!(more));
    let count = rows(&sandbox, "SELECT count(*) AS n FROM noaa.ghcn");
    assert_eq!(count, [json!({ "n": 73_000 + more }).to_string()]);
}

/// At whatever step a run ends, the next one finds what is left to do, and nothing twice.
#[test]
fn a_run_that_was_cut_off_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    sandbox.json(&rewrite(&lake));
    let steps = [
        "batch-begun",
        "batch-written",
        "batch-verified",
        "batch-landed",
        "batch-committed",
        "migration-done",
    ];
    for (step, year) in steps.into_iter().zip((2030..).step_by(2)) {
        grow(&lake, year);
        grow(&lake, year + 1);
        let cut_off = sandbox.output(&[update(&lake), vec!["--fail-point", step]].concat());
        assert_eq!(cut_off.status.code(), None, "{step}: it did not end there");
        sandbox.json(&update(&lake));
        check_whole(&sandbox, &lake, step);
    }
}

#[test]
fn what_cannot_be_kept_in_step_is_refused() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    sandbox.json(&rewrite(&lake));
    let check = |arguments: &[&str], expected: &str| {
        let printed = sandbox.run(arguments);
        assert!(printed.starts_with("exit 2"), "{printed}");
        assert!(printed.contains(expected), "{printed}");
    };
    check(&rewrite(&lake), "exists already");
    let other = [update(&lake), vec!["--where", "year > 2000"]].concat();
    check(&other, "has other options");
    let by_column = ["ctas", &lake, "--table", "a.b", "--batch-by", "S_FLAG"];
    sandbox.json(&by_column);
    let by_column = [&by_column[..], &["--update"]].concat();
    check(&by_column, "does not tell which files were read");
    check(
        &["ctas", "iceberg:a.b", "--table", "a.c", "--update"],
        "--update",
    );
}
