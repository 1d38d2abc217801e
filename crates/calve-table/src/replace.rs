//! A snapshot that removes files, and may add others: what `OverwriteFiles`, `DeleteFiles` and
//! `RewriteFiles` are in Java.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use calve_base::Location;
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use iceberg::spec::{
    DataContentType, FormatVersion, ManifestContentType, ManifestFile, ManifestStatus, Operation,
    Struct, TableMetadataRef,
};
use uuid::Uuid;

use crate::file_set::{Collisions, DEFAULT_MANIFEST_CONCURRENCY, FileSet};
use crate::manifest::Entry;
use crate::manifests::entries;
use crate::scan::{DeleteKey, only_data_file};
use crate::snapshot::{Attempt, Produced, SnapshotProducer};
use crate::totals::FileTotals;
use crate::{Error, ManifestRoller, Result, WrittenManifests};

/// What becomes of the change when others have written deletes for a file that it removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewDeletes {
    /// They go with the file: its rows are to be gone, or are read again from their source.
    #[default]
    Drop,
    /// The change is refused, because rows that it keeps elsewhere would come back. Deletes that the
    /// table had at this sequence number are known to the change.
    Refuse {
        /// The sequence number of the snapshot that the removed files were read at.
        since: i64,
        /// Whether added files carry a sequence number that is no higher, so that newer equality
        /// deletes go on applying to their rows and need not be refused.
        except_equality: bool,
    },
}

/// Removes data files from a table, and adds others in the same snapshot.
///
/// Manifests that list a removed file are written anew: it is marked as deleted, the others as kept,
/// with the sequence numbers and row ids that they have. Delete files and deletion vectors that
/// concern no data file but a removed one go with it. All other manifests are kept as they are.
///
/// When another writer commits first, only manifests that are new are looked at, and the change is
/// refused if a file that it removes is not there any more. No data file is ever read.
#[derive(Debug)]
pub struct ReplaceFiles {
    operation: Operation,
    snapshot_id: i64,
    removed: Vec<Location>,
    removed_set: Arc<FileSet>,
    /// Delete files that go without their data files.
    removed_deletes: HashSet<DeleteKey>,
    added: WrittenManifests,
    new_deletes: NewDeletes,
    base: Option<Base>,
    /// Who is named in the names of manifests.
    writer: Option<Uuid>,
    /// Manifests that list none of the removed files.
    untouched: HashSet<String>,
    rewritten: Vec<Rewritten>,
    /// Manifests that were written for a base that is gone.
    outdated: Vec<String>,
}

/// What a change was made of.
#[derive(Debug, Clone, Copy)]
struct Base {
    /// The snapshot that the removed files were read at.
    snapshot_id: i64,
    /// The table's format version then.
    format_version: FormatVersion,
    /// Whether nobody may have committed anything since.
    is_last: bool,
}

/// Manifests that were written in the place of others.
#[derive(Debug)]
struct Rewritten {
    /// The paths of the others.
    originals: HashSet<String>,
    written: WrittenManifests,
    /// The canonical addresses of the removed files that they listed.
    found: HashSet<String>,
    /// The removed delete files that they listed.
    found_deletes: HashSet<DeleteKey>,
    /// The partitions of the removed files.
    partitions: HashSet<(i32, Struct)>,
}

impl ReplaceFiles {
    /// Removes these files, and adds those that a [`ManifestRoller`] wrote for the snapshot id. The
    /// operation is [`Operation::Delete`] without added files, and [`Operation::Overwrite`] with some.
    pub fn new(snapshot_id: i64, removed: Vec<Location>, added: WrittenManifests) -> Self {
        let operation = if added.manifests.is_empty() {
            Operation::Delete
        } else {
            Operation::Overwrite
        };
        let mut removed_set = FileSet::new();
        for file in &removed {
            removed_set.insert(file);
        }
        Self {
            operation,
            snapshot_id,
            removed,
            removed_set: Arc::new(removed_set),
            removed_deletes: HashSet::new(),
            added,
            new_deletes: NewDeletes::default(),
            base: None,
            writer: None,
            untouched: HashSet::new(),
            rewritten: Vec::new(),
            outdated: Vec::new(),
        }
    }

