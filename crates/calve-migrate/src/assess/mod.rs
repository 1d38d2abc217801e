//! Says what lies in a lake before anything moves, and which way into Iceberg to take.
//!
//! The files are judged by a plan of [`AddFiles`], each footer read once, so that what is said here of a file
//! is what `add-files` does with it; this operation only counts what the plan finds, and asks of each
//! distinct schema whether `ctas` could read it. Beside that it looks for whoever else has to do with the files,
//! and estimates requests and dollars of each way. Nothing is written, but for a cache that was asked for.
//!
//! Memory grows with the number of distinct schemas and rules, up to a limit, and sixteen bytes a file.

mod advice;
mod cache;
mod census;
pub(crate) mod cost;
mod ownership;
mod page;
mod partitions;
mod report;
mod sizes;

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, Scheme, SystemClock, TableIdent};
use calve_catalog::Catalog;
use calve_lake::{LakeOptions, Recursive, Source, Warning};
use futures::future::BoxFuture;
use iceberg::spec::PrimitiveType;

pub use cost::{Cost, Prices, Ways};
pub use report::{
    Amount, Assessment, Caution, Census, EXAMPLES_LIMIT, Excepted, FoundFinding, InPlace, Key,
    Partition, Recommendation, SeenSchema, SizeBucket, SkippedKind, StorageClass,
};

use crate::add_files::{DEFAULT_CONCURRENCY, Observer};
use crate::{AddFiles, DuplicateFiles, Int96, Result};
use advice::Wording;
use cache::Cache;
use census::Counter;
pub(crate) use sizes::Sizes;

/// Files below this size count as small, unless said otherwise: a quarter of what Iceberg's writers aim at.
pub const DEFAULT_TARGET_FILE_BYTES: u64 = calve_table::DEFAULT_TARGET_FILE_BYTES / 4;

/// The table that files are planned for; it never comes into being.
const PLANNED: (&str, &str) = ("assess", "source");
/// Where that table would lie.
const PLANNED_LOCATION: &str = "memory:///assess/source";

/// Assesses a lake.
#[must_use = "nothing is assessed until this is awaited"]
#[derive(Debug, Clone)]
pub struct Assess {
    catalog: Arc<dyn Catalog>,
    source: Source,
    options: Options,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone)]
struct Options {
    table: Option<TableIdent>,
    partition_filter: Vec<(String, String)>,
    partition_types: Vec<(String, PrimitiveType)>,
    recursive: Recursive,
    int96: Int96,
    target_bytes: u64,
    prices: Prices,
    neighbours: bool,
    cache: Option<Location>,
    concurrency: usize,
}

impl Assess {
    /// Assesses `source`, and looks among the tables of `catalog` for others over the same files.
    pub fn new(catalog: Arc<dyn Catalog>, source: Source) -> Self {
        Self {
            catalog,
            source,
            options: Options {
                table: None,
                partition_filter: Vec::new(),
                partition_types: Vec::new(),
                recursive: Recursive::default(),
                int96: Int96::default(),
                target_bytes: DEFAULT_TARGET_FILE_BYTES,
                prices: Prices::default(),
                neighbours: true,
                cache: None,
                concurrency: DEFAULT_CONCURRENCY,
            },
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
        }
    }

    /// The table that the commands of the report make.
    pub fn with_table(mut self, table: TableIdent) -> Self {
        self.options.table = Some(table);
        self
    }

    /// Assesses only the partitions with these values; a part of the keys is enough.
    pub fn with_partition_filter(mut self, filter: Vec<(String, String)>) -> Self {
        self.options.partition_filter = filter;
        self
    }

    /// Fixes the types of partition keys that would be inferred.
    pub fn with_partition_types(mut self, types: Vec<(String, PrimitiveType)>) -> Self {
        self.options.partition_types = types;
        self
    }

    /// Says what happens with folders that are not partitions.
    pub fn with_recursive(mut self, recursive: Recursive) -> Self {
        self.options.recursive = recursive;
        self
    }

    /// What INT96 timestamps are. Default: what their writer means by them.
    pub fn with_int96(mut self, int96: Int96) -> Self {
        self.options.int96 = int96;
        self
    }

    /// Below which size a file counts as small. Default: [`DEFAULT_TARGET_FILE_BYTES`].
    pub fn with_target_bytes(mut self, target_bytes: u64) -> Self {
        self.options.target_bytes = target_bytes.max(1);
        self
    }

    /// What requests cost.
    pub fn with_prices(mut self, prices: Prices) -> Self {
        self.options.prices = prices;
        self
    }

    /// Whether the catalog's other tables are looked at. Default: yes.
    pub fn with_neighbours(mut self, neighbours: bool) -> Self {
        self.options.neighbours = neighbours;
        self
    }

    /// A file that keeps what was counted: while the source lists as it did, no footer is read again.
    /// Default: none.
    pub fn with_cache(mut self, cache: Location) -> Self {
        self.options.cache = Some(cache);
        self
    }

    /// How many requests are under way at once. Default: [`DEFAULT_CONCURRENCY`].
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.options.concurrency = concurrency.max(1);
        self
    }

    /// Where to report how far it is.
    pub fn with_progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.progress = progress;
        self
    }

    /// The clock that tells what `NOW` means in partition projections.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl IntoFuture for Assess {
    type Output = Result<Assessment>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Box::pin(self.run()).await })
    }
}

