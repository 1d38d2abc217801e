//! Tables that Spark and Iceberg's Java library wrote, with deletes of every kind: read as Spark reads them.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::Location;
use calve_query::{Session, SessionOptions};
use calve_testkit::s3::{S3Options, S3Server};
use serde::Deserialize;

use crate::lakehouse::rows;

/// What `python/spark_tables.py` of the test kit wrote down.
#[derive(Deserialize)]
struct Expected {
    metadata: String,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    query: String,
    snapshot: Option<i64>,
    rows: Vec<String>,
}

async fn check(name: &str) {
    let server = S3Server::start(S3Options::default());
    let source = calve_testkit::workspace_root().join("fixtures/spark");
    calve_testkit::lakes::copy_folder(&source, &server.root().join("spark"));
    let mut properties = server.properties();
    properties.insert("type".to_owned(), "memory".to_owned());
    properties.insert("warehouse".to_owned(), "s3://spark/none".to_owned());
    let catalog = calve_catalog::open("lakehouse", properties).await.unwrap();

    let expected = fs_err::read_to_string(source.join("expected.json")).unwrap();
    let mut expected: HashMap<String, Expected> = serde_json::from_str(&expected).unwrap();
    let expected = expected.remove(name).unwrap();
    let metadata = Location::parse(&expected.metadata).unwrap();
    let ident = format!("db.{name}").parse().unwrap();
    catalog.register_table(&ident, &metadata).await.unwrap();
    let session = Session::new(Arc::clone(&catalog), SessionOptions::default()).unwrap();
    assert!(!expected.answers.is_empty());
    for answer in expected.answers {
        let table = match answer.snapshot {
            Some(snapshot) => format!("db.{name} FOR VERSION AS OF {snapshot}"),
            None => format!("db.{name}"),
        };
        let query = answer.query.replace("{table}", &table);
        let found = rows(&session, &query).await;
        let found = found.unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(found, answer.rows, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_vectors() {
    check("vectors").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn position_deletes() {
    check("positions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equality_deletes() {
    check("equality").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_and_specs_that_changed() {
    check("evolved").await;
}
