//! Tables that are there already: what fits into them, what does not.

use std::sync::Arc;

use calve_base::Properties;
use calve_migrate::{AddFiles, DuplicateFiles};
use calve_table::{NewTable, Transaction};
use calve_testkit::lakes::{self, Drift};
use iceberg::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder, Transform, Type,
};

use crate::support::{Home, column, counts, read, refused_for};

/// A column: name, type, required.
type Column = (&'static str, PrimitiveType, bool);

/// Creates `db.t` with these columns and partition fields.
async fn create(home: &Home, columns: &[Column], partition_by: &[(&str, Transform)]) {
    let fields = (1..).zip(columns).map(|(id, (name, primitive, required))| {
        let of = Type::Primitive(primitive.clone());
        Arc::new(NestedField::new(id, *name, of, *required))
    });
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let mut spec = PartitionSpec::builder(schema.clone());
    for (column, transform) in partition_by {
        let name = match transform {
            Transform::Identity => (*column).to_owned(),
            _ => format!("{column}_{transform}"),
        };
        spec = spec.add_partition_field(column, name, *transform).unwrap();
    }
    let table = NewTable {
        uuid: uuid::Uuid::new_v4(),
        location: home
            .catalog
            .default_location(&"db.t".parse().unwrap())
            .await
            .unwrap(),
        schema,
        partition_spec: spec.build().unwrap(),
        sort_order: SortOrder::unsorted_order(),
        properties: Properties::new(),
        format_version: FormatVersion::V2,
        created_ms: 1,
    };
    let ident = "db.t".parse().unwrap();
    Transaction::create(Arc::clone(&home.catalog), ident, table)
        .await
        .unwrap();
}

const GHCN: [Column; 9] = [
    ("ID", PrimitiveType::String, false),
    ("DATE", PrimitiveType::String, false),
    ("DATA_VALUE", PrimitiveType::Long, false),
    ("M_FLAG", PrimitiveType::String, false),
    ("Q_FLAG", PrimitiveType::String, false),
    ("S_FLAG", PrimitiveType::String, false),
    ("OBS_TIME", PrimitiveType::String, false),
    ("YEAR", PrimitiveType::String, false),
    ("element", PrimitiveType::String, false),
];

/// The error that adding the lake ends with.
async fn error(operation: AddFiles) -> String {
    operation.await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_take_the_types_of_the_table() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    let by = [
        ("element", Transform::Identity),
        ("YEAR", Transform::Identity),
    ];
    create(&home, &GHCN, &by).await;
    let report = home.add("db.t").await.unwrap();
    assert_eq!(counts(&report).0, 6);
    for reader in ["pyiceberg", "duckdb"] {
        let found = read(reader, &report, &["--rows"]);
        assert!(
            column(&found, "YEAR")
                .iter()
                .all(serde_json::Value::is_string),
            "{reader}"
        );
        assert_eq!(found["aggregates"]["element"]["nulls"], 0, "{reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioning_must_fit() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    create(&home, &GHCN, &[]).await;
    let message = error(home.add("db.t")).await;
    assert!(
        message.contains(
            "cannot take files partitioned by (YEAR, ELEMENT): the table is not partitioned"
        ),
        "{message}"
    );
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    create(&home, &GHCN, &[("YEAR", Transform::Identity)]).await;
    let message = error(home.add("db.t")).await;
    assert!(
        message.contains("no identity partition field is named ELEMENT"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_must_fit() {
    let by = [
        ("YEAR", Transform::Identity),
        ("element", Transform::Identity),
    ];
    let cases: [(&str, Vec<Column>, &[&str]); 4] = [
        (
            "a column more in the table",
            [&GHCN[..], &[("extra", PrimitiveType::Long, false)]].concat(),
            &[],
        ),
        (
            "a column less in the table",
            [&GHCN[..2], &GHCN[3..]].concat(),
            &["extra_columns"],
        ),
        (
            "another type",
            [
                &GHCN[..2],
                &[("DATA_VALUE", PrimitiveType::String, false)],
                &GHCN[3..],
            ]
            .concat(),
            &["type_conflict"],
        ),
        (
            "nulls in a required column",
            [
                &GHCN[..3],
                &[("M_FLAG", PrimitiveType::String, true)],
                &GHCN[4..],
            ]
            .concat(),
            &["null_in_required"],
        ),
    ];
    for (case, columns, reasons) in cases {
        let home = Home::new().await;
        lakes::ghcn(&home.lake(), 6, 50, 1);
        create(&home, &columns, &by).await;
        let before = home.warehouse_files();
        let report = home.add("db.t").await.unwrap();
        assert_eq!(refused_for(&report), reasons, "{case}");
        assert_eq!(report.snapshot_id.is_some(), reasons.is_empty(), "{case}");
        if !reasons.is_empty() {
            assert_eq!(
                home.warehouse_files(),
                before,
                "{case}: something was left behind"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_without_nulls_may_be_required() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    let columns = [&[("ID", PrimitiveType::String, true)], &GHCN[1..]].concat();
    let by = [
        ("YEAR", Transform::Identity),
        ("element", Transform::Identity),
    ];
    create(&home, &columns, &by).await;
    assert_eq!(counts(&home.add("db.t").await.unwrap()).0, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_columns_can_be_left_unread() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    let by = [
        ("YEAR", Transform::Identity),
        ("element", Transform::Identity),
    ];
    create(&home, &[&GHCN[..2], &GHCN[3..]].concat(), &by).await;
    let report = home.add("db.t").with_extra_columns(true).await.unwrap();
    assert_eq!(counts(&report).0, 6);
    assert!(
        read("duckdb", &report, &[])["columns"]
            .get("DATA_VALUE")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_from_statistics() {
    let home = Home::new().await;
    lakes::drift(&home.lake(), Drift::Reordered);
    // The path gives `day`; the truncated user id comes from the files' statistics.
    let columns = [
        ("userId", PrimitiveType::Int, false),
        ("name", PrimitiveType::String, false),
        ("score", PrimitiveType::Float, false),
        (
            "price",
            PrimitiveType::Decimal {
                precision: 9,
                scale: 2,
            },
            false,
        ),
        ("day", PrimitiveType::Date, false),
    ];
    let by = [
        ("day", Transform::Identity),
        ("userId", Transform::Truncate(10)),
    ];
    create(&home, &columns, &by).await;
    let report = home.add("db.t").with_extra_columns(true).await.unwrap();
    assert_eq!(report.plan.refused, []);
    assert_eq!(counts(&report), (3, 6, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_added_one_by_one() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 24, 10, 1);
    let filter = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let first = home
        .add("db.t")
        .with_partition_filter(filter("element", "TMAX"))
        .await
        .unwrap();
    assert!(counts(&first).0 > 0 && counts(&first).0 < made.files);
    let again = error(
        home.add("db.t")
            .with_partition_filter(filter("ELEMENT", "TMAX")),
    )
    .await;
    assert!(again.contains("are already in table db.t"), "{again}");
    let wrong = error(
        home.add("db.t")
            .with_partition_filter(filter("colour", "red")),
    )
    .await;
    assert!(wrong.contains("colour"), "{wrong}");
    let rest = home
        .add("db.t")
        .with_duplicates(DuplicateFiles::Skip)
        .await
        .unwrap();
    assert_eq!(counts(&first).0 + counts(&rest).0, made.files);
    assert_eq!(rest.plan.skipped_count, counts(&first).0);
    assert_eq!(read("duckdb", &rest, &[])["count"], made.rows);
    let doubled = home
        .add("db.t")
        .with_duplicates(DuplicateFiles::Allow)
        .await
        .unwrap();
    assert_eq!(read("duckdb", &doubled, &[])["count"], 2 * made.rows);
    let nothing = home
        .add("db.t")
        .with_duplicates(DuplicateFiles::Skip)
        .await
        .unwrap();
    assert_eq!((nothing.snapshot_id, counts(&nothing).0), (None, 0));
    assert_eq!(nothing.metadata_location, doubled.metadata_location);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_not_created_against_orders() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    let message = error(home.add("db.t").with_create(false)).await;
    assert_eq!(message, "table db.t does not exist");
}
