//! The interop suite (`just interop`): Spark with Iceberg's Java library reads what calve makes, appends to
//! it and rewrites it, and the other readers read that.
//!
//! Not a part of the ordinary tests: it needs Java, half a gigabyte of packages, and a minute.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use calve::arrow::array::{ArrayRef, TimestampMillisecondArray};
use calve::base::{Properties, TableIdent};
use calve::table::metadata_tables::MetadataTable;
use calve_testkit::lakes::copy_folder;
use calve_testkit::type_names::spark_columns;
use calve_testkit::{lakes, python};
use serde_json::{Value, json};

use crate::ctas_update::files_in;
use crate::support::{Sandbox, fixture, ghcn};

const METADATA_TABLES: [&str; 7] = [
    "files",
    "snapshots",
    "history",
    "manifests",
    "partitions",
    "refs",
    "entries",
];

/// What is compared: SQL that both understand, over tables that calve has made.
const QUERIES: &[(&str, &str)] = &[
    (
        "noaa.ghcn",
        "SELECT YEAR, ELEMENT, count(*) AS n, sum(DATA_VALUE) AS total, min(ID) AS low, max(DATE) AS high, \
         count(M_FLAG) AS m, count(OBS_TIME) AS o FROM {table} GROUP BY YEAR, ELEMENT",
    ),
    (
        "noaa.ghcn",
        "SELECT * FROM {table} WHERE YEAR = 2023 AND ELEMENT = 'TMAX' AND DATA_VALUE > 250",
    ),
    ("db.nested", "SELECT * FROM {table}"),
    (
        "db.nested",
        "SELECT id FROM {table} WHERE address.city = 'Oslo'",
    ),
    ("db.text", "SELECT * FROM {table}"),
    ("db.text", "SELECT expected FROM {table} WHERE k IS NULL"),
    ("db.typed", "SELECT * FROM {table}"),
    ("db.typed", "SELECT expected_n FROM {table} WHERE n > 1"),
    ("db.orders", "SELECT * FROM {table}"),
    ("db.widened", "SELECT * FROM {table}"),
    ("db.respelled", "SELECT * FROM {table}"),
    ("db.added", "SELECT * FROM {table}"),
    ("db.trial", "SELECT * FROM {table}"),
    (
        "noaa.rewritten",
        "SELECT YEAR, ELEMENT, count(*) AS n, sum(DATA_VALUE) AS total, min(ID) AS low, max(DATE) AS high, \
         count(M_FLAG) AS m, count(OBS_TIME) AS o FROM {table} GROUP BY YEAR, ELEMENT",
    ),
    (
        "noaa.rewritten",
        "SELECT * FROM {table} WHERE YEAR = 2023 AND DATA_VALUE > 300",
    ),
    ("db.version3", "SELECT * FROM {table}"),
    ("db.followed", "SELECT * FROM {table}"),
    ("db.vehicles", "SELECT * FROM {table}"),
    ("db.swapped", "SELECT * FROM {table}"),
    ("db.compacted", "SELECT * FROM {table}"),
    ("db.copied", "SELECT * FROM {table}"),
    (
        "db.copied",
        "SELECT make FROM {table} WHERE county = 'King'",
    ),
    ("db.columnar", "SELECT * FROM {table}"),
    (
        "noaa.updated",
        "SELECT YEAR, ELEMENT, count(*) AS n, sum(DATA_VALUE) AS total, min(ID) AS low, max(DATE) AS high, \
         count(M_FLAG) AS m, count(OBS_TIME) AS o FROM {table} GROUP BY YEAR, ELEMENT",
    ),
    (
        "noaa.updated",
        "SELECT * FROM {table} WHERE YEAR = 2023 AND ELEMENT = 'PRCP' AND DATA_VALUE > 200",
    ),
];

/// Tables of each kind, which Java appends to and rewrites.
const CHANGED: &[&str] = &[
    "noaa.ghcn",
    "db.typed",
    "db.trial",
    "noaa.rewritten",
    "db.version3",
    "db.followed",
    "db.vehicles",
    "db.swapped",
    "db.copied",
    "db.columnar",
    "noaa.updated",
];

