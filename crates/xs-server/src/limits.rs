//! Every bound of the server, in one place.

use std::time::Duration;

/// Connections served at a time. Beyond it, new ones wait to be accepted. Each is a file descriptor,
/// and the usual limit of 1024 has to leave enough for the store, which fails without.
pub const CONNECTIONS_MAX: usize = 640;
/// How long a client may take to send the head of a request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests under way may take to end when the server stops.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Bytes of a body of frames that is taken as one atomic append, and of one line of an import.
pub const BODY_FRAMES_BYTES_MAX: usize = 24 * 1024 * 1024;
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
/// How long nothing has to come to a follower of a stopping server before it is taken to have seen
/// everything.
pub(crate) const QUIET: std::time::Duration = std::time::Duration::from_millis(300);
