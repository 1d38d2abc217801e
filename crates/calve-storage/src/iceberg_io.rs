//! The same store behind `iceberg`'s own I/O.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use calve_base::{Location, Properties, Scheme};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, StorageConfig,
    StorageFactory,
};
use iceberg::{Error as IcebergError, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Storage, Writer};

/// How many objects are deleted at one time.
const DELETES: usize = 16;

/// A [`Storage`] as `iceberg` wants one. What is written of it are its properties; whoever reads
/// them back opens its own connections when it first needs them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SharedStorage {
    properties: Properties,
    #[serde(skip)]
    storage: OnceLock<Storage>,
}

pub(crate) fn file_io(storage: &Storage) -> FileIO {
    FileIOBuilder::new(Arc::new(SharedStorage::new(storage.clone()))).build()
}

impl SharedStorage {
    fn new(storage: Storage) -> Self {
        Self {
            properties: storage.properties().clone(),
            storage: OnceLock::from(storage),
        }
    }

    fn storage(&self) -> &Storage {
        self.storage
            .get_or_init(|| Storage::new(self.properties.clone()))
    }
}

impl std::fmt::Debug for SharedStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SharedStorage")
            .field(self.storage())
            .finish()
    }
}

#[typetag::serde(name = "calve")]
impl StorageFactory for SharedStorage {
    fn build(&self, config: &StorageConfig) -> iceberg::Result<Arc<dyn iceberg::io::Storage>> {
        let differs = config
            .props()
            .iter()
            .any(|(name, value)| self.properties.get(name) != Some(value));
        if !differs {
            return Ok(Arc::new(self.clone()));
        }
        let mut properties = self.properties.clone();
        properties.extend(
            config
                .props()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        Ok(Arc::new(Self::new(Storage::new(properties))))
    }
}

#[async_trait]
#[typetag::serde(name = "calve")]
impl iceberg::io::Storage for SharedStorage {
    async fn exists(&self, path: &str) -> iceberg::Result<bool> {
        let found = self.storage().head(&parse(path)?).await;
        Ok(found.map_err(convert)?.is_some())
    }

    async fn metadata(&self, path: &str) -> iceberg::Result<FileMetadata> {
        let location = parse(path)?;
        match self.storage().head(&location).await.map_err(convert)? {
            Some(info) => Ok(FileMetadata { size: info.size }),
            None => Err(convert(Error::NotFound { location })),
        }
    }

    async fn read(&self, path: &str) -> iceberg::Result<Bytes> {
        self.storage().read(&parse(path)?).await.map_err(convert)
    }

    async fn reader(&self, path: &str) -> iceberg::Result<Box<dyn FileRead>> {
        Ok(Box::new(Reader {
            storage: self.storage().clone(),
            location: parse(path)?,
        }))
    }

    async fn write(&self, path: &str, bytes: Bytes) -> iceberg::Result<()> {
        let written = self.storage().write(&parse(path)?, bytes).await;
        written.map_err(convert)
    }

    async fn writer(&self, path: &str) -> iceberg::Result<Box<dyn FileWrite>> {
        let writer = self.storage().writer(&parse(path)?).await;
        Ok(Box::new(writer.map_err(convert)?))
    }

    async fn delete(&self, path: &str) -> iceberg::Result<()> {
        self.storage().delete(&parse(path)?).await.map_err(convert)
    }

    async fn delete_prefix(&self, path: &str) -> iceberg::Result<()> {
        let folder = parse(path)?;
        delete_folder(self.storage(), &folder)
            .await
            .map_err(convert)
    }

    async fn delete_stream(&self, paths: BoxStream<'static, String>) -> iceberg::Result<()> {
        let mut deleted = paths
            .map(|path| async move { self.delete(&path).await })
            .buffer_unordered(DELETES);
        while let Some(deleted) = deleted.next().await {
            deleted?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> iceberg::Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.to_owned()))
    }

