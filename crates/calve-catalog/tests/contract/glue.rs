//! What is Glue's own: names, refusals, pages, Hive-style tables.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::{Failure, Properties, TableIdent};
use calve_catalog::{Catalog, Error, HiveColumn};
use calve_testkit::moto::{Loss, Moto, Proxy};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::laws::{build, create, ident};

pub(crate) async fn open(folder: &TempDir, more: &[(&str, &str)]) -> Arc<dyn Catalog> {
    let mut properties: Properties = Moto::start().properties();
    let warehouse = folder.path().join("warehouse").display().to_string();
    properties.insert("warehouse".to_owned(), warehouse);
    for (key, value) in more {
        properties.insert((*key).to_owned(), (*value).to_owned());
    }
    calve_catalog::open("test", properties).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_checked_first() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    for (name, wrong) in [("db.Table", "db.Table"), ("d-b.t", "d-b"), ("a.b.t", "a.b")] {
        let error = catalog.load_table(&ident(name)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Name { name, .. } if name == wrong),
            "{error}"
        );
    }
    let lenient = open(&folder, &[("glue.skip-name-validation", "true")]).await;
    let error = lenient.load_table(&ident("d-b.t")).await.unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_properties_are_named() {
    for (property, value, problem) in [
        (
            "glue.skip-archive",
            "maybe",
            "`glue.skip-archive`: `maybe` is neither true nor false",
        ),
        (
            "glue.max-retries",
            "0",
            "`glue.max-retries`: `0` is no number above 0",
        ),
        (
            "glue.access-key-id",
            "id",
            "`glue.secret-access-key`: missing: the other half of the key is given",
        ),
        (
            "warehouse",
            "gs://b",
            "`warehouse`: `gs://b`: unknown scheme `gs`",
        ),
    ] {
        let properties = [
            ("type", "glue"),
            ("glue.region", "us-east-1"),
            (property, value),
        ];
        let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let error = calve_catalog::open("test", properties.into())
            .await
            .unwrap_err();
        let message = error.to_string();
        let expected = format!("catalog test: property {problem}");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_typed() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(
        &folder,
        &[
            ("glue.endpoint", &proxy.endpoint()),
            ("glue.max-retries", "1"),
        ],
    )
    .await;
    let name = ident("refusals.t");
    proxy.lose("GetTable", &[Loss::Denied]);
    let error = catalog.load_table(&name).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "catalog test: access denied: glue:GetTable of refusals.t"
    );
    assert!(error.hint().unwrap().contains("Lake Formation") && !error.is_retryable());
    proxy.lose("GetTable", &[Loss::Throttled]);
    let error = catalog.load_table(&name).await.unwrap_err();
    assert!(
        matches!(error, Error::Busy { .. }) && error.is_retryable(),
        "{error}"
    );
    proxy.lose("GetTable", &[Loss::Failure]);
    let error = catalog.load_table(&name).await.unwrap_err();
    assert!(
        matches!(error, Error::Unavailable { .. }) && error.is_retryable(),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tables_are_not_ours() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    create(catalog.as_ref(), &ident("mixed.iceberg")).await;
    for (name, input, kind) in [
        ("view", json!({"TableType": "VIRTUAL_VIEW"}), "a view"),
        (
            "orc",
            json!({"StorageDescriptor": {"InputFormat": "org.apache.hadoop.hive.ql.io.orc.OrcInputFormat"}}),
            "a Hive table of format OrcInputFormat",
        ),
        (
            "delta",
            json!({"Parameters": {"spark.sql.sources.provider": "delta"}}),
            "a delta table",
        ),
        (
            "csv",
            json!({"Parameters": {"classification": "csv"}}),
            "a Hive table of format csv",
        ),
        (
            "broken",
            json!({"Parameters": {"table_type": "ICEBERG"}}),
            "an Iceberg entry without a metadata_location",
        ),
    ] {
        let mut input = input;
        input["Name"] = json!(name);
        Moto::start().glue(
            "CreateTable",
            &json!({"DatabaseName": "mixed", "TableInput": input}),
        );
        let name = TableIdent::new("mixed", name);
        let error = catalog.load_table(&name).await.unwrap_err();
        assert!(matches!(error, Error::NotIceberg { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("{name} in catalog test is not an Iceberg table, but {kind}")
        );
        assert!(matches!(
            catalog.drop_table(&name).await,
            Err(Error::NotIceberg { .. })
        ));
        let again = build(catalog.as_ref(), &name, HashMap::new()).await;
        let error = catalog.commit(&name, None, again).await.unwrap_err();
        assert!(matches!(error, Error::TableExists { .. }), "{error}");
    }
    let listed = catalog
        .list_tables(Some(&["mixed".to_owned()]))
        .await
        .unwrap();
    assert!(listed.contains(&ident("mixed.iceberg")));
    assert!(!listed.contains(&ident("mixed.view")));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    let table = create(catalog.as_ref(), &ident("pages.t000")).await;
    let pointer = table.metadata_location().as_str();
    for number in 1..=120 {
        let input = json!({"Name": format!("t{number:03}"), "Parameters": {"table_type": "iceberg", "metadata_location": pointer}});
        Moto::start().glue(
            "CreateTable",
            &json!({"DatabaseName": "pages", "TableInput": input}),
        );
    }
    let listed = catalog
        .list_tables(Some(&["pages".to_owned()]))
        .await
        .unwrap();
    assert_eq!(listed.len(), 121);
    assert!(listed.is_sorted());
}

const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";

/// `hive.ghcn` with 2,400 partitions.
fn make_hive_table() {
    let moto = Moto::start();
    let input = json!({
        "Name": "ghcn", "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "projection.enabled": "false"},
        "PartitionKeys": [{"Name": "year", "Type": "int"}, {"Name": "element", "Type": "string"}],
        "StorageDescriptor": {
            "Location": "s3://b/ghcn/", "InputFormat": PARQUET, "NumberOfBuckets": -1,
            "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
            "Columns": [{"Name": "id", "Type": "string", "Comment": "station"}, {"Name": "tags", "Type": "array<struct<a:int>>"}],
        },
    });
    moto.glue(
        "CreateTable",
        &json!({"DatabaseName": "hive", "TableInput": input}),
    );
    let partition = |number: usize| {
        let (year, element) = (1900 + number / 20, format!("E{}", number % 20));
        json!({"Values": [year.to_string(), element],
            "StorageDescriptor": {"Location": format!("s3://b/ghcn/{year}/{element}"), "InputFormat": PARQUET}})
    };
    for batch in 0..24 {
        let partitions: Vec<Value> = (batch * 100..batch * 100 + 100).map(partition).collect();
        let request =
            json!({"DatabaseName": "hive", "TableName": "ghcn", "PartitionInputList": partitions});
        moto.glue("BatchCreatePartition", &request);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hive_tables_and_their_partitions() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    catalog
        .create_namespace(&["hive".to_owned()], &Properties::new())
        .await
        .unwrap();
    make_hive_table();
    let name = ident("hive.ghcn");
    let metastore = catalog.metastore().unwrap();
    let table = metastore.load_hive_table(&name).await.unwrap();
    assert_eq!(table.location.unwrap().as_str(), "s3://b/ghcn/");
    assert_eq!(table.input_format.as_deref(), Some(PARQUET));
    assert_eq!(table.buckets, -1);
    assert_eq!(table.parameters["classification"], "parquet");
    assert_eq!(table.version.as_deref(), Some("1"));
    let column = |name: &str, hive_type: &str, comment: Option<&str>| HiveColumn {
        name: name.to_owned(),
        hive_type: hive_type.to_owned(),
        comment: comment.map(ToOwned::to_owned),
    };
    assert_eq!(
        table.columns,
        [
            column("id", "string", Some("station")),
            column("tags", "array<struct<a:int>>", None)
        ]
    );
    assert_eq!(
        table.partition_keys,
        [
            column("year", "int", None),
            column("element", "string", None)
        ]
    );

    // More than a page: in segments, side by side, each partition once.
    let mut all: Vec<_> = metastore
        .partitions(&name, None)
        .try_collect()
        .await
        .unwrap();
    all.sort_by(|a, b| a.values.cmp(&b.values));
    all.dedup();
    assert_eq!(all.len(), 2_400);
    assert_eq!(all[0].values, ["1900", "E0"]);
    assert_eq!(
        all[0].location.as_ref().unwrap().as_str(),
        "s3://b/ghcn/1900/E0"
    );
    let some: Vec<_> = metastore
        .partitions(&name, Some("year = 1950 AND element = 'E3'".to_owned()))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(some.len(), 1);
    assert_eq!(some[0].values, ["1950", "E3"]);

    let wrong = metastore.partitions(&name, Some("year ~ 1".to_owned()));
    let error = wrong.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("glue:GetPartitions of hive.ghcn where year ~ 1"),
        "{error}"
    );
    let error = metastore
        .load_hive_table(&ident("hive.none"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
    let missing = metastore.partitions(&ident("hive.none"), None);
    let error = missing.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(matches!(error, Error::TableNotFound { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_output_hides_secrets() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    let shown = format!("{catalog:?}");
    assert!(!shown.contains("test-secret"), "{shown}");
    let table = create(catalog.as_ref(), &ident("hidden.t")).await;
    let shown = format!("{table:?}");
    assert!(!shown.contains("test-secret"), "{shown}");
}
