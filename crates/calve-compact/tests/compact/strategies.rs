//! Rows in another order than that of their files.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use calve_compact::{Compact, SortBy, Strategy};
use calve_migrate::Ingest;
use calve_table::Transaction;
use futures::{StreamExt, stream};
use iceberg::spec::{SortOrder, TableMetadata};

use crate::rewrites::{stream_of, with_sizes};
use crate::{Home, check_fixed, ident};

fn by(fields: &str) -> Strategy {
    Strategy::parse(fields).unwrap()
}

/// The order as the table's schema has it.
fn order(metadata: &TableMetadata, fields: &str) -> SortOrder {
    let by = SortBy::parse(fields).unwrap();
    by.order(metadata.current_schema()).unwrap()
}

/// Makes the order the table's current one.
async fn sort_table(home: &Home, fields: &'static str) {
    Transaction::new(Arc::clone(&home.catalog), home.table().await)
        .with_metadata_change(Arc::new(move |metadata, builder| {
            let order = order(metadata, fields);
            Ok(builder.add_sort_order(order)?.set_default_sort_order(-1)?)
        }))
        .await
        .unwrap();
}

/// The files of the table by the least value of a column: its bounds, and the order that they are said to have.
async fn ranges(home: &Home, column: &str) -> Vec<(i64, i64, String)> {
    let query = format!(
        "SELECT readable_metrics.\"{column}\".lower_bound AS l, readable_metrics.\"{column}\".upper_bound AS u, \
         sort_order_id FROM db.t.files"
    );
    let lines = home.rows(&query).await;
    let mut ranges: Vec<(i64, i64, String)> = lines
        .iter()
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (
                cells[1].parse().unwrap(),
                cells[2].parse().unwrap(),
                cells[3].to_owned(),
            )
        })
        .collect();
    ranges.sort();
    ranges
}