/// Rows of a nested document, behind those that the table has.
fn convert_vehicles(sandbox: &Sandbox, table: &str) {
    sandbox.json(&[
        "xml",
        "convert",
        &fixture("xml/vehicles.xml"),
        "--row-tag",
        "response/row/row",
        "--table",
        table,
    ]);
}

/// Files whose row groups are put together as they are.
fn make_copied(sandbox: &Sandbox) {
    for _ in 0..6 {
        convert_vehicles(sandbox, "db.copied");
    }
    let least = "row-group-copy.min-row-group-bytes=1";
    let report = sandbox.json(&["compact", "db.copied", "--option", least]);
    assert_eq!(report["copied_data_files_count"], 6, "{report:#}");
}

/// A copy whose lake went on changing: a partition appeared, a file is another, and one is gone, so that a batch was copied
/// and one was done anew.
fn make_updated(sandbox: &Sandbox) {
    let lake = sandbox.path().join("ghcn");
    copy_folder(Path::new(&ghcn()), &lake);
    let update = [
        "ctas",
        "ghcn",
        "--table",
        "noaa.updated",
        "--batch-by",
        "YEAR",
        "--update",
        "--on-changed",
        "replace",
        "--on-deleted",
        "remove",
    ];
    sandbox.json(&update);
    let year = |year: u32| lake.join(format!("YEAR={year}/ELEMENT=PRCP"));
    let (changed, other) = (year(2023), lake.join("YEAR=2023/ELEMENT=SNOW"));
    let files = [files_in(&changed), files_in(&other)];
    fs_err::copy(&files[1][0], &files[0][0]).unwrap();
    fs_err::remove_file(&files[0][1]).unwrap();
    copy_folder(&changed, &year(2030));
    let report = sandbox.json(&update);
    let counts = ["replaced_files_count", "removed_files_count"].map(|key| &report[key]);
    assert_eq!(counts, [&json!(1), &json!(1)], "{report:#}");
    assert_eq!(report["batches"], json!(2), "{report:#}");
    let proof = ["verify", "ghcn", "--table", "noaa.updated"];
    sandbox.json(&[&proof[..], &["--level", "rows"]].concat());
}

/// ORC of many types, in two files.
const WRITE_ORC: &str = r#"
import datetime, decimal, os, sys
import pyarrow as pa, pyarrow.orc as orc
os.makedirs(sys.argv[1])
for number in range(2):
    some = lambda value: [None if i % 7 == 3 else value(i) for i in range(number * 100, number * 100 + 100)]
    orc.write_table(pa.table({
        "id": pa.array(range(number * 100, number * 100 + 100), pa.int64()),
        "text": pa.array(some(lambda i: f"text {i}")),
        "price": pa.array(some(lambda i: decimal.Decimal(i).scaleb(-2)), pa.decimal128(12, 2)),
        "day": pa.array(some(lambda i: datetime.date(2024, 1, 1) + datetime.timedelta(days=i))),
        "seen": pa.array(some(lambda i: i * 10**9 + i), pa.timestamp("us", "UTC")),
        "ratio": pa.array(some(lambda i: i / 7)),
        "flag": pa.array(some(lambda i: i % 2 == 0)),
        "tags": pa.array(some(lambda i: [f"t{k}" for k in range(1 + i % 3)])),
        "inner": pa.array(some(lambda i: {"a": i, "b": f"b{i}"})),
    }), f"{sys.argv[1]}/{number}.orc")
print("{}")
"#;

