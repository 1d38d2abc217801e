//! Row groups that are put together as they are: when, and that nobody sees a difference.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, Int64Builder, ListBuilder, RecordBatch,
    StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field};
use calve_compact::{Compact, Report, Strategy};
use calve_migrate::Ingest;
use calve_table::{PartitionBy, Transaction};
use futures::{StreamExt, stream};
use iceberg::spec::{FormatVersion, TableMetadata};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;

use crate::{Home, check_fixed, read};

/// How many files the table has.
const FILES: u64 = 6;

/// Rows with a double, text, a decimal, a list and a struct, in two partitions by `part`.
fn nested(number: i64, rows: i64) -> RecordBatch {
    let ids: Vec<i64> = (number * rows * 2..(number * 2 + 1) * rows).collect();
    let mut lists = ListBuilder::new(Int64Builder::new());
    for id in &ids {
        match id % 4 {
            0 => lists.append(false),
            1 => lists.append(true),
            _ => {
                lists.values().append_option((id % 3 > 0).then_some(*id));
                lists.values().append_value(id * 2);
                lists.append(true);
            }
        }
    }
    let texts = ids
        .iter()
        .map(|id| (id % 5 > 0).then(|| format!("text {id} {}", "x".repeat(40))));
    let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
    let decimals = Decimal128Array::from_iter_values(ids.iter().map(|id| i128::from(id * 7)));
    let decimals = decimals.with_precision_and_scale(20, 2).unwrap();
    let inner = Field::new("inner", DataType::Utf8, true);
    let structs = StructArray::from(vec![(Arc::new(inner), Arc::clone(&texts))]);
    calve_testkit::lakes::batch(vec![
        ("id", Arc::new(Int64Array::from(ids.clone())) as _),
        (
            "part",
            Arc::new(ids.iter().map(|_| Some(number % 2)).collect::<Int64Array>()) as _,
        ),
        (
            "ratio",
            Arc::new(Float64Array::from_iter_values(
                (0_i32..).map(|at| f64::from(at) / 8.0).take(ids.len()),
            )) as _,
        ),
        ("text", texts),
        ("price", Arc::new(decimals) as _),
        ("list", Arc::new(lists.finish()) as _),
        ("record", Arc::new(structs) as _),
    ])
}

/// A table of files that calve wrote, each in a commit of its own.
async fn table(home: &Home, version: FormatVersion, by: Option<&str>) {
    table_of(home, version, by, 50).await;
}

async fn table_of(home: &Home, version: FormatVersion, by: Option<&str>, rows: i64) {
    for number in 0..i64::try_from(FILES).unwrap() {
        ingest_file(home, number, nested(number, rows), (version, by)).await;
    }
}

/// The first file makes the table.
async fn ingest_file(
    home: &Home,
    number: i64,
    rows: RecordBatch,
    (version, by): (FormatVersion, Option<&str>),
) {
    let schema = rows.schema();
    let rows = stream::iter([Ok(rows)]).boxed();
    let ident = crate::ident();
    let mut ingest = Ingest::new(Arc::clone(&home.catalog), ident, schema, rows);
    if number == 0 {
        ingest = ingest.with_format_version(version);
        if let Some(by) = by {
            ingest = ingest.with_partition_by(PartitionBy::parse(by).unwrap());
        }
    }
    ingest.await.unwrap();
}

async fn set_property(home: &Home, name: &'static str, value: &'static str) {
    Transaction::new(Arc::clone(&home.catalog), home.table().await)
        .with_metadata_change(Arc::new(move |_: &TableMetadata, builder| {
            let property = HashMap::from([(name.to_owned(), value.to_owned())]);
            Ok(builder.set_properties(property)?)
        }))
        .await
        .unwrap();
}

/// The tests' row groups are small.
fn small(home: &Home) -> Compact {
    home.compact()
        .with_option("row-group-copy.min-row-group-bytes", "1")
}

