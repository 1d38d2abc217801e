//! Files removed and replaced, alone and beside other writers.

use std::sync::Arc;

use calve_base::Location;
use calve_catalog::{Catalog, Table};
use calve_table::{
    Error, NewDeletes, ReplaceFiles, Report, Result, Scan, Transaction, WrittenManifests,
    new_snapshot_id,
};
use futures::TryStreamExt;
use iceberg::spec::{FormatVersion, ManifestStatus, Operation};

use crate::faulty::{Fault, Faulty};
use crate::support::{Still, World, append, file, ident};

fn at(world: &World, names: &[&str]) -> Vec<Location> {
    let data = world.location().join("data");
    names.iter().map(|name| data.join(name)).collect()
}

/// Removes some files and adds others.
async fn replace(
    world: &World,
    catalog: &Arc<dyn Catalog>,
    base: Table,
    removed: &[&str],
    added: &[&str],
) -> Transaction {
    let files = added
        .iter()
        .map(|name| file(&world.location(), name, Some(1)));
    let (snapshot_id, written) = if added.is_empty() {
        (new_snapshot_id(), WrittenManifests::default())
    } else {
        world.write(base.metadata(), files).await
    };
    let producer = ReplaceFiles::new(snapshot_id, at(world, removed), written);
    Transaction::new(Arc::clone(catalog), base)
        .with_snapshot(producer)
        .with_clock(Arc::new(Still(4_000)))
}

/// The names of the files that a reader of the table opens.
async fn live(table: &Table) -> Vec<String> {
    let files = Scan::new(table.clone()).plan().await.unwrap();
    let files: Vec<_> = files.try_collect().await.unwrap();
    let names = files
        .iter()
        .map(|it| it.file.path.rsplit('/').next().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn summary<'a>(table: &'a Table, name: &str) -> &'a str {
    let snapshot = table.metadata().current_snapshot().unwrap();
    let properties = &snapshot.summary().additional_properties;
    properties.get(name).map_or("", String::as_str)
}

#[tokio::test]
async fn files_are_removed_and_the_others_stay_as_they_are() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let world = World::new().await;
        let parts = [Some(1), Some(2), None];
        let base = world.create(version, &parts).await.table;
        let before = world.entries(&base).await;
        let report = replace(&world, &world.catalog, base, &["a1"], &[])
            .await
            .await
            .unwrap();
        let table = report.table;
        assert_eq!(live(&table).await, ["a0", "a2"], "{version:?}");
        let snapshot = table.metadata().current_snapshot().unwrap();
        assert_eq!(snapshot.summary().operation, Operation::Delete);
        for (name, value) in [
            ("deleted-data-files", "1"),
            ("deleted-records", "10"),
            ("removed-files-size", "100"),
            ("total-data-files", "2"),
            ("total-records", "20"),
            ("changed-partition-count", "1"),
            ("manifests-replaced", "1"),
            ("added-data-files", ""),
        ] {
            assert_eq!(summary(&table, name), value, "{version:?} {name}");
        }
        // What stays keeps its numbers and its snapshot; what goes carries the new snapshot.
        let after = world.entries(&table).await;
        assert_eq!(after.len(), 3);
        for entry in &after {
            let then = before
                .iter()
                .find(|it| it.file_path() == entry.file_path())
                .unwrap();
            assert_eq!(
                entry.sequence_number(),
                then.sequence_number(),
                "{version:?}"
            );
            if entry.file_path().ends_with("a1") {
                assert_eq!(entry.status(), ManifestStatus::Deleted);
                assert_eq!(entry.snapshot_id(), report.snapshot_id);
            } else {
                assert_eq!(entry.status(), ManifestStatus::Existing);
                assert_eq!(entry.snapshot_id(), then.snapshot_id());
            }
        }
        // The next snapshot does not carry the removed entry on.
        let next = world.append(&["b0"]).await.table;
        assert_eq!(live(&next).await, ["a0", "a2", "b0"]);
        assert_eq!(summary(&next, "total-records"), "30");
        let last = replace(&world, &world.catalog, next, &["a0", "a2", "b0"], &[]).await;
        let last = last.await.unwrap().table;
        assert_eq!(live(&last).await, Vec::<String>::new());
        assert_eq!(summary(&last, "total-records"), "0");
        assert_eq!(summary(&last, "changed-partition-count"), "2");
    }
}