    /// Says what kind of change it is: [`Operation::Replace`] where the added files hold the rows of
    /// the removed ones, so that readers of changes may pass over the snapshot.
    #[must_use]
    pub fn with_operation(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// Removes these delete files and deletion vectors, too, whatever data files they concern.
    #[must_use]
    pub fn with_removed_deletes(mut self, deletes: impl IntoIterator<Item = DeleteKey>) -> Self {
        self.removed_deletes.extend(deletes);
        self
    }

    /// Puts an id into the names of manifests that are written anew, by which [`Leftovers`](crate::Leftovers) finds them.
    #[must_use]
    pub fn with_writer(mut self, writer: Uuid) -> Self {
        self.writer = Some(writer);
        self
    }

    /// Says what becomes of the change when others have written deletes for a removed file.
    #[must_use]
    pub fn with_new_deletes(mut self, new_deletes: NewDeletes) -> Self {
        self.new_deletes = new_deletes;
        self
    }
}

impl ReplaceFiles {
    /// Says which snapshot the removed files were read at, and the table's format version then. The change is
    /// refused where that snapshot is none of those before the new one: after a rollback, deletes that were
    /// applied to the rows may be undone, and others hold.
    #[must_use]
    pub fn with_base(mut self, snapshot_id: i64, format_version: FormatVersion) -> Self {
        self.base = Some(Base {
            snapshot_id,
            format_version,
            is_last: false,
        });
        self
    }

    /// Refuses the change where anybody has committed anything after the snapshot of
    /// [`ReplaceFiles::with_base`]: the first commit after an upgrade to format version 3 gives rows their ids,
    /// and rows that were read without them would get others.
    #[must_use]
    pub fn with_unchanged_base(mut self) -> Self {
        if let Some(base) = &mut self.base {
            base.is_last = true;
        }
        self
    }

    fn check_base(&self, attempt: &Attempt<'_>) -> Result<()> {
        let Some(base) = self.base else {
            return Ok(());
        };
        let changed = |problem: String| Err(Error::BaseChanged { problem });
        let metadata = attempt.metadata;
        if metadata.format_version() != base.format_version {
            return changed(format!(
                "its format version is {} now",
                metadata.format_version()
            ));
        }
        let mut ancestor = attempt.parent;
        while let Some(snapshot) = ancestor {
            if snapshot.snapshot_id() == base.snapshot_id {
                return Ok(());
            }
            if base.is_last {
                return changed("its rows have got their row ids".to_owned());
            }
            let parent = snapshot.parent_snapshot_id();
            ancestor = parent.and_then(|id| metadata.snapshot_by_id(id));
        }
        changed(format!(
            "snapshot {} is not in its history any more",
            base.snapshot_id
        ))
    }
}

#[async_trait]
impl SnapshotProducer for ReplaceFiles {
    fn operation(&self) -> Operation {
        self.operation.clone()
    }

    fn snapshot_id(&self) -> Option<i64> {
        Some(self.snapshot_id)
    }

    async fn produce(&mut self, attempt: Attempt<'_>) -> Result<Produced> {
        self.check_base(&attempt)?;
        let parents = &attempt.parent_manifests;
        self.forget_outdated(parents);
        let known: HashSet<&String> = self
            .rewritten
            .iter()
            .flat_map(|it| &it.originals)
            .chain(&self.untouched)
            .collect();
        let unseen: Vec<ManifestFile> = parents
            .iter()
            .filter(|manifest| !known.contains(&manifest.manifest_path))
            .filter(|manifest| is_live(manifest))
            .cloned()
            .collect();
        self.rewrite(&attempt, unseen).await?;
        self.check_all_found()?;
        self.check_new_deletes(&attempt).await?;
        Ok(self.produced(parents))
    }

    fn written_files(&self) -> Vec<String> {
        let written = self.rewritten.iter().map(|it| &it.written);
        let manifests = written
            .chain([&self.added])
            .flat_map(|written| &written.manifests);
        let manifests = manifests.map(|manifest| manifest.manifest_path.clone());
        manifests.chain(self.outdated.iter().cloned()).collect()
    }
}

impl ReplaceFiles {
    /// Gives up what was written in the place of manifests that the table does not have any more.
    fn forget_outdated(&mut self, parents: &[ManifestFile]) {
        let parents: HashSet<&String> = parents.iter().map(|it| &it.manifest_path).collect();
        let rewritten = std::mem::take(&mut self.rewritten);
        for group in rewritten {
            if group.originals.iter().all(|path| parents.contains(path)) {
                self.rewritten.push(group);
            } else {
                let written = group.written.manifests.into_iter();
                self.outdated
                    .extend(written.map(|manifest| manifest.manifest_path));
            }
        }
    }

