//! What is Glue's own: the entry's shape, unclear answers, Hive-style tables.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::{Failure, Properties, TableIdent};
use calve_catalog::{Catalog, Error, HiveColumn, Table};
use calve_testkit::moto::{Loss, Moto, Proxy};
use futures::TryStreamExt;
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, PrimitiveType, Schema, SortOrder, StructType,
    TableMetadataBuilder, Type, UnboundPartitionSpec,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::laws::{build, create, ident, metadata_files, set};

async fn open(folder: &TempDir, more: &[(&str, &str)]) -> Arc<dyn Catalog> {
    let mut properties: Properties = Moto::start().properties();
    let warehouse = folder.path().join("warehouse").display().to_string();
    properties.insert("warehouse".to_owned(), warehouse);
    for (key, value) in more {
        properties.insert((*key).to_owned(), (*value).to_owned());
    }
    calve_catalog::open("test", properties).await.unwrap()
}

fn entry(ident: &TableIdent) -> Value {
    let request = json!({"DatabaseName": ident.namespace_text(), "Name": ident.name()});
    Moto::start().glue("GetTable", &request)["Table"].clone()
}

fn field(id: i32, name: &str, required: bool, primitive: PrimitiveType) -> NestedField {
    NestedField::new(id, name, Type::Primitive(primitive), required)
}

/// Every kind of type, nested ones too.
fn rich_schema() -> Schema {
    use PrimitiveType as P;
    let list = |id| {
        let element = NestedField::list_element(id, Type::Primitive(P::Timestamptz), true);
        Type::List(ListType::new(Arc::new(element)))
    };
    let map = MapType::new(
        Arc::new(NestedField::map_key_element(33, Type::Primitive(P::String))),
        Arc::new(NestedField::map_value_element(34, list(35), false)),
    );
    let address = StructType::new(vec![
        Arc::new(field(22, "street", false, P::String)),
        Arc::new(field(23, "zip", true, P::Int)),
        Arc::new(NestedField::optional(32, "by_name", Type::Map(map))),
    ]);
    let decimal = P::Decimal {
        precision: 12,
        scale: 2,
    };
    let fields = [
        field(1, "id", true, P::Long).with_doc("the key"),
        field(2, "flag", false, P::Boolean),
        field(3, "small", false, P::Int),
        field(4, "single", false, P::Float),
        field(5, "twice", false, P::Double),
        field(6, "price", false, decimal),
        field(7, "day", false, P::Date),
        field(8, "clock", false, P::Time),
        field(9, "local", false, P::Timestamp),
        field(10, "instant", false, P::Timestamptz),
        field(11, "name", false, P::String).with_doc(""),
        field(12, "key", false, P::Uuid),
        field(13, "hash", false, P::Fixed(16)),
        field(14, "raw", false, P::Binary),
        NestedField::optional(21, "address", Type::Struct(address)),
        NestedField::optional(30, "instants", list(31)),
    ];
    Schema::builder()
        .with_fields(fields.map(Arc::new))
        .build()
        .unwrap()
}

/// The golden files say what Java's `GlueTableOperations` sends for the same table: first when it is
/// created, then after a column was renamed, another dropped and one added, on an entry to which an
/// administrator had added a description, a comment and a parameter.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_as_java_writes_them() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    let name = ident("golden.rich");
    let location = catalog.default_location(&name).await.unwrap();
    assert!(
        location.as_str().ends_with("/warehouse/golden.db/rich"),
        "{location}"
    );
    let properties = HashMap::from([
        ("comment".to_owned(), "All\ntypes".to_owned()),
        ("write.data.path".to_owned(), "s3://b/data".to_owned()),
        ("owner".to_owned(), "ada".to_owned()),
    ]);
    let created = TableMetadataBuilder::new(
        rich_schema(),
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        location.to_string(),
        FormatVersion::V2,
        properties,
    )
    .unwrap()
    .build()
    .unwrap();
    let table = catalog.commit(&name, None, created).await.unwrap();
    check_golden(&table, None, "created");

    let mut edited = entry(&name);
    edited["Parameters"]["owner_team"] = json!("weather");
    edited["StorageDescriptor"]["Columns"][2]["Comment"] = json!("by hand");
    let mut input = serde_json::Map::new();
    for key in [
        "Name",
        "TableType",
        "Description",
        "Parameters",
        "StorageDescriptor",
    ] {
        input.insert(key.to_owned(), edited[key].clone());
    }
    Moto::start().glue(
        "UpdateTable",
        &json!({"DatabaseName": "golden", "TableInput": input}),
    );

    let mut fields: Vec<_> = table
        .metadata()
        .current_schema()
        .as_struct()
        .fields()
        .to_vec();
    fields.retain(|field| field.name != "twice");
    let renamed = fields
        .iter()
        .position(|field| field.name == "single")
        .unwrap();
    fields[renamed] = Arc::new(NestedField {
        name: "renamed".to_owned(),
        ..fields[renamed].as_ref().clone()
    });
    let next = table.metadata().last_column_id() + 1;
    fields.push(Arc::new(field(
        next,
        "added",
        false,
        PrimitiveType::Timestamptz,
    )));
    let evolved = Schema::builder().with_fields(fields).build().unwrap();
    let build = table
        .metadata()
        .clone()
        .into_builder(Some(table.metadata_location().to_string()))
        .add_schema(evolved)
        .unwrap()
        .set_current_schema(-1)
        .unwrap()
        .remove_properties(&["comment".to_owned()])
        .unwrap()
        .build()
        .unwrap();
    let next = catalog.commit(&name, Some(&table), build).await.unwrap();
    check_golden(&next, Some(&table), "evolved");
}

