//! What a rewrite would do, and what it did.

use calve_base::{Location, Properties, TableIdent};

use super::PlannedBatch;
use crate::journal::MigrationId;

/// What a rewrite would do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// The source, as it was named.
    pub source: String,
    /// Number of its data files.
    pub source_files_count: u64,
    /// Their size in bytes.
    pub source_bytes: u64,
    /// Number of rows in them, where that is known without reading them.
    pub source_records_count: Option<u64>,
    /// Number of things in the source that are no data, such as markers and partitions without files.
    pub skipped_count: u64,
    /// The table.
    pub table: TableIdent,
    /// Where it lies.
    pub table_location: Location,
    /// Its format version.
    pub format_version: u8,
    /// Its columns, `name: type` each.
    pub columns: Vec<String>,
    /// Its partition fields, `name: transform(column)` each.
    pub partition_by: Vec<String>,
    /// Its sort fields, `transform(column) direction nulls` each.
    pub sort_by: Vec<String>,
    /// Its properties.
    pub properties: Properties,
    /// Columns whose types change on the way, one sentence each.
    pub cures: Vec<String>,
    /// Number of batches.
    pub batches: u64,
    /// The first hundred of them.
    pub first_batches: Vec<PlannedBatch>,
    /// The migration that an earlier run began and this one goes on with.
    pub resumes: Option<MigrationId>,
    /// Number of batches that the earlier run committed.
    pub resumed_batches: u64,
    /// Files that an earlier run rewrote and that have changed since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_files: Vec<String>,
    /// How many of them are read again; the table has the rows of the others as they were.
    #[serde(skip_serializing_if = "is_zero")]
    pub replaced_files_count: u64,
    /// Files that an earlier run rewrote and that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<String>,
    /// How many of them leave the table; it has the rows of the others.
    #[serde(skip_serializing_if = "is_zero")]
    pub removed_files_count: u64,
    /// What the source's reader should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether the table has what its source has, once this is done.
    pub fn is_in_step(&self) -> bool {
        self.replaced_files_count == self.changed_files.len() as u64
            && self.removed_files_count == self.missing_files.len() as u64
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a rewrite did, all its runs together.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The migration.
    pub migration_id: MigrationId,
    /// Its snapshots, one a batch that had rows.
    pub snapshot_ids: Vec<i64>,
    /// The table's metadata file after the run.
    pub metadata_location: Option<Location>,
    /// Number of data files written.
    pub added_files_count: u64,
    /// Number of rows in them.
    pub added_records_count: u64,
    /// Number of files deleted that a cut-off run had left.
    pub cleaned_files_count: u64,
    /// What was planned.
    #[serde(flatten)]
    pub plan: Plan,
}
