//! Record batches into tables, read back by others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Error as CatalogError, Result as CatalogResult, Table};
use calve_migrate::ingest::{OnNewColumns, StreamError};
use calve_migrate::{Error, Ingest, PartitionBy};
use calve_storage::Storage;
use calve_testkit::python;
use futures::StreamExt;
use iceberg::spec::TableMetadataBuildResult;
use serde_json::{Value, json};

use crate::support::Home;

/// Rows of `id int, place struct<city>`.
fn first() -> RecordBatch {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Oslo"), None, Some("Bergen")]));
    let place = StructArray::from(vec![(
        Arc::new(Field::new("city", DataType::Utf8, true)),
        city,
    )]);
    let id: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    RecordBatch::try_from_iter([("id", id), ("place", Arc::new(place) as ArrayRef)]).unwrap()
}

/// Rows of `id long, place struct<city, zip>, note`: wider, deeper and more.
fn second() -> RecordBatch {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Nuuk")]));
    let zip: ArrayRef = Arc::new(Int32Array::from(vec![Some(3900)]));
    let place = StructArray::from(vec![
        (Arc::new(Field::new("city", DataType::Utf8, true)), city),
        (Arc::new(Field::new("zip", DataType::Int32, true)), zip),
    ]);
    let id: ArrayRef = Arc::new(Int64Array::from(vec![5_000_000_000]));
    let note: ArrayRef = Arc::new(StringArray::from(vec!["new"]));
    RecordBatch::try_from_iter([
        ("note", note),
        ("id", id),
        ("place", Arc::new(place) as ArrayRef),
    ])
    .unwrap()
}

fn ingest(home: &Home, batches: Vec<RecordBatch>) -> Ingest {
    let schema = batches[0].schema();
    let rows = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
    Ingest::new(
        Arc::clone(&home.catalog),
        "db.t".parse().unwrap(),
        schema,
        rows,
    )
}

async fn read(home: &Home) -> [Value; 2] {
    let table = home.table("db.t").await.unwrap();
    let metadata = table.metadata_location().as_str().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        ["duckdb", "pyiceberg"].map(|reader| {
            let arguments = ["--metadata", &metadata, "--reader", reader, "--rows"];
            python::run_file("read_table.py", &arguments)["rows"].clone()
        })
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_created_and_grows_with_the_rows() {
    let home = Home::new().await;
    let report = ingest(&home, vec![first(), first()])
        .with_partition_by(PartitionBy::parse("bucket(2, id)").unwrap())
        .await
        .unwrap();
    assert!(report.plan.creates_table);
    assert_eq!(report.added_records_count, 6);
    assert_eq!(report.plan.partition_by, ["id_bucket: bucket[2]"]);
    let report = ingest(&home, vec![second()]).await.unwrap();
    assert_eq!(
        report.plan.schema_changes,
        [
            "column `id` widened from int to long",
            "column `place.zip` added: int",
            "column `note` added: string",
        ]
    );
    let expected = json!([
        [1, {"city": "Oslo", "zip": null}, null],
        [1, {"city": "Oslo", "zip": null}, null],
        [2, {"city": null, "zip": null}, null],
        [2, {"city": null, "zip": null}, null],
        [3, {"city": "Bergen", "zip": null}, null],
        [3, {"city": "Bergen", "zip": null}, null],
        [5_000_000_000_i64, {"city": "Nuuk", "zip": 3900}, "new"],
    ]);
    assert_eq!(read(&home).await, [expected.clone(), expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_must_not_grow_stays_as_it_is() {
    let home = Home::new().await;
    ingest(&home, vec![first()]).await.unwrap();
    let before = home.warehouse_files();
    let error = ingest(&home, vec![second()])
        .with_on_new_columns(OnNewColumns::Fail)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "table db.t lacks what the rows have: column `id` widened from int to long (and 2 more)"
    );
    assert_eq!(home.warehouse_files(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_stop_coming_leave_nothing() {
    let home = Home::new().await;
    let broken: StreamError = "line 7: `</b>` closes `<a>`".into();
    let rows = futures::stream::iter(vec![Ok(first()), Err(broken)]).boxed();
    let ident = "db.t".parse().unwrap();
    let operation = Ingest::new(Arc::clone(&home.catalog), ident, first().schema(), rows);
    let error = operation.await.unwrap_err();
    assert_eq!(error.to_string(), "line 7: `</b>` closes `<a>`");
    assert!(home.table("db.t").await.is_none());
    assert_eq!(home.warehouse_files(), Vec::<String>::new());
}

/// A catalog whose next commit lands, is reported as a conflict, and after which no table can be read.
#[derive(Debug)]
struct Troubled {
    inner: Arc<dyn Catalog>,
    is_down: AtomicBool,
}

#[async_trait]
impl Catalog for Troubled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn storage(&self) -> &Storage {
        self.inner.storage()
    }

    async fn list_namespaces(&self) -> CatalogResult<Vec<Vec<String>>> {
        self.inner.list_namespaces().await
    }

    async fn create_namespace(&self, name: &[String], of: &Properties) -> CatalogResult<()> {
        self.inner.create_namespace(name, of).await
    }

    async fn list_tables(&self, namespace: Option<&[String]>) -> CatalogResult<Vec<TableIdent>> {
        self.inner.list_tables(namespace).await
    }

    async fn load_table(&self, ident: &TableIdent) -> CatalogResult<Table> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(CatalogError::TableNotFound {
                catalog: "troubled".to_owned(),
                ident: ident.clone(),
            });
        }
        self.inner.load_table(ident).await
    }

    async fn default_location(&self, ident: &TableIdent) -> CatalogResult<Location> {
        self.inner.default_location(ident).await
    }

    async fn commit(
        &self,
        ident: &TableIdent,
        base: Option<&Table>,
        build: TableMetadataBuildResult,
    ) -> CatalogResult<Table> {
        self.inner.commit(ident, base, build).await?;
        self.is_down.store(true, Ordering::SeqCst);
        Err(CatalogError::CommitConflict {
            ident: ident.clone(),
        })
    }

    async fn register_table(&self, ident: &TableIdent, at: &Location) -> CatalogResult<Table> {
        self.inner.register_table(ident, at).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> CatalogResult<()> {
        self.inner.drop_table(ident).await
    }
}

/// While nobody knows whether the commit took place, the data files stay: here it did.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_unknown_outcome_loses_nothing() {
    let home = Home::new().await;
    ingest(&home, vec![first()]).await.unwrap();
    let troubled = Arc::new(Troubled {
        inner: Arc::clone(&home.catalog),
        is_down: AtomicBool::new(false),
    });
    let rows = futures::stream::iter(vec![Ok(first())]).boxed();
    let ident = "db.t".parse().unwrap();
    let error = Ingest::new(troubled, ident, first().schema(), rows)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Table(error) if error.is_outcome_unknown()),
        "{error}"
    );
    let [duckdb, pyiceberg] = read(&home).await;
    assert_eq!(duckdb.as_array().unwrap().len(), 6);
    assert_eq!(duckdb, pyiceberg);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_both_land() {
    let home = Home::new().await;
    ingest(&home, vec![first()]).await.unwrap();
    let (left, right) = tokio::join!(ingest(&home, vec![first()]), ingest(&home, vec![first()]));
    assert!(left.unwrap().snapshot_id.is_some() && right.unwrap().snapshot_id.is_some());
    let [duckdb, pyiceberg] = read(&home).await;
    assert_eq!(duckdb.as_array().unwrap().len(), 9);
    assert_eq!(duckdb, pyiceberg);
}
