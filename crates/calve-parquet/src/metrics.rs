//! A footer's statistics as Iceberg metrics (Java's `ParquetUtil.footerMetrics`, without its errors).

use std::collections::HashMap;

use iceberg::spec::Datum;
use parquet::file::metadata::ParquetMetaData;

use crate::metrics_config::MetricsConfig;
use crate::resolve::ColumnMapping;

/// What a manifest entry says of a file's content. Maps are keyed by field id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileMetrics {
    /// Number of rows: the sum over row groups, equal to the footer's own.
    pub record_count: u64,
    /// Compressed size of each column, in bytes.
    pub column_sizes: HashMap<i32, u64>,
    /// Number of values, nulls included.
    pub value_counts: HashMap<i32, u64>,
    /// Number of nulls, where every row group tells.
    pub null_value_counts: HashMap<i32, u64>,
    /// Lower bounds in the *table's* type.
    pub lower_bounds: HashMap<i32, Datum>,
    /// Upper bounds in the *table's* type.
    pub upper_bounds: HashMap<i32, Datum>,
    /// Where the row groups begin, ascending.
    pub split_offsets: Vec<i64>,
}

/// Turns a footer into metrics.
///
/// # Errors
/// When the footer contradicts itself (row counts, offsets).
pub fn file_metrics(
    _footer: &ParquetMetaData,
    _mapping: &ColumnMapping,
    _config: &MetricsConfig,
) -> crate::Result<FileMetrics> {
    unimplemented!()
}
