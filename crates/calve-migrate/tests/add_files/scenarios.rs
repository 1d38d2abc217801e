//! Scenarios that the suites of the peers assert (Spark's `TestAddFilesProcedure`, Trino's and PyIceberg's tests of
//! `add_files`), as far as they have no better home here. `tests/SCENARIOS.md` says where each of them is.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, StringArray, StructArray, Time32MillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use calve_migrate::OnUnsafe;
use calve_testkit::{lakes, python};
use iceberg::spec::PrimitiveType;
use serde_json::{Value, json};

use crate::support::{Home, column, counts, read};

/// Opens the catalog with PyIceberg, loads `db.t` as `table`, and runs what follows.
fn in_pyiceberg(home: &Home, script: &str) -> Value {
    const OPEN: &str = "
import json, sys
from pyiceberg.catalog import load_catalog
folder = sys.argv[1]
catalog = load_catalog('default', type='sql', uri=f'sqlite:///{folder}/calve.db', warehouse=f'{folder}/warehouse')
table = catalog.load_table('db.t')
";
    let folder = home.folder.path().to_str().unwrap();
    python::run(&format!("{OPEN}{script}"), &[folder])
}

/// Spark: add, delete every row, add the same files again.
#[tokio::test(flavor = "multi_thread")]
async fn files_whose_rows_were_all_deleted_can_be_added_again() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 6, 10, 1);
    home.add("db.t").await.unwrap();
    let left = in_pyiceberg(
        &home,
        "table.delete()\nprint(json.dumps(table.scan().to_arrow().num_rows))",
    );
    assert_eq!(left, 0);
    let again = home.add("db.t").await.unwrap();
    assert_eq!(
        (counts(&again).0, counts(&again).1),
        (made.files, made.rows)
    );
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(read(reader, &again, &[])["count"], made.rows, "{reader}");
    }
    assert!(home.add("db.t").await.is_err(), "they are duplicates again");
}

/// Spark: delete one partition, add it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_partition_can_be_added_back() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 24, 10, 1);
    home.add("db.t").await.unwrap();
    let left = in_pyiceberg(
        &home,
        "table.delete(\"ELEMENT == 'TMAX'\")\nprint(json.dumps(table.scan().to_arrow().num_rows))",
    );
    let left = left.as_u64().unwrap();
    assert!(left < made.rows);
    let back = home
        .add("db.t")
        .with_partition_filter(vec![("ELEMENT".to_owned(), "TMAX".to_owned())])
        .await
        .unwrap();
    assert_eq!(counts(&back).1, made.rows - left);
    assert_eq!(read("duckdb", &back, &[])["count"], made.rows);
}

/// Spark: the spec evolved since; files that fit only the old spec are added with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_spec_is_used_where_the_newest_does_not_fit() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 24, 10, 1);
    let filter = |value: &str| vec![("ELEMENT".to_owned(), value.to_owned())];
    let new = home
        .add("db.t")
        .with_partition_filter(filter("TMAX"))
        .await
        .unwrap();
    let evolved = in_pyiceberg(
        &home,
        "
with table.update_spec() as update:
    update.remove_field('ELEMENT')
    update.add_field('DATE', 'bucket[4]')
print(json.dumps(table.metadata.default_spec_id))
",
    );
    assert_eq!(evolved, 1);
    let old = home
        .add("db.t")
        .with_partition_filter(filter("TMIN"))
        .await
        .unwrap();
    let specs = in_pyiceberg(
        &home,
        "print(json.dumps([file['spec_id'] for file in table.inspect.files().to_pylist()]))",
    );
    let specs = specs.as_array().unwrap();
    assert_eq!(specs.len() as u64, counts(&new).0 + counts(&old).0);
    assert!(specs.iter().all(|spec| *spec == 0), "{specs:?}");
    let both = counts(&new).1 + counts(&old).1;
    for reader in ["pyiceberg", "duckdb"] {
        let found = read(reader, &old, &["--rows"]);
        assert_eq!(found["count"], both, "{reader}");
        let elements = column(&found, "ELEMENT");
        let minima = elements.iter().filter(|element| **element == "TMIN");
        assert_eq!(minima.count() as u64, counts(&old).1, "{reader}");
    }
}

