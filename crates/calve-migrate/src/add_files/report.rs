//! What `add-files` would do, and what it did.

use calve_base::{Location, TableIdent};
use calve_parquet::{Drift, FindingCode, Severity};

/// How many entries each list of a report holds at the most; counts beside the lists are complete.
pub const REPORT_LIST_LIMIT: usize = 1_000;

/// What a run would add. Lists are cut at [`REPORT_LIST_LIMIT`] entries; counts are not.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// Whether the table would be created.
    pub creates_table: bool,
    /// Where the table's metadata is or would be.
    pub table_location: Location,
    /// Number of data files.
    pub added_files_count: u64,
    /// Number of rows in them.
    pub added_records_count: u64,
    /// Their size in bytes.
    pub added_files_size_bytes: u64,
    /// Number of partitions they lie in.
    pub changed_partition_count: u64,
    /// The partition fields, `name: type` each.
    pub partition_by: Vec<String>,
    /// The table's columns, `name: type` each.
    pub columns: Vec<String>,
    /// Number of objects passed over.
    pub skipped_count: u64,
    /// The objects passed over, and why.
    pub skipped: Vec<SkippedFile>,
    /// Number of files that cannot be added.
    pub refused_count: u64,
    /// The files that cannot be added, and why.
    pub refused: Vec<Refused>,
    /// What the type policy says of the files, each once.
    pub findings: Vec<SeenFinding>,
    /// Number of files whose schema differs from the table's.
    pub drifted_count: u64,
    /// The files whose schema differs from the table's, and how.
    pub drifted: Vec<Drifted>,
    /// What the user should know, one sentence each.
    pub notes: Vec<String>,
}

/// What a run did.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The new snapshot; none where nothing was added.
    pub snapshot_id: Option<i64>,
    /// The table's metadata file after the run; none where the table was not made.
    pub metadata_location: Option<Location>,
    /// What was added, and what was not.
    #[serde(flatten)]
    pub plan: Plan,
}

/// An object that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SkippedFile {
    /// The object.
    pub file: Location,
    /// Why: `hidden`, `zero_byte`, `no_rows`, `already_in_table`, ….
    pub reason: String,
}

/// A file that cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The file.
    pub file: Location,
    /// The column, where it is about one: its path, joined by dots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Which rule: `milliseconds`, `not_parquet`, `schema_conflict`, ….
    pub reason: String,
    /// What is wrong, for people.
    pub message: String,
}

/// A finding of the type policy, with the number of files it holds for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SeenFinding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule.
    pub code: FindingCode,
    /// The path of the column; empty for the whole file.
    pub column: String,
    /// What is wrong, for people.
    pub message: String,
    /// How many files.
    pub files_count: u64,
    /// The first of them.
    pub example: Location,
}

/// A file whose schema differs from the table's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Drifted {
    /// The file.
    pub file: Location,
    /// How it differs.
    pub drift: Vec<Drift>,
}

/// A list that keeps its first entries and counts them all.
#[derive(Debug)]
pub(super) struct Capped<T> {
    pub(super) count: u64,
    pub(super) first: Vec<T>,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self {
            count: 0,
            first: Vec::new(),
        }
    }
}

impl<T> Capped<T> {
    pub(super) fn push(&mut self, entry: T) {
        self.count += 1;
        if self.first.len() < REPORT_LIST_LIMIT {
            self.first.push(entry);
        }
    }
}

impl<T> Capped<T> {
    /// Takes over what another list has.
    pub(super) fn append(&mut self, other: Self) {
        self.count += other.count;
        let room = REPORT_LIST_LIMIT.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }
}
