//! Flags of `calve xml`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};

use super::{WithGlobals, key_value, positive};

/// The commands of `calve xml`.
#[derive(Debug, Subcommand)]
pub(crate) enum XmlCommand {
    /// Infer the schema of the rows
    ///
    /// INPUT is a file, a folder or a glob (`s3://bucket/in/*.xml.gz`); compressed files (gz, bz2, zstd,
    /// xz, zip) are read as they are. All rows of all files count, unless a sample is asked for.
    Infer(WithGlobals<Box<XmlInferFlags>>),
    /// Convert the rows to Parquet, or put them into a table
    ///
    /// Without a schema one is inferred first, so that the input is read twice.
    Convert(WithGlobals<Box<XmlConvertFlags>>),
}

/// Which documents are read, and how.
#[derive(Debug, Args)]
pub(crate) struct XmlFlags {
    /// Files, folders or globs; or XML that is entered in Glue, as `glue:db.table`
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    /// The element that is a row: a name, `{namespace}name`, or a path from the root such as `response/row/row`;
    /// an entry of Glue says it
    #[arg(long, value_name = "TAG")]
    pub(crate) row_tag: Option<String>,
    #[command(flatten)]
    pub(crate) reading: ReadingFlags,
}

/// How rows are mapped to columns. Names are Spark's.
#[derive(Debug, Args)]
#[command(next_help_heading = "XML options")]
pub(crate) struct ReadingFlags {
    /// Before the names of attributes [default: _]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) attribute_prefix: Option<String>,
    /// Leave attributes out
    #[arg(long)]
    pub(crate) exclude_attributes: bool,
    /// The name of an element's own text beside attributes or children [default: _VALUE]
    #[arg(long, value_name = "NAME")]
    pub(crate) value_tag: Option<String>,
    /// The text that means null
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) null_value: Option<String>,
    /// Take empty and blank values for null
    #[arg(long)]
    pub(crate) treat_empty_values_as_nulls: bool,
    /// Whether white space around values is dropped [default: true]
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) ignore_surrounding_spaces: Option<bool>,
    /// What is done with namespace prefixes [default: keep]
    #[arg(long, value_name = "HOW")]
    pub(crate) namespaces: Option<NamespacesFlag>,
    /// What becomes of rows that are malformed or do not fit [default: permissive]
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<ModeFlag>,
    /// The column that takes the text of bad rows [default: `_corrupt_record`]
    #[arg(long, value_name = "NAME")]
    pub(crate) corrupt_record_column: Option<String>,
    /// The encoding of documents that do not say, or say it wrongly
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
    /// The pattern of dates, in Spark's letters
    #[arg(long, value_name = "PATTERN")]
    pub(crate) date_format: Option<String>,
    /// The pattern of timestamps with a zone
    #[arg(long, value_name = "PATTERN")]
    pub(crate) timestamp_format: Option<String>,
    /// The pattern of timestamps without a zone
    #[arg(long, value_name = "PATTERN")]
    pub(crate) timestamp_ntz_format: Option<String>,
    /// The zone of timestamps that name none [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) time_zone: Option<String>,
    /// The deepest nesting of elements [default: 512]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) max_depth: Option<usize>,
    /// The largest row, such as `256MB`; it must fit into memory
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_row_size: Option<String>,
    /// How much the document's own entities may add, such as `16MB`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_entity_expansion: Option<String>,
    /// The longest name of an element or attribute, such as `4KiB`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_name_size: Option<String>,
    /// The longest attributes of one element, together, such as `64MiB`
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_attributes_size: Option<String>,
    /// The most attributes of one element [default: 10000]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) max_attributes: Option<usize>,
    #[command(flatten)]
    pub(crate) inference: InferenceFlags,
}

/// How types are inferred.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inference options")]
pub(crate) struct InferenceFlags {
    /// Infer from the first N rows only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sample_rows: Option<u64>,
    /// Infer from about this part of the rows, such as `0.1`: the same ones whatever the order of the files
    #[arg(long, value_name = "RATIO", conflicts_with = "sample_rows")]
    pub(crate) sampling_ratio: Option<f64>,
    /// The type of a column, as `path=decimal(12,2)` (repeatable)
    #[arg(long = "type", value_name = "PATH=TYPE", value_parser = key_value)]
    pub(crate) types: Vec<(String, String)>,
    /// A column that is a list, although it may never come twice in a row (repeatable)
    #[arg(long = "array", value_name = "PATH")]
    pub(crate) arrays: Vec<String>,
    /// Whether types are inferred at all; else all values are strings [default: true]
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    pub(crate) infer_types: Option<bool>,
    /// Take numbers with a fraction for decimals, not doubles
    #[arg(long)]
    pub(crate) prefers_decimal: bool,
    /// Take timestamps that name no zone for such without one
    #[arg(long)]
    pub(crate) prefers_timestamp_ntz: bool,
    /// Keep numbers with leading zeros as strings
    #[arg(long)]
    pub(crate) keep_leading_zeros: bool,
    /// What becomes of columns that have values in some rows and children in others
    /// [default: raw-xml]
    #[arg(long, value_name = "HOW", conflicts_with = "resolve_choice")]
    pub(crate) mixed_types: Option<MixedTypesFlag>,
    /// Keep values of several types in one column apart: `make_cols`, `make_struct`, `cast:TYPE`,
    /// `project:TYPE` or `match_catalog` (the type in the table that the rows go into, or come from) for
    /// all such columns, or `PATH:ACTION` for one (repeatable)
    #[arg(long, value_name = "ACTION")]
    pub(crate) resolve_choice: Vec<String>,
}

