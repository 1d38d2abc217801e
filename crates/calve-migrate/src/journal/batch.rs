//! What a batch of rows is.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::JOURNAL_VERSION;

/// How far a batch is. Each state is written down before the next step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BatchState {
    /// Its files are being written, under names that are known.
    Begun,
    /// Its files are written.
    Written,
    /// Its files hold what was read. Its commit may have been tried.
    Verified,
    /// Its commit took place.
    Committed,
}

/// The document `batch-<n>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The version of the document.
    pub version: u64,
    /// Its number, counted from 1.
    pub number: u64,
    /// Which rows of the source are in it: the same for every run of the same command.
    pub identity: String,
    /// How far it is.
    pub state: BatchState,
    /// What the names of its data files, and of its manifests, have in common.
    pub writer: Uuid,
    /// The snapshot that its commit adds.
    pub snapshot_id: i64,
    /// Number of rows that were read.
    pub rows: u64,
    /// The data files that were written.
    #[serde(default)]
    pub files: Vec<String>,
    /// Whether it has all rows of the files that it read, which are told by pages of its own
    /// ([`Journal::record_sources`](super::Journal::record_sources)).
    #[serde(default)]
    pub whole_files: bool,
    /// The batch whose files go when those of this one come: its source was read anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
}

impl Batch {
    /// Describes a batch that begins now.
    pub fn new(number: u64, identity: impl Into<String>, writer: Uuid, snapshot_id: i64) -> Self {
        Self {
            version: JOURNAL_VERSION,
            number,
            identity: identity.into(),
            state: BatchState::Begun,
            writer,
            snapshot_id,
            rows: 0,
            files: Vec::new(),
            whole_files: false,
            replaces: None,
        }
    }

    /// Leaves out what other batches replaced, by those that `has_landed` says took place.
    pub fn current(batches: Vec<Self>, has_landed: impl Fn(&Self) -> bool) -> Vec<Self> {
        let landed = batches.iter().filter(|batch| has_landed(batch));
        let replaced: HashSet<u64> = landed.filter_map(|batch| batch.replaces).collect();
        let mut batches = batches;
        batches.retain(|batch| !replaced.contains(&batch.number));
        batches
    }

    /// Runs that are at work at the same time write documents of their own.
    pub(super) fn document(&self) -> String {
        format!("batch-{}.json", self.own_name())
    }

    /// What the names of its pages of source files begin with.
    pub(super) fn pages(&self) -> String {
        format!("{SOURCES}{}-", self.own_name())
    }

    /// Its number, and as much of its writer as tells it from another of that number: names are to be short.
    fn own_name(&self) -> String {
        format!("{}-{:08x}", self.number, self.writer.as_fields().0)
    }
}

/// What the names of pages of source files begin with.
pub(super) const SOURCES: &str = "sources-";

/// One page of source files: the files of a source that were read, each with what tells this
/// version of it from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePage {
    /// The version of the document.
    pub version: u64,
    /// The writer of the batch that read them; nil where batches read parts of them.
    pub writer: Uuid,
    /// Names and versions.
    pub files: Vec<(String, String)>,
}
