//! Snapshots expire, and their files with them; the names in brackets are Iceberg's own tests of the same.

use std::sync::Arc;

use calve_catalog::Catalog;
use calve_compact::expire::Report;
use calve_compact::{CleanUpLevel, ExpireSnapshots, FileKind};
use iceberg::spec::{
    DataContentType, FormatVersion, NestedField, PartitionStatisticsFile, PrimitiveType, Schema,
    SnapshotRetention, StatisticsFile, Transform, Type, UnboundPartitionSpec,
};

use crate::faulty::{Fault, Faulty};
use crate::world::{World, ident, set_ref};

/// The counts of a report: data, position deletes, equality deletes, manifests, lists, statistics.
fn counts(report: &Report) -> [u64; 6] {
    [
        report.deleted_data_files_count,
        report.deleted_position_delete_files_count,
        report.deleted_equality_delete_files_count,
        report.deleted_manifest_files_count,
        report.deleted_manifest_lists_count,
        report.deleted_statistics_files_count,
    ]
}

/// `testFilesCleaned`, `testExpireOlderThanWithDelete`, `testCleanupRepeatedOverwrites`.
#[tokio::test]
async fn what_was_replaced_goes() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let world = World::new(version).await;
        let first = world.append(&["a", "b"]).await;
        let second = world.replace(&["a"], &["c"]).await;
        let third = world.replace(&["b", "c"], &["d"]).await;
        let rows = world.rows().await;
        let plan = world.expire().plan().await.unwrap();
        let report = world.expire().await.unwrap();
        assert_eq!(report.expired_snapshot_ids, [first, second], "{version:?}");
        assert_eq!(counts(&report)[..3], [3, 0, 0], "{version:?}");
        assert_eq!(report.deleted_manifest_lists_count, 2);
        let planned = |kind| plan.files_by_kind.get(&kind).copied().unwrap_or_default();
        assert_eq!(planned(FileKind::Data), report.deleted_data_files_count);
        assert_eq!(
            planned(FileKind::Manifest),
            report.deleted_manifest_files_count
        );
        assert_eq!(planned(FileKind::ManifestList), 2);
        assert_eq!(world.rows().await[&third], rows[&third]);
        world.check_clean().await;
        // There is nothing left to do.
        let again = world.expire().await.unwrap();
        assert_eq!(again, Report::default());
    }
}

/// `testExpireOlderThanWithDeleteFile`: deletes that only an expired branch has.
#[tokio::test]
async fn deletes_of_a_branch_go_with_it() {
    let world = World::new(FormatVersion::V2).await;
    let main = world.append(&["a"]).await;
    let mut files = Vec::new();
    for (content, name) in [
        (DataContentType::PositionDeletes, "p"),
        (DataContentType::EqualityDeletes, "e"),
        (DataContentType::Data, "b"),
    ] {
        files.push(world.file_of(content, name, 1).await);
    }
    let tip = world.append_to("dev", files).await;
    world.remove_ref("dev").await;
    let report = world.expire().await.unwrap();
    assert_eq!(report.expired_snapshot_ids, [tip]);
    assert_eq!(counts(&report), [1, 1, 1, 2, 1, 0]);
    assert_eq!(world.snapshot_ids().await, [main].into());
    world.check_clean().await;
}

/// `testScanExpiredManifestInValidSnapshotAppend`: a manifest of an expired snapshot that was written anew has
/// files that are live elsewhere.
#[tokio::test]
async fn live_files_of_an_expired_manifest_stay() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a", "b"]).await;
    world.replace(&["a"], &["c"]).await;
    world.append(&["d"]).await;
    let report = world.expire().await.unwrap();
    assert_eq!(counts(&report)[..3], [1, 0, 0]);
    assert!(report.deleted_manifest_files_count >= 1);
    let disk = world.on_disk().await;
    for (name, is_there) in [("a", false), ("b", true), ("c", true), ("d", true)] {
        assert_eq!(disk.contains(&format!("data/{name}")), is_there, "{name}");
    }
    world.check_clean().await;
}

/// `testWithExpiringDanglingStageCommit`, `testWithCherryPickTableSnapshot`,
/// `testWithExpiringStagedThenCherrypick`.
#[tokio::test]
async fn staged_snapshots_go_and_what_was_picked_of_them_stays() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    let staged = world.file("staged", 1).await;
    let picked = world.file("picked", 1).await;
    let first = world.append_to("wap-1", vec![staged]).await;
    world.remove_ref("wap-1").await;
    let second = world.append_to("wap-2", vec![picked.clone()]).await;
    world.remove_ref("wap-2").await;
    // Cherry-picked: the same file in a snapshot of main's own.
    world.append_to("main", vec![picked]).await;
    let report = world
        .expire()
        .with_older_than_ms(0)
        .with_snapshot_id(first)
        .with_snapshot_id(second)
        .await
        .unwrap();
    assert_eq!(report.expired_snapshot_ids, [first, second]);
    assert_eq!(counts(&report), [1, 0, 0, 2, 2, 0]);
    world.check_clean().await;
    let disk = world.on_disk().await;
    assert!(!disk.contains("data/staged") && disk.contains("data/picked"));
}

