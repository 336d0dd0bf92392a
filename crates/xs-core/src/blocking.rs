//! The one crossing from async code to blocking engine calls.

use crate::{Error, ErrorKind, Result};

/// Runs `work` on the runtime's blocking pool, so that no engine call runs on an async worker.
///
/// Dropping the future does not stop work that has begun. `Internal` when `work` panicked, or when
/// there is no tokio runtime.
pub async fn run<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
        Error::new(ErrorKind::Internal, "xs needs a tokio runtime here; programs without one use its blocking twins")
            .with_source(error)
    })?;
    runtime.spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "a backend call panicked or its runtime ended").with_source(error))
    })
}
