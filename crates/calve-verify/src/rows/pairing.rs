//! Tells what became of rows: which row of the table is which of the source, changed.

use std::cmp::Reverse;
use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use calve_query::json;
use datafusion::error::{DataFusionError, Result};
use serde_json::{Map, Value as Json};

use super::hasher::{RowColumn, as_texts};
use super::search::Uneven;
use super::{RowDifference, RowKind, paths};
use crate::Partition;
use crate::hash::hash_cells;
use crate::partition::Value;

/// How many rows of a side are compared with all of the other's, to find the most alike.
const COMPARED_ROWS: usize = 1_000;

/// Rows of one side that were looked up.
#[derive(Debug, Default)]
pub(super) struct FetchedRows {
    places: HashMap<u128, usize>,
    arrays: Vec<ArrayRef>,
    /// The hashes of the cells of each column.
    cells: Vec<Vec<u128>>,
    /// The cells of each column as JSON.
    json: Vec<Vec<Json>>,
}

/// Both sides' rows.
pub(super) struct Pairing<'a> {
    pub(super) columns: &'a [RowColumn],
    pub(super) keys: &'a [String],
    /// Whether rows with the same join belong together whatever else they hold.
    pub(super) has_key: bool,
    /// Whether rows are found by some of their columns.
    pub(super) has_joins: bool,
    pub(super) source: FetchedRows,
    pub(super) table: FetchedRows,
}

/// A row and its place among those that were looked up.
type Placed<'r> = (&'r Uneven, usize);

/// Two rows and in how many columns they are equal.
type Alike = (Reverse<usize>, usize, usize);

impl FetchedRows {
    pub(super) fn new(
        columns: &[RowColumn],
        rows: Option<(RecordBatch, Vec<u128>)>,
    ) -> Result<Self> {
        let Some((batch, hashes)) = rows else {
            return Ok(Self::default());
        };
        let mut fetched = Self::default();
        for (place, hash) in hashes.into_iter().enumerate() {
            fetched.places.entry(hash).or_insert(place);
        }
        let schema = batch.schema();
        for ((column, array), field) in columns.iter().zip(batch.columns()).zip(schema.fields()) {
            let texts = json::texts(field, array)?;
            fetched.json.push(texts.into_iter().map(value).collect());
            // What looks equal is equal in keys, so they are compared as texts.
            let array = if column.is_key {
                as_texts(array)?
            } else {
                ArrayRef::clone(array)
            };
            fetched.cells.push(hash_cells(&array, column.ticks)?);
            fetched.arrays.push(array);
        }
        Ok(fetched)
    }

    fn place(&self, row: &Uneven) -> Result<usize> {
        // The data changed between two passes.
        self.places.get(&row.row).copied().ok_or_else(|| {
            DataFusionError::Execution(
                "a row is gone that was there before: the data changed while it was read"
                    .to_owned(),
            )
        })
    }

    fn row(&self, columns: &[RowColumn], place: usize) -> Map<String, Json> {
        let cells = columns.iter().zip(&self.json);
        cells
            .map(|(column, cells)| (column.name.clone(), cells[place].clone()))
            .collect()
    }
}

fn value(text: Option<String>) -> Json {
    match text {
        None => Json::Null,
        Some(text) => serde_json::from_str(&text).unwrap_or(Json::String(text)),
    }
}

