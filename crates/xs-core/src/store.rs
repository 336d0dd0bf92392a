//! The trait of an index of frames.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{ContentHash, Error, ErrorKind, Frame, FrameId, Pattern, Result, Topic};

/// What a backend can do beyond what the traits demand. Everything is off by default; a call that
/// needs what is off is refused with `Unsupported`, before the backend sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What was stored is there after the process has ended. Off: it ends with the process.
    pub persistent: bool,
    /// A second open of the same location is `Locked` (S9). Every index has it. Off, for a content
    /// store: several stores may share the location, and see each other's content.
    pub exclusive: bool,
    /// [`Store::compact`] gives space back. Off: it is refused; there is nothing to give back, or
    /// the backend does it by itself.
    pub compact: bool,
}

impl Capabilities {
    /// With or without persistence.
    #[must_use]
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// With or without one owner at a time.
    #[must_use]
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// With or without compaction.
    #[must_use]
    pub fn compact(mut self, compact: bool) -> Self {
        self.compact = compact;
        self
    }
}

/// How far a commit has come when it returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives a killed process. Power loss may take the newest batches, never one in the middle
    /// and never half of one.
    Buffered,
    /// On stable storage: survives power loss.
    #[default]
    Sync,
}

/// What one commit changes, whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Frames to store. Their ids are new to the store and ascend.
    pub insert: Vec<Arc<Frame>>,
    /// Ids to remove; those that are not there are ignored.
    pub remove: Vec<FrameId>,
    /// How far the commit has to come before it returns.
    pub durability: Durability,
}

impl Batch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.insert.is_empty() && self.remove.is_empty()
    }

    /// Finds what is wrong with the ids to insert before anything is changed: `InvalidInput` where
    /// they do not ascend, `Conflict` where one is stored already. `is_stored` is asked only about
    /// ids up to `last_id`, the greatest ever stored. Gives the greatest id after the batch.
    pub fn check(&self, last_id: FrameId, mut is_stored: impl FnMut(FrameId) -> Result<bool>) -> Result<FrameId> {
        let mut previous = None;
        for id in self.insert.iter().map(|frame| frame.id) {
            if previous.is_some_and(|previous| previous >= id) {
                return Err(Error::invalid(format!("the ids of a batch do not ascend at {id}")));
            }
            if id <= last_id && is_stored(id)? {
                return Err(Error::new(ErrorKind::Conflict, format!("a frame with id {id} is stored already")));
            }
            previous = Some(id);
        }
        Ok(last_id.max(previous.unwrap_or(FrameId::MIN)))
    }
}

/// What a commit says of itself, once it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// How long the engine waited for stable storage within this commit. An engine that can only time
    /// its sync together with the writing before it tells that. `None`: it did not sync, or does not know.
    pub sync: Option<Duration>,
}

impl Committed {
    /// With this time of waiting for stable storage.
    #[must_use]
    pub fn sync(mut self, sync: Option<Duration>) -> Self {
        self.sync = sync;
        self
    }

    /// Runs the sync of a commit, and tells its time.
    pub fn timed<E>(sync: impl FnOnce() -> std::result::Result<(), E>) -> std::result::Result<Self, E> {
        let since = Instant::now();
        sync()?;
        Ok(Self::default().sync(Some(since.elapsed())))
    }
}

/// The order of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// A range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// Where it starts.
    pub start: Bound<FrameId>,
    /// Where it ends.
    pub end: Bound<FrameId>,
}

impl IdRange {
    /// Every id.
    pub const ALL: Self = Self { start: Bound::Unbounded, end: Bound::Unbounded };

    /// Whether `id` lies in it.
    pub fn contains(&self, id: FrameId) -> bool {
        std::ops::RangeBounds::contains(&(self.start, self.end), &id)
    }

