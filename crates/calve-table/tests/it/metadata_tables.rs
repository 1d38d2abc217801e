//! Metadata tables, compared with PyIceberg's `table.inspect`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use calve_catalog::Table;
use calve_table::metadata_tables::{METADATA_TABLES, MetadataScan, MetadataTable};
use calve_table::{Append, Transaction};
use calve_testkit::type_names::spark_columns;
use futures::TryStreamExt;
use iceberg::spec::{
    FormatVersion, Literal, PartitionSpec, Struct, Transform, UnboundPartitionSpec,
};
use serde_json::{Map, Value, json};

use crate::support::{World, file_in, ident};

/// Prints each metadata table that PyIceberg has: its columns, with the types that Java gives them where
/// PyIceberg is content with smaller ones (readable metrics sorted by name, as in Java), and its rows as JSON.
const SCRIPT: &str = "
import datetime, json, sys
import pyarrow as pa
from pyiceberg.table import StaticTable
def plain(value):
    if isinstance(value, bytes): return value.hex()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None: value = value.replace(tzinfo=datetime.timezone.utc)
        return round(value.timestamp() * 1_000_000)
    if isinstance(value, datetime.date): return value.isoformat()
    if isinstance(value, dict): return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(pair, tuple) for pair in value):
            return {str(k): plain(v) for k, v in value}
        return [plain(item) for item in value]
    return value
def kind(of, sort=False):
    if pa.types.is_dictionary(of): return kind(of.value_type)
    if pa.types.is_struct(of) and sort: of = pa.struct(sorted(of, key=lambda field: field.name))
    if pa.types.is_struct(of): return 'struct<' + ','.join(f'{f.name}:{kind(f.type)}' for f in of) + '>'
    if pa.types.is_list(of) or pa.types.is_large_list(of): return f'array<{kind(of.value_type)}>'
    if pa.types.is_map(of): return f'map<{kind(of.key_type)},{kind(of.item_type)}>'
    if pa.types.is_timestamp(of): return 'timestamp'
    names = {'int8': 'int', 'int32': 'int', 'int64': 'bigint', 'bool': 'boolean', 'date32[day]': 'date', 'large_string': 'string',
             'large_binary': 'binary'}
    return names.get(str(of), str(of))
table = StaticTable.from_metadata(sys.argv[1])
inspect = table.inspect
tables = {name: getattr(inspect, name)() for name in sys.argv[2:]}
print(json.dumps({
    name: {'columns': [[f.name, kind(f.type, f.name == 'readable_metrics')] for f in read.schema], 'rows': [plain(row) for row in read.to_pylist()]}
    for name, read in tables.items()
}))
";

async fn read(kind: MetadataTable, table: &Table) -> RecordBatch {
    let scan = MetadataScan::new(kind, table.clone());
    let schema = scan.schema().unwrap();
    assert_eq!(schema, kind.schema(table.metadata()));
    let batches: Vec<RecordBatch> = scan.stream().await.unwrap().try_collect().await.unwrap();
    concat_batches(&schema, &batches).unwrap()
}

fn rows(batch: &RecordBatch) -> Vec<Value> {
    let whole = StructArray::from(batch.clone());
    (0..batch.num_rows())
        .map(|row| value(&whole, row))
        .collect()
}

