//! What the comparison of partitions tells about where to look for rows.

use datafusion::logical_expr::Expr;

use crate::columns::Pair;
use crate::partition::Value;
use crate::rows::{RowColumn, Suspects};
use crate::side::Side;
use crate::{CompareOptions, Error, Result};

/// Above this many partitions, rows are not filtered by partition.
const FILTERED_PARTITIONS: usize = 200;

/// In how many columns that differ swaps are looked for.
const SWAP_COLUMNS: usize = 100;

/// What differs.
#[derive(Debug)]
pub(crate) struct Findings {
    /// The partitions in which something differs.
    pub(crate) differing: Vec<Vec<Value>>,
    /// How many rows both sides have in these.
    pub(crate) rows: u64,
    /// Whether columns differ in some partition in which they could be compared.
    changed: Vec<bool>,
    /// Columns that hold each other's values wherever they differ; nothing before any does.
    swaps: Option<Vec<(usize, usize)>>,
    is_compared: bool,
}

impl Findings {
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            differing: Vec::new(),
            rows: 0,
            changed: vec![false; columns],
            swaps: None,
            is_compared: false,
        }
    }

    /// Takes the checksums of the columns of a partition; `None` for one that was not compared.
    pub(crate) fn add(&mut self, checksums: &[Option<(u128, u128)>]) {
        let differs =
            |column: usize| matches!(checksums[column], Some((one, other)) if one != other);
        let changed: Vec<usize> = (0..checksums.len()).filter(|it| differs(*it)).collect();
        if changed.is_empty() {
            return;
        }
        self.is_compared = true;
        for column in &changed {
            self.changed[*column] = true;
        }
        let holds = |one: usize, other: usize| match (checksums[one], checksums[other]) {
            (Some((source, _)), Some((_, table))) => source == table,
            _ => false,
        };
        let is_swapped = |(one, other): (usize, usize)| holds(one, other) && holds(other, one);
        if let Some(swaps) = &mut self.swaps {
            swaps.retain(|(one, other)| {
                (!differs(*one) && !differs(*other)) || is_swapped((*one, *other))
            });
            return;
        }
        let columns = &changed[..changed.len().min(SWAP_COLUMNS)];
        let pairs = columns
            .iter()
            .enumerate()
            .flat_map(|(place, one)| columns[place + 1..].iter().map(|other| (*one, *other)));
        self.swaps = Some(pairs.filter(|it| is_swapped(*it)).collect());
    }

    /// The columns that hold each other's values.
    pub(crate) fn swapped(&self) -> Vec<(usize, usize)> {
        self.swaps.clone().unwrap_or_default()
    }

    /// Whether a column is the same on both sides, as a whole, wherever it could be compared.
    fn is_intact(&self, column: usize) -> bool {
        self.is_compared && !self.changed[column]
    }
}

/// Says where rows are to be looked for.
///
/// # Errors
/// When the sides do not share a column of the key.
pub(crate) fn suspects(
    pairs: &[Pair],
    findings: &Findings,
    (source, table): (&Side, &Side),
    options: &CompareOptions,
    filters: (Vec<Expr>, Vec<Expr>),
) -> Result<Suspects> {
    let key: Vec<String> = options
        .rows
        .key
        .iter()
        .map(|it| it.to_lowercase())
        .collect();
    let mut suspects = Suspects {
        columns: Vec::new(),
        source_names: source.keys.clone(),
        table_names: table.keys.clone(),
        source_filters: filters.0,
        table_filters: filters.1,
        rows: findings.rows,
        has_key: !key.is_empty(),
    };
    let joins = |name: &str, is_intact: bool| {
        if key.is_empty() {
            is_intact
        } else {
            key.contains(&name.to_lowercase())
        }
    };
    let has_intact =
        (0..pairs.len()).any(|column| pairs[column].look().in_rows && findings.is_intact(column));
    for name in &table.keys {
        suspects.columns.push(RowColumn {
            name: name.clone(),
            ticks: crate::canonical::Ticks::Nanos,
            is_key: true,
            joins: joins(name, has_intact),
        });
    }
    for (column, pair) in pairs.iter().enumerate() {
        let (Some(own), Some(other), true) = (&pair.source, &pair.table, pair.look().in_rows)
        else {
            continue;
        };
        suspects.source_names.push(own.name.clone());
        suspects.table_names.push(other.name.clone());
        suspects.columns.push(RowColumn {
            name: pair.name.clone(),
            ticks: pair.ticks(),
            is_key: false,
            joins: joins(&pair.name, findings.is_intact(column)),
        });
    }
    for wanted in &options.rows.key {
        let lower = wanted.to_lowercase();
        if !suspects
            .columns
            .iter()
            .any(|it| it.name.to_lowercase() == lower)
        {
            return Err(Error::NoSuchRowKey {
                column: wanted.clone(),
            });
        }
    }
    if !source.keys.is_empty() && findings.differing.len() <= FILTERED_PARTITIONS {
        suspects
            .source_filters
            .extend(source.in_partitions(&findings.differing));
        suspects
            .table_filters
            .extend(table.in_partitions(&findings.differing));
    }
    Ok(suspects)
}
