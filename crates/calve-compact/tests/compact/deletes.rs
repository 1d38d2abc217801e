//! Deletes that a rewrite leaves behind.

use iceberg::spec::FormatVersion;

use calve_compact::{Compact, RewriteDeletes};
use calve_table::Transaction;

use crate::lineage::lineage;
use crate::world::{Change, World};
use crate::{check_fixed, ident, read};

/// Deletes of a whole partition stay while they may apply, and go when they do not.
#[tokio::test(flavor = "multi_thread")]
async fn dangling_deletes_are_removed() {
    for is_partitioned in [false, true] {
        let world = World::new(FormatVersion::V2, is_partitioned).await;
        world.change(&Change::Append(60)).await;
        let positions = Change::Positions {
            rest: 0,
            of: 3,
            age: 0,
            by_file: false,
        };
        world.change(&positions).await;
        world.change(&Change::Equality(4)).await;
        let before = world.delete_files().await;
        assert!(before > 0);
        // They apply to files that stay.
        let none = || {
            world
                .compact()
                .with_option("min-input-files", "100")
                .with_option("remove-dangling-deletes", "true")
        };
        assert_eq!(none().await.unwrap().removed_delete_files_count, 0);
        assert_eq!(world.delete_files().await, before);

        let all = world.compact().with_option("rewrite-all", "true");
        all.await.unwrap();
        let left = world.delete_files().await;
        assert!(left > 0);
        world.check("rewritten").await;
        // A commit after it, to which they do not apply either.
        world.change(&Change::Append(5)).await;
        let report = none().await.unwrap();
        assert_eq!(report.removed_delete_files_count, left as u64);
        assert_eq!(world.delete_files().await, 0);
        world.check("removed").await;
        assert_eq!(none().await.unwrap().snapshot_ids, [0_i64; 0]);
    }
}

/// The position deletes of the very snapshot that was read do not make its rewritten files candidates again.
#[tokio::test(flavor = "multi_thread")]
async fn any_threshold_comes_to_an_end() {
    for is_partitioned in [false, true] {
        let world = World::new(FormatVersion::V2, is_partitioned).await;
        world.change(&Change::Append(60)).await;
        let positions = Change::Positions {
            rest: 0,
            of: 2,
            age: 0,
            by_file: false,
        };
        world.change(&positions).await;
        let compact = || {
            world
                .compact()
                .with_option("delete-file-threshold", "1")
                .with_option("min-input-files", "100")
        };
        let report = compact().await.unwrap();
        assert!(report.rewritten_data_files_count > 0);
        assert!(world.delete_files().await > 0);
        world.check("rewritten").await;
        check_fixed(compact).await;
    }
}

fn rewrite_deletes(world: &World) -> RewriteDeletes {
    RewriteDeletes::new(std::sync::Arc::clone(&world.catalog), ident())
        .with_option("min-input-files", "2")
}

