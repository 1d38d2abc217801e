//! What is rewritten, and what comes out.

use std::sync::Arc;

use calve_base::TableIdent;
use calve_compact::{Compact, LeftAlone};
use calve_migrate::Ingest;
use futures::{StreamExt, stream};
use proptest::prelude::*;

use crate::{Home, check_fixed, counts, read};

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one() {
    let home = Home::new().await;
    let count = home.plain(7).await;
    let before = home.table().await;
    let seen = read("duckdb", &before);
    let plan = home.compact().plan().await.unwrap();
    assert_eq!((plan.groups.len(), plan.files_count()), (1, 7));
    assert_eq!(plan.groups[0].expected_output_files, 1);
    // A plan changes nothing.
    assert_eq!(
        home.table().await.metadata_location(),
        before.metadata_location()
    );

    let report = home.compact().await.unwrap();
    assert_eq!(counts(&report), (7, 1, count, 0));
    let after = home.table().await;
    for reader in ["duckdb", "pyiceberg"] {
        let found = read(reader, &after);
        for what in ["count", "aggregates", "rows"] {
            assert_eq!(found[what], seen[what], "{reader}: {what}");
        }
    }
    let snapshot = after.metadata().current_snapshot().unwrap();
    let summary = snapshot.summary();
    assert_eq!(summary.operation.as_str(), "replace");
    for (name, expected) in [
        ("added-data-files", "1"),
        ("deleted-data-files", "7"),
        ("added-records", "70"),
        ("deleted-records", "70"),
        ("total-data-files", "1"),
        ("total-records", "70"),
    ] {
        assert_eq!(summary.additional_properties[name], expected, "{name}");
    }
    // The order of rows stays, and so does what was before.
    assert_eq!(
        home.rows(&format!(
            "SELECT count(*) FROM db.t.files FOR VERSION AS OF {}",
            before.metadata().current_snapshot_id().unwrap()
        ))
        .await,
        ["| 7        |"]
    );
    check_fixed(|| home.compact()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_and_one_file_are_left_alone() {
    let home = Home::new().await;
    home.plain(1).await;
    let report = home.compact().await.unwrap();
    assert_eq!(counts(&report), (0, 0, 0, 0));
    assert_eq!(report.left_alone[&LeftAlone::FewFiles], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_groups_and_a_condition_leaves_some_out() {
    let home = Home::new().await;
    let count = home.weather(40, 1).await;
    home.weather(40, 2).await;
    let all = "SELECT * FROM db.t";
    let before = home.rows(all).await;
    let partitions = home
        .rows("SELECT DISTINCT \"YEAR\", \"ELEMENT\" FROM db.t")
        .await
        .len();

    let some = || home.compact().with_where("YEAR = 2023");
    let plan = some().plan().await.unwrap();
    assert!(
        plan.groups
            .iter()
            .all(|group| group.partition.contains("YEAR=2023"))
    );
    let report = some().await.unwrap();
    assert_eq!(report.rewritten_data_files_count, plan.files_count() as u64);
    let files = "SELECT count(*) FROM db.t.files WHERE partition.\"YEAR\" = 2023";
    let in_2023 = home
        .rows("SELECT DISTINCT \"ELEMENT\" FROM db.t WHERE \"YEAR\" = 2023")
        .await;
    assert_eq!(
        home.rows(files).await,
        [format!("| {:<8} |", in_2023.len())]
    );
    check_fixed(some).await;

    let report = home.compact().await.unwrap();
    assert_eq!(report.failed_data_files_count, 0);
    let files = home.rows("SELECT file_path FROM db.t.files").await;
    assert_eq!(files.len(), partitions);
    assert_eq!(home.rows(all).await, before);
    assert_eq!(before.len() as u64, 2 * count);
    let wrong = home
        .compact()
        .with_where("nothing = 1")
        .plan()
        .await
        .unwrap_err();
    assert!(wrong.to_string().contains("nothing"), "{wrong}");
    check_fixed(|| home.compact()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_progress_commits_in_parts() {
    let home = Home::new().await;
    home.weather(40, 1).await;
    home.weather(40, 2).await;
    let before = home.rows("SELECT * FROM db.t").await;
    let groups = home.compact().plan().await.unwrap().groups.len();
    let report = home
        .compact()
        .with_option("partial-progress.enabled", "true")
        .with_option("partial-progress.max-commits", "3")
        .await
        .unwrap();
    assert_eq!(
        report.snapshot_ids.len(),
        groups.div_ceil(groups.div_ceil(3))
    );
    assert_eq!(home.rows("SELECT * FROM db.t").await, before);
}

/// A table whose rows come from a stream, in files of the size that is asked for.
pub(crate) async fn stream_of(home: &Home, batches: usize, rows: usize) {
    for number in 0..batches {
        let first = number * rows;
        let values: Vec<i64> = (first..first + rows)
            .map(|n| i64::try_from(n).unwrap())
            .collect();
        let texts: Vec<String> = values.iter().map(|n| format!("{:x}", n * 7919)).collect();
        let batch = calve_testkit::lakes::batch(vec![
            ("n", Arc::new(arrow::array::Int64Array::from(values)) as _),
            ("s", Arc::new(arrow::array::StringArray::from(texts)) as _),
        ]);
        let schema = batch.schema();
        let table: TableIdent = "db.t".parse().unwrap();
        Ingest::new(
            Arc::clone(&home.catalog),
            table,
            schema,
            stream::iter([Ok(batch)]).boxed(),
        )
        .await
        .unwrap();
    }
}

pub(crate) fn with_sizes(compact: Compact, target: u64) -> Compact {
    compact.with_option("target-file-size-bytes", target.to_string())
}

/// Whatever the sizes: the rows stay in their order, files are of the wanted size, and that is it.
#[tokio::test(flavor = "multi_thread")]
async fn files_come_out_at_the_wanted_size() {
    let home = Home::new().await;
    stream_of(&home, 12, 5_000).await;
    let before = home.rows("SELECT * FROM db.t").await;
    for target in [100_000_u64, 40_000, 250_000, 10_000_000] {
        let compact = || with_sizes(home.compact(), target);
        let report = compact().await.unwrap();
        assert_eq!(report.failed_data_files_count, 0);
        let sizes = home.rows("SELECT file_size_in_bytes FROM db.t.files").await;
        let sizes: Vec<u64> = sizes
            .iter()
            .map(|line| line.trim_matches(['|', ' ']).parse().unwrap())
            .collect();
        let small = sizes.iter().filter(|size| **size < target * 3 / 4).count();
        assert!(small <= 1, "{target}: {sizes:?}");
        assert!(
            sizes.iter().all(|size| *size <= target * 9 / 5),
            "{target}: {sizes:?}"
        );
        check_fixed(compact).await;
        assert_eq!(home.rows("SELECT * FROM db.t").await, before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// Rows out are rows in, and a second run finds nothing, for any sizes of files and any target.
    #[test]
    fn rows_stay_and_the_second_run_is_empty(
        sizes in prop::collection::vec(1_usize..3_000, 1..8),
        target in 2_000_u64..60_000,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let home = Home::new().await;
            for (number, rows) in sizes.iter().enumerate() {
                let batch = calve_testkit::lakes::batch(vec![(
                    "n",
                    Arc::new(arrow::array::Int64Array::from_iter_values(
                        (0..*rows).map(|n| i64::try_from(n * 31 + number).unwrap()),
                    )) as _,
                )]);
                let schema = batch.schema();
                Ingest::new(
                    Arc::clone(&home.catalog),
                    "db.t".parse().unwrap(),
                    schema,
                    stream::iter([Ok(batch)]).boxed(),
                )
                .await
                .unwrap();
            }
            let before = home.rows("SELECT * FROM db.t").await;
            let compact = || with_sizes(home.compact(), target);
            compact().await.unwrap();
            check_fixed(compact).await;
            assert_eq!(home.rows("SELECT * FROM db.t").await, before);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_options_are_refused() {
    let home = Home::new().await;
    home.plain(2).await;
    let error = home
        .compact()
        .with_option("shuffle", "1")
        .plan()
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "there is no option `shuffle`");
}
