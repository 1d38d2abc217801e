//! Row lineage of format version 3: a row keeps its id and says which commit changed it last, wherever it goes.

use std::sync::Arc;

use calve_base::Progress;
use calve_catalog::Catalog;
use calve_compact::Strategy;
use calve_query::{Session, SessionOptions, table_provider};
use calve_table::Transaction;
use datafusion::common::arrow::util::pretty::pretty_format_batches;
use iceberg::spec::FormatVersion;

use crate::races::meanwhile;
use crate::{Home, add, check_fixed, counts, ident, read};

/// All rows with their ids and sequence numbers, sorted; none where the table has no row ids.
pub(crate) async fn lineage(catalog: &Arc<dyn Catalog>) -> Vec<String> {
    let table = catalog.load_table(&ident()).await.unwrap();
    if table.metadata().format_version() < FormatVersion::V3 {
        return Vec::new();
    }
    let provider = table_provider(&table).unwrap().with_row_lineage().unwrap();
    let session = Session::new(Arc::clone(catalog), SessionOptions::default()).unwrap();
    let rows = session.select_from(Arc::new(provider), None, None).await;
    let rows = rows.unwrap().collect().await.unwrap();
    let text = pretty_format_batches(&rows).unwrap().to_string();
    let lines = text.lines().skip(3).filter(|line| line.starts_with('|'));
    // Columns are as wide as what is in them.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = lines.map(words).collect();
    lines.sort();
    lines
}

async fn upgrade(home: &Home) {
    Transaction::new(Arc::clone(&home.catalog), home.table().await)
        .with_metadata_change(Arc::new(|_, builder| {
            Ok(builder.upgrade_format_version(FormatVersion::V3)?)
        }))
        .await
        .unwrap();
}

/// Ids are unique and none is missing.
async fn check_ids(home: &Home) {
    let table = home.table().await;
    let provider = table_provider(&table).unwrap().with_row_lineage().unwrap();
    let session = Session::new(Arc::clone(&home.catalog), SessionOptions::default()).unwrap();
    let select =
        "count(*), count(DISTINCT _row_id), count(_last_updated_sequence_number), max(_row_id)";
    let rows = session.select_from(Arc::new(provider), Some(select), None);
    let rows = rows.await.unwrap().collect().await.unwrap();
    let number = |at: usize| {
        let column = rows[0].column(at);
        arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column).value(0)
    };
    assert_eq!(number(0), number(1));
    assert_eq!(number(0), number(2));
    let next = i64::try_from(table.metadata().next_row_id()).unwrap();
    assert!(number(3) < next, "{} of {next}", number(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_keep_their_ids() {
    let home = Home::new().await;
    home.plain(4).await;
    upgrade(&home).await;
    home.plain_again(3).await;
    let before = lineage(&home.catalog).await;
    check_ids(&home).await;
    let next = home.table().await.metadata().next_row_id();
    let report = home.compact().await.unwrap();
    assert_eq!(counts(&report), (7, 1, 70, 0));
    assert_eq!(lineage(&home.catalog).await, before);
    check_ids(&home).await;
    // The new file has a range of ids to itself, though its rows do not need it.
    assert!(home.table().await.metadata().next_row_id() >= next + 70);
    check_fixed(|| home.compact()).await;
    for reader in ["duckdb", "pyiceberg"] {
        assert_eq!(read(reader, &home.table().await)["count"], 70, "{reader}");
    }

    // From files that carry them, in another order, with files beside them that do not.
    home.numbers("more", 5_000, 3).await;
    let before = lineage(&home.catalog).await;
    let sorted = Strategy::Sort(Some(calve_compact::SortBy::parse("n DESC").unwrap()));
    let report = home.compact().with_strategy(sorted).await.unwrap();
    assert_eq!(counts(&report), (4, 1, 100, 0));
    assert_eq!(lineage(&home.catalog).await, before);
    check_ids(&home).await;
}

/// Rows from before the upgrade have no ids until something is committed; they keep the number of their commit.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_table_keeps_sequence_numbers() {
    let home = Home::new().await;
    home.plain(2).await;
    home.plain_again(2).await;
    upgrade(&home).await;
    let numbers = |lines: Vec<String>| -> Vec<String> {
        let cells = |line: String| {
            let cells: Vec<&str> = line.split('|').collect();
            format!("{} {}", cells[1].trim(), cells[3].trim())
        };
        lines.into_iter().map(cells).collect()
    };
    let before = lineage(&home.catalog).await;
    // With partial progress, too, it is one commit: it gives ids to all rows.
    let report = home
        .compact()
        .with_option("partial-progress.enabled", "true")
        .with_option("max-file-group-input-files", "2")
        .await
        .unwrap();
    assert_eq!(counts(&report), (4, 2, 40, 0));
    assert_eq!(report.snapshot_ids.len(), 1);
    assert_eq!(numbers(lineage(&home.catalog).await), numbers(before));
    check_ids(&home).await;
}

/// Another commit gives ids to rows that were read without them: they would get others.
#[tokio::test(flavor = "multi_thread")]
async fn ids_that_others_give_are_not_given_again() {
    let home = Home::new().await;
    home.plain(4).await;
    upgrade(&home).await;
    let catalog = Arc::clone(&home.catalog);
    let other = home.folder.path().join("other");
    let rows = calve_testkit::lakes::batch(vec![(
        "n",
        Arc::new(arrow::array::Int64Array::from(vec![9_000])) as _,
    )]);
    calve_testkit::lakes::write_parquet(&other.join("a.parquet"), &rows);
    let adds: Arc<dyn Progress> = meanwhile(move || async move { add(&catalog, other).await });
    let error = home.compact().with_progress(adds).await.unwrap_err();
    assert!(error.to_string().contains("row ids"), "{error}");
    assert_eq!(home.orphans().await, [""; 0]);
    let before = lineage(&home.catalog).await;
    home.compact().await.unwrap();
    assert_eq!(lineage(&home.catalog).await, before);
}
