//! A table that stays in step with a lake that goes on changing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};
use calve_catalog::{Catalog, Error as CatalogError, Table};
use calve_lake::Source;
use calve_migrate::sync::{OnChanged, OnDeleted, Report};
use calve_migrate::{AddFiles, Sync};
use calve_storage::Storage;
use calve_table::Scan;
use calve_testkit::{lakes, python, s3};
use futures::TryStreamExt;
use iceberg::spec::{Operation, TableMetadataBuildResult};

use crate::support::Home;

fn write(lake: &Path, name: &str, ids: std::ops::Range<i64>) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    lakes::write_parquet(&lake.join(name), &batch);
}

/// A lake of three files in two partitions.
fn lake(home: &Home) -> PathBuf {
    let lake = home.lake();
    write(&lake, "day=1/a.parquet", 0..10);
    write(&lake, "day=1/b.parquet", 10..20);
    write(&lake, "day=2/c.parquet", 20..30);
    lake
}

fn sync(home: &Home) -> Sync {
    with(&home.catalog, &home.lake())
}

fn with(catalog: &Arc<dyn Catalog>, lake: &Path) -> Sync {
    let source = Source::Location(Location::parse(lake.to_str().unwrap()).unwrap());
    Sync::new(Arc::clone(catalog), source, "db.t".parse().unwrap())
}

/// What a run found: added, unchanged, changed, replaced, missing, removed.
fn counts(report: &Report) -> [u64; 6] {
    [
        report.added_files_count,
        report.unchanged_files_count,
        report.changed_files_count,
        report.replaced_files_count,
        report.missing_files_count,
        report.removed_files_count,
    ]
}

/// How many rows a foreign reader finds, and the sum of their ids.
fn read(reader: &str, report: &Report) -> (i64, i64) {
    let location = report.metadata_location.as_ref().unwrap().to_string();
    let found = python::run_file(
        "read_table.py",
        &["--reader", reader, "--rows", "--metadata", &location],
    );
    let names: Vec<&String> = found["columns"].as_object().unwrap().keys().collect();
    let id = names.iter().position(|name| *name == "id").unwrap();
    let rows = found["rows"].as_array().unwrap();
    let sum = rows.iter().map(|row| row[id].as_i64().unwrap()).sum();
    (found["count"].as_i64().unwrap(), sum)
}

#[track_caller]
fn check_read(report: &Report, ids: impl Iterator<Item = i64>) {
    let ids: Vec<i64> = ids.collect();
    let expected = (i64::try_from(ids.len()).unwrap(), ids.iter().sum());
    for reader in ["pyiceberg", "duckdb"] {
        assert_eq!(read(reader, report), expected, "{reader}");
    }
}

/// How many rows the table has, by its files and by what it says of itself.
async fn check_rows(home: &Home, expected: usize) {
    let table = home.table("db.t").await.unwrap();
    let files = Scan::new(table.clone()).plan().await.unwrap();
    let files: Vec<_> = files.try_collect().await.unwrap();
    let rows: u64 = files.iter().map(|it| it.file.record_count).sum();
    assert_eq!(rows, expected as u64);
    let summary = table.metadata().current_snapshot().unwrap().summary();
    assert_eq!(
        summary.additional_properties["total-records"],
        expected.to_string()
    );
}

