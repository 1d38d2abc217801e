//! Walks local folders in the order of the keys that an object store would give.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use calve_base::Location;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::{JoinError, JoinHandle};

use crate::error::{Error, Result};
use crate::listing::with_key;
use crate::{ObjectInfo, listing};

/// How many entries are looked at before the walk gives way to other work.
const BATCH: usize = 512;

/// All files below a folder, or the one file, some at a time.
pub(crate) fn pages(prefix: &Location) -> BoxStream<'static, Vec<Result<ObjectInfo>>> {
    let walk = Walk::new(prefix.clone());
    futures::stream::unfold(Some(walk), |walk| async {
        let mut walk = walk?;
        let (walk, batch) = run(move || {
            let batch: Vec<_> = walk.by_ref().take(BATCH).collect();
            (walk, batch)
        })
        .await;
        let more = (batch.len() == BATCH).then_some(walk);
        Some((batch, more))
    })
    .boxed()
}

/// The folders and files directly in a folder.
pub(crate) async fn list_folder(folder: &Location) -> Result<(Vec<Location>, Vec<ObjectInfo>)> {
    let folder = folder.clone();
    run(move || {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        let Some(entries) = Entries::read(&folder, PathBuf::from(folder.key()))? else {
            return Ok((folders, files));
        };
        for (name, is_folder) in entries.names {
            let location = child(&folder, &name, is_folder)?;
            if is_folder {
                folders.push(location);
            } else if let Some(info) = stat(location)? {
                files.push(info);
            }
        }
        Ok((folders, files))
    })
    .await
}

/// Runs blocking work where it may block.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// What a task gives. A panic goes on here. A task that was never run belongs to a runtime that is shutting
/// down, and with it whoever waits.
pub(crate) async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => std::future::pending().await,
    }
}

/// One folder's names, each with whether it is a folder, last name first.
struct Entries {
    path: PathBuf,
    folder: Location,
    names: std::vec::IntoIter<(String, bool)>,
}

struct Walk {
    start: Option<Location>,
    stack: Vec<Entries>,
}

impl Walk {
    fn new(start: Location) -> Self {
        Self {
            start: Some(start),
            stack: Vec::new(),
        }
    }

    fn begin(&mut self, start: Location) -> Result<Option<ObjectInfo>> {
        let path = PathBuf::from(start.key());
        match fs_err::metadata(&path) {
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Error::from_io(&start, error)),
            Ok(metadata) if metadata.is_dir() => {
                self.stack.extend(Entries::read(&start, path)?);
                Ok(None)
            }
            Ok(_) => stat(start),
        }
    }

    /// Goes down into a folder. A link is followed unless it leads to where the walk is already.
    fn enter(&mut self, folder: &Location, path: PathBuf) -> Result<()> {
        let is_link = fs_err::symlink_metadata(&path)
            .map_err(|error| Error::from_io(folder, error))?
            .is_symlink();
        if is_link {
            self.refuse_loop(folder, &path)?;
        }
        self.stack.extend(Entries::read(folder, path)?);
        Ok(())
    }

    fn refuse_loop(&self, link: &Location, path: &Path) -> Result<()> {
        let real =
            |path: &Path| fs_err::canonicalize(path).map_err(|error| Error::from_io(link, error));
        let target = real(path)?;
        for above in &self.stack {
            if real(&above.path)?.starts_with(&target) {
                let location = link.clone();
                return Err(Error::LinkLoop { location });
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<ObjectInfo>> {
        while let Some(top) = self.stack.last_mut() {
            let Some((name, is_folder)) = top.names.next() else {
                self.stack.pop();
                continue;
            };
            let location = child(&top.folder, &name, is_folder)?;
            if is_folder {
                let path = top.path.join(&name);
                self.enter(&location, path)?;
            } else if let Some(info) = stat(location)? {
                return Ok(Some(info));
            }
        }
        Ok(None)
    }
}

impl Iterator for Walk {
    type Item = Result<ObjectInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(start) = self.start.take()
            && let Some(first) = self.begin(start).transpose()
        {
            return Some(first);
        }
        self.step().transpose()
    }
}

impl Entries {
    /// `None` when the folder is not there (any more).
    fn read(folder: &Location, path: PathBuf) -> Result<Option<Self>> {
        let failed = |error| Error::from_io(folder, error);
        let entries = match fs_err::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| Error::NotUnicode {
                    folder: folder.clone(),
                    name: name.to_string_lossy().into_owned(),
                })?;
            names.push((name, is_folder));
        }
        // A folder sorts as its name with a slash: `a.b` is before `a/x` as a key.
        names.sort_unstable_by(|left, right| sort_key(left).cmp(sort_key(right)));
        Ok(Some(Self {
            path,
            folder: folder.clone(),
            names: names.into_iter(),
        }))
    }
}

fn sort_key((name, is_folder): &(String, bool)) -> impl Iterator<Item = u8> + '_ {
    name.bytes().chain(is_folder.then_some(b'/'))
}

fn child(folder: &Location, name: &str, is_folder: bool) -> Result<Location> {
    let slash = if is_folder { "/" } else { "" };
    with_key(
        folder,
        &format!("{}{name}{slash}", listing::folder_key(folder)),
    )
}

/// Whether there is nothing under a name.
fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// What is known of a file; `None` for what is no file, such as a pipe. A link that leads nowhere
/// is listed, so that whoever reads it learns that it is broken.
pub(crate) fn stat(location: Location) -> Result<Option<ObjectInfo>> {
    let path = Path::new(location.key());
    let metadata = match fs_err::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs_err::symlink_metadata(path)
        }
        other => other,
    };
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(Error::from_io(&location, error)),
    };
    if !metadata.is_file() && !metadata.is_symlink() {
        return Ok(None);
    }
    Ok(Some(info(location, &metadata)))
}

/// What a file's metadata say of it. The tag changes whenever the file is replaced or written to.
pub(crate) fn info(location: Location, metadata: &Metadata) -> ObjectInfo {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    ObjectInfo {
        location,
        size: metadata.len(),
        last_modified_ms: i64::try_from(modified.as_millis()).unwrap_or(i64::MAX),
        etag: Some(format!(
            "{:x}-{:x}-{:x}",
            inode(metadata),
            modified.as_nanos(),
            metadata.len()
        )),
        storage_class: None,
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}
