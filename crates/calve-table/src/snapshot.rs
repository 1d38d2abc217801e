//! Snapshot producers: they say what a new snapshot consists of, given the table as it is.

use async_trait::async_trait;
use calve_storage::Storage;
use iceberg::spec::{ManifestFile, Operation, SnapshotRef, TableMetadata};

use crate::totals::FileTotals;
use crate::{Result, WrittenManifests};

/// The state of the table that a snapshot is to follow.
///
/// When another writer commits first, the producer is asked again with the next attempt, and
/// re-applies its change to the new base. It keeps what it has written: data work is never redone.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// Where the table's files lie.
    pub storage: &'a Storage,
    /// The table's metadata, with the other changes of the commit made.
    pub metadata: &'a TableMetadata,
    /// The snapshot that the new one follows on its branch.
    pub parent: Option<&'a SnapshotRef>,
    /// The manifests of that snapshot.
    pub parent_manifests: Vec<ManifestFile>,
    /// The id of the new snapshot, the same in every attempt.
    pub snapshot_id: i64,
    /// The sequence number of the new snapshot.
    pub sequence_number: i64,
    /// How many attempts there were before.
    pub number: u32,
}

/// What a new snapshot consists of.
#[derive(Debug, Clone, Default)]
pub struct Produced {
    /// Its manifests, the new ones before those that are kept.
    pub manifests: Vec<ManifestFile>,
    /// What its added files hold.
    pub added: FileTotals,
    /// What its removed files held.
    pub removed: FileTotals,
    /// How many partitions are touched.
    pub changed_partitions: u64,
    /// How many of the parent's manifests others were written in the place of.
    pub replaced_manifests: u64,
    /// How many entries were read and written again for that alone.
    pub processed_entries: u64,
}

/// A change to the files of a table.
#[async_trait]
pub trait SnapshotProducer: std::fmt::Debug + Send + Sync {
    /// What kind of change it is.
    fn operation(&self) -> Operation;

    /// The snapshot id that the written manifests carry already; `None` where any will do.
    fn snapshot_id(&self) -> Option<i64>;

    /// Applies the change to a base.
    ///
    /// # Errors
    /// When the change cannot be made to this base: what it removes is gone, for one.
    async fn produce(&mut self, attempt: Attempt<'_>) -> Result<Produced>;

    /// The paths of all files written for the change so far. Those that the committed snapshot
    /// does not use are deleted after the commit; all of them when it fails.
    fn written_files(&self) -> Vec<String>;
}

/// Adds files and keeps all that is there (Java's `FastAppend`).
#[derive(Debug, Clone)]
pub struct Append {
    snapshot_id: i64,
    written: WrittenManifests,
}

impl Append {
    /// Appends what a [`ManifestRoller`](crate::ManifestRoller) wrote for that snapshot id. Nothing
    /// written makes a snapshot that changes nothing.
    pub fn new(snapshot_id: i64, written: WrittenManifests) -> Self {
        Self {
            snapshot_id,
            written,
        }
    }
}

#[async_trait]
impl SnapshotProducer for Append {
    fn operation(&self) -> Operation {
        Operation::Append
    }

    fn snapshot_id(&self) -> Option<i64> {
        Some(self.snapshot_id)
    }

    async fn produce(&mut self, attempt: Attempt<'_>) -> Result<Produced> {
        let kept = attempt.parent_manifests.into_iter();
        let kept =
            kept.filter(|manifest| manifest.has_added_files() || manifest.has_existing_files());
        Ok(Produced {
            manifests: self.written.manifests.iter().cloned().chain(kept).collect(),
            added: self.written.added,
            removed: FileTotals::default(),
            changed_partitions: self.written.changed_partitions,
            replaced_manifests: 0,
            processed_entries: 0,
        })
    }

    fn written_files(&self) -> Vec<String> {
        let manifests = self.written.manifests.iter();
        manifests
            .map(|manifest| manifest.manifest_path.clone())
            .collect()
    }
}

/// Makes an id for a new snapshot: a random positive number of 63 bits, as Java's.
pub fn new_snapshot_id() -> i64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    ((high ^ low) >> 1).cast_signed()
}