fn operation(table: &Table) -> Operation {
    let snapshot = table.metadata().current_snapshot().unwrap();
    snapshot.summary().operation.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_follows_its_lake() {
    let home = Home::new().await;
    let lake = lake(&home);
    let first = sync(&home).await.unwrap();
    assert_eq!(counts(&first), [3, 0, 0, 0, 0, 0]);
    check_rows(&home, 30).await;

    // Nothing new: nothing is written.
    let files = home.warehouse_files();
    let again = sync(&home).await.unwrap();
    assert!(again.up_to_date && again.is_in_step());
    assert_eq!(again.snapshot_id, None);
    assert_eq!(home.warehouse_files(), files);

    // A new file, in a new partition.
    write(&lake, "day=3/d.parquet", 30..40);
    let planned = sync(&home).plan().await.unwrap();
    assert_eq!(counts(&planned), [1, 3, 0, 0, 0, 0]);
    assert_eq!(home.warehouse_files(), files);
    let second = sync(&home).await.unwrap();
    assert_eq!(counts(&second), [1, 3, 0, 0, 0, 0]);
    let table = home.table("db.t").await.unwrap();
    assert_eq!(operation(&table), Operation::Append);
    check_rows(&home, 40).await;

    // A file changed: told until it is replaced.
    write(&lake, "day=1/b.parquet", 100..105);
    for _ in 0..2 {
        let kept = sync(&home).await.unwrap();
        assert_eq!(counts(&kept), [0, 3, 1, 0, 0, 0]);
        assert!(kept.changed_files[0].as_str().ends_with("day=1/b.parquet"));
        assert!(!kept.is_in_step() && kept.snapshot_id.is_none());
    }
    let replaced = sync(&home)
        .with_on_changed(OnChanged::Replace)
        .await
        .unwrap();
    assert_eq!(counts(&replaced), [1, 3, 1, 1, 0, 0]);
    assert!(replaced.is_in_step());
    let table = home.table("db.t").await.unwrap();
    assert_eq!(operation(&table), Operation::Overwrite);
    let expected = || (0..10).chain(20..40).chain(100..105);
    check_rows(&home, expected().count()).await;
    assert!(sync(&home).await.unwrap().up_to_date);

    // A file vanished: told until it is removed.
    fs_err::remove_file(lake.join("day=2/c.parquet")).unwrap();
    for _ in 0..2 {
        let kept = sync(&home).await.unwrap();
        assert_eq!(counts(&kept), [0, 3, 0, 0, 1, 0]);
        assert!(kept.missing_files[0].as_str().ends_with("day=2/c.parquet"));
        assert!(!kept.is_in_step());
    }
    let removed = sync(&home)
        .with_on_deleted(OnDeleted::Remove)
        .await
        .unwrap();
    assert_eq!(counts(&removed), [0, 3, 0, 0, 1, 1]);
    let table = home.table("db.t").await.unwrap();
    assert_eq!(operation(&table), Operation::Delete);
    check_read(&removed, (0..10).chain(30..40).chain(100..105));
    assert!(sync(&home).await.unwrap().up_to_date);
    // One fingerprint is left, and one property names it.
    let files = home.warehouse_files();
    let fingerprints = files.iter().filter(|it| it.ends_with(".fingerprint"));
    assert_eq!(fingerprints.count(), 1, "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once_is_one_snapshot() {
    let home = Home::new().await;
    let lake = lake(&home);
    sync(&home).await.unwrap();
    write(&lake, "day=1/a.parquet", 200..207);
    fs_err::remove_file(lake.join("day=1/b.parquet")).unwrap();
    write(&lake, "day=9/z.parquet", 300..303);
    let report = sync(&home)
        .with_on_changed(OnChanged::Replace)
        .with_on_deleted(OnDeleted::Remove)
        .await
        .unwrap();
    assert_eq!(counts(&report), [2, 1, 1, 1, 1, 1]);
    check_read(&report, (20..30).chain(200..207).chain(300..303));
    let table = home.table("db.t").await.unwrap();
    assert_eq!(table.metadata().snapshots().count(), 2);
    let summary = table.metadata().current_snapshot().unwrap().summary();
    assert_eq!(summary.additional_properties["total-records"], "20");
}

/// A table that `add-files` made has no fingerprint yet: its own files tell what is known.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_never_synchronized_is_taken_as_it_is() {
    let home = Home::new().await;
    let lake = lake(&home);
    home.add("db.t").await.unwrap();
    write(&lake, "day=2/new.parquet", 40..45);
    fs_err::remove_file(lake.join("day=1/a.parquet")).unwrap();
    let report = sync(&home)
        .with_on_deleted(OnDeleted::Remove)
        .await
        .unwrap();
    assert_eq!(counts(&report), [1, 2, 0, 0, 1, 1]);
    check_rows(&home, 25).await;
    assert!(sync(&home).await.unwrap().up_to_date);
    // What else adds the lake's files meanwhile does not double them.
    write(&lake, "day=2/more.parquet", 50..52);
    let add = home
        .add("db.t")
        .with_duplicates(calve_migrate::DuplicateFiles::Skip);
    add.await.unwrap();
    let report = sync(&home).await.unwrap();
    assert_eq!(report.added_files_count, 0);
    check_rows(&home, 27).await;
    assert!(sync(&home).await.unwrap().up_to_date);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_fingerprint_is_no_loss() {
    let home = Home::new().await;
    let lake = lake(&home);
    sync(&home).await.unwrap();
    let files = home.warehouse_files();
    let fingerprint = files
        .iter()
        .find(|it| it.ends_with(".fingerprint"))
        .unwrap();
    fs_err::write(fingerprint, b"damaged").unwrap();
    write(&lake, "day=3/d.parquet", 30..40);
    let report = sync(&home).await.unwrap();
    assert_eq!(counts(&report), [1, 3, 0, 0, 0, 0]);
    check_rows(&home, 40).await;
}

/// A file that is refused is tried again by each run, and nothing is committed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn refused_files_are_tried_again() {
    let home = Home::new().await;
    let lake = lake(&home);
    sync(&home).await.unwrap();
    let bad = lake.join("day=3/bad.parquet");
    fs_err::create_dir_all(bad.parent().unwrap()).unwrap();
    fs_err::write(&bad, b"no parquet at all").unwrap();
    write(&lake, "day=3/good.parquet", 30..40);
    for _ in 0..2 {
        let report = sync(&home).await.unwrap();
        assert_eq!((report.refused_count, report.snapshot_id), (1, None));
        assert!(!report.is_in_step());
    }
    fs_err::remove_file(&bad).unwrap();
    let report = sync(&home).await.unwrap();
    assert_eq!(report.added_files_count, 1);
    check_rows(&home, 40).await;
}

/// A folder that is out of reach empties no table.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_lake_is_an_error() {
    let home = Home::new().await;
    let lake = lake(&home);
    sync(&home).await.unwrap();
    fs_err::remove_dir_all(&lake).unwrap();
    let error = sync(&home)
        .with_on_deleted(OnDeleted::Remove)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("lake"), "{error}");
    let table = home.table("db.t").await.unwrap();
    assert_eq!(table.metadata().snapshots().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_add_no_file_twice() {
    let home = Home::new().await;
    let lake = lake(&home);
    sync(&home).await.unwrap();
    write(&lake, "day=3/d.parquet", 30..40);
    write(&lake, "day=1/b.parquet", 100..105);
    fs_err::remove_file(lake.join("day=1/a.parquet")).unwrap();
    let runs: Vec<_> = (0..4)
        .map(|_| {
            let run = sync(&home)
                .with_on_changed(OnChanged::Replace)
                .with_on_deleted(OnDeleted::Remove);
            tokio::spawn(IntoFuture::into_future(run))
        })
        .collect();
    for run in runs {
        // A run that lost too often says so; none does harm.
        if let Err(error) = run.await.unwrap() {
            assert!(matches!(error, calve_migrate::Error::Table(_)), "{error}");
        }
    }
    let report = sync(&home).await.unwrap();
    assert_eq!(report.refused_count, 0);
    check_rows(&home, 25).await;
}

/// What a run that finds nothing new asks of the store.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_news_lists_once_and_reads_no_file() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let mut properties = server.properties();
    properties.extend([
        ("type".to_owned(), "memory".to_owned()),
        ("warehouse".to_owned(), "s3://lake/warehouse".to_owned()),
    ]);
    let catalog = calve_catalog::open("default", properties).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "day=1/a.parquet", 0..10);
    write(folder.path(), "day=2/b.parquet", 10..20);
    for name in ["day=1/a.parquet", "day=2/b.parquet"] {
        let bytes = fs_err::read(folder.path().join(name)).unwrap();
        let location = Location::parse(format!("s3://lake/source/{name}")).unwrap();
        catalog
            .storage()
            .write(&location, bytes.into())
            .await
            .unwrap();
    }
    let run = || {
        let source = Source::Location(Location::parse("s3://lake/source").unwrap());
        Sync::new(Arc::clone(&catalog), source, "db.t".parse().unwrap())
    };
    assert_eq!(run().await.unwrap().added_files_count, 2);
    let before = server.requests().len();
    let report = run().await.unwrap();
    assert!(report.up_to_date);
    let requests = server.requests();
    let of_source: Vec<_> = requests[before..]
        .iter()
        .filter(|request| request.key.starts_with("source"))
        .collect();
    assert_eq!(of_source.len(), 1, "{of_source:?}");
}

