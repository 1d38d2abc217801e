//! The journal of a migration: what it set out to do, how far it came, and how to undo it.
//!
//! Its files lie beside the table's metadata, `<table>/metadata/calve/<migration id>/`:
//!
//! * `migration.json`: what is migrated into what, with which options, its state, its undo record;
//! * `batch-<n>-<writer>.json`: one batch of rows, with the files that were written for it;
//! * `sources-<n>-<writer>-<page>.json`: a page of the files that were read for it;
//! * further documents of an operation's own ([`Journal::put`]), an undo record of many pages, for one.
//!
//! All are JSON with a `version`. None of them grows with the lake: what does, is cut into batches or
//! pages. A document that must not be there yet is written with a conditional put, so that two runs
//! cannot begin the same migration.

mod batch;
mod fail_point;
mod id;
mod migration;

use std::fmt;

use calve_base::{Clock, Location};
use calve_storage::Storage;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use batch::SOURCES;
pub use batch::{Batch, BatchState, SourcePage};
pub use fail_point::FailPoint;
pub use id::{MigrationId, MigrationIdError, Operation};
pub use migration::{JOURNAL_VERSION, Listing, Migration, MigrationState};

use crate::{Error, Result};

/// The document that describes the migration.
const MIGRATION: &str = "migration.json";
/// How many documents are read at once.
const READS: usize = 16;
/// How many files a page tells.
const PAGE_FILES: usize = 10_000;

/// The journal of one migration.
#[derive(Clone)]
pub struct Journal {
    storage: Storage,
    folder: Location,
    migration: Migration,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("folder", &self.folder)
            .field("migration", &self.migration)
            .finish_non_exhaustive()
    }
}

/// The folder of all journals of the table that lies there.
fn journals(table_location: &Location) -> Location {
    table_location.join("metadata/calve")
}

