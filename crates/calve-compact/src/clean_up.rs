//! Which files only expired snapshots reach, and their deletion.
//!
//! What is reachable from the expired snapshots, minus what is reachable from those that the table has: manifest
//! lists and manifests by name, data and delete files by the live entries of manifests. A manifest that both
//! reach is not read for the expired side at all, and each manifest is read once. In memory are the names of the
//! manifests, and the names of the live files in those that nothing else reaches: the candidates. The live files of
//! the other manifests are streamed past them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use calve_base::{Location, Progress, Stage};
use calve_storage::{DELETE_BATCH, Storage};
use calve_table::drop_table::FailedFile;
use calve_table::{file_key, live_files, load_manifests};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, ManifestFile, SnapshotRef};

use crate::Result;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Rows.
    Data,
    /// Positions of deleted rows: a delete file, or one of deletion vectors.
    PositionDeletes,
    /// Values of deleted rows.
    EqualityDeletes,
    /// The files of a snapshot, or some of them.
    Manifest,
    /// The manifests of a snapshot.
    ManifestList,
    /// Statistics of a snapshot.
    Statistics,
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data => "data file",
            Self::PositionDeletes => "position delete file",
            Self::EqualityDeletes => "equality delete file",
            Self::Manifest => "manifest",
            Self::ManifestList => "manifest list",
            Self::Statistics => "statistics file",
        })
    }
}

/// A file that nothing but an expired snapshot leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct UnreachableFile {
    /// What it holds.
    pub kind: FileKind,
    /// Where it lies, as the table's metadata name it.
    pub file: String,
    /// The expired snapshot that leads to it; of several, any.
    pub snapshot_id: i64,
}

/// What is looked for.
pub(crate) struct CleanUp {
    pub(crate) storage: Storage,
    /// Snapshots that the table does not have any more.
    pub(crate) expired: Vec<SnapshotRef>,
    /// All that it has.
    pub(crate) retained: Vec<SnapshotRef>,
    /// Statistics that went with an expired snapshot, and that the table does not have any more.
    pub(crate) statistics: Vec<(i64, String)>,
    /// Whether data and delete files go, or metadata alone.
    pub(crate) takes_data: bool,
    pub(crate) concurrency: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Data first, manifest lists after the manifests that they name.
    pub(crate) files: Vec<UnreachableFile>,
    /// Metadata of expired snapshots that could not be read: they stay, and what they name with them.
    pub(crate) failed: Vec<FailedFile>,
}

/// A manifest by name, and whether it has live files.
#[derive(Debug, Clone)]
struct Named {
    path: String,
    is_live: bool,
    snapshot_id: i64,
}

type ByKey<T> = HashMap<u128, T>;

impl CleanUp {
    /// Finds the files.
    ///
    /// # Errors
    /// When metadata that the table still has cannot be read: then nobody can say what is not reachable.
    pub(crate) async fn find(self) -> Result<Found> {
        let mut found = Found::default();
        if self.expired.is_empty() {
            return Ok(found);
        }
        let mut retained = ByKey::default();
        let mut lists: HashSet<u128> = HashSet::new();
        let mut loaded = self.manifests_of(self.retained.clone());
        while let Some((snapshot, manifests)) = loaded.next().await {
            lists.insert(file_key(snapshot.manifest_list()));
            for manifest in manifests? {
                let named = Named::new(manifest, snapshot.snapshot_id());
                retained.insert(file_key(&named.path), named);
            }
        }
        drop(loaded);
        let doomed = self.doomed(&retained, &lists, &mut found).await;
        if self.takes_data {
            let candidates = self.candidates(&doomed, &mut found).await;
            let live = self.live(&candidates, retained).await?;
            found.files.extend(
                Arc::unwrap_or_clone(candidates)
                    .into_iter()
                    .filter(|(key, _)| !live.contains(key))
                    .map(|(_, file)| file),
            );
        }
        let unreadable: HashSet<&str> =
            found.failed.iter().map(|it| it.location.as_str()).collect();
        let manifests = doomed.into_values();
        let manifests = manifests.filter(|manifest| !unreadable.contains(manifest.path.as_str()));
        let manifests: Vec<_> = manifests
            .map(|manifest| UnreachableFile {
                kind: FileKind::Manifest,
                file: manifest.path,
                snapshot_id: manifest.snapshot_id,
            })
            .collect();
        found.files.extend(manifests);
        let statistics = self.statistics.iter();
        found
            .files
            .extend(statistics.map(|(snapshot_id, file)| UnreachableFile {
                kind: FileKind::Statistics,
                file: file.clone(),
                snapshot_id: *snapshot_id,
            }));
        found.files.sort();
        found.files.dedup_by(|left, right| left.file == right.file);
        Ok(found)
    }

