//! Lakes whose texts and binaries are views: the same rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, DictionaryArray, FixedSizeBinaryArray, Int32Array, LargeStringArray,
    RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Int8Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use calve_base::Location;
use calve_lake::{Lake, LakeOptions, Source};
use calve_query::{Cures, Int96Zone, LakeTable, Nanoseconds, cured_lake_provider};
use datafusion::catalog::TableProvider;
use iceberg::spec::FormatVersion;
use parquet::arrow::ArrowWriter;

use crate::lakehouse::Lakehouse;
use crate::lakes;

async fn lake(house: &Lakehouse, path: &str) -> calve_query::Result<LakeTable> {
    let source = Source::Location(Location::parse(path).unwrap());
    let lake = Lake::open(house.catalog.storage(), source, LakeOptions::default());
    let cures = Cures {
        format_version: FormatVersion::V3,
        int96: Int96Zone::Zone(chrono_tz::UTC),
        nanoseconds: Nanoseconds::Truncate,
    };
    cured_lake_provider(&lake.await?, cures).await
}

/// The rows of a query on `lake`, as texts, sorted; an error as what is wrong.
async fn rows(house: &Lakehouse, table: &LakeTable, query: &str) -> Result<Vec<String>, String> {
    let context = house.session.context();
    let places: Vec<usize> = (0..table.files().len()).collect();
    let table = Arc::new(table.with_files(&places));
    let frame = context.read_table(table).unwrap();
    let frame = match query {
        "" => Ok(frame),
        column if !column.contains(' ') => frame.select_columns(&[column]),
        condition => {
            let schema = frame.schema().clone();
            let state = context.state();
            let condition = state.create_logical_expr(condition, &schema).unwrap();
            frame.filter(condition)
        }
    };
    let batches = match frame {
        Ok(frame) => frame.collect().await,
        Err(error) => Err(error),
    };
    let batches = batches.map_err(|error| error.to_string())?;
    let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
    rows.sort();
    Ok(rows)
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let row = |row| {
        let values = columns.iter().map(|column| column.value(row).to_string());
        values.collect::<Vec<_>>().join("|")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Reads a lake both ways. Gives the number of rows, and of columns that are views.
async fn check(house: &Lakehouse, path: &str, queries: &[&str]) -> (usize, usize) {
    let plain = lake(house, path).await.unwrap();
    let views = lake(house, path).await.unwrap().with_views().unwrap();
    let mut count = 0;
    for query in queries {
        let expected = rows(house, &plain, query).await.unwrap();
        count = count.max(expected.len());
        let found = rows(house, &views, query).await;
        assert_eq!(found, Ok(expected), "{path}: {query}");
    }
    let schema = views.schema();
    let types = schema.fields().iter().map(|field| field.data_type());
    let is_view = |of: &&DataType| matches!(of, DataType::Utf8View | DataType::BinaryView);
    (count, types.filter(is_view).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn bundled_lakes() {
    let house = Lakehouse::new().await;
    for (folder, expected) in [
        ("ghcn", (73_000, 7)),
        ("hard-partitions/text", (52, 2)),
        ("hard-partitions/typed", (6, 4)),
        ("drift/added", (6, 1)),
        ("drift/widened", (6, 1)),
        ("milliseconds", (4, 0)),
        ("nested", (6, 2)),
    ] {
        let path = calve_testkit::workspace_root()
            .join("fixtures")
            .join(folder);
        let found = check(&house, path.to_str().unwrap(), &[""]).await;
        assert_eq!(found, expected, "{folder}");
    }
}

/// Texts and binaries in every layout that Arrow's writers note, in files that differ.
#[tokio::test(flavor = "multi_thread")]
async fn every_layout_of_texts_and_binaries() {
    let house = Lakehouse::new().await;
    let texts = || StringArray::from(vec![Some("a"), Some("longer than twelve bytes"), None]);
    let columns: [ArrayRef; 4] = [
        Arc::new(texts()),
        Arc::new(texts().iter().collect::<LargeStringArray>()),
        Arc::new(texts().iter().collect::<DictionaryArray<Int8Type>>()),
        arrow::compute::cast(&texts(), &DataType::Utf8View).unwrap(),
    ];
    let bytes: [ArrayRef; 2] = [
        Arc::new(BinaryArray::from(vec![
            Some(&b"ab"[..]),
            None,
            Some(&[0xff, 0][..]),
        ])),
        Arc::new(
            FixedSizeBinaryArray::try_from_iter([[0xff, 1], [2, 3], [4, 5]].into_iter()).unwrap(),
        ),
    ];
    for (number, text) in columns.iter().enumerate() {
        let id: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let columns = [
            ("id", id, false),
            ("text", Arc::clone(text), true),
            ("bytes", Arc::clone(&bytes[0]), true),
            ("fixed", Arc::clone(&bytes[1]), false),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let path = house.path(&format!("lake/key=k{number}/f.parquet"));
        let path = std::path::Path::new(&path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs_err::File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    let queries = [
        "",
        "text = 'a'",
        "text >= 'b'",
        "text is null",
        "key = 'k2'",
        "key like 'k%' and key <> 'k0'",
        "key > 'k1' and text like 'longer%'",
        "bytes is not null",
    ];
    let found = check(&house, &house.path("lake"), &queries).await;
    assert_eq!(found, (12, 3));
}

/// Each column of each real file is read alike, or refused alike.
#[tokio::test(flavor = "multi_thread")]
async fn columns_of_real_files() {
    let Some(shared) = calve_testkit::shared_data() else {
        eprintln!("skipped: no shared data here");
        return;
    };
    let house = Lakehouse::new().await;
    let mut compared = 0;
    for path in lakes::real_files(&shared) {
        let path = path.to_str().unwrap();
        let Ok(plain) = lake(&house, path).await else {
            continue;
        };
        let views = lake(&house, path).await.unwrap().with_views().unwrap();
        for field in plain.schema().fields() {
            let column = field.name().clone();
            if column.contains(' ') {
                continue;
            }
            let expected = rows(&house, &plain, &column).await;
            let found = rows(&house, &views, &column).await;
            assert_eq!(found.is_ok(), expected.is_ok(), "{path}: {column}");
            if let (Ok(found), Ok(expected)) = (found, expected) {
                assert_eq!(found, expected, "{path}: {column}");
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}
