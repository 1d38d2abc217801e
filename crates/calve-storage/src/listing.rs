//! Listings: in the order of keys, page by page, spelled like the location that was listed.

use calve_base::{Location, Scheme};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::Result;
use crate::s3::Bucket;
use crate::s3_list::Page;
use crate::{ObjectInfo, Storage, keys, local_walk};

/// How many pages of 1,000 objects are fetched before they are asked for.
const PAGES_AHEAD: usize = 4;
/// Folders with more objects than this are listed as a whole rather than looked into.
const MOST_OBJECTS: usize = 1_000;
/// Folders with more folders than this are listed as a whole rather than looked into.
const MOST_FOLDERS: usize = 10_000;
/// How deep folders are looked into to find parts that can be listed side by side.
const MOST_LEVELS: usize = 4;

/// Some objects, in the order of keys.
type Batch = Vec<Result<ObjectInfo>>;
/// The folders and the objects of a folder.
type Folder = (Vec<Location>, Vec<ObjectInfo>);

impl Storage {
    /// All objects whose key begins with the location taken as a folder, at any depth, in the
    /// order of their keys. A location that names one object yields that object; one that names
    /// nothing yields nothing.
    ///
    /// Local links are followed. A local folder takes its place in the order by its name with a
    /// slash, so that the order is that of an object store.
    pub fn list(&self, prefix: &Location) -> BoxStream<'static, Result<ObjectInfo>> {
        flatten(ahead(self.pages(prefix), 1))
    }

    /// As [`Storage::list`], in the same order, with up to `concurrency` folders listed at one
    /// time. It looks into the first levels of folders for as many parts; what it holds in memory
    /// depends on `concurrency`, not on how many objects there are.
    pub fn list_parallel(
        &self,
        prefix: &Location,
        concurrency: usize,
    ) -> BoxStream<'static, Result<ObjectInfo>> {
        if concurrency < 2 || prefix.scheme() == Scheme::Memory {
            return self.list(prefix);
        }
        let (storage, prefix) = (self.clone(), prefix.clone());
        let parts = async move {
            match storage.split(prefix, concurrency).await {
                Ok(parts) => storage.list_parts(parts, concurrency),
                Err(error) => one_batch(vec![Err(error)]),
            }
        };
        flatten(futures::stream::once(parts).flatten().boxed())
    }

    /// The folders and objects directly in a folder, each in the order of their keys. The folders'
    /// locations end with a slash.
    pub async fn list_folder(&self, folder: &Location) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
        let listed = self
            .list_small_folder(folder, usize::MAX, usize::MAX)
            .await?;
        Ok(listed.unwrap_or_default())
    }

    /// A folder's content, unless there is too much of it.
    async fn list_small_folder(
        &self,
        folder: &Location,
        most_folders: usize,
        most_objects: usize,
    ) -> Result<Option<Folder>> {
        match folder.scheme() {
            Scheme::File => {
                let (folders, files) = local_walk::list_folder(folder).await?;
                let is_small = folders.len() <= most_folders && files.len() <= most_objects;
                Ok(is_small.then_some((folders, files)))
            }
            Scheme::Memory => list_memory_folder(self.memory(), folder).await.map(Some),
            Scheme::S3 => {
                let bucket = self.bucket(folder).await?;
                list_s3_folder(&bucket, folder, most_folders, most_objects).await
            }
        }
    }

    fn pages(&self, prefix: &Location) -> BoxStream<'static, Batch> {
        match prefix.scheme() {
            Scheme::File => local_walk::pages(prefix),
            Scheme::Memory => memory_pages(self.clone(), prefix.clone()),
            Scheme::S3 => s3_pages(self.clone(), prefix.clone()),
        }
    }

    /// Finds parts of a listing, in order.
    async fn split(&self, prefix: Location, concurrency: usize) -> Result<Vec<Part>> {
        let mut parts = vec![Part::Folder(prefix.clone())];
        for level in 0..MOST_LEVELS {
            let folders = parts.iter().filter(|part| part.is_folder()).count();
            if folders == 0 || folders >= concurrency * 2 {
                break;
            }
            let mut looked_into = futures::stream::iter(parts)
                .map(|part| self.look_into(part))
                .buffered(concurrency);
            let mut next = Vec::new();
            while let Some(found) = looked_into.next().await {
                next.extend(found?);
            }
            parts = next;
            if level == 0 && parts.is_empty() {
                // It may be an object's name.
                return Ok(vec![Part::Whole(prefix)]);
            }
        }
        Ok(parts)
    }

    async fn look_into(&self, part: Part) -> Result<Vec<Part>> {
        let Part::Folder(folder) = part else {
            return Ok(vec![part]);
        };
        let listed = self
            .list_small_folder(&folder, MOST_FOLDERS, MOST_OBJECTS)
            .await?;
        let Some((folders, objects)) = listed else {
            return Ok(vec![Part::Whole(folder)]);
        };
        Ok(merge(folders, objects))
    }

    fn list_parts(&self, parts: Vec<Part>, concurrency: usize) -> BoxStream<'static, Batch> {
        let storage = self.clone();
        futures::stream::iter(parts)
            .map(move |part| {
                let storage = storage.clone();
                async move {
                    match part {
                        Part::Objects(objects) => one_batch(objects.into_iter().map(Ok).collect()),
                        Part::Folder(folder) | Part::Whole(folder) => {
                            start(storage.pages(&folder), PAGES_AHEAD).boxed()
                        }
                    }
                }
            })
            .buffered(concurrency)
            .flatten()
            .boxed()
    }
}

