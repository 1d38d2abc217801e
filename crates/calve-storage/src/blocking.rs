//! Objects for code that waits: [`std::io::Read`] and [`std::io::Write`] over the store.
//!
//! Both are for threads of their own (`spawn_blocking`), never for a task of the runtime.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use calve_base::Location;
use futures::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::local_walk::joined;
use crate::{ObjectInfo, Storage};

/// How much is read by one request.
const BLOCK_BYTES: u64 = 4 * 1024 * 1024;

/// How many blocks are under way or wait to be read.
const BLOCKS_AHEAD: usize = 3;

/// How many pieces wait to be written.
const PIECES_WAITING: usize = 4;

/// How many bytes of written objects wait here to become visible; those of further objects wait with
/// the store.
const HELD_BYTES: usize = 64 * 1024 * 1024;

/// How many objects become visible at one time.
const VISIBLE_AT_ONCE: usize = 16;

/// Pieces of this size go to the store: smaller ones are gathered.
const PIECE_BYTES: usize = 1024 * 1024;

/// Reads one object from its start to its end, a few blocks ahead.
#[derive(Debug)]
pub struct BlockingReader {
    storage: Storage,
    object: ObjectInfo,
    handle: Handle,
    /// Where the next block that is asked for begins.
    next: u64,
    ahead: std::collections::VecDeque<JoinHandle<Result<Bytes>>>,
    block: Bytes,
}

impl BlockingReader {
    /// Reads an object as it was listed. Nothing is asked for before the first read.
    pub fn new(storage: &Storage, object: ObjectInfo, handle: Handle) -> Self {
        Self {
            storage: storage.clone(),
            object,
            handle,
            next: 0,
            ahead: std::collections::VecDeque::new(),
            block: Bytes::new(),
        }
    }

    fn ask_ahead(&mut self) {
        while self.ahead.len() < BLOCKS_AHEAD && self.next < self.object.size {
            let range = self.next..self.object.size.min(self.next + BLOCK_BYTES);
            self.next = range.end;
            let (storage, location) = (self.storage.clone(), self.object.location.clone());
            self.ahead.push_back(
                self.handle
                    .spawn(async move { storage.read_range(&location, range).await }),
            );
        }
    }
}

impl Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            self.ask_ahead();
            let Some(block) = self.ahead.pop_front() else {
                return Ok(0);
            };
            let block = self.handle.block_on(block).map_err(io::Error::other)?;
            self.block = block.map_err(io::Error::other)?;
            self.ask_ahead();
        }
        let length = buffer.len().min(self.block.len());
        self.block
            .split_to(length)
            .copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

impl Drop for BlockingReader {
    fn drop(&mut self) {
        for block in &self.ahead {
            block.abort();
        }
    }
}

/// Writes objects that all become visible together at the end, or not at all.
///
/// Each object's bytes are on their way to the store while more are written, in bounded memory.
#[derive(Debug, Clone)]
pub struct BlockingWriters {
    storage: Storage,
    handle: Handle,
    uploads: Arc<Mutex<Vec<Upload>>>,
    /// How much of written objects waits here.
    held: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Upload {
    location: Location,
    /// Says whether the object is to become visible.
    verdict: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl BlockingWriters {
    /// Writes into a store.
    pub fn new(storage: &Storage, handle: Handle) -> Self {
        Self {
            storage: storage.clone(),
            handle,
            uploads: Arc::default(),
            held: Arc::default(),
        }
    }

    /// Begins an object. It ends when the writer is dropped.
    pub fn begin(&self, location: Location) -> BlockingWriter {
        let (pieces, mut received) = mpsc::channel::<Bytes>(PIECES_WAITING);
        let (verdict, decided) = oneshot::channel();
        let (storage, target) = (self.storage.clone(), location.clone());
        let held = Arc::clone(&self.held);
        let task = self.handle.spawn(async move {
            let mut writer = storage.writer(&target).await?;
            while let Some(piece) = received.recv().await {
                writer.put(piece).await?;
            }
            let bytes = writer.held_bytes();
            if held.fetch_add(bytes, Ordering::Relaxed) + bytes > HELD_BYTES {
                held.fetch_sub(bytes, Ordering::Relaxed);
                writer.seal().await?;
            }
            // The other end goes away without a word when the run has failed.
            if decided.await.is_ok() {
                writer.finish().await
            } else {
                writer.abort().await;
                Ok(())
            }
        });
        let upload = Upload {
            location: location.clone(),
            verdict,
            task,
        };
        self.lock().push(upload);
        BlockingWriter {
            location,
            handle: self.handle.clone(),
            pieces,
            gathered: Vec::new(),
        }
    }

    /// Makes all objects visible that were begun. All of their writers must have been dropped.
    ///
    /// # Errors
    /// When the store fails. The objects that are visible already are deleted again then.
    pub async fn finish(self) -> Result<Vec<Location>> {
        let uploads = std::mem::take(&mut *self.lock());
        let has_failed = &AtomicBool::new(false);
        let ended = stream::iter(uploads).map(|upload| async move {
            if has_failed.load(Ordering::Relaxed) {
                drop(upload.verdict);
                let _ = upload.task.await;
                return None;
            }
            // A task that has failed already no longer listens; its error comes below.
            let _ = upload.verdict.send(());
            match joined(upload.task).await {
                Ok(()) => Some(Ok(upload.location)),
                Err(error) => {
                    has_failed.store(true, Ordering::Relaxed);
                    Some(Err(error))
                }
            }
        });
        let ended: Vec<Option<Result<Location>>> = ended.buffered(VISIBLE_AT_ONCE).collect().await;
        let mut visible = Vec::with_capacity(ended.len());
        let mut failure = None;
        for outcome in ended.into_iter().flatten() {
            match outcome {
                Ok(location) => visible.push(location),
                // The first one says why.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let Some(error) = failure else {
            return Ok(visible);
        };
        for location in visible {
            if let Err(error) = self.storage.delete(&location).await {
                tracing::warn!(%location, %error, "an object of a failed run could not be deleted");
            }
        }
        Err(error)
    }

    /// Gives all objects up. Returns when what was written is removed.
    ///
    /// # Errors
    /// When an upload had failed before: that is why whoever wrote into it failed.
    pub async fn abort(self) -> Result<()> {
        let uploads = std::mem::take(&mut *self.lock());
        let mut outcome = Ok(());
        for upload in uploads {
            drop(upload.verdict);
            outcome = outcome.and(joined(upload.task).await);
        }
        outcome
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Upload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one object; see [`BlockingWriters::begin`].
#[derive(Debug)]
pub struct BlockingWriter {
    location: Location,
    handle: Handle,
    pieces: mpsc::Sender<Bytes>,
    gathered: Vec<u8>,
}

impl BlockingWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        // The upload's own error is told by `BlockingWriters::finish`.
        self.handle
            .block_on(self.pieces.send(piece))
            .map_err(|_| io::Error::other(format!("{}: the upload has failed", self.location)))
    }
}

impl Write for BlockingWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(data);
        if self.gathered.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(data.len())
    }

    /// Nothing is visible before the end, so that there is nothing to hurry.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlockingWriter {
    fn drop(&mut self) {
        // When it cannot be sent, the upload's own error says why.
        let _ = self.send();
    }
}

#[cfg(test)]
mod tests {
    use calve_base::Properties;
    use futures::TryStreamExt;