#[tokio::test]
async fn a_file_is_replaced_even_by_one_of_its_name() {
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let report = replace(&world, &world.catalog, base, &["a0"], &["a0", "b0"]).await;
    let table = report.await.unwrap().table;
    assert_eq!(live(&table).await, ["a0", "a1", "b0"]);
    let snapshot = table.metadata().current_snapshot().unwrap();
    assert_eq!(snapshot.summary().operation, Operation::Overwrite);
    for (name, value) in [
        ("added-data-files", "2"),
        ("deleted-data-files", "1"),
        ("total-data-files", "3"),
        ("total-records", "30"),
        ("changed-partition-count", "1"),
    ] {
        assert_eq!(summary(&table, name), value, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_removed() {
    let world = World::new().await;
    let base = world.create(FormatVersion::V2, &[Some(1)]).await.table;
    let files = world.metadata_files().await;
    let error = replace(&world, &world.catalog, base.clone(), &["a0", "z9"], &["b0"]).await;
    let error = error.await.unwrap_err();
    assert!(matches!(&error, Error::FilesGone { count: 1, first } if first[0].ends_with("z9")));
    // Nothing is left of the attempt.
    assert_eq!(world.metadata_files().await, files);
    let now = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(now.metadata(), base.metadata());
}

/// Another writer that appends one file.
fn appends(name: &'static str) -> Fault {
    Fault::Before(Box::new(move |catalog| {
        Box::pin(async move {
            let table = catalog.load_table(&ident()).await.unwrap();
            append(&catalog, table, &[name]).await.await.unwrap();
        })
    }))
}

/// Another writer that removes one file.
fn removes(file: Location) -> Fault {
    Fault::Before(Box::new(move |catalog| {
        Box::pin(async move {
            let table = catalog.load_table(&ident()).await.unwrap();
            let producer =
                ReplaceFiles::new(new_snapshot_id(), vec![file], WrittenManifests::default());
            Transaction::new(catalog, table)
                .with_snapshot(producer)
                .await
                .unwrap();
        })
    }))
}

async fn raced(world: &World, base: &Table, faults: Vec<Fault>) -> Result<Report> {
    let faulty: Arc<dyn Catalog> = Faulty::new(&world.catalog, faults);
    replace(world, &faulty, base.clone(), &["a0"], &["b0"])
        .await
        .await
}

#[tokio::test]
async fn what_others_add_meanwhile_stays() {
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let report = raced(&world, &base, vec![appends("x"), appends("y")])
        .await
        .unwrap();
    assert_eq!(report.attempts, 3);
    assert_eq!(live(&report.table).await, ["a1", "b0", "x", "y"]);
    assert_eq!(summary(&report.table, "total-records"), "40");
    // The manifest that lists the removed file was written anew once, whatever came between.
    let files = world.metadata_files().await;
    let manifests = files.iter().filter(|it| it.contains("-m0.avro")).count();
    assert_eq!(manifests, 5, "{files:?}");
}

#[tokio::test]
async fn what_others_remove_meanwhile_is_not_brought_back() {
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2), Some(3)])
        .await
        .table;
    // A neighbour in the same manifest: the rewritten manifest is outdated, and written again.
    let neighbour = at(&world, &["a1"]).remove(0);
    let report = raced(&world, &base, vec![removes(neighbour)])
        .await
        .unwrap();
    assert_eq!(live(&report.table).await, ["a2", "b0"]);
    assert_eq!(summary(&report.table, "total-data-files"), "2");
    // The same file: refused, and nothing of it is left.
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let same = at(&world, &["a0"]).remove(0);
    let error = raced(&world, &base, vec![removes(same)]).await.unwrap_err();
    assert!(
        matches!(error, Error::FilesGone { count: 1, .. }),
        "{error}"
    );
    let now = world.catalog.load_table(&ident()).await.unwrap();
    assert_eq!(live(&now).await, ["a1"]);
    let referenced = 2 + 2;
    let files = world.metadata_files().await;
    let avro = files.iter().filter(|it| it.contains(".avro")).count();
    assert_eq!(avro, referenced, "{files:?}");
}

