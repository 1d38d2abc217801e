use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::{Value, json};

use super::{Made, from_json, write_parquet};

/// Makes a lake of nested columns, two days of one file each: structs in structs, lists of
/// structs, lists of lists, maps of structs, maps of lists, with nulls and empty values at every
/// level; beside them a scalar of every plain type.
pub fn nested(dir: &Path) -> Made {
    let days = [
        ("2024-05-01", &nested_rows()[..4]),
        ("2024-05-02", &nested_rows()[4..]),
    ];
    let mut made = Made::default();
    for (day, rows) in days {
        made.partitions += 1;
        made.add(write_parquet(
            &dir.join(format!("day={day}/part-0.parquet")),
            &from_json(nested_schema(), rows),
        ));
    }
    made
}

/// Makes a lake whose timestamps and times count milliseconds, alone and within a struct and a
/// list; two days of one file each.
pub fn milliseconds(dir: &Path) -> Made {
    let mut made = Made::default();
    for (day, shift) in [("2024-05-01", 0), ("2024-05-02", 86_400_000)] {
        let rows = [
            json!({"id": shift / 86_400_000 * 2, "local": 1_714_521_600_123_i64 + shift,
                "instant": 1_714_521_600_999_i64 + shift, "clock": 86_399_999,
                "event": {"at": -1}, "visits": [0, null, 1_714_521_600_001_i64]}),
            json!({"id": shift / 86_400_000 * 2 + 1, "local": null, "instant": -62_135_596_800_000_i64,
                "clock": 0, "event": {"at": null}, "visits": []}),
        ];
        made.partitions += 1;
        made.add(write_parquet(
            &dir.join(format!("day={day}/part-0.parquet")),
            &from_json(milliseconds_schema(), &rows),
        ));
    }
    made
}

fn milliseconds_schema() -> SchemaRef {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    let instant = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("local", timestamp.clone()),
        field("instant", instant.clone()),
        field("clock", DataType::Time32(TimeUnit::Millisecond)),
        field("event", structure(vec![field("at", instant)])),
        field("visits", list(timestamp)),
    ]))
}

fn nested_schema() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let address = structure(vec![
        field("city", DataType::Utf8),
        field(
            "geo",
            structure(vec![
                field("lat", DataType::Float64),
                field("lon", DataType::Float64),
            ]),
        ),
    ]);
    let item = structure(vec![
        field("sku", DataType::Utf8),
        field("price", DataType::Decimal128(9, 2)),
        field("tags", list(DataType::Utf8)),
    ]);
    let score = structure(vec![
        field("points", DataType::Int32),
        field("at", instant.clone()),
    ]);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("name", DataType::Utf8),
        field("address", address),
        field("items", list(item)),
        field("matrix", list(list(DataType::Int32))),
        field("scores", map(score)),
        field("groups", map(list(DataType::Int64))),
        field("flag", DataType::Boolean),
        field("small", DataType::Int32),
        field("ratio", DataType::Float32),
        field("raw", DataType::Binary),
        field("born", DataType::Date32),
        field("seen", instant),
        field("wall", DataType::Timestamp(TimeUnit::Microsecond, None)),
        field("cheap", DataType::Decimal128(7, 3)),
        field("dear", DataType::Decimal128(17, 4)),
        field("vast", DataType::Decimal128(38, 10)),
    ]))
}

fn nested_rows() -> [Value; 6] {
    [
        json!({"id": 1, "name": "full",
            "address": {"city": "Oslo", "geo": {"lat": 59.9, "lon": 10.75}},
            "items": [{"sku": "a", "price": 1999, "tags": ["new", "ice"]},
                      {"sku": "b", "price": -5, "tags": []}],
            "matrix": [[1, 2], [3]],
            "scores": {"first": {"points": 7, "at": 1_714_521_600_000_001_i64}},
            "groups": {"even": [2, 4], "odd": [1]},
            "flag": true, "small": -1, "ratio": 0.5, "raw": "\u{0}\u{1}",
            "born": -1, "seen": 1_714_521_600_123_456_i64, "wall": -1,
            "cheap": 9_999_999, "dear": -12_345_678_901_234_567_i64, "vast": 9_223_372_036_854_775_807_i64}),
        json!({"id": 2, "name": "all null"}),
        json!({"id": 3, "name": "empty", "address": {}, "items": [], "matrix": [], "scores": {},
            "groups": {}, "raw": ""}),
        json!({"id": 4, "name": "null inside", "address": {"city": null, "geo": {"lat": null, "lon": 1.0}},
            "items": [null, {"sku": null, "price": null, "tags": null}, {"sku": "c", "tags": [null, "x"]}],
            "matrix": [null, [], [null, 5]],
            "scores": {"none": null, "half": {"points": null, "at": 0}},
            "groups": {"none": null, "hole": [null]}}),
        json!({"id": 5, "name": "null struct in struct", "address": {"city": "Bergen", "geo": null},
            "items": [{"sku": "d", "price": 100, "tags": ["a", "b", "c"]}],
            "matrix": [[6], [7, 8, 9]],
            "scores": {"x": {"points": 1, "at": null}, "y": {"points": 2, "at": 2}},
            "groups": {"one": [1]},
            "flag": false, "small": 2_147_483_647, "ratio": -0.0, "raw": "ice", "born": 19_844,
            "seen": 0, "wall": 1_714_521_600_000_000_i64, "cheap": 0, "dear": 1, "vast": -1}),
        json!({"id": 6, "name": null, "address": null, "items": null, "matrix": null, "scores": null,
            "groups": null, "small": -2_147_483_648}),
    ]
}

fn field(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn structure(fields: Vec<Field>) -> DataType {
    DataType::Struct(Fields::from(fields))
}

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(field("element", element)))
}

fn map(value: DataType) -> DataType {
    let entries = structure(vec![
        Field::new("key", DataType::Utf8, false),
        field("value", value),
    ]);
    DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
}
