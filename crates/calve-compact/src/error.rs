use calve_base::{Failure, Location};

/// What can go wrong while a table is compacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table could not be loaded.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
    /// Manifests could not be read, or files or a commit not written.
    #[error(transparent)]
    Table(#[from] calve_table::Error),
    /// Files could not be read.
    #[error(transparent)]
    Query(#[from] calve_query::Error),
    /// A file could not be read, deleted or found.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
    /// The name of a file is no location.
    #[error(transparent)]
    Location(#[from] calve_base::LocationError),
    /// An option that there is none of.
    #[error("there is no option `{name}`")]
    NoSuchOption {
        /// How it was called.
        name: String,
        /// Those that there are.
        names: &'static [&'static str],
    },
    /// An option has a value that it cannot have.
    #[error("option {name}={value}: {problem}")]
    Option {
        /// The option.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Rows cannot be brought into the order that is asked for.
    #[error("the rows of {table} cannot be ordered: {problem}")]
    Strategy {
        /// The table.
        table: String,
        /// Why not.
        problem: String,
    },
    /// Other rows were written than the files have.
    #[error(
        "{table}: {read} rows of a group were read and {written} written, and its files have {expected}"
    )]
    Rows {
        /// The table.
        table: String,
        /// Rows that were read.
        read: u64,
        /// Rows that were written.
        written: u64,
        /// Rows that its files have by their manifests.
        expected: u64,
    },
    /// So many commits failed that the run ended.
    #[error("{failed} of {commits} commits failed, and no more than {limit} may: {last}")]
    TooManyFailures {
        /// Commits that failed.
        failed: usize,
        /// Commits that there were to be.
        commits: usize,
        /// How many may fail.
        limit: usize,
        /// Why the last one did.
        last: String,
    },
    /// A snapshot is to expire that a branch or tag names.
    #[error("snapshot {snapshot_id} cannot expire: it is named by `{}`", references.join("`, `"))]
    Referenced {
        /// The snapshot.
        snapshot_id: i64,
        /// The branches and tags.
        references: Vec<String>,
    },
    /// Files are to be deleted that the table does not own.
    #[error("table {table} does not own its files (gc.enabled=false), so none of them are deleted")]
    NotOwner {
        /// The table.
        table: calve_base::TableIdent,
    },
    /// A journal cannot be read.
    #[error("{location} is no journal of calve's: {source}")]
    Journal {
        /// The document.
        location: Location,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Another table of the catalog cannot be read, so nobody knows which files are its.
    #[error("table {table} cannot be read, whose files may be in the same folder: {source}")]
    OtherTable {
        /// The other table.
        table: calve_base::TableIdent,
        /// Why not.
        #[source]
        source: Box<Self>,
    },
    /// A Hive-style table has the same folder, or one around it.
    #[error(
        "the files in {folder} are those of the Hive-style table {other}, too, so that none are orphans of {table} for certain"
    )]
    SharedFolder {
        /// The table.
        table: calve_base::TableIdent,
        /// The other table.
        other: calve_base::TableIdent,
        /// Its folder.
        folder: Location,
    },
    /// Files are to be removed that a writer may be about to commit.
    #[error(
        "files that are younger than 24 hours may be about to be committed, and are not removed"
    )]
    TooYoung,
    /// Files are named by the table with another scheme or authority than they are listed with.
    #[error("{count} files may be those of {table} or not: it names {file} with {named}")]
    PrefixMismatch {
        /// The table.
        table: calve_base::TableIdent,
        /// How many.
        count: usize,
        /// The first, as it was listed.
        file: String,
        /// What the table names it with.
        named: String,
    },
    /// Snapshots expired, and nobody can say which of their files can go.
    #[error("{snapshots} snapshots of {table} expired, but their files were not deleted: {source}")]
    CleanUp {
        /// The table.
        table: calve_base::TableIdent,
        /// How many snapshots.
        snapshots: usize,
        /// Why not.
        #[source]
        source: Box<Self>,
    },
    /// A part of the work was stopped from outside.
    #[error("the run was stopped")]
    Stopped,
}

/// What this crate gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Catalog(error) => error.hint(),
            Self::Table(error) => error.hint(),
            Self::Query(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::NoSuchOption { names, .. } => {
                Some(format!("the options are {}", names.join(", ")))
            }
            Self::TooManyFailures { .. } => Some(
                "run it again when fewer others write, or raise partial-progress.max-failed-commits"
                    .to_owned(),
            ),
            Self::Rows { .. } => Some(
                "nothing was committed; the table has a file whose manifest is wrong: `calve verify` tells more"
                    .to_owned(),
            ),
            Self::Referenced { .. } => Some(
                "choose another snapshot, or take the branch or tag away first".to_owned(),
            ),
            Self::NotOwner { .. } => Some(
                "other tables may read them; `calve finalize` gives the files of a migration to its table, and \
                 `--clean-up none` leaves all files where they are"
                    .to_owned(),
            ),
            Self::OtherTable { .. } => Some(
                "make it readable, or take its entry out of the catalog; `--skip-other-tables` does not look at it"
                    .to_owned(),
            ),
            Self::SharedFolder { .. } => Some(
                "take the other table's entry out of the catalog, or remove them with `--force`"
                    .to_owned(),
            ),
            Self::TooYoung => Some(
                "name an earlier time, or `--force` it while nobody writes".to_owned(),
            ),
            Self::PrefixMismatch { .. } => Some(
                "say with `--equal-schemes` or `--equal-authorities` what is the same, or with \
                 `--prefix-mismatch-mode` what becomes of such files"
                    .to_owned(),
            ),
            Self::CleanUp { .. } => {
                Some("`calve remove-orphans` deletes them once the cause is gone".to_owned())
            }
            Self::Location(_)
            | Self::Journal { .. }
            | Self::Option { .. }
            | Self::Strategy { .. }
            | Self::Stopped => None,
        }
    }
}

/// The files of a group whose outcome nobody needs.
pub(crate) async fn delete_quietly(storage: &calve_storage::Storage, files: &[Location]) {
    for location in files {
        if let Err(error) = storage.delete(location).await {
            tracing::warn!(%location, %error, "a data file that is not needed could not be deleted");
        }
    }
}
