//! The passes over both sides, and what is told in the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;

use super::hasher::{RowColumn, RowHasher, RowHashes};
use super::pairing::{FetchedRows, Pairing};
use super::sieve::{Buckets, Differing, Sieve, prefix};
use super::{RowDifference, RowDifferences, RowOptions};
use crate::side::Side;
use crate::{DIFFERENCE_LIMIT, Error, Result};

/// How many rows are looked up at once on a side.
const ROUND_ROWS: usize = 50_000;

/// How often buckets are split before the rows of those that are left are counted.
const SIEVE_PASSES: u32 = 3;

/// Where rows differ, as far as checksums tell.
#[derive(Debug)]
pub(crate) struct Suspects {
    /// What both sides have, in one order: keys first.
    pub(crate) columns: Vec<RowColumn>,
    /// How the source spells these columns.
    pub(crate) source_names: Vec<String>,
    /// How the table spells them.
    pub(crate) table_names: Vec<String>,
    /// What rows of the source must fulfil to be in partitions that differ.
    pub(crate) source_filters: Vec<Expr>,
    /// What rows of the table must fulfil.
    pub(crate) table_filters: Vec<Expr>,
    /// How many rows both sides have in these partitions.
    pub(crate) rows: u64,
    /// Whether the columns that rows are found by are the caller's key.
    pub(crate) has_key: bool,
}

/// A search for the rows that differ.
pub(crate) struct Search<'a> {
    pub(crate) context: &'a SessionContext,
    pub(crate) source: &'a Side,
    pub(crate) table: &'a Side,
    pub(crate) suspects: &'a Suspects,
    pub(crate) options: &'a RowOptions,
}

/// Some buckets, so few that their rows can be counted one by one.
#[derive(Debug)]
struct Chunk {
    bits: u32,
    prefixes: HashSet<u64>,
}

/// Buckets that differ, and how they are told apart.
struct Narrowed {
    hasher: RowHasher,
    bits: u32,
    differing: Vec<Differing>,
}

/// A row that the sides do not have equally often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Uneven {
    /// The hash of what rows are found by, shortened.
    pub(super) join: u64,
    pub(super) row: u128,
    pub(super) source: u64,
    pub(super) table: u64,
}

/// How often the sides have a row.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    join: u64,
    source: u64,
    table: u64,
}

type Counts = HashMap<u128, Count>;

/// Rows of one part of a side, with their hashes.
#[derive(Debug, Default)]
struct Taken {
    hashes: Vec<u128>,
    seen: HashSet<u128>,
    batches: Vec<RecordBatch>,
}

