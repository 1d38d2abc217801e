//! Commits groups of files that were written anew, beside whatever others commit.
//!
//! A commit replaces the files that were read and nothing else. A group whose files others removed, or deleted
//! rows of, is dropped and reported; the other groups are committed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use calve_base::Location;
use calve_catalog::{Catalog, Table};
use calve_table::{
    ContentFile, Entry, ManifestRoller, NewDeletes, ReplaceFiles, Scan, Transaction,
    new_snapshot_id,
};
use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, ManifestStatus, Operation, SnapshotRef,
};

use crate::compact::Report;
use crate::error::delete_quietly;
use crate::plan::FileGroup;
use crate::{Error, Result};

/// A group whose new files are written.
pub(crate) struct Written {
    pub(crate) group: FileGroup,
    pub(crate) removed: Vec<Location>,
    pub(crate) added: Vec<DataFile>,
    /// Whether row groups were copied as they are.
    pub(crate) are_copied: bool,
}

impl Written {
    /// Deletes the new files, which nothing refers to.
    pub(crate) async fn discard(self, table: &Table) {
        let locations = self.added.iter();
        let locations = locations.filter_map(|file| Location::parse(file.file_path()).ok());
        delete_quietly(table.storage(), &locations.collect::<Vec<_>>()).await;
    }
}

/// Commits groups.
pub(crate) struct Committer {
    pub(crate) catalog: Arc<dyn Catalog>,
    /// The table as it was read, or as the last commit left it.
    pub(crate) table: Table,
    /// The snapshot that was read.
    pub(crate) snapshot: SnapshotRef,
    /// The partition spec and the format version that the new files are of.
    pub(crate) output_spec_id: i32,
    pub(crate) format_version: FormatVersion,
    pub(crate) keeps_sequence_number: bool,
    /// Whether rows were read that have no row ids yet, and get some with the next commit, whoever's it is.
    pub(crate) lacks_row_ids: bool,
    /// The branch that is committed to.
    pub(crate) branch: String,
    /// What snapshots say beside their counts.
    pub(crate) summary: BTreeMap<String, String>,
    pub(crate) partial_progress: bool,
    /// How many groups go into one commit.
    pub(crate) groups_a_commit: usize,
    /// Groups that wait for others to be committed with.
    pub(crate) ready: Vec<Written>,
    pub(crate) commits: Commits,
    pub(crate) report: Report,
}

/// What became of commits.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    done: usize,
    failed: usize,
    /// Why the last one failed.
    last: String,
}

impl Committer {
    /// Takes a group that was written, or was not. Without partial progress it is all or nothing.
    pub(crate) async fn take(
        &mut self,
        outcome: Result<Written, (Error, FileGroup)>,
    ) -> Result<()> {
        match outcome {
            Ok(group) => self.ready.push(group),
            Err((error, group)) if self.partial_progress => self.fail(&group, &error.to_string()),
            Err((error, _)) => return Err(error),
        }
        if self.ready.len() >= self.groups_a_commit {
            self.commit_ready().await?;
        }
        Ok(())
    }

    async fn commit_ready(&mut self) -> Result<()> {
        let ready = std::mem::take(&mut self.ready);
        let error = match self.commit(ready).await {
            Ok(None) => {
                self.commits.done += 1;
                return Ok(());
            }
            // Every group of it was dropped.
            Ok(Some(error)) if self.partial_progress => error,
            Ok(Some(_)) => return Ok(()),
            Err(error) => error,
        };
        let is_unknown = matches!(&error, Error::Table(error) if error.is_outcome_unknown());
        if is_unknown || !self.partial_progress {
            return Err(error);
        }
        self.commits.failed += 1;
        self.commits.last = error.to_string();
        Ok(())
    }

    /// Commits what is left.
    pub(crate) async fn finish(mut self, most_failed: usize) -> Result<Report> {
        if !self.ready.is_empty() {
            self.commit_ready().await?;
        }
        let Commits { done, failed, last } = self.commits;
        if failed > most_failed || (failed > 0 && done == 0) {
            return Err(Error::TooManyFailures {
                failed,
                commits: done + failed,
                limit: most_failed,
                last,
            });
        }
        Ok(self.report)
    }

    pub(crate) async fn give_up(self) {
        for written in self.ready {
            written.discard(&self.table).await;
        }
    }

