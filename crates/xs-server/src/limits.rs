//! Every bound of the server, in one place.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use xs::{Error, ErrorKind, Result};

use crate::listen::Peer;

/// What the server grants its clients: plain data, for whoever runs it to set. Times are at most a year, and all but
/// `grace` more than nothing.
///
/// ```
/// let mut limits = xs_server::Limits::default();
/// limits.content_bytes_max = Some(64 << 20);
/// limits.write_timeout = std::time::Duration::from_secs(20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the head of a request: its line and its headers, of which there are at most 64. Larger
    /// ones are answered with 431; with 414 where the address alone is more than 32 KiB.
    pub header_bytes_max: usize,
    /// How long a client may take for a TLS handshake, and again for the head of a request. It counts from
    /// when the request before was answered, so a connection without a request ends after it, too.
    pub header_timeout: Duration,
    /// How long a client may send no byte of a body that it has announced. Then it is answered with 408.
    pub body_timeout: Duration,
    /// Bytes a second that a body has to come at, so that nobody holds a connection for long with a byte now and
    /// then. The client is waited for `body_timeout` in all, and a second more for each so many bytes of the body
    /// that have come; then it is answered with 408. Time in which the server does not read is not counted, and
    /// nothing is asked of Unix sockets and of loopback. 0: any rate.
    pub body_bytes_per_second_min: u64,
    /// How long a client may take nothing of what is sent to it. Then its connection ends, and the log says so. A
    /// client that comes from beyond loopback is waited for so long in all, and a second more for each 500 bytes that
    /// it takes, of which none are put by while nobody waits. What a client has taken shows once its kernel and that
    /// of the server let go of it, up to 128 KiB at a time: one that takes less within this time seems to take nothing.
    pub write_timeout: Duration,
    /// Bytes of the content of one request; larger content is answered with 413. `None`: any size.
    pub content_bytes_max: Option<u64>,
    /// Connections served at a time, at least [`CONNECTIONS_LEAST`]. Beyond it, new ones wait to be accepted. An
    /// eighth of them, 64 at most, is kept for Unix sockets, so that nobody can lock the operator out from afar.
    pub connections_max: usize,
    /// Connections that one address from beyond loopback may have at a time; more are closed at once. Whoever
    /// could have all of them could keep everybody else out, without a token. `None`: an eighth of
    /// `connections_max`.
    pub connections_per_client: Option<usize>,
    /// Followers that one client may have at a time: one address, with one token. More are answered with 429.
    /// Those on Unix sockets are never counted. `None`: 64, and as many as it likes on loopback.
    pub followers_per_client: Option<usize>,
    /// How long requests under way may take to end when the server stops. Followers go on until those are
    /// answered that may still append, or three quarters of it have passed.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes_max: 256 * 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            body_bytes_per_second_min: 500,
            write_timeout: Duration::from_secs(60),
            content_bytes_max: None,
            connections_max: connections_for(open_files()),
            connections_per_client: None,
            followers_per_client: None,
            grace: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// `InvalidInput`, naming it, where a limit leaves no room to serve anybody.
    pub fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
        let timeouts = [
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
            ("write_timeout", self.write_timeout),
        ];
        if let Some((name, _)) = timeouts.iter().find(|(_, timeout)| timeout.is_zero()) {
            return invalid(format!("limit {name} is 0: nobody is that fast"));
        }
        let mut times = timeouts.into_iter().chain([("grace", self.grace)]);
        if let Some((name, time)) = times.find(|(_, time)| *time > TIME_MAX) {
            return invalid(format!("limit {name} is {time:?}: at most {TIME_MAX:?}, a year"));
        }
        if !HEADER_BYTES.contains(&self.header_bytes_max) {
            let (least, most) = (HEADER_BYTES.start(), HEADER_BYTES.end());
            return invalid(format!("limit header_bytes_max is {}: from {least} to {most}", self.header_bytes_max));
        }
        if !CONNECTIONS.contains(&self.connections_max) {
            let (least, most) = (CONNECTIONS.start(), CONNECTIONS.end());
            return invalid(format!("limit connections_max is {}: from {least} to {most}", self.connections_max));
        }
        if self.connections_per_client == Some(0) {
            return invalid("limit connections_per_client is 0: at least 1".to_owned());
        }
        Ok(())
    }

    /// Bytes of a head that hyper reads: so far beyond the limit that a head which is a little too large is
    /// refused in words. hyper itself says nothing but 431.
    pub(crate) fn head_read_bytes(&self) -> usize {
        self.header_bytes_max.saturating_add(HEAD_ROOM_BYTES)
    }

    /// Bytes that a connection keeps of what comes in, and of what goes out, beside the piece that is being
    /// written. hyper has one limit for both.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.head_read_bytes().max(CHUNK_BYTES)
    }

    /// The rate that is asked of a body that comes from there.
    pub(crate) fn body_rate_min(&self, peer: &Peer) -> Option<NonZeroU64> {
        NonZeroU64::new(self.body_bytes_per_second_min).filter(|_| !peer.is_local())
    }

    /// How long followers wait, when the server stops, for what may still append.
    pub(crate) fn append_grace(&self) -> Duration {
        self.grace - self.grace / FOLLOWERS_SHARE
    }

    /// Of the connections, those that network listeners may have.
    pub(crate) fn network_connections(&self) -> usize {
        self.connections_max - (self.connections_max / 8).min(64)
    }
}