    /// The least and the greatest id in it; `None` where it is empty.
    pub fn inclusive(&self) -> Option<(FrameId, FrameId)> {
        let least = match self.start {
            Bound::Unbounded => 0,
            Bound::Included(id) => id.to_u128(),
            Bound::Excluded(id) => id.to_u128().checked_add(1)?,
        };
        let greatest = match self.end {
            Bound::Unbounded => u128::MAX,
            Bound::Included(id) => id.to_u128(),
            Bound::Excluded(id) => id.to_u128().checked_sub(1)?,
        };
        (least <= greatest).then(|| (FrameId::from_u128(least), FrameId::from_u128(greatest)))
    }

    /// What of it lies beyond `id`, in `direction`.
    #[must_use]
    pub fn beyond(self, id: FrameId, direction: Direction) -> Self {
        match direction {
            Direction::Ascending => Self { start: Bound::Excluded(id), ..self },
            Direction::Descending => Self { end: Bound::Excluded(id), ..self },
        }
    }
}

/// One page of frames that is asked for.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Which topics.
    pub pattern: Pattern,
    /// Which ids.
    pub range: IdRange,
    /// Oldest or newest first.
    pub direction: Direction,
    /// The most frames to return; at least 1.
    pub limit: usize,
    /// Roughly the most bytes to return: the page ends after the frame that reaches it, so a page
    /// holds at least one frame.
    pub bytes_max: usize,
}

impl Scan {
    /// A page of at most `limit` frames of `pattern`, oldest first, from the first.
    pub fn new(pattern: Pattern, limit: usize) -> Self {
        Self { pattern, range: IdRange::ALL, direction: Direction::Ascending, limit, bytes_max: usize::MAX }
    }
}

/// One page of frames.
#[derive(Clone, Debug, Default)]
pub struct ScanPage {
    /// Strictly ascending or descending by id.
    pub frames: Vec<Frame>,
    /// Whether nothing lies beyond it in the scan's range.
    pub complete: bool,
}

/// Collects one page: the bounds of a [`Scan`], counted in one place for every backend.
#[derive(Debug)]
pub struct PageBuilder {
    page: ScanPage,
    frames_left: usize,
    bytes_left: usize,
}

impl PageBuilder {
    /// An empty page of this scan.
    pub fn new(scan: &Scan) -> Self {
        Self { page: ScanPage::default(), frames_left: scan.limit.max(1), bytes_left: scan.bytes_max }
    }

    /// Takes the next frame of the scan, and says whether there is room for more.
    pub fn push(&mut self, frame: Frame) -> bool {
        self.frames_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(frame.weight());
        self.page.frames.push(frame);
        self.frames_left > 0 && self.bytes_left > 0
    }

    /// The page; `complete` when the scan ended before the page was full.
    pub fn finish(mut self, complete: bool) -> ScanPage {
        self.page.complete = complete;
        self.page
    }
}

/// One page of topics that is asked for, in byte order of their names.
#[derive(Clone, Debug, Default)]
pub struct TopicPage {
    /// Only topics whose name starts with this text; empty: all.
    pub prefix: String,
    /// Only topics after this one.
    pub after: Option<Topic>,
    /// The most topics to return; fewer come only at the end.
    pub limit: usize,
}

/// A topic that holds frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTail {
    /// Its name.
    pub topic: Topic,
    /// Its newest stored frame.
    pub last: Frame,
}