    /// Replaces the files of groups in one snapshot. Groups that others changed are dropped; gives why, where
    /// none is left.
    async fn commit(&mut self, groups: Vec<Written>) -> Result<Option<Error>> {
        let mut groups = groups;
        loop {
            let error = match self.try_commit(&groups).await {
                Ok(()) => {
                    for written in &groups {
                        self.report.count(written);
                    }
                    return Ok(None);
                }
                Err(error) => error,
            };
            let is_conflict = matches!(
                error,
                Error::Table(
                    calve_table::Error::FilesGone { .. } | calve_table::Error::NewDeletes { .. }
                )
            );
            if matches!(&error, Error::Table(error) if error.is_outcome_unknown()) {
                // The new files may be the table's.
                return Err(error);
            }
            // Where the table cannot be read again, the conflict stays what happened.
            let stale = if is_conflict {
                self.stale(&groups).await.unwrap_or_default()
            } else {
                HashSet::new()
            };
            if stale.is_empty() {
                for written in groups {
                    self.fail(&written.group, &error.to_string());
                    written.discard(&self.table).await;
                }
                return Err(error);
            }
            let (dropped, kept): (Vec<_>, Vec<_>) = groups
                .into_iter()
                .enumerate()
                .partition(|(at, _)| stale.contains(at));
            for (_, written) in dropped {
                self.fail(&written.group, &error.to_string());
                written.discard(&self.table).await;
            }
            groups = kept.into_iter().map(|(_, written)| written).collect();
            if groups.is_empty() {
                return Ok(Some(error));
            }
        }
    }

    async fn try_commit(&mut self, groups: &[Written]) -> Result<()> {
        let metadata = self.table.metadata();
        let snapshot_id = new_snapshot_id();
        let since = self.snapshot.sequence_number();
        let mut roller = ManifestRoller::new(self.table.storage(), metadata, snapshot_id)?;
        for written in groups {
            let keeps = self.keeps_sequence_number && written.group.spec_id == self.output_spec_id;
            for file in &written.added {
                let entry = Entry {
                    status: ManifestStatus::Added,
                    snapshot_id: Some(snapshot_id),
                    sequence_number: keeps.then_some(since),
                    file_sequence_number: None,
                    file: ContentFile::from_data_file(file)?,
                };
                roller.add_entry(self.output_spec_id, entry).await?;
            }
        }
        let manifests = roller.finish().await?;
        let removed = groups.iter().flat_map(|written| written.removed.clone());
        let mut replace = ReplaceFiles::new(snapshot_id, removed.collect(), manifests)
            .with_operation(Operation::Replace)
            .with_new_deletes(NewDeletes::Refuse {
                since,
                except_equality: self.excepts_equality(groups),
            })
            .with_base(self.snapshot.snapshot_id(), self.format_version);
        if self.lacks_row_ids {
            replace = replace.with_unchanged_base();
        }
        let mut transaction = Transaction::new(Arc::clone(&self.catalog), self.table.clone())
            .with_branch(&self.branch)
            .with_snapshot(replace);
        for (name, value) in &self.summary {
            transaction = transaction.with_summary(name, value);
        }
        let committed = transaction.await?;
        self.table = committed.table;
        self.report.snapshot_ids.extend(committed.snapshot_id);
        let added = committed
            .snapshot_id
            .and_then(|id| self.table.metadata().snapshot_by_id(id));
        if let Some(snapshot) = added {
            let summary = &snapshot.summary().additional_properties;
            let number = summary.get("removed-delete-files");
            let number = number.and_then(|text| text.parse::<u64>().ok());
            self.report.removed_delete_files_count += number.unwrap_or(0);
        }
        Ok(())
    }

    /// The places of the groups whose files others removed, or deleted rows of.
    async fn stale(&mut self, groups: &[Written]) -> Result<HashSet<usize>> {
        self.table = self.catalog.load_table(self.table.ident()).await?;
        let since = self.snapshot.sequence_number();
        let excepts_equality = self.excepts_equality(groups);
        // The files that are still to be found, with the places of their groups.
        let mut missing: HashMap<&str, usize> = HashMap::new();
        for (at, written) in groups.iter().enumerate() {
            let files = written.group.files.iter();
            missing.extend(files.map(|file| (&*file.file.path, at)));
        }
        let mut stale = HashSet::new();
        let mut scan = Scan::new(self.table.clone());
        if let Some(head) = self.table.metadata().snapshot_for_ref(&self.branch) {
            scan = scan.with_snapshot(Arc::clone(head));
        }
        let mut files = scan.plan().await?;
        while let Some(file) = files.try_next().await? {
            let Some(at) = missing.remove(&*file.file.path) else {
                continue;
            };
            let is_new = file.deletes.iter().any(|delete| {
                let is_equality = delete.file.content == DataContentType::EqualityDeletes;
                delete.sequence_number > since && !(is_equality && excepts_equality)
            });
            if is_new {
                stale.insert(at);
            }
        }
        stale.extend(missing.into_values());
        Ok(stale)
    }

    /// Whether equality deletes that others commit go on applying to the rows: those of the output's own spec
    /// do, to files with the sequence number of the files that they replace.
    fn excepts_equality(&self, groups: &[Written]) -> bool {
        let mut groups = groups.iter();
        self.keeps_sequence_number
            && groups.all(|written| written.group.spec_id == self.output_spec_id)
    }

    fn fail(&mut self, group: &FileGroup, why: &str) {
        self.report.failed_data_files_count += group.files_count as u64;
        let partition = &group.partition;
        let place = if partition.is_empty() {
            "all"
        } else {
            partition
        };
        self.report
            .failures
            .push(format!("{place} ({} files): {why}", group.files_count));
    }
}
