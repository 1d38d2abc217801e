//! DuckDB's own test lakes with odd folders, where they are at hand.

use calve_base::Location;
use calve_lake::{Recursive, Source};
use calve_storage::Storage;

use crate::support::{With, lines};

async fn check(tree: &str, recursive: Recursive, expected: &[&str]) {
    let Some(data) = calve_testkit::shared_data() else {
        println!("skipped: the shared data is absent");
        return;
    };
    let root = data.join("parquet/duckdb/data/parquet-testing").join(tree);
    let root = root.canonicalize().unwrap().to_str().unwrap().to_owned();
    let source = Source::Location(Location::parse(&root).unwrap());
    let storage = Storage::new(calve_base::Properties::new());
    let with = With {
        recursive,
        ..With::default()
    };
    let found = lines(&storage, source, with).await;
    let found: Vec<String> = found.iter().map(|line| line.replace(&root, "")).collect();
    assert_eq!(found, expected, "{tree}");
}

#[tokio::test]
async fn keys_and_values() {
    let fail = Recursive::Fail;
    check(
        "hive-partitioning/simple",
        fail,
        &[
            "[part: string, date: date] 2 partitions",
            "part=a/date=2012-01-01/test.parquet [\"a\",\"2012-01-01\"]",
            "part=b/date=2013-01-01/test.parquet [\"b\",\"2013-01-01\"]",
        ],
    )
    .await;
    check(
        "hive-partitioning/different_order",
        fail,
        &[
            "[date: date, part: string] 2 partitions",
            "date=2012-01-01/part=a/test.parquet [\"2012-01-01\",\"a\"]",
            "part=b/date=2013-01-01/test.parquet [\"2013-01-01\",\"b\"]",
        ],
    )
    .await;
    check(
        "hive-partitioning/empty_string",
        fail,
        &[
            "[key: string] 3 partitions",
            "key=/part-0.parquet [\"\"]",
            "key=NULL/part.parquet [\"NULL\"]",
            "key=a/part-0.parquet [\"a\"]",
        ],
    )
    .await;
    check(
        "hive-partitioning/ci-column-names",
        fail,
        &[
            "[COL1: string] 2 partitions",
            "COL1=Hannes/data_0.parquet [\"Hannes\"]",
            "COL1=Mark/data_0.parquet [\"Mark\"]",
        ],
    )
    .await;
    check(
        "glob3",
        Recursive::True,
        &[
            "[] 0 partitions",
            "a/dir/x.parquet []",
            "b/y.parquet []",
            "c/dir/z.parquet []",
        ],
    )
    .await;
}

#[tokio::test]
async fn folders_that_do_not_fit() {
    let fail = Recursive::Fail;
    check(
        "hive-partitioning/mismatching_names",
        fail,
        &[
            "error: partition keys differ: date, partition in /date=2012-01-01/partition=a/test.parquet, part, date in /part=b/date=2013-01-01/test.parquet",
        ],
    )
    .await;
    check(
        "hive-partitioning/mismatching_count",
        fail,
        &["error: /folder1: not a partition folder"],
    )
    .await;
    check(
        "hive-partitioning/mismatching_count",
        Recursive::True,
        &[
            "error: partition keys differ: date in /folder1/date=2012-01-01/test.parquet, part, date in /part=b/date=2013-01-01/test.parquet",
        ],
    )
    .await;
    check(
        "hive-partitioning/duplicate_names",
        fail,
        &["error: /x=1/x=2: partition key `x` comes twice"],
    )
    .await;
}
