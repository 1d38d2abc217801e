//! `remove_orphan_files`: files in a table's folders that neither the table nor anybody else known needs.
//!
//! What any snapshot refers to, the metadata files of the log, statistics, journals and the files of runs that have
//! not ended stay; so do files that are young, hidden, or another table's. The listing is a stream; in memory are
//! 32 bytes for each file that the table refers to, and the names of the orphans, since only at the end of the
//! listing is known whether they lie in the folder of another table.

mod address;
mod judge;
mod reachable;
mod surroundings;

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, SystemClock, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_table::drop_table::FailedFile;
use calve_table::{owns_files, table_folders};
use futures::TryStreamExt;
use futures::future::BoxFuture;

pub use judge::{KeptReason, OrphanReason};

use crate::clean_up::delete_files;
use crate::expire::DEFAULT_CONCURRENCY;
use crate::{Error, Result};
use address::Equalities;
use judge::Judge;
use reachable::Reachable;
use surroundings::{Surroundings, folders_below, hive_folders_below, other_table, other_tables};

/// How old orphans are at least unless said otherwise, in milliseconds: 3 days.
pub const DEFAULT_OLDER_THAN_MS: i64 = 3 * 24 * 60 * 60 * 1000;
/// How old orphans must be at least unless that is overruled, in milliseconds: 24 hours. A writer may take that long
/// from its first file to its commit.
pub const MIN_OLDER_THAN_MS: i64 = 24 * 60 * 60 * 1000;

/// What becomes of files that the table names with another scheme or authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrefixMismatchMode {
    /// The run ends before anything is deleted.
    #[default]
    Error,
    /// They stay.
    Ignore,
    /// They are deleted: it is known that they are others.
    Delete,
}

/// A file that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OrphanFile {
    /// Where it lies.
    pub orphan_file_location: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written, in milliseconds since the epoch.
    pub last_modified_ms: i64,
    /// Why it is one.
    pub reason: OrphanReason,
}

/// What a removal would do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// The table.
    pub table: TableIdent,
    /// The folders that are looked through.
    pub locations: Vec<Location>,
    /// The time that files are older than, in milliseconds since the epoch.
    pub older_than_ms: i64,
    /// The files that are deleted.
    pub orphans: Vec<OrphanFile>,
    /// Files that no snapshot refers to and that stay, by reason.
    pub kept: BTreeMap<KeptReason, u64>,
    /// Folders that are left to other tables.
    pub other_tables: Vec<String>,
}

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The files that are gone.
    pub orphan_file_locations: Vec<String>,
    /// How many they are.
    pub deleted_files_count: u64,
    /// Their size in bytes.
    pub deleted_bytes: u64,
    /// Files that no snapshot refers to and that stay, by reason.
    pub kept: BTreeMap<KeptReason, u64>,
    /// Folders that were left to other tables.
    pub other_tables: Vec<String>,
    /// Files that could not be deleted.
    pub failed: Vec<FailedFile>,
}