/// Deletes of several commits, by file and by partition, some of them of files that are gone.
async fn with_deletes(is_partitioned: bool) -> World {
    let world = World::new(FormatVersion::V2, is_partitioned).await;
    for rest in 0..4 {
        world.change(&Change::Append(40)).await;
        let positions = Change::Positions {
            rest,
            of: 7,
            age: 0,
            by_file: rest % 2 == 0,
        };
        world.change(&positions).await;
    }
    // Its deletes are of a file that is gone.
    let one = world.compact().with_option("rewrite-all", "true");
    one.with_where("id < 30 AND p = 1").await.unwrap();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_leaves_partitions_out() {
    let world = with_deletes(true).await;
    let all = rewrite_deletes(&world).plan().await.unwrap();
    let some = || rewrite_deletes(&world).with_where("p = 1 AND id >= 0");
    let plan = some().plan().await.unwrap();
    let partitions = |plan: &calve_compact::rewrite_deletes::Plan| {
        let groups = plan.groups.iter();
        groups
            .map(|group| group.partition.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(partitions(&plan), ["p=1"]);
    assert_eq!(partitions(&all), ["p=0", "p=1", "p=2"]);
    let report = some().await.unwrap();
    assert_eq!(
        report.rewritten_delete_files_count,
        plan.groups[0].files_count as u64
    );
    world.check("rewritten").await;
    assert_eq!(some().plan().await.unwrap().groups.len(), 0);
    let left = rewrite_deletes(&world).plan().await.unwrap();
    assert_eq!(partitions(&left), ["p=0", "p=2"]);
    let wrong = rewrite_deletes(&world).with_where("nothing = 1");
    assert!(
        wrong
            .plan()
            .await
            .unwrap_err()
            .to_string()
            .contains("nothing")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_files_become_fewer() {
    for is_partitioned in [false, true] {
        let world = with_deletes(is_partitioned).await;
        let before = world.delete_files().await;
        let plan = rewrite_deletes(&world).plan().await.unwrap();
        assert!(!plan.groups.is_empty());
        let report = rewrite_deletes(&world).await.unwrap();
        let after = world.delete_files().await as u64;
        assert_eq!(report.added_delete_files_count, after);
        assert_eq!(report.rewritten_delete_files_count, before as u64);
        assert!(report.dropped_positions_count > 0, "{report:?}");
        assert!(after <= 3, "{report:?}");
        world.check("rewritten").await;
        let again = rewrite_deletes(&world).await.unwrap();
        assert_eq!(again, calve_compact::rewrite_deletes::Report::default());
        let table = world.table().await;
        let found = ["duckdb", "pyiceberg"].map(|reader| read(reader, &table)["rows"].clone());
        assert_eq!(found[0], found[1]);
        assert_eq!(found[0].as_array().unwrap().len(), world.len());
        let unknown = rewrite_deletes(&world).with_option("rewrite-job-order", "none");
        assert!(unknown.plan().await.is_err());
        // A data file goes with its deletes as before.
        let all = world.compact().with_option("rewrite-all", "true");
        all.await.unwrap();
        world.check("compacted").await;
    }
}

/// Each partition is a commit of its own; one whose delete files others take away meanwhile does not keep the others
/// from being committed.
#[tokio::test(flavor = "multi_thread")]
async fn partial_progress_commits_what_can_be() {
    let partial = |world: &World| {
        rewrite_deletes(world)
            .with_option("partial-progress.enabled", "true")
            .with_option("partial-progress.max-commits", "3")
    };
    let world = with_deletes(true).await;
    let report = partial(&world).await.unwrap();
    assert_eq!(report.snapshot_ids.len(), 3, "{report:?}");
    assert_eq!(report.failures, [""; 0]);
    world.check("all").await;
    assert_eq!(partial(&world).await.unwrap().snapshot_ids, [0_i64; 0]);

    for is_partial in [true, false] {
        let world = with_deletes(true).await;
        let catalog = std::sync::Arc::clone(&world.catalog);
        let others = crate::races::meanwhile(move || async move {
            let compact = Compact::new(catalog, ident()).with_option("rewrite-all", "true");
            compact.with_where("p = 2").await.unwrap();
        });
        let rewrite = if is_partial {
            partial(&world)
        } else {
            rewrite_deletes(&world)
        };
        let outcome = rewrite.with_progress(others).await;
        if is_partial {
            let report = outcome.unwrap();
            assert_eq!(report.snapshot_ids.len(), 2, "{report:?}");
            assert_eq!(report.failures.len(), 1, "{report:?}");
            assert!(report.failed_delete_files_count > 0, "{report:?}");
        } else {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("not in the table"), "{error}");
        }
        world.check("beside others").await;
        partial(&world).await.unwrap();
        world.check("again").await;
    }
}

/// What does not fit into one file becomes several, and with a delete file for each data file there is an end to it,
/// too.
#[tokio::test(flavor = "multi_thread")]
async fn delete_files_of_other_sizes() {
    let world = with_deletes(false).await;
    world.change(&Change::Append(20_000)).await;
    for rest in 0..2 {
        let positions = Change::Positions {
            rest,
            of: 3,
            age: 0,
            by_file: false,
        };
        world.change(&positions).await;
    }
    let small = || {
        rewrite_deletes(&world)
            .with_option("target-file-size-bytes", "6000")
            .with_option("min-file-size-bytes", "3000")
            .with_option("max-file-size-bytes", "12000")
    };
    let report = small().await.unwrap();
    assert!(report.added_delete_files_count > 1, "{report:?}");
    world.check("small").await;
    assert_eq!(small().await.unwrap().snapshot_ids, [0_i64; 0]);
    let granularity = ("write.delete.granularity".to_owned(), "file".to_owned());
    Transaction::new(std::sync::Arc::clone(&world.catalog), world.table().await)
        .with_properties([granularity].into())
        .await
        .unwrap();
    let by_file = || rewrite_deletes(&world).with_option("rewrite-all", "true");
    by_file().await.unwrap();
    world.check("by file").await;
    assert_eq!(
        rewrite_deletes(&world).await.unwrap().snapshot_ids,
        [0_i64; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn position_deletes_become_deletion_vectors() {
    for is_partitioned in [false, true] {
        let world = with_deletes(is_partitioned).await;
        Transaction::new(std::sync::Arc::clone(&world.catalog), world.table().await)
            .with_metadata_change(std::sync::Arc::new(|_, builder| {
                Ok(builder.upgrade_format_version(FormatVersion::V3)?)
            }))
            .await
            .unwrap();
        world.change(&Change::Append(10)).await;
        let before = lineage(&world.catalog).await;
        let report = rewrite_deletes(&world).await.unwrap();
        assert!(report.added_delete_files_count > 1, "{report:?}");
        world.check("vectors").await;
        assert_eq!(lineage(&world.catalog).await, before);
        let vectors = world.delete_files().await as u64;
        assert_eq!(vectors, report.added_delete_files_count);
        let table = world.table().await;
        let found = read("duckdb", &table);
        assert_eq!(found["rows"].as_array().unwrap().len(), world.len());
        assert_eq!(
            rewrite_deletes(&world).await.unwrap().snapshot_ids,
            [0_i64; 0]
        );
        // Vectors go with their data files.
        let all = world.compact().with_option("rewrite-all", "true");
        let report = all.await.unwrap();
        assert_eq!(report.removed_delete_files_count, vectors);
        assert_eq!(world.delete_files().await, 0);
        world.check("compacted").await;
        assert_eq!(lineage(&world.catalog).await, before);
    }
}
