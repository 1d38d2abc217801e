use bytes::Bytes;
use calve_base::Location;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;

use crate::error::{Error, Result};

/// Objects up to this size are written by one request, larger ones in parts of this size.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// How many parts of one object are under way at one time.
const PARTS_UNDER_WAY: usize = 4;

/// Writes one object bit by bit, in bounded memory. Nothing is visible at its location before
/// [`Writer::finish`].
#[derive(Debug)]
pub struct Writer {
    location: Location,
    region: String,
    /// `None` after the end.
    inner: Option<BufWriter>,
}

impl Writer {
    pub(crate) fn new(location: Location, region: String, inner: BufWriter) -> Self {
        let inner = Some(inner.with_max_concurrency(PARTS_UNDER_WAY));
        Self {
            location,
            region,
            inner,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the store fails, or the writer has ended.
    pub async fn put(&mut self, bytes: Bytes) -> Result<()> {
        let inner = self.inner.as_mut().ok_or_else(|| ended(&self.location))?;
        let written = inner.put(bytes).await;
        written.map_err(|source| Error::from_store(&self.location, source).sent_to(&self.region))
    }

    /// Makes the object visible.
    ///
    /// # Errors
    /// When the store fails, or the writer has ended.
    pub async fn finish(&mut self) -> Result<()> {
        let mut inner = self.inner.take().ok_or_else(|| ended(&self.location))?;
        let finished = inner.shutdown().await;
        finished.map_err(|error| match error.downcast::<object_store::Error>() {
            Ok(source) => Error::from_store(&self.location, source).sent_to(&self.region),
            Err(error) => Error::from_io(&self.location, error),
        })
    }

    /// Gives up, and removes parts that were written already. Dropping a writer leaves them to the
    /// bucket's lifecycle rules.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn abort(&mut self) -> Result<()> {
        let Some(mut inner) = self.inner.take() else {
            return Ok(());
        };
        let aborted = inner.abort().await;
        aborted.map_err(|source| Error::from_store(&self.location, source))
    }
}

fn ended(location: &Location) -> Error {
    Error::Local {
        location: location.clone(),
        source: std::io::Error::other("the writer has been finished or aborted"),
    }
}