    /// The manifest lists of snapshots, with what they name.
    fn manifests_of(
        &self,
        snapshots: Vec<SnapshotRef>,
    ) -> BoxStream<'static, (SnapshotRef, calve_table::Result<Vec<ManifestFile>>)> {
        let storage = self.storage.clone();
        stream::iter(snapshots)
            .map(move |snapshot| {
                let storage = storage.clone();
                async move {
                    let manifests = load_manifests(&storage, &snapshot).await;
                    (snapshot, manifests)
                }
            })
            .buffer_unordered(self.concurrency)
            .boxed()
    }

    /// The manifests of expired snapshots that no other snapshot has. Their lists are found by the way.
    async fn doomed(
        &self,
        retained: &ByKey<Named>,
        lists: &HashSet<u128>,
        found: &mut Found,
    ) -> ByKey<Named> {
        let mut doomed = ByKey::default();
        let mut loaded = self.manifests_of(self.expired.clone());
        while let Some((snapshot, manifests)) = loaded.next().await {
            let list = snapshot.manifest_list();
            match manifests {
                Ok(manifests) => {
                    for manifest in manifests {
                        let key = file_key(&manifest.manifest_path);
                        if !retained.contains_key(&key) {
                            let named = Named::new(manifest, snapshot.snapshot_id());
                            doomed.insert(key, named);
                        }
                    }
                }
                // Somebody else cleaned up, or an earlier run did so in part.
                Err(error) if is_gone(&error) => continue,
                Err(error) => {
                    found.failed.push(failed(list, &error));
                    continue;
                }
            }
            if !lists.contains(&file_key(list)) {
                found.files.push(UnreachableFile {
                    kind: FileKind::ManifestList,
                    file: list.to_owned(),
                    snapshot_id: snapshot.snapshot_id(),
                });
            }
        }
        doomed
    }

    /// The live files of the manifests that no snapshot has any more.
    async fn candidates(
        &self,
        doomed: &ByKey<Named>,
        found: &mut Found,
    ) -> Arc<ByKey<UnreachableFile>> {
        let storage = self.storage.clone();
        let manifests: Vec<Named> = doomed.values().filter(|it| it.is_live).cloned().collect();
        let mut read = stream::iter(manifests)
            .map(move |manifest| {
                let storage = storage.clone();
                async move {
                    let pick = |file: &str, content| Some((file.to_owned(), content));
                    let files = live_files(storage, manifest.path.clone(), pick).await;
                    (manifest, files)
                }
            })
            .buffer_unordered(self.concurrency);
        let mut candidates = ByKey::default();
        while let Some((manifest, files)) = read.next().await {
            match files {
                Ok(files) => candidates.extend(files.into_iter().map(|(file, content)| {
                    let file = UnreachableFile {
                        kind: kind_of(content),
                        file,
                        snapshot_id: manifest.snapshot_id,
                    };
                    (file_key(&file.file), file)
                })),
                Err(error) if is_gone(&error) => {}
                Err(error) => found.failed.push(failed(&manifest.path, &error)),
            }
        }
        Arc::new(candidates)
    }

    /// Which of the candidates are live in a manifest that the table has.
    async fn live(
        &self,
        candidates: &Arc<ByKey<UnreachableFile>>,
        retained: ByKey<Named>,
    ) -> Result<HashSet<u128>> {
        let mut live = HashSet::new();
        if candidates.is_empty() {
            return Ok(live);
        }
        let (storage, shared) = (self.storage.clone(), Arc::clone(candidates));
        let manifests = retained.into_values().filter(|manifest| manifest.is_live);
        let mut read = stream::iter(manifests)
            .map(move |manifest| {
                let (storage, candidates) = (storage.clone(), Arc::clone(&shared));
                let pick = move |file: &str, _| {
                    let key = file_key(file);
                    candidates.contains_key(&key).then_some(key)
                };
                live_files(storage, manifest.path, pick)
            })
            .buffer_unordered(self.concurrency);
        while let Some(keys) = read.try_next().await? {
            live.extend(keys);
            if live.len() == candidates.len() {
                break;
            }
        }
        Ok(live)
    }
}

impl Named {
    fn new(manifest: ManifestFile, snapshot_id: i64) -> Self {
        Self {
            is_live: manifest.has_added_files() || manifest.has_existing_files(),
            path: manifest.manifest_path,
            snapshot_id,
        }
    }
}

fn kind_of(content: DataContentType) -> FileKind {
    match content {
        DataContentType::Data => FileKind::Data,
        DataContentType::PositionDeletes => FileKind::PositionDeletes,
        DataContentType::EqualityDeletes => FileKind::EqualityDeletes,
    }
}

/// Whether a file was not there.
pub(crate) fn is_gone(error: &calve_table::Error) -> bool {
    matches!(
        error,
        calve_table::Error::Storage(calve_storage::Error::NotFound { .. })
    )
}

fn failed(location: &str, error: &calve_table::Error) -> FailedFile {
    FailedFile {
        location: location.to_owned(),
        error: error.to_string(),
    }
}

/// Deletes files, so many at a time, and tells of each that is gone. A file that is not there is gone. Returns
/// those that could not be deleted.
pub(crate) async fn delete_files<T: Send>(
    storage: &Storage,
    files: impl IntoIterator<Item = (T, String)>,
    concurrency: usize,
    progress: &dyn Progress,
    mut on_deleted: impl FnMut(T),
) -> Vec<FailedFile> {
    let stage = Stage::start(progress, "files deleted", None);
    let mut failed = Vec::new();
    let mut files = files.into_iter().peekable();
    while files.peek().is_some() {
        let (mut batch, mut locations) = (Vec::new(), Vec::new());
        for (file, path) in files.by_ref().take(DELETE_BATCH) {
            match Location::parse(path.as_str()) {
                Ok(location) => {
                    batch.push((file, path));
                    locations.push(location);
                }
                Err(error) => failed.push(FailedFile {
                    location: path,
                    error: error.to_string(),
                }),
            }
        }
        let deleted = storage.delete_all(&locations, concurrency).await;
        stage.advance(deleted.len() as u64);
        for ((file, location), deleted) in batch.into_iter().zip(deleted) {
            match deleted {
                Ok(()) => on_deleted(file),
                Err(error) => failed.push(FailedFile {
                    location,
                    error: error.to_string(),
                }),
            }
        }
    }
    failed
}
