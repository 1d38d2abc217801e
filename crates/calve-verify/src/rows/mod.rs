//! Which rows differ.
//!
//! Partitions whose checksums differ are read again, on both sides at once, and narrowed down in
//! passes that each hold no more than was allowed:
//!
//! 1. [`sieve`]: rows fall into buckets by hash; buckets that hold the same rows on both sides are
//!    left out, the others are split further, until what is left is few;
//! 2. [`search`]: the rows of those buckets are counted by hash, so that it is known which rows either
//!    side has more often, and these are read;
//! 3. [`pairing`]: a row that only the source has and one that only the table has are one row that
//!    changed, if they share the key, or most of their cells.
//!
//! Where a key is given, or some columns are equal on both sides as wholes, rows fall into buckets by
//! the hash of those columns, so that both versions of a changed row are found together.

mod file;
mod hasher;
mod pairing;
mod paths;
mod search;
mod sieve;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use file::DifferenceFile;
pub(crate) use hasher::RowColumn;
pub(crate) use search::{Search, Suspects};

use crate::Partition;

/// How many rows that differ are looked up, unless the caller says otherwise.
pub const DEFAULT_ROW_LIMIT: u64 = 1_000;

/// How many rows' hashes are held at once while rows that differ are searched, unless the caller
/// says otherwise: about 100 MB.
pub const DEFAULT_CANDIDATES: usize = 1 << 20;

/// How rows that differ are looked for.
#[derive(Debug, Clone)]
pub struct RowOptions {
    /// Columns, in any case, whose values tell which row of the source belongs to which of the table.
    pub key: Vec<String>,
    /// How many rows that differ are looked up, on either side; all when `None`.
    pub limit: Option<u64>,
    /// How many rows' hashes are held at once.
    pub candidates: usize,
    /// Who gets every row that was looked up, not only those in the report.
    pub sink: Option<Arc<dyn DifferenceSink>>,
}

impl Default for RowOptions {
    fn default() -> Self {
        Self {
            key: Vec::new(),
            limit: Some(DEFAULT_ROW_LIMIT),
            candidates: DEFAULT_CANDIDATES,
            sink: None,
        }
    }
}

/// Takes the rows that differ, one by one.
pub trait DifferenceSink: fmt::Debug + Send + Sync {
    /// Takes one.
    ///
    /// # Errors
    /// When it cannot be stored; the comparison ends.
    fn write(&self, difference: &RowDifference) -> std::io::Result<()>;
}

/// How a row differs, seen from the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RowKind {
    /// The table has other values in some columns.
    Changed,
    /// The table lacks the row, or has it less often than the source.
    Missing,
    /// The source lacks the row.
    Extra,
    /// Both have the row, the table more often.
    Duplicated,
}

/// A row that the sides do not have equally often.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RowDifference {
    /// How it differs.
    pub kind: RowKind,
    /// The partition: the source's where it has the row.
    pub partition: Partition,
    /// Where a changed row differs: columns, and paths into nested ones (`info.tags[1]`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// How often the source has it.
    pub source_count: u64,
    /// How often the table has it: of a changed row, the row as it is now.
    pub table_count: u64,
    /// The source's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Map<String, Value>>,
    /// The table's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Map<String, Value>>,
}

/// Which rows differ.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct RowDifferences {
    /// Whether all rows that differ were looked up.
    pub complete: bool,
    /// How many rows that were looked up changed.
    pub changed: u64,
    /// How many of them the table lacks.
    pub missing: u64,
    /// How many of them the source lacks.
    pub extra: u64,
    /// How many of them the table has more often.
    pub duplicated: u64,
    /// In which columns, or places in nested columns, rows changed, and how many rows: the most
    /// frequent first.
    pub changed_columns: Vec<ChangedColumn>,
    /// The rows, cut at [`crate::DIFFERENCE_LIMIT`].
    pub rows: Vec<RowDifference>,
}

/// A place where rows changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ChangedColumn {
    /// The column, or the path into a nested one, without the places of list items and map keys.
    pub column: String,
    /// In how many rows.
    pub rows: u64,
}

impl RowKind {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Duplicated => "duplicated",
        }
    }
}

impl fmt::Display for RowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RowDifferences {
    fn count(&mut self, difference: &RowDifference) {
        *match difference.kind {
            RowKind::Changed => &mut self.changed,
            RowKind::Missing => &mut self.missing,
            RowKind::Extra => &mut self.extra,
            RowKind::Duplicated => &mut self.duplicated,
        } += 1;
        let mut places: Vec<String> = difference
            .columns
            .iter()
            .map(|it| paths::place(it))
            .collect();
        places.dedup();
        for place in places {
            match self
                .changed_columns
                .iter_mut()
                .find(|it| it.column == place)
            {
                Some(changed) => changed.rows += 1,
                None => self.changed_columns.push(ChangedColumn {
                    column: place,
                    rows: 1,
                }),
            }
        }
    }
}
