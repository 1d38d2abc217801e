//! `add-files`: the bundled lakes into tables of the default catalog.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Sandbox, files_below, fixture, ghcn};

#[test]
fn the_bundled_lake_becomes_a_table() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["add-files", &ghcn(), "--table", "noaa.ghcn"]), @"
    exit 0
    --- stdout ---
    table       noaa.ghcn (new)
    location    [DIR]/warehouse/noaa/ghcn
    snapshot    [SNAPSHOT]
    files       100 (599.6 KiB)
    rows        73000
    partitions  25 by YEAR: int, ELEMENT: string
    columns     ID: string
                DATE: string
                DATA_VALUE: long
                M_FLAG: string
                Q_FLAG: string
                S_FLAG: string
                OBS_TIME: string
                YEAR: int
                ELEMENT: string
    skipped     1 (1 hidden)
    refused     0
    --- stderr ---
    note: gc.enabled=false: the files still belong to the lake, so expiring snapshots will not delete them; set gc.enabled=true when the table alone owns them
    ");
    assert_snapshot!(sandbox.run(&["tables"]), @"
    exit 0
    --- stdout ---
    noaa.ghcn
    --- stderr ---
    ");
    assert_snapshot!(sandbox.run(&["show", "noaa.ghcn"]), @r#"
    exit 0
    --- stdout ---
    table           noaa.ghcn
    location        [DIR]/warehouse/noaa/ghcn
    metadata        [DIR]/warehouse/noaa/ghcn/metadata/00000-[UUID].metadata.json
    uuid            [UUID]
    format version  2
    partitioned by  YEAR, ELEMENT
    sorted by       none
    properties      gc.enabled=false
                    schema.name-mapping.default=[{"field-id":1,"names":["ID"]},{"field-id":2,"names":["DATE"]},{"field-id":3,"names":["DATA_VALUE"]},{"field-id":4,"names":["M_FLAG"]},{"field-id":5,"names":["Q_FLAG"]},{"field-id":6,"names":["S_FLAG"]},{"field-id":7,"names":["OBS_TIME"]},{"field-id":8,"names":["YEAR"]},{"field-id":9,"names":["ELEMENT"]}]
                    write.parquet.compression-codec=zstd
    snapshot        [SNAPSHOT] (append)
    snapshots       1
    data files      100
    delete files    0
    records         73000
    bytes           614018 (599.6 KiB)

    id  column      type
    --  ----------  ------
     1  ID          string
     2  DATE        string
     3  DATA_VALUE  long
     4  M_FLAG      string
     5  Q_FLAG      string
     6  S_FLAG      string
     7  OBS_TIME    string
     8  YEAR        int
     9  ELEMENT     string
    --- stderr ---
    "#);
}

#[test]
fn the_proof_comes_with_the_report() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    let add = [
        "add-files",
        &lake,
        "--table",
        "noaa.ghcn",
        "--verify",
        "aggregates",
    ];
    assert_snapshot!(sandbox.run(&add), @"
    exit 0
    --- stdout ---
    table       noaa.ghcn (new)
    location    [DIR]/warehouse/noaa/ghcn
    snapshot    [SNAPSHOT]
    files       100 (599.6 KiB)
    rows        73000
    partitions  25 by YEAR: int, ELEMENT: string
    columns     ID: string
                DATE: string
                DATA_VALUE: long
                M_FLAG: string
                Q_FLAG: string
                S_FLAG: string
                OBS_TIME: string
                YEAR: int
                ELEMENT: string
    skipped     1 (1 hidden)
    refused     0

    Source against table:

    source      [WORKSPACE]/fixtures/ghcn: 73000 rows
    table       noaa.ghcn: 73000 rows (snapshot [SNAPSHOT])
    level       aggregates
    partitions  25
    verdict     equal: no difference in 46 checks

    check                columns  compared
    -------------------  -------  --------  -----
    row_count                            1  equal
    partitions                          25  equal
    partition_row_count                 25  equal
    row_checksum                        25  equal
    type                       7         7  equal
    null_count                 7       175  equal
    min                        7       175  equal
    max                        7       175  equal
    length                     6       150  equal
    checksum                   7       175  equal
    sum                        1        25  equal
    --- stderr ---
    note: gc.enabled=false: the files still belong to the lake, so expiring snapshots will not delete them; set gc.enabled=true when the table alone owns them
    ");

    let sandbox = Sandbox::new();
    let report = sandbox.json(&["add-files", &lake, "--table", "noaa.ghcn", "--verify"]);
    assert_eq!(report["added_files_count"], 100);
    assert_eq!(report["verify"]["equal"], true);
    assert_eq!(report["verify"]["level"], "aggregates");
    assert_eq!(report["verify"]["rows_table"], 73_000);
}

#[test]
fn a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    let arguments = ["add-files", &ghcn(), "--table", "noaa.ghcn", "--dry-run"];
    let plan = sandbox.json(&arguments);
    assert_eq!(plan["dry_run"], true);
    // Nothing is added, so there is nothing to compare, and that is said.
    let output = sandbox.output(&[&arguments[..], &["--verify"]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("--verify compares nothing"), "{told}");
    assert_eq!(plan["added_files_count"], 100);
    assert_eq!(plan["added_records_count"], 73_000);
    assert_eq!(plan["changed_partition_count"], 25);
    assert_eq!(plan.get("snapshot_id"), None);
    assert_eq!(sandbox.json(&["tables"])["tables"], json!([]));
    assert!(!sandbox.path().join("warehouse").exists());
}

#[test]
fn the_json_report_has_stable_fields() {
    let sandbox = Sandbox::new();
    let report = sandbox.json(&["add-files", &fixture("drift/added"), "--table", "db.drift"]);
    assert_snapshot!("report", sandbox.filter(&format!("{report:#}")));
}

#[test]
fn the_same_files_are_not_added_twice() {
    let sandbox = Sandbox::new();
    let lake = fixture("drift/missing");
    let add = ["add-files", lake.as_str(), "--table", "db.t"];
    sandbox.json(&add);
    assert_snapshot!(sandbox.run(&add), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: 3 files of the source are already in table db.t, among them [WORKSPACE]/fixtures/drift/missing/day=2024-01-01/part-0.parquet, [WORKSPACE]/fixtures/drift/missing/day=2024-01-02/part-0.parquet, [WORKSPACE]/fixtures/drift/missing/day=2024-01-03/part-0.parquet
    hint: add only what is new with --on-duplicate skip, or add them twice with --no-check-duplicates
    ");
    let skipped = sandbox.json(&[&add[..], &["--on-duplicate", "skip"]].concat());
    assert_eq!(skipped["added_files_count"], 0);
    assert_eq!(skipped["snapshot_id"], json!(null));
    let doubled = sandbox.json(&[&add[..], &["--no-check-duplicates"]].concat());
    assert_eq!(doubled["added_files_count"], 3);
    assert_eq!(sandbox.json(&["show", "db.t"])["counts"]["data_files"], 6);
}

#[test]
fn a_partition_filter_takes_a_part() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    let add = ["add-files", lake.as_str(), "--table", "noaa.ghcn"];
    let tmax = [
        "--partition-filter",
        "element=TMAX",
        "--partition-filter",
        "YEAR=2023",
    ];
    let report = sandbox.json(&[&add[..], &tmax].concat());
    assert_eq!(report["changed_partition_count"], 1);
    let year = ["--partition-filter", "YEAR=2022"];
    let report = sandbox.json(&[&add[..], &year].concat());
    assert_eq!(report["creates_table"], false);
    assert_eq!(report["changed_partition_count"], 5);
    assert_snapshot!(sandbox.run(&[&add[..], &["--partition-filter", "MONTH=1"]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [WORKSPACE]/fixtures/ghcn: the partition filter names `MONTH`, which is no partition key
    hint: the partition keys are YEAR, ELEMENT
    ");
}

#[test]
fn what_is_refused_leaves_the_table_as_it_was() {
    let sandbox = Sandbox::new();
    let lake = fixture("drift/conflicting");
    let add = ["add-files", lake.as_str(), "--table", "db.t"];
    assert_snapshot!(sandbox.run(&add), @"
    exit 1
    --- stdout ---
    table       db.t (new)
    location    [DIR]/warehouse/db/t
    snapshot    none: nothing was committed
    files       2 (1.5 KiB)
    rows        4
    partitions  2 by day: date
    columns     userId: int
                name: string
                score: float
                amount: decimal(9, 2)
                day: date
    skipped     0
    refused     1

    Refused:
      column `score` is `string` in the file, but `float` in the files before it, of which [WORKSPACE]/fixtures/drift/conflicting/day=2024-01-01/part-0.parquet is the first
        [WORKSPACE]/fixtures/drift/conflicting/day=2024-01-03/part-0.parquet
    --- stderr ---
    note: nothing was committed, because files were refused
    warning: 1 file of the source cannot be added in place
    ");
    assert_eq!(sandbox.json(&["tables"])["tables"], json!([]));

    let (code, report) = sandbox.json_with_code(&[&add[..], &["--on-refused", "skip"]].concat());
    assert_eq!(code, 1);
    assert_eq!(report["added_files_count"], 2);
    assert_eq!(report["refused_count"], 1);
    assert_eq!(sandbox.json(&["show", "db.t"])["counts"]["data_files"], 2);
}

#[test]
fn unsafe_types_need_a_word() {
    let sandbox = Sandbox::new();
    let lake = fixture("milliseconds");
    let add = ["add-files", lake.as_str(), "--table", "db.t"];
    assert_snapshot!(sandbox.run(&add), @"
    exit 1
    --- stdout ---
    table       db.t (new)
    location    [DIR]/warehouse/db/t
    snapshot    none: nothing was committed
    files       0 (0 B)
    rows        0
    partitions  0 by day: date
    columns
    skipped     0
    refused     10

    Refused:
      `local` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `instant` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `clock` is a time in milliseconds: readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `event.at` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `visits.element` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
    --- stderr ---
    note: nothing was committed, because files were refused
    warning: 10 files of the source cannot be added in place
    ");
    assert_snapshot!(sandbox.run(&[&add[..], &["--on-unsafe", "allow"]].concat()), @"
    exit 0
    --- stdout ---
    table       db.t (new)
    location    [DIR]/warehouse/db/t
    snapshot    [SNAPSHOT]
    files       2 (2.6 KiB)
    rows        4
    partitions  2 by day: date
    columns     id: long
                local: timestamp
                instant: timestamptz
                clock: time
                event: struct<at:timestamptz>
                visits: array<timestamp>
                day: date
    skipped     0
    refused     0

    Findings:
      `clock` is a time in milliseconds: readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `event.at` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `instant` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `local` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
      `visits.element` is a timestamp in milliseconds: Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter; rewrite it with `ctas`, or allow it
        2 files, such as [WORKSPACE]/fixtures/milliseconds/day=2024-05-01/part-0.parquet
    --- stderr ---
    note: gc.enabled=false: the files still belong to the lake, so expiring snapshots will not delete them; set gc.enabled=true when the table alone owns them
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn bad_sources_are_named() {
    let sandbox = Sandbox::new();
    let add = |source: &str, more: &[&str]| {
        sandbox.run(&[&["add-files", source, "--table", "db.t"], more].concat())
    };
    assert_snapshot!(add("nowhere", &[]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/nowhere: no such file or folder
    hint: check the address; nothing has this prefix
    ");
    fs_err::create_dir(sandbox.path().join("empty")).unwrap();
    assert_snapshot!(add("empty", &[]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/empty: no data files
    ");
    assert_snapshot!(add("empty", &["--no-create"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.t does not exist
    hint: create the table first, or leave out --no-create
    ");
    sandbox.write("text/k=1/a.parquet", b"this is no Parquet file");
    assert_snapshot!(add("text", &[]), @"
    exit 1
    --- stdout ---
    table       db.t (new)
    location    [DIR]/warehouse/db/t
    snapshot    none: nothing was committed
    files       0 (0 B)
    rows        0
    partitions  0 by k: int
    columns
    skipped     0
    refused     1

    Refused:
      [DIR]/text/k=1/a.parquet: not a Parquet file
        [DIR]/text/k=1/a.parquet
    --- stderr ---
    note: nothing was committed, because files were refused
    warning: 1 file of the source cannot be added in place
    ");
    assert_snapshot!(add("glue:db.t", &[]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: catalog `glue` is not configured
    hint: add a section [catalog.glue] to calve.toml, or give its `type` or `uri` with --set
    ");
    assert_snapshot!(add("iceberg:db.t", &[]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: iceberg:db.t: an Iceberg table is no source of files to add
    hint: name a folder of Parquet files, or a Hive-style table as glue:db.table
    ");
    assert_snapshot!(add("gs://bucket/lake", &[]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: `gs://bucket/lake`: unknown scheme `gs`: expected s3://, s3a://, s3n://, file:// or a path
    ");
    assert_snapshot!(add("text", &["--partition-type", "k=integer"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --partition-type k: `integer` is not a type of Iceberg: boolean, int, long, float, double, decimal(p,s), date, timestamp, timestamptz, string, …
    ");
}

/// A flag that would do nothing is a mistake, and told.
#[test]
fn no_flag_is_passed_over() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    let add = |more: &[&str]| {
        sandbox.run(&[&["add-files", lake.as_str(), "--table", "db.t"][..], more].concat())
    };
    assert_snapshot!(add(&["--partition-type", "yr=int"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [WORKSPACE]/fixtures/ghcn: a partition type is given for `yr`, which is no partition key
    hint: the partition keys are YEAR, ELEMENT
    ");
    assert_snapshot!(add(&["--partition-type", "YEAR=int", "--partition-type", "year=long"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: partition key `year` is given a type twice
    ");
    assert_snapshot!(add(&["--gc", "own", "--property", "gc.enabled=false"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --property gc.enabled=… has no effect here: --gc says the same, or the contrary
    hint: leave out --property gc.enabled=…
    ");
    let new = ["--partition-type", "year=string", "--property", "owner=me"];
    assert!(add(&new).starts_with("exit 0"));
    for (more, message) in [
        (["--format-version", "3"], "format version is 2, not 3"),
        (
            ["--property", "owner=you"],
            "property `owner` is me, not you",
        ),
        (
            ["--property", "colour=red"],
            "property `colour` is not set, not red",
        ),
        (["--gc", "own"], "property `gc.enabled` is false, not true"),
        (
            ["--location", "elsewhere"],
            "location is [DIR]/warehouse/db/t, not [DIR]/elsewhere",
        ),
        (
            ["--partition-type", "year=int"],
            "type of partition key `year` is string, not int",
        ),
    ] {
        let expected = format!(
            "exit 2\n--- stdout ---\n--- stderr ---\nerror: table db.t exists, and its {message}\n\
             hint: leave the option out: it is for a table that is created\n"
        );
        assert_eq!(add(&more), expected);
    }
    // What is true of the table may be said again.
    let same = [
        &new[..],
        &[
            "--format-version",
            "2",
            "--gc",
            "protect",
            "--on-duplicate",
            "skip",
        ],
    ];
    assert!(add(&same.concat()).starts_with("exit 0"));
}

#[test]
fn a_proof_that_fails_does_not_hide_what_was_added() {
    let sandbox = Sandbox::new();
    let lake = fixture("drift/conflicting");
    let add = [
        "add-files",
        lake.as_str(),
        "--table",
        "db.t",
        "--on-refused",
        "skip",
        "--verify",
    ];
    let (code, report) = sandbox.json_with_code(&add);
    assert_eq!((code, &report["added_files_count"]), (2, &json!(2)));
    assert!(report["snapshot_id"].is_i64());
    assert_eq!(report.get("verify"), None);
    assert_eq!(sandbox.json(&["show", "db.t"])["counts"]["data_files"], 2);
}

#[test]
fn a_table_with_another_spec_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add-files", &fixture("drift/missing"), "--table", "db.t"]);
    assert_snapshot!(sandbox.run(&["add-files", &ghcn(), "--table", "db.t"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.t cannot take files partitioned by (YEAR, ELEMENT): no identity partition field is named YEAR; the table has spec 0 (day: identity)
    hint: name another table, or rewrite the data into this one's partitioning with `ctas`
    ");
}

#[test]
fn the_lake_is_not_touched() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake");
    for (path, content) in files_below(fixture("hard-partitions").as_ref()) {
        let name = path.strip_prefix(fixture("hard-partitions")).unwrap();
        sandbox.write(&format!("lake/{}", name.display()), &content);
    }
    let before = files_below(&lake);
    for part in ["text", "typed", "any-order"] {
        let report = sandbox.json(&[
            "add-files",
            &format!("lake/{part}"),
            "--table",
            &format!("hard.\"{part}\"").replace(['"', '-'], ""),
        ]);
        assert_eq!(report["refused_count"], 0, "{report:#}");
    }
    assert_eq!(files_below(&lake), before);
}
