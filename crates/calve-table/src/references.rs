//! Branches and tags.

use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata};

/// The branches and tags of a table, sorted by name. `iceberg` shows them only in the metadata's serialized form.
pub fn references(metadata: &TableMetadata) -> Vec<(String, SnapshotReference)> {
    let value = serde_json::to_value(metadata).unwrap_or_default();
    let refs = value.get("refs").and_then(serde_json::Value::as_object);
    let mut refs: Vec<(String, SnapshotReference)> = refs
        .into_iter()
        .flatten()
        .filter_map(|(name, reference)| {
            let reference = serde_json::from_value(reference.clone()).ok()?;
            Some((name.clone(), reference))
        })
        .collect();
    if refs.is_empty()
        && let Some(snapshot) = metadata.snapshot_for_ref("main")
    {
        // Version 1 has no references in its serialized form.
        let retention = SnapshotRetention::branch(None, None, None);
        let main = SnapshotReference::new(snapshot.snapshot_id(), retention);
        refs.push(("main".to_owned(), main));
    }
    refs.sort_by(|left, right| left.0.cmp(&right.0));
    refs
}
