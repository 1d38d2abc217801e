//! The comparison of any two DataFusion tables.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use serde_json::Value;

use crate::Result;
use crate::aggregate::{Depth, Look};
use crate::columns::{Column, Pair};
use crate::findings::{Findings, suspects};
use crate::partition::Partition;
use crate::reader::{AthenaQuery, ReadBy};
use crate::rows::{RowDifferences, RowOptions, Search};
use crate::sample::Sample;
use crate::side::{Group, Groups, Side};

/// How many entries each list of a report holds at the most; counts beside the lists are complete.
pub const DIFFERENCE_LIMIT: usize = 1_000;

/// How closely two tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// The rows of each partition are counted.
    Counts,
    /// Statistics of each column of each partition are compared, too.
    #[default]
    Aggregates,
    /// Checksums of all columns and rows of each partition are compared, and where they differ, the
    /// rows are looked up.
    Rows,
}

/// How two tables are compared.
#[derive(Debug, Clone, Default)]
pub struct CompareOptions {
    /// The columns that tell partitions, in any case; without them, each side is one partition.
    pub keys: Vec<String>,
    /// How closely to look.
    pub level: Level,
    /// Columns, in any case, and the values that rows must have to be compared.
    /// `__HIVE_DEFAULT_PARTITION__` stands for null, and so does `null` unless the column is text.
    pub partition_filter: Vec<(String, String)>,
    /// How rows that differ are looked for, at [`Level::Rows`].
    pub rows: RowOptions,
    /// Which part of the rows is compared, above 0; all when `None`. Hashes decide, so that it is
    /// the same part on both sides, and each time: of the partitions where there are any, or else
    /// of the rows.
    pub sample: Option<f64>,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// Number of partitions that either side has.
    pub partitions_compared: u64,
    /// Number of rows of the source.
    pub rows_source: u64,
    /// Number of rows of the table.
    pub rows_table: u64,
    /// Number of checks.
    pub checks_count: u64,
    /// What was compared, cut at [`DIFFERENCE_LIMIT`].
    pub checks: Vec<Check>,
    /// Number of differences.
    pub differences_count: u64,
    /// The first differences, in the order of partitions and columns, cut at [`DIFFERENCE_LIMIT`].
    pub differences: Vec<Difference>,
    /// Which rows differ; nothing below [`Level::Rows`], or where the partitions are equal.
    pub row_differences: Option<RowDifferences>,
}

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What: `row_count`, `partitions`, `partition_row_count`, `column`, `type`, `null_count`,
    /// `nan_count`, `min`, `max`, `sum`, `length`, `checksum`, `row_checksum` or `swapped_columns`.
    /// `row_checksum` is made where all others are equal, and finds cells that changed places between
    /// rows; `swapped_columns` is there where columns hold each other's values.
    pub name: &'static str,
    /// Of which column, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// In how many places: in most checks, partitions.
    pub compared: u64,
    /// Whether both sides were equal in all of them.
    pub equal: bool,
}

/// A place where the sides differ.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// The partition; nothing where it is about all of them.
    pub partition: Partition,
    /// The column, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The name of the check.
    pub check: &'static str,
    /// What the source has; null for nothing.
    pub source: Value,
    /// What the table has; null for nothing.
    pub table: Value,
}

/// Compares two tables. Both are read at once, each by one query in `context`, which holds, for each
/// partition and column, a few hundred bytes: that, and not the number of rows, decides over memory.
/// At [`Level::Rows`], partitions that differ are read again, a few times.
///
/// Columns belong together by name, in any case if need be. One that a side lacks is equal to one
/// that holds nothing but null. In a partition whose numbers of rows differ, columns are not compared.
///
/// # Errors
/// When a side cannot be read, or lacks a key or a filtered column.
pub async fn compare(
    context: &SessionContext,
    source: Arc<dyn TableProvider>,
    table: Arc<dyn TableProvider>,
    options: &CompareOptions,
) -> Result<Comparison> {
    let source = Side::new("the source", source, &options.keys)?;
    let table = Side::new("the table", table, &options.keys)?;
    let comparison = compare_sides(context, source, table, options, None).await?;
    Ok(comparison.0)
}

