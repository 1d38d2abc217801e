//! Iceberg tables: whatever their files look like, rows come back right.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float32Array, Int32Array, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, StructArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use iceberg::spec::{
    ListType, Literal, MapType, NestedField, PrimitiveType, Struct, StructType, Transform, Type,
};

use crate::lakehouse::{Lakehouse, optional, primitive};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// `struct<Street: string, no: int>` by the names given, the second struct null.
fn addresses(street: &str, number: &str) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new(number, DataType::Int32, true),
        Field::new(street, DataType::Utf8, true),
    ]);
    Arc::new(StructArray::new(
        fields,
        vec![ints(&[1, 2]), texts(&[Some("Elm"), Some("gone")])],
        Some(NullBuffer::from(vec![true, false])),
    ))
}

/// `list<struct<x: int>>`: `[{1}, {2}]` and null.
fn points(inner: &str, x: &str) -> ArrayRef {
    let fields = Fields::from(vec![Field::new(x, DataType::Int32, true)]);
    let element = Arc::new(Field::new(inner, DataType::Struct(fields.clone()), true));
    Arc::new(ListArray::new(
        element,
        OffsetBuffer::from_lengths([2, 0]),
        Arc::new(StructArray::new(fields, vec![ints(&[1, 2])], None)),
        Some(NullBuffer::from(vec![true, false])),
    ))
}

/// `map<string, struct<v: int>>`: `{a: {1}}` and `{b: {2}}`.
fn tags(v: &str) -> ArrayRef {
    let fields = Fields::from(vec![Field::new(v, DataType::Int32, true)]);
    let value = Arc::new(StructArray::new(fields.clone(), vec![ints(&[1, 2])], None));
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Struct(fields), true),
    ]);
    let entries_field = Arc::new(Field::new(
        "key_value",
        DataType::Struct(entries.clone()),
        false,
    ));
    let entries = StructArray::new(entries, vec![texts(&[Some("a"), Some("b")]), value], None);
    Arc::new(MapArray::new(
        entries_field,
        OffsetBuffer::from_lengths([1, 1]),
        entries,
        None,
        false,
    ))
}

fn nested_fields() -> Vec<Arc<NestedField>> {
    let text = || primitive(PrimitiveType::String);
    let int = || primitive(PrimitiveType::Int);
    let point = Type::Struct(StructType::new(vec![
        optional(9, "x", primitive(PrimitiveType::Long)),
        optional(10, "y", int()),
    ]));
    let tag = Type::Struct(StructType::new(vec![optional(14, "v", int())]));
    vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(
            2,
            "address",
            Type::Struct(StructType::new(vec![
                optional(3, "street", text()),
                optional(4, "zip", text()),
                optional(5, "number", primitive(PrimitiveType::Long)),
            ])),
        ),
        optional(
            6,
            "points",
            Type::List(ListType::new(
                NestedField::list_element(7, point, false).into(),
            )),
        ),
        optional(
            11,
            "tags",
            Type::Map(MapType::new(
                NestedField::map_key_element(12, text()).into(),
                NestedField::map_value_element(13, tag, false).into(),
            )),
        ),
        optional(15, "extra", text()),
    ]
}

const MAPPING: &str = r#"[
    {"field-id": 1, "names": ["id", "ID"]},
    {"field-id": 2, "names": ["address", "Address"], "fields": [
        {"field-id": 3, "names": ["street", "Street"]}, {"field-id": 4, "names": ["zip"]},
        {"field-id": 5, "names": ["number", "no"]}]},
    {"field-id": 6, "names": ["points"], "fields": [
        {"field-id": 7, "names": ["element"], "fields": [
            {"field-id": 9, "names": ["x", "X"]}, {"field-id": 10, "names": ["y"]}]}]},
    {"field-id": 11, "names": ["tags"], "fields": [
        {"field-id": 12, "names": ["key"]},
        {"field-id": 13, "names": ["value"], "fields": [{"field-id": 14, "names": ["v", "V"]}]}]},
    {"field-id": 15, "names": ["extra"]}]"#;

