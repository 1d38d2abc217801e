//! Manifests written while their files are still coming in.

use std::collections::{BTreeMap, HashSet};

use calve_base::Location;
use calve_storage::Storage;
use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, ManifestContentType, ManifestFile, ManifestStatus,
    PartitionSpecRef, PrimitiveType, SchemaRef, TableMetadata,
};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

use crate::manifest::{ContentFile, EncodedManifest, Entry, ManifestEncoder};
use crate::partition::{partition_columns, value_types};
use crate::properties;
use crate::task::joined;
use crate::totals::FileTotals;
use crate::{Error, Result};

/// How many files may wait to be encoded.
const QUEUE_FILES: usize = 256;

/// How many full manifests may be under way to the store while the next one fills.
const UPLOADS: usize = 2;

/// Takes files one by one as they are found and writes them into manifests of the table's target
/// size (`commit.manifest.target-size-bytes`) while more are coming.
///
/// Encoding and uploading happen in a task of their own. In memory are at most one open manifest a
/// partition spec, and two more on their way. What was written is deleted again when the roller
/// fails or is dropped before [`ManifestRoller::finish`].
#[derive(Debug)]
pub struct ManifestRoller {
    default_spec_id: i32,
    snapshot_id: i64,
    messages: mpsc::Sender<Message>,
    /// Gone once its outcome is known.
    worker: Option<JoinHandle<Result<Option<WrittenManifests>>>>,
}

/// Manifests that are written but belong to no snapshot yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WrittenManifests {
    /// Their entries for a manifest list, in the order in which they were begun.
    pub manifests: Vec<ManifestFile>,
    /// What their added files hold.
    pub added: FileTotals,
    /// What their removed files held.
    pub removed: FileTotals,
    /// How many partitions the added and removed files lie in.
    pub changed_partitions: u64,
    /// The hashes of these partitions.
    pub(crate) partitions: HashSet<u128>,
}

/// Where and how manifests are written.
#[derive(Debug, Clone)]
struct Target {
    storage: Storage,
    folder: Location,
    version: FormatVersion,
    specs: Vec<SpecColumns>,
    snapshot_id: i64,
    commit_uuid: Uuid,
    /// Whoever else is named in the manifests' names.
    writer: Option<Uuid>,
    full_bytes: usize,
}

/// A partition spec and the types of its values, as far as its columns are known.
#[derive(Debug, Clone)]
struct SpecColumns {
    spec: PartitionSpecRef,
    types: Vec<Option<PrimitiveType>>,
}

#[derive(Debug)]
enum Message {
    DataFile(i32, Box<DataFile>),
    Entry(i32, Box<Entry>),
    Schema(SchemaRef),
    Finish,
}

impl ManifestRoller {
    /// Starts writing manifests for a snapshot of a table, which need not exist yet. All manifests
    /// carry the snapshot's id, so it is chosen here and given to the commit later.
    pub fn new(storage: &Storage, metadata: &TableMetadata, snapshot_id: i64) -> Result<Self> {
        Self::with_commit_uuid(storage, metadata, snapshot_id, Uuid::new_v4())
    }

    /// As [`ManifestRoller::new`], with the id that the files' names begin with.
    pub fn with_commit_uuid(
        storage: &Storage,
        metadata: &TableMetadata,
        snapshot_id: i64,
        commit_uuid: Uuid,
    ) -> Result<Self> {
        let full_bytes = properties::manifest_target_bytes(metadata);
        let ids = (snapshot_id, commit_uuid, None);
        Self::start(storage, metadata, ids, full_bytes)
    }

    /// As [`ManifestRoller::new`], with an id somewhere in the files' names, so that they can be found by it.
    pub(crate) fn with_writer(
        storage: &Storage,
        metadata: &TableMetadata,
        snapshot_id: i64,
        writer: Option<Uuid>,
    ) -> Result<Self> {
        let full_bytes = properties::manifest_target_bytes(metadata);
        let ids = (snapshot_id, Uuid::new_v4(), writer);
        Self::start(storage, metadata, ids, full_bytes)
    }

    /// As [`ManifestRoller::new`], with another size at which manifests are full.
    pub(crate) fn with_full_bytes(
        storage: &Storage,
        metadata: &TableMetadata,
        snapshot_id: i64,
        full_bytes: usize,
    ) -> Result<Self> {
        let ids = (snapshot_id, Uuid::new_v4(), None);
        Self::start(storage, metadata, ids, full_bytes)
    }

