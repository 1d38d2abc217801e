//! `ctas`: the bundled lake rewritten, whole and in batches, cut off at every step, read back by others.

use std::collections::BTreeSet;
use std::path::Path;

use calve_testkit::python;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Sandbox, files_below, fixture, ghcn};

/// The steps at which a run can be cut off, with the number of times that each is passed before.
const STEPS: &[&str] = &[
    "journal-created",
    "batch-begun",
    "batch-written",
    "batch-verified",
    "batch-landed",
    "batch-committed",
    "batch-begun:2",
    "batch-written:2",
    "batch-verified:2",
    "batch-landed:2",
    "batch-committed:2",
    "migration-done",
];

pub(crate) fn rewrite(lake: &str) -> Vec<&str> {
    vec![
        "ctas",
        lake,
        "--table",
        "noaa.ghcn",
        "--partition-by",
        "year, bucket(2, id)",
        "--sort-by",
        "date desc, id",
        "--batch-by",
        "year",
    ]
}

/// Every row of the query's answer, as text, sorted.
pub(crate) fn rows(sandbox: &Sandbox, query: &str) -> Vec<String> {
    let answer = sandbox.json(&["sql", query]);
    let mut rows: Vec<String> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    rows.sort();
    rows
}

/// The table holds what the lake holds, and nothing lies around that no snapshot refers to.
#[track_caller]
pub(crate) fn check_whole(sandbox: &Sandbox, lake: &str, context: &str) {
    let verify = [
        "verify",
        lake,
        "--table",
        "noaa.ghcn",
        "--level",
        "aggregates",
    ];
    let proof = sandbox.json(&verify);
    assert_eq!(proof["equal"], json!(true), "{context}: {proof:#}");
    let batches = sandbox.json(&[
        "sql",
        "SELECT count(*) AS total, count(DISTINCT summary['calve.batch-id']) AS batches \
         FROM noaa.ghcn.snapshots",
    ]);
    assert_eq!(batches[0]["total"], batches[0]["batches"], "{context}");

    let mut known: BTreeSet<String> = BTreeSet::new();
    for (query, column) in [
        ("SELECT file_path AS path FROM noaa.ghcn.all_files", "path"),
        ("SELECT path FROM noaa.ghcn.all_manifests", "path"),
        (
            "SELECT manifest_list AS path FROM noaa.ghcn.snapshots",
            "path",
        ),
        (
            "SELECT file AS path FROM noaa.ghcn.metadata_log_entries",
            "path",
        ),
    ] {
        for row in sandbox.json(&["sql", query]).as_array().unwrap() {
            let path = row[column].as_str().unwrap();
            known.insert(path.trim_start_matches("file://").to_owned());
        }
    }
    let found = files_below(&sandbox.path().join("warehouse/noaa/ghcn"));
    let orphans: Vec<&str> = found
        .iter()
        .map(|(path, _)| path.to_str().unwrap())
        .filter(|path| !known.contains(*path) && !path.contains("/metadata/calve/"))
        .collect();
    assert_eq!(orphans, [""; 0], "{context}");
}

