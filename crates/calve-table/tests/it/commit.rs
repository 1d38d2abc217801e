use std::sync::Arc;

use calve_base::Location;
use calve_catalog::Catalog;
use calve_table::{Append, Error, FileSet, NewTable, Transaction};
use iceberg::spec::FormatVersion;

use crate::faulty::{Fault, Faulty};
use crate::support::{World, append, file, ident};

/// Another writer that appends one file.
fn another(name: &'static str) -> Fault {
    Fault::Before(Box::new(move |catalog| {
        Box::pin(async move {
            let table = catalog.load_table(&ident()).await.unwrap();
            append(&catalog, table, &[name]).await.await.unwrap();
        })
    }))
}

#[tokio::test]
async fn two_racing_appends_are_both_kept() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [another("x"), another("y")]);
    let report = append(&faulty, base, &["ours"]).await.await.unwrap();
    assert_eq!(report.attempts, 3);
    assert_eq!(world.paths(&report.table).await, ["a0", "ours", "x", "y"]);
    let metadata = report.table.metadata();
    assert_eq!(metadata.history().len(), 4);
    assert_eq!(metadata.current_snapshot().unwrap().sequence_number(), 4);
    // One list a snapshot, one manifest an append; the lists of lost attempts are gone.
    let files = world.metadata_files().await;
    let lists = files.iter().filter(|name| name.starts_with("snap-"));
    assert_eq!(lists.count(), 4, "{files:?}");
    let manifests = files.iter().filter(|name| name.contains("-m0.avro"));
    assert_eq!(manifests.count(), 4, "{files:?}");
}

#[tokio::test]
async fn many_writers_at_once() {
    let world = World::new().await;
    let mut new = world.new_table(FormatVersion::V2);
    let retries = ("commit.retry.num-retries".to_owned(), "50".to_owned());
    new.properties.extend([retries]);
    Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .await
        .unwrap();
    let writers = (0..8).map(|index| {
        let catalog = Arc::clone(&world.catalog);
        tokio::spawn(async move {
            let table = catalog.load_table(&ident()).await.unwrap();
            append(&catalog, table, &[&format!("w{index}")])
                .await
                .await
                .unwrap()
        })
    });
    futures::future::join_all(writers).await;
    let table = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(world.paths(&table).await.len(), 8);
    let summary = &table
        .metadata()
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(summary["total-data-files"], "8");
}

#[tokio::test]
async fn a_failure_leaves_the_table_and_no_files() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let before = world.metadata_files().await;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [Fault::Fails]);
    let error = append(&faulty, base.clone(), &["ours"])
        .await
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Catalog(_)), "{error}");
    assert_eq!(world.metadata_files().await, before);
    let now = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(now.metadata(), base.metadata());
}

#[tokio::test]
async fn retries_end() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let others = ["v", "w", "x", "y", "z"];
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, others.map(another));
    let error = append(&faulty, base, &["ours"]).await.await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Catalog(calve_catalog::Error::CommitConflict { .. })
        ),
        "{error}"
    );
    let now = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(world.paths(&now).await, ["a0", "v", "w", "x", "y", "z"]);
    let files = world.metadata_files().await;
    let manifests = files.iter().filter(|name| name.contains("-m0.avro"));
    assert_eq!(manifests.count(), 6, "{files:?}");
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_by_reading_the_table_again() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [Fault::LandsUnknown]);
    let report = append(&faulty, base, &["ours"]).await.await.unwrap();
    assert_eq!(world.paths(&report.table).await, ["a0", "ours"]);
    assert_eq!(report.table.metadata().history().len(), 2);
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_deletes_nothing() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let before = world.metadata_files().await;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [Fault::VanishesUnknown]);
    let error = append(&faulty, base, &["ours"]).await.await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Catalog(calve_catalog::Error::CommitStateUnknown { .. })
        ),
        "{error}"
    );
    let now = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(world.paths(&now).await, ["a0"]);
    // It may land yet: its manifest and its list are still there.
    assert_eq!(world.metadata_files().await.len(), before.len() + 2);
}

#[tokio::test]
async fn a_commit_that_landed_after_all_is_not_made_twice() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [Fault::LandsAsConflict]);
    let report = append(&faulty, base, &["ours"]).await.await.unwrap();
    assert_eq!(world.paths(&report.table).await, ["a0", "ours"]);
    assert_eq!(report.table.metadata().history().len(), 2);
}