/// Raises the limit of open files of this process as far as it is allowed to and connections can use, and
/// returns what it is then: [`Limits::default`] follows from it.
pub fn raise_open_files() -> u64 {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(OPEN_FILES_WANTED) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    open_files()
}

/// The soft limit of open files.
fn open_files() -> u64 {
    #[cfg(unix)]
    if let Ok((soft, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) {
        return soft;
    }
    OPEN_FILES_WANTED
}

/// Each connection is a descriptor, and the store fails without some.
fn connections_for(open_files: u64) -> usize {
    let left = usize::try_from(open_files.saturating_sub(STORE_FILES)).unwrap_or(CONNECTIONS_MOST);
    left.clamp(CONNECTIONS_LEAST, CONNECTIONS_MOST)
}

/// The least that [`Limits::connections_max`] can be: each listener has one of them to accept the next with.
pub const CONNECTIONS_LEAST: usize = 16;
/// What it can be: there is one permit for each.
const CONNECTIONS: RangeInclusive<usize> = CONNECTIONS_LEAST..=Semaphore::MAX_PERMITS;
/// The most that it is by itself.
const CONNECTIONS_MOST: usize = 10_000;
/// Open files that are left to the store.
const STORE_FILES: u64 = 384;
/// Open files that are enough for whatever is served here.
const OPEN_FILES_WANTED: u64 = 65_536;
/// What a time can be. Times are added to the clock, which has an end.
const TIME_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// hyper keeps 8 KiB at least; beyond a mebibyte, heads would be bodies.
const HEADER_BYTES: RangeInclusive<usize> = 8 * 1024..=1024 * 1024;
/// What hyper reads of a head beyond the limit. Anybody can have it read that much, and both buffers of a
/// connection grow by it.
const HEAD_ROOM_BYTES: usize = 16 * 1024;
/// The part of the grace period, the last, that followers have to end in, whatever is under way.
const FOLLOWERS_SHARE: u32 = 4;
/// Bytes of the address of a request. The longest filter is half as long.
pub(crate) const URI_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request; a browser behind proxies sends about thirty. hyper reads 100, so that a few too many are
/// refused in words. Told to read more, it makes room for them on the heap, twice for each request: that costs a fifth
/// of all small appends.
pub(crate) const HEADERS_MAX: usize = 64;

/// How long the head of a follower's answer waits for its first frame. Clients wait for a head for 30 s and more.
pub(crate) const FIRST_FRAME: Duration = Duration::from_secs(5);
/// Frames that a follower is given, while there are always more, until it looks whether the server stops.
pub(crate) const STOP_LOOK_FRAMES: u32 = 256;
/// What a connection adds to the time between two writes to a follower: about what a write takes, and leaves
/// room for appends.
pub(crate) const PACE_EACH: Duration = Duration::from_micros(40);
/// Below this there is no pause: a timer is no finer.
pub(crate) const PACE_LEAST: Duration = Duration::from_millis(2);
/// A pause that nobody who looks on notices.
pub(crate) const PACE_MOST: Duration = Duration::from_millis(50);
/// How long the store is waited for when the server stops, whatever requests are granted.
pub(crate) const STORE_GRACE: Duration = Duration::from_secs(10);
/// Followers of one client that comes from beyond loopback.
pub(crate) const FOLLOWERS_FROM_AFAR: usize = 64;
/// Bytes a second that a client from beyond loopback has to take, as those of a body have to come.
pub(crate) const TAKEN_BYTES_PER_SECOND_MIN: u64 = 500;
/// Into how many parts a write time-out is divided: at the end of each it is looked whether the client took anything.
pub(crate) const WRITE_LOOKS: u32 = 4;
/// Bytes that are kept of what comes behind the request of a follower: more than most heads have.
pub(crate) const AHEAD_BYTES_MAX: usize = 8 * 1024;
/// How long a client that was answered before it had sent everything may take to read the answer.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// After a failed accept, such as when file descriptors are spent: how long until the next.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// A network connection on which nothing has come for so long is probed, so often, so many times in vain.
#[allow(dead_code, reason = "not every system can be asked for it")]
pub(crate) const PROBE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);
/// Bytes of a file of tokens or certificates.
pub(crate) const SECRETS_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of a path that are logged.
pub(crate) const LOGGED_PATH_BYTES: usize = 256;

