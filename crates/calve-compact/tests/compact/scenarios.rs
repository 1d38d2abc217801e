//! Cases of Spark's suite that stand for themselves: see `tests/SCENARIOS.md`.

use std::sync::Arc;

use calve_catalog::Catalog;
use iceberg::spec::FormatVersion;

use crate::faulty::{Fault, Faulty};
use crate::races::meanwhile;
use crate::world::{Change, World};
use crate::{Home, check_fixed, compact, counts};

/// Files of which every row is deleted go, and no empty one comes.
#[tokio::test(flavor = "multi_thread")]
async fn files_without_rows_leave_none_behind() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        for partitioned in [false, true] {
            let world = World::new(version, partitioned).await;
            world.change(&Change::Append(30)).await;
            let all = Change::Positions {
                rest: 0,
                of: 1,
                age: 0,
                by_file: true,
            };
            world.change(&all).await;
            assert_eq!(world.len(), 0);
            let compact = || world.compact().with_option("delete-file-threshold", "1");
            let report = compact().await.unwrap();
            assert!(report.rewritten_data_files_count > 0);
            assert_eq!(report.added_data_files_count, 0);
            let table = world.table().await;
            let snapshot = table.metadata().current_snapshot().unwrap();
            let totals = &snapshot.summary().additional_properties;
            assert_eq!(totals["total-data-files"], "0");
            assert_eq!(totals["total-records"], "0");
            world.check("all gone").await;
            check_fixed(compact).await;
        }
    }
}

/// Compacts a table while another writer deletes rows by a value. Gives the table, and what the compaction did.
async fn deleted_meanwhile(option: &str) -> (World, calve_compact::Report) {
    let world = Arc::new(World::new(FormatVersion::V2, true).await);
    for _ in 0..3 {
        world.change(&Change::Append(40)).await;
    }
    let other = Arc::clone(&world);
    let before = world.len();
    let deletes = meanwhile(move || async move { other.change(&Change::Equality(4)).await });
    let report = world
        .compact()
        .with_option("use-starting-sequence-number", option)
        .with_progress(deletes)
        .await
        .unwrap();
    assert!(world.len() < before, "{option}");
    (Arc::into_inner(world).unwrap(), report)
}

/// Equality deletes of a commit that came meanwhile apply to what was rewritten, too: it keeps the sequence number at
/// which the run began. Without that, what they apply to is not committed.
#[tokio::test(flavor = "multi_thread")]
async fn equality_deletes_of_a_commit_meanwhile_apply() {
    let (world, report) = deleted_meanwhile("true").await;
    assert!(report.rewritten_data_files_count > 0);
    assert_eq!(report.failed_data_files_count, 0);
    assert!(world.delete_files().await > 0);
    world.check("with the starting sequence number").await;

    let (world, report) = deleted_meanwhile("false").await;
    assert_eq!(report.rewritten_data_files_count, 0);
    assert!(report.failed_data_files_count > 0);
    world.check("without").await;
}

/// A commit that fails for sure leaves nothing; of one that nobody knows of, nothing is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn outputs_go_only_where_the_commit_failed_for_sure() {
    for (fault, is_unknown) in [(Fault::Fails, false), (Fault::VanishesUnknown, true)] {
        let home = Home::new().await;
        home.plain(6).await;
        let metadata = home.table().await.metadata_location().clone();
        let faulty: Arc<dyn Catalog> = Faulty::new(&home.catalog, [fault]);
        let result = compact(&faulty).await;
        let failed = match &result {
            Ok(report) => report.failed_data_files_count == 6,
            Err(_) => true,
        };
        assert!(failed, "{result:?}");
        assert_eq!(*home.table().await.metadata_location(), metadata);
        assert_eq!(home.orphans().await.is_empty(), !is_unknown, "{result:?}");
        // The next run does what this one could not.
        let report = home.compact().await.unwrap();
        assert_eq!(counts(&report), (6, 1, 60, 0));
    }
}

/// A commit that took place is one, whatever the catalog says.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_landed_is_a_success() {
    for fault in [Fault::LandsAsConflict, Fault::LandsUnknown] {
        let home = Home::new().await;
        home.plain(6).await;
        let before = home.rows("SELECT * FROM db.t").await;
        let faulty: Arc<dyn Catalog> = Faulty::new(&home.catalog, [fault]);
        let report = compact(&faulty).await.unwrap();
        assert_eq!(counts(&report), (6, 1, 60, 0));
        assert_eq!(home.rows("SELECT * FROM db.t").await, before);
        assert_eq!(home.orphans().await, [""; 0]);
        check_fixed(|| home.compact()).await;
    }
}
