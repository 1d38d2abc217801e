//! Footers of a lake's files: read with as few requests as possible, decoded with care.
//!
//! A listing tells each file's size, so one ranged read of the last [`DEFAULT_TAIL_BYTES`] has the
//! whole footer in nearly all cases, without asking for the size first. A longer footer takes a
//! second read of what is missing. Footers come from anywhere: before one is decoded, its bytes
//! are walked over once, so that no size in it is believed, nothing in it can make the decoder
//! panic, and encrypted columns are seen. Files whose schemas have the same bytes share one decoded
//! schema (the same `Arc`).

mod error;
mod scan;
mod schemas;
mod shape;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use calve_base::{Failure, Location};
use calve_storage::Storage;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use parquet::file::metadata::{
    FooterTail, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use crate::entry::LakeFile;

pub use error::FooterError;

use self::scan::scan;
use self::schemas::Schemas;

/// How much of a file's end the first read asks for.
pub const DEFAULT_TAIL_BYTES: u64 = 64 * 1024;
/// Footers above this size are refused.
pub const DEFAULT_MAX_FOOTER_BYTES: u64 = 64 * 1024 * 1024;
/// How many bytes of long footers are held at one time, undecoded.
const LONG_FOOTERS_KIB: u32 = 128 * 1024;
/// Footers above this size are decoded where they hold up no other task.
const INLINE_BYTES: usize = 256 * 1024;
/// The storage classes whose objects answer no reads until they are restored.
pub const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
const MAGIC: &[u8] = b"PAR1";
/// The length of the footer, and the magic.
const ENDING: usize = 8;
const ENDING_BYTES: u64 = ENDING as u64;
/// A file's magic at both ends and its footer's length.
const LEAST_BYTES: u64 = ENDING_BYTES + 4;

/// What this module's functions return.
pub type Result<T, E = FooterError> = std::result::Result<T, E>;

/// Reads the footers of files, in the order of the files, that many at a time.
///
/// A file whose footer cannot be read is an item like any other: the stream goes on. What is read
/// ahead is bounded by `concurrency`. Must be polled in a Tokio runtime: each file is read and
/// decoded in a task of its own, so that decoding uses all cores. Dropping the stream stops them.
pub fn read_footers<S>(
    storage: &Storage,
    files: S,
    concurrency: usize,
) -> impl Stream<Item = (LakeFile, Result<Arc<ParquetMetaData>>)> + Send + use<S>
where
    S: Stream<Item = LakeFile> + Send,
{
    FooterReader::new(storage.clone()).read_all(files, concurrency)
}

/// Reads footers. Cheap to clone; all clones share the schemas they have seen.
#[derive(Debug, Clone)]
pub struct FooterReader {
    shared: Arc<Shared>,
}

struct Shared {
    store: Box<dyn Store>,
    tail_bytes: u64,
    max_footer_bytes: u64,
    long_footers: Semaphore,
    schemas: Schemas,
}

impl FooterReader {
    /// Starts a reader with the default limits.
    pub fn new(storage: Storage) -> Self {
        Self::of_store(
            Box::new(storage),
            DEFAULT_TAIL_BYTES,
            DEFAULT_MAX_FOOTER_BYTES,
        )
    }

    /// Starts a reader with other limits: how much of a file's end its first read asks for, and the
    /// size above which a footer is refused.
    pub fn with_limits(storage: Storage, tail_bytes: u64, max_footer_bytes: u64) -> Self {
        Self::of_store(Box::new(storage), tail_bytes, max_footer_bytes)
    }

    fn of_store(store: Box<dyn Store>, tail_bytes: u64, max_footer_bytes: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                tail_bytes: tail_bytes.max(LEAST_BYTES),
                max_footer_bytes,
                long_footers: Semaphore::new(LONG_FOOTERS_KIB as usize),
                schemas: Schemas::new(),
            }),
        }
    }

    /// Reads the footers of files as [`read_footers`] does.
    pub fn read_all<S>(
        &self,
        files: S,
        concurrency: usize,
    ) -> impl Stream<Item = (LakeFile, Result<Arc<ParquetMetaData>>)> + Send + use<S>
    where
        S: Stream<Item = LakeFile> + Send,
    {
        let reader = self.clone();
        files
            .map(move |file| {
                let reader = reader.clone();
                Task(tokio::spawn(async move {
                    let footer = reader.read(&file).await;
                    (file, footer)
                }))
            })
            .buffered(concurrency.max(1))
    }

    /// Reads the footer of one file.
    ///
    /// # Errors
    /// When the file is no Parquet file, its footer is malformed or encrypted, it is not the file
    /// that was listed, or the store fails.
    pub async fn read(&self, file: &LakeFile) -> Result<Arc<ParquetMetaData>> {
        self.read_of(file, None).await
    }

    /// Reads the footer of one file, whose bytes are at hand.
    ///
    /// # Errors
    /// As [`FooterReader::read`].
    pub async fn read_in(&self, file: &LakeFile, bytes: &Bytes) -> Result<Arc<ParquetMetaData>> {
        self.read_of(file, Some(bytes)).await
    }

    /// Reads a whole file by one request. It has to be as it was listed.
    ///
    /// # Errors
    /// When the file is gone or shorter than it was listed, or the store fails.
    pub async fn read_file(&self, file: &LakeFile) -> Result<Bytes> {
        self.shared.read_range(file, None, 0..file.size).await
    }

    async fn read_of(
        &self,
        file: &LakeFile,
        whole: Option<&Bytes>,
    ) -> Result<Arc<ParquetMetaData>> {
        let shared = &self.shared;
        if file.size == 0 {
            return Err(FooterError::Empty {
                location: file.location.clone(),
            });
        }
        let tail_start = file.size.saturating_sub(shared.tail_bytes);
        let tail = shared
            .read_range(file, whole, tail_start..file.size)
            .await?;
        let Some(ending) = Ending::of(&tail) else {
            return Err(shared.diagnose(file, &tail).await);
        };
        let needed = match ending {
            Ending::Encrypted => {
                return Err(FooterError::Encrypted {
                    location: file.location.clone(),
                });
            }
            Ending::Plain(footer_bytes) => footer_bytes + ENDING_BYTES,
        };
        if needed + (LEAST_BYTES - ENDING_BYTES) > file.size {
            return Err(shared.diagnose(file, &tail).await);
        }
        let length = tail.len() as u64;
        if needed <= length {
            let start = tail.len() - usize::try_from(needed).unwrap_or(tail.len());
            let footer = tail.slice(start..tail.len() - ENDING);
            return self.decode(file, footer).await;
        }
        let _permit = shared.admit(file, needed - ENDING_BYTES).await?;
        let missing = file.size - needed..tail_start;
        let head = shared.read_range(file, whole, missing).await?;
        let mut footer = BytesMut::with_capacity(head.len() + tail.len());
        footer.extend_from_slice(&head);
        footer.extend_from_slice(&tail[..tail.len() - ENDING]);
        drop((head, tail));
        self.decode(file, footer.freeze()).await
    }

    async fn decode(&self, file: &LakeFile, footer: Bytes) -> Result<Arc<ParquetMetaData>> {
        if footer.len() <= INLINE_BYTES {
            return self.shared.decode(file, &footer);
        }
        let shared = Arc::clone(&self.shared);
        let file = file.clone();
        Task(tokio::task::spawn_blocking(move || {
            shared.decode(&file, &footer)
        }))
        .await
    }
}

