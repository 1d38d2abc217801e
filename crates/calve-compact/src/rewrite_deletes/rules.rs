//! Which position delete files are rewritten, and together with which others.

use std::collections::{BTreeMap, HashMap, HashSet};

use calve_table::DeleteFile;
use iceberg::spec::Struct;

use super::DeleteGroup;
use crate::options::RewriteOptions;
use crate::pack::pack;
use crate::plan::Reason;

/// Which files are rewritten, and as what.
pub(super) struct Rules {
    pub(super) options: RewriteOptions,
    /// Whether they become deletion vectors.
    pub(super) to_vectors: bool,
    /// Whether each data file has a delete file of its own.
    pub(super) by_file: bool,
}

impl Rules {
    /// Packs the files of each partition.
    pub(super) fn groups(
        &self,
        files: Vec<DeleteFile>,
        path: impl Fn(&DeleteFile) -> String,
    ) -> Vec<DeleteGroup> {
        let mut partitions: BTreeMap<(i32, String), HashMap<Struct, Vec<DeleteFile>>> =
            BTreeMap::new();
        for file in files {
            let partition = partitions.entry((file.spec_id, path(&file))).or_default();
            let lot = partition.entry(file.file.partition.clone()).or_default();
            lot.push(file);
        }
        let mut groups = Vec::new();
        for ((spec_id, partition), lots) in partitions {
            for lot in lots.into_values() {
                groups.extend(
                    self.packs(lot)
                        .into_iter()
                        .map(|(files, reasons)| DeleteGroup {
                            spec_id,
                            partition: partition.clone(),
                            files_count: files.len(),
                            bytes: files.iter().map(|file| file.file.size_bytes).sum(),
                            positions: files.iter().map(|file| file.file.record_count).sum(),
                            reasons,
                            files,
                        }),
                );
            }
        }
        groups
    }

    fn packs(&self, mut files: Vec<DeleteFile>) -> Vec<(Vec<DeleteFile>, Vec<Reason>)> {
        if self.to_vectors {
            // A deletion vector stands for all position deletes of its data file: none may be left out.
            return vec![(files, vec![Reason::DeletionVectors])];
        }
        let options = &self.options;
        let in_range = options.min_file_size_bytes..=options.max_file_size_bytes;
        files.retain(|file| options.rewrite_all || !in_range.contains(&file.file.size_bytes));
        files.sort_by(|left, right| {
            let by_age = left.sequence_number.cmp(&right.sequence_number);
            by_age.then_with(|| left.file.path.cmp(&right.file.path))
        });
        let packs = pack(
            files,
            |file| file.file.size_bytes,
            options.max_file_group_size_bytes,
            options.max_file_group_input_files,
        );
        let reasoned = packs.into_iter().map(|pack| {
            let reasons = self.reasons(&pack);
            (pack, reasons)
        });
        reasoned
            .filter(|(_, reasons)| !reasons.is_empty())
            .collect()
    }

    /// Why a pack is rewritten; for nothing where it would become as many files again.
    fn reasons(&self, pack: &[DeleteFile]) -> Vec<Reason> {
        let options = &self.options;
        if options.rewrite_all {
            return vec![Reason::RewriteAll];
        }
        let bytes: u64 = pack.iter().map(|file| file.file.size_bytes).sum();
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
        ];
        let is_small = |file: &DeleteFile| file.file.size_bytes <= options.max_file_size_bytes;
        let becomes_as_many = if self.by_file {
            let mut seen = HashSet::new();
            pack.iter().all(|file| {
                let of = file.data_file();
                of.is_some_and(|of| seen.insert(of))
            })
        } else {
            options.expected_output_files(bytes) >= pack.len() as u64
        };
        if becomes_as_many && pack.iter().all(is_small) {
            return Vec::new();
        }
        let holding = rules
            .into_iter()
            .filter_map(|(reason, holds)| holds.then_some(reason));
        holding.collect()
    }
}
