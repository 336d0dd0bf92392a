//! Every bound of the client, in one place.

use std::time::Duration;

/// Connections that are kept for later while nobody uses them.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 64;
/// How long one is kept. A server closes it after a time of its own, 30 s where it is ours, and a
/// request that meets that very moment fails: so it is given up before.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// A TCP connection on which nothing has come for so long is probed, so often, so many times in vain:
/// a server that has vanished without a word is found out also by who only waits.
pub(crate) const PROBE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);
/// How long to wait when more clients connect to a socket at this moment than its queue holds.
#[cfg(unix)]
pub(crate) const QUEUE_RETRY: Duration = Duration::from_millis(5);

/// Bytes of the text of an error that are read.
pub(crate) const ERROR_BYTES_MAX: usize = 64 * 1024;
/// Bytes of an answer that is taken whole: a server gives no more frames at a time than it takes.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a body that its connection is given at a time: only when it asks for more is it seen to get on.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Bytes of meta that go into a header. Servers and what is between take a head of 8 KiB at least.
pub(crate) const META_BYTES_MAX: usize = 4 * 1024;
/// Frames that are imported by one request: a tenth of what a server takes.
pub(crate) const IMPORT_FRAMES: usize = 100_000;
/// How long such a request waits for the next frame. A server stores the last ones when it ends, and gives up one
/// that stays silent for long; nobody notices a wait as short as this.
pub(crate) const IMPORT_PAUSE: Duration = Duration::from_millis(50);
/// How long after its beginning it waits no more, however often frames come.
pub(crate) const IMPORT_TIME: Duration = Duration::from_secs(1);
/// Bytes of frames after which what is ready of them is sent.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Heartbeats after which a follower that has heard nothing takes its server for gone.
pub(crate) const SILENT_HEARTBEATS: u32 = 3;
/// How often that time doubles, at most, for a server that is silent each time.
pub(crate) const SILENCES_MAX: u32 = 6;
/// The longest heartbeat, and the longest pause: none is meant to be longer, and sums of them are small.
pub(crate) const PERIOD_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest, so that nothing spins.
pub(crate) const PERIOD_MIN: Duration = Duration::from_millis(1);
