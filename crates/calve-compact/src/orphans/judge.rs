//! What becomes of each file that a listing finds.

use std::collections::BTreeMap;

use calve_base::{Location, Progress, Stage, TableIdent};
use calve_storage::ObjectInfo;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use iceberg::spec::TableMetadata;

use super::reachable::{Reachable, Reached};
use super::surroundings::Surroundings;
use super::{OrphanFile, Plan, PrefixMismatchMode};
use crate::{Error, Result};

/// The stage that counts files as they are listed.
const STAGE: &str = "files listed";
/// How many files go by before the stage hears of them.
const STEP: u64 = 1_000;

/// Why a file is an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanReason {
    /// No snapshot refers to it.
    Unreferenced,
    /// It holds metadata that the table's log does not name any more.
    OldMetadata,
    /// The table names a file of that path, with another scheme or authority.
    PrefixMismatch,
}

impl std::fmt::Display for OrphanReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unreferenced => "no snapshot refers to it",
            Self::OldMetadata => "the metadata log does not name it",
            Self::PrefixMismatch => "the table names it with another scheme or authority",
        })
    }
}

/// Why a file stays that no snapshot refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// It is too young: its writer may be about to commit it.
    TooYoung,
    /// It, or a folder that it lies in, begins with `_` or `.`.
    Hidden,
    /// It belongs to calve's journals, or tells readers without a catalog what is current.
    Journal,
    /// A run wrote it that has not ended; the same command goes on with it.
    UnfinishedRun,
    /// It lies in the folder of another table, or another table refers to it.
    OtherTable,
    /// The table names a file of that path, with another scheme or authority.
    PrefixMismatch,
    /// It is no file, but what stands for a folder.
    FolderMarker,
    /// Somebody committed it while it was looked for.
    CommittedMeanwhile,
}

impl std::fmt::Display for KeptReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooYoung => "too young",
            Self::Hidden => "hidden",
            Self::Journal => "journals and the like",
            Self::UnfinishedRun => "of a run that has not ended",
            Self::OtherTable => "another table's",
            Self::PrefixMismatch => "named with another scheme or authority",
            Self::FolderMarker => "stands for a folder",
            Self::CommittedMeanwhile => "another table's, or committed meanwhile",
        })
    }
}

/// Judges files.
pub(super) struct Judge {
    older_than_ms: i64,
    /// `_name=` for each partition field whose name would hide its folders.
    hidden_fields: Vec<String>,
    surroundings: Surroundings,
    reachable: Reachable,
    orphans: Vec<OrphanFile>,
    /// The prefixes that the table names orphans with, by their place among them.
    mismatches: BTreeMap<usize, String>,
    kept: BTreeMap<KeptReason, u64>,
}

enum Verdict {
    Needed,
    Kept(KeptReason),
    Orphan(OrphanReason),
    /// An orphan, unless the table means it.
    Mismatch(String),
}

