//! Clients, and how many followers each has: every one of them is a connection and a reader for as long as it
//! likes, so nobody is to have all of them.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::FromRequestParts;
use futures::future::{BoxFuture, FutureExt as _};
use http::StatusCode;
use http::request::Parts;
use xs::ErrorKind;

use crate::access::{Admission, TokenId};
use crate::counts::{Counted, Counts};
use crate::error::ApiError;
use crate::gone::{Asked, Gone};
use crate::limits::{FOLLOWERS_FROM_AFAR, Limits};
use crate::listen::Peer;

/// The followers of all clients that are counted.
pub(crate) type Followers = Counts<Who>;

/// Whom followers are counted for: an address, and the token that it showed. Many people may share either.
pub(crate) type Who = (IpAddr, Option<TokenId>);

/// Whoever has sent a request, as far as its followers go. Routes that follow take it from the request; where
/// it says nothing of a client, as in a router that an application mounts, there is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    share: Option<Arc<Share>>,
    admission: Option<Admission>,
    /// Of its connection, where that tells.
    gone: Option<Gone>,
}

#[derive(Debug)]
struct Share {
    followers: Arc<Followers>,
    who: Who,
    most: usize,
}

impl Client {
    /// The client at the other end of a connection, with the token that it showed.
    pub(crate) fn of(peer: &Peer, admission: Option<Admission>, limits: &Limits, followers: &Arc<Followers>) -> Self {
        let token = admission.as_ref().map(Admission::token);
        Self { share: Share::of(peer, token, limits, followers).map(Arc::new), admission, gone: None }
    }

    /// The same, on a connection that tells when it has gone.
    pub(crate) fn on(self, connection: Gone) -> Self {
        Self { gone: Some(connection), ..self }
    }

    /// One more follower of this client, until what is returned is dropped; 429 beyond its limit.
    pub(crate) fn follow(&self) -> Result<Following, ApiError> {
        let counted = self.share.as_deref().map(Share::take).transpose()?;
        let withdrawn = self.admission.as_ref().map(|admission| admission.withdrawn().boxed());
        Ok(Following { counted, withdrawn, asked: self.gone.as_ref().map(Gone::ask) })
    }
}

impl Share {
    /// `None` where nothing is counted.
    fn of(peer: &Peer, token: Option<TokenId>, limits: &Limits, followers: &Arc<Followers>) -> Option<Self> {
        let ip = peer.address?.ip().to_canonical();
        let most = match limits.followers_per_client {
            Some(most) => most,
            None if ip.is_loopback() => return None,
            None => FOLLOWERS_FROM_AFAR,
        };
        Some(Self { followers: Arc::clone(followers), who: (network(ip), token), most })
    }

    fn take(&self) -> Result<Counted<Who>, ApiError> {
        self.followers.take(self.who, self.most).map_err(|count| {
            let message = format!("this client has {count} followers already, and {} are allowed", self.most);
            ApiError::new(ErrorKind::Unavailable, message).with_status(StatusCode::TOO_MANY_REQUESTS)
        })
    }
}

/// A follower that is counted for as long as this lives.
#[must_use = "it is counted only as long as this lives"]
pub(crate) struct Following {
    #[allow(dead_code, reason = "it counts by being there")]
    counted: Option<Counted<Who>>,
    /// `None` where it came without a token, and once that is withdrawn.
    withdrawn: Option<BoxFuture<'static, ()>>,
    asked: Option<Asked>,
}

impl Following {
    /// Tells, once, whether nothing more comes from its client; nothing where the connection is not known.
    pub(crate) fn asked(&mut self) -> Option<Asked> {
        self.asked.take()
    }

    /// Ready once, when the token that it came with is withdrawn.
    pub(crate) fn poll_withdrawn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.withdrawn.as_mut().map(|withdrawn| withdrawn.poll_unpin(cx)) {
            Some(Poll::Ready(())) => {
                self.withdrawn = None;
                Poll::Ready(())
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

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
            let share = client(address, None, &followers).share;
            assert_eq!(share.map(|share| share.most), most, "{address}");
        }
        let who = |address| client(address, Some(1), &followers).share.unwrap().who;
        assert_eq!(who("[2001:db8::1]:1"), who("[2001:db8::ffff:0:0:2]:9"));
        assert_ne!(who("[2001:db8::1]:1"), who("[2001:db8:0:1::1]:1"));
        assert_eq!(who("[::ffff:10.0.0.1]:1"), who("10.0.0.1:1"));
    }
}
