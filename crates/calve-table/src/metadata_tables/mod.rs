//! A table's own story as tables: `db.t.files`, `db.t.snapshots`, … with the columns and types that
//! Iceberg's Java library gives them.
//!
//! Each is an Arrow schema and a stream of record batches, read manifest by manifest. Columns that
//! are not asked for are not made.

mod arrays;
mod entries;
mod files;
pub(crate) mod human;
mod log;
mod manifests;
mod partitions;
mod readable_metrics;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef as ArrowSchemaRef};
use calve_catalog::Table;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use iceberg::spec::{
    ManifestContentType, ManifestFile, SnapshotRef, TableMetadata, TableMetadataRef,
};

use crate::file_set::DEFAULT_MANIFEST_CONCURRENCY;
use crate::manifests::load_manifests;
use crate::{Error, Result};

/// A stream of record batches of one schema.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// The tables that a table's metadata makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MetadataTable {
    /// The data and delete files of a snapshot.
    Files,
    /// The data files of a snapshot.
    DataFiles,
    /// The delete files of a snapshot.
    DeleteFiles,
    /// The data and delete files of all snapshots.
    AllFiles,
    /// The data files of all snapshots.
    AllDataFiles,
    /// The delete files of all snapshots.
    AllDeleteFiles,
    /// The manifest entries of a snapshot, removed files among them.
    Entries,
    /// The manifest entries of all snapshots.
    AllEntries,
    /// The snapshots.
    Snapshots,
    /// Which snapshot was current when.
    History,
    /// The manifests of a snapshot.
    Manifests,
    /// The manifests of all snapshots.
    AllManifests,
    /// The partitions of a snapshot.
    Partitions,
    /// The branches and tags.
    Refs,
    /// The metadata files, oldest first.
    MetadataLogEntries,
}

/// All of them, in the order of their documentation.
pub const METADATA_TABLES: [MetadataTable; 15] = [
    MetadataTable::Files,
    MetadataTable::DataFiles,
    MetadataTable::DeleteFiles,
    MetadataTable::AllFiles,
    MetadataTable::AllDataFiles,
    MetadataTable::AllDeleteFiles,
    MetadataTable::Entries,
    MetadataTable::AllEntries,
    MetadataTable::Snapshots,
    MetadataTable::History,
    MetadataTable::Manifests,
    MetadataTable::AllManifests,
    MetadataTable::Partitions,
    MetadataTable::Refs,
    MetadataTable::MetadataLogEntries,
];

/// A name that is not a metadata table's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a metadata table")]
pub struct UnknownMetadataTable {
    name: String,
}

impl MetadataTable {
    /// Its name, as in `db.t.files`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::DataFiles => "data_files",
            Self::DeleteFiles => "delete_files",
            Self::AllFiles => "all_files",
            Self::AllDataFiles => "all_data_files",
            Self::AllDeleteFiles => "all_delete_files",
            Self::Entries => "entries",
            Self::AllEntries => "all_entries",
            Self::Snapshots => "snapshots",
            Self::History => "history",
            Self::Manifests => "manifests",
            Self::AllManifests => "all_manifests",
            Self::Partitions => "partitions",
            Self::Refs => "refs",
            Self::MetadataLogEntries => "metadata_log_entries",
        }
    }

    /// Its columns, which depend on the table's columns and partition fields.
    pub fn schema(self, metadata: &TableMetadata) -> ArrowSchemaRef {
        let fields = match self {
            Self::Files
            | Self::DataFiles
            | Self::DeleteFiles
            | Self::AllFiles
            | Self::AllDataFiles
            | Self::AllDeleteFiles => files::fields(metadata),
            Self::Entries | Self::AllEntries => entries::fields(metadata),
            Self::Snapshots => log::snapshot_fields(),
            Self::History => log::history_fields(),
            Self::Manifests => manifests::fields(false),
            Self::AllManifests => manifests::fields(true),
            Self::Partitions => partitions::fields(metadata),
            Self::Refs => log::ref_fields(),
            Self::MetadataLogEntries => log::metadata_log_fields(),
        };
        Arc::new(ArrowSchema::new(fields))
    }

    fn of_all_snapshots(self) -> bool {
        matches!(
            self,
            Self::AllFiles
                | Self::AllDataFiles
                | Self::AllDeleteFiles
                | Self::AllEntries
                | Self::AllManifests
        )
    }

    /// The content of the manifests that it reads, where that is not both.
    fn content(self) -> Option<ManifestContentType> {
        match self {
            Self::DataFiles | Self::AllDataFiles => Some(ManifestContentType::Data),
            Self::DeleteFiles | Self::AllDeleteFiles => Some(ManifestContentType::Deletes),
            _ => None,
        }
    }
}

impl fmt::Display for MetadataTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for MetadataTable {
    type Err = UnknownMetadataTable;

    fn from_str(name: &str) -> Result<Self, UnknownMetadataTable> {
        let all = METADATA_TABLES.into_iter();
        all.into_iter()
            .find(|table| table.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownMetadataTable {
                name: name.to_owned(),
            })
    }
}

/// Reads a metadata table.
#[derive(Debug, Clone)]
#[must_use = "nothing is read until `stream` is called"]
pub struct MetadataScan {
    kind: MetadataTable,
    table: Table,
    snapshot: Option<SnapshotRef>,
    projection: Option<Vec<usize>>,
    concurrency: usize,
}

