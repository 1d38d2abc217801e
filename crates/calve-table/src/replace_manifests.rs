//! A snapshot that has the files of the one before, listed in other manifests: what `RewriteManifests` is in Java.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use calve_storage::Storage;
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use iceberg::spec::{
    Literal, ManifestFile, ManifestStatus, Operation, PrimitiveLiteral, Struct, TableMetadata,
    TableMetadataRef,
};

use crate::file_set::DEFAULT_MANIFEST_CONCURRENCY;
use crate::manifest::{Entry, compare};
use crate::manifests::{entries, open_manifest};
use crate::properties::manifest_target_bytes;
use crate::snapshot::{Attempt, Produced, SnapshotProducer};
use crate::task::blocking;
use crate::{Error, ManifestRoller, Result, WrittenManifests};

/// Manifests of one partition spec and one kind of content that others are written in the place of.
#[derive(Debug, Clone)]
pub struct ManifestGroup {
    /// The manifests.
    pub manifests: Vec<ManifestFile>,
    /// Which fields of the spec their files are brought together by, by their places in it, the first before the
    /// others.
    pub sort_by: Vec<usize>,
}

/// Says which manifests of a snapshot are written anew.
pub type ManifestSelection =
    Arc<dyn Fn(&TableMetadata, &[ManifestFile]) -> Result<Vec<ManifestGroup>> + Send + Sync>;

/// Writes manifests in the place of others, at the table's target size, with files of near partitions together.
///
/// Live entries keep their sequence numbers, snapshots and row ids; those of removed files are left out. When another
/// writer commits first, manifests that it added are kept as they are; where it took away one that was written anew,
/// the choice is made again.
///
/// Manifests are read twice: once to see which partitions there are and how large their entries are, once to write
/// them. In memory are the partition of each file, and the manifests that are being written, compressed.
pub struct ReplaceManifests {
    snapshot_id: i64,
    selection: ManifestSelection,
    done: Option<Done>,
    /// Manifests that were written for a base that is gone.
    outdated: Vec<String>,
}

/// What was written.
#[derive(Debug)]
struct Done {
    /// The paths of the manifests that others stand for now.
    originals: HashSet<String>,
    manifests: Vec<ManifestFile>,
    entries: u64,
}

/// The values that files are ordered by. What is null comes first.
type Key = Vec<Option<PrimitiveLiteral>>;

impl fmt::Debug for ReplaceManifests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplaceManifests")
            .field("snapshot_id", &self.snapshot_id)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl ReplaceManifests {
    /// Writes those manifests anew that the selection names.
    pub fn new(snapshot_id: i64, selection: ManifestSelection) -> Self {
        Self {
            snapshot_id,
            selection,
            done: None,
            outdated: Vec::new(),
        }
    }
}

#[async_trait]
impl SnapshotProducer for ReplaceManifests {
    fn operation(&self) -> Operation {
        Operation::Replace
    }

    fn snapshot_id(&self) -> Option<i64> {
        Some(self.snapshot_id)
    }

    /// # Errors
    /// [`Error::NothingToReplace`] when the selection names none; when a manifest cannot be read or written.
    async fn produce(&mut self, attempt: Attempt<'_>) -> Result<Produced> {
        let parents = &attempt.parent_manifests;
        let paths: HashSet<&String> = parents.iter().map(|it| &it.manifest_path).collect();
        let is_there = |path: &String| paths.contains(path);
        if let Some(done) = self
            .done
            .take_if(|done| !done.originals.iter().all(is_there))
        {
            self.outdated.extend(paths_of(&done.manifests));
        }
        let done = match self.done.take() {
            Some(done) => done,
            None => self.write(&attempt).await?,
        };
        let done = &*self.done.insert(done);
        let kept = parents.iter().filter(|manifest| {
            let is_live = manifest.has_added_files() || manifest.has_existing_files();
            is_live && !done.originals.contains(&manifest.manifest_path)
        });
        Ok(Produced {
            manifests: done.manifests.iter().chain(kept).cloned().collect(),
            replaced_manifests: done.originals.len() as u64,
            processed_entries: done.entries,
            ..Produced::default()
        })
    }

    fn written_files(&self) -> Vec<String> {
        let done = self.done.iter();
        let written = done.flat_map(|done| paths_of(&done.manifests));
        written.chain(self.outdated.iter().cloned()).collect()
    }
}