/// `testExpireOlderThanWithRollback`, `testExpireOlderThanWithRollbackAndMergedManifests`.
#[tokio::test]
async fn what_was_rolled_back_goes() {
    let world = World::new(FormatVersion::V2).await;
    let first = world.append(&["a", "b"]).await;
    let second = world.replace(&["a"], &["c"]).await;
    world.branch("main", first).await;
    let third = world.append(&["d"]).await;
    let report = world.expire().with_retain_last(2).await.unwrap();
    assert_eq!(report.expired_snapshot_ids, [second]);
    assert_eq!(report.deleted_data_files_count, 1);
    assert_eq!(world.snapshot_ids().await, [first, third].into());
    world.check_clean().await;
}

/// A file that was removed and added again is live.
#[tokio::test]
async fn files_that_came_back_stay() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a", "b"]).await;
    world.replace(&["a"], &[]).await;
    let back = world.file("a", 1).await;
    world.append_to("main", vec![back]).await;
    let report = world.expire().await.unwrap();
    assert_eq!(report.deleted_data_files_count, 0);
    world.check_clean().await;
    assert!(world.on_disk().await.contains("data/a"));
}

#[tokio::test]
async fn tags_and_branches_keep_their_files_until_they_go() {
    let world = World::new(FormatVersion::V2).await;
    let first = world.append(&["a"]).await;
    world.tag("v1", first).await;
    world.replace(&["a"], &["b"]).await;
    let dev = world.file("x", 1).await;
    let tip = world.append_to("dev", vec![dev]).await;
    let last = world.replace(&["b"], &["c"]).await;
    let rows = world.rows().await;
    let report = world.expire().await.unwrap();
    assert_eq!(world.snapshot_ids().await, [first, tip, last].into());
    assert_eq!(report.deleted_data_files_count, 0);
    let after = world.rows().await;
    assert!(after.iter().all(|(id, found)| *found == rows[id]));
    world.check_clean().await;
    // Their time comes.
    let max_ref_age_ms = Some(1);
    world
        .set_ref("v1", first, SnapshotRetention::Tag { max_ref_age_ms })
        .await;
    let retention = SnapshotRetention::branch(Some(5), None, Some(1));
    world.set_ref("dev", tip, retention).await;
    let report = world.expire().await.unwrap();
    assert_eq!(report.removed_references, ["dev", "v1"]);
    assert_eq!(report.deleted_data_files_count, 3);
    assert_eq!(world.ref_names().await, ["main"]);
    world.check_clean().await;
}

#[tokio::test]
async fn a_table_that_does_not_own_its_files_keeps_them() {
    let world = World::with_properties(FormatVersion::V2, &[("gc.enabled", "false")]).await;
    world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    let before = (world.on_disk().await, world.snapshot_ids().await);
    for refused in [
        world.expire().await.unwrap_err(),
        world.expire().plan().await.map(|_| ()).unwrap_err(),
        world
            .expire()
            .with_clean_up(CleanUpLevel::MetadataOnly)
            .await
            .unwrap_err(),
    ] {
        assert!(
            refused.to_string().contains("gc.enabled=false"),
            "{refused}"
        );
    }
    assert_eq!((world.on_disk().await, world.snapshot_ids().await), before);
    let report = world
        .expire()
        .with_clean_up(CleanUpLevel::None)
        .await
        .unwrap();
    assert_eq!(
        (report.expired_snapshot_ids.len(), counts(&report)),
        (1, [0; 6])
    );
    assert!(world.on_disk().await.is_superset(&before.0));
}

#[tokio::test]
async fn metadata_alone_can_go() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    let report = world
        .expire()
        .with_clean_up(CleanUpLevel::MetadataOnly)
        .await
        .unwrap();
    assert_eq!(counts(&report), [0, 0, 0, 1, 1, 0]);
    assert!(world.on_disk().await.contains("data/a"));
}

