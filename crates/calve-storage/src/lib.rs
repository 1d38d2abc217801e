//! One object store for everything: local files, S3 and servers that speak its protocol.
//!
//! A [`Storage`] is made from Iceberg's properties and opens [`Location`]s of any kind: `s3://`
//! (also `s3a://`, `s3n://`) through one `object_store` client per bucket, local paths, and
//! `memory://`. The same store serves `iceberg`'s own I/O through [`Storage::file_io`], so there is
//! no second S3 client anywhere.
//!
//! - **Keys are raw.** What a listing gives can be read again, whatever characters it has.
//! - **Requests are repeated** after throttling, server errors, timeouts and broken connections,
//!   with jitter; see [`Storage::new`] for the properties that say how often.
//! - **Errors are typed**: see [`Error`], and ask it for `hint()` and `is_retryable()`.
//! - **Concurrency is the caller's**: every call here is one request at a time, except
//!   for parts of large uploads, and where it is said how many.
//!
//! It knows no table.

mod blocking;
mod credentials;
mod delete;
mod error;
mod iceberg_io;
mod keys;
mod listing;
mod local;
mod local_walk;
mod pattern;
mod s3;
mod s3_client;
mod s3_list;
mod settings;
mod writer;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use calve_base::{Location, Properties, Scheme};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Attribute, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
};

use local::LocalFiles;

pub use blocking::{BlockingReader, BlockingWriter, BlockingWriters};
pub use delete::DELETE_BATCH;
pub use error::{Error, Result};
pub use local::read_local_file;
pub use pattern::Matched;
pub use settings::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_REQUEST_TIMEOUT, DEFAULT_RETRIES};
pub use writer::{PART_BYTES, Writer};

/// The metadata entry of S3 objects that tells which write made them.
const WRITE_ID: Attribute = Attribute::Metadata(Cow::Borrowed("calve-write-id"));
/// How often a conflict with another write, which then left nothing, is tried again.
const CONFLICTS: usize = 5;

/// Opens locations. Cheap to clone; all clones share their connections and credentials.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    properties: Properties,
    account: s3::Account,
    buckets: Mutex<HashMap<String, s3::Bucket>>,
    local: Arc<LocalFiles>,
    memory: Arc<InMemory>,
}

/// One object, as a listing or a HEAD request tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Where it lies, in the spelling of the location that was listed.
    pub location: Location,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since the epoch.
    pub last_modified_ms: i64,
    /// Its entity tag, where the store has one.
    pub etag: Option<String>,
    /// Its storage class by S3's name (`GLACIER`, …), where a listing tells one that is not `STANDARD`.
    pub storage_class: Option<String>,
}

/// A location's store, its path there, and the region that requests go to.
struct Opened {
    store: Arc<dyn ObjectStore>,
    path: Path,
    region: String,
}

impl Storage {
    /// Makes a storage from Iceberg's properties. Nothing is contacted before it is needed.
    ///
    /// | properties | meaning |
    /// |---|---|
    /// | `s3.endpoint`, `s3.path-style-access` | another server than AWS; path style is then the default |
    /// | `s3.region`, `client.region` | the region; else what AWS's configuration says |
    /// | `s3.access-key-id`, `s3.secret-access-key`, `s3.session-token` (also `client.…`) | keys; else AWS's default chain |
    /// | `s3.profile-name`, `client.profile-name` | the profile that the chain begins with |
    /// | `s3.role-arn`, `s3.role-session-name`, `client.assume-role.arn`, `client.assume-role.external-id` | a role to take on |
    /// | `s3.anonymous` | requests are not signed |
    /// | `s3.sse.type`, `s3.sse.key`, `s3.requester-pays` | as Iceberg says |
    /// | `s3.connect-timeout`, `s3.request-timeout` | seconds |
    /// | `s3.retry.num-retries`, `s3.retry.min-wait-ms`, `s3.retry.max-wait-ms` | repetition of failed requests |
    /// | `s3.proxy-uri` | a proxy |
    pub fn new(properties: Properties) -> Self {
        Self {
            inner: Arc::new(Inner {
                properties,
                account: s3::Account::default(),
                buckets: Mutex::default(),
                local: Arc::new(LocalFiles),
                memory: Arc::new(InMemory::new()),
            }),
        }
    }

