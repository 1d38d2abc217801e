//! Which data files a table has, by a hash of each path.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use calve_base::{Location, TableIdent};
use calve_catalog::Table;
use calve_storage::Storage;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{DataContentType, ManifestContentType, ManifestFile, Snapshot};

use crate::live_files::{file_key, live_files};
use crate::manifests::load_manifests;
use crate::{Error, Result};

/// How many manifests are read at a time, unless the caller says otherwise.
pub const DEFAULT_MANIFEST_CONCURRENCY: usize = 8;

/// How many collisions are named.
const NAMED: usize = 10;

/// A set of data files: 16 bytes of hash each, whatever their paths' lengths.
///
/// Two spellings of one object (`s3a://` and `s3://`) are one file. Two files with one hash of 128
/// bits do not happen.
#[derive(Debug, Clone, Default)]
pub struct FileSet {
    hashes: HashSet<u128, BuildHasherDefault<Folded>>,
}

/// Files that are in two places where they may be in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collisions {
    /// How many.
    pub count: u64,
    /// The first ten, as written.
    pub first: Vec<String>,
}

/// A hash needs no second hashing: its lower half serves.
#[derive(Debug, Clone, Default)]
struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

impl FileSet {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the live data files of a table's current snapshot, `concurrency` manifests at a time.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub async fn of_table(table: &Table, concurrency: usize) -> Result<Self> {
        match table.metadata().current_snapshot() {
            Some(snapshot) => Self::of_snapshot(table.storage(), snapshot, concurrency).await,
            None => Ok(Self::new()),
        }
    }

    /// Reads the live data files of a snapshot.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub async fn of_snapshot(
        storage: &Storage,
        snapshot: &Snapshot,
        concurrency: usize,
    ) -> Result<Self> {
        let manifests = load_manifests(storage, snapshot).await?;
        let files = manifests.iter().map(|manifest| {
            let added = manifest.added_files_count.unwrap_or_default();
            let existing = manifest.existing_files_count.unwrap_or_default();
            added.saturating_add(existing) as usize
        });
        let mut set = Self::new();
        set.hashes.reserve(files.sum::<usize>().min(1 << 24));
        let mut parts = scan(storage, manifests, concurrency, |file| Some(file_key(file)));
        while let Some(part) = parts.try_next().await? {
            set.hashes.extend(part);
        }
        Ok(set)
    }

    /// Adds a file. Returns whether it is new.
    pub fn insert(&mut self, file: &Location) -> bool {
        self.hashes.insert(file_key(file.as_str()))
    }

    /// Whether the set has the file.
    pub fn contains(&self, file: &Location) -> bool {
        self.hashes.contains(&file_key(file.as_str()))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether the set has no files.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Which live data files of some manifests are in this set. This is how the files of a commit
    /// are checked against what others committed meanwhile, without reading all manifests again.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub async fn collisions(
        self: &Arc<Self>,
        storage: &Storage,
        manifests: Vec<ManifestFile>,
        concurrency: usize,
    ) -> Result<Collisions> {
        let set = Arc::clone(self);
        let shared = move |file: &str| {
            set.hashes
                .contains(&file_key(file))
                .then(|| file.to_owned())
        };
        let mut parts = scan(storage, manifests, concurrency, shared);
        let mut found = Collisions::default();
        while let Some(part) = parts.try_next().await? {
            for file in &part {
                found.add(file);
            }
        }
        Ok(found)
    }
}

impl Collisions {
    /// Counts one, and names it if it is among the first.
    pub fn add(&mut self, file: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(file.to_owned());
        }
    }

    /// Nothing where there is none; [`Error::Duplicates`] otherwise.
    ///
    /// # Errors
    /// When there is any collision.
    pub fn into_result(self, ident: &TableIdent) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        Err(Error::Duplicates {
            ident: ident.clone(),
            count: self.count,
            first: self.first,
        })
    }
}

/// What `pick` makes of the path of each live data file, manifest by manifest, in any order.
fn scan<T: Send + 'static>(
    storage: &Storage,
    manifests: Vec<ManifestFile>,
    concurrency: usize,
    pick: impl Fn(&str) -> Option<T> + Clone + Send + 'static,
) -> BoxStream<'static, Result<Vec<T>>> {
    let storage = storage.clone();
    stream::iter(live_data(manifests))
        .map(move |manifest| {
            let pick = pick.clone();
            let data = move |file: &str, content| match content {
                DataContentType::Data => pick(file),
                _ => None,
            };
            live_files(storage.clone(), manifest.manifest_path, data)
        })
        .buffer_unordered(concurrency.max(1))
        .boxed()
}

fn live_data(manifests: Vec<ManifestFile>) -> impl Iterator<Item = ManifestFile> {
    manifests.into_iter().filter(|manifest| {
        manifest.content == ManifestContentType::Data
            && (manifest.has_added_files() || manifest.has_existing_files())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_collisions_are_named() {
        let mut collisions = Collisions::default();
        for index in 0..12 {
            collisions.add(&format!("f{index}"));
        }
        let error = collisions.into_result(&TableIdent::new("db", "t"));
        assert_eq!(
            error.unwrap_err().to_string(),
            "12 files are in table db.t already: \
             f0, f1, f2, f3, f4, f5, f6, f7, f8, f9, …"
        );
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in_and_nothing_else(
            keys in prop::collection::btree_set("[a-z%/=]{1,12}[a-z]", 0..200),
            others in prop::collection::btree_set("[A-Z]{1,12}", 0..50),
        ) {
            let scheme = |index: usize| ["s3", "s3a", "s3n"][index % 3];
            let mut set = FileSet::new();
            for (index, key) in keys.iter().enumerate() {
                let location = Location::parse(format!("{}://b/{key}", scheme(index))).unwrap();
                prop_assert!(set.insert(&location));
                prop_assert!(!set.insert(&location));
            }
            prop_assert_eq!(set.len(), keys.len());
            for (index, key) in keys.iter().enumerate() {
                let location = Location::parse(format!("{}://b/{key}", scheme(index + 1))).unwrap();
                prop_assert!(set.contains(&location));
            }
            for key in &others {
                let location = Location::parse(format!("s3://b/{key}")).unwrap();
                prop_assert!(!set.contains(&location));
            }
        }
    }
}
