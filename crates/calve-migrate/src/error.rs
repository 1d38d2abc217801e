use calve_base::{Failure, Location, TableIdent};

use crate::journal::{MigrationId, MigrationIdError};

/// What can go wrong while a lake becomes a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table is missing and was not to be created.
    #[error("table {table} does not exist")]
    TargetMissing {
        /// The table.
        table: TableIdent,
    },
    /// The table exists, and is not as an option says that a new one should be.
    #[error("table {table} exists, and its {what} is {actual}, not {given}")]
    TargetDiffers {
        /// The table.
        table: TableIdent,
        /// What differs: `format version`, ``property `owner` ``.
        what: String,
        /// What was asked for.
        given: String,
        /// What the table has.
        actual: String,
    },
    /// There is no file to take a schema from.
    #[error("{source_name}: no Parquet file to take the schema of {table} from")]
    NoSchema {
        /// The source, as the user named it.
        source_name: String,
        /// The table that was to be created.
        table: TableIdent,
    },
    /// No partition spec of the table fits the lake's partition keys.
    #[error(
        "table {table} cannot take files partitioned by ({keys}): {problem}; the table has {specs}"
    )]
    SpecMismatch {
        /// The table.
        table: TableIdent,
        /// The lake's partition keys, joined.
        keys: String,
        /// What does not fit.
        problem: String,
        /// The table's partition specs, for people.
        specs: String,
    },
    /// Files of the source are in the table already.
    #[error("{count} files of the source are already in table {table}, among them {}", examples.join(", "))]
    Duplicates {
        /// The table.
        table: TableIdent,
        /// How many.
        count: u64,
        /// The first of them.
        examples: Vec<String>,
    },
    /// The table changed in a way that makes the surveyed files unfit.
    #[error("table {table} changed while its new files were read: {problem}")]
    TargetChanged {
        /// The table.
        table: TableIdent,
        /// What changed.
        problem: String,
    },
    /// The rows have something that the table lacks, and the table's schema must not grow.
    #[error("table {table} lacks what the rows have: {change}{}", more(*count))]
    SchemaWouldChange {
        /// The table.
        table: TableIdent,
        /// The first change that would be needed.
        change: calve_table::SchemaChange,
        /// How many changes would be needed.
        count: usize,
    },
    /// The rows stopped coming.
    #[error("{source}")]
    Rows {
        /// Why.
        #[source]
        source: crate::ingest::StreamError,
    },
    /// The table's schema, properties or a file's columns are not as they must be.
    #[error("table {table}: {source}")]
    Schema {
        /// The table.
        table: TableIdent,
        /// What is wrong.
        #[source]
        source: calve_parquet::Error,
    },
    /// Iceberg's own rules are broken.
    #[error("table {table}: {source}")]
    Iceberg {
        /// The table.
        table: TableIdent,
        /// What is wrong.
        #[source]
        source: iceberg::Error,
    },
    /// The table is there, and no unfinished run of the same rewrite made it.
    #[error("table {table} exists already")]
    TargetExists {
        /// The table.
        table: TableIdent,
    },
    /// The table is an unfinished rewrite's that was told to do something else.
    #[error("table {table} is that of the unfinished migration {id}, which has other options")]
    OtherMigration {
        /// The table.
        table: TableIdent,
        /// The migration.
        id: MigrationId,
    },
    /// A table cannot be kept in step with what was rewritten into it.
    #[error("table {table} cannot be brought in step with its source: {problem}")]
    CannotUpdate {
        /// The table.
        table: TableIdent,
        /// Why.
        problem: String,
    },
    /// The rows of a source were copied into the table: its files would hold them once more.
    #[error(
        "migration {id} copied the rows of {source_name} into table {table}: with its files, they would be there twice"
    )]
    Copied {
        /// The table.
        table: TableIdent,
        /// The migration.
        id: MigrationId,
        /// Where its rows came from, as it was named.
        source_name: String,
    },
    /// The table would lie inside of its source, or around it.
    #[error("the table at {location} would overlap its source at {source_location}")]
    Overlap {
        /// Where the table would lie.
        location: Location,
        /// Where the source lies.
        source_location: Location,
    },
    /// A file of the source changed while it was read.
    #[error("{file} {change} since the source was listed")]
    SourceChanged {
        /// The file.
        file: Location,
        /// `is gone`, `is another`.
        change: &'static str,
    },
    /// The source changed since an earlier run of the migration.
    #[error("the source changed since migration {id} began: batch {batch} is not what it was")]
    SourceDiffers {
        /// The migration.
        id: MigrationId,
        /// The first batch that differs.
        batch: u64,
    },
    /// Another run goes on with the migration.
    #[error("another run goes on with migration {id}")]
    TakenOver {
        /// The migration.
        id: MigrationId,
    },
    /// What was written of a batch is not what was read.
    #[error("batch of {batch}: {what}: {read} were read, and {written} written")]
    BatchDiffers {
        /// Which rows it has.
        batch: String,
        /// What differs.
        what: String,
        /// What was read.
        read: String,
        /// What was written.
        written: String,
    },
    /// A column has too many values to make a batch of each.
    #[error("column `{column}` has more than {limit} values, too many for batches")]
    TooManyBatches {
        /// The column.
        column: String,
        /// How many it may have.
        limit: usize,
    },
    /// The source's files do not say how many rows they have.
    #[error("the files do not say how many rows they have")]
    RowsUnknown,
    /// A column that cannot tell batches apart.
    #[error("column `{column}` cannot make batches")]
    BatchColumn {
        /// The column.
        column: String,
    },
    /// A column's type has no place in an Iceberg table.
    #[error("column `{column}`: Iceberg has no type for {found}")]
    NoType {
        /// The column, dotted.
        column: String,
        /// Its type.
        found: arrow::datatypes::DataType,
    },
    /// The rows cannot be read.
    #[error(transparent)]
    Query(#[from] calve_query::Error),
    /// A migration of that id has a journal already.
    #[error("migration {id} has begun already: {location}")]
    JournalExists {
        /// The migration.
        id: MigrationId,
        /// Its description.
        location: Location,
    },
    /// There is no journal of that migration.
    #[error("there is no journal of migration {id}: {location}")]
    JournalMissing {
        /// The migration.
        id: MigrationId,
        /// Where its description would be.
        location: Location,
    },
    /// Another run changed the journal meanwhile.
    #[error("another run goes on with migration {id}: it changed {location}")]
    JournalChanged {
        /// The migration.
        id: MigrationId,
        /// Its description.
        location: Location,
    },
    /// A document of a journal cannot be read or written.
    #[error("{location}: {source}")]
    JournalDocument {
        /// The document.
        location: Location,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A document of a journal was written by a later release.
    #[error("{location} is of version {version}, which this release does not know")]
    JournalVersion {
        /// The document.
        location: Location,
        /// Its version.
        version: u64,
    },
    /// The table is there already.
    #[error("table {table} exists")]
    NameTaken {
        /// The table.
        table: TableIdent,
    },
    /// A table's folder and its source would lie in one another.
    #[error("the table's location {location} and the source {source_name} overlap")]
    LocationOverlaps {
        /// Where the table was to lie.
        location: Location,
        /// The source, as the user named it.
        source_name: String,
    },
    /// The entry cannot become an Iceberg table.
    #[error("{table} cannot be migrated: {reason}")]
    CannotMigrate {
        /// The entry.
        table: TableIdent,
        /// Why.
        reason: String,
    },
    /// The table over the source's files is not equal to the source.
    #[error("{table} was not migrated, since the new table is not as the source: {source}")]
    NotProven {
        /// The entry.
        table: TableIdent,
        /// What differs, or why it could not be compared.
        #[source]
        source: crate::ingest::StreamError,
    },
    /// The source changed while it was worked on.
    #[error("{source_name} changed meanwhile: {change}")]
    EntryChanged {
        /// The source, as the user named it.
        source_name: String,
        /// What changed.
        change: String,
    },
    /// The migration is not in a state in which this can be done.
    #[error("{id} cannot be {action}: {reason}")]
    WrongState {
        /// The migration.
        id: MigrationId,
        /// What was asked for: `rolled back`, `finalized`.
        action: &'static str,
        /// Why not.
        reason: String,
    },
    /// An undo record lacks something.
    #[error("the undo record has no {what}")]
    NoUndo {
        /// What it lacks.
        what: &'static str,
    },
    /// A part of an undo record is gone.
    #[error("{id}: {location}, a part of its undo record, is missing")]
    UndoIncomplete {
        /// The migration.
        id: MigrationId,
        /// The missing document.
        location: Location,
    },
    /// A text is no id of a migration.
    #[error(transparent)]
    MigrationId(#[from] MigrationIdError),
    /// What is known of the source's columns makes no schema.
    #[error("{source_name}: {source}")]
    SourceSchema {
        /// The source, as the user named it.
        source_name: String,
        /// What is wrong.
        #[source]
        source: calve_parquet::Error,
    },
    /// A cache would lie among the files that it is about.
    #[error("the cache {cache} would lie in the source {source_location}")]
    CacheInSource {
        /// The cache.
        cache: Location,
        /// The source.
        source_location: Location,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
    /// The catalog has Iceberg tables only.
    #[error("catalog {catalog} has no Hive-style tables, so {table} cannot be entered")]
    NoMetastore {
        /// The catalog's name.
        catalog: String,
        /// The table that was to be entered.
        table: TableIdent,
    },
    /// The entry that is there is another kind of table, or of other files.
    #[error("{table} is in the catalog already: {problem}")]
    EntryDiffers {
        /// The table.
        table: TableIdent,
        /// What differs.
        problem: String,
    },
    /// The entry that is there says something else, and must not change.
    #[error("{table} is in the catalog already, and differs: {}", joined(changes))]
    EntryWouldChange {
        /// The table.
        table: TableIdent,
        /// In what.
        changes: Vec<crate::register_hive::EntryChange>,
    },
    /// A file contradicts those before it.
    #[error("{file}: {source}")]
    CrawledFile {
        /// The file.
        file: Location,
        /// What contradicts.
        #[source]
        source: calve_parquet::Error,
    },
    /// A file was named where a folder is wanted.
    #[error("{location} is a file: a Hive-style table is a folder of files")]
    NoFolder {
        /// The file.
        location: Location,
    },
    /// Hive cannot spell a type.
    #[error("column `{column}`: the name `{field}` cannot stand in a Hive type")]
    HiveName {
        /// The column.
        column: String,
        /// The name inside of it.
        field: String,
    },
    /// The store failed while footers were read: no verdict on the file.
    #[error(transparent)]
    Footer(#[from] calve_lake::footer::FooterError),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] calve_lake::Error),
    /// The table cannot be written.
    #[error(transparent)]
    Table(#[from] calve_table::Error),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] calve_catalog::Error),
}

/// The first few changes, as one line.
fn joined(changes: &[crate::register_hive::EntryChange]) -> String {
    const SHOWN: usize = 3;
    let shown = changes.iter().take(SHOWN).map(ToString::to_string);
    let shown: Vec<String> = shown.collect();
    format!(
        "{}{}",
        shown.join("; "),
        more(changes.len().saturating_sub(SHOWN - 1))
    )
}

fn more(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        rest => format!(" (and {rest} more)"),
    }
}

/// What the operations of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_retryable(),
            Self::Query(error) => error.is_retryable(),
            Self::Footer(error) => error.is_retryable(),
            Self::Lake(error) => error.is_retryable(),
            Self::Table(error) => error.is_retryable(),
            Self::Catalog(error) => error.is_retryable(),
            _ => false,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of error")]
    fn hint(&self) -> Option<String> {
        match self {
            Self::TargetMissing { .. } => Some("create the table first, or leave out --no-create".to_owned()),
            Self::TargetDiffers { .. } => {
                Some("leave the option out: it is for a table that is created".to_owned())
            }
            Self::NoSchema { .. } => {
                Some("create the table with a schema first, or point at a folder that holds Parquet files".to_owned())
            }
            Self::SpecMismatch { .. } => Some(
                "name another table, or rewrite the data into this one's partitioning with `ctas`".to_owned(),
            ),
            Self::Duplicates { .. } => Some(
                "add only what is new with --on-duplicate skip, or add them twice with --no-check-duplicates"
                    .to_owned(),
            ),
            Self::NoMetastore { .. } => {
                Some("choose a catalog of type glue, or put the data into an Iceberg table with --table".to_owned())
            }
            Self::EntryDiffers { .. } => Some("enter the files under another name".to_owned()),
            Self::EntryWouldChange { .. } => Some("bring the entry up to date with --update".to_owned()),
            Self::CrawledFile { source, .. } => source.hint(),
            Self::NoFolder { .. } => Some("name the folder that it lies in".to_owned()),
            Self::HiveName { .. } => Some("rename the field, or leave the column out".to_owned()),
            Self::TargetChanged { .. } => Some("run the same command again".to_owned()),
            Self::Schema { source, .. } => source.hint(),
            Self::SchemaWouldChange { .. } => Some(
                "let the table's schema grow, or leave the new columns out of the rows".to_owned(),
            ),
            Self::TargetExists { .. } => Some("name another table, or drop this one first".to_owned()),
            Self::OtherMigration { .. } => Some(
                "run the command that began it again, or drop the table and begin anew".to_owned(),
            ),
            Self::Copied { .. } => Some(
                "copy what appeared since by the `ctas` command that made the table, with --update; or name another \
                 table, over the files where they lie"
                    .to_owned(),
            ),
            Self::CannotUpdate { .. } => Some("rewrite the source into another table".to_owned()),
            Self::Overlap { .. } => Some("give the table another --location".to_owned()),
            Self::SourceChanged { .. } => Some(
                "run the same command again once nobody writes to the source".to_owned(),
            ),
            Self::SourceDiffers { .. } => {
                Some(
                    "go on with --update, which takes the source as it is now, or drop the table and begin anew"
                        .to_owned(),
                )
            }
            Self::TakenOver { .. } => Some("let the other run end".to_owned()),
            Self::BatchDiffers { .. } => Some(
                "nothing of the batch was committed; look whether the source changed, and run the \
                 same command again"
                    .to_owned(),
            ),
            Self::TooManyBatches { .. } | Self::BatchColumn { .. } => Some(
                "name a column of whole numbers, dates or text with few values, or use \
                 bytes=SIZE or rows=N"
                    .to_owned(),
            ),
            Self::RowsUnknown => Some("cut batches by bytes=SIZE".to_owned()),
            Self::NoType { .. } => {
                Some("cast the column with --select, or leave it out".to_owned())
            }
            Self::Query(error) => error.hint(),
            Self::JournalMissing { .. } | Self::MigrationId(_) => {
                Some("list the migrations of a table with `calve show TABLE --migrations`".to_owned())
            }
            Self::JournalExists { .. } | Self::JournalChanged { .. } => {
                Some("let the other run end, then run the same command again".to_owned())
            }
            Self::JournalVersion { .. } => Some("use the release that wrote it, or a later one".to_owned()),
            Self::Iceberg { .. } | Self::Rows { .. } | Self::JournalDocument { .. } => None,
            Self::NameTaken { .. } => Some("choose another name, or drop the table first".to_owned()),
            Self::LocationOverlaps { .. } => {
                Some("name a folder outside of the source with --location".to_owned())
            }
            Self::CannotMigrate { .. } => {
                Some("make a new table of its rows with `ctas`".to_owned())
            }
            Self::CacheInSource { .. } => Some("keep it in another folder".to_owned()),
            Self::EntryChanged { .. } => Some("run the same command again".to_owned()),
            Self::NotProven { .. } | Self::NoUndo { .. } | Self::WrongState { .. } | Self::UndoIncomplete { .. } | Self::SourceSchema { .. } => None,
            Self::Storage(error) => error.hint(),
            Self::Footer(error) => error.hint(),
            Self::Lake(error) => error.hint(),
            Self::Table(error) => error.hint(),
            Self::Catalog(error) => error.hint(),
        }
    }
}
