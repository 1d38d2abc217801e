//! The manifests of a snapshot and their entries, read from the store.

use std::sync::Arc;

use calve_base::Location;
use calve_storage::Storage;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{ManifestFile, Snapshot, TableMetadata, TableMetadataRef};
use tokio::sync::mpsc;

use crate::manifest::{Entry, ManifestReader, decode_list};
use crate::partition::value_types;
use crate::{Error, Result};

/// Entries go from reader to reader in parts of at least this many.
const PART_ENTRIES: usize = 1024;

/// How many parts may wait for their reader, for each manifest.
const PARTS_AHEAD: usize = 1;

/// Some entries of one manifest.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) manifest: Arc<ManifestFile>,
    pub(crate) entries: Vec<Entry>,
}

/// Reads the manifest list of a snapshot.
///
/// # Errors
/// When it cannot be read or is malformed.
pub async fn load_manifests(storage: &Storage, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
    let path = snapshot.manifest_list();
    let bytes = storage.read(&Location::parse(path)?).await?;
    decode_list(bytes).map_err(Error::malformed(path))
}

/// Opens one manifest.
pub(crate) async fn open_manifest(
    storage: &Storage,
    metadata: &TableMetadata,
    manifest: &ManifestFile,
) -> Result<ManifestReader> {
    let path = manifest.manifest_path.as_str();
    let spec_id = manifest.partition_spec_id;
    let spec = metadata.partition_spec_by_id(spec_id);
    let spec = spec.ok_or_else(|| Error::UnknownSpec {
        path: path.to_owned(),
        spec_id,
    })?;
    if manifest.key_metadata.is_some() {
        return Err(Error::Encrypted {
            path: path.to_owned(),
        });
    }
    let bytes = storage.read(&Location::parse(path)?).await?;
    let types = value_types(metadata, spec);
    ManifestReader::open(bytes, manifest.clone(), spec, types).map_err(Error::malformed(path))
}

/// Reads the entries of manifests, in the order of the manifests, `concurrency` of them at a time.
/// In memory are the encoded manifests that are being read and a part or two of each.
pub(crate) fn entries(
    storage: &Storage,
    metadata: &TableMetadataRef,
    manifests: Vec<ManifestFile>,
    concurrency: usize,
) -> BoxStream<'static, Result<Part>> {
    let (storage, metadata) = (storage.clone(), TableMetadataRef::clone(metadata));
    stream::iter(manifests)
        .map(move |manifest| {
            let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
            let (storage, metadata) = (storage.clone(), TableMetadataRef::clone(&metadata));
            // The task ends at the latest when the receiver is gone.
            tokio::spawn(async move {
                if let Err(error) = read_parts(&storage, &metadata, manifest, &sender).await {
                    let _ = sender.send(Err(error)).await;
                }
            });
            futures::future::ready(Ok::<_, Error>(parts_of(receiver)))
        })
        .buffered(concurrency.max(1))
        .try_flatten()
        .boxed()
}

fn parts_of(receiver: mpsc::Receiver<Result<Part>>) -> BoxStream<'static, Result<Part>> {
    stream::unfold(receiver, |mut receiver| async {
        let part = receiver.recv().await?;
        Some((part, receiver))
    })
    .boxed()
}

async fn read_parts(
    storage: &Storage,
    metadata: &TableMetadata,
    manifest: ManifestFile,
    sender: &mpsc::Sender<Result<Part>>,
) -> Result<()> {
    let mut reader = open_manifest(storage, metadata, &manifest).await?;
    let manifest = Arc::new(manifest);
    let mut entries = Vec::new();
    loop {
        let block = reader
            .next_block()
            .map_err(Error::malformed(&manifest.manifest_path))?;
        let is_last = block.is_none();
        entries.extend(block.into_iter().flatten());
        if entries.len() >= PART_ENTRIES || (is_last && !entries.is_empty()) {
            let part = Part {
                manifest: Arc::clone(&manifest),
                entries: std::mem::take(&mut entries),
            };
            if sender.send(Ok(part)).await.is_err() {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}