#[tokio::test]
async fn nested_columns_come_back_by_name_mapping() {
    let house = Lakehouse::new().await;
    let table = house
        .create("db.nested", nested_fields(), &[], Some(MAPPING))
        .await;
    let one = batch(vec![
        ("tags", tags("v")),
        ("points", points("element", "x")),
        ("address", addresses("street", "number")),
        ("id", ints(&[1, 2])),
    ]);
    // Other spellings, another order, a list written by Hive, a column that the table lacks.
    let two = batch(vec![
        ("ID", ints(&[3, 4])),
        ("unknown", ints(&[0, 0])),
        ("Address", addresses("Street", "no")),
        ("points", points("array_element", "X")),
        ("tags", tags("V")),
        ("extra", texts(&[Some("e"), None])),
    ]);
    let files = vec![
        house.write("lake/1.parquet", &one).build().unwrap(),
        house.write("lake/2.parquet", &two).build().unwrap(),
    ];
    house.append(&table, files).await;
    house
        .check(
            "SELECT * FROM db.nested ORDER BY id",
            &[
                "1|{street: Elm, zip: NULL, number: 1}|[{x: 1, y: NULL}, {x: 2, y: NULL}]|{a: {v: 1}}|NULL",
                "2|NULL|NULL|{b: {v: 2}}|NULL",
                "3|{street: Elm, zip: NULL, number: 1}|[{x: 1, y: NULL}, {x: 2, y: NULL}]|{a: {v: 1}}|e",
                "4|NULL|NULL|{b: {v: 2}}|NULL",
            ],
        )
        .await;
    house
        .check(
            "SELECT id, address['street'], n.address.number, points[2]['x'], tags['a']['v'] \
             FROM db.nested n WHERE address['number'] = 1 AND extra = 'e'",
            &["3|Elm|1|2|1"],
        )
        .await;
    house
        .check(
            "SELECT count(*), count(address), sum(id) FROM db.nested",
            &["4|2|10"],
        )
        .await;
    house
        .check(
            "SELECT ID, Address.STREET FROM db.nested WHERE Extra IS NOT NULL",
            &["3|Elm"],
        )
        .await;
}

#[tokio::test]
async fn types_are_promoted_and_nothing_is_rounded_away() {
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "i", primitive(PrimitiveType::Long)),
        optional(2, "u", primitive(PrimitiveType::Long)),
        optional(3, "f", primitive(PrimitiveType::Double)),
        optional(4, "t", primitive(PrimitiveType::Timestamp)),
        optional(5, "z", primitive(PrimitiveType::Timestamptz)),
        optional(6, "s", primitive(PrimitiveType::String)),
        optional(7, "b", primitive(PrimitiveType::Binary)),
    ];
    let table = house.create("db.types", fields, &[], None).await;
    let millis = TimestampMillisecondArray::from(vec![1, 2, -1]);
    let file = batch(vec![
        ("i", ints(&[1, i32::MIN, i32::MAX])),
        ("u", Arc::new(UInt32Array::from(vec![0, 1, u32::MAX]))),
        ("f", Arc::new(Float32Array::from(vec![0.5, -0.0, 1.5]))),
        ("t", Arc::new(millis.clone())),
        ("z", Arc::new(millis.with_timezone("UTC"))),
        (
            "s",
            Arc::new(BinaryArray::from(vec!["a".as_bytes(), b"", "ü".as_bytes()])),
        ),
        (
            "b",
            Arc::new(BinaryArray::from(vec![b"\x00\xff".as_slice(), b"", b"x"])),
        ),
    ]);
    let table = house
        .append(
            &table,
            vec![house.write("1.parquet", &file).build().unwrap()],
        )
        .await;
    house
        .check(
            "SELECT * FROM db.types ORDER BY t",
            &[
                "2147483647|4294967295|1.5|1969-12-31T23:59:59.999|1969-12-31T23:59:59.999Z|ü|78",
                "1|0|0.5|1970-01-01T00:00:00.001|1970-01-01T00:00:00.001Z|a|00ff",
                "-2147483648|1|-0.0|1970-01-01T00:00:00.002|1970-01-01T00:00:00.002Z||",
            ],
        )
        .await;
    // A literal between two milliseconds must not be rounded to one of them.
    house
        .check(
            "SELECT count(*) FROM db.types WHERE t < TIMESTAMP '1970-01-01T00:00:00.001500'",
            &["2"],
        )
        .await;
    // Years that nanoseconds end before are none to be afraid of.
    for (filter, count) in [
        ("t > TIMESTAMP '1000-01-01'", "3"),
        ("z < TIMESTAMPTZ '9999-12-31 00:00:00+00'", "3"),
        ("t < CAST('1000-01-01 00:00:00.5' AS TIMESTAMP)", "0"),
        ("t = TIMESTAMP '1970-01-01 00:00:00.002000000'", "1"),
    ] {
        let query = format!("SELECT count(*) FROM db.types WHERE {filter}");
        house.check(&query, &[count]).await;
    }
    house
        .check(
            "SELECT u FROM db.types WHERE i > 2147483646 AND u >= 4294967295",
            &["4294967295"],
        )
        .await;

    let bad = batch(vec![(
        "s",
        Arc::new(BinaryArray::from(vec![b"\xff".as_slice()])),
    )]);
    house
        .append(
            &table,
            vec![house.write("bad.parquet", &bad).build().unwrap()],
        )
        .await;
    house
        .check_error("SELECT s FROM db.types", "bad.parquet: ")
        .await;
    house
        .check_error("SELECT s FROM db.types", "column `s`")
        .await;
}

