//! What a migration is.

use calve_base::Clock;
use serde::{Deserialize, Serialize};

use super::MigrationId;

/// The version of the journal's documents that this release writes, and the highest that it reads.
pub const JOURNAL_VERSION: u64 = 1;

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MigrationState {
    /// It began, and may have been cut off.
    Running,
    /// All is done. It can still be undone where it has an undo record.
    Done,
    /// All is as it was before.
    RolledBack,
    /// It stays: the table owns its files, and nothing is kept to go back to.
    Finalized,
}

impl MigrationState {
    /// Its name, as in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::RolledBack => "rolled_back",
            Self::Finalized => "finalized",
        }
    }
}

/// The document `migration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// The version of the document.
    pub version: u64,
    /// How often the document was changed.
    pub revision: u64,
    /// The name of the migration, which tells its operation and its table.
    pub id: MigrationId,
    /// Where the rows come from, as the user named it.
    pub source: String,
    /// The table that they go into, or that is changed.
    pub target: String,
    /// The release that began it.
    pub calve_version: String,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: i64,
    /// When the document was last changed, in milliseconds since the epoch.
    pub updated_ms: i64,
    /// How far it is.
    pub state: MigrationState,
    /// What it was told to do. A run with other options does not go on with it.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub options: serde_json::Value,
    /// What its source listed as when the table was last in step with it, where that was found out and nothing has been
    /// done since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Listing>,
    /// How to undo it, where it can be undone: the operation's own record, or the names of the documents
    /// beside this one that hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<serde_json::Value>,
}

/// How a source listed when all of its files were in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// A sum over all that was listed.
    pub sum: String,
    /// Number of batches that were committed.
    pub batches: u64,
}

impl Migration {
    /// Describes a migration that begins now.
    pub fn new(id: MigrationId, source: impl Into<String>, clock: &dyn Clock) -> Self {
        let now_ms = clock.now_ms();
        Self {
            version: JOURNAL_VERSION,
            revision: 0,
            target: id.table().to_string(),
            id,
            source: source.into(),
            calve_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: now_ms,
            updated_ms: now_ms,
            state: MigrationState::Running,
            options: serde_json::Value::Null,
            listing: None,
            undo: None,
        }
    }

    /// Says what the migration is told to do.
    #[must_use]
    pub fn with_options(mut self, options: serde_json::Value) -> Self {
        self.options = options;
        self
    }

    /// Says how the migration is undone.
    #[must_use]
    pub fn with_undo(mut self, undo: serde_json::Value) -> Self {
        self.undo = Some(undo);
        self
    }
}
