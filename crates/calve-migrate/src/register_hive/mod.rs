//! Entering files that lie there into Glue, as a Hive-style table with its partitions.
//!
//! What is entered is what a crawler enters: columns, classes, `classification`, and a partition for each
//! folder. An entry that is there keeps everything else: comments, owner, other parameters. It is never
//! replaced where it is another kind of table. Entering the same again changes nothing.

mod entry;

use std::collections::HashMap;
use std::future::IntoFuture;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use calve_base::{NoProgress, Progress, Properties, Stage, TableIdent};
use calve_catalog::{Catalog, EntryRecord, Metastore, PartitionRecord};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{Error, Result};

pub use entry::{Column, EntryChange, HiveEntry, HiveFormat, PartitionFolder, ROW_TAG};

/// How many partitions are entered by one request: Glue's limit.
const PARTITIONS_AT_ONCE: usize = 100;

/// What entering a table did, or would do.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the entry is new.
    pub creates_table: bool,
    /// In what the entry changes; empty where it is new.
    pub changes: Vec<EntryChange>,
    /// The columns of the files.
    pub columns: Vec<Column>,
    /// The columns whose values are in the names of folders.
    pub partition_keys: Vec<Column>,
    /// Partitions that are new.
    pub partitions_added: u64,
    /// Partitions that were there and are different now.
    pub partitions_updated: u64,
    /// Partitions that stay as they are.
    pub partitions_unchanged: u64,
}

/// Enters a Hive-style table.
#[must_use = "nothing is entered until awaited"]
pub struct RegisterHive {
    run: Run,
    partitions: BoxStream<'static, Result<PartitionFolder>>,
}

/// All but the partitions.
struct Run {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    entry: HiveEntry,
    updates: bool,
    progress: Arc<dyn Progress>,
}

impl std::fmt::Debug for RegisterHive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisterHive")
            .field("table", &self.run.table)
            .field("entry", &self.run.entry)
            .finish_non_exhaustive()
    }
}

impl RegisterHive {
    /// Starts with the default options: an entry that is there does not change, but for its partitions.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent, entry: HiveEntry) -> Self {
        Self {
            run: Run {
                catalog,
                table,
                entry,
                updates: false,
                progress: Arc::new(NoProgress),
            },
            partitions: stream::empty().boxed(),
        }
    }

    /// Sets the partitions. Each must come once.
    pub fn with_partitions(
        mut self,
        partitions: BoxStream<'static, Result<PartitionFolder>>,
    ) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets whether an entry that is there, and says something else, is brought up to date; else it is an
    /// error.
    pub fn with_updates(mut self, updates: bool) -> Self {
        self.run.updates = updates;
        self
    }

    /// Sets who hears how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.run.progress = progress;
        self
    }

    /// What entering the table would do.
    ///
    /// # Errors
    /// As when it is done.
    pub async fn plan(self) -> Result<Report> {
        self.run.run(self.partitions, false).await
    }
}

impl Run {
    async fn run(
        &self,
        partitions: BoxStream<'static, Result<PartitionFolder>>,
        writes: bool,
    ) -> Result<Report> {
        let metastore = self.catalog.metastore().ok_or_else(|| Error::NoMetastore {
            catalog: self.catalog.name().to_owned(),
            table: self.table.clone(),
        })?;
        let existing = match metastore.load_entry(&self.table).await {
            Ok(entry) => Some(entry),
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. },
            ) => None,
            Err(error) => return Err(error.into()),
        };
        let mut report = self.report(existing.as_ref())?;
        let record = self.entry.record(&self.table, existing.as_ref())?;
        if writes {
            self.write_entry(metastore, existing.as_ref(), &record)
                .await?;
        }
        if !self.entry.partition_keys.is_empty() {
            let known = match existing {
                Some(_) => self.known(metastore).await?,
                None => HashMap::new(),
            };
            let partitions = partitions.map_ok(|folder| self.entry.partition(&folder));
            let folders = Folders {
                known: &known,
                writes,
            };
            folders
                .put(self, metastore, partitions, &mut report)
                .await?;
        }
        Ok(report)
    }

    /// What is known before a partition is looked at.
    fn report(&self, existing: Option<&EntryRecord>) -> Result<Report> {
        let record = self.entry.record(&self.table, existing)?;
        let changes = existing.map_or_else(Vec::new, |existing| {
            entry::changes(&existing.table_input, &record.table_input)
        });
        if !changes.is_empty() && !self.updates {
            return Err(Error::EntryWouldChange {
                table: self.table.clone(),
                changes,
            });
        }
        Ok(Report {
            creates_table: existing.is_none(),
            changes,
            columns: HiveEntry::report_columns(&self.entry.columns),
            partition_keys: HiveEntry::report_columns(&self.entry.partition_keys),
            ..Report::default()
        })
    }

    async fn write_entry(
        &self,
        metastore: &dyn Metastore,
        existing: Option<&EntryRecord>,
        record: &EntryRecord,
    ) -> Result<()> {
        let Some(existing) = existing else {
            let namespace = self.table.namespace();
            if !self
                .catalog
                .list_namespaces()
                .await?
                .iter()
                .any(|it| it == namespace)
            {
                let created = self
                    .catalog
                    .create_namespace(namespace, &Properties::new())
                    .await;
                match created {
                    Ok(()) | Err(calve_catalog::Error::NamespaceExists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(metastore.create_entry(&self.table, record).await?);
        };
        if existing.table_input == record.table_input {
            return Ok(());
        }
        let version = existing.version_id.as_deref();
        Ok(metastore
            .restore_entry(&self.table, version, record)
            .await?)
    }

    /// The partitions that are there: for each a number that tells whether it changes.
    async fn known(&self, metastore: &dyn Metastore) -> Result<HashMap<Vec<String>, u64>> {
        let mut known = HashMap::new();
        let mut records = metastore.partition_records(&self.table);
        while let Some(record) = records.try_next().await? {
            let hash = hash(&record);
            known.insert(record.values, hash);
        }
        Ok(known)
    }
}

/// How partitions are entered.
struct Folders<'a> {
    /// Those that are there.
    known: &'a HashMap<Vec<String>, u64>,
    writes: bool,
}

impl Folders<'_> {
    async fn put(
        &self,
        run: &Run,
        metastore: &dyn Metastore,
        partitions: impl Stream<Item = Result<PartitionRecord>> + Send,
        report: &mut Report,
    ) -> Result<()> {
        let stage = Stage::start(run.progress.as_ref(), "partitions entered", None);
        let mut partitions = std::pin::pin!(partitions);
        let mut waiting = Vec::with_capacity(PARTITIONS_AT_ONCE);
        while let Some(record) = partitions.try_next().await? {
            stage.advance(1);
            match self.known.get(&record.values) {
                Some(before) if *before == hash(&record) => {
                    report.partitions_unchanged += 1;
                    continue;
                }
                Some(_) => report.partitions_updated += 1,
                None => report.partitions_added += 1,
            }
            if !self.writes {
                continue;
            }
            waiting.push(record);
            if waiting.len() == PARTITIONS_AT_ONCE {
                metastore.put_partitions(&run.table, &waiting).await?;
                waiting.clear();
            }
        }
        if !waiting.is_empty() {
            metastore.put_partitions(&run.table, &waiting).await?;
        }
        Ok(())
    }
}

fn hash(record: &PartitionRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    entry::fingerprint(record).hash(&mut hasher);
    hasher.finish()
}

impl IntoFuture for RegisterHive {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run.run(self.partitions, true).await })
    }
}
