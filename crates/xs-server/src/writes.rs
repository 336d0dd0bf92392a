//! Requests that may write, counted until they are answered: when the server stops, followers are to see
//! what those still append.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More than there are ever connections.
const WRITES_MAX: u32 = 1 << 28;

/// The requests of a server that may write. All clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Writes(Arc<Semaphore>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Write {
    _permit: OwnedSemaphorePermit,
}

impl Writes {
    pub(crate) fn new() -> Self {
        let most = usize::try_from(WRITES_MAX).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(most)))
    }

    /// One more; `None` when the server stops.
    pub(crate) fn begin(&self) -> Option<Write> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        Some(Write { _permit: permit })
    }

    /// Lets no other begin, and waits until those under way are answered, or for so long.
    pub(crate) async fn drain(&self, within: Duration) {
        // Whoever waits for all of them takes what is free, so that nothing is left for others.
        let drained = tokio::time::timeout(within, self.0.acquire_many(WRITES_MAX)).await;
        self.0.close();
        drop(drained);
    }
}

#[cfg(test)]
mod tests {
    use futures::future::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_under_way_are_waited_for_and_no_other_begins() {
        let hour = Duration::from_secs(3600);
        let writes = Writes::new();
        let (one, two) = (writes.begin(), writes.begin());
        assert!(one.is_some() && two.is_some());
        let mut draining = Box::pin(writes.drain(hour));
        assert!(draining.as_mut().now_or_never().is_none() && writes.begin().is_none());
        drop(one);
        assert!(draining.as_mut().now_or_never().is_none() && writes.begin().is_none());
        drop(two);
        assert!(draining.now_or_never().is_some() && writes.begin().is_none());
        // Nothing is under way.
        assert!(Writes::new().drain(Duration::ZERO).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_not_waited_for_for_ever() {
        let writes = Writes::new();
        let endless = writes.begin();
        let start = tokio::time::Instant::now();
        writes.drain(Duration::from_secs(7)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(7));
        drop(endless);
        assert!(writes.begin().is_none());
    }
}
