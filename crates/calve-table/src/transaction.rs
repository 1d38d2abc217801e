//! One commit: changes of metadata and at most one snapshot, tried until nobody comes in between.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Instant;

use calve_base::{Clock, SystemClock, TableIdent};
use calve_catalog::{Catalog, Table};
use futures::future::BoxFuture;
use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, ManifestFile, Schema, Snapshot, SnapshotRef, TableMetadata,
    TableMetadataBuildResult, TableMetadataBuilder,
};
use uuid::Uuid;

use crate::file_set::{DEFAULT_MANIFEST_CONCURRENCY, FileSet};
use crate::manifest::{ListHeader, encode_list};
use crate::manifests::load_manifests;
use crate::properties::{RetryPolicy, metadata_folder};
use crate::references::check_references;
use crate::roller::delete_all;
use crate::snapshot::{Attempt, Produced, SnapshotProducer, new_snapshot_id};
use crate::summary::{Change, summarize};
use crate::{NewTable, Result};

/// What a commit did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The table as it is now.
    pub table: Table,
    /// The snapshot that was added, if any.
    pub snapshot_id: Option<i64>,
    /// How many attempts it took: more than one where others committed at the same time.
    pub attempts: u32,
}

/// A change of metadata, made again on each base that is tried.
pub type MetadataChange =
    Arc<dyn Fn(&TableMetadata, TableMetadataBuilder) -> Result<TableMetadataBuilder> + Send + Sync>;

/// Looks at a table that somebody else changed (second) since it was first read (first), and says
/// whether the change that is being committed still makes sense.
pub type Revalidation = Arc<dyn Fn(Table, Table) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Commits changes to a table, or creates it, all in one step that others see whole or not at all.
///
/// When another writer commits first, the table is read again, checked again, and the changes are
/// made to its new state; files that were written stay written. The table's `commit.retry.*`
/// properties say how often. When the commit fails for certain, what was written for it is deleted.
#[must_use = "a transaction does nothing until awaited"]
pub struct Transaction {
    catalog: Arc<dyn Catalog>,
    ident: TableIdent,
    base: Base,
    changes: Vec<MetadataChange>,
    producer: Option<Box<dyn SnapshotProducer>>,
    branch: String,
    summary: BTreeMap<String, String>,
    new_files: Option<Arc<FileSet>>,
    revalidation: Option<Revalidation>,
    clock: Arc<dyn Clock>,
}

/// What a commit starts from.
enum Base {
    New(Box<NewTable>),
    Table(Table),
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("ident", &self.ident)
            .field("producer", &self.producer)
            .field("branch", &self.branch)
            .finish_non_exhaustive()
    }
}

impl Transaction {
    /// Starts a change of a table.
    pub fn new(catalog: Arc<dyn Catalog>, table: Table) -> Self {
        let ident = table.ident().clone();
        Self::with_base(catalog, ident, Base::Table(table))
    }

    /// Starts the creation of a table.
    pub fn create(catalog: Arc<dyn Catalog>, ident: TableIdent, table: NewTable) -> Self {
        Self::with_base(catalog, ident, Base::New(Box::new(table)))
    }

