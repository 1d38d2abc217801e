//! Time travel: which snapshot a reader means.

use calve_catalog::Table;
use iceberg::spec::SnapshotRef;

use crate::references::references;
use crate::{Error, Result};

/// Finds the snapshot that a reader asks for.
pub trait SnapshotLookup {
    /// The snapshot of that id.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] where there is none.
    fn snapshot(&self, id: i64) -> Result<SnapshotRef>;

    /// The snapshot that a branch or tag names.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] where there is none.
    fn snapshot_of_ref(&self, name: &str) -> Result<SnapshotRef>;

    /// The newest snapshot of a branch.
    ///
    /// # Errors
    /// [`Error::NoBranch`] where there is none of that name: a tag is none.
    fn snapshot_of_branch(&self, name: &str) -> Result<SnapshotRef>;

    /// The snapshot that was current at a time, as Java's `snapshotIdAsOfTime`.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] where the table is younger than that.
    fn snapshot_as_of(&self, timestamp_ms: i64) -> Result<SnapshotRef>;
}

impl SnapshotLookup for Table {
    fn snapshot(&self, id: i64) -> Result<SnapshotRef> {
        found(self, self.metadata().snapshot_by_id(id), || id.to_string())
    }

    fn snapshot_of_ref(&self, name: &str) -> Result<SnapshotRef> {
        found(self, self.metadata().snapshot_for_ref(name), || {
            format!("`{name}`")
        })
    }

    fn snapshot_of_branch(&self, name: &str) -> Result<SnapshotRef> {
        let references = references(self.metadata());
        let mut references = references.iter();
        if references.any(|(known, reference)| known == name && reference.is_branch()) {
            return self.snapshot_of_ref(name);
        }
        Err(Error::NoBranch {
            ident: self.ident().clone(),
            branch: name.to_owned(),
        })
    }

    fn snapshot_as_of(&self, timestamp_ms: i64) -> Result<SnapshotRef> {
        let metadata = self.metadata();
        let log = metadata.history().iter();
        let current = log.rev().find(|entry| entry.timestamp_ms <= timestamp_ms);
        let snapshot = current.and_then(|entry| metadata.snapshot_by_id(entry.snapshot_id));
        found(self, snapshot, || {
            let time = chrono::DateTime::from_timestamp_millis(timestamp_ms);
            match time {
                Some(time) => format!("as old as {}", time.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
                None => format!("as old as {timestamp_ms} ms"),
            }
        })
    }
}

fn found(
    table: &Table,
    snapshot: Option<&SnapshotRef>,
    wanted: impl FnOnce() -> String,
) -> Result<SnapshotRef> {
    snapshot.cloned().ok_or_else(|| Error::NoSnapshot {
        ident: table.ident().clone(),
        wanted: wanted(),
    })
}
