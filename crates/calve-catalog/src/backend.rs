//! The one commit path, over whatever keeps the pointers.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use calve_base::{Failure, Location, Properties, TableIdent};
use calve_storage::Storage;
use futures::{StreamExt, stream};
use iceberg::spec::{MetadataLog, TableMetadata, TableMetadataBuildResult};
use rand::Rng;

use crate::error::Cause;
use crate::{Catalog, EntryRecord, Error, Metastore, Result, Table, metadata_file};

const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";
const SETTLE_RETRIES: &str = "commit.status-check.num-retries";
const SETTLE_MIN_WAIT: &str = "commit.status-check.min-wait-ms";
const SETTLE_MAX_WAIT: &str = "commit.status-check.max-wait-ms";
const DELETE_CONCURRENCY: usize = 8;
const LIST_CONCURRENCY: usize = 8;

/// What keeps the pointers: one row, item or Glue entry per table.
#[async_trait]
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Refuses names that it cannot hold.
    fn check_name(&self, _ident: &TableIdent) -> Result<()> {
        Ok(())
    }

    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>>;

    async fn namespace_exists(&self, namespace: &[String]) -> Result<bool>;

    /// The namespace's own `location`, where it has one.
    async fn namespace_location(&self, namespace: &[String]) -> Result<Option<String>>;

    /// The folder of a new table below the warehouse.
    fn folder(&self, ident: &TableIdent) -> String {
        format!("{}/{}", ident.namespace().join("/"), ident.name())
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()>;

    async fn list_tables(&self, namespace: &[String]) -> Result<Vec<TableIdent>>;

    /// Where the pointer stands, as text.
    async fn find(&self, ident: &TableIdent) -> Result<String>;

    /// Enters a new table.
    async fn insert(&self, ident: &TableIdent, entry: Entry<'_>) -> Result<(), MoveError>;

    /// Moves a pointer that stands at `base`.
    async fn swap(
        &self,
        ident: &TableIdent,
        base: &Location,
        entry: Entry<'_>,
    ) -> Result<(), MoveError>;

    /// Puts a pointer in the place of an entry of any kind that is still as `base` says.
    async fn replace(
        &self,
        _ident: &TableIdent,
        _base: &EntryRecord,
        _entry: Entry<'_>,
    ) -> Result<(), MoveError> {
        Err(MoveError::Refused(Error::NoMetastore))
    }

    /// Gives `old`'s entry the name `backup` and `new`'s entry the name of `old`, both or none, if both still
    /// stand where they are said to.
    async fn exchange(
        &self,
        _old: (&TableIdent, &Location),
        _new: (&TableIdent, &Location),
        _backup: &TableIdent,
    ) -> Result<()> {
        Err(Error::NoExchange)
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()>;

    fn metastore(&self) -> Option<&dyn Metastore> {
        None
    }
}

/// What stands under a name before a pointer is moved there.
#[derive(Debug, Clone, Copy)]
enum Base<'a> {
    Nothing,
    Table(&'a Table),
    Entry(&'a EntryRecord),
}

impl<'a> Base<'a> {
    fn table(self) -> Option<&'a Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::Nothing | Self::Entry(_) => None,
        }
    }
}

/// What a pointer is to point to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) location: &'a Location,
    pub(crate) metadata: &'a TableMetadata,
}

/// Why a pointer did not move, as far as is known.
#[derive(Debug)]
pub(crate) enum MoveError {
    /// It did not move, for sure.
    Refused(Error),
    /// It may have moved, or may still do so.
    Unclear(Cause),
}

/// Where a pointer stands after an unclear answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// The commit took place.
    Ours,
    /// It did not, and cannot any more: the pointer went elsewhere.
    Theirs,
    /// Nothing moved yet, or nothing can be read.
    Open,
}

/// A catalog over a backend.
pub(crate) struct BackendCatalog<B> {
    pub(crate) name: String,
    pub(crate) storage: Storage,
    pub(crate) warehouse: Option<Location>,
    pub(crate) backend: B,
}