/// Tables that others than `add-files` make.
fn make_migrated(sandbox: &Sandbox) {
    let run = |arguments: &[&str]| sandbox.json(arguments);
    let widened = fixture("drift/widened");
    run(&["snapshot", &widened, "--table", "db.trial"]);
    run(&[
        "ctas",
        &ghcn(),
        "--table",
        "noaa.rewritten",
        "--partition-by",
        "YEAR, bucket(2, ID)",
        "--sort-by",
        "DATE desc, ID",
        "--batch-by",
        "YEAR",
    ]);
    let version3 = ["--table", "db.version3", "--format-version", "3"];
    run(&[&["ctas", &fixture("nested")][..], &version3].concat());
    // Files that are replaced and removed leave a snapshot that deletes.
    let put = |from: &str, to: &str| {
        let file = format!("{widened}/day={from}/part-0.parquet");
        let place = format!("lake/day={to}/part-0.parquet");
        sandbox.write(&place, &fs_err::read(file).unwrap());
    };
    let follow = ["sync", "lake", "--table", "db.followed"];
    put("2024-01-01", "2024-01-01");
    put("2024-01-02", "2024-01-02");
    run(&follow);
    put("2024-01-01", "2024-01-02");
    put("2024-01-01", "2024-01-03");
    fs_err::remove_file(sandbox.path().join("lake/day=2024-01-01/part-0.parquet")).unwrap();
    let flags = ["--on-changed", "replace", "--on-deleted", "remove"];
    run(&[&follow[..], &flags].concat());
    convert_vehicles(sandbox, "db.vehicles");
    for number in 0..6 {
        let text = format!("<r><i><n>{number}</n></i></r>");
        sandbox.write("a.xml", text.as_bytes());
        run(&[
            "xml",
            "convert",
            "a.xml",
            "--row-tag",
            "i",
            "--table",
            "db.compacted",
        ]);
    }
    run(&["compact", "db.compacted"]);
    make_copied(sandbox);
    make_updated(sandbox);
    let lake = sandbox.path().join("orc").display().to_string();
    python::run(WRITE_ORC, &[&lake]);
    run(&["ctas", "orc", "--format", "orc", "--table", "db.columnar"]);
    let proof = ["verify", "orc", "--format", "orc", "--table", "db.columnar"];
    run(&[&proof[..], &["--level", "rows"]].concat());
    run(&["add-files", &widened, "--table", "db.swapped"]);
    run(&["ctas", &widened, "--table", "db.shadow"]);
    run(&["swap", "db.swapped", "db.shadow"]);
}

fn make_tables(sandbox: &Sandbox) {
    let add = |lake: &str, table: &str| {
        let arguments = ["add-files", lake, "--table", table, "--on-unsafe", "allow"];
        sandbox.json(&arguments);
    };
    add(&ghcn(), "noaa.ghcn");
    for (lake, table) in [
        ("nested", "db.nested"),
        ("hard-partitions/text", "db.text"),
        ("hard-partitions/typed", "db.typed"),
        ("hard-partitions/any-order", "db.orders"),
        ("drift/widened", "db.widened"),
        ("drift/respelled", "db.respelled"),
        ("drift/added", "db.added"),
    ] {
        add(&fixture(lake), table);
    }
    // The fixture has times of day, which Spark has no type for.
    let millis = TimestampMillisecondArray::from(vec![Some(1), Some(-1), None, Some(1 << 42)]);
    let rows = lakes::batch(vec![
        ("local", Arc::new(millis.clone()) as ArrayRef),
        ("instant", Arc::new(millis.with_timezone("UTC"))),
    ]);
    let lake = sandbox.path().join("ms");
    lakes::write_parquet(&lake.join("day=2024-05-01/1.parquet"), &rows);
    add(lake.to_str().unwrap(), "db.ms");
}

/// The SQLite driver of Java, where it is installed or Debian's package manager can fetch it.
fn sqlite_jdbc() -> Option<Value> {
    let folders = [
        PathBuf::from("/"),
        python::target_folder().join("sqlite-jdbc"),
    ];
    let found = |folder: &PathBuf| {
        let jar = folder.join("usr/share/java/sqlite-jdbc.jar");
        let libraries = fs_err::read_dir(folder.join("usr/lib")).ok()?;
        let mut libraries =
            libraries.map(|entry| entry.unwrap().path().join("jni/libsqlitejdbc.so"));
        let library = libraries.find(|library| library.exists())?;
        jar.exists()
            .then(|| json!({"jar": jar, "library": library}))
    };
    folders.iter().find_map(found).or_else(|| {
        fs_err::create_dir_all(&folders[1]).unwrap();
        let fetch = "apt-get download libxerial-sqlite-jdbc-java libxerial-sqlite-jdbc-jni \
                     && for deb in *.deb; do dpkg-deb -x $deb .; done";
        let mut shell = Command::new("sh");
        shell.args(["-c", fetch]).current_dir(&folders[1]);
        shell.output().ok()?;
        found(&folders[1])
    })
}

