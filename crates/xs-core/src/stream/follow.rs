//! The way of a read through history, over the seam, into what is live, and back to history when
//! it lags.

use std::fmt;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::limits::PAGE_FRAMES;
use super::open::Shared;
use super::reader::{Follow, History, ReadOptions, is_expired};
use super::window::{Live, Place};
use crate::{Clock, Direction, Frame, FrameId, IdRange, Result, Topic, Ttl};

/// The topic of the synthetic frame at the seam between history and live.
pub const THRESHOLD_TOPIC: &str = "xs.threshold";
/// The topic of the synthetic frames of a heartbeat.
pub const PULSE_TOPIC: &str = "xs.pulse";

/// What a read gives.
#[derive(Debug)]
pub(super) enum Item {
    Stored(Frame),
    /// Made by the reader: not stored, not filtered, not counted.
    Synthetic(Frame),
}

/// Where a read is.
pub(super) struct Cursor {
    shared: Arc<Shared>,
    options: ReadOptions,
    phase: Phase,
    /// Everything stored up to this id has been looked at.
    seen: FrameId,
    /// The next frame in the live window.
    window: u64,
    /// Where others see how far a follower has come; gone with this.
    place: Option<Place>,
    /// The same for its reader, who gives what was found before: one more than `window`, and 0 until it is live.
    reached: Arc<AtomicU64>,
    changed: watch::Receiver<Option<u64>>,
    /// Synthetic frames given since `seen` last moved.
    synthetic: u32,
    heartbeat: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

#[derive(Debug)]
enum Phase {
    /// Nothing read yet; history ends here.
    Start(FrameId),
    History(History),
    /// Between history and live.
    Seam,
    Live,
    /// The live window was left: the store is read up to where it starts.
    Behind(History),
    End,
}

impl Cursor {
    /// Takes a place in the live window and the tail at one moment: every frame up to the tail is
    /// stored, every later one comes through the window.
    pub(super) fn new(shared: Arc<Shared>, options: ReadOptions, reached: Arc<AtomicU64>) -> Self {
        let changed = shared.window.subscribe();
        let (tail, window) = shared.window.position();
        // What was asked to be skipped stays skipped when it is yet to be appended.
        let seen = match options.start() {
            Bound::Unbounded => tail,
            Bound::Excluded(after) => tail.max(after),
            Bound::Included(from) => tail.max(FrameId::from_u128(from.to_u128().saturating_sub(1))),
        };
        let place = (options.follow != Follow::Off).then(|| shared.window.place(window));
        let phase = Phase::Start(tail);
        Self { shared, options, phase, seen, window, place, reached, changed, synthetic: 0, heartbeat: None }
    }

    /// The next items, which may be none; `None` at the end.
    pub(super) async fn step(mut self: Box<Self>) -> (Box<Self>, Result<Option<Vec<Item>>>) {
        let result = self.advance().await;
        (self, result)
    }

    async fn advance(&mut self) -> Result<Option<Vec<Item>>> {
        loop {
            match &mut self.phase {
                Phase::Start(tail) => {
                    let tail = *tail;
                    self.phase = self.start(tail).await?;
                }
                Phase::History(history) => match history.next_page().await? {
                    Some(page) => return Ok(Some(page.into_iter().map(Item::Stored).collect())),
                    None if self.options.follow == Follow::Off => self.phase = Phase::End,
                    None => self.phase = Phase::Seam,
                },
                Phase::Seam => {
                    self.phase = Phase::Live;
                    if self.options.threshold {
                        return Ok(Some(vec![self.synthetic(THRESHOLD_TOPIC)?]));
                    }
                }
                Phase::Live => {
                    if let Some(items) = self.live().await? {
                        return Ok(Some(items));
                    }
                }
                Phase::Behind(history) => match history.next_page().await? {
                    Some(page) => return Ok(Some(page.into_iter().map(Item::Stored).collect())),
                    None => self.phase = Phase::Live,
                },
                Phase::End => return Ok(None),
            }
        }
    }

    async fn start(&mut self, tail: FrameId) -> Result<Phase> {
        if let Follow::Pulse(period) = self.options.follow {
            self.heartbeat = Some(beat(&self.shared, period));
        }
        if self.options.new {
            return Ok(if self.options.follow == Follow::Off { Phase::End } else { Phase::Live });
        }
        let mut range = IdRange { start: self.options.start(), end: Bound::Included(tail) };
        if let Some(n) = self.options.last {
            match self.newest(n, range).await? {
                Some(oldest) => range.start = Bound::Included(oldest),
                None => range.end = Bound::Excluded(FrameId::MIN),
            }
        }
        Ok(Phase::History(self.history(range, Direction::Ascending)))
    }

    fn history(&self, range: IdRange, direction: Direction) -> History {
        let history = History::new(&self.shared.store, &self.options.filter, range, direction);
        match self.options.limit.and_then(|limit| usize::try_from(limit).ok()) {
            Some(limit) => history.pages_of(limit.clamp(1, PAGE_FRAMES)),
            None => history,
        }
    }

