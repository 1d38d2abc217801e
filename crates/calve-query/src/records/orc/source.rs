//! Parts of a file, for a thread that waits.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Problem, Source};

/// How much is read by one request.
const PART_BYTES: u64 = 8 * 1024 * 1024;
/// How many requests are under way.
const PARTS_AT_ONCE: usize = 4;

impl Source {
    pub(super) fn size(&self) -> u64 {
        self.object.size
    }

    pub(super) fn range(&self, range: Range<u64>) -> Result<Bytes, Problem> {
        let read = self.storage.read_range(&self.object.location, range);
        Ok(self.handle.block_on(read)?)
    }

    /// Reads several ranges, which are in the order of the file, and not empty. What lies side by side is read at once.
    pub(super) fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Problem> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match runs.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => runs.push(range.clone()),
            }
        }
        let read = stream::iter(runs.iter().cloned().flat_map(parts))
            .map(|part| self.storage.read_range(&self.object.location, part))
            .buffered(PARTS_AT_ONCE)
            .try_collect();
        let read: Vec<Bytes> = self.handle.block_on(read)?;
        let mut read = read.into_iter();
        let runs: Vec<(u64, Bytes)> = runs
            .into_iter()
            .map(|run| (run.start, joined(read.by_ref().take(parts(run).count()))))
            .collect();
        let mut runs = runs.into_iter();
        let (mut start, mut bytes) = (0, Bytes::new());
        let slices = ranges.iter().map(|range| {
            while range.start >= start + bytes.len() as u64
                && let Some(next) = runs.next()
            {
                (start, bytes) = next;
            }
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let taken = bytes.split_to(length.min(bytes.len()));
            start = range.end;
            taken
        });
        Ok(slices.collect())
    }
}

fn parts(run: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let starts = run
        .clone()
        .step_by(usize::try_from(PART_BYTES).unwrap_or(usize::MAX));
    starts.map(move |start| start..run.end.min(start + PART_BYTES))
}

fn joined(mut parts: impl Iterator<Item = Bytes>) -> Bytes {
    let Some(first) = parts.next() else {
        return Bytes::new();
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return first;
    }
    let mut whole = BytesMut::from(first);
    parts.for_each(|part| whole.extend_from_slice(&part));
    whole.freeze()
}