    fn start(
        storage: &Storage,
        metadata: &TableMetadata,
        (snapshot_id, commit_uuid, writer): (i64, Uuid, Option<Uuid>),
        full_bytes: usize,
    ) -> Result<Self> {
        let target = Target {
            storage: storage.clone(),
            folder: properties::metadata_folder(metadata)?,
            version: metadata.format_version(),
            specs: metadata
                .partition_specs_iter()
                .map(|spec| SpecColumns {
                    types: value_types(metadata, spec),
                    spec: PartitionSpecRef::clone(spec),
                })
                .collect(),
            snapshot_id,
            commit_uuid,
            writer,
            full_bytes,
        };
        let (sender, receiver) = mpsc::channel(QUEUE_FILES);
        let worker = Worker {
            target,
            schema: SchemaRef::clone(metadata.current_schema()),
            open: BTreeMap::new(),
            begun: 0,
            uploads: JoinSet::new(),
            written: BTreeMap::new(),
            totals: WrittenManifests::default(),
            partitions: HashSet::new(),
        };
        Ok(Self {
            default_spec_id: metadata.default_partition_spec_id(),
            snapshot_id,
            messages: sender,
            worker: Some(tokio::spawn(worker.run(receiver))),
        })
    }

    /// The snapshot that the manifests are written for.
    pub fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// Adds a file of the table's default partition spec.
    ///
    /// # Errors
    /// When this or an earlier file cannot be described in a manifest, or a manifest could not be
    /// written. The roller is of no use then; what it wrote is deleted.
    pub async fn add(&mut self, file: DataFile) -> Result<()> {
        self.add_with_spec(self.default_spec_id, file).await
    }

    /// Adds a file of one of the table's partition specs.
    ///
    /// # Errors
    /// As [`ManifestRoller::add`].
    pub async fn add_with_spec(&mut self, spec_id: i32, file: DataFile) -> Result<()> {
        self.send(Message::DataFile(spec_id, Box::new(file))).await
    }

    /// Writes an entry as it is: a file that is kept or removed, or one that gets an older sequence
    /// number than the commit's.
    ///
    /// # Errors
    /// As [`ManifestRoller::add`].
    pub async fn add_entry(&mut self, spec_id: i32, entry: Entry) -> Result<()> {
        self.send(Message::Entry(spec_id, Box::new(entry))).await
    }

    /// Says how the table's schema has grown. Manifests that end from now on carry this one.
    ///
    /// # Errors
    /// As [`ManifestRoller::add`].
    pub async fn set_schema(&mut self, schema: SchemaRef) -> Result<()> {
        self.send(Message::Schema(schema)).await
    }

    /// Writes what is still open.
    ///
    /// # Errors
    /// As [`ManifestRoller::add`].
    pub async fn finish(mut self) -> Result<WrittenManifests> {
        self.send(Message::Finish).await?;
        Ok(self.outcome().await?.unwrap_or_default())
    }

    /// Deletes what was written. Returns when that is done.
    pub async fn discard(self) {
        let Self {
            messages, worker, ..
        } = self;
        drop(messages);
        if let Some(worker) = worker {
            // It tells of failures to write; none of them matters any more.
            let _ = worker.await;
        }
    }

    async fn send(&mut self, message: Message) -> Result<()> {
        if self.messages.send(message).await.is_ok() {
            return Ok(());
        }
        // The worker has stopped, which it does before the end only on an error.
        self.outcome().await.map(|_| ())
    }

    async fn outcome(&mut self) -> Result<Option<WrittenManifests>> {
        match self.worker.take() {
            Some(worker) => joined(worker.await)?,
            None => Err(Error::Stopped),
        }
    }
}

impl WrittenManifests {
    /// Deletes the manifests. Failures to do so are only logged: nothing refers to the files.
    pub async fn discard(&self, storage: &Storage) {
        let paths = self.manifests.iter();
        delete_all(
            storage,
            paths.map(|manifest| manifest.manifest_path.as_str()),
        )
        .await;
    }
}