#[tokio::test]
async fn what_cannot_expire_is_refused() {
    let world = World::new(FormatVersion::V2).await;
    let empty = world.expire().await.unwrap();
    assert_eq!(empty, Report::default());
    let first = world.append(&["a"]).await;
    let last = world.append(&["b"]).await;
    world.tag("v1", first).await;
    let metadata = world.table().await.metadata_location().clone();
    let expire = || ExpireSnapshots::new(Arc::clone(&world.catalog), ident());
    for (operation, message) in [
        (
            expire().with_snapshot_id(last),
            format!("snapshot {last} cannot expire: it is named by `main`"),
        ),
        (
            expire().with_snapshot_id(first),
            format!("snapshot {first} cannot expire: it is named by `v1`"),
        ),
        (
            expire().with_snapshot_id(7),
            "table db.t has no snapshot 7".to_owned(),
        ),
        (
            expire().with_retain_last(0),
            "option retain_last=0: at least one snapshot stays".to_owned(),
        ),
    ] {
        assert_eq!(operation.plan().await.unwrap_err().to_string(), message);
        assert_eq!(operation.await.unwrap_err().to_string(), message);
    }
    assert_eq!(*world.table().await.metadata_location(), metadata);
}

/// Statistics go with their snapshot, unless another has the same file.
#[tokio::test]
async fn statistics_go_with_their_snapshots() {
    let world = World::new(FormatVersion::V2).await;
    let first = world.append(&["a"]).await;
    let second = world.append(&["b"]).await;
    let third = world.append(&["c"]).await;
    let path = |name: &str| world.location().join(&format!("metadata/{name}"));
    for name in ["one.stats", "shared.stats", "parts.stats"] {
        world
            .storage()
            .write(&path(name), "s".into())
            .await
            .unwrap();
    }
    let statistics = |snapshot_id, name: &str| StatisticsFile {
        snapshot_id,
        statistics_path: path(name).to_string(),
        file_size_in_bytes: 1,
        file_footer_size_in_bytes: 1,
        key_metadata: None,
        blob_metadata: Vec::new(),
    };
    let all = [
        statistics(first, "one.stats"),
        statistics(second, "shared.stats"),
        statistics(third, "shared.stats"),
    ];
    let of_partitions = PartitionStatisticsFile {
        snapshot_id: first,
        statistics_path: path("parts.stats").to_string(),
        file_size_in_bytes: 1,
    };
    world
        .change(Arc::new(move |_, mut builder| {
            for statistics in &all {
                builder = builder.set_statistics(statistics.clone());
            }
            Ok(builder.set_partition_statistics(of_partitions.clone()))
        }))
        .await;
    world.check_clean().await;
    let report = world.expire().await.unwrap();
    assert_eq!(report.expired_snapshot_ids, [first, second]);
    assert_eq!(report.deleted_statistics_files_count, 2);
    world.check_clean().await;
    assert!(world.on_disk().await.contains("metadata/shared.stats"));
}

/// `testNoExpiredMetadataCleanupByDefault`, `testCleanExpiredMetadata`.
#[tokio::test]
async fn schemas_and_specs_go_when_asked_for() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    let wider = Schema::builder()
        .with_fields([
            NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "part", Type::Primitive(PrimitiveType::Int)).into(),
            NestedField::optional(3, "new", Type::Primitive(PrimitiveType::Int)).into(),
        ])
        .build()
        .unwrap();
    world
        .change(Arc::new(move |_, builder| {
            let spec = UnboundPartitionSpec::builder()
                .add_partition_field(2, "bucket", Transform::Bucket(4))?
                .build();
            Ok(builder
                .add_current_schema(wider.clone())?
                .add_default_partition_spec(spec)?)
        }))
        .await;
    world.replace(&["a"], &[]).await;
    world.append(&["b"]).await;
    let ids = |table: &calve_catalog::Table| {
        (
            table.metadata().schemas_iter().len(),
            table.metadata().partition_specs_iter().len(),
        )
    };
    // The manifest that says that `a` is gone is of the old spec.
    let kept = world
        .expire()
        .with_retain_last(2)
        .with_clean_expired_metadata(true);
    let plan = kept.plan().await.unwrap();
    assert_eq!((plan.schema_ids, plan.spec_ids), (vec![0], vec![]));
    world.expire().await.unwrap();
    assert_eq!(ids(&world.table().await), (2, 2));
    let report = world
        .expire()
        .with_clean_expired_metadata(true)
        .await
        .unwrap();
    assert_eq!(
        (&report.removed_schema_ids, &report.removed_spec_ids),
        (&vec![0], &vec![0])
    );
    assert_eq!(ids(&world.table().await), (1, 1));
    world.check_clean().await;
}

/// A file that somebody deleted already is no error, whichever it is.
#[tokio::test]
async fn what_is_gone_already_is_no_error() {
    for kind in [FileKind::Data, FileKind::Manifest, FileKind::ManifestList] {
        let world = World::new(FormatVersion::V2).await;
        world.append(&["a"]).await;
        world.replace(&["a"], &["b"]).await;
        let plan = world.expire().plan().await.unwrap();
        let victim = plan.files.iter().find(|file| file.kind == kind).unwrap();
        fs_err::remove_file(&victim.file).unwrap();
        let report = world.expire().await.unwrap();
        assert_eq!(report.failed, [], "{kind:?}");
        assert_eq!(report.expired_snapshot_ids.len(), 1);
    }
}

