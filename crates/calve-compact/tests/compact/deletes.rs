//! Deletes that a rewrite leaves behind.

use iceberg::spec::FormatVersion;

use crate::check_fixed;
use crate::world::{Change, World};

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
