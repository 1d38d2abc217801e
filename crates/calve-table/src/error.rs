use calve_base::{Failure, Location, LocationError, TableIdent};
use iceberg::spec::{DataContentType, Literal, ManifestContentType, PrimitiveType};

use crate::avro::AvroError;
use crate::data_file::DataError;

/// What can go wrong while a table is written or its metadata is read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The parts of a new table do not fit together.
    #[error("{location}: the metadata of the new table is not valid: {source}")]
    NewTable {
        /// Where the table was to be.
        location: Location,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest list holds something else.
    #[error("{location} cannot be read as a manifest list")]
    ManifestList {
        /// The file.
        location: Location,
        /// Why not.
        #[source]
        source: iceberg::Error,
    },
    /// A table does not own its files, so they are not deleted with it.
    #[error("table {ident} does not own its files (gc.enabled=false), so they cannot be purged")]
    FilesNotOwned {
        /// The table.
        ident: TableIdent,
    },
    /// The metadata of a table names a file in a way that means nothing.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A manifest or manifest list is not what it should be.
    #[error("{path}: {source}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: AvroError,
    },
    /// A schema or spec cannot be written into a manifest.
    #[error("{path}: the manifest's header cannot be written: {source}")]
    Json {
        /// The manifest.
        path: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A data file's description cannot be stored.
    #[error("{path}: {source}")]
    DataFile {
        /// The data file.
        path: String,
        /// What cannot be stored.
        #[source]
        source: iceberg::Error,
    },
    /// The table has branches or tags that a commit would lose, since metadata of format version 1 have no place
    /// for them here.
    #[error("table {ident} is of format version 1, and a commit would lose its branches and tags: {}", references.join(", "))]
    LosesReferences {
        /// The table.
        ident: TableIdent,
        /// The branches and tags.
        references: Vec<String>,
    },
    /// A file has more or fewer partition values than its spec has fields.
    #[error("{path}: has {found} partition values; its partition spec has {expected} fields")]
    PartitionLength {
        /// The data file.
        path: String,
        /// The number of fields.
        expected: usize,
        /// The number of values.
        found: usize,
    },
    /// A partition value is not of its field's type.
    #[error("{path}: the value {found:?} of partition field `{field}` is not of type {expected}")]
    PartitionValue {
        /// The data file.
        path: String,
        /// The partition field.
        field: String,
        /// The type of its values.
        expected: PrimitiveType,
        /// The value.
        found: Box<Literal>,
    },
    /// A partition spec's column is not in the schema, or cannot be transformed.
    #[error("partition spec {spec_id}: field `{field}` has no usable source column {source_id}")]
    PartitionSource {
        /// The spec.
        spec_id: i32,
        /// Its field.
        field: String,
        /// The column's field id.
        source_id: i32,
    },
    /// A spec that the table does not have.
    #[error("{path}: partition spec {spec_id} is not one of the table's")]
    UnknownSpec {
        /// The file that names the spec.
        path: String,
        /// The spec.
        spec_id: i32,
    },
    /// A data file in a manifest of deletes, or the other way round.
    #[error("{path}: a file of content {content:?} does not belong into a manifest of {manifest}")]
    WrongContent {
        /// The file.
        path: String,
        /// What it holds.
        content: DataContentType,
        /// What the manifest lists.
        manifest: ManifestContentType,
    },
    /// A file is kept or removed without the numbers it was added with.
    #[error("{path}: a file that is kept or removed needs its sequence numbers")]
    NoSequenceNumber {
        /// The file.
        path: String,
    },
    /// A number is beyond what a manifest can hold.
    #[error("{path}: {count} is more than a manifest can hold")]
    CountTooLarge {
        /// The file.
        path: String,
        /// The number.
        count: u64,
    },
    /// A manifest of another snapshot has no sequence number.
    #[error("{path}: was written for snapshot {snapshot_id}, not for {expected}")]
    ForeignManifest {
        /// The manifest.
        path: String,
        /// The snapshot it was written for.
        snapshot_id: i64,
        /// The snapshot that was to hold it.
        expected: i64,
    },
    /// A manifest from format version 1 lacks counts that later versions require.
    #[error("{path}: the manifest list does not say how many files and rows it has")]
    NoCounts {
        /// The manifest.
        path: String,
    },
    /// A manifest is encrypted.
    #[error("{path}: the manifest is encrypted, which is not supported")]
    Encrypted {
        /// The manifest.
        path: String,
    },
    /// The table has no such snapshot.
    #[error("table {ident} has no snapshot {wanted}")]
    NoSnapshot {
        /// The table.
        ident: TableIdent,
        /// What was asked for: an id, a reference or a time.
        wanted: String,
    },
    /// The table has no such branch.
    #[error("table {ident} has no branch `{branch}`")]
    NoBranch {
        /// The table.
        ident: TableIdent,
        /// The branch.
        branch: String,
    },
    /// What was to be added is in the table already.
    #[error("{count} files are in table {ident} already: {}{}", .first.join(", "), if *.count > .first.len() as u64 { ", …" } else { "" })]
    Duplicates {
        /// The table.
        ident: TableIdent,
        /// How many.
        count: u64,
        /// The first ten of them.
        first: Vec<String>,
    },
    /// What was to be removed is not in the table, or not any more.
    #[error("{count} files that were to be removed are not in the table: {}{}", .first.join(", "), if *.count > .first.len() as u64 { ", …" } else { "" })]
    FilesGone {
        /// How many.
        count: u64,
        /// The first ten of them.
        first: Vec<String>,
    },
    /// Somebody deleted rows of a file that was to be replaced.
    #[error("rows of files that were to be replaced have been deleted meanwhile ({path})")]
    NewDeletes {
        /// The delete file.
        path: String,
    },
    /// The change was made for a table that is not this one any more: its branch was set to another
    /// snapshot, or its format version changed.
    #[error("the table is no longer what the change was made for: {problem}")]
    BaseChanged {
        /// What is different.
        problem: String,
    },
    /// The caller's own check, or its change of metadata, says no.
    #[error("{reason}")]
    Rejected {
        /// What the caller says.
        reason: Box<dyn Failure + Send + Sync>,
    },
    /// There is nothing that a snapshot would change.
    #[error("no manifest is worth writing anew")]
    NothingToReplace,
    /// Nobody knows whether a commit took place, since the table could not be read afterwards.
    #[error("nobody knows whether the commit to table {ident} took place: {source}")]
    OutcomeUnknown {
        /// The table.
        ident: TableIdent,
        /// Why the table could not be read.
        #[source]
        source: Box<calve_catalog::Error>,
    },
    /// A snapshot whose leftovers are looked for was committed.
    #[error("table {ident} has snapshot {snapshot_id}: its files are in use")]
    SnapshotExists {
        /// The table.
        ident: TableIdent,
        /// The snapshot.
        snapshot_id: i64,
    },
    /// Rows cannot be written into the table.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A data file could not be written.
    #[error("{location}: {source}")]
    Parquet {
        /// The file.
        location: Location,
        /// Why not.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// What a written file holds cannot be told from its footer.
    #[error("{source}")]
    Metrics {
        /// Why not.
        #[source]
        source: calve_parquet::Error,
    },
    /// A table of format version 3 has a column of a name that is reserved.
    #[error("the table has a column `{column}`, which is the name of a column of row lineage")]
    ReservedColumn {
        /// The name.
        column: &'static str,
    },
    /// The program is ending.
    #[error("the writing of manifests was stopped")]
    Stopped,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// Iceberg's own rules are broken.
    #[error(transparent)]
    Iceberg(#[from] iceberg::Error),
    /// Rows of a metadata table cannot be put together.
    #[error("the rows of a metadata table cannot be put together: {0}")]
    Rows(#[from] arrow::error::ArrowError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What a [`Revalidation`](crate::Revalidation) or a [`MetadataChange`](crate::MetadataChange) of the
    /// caller's returns to end the commit.
    pub fn rejected(reason: impl Failure + Send + Sync + 'static) -> Self {
        Self::Rejected {
            reason: Box::new(reason),
        }
    }

    /// Whether a commit may have taken place although it failed. Until that is settled by reading the
    /// table, nothing that was written for the commit may be deleted.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::OutcomeUnknown { .. }
                | Self::Catalog(calve_catalog::Error::CommitStateUnknown { .. })
        )
    }

    /// Names the manifest in which bad Avro was found.
    pub(crate) fn malformed(path: &str) -> impl FnOnce(AvroError) -> Self {
        let path = path.to_owned();
        move |source| Self::Malformed { path, source }
    }
}

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_retryable(),
            Self::Storage(error) => error.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::Rejected { reason } => reason.hint(),
            Self::OutcomeUnknown { .. } => Some(
                "look at the table's snapshots before you run this again; nothing was deleted"
                    .to_owned(),
            ),
            Self::FilesGone { .. } | Self::NewDeletes { .. } => Some(
                "somebody else changed these files meanwhile: run the same command again"
                    .to_owned(),
            ),
            Self::BaseChanged { .. } => Some(
                "somebody else changed the table meanwhile: run the same command again".to_owned(),
            ),
            Self::LosesReferences { .. } => {
                Some("upgrade the table to format version 2 by another engine first".to_owned())
            }
            Self::FilesNotOwned { .. } => {
                Some("drop the table without purging it: its files stay where they are".to_owned())
            }
            _ => None,
        }
    }
}