#[test]
fn the_bundled_lake_is_rewritten() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    assert_snapshot!(sandbox.run(&[rewrite(&lake), vec!["--dry-run"]].concat()), @"
    exit 0
    --- stdout ---
    source         [WORKSPACE]/fixtures/ghcn (100 files, 599.6 KiB, 73000 rows)
    table          noaa.ghcn (format version 2)
    location       [DIR]/warehouse/noaa/ghcn
    columns        ID: string
                   DATE: string
                   DATA_VALUE: long
                   M_FLAG: string
                   Q_FLAG: string
                   S_FLAG: string
                   OBS_TIME: string
                   YEAR: int
                   ELEMENT: string
    partitions     YEAR: identity(YEAR), ID_bucket: bucket[2](ID)
    sorted by      identity(DATE) descending last, identity(ID) ascending first
    changed types  none
    batches        5

    Batches:
      1 YEAR = 2019: 20 files (119.7 KiB, 14600 rows)
      2 YEAR = 2020: 20 files (119.8 KiB, 14600 rows)
      3 YEAR = 2021: 20 files (119.9 KiB, 14600 rows)
      4 YEAR = 2022: 20 files (120.0 KiB, 14600 rows)
      5 YEAR = 2023: 20 files (120.2 KiB, 14600 rows)
    --- stderr ---
    note: this was a dry run: nothing was written
    ");
    assert!(!sandbox.path().join("warehouse").exists());
    let report = sandbox.json(&rewrite(&lake));
    assert_eq!(report["added_records_count"], json!(73_000));
    let batches = report["batches"].as_u64().unwrap();
    assert_eq!(
        report["snapshot_ids"].as_array().unwrap().len() as u64,
        batches
    );
    assert!(
        report["migration_id"]
            .as_str()
            .unwrap()
            .starts_with("ctas-noaa.ghcn-")
    );
    // Two buckets a year, and each file holds one partition.
    assert_eq!(report["added_files_count"], json!(batches * 2));
    check_whole(&sandbox, &lake, "one run");

    let order = sandbox.json(&["show", "noaa.ghcn"]);
    let order = order.to_string();
    assert!(order.contains("DATE"), "{order}");
    let sorted = sandbox.json(&[
        "sql",
        "SELECT count(DISTINCT sort_order_id) AS orders, min(sort_order_id) AS least \
         FROM noaa.ghcn.files",
    ]);
    assert_eq!(sorted, json!([{"orders": 1, "least": 1}]));

    // Once it is done, the table is nobody's to go on with.
    assert_snapshot!(sandbox.run(&rewrite(&lake)), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table noaa.ghcn exists already
    hint: name another table, or drop this one first
    ");
}

#[test]
fn others_read_the_same_rows() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    sandbox.json(&rewrite(&lake));
    let shown = sandbox.json(&["show", "noaa.ghcn"]);
    let metadata = shown["metadata_location"].as_str().unwrap();
    let metadata = metadata.trim_start_matches("file://");
    let sql = r#"SELECT "YEAR", "ELEMENT", count(*) AS n, CAST(sum("DATA_VALUE") AS BIGINT) AS total, min("DATE") AS first FROM {} GROUP BY 1, 2"#;
    let select = ["ID", "DATE", "DATA_VALUE", "ELEMENT"];
    let filter = "YEAR = 2023 AND DATA_VALUE > 300";
    let queries = json!([
        {"reader": "duckdb", "sql": sql.replace("{}", &format!("iceberg_scan('{metadata}')"))},
        {"reader": "pyiceberg", "metadata": metadata, "select": select, "filter": filter},
    ]);
    let answers = python::run_file("peer_queries.py", &[&queries.to_string()]);
    let listed = |answer: &Value| {
        let rows = answer.as_array().unwrap().iter();
        let mut rows: Vec<String> = rows.map(ToString::to_string).collect();
        rows.sort();
        rows
    };
    let own = |query: &str| {
        let answer = sandbox.json(&["sql", query]);
        let rows = answer.as_array().unwrap().iter();
        let rows = rows.map(|row| {
            let values = row.as_object().unwrap().values().cloned();
            values.collect::<Value>()
        });
        listed(&rows.collect::<Value>())
    };
    assert_eq!(own(&sql.replace("{}", "noaa.ghcn")), listed(&answers[0]));
    let scan = r#"SELECT "ID", "DATE", "DATA_VALUE", "ELEMENT" FROM noaa.ghcn WHERE "YEAR" = 2023 AND "DATA_VALUE" > 300"#;
    assert_eq!(own(scan), listed(&answers[1]));
}

#[test]
fn a_run_that_was_cut_off_goes_on() {
    let lake = ghcn();
    for step in STEPS {
        let sandbox = Sandbox::new();
        let cut_off = sandbox.output(&[rewrite(&lake), vec!["--fail-point", step]].concat());
        assert_eq!(cut_off.status.code(), None, "{step}: it did not end there");
        if *step == "migration-done" {
            check_whole(&sandbox, &lake, step);
            continue;
        }
        let report = sandbox.json(&rewrite(&lake));
        assert_eq!(report["added_records_count"], json!(73_000), "{step}");
        check_whole(&sandbox, &lake, step);
    }
}

