//! Which snapshots, branches and tags expire: the rules of Iceberg's `RemoveSnapshots`.
//!
//! 1. A branch or tag goes when its snapshot is older than `max-ref-age-ms`, its own or the table's; `main` stays.
//! 2. Of each branch that stays, the newest snapshots stay (`min-snapshots-to-keep`, its own or what is asked
//!    for), and those that are young enough (`max-snapshot-age-ms`, its own or what is asked for).
//! 3. What a tag names stays.
//! 4. A snapshot that no branch or tag leads to (one that is staged, or was rolled back) stays while it is young.
//! 5. What is named by id goes, young or not, unless a branch or tag names it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use calve_table::references;
use iceberg::spec::{
    MAIN_BRANCH, SnapshotRef, SnapshotReference, SnapshotRetention, TableMetadata,
};

use crate::{Error, Result};

/// The property: snapshots of a branch that are older expire.
const MAX_SNAPSHOT_AGE_MS: &str = "history.expire.max-snapshot-age-ms";
/// The property: so many snapshots of a branch stay, however old.
const MIN_SNAPSHOTS_TO_KEEP: &str = "history.expire.min-snapshots-to-keep";
/// The property: branches and tags whose snapshot is older go.
const MAX_REF_AGE_MS: &str = "history.expire.max-ref-age-ms";

/// How old snapshots of a branch may be unless the table or the caller says otherwise: 5 days.
pub const DEFAULT_MAX_SNAPSHOT_AGE_MS: i64 = 5 * 24 * 60 * 60 * 1000;
/// How many snapshots of a branch stay at least unless the table or the caller says otherwise.
pub const DEFAULT_MIN_SNAPSHOTS_TO_KEEP: u64 = 1;

/// What the caller asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Snapshots from before this expire, in milliseconds since the epoch.
    pub(super) older_than_ms: Option<i64>,
    pub(super) retain_last: Option<u64>,
    pub(super) snapshot_ids: BTreeSet<i64>,
}

/// Why a snapshot expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryReason {
    /// It was asked for by its id.
    Named,
    /// Its branch keeps no snapshot that old.
    TooOld,
    /// It is old, and no branch or tag leads to it.
    Unreferenced,
}

impl std::fmt::Display for ExpiryReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Named => "named by its id",
            Self::TooOld => "older than its branch keeps",
            Self::Unreferenced => "old, and no branch or tag leads to it",
        })
    }
}

/// What expires.
#[derive(Debug, Clone, Default)]
pub(super) struct Expiry {
    /// The snapshots, the oldest first.
    pub(super) snapshots: Vec<(SnapshotRef, ExpiryReason)>,
    /// The names of branches and tags.
    pub(super) references: Vec<String>,
}

impl Expiry {
    /// The ids of the snapshots, in their order.
    pub(super) fn snapshot_ids(&self) -> Vec<i64> {
        let snapshots = self.snapshots.iter();
        snapshots
            .map(|(snapshot, _)| snapshot.snapshot_id())
            .collect()
    }
}

/// The limits that hold for a table where a branch has none of its own.
struct Limits {
    now_ms: i64,
    older_than_ms: i64,
    min_snapshots: u64,
    max_ref_age_ms: i64,
}

impl Limits {
    fn new(metadata: &TableMetadata, wanted: &Wanted, now_ms: i64) -> Result<Self> {
        let max_age = property(metadata, MAX_SNAPSHOT_AGE_MS, DEFAULT_MAX_SNAPSHOT_AGE_MS)?;
        let min = property(
            metadata,
            MIN_SNAPSHOTS_TO_KEEP,
            DEFAULT_MIN_SNAPSHOTS_TO_KEEP,
        )?;
        let older_than_ms = wanted.older_than_ms;
        Ok(Self {
            now_ms,
            older_than_ms: older_than_ms.unwrap_or_else(|| now_ms.saturating_sub(max_age)),
            min_snapshots: wanted.retain_last.unwrap_or(min),
            max_ref_age_ms: property(metadata, MAX_REF_AGE_MS, i64::MAX)?,
        })
    }

