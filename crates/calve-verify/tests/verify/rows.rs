//! Rows that differ are found and told apart: what is missing, extra, doubled or changed, and where.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use calve_verify::{
    CompareOptions, Comparison, DifferenceFile, Level, Report, RowDifference, RowOptions, compare,
};
use datafusion::datasource::MemTable;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{HOUR, Home, Rows, cell, rows, schema, write};

/// A difference, shortly: `partition: kind columns, what the source has, what the table has`.
fn shortly(difference: &RowDifference) -> String {
    let ids = [&difference.source, &difference.table].map(|row| {
        row.as_ref().map_or(Value::Null, |row| {
            row.get("id").cloned().unwrap_or_default()
        })
    });
    format!(
        "{}: {} [{}] id {} {}, {}:{}",
        difference.partition,
        difference.kind,
        difference.columns.join(", "),
        ids[0],
        ids[1],
        difference.source_count,
        difference.table_count
    )
}

/// Changes a copy of the lake; the table, which holds the rows as they were, is compared with that.
async fn verified(plant: impl Fn(&mut Rows)) -> Report {
    let home = Home::new().await;
    let mut rows = rows();
    write(&home.path("lake"), &rows);
    home.add("lake", "db.t").await;
    plant(&mut rows);
    write(&home.path("changed"), &rows);
    let verify = home.verify("changed", "db.t").with_level(Level::Rows);
    verify.await.unwrap()
}

