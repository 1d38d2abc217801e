//! `Ctas::with_update`: a copy that is kept in step with its lake.

use std::future::IntoFuture;
use std::path::Path;
use std::sync::Arc;

use calve_base::{Location, Properties};
use calve_catalog::Catalog;
use calve_lake::{LakeOptions, Source};
use calve_migrate::ctas::Report;
use calve_migrate::sync::{OnChanged, OnDeleted};
use calve_migrate::{BatchBy, Ctas, CtasSource, Error};
use calve_query::{LakeFormat, Session, SessionOptions};
use calve_table::{Append, ManifestRoller, Scan, Transaction, new_snapshot_id};
use calve_testkit::s3;
use futures::TryStreamExt;
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Struct};
use proptest::prelude::*;

use crate::ctas::{batch, rows, write};
use crate::support::Home;

/// The whole way of keeping in step.
fn follow(catalog: &Arc<dyn Catalog>, lake: &str) -> Ctas {
    let source = CtasSource::Lake {
        source: Source::Location(Location::parse(lake).unwrap()),
        options: Box::new(LakeOptions::default()),
        format: LakeFormat::Parquet,
    };
    Ctas::new(Arc::clone(catalog), source, "db.t".parse().unwrap())
        .with_update(true)
        .with_on_changed(OnChanged::Replace)
        .with_on_deleted(OnDeleted::Remove)
}

/// A copy of a lake that has one file, and how it is brought in step.
async fn copied(file: &str) -> (Home, impl Fn() -> Ctas) {
    let home = Home::new().await;
    let (catalog, lake) = (Arc::clone(&home.catalog), home.lake());
    put(&lake, file, &[1]);
    let follow = move || follow(&catalog, lake.to_str().unwrap());
    follow().await.unwrap();
    (home, follow)
}

fn put(lake: &Path, name: &str, keys: &[i32]) {
    let rows: Vec<_> = keys
        .iter()
        .map(|k| (Some(*k), None, Some(1), None))
        .collect();
    write(&lake.join(name), &batch(&rows));
}

/// What a run that finds nothing new asks of the store, and one that finds a file.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_not_read_again() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let mut properties: Properties = server.properties();
    properties.insert("type".to_owned(), "memory".to_owned());
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    let catalog = calve_catalog::open("default", properties).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let add = |name: &str| {
        put(folder.path(), name, &[1, 2, 3]);
        let bytes = fs_err::read(folder.path().join(name)).unwrap();
        server.put("lake", &format!("source/{name}"), bytes);
    };
    for day in 1..=20 {
        add(&format!("day={day}/a.parquet"));
    }
    let run = || follow(&catalog, "s3://lake/source");
    let of_source = || {
        let requests = server.requests().into_iter();
        let of_source = requests.filter(|request| request.key.starts_with("source"));
        let keys = of_source.map(|request| (request.operation, request.key));
        keys.collect::<Vec<_>>()
    };
    let gets = |file: &str| {
        let requests = of_source().into_iter();
        let of_file = requests
            .filter(|(operation, key)| *operation != s3::Operation::List && key.contains(file));
        of_file.count()
    };
    assert_eq!(run().await.unwrap().added_records_count, 60);
    for round in 0..2 {
        server.forget_requests();
        let report = run().await.unwrap();
        assert_eq!((report.added_records_count, report.plan.batches), (0, 0));
        assert_eq!(gets("parquet"), 0, "{:?}", of_source());
        if round == 1 {
            assert_eq!(of_source().len(), 1, "{:?}", of_source());
        }
    }
    add("day=21/a.parquet");
    server.forget_requests();
    assert_eq!(run().await.unwrap().added_records_count, 3);
    let found = of_source();
    assert_eq!(gets("parquet"), gets("day=21"), "{found:?}");
    assert!(gets("day=21") > 0, "{found:?}");
    // In step already: the listing was that of before, and holds now.
    server.forget_requests();
    assert_eq!(run().await.unwrap().plan.batches, 0);
    assert_eq!(of_source().len(), 1, "{:?}", of_source());
}

/// What the lake holds, as the table should.
async fn check_same(home: &Home, context: &str) {
    let lake = home.lake();
    let lake = lake.to_str().unwrap();
    let columns = "k, arrow_cast(at, 'Timestamp(Microsecond, None)') AS at, name, x";
    let expected = rows(home, &format!("SELECT {columns} FROM '{lake}'")).await;
    let found = rows(home, &format!("SELECT {columns} FROM db.t")).await;
    assert_eq!(found, expected, "{context}");
}

/// A change of the lake.
#[derive(Debug, Clone)]
enum Change {
    /// A file comes, or is another from now on.
    Put(u8, Vec<i32>),
    /// A file goes, unless it is the last one.
    Remove(u8),
    /// The table is brought in step.
    Follow,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        4 => (0..6u8, proptest::collection::vec(0..9i32, 0..4)).prop_map(|(name, keys)| Change::Put(name, keys)),
        2 => (0..6u8).prop_map(Change::Remove),
        2 => Just(Change::Follow),
    ];
    proptest::collection::vec(change, 1..14)
}

