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
//!   for parts of large uploads.
//!
//! It knows no table.

mod credentials;
mod error;
mod iceberg_io;
mod listing;
mod local_walk;
mod s3;
mod settings;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use calve_base::{Location, Properties, Scheme};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode};

pub use error::{Error, Result};
pub use settings::{DEFAULT_CONNECT_TIMEOUT, DEFAULT_REQUEST_TIMEOUT, DEFAULT_RETRIES};
pub use writer::{PART_BYTES, Writer};

/// Opens locations. Cheap to clone; all clones share their connections and credentials.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    properties: Properties,
    account: s3::Account,
    buckets: Mutex<HashMap<String, s3::Bucket>>,
    local: Arc<LocalFileSystem>,
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
                local: Arc::new(LocalFileSystem::new()),
                memory: Arc::new(InMemory::new()),
            }),
        }
    }

    /// The properties this storage was made from.
    pub fn properties(&self) -> &Properties {
        &self.inner.properties
    }

    /// The store a location lies in, and its path there (for libraries that take `object_store`).
    /// Keys reach the store byte for byte.
    pub async fn open(&self, location: &Location) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let opened = self.opened(location).await?;
        Ok((opened.store, opened.path))
    }

    /// All objects whose key begins with the location taken as a folder, at any depth, in the
    /// order of their keys. A location that names one object yields that object; one that names
    /// nothing yields nothing.
    ///
    /// Local links are followed. A local folder takes its place in the order by its name with a
    /// slash, so that the order is that of an object store.
    pub fn list(&self, prefix: &Location) -> BoxStream<'static, Result<ObjectInfo>> {
        if prefix.scheme() == Scheme::File {
            return local_walk::list(prefix);
        }
        let (storage, prefix) = (self.clone(), prefix.clone());
        futures::stream::once(async move { storage.list_store(prefix).await })
            .try_flatten()
            .boxed()
    }

    /// The folders and objects directly in a folder, each in the order of their keys. The folders'
    /// locations end with a slash.
    pub async fn list_folder(&self, folder: &Location) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
        if folder.scheme() == Scheme::File {
            return local_walk::list_folder(folder).await;
        }
        let opened = self.opened(folder).await?;
        let listed = opened.store.list_with_delimiter(Some(&opened.path)).await;
        let listed = listed.map_err(|error| opened.error(folder, error))?;
        let folders = listed
            .common_prefixes
            .iter()
            .map(|path| listing::with_key(folder, &format!("{path}/")))
            .collect::<Result<_>>()?;
        let mut objects = listed
            .objects
            .iter()
            .map(|meta| {
                let location = listing::with_key(folder, meta.location.as_ref())?;
                Ok(listing::info(location, meta))
            })
            .collect::<Result<Vec<_>>>()?;
        objects.sort_unstable_by(|left, right| left.location.cmp(&right.location));
        Ok((folders, objects))
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
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
        let read = async {
            let answer = opened.store.get_opts(&opened.path, options).await?;
            answer.bytes().await
        };
        let bytes = read.await.map_err(|error| opened.error(location, error))?;
        if bytes.len() as u64 == range.end - range.start {
            Ok(bytes)
        } else {
            Err(Error::OutOfRange {
                location: location.clone(),
                start: range.start,
                end: range.end,
            })
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
        if bytes.len() > PART_BYTES * 4 {
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

    /// Writes a whole object unless there is one: [`Error::AlreadyExists`] then.
    pub async fn write_new(&self, location: &Location, bytes: Bytes) -> Result<()> {
        let opened = self.opened(location).await?;
        let put = opened
            .store
            .put_opts(&opened.path, bytes.into(), PutMode::Create.into());
        put.await
            .map(|_| ())
            .map_err(|error| opened.error(location, error))
    }

    /// Writes an object bit by bit.
    pub async fn writer(&self, location: &Location) -> Result<Writer> {
        let opened = self.opened(location).await?;
        let writer = BufWriter::with_capacity(opened.store, opened.path, PART_BYTES);
        Ok(Writer::new(location.clone(), opened.region, writer))
    }

    /// Deletes one object. Deleting what is not there is no error.
    pub async fn delete(&self, location: &Location) -> Result<()> {
        let opened = self.opened(location).await?;
        let deleted = opened.store.delete(&opened.path).await;
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
        let path = Path::parse(location.key()).map_err(|source| Error::UnsupportedKey {
            location: location.clone(),
            source,
        })?;
        let (store, region): (Arc<dyn ObjectStore>, _) = match location.scheme() {
            Scheme::File => (Arc::clone(&self.inner.local) as _, String::new()),
            Scheme::Memory => (Arc::clone(&self.inner.memory) as _, String::new()),
            Scheme::S3 => {
                let bucket = self.bucket(location).await?;
                (bucket.store, bucket.region)
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
        let bucket = self.inner.account.open(location, &settings).await?;
        // Whoever came first wins, so that all share its connections.
        Ok(lock()
            .entry(location.bucket().to_owned())
            .or_insert(bucket)
            .clone())
    }

    async fn list_store(&self, prefix: Location) -> Result<BoxStream<'static, Result<ObjectInfo>>> {
        let opened = self.opened(&prefix).await?;
        let mut listed = opened.store.list(Some(&opened.path)).peekable();
        if std::pin::Pin::new(&mut listed).peek().await.is_none() {
            let found = self.head(&prefix).await?;
            return Ok(futures::stream::iter(found.map(Ok)).boxed());
        }
        Ok(listed
            .map(move |meta| {
                let meta = meta.map_err(|error| opened.error(&prefix, error))?;
                let location = listing::with_key(&prefix, meta.location.as_ref())?;
                Ok(listing::info(location, &meta))
            })
            .boxed())
    }
}

impl Opened {
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