/// Flags of `calve xml infer`.
#[derive(Debug, Args)]
pub(crate) struct XmlInferFlags {
    #[command(flatten)]
    pub(crate) xml: XmlFlags,
    /// Write the schema to this file, as `xml convert --schema` reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) schema_out: Option<PathBuf>,
}

/// Flags of `calve xml convert`.
#[derive(Debug, Args)]
pub(crate) struct XmlConvertFlags {
    #[command(flatten)]
    pub(crate) xml: XmlFlags,
    /// Where Parquet files go: a folder, or one file when it ends in `.parquet`
    #[arg(long, value_name = "LOCATION", required_unless_present = "table")]
    pub(crate) out: Option<String>,
    /// What to do when there are Parquet files already where `--out` leads [default: fail]
    #[arg(long, value_name = "HOW", conflicts_with = "table")]
    pub(crate) if_exists: Option<IfExistsFlag>,
    /// The Iceberg table that the rows go into, as `db.table`
    #[arg(long, conflicts_with = "out")]
    pub(crate) table: Option<String>,
    /// Enter the files into Glue under this name, as a Hive-style table with its partitions
    #[arg(
        long,
        value_name = "TABLE",
        conflicts_with_all = ["table", "relationalize"]
    )]
    pub(crate) register: Option<String>,
    /// The schema of the rows: Spark's or Glue's JSON, or Spark's DDL text, in a file
    #[arg(long, value_name = "FILE", conflicts_with = "xsd")]
    pub(crate) schema: Option<PathBuf>,
    /// The XML Schema that the rows are described by; rows that are not valid are bad rows
    #[arg(long, value_name = "FILE")]
    pub(crate) xsd: Option<PathBuf>,
    /// What to do when the data does not fit the schema, or the table
    #[arg(long, value_name = "HOW")]
    pub(crate) on_drift: Option<OnDriftFlag>,
    /// The column that takes what does not fit, with `--on-drift rescue` [default: `_rescued_data`]
    #[arg(long, value_name = "NAME", requires = "on_drift")]
    pub(crate) rescued_data_column: Option<String>,
    /// Write the schema that the rows were read by to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) schema_out: Option<PathBuf>,
    /// Write bad rows to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Turn nested rows into flat tables, the first of which is called ROOT
    #[arg(long, value_name = "ROOT", conflicts_with = "table")]
    pub(crate) relationalize: Option<String>,
    /// Rename, cast, drop and nest columns as the tuples of this JSON file say
    #[arg(long, value_name = "FILE")]
    pub(crate) mapping: Option<PathBuf>,
    /// How pages are compressed [default: zstd]
    #[arg(long, value_name = "CODEC", conflicts_with = "table")]
    pub(crate) compression: Option<CompressionFlag>,
    /// The size at which a row group is closed [default: 24MiB]
    #[arg(long, value_name = "SIZE", conflicts_with = "table")]
    pub(crate) row_group_size: Option<String>,
    /// About the size at which a file is closed and the next one begins: files end between pieces of 1 MiB of XML
    #[arg(long, value_name = "SIZE", conflicts_with = "table")]
    pub(crate) file_size: Option<String>,
    /// The most files that are open at one time, with `--out` and `--partition-by` [default: 64]
    #[arg(long, value_name = "N", value_parser = positive, requires = "partition_by", conflicts_with = "table")]
    pub(crate) max_open_files: Option<usize>,
    /// How a new table is partitioned: `year, day(ts), bucket(16, id)`; or the columns whose values are
    /// folders below `--out`: `year, state`
    #[arg(long, value_name = "FIELDS", conflicts_with = "relationalize")]
    pub(crate) partition_by: Option<String>,
    /// Where a new table lies
    #[arg(long, conflicts_with = "out")]
    pub(crate) location: Option<String>,
    /// A property of a new table (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "out")]
    pub(crate) property: Vec<(String, String)>,
}

/// What is done where files are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IfExistsFlag {
    /// Write nothing.
    Fail,
    /// Write beside them.
    Append,
    /// Delete them once all rows are written.
    Replace,
}

/// What is done with namespace prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NamespacesFlag {
    /// They go.
    Strip,
    /// Names stay as they are written.
    Keep,
    /// They become the namespace's name.
    Expand,
}

/// What becomes of bad rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeFlag {
    /// What does not fit is null, and the row is counted.
    Permissive,
    /// The row is dropped and counted.
    Dropmalformed,
    /// The run ends.
    Failfast,
}

/// What becomes of columns of values and children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MixedTypesFlag {
    /// They are strings, with children their raw XML.
    RawXml,
    /// They are structs, with the values under the value tag.
    ValueTag,
}

/// What happens when the data does not fit the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDriftFlag {
    /// The run ends before anything is written.
    Fail,
    /// The schema grows, never narrows; the schema file is written anew.
    Widen,
    /// The schema stays; what does not fit goes, as JSON, into the rescued-data column.
    Rescue,
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionFlag {
    /// Small and fast to read.
    Zstd,
    /// What most other tools write.
    Snappy,
    /// Not at all.
    None,
}