    fn with_base(catalog: Arc<dyn Catalog>, ident: TableIdent, base: Base) -> Self {
        Self {
            catalog,
            ident,
            base,
            changes: Vec::new(),
            producer: None,
            branch: MAIN_BRANCH.to_owned(),
            summary: BTreeMap::new(),
            new_files: None,
            revalidation: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds a snapshot.
    pub fn with_snapshot(mut self, producer: impl SnapshotProducer + 'static) -> Self {
        self.producer = Some(Box::new(producer));
        self
    }

    /// Puts the snapshot on a branch other than `main`.
    pub fn with_branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = branch.into();
        self
    }

    /// Puts an entry of the caller's into the snapshot's summary (`engine-name`).
    pub fn with_summary(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.summary.insert(name.into(), value.into());
        self
    }

    /// Sets table properties.
    pub fn with_properties(self, properties: HashMap<String, String>) -> Self {
        self.with_metadata_change(Arc::new(move |_, builder| {
            Ok(builder.set_properties(properties.clone())?)
        }))
    }

    /// Makes a schema the current one, unless it is already. Its field ids stay.
    pub fn with_schema(self, schema: Schema) -> Self {
        self.with_metadata_change(Arc::new(move |base, builder| {
            if base.current_schema().as_struct() == schema.as_struct() {
                return Ok(builder);
            }
            Ok(builder.add_current_schema(schema.clone())?)
        }))
    }

    /// Makes a change that depends on the table as it is: a merged name mapping, for one.
    pub fn with_metadata_change(mut self, change: MetadataChange) -> Self {
        self.changes.push(change);
        self
    }

    /// Refuses the commit when others have added one of these files meanwhile.
    pub fn with_new_files(mut self, files: Arc<FileSet>) -> Self {
        self.new_files = Some(files);
        self
    }

    /// Checks the caller's own conditions again whenever others have changed the table.
    pub fn with_revalidation(mut self, revalidation: Revalidation) -> Self {
        self.revalidation = Some(revalidation);
        self
    }

    /// Replaces the machine's clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl IntoFuture for Transaction {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Run::new(self).run())
    }
}

/// A transaction under way.
struct Run {
    transaction: Transaction,
    commit_uuid: Uuid,
    snapshot_id: Option<i64>,
    /// The manifest lists written so far, one an attempt.
    lists: Vec<String>,
}

/// What one attempt made.
struct Prepared {
    build: TableMetadataBuildResult,
    base: Option<Table>,
}

/// How an attempt ended that did not succeed.
enum Failure {
    /// Another writer was first.
    Conflict(crate::Error),
    /// The commit did not take place.
    Certain(crate::Error),
    /// Nobody knows.
    Unknown(crate::Error),
}

impl Run {
    fn new(transaction: Transaction) -> Self {
        let producer = transaction.producer.as_deref();
        Self {
            snapshot_id: producer
                .map(|producer| producer.snapshot_id().unwrap_or_else(new_snapshot_id)),
            transaction,
            commit_uuid: Uuid::new_v4(),
            lists: Vec::new(),
        }
    }

    async fn run(mut self) -> Result<Report> {
        let outcome = self.retry().await;
        let storage = self.transaction.catalog.storage().clone();
        match outcome {
            Ok(report) => {
                self.delete_unused(&report).await;
                Ok(report)
            }
            Err(Failure::Unknown(error)) => Err(error),
            Err(Failure::Conflict(error) | Failure::Certain(error)) => {
                let producer = self.transaction.producer.as_deref();
                let written = producer.map(SnapshotProducer::written_files);
                let written = written.unwrap_or_default();
                let paths = written.iter().chain(&self.lists).map(String::as_str);
                delete_all(&storage, paths).await;
                Err(error)
            }
        }
    }

    /// Tries until the commit succeeds, fails for certain, or has been tried often enough.
    async fn retry(&mut self) -> Result<Report, Failure> {
        let started = Instant::now();
        let mut policy = None;
        for number in 0_u32.. {
            let failure = match self.attempt(number).await {
                Ok(report) => return Ok(report),
                Err(Failure::Unknown(error)) => return self.settle(error, number).await,
                Err(failure) => failure,
            };
            let (Failure::Conflict(_), Base::Table(table)) = (&failure, &self.transaction.base)
            else {
                return Err(failure);
            };
            let policy: RetryPolicy = *policy.get_or_insert(RetryPolicy::of(table.metadata()));
            let is_last = number >= policy.retries || started.elapsed() >= policy.total_timeout;
            if !is_last {
                tokio::time::sleep(policy.wait(number, rand::random())).await;
            }
            // Nothing is deleted before the table is seen without the snapshot.
            let loaded = self.transaction.catalog.load_table(&self.transaction.ident);
            let now = loaded
                .await
                .map_err(|error| Failure::Unknown(self.outcome_unknown(error)))?;
            if self.has_landed(&now) {
                return Ok(self.report(now, number));
            }
            if is_last {
                return Err(failure);
            }
            self.rebase(now).await.map_err(Failure::Certain)?;
        }
        unreachable!("the loop ends after `u32::MAX` retries at the latest")
    }