/// A value as the script prints it.
fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Timestamp(..) => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .into(),
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row).iter();
            let digits: Vec<String> = bytes.map(|byte| format!("{byte:02x}")).collect();
            digits.concat().into()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter();
            let named = fields.iter().zip(columns);
            named
                .map(|(field, column)| (field.name().clone(), value(column, row)))
                .collect()
        }
        DataType::List(_) => {
            let items: ArrayRef = array.as_list::<i32>().value(row);
            (0..items.len()).map(|item| value(&items, item)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let text = |at: usize, item| match value(entries.column(at), item) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let pairs = (0..entries.len()).map(|at| (text(0, at), value(entries.column(1), at)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        DataType::Date32 => {
            let days = array.as_primitive::<arrow::datatypes::Date32Type>();
            days.value_as_date(row).unwrap().to_string().into()
        }
        other => panic!("no value of {other} is expected here"),
    }
}

/// What both sides have: PyIceberg's columns, minus those it does not fill in as Java does.
fn comparable(mut row: Value, columns: &[String]) -> Value {
    let row = row.as_object_mut().unwrap();
    row.retain(|name, _| columns.contains(name));
    for map in [
        "column_sizes",
        "value_counts",
        "null_value_counts",
        "nan_value_counts",
    ] {
        // An empty map and none mean the same.
        if row
            .get(map)
            .is_some_and(|map| map == &json!({}) || map == &json!([]))
        {
            row.insert(map.to_owned(), Value::Null);
        }
    }
    if let Some(Value::Object(metrics)) = row.get_mut("readable_metrics") {
        metrics.sort_keys();
    }
    row.sort_keys();
    Value::Object(row.clone())
}

/// Two appends by one spec.
#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_table_is_as_pyiceberg_shows_it() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        let world = World::new().await;
        world.create(version, &[Some(1), None, Some(3)]).await;
        compare(&world.append(&["b0", "b1"]).await.table).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpartitioned_table_is_as_pyiceberg_shows_it() {
    let world = World::new().await;
    let mut new = world.new_table(FormatVersion::V2);
    new.partition_spec = PartitionSpec::unpartition_spec();
    let metadata = new.clone().into_metadata().unwrap();
    let files = [file_in(&world.location(), "a", Struct::empty())];
    let (id, written) = world.write(&metadata, files).await;
    let report = Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .with_snapshot(Append::new(id, written))
        .await
        .unwrap();
    compare(&report.table).await;
}

/// A spec that loses a field and gains another.
#[tokio::test(flavor = "multi_thread")]
async fn an_evolved_table_is_as_pyiceberg_shows_it() {
    let world = World::new().await;
    let table = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(4, "part", Transform::Identity)
        .unwrap()
        .add_partition_field(2, "letter", Transform::Truncate(1))
        .unwrap()
        .build();
    let table = Transaction::new(Arc::clone(&world.catalog), table)
        .with_metadata_change(Arc::new(move |_, builder| {
            Ok(builder.add_default_partition_spec(spec.clone())?)
        }))
        .await
        .unwrap()
        .table;
    let partition = [Some(Literal::int(2)), Some(Literal::string("z"))];
    let files = [file_in(
        &world.location(),
        "b",
        Struct::from_iter(partition),
    )];
    let (id, written) = world.write(table.metadata(), files).await;
    let report = Transaction::new(Arc::clone(&world.catalog), table)
        .with_snapshot(Append::new(id, written))
        .await
        .unwrap();
    compare(&report.table).await;
}

/// Java finds partition fields by their ids; PyIceberg by their names, and shows nulls here.
#[tokio::test]
async fn a_renamed_partition_field_keeps_its_values() {
    let world = World::new().await;
    let table = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(4, "renamed", Transform::Identity)
        .unwrap()
        .build();
    let table = Transaction::new(Arc::clone(&world.catalog), table)
        .with_metadata_change(Arc::new(move |_, builder| {
            Ok(builder.add_default_partition_spec(spec.clone())?)
        }))
        .await
        .unwrap()
        .table;
    let rows = rows(&read(MetadataTable::Partitions, &table).await);
    assert_eq!(
        rows[0]["partition"],
        json!({"renamed": 1, "day": "2022-01-08"})
    );
}

/// Compares all metadata tables that PyIceberg has.
async fn compare(table: &Table) {
    let kinds = [
        MetadataTable::Files,
        MetadataTable::DataFiles,
        MetadataTable::DeleteFiles,
        MetadataTable::Entries,
        MetadataTable::Snapshots,
        MetadataTable::History,
        MetadataTable::Manifests,
        MetadataTable::Partitions,
        MetadataTable::Refs,
        MetadataTable::MetadataLogEntries,
        MetadataTable::AllFiles,
        MetadataTable::AllManifests,
    ];
    let mut arguments = vec![table.metadata_location().to_string()];
    arguments.extend(kinds.iter().map(ToString::to_string));
    let theirs = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        calve_testkit::python::run(SCRIPT, &arguments)
    })
    .await
    .unwrap();
    for kind in kinds {
        let theirs = &theirs[kind.name()];
        let mut typed: Vec<(String, String)> =
            serde_json::from_value(theirs["columns"].clone()).unwrap();
        let is_unpartitioned = table.metadata().default_partition_spec().is_unpartitioned();
        if is_unpartitioned {
            // Java leaves out what PyIceberg shows as an empty struct.
            typed.retain(|(column, _)| column != "partition");
        }
        let columns: Vec<String> = typed.iter().map(|(column, _)| column.clone()).collect();
        let ours = read(kind, table).await;
        let mut own = spark_columns(&ours.schema());
        own.retain(|(name, _)| columns.contains(name));
        for (name, of) in own.iter_mut().chain(&mut typed) {
            // PyIceberg's has fewer fields than Java's; the rows below compare those that it has.
            if name == "data_file" {
                "struct".clone_into(of);
            }
        }
        assert_eq!(own, typed, "{kind}: columns");
        let inner = theirs["rows"][0]["data_file"].as_object();
        let inner = inner.into_iter().flat_map(Map::keys).cloned();
        let inner: Vec<String> = inner
            .filter(|column| !is_unpartitioned || column != "partition")
            .collect();
        let sorted = |rows: Vec<Value>| {
            let rows = rows.into_iter().map(|mut row| {
                if let Some(file) = row.get_mut("data_file") {
                    *file = comparable(file.take(), &inner);
                }
                comparable(row, &columns)
            });
            let mut rows: Vec<Value> = rows.collect();
            rows.sort_by_key(ToString::to_string);
            rows
        };
        let theirs: Vec<Value> = serde_json::from_value(theirs["rows"].clone()).unwrap();
        assert_eq!(sorted(rows(&ours)), sorted(theirs), "{kind}");
    }
}

