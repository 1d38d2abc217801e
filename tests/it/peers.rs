//! The same queries over the same tables in calve, DuckDB and PyIceberg: the same rows.

use calve_testkit::python;
use serde_json::{Value, json};

use crate::support::{Sandbox, fixture};

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
        Value::Object(row) => Value::from_iter(row.values().cloned()).to_string(),
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