#[test]
fn a_run_may_be_cut_off_again_and_again() {
    let lake = ghcn();
    let sandbox = Sandbox::new();
    for step in [
        "batch-verified",
        "leftovers-found",
        "batch-landed",
        "batch-written",
        "leftovers-found",
    ] {
        let cut_off = sandbox.output(&[rewrite(&lake), vec!["--fail-point", step]].concat());
        assert_eq!(cut_off.status.code(), None, "{step}: it did not end there");
    }
    let report = sandbox.json(&rewrite(&lake));
    assert_eq!(report["added_records_count"], json!(73_000));
    assert!(report["resumes"].is_string(), "{report:#}");
    check_whole(&sandbox, &lake, "again and again");
}

#[test]
fn a_cut_off_run_is_gone_on_with_by_the_same_command_only() {
    let lake = ghcn();
    let sandbox = Sandbox::new();
    sandbox.output(&[rewrite(&lake), vec!["--fail-point", "batch-committed"]].concat());
    let other = [rewrite(&lake), vec!["--where", "year > 2000"]].concat();
    let refused = sandbox.run(&other);
    assert!(refused.starts_with("exit 2"), "{refused}");
    assert!(refused.contains("has other options"), "{refused}");
    let report = sandbox.json(&rewrite(&lake));
    assert_eq!(report["resumed_batches"], json!(1));
}

#[test]
fn columns_and_rows_are_chosen_in_sql() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    let report = sandbox.json(&[
        "ctas",
        &lake,
        "--table",
        "noaa.warm",
        "--select",
        "id, to_date(date, '%Y%m%d') as day, data_value / 10.0 as celsius, year",
        "--where",
        "element = 'TMAX' and data_value > 250",
        "--partition-by",
        "month(day)",
        "--sort-by",
        "celsius desc nulls last",
        "--batch-by",
        "bytes=200kB",
        "--target-file-size",
        "1MB",
        "--compression",
        "snappy",
    ]);
    assert_eq!(report["partition_by"], json!(["day_month: month(day)"]));
    assert!(report["batches"].as_u64().unwrap() > 1);
    let expected = format!(
        "SELECT count(*) AS n, sum(data_value) AS total FROM '{lake}' \
         WHERE element = 'TMAX' AND data_value > 250"
    );
    let source = sandbox.json(&["sql", &expected]);
    let table = sandbox.json(&[
        "sql",
        "SELECT count(*) AS n, cast(round(sum(celsius) * 10) as bigint) AS total FROM noaa.warm",
    ]);
    assert_eq!(source, table);
    let months = rows(
        &sandbox,
        "SELECT count(*) AS n FROM noaa.warm WHERE day >= '2023-07-01' AND day < '2023-08-01'",
    );
    assert_eq!(months.len(), 1);
}

#[test]
fn an_iceberg_table_is_rewritten_as_it_was_when_the_run_began() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    sandbox.json(&["add-files", &lake, "--table", "noaa.old"]);
    let rewrite = [
        "ctas",
        "iceberg:noaa.old",
        "--table",
        "noaa.ghcn",
        "--partition-by",
        "truncate(4, id)",
        "--batch-by",
        "rows=30000",
    ];
    let cut_off = sandbox.output(&[&rewrite[..], &["--fail-point", "batch-committed"]].concat());
    assert_eq!(cut_off.status.code(), None);
    // More rows come in between; the rewrite is of the snapshot that it began with.
    let again = [
        "add-files",
        &lake,
        "--table",
        "noaa.old",
        "--no-check-duplicates",
    ];
    sandbox.json(&again);
    let report = sandbox.json(&rewrite);
    assert_eq!(report["added_records_count"], json!(73_000));
    check_whole(&sandbox, &lake, "from a table");
}

