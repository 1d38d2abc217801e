//! Others commit while files are rewritten.

use std::sync::{Arc, Mutex};

use calve_base::{Location, Progress};
use calve_catalog::Catalog;
use calve_table::{ReplaceFiles, Transaction, WrittenManifests, new_snapshot_id};
use iceberg::spec::{SnapshotReference, SnapshotRetention};

use crate::{Home, add, check_fixed, counts, ident};

/// Does something once, when the first rows are rewritten and nothing is committed yet.
struct Meanwhile(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Progress for Meanwhile {
    fn started(&self, _stage: &'static str, _total: Option<u64>) {}

    fn advanced(&self, _stage: &'static str, _count: u64) {
        if let Some(action) = self.0.lock().unwrap().take() {
            action();
        }
    }

    fn finished(&self, _stage: &'static str) {}
}

/// Runs something on a thread and a runtime of its own, and waits for it.
pub(crate) fn meanwhile<F: Future<Output = ()>>(
    action: impl FnOnce() -> F + Send + 'static,
) -> Arc<dyn Progress> {
    let action = move || {
        let thread = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(action());
        });
        thread.join().unwrap();
    };
    Arc::new(Meanwhile(Mutex::new(Some(Box::new(action)))))
}

/// Removes the file of a table that holds a value.
async fn remove_file(catalog: &Arc<dyn Catalog>, path: &str) {
    let table = catalog.load_table(&ident()).await.unwrap();
    let removed = vec![Location::parse(path).unwrap()];
    let removal = ReplaceFiles::new(new_snapshot_id(), removed, WrittenManifests::default());
    Transaction::new(Arc::clone(catalog), table)
        .with_snapshot(removal)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_others_add_stay() {
    let home = Home::new().await;
    let count = home.plain(6).await;
    let catalog = Arc::clone(&home.catalog);
    let other = home.folder.path().join("other");
    let values: Vec<i64> = (1_000..1_010).collect();
    let rows = calve_testkit::lakes::batch(vec![(
        "n",
        Arc::new(arrow::array::Int64Array::from(values)) as _,
    )]);
    calve_testkit::lakes::write_parquet(&other.join("a.parquet"), &rows);
    let adds = meanwhile(move || async move { add(&catalog, other).await });
    let report = home.compact().with_progress(adds).await.unwrap();
    assert_eq!(counts(&report), (6, 1, count, 0));
    assert_eq!(
        home.rows("SELECT count(*) AS c, sum(n) AS s FROM db.t")
            .await,
        ["| 70 | 11815 |"]
    );
    assert_eq!(home.orphans().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_removed_does_not_come_back() {
    let home = Home::new().await;
    home.weather(40, 1).await;
    home.weather(40, 2).await;
    let before = home.rows("SELECT * FROM db.t").await.len() as u64;
    let plan = home.compact().plan().await.unwrap();
    let victim = plan.groups[0].files[0].file.clone();
    let (catalog, path) = (Arc::clone(&home.catalog), victim.path.clone());
    let removes = meanwhile(move || async move { remove_file(&catalog, &path).await });
    let report = home.compact().with_progress(removes).await.unwrap();
    // Its group is dropped, the others are committed.
    assert_eq!(
        report.failed_data_files_count,
        plan.groups[0].files_count as u64
    );
    assert_eq!(report.failures.len(), 1);
    assert_eq!(
        report.rewritten_data_files_count,
        (plan.files_count() - plan.groups[0].files_count) as u64
    );
    let after = home.rows("SELECT * FROM db.t").await.len() as u64;
    assert_eq!(after, before - victim.record_count);
    assert_eq!(home.orphans().await, [""; 0]);
    // What is left of the group goes with the next run.
    home.compact().await.unwrap();
    check_fixed(|| home.compact()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_compactions_at_once_do_no_harm() {
    let home = Home::new().await;
    home.plain(6).await;
    let before = home.rows("SELECT * FROM db.t").await;
    let other = home.compact();
    let others = meanwhile(move || async move {
        other.await.unwrap();
    });
    let report = home.compact().with_progress(others).await.unwrap();
    assert_eq!(counts(&report), (0, 0, 0, 6));
    assert_eq!(home.rows("SELECT * FROM db.t").await, before);
    assert_eq!(home.orphans().await, [""; 0]);
}

/// Sets the table back to the snapshot before the current one.
async fn roll_back(catalog: &Arc<dyn Catalog>) {
    let table = catalog.load_table(&ident()).await.unwrap();
    let current = table.metadata().current_snapshot().unwrap();
    let earlier = current.parent_snapshot_id().unwrap();
    Transaction::new(Arc::clone(catalog), table)
        .with_metadata_change(Arc::new(move |_, builder| {
            let branch = SnapshotRetention::branch(None, None, None);
            Ok(builder.set_ref("main", SnapshotReference::new(earlier, branch))?)
        }))
        .await
        .unwrap();
}

/// What was read may have been undone: it does not come back by a compaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_set_back_is_not_committed_to() {
    let home = Home::new().await;
    home.plain(6).await;
    home.plain_again(6).await;
    let catalog = Arc::clone(&home.catalog);
    let sets_back = meanwhile(move || async move { roll_back(&catalog).await });
    let first = home.compact().with_where("n < 60");
    let error = first.with_progress(sets_back).await.unwrap_err();
    assert!(
        error.to_string().contains("is not in its history any more"),
        "{error}"
    );
    assert_eq!(
        home.rows("SELECT count(*) AS c FROM db.t").await,
        ["| 60 |"]
    );
    assert_eq!(home.orphans().await, [""; 0]);
}

/// All or nothing: groups that were written already are deleted with the one that cannot be.
#[tokio::test(flavor = "multi_thread")]
async fn one_group_that_fails_takes_the_others_with_it() {
    let home = Home::new().await;
    home.weather(40, 1).await;
    home.weather(40, 2).await;
    let metadata = home.table().await.metadata_location().clone();
    let plan = home.compact().plan().await.unwrap();
    let last = plan.groups.last().unwrap().files[0].file.path.clone();
    fs_err::remove_file(last.trim_start_matches("file://")).unwrap();
    home.compact().await.unwrap_err();
    assert_eq!(*home.table().await.metadata_location(), metadata);
    assert_eq!(home.orphans().await, [""; 0]);
    // With partial progress the others land.
    let report = home
        .compact()
        .with_option("partial-progress.enabled", "true")
        .await
        .unwrap();
    assert_eq!(
        report.failed_data_files_count,
        plan.groups.last().unwrap().files_count as u64
    );
    assert!(report.rewritten_data_files_count > 0);
}

/// Without its input a group cannot be written: nothing is committed and nothing left.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_ends_the_run() {
    let home = Home::new().await;
    home.plain(6).await;
    let metadata = home.table().await.metadata_location().clone();
    fs_err::remove_file(home.folder.path().join("plain/003.parquet")).unwrap();
    let error = home.compact().await.unwrap_err();
    assert!(error.to_string().contains("003.parquet"), "{error}");
    assert_eq!(*home.table().await.metadata_location(), metadata);
    assert_eq!(home.orphans().await, [""; 0]);
}
