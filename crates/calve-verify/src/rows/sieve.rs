//! Narrows rows down to the buckets in which the sides differ.

use std::collections::HashMap;
use std::sync::Arc;

/// The bits of a hash that the first pass looks at.
const FIRST_BITS: u32 = 16;

/// How many buckets a later pass has at the most, as a power of two.
const BUCKET_BITS: u32 = 18;

/// Buckets of rows by the leading bits of a hash. Two sides that put the same rows into a bucket, in
/// any order, come to the same count and sum.
#[derive(Debug, Clone)]
pub(crate) struct Sieve {
    /// How many leading bits tell the buckets apart.
    bits: u32,
    /// Those of them that earlier passes have settled on, with their place; all when `None`.
    parents: Option<Arc<HashMap<u64, usize>>>,
    /// How many bits were added to those of the parents.
    split: u32,
}

/// What is in the buckets of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets(Vec<Bucket>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    rows: u64,
    sum: u128,
}

/// A bucket in which the sides differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Differing {
    /// The leading bits of the hashes in it.
    pub(crate) prefix: u64,
    /// How many rows both sides have in it.
    pub(crate) rows: u64,
}

impl Sieve {
    /// One that any row passes.
    pub(crate) fn first() -> Self {
        Self {
            bits: FIRST_BITS,
            parents: None,
            split: FIRST_BITS,
        }
    }

    /// One that only rows of some buckets of this one pass, and that tells them apart more finely;
    /// `None` when it would be no finer.
    pub(crate) fn finer(&self, differing: &[Differing]) -> Option<Self> {
        let parents = differing.len().next_power_of_two().trailing_zeros();
        let split = BUCKET_BITS
            .saturating_sub(parents)
            .min(u64::BITS - self.bits);
        (split > 0).then(|| Self {
            bits: self.bits + split,
            parents: Some(places(differing)),
            split,
        })
    }

    /// How many leading bits its buckets share.
    pub(crate) fn bits(&self) -> u32 {
        self.bits
    }

    /// Puts a row into its bucket, if it passes.
    pub(crate) fn add(&self, join: u128, row: u128, buckets: &mut Buckets) {
        let Some(place) = self.place(join) else {
            return;
        };
        if buckets.0.is_empty() {
            buckets.0.resize(self.len(), Bucket::default());
        }
        let bucket = &mut buckets.0[place];
        bucket.rows += 1;
        bucket.sum = bucket.sum.wrapping_add(row);
    }

    /// The buckets in which the sides differ, in order.
    pub(crate) fn differing(&self, source: &Buckets, table: &Buckets) -> Vec<Differing> {
        let at =
            |buckets: &Buckets, place: usize| buckets.0.get(place).copied().unwrap_or_default();
        let mut prefixes: Vec<(u64, usize)> = match &self.parents {
            None => vec![(0, 0)],
            Some(parents) => parents
                .iter()
                .map(|(prefix, place)| (*prefix, *place))
                .collect(),
        };
        prefixes.sort_unstable();
        let mut differing = Vec::new();
        for (parent, parent_place) in prefixes {
            for child in 0..1_usize << self.split {
                let place = (parent_place << self.split) + child;
                let (source, table) = (at(source, place), at(table, place));
                if source != table {
                    differing.push(Differing {
                        prefix: (parent << self.split) + child as u64,
                        rows: source.rows + table.rows,
                    });
                }
            }
        }
        differing
    }

    fn len(&self) -> usize {
        self.parents.as_ref().map_or(1, |it| it.len()) << self.split
    }

    fn place(&self, hash: u128) -> Option<usize> {
        let prefix = prefix(hash, self.bits);
        let child = usize::try_from(prefix & ((1 << self.split) - 1)).unwrap_or(0);
        let parent = match &self.parents {
            None => 0,
            Some(parents) => *parents.get(&(prefix >> self.split))?,
        };
        Some((parent << self.split) + child)
    }
}

impl Buckets {
    /// Counts in what another part of a side holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.rows += other.rows;
            own.sum = own.sum.wrapping_add(other.sum);
        }
    }
}

/// The leading bits of a hash, 64 at the most.
pub(crate) fn prefix(hash: u128, bits: u32) -> u64 {
    u64::try_from(hash >> (u128::BITS - bits)).unwrap_or(u64::MAX)
}

fn places(differing: &[Differing]) -> Arc<HashMap<u64, usize>> {
    let places = differing.iter().enumerate();
    Arc::new(places.map(|(place, it)| (it.prefix, place)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::row_hash;

    fn buckets(sieve: &Sieve, rows: impl Iterator<Item = u128>) -> Buckets {
        let mut buckets = Buckets::default();
        for row in rows {
            let hash = row_hash(row);
            sieve.add(hash, hash, &mut buckets);
        }
        buckets
    }

    #[test]
    fn finer_sieves_leave_fewer_rows() {
        let mut sieve = Sieve::first();
        let mut rows = u64::MAX;
        for _ in 0..3 {
            let source = buckets(&sieve, 0..200_000);
            let table = buckets(&sieve, (0..199_999).rev().chain([7]));
            let differing = sieve.differing(&source, &table);
            // One row is lost, another doubled.
            assert_eq!(differing.len(), 2);
            let left = differing.iter().map(|it| it.rows).sum();
            assert!(left <= rows);
            rows = left;
            sieve = sieve.finer(&differing).unwrap();
        }
        assert_eq!(rows, 4);
    }

    #[test]
    fn equal_sides_leave_nothing() {
        let sieve = Sieve::first();
        let source = buckets(&sieve, 0..1_000);
        let table = buckets(&sieve, (0..1_000).rev());
        assert_eq!(sieve.differing(&source, &table), []);
        let nothing = Buckets::default();
        assert_eq!(sieve.differing(&nothing, &nothing), []);
    }
}