#[tokio::test]
async fn files_that_another_writer_added_meanwhile_are_refused() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let existing = FileSet::of_table(&base, 4).await.unwrap();
    assert_eq!(existing.len(), 1);
    assert!(existing.contains(&world.location().join("data/a0")));

    let mut ours = FileSet::new();
    assert!(ours.insert(&world.location().join("data/same")));
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [another("same")]);
    let error = append(&faulty, base, &["same"])
        .await
        .with_new_files(Arc::new(ours))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Duplicates { count: 1, first, .. } if first[0].ends_with("/same")),
        "{error}"
    );
    let now = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(world.paths(&now).await, ["a0", "same"]);
}

#[tokio::test]
async fn the_callers_own_conditions_are_checked_again() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [another("x")]);
    let error = append(&faulty, base, &["ours"])
        .await
        .with_revalidation(Arc::new(|before, now| {
            Box::pin(async move {
                assert_eq!(before.metadata().history().len(), 1);
                assert_eq!(now.metadata().history().len(), 2);
                Err(Error::NoSnapshot {
                    ident: now.ident().clone(),
                    wanted: "of ours".to_owned(),
                })
            })
        }))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NoSnapshot { .. }), "{error}");
}

#[tokio::test]
async fn a_table_is_not_created_twice() {
    let world = World::new().await;
    world.create(FormatVersion::V2, &[Some(1)]).await;
    let before = world.metadata_files().await;
    let new = NewTable {
        uuid: uuid::Uuid::from_u128(8),
        ..world.new_table(FormatVersion::V2)
    };
    let metadata = new.clone().into_metadata().unwrap();
    let (id, written) = world
        .write(&metadata, [file(&world.location(), "x", None)])
        .await;
    let error = Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .with_snapshot(Append::new(id, written))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Catalog(calve_catalog::Error::TableExists { .. })
        ),
        "{error}"
    );
    assert_eq!(world.metadata_files().await, before);
}

#[tokio::test]
async fn metadata_goes_where_the_table_says() {
    let world = World::new().await;
    let mut new = world.new_table(FormatVersion::V2);
    let elsewhere =
        Location::parse(format!("{}/elsewhere", world.folder.path().display())).unwrap();
    new.properties
        .insert("write.metadata.path".to_owned(), elsewhere.to_string());
    let metadata = new.clone().into_metadata().unwrap();
    let (id, written) = world
        .write(&metadata, [file(&world.location(), "x", None)])
        .await;
    let report = Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .with_snapshot(Append::new(id, written))
        .await
        .unwrap();
    let snapshot = report.table.metadata().current_snapshot().unwrap();
    assert!(snapshot.manifest_list().starts_with(elsewhere.as_str()));
    let manifests = calve_table::load_manifests(world.storage(), snapshot)
        .await
        .unwrap();
    assert!(manifests[0].manifest_path.starts_with(elsewhere.as_str()));
}

#[tokio::test]
async fn nothing_to_change_commits_nothing() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let report = Transaction::new(Arc::clone(&world.catalog), base.clone())
        .with_schema(base.metadata().current_schema().as_ref().clone())
        .await
        .unwrap();
    assert_eq!(report.table.metadata_location(), base.metadata_location());
    assert_eq!(report.snapshot_id, None);
}

#[tokio::test]
async fn a_last_attempt_that_landed_after_all_is_a_success() {
    let world = World::new().await;
    let mut new = world.new_table(FormatVersion::V2);
    let retries = ("commit.retry.num-retries".to_owned(), "0".to_owned());
    new.properties.extend([retries]);
    let base = Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .await
        .unwrap()
        .table;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [Fault::LandsAsConflict]);
    let report = append(&faulty, base, &["ours"]).await.await.unwrap();
    assert_eq!(world.paths(&report.table).await, ["ours"]);
}

#[tokio::test]
async fn a_change_of_properties_follows_the_table() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, [another("x")]);
    let report = Transaction::new(faulty, base)
        .with_properties([("k".to_owned(), "v".to_owned())].into())
        .await
        .unwrap();
    assert_eq!(report.attempts, 2);
    assert_eq!(report.table.metadata().properties()["k"], "v");
    assert_eq!(world.paths(&report.table).await, ["a0", "x"]);
}
