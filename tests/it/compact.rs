//! `compact`: what it says, and how it exits.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::Sandbox;

/// A table of six small files, each of one commit.
fn six_files() -> Sandbox {
    let sandbox = Sandbox::new();
    for number in 0..6 {
        let text = format!("<r><i><n>{number}</n><s>text {number}</s></i></r>");
        sandbox.write("a.xml", text.as_bytes());
        sandbox.json(&[
            "xml",
            "convert",
            "a.xml",
            "--row-tag",
            "i",
            "--table",
            "db.t",
        ]);
    }
    sandbox
}

#[test]
fn small_files_become_one() {
    let sandbox = six_files();
    let rows = "SELECT n, s FROM db.t ORDER BY n";
    let before = sandbox.json(&["sql", rows]);
    let plan = sandbox.json(&["compact", "db.t", "--dry-run"]);
    assert_eq!(plan["groups"][0]["files_count"], 6);
    assert_eq!(plan["groups"][0]["reasons"], json!(["enough_files"]));
    assert_snapshot!(hidden_sizes(&sandbox.run(&["compact", "db.t", "--dry-run"])), @"
    exit 0
    --- stdout ---
    table       db.t
    file size   [SIZE] (from [SIZE] to [SIZE])
    groups      1
    to rewrite  6 files ([SIZE])

    Groups:
      all: 6 files ([SIZE]), 6 rows, into 1 file
    --- stderr ---
    note: this was a dry run: nothing was written
    ");
    assert_snapshot!(hidden_sizes(&sandbox.run(&["compact", "db.t"])), @"
    exit 0
    --- stdout ---
    snapshot              [SNAPSHOT]
    rewritten             6 files ([SIZE])
    added                 1 file ([SIZE])
    rows                  6
    delete files removed  0
    failed                0 files
    --- stderr ---
    ");
    assert_eq!(sandbox.json(&["sql", rows]), before);
    assert_snapshot!(sandbox.run(&["compact", "db.t"]), @"
    exit 0
    --- stdout ---
    snapshot              none: there is nothing to do
    rewritten             0 files (0 B)
    added                 0 files (0 B)
    rows                  0
    delete files removed  0
    failed                0 files

    Left alone:
      1 file: too few small files in the partition
    --- stderr ---
    ");
}

#[test]
fn options_are_sparks() {
    let sandbox = six_files();
    let run =
        |flags: &[&str]| sandbox.json(&[&["compact", "db.t", "--dry-run"][..], flags].concat());
    let plan = run(&[
        "--target-file-size",
        "1MiB",
        "--option",
        "min-input-files=7",
    ]);
    assert_eq!(plan["target_file_size_bytes"], 1 << 20);
    assert_eq!(plan["groups"], json!([]));
    assert_eq!(plan["left_alone"].as_array().unwrap().len(), 6);
    assert_eq!(plan["left_alone"][0]["reason"], "few_files");
    let plan = run(&["--where", "n >= 4", "--min-input-files", "2"]);
    assert_eq!(plan["groups"][0]["files_count"], 2);
    assert_snapshot!(sandbox.run(&["compact", "db.t", "--option", "speed=high"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: there is no option `speed`
    hint: the options are target-file-size-bytes, min-file-size-bytes, max-file-size-bytes, min-input-files, max-file-group-size-bytes, max-file-group-input-files, rewrite-all, delete-file-threshold, delete-ratio-threshold, max-files-to-rewrite, max-concurrent-file-group-rewrites, partial-progress.enabled, partial-progress.max-commits, partial-progress.max-failed-commits, use-starting-sequence-number, rewrite-job-order, output-spec-id, remove-dangling-deletes, compression-factor, shuffle-partitions-per-file, var-length-contribution, max-output-size, row-group-copy.enabled, row-group-copy.min-row-group-bytes
    ");
    let missing = sandbox.run(&["compact", "db.nothing"]);
    assert!(missing.starts_with("exit 2"), "{missing}");
}

/// Rows come in the order that is asked for, and one that makes no sense is refused.
#[test]
fn rows_are_sorted() {
    let sandbox = six_files();
    let first = |flags: &[&str]| {
        let all = ["--option", "rewrite-all=true"];
        sandbox.json(&[&["compact", "db.t"][..], flags, &all].concat());
        sandbox.json(&["sql", "SELECT n FROM db.t LIMIT 3"])
    };
    let of = |numbers: [i64; 3]| json!(numbers.map(|n| json!({"n": n})));
    assert_eq!(first(&["--sort-by", "n desc"]), of([5, 4, 3]));
    assert_eq!(first(&["--sort-by", "zorder(n)"]), of([0, 1, 2]));
    assert_eq!(first(&["--sort-by", "N DESC"]), of([5, 4, 3]));
    let by_z = [
        "--strategy",
        "z-order",
        "--z-order",
        "n, s",
        "--snapshot-property",
        "why=test",
    ];
    assert_eq!(first(&by_z), of([0, 1, 2]));
    let query = "SELECT summary FROM db.t.snapshots ORDER BY committed_at DESC LIMIT 1";
    assert!(sandbox.json(&["sql", query]).to_string().contains("why"));
    for (flags, expected) in [
        (&["--strategy", "sort"][..], "it has no sort order"),
        (&["--strategy", "z-order"], "--z-order is missing"),
        (
            &["--strategy", "binpack", "--sort-by", "n"],
            "--sort-by has no effect here",
        ),
        (&["--sort-by", "nothing"], "there is none"),
        (&["--z-order", "n desc"], "plain columns"),
        (
            &["--option", "var-length-contribution=4"],
            "of Z-order only",
        ),
        (&["--option", "output-spec-id=7"], "no such partition spec"),
        (&["--branch", "dev"], "has no branch `dev`"),
    ] {
        let found = sandbox.run(&[&["compact", "db.t"][..], flags].concat());
        assert!(found.starts_with("exit 2"), "{found}");
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_table_without_delete_files_has_none_to_rewrite() {
    let sandbox = six_files();
    assert_snapshot!(sandbox.run(&["rewrite-deletes", "db.t"]), @"
    exit 0
    --- stdout ---
    snapshots  none: there is nothing to do
    rewritten  0 files (0 B)
    added      0 files (0 B)
    dropped    0 positions
    --- stderr ---
    ");
    let plan = sandbox.json(&[
        "rewrite-deletes",
        "db.t",
        "--dry-run",
        "--min-input-files",
        "2",
    ]);
    assert_eq!(plan["groups"], json!([]));
    let wrong = sandbox.run(&["rewrite-deletes", "db.t", "--option", "output-spec-id=0"]);
    assert!(
        wrong.contains("there is no option `output-spec-id`"),
        "{wrong}"
    );
}

/// Sizes of files hang on versions of libraries.
fn hidden_sizes(text: &str) -> String {
    let sizes = regex::Regex::new(r"\d+(\.\d+)? (B|[KMG]iB)").unwrap();
    sizes.replace_all(text, "[SIZE]").into_owned()
}
