//! A catalog in memory, and a lake whose rows are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use calve_base::{Location, Properties};
use calve_catalog::Catalog;
use calve_lake::{LakeOptions, Source};
use calve_migrate::{AddFiles, OnUnsafe};
use calve_query::LakeFormat;
use calve_testkit::lakes;
use calve_verify::{Verify, VerifySource};
use serde_json::{Value, json};

pub(crate) struct Home {
    folder: tempfile::TempDir,
    pub(crate) catalog: Arc<dyn Catalog>,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let properties = Properties::from([
            ("type".to_owned(), "memory".to_owned()),
            ("warehouse".to_owned(), format!("{path}/warehouse")),
        ]);
        let catalog = calve_catalog::open("default", properties).await.unwrap();
        Self { folder, catalog }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn source(&self, name: &str) -> Source {
        Source::Location(Location::parse(self.path(name).to_str().unwrap()).unwrap())
    }

    pub(crate) async fn add(&self, lake: &str, table: &str) -> i64 {
        let table = table.parse().unwrap();
        let add = AddFiles::new(Arc::clone(&self.catalog), self.source(lake), table)
            .with_on_unsafe(OnUnsafe::Allow);
        add.await.unwrap().snapshot_id.unwrap()
    }

    pub(crate) fn verify(&self, lake: &str, table: &str) -> Verify {
        let source = VerifySource::Lake {
            source: self.source(lake),
            options: Box::new(LakeOptions::default()),
            format: LakeFormat::Parquet,
        };
        Verify::new(Arc::clone(&self.catalog), source, table.parse().unwrap())
    }
}

/// The rows of each partition.
pub(crate) type Rows = BTreeMap<&'static str, Vec<Value>>;

pub(crate) fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let item = Arc::new(field("element", DataType::Utf8));
    let info = Fields::from(vec![
        field("city", DataType::Utf8),
        field("tags", DataType::List(item)),
    ]);
    Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("name", DataType::Utf8),
        field("amount", DataType::Decimal128(9, 2)),
        field("score", DataType::Float64),
        field(
            "at",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ),
        field("info", DataType::Struct(info)),
    ]))
}

pub(crate) const HOUR: i64 = 3_600_000_000;

pub(crate) fn rows() -> Rows {
    let row = |id: i32| {
        json!({"id": id, "name": format!("name {id}"), "amount": id * 101, "score": f64::from(id) * 0.1,
            "at": 1_714_521_600_000_000_i64 + i64::from(id) * HOUR,
            "info": {"city": format!("city {id}"), "tags": ["a", format!("{id}")]}})
    };
    let mut odd = row(3);
    odd["name"] = Value::Null;
    let mut empty = row(4);
    empty["name"] = json!("");
    empty["info"]["tags"] = json!([]);
    Rows::from([("1", vec![row(1), row(2), odd]), ("2", vec![empty, row(5)])])
}

pub(crate) fn write(lake: &Path, rows: &Rows) {
    for (day, rows) in rows {
        let path = lake.join(format!("day={day}/part-0.parquet"));
        lakes::write_parquet(&path, &lakes::from_json(schema(), rows));
    }
}

/// Changes a cell of the first partition.
pub(crate) fn cell(rows: &mut Rows, row: usize, path: &str, value: Value) {
    *rows.get_mut("1").unwrap()[row].pointer_mut(path).unwrap() = value;
}
