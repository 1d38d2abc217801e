//! `Ctas` where `AddFiles` refuses, and over rows of every kind: what comes out is what went in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use calve_base::{Failure, Location};
use calve_lake::{LakeOptions, Source};
use calve_migrate::{BatchBy, Ctas, CtasSource, Error, PartitionBy, SortBy};
use calve_query::{LakeFormat, Nanoseconds, Session, SessionOptions};
use calve_testkit::shared_data;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use crate::support::{Home, add};

fn ctas(home: &Home, lake: &Path, table: &str) -> Ctas {
    let source = CtasSource::Lake {
        source: Source::Location(Location::parse(lake.to_str().unwrap()).unwrap()),
        options: Box::new(LakeOptions::default()),
        format: LakeFormat::Parquet,
    };
    Ctas::new(Arc::clone(&home.catalog), source, table.parse().unwrap())
}

pub(crate) fn write(path: &Path, batch: &RecordBatch) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The rows of a query as texts, sorted.
pub(crate) async fn rows(home: &Home, query: &str) -> Vec<String> {
    let session = Session::new(Arc::clone(&home.catalog), SessionOptions::default()).unwrap();
    let batches = session.sql(query).await.unwrap().collect().await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap();
    let text = text.to_string();
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    lines.sort();
    lines
}

/// `k`, `at` in milliseconds, the number in `name`, `x`.
pub(crate) type Row = (Option<i32>, Option<i64>, Option<u16>, Option<f64>);

/// How the rows of one case are cut up and put together again.
#[derive(Debug, Clone)]
struct Case {
    files: Vec<Vec<Row>>,
    partition_by: &'static str,
    sort_by: &'static str,
    batch_by: BatchBy,
}

fn case() -> impl Strategy<Value = Case> {
    let number = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::NEG_INFINITY),
        -1e6..1e6f64
    ];
    let row = (
        proptest::option::of(0..5i32),
        proptest::option::of(-4_000_000_000_000..4_000_000_000_000i64),
        proptest::option::of(0..40u16),
        proptest::option::of(number),
    );
    let files = proptest::collection::vec(proptest::collection::vec(row, 0..60), 1..5);
    let partition_by = proptest::sample::select(vec![
        "",
        "k",
        "day(at)",
        "bucket(3, name), k",
        "truncate(1, name)",
        "hour(at), k",
        "year(at)",
    ]);
    let sort_by = proptest::sample::select(vec![
        "",
        "at desc",
        "bucket(4, name), x nulls last",
        "name, k desc",
    ]);
    let batch_by = proptest::sample::select(vec![
        BatchBy::default(),
        BatchBy::Bytes(1),
        BatchBy::Rows(50),
        BatchBy::Column("k".to_owned()),
        BatchBy::Column("name".to_owned()),
    ]);
    (files, partition_by, sort_by, batch_by).prop_map(|(files, partition_by, sort_by, batch_by)| {
        Case {
            files,
            partition_by,
            sort_by,
            batch_by,
        }
    })
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let names: StringArray = rows
        .iter()
        .map(|row| row.2.map(|name| format!("name {name}")))
        .collect();
    let times: TimestampMillisecondArray = rows.iter().map(|row| row.1).collect();
    let columns: [(&str, ArrayRef); 4] = [
        (
            "k",
            Arc::new(rows.iter().map(|row| row.0).collect::<Int32Array>()),
        ),
        ("at", Arc::new(times)),
        ("name", Arc::new(names)),
        (
            "x",
            Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

async fn check_case(case: Case) {
    let home = Home::new().await;
    for (number, file) in case.files.iter().enumerate() {
        write(&home.lake().join(format!("{number}.parquet")), &batch(file));
    }
    let mut operation = ctas(&home, &home.lake(), "db.t").with_batch_by(case.batch_by.clone());
    if !case.partition_by.is_empty() {
        operation = operation.with_partition_by(PartitionBy::parse(case.partition_by).unwrap());
    }
    if !case.sort_by.is_empty() {
        operation = operation.with_sort_by(SortBy::parse(case.sort_by).unwrap());
    }
    let report = operation.await.unwrap();
    let expected: usize = case.files.iter().map(Vec::len).sum();
    assert_eq!(report.added_records_count, expected as u64, "{case:?}");
    let columns = "k, cast(at as timestamp) as at, name, x";
    let lake = home.lake();
    let source = rows(
        &home,
        &format!("SELECT {columns} FROM '{}'", lake.display()),
    )
    .await;
    let table = rows(&home, &format!("SELECT {columns} FROM db.t")).await;
    assert_eq!(source, table, "{case:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The law of a rewrite: the rows that come out are the rows that went in, each as often.
    #[test]
    fn rows_out_are_rows_in(case in case()) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(Box::pin(check_case(case)));
    }
}

/// Rows far beyond the memory that is allowed are sorted through the spill folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_sort_beyond_memory_spills() {
    let home = Home::new().await;
    let total: i64 = 400_000;
    for file in 0..4_i64 {
        let numbers = (0..total / 4).map(|row| (row * 7919 + file * 31) % 1_000_003);
        let numbers: Int64Array = numbers.map(Some).collect();
        let texts: StringArray = numbers
            .iter()
            .map(|number| number.map(|number| format!("{number:0>60}")))
            .collect();
        let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(numbers)), ("text", Arc::new(texts))];
        write(
            &home.lake().join(format!("{file}.parquet")),
            &RecordBatch::try_from_iter(columns).unwrap(),
        );
    }
    let report = ctas(&home, &home.lake(), "db.t")
        .with_partition_by(PartitionBy::parse("bucket(8, n)").unwrap())
        .with_sort_by(SortBy::parse("text desc").unwrap())
        .with_session(SessionOptions {
            memory_bytes: Some(64 * 1024 * 1024),
            concurrency: Some(2),
            ..SessionOptions::default()
        })
        .await
        .unwrap();
    assert_eq!(report.added_records_count, total.unsigned_abs());
    assert_eq!(report.added_files_count, 8);
    let query = "SELECT count(*) AS n, sum(n) AS total, count(DISTINCT text) AS texts FROM ";
    let source = rows(&home, &format!("{query}'{}'", home.lake().display())).await;
    assert_eq!(rows(&home, &format!("{query}db.t")).await, source);
}