/// Spark answers (0, 0) for a folder without files. Here it is an error, for a wrong path looks just like that;
/// the table stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_files_is_an_error() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    home.add("db.t").await.unwrap();
    let before = home.table("db.t").await.unwrap();
    let empty = home.folder.path().join("empty");
    fs_err::create_dir_all(&empty).unwrap();
    for table in ["db.new", "db.t"] {
        let operation = crate::support::add(&home.catalog, empty.to_str().unwrap(), table);
        let error = operation.await.unwrap_err().to_string();
        assert!(error.ends_with("empty: no data files"), "{error}");
    }
    assert!(home.table("db.new").await.is_none());
    let after = home.table("db.t").await.unwrap();
    assert_eq!(before.metadata_location(), after.metadata_location());
}

/// Spark: characters that paths escape, in a partition's value.
#[tokio::test(flavor = "multi_thread")]
async fn a_slash_in_a_partition_value_comes_back() {
    let home = Home::new().await;
    let rows = lakes::batch(vec![(
        "id",
        Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
    )]);
    for folder in ["day=2022%2F02%2F01", "day=2022%2F02%2F02"] {
        lakes::write_parquet(&home.lake().join(folder).join("part-0.parquet"), &rows);
    }
    let report = home.add("db.t").await.unwrap();
    for reader in ["pyiceberg", "duckdb"] {
        let mut days = column(&read(reader, &report, &["--rows"]), "day");
        days.sort_by_key(ToString::to_string);
        let expected = ["2022/02/01", "2022/02/01", "2022/02/02", "2022/02/02"];
        assert_eq!(days, expected, "{reader}");
    }
}

/// Trino: `TIME_MILLIS`, its values and its bounds.
#[tokio::test(flavor = "multi_thread")]
async fn times_in_milliseconds_have_right_bounds() {
    let home = Home::new().await;
    let clock =
        Time32MillisecondArray::from(vec![Some(0), Some(43_200_123), Some(86_399_999), None]);
    let rows = lakes::batch(vec![("clock", Arc::new(clock) as ArrayRef)]);
    lakes::write_parquet(&home.lake().join("part-0.parquet"), &rows);
    let report = home
        .add("db.t")
        .with_on_unsafe(OnUnsafe::Allow)
        .await
        .unwrap();
    let found = read("duckdb", &report, &["--rows"]);
    let mut times = column(&found, "clock");
    times.sort_by_key(ToString::to_string);
    let expected = [
        json!("00:00:00"),
        json!("12:00:00.123000"),
        json!("23:59:59.999000"),
        Value::Null,
    ];
    assert_eq!(times, expected);
    let bounds = in_pyiceberg(
        &home,
        "
metrics = table.inspect.files().to_pylist()[0]['readable_metrics']['clock']
print(json.dumps([str(metrics['lower_bound']), str(metrics['upper_bound']), metrics['null_value_count']]))
",
    );
    assert_eq!(bounds, json!(["00:00:00", "23:59:59.999000", 1]));
}

/// Trino: a file whose struct lacks a field has NULL there, also where it is the file that came first.
#[tokio::test(flavor = "multi_thread")]
async fn a_struct_that_lacks_a_field_reads_null_there() {
    let home = Home::new().await;
    let address = |fields: Vec<(&str, Vec<Option<&str>>)>| -> ArrayRef {
        let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let fields: Fields = names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, true))
            .collect();
        let arrays = values
            .into_iter()
            .map(|values| Arc::new(StringArray::from(values)) as ArrayRef)
            .collect();
        Arc::new(StructArray::new(fields, arrays, None))
    };
    let old = lakes::batch(vec![(
        "address",
        address(vec![("city", vec![Some("Oslo")])]),
    )]);
    let new = lakes::batch(vec![(
        "address",
        address(vec![
            ("street", vec![Some("Kirkegata")]),
            ("city", vec![Some("Bergen")]),
        ]),
    )]);
    lakes::write_parquet(&home.lake().join("1.parquet"), &old);
    lakes::write_parquet(&home.lake().join("2.parquet"), &new);
    let report = home.add("db.t").await.unwrap();
    for reader in ["pyiceberg", "duckdb"] {
        let found = column(&read(reader, &report, &["--rows"]), "address");
        let mut found: Vec<String> = found
            .iter()
            .map(|address| format!("{} {}", address["city"], address["street"]))
            .collect();
        found.sort();
        assert_eq!(
            found,
            ["\"Bergen\" \"Kirkegata\"", "\"Oslo\" null"],
            "{reader}"
        );
    }
}