    /// The properties this storage was made from.
    pub fn properties(&self) -> &Properties {
        &self.inner.properties
    }

    /// The store a location lies in, and its path there (for libraries that take `object_store`).
    /// Keys reach the store byte for byte; a folder's path is without its last slash.
    ///
    /// Take the path as it is: it is not the key's text where the key has empty components or
    /// control characters.
    pub async fn open(&self, location: &Location) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let folder = location.as_str().strip_suffix('/');
        let opened = match folder.filter(|_| !location.key().is_empty()) {
            Some(folder) => self.opened(&Location::parse(folder)?).await?,
            None => self.opened(location).await?,
        };
        Ok((opened.store, opened.path))
    }

    /// What is known of one object; `None` where there is none.
    pub async fn head(&self, location: &Location) -> Result<Option<ObjectInfo>> {
        if location.scheme() == Scheme::File {
            let location = location.clone();
            return local_walk::run(move || local_walk::stat(location)).await;
        }
        let opened = self.opened(location).await?;
        match opened.store.head(&opened.path).await {
            Ok(meta) => Ok(Some(listing::info(location.clone(), &meta))),
            Err(error) => match opened.error(location, error) {
                Error::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// A whole object.
    pub async fn read(&self, location: &Location) -> Result<Bytes> {
        let opened = self.opened(location).await?;
        let read = async { opened.store.get(&opened.path).await?.bytes().await };
        read.await.map_err(|error| opened.error(location, error))
    }

    /// A part of an object, in bytes. One request.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the object ends before the part does.
    pub async fn read_range(&self, location: &Location, range: Range<u64>) -> Result<Bytes> {
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        let opened = self.opened(location).await?;
        let read = if location.scheme() == Scheme::File {
            let ranges = std::slice::from_ref(&range);
            let read = opened.store.get_ranges(&opened.path, ranges).await;
            read.map(|mut parts| parts.pop().unwrap_or_default())
        } else {
            let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
            match opened.store.get_opts(&opened.path, options).await {
                Ok(answer) => answer.bytes().await,
                Err(error) => Err(error),
            }
        };
        let out_of_range = || Error::OutOfRange {
            location: location.clone(),
            start: range.start,
            end: range.end,
        };
        match read.map_err(|error| opened.error(location, error)) {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(bytes),
            Ok(_) => Err(out_of_range()),
            Err(error @ (Error::Store { .. } | Error::Local { .. })) => {
                // Stores say in many ways that an object is too short.
                match self.head(location).await {
                    Ok(Some(info)) if info.size < range.end => Err(out_of_range()),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The last bytes of an object whose size is known: `bytes` of them, or all there are.
    /// One request.
    pub async fn read_tail(&self, location: &Location, size: u64, bytes: u64) -> Result<Bytes> {
        self.read_range(location, size.saturating_sub(bytes)..size)
            .await
    }

    /// Writes a whole object, replacing what is there. Local folders are made as needed.
    pub async fn write(&self, location: &Location, bytes: Bytes) -> Result<()> {
        if bytes.len() > PART_BYTES * 2 {
            let mut writer = self.writer(location).await?;
            for start in (0..bytes.len()).step_by(PART_BYTES) {
                let end = bytes.len().min(start + PART_BYTES);
                writer.put(bytes.slice(start..end)).await?;
            }
            return writer.finish().await;
        }
        let opened = self.opened(location).await?;
        let written = opened.store.put(&opened.path, bytes.into()).await;
        written
            .map(|_| ())
            .map_err(|error| opened.error(location, error))
    }

    /// Writes a whole object unless there is one: [`Error::AlreadyExists`] then. Of several that
    /// write at one time, one succeeds. A write that succeeded without its answer being heard is
    /// recognised as one's own.
    pub async fn write_new(&self, location: &Location, bytes: Bytes) -> Result<()> {
        let opened = self.opened(location).await?;
        let mine = uuid::Uuid::new_v4().to_string();
        for _ in 0..CONFLICTS {
            let mut options = PutOptions::from(PutMode::Create);
            if location.scheme() == Scheme::S3 {
                options.attributes.insert(WRITE_ID, mine.clone().into());
            }
            let payload = bytes.clone().into();
            let put = opened.store.put_opts(&opened.path, payload, options).await;
            match put.map_err(|error| opened.error(location, error)) {
                Ok(_) => return Ok(()),
                Err(error @ Error::AlreadyExists { .. }) if location.scheme() != Scheme::S3 => {
                    return Err(error);
                }
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
            match opened.write_id(location).await? {
                Some(theirs) if theirs == mine => return Ok(()),
                Some(_) => break,
                // S3 reports a conflict with another write that has not succeeded (yet).
                None => {}
            }
        }
        let location = location.clone();
        Err(Error::AlreadyExists { location })
    }

    /// Writes an object bit by bit.
    pub async fn writer(&self, location: &Location) -> Result<Writer> {
        let opened = self.opened(location).await?;
        let location = location.clone();
        Ok(Writer::new(
            location,
            opened.region,
            opened.store,
            opened.path,
        ))
    }

    /// Deletes one object. Deleting what is not there is no error.
    pub async fn delete(&self, location: &Location) -> Result<()> {
        let opened = self.opened(location).await?;
        let deleted = if location.scheme() == Scheme::S3 {
            let bucket = self.bucket(location).await?;
            bucket.client.delete(location.key()).await
        } else {
            opened.store.delete(&opened.path).await
        };
        match deleted.map_err(|error| opened.error(location, error)) {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// The same store behind Iceberg's own I/O.
    pub fn file_io(&self) -> iceberg::io::FileIO {
        iceberg_io::file_io(self)
    }

    async fn opened(&self, location: &Location) -> Result<Opened> {
        let path = match location.scheme() {
            Scheme::File => keys::to_local_path(location.key()),
            Scheme::Memory | Scheme::S3 => keys::to_path(location.key()),
        };
        let (store, region): (Arc<dyn ObjectStore>, _) = match location.scheme() {
            Scheme::File => (Arc::clone(&self.inner.local) as _, String::new()),
            Scheme::Memory => (Arc::clone(&self.inner.memory) as _, String::new()),
            Scheme::S3 => {
                if location
                    .key()
                    .split('/')
                    .any(|part| matches!(part, "." | ".."))
                {
                    let location = location.clone();
                    return Err(Error::UnsupportedKey { location });
                }
                let bucket = self.bucket(location).await?;
                (bucket.store, bucket.client.signer.region)
            }
        };
        Ok(Opened {
            store,
            path,
            region,
        })
    }

    async fn bucket(&self, location: &Location) -> Result<s3::Bucket> {
        let buckets = &self.inner.buckets;
        let lock = || buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = lock().get(location.bucket()) {
            return Ok(bucket.clone());
        }
        let settings = settings::S3Settings::read(&self.inner.properties)?;
        // Boxed, since it holds all of the AWS configuration's loading.
        let bucket = Box::pin(self.inner.account.open(location, &settings)).await?;
        // Whoever came first wins, so that all share its connections.
        Ok(lock()
            .entry(location.bucket().to_owned())
            .or_insert(bucket)
            .clone())
    }

    fn memory(&self) -> &InMemory {
        &self.inner.memory
    }
}

impl Opened {
    /// Which write made the object: empty where none of ours did, `None` where there is none.
    async fn write_id(&self, location: &Location) -> Result<Option<String>> {
        let options = GetOptions::new().with_head(true);
        match self.store.get_opts(&self.path, options).await {
            Ok(found) => {
                let id = found.attributes.get(&WRITE_ID);
                Ok(Some(
                    id.map_or_else(String::new, |id| id.as_ref().to_owned()),
                ))
            }
            Err(error) => match self.error(location, error) {
                Error::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    fn error(&self, location: &Location, source: object_store::Error) -> Error {
        Error::from_store(location, source).sent_to(&self.region)
    }
}

impl fmt::Debug for Storage {
    /// Prints the names of the properties, since some of their values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.inner.properties.keys().collect();
        f.debug_struct("Storage")
            .field("properties", &names)
            .finish_non_exhaustive()
    }
}