/// What an expired snapshot has can stay unread; what the table has cannot.
#[tokio::test]
async fn unreadable_metadata_never_cost_a_file() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    let plan = world.expire().plan().await.unwrap();
    let doomed = plan
        .files
        .iter()
        .find(|file| file.kind == FileKind::Manifest)
        .unwrap();
    fs_err::write(&doomed.file, "no manifest").unwrap();
    let report = world.expire().await.unwrap();
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].location, doomed.file);
    assert_eq!(counts(&report), [0, 0, 0, 0, 1, 0]);

    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    let before = world.on_disk().await;
    let snapshot = world.table().await;
    let snapshot = snapshot.metadata().current_snapshot().unwrap();
    let manifests = calve_table::load_manifests(world.storage(), snapshot)
        .await
        .unwrap();
    let live = manifests.iter().find(|it| it.has_added_files()).unwrap();
    fs_err::write(&live.manifest_path, "no manifest").unwrap();
    let error = world.expire().await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("1 snapshots of db.t expired, but"),
        "{error}"
    );
    assert!(world.on_disk().await.is_superset(&before));
}

/// Runs an expiry while something happens to its commit.
async fn beside(world: &World, faults: Vec<Fault>) -> calve_compact::Result<Report> {
    let catalog: Arc<dyn Catalog> = Faulty::new(&world.catalog, faults);
    world.expire_in(&catalog).await
}

#[tokio::test]
async fn nothing_is_deleted_while_the_outcome_is_unknown() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    let before = world.on_disk().await;
    for fault in [Fault::VanishesUnknown, Fault::Fails] {
        beside(&world, vec![fault]).await.unwrap_err();
        assert_eq!(world.on_disk().await, before);
        assert_eq!(world.snapshot_ids().await.len(), 2);
    }
    // The commit took place, and the table says so, whatever the catalog answers.
    let report = beside(&world, vec![Fault::LandsUnknown]).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 1, 1, 0]);
    world.check_clean().await;
    // What landed as a conflict is seen to be nobody's work: the files are left to the removal of orphans.
    world.replace(&["b"], &["c"]).await;
    let report = beside(&world, vec![Fault::LandsAsConflict]).await.unwrap();
    assert_eq!(report, Report::default());
    assert!(world.on_disk().await.contains("data/b"));
}

#[tokio::test]
async fn what_others_do_meanwhile_counts() {
    // They name a snapshot that was to expire.
    let world = World::new(FormatVersion::V2).await;
    let first = world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    world.append(&["c"]).await;
    let max_ref_age_ms = None;
    let names = Fault::Before(Box::new(move |catalog| {
        Box::pin(async move {
            set_ref(
                &catalog,
                "v1",
                first,
                SnapshotRetention::Tag { max_ref_age_ms },
            )
            .await;
        })
    }));
    let report = beside(&world, vec![names]).await.unwrap();
    assert_eq!(report.expired_snapshot_ids.len(), 1);
    assert!(world.snapshot_ids().await.contains(&first));
    world.check_clean().await;
    // They expire the same.
    world.remove_ref("v1").await;
    let others = world.expire();
    let expires = Fault::Before(Box::new(move |_| {
        Box::pin(async move {
            others.await.unwrap();
        })
    }));
    let report = beside(&world, vec![expires]).await.unwrap();
    assert_eq!(report, Report::default());
    world.check_clean().await;
    // They say that the files are not the table's.
    world.append(&["d"]).await;
    let catalog = Arc::clone(&world.catalog);
    let disowns = Fault::Before(Box::new(move |_| {
        Box::pin(async move {
            let table = catalog.load_table(&ident()).await.unwrap();
            calve_table::Transaction::new(catalog, table)
                .with_properties([("gc.enabled".to_owned(), "false".to_owned())].into())
                .await
                .unwrap();
        })
    }));
    let ids = world.snapshot_ids().await;
    beside(&world, vec![disowns]).await.unwrap_err();
    assert_eq!(world.snapshot_ids().await, ids);
}

/// Metadata of format version 1 keep branches and tags that would be lost here.
#[tokio::test]
async fn tags_of_format_version_1_are_not_lost() {
    let world = World::new(FormatVersion::V1).await;
    let first = world.append(&["a"]).await;
    world.append(&["b"]).await;
    let location = world.table().await.metadata_location().to_string();
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs_err::read(&location).unwrap()).unwrap();
    document["refs"] = serde_json::json!({"v1": {"snapshot-id": first, "type": "tag"}});
    fs_err::write(&location, document.to_string()).unwrap();
    let error = world.expire().await.unwrap_err();
    assert!(
        error.to_string().contains("branches and tags: v1"),
        "{error}"
    );
    assert_eq!(world.snapshot_ids().await.len(), 2);
}
