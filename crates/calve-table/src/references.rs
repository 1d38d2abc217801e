//! Branches and tags.

use calve_catalog::{Table, read_metadata_document};
use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata,
};

use crate::{Error, Result};

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

/// Refuses tables whose branches and tags any commit would lose: those of format version 1 that have some. `iceberg`
/// 0.10 does not read them, and its metadata of that version have no place for them.
///
/// # Errors
/// When the table has some, or its metadata cannot be read.
pub async fn check_references(table: &Table) -> Result<()> {
    if table.metadata().format_version() != FormatVersion::V1 {
        return Ok(());
    }
    let document = read_metadata_document(table.storage(), table.metadata_location()).await?;
    let refs = document.get("refs").and_then(|refs| refs.as_object());
    let names = refs.into_iter().flat_map(|refs| refs.keys());
    let others: Vec<String> = names.filter(|name| *name != MAIN_BRANCH).cloned().collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::LosesReferences {
        ident: table.ident().clone(),
        references: others,
    })
}