fn paths_of(manifests: &[ManifestFile]) -> impl Iterator<Item = String> {
    let manifests = manifests.iter();
    manifests.map(|manifest| manifest.manifest_path.clone())
}

impl ReplaceManifests {
    async fn write(&mut self, attempt: &Attempt<'_>) -> Result<Done> {
        let groups = (self.selection)(attempt.metadata, &attempt.parent_manifests)?;
        if groups.is_empty() {
            return Err(Error::NothingToReplace);
        }
        let mut done = Done {
            originals: HashSet::new(),
            manifests: Vec::new(),
            entries: 0,
        };
        for group in groups {
            match self.write_group(attempt, &group).await {
                Ok((manifests, entries)) => {
                    done.originals.extend(paths_of(&group.manifests));
                    done.manifests.extend(manifests);
                    done.entries += entries;
                }
                Err(error) => {
                    self.outdated.extend(paths_of(&done.manifests));
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    async fn write_group(
        &self,
        attempt: &Attempt<'_>,
        group: &ManifestGroup,
    ) -> Result<(Vec<ManifestFile>, u64)> {
        let metadata = TableMetadataRef::new(attempt.metadata.clone());
        let ranges = ranges(attempt.storage, &metadata, group).await?;
        let mut rollers = Vec::new();
        for range in &ranges {
            rollers.push(ManifestRoller::with_full_bytes(
                attempt.storage,
                attempt.metadata,
                self.snapshot_id,
                range.full_bytes,
            )?);
        }
        let mut count = 0;
        let mut parts = entries(
            attempt.storage,
            &metadata,
            group.manifests.clone(),
            DEFAULT_MANIFEST_CONCURRENCY,
        );
        while let Some(part) = parts.try_next().await? {
            let spec_id = part.manifest.partition_spec_id;
            for mut entry in part.entries.into_iter().filter(Entry::is_live) {
                entry.status = ManifestStatus::Existing;
                let key = key_of(&entry.file.partition, &group.sort_by);
                let begun = ranges.partition_point(|range| {
                    let start = range.start.as_ref();
                    start.is_none_or(|start| order(start, &key).is_le())
                });
                rollers[begun - 1].add_entry(spec_id, entry).await?;
                count += 1;
            }
        }
        let mut written: Vec<WrittenManifests> = Vec::new();
        for roller in rollers {
            match roller.finish().await {
                Ok(manifests) => written.push(manifests),
                Err(error) => {
                    for manifests in &written {
                        manifests.discard(attempt.storage).await;
                    }
                    return Err(error);
                }
            }
        }
        let manifests = written.into_iter().flat_map(|written| written.manifests);
        Ok((manifests.collect(), count))
    }
}

/// Files that are near one another.
#[derive(Debug, PartialEq)]
struct Range {
    /// The least key; `None` for the first range, which begins before all.
    start: Option<Key>,
    /// The size at which a manifest of the range is full, in bytes.
    full_bytes: usize,
}

/// Cuts the partitions of a group into ranges that each fill a manifest.
async fn ranges(
    storage: &Storage,
    metadata: &TableMetadataRef,
    group: &ManifestGroup,
) -> Result<Vec<Range>> {
    let surveys: Vec<_> = group
        .manifests
        .iter()
        .map(|manifest| {
            let (storage, metadata) = (storage.clone(), TableMetadataRef::clone(metadata));
            let (manifest, sort_by) = (manifest.clone(), group.sort_by.clone());
            async move { survey(storage, metadata, manifest, sort_by).await }
        })
        .collect();
    let mut surveys = stream::iter(surveys).buffer_unordered(DEFAULT_MANIFEST_CONCURRENCY);
    let (mut keys, mut bytes) = (Vec::new(), 0);
    while let Some(survey) = surveys.try_next().await? {
        keys.extend(survey.0);
        bytes += survey.1;
    }
    keys.sort_unstable_by(order);
    Ok(cut(&keys, bytes, manifest_target_bytes(metadata)))
}

/// Cuts sorted keys whose entries take so many bytes into ranges for manifests of a size.
fn cut(keys: &[Key], bytes: usize, target: usize) -> Vec<Range> {
    let starts = bounds(keys, bytes.div_ceil(target).max(1));
    let mut places = vec![0];
    places.extend(
        starts
            .iter()
            .map(|start| keys.partition_point(|key| order(key, start).is_lt())),
    );
    places.push(keys.len());
    let starts = std::iter::once(None).chain(starts.into_iter().map(Some));
    starts
        .zip(places.windows(2))
        .map(|(start, place)| {
            let keys_in = &keys[place[0]..place[1]];
            let is_one = keys_in.first().zip(keys_in.last());
            let is_one = is_one.is_none_or(|(first, last)| order(first, last).is_eq());
            let bytes_in = bytes / keys.len().max(1) * keys_in.len();
            let full_bytes = if is_one {
                // Files that nothing tells apart fill as many manifests as they need, each about the same.
                let even = bytes_in / bytes_in.div_ceil(target).max(1);
                even + even / 8 + 1
            } else {
                // A second manifest would bring together what the first has, too.
                target.saturating_mul(4)
            };
            Range { start, full_bytes }
        })
        .collect()
}

/// The keys of the live files of a manifest, and how large their entries are.
async fn survey(
    storage: Storage,
    metadata: TableMetadataRef,
    manifest: ManifestFile,
    sort_by: Vec<usize>,
) -> Result<(Vec<Key>, usize)> {
    let mut reader = open_manifest(&storage, &metadata, &manifest).await?;
    blocking(move || {
        let (mut keys, mut entries) = (Vec::new(), 0);
        while let Some(block) = reader
            .next_block()
            .map_err(Error::malformed(&manifest.manifest_path))?
        {
            entries += block.len();
            let live = block.iter().filter(|entry| entry.is_live());
            keys.extend(live.map(|entry| key_of(&entry.file.partition, &sort_by)));
        }
        let bytes = reader.entry_bytes() * keys.len() / entries.max(1);
        Ok((keys, bytes))
    })
    .await
}

/// Where sorted keys are cut into so many parts of about the same size. Equal keys are never parted, and those that
/// alone fill a part are a part of their own.
fn bounds(keys: &[Key], parts: usize) -> Vec<Key> {
    let mut bounds: Vec<Key> = Vec::new();
    let mut picked: Option<&Key> = None;
    for part in 1..parts {
        let key = &keys[part * keys.len() / parts];
        // Picked twice, it fills a part: the next part begins after it.
        let fills = picked.is_some_and(|picked| order(picked, key).is_eq());
        let bound = if fills {
            keys.get(keys.partition_point(|it| order(it, key).is_le()))
        } else {
            Some(key)
        };
        let is_new = |bound: &&Key| bounds.last().is_none_or(|last| order(last, bound).is_lt());
        let bound = bound.filter(is_new).cloned();
        bounds.extend(bound);
        picked = Some(key);
    }
    bounds
}

fn key_of(partition: &Struct, sort_by: &[usize]) -> Key {
    let value = |at: &usize| match partition.fields().get(*at) {
        Some(Some(Literal::Primitive(value))) => Some(value.clone()),
        _ => None,
    };
    sort_by.iter().map(value).collect()
}

fn order(left: &Key, right: &Key) -> Ordering {
    let pairs = left.iter().zip(right);
    pairs
        .map(|pair| match pair {
            (Some(left), Some(right)) => compare(left, right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(values: &[i32]) -> Vec<Key> {
        let values = values.iter();
        values
            .map(|value| vec![Some(PrimitiveLiteral::Int(*value))])
            .collect()
    }

    #[track_caller]
    fn check(values: &[i32], parts: usize, expected: &[i32]) {
        assert_eq!(bounds(&keys(values), parts), keys(expected));
    }

    #[test]
    fn equal_keys_stay_together() {
        check(&[1, 2, 3, 4], 1, &[]);
        check(&[1, 2, 3, 4], 2, &[3]);
        check(&[1, 2, 3, 4], 4, &[2, 3, 4]);
        check(&[1, 1, 1, 2], 2, &[1]);
        // The one that fills parts is alone.
        check(&[1, 5, 5, 5, 5, 5, 7, 8], 4, &[5, 7]);
        check(&[5, 5, 5, 5], 4, &[5]);
        check(&[1, 2], 9, &[1, 2]);
        // Without any order, all are one.
        assert_eq!(bounds(&vec![Key::new(); 9], 3), [Key::new()]);
        let null: Key = vec![None];
        assert!(order(&null, &keys(&[i32::MIN])[0]).is_lt());
    }
}