/// PyIceberg: an identity and a month of files that lie in no partition folder come from their statistics.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_month_come_from_statistics() {
    let home = Home::new().await;
    let file = |name: &str, days: Vec<i32>| {
        let rows = lakes::batch(vec![
            (
                "baz",
                Arc::new(Int64Array::from(vec![123; days.len()])) as ArrayRef,
            ),
            ("qux", Arc::new(Date32Array::from(days)) as ArrayRef),
        ]);
        lakes::write_parquet(&home.lake().join(name), &rows);
    };
    // March 2024 is month 650 since 1970; day 19783 is its first, 19813 its last.
    file("1.parquet", vec![19_783, 19_790]);
    file("2.parquet", vec![19_800, 19_813]);
    let folder = home.folder.path().to_str().unwrap();
    python::run(
        "
import sys
from pyiceberg.catalog import load_catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform, MonthTransform
from pyiceberg.types import DateType, LongType, NestedField
folder = sys.argv[1]
catalog = load_catalog('default', type='sql', uri=f'sqlite:///{folder}/calve.db', warehouse=f'{folder}/warehouse')
schema = Schema(NestedField(1, 'baz', LongType()), NestedField(2, 'qux', DateType()))
spec = PartitionSpec(
    PartitionField(1, 1000, IdentityTransform(), 'baz'), PartitionField(2, 1001, MonthTransform(), 'qux_month'))
catalog.create_namespace_if_not_exists('db')
catalog.create_table('db.t', schema, partition_spec=spec)
print('null')
",
        &[folder],
    );
    let report = home.add("db.t").await.unwrap();
    assert_eq!(counts(&report), (2, 4, 1));
    let partitions = in_pyiceberg(
        &home,
        "print(json.dumps([list(row['partition'].values()) for row in table.inspect.partitions().to_pylist()]))",
    );
    assert_eq!(partitions, json!([[123, 650]]));
    // A file with days of two months has no partition of its own.
    file("3.parquet", vec![19_813, 19_814]);
    let report = home
        .add("db.t")
        .with_duplicates(calve_migrate::DuplicateFiles::Skip)
        .await
        .unwrap();
    assert_eq!(report.snapshot_id, None);
    assert_eq!(report.plan.refused_count, 1);
    assert_eq!(report.plan.refused[0].column.as_deref(), Some("qux"));
}

/// Spark: files in a folder without partitions; their rows are those that `PyArrow` reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_partitions() {
    let home = Home::new().await;
    for (name, first) in [("1.parquet", 0), ("2.parquet", 100)] {
        let ids: Vec<i64> = (first..first + 50).collect();
        let names = ids.iter().map(|id| (id % 7 != 0).then(|| format!("n{id}")));
        let names: StringArray = names.collect();
        let rows = lakes::batch(vec![
            ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
            ("name", Arc::new(names)),
        ]);
        lakes::write_parquet(&home.lake().join(name), &rows);
    }
    let report = home.add("db.t").await.unwrap();
    assert_eq!(counts(&report), (2, 100, 1));
    let script = "
import json, sys
import pyarrow.parquet as pq
from read_table import canonical_column
table = pq.read_table(sys.argv[1])
rows = zip(*(canonical_column(column) for column in table.columns))
print(json.dumps(sorted((list(row) for row in rows), key=lambda row: json.dumps(row))))
";
    let source = python::run(script, &[home.lake().to_str().unwrap()]);
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(
            read(reader, &report, &["--rows"])["rows"],
            source,
            "{reader}"
        );
    }
}

/// Spark: the table has a column that files lack, and it is null in their rows.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_only_the_table_has_is_null() {
    let home = Home::new().await;
    let made = lakes::ghcn(&home.lake(), 24, 10, 1);
    let first = home
        .add("db.t")
        .with_partition_filter(vec![("ELEMENT".to_owned(), "TMAX".to_owned())])
        .await
        .unwrap();
    in_pyiceberg(
        &home,
        "
from pyiceberg.types import LongType
with table.update_schema() as update:
    update.add_column('extra', LongType())
print('null')
",
    );
    let rest = home
        .add("db.t")
        .with_duplicates(calve_migrate::DuplicateFiles::Skip)
        .await
        .unwrap();
    assert_eq!(counts(&first).1 + counts(&rest).1, made.rows);
    for reader in ["pyiceberg", "duckdb"] {
        let found = read(reader, &rest, &[]);
        assert_eq!(found["aggregates"]["extra"]["nulls"], made.rows, "{reader}");
        assert_eq!(found["aggregates"]["ID"]["nulls"], 0, "{reader}");
    }
}

