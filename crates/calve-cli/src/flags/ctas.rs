use clap::{Args, ValueEnum};

use super::{LevelFlag, OnChangedFlag, OnDeletedFlag, RecursiveFlag, key_value};

/// Flags of `calve ctas`.
#[derive(Debug, Args)]
pub(crate) struct CtasFlags {
    /// A folder, a file, `glue:db.table`, or `iceberg:db.table`
    pub(crate) source: String,
    /// The table that is created, as `db.table`
    #[arg(long)]
    pub(crate) table: String,
    /// What the files of a lake are: `parquet`, `csv` (a line of names at the top of each file, an
    /// empty value is null), `json` (one object a line), `avro` or `orc`
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<LakeFormatFlag>,
    /// How the table is partitioned, such as `year, day(ts), bucket(16, id), truncate(4, name)`
    #[arg(long, value_name = "FIELDS")]
    pub(crate) partition_by: Option<String>,
    /// How the rows of each file are sorted, such as `a, b desc nulls last`
    #[arg(long, value_name = "FIELDS")]
    pub(crate) sort_by: Option<String>,
    /// Take only rows of which this SQL condition is true
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) filter: Option<String>,
    /// The columns, as SQL expressions: `id, cast(a as bigint) as b, upper(c) as d`
    #[arg(long, value_name = "SQL")]
    pub(crate) select: Option<String>,
    /// How the source is cut into batches: a column (one batch a value), `bytes=SIZE` or `rows=N`
    /// (whole files); by default whole partitions of up to 8 GiB
    #[arg(long, value_name = "HOW")]
    pub(crate) batch_by: Option<String>,
    /// At which size a data file is full: property `write.target-file-size-bytes`
    #[arg(long, value_name = "SIZE")]
    pub(crate) target_file_size: Option<String>,
    /// The codec of data files: property `write.parquet.compression-codec`
    #[arg(long, value_name = "CODEC")]
    pub(crate) compression: Option<String>,
    /// A property of the table (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) property: Vec<(String, String)>,
    /// The format version of the table
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub(crate) format_version: Option<u8>,
    /// Where the table lies
    #[arg(long)]
    pub(crate) location: Option<String>,
    /// What INT96 timestamps mean: what clocks of this zone showed (`UTC`, so by default, as Spark
    /// writes them; `America/New_York`), which makes them instants, or `local`, which keeps them
    /// without a zone
    #[arg(long, value_name = "ZONE")]
    pub(crate) int96_zone: Option<String>,
    /// Cut off what nanoseconds have beyond microseconds, instead of failing; for format version 2
    #[arg(long)]
    pub(crate) truncate_nanoseconds: bool,
    /// Take only partitions with this value (repeatable); other folders are not even listed
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) partition_filter: Vec<(String, String)>,
    /// The type of a partition key, such as `year=int`, instead of the one found (repeatable)
    #[arg(long, value_name = "KEY=TYPE", value_parser = key_value)]
    pub(crate) partition_type: Vec<(String, String)>,
    /// What to do with folders that are no partition, below one
    #[arg(long, value_name = "HOW")]
    pub(crate) recursive: Option<RecursiveFlag>,
    /// Read this snapshot of an Iceberg table instead of the current one
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) snapshot_id: Option<i64>,
    /// Bring a table that this command made before in step with its lake: what appeared since is rewritten into it, in
    /// batches of whole files; what changed or vanished is reported
    #[arg(long)]
    pub(crate) update: bool,
    /// What --update does about files that changed: report them, or do the batches that read them anew
    #[arg(long, value_name = "HOW", requires = "update")]
    pub(crate) on_changed: Option<OnChangedFlag>,
    /// What --update does about files that vanished: report them, or do the batches that read them anew
    #[arg(long, value_name = "HOW", requires = "update")]
    pub(crate) on_deleted: Option<OnDeletedFlag>,
    /// Compare source and table afterwards, in the same report
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_missing_value = "aggregates")]
    pub(crate) verify: Option<LevelFlag>,
}

/// What the files of a lake are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LakeFormatFlag {
    /// Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Json,
    /// Avro object container files.
    Avro,
    /// ORC.
    Orc,
}
