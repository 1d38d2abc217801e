//! Every flag, as the user types it. Nothing here decides: see [`crate::settings`].

mod assess;
mod compact;
mod crawl;
mod ctas;
mod migrate;
mod reader;
mod rewrite_deletes;
mod upkeep;
mod xml;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::status::EXIT_STATUS_HELP;

pub(crate) use assess::{AssessFlags, AssessFormatFlag};
pub(crate) use compact::{CompactFlags, StrategyFlag};
pub(crate) use crawl::{CrawlFlags, CrawlFormatFlag};
pub(crate) use ctas::{CtasFlags, LakeFormatFlag};
pub(crate) use migrate::{
    FinalizeFlags, MigrateFlags, ProofFlag, ReportFlags, RollbackFlags, SnapshotFlags, SwapFlags,
};
pub(crate) use reader::{ReaderFlag, ReaderFlags};
pub(crate) use rewrite_deletes::RewriteDeletesFlags;
pub(crate) use upkeep::{
    CleanUpFlag, ExpireSnapshotsFlags, PrefixMismatchFlag, RemoveOrphansFlags,
    RewriteManifestsFlags,
};
pub(crate) use xml::{
    CompressionFlag, IfExistsFlag, InferenceFlags, MixedTypesFlag, ModeFlag, NamespacesFlag,
    OnDriftFlag, ReadingFlags, XmlCommand, XmlConvertFlags, XmlFlags, XmlInferFlags,
};

/// Turns data lakes into Apache Iceberg tables, without a cluster.
#[derive(Debug, Parser)]
#[command(name = "calve", version, after_help = EXIT_STATUS_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: GlobalFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what lies in a lake before anything moves, and which way into Iceberg to take
    ///
    /// SOURCE is a folder or a file, or a Hive-style table of the Glue catalog (`glue:db.table`). Each
    /// footer is read once and judged as `add-files` judges it; nothing is written. The report tells
    /// sizes, partitions, differing schemas, types that readers get wrong, who else has to do with the
    /// files, and what each way costs, and ends with the commands to run.
    Assess(WithGlobals<AssessFlags>),
    /// Put the Parquet files of a lake into an Iceberg table, where they lie
    ///
    /// SOURCE is a folder or a file (`s3://bucket/prefix`, a path), or a Hive-style table of the
    /// Glue catalog (`glue:db.table`). Only footers are read; no data file is copied or changed.
    /// The table is created if it is not there. One snapshot is committed, or nothing.
    AddFiles(WithGlobals<AddFilesFlags>),
    /// Make a trial Iceberg table over the files of a lake, which stay the lake's
    ///
    /// The table keeps its metadata in a folder of its own, and has `gc.enabled=false`: whatever is done
    /// to it, no file of the source is deleted.
    Snapshot(WithGlobals<SnapshotFlags>),
    /// Make an Iceberg table of a Hive-style table of Glue: the entry itself changes, at once
    ///
    /// The files stay where they are. Before the entry is replaced, all of it and all its partitions are
    /// written down, and the new table is compared with the source. `calve rollback` undoes it.
    Migrate(WithGlobals<MigrateFlags>),
    /// Give a table the name of another one, which is kept under a backup name
    Swap(WithGlobals<SwapFlags>),
    /// Undo a migration: everything as it was before
    Rollback(WithGlobals<RollbackFlags>),
    /// Make a migration final: the table owns its files, and nothing is kept to go back to
    Finalize(WithGlobals<FinalizeFlags>),
    /// Tell what a migration did, as one HTML page: files before and after, checks, cost
    Report(WithGlobals<ReportFlags>),
    /// Rewrite the rows of a source into a new table, batch by batch
    ///
    /// SOURCE is a folder or a file of Parquet, a Hive-style table of the Glue catalog
    /// (`glue:db.table`) or an Iceberg table (`iceberg:db.table`). Each batch is one snapshot,
    /// compared with what was read before it is committed. When the run is cut off, the same command
    /// goes on where it ended. Types that Iceberg lacks become those it has: milliseconds and
    /// nanoseconds microseconds, INT96 instants, unsigned integers wider ones.
    Ctas(WithGlobals<Box<CtasFlags>>),
    /// Rewrite small files of a table as larger ones, without the rows that are deleted
    ///
    /// Which files, and together with which others, is decided as Spark's `rewrite_data_files` does, by its
    /// options; `--dry-run` tells. Files that others add meanwhile stay, and a group whose files others
    /// change is dropped. Running it again does nothing.
    Compact(WithGlobals<CompactFlags>),
    /// List the files of a table in fewer manifests, those of near partitions together
    ///
    /// The manifests of one partition spec become those of `commit.manifest.target-size-bytes` (8 MiB). No file is
    /// read or changed. Running it again does nothing.
    RewriteManifests(WithGlobals<RewriteManifestsFlags>),
    /// Let old snapshots of a table expire, and delete the files that only they lead to
    ///
    /// The newest snapshot of each branch and those that tags name stay. The change of metadata is committed first;
    /// files are deleted after that, if nothing that the table still has leads to them. Refused where the table does
    /// not own its files (`gc.enabled=false`), unless with `--clean-up none`.
    ExpireSnapshots(WithGlobals<ExpireSnapshotsFlags>),
    /// Delete files in a table's folders that nobody needs
    ///
    /// What any snapshot refers to stays, and so do metadata files of the log, statistics, journals, files of runs
    /// that have not ended, hidden files, files younger than 3 days, and those of other tables: tables in folders
    /// below, and tables of the catalog that refer to files here. `--dry-run` tells why.
    RemoveOrphans(WithGlobals<Box<RemoveOrphansFlags>>),
    /// Rewrite small position delete files of a table as larger ones, or as deletion vectors
    ///
    /// Positions of data files that are gone are dropped. In a table of format version 3 all position deletes
    /// become deletion vectors. No row changes, and running it again does nothing.
    RewriteDeletes(WithGlobals<RewriteDeletesFlags>),
    /// Prove that a source and a table hold the same rows
    Verify(WithGlobals<Box<VerifyFlags>>),
    /// Bring a table in step with a lake that goes on changing
    Sync(WithGlobals<SyncFlags>),
    /// Nested XML: infer the schema of its rows, convert them to Parquet or into a table
    #[command(subcommand)]
    Xml(XmlCommand),
    /// Enter the files of a folder into Glue, as a crawler does
    ///
    /// LOCATION is a folder of Parquet files, in which folders `key=value` are partitions, or of XML. The
    /// columns are those of all files, not of a sample. Running it again changes nothing, but for new
    /// partitions.
    Crawl(WithGlobals<Box<CrawlFlags>>),
    /// Run a query over the catalog's tables, their metadata tables and Parquet lakes
    ///
    /// `db.table` is a table, `db.table.files` (`snapshots`, `history`, `manifests`, `partitions`,
    /// `refs`, `entries`) are its metadata tables, and a quoted location is a Parquet lake.
    Sql(WithGlobals<SqlFlags>),
    /// List the tables of the catalog
    Tables(WithGlobals<TablesFlags>),
    /// Show one table: location, schema, partitioning, properties, current snapshot
    Show(WithGlobals<ShowFlags>),
    /// Enter an existing metadata file into the catalog under a free name
    Register(WithGlobals<RegisterFlags>),
    /// Take a table out of the catalog; its files stay unless `--purge` is given
    Drop(WithGlobals<DropFlags>),
    /// Print the completion script of a shell
    Completions(CompletionsFlags),
    /// Print the manual page
    Man,
}