#[tokio::test]
async fn partition_values_come_from_the_manifest() {
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "v", primitive(PrimitiveType::Int)),
        optional(2, "year", primitive(PrimitiveType::Int)),
        optional(3, "kind", primitive(PrimitiveType::String)),
    ];
    let spec = [
        ("year", "year", Transform::Identity),
        ("kind", "kind", Transform::Identity),
    ];
    let table = house.create("db.parts", fields, &spec, None).await;
    let mut files = Vec::new();
    for (name, year, kind, value) in [
        ("a", Some(2023), Some("x"), 1),
        ("b", Some(2024), Some("01"), 2),
        ("c", None, None, 3),
    ] {
        // The file's own column says something else; the manifest wins.
        let rows = batch(vec![
            ("v", ints(&[value, value * 10])),
            ("year", ints(&[1, 1])),
        ]);
        let partition = [year.map(Literal::int), kind.map(Literal::string)];
        let file = house
            .write(&format!("{name}.parquet"), &rows)
            .partition(Struct::from_iter(partition))
            .build()
            .unwrap();
        files.push(file);
    }
    house.append(&table, files).await;
    house
        .check(
            "SELECT * FROM db.parts",
            &[
                "10|2023|x",
                "1|2023|x",
                "20|2024|01",
                "2|2024|01",
                "30|NULL|NULL",
                "3|NULL|NULL",
            ],
        )
        .await;
    for (filter, expected) in [
        ("year = 2024", "22"),
        ("year = 1", "NULL"),
        ("year IS NULL", "33"),
        ("kind = '01'", "22"),
        ("year > 2000 AND v > 5", "30"),
        ("kind LIKE 'x%' OR year = 2024", "33"),
        ("NOT (year = 2023)", "22"),
        ("year + 1 = 2025", "22"),
        ("year = 2023 OR v = 3", "14"),
    ] {
        house
            .check(
                &format!("SELECT sum(v) FROM db.parts WHERE {filter}"),
                &[expected],
            )
            .await;
    }
    house
        .check("SELECT count(*) FROM db.parts WHERE year = 2023", &["2"])
        .await;
    house
        .check(
            "SELECT year, count(*) FROM db.parts GROUP BY year ORDER BY year",
            &["2023|2", "2024|2", "NULL|2"],
        )
        .await;
    house
        .check(
            "SELECT kind FROM db.parts WHERE year = 2024 LIMIT 1",
            &["01"],
        )
        .await;
}