/// How a commit ends that does not just succeed.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Fails,
    LandsUnknown,
    VanishesUnknown,
}

/// A catalog whose next commits end as they are told.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Catalog>,
    faults: Mutex<VecDeque<Fault>>,
}

#[async_trait]
impl Catalog for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn storage(&self) -> &Storage {
        self.inner.storage()
    }

    async fn list_namespaces(&self) -> calve_catalog::Result<Vec<Vec<String>>> {
        self.inner.list_namespaces().await
    }

    async fn create_namespace(
        &self,
        namespace: &[String],
        properties: &Properties,
    ) -> calve_catalog::Result<()> {
        self.inner.create_namespace(namespace, properties).await
    }

    async fn list_tables(
        &self,
        namespace: Option<&[String]>,
    ) -> calve_catalog::Result<Vec<TableIdent>> {
        self.inner.list_tables(namespace).await
    }

    async fn load_table(&self, ident: &TableIdent) -> calve_catalog::Result<Table> {
        self.inner.load_table(ident).await
    }

    async fn default_location(&self, ident: &TableIdent) -> calve_catalog::Result<Location> {
        self.inner.default_location(ident).await
    }

    async fn commit(
        &self,
        ident: &TableIdent,
        base: Option<&Table>,
        build: TableMetadataBuildResult,
    ) -> calve_catalog::Result<Table> {
        let fault = self.faults.lock().unwrap().pop_front();
        let unknown = |location: Location| CatalogError::CommitStateUnknown {
            ident: ident.clone(),
            metadata_location: location,
            source: "no answer".into(),
        };
        match fault {
            None => self.inner.commit(ident, base, build).await,
            Some(Fault::Fails) => Err(CatalogError::TableNotFound {
                catalog: "faulty".to_owned(),
                ident: ident.clone(),
            }),
            Some(Fault::LandsUnknown) => {
                let table = self.inner.commit(ident, base, build).await?;
                Err(unknown(table.metadata_location().clone()))
            }
            Some(Fault::VanishesUnknown) => {
                Err(unknown(Location::parse("/nowhere.metadata.json").unwrap()))
            }
        }
    }

    async fn register_table(
        &self,
        ident: &TableIdent,
        metadata: &Location,
    ) -> calve_catalog::Result<Table> {
        self.inner.register_table(ident, metadata).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> calve_catalog::Result<()> {
        self.inner.drop_table(ident).await
    }
}