#[test]
#[ignore = "needs Java and starts Spark: `just interop`"]
fn spark_reads_what_calve_makes() {
    if Command::new("java").arg("-version").output().is_err() {
        eprintln!("skipped: there is no java on the path");
        return;
    }
    let sandbox = Sandbox::new();
    make_tables(&sandbox);
    make_migrated(&sandbox);
    let driver = sqlite_jdbc();
    if driver.is_none() {
        eprintln!(
            "skipped in part: no SQLite driver for Java (Debian: libxerial-sqlite-jdbc-java)"
        );
    }
    let mut asked = Asked::default();
    asked.tables(&sandbox, driver.is_some());
    asked.metadata_tables(&sandbox);
    asked.milliseconds(&sandbox);
    if driver.is_some() {
        // What is compacted already needs no more of it.
        asked
            .queries
            .push("CALL default.system.rewrite_data_files(table => 'db.compacted')".to_owned());
        asked.expected.push(json!({"rows": [[0, 0, 0, 0, 0]]}));
        // Last, because it changes the tables: Java moves the pointers in our catalog.
        for table in CHANGED {
            asked.ask(format!(
                "INSERT INTO default.{table} SELECT * FROM default.{table} LIMIT 1"
            ));
            asked.ask(format!(
                "CALL default.system.rewrite_data_files(table => '{table}', \
                 options => map('rewrite-all', 'true'))"
            ));
        }
    }
    let count = |table: &str| {
        let rows = sandbox.json(&["sql", &format!("SELECT count(*) AS n FROM {table}")]);
        rows[0]["n"].as_i64().unwrap()
    };
    let before: Vec<i64> = CHANGED.iter().map(|table| count(table)).collect();
    let request = json!({
        "uri": sandbox.path().join("calve.db"),
        "warehouse": sandbox.path().join("warehouse"),
        "sqlite_jdbc": driver,
        "tables": asked.metadata,
        "queries": asked.queries,
    });
    sandbox.write("request.json", request.to_string().as_bytes());
    let request = sandbox.path().join("request.json");
    let answers = python::run_file_with(
        &python::spark_interpreter(),
        "spark_interop.py",
        &[request.to_str().unwrap()],
    );
    asked.compare(&answers);
    if driver.is_some() {
        for (table, before) in CHANGED.iter().zip(before) {
            assert_eq!(count(table), before + 1, "{table}");
            check_after(&sandbox, table, before + 1);
        }
    }
}

/// After Java's changes, DuckDB and PyIceberg read the same.
#[track_caller]
fn check_after(sandbox: &Sandbox, table: &str, rows: i64) {
    let shown = sandbox.json(&["show", table]);
    let metadata = shown["metadata_location"].as_str().unwrap();
    let read = |reader: &str| {
        let arguments = ["--reader", reader, "--metadata", metadata];
        python::run_file("read_table.py", &arguments)
    };
    let (duckdb, pyiceberg) = (read("duckdb"), read("pyiceberg"));
    assert_eq!(duckdb["count"], rows, "{table}");
    assert_eq!(pyiceberg["count"], rows, "{table}");
    let columns = duckdb["aggregates"].as_object().unwrap();
    assert_eq!(
        columns.len(),
        pyiceberg["aggregates"].as_object().unwrap().len()
    );
    for (column, found) in columns {
        let other = &pyiceberg["aggregates"][column];
        if found == other {
            continue;
        }
        // Of what is nested in the rows that Java rewrote, PyIceberg takes null for empty. Ours is the third voice.
        let is_nested = found.as_object().is_some_and(|found| found.len() == 1);
        assert!(is_nested, "{table}.{column}: {found} {other}");
        let query = format!("SELECT count(*) AS nulls FROM {table} WHERE \"{column}\" IS NULL");
        let ours = &sandbox.json(&["sql", &query])[0];
        assert_eq!(
            ours["nulls"], found["nulls"],
            "{table}.{column}: PyIceberg {other}"
        );
    }
}

/// What Spark is asked, and what it must answer.
#[derive(Default)]
struct Asked {
    metadata: serde_json::Map<String, Value>,
    queries: Vec<String>,
    expected: Vec<Value>,
}