impl Search<'_> {
    /// Finds the rows.
    pub(crate) async fn run(&self) -> Result<RowDifferences> {
        let narrowed = self.narrow().await?;
        let mut found = RowDifferences {
            complete: true,
            ..RowDifferences::default()
        };
        let mut left = self.options.limit.unwrap_or(u64::MAX);
        for chunk in self.chunks(&narrowed) {
            if left == 0 {
                found.complete = false;
                break;
            }
            let uneven = self.count(&narrowed.hasher, chunk).await?;
            let (wanted, is_cut) = first_of_each_side(&uneven, left);
            found.complete &= !is_cut;
            for round in wanted.chunks(ROUND_ROWS) {
                let differences = self.look_up(&narrowed.hasher, round).await?;
                self.tell(differences, &mut found)?;
            }
            left = left.saturating_sub(wanted.len() as u64);
        }
        found.changed_columns.sort_by(|one, other| {
            other
                .rows
                .cmp(&one.rows)
                .then_with(|| one.column.cmp(&other.column))
        });
        Ok(found)
    }

    fn tell(&self, differences: Vec<RowDifference>, found: &mut RowDifferences) -> Result<()> {
        for difference in differences {
            found.count(&difference);
            if let Some(sink) = &self.options.sink {
                sink.write(&difference)
                    .map_err(|source| Error::Differences { source })?;
            }
            if found.rows.len() < DIFFERENCE_LIMIT {
                found.rows.push(difference);
            }
        }
        Ok(())
    }

    /// Finds the buckets that differ.
    async fn narrow(&self) -> Result<Narrowed> {
        let hasher = RowHasher {
            columns: self.suspects.columns.as_slice().into(),
        };
        let narrowed = self.narrow_by(hasher).await?;
        let candidates = self.options.candidates as u64;
        let is_uneven = narrowed.differing.iter().any(|it| it.rows > candidates);
        if !is_uneven || !narrowed.hasher.has_joins() {
            return Ok(narrowed);
        }
        // Too many rows share what rows are to be found by: each is told by all of its columns.
        let mut columns = self.suspects.columns.clone();
        for column in &mut columns {
            column.joins = false;
        }
        let columns = columns.into();
        self.narrow_by(RowHasher { columns }).await
    }

    async fn narrow_by(&self, hasher: RowHasher) -> Result<Narrowed> {
        let candidates = self.options.candidates as u64;
        if self.suspects.rows <= candidates {
            let rows = self.suspects.rows;
            let differing = vec![Differing { prefix: 0, rows }];
            return Ok(Narrowed {
                hasher,
                bits: 0,
                differing,
            });
        }
        let mut sieve = Sieve::first();
        let mut pass = 0;
        let mut before = self.suspects.rows;
        loop {
            let (source, table) = tokio::try_join!(
                Box::pin(self.buckets(&hasher, Of::Source, &sieve)),
                Box::pin(self.buckets(&hasher, Of::Table, &sieve)),
            )?;
            let differing = sieve.differing(&source, &table);
            let rows: u64 = differing.iter().map(|it| it.rows).sum();
            pass += 1;
            let largest = differing.iter().map(|it| it.rows).max().unwrap_or(0);
            // Where most rows differ, finer buckets leave no fewer.
            let is_settled = pass >= SIEVE_PASSES || rows > before / 2;
            before = rows;
            let is_enough = rows <= candidates || (is_settled && largest <= candidates);
            let is_hopeless = pass >= SIEVE_PASSES && hasher.has_joins();
            let finer = sieve.finer(&differing);
            match finer {
                Some(finer) if !is_enough && !is_hopeless => sieve = finer,
                _ => {
                    return Ok(Narrowed {
                        hasher,
                        bits: sieve.bits(),
                        differing,
                    });
                }
            }
        }
    }

    /// Puts buckets together as long as their rows may be held at once.
    fn chunks(&self, narrowed: &Narrowed) -> Vec<Chunk> {
        let candidates = self.options.candidates as u64;
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut rows = u64::MAX;
        for differing in &narrowed.differing {
            if rows.saturating_add(differing.rows) > candidates {
                rows = 0;
                chunks.push(Chunk {
                    bits: narrowed.bits,
                    prefixes: HashSet::new(),
                });
            }
            rows += differing.rows;
            if let Some(chunk) = chunks.last_mut() {
                chunk.prefixes.insert(differing.prefix);
            }
        }
        chunks
    }

    async fn buckets(&self, hasher: &RowHasher, of: Of, sieve: &Sieve) -> Result<Buckets> {
        let sieve = sieve.clone();
        let visit = move |buckets: &mut Buckets, _: &RecordBatch, hashes: &RowHashes| {
            for (join, row) in hashes.joins.iter().zip(&hashes.rows) {
                sieve.add(*join, *row, buckets);
            }
            Ok(())
        };
        let parts = self.visit(hasher, of, visit).await?;
        let mut all = Buckets::default();
        for part in &parts {
            all.merge(part);
        }
        Ok(all)
    }

    /// Counts the rows of a chunk, and tells which the sides do not have equally often.
    async fn count(&self, hasher: &RowHasher, chunk: Chunk) -> Result<Vec<Uneven>> {
        let chunk = Arc::new(chunk);
        let (source, table) = tokio::try_join!(
            Box::pin(self.counts(hasher, Of::Source, &chunk)),
            Box::pin(self.counts(hasher, Of::Table, &chunk)),
        )?;
        let mut all = Counts::new();
        for part in source.into_iter().chain(table) {
            for (row, count) in part {
                let own = all.entry(row).or_default();
                own.join = count.join;
                own.source += count.source;
                own.table += count.table;
            }
        }
        all.retain(|_, count| count.source != count.table);
        let uneven = all.into_iter().map(|(row, count)| Uneven {
            join: count.join,
            row,
            source: count.source,
            table: count.table,
        });
        let mut uneven: Vec<Uneven> = uneven.collect();
        uneven.sort_unstable();
        Ok(uneven)
    }

    async fn counts(&self, hasher: &RowHasher, of: Of, chunk: &Arc<Chunk>) -> Result<Vec<Counts>> {
        let chunk = Arc::clone(chunk);
        let visit = move |counts: &mut Counts, _: &RecordBatch, hashes: &RowHashes| {
            for (join, row) in hashes.joins.iter().zip(&hashes.rows) {
                if chunk.holds(*join) {
                    let count = counts.entry(*row).or_default();
                    count.join = prefix(*join, u64::BITS);
                    match of {
                        Of::Source => count.source += 1,
                        Of::Table => count.table += 1,
                    }
                }
            }
            Ok(())
        };
        self.visit(hasher, of, visit).await
    }

    /// Reads the rows themselves, and pairs them.
    async fn look_up(&self, hasher: &RowHasher, uneven: &[Uneven]) -> Result<Vec<RowDifference>> {
        let wanted = |count: fn(&Uneven) -> u64| -> Arc<HashSet<u128>> {
            let rows = uneven.iter().filter(|it| count(it) > 0);
            Arc::new(rows.map(|it| it.row).collect())
        };
        let (of_source, of_table) = (wanted(|it| it.source), wanted(|it| it.table));
        let (source, table) = tokio::try_join!(
            Box::pin(self.rows(hasher, Of::Source, of_source)),
            Box::pin(self.rows(hasher, Of::Table, of_table)),
        )?;
        let pairing = Pairing {
            columns: &hasher.columns,
            keys: &self.source.keys,
            has_key: self.suspects.has_key && hasher.has_joins(),
            has_joins: hasher.has_joins(),
            source: FetchedRows::new(&hasher.columns, source)
                .map_err(|error| self.source.cannot_read(error))?,
            table: FetchedRows::new(&hasher.columns, table)
                .map_err(|error| self.table.cannot_read(error))?,
        };
        pairing
            .differences(uneven)
            .map_err(|error| self.source.cannot_read(error))
    }

    async fn rows(
        &self,
        hasher: &RowHasher,
        of: Of,
        wanted: Arc<HashSet<u128>>,
    ) -> Result<Option<(RecordBatch, Vec<u128>)>> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let visit = move |taken: &mut Taken, batch: &RecordBatch, hashes: &RowHashes| {
            taken.take(batch, &hashes.rows, &wanted)
        };
        let parts = self.visit(hasher, of, visit).await?;
        let side = self.side(of).0;
        together(&parts).map_err(|error| side.cannot_read(error))
    }

    fn side(&self, of: Of) -> (&Side, &[String], &[Expr]) {
        let suspects = self.suspects;
        match of {
            Of::Source => (
                self.source,
                &suspects.source_names,
                &suspects.source_filters,
            ),
            Of::Table => (self.table, &suspects.table_names, &suspects.table_filters),
        }
    }

    async fn visit<S: Default + Send + 'static>(
        &self,
        hasher: &RowHasher,
        of: Of,
        visit: impl Fn(&mut S, &RecordBatch, &RowHashes) -> DataFusionResult<()>
        + Clone
        + Send
        + 'static,
    ) -> Result<Vec<S>> {
        let (side, names, filters) = self.side(of);
        let states = hasher.visit(self.context, side, names, filters.to_vec(), visit);
        states.await.map_err(|error| side.cannot_read(error))
    }
}

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Source,
    Table,
}

