//! PyIceberg beside us in the same catalogs.

use std::time::Duration;

use calve_base::Properties;
use calve_testkit::moto::Moto;
use calve_testkit::s3::S3Server;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::laws::{create, ident, metadata_files, set};
use crate::postgres;

/// Loads and changes our table, and creates another. Our next commit must start from its work.
const PEER: &str = r#"
import json, sys
from pyiceberg.catalog import load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

properties = json.loads(sys.argv[1])
catalog = load_catalog("test", **properties)
ours = catalog.load_table("peers.ours")
before = dict(ours.properties)
with ours.transaction() as transaction:
    transaction.set_properties(theirs="yes")
with ours.update_schema() as update:
    update.add_column("added", LongType(), doc="by the peer")
theirs = catalog.create_table("peers.theirs", Schema(NestedField(1, "id", LongType(), required=True)))
print(json.dumps({
    "before": before,
    "location": catalog.load_table("peers.ours").metadata_location,
    "namespaces": catalog.list_namespaces(),
    "tables": sorted(catalog.list_tables("peers")),
    "theirs": theirs.metadata_location,
}))
"#;

/// Looks again, with a handle that is stale, then with a fresh one.
const AGAIN: &str = r#"
import json, sys
from pyiceberg.catalog import load_catalog

properties = json.loads(sys.argv[1])
catalog = load_catalog("test", **properties)
table = catalog.load_table("peers.ours")
print(json.dumps({
    "properties": dict(table.properties),
    "columns": [field.name for field in table.schema().fields],
    "log": len(table.metadata.metadata_log),
    "dropped": not catalog.table_exists("peers.theirs"),
}))
"#;

/// Commits five times, and tries again from the new state on conflict.
const RACER: &str = r#"
import json, sys
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException

catalog = load_catalog("test", **json.loads(sys.argv[1]))
conflicts = 0
for number in range(5):
    while True:
        try:
            with catalog.load_table("race.t").transaction() as transaction:
                transaction.set_properties({f"peer-{number}": "done"})
            break
        except CommitFailedException:
            conflicts += 1
