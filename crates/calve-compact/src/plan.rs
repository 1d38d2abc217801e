//! Which files are rewritten, and together with which others.
//!
//! Files of one partition, by spec and value, are candidates when they are too small, too large or have too
//! many deletes; candidates are packed in their order; a pack is rewritten when that is worth it. The rules
//! are those of Iceberg's `SizeBasedFileRewritePlanner` and `BinPackRewriteFilePlanner`, and one more, so that
//! a second run finds nothing to do: a pack of sound files that would become as many files again stays.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use calve_base::Location;
use calve_table::ScanFile;
use iceberg::spec::{DataContentType, DataFileFormat, Datum, Struct};

use crate::options::{JobOrder, RewriteOptions};
use crate::pack::pack;

/// Files that become other files together.
#[derive(Debug, Clone, serde::Serialize)]
pub struct FileGroup {
    /// The partition spec of the files; of the first one, where they are of several.
    pub spec_id: i32,
    /// Their partition, as a path (`year=2024/element=TMAX`); empty where they are of several.
    pub partition: String,
    /// How many files there are.
    pub files_count: usize,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// Rows in them, deleted ones included.
    pub rows: u64,
    /// Delete files that apply to any of them, each counted once a file that it applies to.
    pub deletes_count: usize,
    /// How many files they are expected to become.
    pub expected_output_files: u64,
    /// Why they are rewritten.
    pub reasons: Vec<Reason>,
    /// The files, in the order in which they are read.
    #[serde(skip)]
    pub files: Vec<ScanFile>,
}

/// Why a group is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Everything is to be rewritten.
    RewriteAll,
    /// There are at least `min-input-files` of them.
    EnoughFiles,
    /// There are several, and together they are larger than the target.
    EnoughContent,
    /// They are larger than a file may be.
    TooMuchContent,
    /// A file has `delete-file-threshold` delete files.
    ManyDeletes,
    /// Of a file, `delete-ratio-threshold` is deleted.
    HighDeleteRatio,
    /// Position delete files are to become deletion vectors.
    DeletionVectors,
}

/// Why a file stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftAlone {
    /// Its size is between the bounds, and few of its rows are deleted.
    InRange,
    /// It is small, and so are too few others of its partition.
    FewFiles,
    /// It would become a file of about the same size again.
    NothingToGain,
    /// As many files as may be rewritten are in the plan already.
    OverLimit,
    /// It is no Parquet file.
    NotParquet,
}

impl std::fmt::Display for LeftAlone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InRange => "size within bounds, few deletes",
            Self::FewFiles => "too few small files in the partition",
            Self::NothingToGain => "would become as many files again",
            Self::OverLimit => "max-files-to-rewrite is reached",
            Self::NotParquet => "no Parquet file",
        })
    }
}

/// A file that stays.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftFile {
    /// Where it lies.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Why.
    pub reason: LeftAlone,
}

/// What a run will do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: calve_base::TableIdent,
    /// The snapshot that is read; none where the table is empty.
    pub snapshot_id: Option<i64>,
    /// The sizes that files are held against, in bytes: the least, the wanted, the most.
    pub target_file_size_bytes: u64,
    /// Smaller files are candidates.
    pub min_file_size_bytes: u64,
    /// Larger files are candidates.
    pub max_file_size_bytes: u64,
    /// The groups, in the order in which they are rewritten.
    pub groups: Vec<FileGroup>,
    /// The files that stay, of those that were asked about.
    pub left_alone: Vec<LeftFile>,
}

impl Plan {
    /// How many files are rewritten.
    pub fn files_count(&self) -> usize {
        self.groups.iter().map(|group| group.files_count).sum()
    }

    /// How many bytes are rewritten.
    pub fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.bytes).sum()
    }
}

/// A file of the table, and what is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// In a place of its own: candidates are moved about until they are in a group.
    pub(crate) scan: Box<ScanFile>,
    /// The path of its partition.
    pub(crate) partition: Arc<str>,
    /// The least value of the column that files are ordered by.
    pub(crate) order: Option<Datum>,
    /// How many delete files may take rows of it.
    pub(crate) deletes: usize,
}

/// How many of the delete files that apply to a file may take rows of it.
///
/// A file that a rewrite made carries the sequence number of the snapshot that was read. Position deletes of that
/// very snapshot apply to it by their number and partition, but they were written before the file was, and
/// cannot name it. Where they counted, a table would never be done.
pub(crate) fn count_deletes(scan: &ScanFile) -> usize {
    let applying = scan.deletes.iter().filter(|delete| {
        let is_older = |written: i64| delete.sequence_number < written;
        delete.file.content != DataContentType::PositionDeletes
            || !scan.file_sequence_number.is_some_and(is_older)
    });
    applying.count()
}

