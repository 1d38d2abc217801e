//! A footer's statistics as Iceberg metrics (Java's `ParquetUtil.footerMetrics`, without its errors).

mod bounds;
mod column;
mod partition;
mod truncate;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use iceberg::spec::{DataFileBuilder, Datum};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::metrics_config::{MetricsConfig, MetricsMode};
use crate::resolve::{ColumnMapping, LeafMapping};
use crate::{Error, Result};

pub use partition::{PartitionUnknown, PartitionValue, constant_value, partition_value};

use self::bounds::{Bounds, Length};
use self::column::{Column, Counts};
use self::writer::Writer;

/// Where the first row group of a Parquet file can begin: after the magic.
const FIRST_OFFSET: i64 = 4;

/// What a manifest entry says of a file's content. Maps are keyed by field id.
///
/// There are no NaN counts: footers do not tell them.
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
/// As in Java, columns whose mode is [`MetricsMode::None`] get nothing, and columns inside lists and
/// maps get their size only: their value counts in Parquet also count empty lists. What a footer
/// does not tell beyond doubt is left out; nothing is guessed.
///
/// Whether columns are encrypted cannot be seen in a decoded footer: that check belongs to
/// whoever decodes it.
///
/// # Errors
/// When the footer contradicts itself (row counts, sizes), points into another file, or has other
/// columns than the mapping.
pub fn file_metrics(
    footer: &ParquetMetaData,
    mapping: &ColumnMapping,
    config: &MetricsConfig,
) -> Result<FileMetrics> {
    check_columns(footer, mapping)?;
    let record_count = record_count(footer)?;
    let writer = Writer::of(footer);
    let mapped = mapping.leaves.iter().flatten().count();
    let mut metrics = FileMetrics::with_capacity(record_count, mapped);
    for (leaf, mapping) in mapping.leaves.iter().enumerate() {
        let Some(mapping) = mapping else { continue };
        let mode = config.mode(mapping.field_id);
        if mode != MetricsMode::None {
            let column = Column::new(footer, leaf, mapping, writer);
            metrics.add(mapping, mode, &column)?;
        }
    }
    metrics.split_offsets = split_offsets(footer);
    Ok(metrics)
}

impl FileMetrics {
    /// Enters all of it into the description of a data file.
    pub fn describe(self, file: &mut DataFileBuilder) -> &mut DataFileBuilder {
        file.record_count(self.record_count)
            .column_sizes(self.column_sizes)
            .value_counts(self.value_counts)
            .null_value_counts(self.null_value_counts)
            .lower_bounds(self.lower_bounds)
            .upper_bounds(self.upper_bounds)
            .split_offsets((!self.split_offsets.is_empty()).then_some(self.split_offsets))
    }

    fn with_capacity(record_count: u64, columns: usize) -> Self {
        Self {
            record_count,
            column_sizes: HashMap::with_capacity(columns),
            value_counts: HashMap::with_capacity(columns),
            null_value_counts: HashMap::with_capacity(columns),
            lower_bounds: HashMap::with_capacity(columns),
            upper_bounds: HashMap::with_capacity(columns),
            split_offsets: Vec::new(),
        }
    }

    fn add(&mut self, mapping: &LeafMapping, mode: MetricsMode, column: &Column<'_>) -> Result<()> {
        let id = mapping.field_id;
        let Counts {
            size,
            values,
            nulls,
        } = column.counts()?;
        self.column_sizes.insert(id, size);
        if mapping.repeated {
            return Ok(());
        }
        // Counts that contradict each other discredit the bounds beside them.
        let Some(values) = values else { return Ok(()) };
        self.value_counts.insert(id, values);
        if let Some(nulls) = nulls {
            self.null_value_counts.insert(id, nulls);
        }
        let length = match mode {
            MetricsMode::None | MetricsMode::Counts => return Ok(()),
            MetricsMode::Truncate(length) => Length::AtMost(length),
            MetricsMode::Full => Length::Whole,
        };
        let Bounds { lower, upper } = column.bounds(length);
        if let Some(lower) = lower {
            self.lower_bounds.insert(id, lower);
        }
        if let Some(upper) = upper {
            self.upper_bounds.insert(id, upper);
        }
        Ok(())
    }
}

fn check_columns(footer: &ParquetMetaData, mapping: &ColumnMapping) -> Result<()> {
    let columns = footer.file_metadata().schema_descr().num_columns();
    if mapping.leaves.len() != columns {
        return Err(contradiction(format!(
            "it has {columns} leaf columns, its schema was resolved with {}",
            mapping.leaves.len()
        )));
    }
    for group in footer.row_groups() {
        if group.num_columns() != columns {
            return Err(contradiction(format!(
                "a row group has {} columns, the schema {columns}",
                group.num_columns()
            )));
        }
        if let Some(path) = group.columns().iter().find_map(|chunk| chunk.file_path()) {
            return Err(contradiction(format!(
                "its data lies in another file, `{path}`"
            )));
        }
    }
    Ok(())
}

/// The sum over the row groups, which must be what the footer says of the whole file.
fn record_count(footer: &ParquetMetaData) -> Result<u64> {
    let mut sum: u64 = 0;
    for group in footer.row_groups() {
        sum = u64::try_from(group.num_rows())
            .ok()
            .and_then(|rows| sum.checked_add(rows))
            .ok_or_else(|| contradiction(format!("a row group has {} rows", group.num_rows())))?;
    }
    let whole = footer.file_metadata().num_rows();
    if u64::try_from(whole) == Ok(sum) {
        Ok(sum)
    } else {
        Err(contradiction(format!(
            "it counts {whole} rows, its row groups {sum}"
        )))
    }
}

/// Where the row groups that have rows begin; nothing when they do not ascend.
fn split_offsets(footer: &ParquetMetaData) -> Vec<i64> {
    let mut offsets = Vec::with_capacity(footer.num_row_groups());
    let mut least = FIRST_OFFSET;
    for group in footer.row_groups() {
        if group.num_rows() == 0 {
            continue;
        }
        match start(group) {
            Some(offset) if offset >= least && offset < i64::MAX => {
                offsets.push(offset);
                least = offset + 1;
            }
            _ => return Vec::new(),
        }
    }
    offsets
}

/// Where a row group begins: at the dictionary page of its first column, or else its first data page.
///
/// The row group's own `file_offset` is not asked: some writers got it wrong.
fn start(group: &RowGroupMetaData) -> Option<i64> {
    let first = group.columns().first()?;
    let data = first.data_page_offset();
    Some(match first.dictionary_page_offset() {
        Some(dictionary) if dictionary > 0 && dictionary < data => dictionary,
        _ => data,
    })
}

fn contradiction(problem: String) -> Error {
    Error::Footer { problem }
}