/// Removes the orphan files of one table.
#[derive(Debug, Clone)]
#[must_use = "nothing is removed until this is awaited"]
pub struct RemoveOrphans {
    catalog: Arc<dyn Catalog>,
    table: TableIdent,
    location: Option<Location>,
    older_than_ms: Option<i64>,
    is_forced: bool,
    equal: Equalities,
    mismatch: PrefixMismatchMode,
    looks_at_others: bool,
    concurrency: usize,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

impl RemoveOrphans {
    /// Starts with the table's folders, and files that are older than 3 days.
    pub fn new(catalog: Arc<dyn Catalog>, table: TableIdent) -> Self {
        Self {
            catalog,
            table,
            location: None,
            older_than_ms: None,
            is_forced: false,
            equal: Equalities::default(),
            mismatch: PrefixMismatchMode::default(),
            looks_at_others: true,
            concurrency: DEFAULT_CONCURRENCY,
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// Looks through one folder instead of all of the table's.
    pub fn with_location(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Removes files that were last written before this time, in milliseconds since the epoch.
    pub fn with_older_than_ms(mut self, older_than_ms: i64) -> Self {
        self.older_than_ms = Some(older_than_ms);
        self
    }

    /// Overrules what is refused otherwise: files younger than 24 hours, a folder that is not the table's, a
    /// folder that a Hive-style table has, too.
    pub fn with_force(mut self, is_forced: bool) -> Self {
        self.is_forced = is_forced;
        self
    }

    /// Takes a scheme as another one. `s3a` and `s3n` are `s3` already.
    pub fn with_equal_scheme(mut self, scheme: &str, like: &str) -> Self {
        self.equal.add_scheme(scheme, like);
        self
    }

    /// Takes an authority (a bucket) as another one.
    pub fn with_equal_authority(mut self, authority: &str, like: &str) -> Self {
        self.equal.add_authority(authority, like);
        self
    }

    /// Says what becomes of files that the table names with another scheme or authority.
    pub fn with_prefix_mismatch_mode(mut self, mode: PrefixMismatchMode) -> Self {
        self.mismatch = mode;
        self
    }

    /// Sets whether the files of the catalog's other tables are looked at, so that none of them is taken for an
    /// orphan. Default: yes.
    pub fn with_other_tables(mut self, looks_at_others: bool) -> Self {
        self.looks_at_others = looks_at_others;
        self
    }

    /// Sets how many files are read or deleted, and parts of a folder listed, at once.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// Sets who hears how far the run is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// Replaces the machine's clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Says which files would be removed.
    ///
    /// # Errors
    /// When the table does not own its files, something is not allowed, or not all can be read that tells which
    /// files are needed.
    pub async fn plan(&self) -> Result<Plan> {
        let table = self.catalog.load_table(&self.table).await?;
        if !owns_files(table.metadata()) {
            return Err(Error::NotOwner {
                table: self.table.clone(),
            });
        }
        let locations = self.locations(&table)?;
        let older_than_ms = self.older_than()?;
        let mut reachable = Reachable::new(self.equal.clone(), self.concurrency);
        reachable.add_table(&table).await?;
        let mut surroundings = Surroundings::of(&table).await?;
        let elsewhere = self.others(&locations, &mut surroundings).await?;
        let mut judge = Judge::new(table.metadata(), older_than_ms, surroundings, reachable);
        for location in &locations {
            let listed = self.catalog.storage();
            let listed = listed.list_parallel(location, self.concurrency);
            judge
                .look_through(location, listed, self.progress.as_ref())
                .await?;
        }
        judge.leave_others();
        judge.settle_mismatches(&self.table, self.mismatch)?;
        if judge.has_orphans() {
            let mut others = other_tables(&self.catalog, elsewhere, self.concurrency);
            while let Some(other) = others.try_next().await? {
                let added = judge.reachable().add_table(&other).await;
                added.map_err(|error| other_table(other.ident().clone(), error))?;
            }
            // What was committed since the table was read, of files that were there already.
            let now = self.catalog.load_table(&self.table).await?;
            judge.reachable().add_table(&now).await?;
            judge.look_again();
        }
        Ok(judge.plan(&self.table, locations))
    }

    /// The folders that are looked through, none within another.
    fn locations(&self, table: &Table) -> Result<Vec<Location>> {
        let folders = table_folders(table.metadata())?;
        let mut own: Vec<Location> = Vec::new();
        for folder in [folders.location, folders.data, folders.metadata] {
            if !own.iter().any(|outer| outer.contains(&folder)) {
                own.retain(|inner| !folder.contains(inner));
                own.push(folder);
            }
        }
        let Some(location) = &self.location else {
            return Ok(own);
        };
        if !self.is_forced && !own.iter().any(|folder| folder.contains(location)) {
            return Err(Error::Option {
                name: "location".to_owned(),
                value: location.to_string(),
                problem: "it is not in the table's folders; files in it may be anybody's"
                    .to_owned(),
            });
        }
        Ok(vec![location.clone()])
    }

    fn older_than(&self) -> Result<i64> {
        let now_ms = self.clock.now_ms();
        let Some(older_than_ms) = self.older_than_ms else {
            return Ok(now_ms - DEFAULT_OLDER_THAN_MS);
        };
        if self.is_forced || older_than_ms <= now_ms - MIN_OLDER_THAN_MS {
            return Ok(older_than_ms);
        }
        Err(Error::TooYoung)
    }

    /// Leaves the folders of other tables to them. Returns the tables that lie elsewhere: some of their files may
    /// yet be here.
    async fn others(
        &self,
        locations: &[Location],
        surroundings: &mut Surroundings,
    ) -> Result<Vec<TableIdent>> {
        let mut elsewhere = Vec::new();
        if !self.looks_at_others {
            return Ok(elsewhere);
        }
        let mut idents = self.catalog.list_tables(None).await?;
        idents.retain(|ident| *ident != self.table);
        let mut others = other_tables(&self.catalog, idents, self.concurrency);
        while let Some(other) = others.try_next().await? {
            for root in locations {
                for folder in folders_below(root, other.metadata())? {
                    surroundings.add_other(&folder);
                }
            }
            elsewhere.push(other.ident().clone());
        }
        for root in locations {
            let folders =
                hive_folders_below(&self.catalog, &self.table, root, self.is_forced).await?;
            for folder in folders {
                surroundings.add_other(&folder);
            }
        }
        Ok(elsewhere)
    }

    async fn run(self) -> Result<Report> {
        let plan = Box::pin(self.plan()).await?;
        let mut report = Report {
            kept: plan.kept,
            other_tables: plan.other_tables,
            ..Report::default()
        };
        let orphans = plan.orphans.into_iter().map(|orphan| {
            let path = orphan.orphan_file_location.clone();
            tracing::debug!(file = %path, reason = ?orphan.reason, "deleted: an orphan");
            (orphan, path)
        });
        report.failed = delete_files(
            self.catalog.storage(),
            orphans,
            self.concurrency,
            self.progress.as_ref(),
            |orphan| {
                report.deleted_files_count += 1;
                report.deleted_bytes += orphan.bytes;
                report
                    .orphan_file_locations
                    .push(orphan.orphan_file_location);
            },
        )
        .await;
        report.orphan_file_locations.sort();
        Ok(report)
    }
}

impl IntoFuture for RemoveOrphans {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