/// Spark: two keys, a date and a text whose values look like numbers with a leading zero.
#[tokio::test(flavor = "multi_thread")]
async fn text_that_looks_like_a_number_stays_text() {
    let home = Home::new().await;
    let rows = lakes::batch(vec![(
        "id",
        Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
    )]);
    for folder in ["date=2021-01-01/dept=01", "date=2021-01-02/dept=01"] {
        lakes::write_parquet(&home.lake().join(folder).join("f.parquet"), &rows);
    }
    let report = home.add("db.t").await.unwrap();
    assert_eq!(counts(&report), (2, 4, 2));
    assert_eq!(report.plan.columns[1..], ["date: date", "dept: string"]);
    for reader in ["pyiceberg", "duckdb"] {
        let found = read(reader, &report, &["--rows"]);
        assert_eq!(column(&found, "dept"), ["01"; 4], "{reader}");
    }
}

/// Spark: in format version 1, a partition field that was dropped stays as a void one, and nothing can be added.
#[tokio::test(flavor = "multi_thread")]
async fn a_spec_with_a_void_field_is_an_error() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 24, 10, 1);
    let filter = |value: &str| vec![("ELEMENT".to_owned(), value.to_owned())];
    let new = home
        .add("db.t")
        .with_format_version(iceberg::spec::FormatVersion::V1)
        .with_partition_filter(filter("TMAX"))
        .await
        .unwrap();
    let evolved = in_pyiceberg(
        &home,
        "
with table.update_spec() as update:
    update.remove_field('ELEMENT')
table = catalog.load_table('db.t')
print(json.dumps([table.format_version, [str(field.transform) for field in table.spec().fields]]))
",
    );
    assert_eq!(evolved, json!([1, ["identity", "void"]]));
    let adding = home.add("db.t").with_partition_filter(filter("TMIN"));
    adding.await.unwrap_err();
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(read(reader, &new, &[])["count"], counts(&new).1, "{reader}");
    }
}

/// Trino: keys of every type that partitions can have, and null in each.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_partition_keys() {
    let decimal = PrimitiveType::Decimal {
        precision: 10,
        scale: 2,
    };
    let keys = [
        ("flag", PrimitiveType::Boolean, "true", json!(true)),
        ("small", PrimitiveType::Int, "-32768", json!(-32_768)),
        (
            "large",
            PrimitiveType::Long,
            "9223372036854775807",
            json!(i64::MAX),
        ),
        ("real", PrimitiveType::Float, "-1.5", json!(-1.5)),
        ("wide", PrimitiveType::Double, "0.25", json!(0.25)),
        ("text", PrimitiveType::String, "007", json!("007")),
        (
            "day",
            PrimitiveType::Date,
            "2024-02-29",
            json!("2024-02-29"),
        ),
        ("price", decimal, "12345678.90", json!("12345678.90")),
    ];
    let home = Home::new().await;
    let rows = lakes::batch(vec![(
        "id",
        Arc::new(Int64Array::from(vec![1])) as ArrayRef,
    )]);
    for is_null in [false, true] {
        let mut folder = home.lake();
        for (name, _, value, _) in &keys {
            folder.push(lakes::hive_folder(name, (!is_null).then_some(*value)));
        }
        lakes::write_parquet(&folder.join("f.parquet"), &rows);
    }
    let types = keys
        .iter()
        .map(|(name, of, ..)| ((*name).to_owned(), of.clone()));
    let report = home
        .add("db.t")
        .with_partition_types(types.collect())
        .await
        .unwrap();
    assert_eq!(counts(&report), (2, 2, 2));
    for reader in ["pyiceberg", "duckdb"] {
        let found = read(reader, &report, &["--rows"]);
        for (name, _, _, expected) in &keys {
            let values = column(&found, name);
            assert_eq!(values.iter().filter(|value| value.is_null()).count(), 1);
            assert!(values.contains(expected), "{reader}: {name}: {values:?}");
        }
    }
}
