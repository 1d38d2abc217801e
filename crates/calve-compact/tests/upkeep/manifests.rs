//! Manifests are written anew; the names in brackets are Iceberg's own tests of the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use calve_base::Location;
use calve_catalog::Catalog;
use calve_compact::manifests::{Report, RewriteReason};
use calve_compact::{ExpireSnapshots, RewriteManifests};
use calve_table::load_manifests;
use iceberg::spec::{
    DataContentType, FormatVersion, ManifestContentType, ManifestEntryRef, ManifestFile,
    ManifestStatus, Transform, UnboundPartitionSpec,
};
use proptest::prelude::*;

use crate::faulty::{Fault, Faulty};
use crate::world::{World, data_file, ident};

const TARGET: &str = "commit.manifest.target-size-bytes";

fn rewrite(world: &World) -> RewriteManifests {
    RewriteManifests::new(Arc::clone(&world.catalog), ident())
}

async fn manifests(world: &World) -> Vec<ManifestFile> {
    let table = world.table().await;
    let snapshot = table.metadata().current_snapshot().unwrap();
    load_manifests(world.storage(), snapshot).await.unwrap()
}

/// The live entries of the current snapshot by their paths, as `iceberg` reads them.
async fn entries(world: &World) -> BTreeMap<String, ManifestEntryRef> {
    let file_io = world.storage().file_io();
    let mut entries = BTreeMap::new();
    for manifest in manifests(world).await {
        let read = manifest.load_manifest(&file_io).await.unwrap();
        let live = read.entries().iter().filter(|entry| entry.is_alive());
        entries.extend(live.map(|entry| (entry.file_path().to_owned(), Arc::clone(entry))));
    }
    entries
}

/// What must not change of a file.
fn essence(entry: &ManifestEntryRef, has_row_ids: bool) -> String {
    format!(
        "{:?}",
        (
            entry.sequence_number(),
            entry.snapshot_id(),
            entry.data_file().partition(),
            entry.data_file().split_offsets(),
            entry.data_file().sort_order_id(),
            entry.data_file().record_count(),
            has_row_ids.then(|| entry.data_file().first_row_id()),
        )
    )
}

/// Rewrites, and looks whether all files are there as before, and whether a second run does nothing.
async fn check(world: &World, rewrite: RewriteManifests) -> Report {
    let before = entries(world).await;
    let plan = rewrite.plan().await.unwrap();
    let report = rewrite.clone().await.unwrap();
    let planned: usize = plan.sets.iter().map(|set| set.manifests_count).sum();
    assert_eq!(report.rewritten_manifests_count, planned as u64);
    let after = entries(world).await;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>()
    );
    for (path, entry) in &after {
        assert_eq!(
            essence(entry, false),
            essence(&before[path], false),
            "{path}"
        );
    }
    assert_eq!(rewrite.plan().await.unwrap().sets.len(), 0);
    assert_eq!(rewrite.await.unwrap(), Report::default());
    report
}

/// `testRewriteSmallManifestsNonPartitionedTable`, `testRewriteSmallManifestsPartitionedTable`.
#[tokio::test]
async fn small_manifests_become_one() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let world = World::new(version).await;
        assert_eq!(rewrite(&world).await.unwrap(), Report::default());
        world.append(&["a"]).await;
        assert_eq!(rewrite(&world).await.unwrap(), Report::default());
        world.append(&["b", "c"]).await;
        world.replace(&["c"], &["d"]).await;
        let plan = rewrite(&world).plan().await.unwrap();
        assert_eq!(plan.sets[0].content, "data");
        assert!(plan.sets[0].reasons.contains(&RewriteReason::Small));
        let rows = world.rows().await;
        let last = world
            .table()
            .await
            .metadata()
            .current_snapshot_id()
            .unwrap();
        let count = manifests(&world).await.len() as u64;
        let report = check(&world, rewrite(&world)).await;
        assert_eq!(
            (
                report.rewritten_manifests_count,
                report.added_manifests_count
            ),
            (count, 1),
            "{version:?}"
        );
        assert_eq!(report.processed_entries_count, 3);
        let id = report.snapshot_id.unwrap();
        assert_eq!(world.rows().await[&id], rows[&last]);
        let table = world.table().await;
        let summary = table.metadata().snapshot_by_id(id).unwrap().summary();
        assert_eq!(summary.operation.as_str(), "replace");
        for (name, value) in [
            ("manifests-created", "1"),
            ("manifests-kept", "0"),
            ("entries-processed", "3"),
            ("total-data-files", "3"),
            ("total-records", "3"),
        ] {
            assert_eq!(summary.additional_properties[name], value, "{name}");
        }
        let entries = entries(&world).await;
        assert!(
            entries
                .values()
                .all(|it| it.status() == ManifestStatus::Existing)
        );
        // The marks of the rewrite expire with its snapshot; it is known to be done all the same.
        world.append(&["e"]).await;
        check(&world, rewrite(&world)).await;
        let expire = ExpireSnapshots::new(Arc::clone(&world.catalog), ident());
        expire.with_older_than_ms(world.now_ms()).await.unwrap();
        assert_eq!(rewrite(&world).await.unwrap(), Report::default());
        world.check_clean().await;
    }
}

