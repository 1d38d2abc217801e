//! Parquet lakes by their location.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields};

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

/// A column that cannot be read stands in the way of no query but those that use it.
#[tokio::test]
async fn only_queries_that_use_an_unreadable_column_are_refused() {
    let house = Lakehouse::new().await;
    let unsigned = || Arc::new(UInt64Array::from(vec![1, u64::MAX])) as ArrayRef;
    let inner = Fields::from(vec![
        Field::new("ok", DataType::Int32, true),
        Field::new("u", DataType::UInt64, true),
    ]);
    let group = StructArray::new(
        inner,
        vec![Arc::new(Int32Array::from(vec![1, 2])), unsigned()],
        None,
    );
    let one = batch(vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
        ("Big", unsigned()),
        ("nested", Arc::new(group)),
        ("mixed", Arc::new(Int32Array::from(vec![7, 8]))),
        // What the path says wins over what the file holds, be it readable or not.
        ("day", unsigned()),
    ]);
    let two = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![3])) as ArrayRef),
        ("big", Arc::new(Int64Array::from(vec![5]))),
        ("mixed", Arc::new(StringArray::from(vec!["text"]))),
        ("other", Arc::new(Int32Array::from(vec![9]))),
    ]);
    house.write("lake/day=2024-01-01/1.parquet", &one);
    house.write("lake/day=2024-01-02/2.parquet", &two);
    for (query, expected) in [
        ("SELECT count(*) FROM 'lake'", &["3"][..]),
        ("SELECT id FROM 'lake'", &["1", "2", "3"]),
        (
            "SELECT id, day, other FROM 'lake' WHERE id > 1",
            &["2|2024-01-01|NULL", "3|2024-01-02|9"],
        ),
        (
            "SELECT sum(id) FROM 'lake' WHERE day = '2024-01-02'",
            &["3"],
        ),
        ("SELECT id FROM 'lake' ORDER BY id LIMIT 1", &["1"]),
    ] {
        house.check(query, expected).await;
    }
    for (query, expected) in [
        ("SELECT big FROM 'lake'", "1.parquet: column `Big`"),
        ("SELECT * FROM 'lake'", "1.parquet: column `"),
        ("SELECT id FROM 'lake' WHERE big = 1", "column `Big`"),
        ("SELECT nested['ok'] FROM 'lake'", "column `nested.u`"),
        (
            "SELECT mixed FROM 'lake'",
            "2.parquet: column `mixed` is `string` in the file and `int` in the table",
        ),
        ("SELECT count(mixed) FROM 'lake'", "column `mixed`"),
    ] {
        house.check_error(query, expected).await;
    }
}

#[tokio::test]
async fn columns_that_are_one_refuse_their_own_queries() {
    let house = Lakehouse::new().await;
    let twice = batch(vec![
        ("a", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("A", Arc::new(Int32Array::from(vec![2]))),
        ("b", Arc::new(Int32Array::from(vec![3]))),
    ]);
    house.write("lake/1.parquet", &twice);
    house.check("SELECT b FROM 'lake'", &["3"]).await;
    house
        .check_error(
            "SELECT a FROM 'lake'",
            "columns `a` and `A` of the file are both",
        )
        .await;
}

/// Files of which nothing can be read, not even the number of rows: their footers are refused.
const UNREADABLE_FILES: &[&str] = &["dict-page-offset-zero.parquet"];

/// How many columns of a file cannot be read; all others can.
const UNREADABLE_COLUMNS: &[(&str, usize)] = &[
    ("byte_stream_split_extended.gzip.parquet", 2),
    ("concatenated_gzip_members.parquet", 1),
    ("float16_nonzeros_and_nans.parquet", 1),
    ("float16_zeros_and_nans.parquet", 1),
    ("floating_orders_nan_count.parquet", 2),
    ("nation.dict-malformed.parquet", 2),
    ("nested_structs.rust.parquet", 36),
    ("null_list.parquet", 1),
    ("unknown-logical-type.parquet", 1),
];

/// The files of Parquet's own tests.
pub(crate) fn real_files(shared: &Path) -> Vec<PathBuf> {
    let folder = shared.join("parquet/parquet-testing/data");
    let mut paths: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "parquet")
        })
        // Its one text of two gigabytes takes minutes to be refused.
        .filter(|path| !path.ends_with("large_string_map.brotli.parquet"))
        .collect();
    paths.sort();
    paths
}

/// Of every real file, each column is read or refused by itself, and rows can always be counted.
#[tokio::test(flavor = "multi_thread")]
async fn each_column_of_real_files_stands_for_itself() {
    let Some(shared) = calve_testkit::shared_data() else {
        eprintln!("skipped: no shared data here");
        return;
    };
    let house = Lakehouse::new().await;
    let (mut files, mut columns) = (Vec::new(), BTreeMap::new());
    for path in real_files(&shared) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let from = format!("FROM '{}'", path.display());
        if let Err(error) = house.rows(&format!("SELECT count(*) {from}")).await {
            assert!(error.to_string().contains(name), "{name}: {error}");
            files.push(name.to_owned());
            continue;
        }
        for column in house
            .rows(&format!("DESCRIBE SELECT * {from}"))
            .await
            .unwrap()
        {
            let column = column.split('|').next().unwrap();
            let query = format!("SELECT count(\"{column}\") {from}");
            if let Err(error) = house.rows(&query).await {
                assert!(error.to_string().contains(name), "{query}: {error}");
                *columns.entry(name.to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(files, UNREADABLE_FILES);
    let expected = UNREADABLE_COLUMNS.iter();
    let expected = expected.map(|(name, count)| ((*name).to_owned(), *count));
    assert_eq!(columns, expected.collect());
}