impl<B: Backend> fmt::Debug for BackendCatalog<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The storage's properties hold credentials.
        f.debug_struct("Catalog")
            .field("name", &self.name)
            .field("warehouse", &self.warehouse)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<B: Backend> Catalog for BackendCatalog<B> {
    fn name(&self) -> &str {
        &self.name
    }

    fn storage(&self) -> &Storage {
        &self.storage
    }

    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        let mut namespaces = self.backend.list_namespaces().await?;
        namespaces.sort();
        namespaces.dedup();
        Ok(namespaces)
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()> {
        self.backend.create_namespace(namespace, properties).await
    }

    async fn list_tables(&self, namespace: Option<&[String]>) -> Result<Vec<TableIdent>> {
        let mut tables = Vec::new();
        if let Some(namespace) = namespace {
            tables = self.backend.list_tables(namespace).await?;
            if tables.is_empty() && !self.backend.namespace_exists(namespace).await? {
                return Err(Error::NamespaceNotFound {
                    catalog: self.name.clone(),
                    namespace: namespace.join("."),
                });
            }
        } else {
            let namespaces = self.list_namespaces().await?;
            let mut lists = stream::iter(namespaces)
                .map(|namespace| async move { self.backend.list_tables(&namespace).await })
                .buffer_unordered(LIST_CONCURRENCY);
            while let Some(list) = lists.next().await {
                tables.extend(list?);
            }
        }
        tables.sort();
        tables.dedup();
        Ok(tables)
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        self.backend.check_name(ident)?;
        let text = self.backend.find(ident).await?;
        let location = Location::parse(text).map_err(|source| Error::Location {
            ident: ident.clone(),
            source,
        })?;
        let metadata = metadata_file::read(&self.storage, &location).await?;
        Ok(self.table(ident, metadata, location))
    }

    async fn default_location(&self, ident: &TableIdent) -> Result<Location> {
        self.backend.check_name(ident)?;
        if let Some(text) = self.backend.namespace_location(ident.namespace()).await? {
            let folder =
                Location::parse(text.trim_end_matches('/')).map_err(|source| Error::Location {
                    ident: ident.clone(),
                    source,
                })?;
            return Ok(folder.join(ident.name()));
        }
        let Some(warehouse) = &self.warehouse else {
            return Err(Error::Property {
                catalog: self.name.clone(),
                property: "warehouse".to_owned(),
                problem: format!(
                    "missing: it says where the new table {ident} goes, as its namespace has no \
                     location"
                ),
            });
        };
        Ok(warehouse.join(&self.backend.folder(ident)))
    }

    async fn commit(
        &self,
        ident: &TableIdent,
        base: Option<&Table>,
        build: TableMetadataBuildResult,
    ) -> Result<Table> {
        if base.is_none() {
            self.prepare_new(ident).await?;
        }
        let previous = base.map(Table::metadata_location);
        let location =
            metadata_file::write(&self.storage, ident, previous, &build.metadata).await?;
        let entry = Entry {
            location: &location,
            metadata: &build.metadata,
        };
        let base = base.map_or(Base::Nothing, Base::Table);
        match Box::pin(self.move_pointer(ident, base, entry)).await {
            Ok(()) => {
                self.delete_expired(&build.metadata, &build.expired_metadata_logs)
                    .await;
                Ok(self.table(ident, build.metadata, location))
            }
            Err(error @ Error::CommitStateUnknown { .. }) => Err(error),
            Err(error) => {
                self.delete_quietly(&location).await;
                Err(error)
            }
        }
    }

    async fn register_table(&self, ident: &TableIdent, location: &Location) -> Result<Table> {
        let metadata = metadata_file::read(&self.storage, location).await?;
        self.prepare_new(ident).await?;
        let entry = Entry {
            location,
            metadata: &metadata,
        };
        Box::pin(self.move_pointer(ident, Base::Nothing, entry)).await?;
        Ok(self.table(ident, metadata, location.clone()))
    }

    async fn replace_entry(
        &self,
        ident: &TableIdent,
        base: &EntryRecord,
        location: &Location,
    ) -> Result<Table> {
        self.backend.check_name(ident)?;
        let metadata = metadata_file::read(&self.storage, location).await?;
        let entry = Entry {
            location,
            metadata: &metadata,
        };
        Box::pin(self.move_pointer(ident, Base::Entry(base), entry)).await?;
        Ok(self.table(ident, metadata, location.clone()))
    }

    async fn exchange_tables(&self, old: &Table, new: &Table, backup: &TableIdent) -> Result<()> {
        self.backend.check_name(backup)?;
        let old = (old.ident(), old.metadata_location());
        let new = (new.ident(), new.metadata_location());
        self.backend.exchange(old, new, backup).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.backend.check_name(ident)?;
        self.backend.remove(ident).await
    }

    fn metastore(&self) -> Option<&dyn Metastore> {
        self.backend.metastore()
    }
}

