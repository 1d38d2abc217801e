use std::sync::Arc;

use bytes::Bytes;
use calve_base::Location;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutPayloadMut};
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Objects up to this size are written by one request, larger ones in parts of this size.
pub const PART_BYTES: usize = 8 * 1024 * 1024;
/// How many parts of one object are under way at one time.
const PARTS_UNDER_WAY: usize = 4;

/// Writes one object bit by bit, in bounded memory. Nothing is visible at its location before
/// [`Writer::finish`]; without that, or when that fails, what was written is removed again.
pub struct Writer {
    location: Location,
    region: String,
    state: State,
}

enum State {
    /// All of it is still here.
    Small {
        store: Arc<dyn ObjectStore>,
        path: Path,
        buffer: PutPayloadMut,
    },
    Large(Parts),
    Ended,
}

/// An object whose first parts are with the store.
struct Parts {
    upload: Box<dyn MultipartUpload>,
    under_way: JoinSet<object_store::Result<()>>,
    buffer: PutPayloadMut,
}

impl Writer {
    pub(crate) fn new(
        location: Location,
        region: String,
        store: Arc<dyn ObjectStore>,
        path: Path,
    ) -> Self {
        let buffer = PutPayloadMut::new();
        Self {
            location,
            region,
            state: State::Small {
                store,
                path,
                buffer,
            },
        }
    }

    /// Appends bytes. After an error the writer has ended.
    ///
    /// # Errors
    /// When the store fails, or the writer has ended.
    pub async fn put(&mut self, bytes: Bytes) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Err(self.ended()),
            State::Small {
                store,
                path,
                mut buffer,
            } if buffer.content_length() + bytes.len() <= PART_BYTES => {
                buffer.push(bytes);
                self.state = State::Small {
                    store,
                    path,
                    buffer,
                };
                Ok(())
            }
            State::Small {
                store,
                path,
                buffer,
            } => {
                let upload = store.put_multipart(&path).await;
                let upload = upload.map_err(|source| self.failed(source))?;
                let mut parts = Parts::new(upload);
                for bytes in buffer.freeze() {
                    parts = self.append(parts, bytes).await?;
                }
                self.state = State::Large(self.append(parts, bytes).await?);
                Ok(())
            }
            State::Large(parts) => {
                self.state = State::Large(self.append(parts, bytes).await?);
                Ok(())
            }
        }
    }

    async fn append(&mut self, mut parts: Parts, bytes: Bytes) -> Result<Parts> {
        match parts.push(bytes).await {
            Ok(()) => Ok(parts),
            Err(source) => {
                parts.remove().await;
                Err(self.failed(source))
            }
        }
    }

    /// How many bytes wait here to be sent.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Small { buffer, .. } => buffer.content_length(),
            State::Large(parts) => parts.buffer.content_length(),
            State::Ended => 0,
        }
    }

    /// Sends all that waits here, so that an object that becomes visible only later takes no memory until
    /// then. Nothing can be appended after that.
    ///
    /// # Errors
    /// When the store fails, or the writer has ended.
    pub async fn seal(&mut self) -> Result<()> {
        let mut parts = match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => return Err(self.ended()),
            State::Large(parts) => parts,
            State::Small {
                store,
                path,
                buffer,
            } => {
                let upload = store.put_multipart(&path).await;
                let mut parts = Parts::new(upload.map_err(|source| self.failed(source))?);
                parts.buffer = buffer;
                parts
            }
        };
        match parts.send_rest().await {
            Ok(()) => {
                self.state = State::Large(parts);
                Ok(())
            }
            Err(source) => {
                parts.remove().await;
                Err(self.failed(source))
            }
        }
    }

    /// Makes the object visible. The writer has ended then, also after an error.
    ///
    /// # Errors
    /// When the store fails, or the writer has ended.
    pub async fn finish(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Err(self.ended()),
            State::Small {
                store,
                path,
                buffer,
            } => {
                let written = store.put(&path, buffer.freeze()).await;
                written.map(|_| ()).map_err(|source| self.failed(source))
            }
            State::Large(mut parts) => match parts.complete().await {
                Ok(()) => Ok(()),
                Err(source) => {
                    parts.remove().await;
                    Err(self.failed(source))
                }
            },
        }
    }

    /// Gives up, and removes what was written. Dropping a writer does so too, in the background.
    pub async fn abort(&mut self) {
        if let State::Large(parts) = std::mem::replace(&mut self.state, State::Ended) {
            parts.remove().await;
        }
    }

    fn failed(&self, source: object_store::Error) -> Error {
        Error::from_store(&self.location, source).sent_to(&self.region)
    }

    fn ended(&self) -> Error {
        Error::Local {
            location: self.location.clone(),
            source: std::io::Error::other("its writer has been finished or aborted, or failed"),
        }
    }
}

impl Parts {
    fn new(upload: Box<dyn MultipartUpload>) -> Self {
        Self {
            upload,
            under_way: JoinSet::new(),
            buffer: PutPayloadMut::new(),
        }
    }

    /// Sends all parts that are full. All but the last are of one size, since some stores want so.
    async fn push(&mut self, mut bytes: Bytes) -> object_store::Result<()> {
        while self.buffer.content_length() + bytes.len() >= PART_BYTES {
            let rest = bytes.split_off(PART_BYTES - self.buffer.content_length());
            self.buffer.push(bytes);
            bytes = rest;
            let part = std::mem::take(&mut self.buffer);
            self.send(part.freeze()).await?;
        }
        self.buffer.push(bytes);
        Ok(())
    }

    async fn send(&mut self, part: PutPayload) -> object_store::Result<()> {
        self.wait_for_fewer(PARTS_UNDER_WAY).await?;
        self.under_way.spawn(self.upload.put_part(part));
        Ok(())
    }

    async fn wait_for_fewer(&mut self, count: usize) -> object_store::Result<()> {
        while self.under_way.len() >= count
            && let Some(sent) = self.under_way.join_next().await
        {
            sent??;
        }
        Ok(())
    }

    /// Sends the last part, which may be smaller than the others.
    async fn send_rest(&mut self) -> object_store::Result<()> {
        let last = std::mem::take(&mut self.buffer);
        if last.content_length() > 0 {
            self.send(last.freeze()).await?;
        }
        self.wait_for_fewer(1).await
    }

    async fn complete(&mut self) -> object_store::Result<()> {
        self.send_rest().await?;
        self.upload.complete().await.map(|_| ())
    }

    async fn remove(mut self) {
        self.under_way.shutdown().await;
        if let Err(error) = self.upload.abort().await {
            tracing::warn!("parts of an unfinished object could not be removed: {error}");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let State::Large(parts) = std::mem::replace(&mut self.state, State::Ended)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(parts.remove());
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
