//! Work beside the caller's.

use tokio::task::JoinError;

use crate::{Error, Result};

/// Runs work that computes for long where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(tokio::task::spawn_blocking(work).await)?
}

/// The outcome of a task. A panic goes on in the caller.
pub(crate) fn joined<T>(outcome: Result<T, JoinError>) -> Result<T> {
    outcome.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Error::Stopped,
    })
}
