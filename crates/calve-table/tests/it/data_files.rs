//! Rows into data files, read back by others.

#![expect(
    clippy::from_iter_instead_of_collect,
    reason = "so that the type of each array is read first"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use calve_storage::PART_BYTES;
use calve_table::{Append, DataFileWriter, ManifestRoller, NewTable, Transaction, new_snapshot_id};
use calve_testkit::python;
use iceberg::spec::{
    DataFile, FormatVersion, ListType, NestedField, PartitionSpec, PrimitiveType, Schema,
    SortOrder, StructType, Transform, Type,
};
use serde_json::{Value, json};

use crate::support::{World, ident};

/// `id long, name string, day date, at timestamptz, price decimal, ratio double, flag boolean,
/// place struct<city, zip>, counts list<int>`.
fn schema() -> Schema {
    let optional = |id, name: &str, of| Arc::new(NestedField::optional(id, name, of));
    let primitive = |id, name: &str, of| optional(id, name, Type::Primitive(of));
    let place = StructType::new(vec![
        primitive(20, "city", PrimitiveType::String),
        primitive(21, "zip", PrimitiveType::Int),
    ]);
    let element = NestedField::list_element(22, Type::Primitive(PrimitiveType::Int), false);
    let price = PrimitiveType::Decimal {
        precision: 9,
        scale: 2,
    };
    Schema::builder()
        .with_fields([
            Arc::new(NestedField::required(
                1,
                "id",
                Type::Primitive(PrimitiveType::Long),
            )),
            primitive(2, "name", PrimitiveType::String),
            primitive(3, "day", PrimitiveType::Date),
            primitive(4, "at", PrimitiveType::Timestamptz),
            primitive(5, "price", price),
            primitive(6, "ratio", PrimitiveType::Double),
            primitive(7, "flag", PrimitiveType::Boolean),
            optional(8, "place", Type::Struct(place)),
            optional(9, "counts", Type::List(ListType::new(Arc::new(element)))),
        ])
        .build()
        .unwrap()
}

/// Rows `from..to`, with nulls, in other types and another order than the table's where that is allowed.
fn rows(from: i64, to: i64) -> RecordBatch {
    let ids: Vec<i64> = (from..to).collect();
    let names = ids.iter().map(|id| match id % 5 {
        0 => None,
        1 => Some("São Paulo/..".to_owned()),
        rest => Some(format!("name {rest}")),
    });
    let day = |id: &i64| (id % 7 != 0).then(|| i32::try_from(19_000 + id % 90).unwrap());
    let city: ArrayRef = Arc::new(StringArray::from_iter(
        ids.iter()
            .map(|id| (id % 3 != 0).then(|| format!("city {id}"))),
    ));
    let place = StructArray::from(vec![(
        Arc::new(Field::new("city", DataType::Utf8, true)),
        city,
    )]);
    let counts = ids.iter().map(|id| {
        (id % 4 != 0).then(|| {
            (0..id % 4)
                .map(|n| i32::try_from(n).ok())
                .collect::<Vec<_>>()
        })
    });
    let int_ids = Int32Array::from_iter_values(ids.iter().map(|id| i32::try_from(*id).unwrap()));
    let prices = Decimal128Array::from_iter_values(ids.iter().map(|id| i128::from(*id) * 101))
        .with_precision_and_scale(9, 2)
        .unwrap();
    let at = TimestampMicrosecondArray::from_iter_values(
        ids.iter().map(|id| 1_700_000_000_000_000 + id * 1_000_003),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", Arc::new(StringArray::from_iter(names))),
        ("id", Arc::new(int_ids)),
        ("day", Arc::new(Date32Array::from_iter(ids.iter().map(day)))),
        ("at", Arc::new(at.with_timezone("UTC"))),
        ("price", Arc::new(prices)),
        (
            "ratio",
            Arc::new(Float64Array::from_iter_values(
                ids.iter()
                    .map(|id| f64::from(i32::try_from(*id).unwrap()) / 8.0),
            )),
        ),
        (
            "flag",
            Arc::new(BooleanArray::from_iter(
                ids.iter().map(|id| Some(id % 2 == 0)),
            )),
        ),
        ("place", Arc::new(place)),
        (
            "counts",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(counts)),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The table, partitioned by these fields of `schema()`.
fn table(world: &World, partition_by: &[(&str, Transform)]) -> NewTable {
    let mut spec = PartitionSpec::builder(schema());
    for (column, transform) in partition_by {
        let name = match transform {
            Transform::Identity => (*column).to_owned(),
            _ => format!("{column}_part"),
        };
        spec = spec.add_partition_field(*column, name, *transform).unwrap();
    }
    NewTable {
        schema: schema(),
        partition_spec: spec.build().unwrap(),
        sort_order: SortOrder::unsorted_order(),
        ..world.new_table(FormatVersion::V2)
    }
}

/// Writes 1,000 rows in ten batches, commits, and reads the table back.
async fn write(world: &World, new: NewTable, target_bytes: Option<u64>) -> (Vec<DataFile>, Value) {
    let metadata = new.clone().into_metadata().unwrap();
    let mut writer = DataFileWriter::new(world.storage(), &metadata)
        .unwrap()
        .with_open_files(8);
    if let Some(bytes) = target_bytes {
        writer = writer.with_target_bytes(bytes);
    }
    for batch in 0..10 {
        writer
            .write(&rows(batch * 100, batch * 100 + 100))
            .await
            .unwrap();
    }
    let files = writer.finish().await.unwrap();
    let snapshot_id = new_snapshot_id();
    let mut roller = ManifestRoller::new(world.storage(), &metadata, snapshot_id).unwrap();
    for file in files.clone() {
        roller.add(file).await.unwrap();
    }
    let written = roller.finish().await.unwrap();
    let report = Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .with_snapshot(Append::new(snapshot_id, written))
        .await
        .unwrap();
    let metadata = report.table.metadata_location().as_str().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        ["duckdb", "pyiceberg"].map(|reader| {
            python::run_file(
                "read_table.py",
                &["--metadata", &metadata, "--reader", reader, "--rows"],
            )
        })
    });
    let [duckdb, pyiceberg] = read.await.unwrap();
    assert_eq!(duckdb["rows"], pyiceberg["rows"]);
    (files, duckdb)
}