async fn check_changes(by: BatchBy, changes: Vec<Change>) {
    let home = Home::new().await;
    let lake = home.lake();
    let follow = || follow(&home.catalog, lake.to_str().unwrap()).with_batch_by(by.clone());
    let mut files = std::collections::BTreeSet::from([9]);
    put(&lake, "9.parquet", &[1]);
    follow().await.unwrap();
    for change in changes.iter().chain([&Change::Follow]) {
        match change {
            Change::Put(name, keys) => {
                put(&lake, &format!("{name}.parquet"), keys);
                files.insert(*name);
            }
            Change::Remove(name) if files.len() > 1 && files.remove(name) => {
                fs_err::remove_file(lake.join(format!("{name}.parquet"))).unwrap();
            }
            Change::Remove(_) => {}
            Change::Follow => {
                let report = follow().await.unwrap();
                assert!(report.plan.is_in_step(), "{changes:?}");
                check_same(&home, &format!("{changes:?}")).await;
                let again: Report = follow().await.unwrap();
                assert_eq!(again.plan.batches, 0, "{changes:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// However a lake changes, its copy has its rows once it is brought in step, and then there is nothing to do.
    #[test]
    fn a_copy_follows_its_lake(changes in changes(), bytes in 1..4000u64) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check_changes(BatchBy::Bytes(bytes), changes));
    }
}

/// Columns that come or change with new files are not lost in silence.
#[tokio::test(flavor = "multi_thread")]
async fn other_columns_are_refused() {
    let (home, follow) = copied("a.parquet").await;
    let lake = home.lake();
    let cases = [
        "SELECT 1::INT AS k, 2 AS more",
        "SELECT 9223372036854775807 AS k",
        "SELECT 'text' AS k",
    ];
    for query in cases {
        let session = Session::new(Arc::clone(&home.catalog), SessionOptions::default()).unwrap();
        let found = session.sql(query).await.unwrap().collect().await.unwrap();
        write(&lake.join("b.parquet"), &found[0]);
        let error = follow().await.unwrap_err();
        let is_refused = matches!(error, Error::CannotUpdate { .. } | Error::Query(_));
        assert!(is_refused, "{query}: {error}");
        fs_err::remove_file(lake.join("b.parquet")).unwrap();
        assert_eq!(follow().await.unwrap().plan.batches, 0, "{query}");
    }
    // What they lack is null.
    let session = Session::new(Arc::clone(&home.catalog), SessionOptions::default()).unwrap();
    let found = session.sql("SELECT 7::INT AS k").await.unwrap();
    write(&lake.join("b.parquet"), &found.collect().await.unwrap()[0]);
    assert_eq!(follow().await.unwrap().added_records_count, 1);
    check_same(&home, "a file with one column").await;
}

/// What others did to the rows of a batch is not undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_others_changed_is_refused() {
    let (home, follow) = copied("a.parquet").await;
    let lake = home.lake();
    put(&lake, "b.parquet", &[2]);
    follow().await.unwrap();
    let table = home.table("db.t").await.unwrap();
    let files: Vec<_> = Scan::new(table.clone())
        .plan()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let first = files
        .iter()
        .min_by_key(|file| file.sequence_number)
        .unwrap();
    let delete = DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path(format!(
            "{}/data/deletes.parquet",
            table.metadata().location()
        ))
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .record_count(1)
        .file_size_in_bytes(10)
        .referenced_data_file(Some(first.file.path.clone()))
        .build()
        .unwrap();
    let id = new_snapshot_id();
    let mut roller = ManifestRoller::new(table.storage(), table.metadata(), id).unwrap();
    roller.add(delete).await.unwrap();
    let append = Append::new(id, roller.finish().await.unwrap());
    let transaction = Transaction::new(Arc::clone(&home.catalog), table);
    transaction.with_snapshot(append).await.unwrap();
    // The other batch can still be done anew.
    put(&lake, "b.parquet", &[3, 4]);
    let report = follow().await.unwrap();
    assert_eq!(
        (report.added_records_count, report.plan.replaced_files_count),
        (2, 1)
    );
    put(&lake, "a.parquet", &[5]);
    let error = follow().await.unwrap_err();
    assert!(
        error.to_string().contains("rows of it were deleted"),
        "{error}"
    );
}

/// Runs at the same time copy nothing twice: one of them does the work, and the others find it done or give up.
#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_copy_no_file_twice() {
    let home = Home::new().await;
    let lake = home.lake();
    let follow = || follow(&home.catalog, lake.to_str().unwrap()).with_batch_by(BatchBy::Bytes(1));
    put(&lake, "a.parquet", &[1]);
    follow().await.unwrap();
    for round in 0..8 {
        put(&lake, &format!("{round}-a.parquet"), &[round]);
        put(&lake, &format!("{round}-b.parquet"), &[round, round]);
        put(&lake, "a.parquet", &[round]);
        let runs = (0..3).map(|_| tokio::spawn(follow().into_future()));
        for run in futures::future::join_all(runs).await {
            let is_expected = match run.unwrap() {
                Ok(_) => true,
                Err(error) => matches!(
                    error,
                    Error::TakenOver { .. }
                        | Error::TargetChanged { .. }
                        | Error::JournalChanged { .. }
                        | Error::Table(_)
                ),
            };
            assert!(is_expected, "round {round}");
        }
        follow().await.unwrap();
        check_same(&home, &format!("round {round}")).await;
    }
}

/// A key whose values mean something else now is no key of the same table.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_type_are_refused() {
    let (home, follow) = copied("code=10/a.parquet").await;
    let lake = home.lake();
    put(&lake, "code=x1/a.parquet", &[1]);
    let error = follow().await.unwrap_err();
    let told = "the partition keys of its source are code: string now, and were code: int";
    assert!(error.to_string().contains(told), "{error}");
}
