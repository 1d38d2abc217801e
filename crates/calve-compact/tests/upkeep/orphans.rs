//! Orphans go, and nothing else; the names in brackets are Iceberg's own tests of the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use calve_base::Location;
use calve_compact::orphans::{KeptReason, OrphanReason, Plan};
use calve_compact::{PrefixMismatchMode, RemoveOrphans};
use iceberg::spec::{
    DataContentType, FormatVersion, StatisticsFile, Transform, UnboundPartitionSpec,
};

use crate::world::{Still, World, data_file, ident};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A removal ten days after everything.
fn later(world: &World) -> RemoveOrphans {
    RemoveOrphans::new(Arc::clone(&world.catalog), ident())
        .with_clock(Arc::new(Still(world.now_ms() + 10 * DAY_MS)))
}

/// Puts files below the table's folder.
async fn put(world: &World, names: &[&str]) {
    for name in names {
        let location = world.location().join(name);
        world.storage().write(&location, "x".into()).await.unwrap();
    }
}

fn orphans(world: &World, plan: &Plan) -> Vec<String> {
    let files = plan.orphans.iter();
    files
        .map(|orphan| world.name(&orphan.orphan_file_location))
        .collect()
}

/// Plans, removes, and looks whether that is what is gone.
#[track_caller]
fn check(world: &World, removal: RemoveOrphans, expected: &[&str]) -> impl Future<Output = Plan> {
    let caller = std::panic::Location::caller();
    async move {
        let before = world.on_disk().await;
        let rows = world.rows().await;
        let plan = removal.plan().await.unwrap();
        assert_eq!(orphans(world, &plan), expected, "{caller}: {plan:#?}");
        assert_eq!(
            world.on_disk().await,
            before,
            "{caller}: a plan deletes nothing"
        );
        let report = removal.clone().await.unwrap();
        assert_eq!(report.deleted_files_count, expected.len() as u64);
        assert_eq!(report.failed, []);
        let gone: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        let left: BTreeSet<String> = before.difference(&gone).cloned().collect();
        assert_eq!(world.on_disk().await, left, "{caller}");
        assert_eq!(world.rows().await, rows, "{caller}");
        // There is nothing left to do.
        assert_eq!(removal.plan().await.unwrap().orphans, [], "{caller}");
        plan
    }
}

/// `testAllValidFilesAreKept`, `testMetadataFolderIsIntact`, `testWapFilesAreKept`,
/// `testRemoveOrphanFilesWithStatisticFiles`.
#[tokio::test]
async fn what_the_table_refers_to_stays() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let world = World::new(version).await;
        world.append(&["a", "b"]).await;
        let second = world.replace(&["a"], &["c"]).await;
        if version == FormatVersion::V2 {
            let mut deletes = Vec::new();
            for (content, name) in [
                (DataContentType::PositionDeletes, "p"),
                (DataContentType::EqualityDeletes, "e"),
            ] {
                deletes.push(world.file_of(content, name, 1).await);
            }
            world.append_to("main", deletes).await;
        }
        if version != FormatVersion::V1 {
            world.tag("v1", second).await;
            let staged = world.file("staged", 1).await;
            world.append_to("wap", vec![staged]).await;
            world.remove_ref("wap").await;
        }
        put(&world, &["metadata/s.stats", "metadata/version-hint.text"]).await;
        let path = world.location().join("metadata/s.stats").to_string();
        world
            .change(Arc::new(move |_, builder| {
                Ok(builder.set_statistics(StatisticsFile {
                    snapshot_id: second,
                    statistics_path: path.clone(),
                    file_size_in_bytes: 1,
                    file_footer_size_in_bytes: 1,
                    key_metadata: None,
                    blob_metadata: Vec::new(),
                }))
            }))
            .await;
        check(&world, later(&world), &[]).await;
        put(&world, &["data/x", "metadata/y.avro", "z"]).await;
        check(&world, later(&world), &["data/x", "metadata/y.avro", "z"]).await;
    }
}