#[tokio::test]
async fn columns_are_found_by_id_where_files_have_them() {
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "renamed", primitive(PrimitiveType::Int)),
        optional(2, "a", primitive(PrimitiveType::Int)),
    ];
    let table = house
        .create(
            "db.ids",
            fields,
            &[],
            Some(r#"[{"field-id": 1, "names": ["b"]}]"#),
        )
        .await;
    let with_id = |name: &str, id: i32| {
        Field::new(name, DataType::Int32, true)
            .with_metadata([("PARQUET:field_id".to_owned(), id.to_string())].into())
    };
    // `a` of the file is the column that has been renamed since; the table's `a` is new.
    let schema = ArrowSchema::new(vec![with_id("a", 1), with_id("b", 9)]);
    let rows = RecordBatch::try_new(Arc::new(schema), vec![ints(&[1, 2]), ints(&[3, 4])]).unwrap();
    let without = batch(vec![("a", ints(&[5])), ("b", ints(&[6]))]);
    let files = vec![
        house.write("ids.parquet", &rows).build().unwrap(),
        // Not in the mapping: `a` is not read by chance of its name.
        house.write("names.parquet", &without).build().unwrap(),
    ];
    house.append(&table, files).await;
    house
        .check(
            "SELECT * FROM db.ids ORDER BY renamed",
            &["1|NULL", "2|NULL", "6|NULL"],
        )
        .await;
    house
        .check("SELECT renamed FROM db.ids WHERE a IS NOT NULL", &[])
        .await;
    house
        .check("SELECT renamed FROM db.ids WHERE renamed = 2", &["2"])
        .await;
}

#[tokio::test]
async fn names_versions_and_mistakes() {
    let house = Lakehouse::new().await;
    let fields = vec![optional(1, "ID", primitive(PrimitiveType::Long))];
    let table = house.create("db.Stations", fields, &[], None).await;
    let rows = |value: i64| {
        batch(vec![(
            "ID",
            Arc::new(Int64Array::from(vec![value])) as ArrayRef,
        )])
    };
    house.check("SELECT * FROM db.Stations", &[]).await;
    let table = house
        .append(
            &table,
            vec![house.write("1.parquet", &rows(1)).build().unwrap()],
        )
        .await;
    let first = table.metadata().current_snapshot_id().unwrap();
    house
        .append(
            &table,
            vec![house.write("2.parquet", &rows(2)).build().unwrap()],
        )
        .await;
    for (query, expected) in [
        ("SELECT id FROM db.Stations ORDER BY id", &["1", "2"][..]),
        (
            "SELECT Id AS n FROM lakehouse.db.Stations WHERE ID = 2 ORDER BY N",
            &["2"],
        ),
        (
            "SELECT db.Stations.id FROM db.Stations WHERE Stations.iD = 1",
            &["1"],
        ),
        (
            "WITH One AS (SELECT id FROM db.Stations WHERE id = 1) SELECT max(id) FROM one",
            &["1"],
        ),
        (
            "SELECT id FROM db.Stations FOR VERSION AS OF 'main' ORDER BY id",
            &["1", "2"],
        ),
    ] {
        house.check(query, expected).await;
    }
    let at = format!("SELECT s.id FROM db.Stations FOR VERSION AS OF {first} AS s");
    house.check(&at, &["1"]).await;
    for (query, expected) in [
        ("SELECT * FROM db.missing", "missing"),
        ("SELECT nothing FROM db.Stations", "nothing"),
        (
            "SELECT * FROM db.Stations FOR VERSION AS OF 7",
            "table db.Stations has no snapshot 7",
        ),
        (
            "SELECT * FROM db.Stations FOR VERSION AS OF 'x'",
            "table db.Stations has no snapshot `x`",
        ),
        (
            "SELECT * FROM db.Stations FOR TIMESTAMP AS OF '1960-01-01'",
            "no snapshot as old as 1960-01-01",
        ),
        ("DROP TABLE db.Stations", "DDL not supported"),
        ("CREATE VIEW v AS SELECT 1", "DDL not supported"),
        ("SELEC 1", "SELEC"),
    ] {
        house.check_error(query, expected).await;
    }
    house
        .check(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema = 'db'",
            &["db|Stations"],
        )
        .await;
}
