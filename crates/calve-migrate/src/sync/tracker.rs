//! Compares the files of a source with what it looked like, one by one.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use calve_base::Location;
use calve_catalog::Table;
use calve_lake::LakeFile;
use calve_table::{DEFAULT_MANIFEST_CONCURRENCY, FileSet, Scan};
use futures::TryStreamExt;

use super::fingerprint::{Entry, Fingerprint};
use super::memory::SourceMemory;
use super::{OnChanged, OnDeleted};
use crate::Result;
use crate::add_files::{Changes, Choice, REPORT_LIST_LIMIT, Selection};
use crate::journal::FailPoint;

/// What is known of a source before it is listed.
#[derive(Debug)]
pub(super) enum Known {
    /// What it looked like when it was last synchronized.
    Fingerprint(Fingerprint),
    /// Which files the table has, for a table that was never synchronized with it.
    Table(FileSet),
}

/// Tells what appeared, changed and vanished.
#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) known: Known,
    pub(super) root: Option<Location>,
    pub(super) on_changed: OnChanged,
    pub(super) on_deleted: OnDeleted,
    pub(super) memory: SourceMemory,
    pub(super) fail_point: FailPoint,
    pub(super) state: Mutex<State>,
}

/// What the comparison has found so far.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Which entries of the fingerprint were seen again.
    seen: Vec<bool>,
    /// Files that are new, or that are as they are now.
    fresh: Vec<Entry>,
    refused: HashSet<Entry>,
    replaced: Vec<Location>,
    pub(super) unchanged_count: u64,
    pub(super) changed: Listed,
    pub(super) missing: Listed,
    pub(super) replaced_count: u64,
    pub(super) removed_count: u64,
    /// The fingerprint that was written for the commit.
    pub(super) written: Option<Location>,
}

/// Files, of which the first are named.
#[derive(Debug, Default, Clone)]
pub(super) struct Listed {
    pub(super) count: u64,
    pub(super) first: Vec<Location>,
}

impl Listed {
    fn push(&mut self, file: &Location) {
        self.count += 1;
        if self.first.len() < REPORT_LIST_LIMIT {
            self.first.push(file.clone());
        }
    }
}

impl Tracker {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the source looks like now, as far as the table is in step with it: what was left out is
    /// reported again by the next run.
    fn fingerprint(&self, state: &State, gone: &HashSet<Entry>) -> Fingerprint {
        let is_wanted = |entry: &Entry| !state.refused.contains(&entry.path());
        let fresh: Vec<Entry> = state.fresh.iter().copied().filter(is_wanted).collect();
        let Known::Fingerprint(before) = &self.known else {
            return Fingerprint::new(fresh);
        };
        let mut again: Vec<Entry> = fresh.iter().map(|entry| entry.path()).collect();
        again.sort_unstable();
        let kept = before.entries().iter().filter(|entry| {
            again.binary_search(&entry.path()).is_err() && !gone.contains(&entry.path())
        });
        Fingerprint::new(kept.copied().chain(fresh).collect())
    }

    /// The files of the table that are not in the source any more, and those that are replaced.
    async fn find(&self, table: &Table, state_of: Wanted) -> Result<Found> {
        let mut found = Found::default();
        if state_of.is_empty(&self.known) {
            return Ok(found);
        }
        let scan = Scan::new(table.clone()).with_concurrency(DEFAULT_MANIFEST_CONCURRENCY);
        let mut files = scan.plan().await?;
        while let Some(file) = files.try_next().await? {
            let Ok(location) = Location::parse(&file.file.path) else {
                continue;
            };
            let path = Entry::path_of(&location);
            if state_of.replaced.contains(&path) {
                found.replaced.push(location);
            } else if state_of.is_missing(&self.known, self.root.as_ref(), path, &location) {
                found.missing.push(location);
            }
        }
        Ok(found)
    }
}

/// Which of the table's files are looked for.
struct Wanted {
    replaced: HashSet<Entry>,
    /// Files of the fingerprint that were not seen.
    unseen: HashSet<Entry>,
    /// All files that were seen, in order, for a table without a fingerprint.
    seen: Vec<Entry>,
}

/// Files of the table.
#[derive(Default)]
struct Found {
    replaced: Vec<Location>,
    missing: Vec<Location>,
}

