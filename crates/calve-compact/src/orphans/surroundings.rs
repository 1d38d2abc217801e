//! What lies in a table's folders and is none of its snapshots': journals, files of runs that go on, other tables.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use calve_base::{Location, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_storage::Storage;
use calve_table::{TableFolders, table_folders};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::TableMetadata;

use crate::{Error, Result};

/// Where calve's journals lie below a table's folder.
const JOURNALS: &str = "metadata/calve";
/// States of migrations that nothing is under way of any more.
const ENDED: [&str; 3] = ["done", "rolled_back", "finalized"];
/// What names Iceberg tables among the entries of a metastore.
const TABLE_TYPE: &str = "table_type";

/// A table's folders, and what is in them beside its files.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The folder of the table's journals.
    journals: Location,
    /// The folders of its metadata files, canonical.
    metadata_folders: HashSet<String>,
    /// What the names of files have in common that a run wrote which has not ended.
    unfinished: Vec<String>,
    /// The folders of other tables, canonical.
    others: BTreeSet<String>,
}

impl Surroundings {
    /// Reads the journals of the table.
    ///
    /// # Errors
    /// When a journal cannot be read: then nobody can say which files a run still needs.
    pub(super) async fn of(table: &Table) -> Result<Self> {
        let metadata = table.metadata();
        let folders = table_folders(metadata)?;
        let journals = folders.location.join(JOURNALS);
        Ok(Self {
            metadata_folders: metadata_folders(table, &folders),
            unfinished: unfinished_runs(table.storage(), &journals).await?,
            journals,
            others: BTreeSet::new(),
        })
    }

    pub(super) fn is_journal(&self, file: &Location) -> bool {
        self.journals.contains(file)
    }

    /// Whether the file tells readers without a catalog which metadata are current.
    pub(super) fn is_version_hint(&self, file: &Location) -> bool {
        file.file_name() == "version-hint.text" && self.is_in_metadata_folder(file)
    }

    pub(super) fn is_of_unfinished_run(&self, file: &Location) -> bool {
        let name = file.file_name();
        self.unfinished.iter().any(|part| name.contains(part))
    }

    fn is_in_metadata_folder(&self, file: &Location) -> bool {
        let folder = file.parent();
        folder.is_some_and(|folder| self.metadata_folders.contains(&folder.canonical()))
    }

    /// Takes note of a file that tells of another table: a metadata file in a folder that is not this table's.
    pub(super) fn notice(&mut self, root: &Location, file: &Location) {
        let name = file.file_name();
        let is_metadata = name.ends_with(".metadata.json") || name.ends_with(".metadata.json.gz");
        if !is_metadata || self.is_in_metadata_folder(file) {
            return;
        }
        let Some(folder) = file.parent() else {
            return;
        };
        let table = match folder.parent() {
            Some(table) if folder.file_name() == "metadata" => table,
            _ => folder,
        };
        let is_below = root.contains(&table) && root.canonical() != table.canonical();
        let theirs = if is_below { &table } else { file };
        self.others.insert(theirs.canonical());
    }

    /// Leaves a folder to another table.
    pub(super) fn add_other(&mut self, folder: &Location) {
        self.others.insert(folder.canonical());
    }

    /// Whether a file lies in the folder of another table.
    pub(super) fn is_anothers(&self, file: &str) -> bool {
        let Ok(file) = Location::parse(file) else {
            return true;
        };
        let path = file.canonical();
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        ends.into_iter()
            .any(|end| self.others.contains(&path[..end]))
    }

    /// The folders of other tables.
    pub(super) fn others(&self) -> Vec<String> {
        self.others.iter().cloned().collect()
    }
}

/// The folders that the table has metadata files in, and those that it would write some into.
fn metadata_folders(table: &Table, folders: &TableFolders) -> HashSet<String> {
    let log = table.metadata().metadata_log().iter();
    let files = log.filter_map(|entry| Location::parse(entry.metadata_file.as_str()).ok());
    files
        .chain([table.metadata_location().clone()])
        .filter_map(|file| file.parent())
        .chain([folders.metadata.clone(), folders.location.join("metadata")])
        .map(|folder| folder.canonical())
        .collect()
}

