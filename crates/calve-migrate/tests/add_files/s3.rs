//! Lake, table and catalog's files on an S3 server.

use calve_testkit::{lakes, python, s3};

use crate::support::{Home, add, counts};

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_on_s3() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let home = Home::new().await;
    let mut properties = server.properties();
    properties.insert(
        "uri".to_owned(),
        format!("sqlite:///{}/s3.db", home.folder.path().display()),
    );
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    let catalog = calve_catalog::open("default", properties).await.unwrap();
    let made = lakes::hard_partitions(&server.root().join("lake/in"));
    server.forget_requests();
    // Hadoop's spelling goes in; what every engine understands is written.
    let report = add(&catalog, "s3a://lake/in", "db.t").await.unwrap();
    assert_eq!(report.plan.refused, []);
    assert_eq!(counts(&report).0, made.files);
    let footers = server
        .requests()
        .into_iter()
        .filter(|request| {
            request.operation == s3::Operation::Get && request.key.ends_with(".parquet")
        })
        .count();
    assert_eq!(
        footers as u64, made.files,
        "one ranged request for each footer"
    );
    assert_eq!(
        server.count(s3::Operation::Head),
        0,
        "sizes are known from the listing"
    );
    let again = add(&catalog, "s3://lake/in", "db.t")
        .await
        .unwrap_err()
        .to_string();
    assert!(again.contains("already in table"), "{again}");
    let location = report.metadata_location.unwrap().to_string();
    for reader in ["pyiceberg", "duckdb"] {
        let mut arguments = vec!["--reader".to_owned(), reader.to_owned()];
        arguments.extend([
            "--metadata".to_owned(),
            location.clone(),
            "--rows".to_owned(),
        ]);
        for (key, value) in server.properties() {
            arguments.extend(["--property".to_owned(), format!("{key}={value}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let found = python::run_file("read_table.py", &arguments);
        assert_eq!(found["count"], made.rows, "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_waited_out() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let home = Home::new().await;
    let catalog = calve_catalog::open(
        "default",
        [
            server.properties(),
            [(
                "warehouse".to_owned(),
                format!("{}/warehouse", home.folder.path().display()),
            )]
            .into(),
            [("type".to_owned(), "memory".to_owned())].into(),
        ]
        .into_iter()
        .flatten()
        .collect(),
    )
    .await
    .unwrap();
    let made = lakes::ghcn(&server.root().join("lake/in"), 20, 10, 1);
    server.add_rule(s3::Rule::new(s3::Fault::SlowDown, s3::When::Every(5)));
    let report = add(&catalog, "s3://lake/in", "db.t").await.unwrap();
    assert_eq!(
        (counts(&report).0, report.plan.refused_count),
        (made.files, 0)
    );
}

/// Whatever the store does to the files of a commit: each footer is read once, each file is in the table once.
#[tokio::test(flavor = "multi_thread")]
async fn a_troubled_commit_reads_no_footer_again() {
    for fault in [
        s3::Fault::SlowDown,
        s3::Fault::Reset,
        s3::Fault::ResetAfter,
        s3::Fault::ErrorAfter,
    ] {
        let server = s3::S3Server::with_buckets(&["lake"]);
        let mut properties = server.properties();
        properties.extend([
            ("type".to_owned(), "memory".to_owned()),
            ("warehouse".to_owned(), "s3://lake/warehouse".to_owned()),
            ("s3.retry.min-wait-ms".to_owned(), "1".to_owned()),
            ("s3.retry.max-wait-ms".to_owned(), "5".to_owned()),
        ]);
        let catalog = calve_catalog::open("default", properties).await.unwrap();
        let made = lakes::ghcn(&server.root().join("lake/in"), 20, 10, 1);
        server.forget_requests();
        for key in [".avro", ".metadata.json"] {
            let rule = s3::Rule::new(fault.clone(), s3::When::First(2));
            let rule = rule.for_operation(s3::Operation::Put).for_key(key);
            server.add_rule(rule);
        }
        let report = add(&catalog, "s3://lake/in", "db.t").await.unwrap();
        let requests = server.requests();
        let struck = requests.iter().filter(|request| request.fault.is_some());
        assert!(struck.count() >= 4, "{fault:?}");
        let footers = requests.iter().filter(|request| {
            request.operation == s3::Operation::Get && request.key.ends_with(".parquet")
        });
        assert_eq!(footers.count() as u64, made.files, "{fault:?}");
        assert_eq!(counts(&report).0, made.files, "{fault:?}");
        let ident = "db.t".parse().unwrap();
        let table = catalog.load_table(&ident).await.unwrap();
        assert_eq!(table.metadata().history().len(), 1, "{fault:?}");
        let summary = table.metadata().current_snapshot().unwrap().summary();
        let total = &summary.additional_properties["total-data-files"];
        assert_eq!(*total, made.files.to_string(), "{fault:?}");
    }
}

/// The footer that decides over a column's type may come last: the outcome is that of the listing.
#[tokio::test(flavor = "multi_thread")]
async fn what_footers_say_does_not_depend_on_when_they_come() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    lakes::drift(&server.root().join("lake/in"), lakes::Drift::Conflicting);
    let mut outcomes = Vec::new();
    for late in ["day=2024-01-01", "day=2024-01-02", "day=2024-01-03"] {
        server.clear_rules();
        let latency = s3::Fault::Latency(std::time::Duration::from_millis(300));
        let rule = s3::Rule::new(latency, s3::When::Always).for_operation(s3::Operation::Get);
        server.add_rule(rule.for_key(late));
        let home = Home::new().await;
        let mut properties = server.properties();
        let warehouse = format!("{}/warehouse", home.folder.path().display());
        properties.insert("type".to_owned(), "memory".to_owned());
        properties.insert("warehouse".to_owned(), warehouse);
        let catalog = calve_catalog::open("default", properties).await.unwrap();
        let report = add(&catalog, "s3://lake/in", "db.t").await.unwrap();
        outcomes.push((report.plan.columns, report.plan.refused));
    }
    let (columns, refused) = &outcomes[0];
    assert!(columns.contains(&"score: float".to_owned()), "{columns:?}");
    assert_eq!(refused.len(), 1);
    let file = "s3://lake/in/day=2024-01-03/part-0.parquet";
    assert_eq!(refused[0].file.as_str(), file);
    assert_eq!(
        refused[0].message,
        "column `score` is `string` in the file, but `float` in the files before it, \
         of which s3://lake/in/day=2024-01-01/part-0.parquet is the first"
    );
    assert!(outcomes.iter().all(|outcome| outcome == &outcomes[0]));
}