/// A command's own flags, with the global ones, which may stand before or after the command.
#[derive(Debug, Args)]
pub(crate) struct WithGlobals<T: Args> {
    #[command(flatten)]
    pub(crate) flags: T,
    #[command(flatten)]
    pub(crate) globals: GlobalFlags,
}

/// Flags that every command has.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalFlags {
    /// The catalog to use; without configuration `default` is SQLite `./calve.db` with warehouse
    /// `./warehouse`
    #[arg(long, value_name = "NAME")]
    pub(crate) catalog: Option<String>,
    /// The configuration file, instead of `calve.toml` in the working directory
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A property of the catalog by Iceberg's name, such as `s3.endpoint=http://…` (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// How results are printed on stdout; `json` is exactly one document
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output_format: Option<OutputFormat>,
    /// Print what would be done, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many requests or files are in flight at once
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) concurrency: Option<usize>,
    /// How much memory queries may take, such as `4GB`; beyond it they spill
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Where queries spill to
    #[arg(long, value_name = "DIR")]
    pub(crate) spill_dir: Option<PathBuf>,
    /// Print no notes and draw no progress bars
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Log more on stderr (repeatable); `RUST_LOG` says more exactly what
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Draw no progress bars
    #[arg(long)]
    pub(crate) no_progress: bool,
    /// Whether messages are coloured
    #[arg(long, value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,
    /// End the process at this step, for tests of what the next run makes of it
    #[arg(long, value_name = "STEP", hide = true)]
    pub(crate) fail_point: Option<String>,
}

