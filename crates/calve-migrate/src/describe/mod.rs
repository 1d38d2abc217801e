//! Describes a migration that took place: what its files were before and are now, what was checked, what it cost.
//!
//! Nothing is changed, and no data file is opened: the source is listed, and the table's manifests are read. What
//! the rows themselves say is for a proof to find, whose checks the caller may add.
//!
//! Memory grows with the number of partitions, sixteen bytes each.

mod page;

use std::collections::HashSet;
use std::future::IntoFuture;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use calve_base::{Location, Scheme, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_lake::{Lake, LakeEntry, LakeOptions, Source};
use calve_query::LakeFormat;
use calve_table::Scan;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use iceberg::spec::SnapshotRef;
use serde::Serialize;

use crate::assess::{Amount, Census, Cost, Key, Prices, SizeBucket, Sizes, cost};
use crate::journal::{Batch, BatchState, Journal, MigrationId, MigrationState, Operation};
use crate::undo::Undo;
use crate::{CtasSource, Result};

/// A migration, as it is told to people.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// The migration.
    pub migration_id: MigrationId,
    /// What it did.
    pub operation: Operation,
    /// Where the rows came from, as it was named.
    pub source: String,
    /// The table.
    pub table: TableIdent,
    /// Where the table lies.
    pub location: Location,
    /// The table's current snapshot.
    pub snapshot_id: Option<i64>,
    /// How far the migration is.
    pub state: MigrationState,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: i64,
    /// When its journal was last written, in milliseconds since the epoch.
    pub updated_ms: i64,
    /// The files before, where they can still be seen.
    pub before: Option<Files>,
    /// The files of the table now.
    pub after: Files,
    /// What was compared.
    pub checks: Vec<Checked>,
    /// What the migration cost, by the number and the size of the files; nothing for one that only changed names.
    pub cost: Option<Cost>,
    /// At which prices.
    pub prices: Prices,
    /// What else to know, one sentence each.
    pub notes: Vec<String>,
}

/// Files of one side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Files {
    /// What they are the files of.
    pub name: String,
    /// How many, and their size.
    #[serde(flatten)]
    pub amount: Amount,
    /// Number of rows, deleted ones among them, where it is known without opening the files.
    pub records: Option<u64>,
    /// Number of delete files that apply.
    pub delete_files: u64,
    /// Number of partitions that have files; 0 where there are no partition fields.
    pub partitions: u64,
    /// How large they are.
    pub sizes: Vec<SizeBucket>,
    /// What one look at all of them costs.
    pub scan: Cost,
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What was compared.
    pub what: String,
    /// In how many places.
    pub compared: u64,
    /// Whether all were equal.
    pub equal: bool,
    /// Where they were not, what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl Description {
    /// Whether no comparison found a difference.
    pub fn equal(&self) -> bool {
        self.checks.iter().all(|check| check.equal)
    }

    /// Whether the migration was told to change rows or to leave some out.
    fn changes_rows(options: &serde_json::Value) -> bool {
        let asked = &options["asked"];
        !(asked["select"].is_null() && asked["where"].is_null())
    }
}

/// Describes a migration.
#[must_use = "nothing is described until this is awaited"]
#[derive(Debug, Clone)]
pub struct DescribeMigration {
    catalog: Arc<dyn Catalog>,
    id: MigrationId,
    source: Option<CtasSource>,
    prices: Prices,
}

/// The journal of a migration, and its table.
#[derive(Debug, Clone)]
pub struct Found {
    journal: Journal,
    table: Table,
}

impl Found {
    /// Where the rows came from, as the user named it.
    pub fn source(&self) -> &str {
        &self.journal.migration().source
    }

    /// What the files of the source are, where that was told.
    pub fn format(&self) -> LakeFormat {
        let options = &self.journal.migration().options;
        let told = options.pointer("/asked/source/format");
        let told = told.and_then(serde_json::Value::as_str);
        let mut formats = LakeFormat::ALL.into_iter();
        let format = formats.find(|format| told == Some(format.as_str()));
        format.unwrap_or_default()
    }

    /// What had the table's name before, where it is kept.
    pub fn backup(&self) -> Option<TableIdent> {
        Undo::read(&self.journal).ok()?.backup
    }

    /// Whether the table should hold the very rows of its source.
    pub fn keeps_rows(&self) -> bool {
        !Description::changes_rows(&self.journal.migration().options)
    }
}

impl DescribeMigration {
    /// Describes the migration of that id.
    pub fn new(catalog: Arc<dyn Catalog>, id: MigrationId) -> Self {
        Self {
            catalog,
            id,
            source: None,
            prices: Prices::default(),
        }
    }

    /// Where the rows came from ([`Found::source`]), to be listed. A swap knows by itself.
    pub fn with_source(mut self, source: CtasSource) -> Self {
        self.source = Some(source);
        self
    }

