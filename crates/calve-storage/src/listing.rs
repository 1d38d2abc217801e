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
use crate::s3_list::{Listed, Page, PageQuery};
use crate::{ObjectInfo, Storage, keys, local_walk};

/// How many pages of 1,000 objects are fetched before they are asked for.
const PAGES_AHEAD: usize = 4;
/// Into how many parts, for each that is listed at one time, a listing is cut. More parts than
/// that cost more requests; fewer wait for the longest of them.
const PARTS_EACH: usize = 8;
/// How many pages of a folder are looked at to find where a listing can be cut.
const PAGES_LOOKED_AT: usize = 10;
/// How deep folders are looked into to find where a listing can be cut.
const MOST_LEVELS: usize = 4;

/// Some objects, in the order of keys.
type Batch = Vec<Result<ObjectInfo>>;
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

    /// As [`Storage::list`], in the same order, with up to `concurrency` requests to S3 at one
    /// time. It looks at the first levels of folders to cut the listing into parts; what it holds
    /// in memory depends on `concurrency`, not on how many objects there are.
    pub fn list_parallel(
        &self,
        prefix: &Location,
        concurrency: usize,
    ) -> BoxStream<'static, Result<ObjectInfo>> {
        if concurrency < 2 || prefix.scheme() != Scheme::S3 {
            return self.list(prefix);
        }
        let (storage, prefix) = (self.clone(), prefix.clone());
        let parts = async move {
            match storage.cut(&prefix, concurrency).await {
                Ok(cuts) => storage.list_parts(&prefix, cuts, concurrency),
                Err(error) => futures::stream::iter([vec![Err(error)]]).boxed(),
            }
        };
        flatten(futures::stream::once(parts).flatten().boxed())
    }

    /// The folders and objects directly in a folder, each in the order of their keys. The folders'
    /// locations end with a slash.
    pub async fn list_folder(&self, folder: &Location) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
        match folder.scheme() {
            Scheme::File => local_walk::list_folder(folder).await,
            Scheme::Memory => list_memory_folder(self.memory(), folder).await,
            Scheme::S3 => list_s3_folder(&self.bucket(folder).await?, folder).await,
        }
    }

    fn pages(&self, prefix: &Location) -> BoxStream<'static, Batch> {
        match prefix.scheme() {
            Scheme::File => local_walk::pages(prefix),
            Scheme::Memory => memory_pages(self.clone(), prefix.clone()),
            Scheme::S3 => s3_pages(self.clone(), prefix.clone(), Range::default()),
        }
    }

    /// Finds the keys of folders at which a listing can be cut, in order.
    async fn cut(&self, prefix: &Location, concurrency: usize) -> Result<Vec<String>> {
        let bucket = self.bucket(prefix).await?;
        let mut folders = vec![folder_key(prefix)];
        let mut cuts = Vec::new();
        for _ in 0..MOST_LEVELS {
            let looked_into = std::mem::take(&mut folders).into_iter().map(|folder| {
                let (bucket, prefix) = (bucket.clone(), prefix.clone());
                async move { subfolders(&bucket, &prefix, &folder).await }
            });
            let mut found = futures::stream::iter(looked_into).buffered(concurrency);
            let mut deeper = Vec::new();
            while let Some(found) = found.next().await {
                deeper.extend(found?);
            }
            cuts.extend(deeper.iter().cloned());
            if deeper.is_empty() || deeper.len() >= concurrency * PARTS_EACH {
                break;
            }
            folders = deeper;
        }
        cuts.sort_unstable();
        let step = cuts.len().div_ceil(concurrency * PARTS_EACH).max(1);
        Ok(cuts.into_iter().step_by(step).collect())
    }

    fn list_parts(
        &self,
        prefix: &Location,
        cuts: Vec<String>,
        concurrency: usize,
    ) -> BoxStream<'static, Batch> {
        let (storage, prefix) = (self.clone(), prefix.clone());
        let starts = std::iter::once(None).chain(cuts.clone().into_iter().map(Some));
        let ends = cuts.into_iter().map(Some).chain(std::iter::once(None));
        let ranges: Vec<_> = starts.zip(ends).collect();
        futures::stream::iter(ranges)
            .map(move |(from, until)| {
                let pages = s3_pages(storage.clone(), prefix.clone(), Range { from, until });
                // What is polled here is started, and goes on while others are taken.
                async move { start(pages, PAGES_AHEAD) }
            })
            .buffered(concurrency)
            .flatten()
            .boxed()
    }
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

