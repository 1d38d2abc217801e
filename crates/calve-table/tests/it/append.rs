use std::collections::BTreeMap;
use std::sync::Arc;

use calve_table::{Append, ManifestRoller, Transaction, load_manifests};
use iceberg::spec::{FormatVersion, ManifestList, ManifestStatus};

use crate::support::{Still, World, append, file, ident, schema};

#[tokio::test]
async fn what_is_written_is_read_back_by_others_in_every_version() {
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        let world = World::new().await;
        let report = world.create(version, &[Some(1), None, Some(3)]).await;
        let metadata = report.table.metadata();
        assert_eq!(metadata.format_version(), version);
        let snapshot = metadata.current_snapshot().unwrap();
        assert_eq!(Some(snapshot.snapshot_id()), report.snapshot_id);
        assert_eq!(snapshot.timestamp_ms(), 2_000);
        assert_eq!(snapshot.schema_id(), Some(0));
        let number = i64::from(version != FormatVersion::V1);
        assert_eq!(snapshot.sequence_number(), number);

        let entries = world.entries(&report.table).await;
        assert_eq!(entries.len(), 3);
        for (index, (entry, part)) in entries.iter().zip([Some(1), None, Some(3)]).enumerate() {
            assert_eq!(entry.status(), ManifestStatus::Added);
            assert_eq!(entry.snapshot_id(), report.snapshot_id);
            assert_eq!(entry.sequence_number(), Some(number));
            let expected = file(&world.location(), &format!("a{index}"), part);
            assert_eq!(entry.data_file(), &expected, "{version}");
        }

        let path = snapshot.manifest_list().parse().unwrap();
        let bytes = world.storage().read(&path).await.unwrap();
        let theirs = ManifestList::parse_with_version(&bytes, version).unwrap();
        let ours = load_manifests(world.storage(), snapshot).await.unwrap();
        let manifest = &ours[0];
        let mut known = manifest.clone();
        if version == FormatVersion::V1 {
            // `iceberg` looks for the counts under names that Java does not write.
            known.added_files_count = None;
            known.existing_files_count = None;
            known.deleted_files_count = None;
        }
        assert_eq!(theirs.entries(), [known]);
        assert_eq!(manifest.added_files_count, Some(3));
        assert_eq!(manifest.added_rows_count, Some(30));
        let summaries = manifest.partitions.as_ref().unwrap();
        assert!(summaries[0].contains_null);
        assert_eq!(summaries[0].contains_nan, Some(false));
        assert_eq!(summaries[0].lower_bound.as_deref(), Some(&vec![1, 0, 0, 0]));
        assert_eq!(summaries[0].upper_bound.as_deref(), Some(&vec![3, 0, 0, 0]));
        assert!(!summaries[1].contains_null);
        if version == FormatVersion::V3 {
            assert_eq!(manifest.first_row_id, Some(0));
            assert_eq!(snapshot.row_range(), Some((0, 30)));
            assert_eq!(metadata.next_row_id(), 30);
        }
    }
}

#[tokio::test]
async fn the_summary_is_complete() {
    let world = World::new().await;
    world
        .create(FormatVersion::V2, &[Some(1), Some(1), None])
        .await;
    let table = world.catalog.load_table(&ident()).await.unwrap();
    let report = append(&world.catalog, table, &["b0", "b1"])
        .await
        .with_summary("engine-name", "calve")
        .await
        .unwrap();
    let snapshot = report.table.metadata().current_snapshot().unwrap();
    assert_eq!(snapshot.summary().operation.as_str(), "append");
    let found: BTreeMap<&str, &str> = snapshot
        .summary()
        .additional_properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = BTreeMap::from([
        ("added-data-files", "2"),
        ("added-files-size", "200"),
        ("added-records", "20"),
        ("changed-partition-count", "1"),
        ("engine-name", "calve"),
        ("manifests-created", "1"),
        ("manifests-kept", "1"),
        ("total-data-files", "5"),
        ("total-delete-files", "0"),
        ("total-equality-deletes", "0"),
        ("total-files-size", "500"),
        ("total-position-deletes", "0"),
        ("total-records", "50"),
    ]);
    assert_eq!(found, expected);
    let metadata = report.table.metadata();
    assert_eq!(metadata.history().len(), 2);
    assert_eq!(metadata.metadata_log().len(), 1);
    assert_eq!(
        snapshot.parent_snapshot_id(),
        Some(metadata.history()[0].snapshot_id)
    );
    assert_eq!(
        world.paths(&report.table).await,
        ["a0", "a1", "a2", "b0", "b1"]
    );
}

