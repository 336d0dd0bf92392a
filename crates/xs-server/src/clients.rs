//! Clients, and how many followers each has: every one of them is a connection and a reader for as long as it
//! likes, so nobody is to have all of them.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use xs::ErrorKind;

use crate::access::TokenId;
use crate::counts::{Counted, Counts};
use crate::error::ApiError;
use crate::limits::{FOLLOWERS_FROM_AFAR, Limits};
use crate::listen::Peer;

/// The followers of all clients that are counted.
pub(crate) type Followers = Counts<Who>;

/// Whom followers are counted for: an address, and the token that it showed. Many people may share either.
pub(crate) type Who = (IpAddr, Option<TokenId>);

/// Whoever has sent a request, as far as its share of followers goes. Routes that follow take it from the
/// request; where it says nothing of a client, as in a router that an application mounts, there is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client(Option<Arc<Share>>);

#[derive(Debug)]
struct Share {
    followers: Arc<Followers>,
    who: Who,
    most: usize,
}

impl Client {
    /// The client at the other end of a connection, with the token that it showed.
    pub(crate) fn of(peer: &Peer, token: Option<TokenId>, limits: &Limits, followers: &Arc<Followers>) -> Self {
        let Some(address) = peer.address else { return Self(None) };
        let ip = address.ip().to_canonical();
        let most = match limits.followers_per_client {
            Some(most) => most,
            None if ip.is_loopback() => return Self(None),
            None => FOLLOWERS_FROM_AFAR,
        };
        Self(Some(Arc::new(Share { followers: Arc::clone(followers), who: (network(ip), token), most })))
    }

    /// One more follower of this client, until what is returned is dropped; 429 beyond its limit.
    pub(crate) fn follow(&self) -> Result<Following, ApiError> {
        let Some(share) = &self.0 else { return Ok(Following(None)) };
        let counted = share.followers.take(share.who, share.most).map_err(|count| {
            let message = format!("this client has {count} followers already, and {} are allowed", share.most);
            ApiError::new(ErrorKind::Unavailable, message).with_status(StatusCode::TOO_MANY_REQUESTS)
        })?;
        Ok(Following(Some(counted)))
    }
}

/// A follower that is counted for as long as this lives.
#[derive(Debug)]
#[must_use = "it is counted only as long as this lives"]
pub(crate) struct Following(#[allow(dead_code, reason = "it counts by being there")] Option<Counted<Who>>);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// Who has an IPv6 address has the 2^64 beside it.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::{Medium, Place};

    fn client(address: &str, limit: Option<usize>, followers: &Arc<Followers>) -> Client {
        let peer = Peer { place: Arc::new(Place::new(Medium::Tcp, "")), address: Some(address.parse().unwrap()) };
        Client::of(&peer, None, &Limits { followers_per_client: limit, ..Limits::default() }, followers)
    }

    #[test]
    fn each_client_has_its_share_and_gets_it_back() {
        let followers = Arc::new(Followers::default());
        let (one, other) = (client("10.0.0.1:1", Some(2), &followers), client("10.0.0.2:1", Some(2), &followers));
        let first = one.follow().unwrap();
        let second = client("10.0.0.1:2", Some(2), &followers).follow().unwrap();
        assert!(one.follow().is_err());
        let third = other.follow().unwrap();
        drop(first);
        let again = one.follow().unwrap();
        assert!(one.follow().is_err());
        drop((second, third, again));
        assert!(followers.is_empty(), "clients that have gone are remembered");
    }

    #[test]
    fn one_is_limited_from_afar_and_not_on_loopback() {
        let followers = Arc::new(Followers::default());
        for (address, most) in [
            ("10.0.0.1:1", Some(64)),
            ("[2001:db8::1]:1", Some(64)),
            ("127.0.0.1:1", None),
            ("[::ffff:127.0.0.1]:1", None),
        ] {
            let share = client(address, None, &followers).0;
            assert_eq!(share.map(|share| share.most), most, "{address}");
        }
        let who = |address| client(address, Some(1), &followers).0.unwrap().who;
        assert_eq!(who("[2001:db8::1]:1"), who("[2001:db8::ffff:0:0:2]:9"));
        assert_ne!(who("[2001:db8::1]:1"), who("[2001:db8:0:1::1]:1"));
        assert_eq!(who("[::ffff:10.0.0.1]:1"), who("10.0.0.1:1"));
    }
}