async fn check(plant: impl Fn(&mut Rows), expected: &[&str]) {
    let report = verified(plant).await;
    assert!(!report.equal);
    let found = report.row_differences.unwrap();
    let mut rows: Vec<String> = found.rows.iter().map(shortly).collect();
    rows.sort();
    assert_eq!(rows, expected);
    assert!(found.complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_rows_are_equal() {
    let report = verified(|rows| rows.get_mut("1").unwrap().reverse()).await;
    assert!(report.equal, "{:?}", report.differences);
    assert_eq!(report.row_differences, None);
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    assert!(
        names.contains(&"row_checksum") && names.contains(&"checksum"),
        "{names:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_cells_are_found() {
    check(
        |rows| cell(rows, 1, "/name", json!("name X")),
        &["day=1: changed [name] id 2 2, 1:1"],
    )
    .await;
    // A null for an empty text, and the other way round.
    check(
        |rows| {
            rows.get_mut("2").unwrap()[0]["name"] = Value::Null;
            cell(rows, 2, "/name", json!(""));
        },
        &[
            "day=1: changed [name] id 3 3, 1:1",
            "day=2: changed [name] id 4 4, 1:1",
        ],
    )
    .await;
    check(
        |rows| cell(rows, 1, "/at", json!(1_714_521_600_000_000_i64 + HOUR)),
        &["day=1: changed [at] id 2 2, 1:1"],
    )
    .await;
    // A rounding, and the least that a double can be off.
    check(
        |rows| {
            cell(rows, 0, "/amount", json!(100));
            cell(rows, 1, "/score", json!(0.200_000_000_000_000_04));
        },
        &[
            "day=1: changed [amount] id 1 1, 1:1",
            "day=1: changed [score] id 2 2, 1:1",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_nested_columns_are_named() {
    check(
        |rows| cell(rows, 0, "/info/city", json!("City 1")),
        &["day=1: changed [info.city] id 1 1, 1:1"],
    )
    .await;
    check(
        |rows| cell(rows, 0, "/info/tags/1", json!("x")),
        &["day=1: changed [info.tags[1]] id 1 1, 1:1"],
    )
    .await;
    check(
        |rows| cell(rows, 0, "/info/tags", json!(["1"])),
        &["day=1: changed [info.tags] id 1 1, 1:1"],
    )
    .await;
    check(
        |rows| rows.get_mut("2").unwrap()[0]["info"]["tags"] = Value::Null,
        &["day=2: changed [info.tags] id 4 4, 1:1"],
    )
    .await;
    check(
        |rows| rows.get_mut("2").unwrap()[1]["info"] = Value::Null,
        &["day=2: changed [info] id 5 5, 1:1"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_added_doubled_and_moved_rows_are_told_apart() {
    check(
        |rows| drop(rows.get_mut("1").unwrap().pop()),
        &["day=1: extra [] id null 3, 0:1"],
    )
    .await;
    check(
        |rows| {
            let mut more = rows["2"][0].clone();
            for (name, value) in [("id", json!(9)), ("name", json!("nine"))] {
                more[name] = value;
            }
            for name in ["amount", "score", "at", "info"] {
                more[name] = Value::Null;
            }
            rows.get_mut("2").unwrap().push(more);
        },
        &["day=2: missing [] id 9 null, 1:0"],
    )
    .await;
    // Doubled in the source, so that the table lacks one.
    check(
        |rows| {
            let rows = rows.get_mut("2").unwrap();
            rows.push(rows[0].clone());
        },
        &["day=2: missing [] id 4 4, 2:1"],
    )
    .await;
    // A row in another partition is the same row but for its key.
    check(
        |rows| {
            let moved = rows.get_mut("2").unwrap().pop().unwrap();
            rows.get_mut("1").unwrap().push(moved);
        },
        &["day=1: changed [day] id 5 5, 1:1"],
    )
    .await;
    // A partition that only one side has.
    check(
        |rows| drop(rows.remove("2")),
        &[
            "day=2: extra [] id null 4, 0:1",
            "day=2: extra [] id null 5, 0:1",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_table_has_twice_is_duplicated() {
    let home = Home::new().await;
    let mut rows = rows();
    write(&home.path("lake"), &rows);
    let doubled = rows.get_mut("1").unwrap();
    doubled.push(doubled[0].clone());
    write(&home.path("doubled"), &rows);
    home.add("doubled", "db.t").await;
    let report = home
        .verify("lake", "db.t")
        .with_level(Level::Rows)
        .await
        .unwrap();
    let found = report.row_differences.unwrap();
    assert_eq!(
        found.rows.iter().map(shortly).collect::<Vec<_>>(),
        ["day=1: duplicated [] id 1 1, 1:2"]
    );
    assert_eq!(
        (found.duplicated, found.missing, found.extra, found.changed),
        (1, 0, 0, 0)
    );
    let row = serde_json::to_value(&found.rows[0]).unwrap();
    assert_eq!(row["source"]["amount"], "1.01");
    assert_eq!(
        row["source"]["info"],
        json!({"city": "city 1", "tags": ["a", "1"]})
    );
    assert_eq!(row["partition"], json!({"day": "1"}));
}

/// A table of an id and two texts.
fn numbered(rows: impl Iterator<Item = (i64, String, String)>) -> Arc<MemTable> {
    let rows: Vec<(i64, String, String)> = rows.collect();
    let ids: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
    let one: ArrayRef = Arc::new(rows.iter().map(|row| Some(&row.1)).collect::<StringArray>());
    let two: ArrayRef = Arc::new(rows.iter().map(|row| Some(&row.2)).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("id", ids), ("one", one), ("two", two)]).unwrap();
    let parts = (0..batch.num_rows())
        .step_by(500)
        .map(|start| vec![batch.slice(start, 500.min(batch.num_rows() - start))]);
    Arc::new(MemTable::try_new(batch.schema(), parts.collect()).unwrap())
}

fn some(id: i64) -> (i64, String, String) {
    (id, format!("one {id}"), format!("two {}", id % 7))
}

async fn compared(source: Arc<MemTable>, table: Arc<MemTable>, rows: RowOptions) -> Comparison {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
    let options = CompareOptions {
        level: Level::Rows,
        rows,
        ..CompareOptions::default()
    };
    compare(&context, source, table, &options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_columns_are_named() {
    let swapped = (0..2_000).map(some).map(|(id, one, two)| (id, two, one));
    let source = numbered((0..2_000).map(some));
    let found = compared(source, numbered(swapped), RowOptions::default()).await;
    let swaps: Vec<_> = found
        .differences
        .iter()
        .filter(|it| it.check == "swapped_columns")
        .map(|it| (it.column.clone().unwrap(), it.table.clone()))
        .collect();
    assert_eq!(swaps, [("one".to_owned(), json!("two"))]);
    let rows = found.row_differences.unwrap();
    assert_eq!((rows.changed, rows.missing, rows.extra), (1_000, 0, 0));
    assert!(!rows.complete);
    assert_eq!(rows.rows[0].columns, ["one", "two"]);
}

/// However little may be held at once, what differs is found.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_among_many_with_little_memory() {
    let lost = |id: &i64| *id != 4_711;
    let changed = |(id, one, two): (i64, String, String)| match id {
        815 => (id, "changed".to_owned(), two),
        _ => (id, one, two),
    };
    let source = || numbered((0..20_000).map(some));
    let table = || numbered((0..20_000).filter(lost).chain([42]).map(some).map(changed));
    for (candidates, key) in [(1 << 20, vec![]), (64, vec![]), (64, vec!["ID".to_owned()])] {
        let options = RowOptions {
            candidates,
            key,
            ..RowOptions::default()
        };
        let found = compared(source(), table(), options).await;
        let found = found.row_differences.unwrap();
        assert!(found.complete);
        let mut rows: Vec<String> = found.rows.iter().map(shortly).collect();
        rows.sort();
        assert_eq!(
            rows,
            [
                ": changed [one] id 815 815, 1:1",
                ": duplicated [] id 42 42, 1:2",
                ": missing [] id 4711 null, 1:0",
            ],
            "{candidates}"
        );
    }
}

/// One column of all rows changed: both versions of the few rows that are looked up belong together.
#[tokio::test(flavor = "multi_thread")]
async fn few_of_many_changed_rows_are_looked_up_in_pairs() {
    let shouted = |(id, one, two): (i64, String, String)| (id, one.to_uppercase(), two);
    for candidates in [1 << 20, 1_000] {
        let options = RowOptions {
            limit: Some(10),
            candidates,
            ..RowOptions::default()
        };
        let source = numbered((0..5_000).map(some));
        let table = numbered((0..5_000).map(some).map(shouted));
        let found = compared(source, table, options)
            .await
            .row_differences
            .unwrap();
        assert_eq!(
            (found.changed, found.missing, found.extra),
            (10, 0, 0),
            "{candidates}"
        );
        assert_eq!(found.changed_columns.len(), 1);
        assert_eq!(found.changed_columns[0].column, "one");
        assert!(!found.complete);
    }
}

/// Where too many rows share the columns that are equal, rows are told apart by all their columns.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_tell_little_are_no_hindrance() {
    let table = (0..3_000).map(some).map(|(id, one, two)| match id {
        7 => (70_007, "x".to_owned(), two),
        _ => (id, one, two),
    });
    let options = RowOptions {
        candidates: 200,
        ..RowOptions::default()
    };
    let found = compared(numbered((0..3_000).map(some)), numbered(table), options).await;
    let found = found.row_differences.unwrap();
    assert!(found.complete);
    assert_eq!((found.changed, found.missing, found.extra), (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_that_differ_go_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["rows.jsonl", "rows.parquet"] {
        let path = folder.path().join(name);
        let file = Arc::new(DifferenceFile::create(&path).unwrap());
        let options = RowOptions {
            limit: None,
            candidates: 1_000,
            sink: Some(Arc::clone(&file) as _),
            ..RowOptions::default()
        };
        let shifted = (0..3_000).map(|id| some(id + 1_500));
        let source = numbered((0..3_000).map(some));
        let found = compared(source, numbered(shifted), options).await;
        let found = found.row_differences.unwrap();
        file.finish().unwrap();
        assert!(found.complete);
        assert_eq!(found.missing + found.changed, 1_500);
        assert_eq!(found.extra + found.changed, 1_500);
        let written = found.missing + found.changed + found.extra;
        let context = SessionContext::new();
        let path = path.to_str().unwrap();
        let rows = if name == "rows.jsonl" {
            let text = fs_err::read_to_string(path).unwrap();
            let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert!(first["kind"].is_string() && first["partition"].is_object());
            text.lines().count()
        } else {
            let rows = context
                .read_parquet(path, ParquetReadOptions::default())
                .await
                .unwrap();
            assert_eq!(rows.schema().field(0).name(), "kind");
            rows.count().await.unwrap()
        };
        assert_eq!(rows as u64, written, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_the_same_on_both_sides() {
    let equal = |fraction| {
        let options = CompareOptions {
            level: Level::Rows,
            sample: Some(fraction),
            ..CompareOptions::default()
        };
        async move {
            let context = SessionContext::new();
            let source = numbered((0..5_000).map(some));
            let table = numbered((0..5_000).rev().map(some));
            compare(&context, source, table, &options).await
        }
    };
    let found = equal(0.1).await.unwrap();
    assert!(found.is_equal());
    assert!(
        (300..700).contains(&found.rows_source),
        "{}",
        found.rows_source
    );
    assert_eq!(found.rows_source, equal(0.1).await.unwrap().rows_table);
    for fraction in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(equal(fraction).await.is_err(), "{fraction}");
    }
    // Whole partitions, where there are any; one at the least.
    let home = Home::new().await;
    write(&home.path("lake"), &rows());
    home.add("lake", "db.t").await;
    let report = home.verify("lake", "db.t").with_sample(0.1).await.unwrap();
    assert!(report.equal);
    assert_eq!((report.partitions_compared, report.sample), (1, Some(0.1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_must_be_on_both_sides() {
    let options = RowOptions {
        key: vec!["nowhere".to_owned()],
        ..RowOptions::default()
    };
    let context = SessionContext::new();
    let options = CompareOptions {
        level: Level::Rows,
        rows: options,
        ..CompareOptions::default()
    };
    let (source, table) = (numbered((0..2).map(some)), numbered((0..3).map(some)));
    let error = compare(&context, source, table, &options)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    assert_eq!(schema().field(0).data_type(), &DataType::Int64);
}

/// Rows of small numbers, so that there are many doubles.
fn small_rows() -> impl Strategy<Value = Vec<(Option<i32>, Option<i32>)>> {
    let number = || proptest::option::weighted(0.8, 0..4_i32);
    proptest::collection::vec((number(), number()), 0..20)
}

fn small(rows: &[(Option<i32>, Option<i32>)]) -> Arc<MemTable> {
    let a: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>());
    let b: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int32Array>());
    let batch = RecordBatch::try_from_iter_with_nullable([("a", a, true), ("b", b, true)]).unwrap();
    let parts = vec![
        vec![batch.slice(0, rows.len() / 2)],
        vec![batch.slice(rows.len() / 2, rows.len() - rows.len() / 2)],
    ];
    Arc::new(MemTable::try_new(batch.schema(), parts).unwrap())
}

/// How often each row is there.
fn multiset(rows: &[(Option<i32>, Option<i32>)]) -> BTreeMap<(Option<i32>, Option<i32>), i64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(*row).or_default() += 1;
    }
    counts
}

/// What the row differences say about how often the table has each row more than the source.
fn told(found: &[RowDifference]) -> BTreeMap<(Option<i32>, Option<i32>), i64> {
    let row = |row: &serde_json::Map<String, Value>| {
        let number = |name: &str| row[name].as_i64().and_then(|it| i32::try_from(it).ok());
        (number("a"), number("b"))
    };
    let mut counts: BTreeMap<_, i64> = BTreeMap::new();
    for difference in found {
        if let Some(source) = &difference.source {
            *counts.entry(row(source)).or_default() -=
                i64::try_from(difference.source_count).unwrap();
        }
        if let Some(table) = &difference.table {
            *counts.entry(row(table)).or_default() +=
                i64::try_from(difference.table_count).unwrap();
        }
    }
    counts.retain(|_, count| *count != 0);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Two multisets of rows are equal exactly when they are said to be, and what differs is told in full.
    #[test]
    fn any_change_of_a_multiset_is_found(source in small_rows(), table in small_rows(), is_same: bool) {
        let table = if is_same { source.iter().rev().copied().collect() } else { table };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(compared(small(&source), small(&table), RowOptions::default()));
        let (own, others) = (multiset(&source), multiset(&table));
        prop_assert_eq!(found.is_equal(), own == others);
        let mut expected = others;
        for (row, count) in own {
            *expected.entry(row).or_default() -= count;
        }
        expected.retain(|_, count| *count != 0);
        let rows = found.row_differences.map(|it| it.rows).unwrap_or_default();
        prop_assert_eq!(told(&rows), expected);
    }
}
