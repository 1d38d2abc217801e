//! Adds the Parquet files of a lake to an Iceberg table, in place.
//!
//! The files stay where and as they are. Their footers are read (one ranged request each), checked
//! against the table and turned into manifest entries, which are written as they arrive; one commit
//! then makes them all visible, or none. Spark's `add_files`, with what its users miss: the schema is
//! checked, partition values keep their types, nothing is listed that the filter leaves out, and a
//! conflicting commit never has a footer read again.
//!
//! Files are judged one by one in the order of the listing (by path, or by the partitions of the
//! metastore), whatever the order in which their footers arrive. So the outcome is the same each time: a
//! new table's columns are numbered in that order, and where two files contradict each other in the
//! type of a column, the one that is listed first decides. Each later one that contradicts it is refused,
//! by its name and with both types.

mod blueprint;
mod judge;
mod observer;
mod partition;
mod report;
mod run;
mod selection;
mod survey;
mod target;

use std::future::IntoFuture;
use std::sync::Arc;

use calve_base::{Clock, Location, NoProgress, Progress, Properties, SystemClock, TableIdent};
use calve_catalog::Catalog;
use calve_lake::{Lake, Recursive, Source};
use futures::future::BoxFuture;
use iceberg::spec::{FormatVersion, PrimitiveType};

pub use report::{Drifted, Plan, REPORT_LIST_LIMIT, Refused, Report, SeenFinding, SkippedFile};

pub(crate) use judge::{Prepared, Verdict, code_name};
pub(crate) use observer::{Judged, Observer};
pub(crate) use selection::{Changes, Choice, Selection};

use crate::Result;
use run::Run;

/// How many listing and footer requests are under way at once.
pub const DEFAULT_CONCURRENCY: usize = 64;

/// What happens to files that the type policy calls unsafe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnsafe {
    /// They are refused.
    #[default]
    Refuse,
    /// They are added, and the finding is reported.
    Allow,
}

/// What happens to the others when a file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnRefused {
    /// Nothing is committed; the report lists all that is refused.
    #[default]
    Fail,
    /// The others are added.
    Skip,
}

/// What happens with files that the table already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateFiles {
    /// The run ends with [`Error::Duplicates`](crate::Error::Duplicates).
    #[default]
    Fail,
    /// They are passed over and reported.
    Skip,
    /// Nobody looks; rows may be doubled.
    Allow,
}

/// Whether table maintenance may delete the added files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GarbageCollection {
    /// `gc.enabled=false` is set: the lake's other users keep their files.
    #[default]
    Protect,
    /// The table owns the files from now on, and expiring snapshots may delete them.
    Own,
}

/// What INT96 timestamps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Int96 {
    /// As the file's writer is known to mean them: Spark instants, Hive and Impala wall-clock times.
    #[default]
    ByWriter,
    /// Instants: `timestamptz`.
    Instant,
    /// Wall-clock times: `timestamp`.
    Local,
}

/// Adds the files of a lake to a table.
#[must_use = "files are added only when this is awaited"]
#[derive(Debug, Clone)]
pub struct AddFiles {
    catalog: Arc<dyn Catalog>,
    source: Source,
    table: TableIdent,
    options: Options,
    progress: Arc<dyn Progress>,
    clock: Arc<dyn Clock>,
    selection: Option<Arc<dyn Selection>>,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Debug, Clone)]
struct Options {
    partition_filter: Vec<(String, String)>,
    partition_types: Vec<(String, PrimitiveType)>,
    recursive: Recursive,
    create: bool,
    location: Option<Location>,
    properties: Properties,
    format_version: Option<FormatVersion>,
    duplicates: DuplicateFiles,
    on_unsafe: OnUnsafe,
    on_refused: OnRefused,
    allow_extra_columns: bool,
    garbage_collection: Option<GarbageCollection>,
    int96: Int96,
    concurrency: usize,
}