/// Compares two sides. Where another engine is asked, it counts and sums the table in place of calve.
pub(crate) async fn compare_sides(
    context: &SessionContext,
    source: Side,
    table: Side,
    options: &CompareOptions,
    engine: Option<AthenaQuery<'_>>,
) -> Result<(Comparison, Option<ReadBy>)> {
    let pairs = Pair::all(
        &source.provider.schema(),
        &table.provider.schema(),
        &source.keys,
        &table.keys,
    );
    let filter = &options.partition_filter;
    let mut filters = (source.filters(filter)?, table.filters(filter)?);
    if let Some(fraction) = options.sample {
        let sample = Sample {
            context,
            source: &source,
            table: &table,
            pairs: &pairs,
        };
        sample.narrow(fraction, &mut filters).await?;
    }
    let compared: &[Pair] = match options.level {
        Level::Counts => &[],
        Level::Aggregates | Level::Rows => &pairs,
    };
    let depth = match options.level {
        Level::Rows => Depth::Checksums,
        _ if engine.is_some() => Depth::Plain,
        _ => Depth::Statistics,
    };
    let of_source = looks(compared, |pair| pair.source.as_ref());
    let of_table = looks(compared, |pair| pair.table.as_ref());
    let read_table = async {
        if let Some(engine) = &engine {
            let (groups, read_by) = engine.run(&of_table).await?;
            return Ok((groups, Some(read_by)));
        }
        let groups = table.groups(context, filters.1.clone(), &of_table, depth);
        Ok((groups.await?, None))
    };
    let (source_groups, (table_groups, read_by)) = tokio::try_join!(
        Box::pin(source.groups(context, filters.0.clone(), &of_source, depth)),
        Box::pin(read_table),
    )?;
    let judge = Judge {
        keys: &options.keys,
        pairs: compared,
        depth,
        tally: Tally::new(compared),
        findings: Findings::new(compared.len()),
    };
    let judged = judge.judge(&source_groups, &table_groups);
    let (mut comparison, findings) = judged.map_err(|error| source.cannot_read(error))?;
    if options.level == Level::Rows && !findings.differing.is_empty() {
        let suspects = suspects(&pairs, &findings, (&source, &table), options, filters)?;
        let search = Search {
            context,
            source: &source,
            table: &table,
            suspects: &suspects,
            options: &options.rows,
        };
        comparison.row_differences = Some(Box::pin(search.run()).await?);
    }
    Ok((comparison, read_by))
}

/// One side's names of the columns, and how they are looked at.
fn looks(pairs: &[Pair], side: fn(&Pair) -> Option<&Column>) -> Vec<(String, Look)> {
    let columns = pairs
        .iter()
        .filter_map(|pair| Some((side(pair)?, pair.look())));
    columns
        .map(|(column, look)| (column.name.clone(), look))
        .collect()
}

/// Goes over both sides' partitions in order.
struct Judge<'a> {
    keys: &'a [String],
    pairs: &'a [Pair],
    depth: Depth,
    tally: Tally,
    findings: Findings,
}