    /// What requests cost.
    pub fn with_prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// Finds the migration.
    ///
    /// # Errors
    /// When there is no such migration, or its journal cannot be read.
    pub async fn find(&self) -> Result<Found> {
        let table = self.catalog.load_table(self.id.table()).await?;
        let location =
            Location::parse(table.metadata().location()).map_err(calve_table::Error::from)?;
        let journal = Journal::open(self.catalog.storage(), &location, &self.id).await?;
        Ok(Found { journal, table })
    }

    async fn run(&self) -> Result<Description> {
        let Found { journal, table } = self.find().await?;
        let location = journal.folder().clone();
        let migration = journal.migration();
        let mut notes = Vec::new();
        let after = self.files_of_table(&table, None).await?;
        let before = match self.before(&journal, &table).await {
            Ok(before) => before,
            Err(error) => {
                notes.push(format!("the source cannot be listed any more: {error}"));
                None
            }
        };
        if Description::changes_rows(&migration.options) {
            let asked = &migration.options["asked"];
            let parts = ["select", "where"].map(|it| asked[it].as_str().map(|text| (it, text)));
            let parts = parts.into_iter().flatten();
            notes.extend(parts.map(|(word, text)| format!("only rows as asked: {word} {text}")));
        }
        if migration.state == MigrationState::Running {
            notes.push("it is not done: run the same command again".to_owned());
        }
        let batches = journal.batches().await?;
        Ok(Description {
            migration_id: self.id.clone(),
            operation: self.id.operation(),
            source: migration.source.clone(),
            table: self.id.table().clone(),
            location: Location::parse(table.metadata().location())
                .map_err(calve_table::Error::from)?,
            snapshot_id: table.metadata().current_snapshot_id(),
            state: migration.state,
            started_ms: migration.started_ms,
            updated_ms: migration.updated_ms,
            cost: self.cost(before.as_ref().unwrap_or(&after), &table, &location),
            before,
            after,
            checks: check_batches(&batches, &table).into_iter().collect(),
            prices: self.prices,
            notes,
        })
    }

    /// The files that the table was made of.
    async fn before(&self, journal: &Journal, table: &Table) -> Result<Option<Files>> {
        match self.id.operation() {
            Operation::Swap => match Undo::read(journal)?.backup {
                Some(backup) => self.files_of_entry(backup).await.map(Some),
                None => Ok(None),
            },
            // The entry's files are the table's own, as the first snapshot has them.
            Operation::Migrate => {
                let snapshots = table.metadata().snapshots();
                let first = snapshots.min_by_key(|snapshot| snapshot.sequence_number());
                match first.cloned() {
                    Some(first) => self.files_of_table(table, Some(first)).await.map(Some),
                    None => Ok(None),
                }
            }
            _ => match self.source.clone() {
                Some(CtasSource::Lake {
                    source,
                    options,
                    format,
                }) => {
                    let mut options = *options;
                    options.format = format.of_entries();
                    self.files_of_lake(source, options).await.map(Some)
                }
                Some(CtasSource::Table { catalog, ident, .. }) => {
                    let source = catalog.load_table(&ident).await?;
                    let read = journal.migration().options["source-snapshot-id"].as_i64();
                    let read = read.and_then(|id| source.metadata().snapshot_by_id(id).cloned());
                    self.files_of_table(&source, read).await.map(Some)
                }
                None => Ok(None),
            },
        }
    }