impl AddFiles {
    /// Adds `source` to `table` with the default options: the table is created if it is missing,
    /// nothing unsafe or twice, all or nothing.
    pub fn new(catalog: Arc<dyn Catalog>, source: Source, table: TableIdent) -> Self {
        Self {
            catalog,
            source,
            table,
            options: Options {
                partition_filter: Vec::new(),
                partition_types: Vec::new(),
                recursive: Recursive::default(),
                create: true,
                location: None,
                properties: Properties::new(),
                format_version: None,
                duplicates: DuplicateFiles::default(),
                on_unsafe: OnUnsafe::default(),
                on_refused: OnRefused::default(),
                allow_extra_columns: false,
                garbage_collection: None,
                int96: Int96::default(),
                concurrency: DEFAULT_CONCURRENCY,
            },
            progress: Arc::new(NoProgress),
            clock: Arc::new(SystemClock),
            selection: None,
            observer: None,
        }
    }

    /// Adds only what is chosen.
    pub(crate) fn with_selection(mut self, selection: Arc<dyn Selection>) -> Self {
        self.selection = Some(selection);
        self
    }

    /// Tells of each file.
    pub(crate) fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// As [`Self::plan`]; gives the lake, too.
    pub(crate) async fn plan_with_lake(&self) -> Result<(Lake, Plan)> {
        let run = Run::prepare(self).await?;
        let lake = run.lake().clone();
        if let Some(observer) = &self.observer {
            observer.opened(&lake)?;
        }
        Ok((lake, run.plan().await?))
    }

    /// Adds only the partitions with these values; a part of the keys is enough.
    pub fn with_partition_filter(mut self, filter: Vec<(String, String)>) -> Self {
        self.options.partition_filter = filter;
        self
    }

    /// Fixes the types of partition keys that would be inferred. Each must be a key of the source, and
    /// those of an existing table's partition columns must be the table's.
    pub fn with_partition_types(mut self, types: Vec<(String, PrimitiveType)>) -> Self {
        self.options.partition_types = types;
        self
    }

    /// Says what happens with folders that are not partitions.
    pub fn with_recursive(mut self, recursive: Recursive) -> Self {
        self.options.recursive = recursive;
        self
    }

    /// Whether a missing table is created. Default: yes.
    pub fn with_create(mut self, create: bool) -> Self {
        self.options.create = create;
        self
    }

    /// Where a table that is created keeps its metadata. Default: where the catalog says. A table
    /// that exists must lie there.
    pub fn with_location(mut self, location: Location) -> Self {
        self.options.location = Some(location);
        self
    }

    /// Sets properties of a table that is created. One that exists must have them.
    pub fn with_properties(mut self, properties: Properties) -> Self {
        self.options.properties = properties;
        self
    }

    /// The format version of a table that is created. Default: 2. One that exists must have it.
    pub fn with_format_version(mut self, format_version: FormatVersion) -> Self {
        self.options.format_version = Some(format_version);
        self
    }

    /// What happens with files that the table already has. Default: the run fails.
    pub fn with_duplicates(mut self, duplicates: DuplicateFiles) -> Self {
        self.options.duplicates = duplicates;
        self
    }

    /// What happens to files that some readers get wrong. Default: refused.
    pub fn with_on_unsafe(mut self, on_unsafe: OnUnsafe) -> Self {
        self.options.on_unsafe = on_unsafe;
        self
    }

    /// What happens to the other files when one is refused. Default: nothing is committed.
    pub fn with_on_refused(mut self, on_refused: OnRefused) -> Self {
        self.options.on_refused = on_refused;
        self
    }

    /// Whether files may have columns that an existing table lacks (they stay unread). Default: no.
    pub fn with_extra_columns(mut self, allow: bool) -> Self {
        self.options.allow_extra_columns = allow;
        self
    }

    /// Whether table maintenance may delete the added files. Default: no, unless the table's own
    /// `gc.enabled` says so. A table that has `gc.enabled=false` cannot be made to own files here.
    pub fn with_garbage_collection(mut self, garbage_collection: GarbageCollection) -> Self {
        self.options.garbage_collection = Some(garbage_collection);
        self
    }

    /// What INT96 timestamps are. Default: what their writer means by them.
    pub fn with_int96(mut self, int96: Int96) -> Self {
        self.options.int96 = int96;
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

    /// The clock that dates the snapshot.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

impl AddFiles {
    /// Reads every footer and decides what would be added, without writing.
    ///
    /// # Errors
    /// When the source or the table cannot be read, do not fit together, or share files.
    pub async fn plan(&self) -> Result<Plan> {
        Run::prepare(self).await?.plan().await
    }
}

impl IntoFuture for AddFiles {
    type Output = Result<Report>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Run::prepare(&self).await?.execute().await })
    }
}