    use super::*;

    fn location(name: &str) -> Location {
        Location::parse(format!("memory://test/{name}")).unwrap()
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect()
    }

    /// Writes two objects in pieces, and ends by `end`; says which objects are there then.
    async fn check(succeeds: bool, expected: &[(&str, u64)]) -> Storage {
        let storage = Storage::new(Properties::new());
        let writers = BlockingWriters::new(&storage, Handle::current());
        let theirs = writers.clone();
        tokio::task::spawn_blocking(move || {
            for (name, length) in [("a", 3), ("b", 9_000_000)] {
                let mut writer = theirs.begin(location(name));
                for piece in content(length).chunks(700_001) {
                    writer.write_all(piece).unwrap();
                }
            }
        })
        .await
        .unwrap();
        if succeeds {
            assert_eq!(writers.finish().await.unwrap().len(), 2);
        } else {
            writers.abort().await.unwrap();
        }
        let folder = Location::parse("memory://test/").unwrap();
        let objects: Vec<ObjectInfo> = storage.list(&folder).try_collect().await.unwrap();
        let found: Vec<(&str, u64)> = objects
            .iter()
            .map(|object| (object.location.file_name(), object.size))
            .collect();
        assert_eq!(found, expected);
        storage
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_written_is_read_back() {
        let storage = check(true, &[("a", 3), ("b", 9_000_000)]).await;
        let object = storage.head(&location("b")).await.unwrap().unwrap();
        let handle = Handle::current();
        let read = tokio::task::spawn_blocking(move || {
            let mut read = Vec::new();
            BlockingReader::new(&storage, object, handle)
                .read_to_end(&mut read)
                .map(|_| read)
        });
        assert_eq!(read.await.unwrap().unwrap(), content(9_000_000));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_upload_tells_why_it_failed() {
        let storage = Storage::new(Properties::new());
        let writers = BlockingWriters::new(&storage, Handle::current());
        let theirs = writers.clone();
        let file = tempfile::NamedTempFile::new().unwrap();
        // A file stands where a folder would have to be.
        let below = Location::parse(format!("{}/out.parquet", file.path().display())).unwrap();
        let written = tokio::task::spawn_blocking(move || {
            let mut writer = theirs.begin(below);
            (0..1_000).try_for_each(|_| writer.write_all(&content(PIECE_BYTES)))
        });
        let told = written.await.unwrap().unwrap_err().to_string();
        assert!(told.ends_with("the upload has failed"), "{told}");
        let cause = writers.abort().await.unwrap_err().to_string();
        assert!(cause.contains("out.parquet") && cause != told, "{cause}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_beyond_the_limit_waits_with_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let name = |at: usize| format!("{}/part={at}/f", folder.path().display());
        let storage = Storage::new(Properties::new());
        let writers = BlockingWriters::new(&storage, Handle::current());
        let theirs = writers.clone();
        let locations: Vec<_> = (0..20)
            .map(|at| Location::parse(name(at)).unwrap())
            .collect();
        tokio::task::spawn_blocking(move || {
            for location in locations {
                theirs
                    .begin(location)
                    .write_all(&content(5_000_000))
                    .unwrap();
            }
        })
        .await
        .unwrap();
        assert!((0..20).all(|at| !fs_err::exists(name(at)).unwrap()));
        assert_eq!(writers.finish().await.unwrap().len(), 20);
        for at in 0..20 {
            assert!(
                fs_err::read(name(at)).unwrap() == content(5_000_000),
                "{at}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_given_up_never_appears() {
        check(false, &[]).await;
    }
}