    fn keeps(&self, metadata: &TableMetadata, name: &str, reference: &SnapshotReference) -> bool {
        let (SnapshotRetention::Branch { max_ref_age_ms, .. }
        | SnapshotRetention::Tag { max_ref_age_ms }) = reference.retention;
        let snapshot = metadata.snapshot_by_id(reference.snapshot_id);
        let age = snapshot.map(|snapshot| self.now_ms.saturating_sub(snapshot.timestamp_ms()));
        name == MAIN_BRANCH
            || age.is_some_and(|age| age <= max_ref_age_ms.unwrap_or(self.max_ref_age_ms))
    }
}

/// Decides what expires.
///
/// # Errors
/// When a snapshot that is named is one that a branch or tag names, or a property is no number.
pub(super) fn expiry(metadata: &TableMetadata, wanted: &Wanted, now_ms: i64) -> Result<Expiry> {
    let limits = Limits::new(metadata, wanted, now_ms)?;
    let (kept, gone): (Vec<_>, Vec<_>) = references(metadata)
        .into_iter()
        .partition(|(name, reference)| limits.keeps(metadata, name, reference));
    check_named(&kept, wanted)?;
    let mut retained: HashSet<i64> = kept.iter().map(|(_, it)| it.snapshot_id).collect();
    let mut referenced = retained.clone();
    for (_, reference) in &kept {
        if let SnapshotRetention::Branch {
            min_snapshots_to_keep,
            max_snapshot_age_ms,
            ..
        } = reference.retention
        {
            let min = min_snapshots_to_keep.and_then(|count| u64::try_from(count).ok());
            let oldest = max_snapshot_age_ms.map(|age| now_ms.saturating_sub(age));
            let mut is_kept = true;
            for (snapshot, number) in ancestors(metadata, reference.snapshot_id).zip(0_u64..) {
                is_kept = is_kept
                    && (number < min.unwrap_or(limits.min_snapshots)
                        || snapshot.timestamp_ms() >= oldest.unwrap_or(limits.older_than_ms));
                referenced.insert(snapshot.snapshot_id());
                if is_kept {
                    retained.insert(snapshot.snapshot_id());
                }
            }
        }
    }
    let mut snapshots: Vec<(SnapshotRef, ExpiryReason)> = metadata
        .snapshots()
        .filter_map(|snapshot| {
            let id = snapshot.snapshot_id();
            let is_referenced = referenced.contains(&id);
            let reason = if wanted.snapshot_ids.contains(&id) {
                ExpiryReason::Named
            } else if retained.contains(&id) {
                return None;
            } else if is_referenced {
                ExpiryReason::TooOld
            } else if snapshot.timestamp_ms() < limits.older_than_ms {
                ExpiryReason::Unreferenced
            } else {
                return None;
            };
            Some((SnapshotRef::clone(snapshot), reason))
        })
        .collect();
    snapshots.sort_by_key(|(snapshot, _)| (snapshot.timestamp_ms(), snapshot.snapshot_id()));
    Ok(Expiry {
        snapshots,
        references: gone.into_iter().map(|(name, _)| name).collect(),
    })
}

/// Refuses to expire what a branch or tag that stays names.
fn check_named(kept: &[(String, SnapshotReference)], wanted: &Wanted) -> Result<()> {
    let mut named: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (name, reference) in kept {
        if wanted.snapshot_ids.contains(&reference.snapshot_id) {
            let names = named.entry(reference.snapshot_id).or_default();
            names.push(name.clone());
        }
    }
    match named.pop_first() {
        Some((snapshot_id, references)) => Err(Error::Referenced {
            snapshot_id,
            references,
        }),
        None => Ok(()),
    }
}

/// A snapshot and those before it, as far as the table still has them.
fn ancestors(metadata: &TableMetadata, id: i64) -> impl Iterator<Item = &SnapshotRef> {
    std::iter::successors(metadata.snapshot_by_id(id), |snapshot| {
        metadata.snapshot_by_id(snapshot.parent_snapshot_id()?)
    })
}

/// A property as a number. A text that is none is an error: nothing expires by a limit that was not meant.
fn property<T: std::str::FromStr>(metadata: &TableMetadata, name: &str, default: T) -> Result<T> {
    let Some(text) = metadata.properties().get(name) else {
        return Ok(default);
    };
    text.trim().parse().map_err(|_| Error::Option {
        name: name.to_owned(),
        value: text.clone(),
        problem: "the table's property is no whole number".to_owned(),
    })
}

#[cfg(test)]
mod tests;