impl GlobalFlags {
    /// Joins the flags before the command (`self`) with those after it, which win.
    pub(crate) fn merge(mut self, after: Self) -> Self {
        self.set.extend(after.set);
        Self {
            catalog: after.catalog.or(self.catalog),
            config: after.config.or(self.config),
            set: self.set,
            output_format: after.output_format.or(self.output_format),
            dry_run: after.dry_run || self.dry_run,
            concurrency: after.concurrency.or(self.concurrency),
            memory: after.memory.or(self.memory),
            spill_dir: after.spill_dir.or(self.spill_dir),
            quiet: after.quiet || self.quiet,
            verbose: after.verbose.saturating_add(self.verbose),
            no_progress: after.no_progress || self.no_progress,
            color: after.color.or(self.color),
            fail_point: after.fail_point.or(self.fail_point),
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

/// When messages are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Flags of `calve add-files`.
#[derive(Debug, Args)]
pub(crate) struct AddFilesFlags {
    /// A folder, a file, or `glue:db.table`
    pub(crate) source: String,
    /// The table that the files go into, as `db.table`
    #[arg(long)]
    pub(crate) table: String,
    /// Take only partitions with this value (repeatable); other folders are not even listed
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) partition_filter: Vec<(String, String)>,
    /// The type of a partition key, such as `year=int`, instead of the one found (repeatable)
    #[arg(long, value_name = "KEY=TYPE", value_parser = key_value)]
    pub(crate) partition_type: Vec<(String, String)>,
    /// What to do with folders that are no partition, below one
    #[arg(long, value_name = "HOW")]
    pub(crate) recursive: Option<RecursiveFlag>,
    /// What to do with files that the table already has; `fail` commits nothing
    #[arg(long, value_name = "HOW")]
    pub(crate) on_duplicate: Option<OnDuplicateFlag>,
    /// Do not look for files that the table already has: `--on-duplicate allow`
    #[arg(long, conflicts_with = "on_duplicate")]
    pub(crate) no_check_duplicates: bool,
    /// Fail if the table is not there, instead of creating it
    #[arg(long)]
    pub(crate) no_create: bool,
    /// What to do with files that some engines read wrongly where they lie
    #[arg(long, value_name = "HOW")]
    pub(crate) on_unsafe: Option<OnUnsafeFlag>,
    /// What to do when a file is refused: commit nothing, or commit the others
    #[arg(long, value_name = "HOW")]
    pub(crate) on_refused: Option<OnRefusedFlag>,
    /// How INT96 timestamps were meant when they were written
    #[arg(long, value_name = "AS")]
    pub(crate) int96: Option<Int96Flag>,
    /// Add files that have columns which the table does not have; these stay unread
    #[arg(long)]
    pub(crate) allow_extra_columns: bool,
    /// Whether clean-up of the table may delete the files: `protect` sets `gc.enabled=false`
    #[arg(long, value_name = "HOW")]
    pub(crate) gc: Option<GcFlag>,
    /// Where a new table keeps its metadata
    #[arg(long)]
    pub(crate) location: Option<String>,
    /// A property of a new table (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) property: Vec<(String, String)>,
    /// The format version of a new table
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) format_version: Option<u8>,
    /// Compare source and table afterwards, in the same report
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_missing_value = "aggregates")]
    pub(crate) verify: Option<LevelFlag>,
}

/// How folders that are no partition are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecursiveFlag {
    /// They are an error.
    Fail,
    /// Their files are taken.
    True,
    /// They are skipped, and reported.
    False,
}

/// What becomes of files that the table already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDuplicateFlag {
    /// They are an error.
    Fail,
    /// They are skipped, and reported.
    Skip,
    /// They are added again, unseen.
    Allow,
}

/// Who may delete the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GcFlag {
    /// Not the table: others may still read them.
    Protect,
    /// The table owns them from now on.
    Own,
}

/// What becomes of files that are unsafe to read in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnUnsafeFlag {
    /// They are refused.
    Refuse,
    /// They are added, with a warning.
    Allow,
}

/// What becomes of the run when files are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnRefusedFlag {
    /// Nothing is committed.
    Fail,
    /// The others are committed.
    Skip,
}

/// What INT96 timestamps mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Int96Flag {
    /// Points in time, as Spark writes them: `timestamptz`.
    Instant,
    /// What a clock on the wall showed, as Hive and Impala write them: `timestamp`.
    Local,
}

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelFlag {
    /// Rows, by partition.
    Counts,
    /// Rows, nulls, smallest and largest values, sums and hashes of every column, by partition.
    Aggregates,
    /// Hashes of every column and of all rows, by partition, and the rows that differ.
    Rows,
}