    /// Looks whether a commit took place that the catalog knows nothing of. A table without the snapshot
    /// settles nothing: what is still under way may land yet.
    async fn settle(&self, error: crate::Error, number: u32) -> Result<Report, Failure> {
        let loaded = self.transaction.catalog.load_table(&self.transaction.ident);
        match loaded.await {
            Ok(now) if self.has_landed(&now) => Ok(self.report(now, number)),
            _ => Err(Failure::Unknown(error)),
        }
    }

    fn outcome_unknown(&self, source: calve_catalog::Error) -> crate::Error {
        crate::Error::OutcomeUnknown {
            ident: self.transaction.ident.clone(),
            source: Box::new(source),
        }
    }

    fn has_landed(&self, now: &Table) -> bool {
        self.snapshot_id
            .is_some_and(|id| now.metadata().snapshot_by_id(id).is_some())
    }

    fn report(&self, table: Table, number: u32) -> Report {
        Report {
            table,
            snapshot_id: self.snapshot_id,
            attempts: number + 1,
        }
    }

    async fn attempt(&mut self, number: u32) -> Result<Report, Failure> {
        let Prepared { build, base } = self.prepare(number).await.map_err(Failure::Certain)?;
        if let Some(table) = &base
            && build.changes.is_empty()
        {
            // Everything is as it should be already.
            return Ok(self.report(table.clone(), number));
        }
        if let Some(table) = &base {
            check_references(table).await.map_err(Failure::Certain)?;
        }
        let transaction = &self.transaction;
        let committed = transaction
            .catalog
            .commit(&transaction.ident, base.as_ref(), build)
            .await;
        match committed {
            Ok(table) => Ok(self.report(table, number)),
            Err(error @ calve_catalog::Error::CommitConflict { .. }) => {
                Err(Failure::Conflict(error.into()))
            }
            Err(error @ calve_catalog::Error::CommitStateUnknown { .. }) => {
                Err(Failure::Unknown(error.into()))
            }
            Err(error) => Err(Failure::Certain(error.into())),
        }
    }

    /// Goes on from the table that another writer changed, if the commit still makes sense there.
    async fn rebase(&mut self, now: Table) -> Result<()> {
        let transaction = &mut self.transaction;
        let Base::Table(before) = &transaction.base else {
            return Ok(());
        };
        if let Some(files) = &transaction.new_files {
            let added = manifests_since(before, &now, &transaction.branch).await?;
            files
                .collisions(now.storage(), added, DEFAULT_MANIFEST_CONCURRENCY)
                .await?
                .into_result(&transaction.ident)?;
        }
        if let Some(revalidate) = &transaction.revalidation {
            revalidate(before.clone(), now.clone()).await?;
        }
        transaction.base = Base::Table(now);
        Ok(())
    }

    /// Makes the changes to the base as it is now, and writes the manifest list.
    async fn prepare(&mut self, number: u32) -> Result<Prepared> {
        let (base, metadata) = match &self.transaction.base {
            Base::New(table) => (None, table.as_ref().clone().into_metadata()?),
            Base::Table(table) => (Some(table.clone()), table.metadata().clone()),
        };
        let file = base
            .as_ref()
            .map(|table| table.metadata_location().to_string());
        let mut builder = metadata.clone().into_builder(file);
        for change in &self.transaction.changes {
            builder = change(&metadata, builder)?;
        }
        if let Some(snapshot_id) = self.snapshot_id {
            let changed = builder.clone().build()?.metadata;
            let now_ms = self.transaction.clock.now_ms();
            // Never before what the table has seen, however the writers' clocks differ.
            let timestamp_ms = now_ms.max(metadata.last_updated_ms());
            let snapshot = self
                .snapshot(&changed, snapshot_id, number, timestamp_ms)
                .await?;
            builder = builder.set_branch_snapshot(snapshot, &self.transaction.branch)?;
        }
        Ok(Prepared {
            build: builder.build()?,
            base,
        })
    }