impl<B: Backend> BackendCatalog<B> {
    fn table(&self, ident: &TableIdent, metadata: TableMetadata, location: Location) -> Table {
        Table::new(ident.clone(), metadata, location, self.storage.clone())
    }

    /// Before anything is written for a new table: is the name free? Is there a namespace?
    async fn prepare_new(&self, ident: &TableIdent) -> Result<()> {
        self.backend.check_name(ident)?;
        match self.backend.find(ident).await {
            Ok(_) | Err(Error::NotIceberg { .. }) => return Err(self.exists(ident)),
            Err(Error::TableNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        if self.backend.namespace_exists(ident.namespace()).await? {
            return Ok(());
        }
        let made = self
            .backend
            .create_namespace(ident.namespace(), &Properties::new())
            .await;
        match made {
            // Somebody else made it in this moment.
            Err(Error::NamespaceExists { .. }) => Ok(()),
            made => made,
        }
    }

    fn exists(&self, ident: &TableIdent) -> Error {
        Error::TableExists {
            catalog: self.name.clone(),
            ident: ident.clone(),
        }
    }

    /// Moves the pointer. An unclear answer is settled by reading; while the pointer has not moved,
    /// by asking again: the request is conditional, so that at most one of them takes effect.
    async fn move_pointer(
        &self,
        ident: &TableIdent,
        base: Base<'_>,
        entry: Entry<'_>,
    ) -> Result<()> {
        let waits = Waits::of(entry.metadata);
        let mut unclear = None;
        for attempt in 0..=waits.retries {
            if attempt > 0 {
                tokio::time::sleep(waits.before(attempt)).await;
            }
            let answer = match base {
                Base::Table(base) => {
                    self.backend
                        .swap(ident, base.metadata_location(), entry)
                        .await
                }
                Base::Entry(base) => self.backend.replace(ident, base, entry).await,
                Base::Nothing => self.backend.insert(ident, entry).await,
            };
            let refused = match answer {
                Ok(()) => return Ok(()),
                Err(MoveError::Refused(error)) if unclear.is_none() && !error.is_retryable() => {
                    return Err(error);
                }
                Err(MoveError::Refused(error)) if unclear.is_none() => {
                    if attempt == waits.retries {
                        return Err(error);
                    }
                    continue;
                }
                Err(MoveError::Refused(error)) => Some(error),
                Err(MoveError::Unclear(source)) => {
                    tracing::warn!(%ident, error = %source, "unclear answer to a commit");
                    unclear = Some(source);
                    None
                }
            };
            match (self.settle(ident, base.table(), entry).await, refused) {
                (Settled::Ours, _) => return Ok(()),
                (Settled::Theirs, _) => {
                    return Err(match base {
                        Base::Table(_) | Base::Entry(_) => Error::CommitConflict {
                            ident: ident.clone(),
                        },
                        Base::Nothing => self.exists(ident),
                    });
                }
                (Settled::Open, Some(error)) if !error.is_retryable() => break,
                (Settled::Open, _) => {}
            }
        }
        Err(Error::CommitStateUnknown {
            ident: ident.clone(),
            metadata_location: entry.location.clone(),
            source: unclear.unwrap_or_else(|| "no answer".into()),
        })
    }

    async fn settle(&self, ident: &TableIdent, base: Option<&Table>, entry: Entry<'_>) -> Settled {
        let Ok(current) = self.backend.find(ident).await else {
            return Settled::Open;
        };
        if current == entry.location.as_str() {
            return Settled::Ours;
        }
        if base.is_some_and(|base| current == base.metadata_location().as_str()) {
            return Settled::Open;
        }
        let Ok(current) = Location::parse(current) else {
            return Settled::Open;
        };
        match metadata_file::read(&self.storage, &current).await {
            Ok(metadata) => find_in_history(&metadata, base, entry),
            Err(_) => Settled::Open,
        }
    }

    async fn delete_expired(&self, metadata: &TableMetadata, expired: &[MetadataLog]) {
        let enabled = metadata
            .properties()
            .get(DELETE_AFTER_COMMIT)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if !enabled {
            return;
        }
        stream::iter(expired)
            .for_each_concurrent(DELETE_CONCURRENCY, |entry| async {
                if let Ok(location) = Location::parse(entry.metadata_file.as_str()) {
                    self.delete_quietly(&location).await;
                }
            })
            .await;
    }

    /// Deletes a metadata file that nothing refers to. A failure leaves litter, and no harm.
    async fn delete_quietly(&self, location: &Location) {
        if let Err(error) = self.storage.delete(location).await {
            tracing::warn!(%location, %error, "could not delete an unused metadata file");
        }
    }
}

/// Whether a commit is part of a table's history, by the log of its metadata files and, where the
/// log is too short to tell, by the snapshots that the commit brought.
fn find_in_history(current: &TableMetadata, base: Option<&Table>, entry: Entry<'_>) -> Settled {
    if current.uuid() != entry.metadata.uuid() {
        return Settled::Theirs;
    }
    let log = current.metadata_log();
    let logged = |location: &Location| {
        log.iter()
            .any(|file| file.metadata_file == location.as_str())
    };
    if logged(entry.location) {
        return Settled::Ours;
    }
    let known = |id: i64| base.is_some_and(|base| base.metadata().snapshot_by_id(id).is_some());
    let mut brought = entry
        .metadata
        .snapshots()
        .filter(|snapshot| !known(snapshot.snapshot_id()))
        .peekable();
    if brought.peek().is_some()
        && brought.all(|snapshot| current.snapshot_by_id(snapshot.snapshot_id()).is_some())
    {
        return Settled::Ours;
    }
    // Another file follows the base in the log: ours was not first.
    if base.is_some_and(|base| logged(base.metadata_location())) {
        return Settled::Theirs;
    }
    Settled::Open
}

/// How often and how patiently an unclear outcome is looked into, by the table's properties.
#[derive(Debug, Clone, Copy)]
struct Waits {
    retries: u32,
    min_ms: u64,
    max_ms: u64,
}

impl Waits {
    fn of(metadata: &TableMetadata) -> Self {
        let number = |key: &str, default: u64| {
            metadata
                .properties()
                .get(key)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        Self {
            retries: u32::try_from(number(SETTLE_RETRIES, 3).min(100)).unwrap_or(100),
            min_ms: number(SETTLE_MIN_WAIT, 1_000),
            max_ms: number(SETTLE_MAX_WAIT, 60_000),
        }
    }

    /// Doubles from attempt to attempt, with jitter.
    fn before(self, attempt: u32) -> Duration {
        let doubled = self.min_ms.saturating_mul(1 << (attempt - 1).min(20));
        let wait_ms = doubled.min(self.max_ms).max(1);
        Duration::from_millis(rand::rng().random_range(wait_ms / 2..=wait_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use iceberg::spec::{
        FormatVersion, MAIN_BRANCH, Operation, PartitionSpec, Schema, Snapshot, SortOrder, Summary,
        TableMetadataBuilder,
    };

    use super::*;

    fn location(version: usize) -> Location {
        Location::parse(format!("memory:///t/metadata/{version:05}-x.metadata.json")).unwrap()
    }

    fn table(version: usize, metadata: TableMetadata) -> Table {
        let storage = Storage::new(Properties::new());
        Table::new(
            TableIdent::new("db", "t"),
            metadata,
            location(version),
            storage,
        )
    }

    fn new_table(kept_versions: &str) -> Table {
        let properties = HashMap::from([(
            "write.metadata.previous-versions-max".to_owned(),
            kept_versions.to_owned(),
        )]);
        let builder = TableMetadataBuilder::new(
            Schema::builder().build().unwrap(),
            PartitionSpec::unpartition_spec(),
            SortOrder::unsorted_order(),
            "memory:///t".to_owned(),
            FormatVersion::V2,
            properties,
        );
        table(0, builder.unwrap().build().unwrap().metadata)
    }

    /// The table after one more commit, which brings a snapshot or only a property.
    fn next(base: &Table, version: usize, with_snapshot: bool) -> Table {
        let builder = base
            .metadata()
            .clone()
            .into_builder(Some(base.metadata_location().to_string()));
        let builder = if with_snapshot {
            let sequence_number = base.metadata().next_sequence_number();
            let snapshot = Snapshot::builder()
                .with_snapshot_id(i64::try_from(version).unwrap() + 100)
                .with_parent_snapshot_id(base.metadata().current_snapshot_id())
                .with_sequence_number(sequence_number)
                .with_timestamp_ms(base.metadata().last_updated_ms() + 1)
                .with_manifest_list("memory:///t/metadata/list.avro")
                .with_schema_id(0)
                .with_summary(Summary {
                    operation: Operation::Append,
                    additional_properties: HashMap::new(),
                })
                .build();
            builder.set_branch_snapshot(snapshot, MAIN_BRANCH)
        } else {
            builder.set_properties(HashMap::from([("k".to_owned(), version.to_string())]))
        };
        table(version, builder.unwrap().build().unwrap().metadata)
    }

    /// Ours is the commit after `base`; `later` commits followed on it, or on the base without it.
    #[track_caller]
    fn check(kept: &str, with_snapshot: bool, ours_first: bool, later: usize, expected: Settled) {
        let base = new_table(kept);
        let ours = next(&base, 1, with_snapshot);
        let mut current = if ours_first {
            ours.clone()
        } else {
            base.clone()
        };
        for version in 0..later {
            current = next(&current, version + 2, false);
        }
        let entry = Entry {
            location: ours.metadata_location(),
            metadata: ours.metadata(),
        };
        let found = find_in_history(current.metadata(), Some(&base), entry);
        assert_eq!(
            found, expected,
            "{kept} {with_snapshot} {ours_first} {later}"
        );
    }

    #[test]
    fn commits_are_found_by_the_log_of_metadata_files() {
        check("100", false, true, 1, Settled::Ours);
        check("100", false, true, 5, Settled::Ours);
        check("100", false, false, 1, Settled::Theirs);
        check("100", true, false, 5, Settled::Theirs);
    }

    #[test]
    fn a_short_log_leaves_it_open_unless_the_snapshot_tells() {
        check("2", false, true, 2, Settled::Ours);
        check("1", false, true, 3, Settled::Open);
        check("1", false, false, 3, Settled::Open);
        check("1", true, true, 3, Settled::Ours);
        check("1", true, false, 3, Settled::Open);
    }

    #[test]
    fn a_replaced_table_is_not_ours() {
        let ours = new_table("100");
        let entry = Entry {
            location: ours.metadata_location(),
            metadata: ours.metadata(),
        };
        let other = new_table("100");
        assert_eq!(
            find_in_history(other.metadata(), None, entry),
            Settled::Theirs
        );
    }
}
