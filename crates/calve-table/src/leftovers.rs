//! What a writer that was cut off left behind.

use std::collections::HashSet;

use calve_base::Location;
use calve_catalog::Table;
use calve_storage::{ObjectInfo, Storage};
use futures::{FutureExt, StreamExt, TryStreamExt};
use iceberg::spec::TableMetadata;
use uuid::Uuid;

use crate::data_file::data_folder;
use crate::properties::metadata_folder;
use crate::{Error, Result};

/// How many files are deleted at once.
const DELETES: usize = 32;

/// The files of a snapshot that was never committed: data files and manifests named by their writer's
/// id, manifest lists named by the snapshot's, and metadata files that no pointer was moved to.
///
/// Whoever asks must be certain that the commit can no longer take place: that the table's pointer has
/// been moved since it may have been tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    files: Vec<Location>,
}

impl Leftovers {
    /// Finds what a writer left in a table's folders. `table` is the table as it is now; `metadata` what it
    /// was written by, which tells the folders where there is no table.
    ///
    /// # Errors
    /// [`Error::SnapshotExists`] when the table has the snapshot: then nothing is left over; when the store
    /// fails.
    pub async fn find(
        storage: &Storage,
        table: Option<&Table>,
        metadata: &TableMetadata,
        writer: Uuid,
        snapshot_id: i64,
    ) -> Result<Self> {
        if let Some(table) = table
            && table.metadata().snapshot_by_id(snapshot_id).is_some()
        {
            return Err(Error::SnapshotExists {
                ident: table.ident().clone(),
                snapshot_id,
            });
        }
        let writer = writer.to_string();
        let mut files = Vec::new();
        let mut listing = storage.list(&data_folder(metadata)?);
        while let Some(object) = listing.try_next().await? {
            if object.location.file_name().contains(&writer) {
                files.push(object.location);
            }
        }
        let (_, objects) = match storage.list_folder(&metadata_folder(metadata)?).await {
            Ok(found) => found,
            Err(calve_storage::Error::NotFound { .. }) => Default::default(),
            Err(error) => return Err(error.into()),
        };
        let list = format!("snap-{snapshot_id}-");
        let known = table.map(known_metadata).unwrap_or_default();
        for object in objects {
            let name = object.location.file_name();
            let is_its = name.contains(&writer)
                || name.contains(&list)
                || is_metadata_of(storage, &object, &known, snapshot_id).await?;
            if is_its {
                files.push(object.location);
            }
        }
        Ok(Self { files })
    }

    /// The files.
    pub fn files(&self) -> &[Location] {
        &self.files
    }

    /// Deletes them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(self, storage: &Storage) -> Result<()> {
        let deletes = self.files.into_iter().map(|file| {
            let storage = storage.clone();
            async move { storage.delete(&file).await }.boxed()
        });
        let deletes: Vec<_> = deletes.collect();
        let mut deletes = futures::stream::iter(deletes).buffer_unordered(DELETES);
        while let Some(deleted) = deletes.next().await {
            deleted?;
        }
        Ok(())
    }
}

/// The metadata files that the table has or had, by name.
fn known_metadata(table: &Table) -> HashSet<String> {
    let log = table.metadata().metadata_log().iter();
    let log = log.map(|entry| entry.metadata_file.as_str());
    std::iter::once(table.metadata_location().as_str())
        .chain(log)
        .filter_map(|path| path.rsplit('/').next())
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether an object is a metadata file that no pointer was moved to, with that snapshot in it.
async fn is_metadata_of(
    storage: &Storage,
    object: &ObjectInfo,
    known: &HashSet<String>,
    snapshot_id: i64,
) -> Result<bool> {
    let name = object.location.file_name();
    if !name.ends_with(".metadata.json") || known.contains(name) {
        return Ok(false);
    }
    let bytes = storage.read(&object.location).await?;
    // What cannot be read is nobody's for certain, and stays.
    let metadata = serde_json::from_slice::<TableMetadata>(&bytes);
    Ok(metadata.is_ok_and(|metadata| metadata.snapshot_by_id(snapshot_id).is_some()))
}
