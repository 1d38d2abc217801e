//! Parquet lakes by their location.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};

use crate::lakehouse::Lakehouse;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

#[tokio::test]
async fn partitions_are_typed_and_drift_is_united() {
    let house = Lakehouse::new().await;
    let narrow = batch(vec![(
        "ID",
        Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef,
    )]);
    let wide = batch(vec![
        ("ID", Arc::new(Int64Array::from(vec![1 << 40])) as ArrayRef),
        ("note", Arc::new(StringArray::from(vec!["n"]))),
    ]);
    house.write("lake/YEAR=2023/kind=a%2Fb/1.parquet", &narrow);
    house.write(
        "lake/YEAR=2024/kind=__HIVE_DEFAULT_PARTITION__/2.parquet",
        &wide,
    );
    let absolute = house.path("lake");
    for from in [
        "./lake",
        "lake",
        absolute.as_str(),
        &format!("file://{absolute}"),
    ] {
        house
            .check(
                &format!("SELECT id, note, year, kind FROM '{from}' ORDER BY id"),
                &[
                    "1|NULL|2023|a/b",
                    "2|NULL|2023|a/b",
                    "1099511627776|n|2024|NULL",
                ],
            )
            .await;
    }
    house
        .check("SELECT count(*) FROM './lake' WHERE year > 2023", &["1"])
        .await;
    house
        .check(
            "SELECT l.id FROM './lake' AS l WHERE l.kind = 'a/b' AND l.id > 1",
            &["2"],
        )
        .await;
    house
        .check(
            "SELECT id FROM 'lake/YEAR=2023/kind=a%2Fb/1.parquet' ORDER BY id",
            &["1", "2"],
        )
        .await;
    house
        .check_error("SELECT * FROM './nothing'", "nothing")
        .await;
    fs_err::write(house.path("lake/YEAR=2024/bad.parquet"), "no parquet").unwrap();
    house
        .check_error("SELECT * FROM './lake'", "bad.parquet")
        .await;
}

#[tokio::test]
async fn int96_holds_years_that_no_calendar_does() {
    let Some(shared) = calve_testkit::shared_data() else {
        eprintln!("skipped: no shared data here");
        return;
    };
    let house = Lakehouse::new().await;
    let file = shared.join("parquet/parquet-testing/data/int96_from_spark.parquet");
    let query = format!("SELECT count(*), count(a) FROM '{}'", file.display());
    house.check(&query, &["6|5"]).await;
}
