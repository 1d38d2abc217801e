//! Planning: which files are read, and which deletes apply to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use calve_base::Location;
use calve_catalog::Table;
use calve_table::{
    Append, ContentFile, Entry, ManifestRoller, Scan, SnapshotLookup, Transaction, new_snapshot_id,
};
use futures::TryStreamExt;
use iceberg::spec::{DataContentType, DataFileFormat, FormatVersion, Literal, ManifestStatus};

use crate::support::{Still, World, file};

fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

/// The deletes of each data file, by their names.
async fn plan(scan: Scan) -> BTreeMap<String, Vec<String>> {
    let files: Vec<_> = scan.plan().await.unwrap().try_collect().await.unwrap();
    let with_deletes = files.into_iter().map(|file| {
        let deletes = file.deletes.iter().map(|delete| name(&delete.file.path));
        (name(&file.file.path), deletes.collect())
    });
    with_deletes.collect()
}

/// A delete file, to be told what it deletes.
fn delete(
    table: &Location,
    name: &str,
    content: DataContentType,
    part: Option<i32>,
) -> ContentFile {
    let mut delete = ContentFile::from_data_file(&file(table, name, part)).unwrap();
    delete.content = content;
    delete.lower_bounds = None;
    delete.upper_bounds = None;
    if content == DataContentType::EqualityDeletes {
        delete.equality_ids = Some(vec![1]);
    }
    delete
}

async fn commit(world: &World, table: Table, files: Vec<ContentFile>) -> Table {
    let id = new_snapshot_id();
    let mut roller = ManifestRoller::new(world.storage(), table.metadata(), id).unwrap();
    for file in files {
        let entry = Entry {
            status: ManifestStatus::Added,
            snapshot_id: Some(id),
            sequence_number: None,
            file_sequence_number: None,
            file,
        };
        roller.add_entry(0, entry).await.unwrap();
    }
    let written = roller.finish().await.unwrap();
    Transaction::new(Arc::clone(&world.catalog), table)
        .with_snapshot(Append::new(id, written))
        .with_clock(Arc::new(Still(4_000)))
        .await
        .unwrap()
        .table
}

#[tokio::test]
async fn deletes_apply_by_path_partition_and_sequence_number() {
    let world = World::new().await;
    let location = world.location();
    let table = world
        .create(FormatVersion::V3, &[Some(1), Some(2)])
        .await
        .table;
    let equality = delete(
        &location,
        "equality",
        DataContentType::EqualityDeletes,
        Some(1),
    );
    let positions = delete(
        &location,
        "positions",
        DataContentType::PositionDeletes,
        Some(1),
    );
    let mut by_path = delete(
        &location,
        "by-path",
        DataContentType::PositionDeletes,
        Some(2),
    );
    let path = format!("{location}/data/a1")
        .into_bytes()
        .into_boxed_slice();
    by_path.lower_bounds = Some(vec![(2_147_483_546, path.clone())]);
    by_path.upper_bounds = Some(vec![(2_147_483_546, path)]);
    let same = ContentFile::from_data_file(&file(&location, "same-commit", Some(1))).unwrap();
    let table = commit(&world, table, vec![equality, positions, by_path, same]).await;
    let later = ContentFile::from_data_file(&file(&location, "later", Some(1))).unwrap();
    let table = commit(&world, table, vec![later]).await;
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = BTreeMap::from([
        ("a0".to_owned(), names(&["positions", "equality"])),
        ("a1".to_owned(), names(&["by-path"])),
        ("same-commit".to_owned(), names(&["positions"])),
        ("later".to_owned(), names(&[])),
    ]);
    assert_eq!(plan(Scan::new(table.clone())).await, expected);

    // A deletion vector stands for all position deletes of its file.
    let mut vector = delete(
        &location,
        "vector",
        DataContentType::PositionDeletes,
        Some(1),
    );
    vector.format = DataFileFormat::Puffin;
    vector.referenced_data_file = Some(format!("{location}/data/a0"));
    vector.content_offset = Some(4);
    vector.content_size_bytes = Some(40);
    let table = commit(&world, table, vec![vector]).await;
    assert_eq!(
        plan(Scan::new(table.clone())).await["a0"],
        names(&["vector", "equality"])
    );
    let summary = &table
        .metadata()
        .current_snapshot()
        .unwrap()
        .summary()
        .additional_properties;
    assert_eq!(summary["added-dvs"], "1");
    assert_eq!(summary["added-files-size"], "40");
    assert_eq!(summary["total-delete-files"], "4");
    assert_eq!(summary["total-position-deletes"], "30");
    assert_eq!(summary["total-equality-deletes"], "10");
}

#[tokio::test]
async fn manifests_and_files_can_be_left_out() {
    let world = World::new().await;
    world.create(FormatVersion::V2, &[Some(1), Some(2)]).await;
    let table = world.append(&["b0"]).await.table;
    let only = |wanted: i32| {
        move |value: Option<&Option<Literal>>| value == Some(&Some(Literal::int(wanted)))
    };
    let second = only(2);
    let found = plan(
        Scan::new(table.clone()).with_file_filter(Arc::new(move |file, spec| {
            assert_eq!(spec.fields()[0].name, "part");
            second(file.partition.fields().first())
        })),
    );
    assert_eq!(found.await.into_keys().collect::<Vec<_>>(), ["a1"]);
    let found = plan(
        Scan::new(table.clone()).with_manifest_filter(Arc::new(|manifest, _| {
            let summary = &manifest.partitions.as_ref().unwrap()[0];
            summary.lower_bound != summary.upper_bound
        })),
    );
    assert_eq!(found.await.into_keys().collect::<Vec<_>>(), ["a0", "a1"]);
}

#[tokio::test]
async fn older_snapshots_are_found_and_read() {
    let world = World::new().await;
    let first = world
        .create(FormatVersion::V2, &[Some(1)])
        .await
        .snapshot_id
        .unwrap();
    let table = world.append(&["b0"]).await.table;
    let second = table.metadata().current_snapshot_id().unwrap();
    for (found, expected) in [
        (table.snapshot(first).unwrap(), first),
        (table.snapshot_of_ref("main").unwrap(), second),
        (table.snapshot_as_of(2_999).unwrap(), first),
        (table.snapshot_as_of(3_000).unwrap(), second),
        (table.snapshot_as_of(i64::MAX).unwrap(), second),
    ] {
        assert_eq!(found.snapshot_id(), expected);
    }
    for (error, message) in [
        (table.snapshot(1), "table db.t has no snapshot 1"),
        (table.snapshot_of_ref("x"), "table db.t has no snapshot `x`"),
        (
            table.snapshot_as_of(1_999),
            "table db.t has no snapshot as old as 1970-01-01T00:00:01.999Z",
        ),
    ] {
        assert_eq!(error.unwrap_err().to_string(), message);
    }
    let scan = Scan::new(table.clone()).with_snapshot(table.snapshot(first).unwrap());
    assert_eq!(plan(scan).await.into_keys().collect::<Vec<_>>(), ["a0"]);
}
