//! Local files as an `object_store`.
//!
//! `object_store`'s own takes `name#1` for its temporary files, so that it neither lists nor reads
//! files of such names; here every file is an object. Writing is atomic: into a hidden file in the
//! same folder, which is then renamed.

use std::fmt;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use calve_base::{Location, Scheme};
use fs_err::File;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, UploadPart,
};

use crate::local_walk::{self, run};
use crate::{ObjectInfo, keys};

const NAME: &str = "local files";

/// All files of this machine; paths begin at the root.
#[derive(Debug, Default)]
pub(crate) struct LocalFiles;

impl fmt::Display for LocalFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

fn file_path(path: &Path) -> PathBuf {
    PathBuf::from(format!("/{}", keys::from_path(path)))
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    let source = Box::new(source);
    match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Error::NotFound {
            path: path.to_string(),
            source,
        },
        std::io::ErrorKind::AlreadyExists => Error::AlreadyExists {
            path: path.to_string(),
            source,
        },
        std::io::ErrorKind::PermissionDenied => Error::PermissionDenied {
            path: path.to_string(),
            source,
        },
        _ => Error::Generic {
            store: NAME,
            source,
        },
    }
}

/// Does blocking work on a path.
async fn on<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(PathBuf) -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let file = file_path(path);
    run(move || work(file))
        .await
        .map_err(|error| failed(path, error))
}

#[async_trait]
impl ObjectStore for LocalFiles {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let creates = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create => true,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional update".to_owned(),
                    implementer: NAME.to_owned(),
                });
            }
        };
        on(location, move |path| {
            let (staged, mut file) = Staged::new(path)?;
            for bytes in &payload {
                file.write_all(bytes)?;
            }
            staged.publish(creates)
        })
        .await
        .map(|()| written())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // Parts open the file for themselves: many uploads may wait for their end at one time.
        let (staged, _) = on(location, Staged::new).await?;
        Ok(Box::new(Upload {
            location: location.clone(),
            staged: Arc::new(Mutex::new(Some(staged))),
            next: 0,
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (file, info, path) = on(location, |path| {
            let (file, info) = open(&path)?;
            Ok((file, info, path))
        })
        .await?;
        let meta = meta(location.clone(), &info);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            None => 0..meta.size,
            Some(range) => range.as_range(meta.size).map_err(|source| Error::Generic {
                store: NAME,
                source: Box::new(source),
            })?,
        };
        let (file, _) = file.into_parts();
        Ok(GetResult {
            payload: GetResultPayload::File(file, path),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let ranges = ranges.to_vec();
        on(location, move |path| {
            let (mut file, _) = open(&path)?;
            ranges
                .into_iter()
                .map(|range| read_exactly(&mut file, range))
                .collect()
        })
        .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations
            .and_then(|location| async move {
                on(&location, fs_err::remove_file).await?;
                Ok(location)
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        local_walk::pages(&folder(prefix))
            .flat_map(futures::stream::iter)
            .map(|info| info.map(|info| listed(&info)).map_err(unlisted))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (folders, files) = local_walk::list_folder(&folder(prefix))
            .await
            .map_err(unlisted)?;
        let path = |folder: &Location| keys::to_local_path(folder.key().trim_end_matches('/'));
        Ok(ListResult {
            common_prefixes: folders.iter().map(path).collect(),
            objects: files.iter().map(listed).collect(),
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let source = file_path(from);
        let creates = options.mode == CopyMode::Create;
        on(to, move |path| {
            let (mut file, _) = open(&source)?;
            let (staged, mut copy) = Staged::new(path)?;
            std::io::copy(&mut file, &mut copy)?;
            staged.publish(creates)
        })
        .await
    }
}

fn written() -> PutResult {
    PutResult {
        e_tag: None,
        version: None,
    }
}

fn folder(prefix: Option<&Path>) -> Location {
    let key = prefix.map(keys::from_path).unwrap_or_default();
    let slash = if key.is_empty() { "" } else { "/" };
    Location::parse(format!("/{key}{slash}")).expect("an absolute path is a location")
}

fn listed(info: &ObjectInfo) -> ObjectMeta {
    meta(keys::to_local_path(info.location.key()), info)
}

fn unlisted(error: crate::Error) -> Error {
    Error::Generic {
        store: NAME,
        source: Box::new(error),
    }
}

fn meta(location: Path, info: &ObjectInfo) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: chrono::DateTime::from_timestamp_millis(info.last_modified_ms)
            .unwrap_or_default(),
        size: info.size,
        e_tag: info.etag.clone(),
        version: None,
    }
}

/// Opens a file. A folder is no object.
fn open(path: &FilePath) -> std::io::Result<(File, ObjectInfo)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!("{} is a folder", path.display()),
        ));
    }
    let location = Location::parse("/").expect("the root is a location");
    Ok((file, local_walk::info(location, &metadata)))
}