    fn new_output(&self, path: &str) -> iceberg::Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.to_owned()))
    }
}

/// Deletes everything below a folder; locally, the folder itself too. A file is left alone.
async fn delete_folder(storage: &Storage, folder: &Location) -> Result<()> {
    if folder.scheme() == Scheme::File {
        return match fs_err::tokio::remove_dir_all(folder.key()).await {
            Err(error)
                if !matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Err(Error::from_io(folder, error))
            }
            _ => Ok(()),
        };
    }
    let below = if folder.as_str().ends_with('/') {
        folder.clone()
    } else {
        Location::parse(format!("{folder}/"))?
    };
    let mut deleted = storage
        .list(&below)
        .map(|info| async move { storage.delete(&info?.location).await })
        .buffer_unordered(DELETES);
    while let Some(deleted) = deleted.next().await {
        deleted?;
    }
    Ok(())
}

struct Reader {
    storage: Storage,
    location: Location,
}

#[async_trait]
impl FileRead for Reader {
    async fn read(&self, range: Range<u64>) -> iceberg::Result<Bytes> {
        let read = self.storage.read_range(&self.location, range).await;
        read.map_err(convert)
    }
}

#[async_trait]
impl FileWrite for Writer {
    async fn write(&mut self, bytes: Bytes) -> iceberg::Result<()> {
        self.put(bytes).await.map_err(convert)
    }

    async fn close(&mut self) -> iceberg::Result<()> {
        self.finish().await.map_err(convert)
    }
}

fn parse(path: &str) -> iceberg::Result<Location> {
    Location::parse(path).map_err(|error| {
        IcebergError::new(ErrorKind::DataInvalid, error.to_string()).with_source(error)
    })
}

fn convert(error: Error) -> IcebergError {
    let kind = match &error {
        Error::AlreadyExists { .. } => ErrorKind::PreconditionFailed,
        Error::Location(_) | Error::UnsupportedKey { .. } => ErrorKind::DataInvalid,
        _ => ErrorKind::Unexpected,
    };
    let retryable = calve_base::Failure::is_retryable(&error);
    IcebergError::new(kind, error.to_string())
        .with_source(error)
        .with_retryable(retryable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_rebuilt_from_its_properties_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("{}/f", folder.path().display());
        let properties = [("s3.region".to_owned(), "eu-west-1".to_owned())];
        let storage = Storage::new(Properties::from(properties));
        let factory: Box<dyn StorageFactory> = Box::new(SharedStorage::new(storage));
        let written = serde_json::to_string(&factory).unwrap();
        assert_eq!(
            written,
            r#"{"type":"calve","properties":{"s3.region":"eu-west-1"}}"#
        );
        let factory: Box<dyn StorageFactory> = serde_json::from_str(&written).unwrap();
        let built = factory.build(&StorageConfig::new()).unwrap();
        built.write(&path, Bytes::from_static(b"x")).await.unwrap();
        let written = serde_json::to_string(&built).unwrap();
        let read: Box<dyn iceberg::io::Storage> = serde_json::from_str(&written).unwrap();
        assert_eq!(read.read(&path).await.unwrap(), "x");
    }

    #[tokio::test]
    async fn more_properties_make_another_storage() {
        let factory = SharedStorage::new(Storage::new(Properties::new()));
        let config = StorageConfig::new().with_prop("s3.region", "r");
        let built = factory.build(&config).unwrap();
        let written = serde_json::to_string(&built).unwrap();
        assert_eq!(
            written,
            r#"{"type":"calve","properties":{"s3.region":"r"}}"#
        );
    }

    #[test]
    fn errors_keep_what_is_known_of_them() {
        let location: Location = "/f".parse().unwrap();
        let error = convert(Error::AlreadyExists { location });
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed);
        assert!(!error.retryable());
        assert!(parse("gs://b/k").is_err());
    }
}
