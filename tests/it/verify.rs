//! `verify`: equal where it is, different where it is not, and where.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Sandbox, fixture, ghcn};

#[test]
fn an_untouched_lake_is_equal() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add-files", &ghcn(), "--table", "noaa.ghcn"]);
    let verify = ["verify", &ghcn(), "--table", "noaa.ghcn"];
    assert_snapshot!(sandbox.run(&[&verify[..], &["--level", "counts"]].concat()), @"
    exit 0
    --- stdout ---
    source      [WORKSPACE]/fixtures/ghcn: 73000 rows
    table       noaa.ghcn: 73000 rows (snapshot [SNAPSHOT])
    level       counts
    partitions  25
    verdict     equal: no difference in 3 checks

    check                columns  compared
    -------------------  -------  --------  -----
    row_count                            1  equal
    partitions                          25  equal
    partition_row_count                 25  equal
    --- stderr ---
    ");
    let filter = ["--partition-filter", "YEAR=2023"];
    let report = sandbox.json(&[&verify[..], &filter].concat());
    assert_eq!(report["equal"], true);
    assert_eq!(report["partitions_compared"], 5);
    assert_eq!(report["differences"], json!([]));
    let other = ["verify", "iceberg:noaa.ghcn", "--table", "noaa.ghcn"];
    assert_eq!(sandbox.json(&other)["equal"], true);
}