/// The first `size` bytes of a local file, read by the thread that asks: for one that reads several.
///
/// # Errors
/// When the file is none of this machine's, cannot be read, or is shorter.
pub fn read_local_file(location: &Location, size: u64) -> std::io::Result<Bytes> {
    if location.scheme() != Scheme::File {
        return Err(std::io::ErrorKind::Unsupported.into());
    }
    let (mut file, _) = open(FilePath::new(location.key()))?;
    read_exactly(&mut file, 0..size)
}

fn read_exactly(file: &mut File, range: Range<u64>) -> std::io::Result<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start))
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
    file.seek(SeekFrom::Start(range.start))?;
    // Grown as bytes come, so that a wrong range of a small file does not take memory.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    let read = file.take(range.end - range.start).read_to_end(&mut bytes)?;
    if read < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

/// The longest name that a temporary one may carry along: file systems end at 255 bytes.
const CARRIED_NAME_BYTES: usize = 180;

/// A hidden name that tells whose it is, so that what a killed process left can be found.
fn temporary_name(path: &FilePath) -> String {
    let id = uuid::Uuid::new_v4();
    let name = path.file_name().and_then(std::ffi::OsStr::to_str);
    match name.filter(|name| name.len() <= CARRIED_NAME_BYTES) {
        Some(name) => format!(".calve-{id}-{name}.tmp"),
        None => format!(".calve-{id}.tmp"),
    }
}

/// A file under its temporary name, which is removed when it is not published.
struct Staged {
    temporary: PathBuf,
    path: PathBuf,
    is_published: bool,
}

impl Staged {
    /// Begins a file, and the folders above it.
    fn new(path: PathBuf) -> std::io::Result<(Self, File)> {
        let folder = path.parent().unwrap_or(FilePath::new("/"));
        let temporary = folder.join(temporary_name(&path));
        let file = match File::create_new(&temporary) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs_err::create_dir_all(folder)?;
                File::create_new(&temporary)
            }
            other => other,
        }?;
        let staged = Self {
            temporary,
            path,
            is_published: false,
        };
        Ok((staged, file))
    }

    fn publish(mut self, creates: bool) -> std::io::Result<()> {
        if creates {
            return self.publish_new();
        }
        fs_err::rename(&self.temporary, &self.path)?;
        self.is_published = true;
        Ok(())
    }

    /// Gives the file its name unless something has it. The temporary name goes by itself.
    fn publish_new(&mut self) -> std::io::Result<()> {
        match fs_err::hard_link(&self.temporary, &self.path) {
            Err(error) if is_without_links(&error) => {
                // The name is still taken once only; but a reader may see half of the content.
                let mut new = File::create_new(&self.path)?;
                let mut content = File::open(&self.temporary)?;
                std::io::copy(&mut content, &mut new)?;
                Ok(())
            }
            other => other,
        }
    }
}

/// Whether a file system said that it knows no hard links.
fn is_without_links(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::Unsupported
            | std::io::ErrorKind::PermissionDenied
            | std::io::ErrorKind::TooManyLinks
    )
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_published {
            // Nothing more can be done about a temporary file that stays.
            let _ = fs_err::remove_file(&self.temporary);
        }
    }
}

/// Writes a file in parts, which may end in any order.
struct Upload {
    location: Path,
    /// `None` after the end.
    staged: Arc<Mutex<Option<Staged>>>,
    /// Where the next part begins.
    next: u64,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

fn ended() -> std::io::Error {
    std::io::Error::other("the upload has been completed or aborted")
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let start = self.next;
        self.next += payload.content_length() as u64;
        let (staged, location) = (Arc::clone(&self.staged), self.location.clone());
        Box::pin(async move {
            run(move || {
                let staged = staged.lock().unwrap_or_else(PoisonError::into_inner);
                let staged = staged.as_ref().ok_or_else(ended)?;
                let mut file = fs_err::OpenOptions::new()
                    .write(true)
                    .open(&staged.temporary)?;
                file.seek(SeekFrom::Start(start))?;
                payload.iter().try_for_each(|bytes| file.write_all(bytes))
            })
            .await
            .map_err(|error| failed(&location, error))
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.take();
        run(move || staged.ok_or_else(ended)?.publish(false))
            .await
            .map_err(|error| failed(&self.location, error))?;
        Ok(written())
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.take();
        run(move || drop(staged)).await;
        Ok(())
    }
}

impl Upload {
    fn take(&self) -> Option<Staged> {
        self.staged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
