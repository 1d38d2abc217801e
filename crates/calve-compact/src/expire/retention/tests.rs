//! Histories in words, and what of them expires.

use std::collections::HashMap;

use calve_base::Location;
use calve_table::NewTable;
use iceberg::spec::{
    FormatVersion, NestedField, Operation, PartitionSpec, PrimitiveType, Schema, Snapshot,
    SortOrder, Summary, Type,
};

use super::*;

const NOW: i64 = 1_000_000;

/// A table of snapshots `(id, parent, time)`, with branches and tags.
fn table(
    snapshots: &[(i64, Option<i64>, i64)],
    refs: &[(&str, i64, SnapshotRetention)],
    properties: &[(&str, &str)],
) -> TableMetadata {
    let id = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([id.into()]).build().unwrap();
    let new = NewTable {
        uuid: uuid::Uuid::from_u128(1),
        location: Location::parse("/t").unwrap(),
        partition_spec: PartitionSpec::builder(schema.clone()).build().unwrap(),
        schema,
        sort_order: SortOrder::unsorted_order(),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        format_version: FormatVersion::V2,
        created_ms: 0,
    };
    let mut builder = new.into_metadata().unwrap().into_builder(None);
    for (number, (id, parent, time)) in snapshots.iter().enumerate() {
        let snapshot = Snapshot::builder()
            .with_snapshot_id(*id)
            .with_parent_snapshot_id(*parent)
            .with_sequence_number(i64::try_from(number).unwrap() + 1)
            .with_timestamp_ms(*time)
            .with_manifest_list(format!("/t/metadata/snap-{id}.avro"))
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: HashMap::new(),
            })
            .with_schema_id(0)
            .build();
        builder = builder.add_snapshot(snapshot).unwrap();
    }
    for (name, id, retention) in refs {
        let reference = SnapshotReference::new(*id, retention.clone());
        builder = builder.set_ref(name, reference).unwrap();
    }
    builder.build().unwrap().metadata
}

fn main_at(id: i64) -> (&'static str, i64, SnapshotRetention) {
    ("main", id, SnapshotRetention::branch(None, None, None))
}

/// Four snapshots in a row, of ages 400, 300, 200 and 100.
const ROW: &[(i64, Option<i64>, i64)] = &[
    (1, None, NOW - 400),
    (2, Some(1), NOW - 300),
    (3, Some(2), NOW - 200),
    (4, Some(3), NOW - 100),
];

#[track_caller]
fn check(table: &TableMetadata, wanted: &Wanted, snapshots: &[i64], refs: &[&str]) {
    let expiry = expiry(table, wanted, NOW).unwrap();
    assert_eq!(expiry.snapshot_ids(), snapshots);
    assert_eq!(expiry.references, refs);
}

fn older_than(age: i64) -> Wanted {
    Wanted {
        older_than_ms: Some(NOW - age),
        ..Wanted::default()
    }
}

fn ids(ids: &[i64]) -> Wanted {
    Wanted {
        older_than_ms: Some(0),
        snapshot_ids: ids.iter().copied().collect(),
        ..Wanted::default()
    }
}

#[test]
fn of_main_the_young_and_the_last_stay() {
    let table = table(ROW, &[main_at(4)], &[]);
    check(&table, &Wanted::default(), &[], &[]);
    check(&table, &older_than(250), &[1, 2], &[]);
    // A snapshot that is exactly that old stays.
    check(&table, &older_than(300), &[1], &[]);
    // The current one stays however old.
    check(&table, &older_than(-1), &[1, 2, 3], &[]);
    let retain = |last| Wanted {
        retain_last: Some(last),
        ..older_than(-1)
    };
    check(&table, &retain(3), &[1], &[]);
    check(&table, &retain(9), &[], &[]);
    check(&table, &retain(1), &[1, 2, 3], &[]);
}

#[test]
fn properties_are_the_defaults() {
    let with = |properties: &[(&str, &str)]| table(ROW, &[main_at(4)], properties);
    let age = ("history.expire.max-snapshot-age-ms", "150");
    check(&with(&[age]), &Wanted::default(), &[1, 2, 3], &[]);
    let keep = ("history.expire.min-snapshots-to-keep", "2");
    check(&with(&[age, keep]), &Wanted::default(), &[1, 2], &[]);
    // What is asked for wins over them.
    let retain_last = Some(3);
    let wanted = Wanted {
        retain_last,
        ..Wanted::default()
    };
    check(&with(&[age, keep]), &wanted, &[1], &[]);
    check(&with(&[age]), &older_than(350), &[1], &[]);
    let wrong = with(&[("history.expire.max-snapshot-age-ms", "5d")]);
    let error = expiry(&wrong, &Wanted::default(), NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "option history.expire.max-snapshot-age-ms=5d: the table's property is no whole number"
    );
}