    async fn snapshot(
        &mut self,
        metadata: &TableMetadata,
        snapshot_id: i64,
        number: u32,
        timestamp_ms: i64,
    ) -> Result<Snapshot> {
        let transaction = &mut self.transaction;
        let storage = transaction.catalog.storage().clone();
        let parent = metadata.snapshot_for_ref(&transaction.branch);
        let parent_manifests = match parent {
            Some(parent) => load_manifests(&storage, parent).await?,
            None => Vec::new(),
        };
        let is_v1 = metadata.format_version() == FormatVersion::V1;
        let header = ListHeader {
            version: metadata.format_version(),
            snapshot_id,
            parent_snapshot_id: parent.map(|parent| parent.snapshot_id()),
            sequence_number: if is_v1 {
                0
            } else {
                metadata.last_sequence_number() + 1
            },
            first_row_id: metadata.next_row_id(),
        };
        let attempt = Attempt {
            storage: &storage,
            metadata,
            parent,
            parent_manifests,
            snapshot_id,
            sequence_number: header.sequence_number,
            number,
        };
        let Some(producer) = &mut transaction.producer else {
            unreachable!("there is a snapshot id only where there is a producer");
        };
        let operation = producer.operation();
        let mut produced = producer.produce(attempt).await?;
        let list = format!("snap-{snapshot_id}-{number}-{}.avro", self.commit_uuid);
        let list = metadata_folder(metadata)?.join(&list);
        let sync = self
            .commit_uuid
            .as_u128()
            .wrapping_sub(u128::from(number) + 1);
        let (bytes, rows) = encode_list(header, &mut produced.manifests, sync.to_be_bytes())?;
        self.lists.push(list.as_str().to_owned());
        storage.write(&list, bytes).await?;
        let summary = summarize(
            operation,
            &self.transaction.summary,
            produced.change(),
            parent.map(AsRef::as_ref),
            &produced.manifests,
            snapshot_id,
        );
        let parts = Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(header.parent_snapshot_id)
            .with_sequence_number(header.sequence_number)
            .with_timestamp_ms(timestamp_ms)
            .with_manifest_list(list.as_str())
            .with_summary(summary)
            .with_schema_id(metadata.current_schema_id());
        Ok(if header.version >= FormatVersion::V3 {
            parts.with_row_range(header.first_row_id, rows).build()
        } else {
            parts.build()
        })
    }

    /// Deletes what earlier attempts wrote and the committed snapshot does not use.
    async fn delete_unused(&self, report: &Report) {
        let metadata = report.table.metadata();
        let snapshot = self.snapshot_id.and_then(|id| metadata.snapshot_by_id(id));
        let (Some(snapshot), Some(producer)) = (snapshot, &self.transaction.producer) else {
            return;
        };
        let storage = self.transaction.catalog.storage();
        let lists = self.lists.iter();
        let lists = lists.filter(|list| *list != snapshot.manifest_list());
        let mut unused: Vec<String> = lists.cloned().collect();
        let written = producer.written_files();
        if report.attempts > 1 && !written.is_empty() {
            match load_manifests(storage, snapshot).await {
                Ok(used) => unused.extend(
                    written
                        .into_iter()
                        .filter(|path| used.iter().all(|manifest| manifest.manifest_path != *path)),
                ),
                Err(error) => tracing::warn!(%error, "unused manifests are left where they are"),
            }
        }
        delete_all(storage, unused.iter().map(String::as_str)).await;
    }
}

impl Produced {
    fn change(&self) -> Change {
        Change {
            added: self.added,
            removed: self.removed,
            changed_partitions: self.changed_partitions,
            replaced_manifests: self.replaced_manifests,
            processed_entries: self.processed_entries,
        }
    }
}

/// The manifests of the branch's head that were not there before.
async fn manifests_since(before: &Table, now: &Table, branch: &str) -> Result<Vec<ManifestFile>> {
    let head = |table: &Table| table.metadata().snapshot_for_ref(branch).cloned();
    let (old, new): (Option<SnapshotRef>, Option<SnapshotRef>) = (head(before), head(now));
    let Some(new) = new else {
        return Ok(Vec::new());
    };
    let mut manifests = load_manifests(now.storage(), &new).await?;
    if let Some(old) = old {
        let known = load_manifests(before.storage(), &old).await?.into_iter();
        let known: HashSet<String> = known.map(|manifest| manifest.manifest_path).collect();
        manifests.retain(|manifest| !known.contains(&manifest.manifest_path));
    }
    Ok(manifests)
}
