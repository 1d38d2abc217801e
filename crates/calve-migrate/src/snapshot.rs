//! `snapshot`: a trial Iceberg table over a lake's files, which stay the lake's.
//!
//! As Spark's procedure: the table has a folder of its own, which must not lie in the source nor around it; it has
//! `snapshot=true` and `gc.enabled=false` whatever the user says, so that nothing which is done to it ever
//! deletes a file of the source.

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, Properties, SystemClock, TableIdent};
use calve_catalog::Catalog;
use calve_lake::{Lake, LakeOptions, Source};
use futures::future::BoxFuture;
use serde::Serialize;

use crate::add_files::{AddFiles, DEFAULT_CONCURRENCY, Int96, OnUnsafe};
use crate::journal::{Journal, Migration, MigrationId, MigrationState, Operation};
use crate::migrate::MIGRATION_ID;
use crate::{Error, Plan, Result};

/// What Spark's procedure sets.
const SNAPSHOT: &str = "snapshot";
/// The table property that tells whether a table owns its files.
const GC_ENABLED: &str = "gc.enabled";
/// Properties that say where a table's files go: those of a source are not for its trial table.
const PLACES: [&str; 5] = [
    "location",
    "write.data.path",
    "write.folder-storage.path",
    "write.metadata.path",
    "write.object-storage.path",
];

/// What was made.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The migration's id, for `rollback`; none where files were refused and nothing was made.
    pub migration_id: Option<MigrationId>,
    /// How many files the table has, as Spark's procedure reports.
    pub imported_files_count: u64,
    /// The table, and what was found in its files.
    #[serde(flatten)]
    pub files: crate::Report,
}

/// Makes a trial table over a lake's files.
#[must_use = "nothing is made until this is awaited"]
#[derive(Debug, Clone)]
pub struct Snapshot {
    catalog: Arc<dyn Catalog>,
    source: Source,
    table: TableIdent,
    location: Option<Location>,
    properties: Properties,
    on_unsafe: OnUnsafe,
    int96: Int96,
    concurrency: usize,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

impl Snapshot {
    /// Makes `table` over the files of `source`.
    pub fn new(catalog: Arc<dyn Catalog>, source: Source, table: TableIdent) -> Self {
        Self {
            catalog,
            source,
            table,
            location: None,
            properties: Properties::new(),
            on_unsafe: OnUnsafe::default(),
            int96: Int96::default(),
            concurrency: DEFAULT_CONCURRENCY,
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// The table's own folder. Default: where the catalog says.
    pub fn with_location(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Further properties of the table.
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.properties = properties;
        self
    }

    /// What happens to files that some readers get wrong. Default: refused.
    pub fn with_on_unsafe(mut self, on_unsafe: OnUnsafe) -> Self {
        self.on_unsafe = on_unsafe;
        self
    }

    /// What INT96 timestamps are. Default: what their writer means by them.
    pub fn with_int96(mut self, int96: Int96) -> Self {
        self.int96 = int96;
        self
    }

    /// How many requests are under way at once.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The clock that dates the snapshot.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Reads every footer and decides what would be in the table, without writing.
    ///
    /// # Errors
    /// When the table exists, would overlap with the source, or the source cannot be read.
    pub async fn plan(&self) -> Result<Plan> {
        let location = self.check().await?;
        self.add_files(location, None).plan().await
    }

    /// The table's folder, if the table can be made there.
    async fn check(&self) -> Result<Location> {
        match self.catalog.load_table(&self.table).await {
            Ok(_) | Err(calve_catalog::Error::NotIceberg { .. }) => {
                return Err(Error::NameTaken {
                    table: self.table.clone(),
                });
            }
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. },
            ) => {}
            Err(error) => return Err(error.into()),
        }
        let location = match &self.location {
            Some(location) => location.clone(),
            None => self.catalog.default_location(&self.table).await?,
        };
        let options = LakeOptions {
            clock: Arc::clone(&self.clock),
            ..LakeOptions::default()
        };
        let lake = Lake::open(self.catalog.storage(), self.source.clone(), options).await?;
        let source = lake.root();
        if location.contains(source) || source.contains(&location) {
            return Err(Error::LocationOverlaps {
                location,
                source_name: source.to_string(),
            });
        }
        Ok(location)
    }

    fn add_files(&self, location: Location, id: Option<&MigrationId>) -> AddFiles {
        let mut properties = self.properties.clone();
        properties.retain(|key, _| !PLACES.contains(&key.as_str()));
        properties.insert(SNAPSHOT.to_owned(), "true".to_owned());
        properties.insert(GC_ENABLED.to_owned(), "false".to_owned());
        properties.extend(id.map(|id| (MIGRATION_ID.to_owned(), id.to_string())));
        let catalog = Arc::clone(&self.catalog);
        AddFiles::new(catalog, self.source.clone(), self.table.clone())
            .with_location(location)
            .with_properties(properties)
            .with_on_unsafe(self.on_unsafe)
            .with_int96(self.int96)
            .with_concurrency(self.concurrency)
            .with_progress(Arc::clone(&self.progress))
            .with_clock(Arc::clone(&self.clock))
    }
}

impl IntoFuture for Snapshot {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let location = self.check().await?;
            let clock = self.clock.as_ref();
            let id = MigrationId::new(Operation::Snapshot, self.table.clone(), clock);
            let source = match &self.source {
                Source::Location(root) => root.to_string(),
                Source::HiveTable { ident, .. } => format!("glue:{ident}"),
            };
            let storage = self.catalog.storage();
            let migration = Migration::new(id.clone(), source, clock);
            let mut journal = Journal::create(storage, &location, migration).await?;
            let made = self.add_files(location, Some(&id)).await;
            let is_made = matches!(&made, Ok(report) if report.metadata_location.is_some());
            let state = if is_made {
                MigrationState::Done
            } else {
                MigrationState::RolledBack
            };
            journal
                .update(clock, |migration| migration.state = state)
                .await?;
            let files = made?;
            Ok(Report {
                migration_id: is_made.then_some(id),
                imported_files_count: files.plan.added_files_count,
                files,
            })
        })
    }
}
