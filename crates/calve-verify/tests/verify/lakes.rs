//! Differences are planted in copies of a lake, and each must be found where it was planted; what
//! only looks different must not be found.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use calve_base::{Failure, Progress, TableIdent};
use calve_testkit::lakes::{self, Drift};
use calve_verify::{Level, Report, Verify, VerifySource};
use serde_json::{Value, json};

use crate::support::{HOUR, Home, Rows, cell, rows, schema, write};

#[tokio::test(flavor = "multi_thread")]
async fn honest_tables_are_equal() {
    async fn check(name: &str, make: impl Fn(&Path) -> lakes::Made) {
        let home = Home::new().await;
        let made = make(&home.path("lake"));
        home.add("lake", "db.t").await;
        for level in [Level::Counts, Level::Aggregates, Level::Rows] {
            let report = home.verify("lake", "db.t").with_level(level).await.unwrap();
            assert!(report.equal, "{name} {level}: {:#?}", report.differences);
            assert_eq!(report.rows_source, made.rows, "{name}");
            assert_eq!(report.rows_table, made.rows, "{name}");
            assert_eq!(report.partitions_compared, made.partitions.max(1), "{name}");
            assert!(report.checks.iter().all(|check| check.equal), "{name}");
        }
    }
    check("ghcn", |dir| lakes::ghcn(dir, 12, 200, 3)).await;
    check("hard partitions", lakes::hard_partitions).await;
    check("typed", lakes::typed).await;
    check("keys in any order", lakes::keys_in_any_order).await;
    check("nested", lakes::nested).await;
    check("milliseconds", lakes::milliseconds).await;
    for drift in Drift::ALL {
        if drift != Drift::Conflicting {
            check(drift.folder(), |dir| lakes::drift(dir, drift)).await;
        }
    }
}

/// What was found, shortly: `partition column check source table`.
fn found(report: &Report) -> Vec<String> {
    let differences = report.differences.iter();
    differences
        .map(|difference| {
            format!(
                "{}: {} {}: {} {}",
                difference.partition,
                difference.column.as_deref().unwrap_or("-"),
                difference.check,
                if difference.check == "checksum" {
                    Value::Null
                } else {
                    difference.source.clone()
                },
                if difference.check == "checksum" {
                    Value::Null
                } else {
                    difference.table.clone()
                },
            )
        })
        .collect()
}