/// `testRemoveUnreachableMetadataVersionFiles`, and what an expiry left.
#[tokio::test]
async fn old_metadata_and_what_an_expiry_left_go() {
    let world = World::with_properties(
        FormatVersion::V2,
        &[("write.metadata.previous-versions-max", "1")],
    )
    .await;
    world.append(&["a"]).await;
    world.replace(&["a"], &["b"]).await;
    world
        .expire()
        .with_clean_up(calve_compact::CleanUpLevel::None)
        .await
        .unwrap();
    let (disk, reachable) = (world.on_disk().await, world.reachable().await);
    let expected: Vec<&str> = disk.difference(&reachable).map(String::as_str).collect();
    let plan = check(&world, later(&world), &expected).await;
    let old = |reason| plan.orphans.iter().filter(|it| it.reason == reason).count();
    // `a`, its manifest, its list; two metadata files.
    assert_eq!(
        (
            old(OrphanReason::Unreferenced),
            old(OrphanReason::OldMetadata)
        ),
        (3, 2)
    );
    world.check_clean().await;
}

/// `testOlderThanTimestamp`, and the least age.
#[tokio::test]
async fn what_is_young_stays() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    put(&world, &["data/x"]).await;
    let now = RemoveOrphans::new(Arc::clone(&world.catalog), ident());
    let plan = now.plan().await.unwrap();
    assert_eq!(plan.orphans, []);
    assert_eq!(plan.kept[&KeptReason::TooYoung], 1);
    let in_an_hour = now.with_older_than_ms(world.now_ms() + DAY_MS / 24);
    let error = in_an_hour.plan().await.unwrap_err();
    assert!(error.to_string().contains("24 hours"), "{error}");
    check(&world, in_an_hour.with_force(true), &["data/x"]).await;
}

/// `testHiddenPartitionPaths`, `testHiddenPathsStartingWithPartitionNamesAreIgnored`.
#[tokio::test]
async fn hidden_files_stay_but_not_those_of_partitions() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    put(
        &world,
        &[
            "data/_c2_trunc/f",
            "data/_c2_trunc=1/_f",
            "data/_c2_trunc=1/f",
            "data/_other=1/f",
            "data/.tmp/f",
            "data/part=1/_SUCCESS",
            ".hidden",
        ],
    )
    .await;
    let plan = later(&world).plan().await.unwrap();
    assert_eq!((plan.orphans.len(), plan.kept[&KeptReason::Hidden]), (0, 7));
    world
        .change(Arc::new(|_, builder| {
            let spec = UnboundPartitionSpec::builder()
                .add_partition_field(1, "_c2_trunc", Transform::Truncate(2))?
                .build();
            Ok(builder.add_default_partition_spec(spec)?)
        }))
        .await;
    check(&world, later(&world), &["data/_c2_trunc=1/f"]).await;
}

#[tokio::test]
async fn journals_and_what_a_run_still_needs_stay() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    let writer = "2cd22b57-5127-4198-92ba-e4e67c79821b";
    let journal = world.location().join("metadata/calve/ctas-db.t-x");
    let write = async |name: &str, document: serde_json::Value| {
        let bytes = document.to_string().into_bytes();
        let location = journal.join(name);
        world
            .storage()
            .write(&location, bytes.into())
            .await
            .unwrap();
    };
    let batch = serde_json::json!({"writer": writer, "snapshot_id": 77});
    write("batch-1.json", batch).await;
    write("migration.json", serde_json::json!({"state": "running"})).await;
    let data = format!("data/00000-{writer}.parquet");
    let manifest = format!("metadata/{writer}-m0.avro");
    let list = "metadata/snap-77-0-1.avro";
    put(
        &world,
        &[&data, &manifest, list, "metadata/calve/sync-1.fingerprint"],
    )
    .await;
    let plan = check(&world, later(&world), &[]).await;
    assert_eq!(plan.kept[&KeptReason::UnfinishedRun], 3);
    assert_eq!(plan.kept[&KeptReason::Journal], 3);
    write("migration.json", serde_json::json!({"state": "done"})).await;
    check(&world, later(&world), &[&data, &manifest, list]).await;
    write("migration.json", serde_json::json!("broken")).await;
    fs_err::write(journal.join("migration.json").as_str(), "{").unwrap();
    let error = later(&world).plan().await.unwrap_err();
    assert!(error.to_string().contains("no journal"), "{error}");
}