/// What the readers of the single tables are given.
struct Context {
    metadata: TableMetadataRef,
    /// The columns that are asked for, by their place in the schema.
    projection: Vec<usize>,
    schema: ArrowSchemaRef,
}

impl Context {
    /// Puts the columns that are asked for together.
    fn batch(
        &self,
        rows: usize,
        mut column: impl FnMut(usize) -> Result<arrow::array::ArrayRef>,
    ) -> Result<RecordBatch> {
        let columns: Result<Vec<_>> = self.projection.iter().map(|at| column(*at)).collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = ArrowSchemaRef::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns?, &options,
        )?)
    }
}

impl MetadataScan {
    /// Reads one of a table's metadata tables, of the current snapshot where it is one's.
    pub fn new(kind: MetadataTable, table: Table) -> Self {
        Self {
            kind,
            snapshot: table.metadata().current_snapshot().cloned(),
            table,
            projection: None,
            concurrency: DEFAULT_MANIFEST_CONCURRENCY,
        }
    }

    /// Reads another snapshot's.
    pub fn with_snapshot(mut self, snapshot: SnapshotRef) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Makes only these columns, in this order.
    pub fn with_projection(mut self, columns: Vec<usize>) -> Self {
        self.projection = Some(columns);
        self
    }

    /// How many manifests are read at a time.
    pub fn with_concurrency(mut self, manifests: usize) -> Self {
        self.concurrency = manifests;
        self
    }

    /// The schema of the batches.
    ///
    /// # Errors
    /// When the projection names a column that is not there.
    pub fn schema(&self) -> Result<ArrowSchemaRef> {
        let schema = self.kind.schema(self.table.metadata());
        match &self.projection {
            None => Ok(schema),
            Some(columns) => Ok(Arc::new(schema.project(columns)?)),
        }
    }

    /// The rows.
    ///
    /// # Errors
    /// When the projection names a column that is not there, or a manifest list cannot be read.
    pub async fn stream(self) -> Result<BatchStream> {
        let schema = self.schema()?;
        let all = 0..self.kind.schema(self.table.metadata()).fields().len();
        let context = Context {
            metadata: self.table.metadata_ref(),
            projection: self.projection.clone().unwrap_or_else(|| all.collect()),
            schema,
        };
        let location = self.table.metadata_location();
        let batch = match self.kind {
            MetadataTable::Snapshots => log::snapshots(&context),
            MetadataTable::History => log::history(&context),
            MetadataTable::Refs => log::refs(&context),
            MetadataTable::MetadataLogEntries => log::metadata_log(&context, location),
            MetadataTable::Manifests => {
                let (manifests, id) = match &self.snapshot {
                    Some(snapshot) => (
                        load_manifests(self.table.storage(), snapshot).await?,
                        snapshot.snapshot_id(),
                    ),
                    None => (Vec::new(), 0),
                };
                manifests::batch(&context, &manifests, id)
            }
            MetadataTable::AllManifests => return Ok(self.all_manifests(context)),
            MetadataTable::Partitions => {
                let manifests = self.manifests().await?;
                let parts = self.parts(&context, manifests);
                return Ok(partitions::stream(context, parts));
            }
            MetadataTable::Entries | MetadataTable::AllEntries => {
                let manifests = self.manifests().await?;
                let parts = self.parts(&context, manifests);
                return Ok(entries::stream(context, parts));
            }
            _ => {
                let manifests = self.manifests().await?;
                let parts = self.parts(&context, manifests);
                return Ok(files::stream(context, parts));
            }
        };
        Ok(stream::once(async { batch }).boxed())
    }

    fn parts(
        &self,
        context: &Context,
        manifests: Vec<ManifestFile>,
    ) -> BoxStream<'static, Result<crate::manifests::Part>> {
        let storage = self.table.storage();
        crate::manifests::entries(storage, &context.metadata, manifests, self.concurrency)
    }

    /// The manifests that are read: of one snapshot, or of all without repetition.
    async fn manifests(&self) -> Result<Vec<ManifestFile>> {
        let storage = self.table.storage();
        let mut manifests = match (&self.snapshot, self.kind.of_all_snapshots()) {
            (_, true) => {
                let mut seen = std::collections::HashSet::new();
                let mut manifests = Vec::new();
                for snapshot in self.snapshots() {
                    let of_snapshot = load_manifests(storage, &snapshot).await?.into_iter();
                    let new =
                        of_snapshot.filter(|manifest| seen.insert(manifest.manifest_path.clone()));
                    manifests.extend(new);
                }
                manifests
            }
            (Some(snapshot), false) => load_manifests(storage, snapshot).await?,
            (None, false) => Vec::new(),
        };
        if let Some(content) = self.kind.content() {
            manifests.retain(|manifest| manifest.content == content);
        }
        Ok(manifests)
    }

    /// All snapshots, oldest first.
    fn snapshots(&self) -> Vec<SnapshotRef> {
        log::snapshots_by_age(self.table.metadata())
    }

    fn all_manifests(self, context: Context) -> BatchStream {
        let snapshots = self.snapshots();
        let storage = self.table.storage().clone();
        stream::iter(snapshots)
            .then(move |snapshot| {
                let storage = storage.clone();
                async move {
                    let manifests = load_manifests(&storage, &snapshot).await?;
                    Ok::<_, Error>((manifests, snapshot.snapshot_id()))
                }
            })
            .map(move |loaded| {
                let (manifests, id) = loaded?;
                manifests::batch(&context, &manifests, id)
            })
            .boxed()
    }
}
