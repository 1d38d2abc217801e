//! The table properties that decide how metadata is written and committed.

use std::time::Duration;

use calve_base::Location;
use iceberg::spec::TableMetadata;

use crate::Result;

/// Where metadata files go, unless into the folder `metadata` of the table.
const METADATA_PATH: &str = "write.metadata.path";

/// The size at which a manifest is full.
const MANIFEST_TARGET_BYTES: &str = "commit.manifest.target-size-bytes";

/// The size at which a manifest is full, unless the table says otherwise.
pub const DEFAULT_MANIFEST_TARGET_BYTES: usize = 8 * 1024 * 1024;

/// How often, and how patiently, a commit is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    pub(crate) retries: u32,
    pub(crate) min_wait: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) total_timeout: Duration,
}

impl RetryPolicy {
    /// The policy that a table asks for (`commit.retry.*`).
    pub(crate) fn of(metadata: &TableMetadata) -> Self {
        let ms = |name, default| Duration::from_millis(number(metadata, name).unwrap_or(default));
        let retries = number(metadata, "commit.retry.num-retries").unwrap_or(4);
        Self {
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
            min_wait: ms("commit.retry.min-wait-ms", 100),
            max_wait: ms("commit.retry.max-wait-ms", 60_000),
            total_timeout: ms("commit.retry.total-timeout-ms", 1_800_000),
        }
    }

    /// How long to wait before the given retry, counted from 0: twice as long each time, and up to a
    /// tenth longer, so that writers that met once do not meet again.
    pub(crate) fn wait(&self, retry: u32, jitter: f64) -> Duration {
        let doubled = self
            .min_wait
            .saturating_mul(1_u32.checked_shl(retry).unwrap_or(u32::MAX));
        doubled.min(self.max_wait).mul_f64(1.0 + jitter / 10.0)
    }
}

/// The folder that the table's metadata files go into.
pub(crate) fn metadata_folder(metadata: &TableMetadata) -> Result<Location> {
    match metadata.properties().get(METADATA_PATH) {
        Some(folder) => Ok(Location::parse(folder.trim_end_matches('/'))?),
        None => Ok(Location::parse(metadata.location())?.join("metadata")),
    }
}

/// The size at which the table's manifests are full, in bytes.
pub fn manifest_target_bytes(metadata: &TableMetadata) -> usize {
    number(metadata, MANIFEST_TARGET_BYTES)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| *bytes > 0)
        .unwrap_or(DEFAULT_MANIFEST_TARGET_BYTES)
}

/// A property as a number; a text that is none counts as unset.
fn number(metadata: &TableMetadata, name: &str) -> Option<u64> {
    metadata.properties().get(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_their_limit() {
        let policy = RetryPolicy {
            retries: 4,
            min_wait: Duration::from_millis(100),
            max_wait: Duration::from_secs(1),
            total_timeout: Duration::from_mins(1),
        };
        for (retry, ms) in [(0, 100), (1, 200), (3, 800), (4, 1000), (40, 1000)] {
            assert_eq!(policy.wait(retry, 0.0), Duration::from_millis(ms));
        }
        assert_eq!(policy.wait(0, 1.0), Duration::from_millis(110));
    }
}
