//! Tables that Spark wrote, with deletes of every kind, changed schemas and specs.

use std::sync::Arc;

use calve_base::Location;
use calve_testkit::python;
use calve_testkit::s3::{S3Options, S3Server};

use crate::lineage::lineage;
use crate::{compact, ident, rows};

#[track_caller]
fn read(reader: &str, metadata: &str, server: &S3Server) -> serde_json::Value {
    let pairs = server.properties();
    let pairs = pairs.iter().map(|(key, value)| format!("{key}={value}"));
    let pairs: Vec<String> = pairs.collect();
    let mut arguments = vec!["--reader", reader, "--metadata", metadata, "--rows"];
    for pair in &pairs {
        arguments.extend(["--property", pair]);
    }
    python::run_file("read_table.py", &arguments)
}

/// The table is rewritten, and reads as before; `others` are the readers that could read it before.
async fn check(name: &str, others: &[&str]) {
    let server = S3Server::start(S3Options::default());
    let source = calve_testkit::workspace_root().join("fixtures/spark");
    calve_testkit::lakes::copy_folder(&source, &server.root().join("spark"));
    let mut properties = server.properties();
    properties.insert("type".to_owned(), "memory".to_owned());
    properties.insert("warehouse".to_owned(), "s3://spark/none".to_owned());
    let catalog = calve_catalog::open("lakehouse", properties).await.unwrap();
    let expected = fs_err::read_to_string(source.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let metadata = expected[name]["metadata"].as_str().unwrap();
    let location = Location::parse(metadata).unwrap();
    catalog.register_table(&ident(), &location).await.unwrap();

    let before = rows(&catalog, "SELECT * FROM db.t").await;
    let ids = lineage(&catalog).await;
    assert!(!before.is_empty());
    let all = compact(&catalog).with_option("rewrite-all", "true");
    let report = all.await.unwrap();
    assert_eq!(report.failed_data_files_count, 0);
    assert_eq!(report.rows_count, before.len() as u64);
    assert_eq!(rows(&catalog, "SELECT * FROM db.t").await, before);
    assert_eq!(lineage(&catalog).await, ids);
    let deletes = rows(&catalog, "SELECT file_path FROM db.t.delete_files").await;
    if name == "vectors" {
        assert_eq!(deletes, [""; 0]);
    }
    let table = catalog.load_table(&ident()).await.unwrap();
    let after = table.metadata_location().as_str();
    let found = ["duckdb", "pyiceberg"].map(|reader| read(reader, after, &server));
    for what in ["count", "aggregates", "rows"] {
        assert_eq!(found[0][what], found[1][what], "{name}: {what}");
    }
    assert_eq!(found[0]["count"], before.len());
    for reader in others {
        let old = read(reader, metadata, &server);
        assert_eq!(found[0]["rows"], old["rows"], "{name}, {reader}");
    }
    let snapshots = table.metadata().snapshots().count();
    let snapshot = table.metadata().current_snapshot().unwrap();
    let earlier = snapshot.parent_snapshot_id().unwrap();
    let query = format!("SELECT * FROM db.t FOR VERSION AS OF {earlier}");
    assert_eq!(rows(&catalog, &query).await, before);
    // Nothing more to do: no delete applies any more.
    let again = Arc::clone(&catalog);
    assert_eq!(compact(&again).await.unwrap().rewritten_data_files_count, 0);
    let table = catalog.load_table(&ident()).await.unwrap();
    assert_eq!(table.metadata().snapshots().count(), snapshots);
}

#[tokio::test(flavor = "multi_thread")]
async fn position_deletes_are_applied() {
    check("positions", &["duckdb", "pyiceberg"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_deletes_are_applied() {
    // PyIceberg refuses equality deletes, and DuckDB 1.5 applies them to rows that were added later, too.
    check("equality", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_and_specs_that_changed() {
    check("evolved", &["duckdb", "pyiceberg"]).await;
}

/// Deletion vectors go with the files that they are of, and rows keep their ids.
#[tokio::test(flavor = "multi_thread")]
async fn deletion_vectors_are_applied() {
    check("vectors", &["duckdb"]).await;
}