/// Flags of `calve sync`.
#[derive(Debug, Args)]
pub(crate) struct SyncFlags {
    /// A folder, or `glue:db.table`
    pub(crate) source: String,
    /// The table to bring in step, as `db.table`
    #[arg(long)]
    pub(crate) table: String,
    /// What to do with files that changed since the last run
    #[arg(long, value_name = "HOW")]
    pub(crate) on_changed: Option<OnChangedFlag>,
    /// What to do with files that vanished from the source
    #[arg(long, value_name = "HOW")]
    pub(crate) on_deleted: Option<OnDeletedFlag>,
    /// What to do with files that some engines read wrongly where they lie
    #[arg(long, value_name = "HOW")]
    pub(crate) on_unsafe: Option<OnUnsafeFlag>,
    /// What to do when a file is refused: commit nothing, or commit the others
    #[arg(long, value_name = "HOW")]
    pub(crate) on_refused: Option<OnRefusedFlag>,
    /// How INT96 timestamps were meant when they were written
    #[arg(long, value_name = "AS")]
    pub(crate) int96: Option<Int96Flag>,
    /// Add files that have columns which the table does not have; these stay unread
    #[arg(long)]
    pub(crate) allow_extra_columns: bool,
    /// Fail if the table is not there, instead of creating it
    #[arg(long)]
    pub(crate) no_create: bool,
}

/// What becomes of files that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnChangedFlag {
    /// They are reported, and the table has what was there before.
    Keep,
    /// The table gets what is there now.
    Replace,
}

/// What becomes of files that vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDeletedFlag {
    /// They are reported, and the table keeps them.
    Keep,
    /// The table loses them.
    Remove,
}

/// Flags of `calve verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyFlags {
    /// A folder, a file, `glue:db.table`, or `iceberg:db.table`
    pub(crate) source: String,
    /// The table to compare with, as `db.table`
    #[arg(long)]
    pub(crate) table: String,
    /// How much is compared
    #[arg(long, value_name = "LEVEL")]
    pub(crate) level: Option<LevelFlag>,
    /// With `--level rows`: columns whose values tell which row of the source is which of the table
    /// (repeatable)
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    pub(crate) key: Vec<String>,
    /// With `--level rows`: how many rows that differ are looked up on either side; 1000, or all with
    /// `--differences`
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) limit: Option<usize>,
    /// With `--level rows`: a file for the rows that differ, lines of JSON, or Parquet where its name
    /// ends in `.parquet`
    #[arg(long, value_name = "FILE")]
    pub(crate) differences: Option<PathBuf>,
    /// Compare only a part of the rows, such as 0.01, whole partitions where there are any
    #[arg(long, value_name = "FRACTION")]
    pub(crate) sample: Option<f64>,
    #[command(flatten)]
    pub(crate) reader: ReaderFlags,
    /// Compare only partitions with this value (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) partition_filter: Vec<(String, String)>,
    /// The type of a partition key, instead of the table's (repeatable)
    #[arg(long, value_name = "KEY=TYPE", value_parser = key_value)]
    pub(crate) partition_type: Vec<(String, String)>,
    /// Read this snapshot of the table instead of the current one
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) snapshot_id: Option<i64>,
    /// What to do with folders that are no partition, below one
    #[arg(long, value_name = "HOW")]
    pub(crate) recursive: Option<RecursiveFlag>,
    /// What the files of a lake are, as `ctas --format`
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<LakeFormatFlag>,
}

/// Flags of `calve sql`.
#[derive(Debug, Args)]
pub(crate) struct SqlFlags {
    /// The query; `-` reads it from stdin
    pub(crate) query: String,
    /// How rows are printed; the default follows `--output-format`
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,
    /// Print the plan of the query instead of its rows
    #[arg(long)]
    pub(crate) explain: bool,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns.
    Table,
    /// One array of row objects.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// A Parquet file.
    Parquet,
}

/// Flags of `calve tables`.
#[derive(Debug, Args)]
pub(crate) struct TablesFlags {
    /// Only the tables of this namespace
    pub(crate) namespace: Option<String>,
}

/// Flags of `calve show`.
#[derive(Debug, Args)]
pub(crate) struct ShowFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// List the table's migrations instead, with their ids
    #[arg(long)]
    pub(crate) migrations: bool,
}

/// Flags of `calve register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterFlags {
    /// The name it gets, as `db.table`
    pub(crate) table: String,
    /// The metadata file (`…/metadata/00000-….metadata.json`)
    pub(crate) metadata: String,
}

/// Flags of `calve drop`.
#[derive(Debug, Args)]
pub(crate) struct DropFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// Also delete every file that the table refers to, data files included; refused while
    /// `gc.enabled` is `false`
    #[arg(long)]
    pub(crate) purge: bool,
}

/// Flags of `calve completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsFlags {
    /// The shell
    pub(crate) shell: Shell,
}

/// Reads `key=value`. The value may hold further `=` signs and may be empty.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Reads a number that is at least one.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number above 0".to_owned()),
    }
}
