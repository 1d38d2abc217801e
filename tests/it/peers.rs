//! The same queries over the same tables in calve, DuckDB and PyIceberg: the same rows.

use calve_testkit::python;
use serde_json::{Value, json};

use crate::support::{Sandbox, fixture, ghcn};

/// One question in the words of each reader. `{table}` stands for the table in SQL.
struct Question {
    table: &'static str,
    /// Which snapshot of the table's, by its place in the history; the current one when `None`.
    version: Option<usize>,
    sql: &'static str,
    /// Columns and filter of a PyIceberg scan that must give the same rows.
    scan: Option<(&'static [&'static str], &'static str)>,
}

const fn ask(table: &'static str, sql: &'static str) -> Question {
    Question {
        table,
        version: None,
        sql,
        scan: None,
    }
}

impl Question {
    const fn at(mut self, version: usize) -> Self {
        self.version = Some(version);
        self
    }

    const fn scan(mut self, columns: &'static [&'static str], filter: &'static str) -> Self {
        self.scan = Some((columns, filter));
        self
    }
}

/// Where a table's current metadata lies, and its snapshots, oldest first.
fn state(sandbox: &Sandbox, table: &str) -> (String, Vec<i64>) {
    let query = format!("SELECT snapshot_id FROM {table}.history ORDER BY made_current_at");
    let history = sandbox.json(&["sql", &query]);
    let snapshots = history.as_array().unwrap().iter();
    let snapshots = snapshots.map(|row| row["snapshot_id"].as_i64().unwrap());
    let shown = sandbox.json(&["show", table]);
    let metadata = shown["metadata_location"].as_str().unwrap();
    let metadata = metadata.trim_start_matches("file://").to_owned();
    (metadata, snapshots.collect())
}

/// The rows of an answer as texts, sorted: `calve` has objects, the peers have lists.
fn rows(answer: &Value) -> Vec<String> {
    let rows = answer.as_array().unwrap().iter();
    let rows = rows.map(|row| match row {
        Value::Object(row) => row.values().cloned().collect::<Value>().to_string(),
        row => row.to_string(),
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}

/// Asks all readers, and compares their answers.
#[track_caller]
fn check(sandbox: &Sandbox, questions: &[Question]) {
    let mut queries = Vec::new();
    let mut ours = Vec::new();
    for question in questions {
        let (metadata, snapshots) = state(sandbox, question.table);
        let snapshot = question.version.map(|version| snapshots[version]);
        let (own, duckdb) = match snapshot {
            Some(id) => (
                format!("{} FOR VERSION AS OF {id}", question.table),
                format!("iceberg_scan('{metadata}', snapshot_from_id={id})"),
            ),
            None => (
                question.table.to_owned(),
                format!("iceberg_scan('{metadata}')"),
            ),
        };
        let sql = question.sql.replace("{table}", &own);
        let answer = rows(&sandbox.json(&["sql", &sql]));
        assert!(
            !answer.is_empty(),
            "{sql} finds nothing, which proves nothing"
        );
        let in_duckdb = question.sql.replace("{table}", &duckdb);
        queries.push(json!({"reader": "duckdb", "sql": in_duckdb}));
        ours.push((sql.clone(), answer.clone()));
        if let Some((select, filter)) = question.scan {
            queries.push(
                json!({"reader": "pyiceberg", "metadata": metadata, "select": select,
                "filter": filter, "snapshot": snapshot}),
            );
            ours.push((sql, answer));
        }
    }
    let answers = python::run_file(
        "peer_queries.py",
        &[&Value::from(queries.clone()).to_string()],
    );
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), ours.len());
    for ((answer, query), (sql, ours)) in answers.iter().zip(&queries).zip(&ours) {
        assert!(answer.is_array(), "{query}: {answer}");
        assert_eq!(*ours, rows(answer), "{sql}\n{query}");
    }
}

