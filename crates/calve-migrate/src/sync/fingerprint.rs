//! What a source looked like: sixteen bytes for each of its files.

use bytes::Bytes;
use calve_base::Location;
use calve_lake::LakeFile;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// What a fingerprint begins with: the format, and its version.
const MAGIC: &[u8; 8] = b"calvefp1";

/// The bits of an entry that say what a file is like; the others say which file it is.
const STATE: u128 = 0xffff_ffff;

/// A file, and what it is like: 96 bits of the hash of its address, 32 of its size, its entity tag
/// and the time of its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry(u128);

impl Entry {
    pub(crate) fn of(file: &LakeFile) -> Self {
        let mut state = Xxh3::new();
        state.update(&file.size.to_le_bytes());
        state.update(&file.last_modified_ms.to_le_bytes());
        state.update(file.etag.as_deref().unwrap_or_default().as_bytes());
        Self(Self::path_of(&file.location).0 | (u128::from(state.digest()) & STATE))
    }

    /// Which file it is, whatever it is like.
    pub(crate) fn path(self) -> Self {
        Self(self.0 & !STATE)
    }

    /// The file at an address.
    pub(crate) fn path_of(location: &Location) -> Self {
        Self(xxh3_128(location.canonical().as_bytes()) & !STATE)
    }
}

/// The entries of all files, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<Entry>);

impl Fingerprint {
    /// Puts entries in order. Of entries of one file, one stays.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        entries.dedup_by_key(|entry| entry.path());
        Self(entries)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The place of a file.
    pub(crate) fn find(&self, entry: Entry) -> Option<usize> {
        let path = entry.path();
        self.0
            .binary_search_by_key(&path, |entry| entry.path())
            .ok()
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.0.len() * 16 + 24);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&(self.0.len() as u64).to_le_bytes());
        for entry in &self.0 {
            out.extend_from_slice(&entry.0.to_le_bytes());
        }
        let hash = xxh3_64(&out);
        out.extend_from_slice(&hash.to_le_bytes());
        out.into()
    }

    /// Reads what [`Self::to_bytes`] wrote; nothing where it is anything else, or damaged.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<8>()?;
        if xxh3_64(content).to_le_bytes() != *hash {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (entries, rest) = rest.as_chunks::<16>();
        let is_whole = rest.is_empty() && u64::from_le_bytes(*count) == entries.len() as u64;
        let entries = entries
            .iter()
            .map(|entry| Entry(u128::from_le_bytes(*entry)));
        is_whole.then(|| Self(entries.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn file(path: &str, size: u64) -> LakeFile {
        LakeFile {
            location: Location::parse(path).unwrap(),
            size,
            last_modified_ms: 7,
            etag: None,
            storage_class: None,
            partition: Arc::new([]),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = (0..100).map(|it| Entry::of(&file(&format!("s3://b/{it}"), it)));
        let fingerprint = Fingerprint::new(entries.collect());
        let bytes = fingerprint.to_bytes();
        assert_eq!(bytes.len(), 24 + 100 * 16);
        assert_eq!(Fingerprint::from_bytes(&bytes).as_ref(), Some(&fingerprint));
        for damaged in [&bytes[1..], &bytes[..bytes.len() - 1], &[]] {
            assert_eq!(Fingerprint::from_bytes(damaged), None);
        }
        let mut flipped = bytes.to_vec();
        flipped[40] ^= 1;
        assert_eq!(Fingerprint::from_bytes(&flipped), None);
    }

    #[test]
    fn files_are_found_whatever_they_are_like() {
        let fingerprint = Fingerprint::new(vec![Entry::of(&file("s3://b/k", 1))]);
        let changed = Entry::of(&file("s3a://b/k", 2));
        assert_eq!(fingerprint.find(changed), Some(0));
        assert_ne!(fingerprint.entries()[0], changed);
        assert_eq!(fingerprint.find(Entry::of(&file("s3://b/other", 1))), None);
    }
}
