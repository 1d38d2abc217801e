//! What a reader needs to know of a snapshot: its data files, and the deletes that apply to each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use calve_catalog::Table;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, ManifestContentType, ManifestFile, PartitionSpec, SnapshotRef, Struct,
};

use crate::Result;
use crate::file_set::DEFAULT_MANIFEST_CONCURRENCY;
use crate::manifest::{Bounds, ContentFile, Entry};
use crate::manifests::{Part, entries, load_manifests};

/// The field id of the column `file_path` in position delete files.
const DELETE_FILE_PATH_ID: i32 = 2_147_483_546;

/// Says from its entry in the manifest list whether a manifest may hold anything of interest.
pub type ManifestFilter = Arc<dyn Fn(&ManifestFile, &PartitionSpec) -> bool + Send + Sync>;

/// Says from its entry whether a data file may hold anything of interest.
pub type FileFilter = Arc<dyn Fn(&ContentFile, &PartitionSpec) -> bool + Send + Sync>;

/// A data file to read, and what of it is deleted.
#[derive(Debug, Clone)]
pub struct ScanFile {
    /// The data file.
    pub file: ContentFile,
    /// The partition spec that its partition belongs to.
    pub spec_id: i32,
    /// Its data sequence number.
    pub sequence_number: i64,
    /// The sequence number of the commit that added it, where that is known. It is higher than the data
    /// sequence number where the file holds rows of older files.
    pub file_sequence_number: Option<i64>,
    /// The delete files that apply to it. Where there is a deletion vector, it comes first and
    /// stands for all position deletes.
    pub deletes: Vec<Arc<DeleteFile>>,
}

/// A delete file.
#[derive(Debug, Clone)]
pub struct DeleteFile {
    /// The file.
    pub file: ContentFile,
    /// The partition spec that its partition belongs to.
    pub spec_id: i32,
    /// Its data sequence number.
    pub sequence_number: i64,
}

impl DeleteFile {
    /// What tells it from others: several deletion vectors may lie in one file.
    pub fn key(&self) -> DeleteKey {
        DeleteKey::of(&self.file)
    }

    /// The one data file that its deletes are of, where that is known without reading it.
    pub fn data_file(&self) -> Option<String> {
        only_data_file(&self.file)
    }

    /// Whether all its deletes are of one data file, as far as is known without reading it.
    pub fn concerns_one_file(&self) -> bool {
        only_data_file(&self.file).is_some()
    }
}

/// Tells one delete file or deletion vector from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeleteKey {
    path: String,
    /// Where a deletion vector begins.
    offset: Option<i64>,
}

impl DeleteKey {
    pub(crate) fn of(file: &ContentFile) -> Self {
        Self {
            path: file.path.clone(),
            offset: file.content_offset,
        }
    }
}

impl fmt::Display for DeleteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} at {offset}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// Lists the live data files of a snapshot.
#[derive(Clone)]
#[must_use = "a scan does nothing until it is planned"]
pub struct Scan {
    table: Table,
    snapshot: Option<SnapshotRef>,
    manifest_filter: Option<ManifestFilter>,
    file_filter: Option<FileFilter>,
    concurrency: usize,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("table", self.table.ident())
            .field("snapshot", &self.snapshot.as_ref().map(|s| s.snapshot_id()))
            .finish_non_exhaustive()
    }
}

impl Scan {
    /// Scans the current snapshot.
    pub fn new(table: Table) -> Self {
        Self {
            snapshot: table.metadata().current_snapshot().cloned(),
            table,
            manifest_filter: None,
            file_filter: None,
            concurrency: DEFAULT_MANIFEST_CONCURRENCY,
        }
    }

    /// Scans another snapshot.
    pub fn with_snapshot(mut self, snapshot: SnapshotRef) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Leaves out manifests of data files by what the manifest list says of their partitions.
    pub fn with_manifest_filter(mut self, filter: ManifestFilter) -> Self {
        self.manifest_filter = Some(filter);
        self
    }

    /// Leaves out data files by what their entries say of their partitions and columns.
    pub fn with_file_filter(mut self, filter: FileFilter) -> Self {
        self.file_filter = Some(filter);
        self
    }

    /// How many manifests are read at a time.
    pub fn with_concurrency(mut self, manifests: usize) -> Self {
        self.concurrency = manifests;
        self
    }