    async fn files_of_entry(&self, ident: TableIdent) -> Result<Files> {
        match self.catalog.load_table(&ident).await {
            Ok(table) => self.files_of_table(&table, None).await,
            Err(calve_catalog::Error::NotIceberg { .. }) => {
                let metastore = Arc::clone(&self.catalog);
                let source = Source::HiveTable { metastore, ident };
                self.files_of_lake(source, LakeOptions::default()).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn files_of_lake(&self, source: Source, options: LakeOptions) -> Result<Files> {
        let name = source.to_string();
        let lake = Lake::open(self.catalog.storage(), source, options).await?;
        let mut counter = Counter::new(name, !lake.partition_keys().is_empty());
        let mut entries = lake.files();
        while let Some(entry) = entries.try_next().await? {
            if let LakeEntry::File(file) = entry {
                counter.add(file.size, 1, &file.partition);
            }
        }
        Ok(counter.finish(None, lake.root(), self.prices))
    }

    async fn files_of_table(&self, table: &Table, snapshot: Option<SnapshotRef>) -> Result<Files> {
        let metadata = table.metadata();
        let specs = metadata.partition_specs_iter();
        let is_partitioned = specs.into_iter().any(|spec| !spec.is_unpartitioned());
        let location = Location::parse(metadata.location()).map_err(calve_table::Error::from)?;
        let mut scan = Scan::new(table.clone());
        if let Some(snapshot) = snapshot {
            scan = scan.with_snapshot(snapshot);
        }
        let mut counter = Counter::new(table.ident().to_string(), is_partitioned);
        let mut records = 0;
        let mut files = scan.plan().await?;
        while let Some(scanned) = files.try_next().await? {
            let file = &scanned.file;
            let row_groups = file.split_offsets.as_ref().map_or(1, Vec::len);
            records += file.record_count;
            counter.add(
                file.size_bytes,
                row_groups,
                &(scanned.spec_id, &file.partition),
            );
            counter.deletes(
                scanned
                    .deletes
                    .iter()
                    .map(|delete| delete.file.path.as_str()),
            );
        }
        Ok(counter.finish(Some(records), &location, self.prices))
    }

    fn cost(&self, before: &Files, table: &Table, location: &Location) -> Option<Cost> {
        let is_rewritten = match self.id.operation() {
            Operation::Ctas => true,
            Operation::Migrate | Operation::Snapshot | Operation::Sync => false,
            Operation::Swap => return None,
        };
        let metadata = table.metadata();
        let keys = before.partitions > 0;
        let census = Census {
            files: before.amount.files,
            bytes: before.amount.bytes,
            row_groups: before.scan.get_requests.max(before.amount.files),
            partitions: before.partitions,
            partition_keys: keys.then(any_key).into_iter().collect(),
            target_file_bytes: calve_table::DEFAULT_TARGET_FILE_BYTES,
            columns: vec![String::new(); metadata.current_schema().as_struct().fields().len()],
            ..Census::default()
        };
        let place = cost::Place {
            is_s3: location.scheme() == Scheme::S3,
            is_glue: self.catalog.metastore().is_some(),
        };
        let ways = cost::ways(&census, place, self.prices);
        Some(if is_rewritten {
            ways.ctas
        } else {
            ways.in_place
        })
    }
}

impl IntoFuture for DescribeMigration {
    type Output = Result<Description>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Box::pin(self.run()).await })
    }
}

/// Stands for the keys of a source, whose number is not asked for.
fn any_key() -> Key {
    Key {
        name: String::new(),
        key_type: String::new(),
    }
}

/// Compares what each batch read with what its snapshot says that it added. Snapshots that are expired tell nothing.
fn check_batches(batches: &[Batch], table: &Table) -> Option<Checked> {
    let mut check = Checked {
        what: "rows of each batch, as read and as committed".to_owned(),
        compared: 0,
        equal: true,
        found: None,
    };
    for batch in batches {
        if batch.state != BatchState::Committed {
            continue;
        }
        let snapshot = table.metadata().snapshot_by_id(batch.snapshot_id);
        let Some(snapshot) = snapshot else { continue };
        let summary = &snapshot.summary().additional_properties;
        let added: Option<u64> = summary
            .get("added-records")
            .map_or(Some(0), |text| text.parse().ok());
        check.compared += 1;
        if added != Some(batch.rows) {
            check.equal = false;
            check.found.get_or_insert_with(|| {
                format!(
                    "batch {} ({}): {} rows were read, and {} committed",
                    batch.number,
                    batch.identity,
                    batch.rows,
                    added.map_or("an unknown number".to_owned(), |added| added.to_string())
                )
            });
        }
    }
    (check.compared > 0).then_some(check)
}

/// Counts the files of one side.
struct Counter {
    name: String,
    is_partitioned: bool,
    amount: Amount,
    row_groups: u64,
    sizes: Sizes,
    /// Hashes of partitions and of the paths of delete files.
    hasher: RandomState,
    partitions: HashSet<u64>,
    deletes: HashSet<u64>,
}

impl Counter {
    fn new(name: String, is_partitioned: bool) -> Self {
        Self {
            name,
            is_partitioned,
            amount: Amount::default(),
            row_groups: 0,
            sizes: Sizes::default(),
            hasher: RandomState::new(),
            partitions: HashSet::new(),
            deletes: HashSet::new(),
        }
    }

    fn add(&mut self, bytes: u64, row_groups: usize, partition: &impl std::hash::Hash) {
        self.amount.add(bytes);
        self.sizes.add(bytes);
        self.row_groups += row_groups as u64;
        if self.is_partitioned {
            self.partitions.insert(self.hasher.hash_one(partition));
        }
    }

    fn deletes<'a>(&mut self, paths: impl Iterator<Item = &'a str>) {
        let hasher = &self.hasher;
        self.deletes.extend(paths.map(|path| hasher.hash_one(path)));
    }

    fn finish(self, records: Option<u64>, location: &Location, prices: Prices) -> Files {
        let is_s3 = location.scheme() == Scheme::S3;
        // The footer, and each row group in one request.
        let requests = self.amount.files + self.row_groups + self.deletes.len() as u64;
        Files {
            name: self.name,
            amount: self.amount,
            records,
            delete_files: self.deletes.len() as u64,
            partitions: self.partitions.len() as u64,
            sizes: self.sizes.buckets(),
            scan: Cost::of_scan(requests, self.amount.bytes, is_s3, &prices),
        }
    }
}