/// Tables in folders below, known to the catalog or not, and tables that have files here.
#[tokio::test]
async fn other_tables_files_stay() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    put(
        &world,
        &[
            "data/x",
            "inner/data/f",
            "inner/metadata/00000-1.metadata.json",
            "odd/v1.metadata.json",
            "odd/f",
        ],
    )
    .await;
    let known = "db.known".parse().unwrap();
    let below = world.location().join("sub/known");
    world.create_at(&known, FormatVersion::V2, &[], below).await;
    put(&world, &["sub/known/data/f", "data/theirs", "sub/f"]).await;
    // Another one refers to a file here.
    let reader = "db.reader".parse().unwrap();
    world.create(&reader, FormatVersion::V2, &[]).await;
    let theirs = world.location().join("data/theirs").to_string();
    world.append_paths(&reader, &[theirs]).await;
    let blind = later(&world).with_other_tables(false);
    let seen = orphans(&world, &blind.plan().await.unwrap());
    assert_eq!(seen, ["data/theirs", "data/x", "sub/f"]);
    let plan = check(&world, later(&world), &["data/x", "sub/f"]).await;
    assert_eq!(plan.kept[&KeptReason::OtherTable], 6);
    let folders: Vec<String> = plan.other_tables.iter().map(|it| world.name(it)).collect();
    assert_eq!(folders, ["inner", "odd", "sub/known"]);
    // The same metadata under another name: both need what either has.
    let table = world.table().await;
    let twin = "db.twin".parse().unwrap();
    let metadata = table.metadata_location();
    world.catalog.register_table(&twin, metadata).await.unwrap();
    world.append(&["b"]).await;
    let removal = RemoveOrphans::new(Arc::clone(&world.catalog), twin)
        .with_clock(Arc::new(Still(world.now_ms() + 10 * DAY_MS)));
    assert_eq!(orphans(&world, &removal.plan().await.unwrap()), [""; 0]);
}

/// `testPathsWithExtraSlashes`, `testPathsWithActualFileHavingNoAuthority`, `testPathsWithEqualSchemes`,
/// `testPathsWithEqualAuthorities`, `testRemoveOrphanFileActionWithDeleteMode`.
#[tokio::test]
async fn spellings_of_the_same_path_are_looked_at() {
    let world = World::new(FormatVersion::V2).await;
    put(&world, &["data/slashes", "data/scheme", "data/none"]).await;
    let folder = world.location().to_string();
    let files = vec![
        data_file(&format!("file://{folder}//data///slashes"), 1, 1),
        data_file(&format!("hdfs://node{folder}/data/scheme"), 1, 1),
    ];
    world.append_to("main", files).await;
    let error = later(&world).plan().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "1 files may be those of db.t or not: it names {folder}/data/scheme with hdfs://node"
        )
    );
    let names = async |removal: RemoveOrphans| orphans(&world, &removal.plan().await.unwrap());
    let ignore = later(&world).with_prefix_mismatch_mode(PrefixMismatchMode::Ignore);
    assert_eq!(names(ignore).await, ["data/none"]);
    let delete = later(&world).with_prefix_mismatch_mode(PrefixMismatchMode::Delete);
    assert_eq!(names(delete).await, ["data/none", "data/scheme"]);
    let equal = later(&world)
        .with_equal_scheme("hdfs", "file")
        .with_equal_authority("node", "");
    assert_eq!(names(equal).await, ["data/none"]);
}

/// `testGarbageCollectionDisabled`, and folders.
#[tokio::test]
async fn what_is_not_the_tables_is_refused() {
    let world = World::with_properties(FormatVersion::V2, &[("gc.enabled", "false")]).await;
    put(&world, &["data/x"]).await;
    let error = later(&world).await.unwrap_err();
    assert!(error.to_string().contains("gc.enabled=false"), "{error}");

    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().to_str().unwrap();
    let own_data = format!("{path}/data");
    let world = World::with_properties(FormatVersion::V2, &[("write.data.path", &own_data)]).await;
    world.append(&["a"]).await;
    put(&world, &["data/x", "other/y"]).await;
    let at = |folder: &str| Location::parse(format!("{path}/{folder}")).unwrap();
    for file in ["data/z", "w"] {
        world.storage().write(&at(file), "x".into()).await.unwrap();
    }
    let plan = later(&world).plan().await.unwrap();
    assert_eq!(plan.locations.len(), 2);
    assert_eq!(
        orphans(&world, &plan),
        ["data/x", "other/y", at("data/z").as_str()]
    );
    let one = later(&world).with_location(world.location().join("other"));
    assert_eq!(orphans(&world, &one.plan().await.unwrap()), ["other/y"]);
    let foreign = later(&world).with_location(at("").join(""));
    let error = foreign.plan().await.unwrap_err();
    assert!(
        error.to_string().contains("not in the table's folders"),
        "{error}"
    );
    let forced = foreign.with_force(true).plan().await.unwrap();
    assert_eq!(forced.orphans.len(), 2);
}
