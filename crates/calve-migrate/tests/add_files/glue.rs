//! A Hive-style table in Glue becomes an Iceberg table in Glue, in place.

use std::sync::Arc;

use calve_lake::Source;
use calve_migrate::{AddFiles, Ctas, CtasSource, PartitionBy, SortBy};
use calve_query::LakeFormat;
use calve_testkit::moto::Moto;
use calve_testkit::{lakes, python, s3};
use serde_json::json;

use crate::support::counts;

/// Makes a partitioned Hive table in Glue: two days in its folder, the third elsewhere, in a folder
/// that says nothing of its day.
fn make_hive_table(server: &s3::S3Server, moto: &Moto, database: &str) {
    moto.glue(
        "CreateDatabase",
        &json!({"DatabaseInput": {"Name": database}}),
    );
    let root = server.root().join("lake");
    let hive = "org.apache.hadoop.hive.ql.io.parquet";
    let storage = |location: &str| {
        json!({
            "Columns": [
                {"Name": "userid", "Type": "int"},
                {"Name": "name", "Type": "string", "Comment": "as signed"},
                {"Name": "score", "Type": "float"},
                {"Name": "price", "Type": "decimal(9,2)"},
            ],
            "Location": location,
            "InputFormat": format!("{hive}.MapredParquetInputFormat"),
            "OutputFormat": format!("{hive}.MapredParquetOutputFormat"),
            "SerdeInfo": {"SerializationLibrary": format!("{hive}.serde.ParquetHiveSerDe")},
        })
    };
    lakes::drift(&root.join("days"), lakes::Drift::Reordered);
    fs_err::create_dir_all(root.join("elsewhere")).unwrap();
    fs_err::rename(
        root.join("days/day=2024-01-03"),
        root.join("elsewhere/third"),
    )
    .unwrap();
    moto.glue(
        "CreateTable",
        &json!({"DatabaseName": database, "TableInput": {
            "Name": "days",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": "day", "Type": "date"}],
            "StorageDescriptor": storage("s3://lake/days/"),
            "Parameters": {"classification": "parquet"},
        }}),
    );
    let partitions: Vec<serde_json::Value> = [
        ("2024-01-01", "s3://lake/days/day=2024-01-01"),
        ("2024-01-02", "s3://lake/days/day=2024-01-02"),
        ("2024-01-03", "s3://lake/elsewhere/third"),
    ]
    .into_iter()
    .map(|(day, location)| json!({"Values": [day], "StorageDescriptor": storage(location)}))
    .collect();
    moto.glue(
        "BatchCreatePartition",
        &json!({"DatabaseName": database, "TableName": "days", "PartitionInputList": partitions}),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hive_table_of_glue() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let moto = Moto::start();
    let database = "add_files_hive";
    make_hive_table(&server, moto, database);
    let mut properties = moto.properties();
    properties.extend(server.properties());
    properties.insert("type".to_owned(), "glue".to_owned());
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    let catalog = calve_catalog::open("glue", properties.clone())
        .await
        .unwrap();
    let source = Source::HiveTable {
        metastore: Arc::clone(&catalog),
        ident: format!("{database}.days").parse().unwrap(),
    };
    let table = format!("{database}.days_iceberg");
    let report = AddFiles::new(Arc::clone(&catalog), source.clone(), table.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(report.plan.refused, []);
    assert_eq!(counts(&report), (3, 6, 3));
    assert_eq!(report.plan.columns.last().unwrap(), "day: date");
    let found_columns = report.plan.columns;

    let pairs: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let read = |table: &str| {
        let mut arguments = vec!["--table", table, "--catalog", "glue", "--rows"];
        for pair in &pairs {
            arguments.extend(["--property", pair]);
        }
        python::run_file("read_table.py", &arguments)
    };
    let found = read(&table);
    assert_eq!(found["count"], 6);
    let days: Vec<serde_json::Value> = crate::support::column(&found, "day");
    assert_eq!(
        days.iter()
            .filter(|day| **day == json!("2024-01-03"))
            .count(),
        2
    );
    assert_eq!(found["aggregates"]["userid"]["nulls"], 0);
    // And rewritten: by other partitions, into a table of its own.
    let lake = CtasSource::Lake {
        source,
        options: Box::default(),
        format: LakeFormat::Parquet,
    };
    let table = format!("{database}.days_rewritten");
    let report = Ctas::new(catalog, lake, table.parse().unwrap())
        .with_partition_by(PartitionBy::parse("month(day), bucket(2, userid)").unwrap())
        .with_sort_by(SortBy::parse("score desc").unwrap())
        .await
        .unwrap();
    assert_eq!(report.added_records_count, 6);
    assert_eq!(report.plan.columns, found_columns);
    let rewritten = read(&table);
    for what in ["count", "aggregates"] {
        assert_eq!(rewritten[what], found[what], "{what}");
    }
}
