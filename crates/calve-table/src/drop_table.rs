//! Taking a table out of a catalog, and its files with it if so told.

use std::collections::{BTreeMap, HashSet};
use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Location, NoProgress, Progress, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_storage::Storage;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, Manifest, ManifestFile, ManifestList};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::{Error, Result, owns_files, statistics_files};

/// How many files are read or deleted at once.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// What a drop would take away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// The files that go with it, by kind; `None` where they stay.
    pub files: Option<FileCounts>,
}

/// How many files a table refers to, over all its snapshots; each counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    /// Files with rows.
    pub data_files: u64,
    /// Files that say which rows are deleted.
    pub delete_files: u64,
    /// Manifests.
    pub manifests: u64,
    /// Manifest lists, one a snapshot.
    pub manifest_lists: u64,
    /// Statistics of tables and partitions.
    pub statistics_files: u64,
    /// Metadata files: the current one and those in its log.
    pub metadata_files: u64,
}

/// What a drop did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The table, which the catalog no longer has.
    pub table: String,
    /// How many files were deleted.
    pub deleted_files_count: u64,
    /// The files that could not be deleted, with the reason.
    pub failed: Vec<FailedFile>,
}

/// A file that could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedFile {
    /// The file.
    pub location: String,
    /// Why it is still there.
    pub error: String,
}

/// Takes a table out of its catalog.
///
/// Its files stay unless [`DropTable::with_purge`] is set. A purge deletes every file that any
/// snapshot refers to, wherever it lies, metadata files last, so that a purge that was cut off can be
/// taken up again after registering the table anew. A table with `gc.enabled=false` does not own its
/// files, and purging it is refused.
#[derive(Debug, Clone)]
#[must_use = "a drop does nothing until awaited"]
pub struct DropTable {
    catalog: Arc<dyn Catalog>,
    ident: TableIdent,
    purge: bool,
    concurrency: usize,
    progress: Arc<dyn Progress>,
}

impl DropTable {
    /// Starts a drop that leaves the files where they are.
    pub fn new(catalog: Arc<dyn Catalog>, ident: TableIdent) -> Self {
        Self {
            catalog,
            ident,
            purge: false,
            concurrency: DEFAULT_CONCURRENCY,
            progress: Arc::new(NoProgress),
        }
    }

    /// Sets whether the table's files are deleted, data files included.
    pub fn with_purge(mut self, purge: bool) -> Self {
        self.purge = purge;
        self
    }

    /// Sets how many files are read or deleted at once.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Sets who hears how far the drop is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Finds out what would go, without deleting.
    ///
    /// # Errors
    /// When there is no such table; with a purge also when the table does not own its files, or one
    /// of its manifests cannot be read.
    pub async fn plan(&self) -> Result<Plan> {
        if !self.purge {
            // Not loaded: a table whose metadata is lost can still be taken out of the catalog.
            self.find().await?;
            return Ok(Plan {
                table: self.ident.clone(),
                files: None,
            });
        }
        let reachable = Reachable::load(self.owned_table().await?, self.concurrency).await?;
        Ok(Plan {
            table: self.ident.clone(),
            files: Some(reachable.count().await?),
        })
    }

    /// Looks whether the catalog has the table.
    async fn find(&self) -> Result<()> {
        let not_found = || calve_catalog::Error::TableNotFound {
            catalog: self.catalog.name().to_owned(),
            ident: self.ident.clone(),
        };
        match self.catalog.list_tables(Some(self.ident.namespace())).await {
            Ok(tables) if tables.contains(&self.ident) => Ok(()),
            Ok(_) | Err(calve_catalog::Error::NamespaceNotFound { .. }) => Err(not_found().into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Loads the table, if it owns its files.
    async fn owned_table(&self) -> Result<Table> {
        let table = self.catalog.load_table(&self.ident).await?;
        if owns_files(table.metadata()) {
            Ok(table)
        } else {
            Err(Error::FilesNotOwned {
                ident: self.ident.clone(),
            })
        }
    }

    async fn purge(&self) -> Result<Report> {
        let reachable = Reachable::load(self.owned_table().await?, self.concurrency).await?;
        let total = reachable.count().await?.total();
        self.catalog.drop_table(&self.ident).await?;
        self.progress.started("files deleted", Some(total));
        let mut report = Report {
            table: self.ident.to_string(),
            ..Report::default()
        };
        reachable
            .delete_all(self.progress.as_ref(), &mut report)
            .await;
        self.progress.finished("files deleted");
        Ok(report)
    }
}

impl IntoFuture for DropTable {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if self.purge {
                return self.purge().await;
            }
            self.catalog.drop_table(&self.ident).await?;
            Ok(Report {
                table: self.ident.to_string(),
                ..Report::default()
            })
        })
    }
}

impl FileCounts {
    /// All files together.
    pub fn total(&self) -> u64 {
        self.data_files
            + self.delete_files
            + self.manifests
            + self.manifest_lists
            + self.statistics_files
            + self.metadata_files
    }
}

/// Every file that a table refers to. Data files are not held: they are read from the manifests
/// whenever they are wanted.
struct Reachable {
    storage: Storage,
    concurrency: usize,
    manifests: Vec<ManifestFile>,
    manifest_lists: Vec<String>,
    statistics: Vec<String>,
    metadata_files: Vec<String>,
}