impl Candidate {
    fn bytes(&self) -> u64 {
        self.scan.file.size_bytes
    }

    fn has_many_deletes(&self, options: &RewriteOptions) -> bool {
        self.deletes >= options.delete_file_threshold
    }

    /// Only deletes that concern no other file tell how many rows of this one they delete.
    fn has_high_delete_ratio(&self, options: &RewriteOptions) -> bool {
        let deletes = self.scan.deletes.iter().filter(|delete| {
            delete.file.content == DataContentType::PositionDeletes && delete.concerns_one_file()
        });
        let deleted: u64 = deletes.map(|delete| delete.file.record_count).sum();
        #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
        let ratio = deleted as f64 / self.scan.file.record_count.max(1) as f64;
        deleted > 0 && ratio >= options.delete_ratio_threshold
    }

    fn is_wanted(&self, options: &RewriteOptions) -> bool {
        let bytes = self.bytes();
        bytes < options.min_file_size_bytes
            || bytes > options.max_file_size_bytes
            || self.has_many_deletes(options)
            || self.has_high_delete_ratio(options)
    }

    fn left(&self, reason: LeftAlone) -> LeftFile {
        LeftFile {
            file: self.scan.file.path.clone(),
            bytes: self.bytes(),
            reason,
        }
    }
}

/// Decides what is rewritten.
pub(crate) fn plan(
    files: Vec<Candidate>,
    options: &RewriteOptions,
    output_spec_id: i32,
) -> (Vec<FileGroup>, Vec<LeftFile>) {
    let mut left = Vec::new();
    let mut groups = Vec::new();
    for partition in by_partition(files, output_spec_id) {
        let (wanted, others): (Vec<_>, Vec<_>) = partition
            .into_iter()
            .partition(|file| options.rewrite_all || file.is_wanted(options));
        left.extend(others.iter().map(|file| file.left(LeftAlone::InRange)));
        let (wanted, others): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|file| file.scan.file.format == DataFileFormat::Parquet);
        left.extend(others.iter().map(|file| file.left(LeftAlone::NotParquet)));
        let packed = pack(
            wanted,
            Candidate::bytes,
            options.max_file_group_size_bytes,
            options.max_file_group_input_files,
        );
        for pack in packed {
            match reasons(&pack, options, output_spec_id) {
                Ok(reasons) => groups.push((pack, reasons)),
                Err(reason) => left.extend(pack.iter().map(|file| file.left(reason))),
            }
        }
    }
    let groups = truncate(groups, options, output_spec_id, &mut left);
    let mut groups: Vec<FileGroup> = groups
        .into_iter()
        .map(|(pack, reasons)| group(pack, reasons, options))
        .collect();
    order(&mut groups, options.job_order);
    (groups, left)
}