impl Judge {
    pub(super) fn new(
        metadata: &TableMetadata,
        older_than_ms: i64,
        surroundings: Surroundings,
        reachable: Reachable,
    ) -> Self {
        let fields = metadata.partition_specs_iter();
        let fields = fields.flat_map(|spec| spec.fields().iter());
        Self {
            older_than_ms,
            hidden_fields: fields
                .filter(|field| is_hidden(&field.name))
                .map(|field| format!("{}=", field.name))
                .collect(),
            surroundings,
            reachable,
            orphans: Vec::new(),
            mismatches: BTreeMap::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Judges all files of a folder.
    pub(super) async fn look_through(
        &mut self,
        root: &Location,
        mut listed: BoxStream<'static, calve_storage::Result<ObjectInfo>>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let stage = Stage::start(progress, STAGE, None);
        let mut count = 0;
        while let Some(file) = listed.try_next().await? {
            count += 1;
            if count % STEP == 0 {
                stage.advance(STEP);
            }
            self.surroundings.notice(root, &file.location);
            let reason = match self.judge(root, &file) {
                Verdict::Needed => continue,
                Verdict::Kept(reason) => {
                    *self.kept.entry(reason).or_default() += 1;
                    continue;
                }
                Verdict::Orphan(reason) => reason,
                Verdict::Mismatch(named) => {
                    self.mismatches.insert(self.orphans.len(), named);
                    OrphanReason::PrefixMismatch
                }
            };
            self.orphans.push(OrphanFile {
                orphan_file_location: file.location.to_string(),
                bytes: file.size,
                last_modified_ms: file.last_modified_ms,
                reason,
            });
        }
        stage.advance(count % STEP);
        Ok(())
    }

    fn judge(&self, root: &Location, file: &ObjectInfo) -> Verdict {
        let location = &file.location;
        let reached = self.reachable.find(location.as_str());
        if reached == Reached::Yes {
            return Verdict::Needed;
        }
        if location.key().ends_with('/') {
            return Verdict::Kept(KeptReason::FolderMarker);
        }
        let surroundings = &self.surroundings;
        if surroundings.is_journal(location) || surroundings.is_version_hint(location) {
            return Verdict::Kept(KeptReason::Journal);
        }
        if self.is_hidden(root, location) {
            return Verdict::Kept(KeptReason::Hidden);
        }
        if file.last_modified_ms >= self.older_than_ms {
            return Verdict::Kept(KeptReason::TooYoung);
        }
        if surroundings.is_of_unfinished_run(location) {
            return Verdict::Kept(KeptReason::UnfinishedRun);
        }
        match reached {
            Reached::Elsewhere(named) => Verdict::Mismatch(named),
            _ if location.file_name().contains(".metadata.json") => {
                Verdict::Orphan(OrphanReason::OldMetadata)
            }
            _ => Verdict::Orphan(OrphanReason::Unreferenced),
        }
    }

    /// Whether a file's name, or that of a folder below the root, begins with `_` or `.`, and the folder is none of
    /// a partition whose field is called so.
    fn is_hidden(&self, root: &Location, file: &Location) -> bool {
        let (root, file) = (root.canonical(), file.canonical());
        let below = file.strip_prefix(&root).unwrap_or(&file);
        let (folders, name) = below.rsplit_once('/').unwrap_or(("", below));
        let is_partition = |folder: &str| {
            let mut fields = self.hidden_fields.iter();
            fields.any(|field| folder.starts_with(field.as_str()))
        };
        is_hidden(name)
            || folders
                .split('/')
                .any(|folder| is_hidden(folder) && !is_partition(folder))
    }

    pub(super) fn reachable(&mut self) -> &mut Reachable {
        &mut self.reachable
    }

    pub(super) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// Keeps orphans of which a condition says so.
    fn keep(&mut self, reason: KeptReason, keeps: impl Fn(&Self, &OrphanFile) -> bool) {
        let orphans = std::mem::take(&mut self.orphans);
        let mismatches = std::mem::take(&mut self.mismatches);
        for (at, orphan) in orphans.into_iter().enumerate() {
            if keeps(self, &orphan) {
                *self.kept.entry(reason).or_default() += 1;
                continue;
            }
            if let Some(named) = mismatches.get(&at) {
                self.mismatches.insert(self.orphans.len(), named.clone());
            }
            self.orphans.push(orphan);
        }
    }

    /// Leaves to other tables what lies in their folders.
    pub(super) fn leave_others(&mut self) {
        self.keep(KeptReason::OtherTable, |judge, orphan| {
            judge.surroundings.is_anothers(&orphan.orphan_file_location)
        });
    }

    /// Decides on files that the table names with another scheme or authority.
    pub(super) fn settle_mismatches(
        &mut self,
        table: &TableIdent,
        mode: PrefixMismatchMode,
    ) -> Result<()> {
        match mode {
            PrefixMismatchMode::Delete => {}
            PrefixMismatchMode::Ignore => {
                self.keep(KeptReason::PrefixMismatch, |_, orphan| {
                    orphan.reason == OrphanReason::PrefixMismatch
                });
            }
            PrefixMismatchMode::Error => {
                if let Some((at, named)) = self.mismatches.first_key_value() {
                    return Err(Error::PrefixMismatch {
                        table: table.clone(),
                        count: self.mismatches.len(),
                        file: self.orphans[*at].orphan_file_location.clone(),
                        named: named.clone(),
                    });
                }
            }
        }
        self.mismatches.clear();
        Ok(())
    }

    /// Looks at the orphans again, now that more is known of what is needed.
    pub(super) fn look_again(&mut self) {
        self.keep(KeptReason::CommittedMeanwhile, |judge, orphan| {
            judge.reachable.find(&orphan.orphan_file_location) == Reached::Yes
        });
    }

    pub(super) fn plan(self, table: &TableIdent, locations: Vec<Location>) -> Plan {
        Plan {
            table: table.clone(),
            locations,
            older_than_ms: self.older_than_ms,
            orphans: self.orphans,
            kept: self.kept,
            other_tables: self.surroundings.others(),
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}