impl Asked {
    /// The rows of tables, by their metadata files and by the catalog.
    fn tables(&mut self, sandbox: &Sandbox, by_catalog: bool) {
        let catalogs: &[&str] = if by_catalog {
            &["files", "default"]
        } else {
            &["files"]
        };
        for (table, sql) in QUERIES {
            self.table(sandbox, table, sql, catalogs);
        }
    }

    fn table(&mut self, sandbox: &Sandbox, table: &str, sql: &str, catalogs: &[&str]) {
        let shown = sandbox.json(&["show", table]);
        let metadata = shown["metadata_location"].as_str().unwrap();
        self.metadata.insert(table.to_owned(), metadata.into());
        let ours = sandbox.json(&["sql", &sql.replace("{table}", table)]);
        assert!(
            ours.as_array().is_some_and(|rows| !rows.is_empty()),
            "{sql}"
        );
        for catalog in catalogs {
            let name = format!("{catalog}.{table}");
            self.queries.push(sql.replace("{table}", &name));
            self.expected.push(json!({ "rows": ours }));
        }
    }

    /// Something that only has to be done.
    fn ask(&mut self, query: String) {
        self.queries.push(query);
        self.expected.push(Value::Null);
    }

    /// Iceberg 1.10.2 takes milliseconds for microseconds, unless it reads row by row.
    fn milliseconds(&mut self, sandbox: &Sandbox) {
        let name = "spark.sql.iceberg.vectorization.enabled";
        self.queries.push(format!("SET {name}=false"));
        self.expected.push(json!({"rows": [[name, "false"]]}));
        self.table(sandbox, "db.ms", "SELECT * FROM {table}", &["files"]);
    }

    /// Names, types and order of the columns of metadata tables, and their rows.
    fn metadata_tables(&mut self, sandbox: &Sandbox) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let path = sandbox.path();
        let properties = Properties::from([
            (
                "uri".to_owned(),
                format!("sqlite:///{}/calve.db", path.display()),
            ),
            (
                "warehouse".to_owned(),
                path.join("warehouse").display().to_string(),
            ),
        ]);
        let catalog = runtime
            .block_on(calve::catalog::open("default", properties))
            .unwrap();
        for table in ["noaa.ghcn", "db.nested", "db.typed", "db.ms"] {
            let ident: TableIdent = table.parse().unwrap();
            let loaded = runtime.block_on(catalog.load_table(&ident)).unwrap();
            for name in METADATA_TABLES {
                let kind: MetadataTable = name.parse().unwrap();
                let ours = sandbox.json(&["sql", &format!("SELECT * FROM {table}.{name}")]);
                self.queries
                    .push(format!("SELECT * FROM files.{table}.{name}"));
                let columns = spark_columns(&kind.schema(loaded.metadata()));
                self.expected
                    .push(json!({"columns": columns, "rows": ours}));
            }
        }
    }

    fn compare(&self, answers: &Value) {
        let mut differences = Vec::new();
        for (index, (query, expected)) in self.queries.iter().zip(&self.expected).enumerate() {
            let answer = &answers[index];
            if !answer.is_object() {
                differences.push(format!("{query}: {answer}"));
                continue;
            }
            if expected.is_null() {
                continue;
            }
            if let Some(columns) = expected.get("columns")
                && *columns != answer["columns"]
            {
                differences.push(format!(
                    "{query}\n ours  {columns}\n spark {}",
                    answer["columns"]
                ));
            }
            let (ours, theirs) = (rows(&expected["rows"]), rows(&answer["rows"]));
            let only = |left: &[String], right: &[String]| {
                let only = left.iter().filter(|row| !right.contains(row));
                only.take(3).cloned().collect::<Vec<_>>().join("\n       ")
            };
            if ours != theirs {
                differences.push(format!(
                    "{query}: {} rows, {} in Spark\n ours  {}\n spark {}",
                    ours.len(),
                    theirs.len(),
                    only(&ours, &theirs),
                    only(&theirs, &ours)
                ));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    }
}

/// Rows as texts, sorted, and the maps in them, too; the rows of `calve` are objects.
fn rows(answer: &Value) -> Vec<String> {
    let rows = answer.as_array().unwrap().iter();
    let rows = rows.map(|row| {
        let mut row = match row {
            Value::Object(row) => row.values().cloned().collect::<Value>(),
            row => row.clone(),
        };
        row.sort_all_objects();
        row.to_string()
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}