    /// Looks through manifests, and writes those anew that list a removed file.
    async fn rewrite(&mut self, attempt: &Attempt<'_>, unseen: Vec<ManifestFile>) -> Result<()> {
        let this = &*self;
        let looked: Vec<(ManifestFile, bool)> = stream::iter(unseen)
            .map(|manifest| async {
                let is_affected = this.is_affected(attempt, &manifest).await?;
                Ok::<_, Error>((manifest, is_affected))
            })
            .buffered(DEFAULT_MANIFEST_CONCURRENCY)
            .try_collect()
            .await?;
        let (affected, untouched): (Vec<_>, Vec<_>) = looked
            .into_iter()
            .partition(|(_, is_affected)| *is_affected);
        let affected: Vec<ManifestFile> = affected.into_iter().map(|it| it.0).collect();
        let untouched = untouched.into_iter().map(|it| it.0.manifest_path);
        self.untouched.extend(untouched);
        if affected.is_empty() {
            return Ok(());
        }
        let (storage, metadata) = (attempt.storage, attempt.metadata);
        let roller = ManifestRoller::with_writer(storage, metadata, self.snapshot_id, self.writer)?;
        let mut group = Rewritten {
            originals: affected.iter().map(|it| it.manifest_path.clone()).collect(),
            written: WrittenManifests::default(),
            found: HashSet::new(),
            found_deletes: HashSet::new(),
            partitions: HashSet::new(),
        };
        group.written = self.write(attempt, affected, roller, &mut group).await?;
        self.rewritten.push(group);
        Ok(())
    }

