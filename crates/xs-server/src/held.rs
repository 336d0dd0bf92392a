//! Bytes of bodies that are kept in memory until they are complete: bounded over all requests, because each of
//! many clients may send a large one slowly.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes, for all requests.
#[derive(Debug)]
pub(crate) struct Held(Arc<Semaphore>);

/// Those that one request holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    all: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))))
    }

    /// A request that holds none yet.
    pub(crate) fn share(&self) -> Share {
        Share { all: Arc::clone(&self.0), taken: None }
    }
}

impl Share {
    /// Takes so many more. False where too few are left, and then it holds what it held.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(more) = Arc::clone(&self.all).try_acquire_many_owned(bytes) else { return false };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Holds so many instead of what it held. False where too few are left, and then it holds none.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        self.clear();
        bytes == 0 || self.grow(bytes)
    }

    /// Gives back what it holds.
    pub(crate) fn clear(&mut self) {
        self.taken = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requests_share_what_may_be_held() {
        let held = Held::new(10);
        let (mut one, mut other) = (held.share(), held.share());
        assert!(one.grow(4) && one.grow(3) && other.grow(3));
        assert!(!one.grow(1) && !other.grow(1) && other.grow(0));
        one.clear();
        assert!(other.grow(7) && !one.grow(1));
        drop(other);
        assert!(one.grow(10) && !one.grow(usize::MAX));
        assert!(one.hold(6) && one.grow(4) && one.hold(3) && !one.grow(8));
        let mut other = held.share();
        assert!(other.hold(7) && !one.hold(4) && other.grow(3) && one.hold(0));
    }
}