/// A part of a listing.
enum Part {
    /// Objects that have been listed.
    Objects(Vec<ObjectInfo>),
    /// A folder that may be looked into.
    Folder(Location),
    /// A folder that is listed as a whole.
    Whole(Location),
}

impl Part {
    fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_))
    }
}

/// Puts the objects of a folder between its folders, by their keys.
fn merge(folders: Vec<Location>, objects: Vec<ObjectInfo>) -> Vec<Part> {
    let mut parts = Vec::with_capacity(folders.len());
    let mut objects = objects.into_iter().peekable();
    for folder in folders {
        let before: Vec<_> =
            std::iter::from_fn(|| objects.next_if(|object| object.location < folder)).collect();
        if !before.is_empty() {
            parts.push(Part::Objects(before));
        }
        parts.push(Part::Folder(folder));
    }
    let rest: Vec<_> = objects.collect();
    if !rest.is_empty() {
        parts.push(Part::Objects(rest));
    }
    parts
}

fn one_batch(batch: Batch) -> BoxStream<'static, Batch> {
    futures::stream::iter([batch]).boxed()
}

fn flatten(batches: BoxStream<'static, Batch>) -> BoxStream<'static, Result<ObjectInfo>> {
    batches.flat_map(futures::stream::iter).boxed()
}

/// Fetches batches before they are asked for, from the first time that the stream is polled.
fn ahead(batches: BoxStream<'static, Batch>, count: usize) -> BoxStream<'static, Batch> {
    futures::stream::once(async move { start(batches, count) })
        .flatten()
        .boxed()
}

/// Fetches up to `count` batches before they are asked for, from now on.
fn start(
    mut batches: BoxStream<'static, Batch>,
    count: usize,
) -> impl Stream<Item = Batch> + Send + 'static {
    let (sender, receiver) = mpsc::channel(count);
    // Dropping the set stops the work.
    let mut work = JoinSet::new();
    work.spawn(async move {
        while let Some(batch) = batches.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
    });
    futures::stream::unfold((receiver, work), |(mut receiver, mut work)| async {
        if let Some(batch) = receiver.recv().await {
            return Some((batch, (receiver, work)));
        }
        // A panic must not look like the end of the listing.
        if let Some(Err(error)) = work.join_next().await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        None
    })
}

/// Where a listing of S3 stands.
enum Cursor {
    First,
    After(String),
    End,
}

fn s3_pages(storage: Storage, prefix: Location) -> BoxStream<'static, Batch> {
    futures::stream::unfold(
        (storage, prefix, Cursor::First),
        |(storage, prefix, cursor)| async {
            let (is_first, token) = match cursor {
                Cursor::First => (true, None),
                Cursor::After(token) => (false, Some(token)),
                Cursor::End => return None,
            };
            let page = s3_page(&storage, &prefix, token.as_deref(), is_first).await;
            let (batch, cursor) = match page {
                Ok((batch, Some(token))) => (batch, Cursor::After(token)),
                Ok((batch, None)) => (batch, Cursor::End),
                Err(error) => (vec![Err(error)], Cursor::End),
            };
            Some((batch, (storage, prefix, cursor)))
        },
    )
    .boxed()
}

async fn s3_page(
    storage: &Storage,
    prefix: &Location,
    token: Option<&str>,
    is_first: bool,
) -> Result<(Batch, Option<String>)> {
    let bucket = storage.bucket(prefix).await?;
    let page = bucket
        .page(prefix, &folder_key(prefix), false, token)
        .await?;
    let may_be_object = !prefix.key().is_empty() && !prefix.key().ends_with('/');
    if is_first && page.objects.is_empty() && page.next.is_none() && may_be_object {
        let found = storage.head(prefix).await?;
        return Ok((found.into_iter().map(Ok).collect(), None));
    }
    Ok((Page::infos(page.objects, prefix).collect(), page.next))
}