print(json.dumps(conflicts))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn pyiceberg_shares_the_sqlite_catalog() {
    let folder = TempDir::new().unwrap();
    let properties = sqlite(&folder);
    share(&properties).await;
    race(&properties).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyiceberg_shares_the_postgres_catalog() {
    let Some(server) = postgres::Server::start() else {
        println!("skipped: no PostgreSQL server is installed");
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut properties = sqlite(&folder);
    properties.insert("uri".to_owned(), server.uri());
    share(&properties).await;
    race(&properties).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyiceberg_shares_the_glue_catalog() {
    let server = S3Server::with_buckets(&["lake"]);
    let mut properties = Moto::start().properties();
    properties.extend(server.properties());
    properties.insert("warehouse".to_owned(), "s3://lake/peers".to_owned());
    share(&properties).await;
    properties.insert("warehouse".to_owned(), "s3://lake/race".to_owned());
    race(&properties).await;
}

fn sqlite(folder: &TempDir) -> Properties {
    let folder = folder.path().display();
    [
        ("type", "sql".to_owned()),
        ("uri", format!("sqlite:///{folder}/catalog.db")),
        ("warehouse", format!("{folder}/warehouse")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// PyIceberg and we commit to one table at the same time.
async fn race(properties: &Properties) {
    let catalog = calve_catalog::open("test", properties.clone())
        .await
        .unwrap();
    let table = create(catalog.as_ref(), &ident("peers_race.t")).await;
    let settings = json!(properties).to_string();
    let script = RACER.replace("race.t", "peers_race.t");
    let peer =
        tokio::task::spawn_blocking(move || calve_testkit::python::run(&script, &[&settings]));
    let mut commits = 0;
    while commits < 5 || !peer.is_finished() {
        let table = catalog.load_table(table.ident()).await.unwrap();
        match set(catalog.as_ref(), &table, &format!("ours-{commits}"), "done").await {
            Ok(_) => commits += 1,
            Err(calve_catalog::Error::CommitConflict { .. }) => {}
            Err(error) => panic!("{error}: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{commits} commits of ours, {} conflicts of the peer",
        peer.await.unwrap()
    );
    let table = catalog.load_table(table.ident()).await.unwrap();
    let properties = table.metadata().properties();
    let done = |prefix: &str| {
        properties
            .keys()
            .filter(|key| key.starts_with(prefix))
            .count()
    };
    assert_eq!((done("ours-"), done("peer-")), (commits, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn we_open_what_pyiceberg_made() {
    let folder = TempDir::new().unwrap();
    let properties = sqlite(&folder);
    let script = r#"
import json, sys
from pyiceberg.catalog import load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField
catalog = load_catalog("test", **json.loads(sys.argv[1]))
catalog.create_namespace("a.b", {"location": "/elsewhere"})
catalog.create_namespace("empty")
catalog.create_table("a.b.t", Schema(NestedField(1, "id", LongType())), location=sys.argv[2])
print(json.dumps(None))
"#;
    let place = folder.path().join("place").display().to_string();
    calve_testkit::python::run(script, &[&json!(properties).to_string(), &place]);
    let catalog = calve_catalog::open("test", properties).await.unwrap();
    let namespaces = catalog.list_namespaces().await.unwrap();
    assert_eq!(
        namespaces,
        [
            vec!["a".to_owned(), "b".to_owned()],
            vec!["empty".to_owned()]
        ]
    );
    let table = catalog.load_table(&ident("a.b.t")).await.unwrap();
    assert_eq!(table.metadata().location(), place);
    let next = catalog.default_location(&ident("a.b.u")).await.unwrap();
    assert_eq!(next.as_str(), "/elsewhere/u");
    assert_eq!(catalog.list_tables(None).await.unwrap(), [ident("a.b.t")]);
    set(catalog.as_ref(), &table, "ours", "yes").await.unwrap();
}

async fn share(properties: &Properties) {
    let catalog = calve_catalog::open("test", properties.clone())
        .await
        .unwrap();
    let first = create(catalog.as_ref(), &ident("peers.ours")).await;
    let first = set(catalog.as_ref(), &first, "ours", "yes").await.unwrap();

    let settings = json!(properties).to_string();
    let answer = calve_testkit::python::run(PEER, &[&settings]);
    assert_eq!(answer["before"]["ours"], "yes");
    assert_eq!(
        answer["tables"],
        json!([["peers", "ours"], ["peers", "theirs"]])
    );
    let namespaces = answer["namespaces"].as_array().unwrap();
    assert!(namespaces.contains(&json!(["peers"])), "{answer}");

    let changed = catalog.load_table(&ident("peers.ours")).await.unwrap();
    assert_eq!(
        changed.metadata_location().as_str(),
        text(&answer["location"])
    );
    assert_eq!(changed.metadata().properties()["theirs"], "yes");
    let theirs = catalog.load_table(&ident("peers.theirs")).await.unwrap();
    assert_eq!(theirs.metadata_location().as_str(), text(&answer["theirs"]));

    let stale = set(catalog.as_ref(), &first, "stale", "yes")
        .await
        .unwrap_err();
    assert!(
        matches!(stale, calve_catalog::Error::CommitConflict { .. }),
        "{stale}"
    );
    set(catalog.as_ref(), &changed, "again", "yes")
        .await
        .unwrap();
    catalog.drop_table(theirs.ident()).await.unwrap();

    let seen = calve_testkit::python::run(AGAIN, &[&settings]);
    assert_eq!(seen["properties"]["again"], "yes");
    assert_eq!(seen["columns"], json!(["id", "added"]));
    assert_eq!(seen["log"], 4);
    assert_eq!(seen["dropped"], true);
    assert_eq!(metadata_files(&changed).await, 5);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
