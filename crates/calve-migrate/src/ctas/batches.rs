//! How a source is cut into batches.

use std::fmt;
use std::str::FromStr;

use calve_base::units;
use datafusion::scalar::ScalarValue;
use xxhash_rust::xxh3::Xxh3;

use super::source::SourceFile;

/// How many bytes of the source go into a batch, unless said otherwise.
pub const DEFAULT_BATCH_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// How many batches a column may make.
pub const MAXIMUM_BATCHES: usize = 10_000;

/// How a source is cut into batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchBy {
    /// Whole partitions of the source, as many as have that many bytes; a larger one is cut at its files.
    Partitions(u64),
    /// One batch for each value of a column.
    Column(String),
    /// Files, as many as have that many bytes.
    Bytes(u64),
    /// Files, as many as have that many rows.
    Rows(u64),
}

impl Default for BatchBy {
    fn default() -> Self {
        Self::Partitions(DEFAULT_BATCH_BYTES)
    }
}

/// A text that is no way to cut batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no way to cut batches: expected a column, bytes=SIZE or rows=N")]
pub struct BatchByError {
    text: String,
}

impl FromStr for BatchBy {
    type Err = BatchByError;

    fn from_str(text: &str) -> Result<Self, BatchByError> {
        let wrong = || BatchByError {
            text: text.to_owned(),
        };
        match text.trim().split_once('=') {
            Some(("bytes", size)) => match units::parse_bytes(size) {
                Ok(bytes) if bytes > 0 => Ok(Self::Bytes(bytes)),
                _ => Err(wrong()),
            },
            Some(("rows", number)) => match number.trim().parse() {
                Ok(rows) if rows > 0 => Ok(Self::Rows(rows)),
                _ => Err(wrong()),
            },
            Some(_) => Err(wrong()),
            None if text.trim().is_empty() => Err(wrong()),
            None => Ok(Self::Column(text.trim().to_owned())),
        }
    }
}

impl fmt::Display for BatchBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partitions(bytes) => write!(f, "partitions={bytes}"),
            Self::Column(column) => f.write_str(column),
            Self::Bytes(bytes) => write!(f, "bytes={bytes}"),
            Self::Rows(rows) => write!(f, "rows={rows}"),
        }
    }
}

/// A batch, as it is planned.
#[derive(Debug, Clone, serde::Serialize)]
pub struct PlannedBatch {
    /// Its number, counted from 1.
    pub number: u64,
    /// Which rows it has, for people.
    pub rows_of: String,
    /// Number of the source's files that are read for it.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Number of rows in them, where that is known.
    pub records: Option<u64>,
    /// The batch of an earlier run whose rows go when those of this one come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
    /// Names its rows: equal in every run as long as the source is the same.
    pub identity: String,
    /// The places of its files in the source.
    #[serde(skip)]
    pub(super) places: Vec<usize>,
    /// The only value of a column that it takes, where it does not take all rows of its files.
    #[serde(skip)]
    pub(super) value: Option<(String, ScalarValue)>,
}

impl PlannedBatch {
    /// The same batch, named by what its rows have in common.
    pub(super) fn with_rows_of(mut self, rows_of: String) -> Self {
        self.rows_of = rows_of;
        self
    }

    /// A batch of some of the source's files.
    pub(super) fn new(
        number: u64,
        files: &[SourceFile],
        places: Vec<usize>,
        value: Option<(String, ScalarValue)>,
    ) -> Self {
        let mut hash = Xxh3::new();
        let (mut bytes, mut records) = (0, Some(0));
        for file in places.iter().map(|place| &files[*place]) {
            bytes += file.size;
            records = records.zip(file.rows).map(|(sum, rows)| sum + rows);
            hash.update(file.location.canonical().as_bytes());
            hash.update(&file.size.to_le_bytes());
            hash.update(&file.last_modified_ms.to_le_bytes());
            hash.update(file.etag.as_deref().unwrap_or_default().as_bytes());
            hash.update(&[0]);
        }
        let rows_of = match (&value, places.first(), places.last()) {
            (Some((column, value)), _, _) if value.is_null() => format!("{column} is null"),
            (Some((column, value)), _, _) => format!("{column} = {value}"),
            (None, Some(first), Some(last)) if first != last => {
                let (first, last) = (&files[*first].location, &files[*last].location);
                format!("{first} to {last}")
            }
            (None, Some(only), _) => files[*only].location.to_string(),
            (None, None, _) => "no file any more".to_owned(),
        };
        hash.update(rows_of.as_bytes());
        Self {
            number,
            rows_of,
            files: places.len() as u64,
            bytes,
            records: records.filter(|_| value.is_none()),
            replaces: None,
            identity: format!("{:032x}", hash.digest128()),
            places,
            value,
        }
    }
}

/// Groups files in their order: as many as fit below `limit`, at least one. With `whole`, files of one
/// group (the source's partition) stay together unless they alone are too much.
pub(super) fn group(
    sizes: impl Iterator<Item = (u64, u64)>,
    limit: u64,
    whole: bool,
) -> Vec<Vec<usize>> {
    // First runs of files that stay together, then batches of runs.
    let mut runs: Vec<(u64, Vec<usize>)> = Vec::new();
    let mut last = None;
    for (place, (size, of)) in sizes.enumerate() {
        let joins = whole && last == Some(of);
        last = Some(of);
        match runs.last_mut() {
            Some((sum, places)) if joins && *sum + size <= limit => {
                *sum += size;
                places.push(place);
            }
            _ => runs.push((size, vec![place])),
        }
    }
    let mut batches: Vec<(u64, Vec<usize>)> = Vec::new();
    for (size, places) in runs {
        match batches.last_mut() {
            Some((sum, batch)) if *sum + size <= limit => {
                *sum += size;
                batch.extend(places);
            }
            _ => batches.push((size, places)),
        }
    }
    batches.into_iter().map(|(_, places)| places).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_group(sizes: &[(u64, u64)], limit: u64, whole: bool, expected: &[&[usize]]) {
        let found = group(sizes.iter().copied(), limit, whole);
        assert_eq!(found, expected, "{sizes:?} by {limit}");
    }

    #[test]
    fn files_in_groups() {
        check_group(&[], 10, true, &[]);
        check_group(&[(4, 0), (4, 0), (4, 1)], 10, false, &[&[0, 1], &[2]]);
        check_group(&[(4, 0), (4, 1), (4, 1)], 10, true, &[&[0], &[1, 2]]);
        // A partition that is too large is cut, and a file is not.
        check_group(
            &[(4, 0), (9, 1), (9, 1), (20, 2), (1, 3)],
            10,
            true,
            &[&[0], &[1], &[2], &[3], &[4]],
        );
        check_group(&[(0, 0), (0, 1), (10, 2)], 10, false, &[&[0, 1, 2]]);
    }

    #[track_caller]
    fn check(text: &str, expected: Option<&BatchBy>) {
        let found: Option<BatchBy> = text.parse().ok();
        assert_eq!(found.as_ref(), expected, "{text}");
    }

    #[test]
    fn ways_to_cut() {
        check("year", Some(&BatchBy::Column("year".to_owned())));
        check("bytes=1kB", Some(&BatchBy::Bytes(1000)));
        check("rows=10", Some(&BatchBy::Rows(10)));
        check("rows=0", None);
        check("bytes=x", None);
        check("files=3", None);
        check("", None);
    }
}