#[tokio::test]
async fn an_outcome_that_nobody_knows_deletes_nothing() {
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let report = raced(&world, &base, vec![Fault::LandsUnknown])
        .await
        .unwrap();
    assert_eq!(live(&report.table).await, ["a1", "b0"]);
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let before = world.metadata_files().await.len();
    let error = raced(&world, &base, vec![Fault::VanishesUnknown])
        .await
        .unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    // The new manifest, the rewritten one and the list are still there.
    assert_eq!(world.metadata_files().await.len(), before + 3);
}

#[tokio::test]
async fn a_certain_failure_leaves_no_files() {
    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(2)])
        .await
        .table;
    let before = world.metadata_files().await;
    raced(&world, &base, vec![Fault::Fails]).await.unwrap_err();
    assert_eq!(world.metadata_files().await, before);
}

/// Deletes that a removed file has, and those that came after it was read.
#[tokio::test]
async fn deletes_of_removed_files_go_or_are_a_conflict() {
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Literal, Struct};

    let world = World::new().await;
    let base = world
        .create(FormatVersion::V2, &[Some(1), Some(1)])
        .await
        .table;
    let data = at(&world, &["a0"]).remove(0);
    let partition = Struct::from_iter([Some(Literal::int(1)), Some(Literal::date(19_000))]);
    let delete = DataFileBuilder::default()
        .content(DataContentType::PositionDeletes)
        .file_path(format!("{}/data/d0", world.location()))
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .record_count(1)
        .file_size_in_bytes(10)
        .referenced_data_file(Some(data.as_str().to_owned()))
        .build()
        .unwrap();
    let (id, written) = world.write(base.metadata(), [delete]).await;
    let table = Transaction::new(Arc::clone(&world.catalog), base)
        .with_snapshot(calve_table::Append::new(id, written))
        .await
        .unwrap()
        .table;
    assert_eq!(summary(&table, "total-position-deletes"), "1");

    let replaced = |removed: &[&str], since: i64| {
        let removed = at(&world, removed);
        let producer = ReplaceFiles::new(new_snapshot_id(), removed, WrittenManifests::default())
            .with_operation(Operation::Replace)
            .with_new_deletes(NewDeletes::Refuse {
                since,
                except_equality: true,
            });
        Transaction::new(Arc::clone(&world.catalog), table.clone()).with_snapshot(producer)
    };
    // Read before the delete came: its rows would come back.
    let error = replaced(&["a0"], 1).await.unwrap_err();
    assert!(
        matches!(&error, Error::NewDeletes { path } if path.ends_with("d0")),
        "{error}"
    );
    // Read with the delete, which goes with its file; the other file has none.
    let table = replaced(&["a0"], 2).await.unwrap().table;
    assert_eq!(live(&table).await, ["a1"]);
    for (name, value) in [
        ("total-position-deletes", "0"),
        ("total-delete-files", "0"),
        ("removed-position-delete-files", "1"),
        ("deleted-data-files", "1"),
    ] {
        assert_eq!(summary(&table, name), value, "{name}");
    }
    let operation = &table
        .metadata()
        .current_snapshot()
        .unwrap()
        .summary()
        .operation;
    assert_eq!(*operation, Operation::Replace);
}

#[tokio::test(flavor = "multi_thread")]
async fn pyiceberg_reads_what_is_left() {
    const SCRIPT: &str = "
import json, sys
from pyiceberg.table import StaticTable
table = StaticTable.from_metadata(sys.argv[1])
entries = table.inspect.entries().to_pylist()
print(json.dumps({
    'paths': sorted(task.file.file_path.rsplit('/', 1)[1] for task in table.scan().plan_files()),
    'operation': table.current_snapshot().summary.operation.value,
    'total': table.current_snapshot().summary['total-records'],
    'statuses': sorted([entry['data_file']['file_path'].rsplit('/', 1)[1], entry['status']] for entry in entries),
}))
";
    for version in [FormatVersion::V1, FormatVersion::V2] {
        let world = World::new().await;
        let base = world.create(version, &[Some(1), None, Some(3)]).await.table;
        let report = replace(&world, &world.catalog, base, &["a1"], &["b0"]).await;
        let table = report.await.unwrap().table;
        let metadata = table.metadata_location().as_str().to_owned();
        let read = move || calve_testkit::python::run(SCRIPT, &[&metadata]);
        let found = tokio::task::spawn_blocking(read).await.unwrap();
        assert_eq!(found["paths"], serde_json::json!(["a0", "a2", "b0"]));
        assert_eq!(found["operation"], "overwrite");
        assert_eq!(found["total"], "30");
    }
}
