//! `verify --reader`: other readers see the same rows, and where they do not, that is found.

use std::os::unix::fs::PermissionsExt as _;

use calve_testkit::moto::Moto;
use calve_testkit::python;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Sandbox, ghcn};

/// Rows with one value of each kind; `{}` is replaced by the last row's text, and `{n}` by the file's number.
const KINDS: &str = "SELECT id, {text} AS name, \
    arrow_cast(CASE WHEN id = 2 THEN 'NaN' WHEN id = 3 THEN '-0.0' ELSE '1.5' END, 'Float64') AS score, \
    CAST(id * 1.25 AS DECIMAL(12, 3)) AS amount, \
    arrow_cast('2024-02-29T23:59:59.999999', 'Timestamp(Microsecond, None)') AS seen, \
    arrow_cast('1969-12-31T23:59:59.5Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS moment, \
    DATE '1899-12-31' AS day, id % 2 = 0 AS even, \
    [id, NULL] AS items, named_struct('a', id, 'b', 'x') AS pair \
    FROM (VALUES (1), (2), (3), (4)) AS t(id)";

/// A sandbox whose catalog is SQLite, and the interpreter with the packages.
fn python() -> String {
    python::interpreter().to_str().unwrap().to_owned()
}

/// Writes the rows of a query as a file of Parquet.
fn write_rows(sandbox: &Sandbox, name: &str, query: &str) {
    let output = sandbox.output(&["sql", query, "--format", "parquet"]);
    assert!(output.status.success(), "{output:?}");
    sandbox.write(name, &output.stdout);
}

/// A lake `a` of all kinds of values, and a lake `b` in which one text is null; a table of `b`.
fn kinds(sandbox: &Sandbox) {
    for (lake, text) in [
        ("a", "'name ' || id"),
        ("b", "CASE WHEN id = 3 THEN NULL ELSE 'name ' || id END"),
    ] {
        let query = KINDS.replace("{text}", text);
        for part in ["x", "y"] {
            write_rows(sandbox, &format!("{lake}/part={part}/1.parquet"), &query);
        }
        sandbox.json(&["add-files", lake, "--table", &format!("db.{lake}")]);
    }
}

/// An executable script in place of Python.
fn script(sandbox: &Sandbox, text: &str) -> String {
    sandbox.write("interpreter", format!("#!/bin/sh\n{text}\n").as_bytes());
    let path = sandbox.path().join("interpreter");
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn asked<'a>(verify: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [verify, more].concat()
}