/// However a commit ends, the next run brings the table in step, and nothing is doubled or lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_made_good_by_the_next() {
    for fault in [Fault::Fails, Fault::LandsUnknown, Fault::VanishesUnknown] {
        let home = Home::new().await;
        let lake = lake(&home);
        sync(&home).await.unwrap();
        let before = home.warehouse_files();
        write(&lake, "day=1/a.parquet", 200..207);
        fs_err::remove_file(lake.join("day=1/b.parquet")).unwrap();
        write(&lake, "day=9/z.parquet", 300..303);
        let faulty: Arc<dyn Catalog> = Arc::new(Faulty {
            inner: Arc::clone(&home.catalog),
            faults: Mutex::new([fault].into()),
        });
        let whole = |run: Sync| {
            run.with_on_changed(OnChanged::Replace)
                .with_on_deleted(OnDeleted::Remove)
        };
        let outcome = whole(with(&faulty, &lake)).await;
        match fault {
            Fault::LandsUnknown => assert_eq!(counts(&outcome.unwrap()), [2, 1, 1, 1, 1, 1]),
            Fault::Fails => {
                outcome.unwrap_err();
                assert_eq!(home.warehouse_files(), before);
            }
            Fault::VanishesUnknown => drop(outcome.unwrap_err()),
        }
        let report = whole(sync(&home)).await.unwrap();
        assert_eq!(report.refused_count, 0);
        check_rows(&home, 20).await;
        assert!(sync(&home).await.unwrap().up_to_date, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_made_or_not() {
    let home = Home::new().await;
    lake(&home);
    let error = sync(&home).with_create(false).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let planned = sync(&home).plan().await.unwrap();
    assert_eq!(planned.added_files_count, 3);
    assert!(home.table("db.t").await.is_none());
    let add = AddFiles::new(
        Arc::clone(&home.catalog),
        Source::Location(Location::parse(home.lake().to_str().unwrap()).unwrap()),
        "db.other".parse().unwrap(),
    );
    add.await.unwrap();
    sync(&home).await.unwrap();
    assert_eq!(
        home.table("db.t")
            .await
            .unwrap()
            .metadata()
            .snapshots()
            .count(),
        1
    );
}