/// Changes a copy of the lake; the table is compared with that.
async fn check_planted(plant: impl Fn(&mut Rows), expected: &[&str]) {
    let home = Home::new().await;
    let mut rows = rows();
    write(&home.path("lake"), &rows);
    home.add("lake", "db.t").await;
    plant(&mut rows);
    write(&home.path("changed"), &rows);
    let report = home.verify("changed", "db.t").await.unwrap();
    assert_eq!(found(&report), expected);
    assert_eq!(report.differences_count, expected.len() as u64);
    assert_eq!(report.equal, expected.is_empty());
    assert_eq!(report.checks.iter().all(|check| check.equal), report.equal);
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_differences_of_rows_are_found() {
    check_planted(|_| {}, &[]).await;
    // The order of rows is no difference.
    check_planted(|rows| rows.get_mut("1").unwrap().reverse(), &[]).await;
    check_planted(
        |rows| drop(rows.get_mut("1").unwrap().pop()),
        &["day=1: - partition_row_count: 2 3"],
    )
    .await;
    check_planted(
        |rows| {
            let rows = rows.get_mut("2").unwrap();
            rows.push(rows[0].clone());
        },
        &["day=2: - partition_row_count: 3 2"],
    )
    .await;
    check_planted(
        |rows| {
            let moved = rows.remove("2").unwrap();
            rows.insert("3", moved);
        },
        &["day=2: - partitions: null 2", "day=3: - partitions: 2 null"],
    )
    .await;
    check_planted(
        |rows| {
            let moved = rows.get_mut("2").unwrap().pop().unwrap();
            rows.get_mut("1").unwrap().push(moved);
        },
        &[
            "day=1: - partition_row_count: 4 3",
            "day=2: - partition_row_count: 1 2",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_differences_of_cells_are_found() {
    check_planted(
        |rows| cell(rows, 1, "/name", json!("name X")),
        &[
            "day=1: name max: \"name X\" \"name 2\"",
            "day=1: name checksum: null null",
        ],
    )
    .await;
    check_planted(
        |rows| cell(rows, 2, "/name", json!("")),
        &[
            "day=1: name null_count: 0 1",
            "day=1: name min: \"\" \"name 1\"",
            "day=1: name checksum: null null",
        ],
    )
    .await;
    // Changed so that no statistic but the checksum sees it.
    check_planted(
        |rows| cell(rows, 1, "/score", json!(0.200_000_000_000_000_04)),
        &["day=1: score checksum: null null"],
    )
    .await;
    check_planted(
        |rows| cell(rows, 1, "/at", json!(1_714_521_600_000_000_i64 + HOUR)),
        &["day=1: at checksum: null null"],
    )
    .await;
    check_planted(
        |rows| cell(rows, 0, "/info/city", json!("City 1")),
        &["day=1: info checksum: null null"],
    )
    .await;
    check_planted(
        |rows| cell(rows, 0, "/info/tags", json!(["1", "a"])),
        &["day=1: info checksum: null null"],
    )
    .await;
    check_planted(
        |rows| rows.get_mut("2").unwrap()[0]["info"]["tags"] = Value::Null,
        &["day=2: info checksum: null null"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_and_a_doubled_row_are_found() {
    // One lost, another doubled.
    check_planted(
        |rows| {
            let rows = rows.get_mut("1").unwrap();
            for name in ["id", "amount", "score", "at", "info"] {
                rows[2][name] = rows[1][name].clone();
            }
        },
        &[
            "day=1: id max: 2 3",
            "day=1: id sum: 5 6",
            "day=1: id checksum: null null",
            "day=1: amount max: \"2.02\" \"3.03\"",
            "day=1: amount sum: \"5.05\" \"6.06\"",
            "day=1: amount checksum: null null",
            "day=1: score max: 0.2 0.30000000000000004",
            "day=1: score checksum: null null",
            "day=1: at max: \"2024-05-01T02:00:00\" \"2024-05-01T03:00:00\"",
            "day=1: at checksum: null null",
            "day=1: info checksum: null null",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_snapshots_can_be_chosen() {
    let home = Home::new().await;
    let mut rows = rows();
    write(&home.path("lake"), &rows);
    let first = home.add("lake", "db.t").await;
    write(&home.path("more"), &Rows::from([("7", rows["1"].clone())]));
    home.add("more", "db.t").await;

    let now = home.verify("lake", "db.t").await.unwrap();
    assert_eq!(found(&now), ["day=7: - partitions: null 3"]);
    let then = home
        .verify("lake", "db.t")
        .with_snapshot(first)
        .await
        .unwrap();
    assert!(then.equal);
    assert_eq!(then.snapshot_id, Some(first));

    let filter = |day: &str| vec![("DAY".to_owned(), day.to_owned())];
    let part = home
        .verify("lake", "db.t")
        .with_partition_filter(filter("2"));
    let part = part.await.unwrap();
    assert!(part.equal);
    assert_eq!((part.partitions_compared, part.rows_table), (1, 2));

    rows.get_mut("1").unwrap().pop();
    write(&home.path("changed"), &rows);
    for (day, equal) in [("1", false), ("2", true)] {
        let verify = home
            .verify("changed", "db.t")
            .with_partition_filter(filter(day));
        assert_eq!(verify.await.unwrap().equal, equal, "{day}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_can_be_sources() {
    let home = Home::new().await;
    write(&home.path("lake"), &rows());
    home.add("lake", "db.one").await;
    home.add("lake", "db.two").await;
    let verify = |one: &str, two: &str| {
        let source = VerifySource::Table(one.parse().unwrap());
        Verify::new(Arc::clone(&home.catalog), source, two.parse().unwrap())
    };
    let report = verify("db.one", "db.two").await.unwrap();
    assert!(report.equal);
    assert_eq!(report.source, "iceberg:db.one");
    assert_eq!(report.partitions_compared, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_partitions_is_one() {
    let home = Home::new().await;
    let batch = lakes::from_json(schema(), &rows()["1"]);
    lakes::write_parquet(&home.path("lake/part-0.parquet"), &batch);
    home.add("lake", "db.t").await;
    for level in [Level::Counts, Level::Aggregates] {
        let report = home.verify("lake", "db.t").with_level(level).await.unwrap();
        assert!(report.equal);
        assert_eq!((report.partitions_compared, report.rows_source), (1, 3));
    }
    lakes::write_parquet(&home.path("lake/part-1.parquet"), &batch);
    for level in [Level::Counts, Level::Aggregates] {
        let report = home.verify("lake", "db.t").with_level(level).await.unwrap();
        assert_eq!(found(&report), [": - partition_row_count: 6 3"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_stable() {
    let home = Home::new().await;
    let mut rows = rows();
    write(&home.path("lake"), &rows);
    let snapshot_id = home.add("lake", "db.t").await;
    rows.remove("2");
    write(&home.path("changed"), &rows);
    let report = home.verify("changed", "db.t").with_level(Level::Counts);
    let report = serde_json::to_value(report.await.unwrap()).unwrap();
    let expected = json!({
        "equal": false,
        "level": "counts",
        "source": home.source("changed").to_string(),
        "table": "db.t",
        "snapshot_id": snapshot_id,
        "partitions_compared": 2,
        "rows_source": 3,
        "rows_table": 5,
        "checks_count": 3,
        "checks": [
            {"name": "row_count", "compared": 1, "equal": false},
            {"name": "partitions", "compared": 2, "equal": false},
            {"name": "partition_row_count", "compared": 1, "equal": true},
        ],
        "differences_count": 1,
        "differences": [
            {"partition": {"day": "2"}, "check": "partitions", "source": null, "table": 2},
        ],
    });
    assert_eq!(report, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_named() {
    let home = Home::new().await;
    write(&home.path("lake"), &rows());
    home.add("lake", "db.t").await;
    let message = |result: calve_verify::Result<Report>| {
        let error = result.unwrap_err();
        let _ = (error.hint(), error.is_retryable());
        error.to_string()
    };
    let missing: TableIdent = "db.missing".parse().unwrap();
    let text = message(home.verify("lake", &missing.to_string()).await);
    assert!(text.contains("db.missing"), "{text}");
    let text = message(home.verify("nowhere", "db.t").await);
    assert!(text.contains("nowhere"), "{text}");
    assert_eq!(
        message(home.verify("lake", "db.t").with_snapshot(17).await),
        "table db.t has no snapshot 17"
    );
    let filter = vec![("day".to_owned(), "monday".to_owned())];
    let text = message(
        home.verify("lake", "db.t")
            .with_partition_filter(filter)
            .await,
    );
    assert!(text.contains("monday"), "{text}");
}

/// Counts what it hears, by stage: the total that was announced, and how much came.
#[derive(Debug, Default)]
struct Heard(std::sync::Mutex<BTreeMap<&'static str, Stage>>);

/// A stage's total, how far it came, and whether it is over.
type Stage = (Option<u64>, u64, bool);

impl Progress for Heard {
    fn started(&self, stage: &'static str, total: Option<u64>) {
        self.0.lock().unwrap().insert(stage, (total, 0, false));
    }

    fn advanced(&self, stage: &'static str, count: u64) {
        self.0.lock().unwrap().get_mut(stage).unwrap().1 += count;
    }

    fn finished(&self, stage: &'static str) {
        self.0.lock().unwrap().get_mut(stage).unwrap().2 = true;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.path("lake"), 6, 10, 1);
    home.add("lake", "db.t").await;
    let heard = Arc::new(Heard::default());
    let progress: Arc<dyn Progress> = Arc::<Heard>::clone(&heard);
    let report = home.verify("lake", "db.t").with_progress(progress).await;
    assert!(report.unwrap().equal);
    let heard = heard.0.lock().unwrap();
    let rows = (Some(made.rows), made.rows, true);
    assert_eq!(heard["objects listed"], (None, made.files, true));
    assert_eq!(heard["footers read"], (Some(made.files), made.files, true));
    assert_eq!(heard["source rows read"], rows);
    assert_eq!(heard["table rows read"], rows);
}