/// The files of each partition, neighbours beside each other: by the least value of the column that the
/// table is sorted by, and by age. Files of other specs than that of the output are one lot: which partitions
/// their rows go to has nothing to do with those that they come from.
fn by_partition(files: Vec<Candidate>, output_spec_id: i32) -> Vec<Vec<Candidate>> {
    let mut places: HashMap<Option<Struct>, usize> = HashMap::new();
    let mut partitions: Vec<Vec<Candidate>> = Vec::new();
    for file in files {
        let is_current = file.scan.spec_id == output_spec_id;
        let key = is_current.then(|| file.scan.file.partition.clone());
        let at = *places.entry(key).or_insert(partitions.len());
        if at == partitions.len() {
            partitions.push(Vec::new());
        }
        partitions[at].push(file);
    }
    for partition in &mut partitions {
        partition.sort_by(|left, right| {
            let by_value = match (&left.order, &right.order) {
                (Some(left), Some(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            let place = |file: &Candidate| (file.scan.spec_id, Arc::clone(&file.partition));
            let by_place = if left.scan.spec_id == output_spec_id {
                Ordering::Equal
            } else {
                place(left).cmp(&place(right))
            };
            by_place
                .then(by_value)
                .then_with(|| left.scan.sequence_number.cmp(&right.scan.sequence_number))
                .then_with(|| left.scan.file.path.cmp(&right.scan.file.path))
        });
    }
    partitions.sort_by_cached_key(|files| {
        let first = files.first();
        first.map(|file| {
            let is_current = file.scan.spec_id == output_spec_id;
            (is_current, Arc::clone(&file.partition))
        })
    });
    partitions
}

/// Why a pack of files is rewritten, or why not.
fn reasons(
    pack: &[Candidate],
    options: &RewriteOptions,
    output_spec_id: i32,
) -> Result<Vec<Reason>, LeftAlone> {
    if options.rewrite_all && !pack.is_empty() {
        return Ok(vec![Reason::RewriteAll]);
    }
    let bytes: u64 = pack.iter().map(Candidate::bytes).sum();
    let is_several = pack.len() > 1;
    let rules = [
        (
            Reason::EnoughFiles,
            is_several && pack.len() >= options.min_input_files,
        ),
        (
            Reason::EnoughContent,
            is_several && bytes > options.target_file_size_bytes,
        ),
        (Reason::TooMuchContent, bytes > options.max_file_size_bytes),
        (
            Reason::ManyDeletes,
            pack.iter().any(|file| file.has_many_deletes(options)),
        ),
        (
            Reason::HighDeleteRatio,
            pack.iter().any(|file| file.has_high_delete_ratio(options)),
        ),
    ];
    let reasons: Vec<Reason> = rules
        .into_iter()
        .filter_map(|(reason, holds)| holds.then_some(reason))
        .collect();
    if reasons.is_empty() {
        return Err(LeftAlone::FewFiles);
    }
    let is_sound = pack.iter().all(|file| {
        file.deletes == 0
            && file.scan.spec_id == output_spec_id
            && file.bytes() <= options.max_file_size_bytes
    });
    let expected = options.expected_output_files(bytes);
    if is_sound && expected >= pack.len() as u64 {
        return Err(LeftAlone::NothingToGain);
    }
    Ok(reasons)
}

type Packed = (Vec<Candidate>, Vec<Reason>);

/// Keeps groups up to `max-files-to-rewrite`, the last one in part where that part is worth it by itself.
fn truncate(
    groups: Vec<Packed>,
    options: &RewriteOptions,
    output_spec_id: i32,
    left: &mut Vec<LeftFile>,
) -> Vec<Packed> {
    let Some(mut room) = options.max_files_to_rewrite else {
        return groups;
    };
    let mut kept = Vec::new();
    for (mut pack, reasons_of_all) in groups {
        let over = pack.split_off(room.min(pack.len()));
        left.extend(over.iter().map(|file| file.left(LeftAlone::OverLimit)));
        room -= pack.len();
        if over.is_empty() {
            kept.push((pack, reasons_of_all));
        } else if let Ok(reasons) = reasons(&pack, options, output_spec_id) {
            kept.push((pack, reasons));
        } else {
            left.extend(pack.iter().map(|file| file.left(LeftAlone::OverLimit)));
        }
    }
    kept
}

fn group(pack: Vec<Candidate>, reasons: Vec<Reason>, options: &RewriteOptions) -> FileGroup {
    let bytes = pack.iter().map(Candidate::bytes).sum();
    FileGroup {
        spec_id: pack.first().map_or(0, |file| file.scan.spec_id),
        partition: partition_of(&pack),
        files_count: pack.len(),
        bytes,
        rows: pack.iter().map(|file| file.scan.file.record_count).sum(),
        deletes_count: pack.iter().map(|file| file.scan.deletes.len()).sum(),
        expected_output_files: options.expected_of_input(bytes),
        reasons,
        files: pack.into_iter().map(|file| *file.scan).collect(),
    }
}

/// The partition of the files, if it is one.
fn partition_of(pack: &[Candidate]) -> String {
    let Some(first) = pack.first() else {
        return String::new();
    };
    let is_of_first = |file: &Candidate| file.partition == first.partition;
    if pack.iter().all(is_of_first) {
        first.partition.to_string()
    } else {
        String::new()
    }
}

fn order(groups: &mut [FileGroup], order: JobOrder) {
    match order {
        JobOrder::None => {}
        JobOrder::BytesAsc => groups.sort_by_key(|group| group.bytes),
        JobOrder::BytesDesc => groups.sort_by_key(|group| std::cmp::Reverse(group.bytes)),
        JobOrder::FilesAsc => groups.sort_by_key(|group| group.files_count),
        JobOrder::FilesDesc => groups.sort_by_key(|group| std::cmp::Reverse(group.files_count)),
    }
}

/// Where the files of a group lie.
pub(crate) fn locations(group: &FileGroup) -> Result<Vec<Location>, calve_base::LocationError> {
    let files = group.files.iter();
    files
        .map(|file| Location::parse(file.file.path.as_str()))
        .collect()
}

#[cfg(test)]
mod tests;