/// A part of a listing, by keys.
#[derive(Debug, Clone, Default)]
struct Range {
    /// The first key: a folder's, with its slash.
    from: Option<String>,
    /// The first key that is not in it.
    until: Option<String>,
}

impl Range {
    /// A key that is before the first and after most of those before. A folder's key ends with a
    /// slash; what is directly before it are the keys that have a dot in its place.
    fn start_after(&self) -> Option<String> {
        let folder = self.from.as_ref()?.strip_suffix('/')?;
        Some(format!("{folder}.~"))
    }

    /// Drops what is not in the range; tells whether what comes later may be.
    fn narrow(&self, objects: &mut Vec<Listed>) -> bool {
        let count = objects.len();
        if let Some(until) = &self.until {
            objects.truncate(objects.partition_point(|object| object.key < *until));
        }
        let goes_on = objects.len() == count;
        if let Some(from) = &self.from {
            objects.drain(..objects.partition_point(|object| object.key < *from));
        }
        goes_on
    }
}

/// Where a listing of S3 stands.
enum Cursor {
    First,
    After(String),
    End,
}

fn s3_pages(storage: Storage, prefix: Location, range: Range) -> BoxStream<'static, Batch> {
    let state = (storage, prefix, range, Cursor::First);
    futures::stream::unfold(state, |(storage, prefix, range, cursor)| async {
        if matches!(cursor, Cursor::End) {
            return None;
        }
        let (batch, cursor) = match s3_page(&storage, &prefix, &range, cursor).await {
            Ok((batch, Some(token))) => (batch, Cursor::After(token)),
            Ok((batch, None)) => (batch, Cursor::End),
            Err(error) => (vec![Err(error)], Cursor::End),
        };
        Some((batch, (storage, prefix, range, cursor)))
    })
    .boxed()
}

async fn s3_page(
    storage: &Storage,
    prefix: &Location,
    range: &Range,
    cursor: Cursor,
) -> Result<(Batch, Option<String>)> {
    let bucket = storage.bucket(prefix).await?;
    let is_first = matches!(cursor, Cursor::First);
    let query = PageQuery {
        start_after: range.start_after().filter(|_| is_first),
        token: match cursor {
            Cursor::After(token) => Some(token),
            Cursor::First | Cursor::End => None,
        },
        ..PageQuery::new(folder_key(prefix))
    };
    let mut page = bucket.page(prefix, &query).await?;
    let is_nothing = page.objects.is_empty() && page.next.is_none();
    let is_name = !prefix.key().is_empty() && !prefix.key().ends_with('/');
    if is_first && is_nothing && is_name && range.from.is_none() {
        // It is not a folder, so it may be an object.
        let found = storage.head(prefix).await?;
        return Ok((found.into_iter().map(Ok).collect(), None));
    }
    let goes_on = range.narrow(&mut page.objects);
    let next = page.next.filter(|_| goes_on);
    Ok((Page::infos(page.objects, prefix).collect(), next))
}

/// The keys of the first folders in a folder.
async fn subfolders(bucket: &Bucket, prefix: &Location, folder: &str) -> Result<Vec<String>> {
    let mut query = PageQuery {
        by_folder: true,
        ..PageQuery::new(folder.to_owned())
    };
    let mut found = Vec::new();
    for _ in 0..PAGES_LOOKED_AT {
        let page = bucket.page(prefix, &query).await?;
        let is_useless = page.folders.is_empty();
        found.extend(page.folders);
        query.token = page.next;
        if is_useless || query.token.is_none() {
            break;
        }
    }
    Ok(found)
}

async fn list_s3_folder(
    bucket: &Bucket,
    folder: &Location,
) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
    let mut query = PageQuery {
        by_folder: true,
        ..PageQuery::new(folder_key(folder))
    };
    let (mut folders, mut objects) = (Vec::new(), Vec::new());
    loop {
        let page = bucket.page(folder, &query).await?;
        for key in &page.folders {
            folders.push(with_key(folder, key)?);
        }
        for info in Page::infos(page.objects, folder) {
            objects.push(info?);
        }
        match page.next {
            Some(token) => query.token = Some(token),
            None => return Ok((folders, objects)),
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

async fn list_memory_folder(
    memory: &InMemory,
    folder: &Location,
) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
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
        storage_class: None,
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
