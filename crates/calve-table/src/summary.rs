//! What a snapshot says of itself, under the names that Java uses.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{ManifestFile, Operation, Snapshot, Summary};

use crate::totals::FileTotals;

/// What a snapshot changes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    pub(crate) added: FileTotals,
    pub(crate) removed: FileTotals,
    pub(crate) changed_partitions: u64,
    pub(crate) replaced_manifests: u64,
    pub(crate) processed_entries: u64,
}

/// Writes the summary of a snapshot: what the caller adds, what changed, what the table has now.
pub(crate) fn summarize(
    operation: Operation,
    custom: &BTreeMap<String, String>,
    change: Change,
    parent: Option<&Snapshot>,
    manifests: &[ManifestFile],
    snapshot_id: i64,
) -> Summary {
    let mut properties: HashMap<String, String> = custom
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    put_changes(&mut properties, change);
    put_totals(&mut properties, change, parent);
    let created = manifests
        .iter()
        .filter(|manifest| manifest.added_snapshot_id == snapshot_id)
        .count();
    for (name, count) in [
        ("manifests-created", created),
        ("manifests-kept", manifests.len() - created),
    ] {
        properties.insert(name.to_owned(), count.to_string());
    }
    Summary {
        operation,
        additional_properties: properties,
    }
}

/// Counts of nothing are left out.
fn put_changes(properties: &mut HashMap<String, String>, change: Change) {
    let Change {
        added,
        removed,
        changed_partitions,
        replaced_manifests,
        processed_entries,
    } = change;
    for (name, count) in [
        ("added-data-files", added.data_files),
        ("added-records", added.records),
        ("added-files-size", added.bytes),
        ("added-delete-files", added.delete_files()),
        ("added-position-delete-files", added.position_delete_files),
        ("added-dvs", added.deletion_vectors),
        ("added-position-deletes", added.position_deletes),
        ("added-equality-delete-files", added.equality_delete_files),
        ("added-equality-deletes", added.equality_deletes),
        ("deleted-data-files", removed.data_files),
        ("deleted-records", removed.records),
        ("removed-files-size", removed.bytes),
        ("removed-delete-files", removed.delete_files()),
        (
            "removed-position-delete-files",
            removed.position_delete_files,
        ),
        ("removed-dvs", removed.deletion_vectors),
        ("removed-position-deletes", removed.position_deletes),
        (
            "removed-equality-delete-files",
            removed.equality_delete_files,
        ),
        ("removed-equality-deletes", removed.equality_deletes),
        ("manifests-replaced", replaced_manifests),
        ("entries-processed", processed_entries),
    ] {
        if count > 0 {
            properties.insert(name.to_owned(), count.to_string());
        }
    }
    properties.insert(
        "changed-partition-count".to_owned(),
        changed_partitions.to_string(),
    );
}

/// Carries the totals on from the parent. A total that the parent does not know stays unknown.
fn put_totals(properties: &mut HashMap<String, String>, change: Change, parent: Option<&Snapshot>) {
    let Change { added, removed, .. } = change;
    for (name, plus, minus) in [
        ("total-data-files", added.data_files, removed.data_files),
        ("total-records", added.records, removed.records),
        ("total-files-size", added.bytes, removed.bytes),
        (
            "total-delete-files",
            added.delete_files(),
            removed.delete_files(),
        ),
        (
            "total-position-deletes",
            added.position_deletes,
            removed.position_deletes,
        ),
        (
            "total-equality-deletes",
            added.equality_deletes,
            removed.equality_deletes,
        ),
    ] {
        let before = match parent {
            None => Some(0),
            Some(parent) => parent
                .summary()
                .additional_properties
                .get(name)
                .and_then(|total| total.parse::<u64>().ok()),
        };
        let total = before
            .and_then(|before| before.checked_add(plus))
            .and_then(|total| total.checked_sub(minus));
        if let Some(total) = total {
            properties.insert(name.to_owned(), total.to_string());
        }
    }
}