#[test]
fn weather_by_partitions_and_times() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    // Two snapshots of one year each, then the rest.
    for filter in ["YEAR=2023", "YEAR=2022"] {
        let add = [
            "add-files",
            &lake,
            "--table",
            "noaa.ghcn",
            "--partition-filter",
            filter,
        ];
        sandbox.json(&add);
    }
    let columns = &["ID", "DATE", "DATA_VALUE", "M_FLAG", "ELEMENT"];
    check(
        &sandbox,
        &[
            ask("noaa.ghcn", r#"SELECT "YEAR", "ELEMENT", count(*) AS n, CAST(sum("DATA_VALUE") AS BIGINT) AS total, min("DATE") AS first, count("OBS_TIME") AS times FROM {table} GROUP BY 1, 2"#),
            ask("noaa.ghcn", r#"SELECT count(*) AS n, CAST(sum("DATA_VALUE") AS BIGINT) AS total FROM {table}"#).at(0),
            ask("noaa.ghcn", r#"SELECT "ID", "DATE", "DATA_VALUE", "M_FLAG", "ELEMENT" FROM {table} WHERE "DATA_VALUE" > 390 AND "M_FLAG" IS NOT NULL"#)
                .scan(columns, "DATA_VALUE > 390 AND M_FLAG IS NOT NULL"),
            ask("noaa.ghcn", r#"SELECT "ID", "DATE", "DATA_VALUE", "ELEMENT", "YEAR" FROM {table} WHERE "YEAR" = 2023 AND "ELEMENT" = 'TMAX' AND "DATA_VALUE" > 300"#)
                .scan(&["ID", "DATE", "DATA_VALUE", "ELEMENT", "YEAR"], "YEAR = 2023 AND ELEMENT = 'TMAX' AND DATA_VALUE > 300"),
            ask("noaa.ghcn", r#"SELECT "ID", "DATE", "DATA_VALUE", "M_FLAG", "ELEMENT" FROM {table} WHERE "ELEMENT" IN ('SNOW', 'SNWD') AND "DATA_VALUE" = 0 AND "DATE" < '20220201'"#)
                .at(1),
            ask("noaa.ghcn", r#"SELECT "YEAR" FROM {table} WHERE "M_FLAG" IS NOT NULL AND "ELEMENT" <> 'PRCP'"#),
        ],
    );
}

#[test]
fn partition_values_that_are_hard() {
    let sandbox = Sandbox::new();
    for (lake, table) in [
        ("text", "db.text"),
        ("typed", "db.typed"),
        ("any-order", "db.orders"),
    ] {
        let lake = fixture(&format!("hard-partitions/{lake}"));
        sandbox.json(&["add-files", &lake, "--table", table]);
    }
    check(
        &sandbox,
        &[
            ask("db.text", "SELECT k, expected FROM {table}").scan(&["k", "expected"], ""),
            ask("db.text", "SELECT k, expected FROM {table} WHERE k IS NULL")
                .scan(&["k", "expected"], "k IS NULL"),
            // PyIceberg 0.12 finds nothing by a partition column that files lack, unless it is selected.
            ask("db.text", "SELECT k, expected FROM {table} WHERE k = '01'")
                .scan(&["k", "expected"], "k = '01'"),
            ask(
                "db.typed",
                "SELECT n, d, s, expected_n, expected_d, expected_s FROM {table}",
            )
            .scan(
                &["n", "d", "s", "expected_n", "expected_d", "expected_s"],
                "",
            ),
            ask(
                "db.typed",
                "SELECT n, d, expected_n FROM {table} WHERE n < 2 AND d IS NOT NULL",
            )
            .scan(&["n", "d", "expected_n"], "n < 2 AND d IS NOT NULL"),
            ask(
                "db.typed",
                "SELECT s, count(*) AS n FROM {table} WHERE d < DATE '2100-01-01' GROUP BY s",
            ),
            ask(
                "db.orders",
                "SELECT region, dt, expected_region, expected_dt FROM {table}",
            ),
        ],
    );
}

#[test]
fn nested_columns_and_milliseconds() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add-files", &fixture("nested"), "--table", "db.nested"]);
    let milliseconds = fixture("milliseconds");
    sandbox.json(&[
        "add-files",
        &milliseconds,
        "--table",
        "db.ms",
        "--on-unsafe",
        "allow",
    ]);
    check(
        &sandbox,
        &[
            ask("db.nested", "SELECT * FROM {table}"),
            // PyIceberg 0.12 reads null lists and maps of files without field ids as empty ones.
            ask("db.nested", "SELECT id, name, address, flag, ratio, raw, born, seen, wall, cheap, dear, vast, day FROM {table}")
                .scan(&["id", "name", "address", "flag", "ratio", "raw", "born", "seen", "wall", "cheap", "dear", "vast", "day"], ""),
            ask("db.nested", "SELECT id, address['geo']['lat'] AS lat FROM {table} WHERE address['city'] = 'Oslo'"),
            ask("db.nested", "SELECT id FROM {table} WHERE address['geo'] IS NULL AND day = DATE '2024-05-02'"),
            ask("db.nested", "SELECT id, items[1]['price'] AS price, matrix[1][1] AS first FROM {table} WHERE items IS NOT NULL"),
            ask("db.nested", "SELECT id, vast FROM {table} WHERE vast < 0 OR dear = 0.0001").scan(&["id", "vast"], "vast < 0 OR dear = 0.0001"),
            ask("db.nested", "SELECT id FROM {table} WHERE seen > TIMESTAMPTZ '2024-05-01 00:00:00.123455+00'")
                .scan(&["id"], "seen > '2024-05-01T00:00:00.123455+00:00'"),
            ask("db.nested", "SELECT id FROM {table} WHERE born = DATE '1969-12-31'").scan(&["id"], "born = '1969-12-31'"),
            // PyIceberg 0.12 reads no file with times in milliseconds.
            ask("db.ms", "SELECT * FROM {table}"),
            ask("db.ms", "SELECT id FROM {table} WHERE local = TIMESTAMP '2024-05-01 00:00:00.123'"),
            ask("db.ms", "SELECT id FROM {table} WHERE instant < TIMESTAMPTZ '1000-01-01 00:00:00+00'"),
            ask("db.ms", "SELECT id FROM {table} WHERE local > TIMESTAMP '2024-05-01 12:00:00'"),
        ],
    );
}

#[test]
fn files_that_drift() {
    let sandbox = Sandbox::new();
    for lake in ["added", "missing", "widened", "respelled", "reordered"] {
        let source = fixture(&format!("drift/{lake}"));
        sandbox.json(&["add-files", &source, "--table", &format!("db.{lake}")]);
    }
    check(
        &sandbox,
        &[
            ask("db.added", "SELECT * FROM {table}"),
            ask("db.missing", "SELECT * FROM {table}"),
            ask("db.widened", "SELECT * FROM {table}"),
            ask("db.respelled", "SELECT * FROM {table}"),
            ask("db.reordered", "SELECT * FROM {table}"),
            ask(
                "db.widened",
                "SELECT day, count(*) AS n FROM {table} WHERE day >= DATE '2024-01-02' GROUP BY day",
            ),
        ],
    );
}

/// Changes the table as its users would, with PyIceberg in calve's own catalog.
const EVOLVE: &str = "
import datetime, sys
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.types import LongType, StringType, StructType, NestedField
folder = sys.argv[1]
catalog = SqlCatalog('default', uri=f'sqlite:///{folder}/calve.db', warehouse=f'file://{folder}/warehouse')
table = catalog.load_table('db.t')
with table.update_schema() as change:
    change.rename_column('name', 'title')
    change.rename_column(('address', 'city'), 'town')
    change.update_column('small', LongType())
    change.add_column('kind', StringType())
    change.add_column(('address', 'country'), StringType())
    change.delete_column('flag')
with table.update_schema() as change:
    change.move_first('title')
with table.update_spec() as change:
    change.add_identity('kind')
schema = table.schema().as_arrow()
row = {'title': 'new', 'id': 7, 'address': {'town': 'Bod', 'geo': None, 'country': 'NO'}, 'small': 5_000_000_000,
       'kind': 'k', 'day': datetime.date(2024, 5, 3), 'items': [], 'matrix': [[1]], 'scores': [], 'groups': []}
table.append(pa.Table.from_pylist([row], schema=schema))
table.delete('id = 2')
print('null')
";

#[test]
fn a_table_that_others_changed() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add-files", &fixture("nested"), "--table", "db.t"]);
    python::run(EVOLVE, &[sandbox.path().to_str().unwrap()]);
    check(
        &sandbox,
        &[
            ask("db.t", "SELECT * FROM {table}"),
            ask("db.t", "SELECT * FROM {table}").at(0),
            ask(
                "db.t",
                "SELECT title, id, address, small, kind, day FROM {table}",
            )
            .scan(&["title", "id", "address", "small", "kind", "day"], ""),
            ask(
                "db.t",
                "SELECT id, small FROM {table} WHERE small > 4000000000 OR small < 0",
            )
            .scan(&["id", "small"], "small > 4000000000 OR small < 0"),
            ask(
                "db.t",
                "SELECT id FROM {table} WHERE kind IS NULL AND address['town'] IS NOT NULL",
            ),
            ask("db.t", "SELECT id, name FROM {table}").at(0),
            ask(
                "db.t",
                "SELECT count(*) AS n, count(kind) AS kinds FROM {table}",
            )
            .at(1),
        ],
    );
}