    /// Reads the delete manifests and starts reading the data manifests. The files come in the order
    /// of the manifests.
    ///
    /// # Errors
    /// When the manifest list or a delete manifest cannot be read.
    pub async fn plan(self) -> Result<BoxStream<'static, Result<ScanFile>>> {
        let (data, deletes) = self.manifests().await?;
        let metadata = self.table.metadata_ref();
        let storage = self.table.storage();
        let mut index = DeleteIndex::default();
        let mut parts = entries(storage, &metadata, deletes, self.concurrency);
        while let Some(part) = parts.try_next().await? {
            index.extend(part, |spec_id| {
                let spec = metadata.partition_spec_by_id(spec_id);
                spec.is_none_or(|spec| spec.is_unpartitioned())
            });
        }
        index.finish();
        let data = data.into_iter().filter(|manifest| self.wants(manifest));
        let parts = entries(storage, &metadata, data.collect(), self.concurrency);
        let (index, filter) = (Arc::new(index), self.file_filter.clone());
        Ok(parts
            .map_ok(move |part| {
                let spec = metadata.partition_spec_by_id(part.manifest.partition_spec_id);
                let files = files_of(part, &index, |file| match (&filter, spec) {
                    (Some(filter), Some(spec)) => filter(file, spec),
                    _ => true,
                });
                stream::iter(files.into_iter().map(Ok))
            })
            .try_flatten()
            .boxed())
    }

    /// Lists the delete files and deletion vectors of the snapshot, whether they apply to anything or not.
    ///
    /// # Errors
    /// When the manifest list or a delete manifest cannot be read.
    pub async fn delete_files(&self) -> Result<Vec<DeleteFile>> {
        let (_, deletes) = self.manifests().await?;
        let metadata = self.table.metadata_ref();
        let mut parts = entries(self.table.storage(), &metadata, deletes, self.concurrency);
        let mut files = Vec::new();
        while let Some(part) = parts.try_next().await? {
            let spec_id = part.manifest.partition_spec_id;
            let live = part.entries.into_iter().filter(Entry::is_live);
            files.extend(live.map(|entry| DeleteFile {
                sequence_number: entry.sequence_number.unwrap_or_default(),
                file: entry.file,
                spec_id,
            }));
        }
        Ok(files)
    }

    /// The manifests of data files and those of deletes that list anything.
    async fn manifests(&self) -> Result<(Vec<ManifestFile>, Vec<ManifestFile>)> {
        let Some(snapshot) = &self.snapshot else {
            return Ok((Vec::new(), Vec::new()));
        };
        let manifests = load_manifests(self.table.storage(), snapshot).await?;
        Ok(manifests
            .into_iter()
            .filter(|manifest| manifest.has_added_files() || manifest.has_existing_files())
            .partition(|manifest| manifest.content == ManifestContentType::Data))
    }

    fn wants(&self, manifest: &ManifestFile) -> bool {
        let metadata = self.table.metadata();
        let spec = metadata.partition_spec_by_id(manifest.partition_spec_id);
        match (&self.manifest_filter, spec) {
            (Some(filter), Some(spec)) => filter(manifest, spec),
            _ => true,
        }
    }
}

fn files_of(
    part: Part,
    index: &DeleteIndex,
    wants: impl Fn(&ContentFile) -> bool,
) -> Vec<ScanFile> {
    let spec_id = part.manifest.partition_spec_id;
    let live = part.entries.into_iter().filter(Entry::is_live);
    live.filter(|entry| wants(&entry.file))
        .map(|entry| {
            let sequence_number = entry.sequence_number.unwrap_or_default();
            ScanFile {
                deletes: index.applying_to(&entry.file, spec_id, sequence_number),
                file: entry.file,
                spec_id,
                sequence_number,
                file_sequence_number: entry.file_sequence_number,
            }
        })
        .collect()
}

/// The delete files of a snapshot, by what they apply to, each list by ascending sequence number.
#[derive(Debug, Default)]
struct DeleteIndex {
    vectors: HashMap<String, Vec<Arc<DeleteFile>>>,
    positions_by_path: HashMap<String, Vec<Arc<DeleteFile>>>,
    positions_by_partition: HashMap<(i32, Struct), Vec<Arc<DeleteFile>>>,
    equality_by_partition: HashMap<(i32, Struct), Vec<Arc<DeleteFile>>>,
    equality_everywhere: Vec<Arc<DeleteFile>>,
}

