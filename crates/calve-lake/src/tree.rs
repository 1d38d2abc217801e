//! Lists what lies below a root, several folders at once, always in the order of the keys.

use std::sync::Arc;

use calve_base::{Location, Scheme};
use calve_storage::{ObjectInfo, Storage};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::filter::{Comparison, PartitionFilter};
use crate::hive_path::{Component, folder_component};
use crate::task::{Task, run_ahead};
use crate::{Error, Recursive, Result, SkipReason, Skipped};

/// How many folders are listed at once within each folder that the filter has left.
const CONCURRENCY_WITHIN: usize = 4;
/// A filter prunes this many levels; deeper folders are listed and then left out.
const PRUNED_LEVELS: usize = 12;

/// What a listing comes upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An object.
    Object(ObjectInfo),
    /// A partition folder that may be left unlisted: its key and value, unescaped.
    Partition(String, Option<String>),
    /// A folder that is left out.
    Skipped(Skipped),
}

/// A folder and the conditions that are still to be met below it.
#[derive(Debug, Clone)]
struct Folder {
    location: Location,
    unmet: Vec<usize>,
}

#[derive(Debug, Clone)]
enum Piece {
    Found(Found),
    Folder(Folder),
}

/// What is to be listed.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) storage: Storage,
    pub(crate) root: Location,
    pub(crate) filter: Arc<PartitionFilter>,
    pub(crate) recursive: Recursive,
    pub(crate) concurrency: usize,
}

impl Tree {
    /// Lists what the filter may leave: whole folders that cannot match are not listed.
    pub(crate) fn list(self) -> BoxStream<'static, Result<Found>> {
        let concurrency = self.concurrency.max(1);
        if self.filter.len() == 0 {
            return whole(&self.storage, &self.root, concurrency);
        }
        let tree = Arc::new(self);
        let mut pieces = stream::once(Arc::clone(&tree).start()).boxed();
        for _ in 0..PRUNED_LEVELS {
            let tree = Arc::clone(&tree);
            pieces = pieces
                .map_ok(move |piece| Arc::clone(&tree).prune(piece))
                .try_buffered(concurrency)
                .map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok)))
                .try_flatten()
                .boxed();
        }
        let within = concurrency.min(CONCURRENCY_WITHIN);
        pieces
            .map_ok(move |piece| std::future::ready(Ok(tree.open(piece, within))))
            .try_buffered(concurrency / within)
            .try_flatten()
            .boxed()
    }

    /// The root: a folder as a rule, but it may be a file.
    async fn start(self: Arc<Self>) -> Result<Piece> {
        if !self.root.key().ends_with('/')
            && let Some(object) = self.storage.head(&self.root).await?
            && (object.size > 0 || self.root.scheme() == Scheme::File)
        {
            return Ok(Piece::Found(Found::Object(object)));
        }
        Ok(Piece::Folder(Folder {
            location: self.root.clone(),
            unmet: (0..self.filter.len()).collect(),
        }))
    }

    /// Replaces a folder that has unmet conditions by what it holds, without what cannot match.
    fn prune(self: Arc<Self>, piece: Piece) -> BoxFuture<'static, Result<Vec<Piece>>> {
        match piece {
            Piece::Folder(folder) if !folder.unmet.is_empty() => {
                Box::pin(Task::spawn(self.look_into(folder)))
            }
            other => Box::pin(std::future::ready(Ok(vec![other]))),
        }
    }

    async fn look_into(self: Arc<Self>, folder: Folder) -> Result<Vec<Piece>> {
        let (mut folders, objects) = self.storage.list_folder(&folder.location).await?;
        folders.sort_unstable_by(|left, right| left.key().cmp(right.key()));
        let mut pieces = Vec::with_capacity(folders.len() + objects.len());
        let mut objects = objects.into_iter().peekable();
        for location in folders {
            // A folder's place among the objects is that of its name with a slash.
            while let Some(object) =
                objects.next_if(|object| object.location.key() < location.key())
            {
                pieces.push(Piece::Found(Found::Object(object)));
            }
            self.enter(&folder, location, &mut pieces)?;
        }
        pieces.extend(objects.map(|object| Piece::Found(Found::Object(object))));
        Ok(pieces)
    }

    /// Decides whether a folder is listed.
    fn enter(&self, parent: &Folder, location: Location, pieces: &mut Vec<Piece>) -> Result<()> {
        let mut unmet = parent.unmet.clone();
        if !unmet.is_empty() {
            match folder_component(location.file_name()) {
                // Whatever it holds, it is not in a partition that was asked for.
                Component::Hidden => return Ok(()),
                Component::Pair(key, value) => {
                    let condition = self.filter.position(&key);
                    let text = value.as_deref();
                    if let Some(index) = condition.filter(|index| unmet.contains(index)) {
                        unmet.retain(|other| *other != index);
                        let comparison = self.filter.compare(index, text);
                        pieces.push(Piece::Found(Found::Partition(key, value)));
                        if comparison == Comparison::Unequal {
                            return Ok(());
                        }
                    }
                }
                Component::EmptyKey => {
                    return Err(Error::EmptyKey {
                        folder: without_slash(&location),
                    });
                }
                Component::Plain => match self.recursive {
                    Recursive::Fail => {
                        return Err(Error::SubFolder {
                            folder: without_slash(&location),
                        });
                    }
                    Recursive::True => {}
                    Recursive::False => {
                        let reason = SkipReason::SubFolder;
                        pieces.push(Piece::Found(Found::Skipped(Skipped { location, reason })));
                        return Ok(());
                    }
                },
            }
        }
        pieces.push(Piece::Folder(Folder { location, unmet }));
        Ok(())
    }

    /// Begins to list a folder with all its sub folders.
    fn open(&self, piece: Piece, concurrency: usize) -> BoxStream<'static, Result<Found>> {
        match piece {
            Piece::Found(found) => stream::once(std::future::ready(Ok(found))).boxed(),
            Piece::Folder(folder) => run_ahead(whole(&self.storage, &folder.location, concurrency)),
        }
    }
}

/// A folder with all its sub folders, or one file.
fn whole(
    storage: &Storage,
    root: &Location,
    concurrency: usize,
) -> BoxStream<'static, Result<Found>> {
    let objects = storage.list_parallel(root, concurrency);
    objects.map_ok(Found::Object).map_err(Error::from).boxed()
}

fn without_slash(folder: &Location) -> Location {
    let trimmed = folder.as_str().trim_end_matches('/');
    Location::parse(trimmed).unwrap_or_else(|_| folder.clone())
}