/// Compacts; the same rows are there, and so many files were copied.
async fn check(home: &Home, compact: Compact, copied: u64) -> Report {
    let all = "SELECT * FROM db.t";
    let before = home.rows(all).await;
    let report = compact.await.unwrap();
    assert_eq!(report.rewritten_data_files_count, FILES);
    assert_eq!(report.copied_data_files_count, copied);
    assert_eq!(home.rows(all).await, before);
    assert_eq!(home.orphans().await, [""; 0]);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_difference() {
    let [copied, encoded] = [Home::new().await, Home::new().await];
    let mut seen = Vec::new();
    for (home, is_copied) in [(&copied, true), (&encoded, false)] {
        table(home, FormatVersion::V2, Some("part")).await;
        let before = read("duckdb", &home.table().await);
        let enabled = is_copied.to_string();
        let compact = small(home).with_option("row-group-copy.enabled", enabled);
        let report = check(home, compact, if is_copied { FILES } else { 0 }).await;
        assert_eq!(report.added_data_files_count, 2);
        for reader in ["duckdb", "pyiceberg"] {
            let found = read(reader, &home.table().await);
            for what in ["count", "aggregates", "rows"] {
                assert_eq!(found[what], before[what], "{reader}: {what}");
            }
        }
        // The bounds and counts that manifests have of a column are the same.
        let metrics = "SELECT partition, record_count, value_counts, null_value_counts, nan_value_counts, \
                       lower_bounds, upper_bounds FROM db.t.files ORDER BY 1";
        seen.push(home.rows(metrics).await);
        check_fixed(|| small(home)).await;
    }
    assert_eq!(seen[0], seen[1]);
}

/// Pages are found by the page indexes where they lie now.
#[tokio::test(flavor = "multi_thread")]
async fn page_indexes_are_moved() {
    let home = Home::new().await;
    set_up_pages(&home).await;
    check(&home, small(&home), FILES).await;
    let paths = home.rows("SELECT file_path FROM db.t.files").await;
    let path = paths[0]
        .trim_matches(['|', ' '])
        .trim_start_matches("file://");
    let options = || ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let open = || {
        let file = fs_err::File::open(path).unwrap().into_file();
        ParquetRecordBatchReaderBuilder::try_new_with_options(file, options()).unwrap()
    };
    let all: Vec<RecordBatch> = open()
        .with_batch_size(100_000)
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        open().metadata().num_row_groups(),
        usize::try_from(FILES).unwrap()
    );
    assert!(
        open().metadata().offset_index().unwrap()[5][0]
            .page_locations
            .len()
            > 1
    );
    let rows = arrow::compute::concat_batches(&all[0].schema(), &all).unwrap();
    for first in [20, 2_499, 9_876] {
        let selection = RowSelection::from(vec![RowSelector::skip(first), RowSelector::select(7)]);
        let mut some = open().with_row_selection(selection).build().unwrap();
        assert_eq!(some.next().unwrap().unwrap(), rows.slice(first, 7));
    }
}

/// The table's files have pages of few rows.
async fn set_up_pages(home: &Home) {
    let rows = nested(0, 1);
    let schema = rows.schema();
    let none = stream::empty().boxed();
    let ingest = Ingest::new(Arc::clone(&home.catalog), crate::ident(), schema, none);
    ingest.await.unwrap();
    set_property(home, "write.parquet.page-row-limit", "1000").await;
    table_of(home, FormatVersion::V2, None, 2_500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_encoded_where_that_makes_a_difference() {
    let v2 = FormatVersion::V2;
    // By default row groups have to be large.
    let home = Home::new().await;
    table(&home, v2, None).await;
    check(&home, home.compact(), 0).await;

    let home = Home::new().await;
    table(&home, v2, None).await;
    set_property(&home, "write.parquet.compression-codec", "snappy").await;
    check(&home, small(&home), 0).await;

    let home = Home::new().await;
    table(&home, v2, None).await;
    set_property(
        &home,
        "write.parquet.bloom-filter-enabled.column.id",
        "true",
    )
    .await;
    check(&home, small(&home), 0).await;

    let home = Home::new().await;
    table(&home, v2, None).await;
    check(&home, small(&home).with_option("rewrite-all", "true"), 0).await;

    let home = Home::new().await;
    table(&home, v2, None).await;
    let sorted = small(&home).with_strategy(Strategy::parse("text").unwrap());
    check(&home, sorted, 0).await;

    // Which row group has a NaN is not known, and bounds leave it out.
    let home = Home::new().await;
    for number in 0..i64::try_from(FILES).unwrap() {
        let rows = nested(number, 50);
        let ratio = rows.schema().index_of("ratio").unwrap();
        let mut columns = rows.columns().to_vec();
        let ratios = (0..50).map(|at| match at {
            0 => None,
            1 if number == 3 => Some(f64::NAN),
            _ => Some(f64::from(at)),
        });
        columns[ratio] = Arc::new(ratios.collect::<Float64Array>());
        let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
        ingest_file(&home, number, rows, (v2, None)).await;
    }
    let above = "SELECT count(*) FROM db.t WHERE ratio > 1000";
    let before = home.rows(above).await;
    check(&home, small(&home), 0).await;
    assert_eq!(home.rows(above).await, before);
    let counts = home.rows("SELECT nan_value_counts FROM db.t.files").await;
    assert!(counts[0].contains(": 1"), "{counts:?}");

    // Rows have ids.
    let home = Home::new().await;
    table(&home, FormatVersion::V3, None).await;
    check(&home, small(&home), 0).await;
}

/// Files that calve did not write lack field ids.
#[tokio::test(flavor = "multi_thread")]
async fn files_without_field_ids_are_encoded() {
    let home = Home::new().await;
    home.plain(usize::try_from(FILES).unwrap()).await;
    check(&home, small(&home), 0).await;
    // What came out has them.
    home.plain_again(usize::try_from(FILES).unwrap() - 1).await;
    check(&home, small(&home), 0).await;
}
