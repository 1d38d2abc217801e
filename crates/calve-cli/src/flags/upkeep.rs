use clap::{Args, ValueEnum};

use super::key_value;

/// Flags of `calve expire-snapshots`.
#[derive(Debug, Args)]
pub(crate) struct ExpireSnapshotsFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// Snapshots from before that time expire: a duration before now (`5d`), or an ISO timestamp, in UTC unless
    /// it says otherwise [default: the table's `history.expire.max-snapshot-age-ms`, 5 days]
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// So many snapshots of each branch stay, however old [default: the table's
    /// `history.expire.min-snapshots-to-keep`, 1]
    #[arg(long, value_name = "N")]
    pub(crate) retain_last: Option<u64>,
    /// Expire this snapshot, however young (repeatable)
    #[arg(long, value_name = "ID")]
    pub(crate) snapshot_id: Vec<i64>,
    /// Also take out schemas and partition specs that nothing needs any more
    #[arg(long)]
    pub(crate) clean_expired_metadata: bool,
    /// Which files go with the snapshots [default: all]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) clean_up: Option<CleanUpFlag>,
}

/// Which files go with expired snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CleanUpFlag {
    /// All that nothing else leads to.
    All,
    /// Manifests, their lists and statistics; data and delete files stay.
    Metadata,
    /// None: all that a table with `gc.enabled=false` may do.
    None,
}

/// Flags of `calve remove-orphans`.
#[derive(Debug, Args)]
pub(crate) struct RemoveOrphansFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// Only files that were last written before that time: a duration before now (`7d`), or an ISO timestamp, in
    /// UTC unless it says otherwise [default: 3d]
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// Look through this folder instead of all of the table's
    #[arg(long, value_name = "LOCATION")]
    pub(crate) location: Option<String>,
    /// Schemes that are the same, such as `s3a,s3n=s3`, which holds anyway (repeatable)
    #[arg(long, value_name = "A,B=C", value_parser = key_value)]
    pub(crate) equal_schemes: Vec<(String, String)>,
    /// Authorities (buckets) that are the same, such as `old,older=new` (repeatable)
    #[arg(long, value_name = "A,B=C", value_parser = key_value)]
    pub(crate) equal_authorities: Vec<(String, String)>,
    /// What becomes of files that the table names with another scheme or authority [default: error]
    #[arg(long, value_name = "MODE")]
    pub(crate) prefix_mismatch_mode: Option<PrefixMismatchFlag>,
    /// Do not look whether other tables of the catalog have files in the same folders
    #[arg(long)]
    pub(crate) skip_other_tables: bool,
    /// Also remove files younger than 24 hours, in a folder that is not the table's, or that a Hive-style table
    /// has, too
    #[arg(long)]
    pub(crate) force: bool,
}

/// What becomes of files that the table names with another scheme or authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrefixMismatchFlag {
    /// Nothing is removed at all.
    Error,
    /// They stay.
    Ignore,
    /// They are removed.
    Delete,
}

/// Flags of `calve rewrite-manifests`.
#[derive(Debug, Args)]
pub(crate) struct RewriteManifestsFlags {
    /// The table, as `db.table`
    pub(crate) table: String,
    /// The partition spec whose manifests are rewritten [default: the current one]
    #[arg(long, value_name = "ID")]
    pub(crate) spec_id: Option<i32>,
    /// Bring files together by these partition fields, such as `region,ts_day` [default: all of them]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    pub(crate) sort_by: Vec<String>,
}
