//! How large files are, counted.

use super::report::{Amount, SizeBucket};

const MIB: u64 = 1 << 20;

/// The bounds of the histogram, in bytes.
const BOUNDS: [u64; 8] = [
    MIB,
    4 * MIB,
    16 * MIB,
    64 * MIB,
    128 * MIB,
    256 * MIB,
    512 * MIB,
    1024 * MIB,
];

/// Files by size.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes([Amount; BOUNDS.len() + 1]);

impl Sizes {
    /// Counts a file of so many bytes.
    pub(crate) fn add(&mut self, bytes: u64) {
        let bucket = BOUNDS.iter().position(|bound| bytes < *bound);
        self.0[bucket.unwrap_or(BOUNDS.len())].add(bytes);
    }

    /// All buckets, the smallest first.
    pub(crate) fn buckets(&self) -> Vec<SizeBucket> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let buckets = bounds.zip(self.0).map(|(below_bytes, amount)| SizeBucket {
            below_bytes,
            amount,
        });
        buckets.collect()
    }
}