#[test]
fn other_readers_read_an_untouched_lake_alike() {
    let sandbox = Sandbox::new();
    let python = python();
    sandbox.json(&["add-files", &ghcn(), "--table", "noaa.ghcn"]);
    let verify = [
        "verify",
        &ghcn(),
        "--table",
        "noaa.ghcn",
        "--python",
        &python,
    ];
    assert_snapshot!(sandbox.run(&asked(&verify, &["--reader", "pyiceberg"])), @"
    exit 0
    --- stdout ---
    source      [WORKSPACE]/fixtures/ghcn: 73000 rows
    table       noaa.ghcn: 73000 rows (snapshot [SNAPSHOT])
    read by     pyiceberg 0.12.0
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
    ");
    let report = sandbox.json(&asked(
        &verify,
        &["--reader", "duckdb", "--level", "counts"],
    ));
    assert_eq!(
        report["reader"],
        json!({"name": "duckdb", "version": "1.5.5"})
    );
    assert_eq!(
        (&report["equal"], &report["rows_table"]),
        (&json!(true), &json!(73000))
    );
    let filter = ["--partition-filter", "YEAR=2023"];
    for reader in ["duckdb", "pyiceberg"] {
        let report = sandbox.json(&asked(
            &verify,
            &[&["--reader", reader][..], &filter].concat(),
        ));
        assert_eq!(report["equal"], true, "{report:#}");
        assert_eq!(report["partitions_compared"], 5);
    }
}

#[test]
fn values_of_all_kinds_are_equal_in_other_readers() {
    let sandbox = Sandbox::new();
    let python = python();
    kinds(&sandbox);
    for reader in ["duckdb", "pyiceberg"] {
        for level in ["aggregates", "rows"] {
            let more = ["--python", &python, "--reader", reader, "--level", level];
            let report = sandbox.json(&[&["verify", "a", "--table", "db.a"][..], &more].concat());
            assert_eq!(report["equal"], true, "{reader}: {report:#}");
            assert_eq!(report["rows_table"], 8);
        }
    }
}

#[test]
fn other_readers_find_a_file_that_the_table_lacks() {
    let sandbox = Sandbox::new();
    let python = python();
    kinds(&sandbox);
    let content = fs_err::read(sandbox.path().join("a/part=x/1.parquet")).unwrap();
    sandbox.write("a/part=x/2.parquet", &content);
    let verify = [
        "verify", "a", "--table", "db.a", "--level", "counts", "--python", &python,
    ];
    for reader in ["duckdb", "pyiceberg"] {
        let (code, report) = sandbox.json_with_code(&[&verify[..], &["--reader", reader]].concat());
        assert_eq!(code, 1);
        assert_eq!(
            report["differences"],
            json!([{"partition": {"part": "x"}, "check": "partition_row_count", "source": 8, "table": 4}])
        );
    }
    // The table has the file, but the file is gone: an error, not a smaller table.
    sandbox.json(&["sync", "a", "--table", "db.a"]);
    fs_err::remove_file(sandbox.path().join("a/part=x/2.parquet")).unwrap();
    for reader in ["duckdb", "pyiceberg"] {
        let output = sandbox.run(&[&verify[..], &["--reader", reader]].concat());
        assert!(output.starts_with("exit 2"), "{output}");
        assert!(
            output.contains(&format!("{reader} cannot read the table")),
            "{output}"
        );
    }
}

#[test]
fn other_readers_find_a_cell_that_became_null() {
    let sandbox = Sandbox::new();
    let python = python();
    kinds(&sandbox);
    let verify = ["verify", "a", "--table", "db.b", "--python", &python];
    assert_snapshot!(sandbox.run(&[&verify[..], &["--reader", "duckdb"]].concat()), @r#"
    exit 1
    --- stdout ---
    source      [DIR]/a: 8 rows
    table       db.b: 8 rows (snapshot [SNAPSHOT])
    read by     duckdb 1.5.5
    level       aggregates
    partitions  2
    verdict     DIFFERENT: 6 differences in 55 checks

    check                columns  compared
    -------------------  -------  --------  ---------
    row_count                            1  equal
    partitions                           2  equal
    partition_row_count                  2  equal
    type                      10        10  equal
    null_count                10        20  DIFFERENT
    min                        8        16  equal
    max                        8        16  equal
    sum                        3         6  equal
    checksum                  10        20  DIFFERENT
    length                     2         4  DIFFERENT
    nan_count                  1         2  equal

    partition  column  check       source                              table
    ---------  ------  ----------  ----------------------------------  ----------------------------------
    part=x     name    null_count  0                                   1
    part=x     name    length      24                                  18
    part=x     name    checksum    "af90e74cec1901b86ce7951d41c82ff2"  "440664abf82b4aaffe6f2c528ce8d0ac"
    part=y     name    null_count  0                                   1
    part=y     name    length      24                                  18
    part=y     name    checksum    "af90e74cec1901b86ce7951d41c82ff2"  "440664abf82b4aaffe6f2c528ce8d0ac"
    --- stderr ---
    "#);
    for reader in ["duckdb", "pyiceberg"] {
        let more = ["--reader", reader, "--level", "rows"];
        let (code, report) = sandbox.json_with_code(&[&verify[..], &more].concat());
        assert_eq!(code, 1);
        let found = &report["row_differences"];
        assert_eq!(
            found["changed_columns"],
            json!([{"column": "name", "rows": 2}]),
            "{found:#}"
        );
    }
}

/// What another reader makes of a table decides, and not what calve would have read.
#[test]
fn a_reader_that_sees_less_is_found_out() {
    let sandbox = Sandbox::new();
    kinds(&sandbox);
    // This DuckDB has a way of its own to see the table: rows are missing, and a column is null.
    let text = "SELECT * REPLACE (NULL::BIGINT AS id) FROM";
    let interpreter = script(
        &sandbox,
        &format!(
            "shift; script=$(printf '%s' \"$1\" | sed 's/SELECT {{columns}} FROM/{}/'); exec '{}' -c \"$script\"",
            text.replace('*', "\\*"),
            python()
        ),
    );
    let verify = [
        "verify",
        "a",
        "--table",
        "db.a",
        "--reader",
        "duckdb",
        "--python",
        &interpreter,
    ];
    let (code, report) = sandbox.json_with_code(&verify);
    assert_eq!(code, 1);
    let nulls = report["differences"].as_array().unwrap().iter();
    let nulls: Vec<&Value> = nulls.filter(|it| it["check"] == "null_count").collect();
    assert_eq!(nulls.len(), 2, "{report:#}");
    assert_eq!(
        (&nulls[0]["column"], &nulls[0]["table"]),
        (&json!("id"), &json!(4))
    );
}

#[test]
fn readers_that_cannot_be_asked_say_why() {
    let sandbox = Sandbox::new();
    kinds(&sandbox);
    let verify = |interpreter: &str, more: &[&str]| {
        let verify = ["verify", "a", "--table", "db.a", "--python", interpreter];
        sandbox.run(&[&verify[..], more].concat())
    };
    let pyiceberg = ["--reader", "pyiceberg"];
    assert_snapshot!(verify("./nowhere", &pyiceberg), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: cannot start ./nowhere: No such file or directory (os error 2)
    hint: install Python 3.10 or newer, or name its interpreter
    ");
    let bare = script(&sandbox, &format!("exec '{}' -S \"$@\"", python()));
    assert_snapshot!(verify(&bare, &pyiceberg), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/interpreter has no package `pyarrow`, which pyiceberg needs
    hint: [DIR]/interpreter -m pip install 'pyiceberg[pyarrow]'
    ");
    let chatty = script(&sandbox, "cat > /dev/null; echo hello");
    assert_snapshot!(verify(&chatty, &["--reader", "duckdb"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: duckdb answered what is no Arrow stream
      caused by: Io error: failed to fill whole buffer
    ");
    let failing = script(&sandbox, "cat > /dev/null; echo 'out of luck' >&2; exit 9");
    assert_snapshot!(verify(&failing, &["--reader", "duckdb"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: duckdb cannot read the table: out of luck
    ");
    let useless = ["verify", "a", "--table", "db.a", "--athena-workgroup", "w"];
    assert_snapshot!(sandbox.run(&useless), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: --athena-workgroup has no effect here: it is for --reader athena
    hint: leave out --athena-workgroup
    ");
    let rows = [
        "verify", "a", "--table", "db.a", "--reader", "athena", "--level", "rows",
    ];
    let region = ["--set", "client.region=us-east-1"];
    assert_snapshot!(sandbox.run(&[&rows[..], &region].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: athena cannot be asked for rows
    hint: it counts and sums: use the levels counts or aggregates, on all rows
    ");
}

#[test]
fn a_reader_that_hangs_is_ended() {
    let sandbox = Sandbox::new();
    kinds(&sandbox);
    let hanging = script(&sandbox, "echo $$ > pid; exec sleep 600");
    let verify = [
        "verify", "a", "--table", "db.a", "--reader", "duckdb", "--python", &hanging,
    ];
    assert_snapshot!(sandbox.run(&[&verify[..], &["--reader-timeout", "1s"]].concat()), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: duckdb took longer than 1 s, and was ended
    hint: give it more time
    ");
    let id = fs_err::read_to_string(sandbox.path().join("pid")).unwrap();
    let is_there = std::process::Command::new("kill")
        .args(["-0", id.trim()])
        .status()
        .unwrap();
    assert!(!is_there.success(), "the reader goes on");
}

#[test]
fn secrets_are_not_on_the_command_line() {
    let sandbox = Sandbox::new();
    kinds(&sandbox);
    let nosy = script(
        &sandbox,
        "cat > input; printf '%s\\n' \"$@\" > arguments; env > variables; cat input >&2; exit 1",
    );
    let verify = [
        "verify",
        "a",
        "--table",
        "db.a",
        "--reader",
        "pyiceberg",
        "--python",
        &nosy,
    ];
    let secret = [
        "--set",
        "s3.access-key-id=me",
        "--set",
        "s3.secret-access-key=hush-hush",
    ];
    let output = sandbox.run(&[&verify[..], &secret].concat());
    let read = |name: &str| fs_err::read_to_string(sandbox.path().join(name)).unwrap();
    assert!(read("input").contains("hush-hush"));
    assert!(!read("arguments").contains("hush-hush"));
    assert!(!read("variables").contains("hush-hush"));
    assert!(!output.contains("hush-hush"), "{output}");
}

/// A sandbox whose catalog is Glue with tables in this machine's files, which the Athena of the test kit reads.
fn athena(moto: &Moto, database: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let file = format!(
        r#"
        default-catalog = "lakehouse"
        [catalog.lakehouse]
        type = "glue"
        warehouse = "{}/warehouse"
        client.region = "us-east-1"
        glue.endpoint = "{endpoint}"
        athena.endpoint = "{endpoint}"
        athena.output-location = "s3://results/here/"
        "#,
        sandbox.path().display(),
        endpoint = moto.endpoint(),
    );
    sandbox.write("calve.toml", file.as_bytes());
    let sandbox = sandbox
        .with_variable("AWS_EC2_METADATA_DISABLED", "true")
        .with_variable("AWS_ACCESS_KEY_ID", "test-key")
        .with_variable("AWS_SECRET_ACCESS_KEY", "test-secret");
    for (lake, text) in [
        ("a", "'name ' || id"),
        ("b", "CASE WHEN id = 3 THEN NULL ELSE 'name ' || id END"),
    ] {
        let query = KINDS.replace("{text}", text);
        for part in ["u", "v", "w", "x", "y"] {
            write_rows(&sandbox, &format!("{lake}/part={part}/1.parquet"), &query);
        }
        sandbox.json(&["add-files", lake, "--table", &format!("{database}.{lake}")]);
    }
    sandbox
}

/// What Athena finds of a table.
fn verify_by_athena(sandbox: &Sandbox, source: &str, table: &str, more: &[&str]) -> (i32, Value) {
    let verify = ["verify", source, "--table", table, "--reader", "athena"];
    sandbox.json_with_code(&[&verify[..], more].concat())
}

#[test]
fn athena_counts_and_sums_alike() {
    let sandbox = athena(Moto::start(), "athena_alike");
    let (code, report) = verify_by_athena(&sandbox, "a", "athena_alike.a", &[]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        (&report["rows_table"], &report["partitions_compared"]),
        (&json!(20), &json!(5))
    );
    assert_eq!(report["reader"]["name"], "athena");
    assert!(report["reader"]["query_id"].is_string());
    let checks = report["checks"].as_array().unwrap().iter();
    let mut names: Vec<&str> = checks.map(|it| it["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "length",
            "max",
            "min",
            "nan_count",
            "null_count",
            "partition_row_count",
            "partitions",
            "row_count",
            "sum",
            "type"
        ]
    );
    // What Athena refuses, and what it fails in.
    let run = |more: &[&str]| {
        let verify = [
            "verify",
            "a",
            "--table",
            "athena_alike.a",
            "--reader",
            "athena",
        ];
        sandbox.run(&[&verify[..], more].concat())
    };
    assert_snapshot!(run(&["--athena-workgroup", "nowhere"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: Athena refuses: start a query: InvalidRequestException: WorkGroup does not exist
    hint: a workgroup without an output location needs one to be given
    ");
    assert_snapshot!(run(&["--athena-database", "elsewhere"]), @r#"
    exit 2
    --- stdout ---
    --- stderr ---
    error: query [UUID] failed in Athena: 400 Bad Request: {"__type": "EntityNotFoundException", "message": "Database elsewhere not found."}
    "#);
}

#[test]
fn athena_finds_what_differs() {
    let sandbox = athena(Moto::start(), "athena_differs");
    // A cell that became null.
    let (code, report) = verify_by_athena(
        &sandbox,
        "a",
        "athena_differs.b",
        &["--partition-filter", "part=x"],
    );
    assert_eq!(code, 1);
    let found: Vec<_> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["column"].clone(),
                it["check"].clone(),
                it["source"].clone(),
                it["table"].clone(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (json!("name"), json!("null_count"), json!(0), json!(1)),
            (json!("name"), json!("length"), json!(24), json!(18)),
        ]
    );
    // A file that the table lacks.
    let content = fs_err::read(sandbox.path().join("a/part=x/1.parquet")).unwrap();
    sandbox.write("a/part=x/2.parquet", &content);
    let (code, report) =
        verify_by_athena(&sandbox, "a", "athena_differs.a", &["--level", "counts"]);
    assert_eq!(code, 1);
    assert_eq!(
        report["differences"],
        json!([{"partition": {"part": "x"}, "check": "partition_row_count", "source": 8, "table": 4}])
    );
}