/// Row ids that files have stay (format version 3): `testRewriteManifestsPreservesFirstRowId`.
#[tokio::test]
async fn row_ids_stay() {
    let world = World::new(FormatVersion::V3).await;
    for names in [&["a", "b"][..], &["c"], &["d"]] {
        world.append(names).await;
    }
    let row_ids = async || {
        let query = calve_table::Scan::new(world.table().await)
            .plan()
            .await
            .unwrap();
        let files: Vec<_> = futures::TryStreamExt::try_collect(query).await.unwrap();
        let ids = files
            .iter()
            .map(|it: &calve_table::ScanFile| (it.file.path.clone(), it.file.first_row_id));
        ids.collect::<BTreeMap<_, _>>()
    };
    let before = row_ids().await;
    assert_eq!(before.values().flatten().count(), 4);
    check(&world, rewrite(&world)).await;
    assert_eq!(row_ids().await, before);
}

/// Many files in `parts` partitions, scattered over commits.
async fn scatter(world: &World, commits: usize, files: usize, parts: i32) {
    let folder = world.location().join("data");
    let mut number = 0;
    for _ in 0..commits {
        let mut described = Vec::new();
        for _ in 0..files {
            let path = folder.join(&format!("a-long-name-that-fills-manifests-{number:08}"));
            described.push(data_file(path.as_str(), (number * 7) % parts, 1));
            number += 1;
        }
        world.append_to("main", described).await;
    }
}

/// `testRewriteLargeManifestsPartitionedTable`, `testRewriteManifestsPartitionedTableWithCustomSorting`.
#[tokio::test]
async fn files_of_a_partition_come_together() {
    let world = World::with_properties(FormatVersion::V2, &[(TARGET, "6000")]).await;
    scatter(&world, 6, 500, 40).await;
    let plan = rewrite(&world).plan().await.unwrap();
    assert!(plan.sets[0].reasons.contains(&RewriteReason::NotClustered));
    let report = check(&world, rewrite(&world)).await;
    assert!(report.added_manifests_count > 2, "{report:?}");
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for manifest in manifests(&world).await {
        let summary = &manifest.partitions.as_ref().unwrap()[0];
        let bounds = [&summary.lower_bound, &summary.upper_bound];
        let [lower, upper] = bounds.map(|bytes| {
            let bytes = bytes.as_ref().unwrap().as_slice();
            i32::from_le_bytes(bytes.try_into().unwrap())
        });
        ranges.push((lower, upper));
    }
    ranges.sort_unstable();
    assert!(
        ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0),
        "{ranges:?}"
    );
    // One that is too large is taken apart.
    world.set_property(TARGET, "1500").await;
    let plan = rewrite(&world).plan().await.unwrap();
    assert_eq!(plan.sets[0].reasons, [RewriteReason::Large]);
    let more = check(&world, rewrite(&world)).await;
    assert!(more.added_manifests_count > report.added_manifests_count);
}

