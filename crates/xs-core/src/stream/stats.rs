//! What a stream counts as it works, and whether it still takes writes: for whoever watches it.
//!
//! Counting must not be felt by an append. The sequencer adds to a few relaxed atomics once for each
//! group, before it answers, so that whoever was answered finds itself counted. What costs more, such
//! as how far followers lag, is worked out when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::EventStream;
use super::open::Shared;
use crate::{Durability, Error, ErrorKind, Result};

/// Appends in a group. A group takes what waited while the one before was committed, so the steps
/// are doublings, up to what the queue holds.
const GROUP_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Microseconds of a commit, or of its sync: from memory, through a fast disk's sync, to a disk that is failing.
const COMMIT_BOUNDS: &[u64] = &[
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// How many values fell into each of some ranges.
///
/// ```
/// # use std::sync::Arc;
/// # use xs_core::{EventStream, Frame, Settings, memory::{MemoryCas, MemoryStore}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> xs_core::Result<()> {
/// # let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
/// # let stream = EventStream::open(store, cas, Settings::default()).await?;
/// # stream.append(Frame::topic("a")?, ()).await?;
/// let groups = stream.stats().groups;
/// for (bound, count) in groups.bounds.iter().zip(&groups.counts) {
///     println!("up to {bound} appends: {count} commits");
/// }
/// # assert_eq!((groups.counts.first(), groups.count, groups.sum), (Some(&1), 1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The greatest value of each range, ascending.
    pub bounds: &'static [u64],
    /// Values in each range: beyond the bound before it, up to its own. One more than `bounds`: the last
    /// range has no end.
    pub counts: Vec<u64>,
    /// All values added up. It may be ahead of `counts`, or behind them, by what is being recorded.
    pub sum: u64,
    /// How many values there were: all `counts` added up.
    pub count: u64,
}

/// What a stream has done since it was opened, and what it is doing: [`EventStream::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that were appended to be stored, and were acknowledged. Together with `imported_frames`, less
    /// `removed_frames` and `expired_frames`, it is how many frames the store has gained.
    pub appended_frames: u64,
    /// Frames that were appended with the TTL `ephemeral`: shown to live readers, never stored.
    pub ephemeral_frames: u64,
    /// Frames that imports stored; those that were there already do not count.
    pub imported_frames: u64,
    /// Frames that [`EventStream::remove`] removed.
    pub removed_frames: u64,
    /// Frames that their TTL removed: by their age, or because newer ones of their topic came.
    pub expired_frames: u64,
    /// How many appends shared a commit, over all commits of appends.
    pub groups: Histogram,
    /// How long commits took that were asked for as [`Durability::Sync`], on stable storage when they return, in
    /// microseconds. Commits of imports and of removals count, and so do those that failed. The disk's sync is
    /// in it; `sync` is that part of it alone, as far as the index tells.
    pub commit_sync: Histogram,
    /// The same of commits that were asked for as [`Durability::Buffered`]. Most indexes do not wait for the disk
    /// then; redb syncs these, too.
    pub commit_buffered: Histogram,
    /// How long the index waited for stable storage within a commit, in microseconds, for each that tells it
    /// ([`Committed`](crate::Committed)), buffered ones among them. It stays empty where the index keeps nothing
    /// on a disk.
    pub sync: Histogram,
    /// Readers that follow, in history or live, from [`EventStream::read`] until they end or are dropped.
    pub followers: u64,
    /// Appended frames, of any topic, that the follower furthest behind has yet to look at; 0 where there
    /// is none. For one in history it counts from where it began, and for one that reads the store
    /// because it lagged, from where it was last live. What a reader has fetched and its caller has not
    /// taken yet, at most twice [`limits::LIVE_FRAMES`](super::limits::LIVE_FRAMES), counts as looked at.
    pub lag_frames_max: u64,
    /// Requests that wait for the sequencer: appends, imports and removals, without those that the commit
    /// under way is for. Callers that wait for room in the queue are not in it.
    pub queue_requests: u64,
    /// Bytes of content that came in, that of uploads which broke off included.
    pub content_bytes_in: u64,
    /// Bytes of content that were read by callers.
    pub content_bytes_out: u64,
}

impl EventStream {
    /// What the stream has done since it was opened, and what it is doing. It reads memory, waits for
    /// nobody, and costs more only with the number of followers. The numbers are not of one moment:
    /// one may be of a commit that another does not know yet.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use xs_core::{EventStream, Frame, Settings, memory::{MemoryCas, MemoryStore}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> xs_core::Result<()> {
    /// # let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
    /// # let stream = EventStream::open(store, cas, Settings::default()).await?;
    /// stream.append(Frame::topic("clip.add")?, "hello clipboard").await?;
    /// let stats = stream.stats();
    /// assert_eq!((stats.appended_frames, stats.commit_sync.count, stats.content_bytes_in), (1, 1, 15));
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self) -> Stats {
        let Shared { counters, window, .. } = &*self.handle.shared;
        let (followers, lag_frames_max) = window.followers();
        let queue = &self.handle.queue;
        let queued = queue.max_capacity().saturating_sub(queue.capacity()) as u64;
        Stats {
            appended_frames: counters.appended_frames.get(),
            ephemeral_frames: counters.ephemeral_frames.get(),
            imported_frames: counters.imported_frames.get(),
            removed_frames: counters.removed_frames.get(),
            expired_frames: counters.expired_frames.get(),
            groups: counters.groups.read(),
            commit_sync: counters.commit_sync.read(),
            commit_buffered: counters.commit_buffered.read(),
            sync: counters.sync.read(),
            followers,
            lag_frames_max,
            queue_requests: queued + counters.waiting.load(Ordering::Relaxed),
            content_bytes_in: counters.content_bytes_in.get(),
            content_bytes_out: counters.content_bytes_out.get(),
        }
    }

    /// Whether the stream takes writes, without making one and without touching the disk:
    /// `Unavailable` after a commit failed, which lasts until the stream is opened again; `Closed` once
    /// it is closed.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use xs_core::{ErrorKind, EventStream, Settings, memory::{MemoryCas, MemoryStore}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> xs_core::Result<()> {
    /// # let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
    /// # let stream = EventStream::open(store, cas, Settings::default()).await?;
    /// assert!(stream.health().is_ok());
    /// stream.close().await?;
    /// assert!(stream.health().is_err_and(|error| error.kind() == ErrorKind::Closed));
    /// # Ok(())
    /// # }
    /// ```
    pub fn health(&self) -> Result<()> {
        match self.handle.queue.is_closed() {
            true => Err(Error::closed()),
            false => self.handle.shared.check_commits(ErrorKind::Unavailable),
        }
    }
}

