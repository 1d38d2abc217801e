//! One object store for everything: local files, S3 and servers that speak its protocol.

mod error;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use calve_base::{Location, Properties};
use futures::stream::BoxStream;
use object_store::ObjectStore;

pub use error::{Error, Result};

/// Opens locations. Cheap to clone; all clones share their connections and credentials.
#[derive(Debug, Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    properties: Properties,
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

impl Storage {
    /// Makes a storage from Iceberg's properties (`s3.endpoint`, `s3.region`, `client.region`,
    /// `s3.path-style-access`, `s3.access-key-id`, `s3.secret-access-key`, `s3.session-token`,
    /// `s3.anonymous`, `s3.profile-name`, …). Nothing is contacted before it is needed.
    pub fn new(properties: Properties) -> Self {
        Self {
            inner: Arc::new(Inner { properties }),
        }
    }

    /// The properties this storage was made from.
    pub fn properties(&self) -> &Properties {
        &self.inner.properties
    }

    /// The store a location lies in, and its path there (for libraries that take `object_store`).
    /// Keys reach the store byte for byte.
    pub async fn open(
        &self,
        _location: &Location,
    ) -> Result<(Arc<dyn ObjectStore>, object_store::path::Path)> {
        unimplemented!()
    }

    /// All objects whose key begins with the location taken as a folder, at any depth, in the
    /// order of their keys. A location that names one object yields that object.
    pub fn list(&self, _prefix: &Location) -> BoxStream<'static, Result<ObjectInfo>> {
        unimplemented!()
    }

    /// The folders and objects directly in a folder, each in the order of their keys.
    pub async fn list_folder(
        &self,
        _folder: &Location,
    ) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
        unimplemented!()
    }

    /// What is known of one object; `None` where there is none.
    pub async fn head(&self, _location: &Location) -> Result<Option<ObjectInfo>> {
        unimplemented!()
    }

    /// A whole object.
    pub async fn read(&self, _location: &Location) -> Result<Bytes> {
        unimplemented!()
    }

    /// A part of an object, in bytes. One request.
    pub async fn read_range(&self, _location: &Location, _range: Range<u64>) -> Result<Bytes> {
        unimplemented!()
    }

    /// Writes a whole object, replacing what is there.
    pub async fn write(&self, _location: &Location, _bytes: Bytes) -> Result<()> {
        unimplemented!()
    }

    /// Writes a whole object unless there is one: [`Error::AlreadyExists`] then.
    pub async fn write_new(&self, _location: &Location, _bytes: Bytes) -> Result<()> {
        unimplemented!()
    }

    /// Deletes one object. Deleting what is not there is no error.
    pub async fn delete(&self, _location: &Location) -> Result<()> {
        unimplemented!()
    }

    /// The same store behind Iceberg's own I/O.
    pub fn file_io(&self) -> iceberg::io::FileIO {
        unimplemented!()
    }
}