#[test]
fn a_lake_that_has_changed_is_different() {
    let sandbox = Sandbox::new();
    for day in 1..=3 {
        let path = format!("drift/widened/day=2024-01-0{day}/part-0.parquet");
        let content = fs_err::read(fixture(&path)).unwrap();
        sandbox.write(&format!("lake/day=2024-01-0{day}/part-0.parquet"), &content);
    }
    sandbox.json(&["add-files", "lake", "--table", "db.t"]);
    let content = fs_err::read(fixture("drift/widened/day=2024-01-02/part-0.parquet")).unwrap();
    sandbox.write("lake/day=2024-01-02/part-1.parquet", &content);
    assert_snapshot!(sandbox.run(&["verify", "lake", "--table", "db.t"]), @"
    exit 1
    --- stdout ---
    source      [DIR]/lake: 8 rows
    table       db.t: 6 rows (snapshot [SNAPSHOT])
    level       aggregates
    partitions  3
    verdict     DIFFERENT: 1 difference in 28 checks

    check                columns  compared
    -------------------  -------  --------  ---------
    row_count                            1  DIFFERENT
    partitions                           3  equal
    partition_row_count                  3  DIFFERENT
    row_checksum                         2  equal
    type                       4         4  equal
    null_count                 4         8  equal
    min                        4         8  equal
    max                        4         8  equal
    sum                        2         4  equal
    checksum                   4         8  equal
    length                     1         2  equal
    nan_count                  1         2  equal

    partition       column  check                source  table
    --------------  ------  -------------------  ------  -----
    day=2024-01-02          partition_row_count  4       2
    --- stderr ---
    ");
    let (code, report) = sandbox.json_with_code(&["verify", "lake", "--table", "db.t"]);
    assert_eq!(code, 1);
    assert_eq!(report["equal"], false);
    assert_eq!(report["rows_source"], 8);
    assert_eq!(report["rows_table"], 6);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["verify", &ghcn(), "--table", "noaa.ghcn"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table noaa.ghcn not found in catalog default
    hint: list the catalog's tables to see what it holds
    ");
    sandbox.json(&["add-files", &fixture("drift/widened"), "--table", "db.t"]);
    assert_snapshot!(sandbox.run(&["verify", "nowhere", "--table", "db.t"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/nowhere: no such file or folder
    hint: check the address; nothing has this prefix
    ");
    let widened = fixture("drift/widened");
    let verify = |source: &str, more: [&str; 2]| {
        sandbox.run(&[&["verify", source, "--table", "db.t"][..], &more].concat())
    };
    assert_snapshot!(verify(&widened, ["--partition-type", "date=date"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [WORKSPACE]/fixtures/drift/widened: a partition type is given for `date`, which is no partition key
    hint: the partition keys are day
    ");
    assert_snapshot!(verify("iceberg:db.t", ["--partition-type", "day=date"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --partition-type has no effect here: an Iceberg table has no partition folders
    hint: leave out --partition-type
    ");
    assert_snapshot!(
        sandbox.run(&["verify", &fixture("drift/widened"), "--table", "db.t", "--snapshot-id", "7"]),
        @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.t has no snapshot 7
    hint: list them with `SELECT * FROM db.t.snapshots`
    "
    );
}

/// A lake of three days, and a copy in which a cell, a row and a file have changed.
fn planted(sandbox: &Sandbox) {
    let days = ["2024-01-01", "2024-01-02", "2024-01-03"];
    for day in days {
        let path = format!("drift/widened/day={day}/part-0.parquet");
        let content = fs_err::read(fixture(&path)).unwrap();
        sandbox.write(&format!("lake/day={day}/part-0.parquet"), &content);
    }
    sandbox.json(&["add-files", "lake", "--table", "db.t"]);
    let content = fs_err::read(fixture("drift/widened/day=2024-01-02/part-0.parquet")).unwrap();
    sandbox.write("lake/day=2024-01-02/part-1.parquet", &content);
}

#[test]
fn rows_that_differ_are_shown() {
    let sandbox = Sandbox::new();
    planted(&sandbox);
    let verify = ["verify", "lake", "--table", "db.t", "--level", "rows"];
    assert_snapshot!(sandbox.run(&verify), @r#"
    exit 1
    --- stdout ---
    source      [DIR]/lake: 8 rows
    table       db.t: 6 rows (snapshot [SNAPSHOT])
    level       rows
    partitions  3
    verdict     DIFFERENT: 1 difference in 16 checks

    check                columns  compared
    -------------------  -------  --------  ---------
    row_count                            1  DIFFERENT
    partitions                           3  equal
    partition_row_count                  3  DIFFERENT
    row_checksum                         2  equal
    type                       4         4  equal
    null_count                 4         8  equal
    checksum                   4         8  equal

    partition       column  check                source  table
    --------------  ------  -------------------  ------  -----
    day=2024-01-02          partition_row_count  4       2

    rows that differ: 2 missing

    missing in day=2024-01-02 (2 in the source, 1 in the table)
      row     {"day":"2024-01-02","userId":21,"name":null,"score":-1.25,"amount":"21.21"}
    missing in day=2024-01-02 (2 in the source, 1 in the table)
      row     {"day":"2024-01-02","userId":20,"name":"name 2","score":0.5,"amount":"20.20"}
    --- stderr ---
    "#);
    let more = ["--limit", "1", "--differences", "rows.jsonl"];
    let (code, report) = sandbox.json_with_code(&[&verify[..], &more].concat());
    assert_eq!(code, 1);
    let found = &report["row_differences"];
    assert_eq!(found["missing"], 1);
    assert_eq!(found["complete"], false);
    let text = fs_err::read_to_string(sandbox.path().join("rows.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1);
    let row: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(row, found["rows"][0]);
    assert_eq!(
        (&row["source_count"], &row["table_count"]),
        (&json!(2), &json!(1))
    );
    // All of them, in Parquet.
    sandbox.json_with_code(&[&verify[..], &["--differences", "rows.parquet"]].concat());
    let rows = sandbox.json(&[
        "sql",
        "SELECT kind, count(*) n FROM './rows.parquet' GROUP BY 1",
    ]);
    assert_eq!(rows, json!([{"kind": "missing", "n": 2}]));
    // A quick look.
    let report = sandbox
        .json_with_code(&[&verify[..], &["--sample", "0.1"]].concat())
        .1;
    assert_eq!(report["partitions_compared"], 1);
    assert_eq!(report["sample"], 0.1);
}

#[test]
fn flags_of_rows_need_the_level_of_rows() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["verify", "lake", "--table", "db.t", "--limit", "5"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --limit has no effect here: rows are looked up with --level rows
    hint: leave out --limit
    ");
    planted(&sandbox);
    assert_snapshot!(sandbox.run(&["verify", "lake", "--table", "db.t", "--sample", "2"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: 2 is no part of the rows
    hint: give a number above 0 and up to 1, such as 0.01
    ");
}