impl Shared {
    /// Reads a part of a file that was listed as having it, or takes it from the file's bytes.
    async fn read_range(
        &self,
        file: &LakeFile,
        whole: Option<&Bytes>,
        range: Range<u64>,
    ) -> Result<Bytes> {
        let wanted = range.end - range.start;
        if let Some(bytes) = whole.filter(|bytes| bytes.len() as u64 == file.size) {
            let at = |offset: u64| usize::try_from(offset).unwrap_or(bytes.len());
            return Ok(bytes.slice(at(range.start)..at(range.end)));
        }
        match self.store.read_range(&file.location, range).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) | Err(calve_storage::Error::OutOfRange { .. }) => {
                Err(match self.change(file).await? {
                    Some(change) => change,
                    None => FooterError::Changed {
                        location: file.location.clone(),
                        change: format!("fewer than {wanted} bytes came of a part of it"),
                    },
                })
            }
            Err(calve_storage::Error::NotFound { .. }) => Err(FooterError::Gone {
                location: file.location.clone(),
            }),
            Err(error) => Err(match &file.storage_class {
                // A copy that is restored for a while is readable, and listed in the same class.
                Some(class) if ARCHIVES.contains(&class.as_str()) && !error.is_retryable() => {
                    FooterError::Archived {
                        location: file.location.clone(),
                        class: class.clone(),
                        source: Box::new(error),
                    }
                }
                _ => error.into(),
            }),
        }
    }

    /// How the file differs from what was listed, if it does.
    async fn change(&self, file: &LakeFile) -> Result<Option<FooterError>> {
        let location = file.location.clone();
        let Some(now) = self.store.head(&location).await? else {
            return Ok(Some(FooterError::Gone { location }));
        };
        let change = if now.size != file.size {
            format!(
                "it had {} bytes when listed, has {} now",
                file.size, now.size
            )
        } else if now.etag.is_some() && file.etag.is_some() && now.etag != file.etag {
            "it has another entity tag than when listed".to_owned()
        } else {
            return Ok(None);
        };
        Ok(Some(FooterError::Changed { location, change }))
    }

    /// Why a file does not end as Parquet files do.
    async fn diagnose(&self, file: &LakeFile, tail: &Bytes) -> FooterError {
        match self.change(file).await {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return error,
        }
        let magic_bytes = MAGIC.len() as u64;
        let location = file.location.clone();
        let begins = if file.size < magic_bytes {
            return FooterError::NotParquet { location };
        } else if tail.len() as u64 == file.size {
            tail.slice(..MAGIC.len())
        } else {
            match self.read_range(file, None, 0..magic_bytes).await {
                Ok(bytes) => bytes,
                Err(error) => return error,
            }
        };
        if begins == MAGIC {
            return FooterError::TruncatedFooter { location };
        }
        let others = [
            (b"ORC".as_slice(), "ORC", "orc"),
            (b"Obj\x01", "Avro", "avro"),
        ];
        match others.iter().find(|(magic, ..)| begins.starts_with(magic)) {
            Some((_, format, flag)) => FooterError::OtherFormat {
                location,
                format,
                flag,
            },
            None => FooterError::NotParquet { location },
        }
    }

    /// Waits until a long footer may be held.
    async fn admit(
        &self,
        file: &LakeFile,
        footer_bytes: u64,
    ) -> Result<Option<SemaphorePermit<'_>>> {
        if footer_bytes > self.max_footer_bytes {
            return Err(FooterError::TooLarge {
                location: file.location.clone(),
                footer_bytes,
                max_footer_bytes: self.max_footer_bytes,
            });
        }
        let kib = u32::try_from(footer_bytes / 1024).unwrap_or(u32::MAX);
        let permits = kib.clamp(1, LONG_FOOTERS_KIB);
        // The semaphore is never closed, so that there always is a permit in the end.
        Ok(self.long_footers.acquire_many(permits).await.ok())
    }

    fn decode(&self, file: &LakeFile, footer: &[u8]) -> Result<Arc<ParquetMetaData>> {
        let malformed = |problem: String, source| FooterError::Malformed {
            location: file.location.clone(),
            problem,
            source,
        };
        let scan = scan(footer).map_err(|error| malformed(error.to_string(), None))?;
        if !scan.encrypted_columns.is_empty() {
            return Err(FooterError::EncryptedColumns {
                location: file.location.clone(),
                columns: scan.encrypted_columns,
            });
        }
        let schema = &footer[scan.schema];
        let options = self.schemas.options(schema);
        // The walk leaves the decoder nothing known to panic at; this is for what is not known.
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            ParquetMetaDataReader::decode_metadata_with_options(footer, Some(&options))
        }));
        let metadata = match decoded {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(source)) => return Err(malformed(source.to_string(), Some(source))),
            Err(_) => return Err(malformed("the decoder panicked".to_owned(), None)),
        };
        check_offsets(&metadata, file.size).map_err(|problem| malformed(problem, None))?;
        if options.schema().is_none() {
            self.schemas
                .keep(schema, metadata.file_metadata().schema_descr_ptr());
        }
        Ok(Arc::new(metadata))
    }
}