/// Bytes of a body of frames that is taken as one atomic append.
pub const BODY_FRAMES_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Bytes of frames that have come and are not stored yet, over all requests: ten of the largest. Without it, each
/// connection could hold one for as long as it takes its time to send the rest.
pub(crate) const HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Frames of an import that are stored at a time.
pub(crate) const IMPORT_STEP_FRAMES: usize = 1000;
/// Bytes of an import that are stored at a time.
pub(crate) const IMPORT_STEP_BYTES: usize = 4 * 1024 * 1024;
/// Frames in one import request: what was imported is answered, and its ids are kept till then.
pub const IMPORT_FRAMES_MAX: usize = 1_000_000;
/// Bytes after which what is ready of a response is sent.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// Topics that are fetched at a time.
pub(crate) const TOPICS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::listen::{Medium, Place};

    #[test]
    fn the_store_keeps_its_files() {
        for (open_files, connections) in
            [(0, 16), (256, 16), (400, 16), (1024, 640), (4096, 3712), (65_536, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(connections_for(open_files), connections, "{open_files}");
        }
    }

    #[test]
    fn what_leaves_no_room_is_refused_by_name() {
        assert!(Limits::default().check().is_ok());
        type Case = (&'static str, fn(&mut Limits));
        let bad: [Case; 12] = [
            ("header_timeout", |limits| limits.header_timeout = Duration::ZERO),
            ("body_timeout", |limits| limits.body_timeout = Duration::ZERO),
            ("write_timeout", |limits| limits.write_timeout = Duration::ZERO),
            ("header_timeout", |limits| limits.header_timeout = Duration::MAX),
            ("body_timeout", |limits| limits.body_timeout = Duration::MAX),
            ("write_timeout", |limits| limits.write_timeout = TIME_MAX + Duration::from_millis(1)),
            ("grace", |limits| limits.grace = Duration::MAX),
            ("header_bytes_max", |limits| limits.header_bytes_max = 100),
            ("header_bytes_max", |limits| limits.header_bytes_max = usize::MAX),
            ("connections_max", |limits| limits.connections_max = 0),
            ("connections_max", |limits| limits.connections_max = usize::MAX),
            ("connections_per_client", |limits| limits.connections_per_client = Some(0)),
        ];
        for (name, set) in bad {
            let mut limits = Limits::default();
            set(&mut limits);
            let error = limits.check().unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(name), "{error}");
        }
        // A year is a time, and so is nothing for what is under way at a stop.
        let (header_timeout, body_timeout, write_timeout, grace) = (TIME_MAX, TIME_MAX, TIME_MAX, Duration::ZERO);
        let limits = Limits { header_timeout, body_timeout, write_timeout, grace, ..Limits::default() };
        assert!(limits.check().is_ok());
    }

    #[test]
    fn what_is_read_of_a_head_is_bounded() {
        for (limit, read, buffer) in
            [(8192, 24_576, 65_536), (262_144, 278_528, 278_528), (1 << 20, 1_064_960, 1_064_960)]
        {
            let limits = Limits { header_bytes_max: limit, ..Limits::default() };
            assert_eq!((limits.head_read_bytes(), limits.buffer_bytes()), (read, buffer));
        }
    }

    #[test]
    fn a_rate_is_asked_from_afar() {
        let mut limits = Limits::default();
        let peer = |address: &str| Peer {
            place: Arc::new(Place::new(Medium::Tcp, "")),
            address: (!address.is_empty()).then(|| address.parse().unwrap()),
        };
        for (address, rate) in [
            ("10.0.0.1:1", NonZeroU64::new(500)),
            ("[2001:db8::1]:1", NonZeroU64::new(500)),
            ("127.0.0.1:1", None),
            ("[::1]:1", None),
            ("[::ffff:127.0.0.1]:1", None),
            ("", None),
        ] {
            assert_eq!(limits.body_rate_min(&peer(address)), rate, "{address}");
        }
        limits.body_bytes_per_second_min = 0;
        assert_eq!(limits.body_rate_min(&peer("10.0.0.1:1")), None);
    }

    #[test]
    fn followers_have_the_end_of_the_grace_period() {
        for (grace, append) in [(0, 0), (100, 75), (10_000, 7500)] {
            let limits = Limits { grace: Duration::from_millis(grace), ..Limits::default() };
            assert_eq!(limits.append_grace(), Duration::from_millis(append));
        }
    }

    #[test]
    fn they_are_plain_data() {
        let mut limits = Limits { followers_per_client: Some(3), ..Limits::default() };
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
        limits = serde_json::from_str(r#"{"content_bytes_max":7}"#).unwrap();
        assert_eq!(limits, Limits { content_bytes_max: Some(7), ..Limits::default() });
        assert!(serde_json::from_str::<Limits>(r#"{"content_bytes":7}"#).is_err());
    }

    #[test]
    fn sockets_have_connections_of_their_own() {
        for (all, network) in [(16, 14), (640, 576), (10_000, 9936)] {
            assert_eq!(Limits { connections_max: all, ..Limits::default() }.network_connections(), network);
        }
    }
}