#[tokio::test]
async fn an_empty_table_has_empty_metadata_tables() {
    let world = World::new().await;
    let new = world.new_table(FormatVersion::V2);
    let catalog = Arc::clone(&world.catalog);
    let report = Transaction::create(catalog, ident(), new);
    let table = report.await.unwrap().table;
    for kind in METADATA_TABLES {
        let count = usize::from(kind == MetadataTable::MetadataLogEntries);
        assert_eq!(read(kind, &table).await.num_rows(), count, "{kind}");
    }
}

#[tokio::test]
async fn columns_can_be_chosen() {
    let world = World::new().await;
    let table = world
        .create(FormatVersion::V2, &[Some(1), None])
        .await
        .table;
    for kind in METADATA_TABLES {
        let whole = read(kind, &table).await;
        let last = whole.num_columns() - 1;
        let scan = MetadataScan::new(kind, table.clone()).with_projection(vec![last, 0]);
        let schema = scan.schema().unwrap();
        let batches: Vec<_> = scan.stream().await.unwrap().try_collect().await.unwrap();
        let chosen = concat_batches(&schema, &batches).unwrap();
        assert_eq!(chosen, whole.project(&[last, 0]).unwrap(), "{kind}");

        let none = MetadataScan::new(kind, table.clone()).with_projection(Vec::new());
        let batches: Vec<_> = none.stream().await.unwrap().try_collect().await.unwrap();
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(count, whole.num_rows(), "{kind}");
    }
}

#[tokio::test]
async fn names_are_read_and_printed_alike() {
    for kind in METADATA_TABLES {
        assert_eq!(kind.name().to_uppercase().parse(), Ok(kind));
    }
    assert_eq!(
        "file".parse::<MetadataTable>().unwrap_err().to_string(),
        "`file` is not a metadata table"
    );
}