#[tokio::test]
async fn a_schema_that_grows_and_properties_are_part_of_the_commit() {
    let world = World::new().await;
    let new = world.new_table(FormatVersion::V2);
    let metadata = new.clone().into_metadata().unwrap();
    let mut roller = ManifestRoller::new(world.storage(), &metadata, 42).unwrap();
    roller
        .add(file(&world.location(), "a", Some(1)))
        .await
        .unwrap();
    let grown = schema()
        .into_builder()
        .with_fields([Arc::new(iceberg::spec::NestedField::optional(
            9,
            "late",
            iceberg::spec::Type::Primitive(iceberg::spec::PrimitiveType::Double),
        ))])
        .with_schema_id(0)
        .build()
        .unwrap();
    roller.set_schema(Arc::new(grown.clone())).await.unwrap();
    let written = roller.finish().await.unwrap();
    let new = calve_table::NewTable {
        schema: grown.clone(),
        ..new
    };
    let report = Transaction::create(Arc::clone(&world.catalog), ident(), new)
        .with_snapshot(Append::new(42, written))
        .with_clock(Arc::new(Still(2_000)))
        .await
        .unwrap();
    let entry = &world.entries(&report.table).await[0];
    assert_eq!(entry.snapshot_id(), Some(42));
    assert_eq!(report.table.metadata().last_column_id(), 9);
    assert_eq!(report.attempts, 1);

    let wider = grown
        .into_builder()
        .with_fields([Arc::new(iceberg::spec::NestedField::optional(
            12,
            "later",
            iceberg::spec::Type::Primitive(iceberg::spec::PrimitiveType::String),
        ))])
        .build()
        .unwrap();
    let report = append(&world.catalog, report.table, &["b"])
        .await
        .with_schema(wider.clone())
        .with_properties([("k".to_owned(), "v".to_owned())].into())
        .await
        .unwrap();
    let metadata = report.table.metadata();
    assert_eq!(metadata.current_schema().as_struct(), wider.as_struct());
    assert_eq!(metadata.properties()["k"], "v");
    let snapshot = metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.schema_id(), Some(1));
    assert_eq!(world.paths(&report.table).await, ["a", "b"]);
}

#[tokio::test]
async fn manifests_are_rolled_at_their_target_size() {
    let world = World::new().await;
    let mut new = world.new_table(FormatVersion::V2);
    let target = (
        "commit.manifest.target-size-bytes".to_owned(),
        "40000".to_owned(),
    );
    new.properties.extend([target]);
    let metadata = new.into_metadata().unwrap();
    let location = world.location();
    let files = (0..5_000).map(|index: i32| {
        // Names that compress as little as real ones do.
        let name = uuid::Uuid::from_u128(xxhash_rust::xxh3::xxh3_128(&index.to_be_bytes()));
        file(&location, &name.to_string(), Some(index))
    });
    let (_, written) = world.write(&metadata, files).await;
    let count = written.manifests.len();
    assert!((3..12).contains(&count), "{count} manifests");
    assert_eq!(written.added.data_files, 5_000);
    assert_eq!(written.changed_partitions, 5_000);
    let mut first = 0;
    for (index, manifest) in written.manifests.iter().enumerate() {
        let name = manifest.manifest_path.rsplit('-').next().unwrap();
        assert_eq!(name, format!("m{index}.avro"));
        if index + 1 < count {
            let length = manifest.manifest_length;
            assert!((30_000..80_000).contains(&length), "{length} bytes");
        }
        // Files come out in the order in which they went in.
        let lower = &manifest.partitions.as_ref().unwrap()[0].lower_bound;
        let lower = i32::from_le_bytes(lower.as_ref().unwrap()[..].try_into().unwrap());
        assert_eq!(lower, first);
        first += i32::try_from(manifest.added_files_count.unwrap()).unwrap();
    }
    assert_eq!(world.metadata_files().await.len(), count);
    written.discard(world.storage()).await;
    assert_eq!(world.metadata_files().await, [""; 0]);
}

#[tokio::test]
async fn a_file_that_does_not_fit_stops_the_roller_and_leaves_nothing() {
    let world = World::new().await;
    let metadata = world.new_table(FormatVersion::V2).into_metadata().unwrap();
    let mut roller = ManifestRoller::new(world.storage(), &metadata, 1).unwrap();
    roller
        .add(file(&world.location(), "good", Some(1)))
        .await
        .unwrap();
    let mut bad = iceberg::spec::DataFileBuilder::default();
    let bad = bad
        .content(iceberg::spec::DataContentType::Data)
        .file_path("s3://b/bad".to_owned())
        .file_format(iceberg::spec::DataFileFormat::Parquet)
        .partition(iceberg::spec::Struct::from_iter([
            Some(iceberg::spec::Literal::string("x")),
            None,
        ]))
        .record_count(1)
        .file_size_in_bytes(1)
        .build()
        .unwrap();
    roller.add(bad).await.unwrap();
    let error = roller.finish().await.unwrap_err().to_string();
    assert!(
        error.starts_with("s3://b/bad: the value") && error.contains("`part` is not of type int"),
        "{error}"
    );
    assert_eq!(world.metadata_files().await, [""; 0]);

    // A roller that has failed says so at each call, and leaves nothing either.
    let mut roller = ManifestRoller::new(world.storage(), &metadata, 1).unwrap();
    roller
        .add_with_spec(5, file(&world.location(), "x", None))
        .await
        .unwrap();
    let mut failed = false;
    for _ in 0..1_000 {
        failed |= roller
            .add(file(&world.location(), "y", None))
            .await
            .is_err();
    }
    assert!(failed);
    roller.discard().await;
    assert_eq!(world.metadata_files().await, [""; 0]);

    let mut roller = ManifestRoller::new(world.storage(), &metadata, 1).unwrap();
    roller
        .add_with_spec(5, file(&world.location(), "x", None))
        .await
        .unwrap();
    let error = roller.finish().await.unwrap_err().to_string();
    assert!(
        error.ends_with("x: partition spec 5 is not one of the table's"),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_appended_is_a_snapshot_too() {
    let world = World::new().await;
    let report = world.create(FormatVersion::V2, &[]).await;
    let snapshot = report.table.metadata().current_snapshot().unwrap();
    assert_eq!(
        snapshot.summary().additional_properties["total-records"],
        "0"
    );
    assert_eq!(load_manifests(world.storage(), snapshot).await.unwrap(), []);
}