/// The files of a lake do not come on top of the copies of their rows; those of other places do.
#[test]
fn what_was_copied_is_not_added_in_place_too() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake");
    calve_testkit::lakes::copy_folder(Path::new(&ghcn()), &lake);
    let lake = lake.to_str().unwrap();
    sandbox.json(&[
        "ctas",
        lake,
        "--table",
        "a.b",
        "--partition-by",
        "YEAR, ELEMENT",
    ]);
    let above = sandbox.path().to_str().unwrap().to_owned();
    for (command, source) in [
        ("sync", lake),
        ("add-files", lake),
        ("sync", above.as_str()),
    ] {
        let printed = sandbox.run(&[command, source, "--table", "a.b"]);
        assert!(printed.starts_with("exit 2"), "{printed}");
        assert!(printed.contains("would be there twice"), "{printed}");
    }
    let count = "SELECT count(*) AS n FROM a.b";
    assert_eq!(rows(&sandbox, count), [r#"{"n":73000}"#]);
    // A partition that is newer than the copy.
    let newer = format!("{lake}/YEAR=2024/ELEMENT=PRCP");
    calve_testkit::lakes::copy_folder(
        Path::new(&format!("{lake}/YEAR=2023/ELEMENT=PRCP")),
        Path::new(&newer),
    );
    let filter = ["--partition-filter", "YEAR=2024"];
    let add = [&["add-files", lake, "--table", "a.b"], &filter[..]].concat();
    let added = sandbox.json(&add)["added_records_count"].as_u64().unwrap();
    assert!(added > 0);
    let expected = json!({ "n": 73_000 + added });
    assert_eq!(rows(&sandbox, count), [expected.to_string()]);
}

/// The command fails, says so, and leaves nothing in the warehouse.
#[track_caller]
fn check_refused(sandbox: &Sandbox, arguments: &[&str], expected: &str) {
    let printed = sandbox.run(arguments);
    assert!(printed.starts_with("exit 2"), "{printed}");
    assert!(printed.contains(expected), "{printed}");
    let warehouse = sandbox.path().join("warehouse");
    assert_eq!(files_below(&warehouse).len(), 0, "{printed}");
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    let with = |more: &[&'static str]| [&["ctas", lake.as_str(), "--table", "a.b"], more].concat();
    check_refused(&sandbox, &with(&["--partition-by", "nothing"]), "nothing");
    check_refused(&sandbox, &with(&["--partition-by", "day(id)"]), "transform");
    check_refused(
        &sandbox,
        &with(&["--sort-by", "nothing"]),
        "cannot sort by column `nothing`",
    );
    check_refused(
        &sandbox,
        &with(&["--sort-by", "id up"]),
        "`id up` is no sort field",
    );
    check_refused(&sandbox, &with(&["--where", "nothing > 1"]), "nothing");
    check_refused(
        &sandbox,
        &with(&["--select", "interval '1 day' as x"]),
        "Iceberg has no type for",
    );
    check_refused(
        &sandbox,
        &with(&["--batch-by", "files=3"]),
        "is no way to cut batches",
    );
    check_refused(
        &sandbox,
        &with(&["--int96-zone", "Mars"]),
        "`Mars` is no time zone",
    );
    check_refused(&sandbox, &with(&["--compression", "lzo"]), "lzo");
    check_refused(
        &sandbox,
        &with(&["--snapshot-id", "3"]),
        "--snapshot-id has no effect",
    );
    check_refused(
        &sandbox,
        &with(&["--where", "id = 'a'", "--verify"]),
        "--verify has no effect",
    );
    // A value that does not fit, found in the middle of the second batch's rows.
    check_refused(
        &sandbox,
        &with(&["--select", "cast(element as int) as x"]),
        "Cannot cast",
    );
    let inside = format!("{lake}/YEAR=2023/table");
    check_refused(
        &sandbox,
        &with(&["--location"])
            .into_iter()
            .chain([inside.as_str()])
            .collect::<Vec<_>>(),
        "would overlap its source",
    );
}

/// Compares a folder of files of a format, which is its name, with a table, row by row.
#[track_caller]
pub(crate) fn check_proof(sandbox: &Sandbox, format: &str, table: &str, equal: bool) -> Value {
    let (code, proof) = sandbox.json_with_code(&[
        "verify", format, "--format", format, "--table", table, "--level", "rows",
    ]);
    assert_eq!(proof["equal"], json!(equal), "{proof:#}");
    assert_eq!(code, i32::from(!equal));
    proof
}

#[test]
fn lakes_of_text_are_rewritten() {
    let sandbox = Sandbox::new();
    sandbox.write("csv/year=2023/a.csv", b"id,at,x\n1,2023-01-02,0.5\n2,,\n");
    sandbox.write(
        "csv/year=2024/b.csv",
        b"id,at,x\n3,2024-02-03,7\n4,\"later,\nmaybe\",\n",
    );
    let report = sandbox.json(&[
        "ctas",
        "csv",
        "--format",
        "csv",
        "--table",
        "a.csv",
        "--partition-by",
        "year",
    ]);
    let columns = ["id: long", "at: string", "x: double", "year: int"];
    assert_eq!(report["columns"], json!(columns));
    let found = sandbox.json(&["sql", "SELECT id, at, x, year FROM a.csv ORDER BY id"]);
    let expected = json!([
        {"id": 1, "at": "2023-01-02", "x": 0.5, "year": 2023},
        {"id": 2, "at": null, "x": null, "year": 2023},
        {"id": 3, "at": "2024-02-03", "x": 7.0, "year": 2024},
        {"id": 4, "at": "later,\nmaybe", "x": null, "year": 2024},
    ]);
    assert_eq!(found, expected);
    check_proof(&sandbox, "csv", "a.csv", true);
    let id = report["migration_id"].as_str().unwrap();
    let told = sandbox.json(&["report", id, "--level", "rows", "--out", "page.html"]);
    assert_eq!(told["before"]["files"], json!(2), "{told:#}");
    assert!(told["checks"].as_array().unwrap().len() > 3, "{told:#}");
    sandbox.write(
        "csv/year=2024/b.csv",
        b"id,at,x\n3,2024-02-03,7\n4,later,\n",
    );
    let proof = check_proof(&sandbox, "csv", "a.csv", false);
    let row = &proof["row_differences"]["rows"][0];
    assert_eq!(row["columns"], json!(["at"]), "{row}");
    assert_eq!(row["partition"], json!({"year": "2024"}), "{row}");

    sandbox.write("json/a.json", b"{\"id\": 1, \"at\": {\"x\": 1}}\n");
    sandbox.write(
        "json/b.json",
        b"{\"id\": 2.5, \"at\": {\"x\": 2, \"y\": [true]}}\n",
    );
    sandbox.json(&[
        "ctas", "json", "--format", "json", "--table", "a.json", "--verify",
    ]);
    check_proof(&sandbox, "json", "a.json", true);
    let found = sandbox.json(&["sql", "SELECT id, at FROM a.json ORDER BY id"]);
    let expected = json!([
        {"id": 1.0, "at": {"x": 1, "y": null}},
        {"id": 2.5, "at": {"x": 2, "y": [true]}},
    ]);
    assert_eq!(found, expected);

    sandbox.write("mixed/a.csv", b"id,x\n1,2\n");
    sandbox.write("mixed/b.csv", b"x,id\n1,2\n");
    let refused = sandbox.run(&["ctas", "mixed", "--format", "csv", "--table", "a.mixed"]);
    assert!(
        refused.contains("mixed/b.csv: its columns are (x, id)"),
        "{refused}"
    );
    sandbox.write("packed/a.csv.gz", b"\x1f\x8b");
    let refused = sandbox.run(&["ctas", "packed", "--format", "csv", "--table", "a.packed"]);
    assert!(refused.contains("compressed text"), "{refused}");
}

/// Avro as DuckDB writes it, in two files whose columns differ; both libraries read the same rows.
#[test]
fn lakes_of_avro_are_rewritten() {
    let sandbox = Sandbox::new();
    for year in ["year=2023", "year=2024"] {
        fs_err::create_dir_all(sandbox.path().join("avro").join(year)).unwrap();
    }
    let script = r#"
import json, sys
from read_table import open_duckdb
connection = open_duckdb({})
rows = """SELECT {id} AS id, 'n' || i AS name, i / 4.0::DOUBLE AS x, [i, NULL]::BIGINT[] AS l,
    {{'a': i::INT, 'b': NULL::VARCHAR}} AS s, TIMESTAMP '2024-01-01 00:00:00.123456' + INTERVAL (i) MINUTE AS "at",
    DATE '2024-02-29' AS d, i % 2 = 0 AS even, encode('b' || i) AS bin {more} FROM range(20000) t(i)"""
files = [("year=2023/a", rows.format(id="i::INT", more="")), ("year=2024/b", rows.format(id="i::BIGINT + 5000000000", more=", 7 AS extra"))]
for name, query in files:
    connection.execute(f"COPY ({query}) TO '{sys.argv[1]}/{name}.avro' (FORMAT avro)")
total = "SELECT count(*)::INT, sum(id)::BIGINT, sum(x), sum(l[1])::BIGINT, sum(s.a)::BIGINT, sum(extra)::BIGINT, count(name)::INT, count(d)::INT, count(*) FILTER (even)::INT"
both = " UNION ALL BY NAME ".join(f"SELECT * FROM read_avro('{sys.argv[1]}/{name}.avro')" for name, _ in files)
print(json.dumps(connection.execute(f"{total} FROM ({both})").fetchone()))
"#;
    let lake = sandbox.path().join("avro").display().to_string();
    let theirs = python::run(script, &[&lake]);
    let report = sandbox.json(&["ctas", "avro", "--format", "avro", "--table", "a.avro"]);
    assert_eq!(report["added_records_count"], json!(40_000));
    check_proof(&sandbox, "avro", "a.avro", true);
    assert_eq!(report["columns"][0], json!("id: long"));
    assert_eq!(report["columns"][5], json!("at: timestamptz"));
    let ours = sandbox.json(&[
        "sql",
        "SELECT count(*) AS c0, sum(id) AS c1, sum(x) AS c2, sum(l[1]) AS c3, sum(s.a) AS c4, sum(extra) AS c5, \
         count(name) AS c6, count(d) AS c7, count(*) FILTER (WHERE even) AS c8 FROM a.avro",
    ]);
    for at in 0..9 {
        let (ours, theirs) = (&ours[0][format!("c{at}")], &theirs[at]);
        assert_eq!(ours.as_f64(), theirs.as_f64(), "column {at}");
    }
    let years = "SELECT year, count(*) AS n FROM a.avro GROUP BY year ORDER BY year";
    let expected = json!([{"year": 2023, "n": 20_000}, {"year": 2024, "n": 20_000}]);
    assert_eq!(sandbox.json(&["sql", years]), expected);

    // A file that is cut off is an error with its name, wherever it is cut.
    let whole = fs_err::read(sandbox.path().join("avro/year=2023/a.avro")).unwrap();
    for (at, end) in [whole.len() - 1, whole.len() / 2, 200]
        .into_iter()
        .enumerate()
    {
        sandbox.write("cut/a.avro", &whole[..end]);
        let table = format!("a.cut{at}");
        let refused = sandbox.run(&["ctas", "cut", "--format", "avro", "--table", &table]);
        assert!(refused.starts_with("exit 2"), "{refused}");
        assert!(refused.contains("cut/a.avro: "), "{refused}");
        assert!(!sandbox.run(&["tables"]).contains(&table), "{end}");
    }
    sandbox.write("text/a.avro", b"no Avro at all");
    let refused = sandbox.run(&["ctas", "text", "--format", "avro", "--table", "a.text"]);
    assert!(refused.contains("it is no Avro file"), "{refused}");
}

#[test]
fn types_are_cured_on_the_way() {
    let sandbox = Sandbox::new();
    for name in ["nested", "milliseconds"] {
        let table = format!("a.{name}");
        let report = sandbox.json(&["ctas", &fixture(name), "--table", &table, "--verify"]);
        assert_eq!(report["verify"]["equal"], json!(true), "{name}");
    }
}