async fn list_s3_folder(
    bucket: &Bucket,
    folder: &Location,
    most_folders: usize,
    most_objects: usize,
) -> Result<Option<Folder>> {
    let prefix = folder_key(folder);
    let (mut folders, mut objects) = (Vec::new(), Vec::new());
    let mut token: Option<String> = None;
    loop {
        let page = bucket.page(folder, &prefix, true, token.as_deref()).await?;
        for key in &page.folders {
            folders.push(with_key(folder, key)?);
        }
        for info in Page::infos(page.objects, folder) {
            objects.push(info?);
        }
        token = page.next;
        let is_over = folders.len() > most_folders || objects.len() > most_objects;
        match &token {
            _ if is_over => return Ok(None),
            None => return Ok(Some((folders, objects))),
            Some(_) => {}
        }
    }
}

fn memory_pages(storage: Storage, prefix: Location) -> BoxStream<'static, Batch> {
    futures::stream::once(async move {
        let path = keys::to_path(prefix.key().trim_end_matches('/'));
        let mut found = Vec::new();
        let mut listed = storage.memory().list(Some(&path));
        while let Some(meta) = listed.next().await {
            found.push(meta.map_err(|error| crate::Error::from_store(&prefix, error)));
        }
        drop(listed);
        let mut batch: Batch = found
            .into_iter()
            .map(|meta| memory_info(&prefix, &meta?))
            .collect();
        if batch.is_empty() {
            batch.extend(storage.head(&prefix).await.transpose());
        }
        batch.sort_by(|left, right| match (left, right) {
            (Ok(left), Ok(right)) => left.location.cmp(&right.location),
            (left, right) => right.is_err().cmp(&left.is_err()),
        });
        batch
    })
    .boxed()
}

async fn list_memory_folder(memory: &InMemory, folder: &Location) -> Result<Folder> {
    let path = keys::to_path(folder.key().trim_end_matches('/'));
    let listed = memory.list_with_delimiter(Some(&path)).await;
    let listed = listed.map_err(|error| crate::Error::from_store(folder, error))?;
    let folders = listed
        .common_prefixes
        .iter()
        .map(|path| with_key(folder, &format!("{}/", keys::from_path(path))))
        .collect::<Result<_>>()?;
    let mut objects = listed
        .objects
        .iter()
        .map(|meta| memory_info(folder, meta))
        .collect::<Result<Vec<_>>>()?;
    objects.sort_by(|left, right| left.location.cmp(&right.location));
    Ok((folders, objects))
}

fn memory_info(like: &Location, meta: &object_store::ObjectMeta) -> Result<ObjectInfo> {
    let location = with_key(like, &keys::from_path(&meta.location))?;
    Ok(info(location, meta))
}

/// The text that the keys below a folder begin with: the folder's key with one slash at its end.
/// A key that ends with a slash is taken as it is, since `a/` and `a//` are two folders on S3.
pub(crate) fn folder_key(folder: &Location) -> String {
    let key = folder.key();
    if key.is_empty() || key.ends_with('/') {
        key.to_owned()
    } else {
        format!("{key}/")
    }
}

/// The location of another key in the same bucket or file system, in the same spelling.
pub(crate) fn with_key(like: &Location, key: &str) -> Result<Location> {
    let before = &like.as_str()[..like.as_str().len() - like.key().len()];
    let slash = if like.scheme() == Scheme::S3 && !before.ends_with('/') {
        "/"
    } else {
        ""
    };
    Ok(Location::parse(format!("{before}{slash}{key}"))?)
}

/// What a store tells of an object, at a location.
pub(crate) fn info(location: Location, meta: &object_store::ObjectMeta) -> ObjectInfo {
    ObjectInfo {
        location,
        size: meta.size,
        last_modified_ms: meta.last_modified.timestamp_millis(),
        etag: meta.e_tag.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(like: &str, key: &str, folder: &str, location: &str) {
        let like: Location = like.parse().unwrap();
        assert_eq!(folder_key(&like), folder);
        assert_eq!(with_key(&like, key).unwrap().as_str(), location);
    }

    #[test]
    fn spellings_are_kept() {
        check("s3://b", "k", "", "s3://b/k");
        check("s3a://b/a", "a//k", "a/", "s3a://b/a//k");
        check("s3n://b/a//", "k", "a//", "s3n://b/k");
        check("file:///a", "/a/k", "/a/", "file:///a/k");
        check("file:/a/", "/a/k", "/a/", "file:/a/k");
        check("/a", "/k", "/a/", "/k");
        check("memory:///a", "a/k", "a/", "memory:///a/k");
    }
}
