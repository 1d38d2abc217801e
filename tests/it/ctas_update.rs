//! Tables that `ctas` made, kept in step with a lake that goes on changing.

use std::path::{Path, PathBuf};

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

/// The files of a folder, sorted.
pub(crate) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The files of a partition, sorted.
fn files_of(lake: &str, year: u32, element: &str) -> Vec<PathBuf> {
    files_in(Path::new(&format!("{lake}/YEAR={year}/ELEMENT={element}")))
}

/// Of the last year, one file is another, and one is gone.
fn change(lake: &str) -> [PathBuf; 2] {
    let files = files_of(lake, 2023, "PRCP");
    fs_err::copy(&files_of(lake, 2023, "SNOW")[0], &files[0]).unwrap();
    fs_err::remove_file(&files[1]).unwrap();
    [files[0].clone(), files[1].clone()]
}

#[test]
fn what_changed_or_vanished_is_reported_or_done_anew() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    sandbox.json(&rewrite(&lake));
    let files = change(&lake);
    // Of the partition that is copied, three of four files are there.
    let more = grow(&lake, 2030);
    let more = more - more / 4;
    // Both are of one batch, which is done anew as a whole or not at all.
    for flags in [
        vec![],
        vec!["--on-changed", "replace"],
        vec!["--on-deleted", "remove"],
    ] {
        let (code, report) = sandbox.json_with_code(&[update(&lake), flags].concat());
        assert_eq!(code, 1, "{report:#}");
        for (key, file) in [("changed_files", &files[0]), ("missing_files", &files[1])] {
            let named = report[key].as_array().unwrap();
            assert_eq!(named.len(), 1, "{report:#}");
            let named = named[0].as_str().unwrap();
            assert!(named.ends_with(file.to_str().unwrap()), "{named}");
        }
        let count = rows(&sandbox, "SELECT count(*) AS n FROM noaa.ghcn");
        assert_eq!(count, [json!({ "n": 73_000 + more }).to_string()]);
    }
    let both = [update(&lake), anew()].concat();
    let plan = sandbox.json(&[&both[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["batches"], &plan["first_batches"][0]["replaces"]),
        (&json!(1), &json!(5))
    );
    let report = sandbox.json(&both);
    assert_eq!(report["replaced_files_count"], json!(1), "{report:#}");
    assert_eq!(report["removed_files_count"], json!(1), "{report:#}");
    check_whole(&sandbox, &lake, "one batch anew");
    let last = "SELECT operation FROM noaa.ghcn.snapshots ORDER BY committed_at DESC LIMIT 1";
    assert_eq!(rows(&sandbox, last), [r#"{"operation":"overwrite"}"#]);
    let again = sandbox.json(&both);
    assert_eq!(again["batches"], json!(0), "{again:#}");
    let proof = sandbox.json(&["verify", &lake, "--table", "noaa.ghcn", "--level", "rows"]);
    assert_eq!(proof["equal"], json!(true), "{proof:#}");
    let migrations = sandbox.json(&["show", "noaa.ghcn", "--migrations"]);
    let id = migrations["migrations"][0]["id"].as_str().unwrap();
    let told = sandbox.json(&["report", id]);
    assert!(
        told["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["equal"] == json!(true))
    );

    // A whole year goes: there is nothing to write.
    fs_err::remove_dir_all(format!("{lake}/YEAR=2019")).unwrap();
    let report = sandbox.json(&both);
    assert_eq!(report["added_files_count"], json!(0), "{report:#}");
    check_whole(&sandbox, &lake, "a batch without files");
    assert_eq!(rows(&sandbox, last), [r#"{"operation":"delete"}"#]);
    assert_eq!(sandbox.json(&both)["batches"], json!(0));
}

fn anew() -> Vec<&'static str> {
    vec!["--on-changed", "replace", "--on-deleted", "remove"]
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
    // The same where a batch is done anew, which has its rows until the new ones are there.
    let anew = [update(&lake), anew()].concat();
    for (step, year) in steps.into_iter().zip(2030..) {
        fs_err::remove_file(&files_of(&lake, year, "PRCP")[0]).unwrap();
        let before = rows(&sandbox, "SELECT count(*) AS n FROM noaa.ghcn");
        let cut_off = sandbox.output(&[&anew[..], &["--fail-point", step]].concat());
        assert_eq!(cut_off.status.code(), None, "{step}: it did not end there");
        let has_landed = !["batch-begun", "batch-written", "batch-verified"].contains(&step);
        let after = rows(&sandbox, "SELECT count(*) AS n FROM noaa.ghcn");
        assert_eq!(before != after, has_landed, "{step}");
        sandbox.json(&anew);
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
    let alone = [rewrite(&lake), vec!["--on-changed", "replace"]].concat();
    check(&alone, "--update");
    check(
        &["ctas", "iceberg:noaa.ghcn", "--table", "a.c", "--update"],
        "--update",
    );
    // Rows of a batch that were moved among others are not to be told from them.
    sandbox.json(&["compact", "noaa.ghcn", "--option", "rewrite-all=true"]);
    change(&lake);
    check(
        &[update(&lake), anew()].concat(),
        "the files that it wrote were rewritten",
    );
}

/// Batches of values read parts of all files; those of an update are whole files.
#[test]
fn batches_of_values_are_gone_on_with() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    let by_column = [
        "ctas",
        &lake,
        "--table",
        "noaa.ghcn",
        "--batch-by",
        "S_FLAG",
    ];
    let update = [&by_column[..], &["--update"]].concat();
    let cut_off = sandbox.output(&[&by_column[..], &["--fail-point", "batch-committed"]].concat());
    assert_eq!(cut_off.status.code(), None, "it did not end there");
    sandbox.json(&update);
    check_whole(&sandbox, &lake, "values");
    assert_eq!(sandbox.json(&update)["batches"], json!(0));
    grow(&lake, 2030);
    assert_eq!(sandbox.json(&update)["batches"], json!(1));
    check_whole(&sandbox, &lake, "values, then files");
    fs_err::remove_file(&files_of(&lake, 2030, "PRCP")[0]).unwrap();
    sandbox.json(&[update.clone(), anew()].concat());
    check_whole(&sandbox, &lake, "a batch of files anew");
    change(&lake);
    let printed = sandbox.run(&[update, anew()].concat());
    assert!(printed.contains("cannot be brought in step"), "{printed}");
}

/// A batch that landed, and whose snapshot expired before anybody wrote that down, is known by the table.
#[test]
fn what_landed_is_not_lost_with_its_snapshot() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    sandbox.json(&rewrite(&lake));
    for rewrites in [false, true] {
        grow(&lake, 2030 + u32::from(rewrites));
        let cut_off = [update(&lake), vec!["--fail-point", "batch-landed"]].concat();
        assert_eq!(sandbox.output(&cut_off).status.code(), None);
        if rewrites {
            sandbox.json(&["compact", "noaa.ghcn", "--option", "rewrite-all=true"]);
        } else {
            let report = sandbox.json(&["rewrite-manifests", "noaa.ghcn"]);
            assert!(report["snapshot_id"].is_i64(), "{report:#}");
        }
        let expire = [
            "expire-snapshots",
            "noaa.ghcn",
            "--older-than",
            "0s",
            "--retain-last",
            "1",
        ];
        sandbox.json(&expire);
        let kept = rows(&sandbox, "SELECT snapshot_id FROM noaa.ghcn.snapshots");
        assert_eq!(kept.len(), 1);
        let report = sandbox.json(&update(&lake));
        assert_eq!(report["added_records_count"], json!(0), "{report:#}");
        let proof = sandbox.json(&["verify", &lake, "--table", "noaa.ghcn"]);
        assert_eq!(proof["equal"], json!(true), "{proof:#}");
    }
}

/// A batch that landed before that was written down is one of the plan, or the plan is another.
#[test]
fn what_landed_is_compared_with_the_plan() {
    let sandbox = Sandbox::new();
    let lake = lake(&sandbox);
    let cut_off = [rewrite(&lake), vec!["--fail-point", "batch-landed"]].concat();
    assert_eq!(sandbox.output(&cut_off).status.code(), None);
    // Now the first batch would be of another year.
    grow(&lake, 2018);
    let printed = sandbox.run(&rewrite(&lake));
    assert!(printed.starts_with("exit 2"), "{printed}");
    assert!(printed.contains("batch 1"), "{printed}");
    sandbox.json(&update(&lake));
    check_whole(&sandbox, &lake, "with a year before the first one");
}