impl Pairing<'_> {
    /// Says how each row differs, partition by partition.
    pub(super) fn differences(&self, uneven: &[Uneven]) -> Result<Vec<RowDifference>> {
        let (mut missing, mut extra, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for row in uneven {
            match (row.source, row.table) {
                (_, 0) => missing.push((row, self.source.place(row)?)),
                (0, _) => extra.push((row, self.table.place(row)?)),
                (source, table) => {
                    let kind = if table > source {
                        RowKind::Duplicated
                    } else {
                        RowKind::Missing
                    };
                    let sides = (Some(self.source.place(row)?), Some(self.table.place(row)?));
                    found.push(self.difference(kind, sides, (source, table))?);
                }
            }
        }
        for (one, other) in self.pairs(&mut missing, &mut extra) {
            let ((source, own), (table, others)) = (one, other);
            let counts = (source.source, table.table);
            found.push(self.difference(RowKind::Changed, (Some(own), Some(others)), counts)?);
        }
        for (row, place) in missing {
            let sides = (Some(place), None);
            found.push(self.difference(RowKind::Missing, sides, (row.source, 0))?);
        }
        for (row, place) in extra {
            let sides = (None, Some(place));
            found.push(self.difference(RowKind::Extra, sides, (0, row.table))?);
        }
        found.sort_by_cached_key(|it| {
            let values = it.partition.values().iter();
            let values: Vec<Value> = values.map(|(_, value)| Value(value.clone())).collect();
            (values, it.kind)
        });
        Ok(found)
    }

    /// Takes out the rows that belong together.
    fn pairs<'r>(
        &self,
        missing: &mut Vec<Placed<'r>>,
        extra: &mut Vec<Placed<'r>>,
    ) -> Vec<(Placed<'r>, Placed<'r>)> {
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        if self.has_joins {
            let mut groups: HashMap<u64, (Vec<usize>, Vec<usize>)> = HashMap::new();
            for (place, (row, _)) in missing.iter().enumerate() {
                groups.entry(row.join).or_default().0.push(place);
            }
            for (place, (row, _)) in extra.iter().enumerate() {
                groups.entry(row.join).or_default().1.push(place);
            }
            for (own, others) in groups.values() {
                self.most_alike(
                    (missing, own),
                    (extra, others),
                    own.len() + others.len() == 2,
                    &mut pairs,
                );
            }
        }
        if !self.has_key {
            let free = |rows: usize, taken: Vec<usize>| -> Vec<usize> {
                let taken: std::collections::HashSet<usize> = taken.into_iter().collect();
                (0..rows).filter(|row| !taken.contains(row)).collect()
            };
            let own = free(missing.len(), pairs.iter().map(|pair| pair.0).collect());
            let others = free(extra.len(), pairs.iter().map(|pair| pair.1).collect());
            self.most_alike((missing, &own), (extra, &others), false, &mut pairs);
        }
        pairs.sort_unstable();
        let taken = pairs
            .iter()
            .map(|(own, other)| (missing[*own], extra[*other]));
        let taken: Vec<_> = taken.collect();
        let of = |places: Vec<usize>| -> std::collections::HashSet<usize> {
            places.into_iter().collect()
        };
        let own = of(pairs.iter().map(|pair| pair.0).collect());
        let others = of(pairs.iter().map(|pair| pair.1).collect());
        retain_places(missing, |place| !own.contains(&place));
        retain_places(extra, |place| !others.contains(&place));
        taken
    }

    /// Pairs those rows first that have the most cells in common, and none that share less than half,
    /// unless they share a key, or are the only ones that share the columns that rows are found by.
    fn most_alike(
        &self,
        (missing, own): (&[Placed<'_>], &[usize]),
        (extra, others): (&[Placed<'_>], &[usize]),
        belong_together: bool,
        pairs: &mut Vec<(usize, usize)>,
    ) {
        if own.is_empty() || others.is_empty() {
            return;
        }
        let mut alike: Vec<Alike> = Vec::new();
        for one in own.iter().take(COMPARED_ROWS) {
            for other in others.iter().take(COMPARED_ROWS) {
                let equal = self.equal_cells(missing[*one].1, extra[*other].1);
                if self.has_key || belong_together || 2 * equal >= self.columns.len() {
                    alike.push((Reverse(equal), *one, *other));
                }
            }
        }
        alike.sort_unstable();
        let (mut taken, mut taken_others) = (Vec::new(), Vec::new());
        for (_, one, other) in alike {
            if !taken.contains(&one) && !taken_others.contains(&other) {
                taken.push(one);
                taken_others.push(other);
                pairs.push((one, other));
            }
        }
    }

    fn equal_cells(&self, source: usize, table: usize) -> usize {
        let columns = self.source.cells.iter().zip(&self.table.cells);
        columns
            .filter(|(own, others)| own[source] == others[table])
            .count()
    }

    fn difference(
        &self,
        kind: RowKind,
        (source, table): (Option<usize>, Option<usize>),
        (source_count, table_count): (u64, u64),
    ) -> Result<RowDifference> {
        let mut columns = Vec::new();
        if let (RowKind::Changed, Some(source), Some(table)) = (kind, source, table) {
            for (index, column) in self.columns.iter().enumerate() {
                if self.source.cells[index][source] != self.table.cells[index][table] {
                    let source = self.source.arrays[index].slice(source, 1);
                    let table = self.table.arrays[index].slice(table, 1);
                    paths::differing(&column.name, [&source, &table], column.ticks, &mut columns)?;
                }
            }
        }
        let values = |rows: &FetchedRows, place: usize| -> Vec<Value> {
            let keys = rows.arrays.iter().take(self.keys.len());
            keys.map(|key| {
                let texts = key.as_string::<i32>().iter().nth(place).flatten();
                Value(texts.map(ToOwned::to_owned))
            })
            .collect()
        };
        let values = match (source, table) {
            (Some(source), _) => values(&self.source, source),
            (None, Some(table)) => values(&self.table, table),
            (None, None) => Vec::new(),
        };
        Ok(RowDifference {
            kind,
            partition: Partition::new(self.keys, &values),
            columns,
            source_count,
            table_count,
            source: source.map(|place| self.source.row(self.columns, place)),
            table: table.map(|place| self.table.row(self.columns, place)),
        })
    }
}

fn retain_places<T>(rows: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut place = 0;
    rows.retain(|_| {
        place += 1;
        keep(place - 1)
    });
}