impl Judge<'_> {
    fn judge(
        mut self,
        source: &Groups,
        table: &Groups,
    ) -> datafusion::error::Result<(Comparison, Findings)> {
        for pair in self.pairs {
            if let Some(values) = pair.type_conflict() {
                let nowhere = Partition::default();
                self.tally
                    .check(TYPE, Some(&pair.name), &nowhere, Some(values));
            } else if pair.source.is_some() && pair.table.is_some() {
                self.tally
                    .check(TYPE, Some(&pair.name), &Partition::default(), None);
            }
        }
        let partitions: BTreeSet<_> = source.keys().chain(table.keys()).collect();
        let mut one_sided = vec![(0_u64, 0_u64); self.pairs.len()];
        for values in &partitions {
            let partition = Partition::new(self.keys, values);
            let before = self.tally.differences_count;
            self.partition(
                &partition,
                (source.get(*values), table.get(*values)),
                &mut one_sided,
            )?;
            if self.tally.differences_count > before {
                let rows = |group: Option<&Group>| group.map_or(0, |group| group.rows);
                self.findings.rows += rows(source.get(*values)) + rows(table.get(*values));
                self.findings.differing.push((*values).clone());
            }
        }
        self.missing_columns(&one_sided);
        for (one, other) in self.findings.swapped() {
            let names = [one, other].map(|index| self.pairs[index].name.clone());
            let values = (Value::from(names[0].clone()), Value::from(names[1].clone()));
            let nowhere = Partition::default();
            self.tally
                .check(SWAPPED_COLUMNS, Some(&names[0]), &nowhere, Some(values));
        }
        let comparison = self.tally.into_comparison(partitions.len(), source, table);
        Ok((comparison, self.findings))
    }

    fn partition(
        &mut self,
        partition: &Partition,
        sides: (Option<&Group>, Option<&Group>),
        one_sided: &mut [(u64, u64)],
    ) -> datafusion::error::Result<()> {
        let nothing = Group::default();
        let (source, table) = if self.keys.is_empty() {
            (sides.0.unwrap_or(&nothing), sides.1.unwrap_or(&nothing))
        } else {
            let only = only_one(sides);
            let is_one_sided = only.is_some();
            self.tally.check(PARTITIONS, None, partition, only);
            let (Some(source), Some(table), false) = (sides.0, sides.1, is_one_sided) else {
                return Ok(());
            };
            (source, table)
        };
        let rows = (source.rows, table.rows);
        let differ = rows.0 != rows.1;
        let values = differ.then(|| (Value::from(rows.0), Value::from(rows.1)));
        self.tally
            .check(PARTITION_ROW_COUNT, None, partition, values);
        if differ {
            return Ok(());
        }
        self.columns(partition, source, table, one_sided)
    }

    fn columns(
        &mut self,
        partition: &Partition,
        source: &Group,
        table: &Group,
        one_sided: &mut [(u64, u64)],
    ) -> datafusion::error::Result<()> {
        let rows = source.rows;
        let (source, table) = (source.profiles()?, table.profiles()?);
        let (mut of_source, mut of_table) = (source.columns.iter(), table.columns.iter());
        let mut all_equal = true;
        let mut checksums = Vec::with_capacity(self.pairs.len());
        for (pair, values) in self.pairs.iter().zip(one_sided) {
            let own = pair.source.as_ref().and_then(|_| of_source.next());
            let other = pair.table.as_ref().and_then(|_| of_table.next());
            match (own, other) {
                _ if pair.type_conflict().is_some() => checksums.push(None),
                (Some(own), Some(other)) => {
                    let both = (own.checksum, other.checksum);
                    checksums.push((self.depth != Depth::Plain).then_some(both));
                    for (check, differing) in pair.statistics(own, other, self.depth) {
                        all_equal &= differing.is_none();
                        self.tally
                            .check(check, Some(&pair.name), partition, differing);
                    }
                }
                _ => {
                    checksums.push(None);
                    values.0 += own.map_or(0, |own| own.values);
                    values.1 += other.map_or(0, |other| other.values);
                }
            }
        }
        self.findings.add(&checksums);
        // Where cells differ, rows do; what is left to find is equal cells in other rows.
        let has_checksums = self.depth != Depth::Plain && !self.pairs.is_empty();
        if all_equal && rows > 0 && has_checksums {
            let checksums = (source.row_checksum, table.row_checksum);
            let hex = |checksum: u128| Value::from(format!("{checksum:032x}"));
            let differing =
                (checksums.0 != checksums.1).then(|| (hex(checksums.0), hex(checksums.1)));
            self.tally.check(ROW_CHECKSUM, None, partition, differing);
        }
        Ok(())
    }

    /// A column that one side lacks differs once, not in each partition.
    fn missing_columns(&mut self, one_sided: &[(u64, u64)]) {
        for (pair, (source, table)) in self.pairs.iter().zip(one_sided) {
            if pair.source.is_some() && pair.table.is_some() {
                continue;
            }
            let differ = *source > 0 || *table > 0;
            let spelled = |column: &Option<Column>| {
                column
                    .as_ref()
                    .map_or(Value::Null, |column| Value::from(column.name.clone()))
            };
            let values = differ.then(|| (spelled(&pair.source), spelled(&pair.table)));
            let nowhere = Partition::default();
            self.tally.check(COLUMN, Some(&pair.name), &nowhere, values);
        }
    }
}

