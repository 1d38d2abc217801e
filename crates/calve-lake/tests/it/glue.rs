//! Tables of a Glue catalog, on loopback.

use calve_base::{Properties, TableIdent};
use calve_lake::Source;
use calve_testkit::lakes;
use calve_testkit::moto::Moto;
use calve_testkit::s3::S3Server;
use serde_json::{Value, json};

use crate::support::{With, lines};

fn storage_descriptor(location: &str) -> Value {
    json!({
        "Columns": [{"Name": "id", "Type": "string"}],
        "Location": location,
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
        },
    })
}

fn create_table(moto: &Moto, name: &str, location: &str, parameters: &Value) {
    let keys = json!([{"Name": "year", "Type": "int"}, {"Name": "element", "Type": "string"}]);
    let table = json!({
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": keys,
        "StorageDescriptor": storage_descriptor(location),
    });
    moto.glue(
        "CreateTable",
        &json!({"DatabaseName": "lake_room", "TableInput": table}),
    );
}

/// A table whose partitions are registered, and one whose partitions are projected.
fn create_tables(moto: &Moto) {
    moto.glue(
        "CreateDatabase",
        &json!({"DatabaseInput": {"Name": "lake_room"}}),
    );
    create_table(moto, "registered", "s3://bucket/ghcn/", &json!({}));
    let partitions: Vec<Value> = [
        ("2022", "TMIN"),
        ("2023", "TMAX"),
        ("2023", "PRCP"),
        ("1999", "TMAX"),
    ]
    .into_iter()
    .map(|(year, element)| {
        let location = format!("s3://bucket/ghcn/YEAR={year}/ELEMENT={element}/");
        json!({"Values": [year, element], "StorageDescriptor": storage_descriptor(&location)})
    })
    .collect();
    let request = json!({
        "DatabaseName": "lake_room",
        "TableName": "registered",
        "PartitionInputList": partitions,
    });
    moto.glue("BatchCreatePartition", &request);
    let projection = json!({
        "projection.enabled": "true",
        "projection.year.type": "integer",
        "projection.year.range": "2000,2022",
        "projection.element.type": "enum",
        "projection.element.values": "TMAX,TMIN",
        "storage.location.template": "s3://bucket/ghcn/YEAR=${year}/ELEMENT=${element}/",
    });
    create_table(moto, "projected", "s3://bucket/ghcn/", &projection);
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_and_projected_partitions() {
    let server = S3Server::with_buckets(&["bucket"]);
    lakes::ghcn(&server.root().join("bucket/ghcn"), 60, 5, 1);
    let moto = Moto::start();
    create_tables(moto);
    let mut properties: Properties = moto.properties();
    properties.extend(server.properties());
    properties.insert("warehouse".to_owned(), "s3://bucket/warehouse".to_owned());
    let catalog = calve_catalog::open("glue", properties).await.unwrap();
    let read = async |table: &str, filter: &[(&'static str, &'static str)]| {
        let metastore = std::sync::Arc::clone(&catalog);
        let ident = TableIdent::new("lake_room", table);
        let with = With {
            filter: filter.to_vec(),
            ..With::default()
        };
        lines(
            catalog.storage(),
            Source::HiveTable { metastore, ident },
            with,
        )
        .await
    };

    let all = read("registered", &[]).await;
    assert_eq!(all[0], "[year: int, element: string] 3 partitions");
    let files = all.iter().filter(|line| line.contains(".parquet ")).count();
    assert_eq!((files, all.len()), (12, 14), "{all:?}");
    assert!(
        all.contains(&"- YEAR=1999/ELEMENT=TMAX/: empty_partition".to_owned()),
        "{all:?}"
    );

    let year = read("registered", &[("year", "2023")]).await;
    assert_eq!(year[0], "[year: int, element: string] 2 partitions");
    let one = read("registered", &[("element", "TMAX"), ("YEAR", "2023")]).await;
    assert_eq!(one.len(), 5, "{one:?}");
    assert!(one[1].ends_with(" [2023,\"TMAX\"]"), "{one:?}");

    let projected = read("projected", &[]).await;
    assert_eq!(projected[0], "[year: int, element: string] 4 partitions");
    let outside = projected
        .iter()
        .filter(|line| line.ends_with("outside_projection"))
        .count();
    assert_eq!((projected.len(), outside), (62, 44), "{projected:?}");
    let one = read("projected", &[("year", "2022"), ("element", "TMIN")]).await;
    assert_eq!(one.len(), 6, "{one:?}");
}
