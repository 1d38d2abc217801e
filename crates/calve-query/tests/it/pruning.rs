//! Files and manifests that cannot match are not opened: those of these tests cannot be.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch};
use calve_testkit::lakes::batch;
use iceberg::spec::{Datum, Literal, PrimitiveType, Struct, Transform};

use crate::lakehouse::{Lakehouse, optional, primitive};

fn rows(ids: &[i64], days: &[i32]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    batch(vec![
        ("id", ids),
        ("day", Arc::new(Date32Array::from(days.to_vec()))),
    ])
}

/// A table partitioned by one transform, with one readable file and one that is gone.
async fn table(house: &Lakehouse, by: (&str, Transform), readable: Literal, gone: Literal) {
    let fields = vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(2, "day", primitive(PrimitiveType::Date)),
    ];
    let table = house
        .create("db.t", fields, &[(by.0, name_of(by), by.1)], None)
        .await;
    let file = |name: &str, partition: Literal| {
        let partition = Struct::from_iter([Some(partition)]);
        house
            .write(name, &rows(&[1], &[10]))
            .partition(partition)
            .build()
            .unwrap()
    };
    let (here, gone) = (file("here.parquet", readable), file("gone.parquet", gone));
    fs_err::remove_file(gone.file_path()).unwrap();
    house.append(&table, vec![here, gone]).await;
}

/// Only an identity field may have its column's name.
fn name_of((column, transform): (&str, Transform)) -> &str {
    if transform == Transform::Identity {
        column
    } else {
        "part"
    }
}

#[tokio::test]
async fn by_identity() {
    let house = Lakehouse::new().await;
    table(
        &house,
        ("id", Transform::Identity),
        Literal::long(1),
        Literal::long(2),
    )
    .await;
    for filter in [
        "id = 1",
        "id < 2",
        "id IN (1, 7)",
        "id IS NOT NULL AND id <> 2",
        "abs(id) = 1",
    ] {
        house
            .check(
                &format!("SELECT day FROM db.t WHERE {filter}"),
                &["1970-01-11"],
            )
            .await;
    }
    house
        .check_error("SELECT day FROM db.t WHERE id = 2", "gone.parquet")
        .await;
    // The manifests know the counts.
    house.check("SELECT count(*) FROM db.t", &["2"]).await;
    house
        .check("SELECT count(*) FROM db.t WHERE id = 2", &["1"])
        .await;
}

#[tokio::test]
async fn by_transform() {
    for (by, readable, gone, filter) in [
        (
            ("day", Transform::Year),
            Literal::int(0),
            Literal::int(1),
            "day = DATE '1970-01-11'",
        ),
        (
            ("day", Transform::Month),
            Literal::int(0),
            Literal::int(1),
            "day < DATE '1970-02-01'",
        ),
        (
            ("day", Transform::Day),
            Literal::date(10),
            Literal::date(11),
            "day <= DATE '1970-01-11'",
        ),
        (
            ("id", Transform::Truncate(10)),
            Literal::long(0),
            Literal::long(10),
            "id < 10",
        ),
    ] {
        let house = Lakehouse::new().await;
        table(&house, by, readable, gone).await;
        house
            .check(&format!("SELECT id FROM db.t WHERE {filter}"), &["1"])
            .await;
        house
            .check_error("SELECT id FROM db.t", "gone.parquet")
            .await;
    }
}

#[tokio::test]
async fn by_bucket() {
    // The specification's example: 34 hashes to 2017239379, which is in bucket 3 of 16.
    let house = Lakehouse::new().await;
    table(
        &house,
        ("id", Transform::Bucket(16)),
        Literal::int(4),
        Literal::int(3),
    )
    .await;
    house
        .check_error("SELECT day FROM db.t WHERE id = 34", "gone.parquet")
        .await;
    house
        .check_error("SELECT day FROM db.t WHERE id > 0", "gone.parquet")
        .await;
    house
        .check("SELECT day FROM db.t WHERE id = 1", &["1970-01-11"])
        .await;
}

#[tokio::test]
async fn by_column_bounds() {
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(2, "day", primitive(PrimitiveType::Date)),
    ];
    let table = house.create("db.t", fields, &[], None).await;
    let file = |name: &str, id: i64| {
        house
            .write(name, &rows(&[id, id + 9], &[0, 1]))
            .lower_bounds([(1, Datum::long(id))].into())
            .upper_bounds([(1, Datum::long(id + 9))].into())
            .null_value_counts([(1, 0), (2, 0)].into())
            .build()
            .unwrap()
    };
    let gone = file("gone.parquet", 100);
    fs_err::remove_file(gone.file_path()).unwrap();
    house
        .append(&table, vec![file("here.parquet", 0), gone])
        .await;
    for filter in [
        "id < 50",
        "id = 9",
        "id = 0 OR id = 9",
        "NOT (id >= 100)",
        "id BETWEEN -5 AND 99",
    ] {
        house
            .check(
                &format!("SELECT max(id) >= 0 FROM db.t WHERE {filter}"),
                &["true"],
            )
            .await;
    }
    house
        .check_error("SELECT day FROM db.t WHERE id < 101", "gone.parquet")
        .await;
}