/// Compares the entry with `golden/glue_NAME.json`, field by field, but for what Glue adds itself.
#[track_caller]
fn check_golden(table: &Table, previous: Option<&Table>, name: &str) {
    let mut found = entry(table.ident());
    let fields = found.as_object_mut().unwrap();
    for own in [
        "CatalogId",
        "CreateTime",
        "DatabaseName",
        "UpdateTime",
        "VersionId",
    ] {
        fields.remove(own);
    }
    let path = calve_testkit::workspace_root()
        .join("crates/calve-catalog/tests/contract/golden")
        .join(format!("glue_{name}.json"));
    let golden = fs_err::read_to_string(path)
        .unwrap()
        .replace("{location}", table.metadata().location())
        .replace("{metadata_location}", table.metadata_location().as_str())
        .replace(
            "{previous_metadata_location}",
            previous.map_or("", |table| table.metadata_location().as_str()),
        );
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert!(
        found == golden,
        "found {}\nexpected {}",
        pretty(&found),
        pretty(&golden)
    );
}

/// The table's own properties say how patiently an unclear answer is looked into.
fn impatient() -> HashMap<String, String> {
    HashMap::from([
        ("commit.status-check.num-retries".to_owned(), "3".to_owned()),
        ("commit.status-check.min-wait-ms".to_owned(), "5".to_owned()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_answers_to_updates_are_settled() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let name = ident("unclear.updates");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let mut table = catalog.commit(&name, None, build).await.unwrap();
    let cases: [(&[Loss], usize); 6] = [
        (&[Loss::Answer], 1),
        (&[Loss::Failure], 1),
        (&[Loss::Request], 2),
        (&[Loss::Throttled, Loss::Throttled], 3),
        (&[Loss::Request, Loss::Request, Loss::Answer], 3),
        (&[Loss::Throttled, Loss::Failure], 2),
    ];
    for (number, (losses, requests)) in cases.into_iter().enumerate() {
        proxy.lose("UpdateTable", losses);
        table = set(catalog.as_ref(), &table, "round", &number.to_string())
            .await
            .unwrap_or_else(|error| panic!("{losses:?}: {error}: {error:?}"));
        let loaded = catalog.load_table(&name).await.unwrap();
        assert_eq!(
            loaded.metadata_location(),
            table.metadata_location(),
            "{losses:?}"
        );
        let sent = proxy
            .seen()
            .iter()
            .filter(|seen| *seen == "UpdateTable")
            .count();
        assert_eq!(sent, requests, "{losses:?}");
        // Each commit wrote one metadata file, and none was taken away.
        assert_eq!(metadata_files(&table).await, number + 2, "{losses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_answers_to_creations_are_settled() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    for (number, loss) in [Loss::Answer, Loss::Failure, Loss::Request, Loss::Throttled]
        .into_iter()
        .enumerate()
    {
        let name = ident(&format!("unclear_creations.t{number}"));
        let build = build(catalog.as_ref(), &name, impatient()).await;
        proxy.lose("CreateTable", &[loss]);
        let table = catalog.commit(&name, None, build).await.unwrap();
        let loaded = catalog.load_table(&name).await.unwrap();
        assert_eq!(
            loaded.metadata_location(),
            table.metadata_location(),
            "{loss:?}"
        );
    }
}

/// The commit takes place, its answer is lost, and before anybody looks another writer commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_in_the_history() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let other = open(&folder, &[]).await;
    let name = ident("unclear.history");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let table = catalog.commit(&name, None, build).await.unwrap();
    // GetTable is asked before the update, and then to look: the other writer comes in between.
    proxy.lose("UpdateTable", &[Loss::Answer]);
    let writer = name.clone();
    proxy.after_loss(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let current = other.load_table(&writer).await.unwrap();
            set(other.as_ref(), &current, "other", "yes").await.unwrap();
        });
    });
    let mine = set(catalog.as_ref(), &table, "mine", "yes").await.unwrap();
    let loaded = catalog.load_table(&name).await.unwrap();
    assert_ne!(loaded.metadata_location(), mine.metadata_location());
    let properties = loaded.metadata().properties();
    assert_eq!(
        (properties["mine"].as_str(), properties["other"].as_str()),
        ("yes", "yes")
    );
    assert_eq!(metadata_files(&table).await, 3);
}

/// The request is lost, and before anybody looks another writer commits: a conflict.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_request_can_end_in_a_conflict() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let other = open(&folder, &[]).await;
    let name = ident("unclear.conflict");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let table = catalog.commit(&name, None, build).await.unwrap();
    proxy.lose("UpdateTable", &[Loss::Request]);
    let base = table.clone();
    proxy.after_loss(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            set(other.as_ref(), &base, "other", "yes").await.unwrap();
        });
    });
    let error = set(catalog.as_ref(), &table, "mine", "yes")
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::CommitConflict { .. }),
        "{error}: {error:?}"
    );
    assert_eq!(metadata_files(&table).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_unclear_deletes_nothing() {
    let folder = TempDir::new().unwrap();
    let proxy = Proxy::start(Moto::start());
    let catalog = open(&folder, &[("glue.endpoint", &proxy.endpoint())]).await;
    let name = ident("unclear.forever");
    let build = build(catalog.as_ref(), &name, impatient()).await;
    let table = catalog.commit(&name, None, build).await.unwrap();
    proxy.lose("UpdateTable", &[Loss::Request; 10]);
    let error = set(catalog.as_ref(), &table, "k", "v").await.unwrap_err();
    let Error::CommitStateUnknown {
        metadata_location, ..
    } = &error
    else {
        panic!("{error}: {error:?}");
    };
    assert!(error.hint().is_some());
    assert!(catalog.storage().read(metadata_location).await.is_ok());
    assert_eq!(metadata_files(&table).await, 2);
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
    let wrong = calve_catalog::open(
        "test",
        Properties::from(
            [
                ("type", "glue"),
                ("glue.region", "us-east-1"),
                ("glue.skip-archive", "maybe"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        ),
    );
    assert_eq!(
        wrong.await.unwrap_err().to_string(),
        "catalog test: property `glue.skip-archive`: `maybe` is neither true nor false"
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn hive_tables_and_their_partitions() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    catalog
        .create_namespace(&["hive".to_owned()], &Properties::new())
        .await
        .unwrap();
    let moto = Moto::start();
    let parquet = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";
    let input = json!({
        "Name": "ghcn", "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "projection.enabled": "false"},
        "PartitionKeys": [{"Name": "year", "Type": "int"}, {"Name": "element", "Type": "string"}],
        "StorageDescriptor": {
            "Location": "s3://b/ghcn/", "InputFormat": parquet, "NumberOfBuckets": -1,
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
            "StorageDescriptor": {"Location": format!("s3://b/ghcn/{year}/{element}"), "InputFormat": parquet}})
    };
    for batch in 0..24 {
        let partitions: Vec<Value> = (batch * 100..batch * 100 + 100).map(partition).collect();
        let request =
            json!({"DatabaseName": "hive", "TableName": "ghcn", "PartitionInputList": partitions});
        moto.glue("BatchCreatePartition", &request);
    }

    let name = ident("hive.ghcn");
    let metastore = catalog.metastore().unwrap();
    let table = metastore.load_hive_table(&name).await.unwrap();
    assert_eq!(table.location.unwrap().as_str(), "s3://b/ghcn/");
    assert_eq!(table.input_format.as_deref(), Some(parquet));
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
}