/// `testRewriteManifestsWithPredicate` for specs, and delete manifests.
#[tokio::test]
async fn specs_and_kinds_are_kept_apart() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&["a"]).await;
    world.append(&["b"]).await;
    for name in ["p", "q"] {
        let deletes = world
            .file_of(DataContentType::PositionDeletes, name, 1)
            .await;
        world.append_to("main", vec![deletes]).await;
    }
    world
        .change(Arc::new(|_, builder| {
            let spec = UnboundPartitionSpec::builder()
                .add_partition_field(2, "bucket", Transform::Bucket(4))?
                .build();
            Ok(builder.add_default_partition_spec(spec)?)
        }))
        .await;
    for name in ["c", "d"] {
        world.append(&[name]).await;
    }
    let of = |all: &[ManifestFile], spec, content| {
        let all = all.iter();
        all.filter(|it| it.partition_spec_id == spec && it.content == content)
            .count()
    };
    let counts = async || {
        let all = manifests(&world).await;
        [
            of(&all, 0, ManifestContentType::Data),
            of(&all, 0, ManifestContentType::Deletes),
            of(&all, 1, ManifestContentType::Data),
        ]
    };
    assert_eq!(counts().await, [2, 2, 2]);
    check(&world, rewrite(&world)).await;
    assert_eq!(counts().await, [2, 2, 1]);
    let report = check(&world, rewrite(&world).with_spec_id(0)).await;
    assert_eq!(counts().await, [1, 1, 1]);
    assert_eq!(report.processed_entries_count, 4);
    for (wrong, message) in [
        (
            rewrite(&world).with_spec_id(9),
            "option spec_id=9: the table has no such partition spec",
        ),
        (
            rewrite(&world).with_sort_by(["part"]),
            "option sort_by=part: partition spec 1 has no field of that name",
        ),
    ] {
        assert_eq!(wrong.plan().await.unwrap_err().to_string(), message);
    }
}

/// Runs a rewrite while something happens to its commit.
async fn beside(world: &World, fault: Fault) -> calve_compact::Result<Report> {
    let catalog: Arc<dyn Catalog> = Faulty::new(&world.catalog, [fault]);
    RewriteManifests::new(catalog, ident()).await
}

/// `testRewriteManifestsOnUnknownCommitState`, and others' commits.
#[tokio::test]
async fn others_commits_and_failures_do_no_harm() {
    let world = World::new(FormatVersion::V2).await;
    for name in ["a", "b", "c"] {
        world.append(&[name]).await;
    }
    let disk = world.on_disk().await;
    beside(&world, Fault::Fails).await.unwrap_err();
    assert_eq!(world.on_disk().await, disk);
    beside(&world, Fault::VanishesUnknown).await.unwrap_err();
    let kept = world.on_disk().await;
    assert_eq!(kept.difference(&disk).count(), 2);
    // What they append stays as it is.
    let world = Arc::new(world);
    let (writer, remover) = (Arc::clone(&world), Arc::clone(&world));
    let appends = Fault::Before(Box::new(move |_| {
        Box::pin(async move {
            writer.append(&["d"]).await;
        })
    }));
    let report = beside(&world, appends).await.unwrap();
    assert_eq!(
        (
            report.rewritten_manifests_count,
            report.added_manifests_count
        ),
        (3, 1)
    );
    assert_eq!(manifests(&world).await.len(), 2);
    assert_eq!(entries(&world).await.len(), 4);
    // What they remove does not come back, although its manifest was written anew.
    let removes = Fault::Before(Box::new(move |_| {
        Box::pin(async move {
            remover.replace(&["a"], &["e"]).await;
        })
    }));
    let report = beside(&world, removes).await.unwrap();
    assert!(report.rewritten_manifests_count >= 2);
    let names: Vec<String> = entries(&world).await.into_keys().collect();
    let data = world.location().join("data");
    let expected: Vec<String> = ["b", "c", "d", "e"]
        .map(|name| data.join(name).to_string())
        .into();
    assert_eq!(names, expected);
    // Nothing is left of what was written for the other base, but for what an unknown outcome left.
    let left = world.on_disk().await;
    let left: Vec<_> = left.difference(&kept).collect();
    let reachable = world.reachable().await;
    assert!(
        left.iter().all(|name| reachable.contains(*name)),
        "{left:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever the sizes: files stay as they are, and a second run plans nothing.
    #[test]
    fn files_stay_and_the_second_run_is_empty(
        commits in prop::collection::vec((1_usize..200, 1_i32..20), 1..6),
        target in 500_u32..30_000,
        is_v3 in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let version = if is_v3 { FormatVersion::V3 } else { FormatVersion::V2 };
            let world = World::with_properties(version, &[(TARGET, &target.to_string())]).await;
            for (number, (files, parts)) in commits.iter().enumerate() {
                let folder = world.location().join(&format!("data/{number}"));
                let described = (0..*files).map(|file| {
                    let path: Location = folder.join(&format!("{file}"));
                    let part = i32::try_from(file).unwrap() % parts;
                    data_file(path.as_str(), part, 1)
                });
                world.append_to("main", described.collect()).await;
            }
            check(&world, rewrite(&world)).await;
        });
    }
}
