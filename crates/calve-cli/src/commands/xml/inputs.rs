//! The documents that are read.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Context as _;
use calve::base::{Location, Progress};
use calve::storage::{BlockingReader, ObjectInfo, Storage};
use calve::xml::input::Input;
use tokio::runtime::Handle;

use crate::commands::Context;

/// The stage that is reported.
const STAGE: &str = "documents begun";

/// Documents, found but not opened.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    pub(super) storage: Storage,
    objects: Vec<ObjectInfo>,
    /// Objects that were passed over: hidden or empty.
    pub(super) skipped: Vec<Location>,
    progress: Arc<dyn Progress>,
}

impl Documents {
    /// Finds what the user named.
    ///
    /// # Errors
    /// When an input is not there, or names nothing.
    pub(super) async fn find(context: &Context, inputs: &[Location]) -> anyhow::Result<Self> {
        let storage = Storage::new(context.settings.catalog.properties.clone());
        let (mut objects, mut skipped) = (Vec::new(), Vec::new());
        for input in inputs {
            let found = storage.find(input).await?;
            let passed = found.skipped.into_iter().map(|object| object.location);
            skipped.extend(passed);
            objects.extend(found.objects);
        }
        if objects.is_empty() {
            anyhow::bail!("there is no document among {} objects", skipped.len());
        }
        Ok(Self {
            storage,
            objects,
            skipped,
            progress: Arc::new(context.bars.clone()),
        })
    }

    /// Number of documents.
    pub(super) fn count(&self) -> u64 {
        self.objects.len() as u64
    }

    /// Their size in bytes, as they lie there.
    pub(super) fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }

    /// Opens one after the other, as they are needed.
    pub(super) fn open(&self) -> impl Iterator<Item = calve::xml::Result<Input>> + Send + use<> {
        let Self {
            storage,
            objects,
            progress,
            ..
        } = self.clone();
        let handle = Handle::current();
        progress.started(STAGE, Some(objects.len() as u64));
        objects.into_iter().map(move |object| {
            progress.advanced(STAGE, 1);
            let name = object.location.to_string();
            let reader = BlockingReader::new(&storage, object, handle.clone());
            Ok(Input::new(name, reader))
        })
    }

    /// Tells that no more documents are opened.
    pub(super) fn finished(&self) {
        self.progress.finished(STAGE);
    }
}

/// The threads that parse and encode, beside the one that hands the work to them and does its share; none where it is to do
/// all of it.
///
/// # Errors
/// When they cannot be started.
pub(super) fn pool(context: &Context) -> anyhow::Result<Option<Arc<rayon::ThreadPool>>> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = context.settings.concurrency.unwrap_or_else(cores);
    if threads <= 1 {
        return Ok(None);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads - 1);
    let pool = pool.build().context("the threads cannot be started")?;
    Ok(Some(Arc::new(pool)))
}