impl Reachable {
    /// Reads the manifest lists of all snapshots.
    async fn load(table: Table, concurrency: usize) -> Result<Self> {
        let metadata = table.metadata();
        let reads: Vec<_> = metadata
            .snapshots()
            .map(|snapshot| read_manifest_list(table.clone(), snapshot.manifest_list().to_owned()))
            .collect();
        let lists: Vec<ManifestList> = stream::iter(reads)
            .buffer_unordered(concurrency)
            .try_collect()
            .await?;
        let manifests: BTreeMap<String, ManifestFile> = lists
            .into_iter()
            .flat_map(ManifestList::consume_entries)
            .map(|manifest| (manifest.manifest_path.clone(), manifest))
            .collect();
        Ok(Self {
            storage: table.storage().clone(),
            concurrency,
            manifests: manifests.into_values().collect(),
            manifest_lists: metadata
                .snapshots()
                .map(|snapshot| snapshot.manifest_list().to_owned())
                .filter(|location| !location.is_empty())
                .collect(),
            statistics: statistics_files(metadata)
                .into_iter()
                .map(|(_, path)| path)
                .collect(),
            metadata_files: metadata
                .metadata_log()
                .iter()
                .map(|entry| entry.metadata_file.clone())
                .chain([table.metadata_location().as_str().to_owned()])
                .collect(),
        })
    }

    /// Reads every manifest, and counts.
    async fn count(&self) -> Result<FileCounts> {
        let mut counts = FileCounts {
            manifests: self.manifests.len() as u64,
            manifest_lists: self.manifest_lists.len() as u64,
            statistics_files: self.statistics.len() as u64,
            metadata_files: self.metadata_files.len() as u64,
            ..FileCounts::default()
        };
        let mut seen = HashSet::new();
        let mut manifests = self.read_manifests();
        while let Some((_, manifest)) = manifests.next().await {
            for entry in manifest?.entries().iter().filter(|entry| entry.is_alive()) {
                if !seen.insert(xxh3_128(entry.file_path().as_bytes())) {
                    continue;
                }
                match entry.content_type() {
                    DataContentType::Data => counts.data_files += 1,
                    DataContentType::PositionDeletes | DataContentType::EqualityDeletes => {
                        counts.delete_files += 1;
                    }
                }
            }
        }
        Ok(counts)
    }

    /// The manifests with what they hold, as they arrive.
    fn read_manifests(&self) -> BoxStream<'static, (String, iceberg::Result<Manifest>)> {
        let file_io = self.storage.file_io();
        stream::iter(self.manifests.clone())
            .map(move |file| {
                let file_io = file_io.clone();
                async move {
                    let manifest = file.load_manifest(&file_io).await;
                    (file.manifest_path, manifest)
                }
            })
            .buffer_unordered(self.concurrency)
            .boxed()
    }

    /// Deletes everything: data, then manifests, then their lists, the metadata files last.
    async fn delete_all(&self, progress: &dyn Progress, report: &mut Report) {
        let mut seen = HashSet::new();
        let mut manifests = self.read_manifests();
        while let Some((location, manifest)) = manifests.next().await {
            match manifest {
                Ok(manifest) => {
                    let files: Vec<String> = manifest
                        .entries()
                        .iter()
                        .filter(|entry| entry.is_alive())
                        .map(|entry| entry.file_path().to_owned())
                        .filter(|path| seen.insert(xxh3_128(path.as_bytes())))
                        .collect();
                    self.delete(files, progress, report).await;
                }
                Err(error) => report.failed.push(FailedFile {
                    location,
                    error: error.to_string(),
                }),
            }
        }
        drop(manifests);
        let manifests = self.manifests.iter().map(|file| file.manifest_path.clone());
        self.delete(manifests.collect(), progress, report).await;
        self.delete(self.statistics.clone(), progress, report).await;
        self.delete(self.manifest_lists.clone(), progress, report)
            .await;
        self.delete(self.metadata_files.clone(), progress, report)
            .await;
    }

    /// Deletes files, and enters into the report what became of each.
    async fn delete(&self, files: Vec<String>, progress: &dyn Progress, report: &mut Report) {
        let mut outcomes = stream::iter(files)
            .map(|text| async move {
                let outcome = match Location::parse(text.as_str()) {
                    Ok(location) => self
                        .storage
                        .delete(&location)
                        .await
                        .map_err(|e| e.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                (text, outcome)
            })
            .buffer_unordered(self.concurrency);
        while let Some((location, outcome)) = outcomes.next().await {
            progress.advanced("files deleted", 1);
            match outcome {
                Ok(()) => report.deleted_files_count += 1,
                Err(error) => report.failed.push(FailedFile { location, error }),
            }
        }
    }
}

/// Reads one manifest list.
async fn read_manifest_list(table: Table, location: String) -> Result<ManifestList> {
    let location = Location::parse(location)?;
    let bytes = table.storage().read(&location).await?;
    ManifestList::parse_with_version(&bytes, table.metadata().format_version())
        .map_err(|source| Error::ManifestList { location, source })
}

/// Deletes the metadata of a table that no catalog has, and that owns no data files: its metadata file, its manifest
/// lists and manifests. Where the metadata file is gone, there is nothing to do.
///
/// # Errors
/// When the metadata cannot be read, or a file cannot be deleted.
pub async fn discard_metadata(storage: &Storage, metadata: &Location) -> Result<()> {
    let table = match calve_catalog::read_metadata(storage, metadata).await {
        Ok(table) => table,
        Err(calve_catalog::Error::Storage(calve_storage::Error::NotFound { .. })) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let ident = TableIdent::new("discarded", "table");
    let table = Table::new(ident, table, metadata.clone(), storage.clone());
    for snapshot in table.metadata().snapshots() {
        let location = snapshot.manifest_list().to_owned();
        let list = read_manifest_list(table.clone(), location.clone()).await?;
        for manifest in list.entries() {
            let manifest = Location::parse(manifest.manifest_path.as_str())?;
            storage.delete(&manifest).await?;
        }
        storage.delete(&Location::parse(location)?).await?;
    }
    storage.delete(metadata).await?;
    Ok(())
}