impl Journal {
    /// Begins the journal of a migration into (or of) the table that lies at `table_location`.
    ///
    /// # Errors
    /// [`Error::JournalExists`] when there is one of that id already; when the store fails.
    pub async fn create(
        storage: &Storage,
        table_location: &Location,
        migration: Migration,
    ) -> Result<Self> {
        let folder = journals(table_location).join(&migration.id.folder_name());
        let location = folder.join(MIGRATION);
        let bytes = encode(&location, &migration)?;
        match storage.write_new(&location, bytes.into()).await {
            Ok(()) => Ok(Self {
                storage: storage.clone(),
                folder,
                migration,
            }),
            Err(calve_storage::Error::AlreadyExists { .. }) => Err(Error::JournalExists {
                id: migration.id,
                location,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the journal of a migration.
    ///
    /// # Errors
    /// [`Error::JournalMissing`] when the table has none of that id; when it cannot be read.
    pub async fn open(
        storage: &Storage,
        table_location: &Location,
        id: &MigrationId,
    ) -> Result<Self> {
        let folder = journals(table_location).join(&id.folder_name());
        let location = folder.join(MIGRATION);
        match read(storage, &location).await {
            Ok(migration) => Ok(Self {
                storage: storage.clone(),
                folder,
                migration,
            }),
            Err(Error::Storage(calve_storage::Error::NotFound { .. })) => {
                Err(Error::JournalMissing {
                    id: id.clone(),
                    location,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// All migrations that the table at that location has journals of, the oldest first.
    ///
    /// # Errors
    /// When the store fails or a journal cannot be read.
    pub async fn list(storage: &Storage, table_location: &Location) -> Result<Vec<Migration>> {
        let (folders, _) = match storage.list_folder(&journals(table_location)).await {
            Ok(found) => found,
            Err(calve_storage::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let documents = folders
            .into_iter()
            .map(|folder| async move {
                match read::<Migration>(storage, &folder.join(MIGRATION)).await {
                    Ok(migration) => Ok(Some(migration)),
                    // A folder without the document is none of a migration that began.
                    Err(Error::Storage(calve_storage::Error::NotFound { .. })) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            // The list is short, and boxing keeps the future small.
            .map(futures::FutureExt::boxed)
            .collect::<Vec<_>>();
        let found: Vec<Option<Migration>> = futures::stream::iter(documents)
            .buffered(READS)
            .try_collect()
            .await?;
        let mut migrations: Vec<Migration> = found.into_iter().flatten().collect();
        migrations.sort_by(|left, right| {
            let key = |it: &Migration| (it.started_ms, it.id.to_string());
            key(left).cmp(&key(right))
        });
        Ok(migrations)
    }

    /// The migration's id.
    pub fn id(&self) -> &MigrationId {
        &self.migration.id
    }

    /// The migration, as it was last read or written.
    pub fn migration(&self) -> &Migration {
        &self.migration
    }

    /// The folder that the journal's files lie in.
    pub fn folder(&self) -> &Location {
        &self.folder
    }

    /// Changes the description of the migration: its state, its undo record.
    ///
    /// # Errors
    /// [`Error::JournalChanged`] when another run changed it since it was read; when the store fails.
    pub async fn update(
        &mut self,
        clock: &dyn Clock,
        change: impl FnOnce(&mut Migration),
    ) -> Result<()> {
        let location = self.folder.join(MIGRATION);
        let stored: Migration = read(&self.storage, &location).await?;
        if stored.revision != self.migration.revision {
            return Err(Error::JournalChanged {
                id: self.migration.id.clone(),
                location,
            });
        }
        let mut changed = stored;
        change(&mut changed);
        changed.revision += 1;
        changed.updated_ms = clock.now_ms();
        let bytes = encode(&location, &changed)?;
        self.storage.write(&location, bytes.into()).await?;
        self.migration = changed;
        Ok(())
    }

    /// All batches that were recorded, by number, but those that others replaced.
    ///
    /// # Errors
    /// When the store fails or a record cannot be read.
    pub async fn batches(&self) -> Result<Vec<Batch>> {
        let mut batches: Vec<Batch> = self.documents("batch-").await?;
        batches.sort_by_key(|batch| batch.number);
        let is_committed = |batch: &Batch| batch.state == BatchState::Committed;
        Ok(Batch::current(batches, is_committed))
    }

    /// Writes down how far a batch is, in the place of what was said of it before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_batch(&self, batch: &Batch) -> Result<()> {
        self.put(&batch.document(), batch).await
    }

    /// Takes a batch out again, one that left nothing, with what it read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_batch(&self, batch: &Batch) -> Result<()> {
        let location = self.folder.join(&batch.document());
        self.storage.delete(&location).await?;
        let pages = batch.pages();
        let (_, files) = self.storage.list_folder(&self.folder).await?;
        for file in files {
            if file.location.file_name().starts_with(&pages) {
                self.storage.delete(&file.location).await?;
            }
        }
        Ok(())
    }

    /// Writes down which files of the source a batch read, page by page; those that batches read parts of without one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_sources(
        &self,
        batch: Option<&Batch>,
        files: Vec<(String, String)>,
    ) -> Result<()> {
        let names = batch.map_or_else(|| format!("{SOURCES}all-"), Batch::pages);
        let writer = batch.map_or_else(Uuid::nil, |batch| batch.writer);
        for (number, files) in files.chunks(PAGE_FILES).enumerate() {
            let page = SourcePage {
                version: JOURNAL_VERSION,
                writer,
                files: files.to_vec(),
            };
            self.put(&format!("{names}{number}.json"), &page).await?;
        }
        Ok(())
    }

    /// All pages of files that were read.
    ///
    /// # Errors
    /// When the store fails or a page cannot be read.
    pub async fn sources(&self) -> Result<Vec<SourcePage>> {
        self.documents(SOURCES).await
    }

    /// Reads the description of the migration again.
    ///
    /// # Errors
    /// When the store fails or it cannot be read.
    pub async fn reload(&mut self) -> Result<()> {
        self.migration = read(&self.storage, &self.folder.join(MIGRATION)).await?;
        Ok(())
    }

    /// Deletes the journal: nothing came of the migration.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn discard(&self) -> Result<()> {
        let (_, files) = self.storage.list_folder(&self.folder).await?;
        for file in files {
            self.storage.delete(&file.location).await?;
        }
        Ok(())
    }

    /// Writes a document of the operation's own, such as one page of an undo record. The name is a
    /// plain file name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(&self, name: &str, document: &impl Serialize) -> Result<()> {
        let location = self.folder.join(name);
        let bytes = encode(&location, document)?;
        Ok(self.storage.write(&location, bytes.into()).await?)
    }

    /// Reads a document of the operation's own; `None` where there is none.
    ///
    /// # Errors
    /// When the store fails or the document is not what it should be.
    pub async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        match read(&self.storage, &self.folder.join(name)).await {
            Ok(document) => Ok(Some(document)),
            Err(Error::Storage(calve_storage::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all documents whose names begin with `prefix`, in the order of their names.
    async fn documents<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<T>> {
        let (_, files) = self.storage.list_folder(&self.folder).await?;
        let documents = files
            .into_iter()
            .map(|file| file.location)
            .filter(|location| location.file_name().starts_with(prefix))
            .map(|location| {
                let storage = &self.storage;
                futures::FutureExt::boxed(async move { read(storage, &location).await })
            })
            .collect::<Vec<_>>();
        futures::stream::iter(documents)
            .buffered(READS)
            .try_collect()
            .await
    }
}

fn encode(location: &Location, document: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(document).map_err(|source| Error::JournalDocument {
            location: location.clone(),
            source,
        })?;
    bytes.push(b'\n');
    Ok(bytes)
}

async fn read<T: DeserializeOwned>(storage: &Storage, location: &Location) -> Result<T> {
    let bytes = storage.read(location).await?;
    let wrong = |source| Error::JournalDocument {
        location: location.clone(),
        source,
    };
    let document: serde_json::Value = serde_json::from_slice(&bytes).map_err(wrong)?;
    // Documents of an operation's own may go without.
    let version = document.get("version").and_then(serde_json::Value::as_u64);
    match version {
        Some(version) if version > JOURNAL_VERSION => Err(Error::JournalVersion {
            location: location.clone(),
            version,
        }),
        _ => serde_json::from_value(document).map_err(wrong),
    }
}

#[cfg(test)]
mod tests;