#[tokio::test(flavor = "multi_thread")]
async fn others_read_the_rows_back_whatever_the_partitioning() {
    let mut first: Option<Value> = None;
    for partition_by in [
        vec![],
        vec![("name", Transform::Identity)],
        vec![("day", Transform::Month), ("id", Transform::Bucket(4))],
        vec![("at", Transform::Hour), ("name", Transform::Truncate(3))],
    ] {
        let world = World::new().await;
        let new = table(&world, &partition_by);
        let (files, read) = write(&world, new, None).await;
        let partitions: BTreeSet<String> = files
            .iter()
            .map(|file| format!("{:?}", file.partition()))
            .collect();
        let total: u64 = files.iter().map(DataFile::record_count).sum();
        assert_eq!(total, 1_000, "{partition_by:?}");
        assert_eq!(read["count"], json!(1_000), "{partition_by:?}");
        assert!(
            partition_by.is_empty() || partitions.len() > 1,
            "{partition_by:?}"
        );
        match &first {
            None => first = Some(read["rows"].clone()),
            Some(rows) => assert_eq!(&read["rows"], rows, "{partition_by:?}"),
        }
    }
    let rows = first.unwrap();
    // Sorted by the text of the row: id 0 comes first.
    assert_eq!(
        rows[0],
        json!([
            0, null, null, "2023-11-14T22:13:20Z", "0.00", 0.0, true,
            {"city": null, "zip": null}, null
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_end_at_the_target_size() {
    let world = World::new().await;
    let (files, _) = write(&world, table(&world, &[]), Some(4_000)).await;
    assert!(files.len() > 3, "{} files", files.len());
    let paths: BTreeSet<&str> = files.iter().map(DataFile::file_path).collect();
    assert_eq!(paths.len(), files.len());
    for file in &files {
        let bounds = (file.lower_bounds().get(&1), file.upper_bounds().get(&1));
        assert!(bounds.0.is_some() && bounds.1.is_some(), "{bounds:?}");
        assert_eq!(file.null_value_counts().get(&1), Some(&0));
        let on_disk = fs_err::metadata(file.file_path()).unwrap().len();
        assert_eq!(file.file_size_in_bytes(), on_disk);
    }
}

/// Rows of texts that no codec makes smaller, one in each of many partitions.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_however_many_partitions_are_written_at_once() {
    const BOUND: usize = 2 * 1024 * 1024;
    let world = World::new().await;
    let new = table(&world, &[("id", Transform::Bucket(48))]);
    let metadata = new.into_metadata().unwrap();
    let writer = DataFileWriter::new(world.storage(), &metadata).unwrap();
    let mut writer = writer.with_memory_bytes(BOUND);
    let mut random = 7_u64;
    let mut text = || {
        let words = (0..256).map(|_| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            format!("{:08x}", random >> 32)
        });
        words.collect::<String>()
    };
    for batch in 0..40 {
        let ids = Int64Array::from_iter_values(batch * 500..(batch + 1) * 500);
        let names = StringArray::from_iter_values((0..500).map(|_| text()));
        let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(ids)), ("name", Arc::new(names))];
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        writer.write(&rows).await.unwrap();
        let used = writer.memory_in_use();
        assert!(used <= BOUND + PART_BYTES, "batch {batch}: {used} bytes");
    }
    let files = writer.finish().await.unwrap();
    let rows: u64 = files.iter().map(DataFile::record_count).sum();
    assert_eq!(rows, 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_gone() {
    let world = World::new().await;
    let metadata = table(&world, &[("name", Transform::Identity)])
        .into_metadata()
        .unwrap();
    let mut writer = DataFileWriter::new(world.storage(), &metadata)
        .unwrap()
        .with_target_bytes(1);
    writer.write(&rows(0, 100)).await.unwrap();
    writer.discard().await;
    assert_eq!(world.data_files().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_are_refused() {
    let world = World::new().await;
    let metadata = table(&world, &[]).into_metadata().unwrap();
    let longs: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
    for (columns, expected) in [
        (
            vec![("id", Arc::clone(&longs))],
            "column `id`: the table requires it, and it is null in some rows",
        ),
        (
            vec![("id", Arc::clone(&texts))],
            "column `id`: Utf8 cannot be written as Int64",
        ),
        (
            vec![("name", texts)],
            "column `id`: the table requires it, and it is missing",
        ),
    ] {
        let mut writer = DataFileWriter::new(world.storage(), &metadata).unwrap();
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let error = writer.write(&batch).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
