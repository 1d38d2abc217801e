use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type};
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{ROW_BITS, Relationalize, Table};
use crate::arbitrary_batch::{batch_of, random_batch};
use crate::json_text::{formatted, json_strings};
use crate::schema::arbitrary;
use crate::schema::ddl::parse_ddl;
use crate::schema::types::map_entries;

/// The rows as JSON.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let texts = json_strings(&StructArray::from(batch.clone())).unwrap();
    texts
        .as_string::<i32>()
        .iter()
        .map(|it| it.unwrap().to_owned())
        .collect()
}

#[track_caller]
fn check(ddl: &str, json: &[&str], expected: &[(&str, &[&str])]) {
    let batch = batch_of(ddl, json);
    let mut relationalizer = Relationalize::new("root").start(batch.schema()).unwrap();
    let batches = relationalizer.push(0, &batch).unwrap();
    let found: Vec<(&str, Vec<String>)> = relationalizer
        .tables()
        .iter()
        .zip(&batches)
        .map(|(table, batch)| (table.name.as_str(), rows(batch)))
        .collect();
    let expected: Vec<(&str, Vec<String>)> = expected
        .iter()
        .map(|(name, rows)| (*name, rows.iter().map(|it| (*it).to_owned()).collect()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn tables_and_columns_are_named_as_in_glue() {
    check(
        "id string, player struct<arsenal: struct<name: string>>, \
         contact_details array<struct<type: string, value: string>>, links array<string>",
        &[
            r#"{"id":"a","player":{"arsenal":{"name":"x"}},"contact_details":[{"type":"fax","value":"1"},{"type":"phone"}],"links":["u","v"]}"#,
            r#"{"id":"b","links":[]}"#,
            r#"{"id":"c","contact_details":[{"value":"2"}]}"#,
        ],
        &[
            (
                "root",
                &[
                    r#"{"id":"a","player.arsenal.name":"x","contact_details":0,"links":0}"#,
                    r#"{"id":"b","links":1}"#,
                    r#"{"id":"c","contact_details":2}"#,
                ],
            ),
            (
                "root_contact_details",
                &[
                    r#"{"id":0,"index":0,"contact_details.val.type":"fax","contact_details.val.value":"1"}"#,
                    r#"{"id":0,"index":1,"contact_details.val.type":"phone"}"#,
                    r#"{"id":2,"index":0,"contact_details.val.value":"2"}"#,
                ],
            ),
            (
                "root_links",
                &[
                    r#"{"id":0,"index":0,"links.val":"u"}"#,
                    r#"{"id":0,"index":1,"links.val":"v"}"#,
                ],
            ),
        ],
    );
}

#[test]
fn lists_in_lists_are_children_of_children() {
    check(
        "o struct<a: array<struct<b: array<array<int>>>>>",
        &[
            r#"{"o":{"a":[{"b":[[1,2],[]]},{"b":[[3]]}]}}"#,
            r#"{"o":{"a":[{"b":[null]}]}}"#,
        ],
        &[
            ("root", &[r#"{"o.a":0}"#, r#"{"o.a":1}"#]),
            (
                "root_o.a",
                &[
                    r#"{"id":0,"index":0,"o.a.val.b":0}"#,
                    r#"{"id":0,"index":1,"o.a.val.b":1}"#,
                    r#"{"id":1,"index":0,"o.a.val.b":2}"#,
                ],
            ),
            (
                "root_o.a.val.b",
                &[
                    r#"{"id":0,"index":0,"o.a.val.b.val":0}"#,
                    r#"{"id":0,"index":1,"o.a.val.b.val":1}"#,
                    r#"{"id":1,"index":0,"o.a.val.b.val":2}"#,
                    r#"{"id":2,"index":0}"#,
                ],
            ),
            (
                "root_o.a.val.b.val",
                &[
                    r#"{"id":0,"index":0,"o.a.val.b.val.val":1}"#,
                    r#"{"id":0,"index":1,"o.a.val.b.val.val":2}"#,
                    r#"{"id":2,"index":0,"o.a.val.b.val.val":3}"#,
                ],
            ),
        ],
    );
}

#[test]
fn maps_become_tables_with_keys() {
    check(
        "m map<string, struct<x: int>>",
        &[r#"{"m":{"a":{"x":1},"b":{}}}"#, "{}"],
        &[
            ("root", &[r#"{"m":0}"#, "{}"]),
            (
                "root_m",
                &[
                    r#"{"id":0,"index":0,"m.key":"a","m.val.x":1}"#,
                    r#"{"id":0,"index":1,"m.key":"b"}"#,
                ],
            ),
        ],
    );
}

#[test]
fn keys_go_on_within_a_file_and_begin_anew_with_the_next() {
    let batch = batch_of("l array<int>", &[r#"{"l":[1]}"#, r#"{"l":[2]}"#]);
    let mut relationalizer = Relationalize::new("r").start(batch.schema()).unwrap();
    let mut ids = |file| {
        let batches = relationalizer.push(file, &batch).unwrap();
        batches[1]
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    };
    assert_eq!(ids(0), [0, 1]);
    assert_eq!(ids(0), [2, 3]);
    let base = 7 << ROW_BITS;
    assert_eq!(ids(7), [base, base + 1]);
    assert!(relationalizer.push(6, &batch).is_err());
    assert!(relationalizer.push(1 << 23, &batch).is_err());
    assert!(relationalizer.push(8, &batch_of("l int", &[])).is_err());
}

#[test]
fn names_that_meet_are_refused() {
    for ddl in [
        "`a.b` int, a struct<b: int>",
        "A struct<b: int>, a struct<b: int>",
        "`a.b` array<int>, a struct<b: array<int>>",
    ] {
        let error = Relationalize::new("r")
            .plan(&parse_ddl(ddl).unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("a.b"), "{error}");
    }
}

/// Joins tables back into nested rows.
struct Join<'a> {
    tables: &'a [Table],
    batches: &'a [RecordBatch],
    /// By table and `id`: the rows, by `index`.
    elements: Vec<BTreeMap<i64, Vec<usize>>>,
}

impl<'a> Join<'a> {
    fn new(tables: &'a [Table], batches: &'a [RecordBatch]) -> Self {
        let elements = batches
            .iter()
            .zip(tables)
            .map(|(batch, table)| {
                let mut elements: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
                if table.parent.is_some() {
                    let ids = batch.column(0).as_primitive::<Int64Type>();
                    let positions = batch.column(1).as_primitive::<Int32Type>();
                    for row in 0..batch.num_rows() {
                        let rows = elements.entry(ids.value(row)).or_default();
                        assert_eq!(usize::try_from(positions.value(row)).unwrap(), rows.len());
                        rows.push(row);
                    }
                }
                elements
            })
            .collect();
        Self {
            tables,
            batches,
            elements,
        }
    }

    fn fields(&self, fields: &Fields, prefix: &str, table: usize, row: usize) -> Value {
        let mut object = Map::new();
        for field in fields {
            let path = format!("{prefix}{}", field.name());
            let value = self.value(field, &path, table, row);
            if !value.is_null() {
                object.insert(field.name().clone(), value);
            }
        }
        Value::Object(object)
    }

    fn scalar(&self, path: &str, table: usize, row: usize) -> Value {
        let column = self.batches[table].column_by_name(path).unwrap();
        let single = StructArray::from(vec![(
            Arc::new(Field::new("v", column.data_type().clone(), true)),
            column.slice(row, 1),
        )]);
        let text = json_strings(&single).unwrap();
        let object: Value = serde_json::from_str(text.as_string::<i32>().value(0)).unwrap();
        object.get("v").cloned().unwrap_or(Value::Null)
    }

    fn value(&self, field: &Field, path: &str, table: usize, row: usize) -> Value {
        match field.data_type() {
            DataType::Struct(fields) => {
                let present = self.batches[table].column_by_name(&format!("{path}.present"));
                if present.is_some_and(|it| !it.as_boolean().value(row)) {
                    return Value::Null;
                }
                self.fields(fields, &format!("{path}."), table, row)
            }
            DataType::List(element) => self.elements(path, table, row, |child, row| {
                self.value(element, &format!("{path}.val"), child, row)
            }),
            DataType::Map(entries, _) => {
                let (_, value) = map_entries(entries).unwrap();
                let pairs = self.elements(path, table, row, |child, row| {
                    let keys = self.batches[child].column_by_name(&format!("{path}.key"));
                    let key = formatted(keys.unwrap().as_ref(), row).unwrap();
                    let value = self.value(value, &format!("{path}.val"), child, row);
                    Value::Array(vec![key.into(), value])
                });
                let Value::Array(pairs) = pairs else {
                    return Value::Null;
                };
                let pairs = pairs
                    .iter()
                    .map(|it| (it[0].as_str().unwrap().to_owned(), it[1].clone()));
                Value::Object(pairs.collect())
            }
            _ => self.scalar(path, table, row),
        }
    }

    fn elements(
        &self,
        path: &str,
        table: usize,
        row: usize,
        each: impl Fn(usize, usize) -> Value,
    ) -> Value {
        let key = self.batches[table].column_by_name(path).unwrap();
        if key.is_null(row) {
            return Value::Null;
        }
        let key = key.as_primitive::<Int64Type>().value(row);
        let is_child = |it: &Table| {
            it.parent
                .as_ref()
                .is_some_and(|it| it.table == table && it.column == path)
        };
        let child = self.tables.iter().position(is_child).unwrap();
        let rows = self.elements[child].get(&key);
        Value::Array(
            rows.into_iter()
                .flatten()
                .map(|row| each(child, *row))
                .collect(),
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_is_lost(schema in arbitrary::schema(), seed in any::<u64>(), cut in 0..8usize) {
        let batch = random_batch(&schema, 8, seed);
        let options = Relationalize::new("root").with_presence(true);
        let Ok(mut relationalizer) = options.start(batch.schema()) else {
            // Names that meet once they are joined by dots.
            return Ok(());
        };
        // Two batches of one file, which are slices, as batches often are.
        let parts = [batch.slice(0, cut), batch.slice(cut, 8 - cut)];
        let outputs: Vec<_> = parts.iter().map(|it| relationalizer.push(3, it).unwrap()).collect();
        let tables = relationalizer.tables().to_vec();
        let joined: Vec<RecordBatch> = tables.iter().enumerate().map(|(at, table)| {
            prop_assert_eq!(outputs[0][at].schema(), Arc::clone(&table.schema));
            Ok(concat_batches(&table.schema, [&outputs[0][at], &outputs[1][at]]).unwrap())
        }).collect::<Result<_, TestCaseError>>()?;

        let join = Join::new(&tables, &joined);
        let texts = rows(&batch);
        for (row, text) in texts.iter().enumerate() {
            let expected: Value = serde_json::from_str(text).unwrap();
            prop_assert_eq!(join.fields(schema.fields(), "", 0, row), expected);
        }

        // Cut anywhere, or run again: the same tables.
        let mut again = Relationalize::new("root").with_presence(true).start(batch.schema()).unwrap();
        prop_assert_eq!(again.push(3, &batch).unwrap(), joined);
    }
}