/// A file that is rewritten or removed under the reader's hands.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_between_runs_is_noticed() {
    let home = Home::new().await;
    let row = |k| batch(&[(Some(k), None, Some(1), None)]);
    for k in 0..3 {
        write(&home.lake().join(format!("k={k}/a.parquet")), &row(k));
    }
    // A page that cannot be decoded: the footer is fine, the rows are not.
    let broken = home.lake().join("k=2/a.parquet");
    let mut bytes = fs_err::read(&broken).unwrap();
    bytes[4..60].fill(0xff);
    fs_err::write(&broken, &bytes).unwrap();
    let operation =
        || ctas(&home, &home.lake(), "db.t").with_batch_by(BatchBy::Column("k".to_owned()));
    let error = operation().await.unwrap_err();
    assert!(error.to_string().contains("k=2/a.parquet"), "{error}");
    // What was committed before stays, and the rest goes on when the file is whole again.
    write(&broken, &row(2));
    let report = operation().await.unwrap();
    assert_eq!(
        (report.added_records_count, report.plan.resumed_batches),
        (3, 2)
    );

    let error = operation().await.unwrap_err();
    assert!(matches!(error, Error::TargetExists { .. }), "{error}");
}

fn parquet_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            parquet_files(&path, files);
        } else if fs_err::read(&path).unwrap().starts_with(b"PAR1") {
            files.push(path);
        }
    }
}

/// Every real file that `AddFiles` refuses and says that a rewrite helps: it does.
#[tokio::test(flavor = "multi_thread")]
async fn what_add_files_refuses_is_rewritten() {
    let Some(data) = shared_data() else {
        eprintln!("skipped: the shared data is not here");
        return;
    };
    let mut files = Vec::new();
    parquet_files(&data.join("parquet"), &mut files);
    let home = Home::new().await;
    let mut outcomes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let text = file.to_str().unwrap();
        if text.contains("large_string_map") {
            continue;
        }
        let plan = add(&home.catalog, text, &format!("added.t{index}"))
            .plan()
            .await;
        let refused = plan.map(|plan| plan.refused).unwrap_or_default();
        let Some(reason) = refused.iter().find(|it| it.message.contains("`ctas`")) else {
            continue;
        };
        let outcome = ctas(&home, file, &format!("cured.t{index}"))
            .with_nanoseconds(Nanoseconds::Truncate)
            .await;
        let (key, line) = match outcome {
            Ok(report) => (
                "rewritten",
                format!("{text}: {} rows", report.added_records_count),
            ),
            Err(error) => (
                "refused",
                format!(
                    "{text}: {}: {error} (hint: {:?})",
                    reason.message,
                    error.hint()
                ),
            ),
        };
        outcomes.entry(key).or_default().push(line);
    }
    eprintln!("{} rewritten", outcomes["rewritten"].len());
    assert!(outcomes["rewritten"].len() > 50);
    // Corrupt, or with something that no rewrite can guess.
    let hopeless = [
        "/bad_data/",
        // Damaged on purpose.
        "page_size_corruption.parquet",
        // Its footer says 0 rows, and its row groups 6.
        "repeated_no_annotation",
        // More digits than Arrow has.
        "bigdecimal.parquet",
        // Two columns of one name.
        "bug13053",
        // A group without fields, inside of another.
        "empty_group_test",
        // A VARIANT.
        "snowflake_variant",
    ];
    let refused = outcomes.get("refused").into_iter().flatten();
    let surprising = refused.filter(|line| !hopeless.iter().any(|name| line.contains(name)));
    assert_eq!(surprising.collect::<Vec<_>>(), [""; 0]);
}