impl Shared {
    /// An error of this kind, once a commit has failed.
    pub(super) fn check_commits(&self, kind: ErrorKind) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(reason) => Err(Error::new(
                kind,
                format!("a commit failed ({reason}), so what is stored is uncertain: open the stream again"),
            )),
        }
    }
}

/// What is counted, by whoever does it. [`Stats`] says what each is.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) appended_frames: Counter,
    pub(super) ephemeral_frames: Counter,
    pub(super) imported_frames: Counter,
    pub(super) removed_frames: Counter,
    pub(super) expired_frames: Counter,
    pub(super) groups: Buckets,
    commit_sync: Buckets,
    commit_buffered: Buckets,
    sync: Buckets,
    /// Requests that the sequencer has taken from the queue and not begun.
    waiting: AtomicU64,
    pub(super) content_bytes_in: Counter,
    pub(super) content_bytes_out: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            appended_frames: Counter::default(),
            ephemeral_frames: Counter::default(),
            imported_frames: Counter::default(),
            removed_frames: Counter::default(),
            expired_frames: Counter::default(),
            groups: Buckets::new(GROUP_BOUNDS),
            commit_sync: Buckets::new(COMMIT_BOUNDS),
            commit_buffered: Buckets::new(COMMIT_BOUNDS),
            sync: Buckets::new(COMMIT_BOUNDS),
            waiting: AtomicU64::new(0),
            content_bytes_in: Counter::default(),
            content_bytes_out: Counter::default(),
        }
    }
}

impl Counters {
    /// Notes how long a commit took, and the sync in it where that is known.
    pub(super) fn committed(&self, durability: Durability, took: Duration, sync: Option<Duration>) {
        let buckets = match durability {
            Durability::Sync => &self.commit_sync,
            Durability::Buffered => &self.commit_buffered,
        };
        buckets.record(micros(took));
        if let Some(sync) = sync {
            self.sync.record(micros(sync));
        }
    }

    /// Notes how many requests the sequencer has yet to begin.
    pub(super) fn waiting(&self, requests: usize) {
        self.waiting.store(requests as u64, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: usize) {
        // Most groups have nothing ephemeral and remove nothing.
        if n > 0 {
            self.0.fetch_add(n as u64, Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A [`Histogram`] being made, by many at once and without a lock.
#[derive(Debug)]
pub(super) struct Buckets {
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Buckets {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let count = counts.iter().sum();
        Histogram { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: &[u64] = &[1, 10, 100];

    #[test]
    fn a_value_falls_into_the_first_range_whose_bound_it_does_not_exceed() {
        let buckets = Buckets::new(BOUNDS);
        assert_eq!(buckets.read(), Histogram { bounds: BOUNDS, counts: vec![0; 4], sum: 0, count: 0 });
        [0, 1, 2, 10, 11, 100, 101, 5000].into_iter().for_each(|value| buckets.record(value));
        assert_eq!(buckets.read(), Histogram { bounds: BOUNDS, counts: vec![2; 4], sum: 5225, count: 8 });
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [GROUP_BOUNDS, COMMIT_BOUNDS] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let buckets = Buckets::new(BOUNDS);
        std::thread::scope(|scope| {
            for value in [1, 7, 70, 700] {
                let buckets = &buckets;
                scope.spawn(move || (0..1000).for_each(|_| buckets.record(value)));
            }
        });
        assert_eq!(buckets.read(), Histogram { bounds: BOUNDS, counts: vec![1000; 4], sum: 778_000, count: 4000 });
    }

    #[test]
    fn a_commit_is_timed_by_its_durability() {
        let counters = Counters::default();
        counters.committed(Durability::Sync, Duration::from_millis(2), Some(Duration::from_micros(1500)));
        counters.committed(Durability::Buffered, Duration::from_nanos(999), None);
        let (sync, buffered) = (counters.commit_sync.read(), counters.commit_buffered.read());
        assert_eq!((sync.count, sync.sum, buffered.count, buffered.sum), (1, 2000, 1, 0));
        let alone = counters.sync.read();
        assert_eq!((alone.count, alone.sum), (1, 1500));
    }

    proptest! {
        #[test]
        fn a_histogram_says_what_counting_one_by_one_says(values in prop::collection::vec(0u64..10_000_000, 0..50)) {
            let buckets = Buckets::new(COMMIT_BOUNDS);
            values.iter().for_each(|value| buckets.record(*value));
            let histogram = buckets.read();
            prop_assert_eq!(histogram.count, values.len() as u64);
            prop_assert_eq!(histogram.sum, values.iter().sum::<u64>());
            let mut so_far = 0;
            for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
                so_far += count;
                prop_assert_eq!(so_far, values.iter().filter(|value| *value <= bound).count() as u64);
            }
        }
    }
}