/// Whether all columns begin within the file, at offsets that readers can add lengths to.
fn check_offsets(metadata: &ParquetMetaData, file_bytes: u64) -> Result<(), String> {
    for chunk in metadata
        .row_groups()
        .iter()
        .flat_map(RowGroupMetaData::columns)
    {
        let offsets = [
            Some(chunk.data_page_offset()),
            chunk.dictionary_page_offset(),
        ];
        for offset in offsets.into_iter().flatten() {
            if !u64::try_from(offset).is_ok_and(|offset| offset < file_bytes) {
                let path = chunk.column_path().string();
                return Err(format!(
                    "column `{path}` begins at {offset}, the file has {file_bytes} bytes"
                ));
            }
        }
        if chunk.compressed_size() < 0 {
            let path = chunk.column_path().string();
            let size = chunk.compressed_size();
            return Err(format!("column `{path}` has {size} bytes"));
        }
    }
    Ok(())
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("tail_bytes", &self.tail_bytes)
            .field("max_footer_bytes", &self.max_footer_bytes)
            .finish_non_exhaustive()
    }
}

/// How a Parquet file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// A footer of that many bytes.
    Plain(u64),
    /// A footer that is encrypted as a whole.
    Encrypted,
}

impl Ending {
    fn of(tail: &[u8]) -> Option<Self> {
        let ending = tail.last_chunk::<ENDING>()?;
        let ending = FooterTail::try_new(ending).ok()?;
        Some(if ending.is_encrypted_footer() {
            Self::Encrypted
        } else {
            Self::Plain(ending.metadata_length() as u64)
        })
    }
}

/// A task that ends with its handle.
struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match self.0.poll_unpin(context) {
            Poll::Ready(Ok(output)) => Poll::Ready(output),
            Poll::Ready(Err(error)) if error.is_panic() => {
                std::panic::resume_unwind(error.into_panic())
            }
            // The runtime is shutting down, and with it whoever waits here.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is needed of a store.
trait Store: Send + Sync {
    fn read_range<'a>(
        &'a self,
        location: &'a Location,
        range: Range<u64>,
    ) -> BoxFuture<'a, calve_storage::Result<Bytes>>;

    fn head<'a>(
        &'a self,
        location: &'a Location,
    ) -> BoxFuture<'a, calve_storage::Result<Option<calve_storage::ObjectInfo>>>;
}

impl Store for Storage {
    fn read_range<'a>(
        &'a self,
        location: &'a Location,
        range: Range<u64>,
    ) -> BoxFuture<'a, calve_storage::Result<Bytes>> {
        Self::read_range(self, location, range).boxed()
    }

    fn head<'a>(
        &'a self,
        location: &'a Location,
    ) -> BoxFuture<'a, calve_storage::Result<Option<calve_storage::ObjectInfo>>> {
        Self::head(self, location).boxed()
    }
}
