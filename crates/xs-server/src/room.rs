//! Room for connections: so many at a time, and some of it for Unix sockets alone.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::clients::network;
use crate::counts::{Counted, Counts};
use crate::limits::Limits;
use crate::listen::{Medium, Peer};

/// The room of a server.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    all: Arc<Semaphore>,
    network: Arc<Semaphore>,
    each: Arc<Counts<IpAddr>>,
    each_most: Option<usize>,
    each_from_afar: usize,
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
            each: Arc::default(),
            each_most: limits.connections_per_client,
            each_from_afar: (limits.connections_max / 8).max(1),
        }
    }

    /// The share of its address that a connection takes; nothing where that has no more. Sockets, and loopback
    /// where nothing else was asked for, are not counted.
    pub(crate) fn share(&self, peer: &Peer) -> Option<Option<Counted<IpAddr>>> {
        let Some(address) = peer.address else { return Some(None) };
        let ip = address.ip().to_canonical();
        let most = match self.each_most {
            Some(most) => most,
            None if ip.is_loopback() => return Some(None),
            None => self.each_from_afar,
        };
        self.each.take(network(ip), most).ok().map(Some)
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
    async fn nobody_from_afar_has_all_of_it() {
        use crate::listen::Place;
        let peer = |address: &str| Peer {
            place: Arc::new(Place::new(Medium::Tcp, "")),
            address: Some(address.parse().unwrap()),
        };
        let room = Room::new(&Limits { connections_max: 16, ..Limits::default() });
        let (one, two) = (room.share(&peer("10.0.0.1:1")), room.share(&peer("10.0.0.1:2")));
        assert!(one.is_some() && two.is_some() && room.share(&peer("10.0.0.1:3")).is_none());
        assert!(room.share(&peer("10.0.0.2:1")).is_some());
        drop(one);
        assert!(room.share(&peer("10.0.0.1:3")).is_some());
        for _ in 0..20 {
            assert!(room.share(&peer("127.0.0.1:1")).is_some_and(|share| share.is_none()));
        }
        let room = Room::new(&Limits { connections_per_client: Some(1), ..Limits::default() });
        let one = room.share(&peer("127.0.0.1:1"));
        assert!(one.is_some() && room.share(&peer("127.0.0.1:2")).is_none());
    }

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