#[test]
fn ids_go_unless_something_names_them() {
    let tag = (
        "v1",
        2,
        SnapshotRetention::Tag {
            max_ref_age_ms: None,
        },
    );
    let table = table(ROW, &[main_at(4), tag], &[]);
    check(&table, &ids(&[1, 3]), &[1, 3], &[]);
    for (id, message) in [
        (4, "snapshot 4 cannot expire: it is named by `main`"),
        (2, "snapshot 2 cannot expire: it is named by `v1`"),
    ] {
        let error = expiry(&table, &ids(&[1, id]), NOW).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    // A snapshot that is named goes although `retain_last` would keep it.
    let wanted = Wanted {
        retain_last: Some(4),
        ..ids(&[3])
    };
    check(&table, &wanted, &[3], &[]);
}

#[test]
fn a_tag_keeps_its_snapshot_until_it_is_too_old() {
    let tag = |max_ref_age_ms| ("v1", 1, SnapshotRetention::Tag { max_ref_age_ms });
    let with = |tag, properties: &[(&str, &str)]| table(ROW, &[main_at(4), tag], properties);
    check(&with(tag(None), &[]), &older_than(0), &[2, 3], &[]);
    check(&with(tag(Some(400)), &[]), &older_than(0), &[2, 3], &[]);
    check(
        &with(tag(Some(399)), &[]),
        &older_than(0),
        &[1, 2, 3],
        &["v1"],
    );
    let property = [("history.expire.max-ref-age-ms", "10")];
    check(
        &with(tag(None), &property),
        &older_than(0),
        &[1, 2, 3],
        &["v1"],
    );
    check(
        &with(tag(Some(400)), &property),
        &older_than(0),
        &[2, 3],
        &[],
    );
    // A tag that goes leaves its snapshot to be named.
    check(&with(tag(Some(1)), &[]), &ids(&[1]), &[1], &["v1"]);
}

#[test]
fn branches_have_limits_of_their_own() {
    // 5 and 6 branch off from 2.
    let mut snapshots = ROW.to_vec();
    snapshots.extend([(5, Some(2), NOW - 50), (6, Some(5), NOW - 40)]);
    let with = |retention| table(&snapshots, &[main_at(4), ("dev", 6, retention)], &[]);
    let branch = SnapshotRetention::branch;
    check(
        &with(branch(None, None, None)),
        &older_than(0),
        &[1, 2, 3, 5],
        &[],
    );
    check(
        &with(branch(Some(3), None, None)),
        &older_than(0),
        &[1, 3],
        &[],
    );
    check(
        &with(branch(None, Some(300), None)),
        &older_than(0),
        &[1, 3],
        &[],
    );
    check(
        &with(branch(Some(9), Some(300), Some(39))),
        &older_than(0),
        &[1, 2, 3, 5, 6],
        &["dev"],
    );
}

#[test]
fn what_nothing_leads_to_stays_while_it_is_young() {
    // 5 was staged on 2, and 6 is what a rollback left.
    let mut snapshots = ROW.to_vec();
    snapshots.extend([(5, Some(2), NOW - 250), (6, Some(4), NOW - 10)]);
    let table = table(&snapshots, &[main_at(4)], &[]);
    let expired = expiry(&table, &older_than(240), NOW).unwrap();
    assert_eq!(expired.snapshot_ids(), [1, 2, 5]);
    let reasons: Vec<_> = expired.snapshots.iter().map(|it| it.1).collect();
    let old = ExpiryReason::TooOld;
    assert_eq!(reasons, [old, old, ExpiryReason::Unreferenced]);
    check(&table, &older_than(260), &[1, 2], &[]);
    check(&table, &older_than(0), &[1, 2, 5, 3, 6], &[]);
}

#[test]
fn nothing_expires_of_an_empty_table() {
    check(&table(&[], &[], &[]), &older_than(-1), &[], &[]);
}