    async fn is_affected(&self, attempt: &Attempt<'_>, manifest: &ManifestFile) -> Result<bool> {
        if manifest.content == ManifestContentType::Data {
            if self.removed.is_empty() {
                return Ok(false);
            }
            let manifest = vec![manifest.clone()];
            let shared = self.removed_set.collisions(attempt.storage, manifest, 1);
            return Ok(shared.await?.count > 0);
        }
        let mut parts = entries(
            attempt.storage,
            &TableMetadataRef::new(attempt.metadata.clone()),
            vec![manifest.clone()],
            1,
        );
        while let Some(part) = parts.try_next().await? {
            if part.entries.iter().any(|entry| self.removes(entry)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an entry is of a file that is removed.
    fn removes(&self, entry: &Entry) -> bool {
        let is_delete = entry.file.content != DataContentType::Data;
        let is_named = is_delete
            && !self.removed_deletes.is_empty()
            && entry.is_live()
            && self.removed_deletes.contains(&DeleteKey::of(&entry.file));
        is_named || self.removed_data_file(entry).is_some()
    }

    /// The removed data file that an entry is about.
    fn removed_data_file(&self, entry: &Entry) -> Option<Location> {
        if !entry.is_live() {
            return None;
        }
        let path = match entry.file.content {
            DataContentType::Data => entry.file.path.clone(),
            DataContentType::PositionDeletes => only_data_file(&entry.file)?,
            DataContentType::EqualityDeletes => return None,
        };
        let location = Location::parse(&path).ok()?;
        self.removed_set.contains(&location).then_some(location)
    }

    async fn write(
        &self,
        attempt: &Attempt<'_>,
        affected: Vec<ManifestFile>,
        mut roller: ManifestRoller,
        group: &mut Rewritten,
    ) -> Result<WrittenManifests> {
        let metadata = TableMetadataRef::new(attempt.metadata.clone());
        let mut parts = entries(
            attempt.storage,
            &metadata,
            affected,
            DEFAULT_MANIFEST_CONCURRENCY,
        );
        while let Some(part) = parts.try_next().await? {
            let spec_id = part.manifest.partition_spec_id;
            for mut entry in part.entries.into_iter().filter(Entry::is_live) {
                if self.removes(&entry) {
                    entry.status = ManifestStatus::Deleted;
                    entry.snapshot_id = Some(self.snapshot_id);
                    if entry.file.content != DataContentType::Data {
                        group.found_deletes.insert(DeleteKey::of(&entry.file));
                    } else if let Ok(location) = Location::parse(entry.file.path.as_str()) {
                        group.found.insert(location.canonical());
                        let partition = entry.file.partition.clone();
                        group.partitions.insert((spec_id, partition));
                    }
                } else {
                    entry.status = ManifestStatus::Existing;
                }
                roller.add_entry(spec_id, entry).await?;
            }
        }
        roller.finish().await
    }

    /// Refuses the change where a file that it removes is not in the table.
    fn check_all_found(&self) -> Result<()> {
        let mut gone = Collisions::default();
        for file in &self.removed {
            let address = file.canonical();
            if !self
                .rewritten
                .iter()
                .any(|group| group.found.contains(&address))
            {
                gone.add(file.as_str());
            }
        }
        for delete in &self.removed_deletes {
            let mut groups = self.rewritten.iter();
            if !groups.any(|group| group.found_deletes.contains(delete)) {
                gone.add(&delete.to_string());
            }
        }
        if gone.count == 0 {
            return Ok(());
        }
        Err(Error::FilesGone {
            count: gone.count,
            first: gone.first,
        })
    }

    /// Refuses the change where somebody deleted rows of a removed file meanwhile.
    async fn check_new_deletes(&self, attempt: &Attempt<'_>) -> Result<()> {
        let NewDeletes::Refuse {
            since,
            except_equality,
        } = self.new_deletes
        else {
            return Ok(());
        };
        let manifests = attempt.parent_manifests.iter().filter(|manifest| {
            manifest.content == ManifestContentType::Deletes
                && manifest.sequence_number > since
                && is_live(manifest)
        });
        let metadata = TableMetadataRef::new(attempt.metadata.clone());
        let mut parts = entries(
            attempt.storage,
            &metadata,
            manifests.cloned().collect(),
            DEFAULT_MANIFEST_CONCURRENCY,
        );
        while let Some(part) = parts.try_next().await? {
            let spec_id = part.manifest.partition_spec_id;
            let spec = metadata.partition_spec_by_id(spec_id);
            let is_everywhere = spec.is_none_or(|spec| spec.is_unpartitioned());
            for entry in part.entries.iter().filter(|entry| entry.is_live()) {
                let is_new = entry.sequence_number.is_none_or(|number| number > since);
                let concerns = match entry.file.content {
                    DataContentType::Data => false,
                    DataContentType::EqualityDeletes if except_equality => false,
                    DataContentType::EqualityDeletes if is_everywhere => true,
                    DataContentType::PositionDeletes if only_data_file(&entry.file).is_some() => {
                        self.removed_data_file(entry).is_some()
                    }
                    _ => self.touches(spec_id, &entry.file.partition),
                };
                if is_new && concerns {
                    return Err(Error::NewDeletes {
                        path: entry.file.path.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn touches(&self, spec_id: i32, partition: &Struct) -> bool {
        let partition = (spec_id, partition.clone());
        let mut groups = self.rewritten.iter();
        groups.any(|group| group.partitions.contains(&partition))
    }

    fn produced(&self, parents: &[ManifestFile]) -> Produced {
        let originals: HashSet<&String> = self
            .rewritten
            .iter()
            .flat_map(|group| &group.originals)
            .collect();
        let kept = parents
            .iter()
            .filter(|manifest| is_live(manifest) && !originals.contains(&manifest.manifest_path))
            .cloned();
        let written = || self.rewritten.iter().map(|group| &group.written);
        let new = self.added.manifests.iter();
        let new = new.chain(written().flat_map(|written| &written.manifests));
        let mut removed = FileTotals::default();
        for group in written() {
            removed.merge(&group.removed);
        }
        let partitions: HashSet<u128> = written()
            .chain([&self.added])
            .flat_map(|written| written.partitions.iter().copied())
            .collect();
        Produced {
            manifests: new.cloned().chain(kept).collect(),
            added: self.added.added,
            removed,
            changed_partitions: partitions.len() as u64,
            replaced_manifests: originals.len() as u64,
            processed_entries: 0,
        }
    }
}

fn is_live(manifest: &ManifestFile) -> bool {
    manifest.has_added_files() || manifest.has_existing_files()
}