impl Wanted {
    fn of(known: &Known, state: &State) -> Self {
        let replaced = state.replaced.iter().map(Entry::path_of);
        let mut wanted = Self {
            replaced: replaced.filter(|it| !state.refused.contains(it)).collect(),
            unseen: HashSet::new(),
            seen: Vec::new(),
        };
        match known {
            Known::Fingerprint(before) => {
                let entries = before.entries().iter().zip(&state.seen);
                let unseen = entries.filter(|(_, is_seen)| !**is_seen);
                wanted.unseen = unseen.map(|(entry, _)| entry.path()).collect();
            }
            Known::Table(_) => {
                wanted.seen = state.fresh.iter().map(|entry| entry.path()).collect();
                wanted.seen.sort_unstable();
            }
        }
        wanted
    }

    fn is_empty(&self, known: &Known) -> bool {
        matches!(known, Known::Fingerprint(_)) && self.replaced.is_empty() && self.unseen.is_empty()
    }

    fn is_missing(
        &self,
        known: &Known,
        root: Option<&Location>,
        path: Entry,
        location: &Location,
    ) -> bool {
        match known {
            Known::Fingerprint(_) => self.unseen.contains(&path),
            Known::Table(_) => {
                root.is_some_and(|root| root.contains(location))
                    && self.seen.binary_search(&path).is_err()
            }
        }
    }
}

#[async_trait]
impl Selection for Tracker {
    fn choose(&self, file: &LakeFile) -> Choice {
        let mut state = self.lock();
        let entry = Entry::of(file);
        match &self.known {
            Known::Table(files) if files.contains(&file.location) => {
                state.unchanged_count += 1;
                state.fresh.push(entry);
                Choice::Leave
            }
            Known::Table(_) => {
                state.fresh.push(entry);
                Choice::Add
            }
            Known::Fingerprint(before) => {
                state.seen.resize(before.entries().len(), false);
                let Some(place) = before.find(entry) else {
                    state.fresh.push(entry);
                    return Choice::Add;
                };
                let is_again = std::mem::replace(&mut state.seen[place], true);
                if is_again || before.entries()[place] == entry {
                    state.unchanged_count += u64::from(!is_again);
                    return Choice::Leave;
                }
                state.changed.push(&file.location);
                match self.on_changed {
                    OnChanged::Keep => Choice::Leave,
                    OnChanged::Replace => {
                        state.fresh.push(entry);
                        state.replaced.push(file.location.clone());
                        Choice::Replace
                    }
                }
            }
        }
    }

    fn refused(&self, file: &Location) {
        self.lock().refused.insert(Entry::path_of(file));
    }

    async fn changes(&self, table: Option<&Table>, writes: bool) -> Result<Changes> {
        let wanted = Wanted::of(&self.known, &self.lock());
        let unseen = wanted.unseen.clone();
        let found = match table {
            Some(table) => self.find(table, wanted).await?,
            None => Found::default(),
        };
        let mut changes = Changes::default();
        let (fingerprint, is_in_step) = {
            let mut state = self.lock();
            for file in &found.missing {
                state.missing.push(file);
            }
            state.replaced_count = found.replaced.len() as u64;
            changes.removed = found.replaced;
            // What neither the source nor the table has is forgotten.
            let mut gone = unseen;
            match self.on_deleted {
                OnDeleted::Remove => {
                    state.removed_count = found.missing.len() as u64;
                    changes.removed.extend(found.missing);
                }
                OnDeleted::Keep => {
                    for file in &found.missing {
                        gone.remove(&Entry::path_of(file));
                    }
                }
            }
            let is_in_step = state.refused.is_empty()
                && (state.missing.count == 0 || self.on_deleted == OnDeleted::Remove)
                && (state.changed.count == 0 || self.on_changed == OnChanged::Replace);
            (self.fingerprint(&state, &gone), is_in_step)
        };
        if writes {
            let before = match &self.known {
                Known::Fingerprint(before) => Some(before),
                Known::Table(_) => None,
            };
            let (properties, written) = self
                .memory
                .remember(table, before, &fingerprint, is_in_step)
                .await?;
            changes.properties = properties;
            self.lock().written = written;
            self.fail_point.reach("remembered");
        }
        Ok(changes)
    }
}
