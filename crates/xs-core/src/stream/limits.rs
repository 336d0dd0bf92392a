//! Every bound and tunable of the engine, in one place.

use std::time::Duration;

/// Requests that wait for the sequencer. Beyond it, callers wait.
pub const QUEUE_REQUESTS_MAX: usize = 1024;
/// Bytes of frames that wait for the sequencer, or are being committed. Beyond it, callers wait.
pub const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Frames after which a group takes no further append.
pub const GROUP_FRAMES_MAX: usize = 4096;

/// How long the sequencer stays awake for whom it has just answered: about twice what it takes a
/// caller to wake and append again, and less than a sync. A stream that is idle costs nothing, and
/// its next append waits for nothing.
pub const LINGER: Duration = Duration::from_micros(50);

/// Frames in one atomic append or import.
pub const BATCH_FRAMES_MAX: usize = 10_000;
/// Conditions of one atomic append: each is a look into the index, and other appends wait meanwhile.
pub const BATCH_CONDITIONS_MAX: usize = 1_000;
/// Bytes of frames in one atomic append or import.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Frames in a page of history: large enough that crossing threads costs little for each frame.
pub const PAGE_FRAMES: usize = 2048;
/// Bytes after which a page of history ends. A reader holds two pages. A merge of many patterns
/// shares a page among them, but takes at least a frame of each.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Frames in the live window. A follower that lags behind it reads the store instead.
pub const WINDOW_FRAMES_MAX: usize = 8192;
/// Bytes in the live window.
pub const WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Live frames that a follower takes at a time.
pub const LIVE_FRAMES: usize = 256;

/// Frames that are removed at a time, by expiry or when a topic is cut to its newest.
pub const REMOVE_FRAMES: usize = 4096;
/// The greatest n of `last:n` in an append: the ids of such a topic are remembered, and read when it
/// is first appended to.
pub const LAST_MAX: u64 = 100_000;
/// Ids of topics with `last:n` that are remembered; a topic that does not fit is read at each
/// append. 32 bytes each.
pub const KEPT_IDS_MAX: usize = 512 * 1024;
/// How long housekeeping waits before it tries again what failed.
pub const HOUSEKEEPING_RETRY_MS: u64 = 60_000;

/// How far the id of an imported frame may be ahead of the clock: a day. Every later id exceeds it.
pub const IMPORT_AHEAD_MS: u64 = 24 * 60 * 60 * 1000;