/// Deletes files that nothing refers to, as far as that succeeds.
pub(crate) async fn delete_all(storage: &Storage, paths: impl Iterator<Item = &str>) {
    for path in paths {
        let deleted = match Location::parse(path) {
            Ok(location) => storage.delete(&location).await.map_err(Error::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = deleted {
            tracing::warn!(path, %error, "an unused metadata file could not be deleted");
        }
    }
}

/// The task behind a roller.
struct Worker {
    target: Target,
    schema: SchemaRef,
    /// The open manifests by partition spec and content, with their numbers.
    open: BTreeMap<(i32, bool), (u32, ManifestEncoder)>,
    begun: u32,
    uploads: JoinSet<(u32, Result<ManifestFile>)>,
    written: BTreeMap<u32, ManifestFile>,
    totals: WrittenManifests,
    partitions: HashSet<u128>,
}

impl Worker {
    async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
    ) -> Result<Option<WrittenManifests>> {
        let outcome = self.receive(&mut messages).await;
        if !matches!(outcome, Ok(true)) {
            // Nobody waits for more messages; senders learn at once that it is over.
            messages.close();
            while let Some(Ok((number, Ok(manifest)))) = self.uploads.join_next().await {
                self.written.insert(number, manifest);
            }
            let paths = self.written.values();
            let paths = paths.map(|manifest| manifest.manifest_path.as_str());
            delete_all(&self.target.storage, paths).await;
        }
        Ok(outcome?.then(|| {
            self.totals.manifests = self.written.into_values().collect();
            self.totals.changed_partitions = self.partitions.len() as u64;
            self.totals.partitions = self.partitions;
            self.totals
        }))
    }

    /// Takes messages to the end. Returns whether the roller was finished, not dropped.
    async fn receive(&mut self, messages: &mut mpsc::Receiver<Message>) -> Result<bool> {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Schema(schema) => self.schema = schema,
                Message::DataFile(spec_id, file) => {
                    let entry = Entry {
                        status: ManifestStatus::Added,
                        snapshot_id: Some(self.target.snapshot_id),
                        sequence_number: None,
                        file_sequence_number: None,
                        file: ContentFile::from_data_file(&file)?,
                    };
                    self.append(spec_id, &entry).await?;
                }
                Message::Entry(spec_id, entry) => self.append(spec_id, &entry).await?,
                Message::Finish => {
                    for (_, (number, manifest)) in std::mem::take(&mut self.open) {
                        self.close(number, manifest).await?;
                    }
                    while !self.uploads.is_empty() {
                        self.join_upload().await?;
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn append(&mut self, spec_id: i32, entry: &Entry) -> Result<()> {
        let is_data = entry.file.content == DataContentType::Data;
        let key = (spec_id, is_data);
        if !self.open.contains_key(&key) {
            let manifest = self.begin(spec_id, is_data, &entry.file.path)?;
            self.open.insert(key, manifest);
        }
        let Some((_, manifest)) = self.open.get_mut(&key) else {
            return Ok(());
        };
        manifest.append(entry)?;
        let is_full = manifest.size() >= self.target.full_bytes;
        self.count(spec_id, entry);
        if is_full && let Some((number, manifest)) = self.open.remove(&key) {
            self.close(number, manifest).await?;
        }
        Ok(())
    }

    fn begin(&mut self, spec_id: i32, is_data: bool, path: &str) -> Result<(u32, ManifestEncoder)> {
        let target = &self.target;
        let known = target.specs.iter();
        let known = known
            .into_iter()
            .find(|known| known.spec.spec_id() == spec_id);
        let known = known.ok_or_else(|| Error::UnknownSpec {
            path: path.to_owned(),
            spec_id,
        })?;
        let number = self.begun;
        let sync = target
            .commit_uuid
            .as_u128()
            .wrapping_add(u128::from(number));
        let manifest = ManifestEncoder::new(
            target.version,
            if is_data {
                ManifestContentType::Data
            } else {
                ManifestContentType::Deletes
            },
            known.spec.as_ref().clone(),
            partition_columns(&known.spec, &known.types)?,
            target.snapshot_id,
            sync.to_be_bytes(),
        );
        self.begun += 1;
        Ok((number, manifest))
    }

    fn count(&mut self, spec_id: i32, entry: &Entry) {
        match entry.status {
            ManifestStatus::Added => self.totals.added.add(&entry.file),
            ManifestStatus::Deleted => self.totals.removed.add(&entry.file),
            ManifestStatus::Existing => return,
        }
        self.partitions.insert(partition_hash(spec_id, &entry.file));
    }

    /// Ends a manifest and sends it on its way.
    async fn close(&mut self, number: u32, manifest: ManifestEncoder) -> Result<()> {
        let target = &self.target;
        let commit = target.commit_uuid;
        let name = match target.writer {
            None => format!("{commit}-m{number}.avro"),
            Some(writer) => format!("{commit}-{writer}-m{number}.avro"),
        };
        let location = target.folder.join(&name);
        let EncodedManifest { bytes, file } =
            manifest.finish(location.as_str().to_owned(), &self.schema)?;
        let storage = target.storage.clone();
        while self.uploads.len() >= UPLOADS {
            self.join_upload().await?;
        }
        self.uploads.spawn(async move {
            let written = storage.write(&location, bytes).await;
            (number, written.map(|()| file).map_err(Error::from))
        });
        Ok(())
    }

    async fn join_upload(&mut self) -> Result<()> {
        if let Some(upload) = self.uploads.join_next().await {
            let (number, manifest) = joined(upload)?;
            self.written.insert(number, manifest?);
        }
        Ok(())
    }
}

/// Tells partitions apart, for counting them.
fn partition_hash(spec_id: i32, file: &ContentFile) -> u128 {
    use std::hash::{Hash, Hasher};

    /// Feeds 128 bits of hash from the standard trait, whose own result has 64.
    struct Feed(Xxh3);

    impl Hasher for Feed {
        fn finish(&self) -> u64 {
            self.0.digest()
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }

    let mut feed = Feed(Xxh3::new());
    spec_id.hash(&mut feed);
    file.partition.hash(&mut feed);
    feed.0.digest128()
}
