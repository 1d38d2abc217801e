//! Lakes that can be added, and what others then read.

use std::path::Path;

use calve_migrate::OnUnsafe;
use calve_testkit::lakes::{self, Drift, Made};
use serde_json::{Value, json};

use crate::support::{Home, column, counts, read};

const READERS: [&str; 2] = ["pyiceberg", "duckdb"];

/// Adds a lake and returns what both readers found in the table, PyIceberg first.
#[track_caller]
fn check(make: impl FnOnce(&Path) -> Made) -> [Value; 2] {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = Home::new().await;
        let made = make(&home.lake());
        let plan = home.add("db.t").plan().await.unwrap();
        assert!(home.warehouse_files().is_empty(), "a plan wrote something");
        let report = home.add("db.t").await.unwrap();
        assert_eq!(report.plan.refused, []);
        assert_eq!(
            counts(&report),
            (made.files, made.rows, made.partitions.max(1))
        );
        assert_eq!(plan.columns, report.plan.columns);
        let again = home.add("db.t").await.unwrap_err().to_string();
        assert!(
            again.contains(&format!("{} files of the source are already", made.files)),
            "{again}"
        );
        READERS.map(|reader| {
            let found = read(reader, &report, &["--rows"]);
            assert_eq!(found["count"], made.rows, "{reader}");
            found
        })
    })
}

#[test]
fn weather_by_year_and_element() {
    for found in check(|lake| lakes::ghcn(lake, 24, 50, 1)) {
        assert_eq!(found["aggregates"]["ELEMENT"]["nulls"], 0);
        assert_eq!(found["aggregates"]["ID"]["nulls"], 0);
    }
}

#[test]
fn partition_values_that_naive_readers_get_wrong() {
    for found in check(lakes::hard_partitions) {
        assert_eq!(column(&found, "k"), column(&found, "expected"));
    }
}

#[test]
fn typed_partition_values() {
    for found in check(lakes::typed) {
        let text = |name: &str| -> Vec<Value> {
            column(&found, name)
                .into_iter()
                .map(|value| {
                    if value.is_number() {
                        json!(value.to_string())
                    } else {
                        value
                    }
                })
                .collect()
        };
        for key in ["n", "d", "s"] {
            assert_eq!(text(key), text(&format!("expected_{key}")), "{key}");
        }
    }
}

#[test]
fn keys_in_any_order_and_case() {
    for found in check(lakes::keys_in_any_order) {
        assert_eq!(column(&found, "region"), column(&found, "expected_region"));
    }
}

#[test]
fn nested_columns_come_back_whole() {
    let [pyiceberg, duckdb] = check(lakes::nested);
    // PyIceberg 0.12 reads null lists and maps of files without field ids as empty: DuckDB decides there.
    assert_eq!(pyiceberg["count"], duckdb["count"]);
    insta::assert_json_snapshot!("nested_by_duckdb", duckdb["rows"]);
}

#[test]
fn drifting_schemas_unite() {
    for drift in [
        Drift::Added,
        Drift::Missing,
        Drift::Widened,
        Drift::Respelled,
        Drift::Reordered,
    ] {
        let [pyiceberg, duckdb] = check(|lake| lakes::drift(lake, drift));
        assert_eq!(pyiceberg["rows"], duckdb["rows"], "{drift:?}");
        let users = column(&duckdb, "userId");
        assert!(users.iter().all(Value::is_number), "{drift:?}: {users:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_reported_file_by_file() {
    let home = Home::new().await;
    lakes::drift(&home.lake(), Drift::Added);
    let report = home.add("db.t").await.unwrap();
    assert_eq!(report.plan.drifted_count, 1);
    assert!(
        report.plan.drifted[0]
            .file
            .as_str()
            .ends_with("day=2024-01-03/part-0.parquet")
    );
    assert_eq!(
        serde_json::to_value(&report.plan.drifted[0].drift).unwrap(),
        json!([{"drift": "added", "column": "discount"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn milliseconds_are_refused_until_allowed() {
    let home = Home::new().await;
    let made = lakes::milliseconds(&home.lake());
    let refused = home.add("db.t").await.unwrap();
    assert_eq!(refused.snapshot_id, None);
    assert_eq!(crate::support::refused_for(&refused), ["milliseconds"]);
    assert!(home.table("db.t").await.is_none());
    assert!(home.warehouse_files().is_empty());
    let allowed = home
        .add("db.t")
        .with_on_unsafe(OnUnsafe::Allow)
        .await
        .unwrap();
    assert_eq!(counts(&allowed).0, made.files);
    let duckdb = read("duckdb", &allowed, &["--rows"]);
    assert_eq!(duckdb["count"], made.rows);
    insta::assert_json_snapshot!("milliseconds_by_duckdb", duckdb["rows"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_data_is_skipped_and_named() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 4, 10, 1);
    lakes::noise(&home.lake());
    let report = home.add("db.t").await.unwrap();
    assert_eq!(counts(&report).0, made.files);
    assert_eq!(report.plan.skipped_count, lakes::NOISE.len() as u64);
    for noise in lakes::NOISE {
        let skipped = report
            .plan
            .skipped
            .iter()
            .find(|skipped| skipped.file.as_str().ends_with(noise.path));
        assert!(skipped.is_some(), "{} is not reported", noise.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_protected_and_mapped_in_one_commit() {
    let home = Home::new().await;
    lakes::drift(&home.lake(), Drift::Respelled);
    let report = home.add("db.t").await.unwrap();
    let table = home.table("db.t").await.unwrap();
    let properties = table.metadata().properties();
    assert_eq!(properties["gc.enabled"], "false");
    let mapping: Value = serde_json::from_str(&properties["schema.name-mapping.default"]).unwrap();
    let names: Vec<&Value> = mapping
        .as_array()
        .unwrap()
        .iter()
        .map(|field| &field["names"])
        .filter(|names| names.as_array().unwrap().len() > 1)
        .collect();
    assert_eq!(names, [&json!(["userId", "userid"])]);
    assert_eq!(table.metadata().history().len(), 1);
    assert!(
        table
            .metadata_location()
            .as_str()
            .contains("/metadata/00000-")
    );
    assert_eq!(table.metadata().current_snapshot_id(), report.snapshot_id);
    assert!(
        report
            .plan
            .notes
            .iter()
            .any(|note| note.contains("gc.enabled=false"))
    );
}