/// Rows stay, files of the wanted size have ranges that do not overlap, and a second run does nothing.
async fn check_sorted(home: &Home, compact: impl Fn() -> Compact, sort_order_id: &str) {
    let before = home.rows("SELECT * FROM db.t").await;
    let report = compact().await.unwrap();
    assert_eq!(report.failed_data_files_count, 0);
    assert!(report.added_data_files_count > 1, "{report:?}");
    assert_eq!(home.rows("SELECT * FROM db.t").await, before);
    let ranges = ranges(home, "n").await;
    for pair in ranges.windows(2) {
        assert!(pair[0].1 < pair[1].0, "{ranges:?}");
    }
    assert!(
        ranges.iter().all(|range| range.2 == sort_order_id),
        "{ranges:?}"
    );
    check_fixed(compact).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_ranges_of_the_tables_order() {
    let home = Home::new().await;
    stream_of(&home, 8, 5_000).await;
    let unsorted = home
        .compact()
        .with_strategy(Strategy::Sort(None))
        .plan()
        .await;
    assert!(unsorted.unwrap_err().to_string().contains("no sort order"));
    sort_table(&home, "n desc").await;
    let sort = || with_sizes(home.compact(), 60_000).with_strategy(Strategy::Sort(None));
    check_sorted(&home, sort, "1").await;
    let first = home.rows("SELECT n FROM db.t LIMIT 1").await;
    assert!(!first.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_the_tables_past_is_noted_and_others_are_not() {
    let home = Home::new().await;
    stream_of(&home, 8, 5_000).await;
    sort_table(&home, "n").await;
    sort_table(&home, "s").await;
    let past = || {
        with_sizes(home.compact(), 60_000)
            .with_strategy(by("n"))
            .with_option("compression-factor", "0.9")
    };
    check_sorted(&home, past, "1").await;
    let own = with_sizes(home.compact(), 60_000)
        .with_option("rewrite-all", "true")
        .with_strategy(by("truncate(100, n), s desc"));
    own.await.unwrap();
    let ranges = ranges(&home, "n").await;
    assert!(
        ranges
            .iter()
            .all(|range| range.2.is_empty() || range.2 == "0"),
        "{ranges:?}"
    );
}

/// With little memory, rows are sorted on disk.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_sorted_on_disk_where_memory_is_scarce() {
    let home = Home::new().await;
    stream_of(&home, 8, 20_000).await;
    let session = calve_query::SessionOptions {
        memory_bytes: Some(8 << 20),
        concurrency: Some(1),
        ..calve_query::SessionOptions::default()
    };
    let sort = || {
        with_sizes(home.compact(), 200_000)
            .with_strategy(by("n"))
            .with_session(session.clone())
    };
    let before = home
        .rows("SELECT count(*), sum(n), min(s), max(s) FROM db.t")
        .await;
    sort().await.unwrap();
    let after = home
        .rows("SELECT count(*), sum(n), min(s), max(s) FROM db.t")
        .await;
    assert_eq!(after, before);
    let ranges = ranges(&home, "n").await;
    assert!(
        ranges.windows(2).all(|pair| pair[0].1 < pair[1].0),
        "{ranges:?}"
    );
    check_fixed(sort).await;
}

/// Columns of every type, with nulls, and of the names that keys have.
fn every_type(part: i64) -> Vec<(&'static str, ArrayRef)> {
    let numbers = || (0..400_i64).map(move |n| (n * 37 + part * 11) % 101);
    let longs: Int64Array = numbers().map(|n| (n % 7 != 0).then_some(n)).collect();
    let ints: ArrayRef = cast(&longs, &DataType::Int32).unwrap();
    let of = |to: &DataType| cast(&longs, to).unwrap();
    let time =
        |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    vec![
        ("i", Arc::clone(&ints)),
        ("f", of(&DataType::Float32)),
        ("d", of(&DataType::Float64)),
        ("day", cast(&ints, &DataType::Date32).unwrap()),
        ("at", of(&time(None))),
        ("instant", of(&time(Some("+00:00")))),
        ("s", of(&DataType::Utf8)),
        ("b", cast(&of(&DataType::Utf8), &DataType::Binary).unwrap()),
        ("y", of(&DataType::Boolean)),
        ("dec", of(&DataType::Decimal128(38, 3))),
        ("#z-order", Arc::clone(&ints)),
        ("ICEZVALUE", ints),
        ("n", Arc::new(longs)),
    ]
}

/// Every type has a place on the curve, and columns of the names that keys have are no trouble.
#[tokio::test(flavor = "multi_thread")]
async fn a_curve_through_columns_of_all_types() {
    let home = Home::new().await;
    for part in 0..4 {
        ingest(&home, every_type(part)).await;
    }
    let before = home.rows("SELECT * FROM db.t").await;
    let columns = "n, i, f, d, day, at, instant, s, b, y, dec, `#z-order`, ICEZVALUE";
    let curve = || {
        home.compact()
            .with_strategy(Strategy::z_order(columns).unwrap())
            .with_option("max-output-size", "100")
            .with_option("var-length-contribution", "6")
    };
    let report = curve().await.unwrap();
    let files = (
        report.rewritten_data_files_count,
        report.added_data_files_count,
    );
    assert_eq!(files, (4, 1));
    assert_eq!(home.rows("SELECT * FROM db.t").await, before);
    check_fixed(curve).await;
    for (columns, problem) in [("nothing", "no column"), ("s.t", "no column")] {
        let wrong = home
            .compact()
            .with_strategy(Strategy::z_order(columns).unwrap());
        let error = wrong.plan().await.unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

async fn ingest(home: &Home, columns: Vec<(&str, ArrayRef)>) {
    let batch = calve_testkit::lakes::batch(columns);
    let schema = batch.schema();
    let rows = stream::iter([Ok(batch)]).boxed();
    Ingest::new(Arc::clone(&home.catalog), ident(), schema, rows)
        .await
        .unwrap();
}

/// Files of a curve are small in both directions: a condition on either column finds few of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_curve_keeps_near_rows_together() {
    let home = Home::new().await;
    for part in 0..8_i64 {
        let pairs = || (0..2_048_i64).map(move |n| n * 8 + part);
        // A grid of 128 by 128 points.
        let column = |of: fn(i64) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(pairs().map(of)))
        };
        ingest(
            &home,
            vec![("n", column(|n| n % 128)), ("m", column(|n| n / 128))],
        )
        .await;
    }
    let all = with_sizes(home.compact(), 1 << 20).with_strategy(by("zorder(n, m)"));
    all.await.unwrap();
    let bytes = home.rows("SELECT file_size_in_bytes FROM db.t.files").await;
    let bytes: u64 = bytes[0].trim_matches(['|', ' ']).parse().unwrap();
    let some = with_sizes(home.compact(), bytes / 12)
        .with_option("rewrite-all", "true")
        .with_strategy(by("zorder(n, m)"));
    some.await.unwrap();
    for column in ["n", "m"] {
        let ranges = ranges(&home, column).await;
        assert!(ranges.len() >= 6, "{ranges:?}");
        let hit = ranges.iter().filter(|range| range.0 <= 20 && range.1 >= 20);
        let hit = hit.count();
        assert!(hit * 2 <= ranges.len() + 1, "{column}: {hit} of {ranges:?}");
    }
}
