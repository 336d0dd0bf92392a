//! Room for connections: so many at a time, and some of it for Unix sockets alone.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;
use crate::listen::Medium;

/// The room of a server.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    all: Arc<Semaphore>,
    network: Arc<Semaphore>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    _all: OwnedSemaphorePermit,
    _network: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max)),
            network: Arc::new(Semaphore::new(limits.network_connections())),
        }
    }

    /// Waits until there is room for one more.
    pub(crate) async fn take(&self, medium: Medium) -> Result<Taken, AcquireError> {
        // In this order: who waits for a place among those of the network must not hold one of all.
        let network = match medium {
            Medium::Socket => None,
            Medium::Tcp | Medium::Tls => Some(Arc::clone(&self.network).acquire_owned().await?),
        };
        Ok(Taken { _all: Arc::clone(&self.all).acquire_owned().await?, _network: network })
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn the_network_leaves_room_for_sockets() {
        let room = Room::new(&Limits { connections_max: 16, ..Limits::default() });
        let mut taken = Vec::new();
        for _ in 0..14 {
            taken.push(room.take(Medium::Tcp).await.unwrap());
        }
        let is_full = |medium| {
            let mut taking = std::pin::pin!(room.take(medium));
            taking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
        };
        assert!(is_full(Medium::Tls) && !is_full(Medium::Socket));
        taken.push(room.take(Medium::Socket).await.unwrap());
        taken.push(room.take(Medium::Socket).await.unwrap());
        assert!(is_full(Medium::Socket));
        taken.remove(0);
        assert!(!is_full(Medium::Tcp) && !is_full(Medium::Socket));
    }
}
