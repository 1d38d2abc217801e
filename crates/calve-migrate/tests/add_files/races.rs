//! Two writers at once.

use std::sync::Arc;

use calve_testkit::{lakes, s3};

use crate::support::{Home, add, counts, read};

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_both_land() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 24, 10, 1);
    let filter = |element: &str| vec![("ELEMENT".to_owned(), element.to_owned())];
    let elements = home.lake();
    let mut elements: Vec<String> = fs_err::read_dir(elements.join("YEAR=2023"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .replace("ELEMENT=", "")
        })
        .collect();
    elements.sort();
    let first = home
        .add("db.t")
        .with_partition_filter(filter(&elements[0]))
        .await
        .unwrap();
    let runs = elements[1..].iter().map(|element| {
        let operation = home.add("db.t").with_partition_filter(filter(element));
        tokio::spawn(IntoFuture::into_future(operation))
    });
    let mut files = counts(&first).0;
    for run in runs.collect::<Vec<_>>() {
        files += counts(&run.await.unwrap().unwrap()).0;
    }
    assert_eq!(files, made.files);
    let last = home
        .add("db.t")
        .with_duplicates(calve_migrate::DuplicateFiles::Skip)
        .await
        .unwrap();
    assert_eq!(counts(&last).0, 0);
    assert_eq!(read("duckdb", &last, &[])["count"], made.rows);
}

/// One of two runs over the same files wins; the other sees that after its conflict, and adds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_files_are_never_added_twice() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 12, 10, 1);
    let seed = home.folder.path().join("seed");
    lakes::ghcn(&seed, 1, 10, 2);
    add(&home.catalog, seed.to_str().unwrap(), "db.t")
        .await
        .unwrap();
    let runs: Vec<_> = (0..4)
        .map(|_| tokio::spawn(IntoFuture::into_future(home.add("db.t"))))
        .collect();
    let mut won = 0;
    for run in runs {
        match run.await.unwrap() {
            Ok(report) => {
                won += 1;
                assert_eq!(counts(&report).0, made.files);
            }
            Err(error) => assert!(error.to_string().contains("already"), "{error}"),
        }
    }
    assert_eq!(won, 1);
}

/// A conflict costs metadata requests, never a footer.
#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_reads_no_footer_again() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let home = Home::new().await;
    let mut properties = server.properties();
    properties.insert(
        "uri".to_owned(),
        format!("sqlite:///{}/s3.db", home.folder.path().display()),
    );
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    let catalog = calve_catalog::open("default", properties).await.unwrap();
    for lake in ["a", "b", "c", "d"] {
        lakes::ghcn(&server.root().join("lake").join(lake), 10, 10, 3);
    }
    add(&catalog, "s3://lake/a", "db.t").await.unwrap();
    server.forget_requests();
    let runs: Vec<_> = ["b", "c", "d"]
        .into_iter()
        .map(|lake| {
            let operation = add(&catalog, &format!("s3://lake/{lake}"), "db.t");
            tokio::spawn(IntoFuture::into_future(operation))
        })
        .collect();
    for run in runs {
        assert_eq!(counts(&run.await.unwrap().unwrap()).0, 10);
    }
    let footers = server
        .requests()
        .into_iter()
        .filter(|request| {
            request.operation == s3::Operation::Get && request.key.ends_with(".parquet")
        })
        .count();
    assert_eq!(footers, 30);
    drop(Arc::clone(&catalog));
}