impl Chunk {
    fn holds(&self, join: u128) -> bool {
        self.bits == 0 || self.prefixes.contains(&prefix(join, self.bits))
    }
}

impl Taken {
    /// Takes the first of each wanted row out of a batch.
    fn take(
        &mut self,
        batch: &RecordBatch,
        hashes: &[u128],
        wanted: &HashSet<u128>,
    ) -> DataFusionResult<()> {
        let mut places = Vec::new();
        for (place, hash) in hashes.iter().enumerate() {
            if wanted.contains(hash) && self.seen.insert(*hash) {
                places.push(place as u64);
                self.hashes.push(*hash);
            }
        }
        if !places.is_empty() {
            let rows = take_record_batch(batch, &UInt64Array::from(places))?;
            self.batches.push(rows);
        }
        Ok(())
    }
}

/// The rows of all parts.
fn together(parts: &[Taken]) -> DataFusionResult<Option<(RecordBatch, Vec<u128>)>> {
    let hashes = parts.iter().flat_map(|part| part.hashes.iter().copied());
    let hashes: Vec<u128> = hashes.collect();
    let batches: Vec<&RecordBatch> = parts.iter().flat_map(|part| &part.batches).collect();
    let Some(first) = batches.first() else {
        return Ok(None);
    };
    let schema = first.schema();
    let all = concat_batches(&schema, batches).map_err(DataFusionError::from)?;
    Ok(Some((all, hashes)))
}

/// The first so many rows of each side, and whether there are more.
fn first_of_each_side(uneven: &[Uneven], limit: u64) -> (&[Uneven], bool) {
    let (mut source, mut table) = (0, 0);
    let fits = |it: &&Uneven| {
        source += u64::from(it.source > it.table);
        table += u64::from(it.table > it.source);
        source <= limit && table <= limit
    };
    let count = uneven.iter().take_while(fits).count();
    (&uneven[..count], count < uneven.len())
}