/// What the names of files have in common that runs wrote which have not ended: the ids of their writers, and of
/// the snapshots that they are to commit.
async fn unfinished_runs(storage: &Storage, journals: &Location) -> Result<Vec<String>> {
    let mut parts = Vec::new();
    for folder in folders_in(storage, journals).await? {
        let migration = document(storage, &folder.join("migration.json")).await?;
        let state = migration.as_ref().and_then(|it| it["state"].as_str());
        // A journal without its description is of nothing that began.
        if migration.is_none() || state.is_some_and(|state| ENDED.contains(&state)) {
            continue;
        }
        let (_, files) = storage.list_folder(&folder).await?;
        for file in files {
            if !file.location.file_name().starts_with("batch-") {
                continue;
            }
            let Some(batch) = document(storage, &file.location).await? else {
                continue;
            };
            parts.extend(batch["writer"].as_str().map(str::to_owned));
            parts.extend(
                batch["snapshot_id"]
                    .as_i64()
                    .map(|id| format!("snap-{id}-")),
            );
        }
    }
    Ok(parts)
}

async fn folders_in(storage: &Storage, folder: &Location) -> Result<Vec<Location>> {
    match storage.list_folder(folder).await {
        Ok((folders, _)) => Ok(folders),
        Err(calve_storage::Error::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn document(storage: &Storage, location: &Location) -> Result<Option<serde_json::Value>> {
    let bytes = match storage.read(location).await {
        Ok(bytes) => bytes,
        Err(calve_storage::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let document = serde_json::from_slice(&bytes);
    document.map(Some).map_err(|source| Error::Journal {
        location: location.clone(),
        source,
    })
}

/// The other tables of a catalog as they come, each loaded anew. Those that are gone meanwhile, or have lost their
/// metadata, are left out.
pub(super) fn other_tables(
    catalog: &Arc<dyn Catalog>,
    idents: Vec<TableIdent>,
    concurrency: usize,
) -> BoxStream<'static, Result<Table>> {
    let catalog = Arc::clone(catalog);
    stream::iter(idents)
        .map(move |ident| {
            let catalog = Arc::clone(&catalog);
            async move { (catalog.load_table(&ident).await, ident) }
        })
        .buffer_unordered(concurrency)
        .filter_map(|(loaded, ident)| async move {
            use calve_catalog::Error as E;
            match loaded {
                Ok(table) => Some(Ok(table)),
                Err(
                    E::TableNotFound { .. }
                    | E::NotIceberg { .. }
                    | E::Storage(calve_storage::Error::NotFound { .. }),
                ) => None,
                Err(source) => Some(Err(other_table(ident, source.into()))),
            }
        })
        .boxed()
}

/// Names another table in the error of reading it.
pub(super) fn other_table(table: TableIdent, source: Error) -> Error {
    Error::OtherTable {
        table,
        source: Box::new(source),
    }
}

/// The folders of a table that lie below another one, but are not all of it. Those within its own folder where that
/// is not below are not told: another table may share it.
pub(super) fn folders_below(root: &Location, metadata: &TableMetadata) -> Result<Vec<Location>> {
    let TableFolders {
        location,
        data,
        metadata,
    } = table_folders(metadata)?;
    let below = |folder: &Location| root.contains(folder) && root.canonical() != folder.canonical();
    if below(&location) {
        return Ok(vec![location]);
    }
    let folders = [data, metadata].into_iter();
    let folders = folders.filter(|folder| below(folder) && !location.contains(folder));
    Ok(folders.collect())
}

/// The Hive-style tables beside the Iceberg ones that have to do with a folder: their folders below it. One whose
/// folder is all of it, or more, is an error unless told otherwise.
pub(super) async fn hive_folders_below(
    catalog: &Arc<dyn Catalog>,
    table: &TableIdent,
    root: &Location,
    is_forced: bool,
) -> Result<Vec<Location>> {
    let mut below = Vec::new();
    let Some(metastore) = catalog.metastore() else {
        return Ok(below);
    };
    for namespace in catalog.list_namespaces().await? {
        let mut entries = metastore.entries(&namespace);
        while let Some(entry) = entries.try_next().await? {
            let kind = entry.parameters.get(TABLE_TYPE);
            let is_iceberg = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("iceberg"));
            let Some(folder) = entry.location.filter(|_| !is_iceberg) else {
                continue;
            };
            if folder.contains(root) {
                if !is_forced {
                    return Err(Error::SharedFolder {
                        table: table.clone(),
                        other: entry.ident,
                        folder,
                    });
                }
            } else if root.contains(&folder) {
                below.push(folder);
            }
        }
    }
    Ok(below)
}