    /// The id of the oldest of the newest `n` frames in `range`. Only ids are kept, so that a large
    /// `n` costs no memory.
    async fn newest(&mut self, n: u64, range: IdRange) -> Result<Option<FrameId>> {
        let mut oldest = None;
        let mut left = n;
        let page_frames = usize::try_from(n).unwrap_or(PAGE_FRAMES).clamp(1, PAGE_FRAMES);
        let mut history =
            History::new(&self.shared.store, &self.options.filter, range, Direction::Descending).pages_of(page_frames);
        while left > 0 {
            let Some(page) = history.next_page().await? else { break };
            for frame in page.iter().filter(|frame| !is_expired(frame, &self.shared)) {
                if left > 0 {
                    left -= 1;
                    oldest = Some(frame.id);
                }
            }
        }
        Ok(oldest)
    }

    /// What the window has, or a heartbeat; `None` when the phase has changed.
    async fn live(&mut self) -> Result<Option<Vec<Item>>> {
        // Marked before looking, so that nothing published in between is waited for.
        let open = self.changed.borrow_and_update().is_some();
        let found = self.shared.window.read(&mut self.window, &self.options.filter, self.seen);
        // Whoever has left the window stays as far behind as they were until they are back in it.
        if !matches!(found, Live::Lagged(_)) {
            // Only this task reads it, when it has polled this future: no order is needed.
            self.reached.store(self.window.saturating_add(1), Ordering::Relaxed);
            if let Some(place) = &self.place {
                place.move_to(self.window);
            }
        }
        match found {
            Live::Frames(frames, looked_at) => {
                self.look_up_to(looked_at);
                let items: Vec<_> = frames.iter().map(|frame| Item::Stored(Frame::clone(frame))).collect();
                return Ok((!items.is_empty()).then_some(items));
            }
            Live::Lagged(oldest) => {
                let range = IdRange { start: Bound::Excluded(self.seen), end: Bound::Excluded(oldest) };
                self.phase = Phase::Behind(self.history(range, Direction::Ascending));
                self.look_up_to(FrameId::from_u128(oldest.to_u128().saturating_sub(1)));
                return Ok(None);
            }
            Live::CaughtUp if !open => {
                self.phase = Phase::End;
                return Ok(None);
            }
            Live::CaughtUp => {}
        }
        let Some(heartbeat) = &mut self.heartbeat else {
            // An error means that the window is gone, which the next look finds closed.
            let _ = self.changed.changed().await;
            return Ok(None);
        };
        tokio::select! {
            _ = self.changed.changed() => Ok(None),
            () = heartbeat => {
                if let Follow::Pulse(period) = self.options.follow {
                    self.heartbeat = Some(beat(&self.shared, period));
                }
                Ok(Some(vec![self.synthetic(PULSE_TOPIC)?]))
            }
        }
    }

    /// Everything stored up to this id has been looked at. Where that is nothing new, as after ephemeral frames, the
    /// synthetic ids that were given are not given again.
    fn look_up_to(&mut self, id: FrameId) {
        if id > self.seen {
            (self.seen, self.synthetic) = (id, 0);
        }
    }

    /// A synthetic frame whose id lies between what was looked at and what comes next.
    fn synthetic(&mut self, topic: &str) -> Result<Item> {
        self.synthetic = self.synthetic.saturating_add(1);
        let id = self.seen.synthetic(self.synthetic);
        Ok(Item::Synthetic(Frame {
            id,
            topic: Topic::parse(topic)?,
            hash: None,
            meta: None,
            ttl: Some(Ttl::Ephemeral),
        }))
    }
}

fn beat(shared: &Shared, period: std::time::Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let clock: Arc<dyn Clock> = Arc::clone(&shared.clock);
    // A period of nothing would spin.
    let ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
    Box::pin(async move { clock.sleep(ms).await })
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("phase", &self.phase).field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{FutureExt as _, StreamExt as _};

    use super::*;
    use crate::memory::{MemoryCas, MemoryStore};
    use crate::{EventStream, ManualClock, Parts, Settings};

    #[tokio::test]
    async fn synthetic_ids_increase_and_follow_what_is_stored_whatever_passes() {
        let clock = ManualClock::at(1_000_000);
        let parts = Parts::new(Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        let parts = Parts { clock: Arc::new(clock.clone()), ..parts };
        let stream = EventStream::open_parts(parts, Settings::default()).await.unwrap();
        let frame = |ttl| Frame::topic("a").unwrap().ttl(ttl);
        let stored = stream.append(frame(Ttl::Forever), ()).await.unwrap();
        let follow = Follow::Pulse(Duration::from_millis(5));
        let mut live = stream.read(ReadOptions { threshold: true, follow, ..ReadOptions::default() });
        assert_eq!(live.next().await.unwrap().unwrap(), stored);
        let mut ids = vec![stored.id, live.next().await.unwrap().unwrap().id];
        let mut passing = Vec::new();
        for _ in 0..3 {
            // When this has been polled, the heartbeat has begun.
            assert!(live.next().now_or_never().is_none());
            clock.advance(5);
            let pulse = live.next().await.unwrap().unwrap();
            assert_eq!(pulse.topic.as_str(), PULSE_TOPIC);
            ids.push(pulse.id);
            let frame = stream.append(frame(Ttl::Ephemeral), ()).await.unwrap();
            passing.push(frame.id);
            assert_eq!(live.next().await.unwrap().unwrap(), frame);
        }
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        // So whoever resumes after one of them skips nothing, should the clock step back before a restart.
        assert!(ids.iter().all(|id| *id < passing[0]), "{ids:?} {passing:?}");
    }
}
