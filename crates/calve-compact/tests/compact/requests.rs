//! What is asked of a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use calve_query::{Session, SessionOptions};
use calve_testkit::lakes;
use calve_testkit::s3::{Operation, S3Server};

use crate::{Home, add_from, compact, counts, rows};

/// A small file is read by one request, its footer with its rows.
#[tokio::test(flavor = "multi_thread")]
async fn one_for_each_small_file() {
    const FILES: usize = 40;
    let server = S3Server::with_buckets(&["lake"]);
    lakes::sensors(&server.root().join("lake/in"), FILES, 10, 1);
    let mut properties = server.properties();
    properties.insert("type".to_owned(), "memory".to_owned());
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    let catalog = calve_catalog::open("lakehouse", properties).await.unwrap();
    add_from(&catalog, "s3://lake/in").await;
    let before = rows(&catalog, "SELECT * FROM db.t").await;

    server.forget_requests();
    let report = compact(&catalog).await.unwrap();
    assert_eq!(counts(&report), (40, 1, 400, 0));
    let mut asked: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for request in server.requests() {
        if request.key.starts_with("in/") {
            asked
                .entry(request.key)
                .or_default()
                .push(request.operation);
        }
    }
    assert_eq!(asked.len(), FILES);
    for (key, operations) in asked {
        assert_eq!(operations, [Operation::Get], "{key}");
    }
    assert_eq!(rows(&catalog, "SELECT * FROM db.t").await, before);
}

/// More files than one scan has.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_files_keep_their_order() {
    const FILES: u64 = 2_100;
    let home = Home::new().await;
    let lake = home.folder.path().join("lake");
    let made = lakes::sensors(&lake, 2_100, 2, 7);
    home.add(lake).await;
    let sums = "SELECT count(*), sum(sensorid), sum(currenttemperature), max(date_ts) FROM db.t";
    let before = home.rows(sums).await;
    let report = home.compact().await.unwrap();
    assert_eq!(counts(&report), (FILES, 1, made.rows, 0));
    assert_eq!(home.rows(sums).await, before);
    // Times grow from file to file.
    let session = Session::new(Arc::clone(&home.catalog), SessionOptions::default()).unwrap();
    let rows = session.sql("SELECT date_ts FROM db.t").await.unwrap();
    let batches = rows.collect().await.unwrap();
    let times = batches.iter().flat_map(|batch| {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        times.values().iter().copied().collect::<Vec<i64>>()
    });
    let firsts: Vec<i64> = times.step_by(2).collect();
    assert_eq!(firsts.len() as u64, FILES);
    let step = 20_000;
    assert!(
        firsts.windows(2).all(|pair| pair[0] < pair[1] + 2 * step),
        "{firsts:?}"
    );
}