/// What is known of the source when it has been counted.
struct Counted {
    census: Census,
    root: Location,
    warnings: Vec<Warning>,
    from_cache: bool,
}

impl Assess {
    async fn run(self) -> Result<Assessment> {
        let counted = match self.options.cache.clone() {
            Some(location) => self.count_with_cache(location).await?,
            None => self.count().await?,
        };
        let Counted {
            census,
            root,
            warnings,
            from_cache,
        } = counted;
        let entry = match &self.source {
            Source::Location(_) => None,
            Source::HiveTable { ident, .. } => Some(ident.clone()),
        };
        let mut ownership = ownership::cautions(&census, &warnings);
        if self.options.neighbours {
            let progress = self.progress.as_ref();
            let catalog = match &self.source {
                Source::HiveTable { metastore, .. } => metastore,
                Source::Location(_) => &self.catalog,
            };
            ownership.extend(ownership::neighbours(catalog, &root, entry.as_ref(), progress).await);
        }
        let place = cost::Place {
            is_s3: root.scheme() == Scheme::S3,
            is_glue: entry.is_some(),
        };
        let ways = cost::ways(&census, place, self.options.prices);
        let advice = advice::advise(&census, &self.wording(entry, &root, &warnings));
        Ok(Assessment {
            source: self.source.to_string(),
            location: root,
            from_cache,
            census,
            ownership,
            ways,
            recommendation: advice.recommendation,
            reasons: advice.reasons,
            commands: advice.commands,
        })
    }

    /// Reads every footer.
    async fn count(&self) -> Result<Counted> {
        let counter = Arc::new(Counter::new(self.options.target_bytes));
        let storage = self.catalog.storage();
        let planned = AddFiles::new(
            calve_catalog::in_memory(PLANNED.0, storage),
            self.source.clone(),
            TableIdent::new(PLANNED.0, PLANNED.1),
        )
        .with_observer(Arc::clone(&counter) as Arc<dyn Observer>)
        .with_location(Location::parse(PLANNED_LOCATION).map_err(calve_table::Error::from)?)
        // Two partitions of an entry may share a folder.
        .with_duplicates(DuplicateFiles::Skip)
        .with_partition_filter(self.options.partition_filter.clone())
        .with_partition_types(self.options.partition_types.clone())
        .with_recursive(self.options.recursive)
        .with_int96(self.options.int96)
        .with_concurrency(self.options.concurrency)
        .with_progress(Arc::clone(&self.progress))
        .with_clock(Arc::clone(&self.clock));
        let (lake, plan) = planned.plan_with_lake().await?;
        Ok(Counted {
            census: counter.finish(&lake, &plan),
            root: lake.root().clone(),
            warnings: lake.warnings().to_vec(),
            from_cache: false,
        })
    }

    /// Lists the source, and reads footers only where it does not list as it did.
    async fn count_with_cache(&self, location: Location) -> Result<Counted> {
        let storage = self.catalog.storage();
        let source = (&self.source, self.lake_options());
        let (cache, opened) = Cache::open(storage, location, self.asked(), source).await?;
        let note = match cache.recall().await {
            Ok(Some(census)) => {
                let root = match (&self.source, &opened) {
                    (_, Some(lake)) => Some(lake.root()),
                    (Source::Location(root), None) => Some(root),
                    (Source::HiveTable { .. }, None) => None,
                };
                if let Some(root) = root {
                    return Ok(Counted {
                        census,
                        root: root.clone(),
                        warnings: opened.map_or_else(Vec::new, |lake| lake.warnings().to_vec()),
                        from_cache: true,
                    });
                }
                None
            }
            Ok(None) => None,
            Err(note) => Some(note),
        };
        let mut counted = self.count().await?;
        let failure = cache.remember(&counted.census).await;
        counted.census.notes.extend(note.into_iter().chain(failure));
        Ok(counted)
    }

    fn lake_options(&self) -> LakeOptions {
        LakeOptions {
            partition_types: self.options.partition_types.clone(),
            partition_filter: self.options.partition_filter.clone(),
            recursive: self.options.recursive,
            concurrency: self.options.concurrency,
            clock: Arc::clone(&self.clock),
            progress: Arc::clone(&self.progress),
            ..LakeOptions::default()
        }
    }

    /// The source, and the options that decide what is counted.
    fn asked(&self) -> String {
        let Options {
            partition_filter,
            partition_types,
            recursive,
            int96,
            target_bytes,
            ..
        } = &self.options;
        format!(
            "{} {partition_filter:?} {partition_types:?} {recursive:?} {int96:?} {target_bytes}",
            self.source
        )
    }

    fn wording(&self, entry: Option<TableIdent>, root: &Location, warnings: &[Warning]) -> Wording {
        let types = self.options.partition_types.iter();
        Wording {
            source: match &entry {
                Some(entry) => format!("glue:{entry}"),
                None => root.to_string(),
            },
            table: self.options.table.clone(),
            entry,
            is_bucketed: warnings
                .iter()
                .any(|it| matches!(it, Warning::Bucketed { .. })),
            partition_filter: self.options.partition_filter.clone(),
            partition_types: types
                .map(|(key, of)| (key.clone(), of.to_string()))
                .collect(),
            recursive: self.options.recursive,
            int96: self.options.int96,
        }
    }
}