impl DeleteIndex {
    fn extend(&mut self, part: Part, is_unpartitioned: impl Fn(i32) -> bool) {
        let spec_id = part.manifest.partition_spec_id;
        for entry in part.entries.into_iter().filter(Entry::is_live) {
            let sequence_number = entry.sequence_number.unwrap_or_default();
            let file = entry.file;
            let partition = (spec_id, file.partition.clone());
            let (content, is_vector) = (file.content, file.is_deletion_vector());
            let only = only_data_file(&file);
            let delete = Arc::new(DeleteFile {
                file,
                spec_id,
                sequence_number,
            });
            let list = match (content, only) {
                (DataContentType::Data, _) => continue,
                (DataContentType::PositionDeletes, Some(path)) if is_vector => {
                    self.vectors.entry(path).or_default()
                }
                (DataContentType::PositionDeletes, Some(path)) => {
                    self.positions_by_path.entry(path).or_default()
                }
                (DataContentType::PositionDeletes, None) => {
                    self.positions_by_partition.entry(partition).or_default()
                }
                (DataContentType::EqualityDeletes, _) if is_unpartitioned(spec_id) => {
                    &mut self.equality_everywhere
                }
                (DataContentType::EqualityDeletes, _) => {
                    self.equality_by_partition.entry(partition).or_default()
                }
            };
            list.push(delete);
        }
    }

    fn finish(&mut self) {
        let by_path = self.vectors.values_mut();
        let by_path = by_path.chain(self.positions_by_path.values_mut());
        let by_partition = self.positions_by_partition.values_mut();
        let by_partition = by_partition.chain(self.equality_by_partition.values_mut());
        for list in by_path.chain(by_partition) {
            list.sort_by_key(|delete| delete.sequence_number);
        }
        self.equality_everywhere
            .sort_by_key(|delete| delete.sequence_number);
    }

    /// Position deletes apply to files of their own commit too, equality deletes to older ones only.
    fn applying_to(
        &self,
        file: &ContentFile,
        spec_id: i32,
        sequence_number: i64,
    ) -> Vec<Arc<DeleteFile>> {
        let mut deletes = Vec::new();
        let vector = self.vectors.get(&file.path).and_then(|list| list.last());
        let vector = vector.filter(|vector| vector.sequence_number >= sequence_number);
        let has_partitioned =
            !self.positions_by_partition.is_empty() || !self.equality_by_partition.is_empty();
        let partition = has_partitioned.then(|| (spec_id, file.partition.clone()));
        if let Some(vector) = vector {
            deletes.push(Arc::clone(vector));
        } else {
            take_from(
                &mut deletes,
                self.positions_by_path.get(&file.path),
                sequence_number,
            );
            let list = partition.as_ref();
            let list = list.and_then(|partition| self.positions_by_partition.get(partition));
            take_from(&mut deletes, list, sequence_number);
        }
        let later = sequence_number + 1;
        let list = partition.as_ref();
        let list = list.and_then(|partition| self.equality_by_partition.get(partition));
        take_from(&mut deletes, list, later);
        take_from(&mut deletes, Some(&self.equality_everywhere), later);
        deletes
    }
}

/// Takes the deletes of at least a sequence number from a list in that order.
fn take_from(
    deletes: &mut Vec<Arc<DeleteFile>>,
    list: Option<&Vec<Arc<DeleteFile>>>,
    sequence_number: i64,
) {
    let list = list.map_or(&[][..], Vec::as_slice);
    let start = list.partition_point(|delete| delete.sequence_number < sequence_number);
    deletes.extend(list[start..].iter().cloned());
}

/// The one data file that a position delete file or deletion vector concerns, where that is known.
pub(crate) fn only_data_file(file: &ContentFile) -> Option<String> {
    if file.referenced_data_file.is_some() {
        return file.referenced_data_file.clone();
    }
    let bound = |bounds: &Option<Bounds>| {
        let bounds = bounds.as_ref()?.iter();
        let (_, bound) = bounds
            .into_iter()
            .find(|(id, _)| *id == DELETE_FILE_PATH_ID)?;
        Some(bound.clone())
    };
    let (lower, upper) = (bound(&file.lower_bounds)?, bound(&file.upper_bounds)?);
    // A bound that is cut short is a prefix below and a prefix rounded up above: never equal.
    if lower != upper {
        return None;
    }
    String::from_utf8(lower.into_vec()).ok()
}