/// An index of frames: what fjall, redb and SQLite implement.
///
/// Merging patterns, giving out ids, conditions, TTL and live delivery are not its work; they are
/// written once, above it. Each guarantee here has the number of its conformance cases.
///
/// * **S1 atomic**: a batch is stored whole or not at all, also when the process dies.
/// * **S2 durable**: as [`Durability`] says. A commit that failed shows nothing to anyone.
/// * **S3 ordered**: a scan is strictly ascending or descending by id.
/// * **S4 bounded**: a scan returns at most `limit` frames, for O(log n + frames returned)
///   wherever its bounds lie, for every kind of pattern, in both directions.
/// * **S5 read your writes**: what `commit` acknowledged, every later call sees.
/// * **S6 stable pages**: paging while others commit neither skips nor repeats.
/// * **S7 patterns** select what [`Pattern::matches`] says.
/// * **S8 removal** leaves no trace in any index.
/// * **S9 one owner**: a second open of the same location is `Locked`; after `close` or the last
///   drop it opens again.
/// * **S10 faithful**: a frame comes back as it went in.
/// * **S11 honest**: damaged bytes give `Corrupt`, naming the frame or key.
/// * **S12 versioned**: a newer format is refused with both version numbers, and not changed.
///
/// There is no transaction between calls, so nothing is pinned by a reader that has gone away.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// The scheme under which it is registered, such as `fjall`.
    fn name(&self) -> &str;

    /// The version of its format on disk.
    fn format(&self) -> u32;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Whether its calls never wait for another task: their work is all done in
    /// [`blocking::run`](crate::blocking::run), or in memory. Then a caller that blocks may drive them on its
    /// own thread. With `false`, which is always right, they are driven elsewhere.
    fn blocks(&self) -> bool {
        false
    }

    /// The greatest id that was ever stored, also when that frame has been removed since: ids
    /// given out later exceed it. [`FrameId::MIN`] when there was none.
    async fn last_id(&self) -> Result<FrameId>;

    /// Stores and removes, whole or not at all, and tells how long it synced, if it knows. Nothing is
    /// changed by an error of these kinds:
    /// `Conflict` when an id to insert is stored already, `InvalidInput` when ids do not ascend,
    /// `Corrupt` when a frame to remove is damaged, `Locked` when another program is at it, `NotFound`,
    /// `Unsupported`. After any other, what
    /// is stored is uncertain until the store is opened again.
    async fn commit(&self, batch: Batch) -> Result<Committed>;

    /// The frame with this id.
    async fn get(&self, id: FrameId) -> Result<Option<Frame>>;

    /// One page of frames.
    async fn scan(&self, scan: Scan) -> Result<ScanPage>;

    /// One page of topics.
    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>>;

    /// The stored frames that expire at or before `before_ms` (milliseconds since 1970), soonest
    /// first, at most `limit`: when, and which.
    async fn expiring(&self, before_ms: u64, limit: usize) -> Result<Vec<(u64, FrameId)>>;

    /// Whether a stored frame refers to this content.
    async fn is_referenced(&self, hash: ContentHash) -> Result<bool>;

    /// Gives space that removed frames took back to the system. Other calls wait while it runs,
    /// which takes as long as copying the store. `Unsupported` without the capability `compact`.
    async fn compact(&self) -> Result<()> {
        Err(no_compaction(self.name()))
    }

    /// Makes everything durable and releases the location. Later calls are `Closed`; closing
    /// twice is no error.
    async fn close(&self) -> Result<()>;

    /// Called without waiting when the last handle is gone and `close` is about to follow: an open
    /// of the same location that comes in between, in this process, waits for the close instead of
    /// failing with `Locked`.
    fn closing(&self) {}
}

/// The error of compacting what cannot be compacted.
pub(crate) fn no_compaction(name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the {name} index has nothing to compact"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_inclusive_bounds_or_are_empty() {
        let id = FrameId::from_u128;
        let range = |start, end| IdRange { start, end }.inclusive();
        assert_eq!(IdRange::ALL.inclusive(), Some((FrameId::MIN, FrameId::MAX)));
        assert_eq!(range(Bound::Excluded(id(4)), Bound::Excluded(id(6))), Some((id(5), id(5))));
        assert_eq!(range(Bound::Excluded(id(4)), Bound::Excluded(id(5))), None);
        assert_eq!(range(Bound::Excluded(FrameId::MAX), Bound::Unbounded), None);
        assert_eq!(range(Bound::Unbounded, Bound::Excluded(FrameId::MIN)), None);
        assert_eq!(range(Bound::Included(id(7)), Bound::Included(id(6))), None);
    }
}
