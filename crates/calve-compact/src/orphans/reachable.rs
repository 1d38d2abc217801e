//! All files that tables refer to: 32 bytes of memory each, and some room for more.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use calve_catalog::Table;
use calve_table::{file_key, live_files, load_manifests, statistics_files};
use futures::stream;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::SnapshotRef;

use super::address::{Equalities, Prefix, split};
use crate::{Error, Result};

/// How many different prefixes are told apart. Files with others fit whatever is listed: they stay.
const PREFIXES: usize = 63;

/// The files that tables refer to, by the hash of their path: the prefixes that they are named with, a bit each.
#[derive(Debug)]
pub(super) struct Reachable {
    equal: Arc<Equalities>,
    files: HashMap<u128, u64>,
    prefixes: Arc<Prefixes>,
    /// Manifest lists and manifests that were read.
    read: HashSet<u128>,
    concurrency: usize,
}

#[derive(Debug, Default)]
struct Prefixes(Mutex<Vec<Prefix>>);

impl Prefixes {
    /// The bit of a prefix; all bits where there are too many.
    fn bit(&self, prefix: Prefix) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|it| *it == prefix);
        let at = at.unwrap_or_else(|| {
            if known.len() < PREFIXES {
                known.push(prefix);
                known.len() - 1
            } else {
                PREFIXES
            }
        });
        if at < PREFIXES { 1 << at } else { u64::MAX }
    }

    fn all(&self) -> Vec<Prefix> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }
}

/// Whether a listed file is one of those that tables refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    Yes,
    No,
    /// A table names the same path with another prefix.
    Elsewhere(String),
}

impl Reachable {
    pub(super) fn new(equal: Equalities, concurrency: usize) -> Self {
        Self {
            equal: Arc::new(equal),
            files: HashMap::new(),
            prefixes: Arc::default(),
            read: HashSet::new(),
            concurrency,
        }
    }

    fn add(&mut self, path: &str) {
        let (prefix, key) = split(path, &self.equal);
        let bit = self.prefixes.bit(prefix);
        *self.files.entry(key).or_default() |= bit;
    }

    /// Adds all that any snapshot of a table refers to, its metadata files and its statistics. What was read for an
    /// earlier state of the table is not read again.
    ///
    /// # Errors
    /// When a manifest list or a manifest cannot be read.
    pub(super) async fn add_table(&mut self, table: &Table) -> Result<()> {
        let metadata = table.metadata();
        self.add(table.metadata_location().as_str());
        for entry in metadata.metadata_log() {
            self.add(&entry.metadata_file);
        }
        for (_, path) in statistics_files(metadata) {
            self.add(&path);
        }
        let mut unread: Vec<SnapshotRef> = Vec::new();
        for snapshot in metadata.snapshots() {
            self.add(snapshot.manifest_list());
            if self.read.insert(file_key(snapshot.manifest_list())) {
                unread.push(SnapshotRef::clone(snapshot));
            }
        }
        let storage = table.storage().clone();
        let mut manifests = Vec::new();
        let mut lists = stream::iter(unread)
            .map(|snapshot| {
                let storage = storage.clone();
                async move { load_manifests(&storage, &snapshot).await }
            })
            .buffer_unordered(self.concurrency);
        while let Some(list) = lists.try_next().await? {
            for manifest in list {
                self.add(&manifest.manifest_path);
                let is_live = manifest.has_added_files() || manifest.has_existing_files();
                if self.read.insert(file_key(&manifest.manifest_path)) && is_live {
                    manifests.push(manifest.manifest_path);
                }
            }
        }
        drop(lists);
        let (equal, prefixes) = (Arc::clone(&self.equal), Arc::clone(&self.prefixes));
        let mut files = stream::iter(manifests)
            .map(move |manifest| {
                let (equal, prefixes) = (Arc::clone(&equal), Arc::clone(&prefixes));
                let pick = move |file: &str, _| {
                    let (prefix, key) = split(file, &equal);
                    Some((key, prefixes.bit(prefix)))
                };
                live_files(storage.clone(), manifest, pick)
            })
            .buffer_unordered(self.concurrency);
        while let Some(part) = files.try_next().await.map_err(Error::from)? {
            for (key, bit) in part {
                *self.files.entry(key).or_default() |= bit;
            }
        }
        Ok(())
    }

    /// Looks for a listed file.
    pub(super) fn find(&self, listed: &str) -> Reached {
        let (prefix, key) = split(listed, &self.equal);
        let Some(bits) = self.files.get(&key) else {
            return Reached::No;
        };
        if *bits == u64::MAX {
            return Reached::Yes;
        }
        let known = self.prefixes.all();
        let named = known
            .iter()
            .enumerate()
            .filter(|(at, _)| bits & (1 << at) != 0)
            .map(|(_, named)| named);
        let mut last = None;
        for named in named {
            if named.fits(&prefix) {
                return Reached::Yes;
            }
            last = Some(named);
        }
        Reached::Elsewhere(last.map(ToString::to_string).unwrap_or_default())
    }
}