/// The numbers of rows of a partition that only one side has.
fn only_one(sides: (Option<&Group>, Option<&Group>)) -> Option<(Value, Value)> {
    let rows = |group: Option<&Group>| group.map_or(Value::Null, |group| group.rows.into());
    (sides.0.is_none() || sides.1.is_none()).then(|| (rows(sides.0), rows(sides.1)))
}

const ROW_COUNT: &str = "row_count";
const PARTITIONS: &str = "partitions";
const PARTITION_ROW_COUNT: &str = "partition_row_count";
const ROW_CHECKSUM: &str = "row_checksum";
const COLUMN: &str = "column";
const TYPE: &str = "type";
const SWAPPED_COLUMNS: &str = "swapped_columns";

/// Counts checks and keeps the first differences.
struct Tally {
    /// The place of each column, for the order of checks.
    columns: Vec<String>,
    checks: Vec<Check>,
    index: std::collections::HashMap<(&'static str, Option<String>), usize>,
    differences: Vec<Difference>,
    differences_count: u64,
}

impl Tally {
    fn new(pairs: &[Pair]) -> Self {
        Self {
            columns: pairs.iter().map(|pair| pair.name.clone()).collect(),
            checks: Vec::new(),
            index: std::collections::HashMap::new(),
            differences: Vec::new(),
            differences_count: 0,
        }
    }

    /// Counts one comparison; `differing` are the two values if they differ.
    fn check(
        &mut self,
        name: &'static str,
        column: Option<&str>,
        partition: &Partition,
        differing: Option<(Value, Value)>,
    ) {
        let column = column.map(ToOwned::to_owned);
        let checks = &mut self.checks;
        let index = *self.index.entry((name, column.clone())).or_insert_with(|| {
            checks.push(Check {
                name,
                column: column.clone(),
                compared: 0,
                equal: true,
            });
            checks.len() - 1
        });
        let check = &mut self.checks[index];
        check.compared += 1;
        let Some((source, table)) = differing else {
            return;
        };
        check.equal = false;
        self.differences_count += 1;
        if self.differences.len() < DIFFERENCE_LIMIT {
            self.differences.push(Difference {
                partition: partition.clone(),
                column,
                check: name,
                source,
                table,
            });
        }
    }

    fn into_comparison(self, partitions: usize, source: &Groups, table: &Groups) -> Comparison {
        let rows = |groups: &Groups| groups.values().map(|group| group.rows).sum::<u64>();
        let (rows_source, rows_table) = (rows(source), rows(table));
        let mut checks = self.checks;
        // Those of no column come first, then column by column; within one, as they were made.
        checks.sort_by_key(|check| {
            check.column.as_ref().map(|column| {
                let place = self.columns.iter().position(|other| other == column);
                place.unwrap_or(usize::MAX)
            })
        });
        checks.insert(
            0,
            Check {
                name: ROW_COUNT,
                column: None,
                compared: 1,
                equal: rows_source == rows_table,
            },
        );
        let checks_count = checks.len() as u64;
        checks.truncate(DIFFERENCE_LIMIT);
        Comparison {
            partitions_compared: partitions as u64,
            rows_source,
            rows_table,
            checks_count,
            checks,
            differences_count: self.differences_count,
            differences: self.differences,
            row_differences: None,
        }
    }
}

impl Comparison {
    /// Whether no difference was found.
    pub fn is_equal(&self) -> bool {
        self.differences_count == 0
    }
}

impl Level {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Aggregates => "aggregates",
            Self::Rows => "rows",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`Level`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level of verification: expected counts, aggregates or rows")]
pub struct UnknownLevel(String);

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text {
            "counts" => Ok(Self::Counts),
            "aggregates" => Ok(Self::Aggregates),
            "rows" => Ok(Self::Rows),
            other => Err(UnknownLevel(other.to_owned())),
        }
    }
}
