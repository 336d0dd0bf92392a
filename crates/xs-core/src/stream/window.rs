//! The live window: the newest frames, shared by all followers and bounded in frames and bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::limits::{LIVE_FRAMES, WINDOW_BYTES_MAX, WINDOW_FRAMES_MAX};
use crate::{Filter, Frame, FrameId, Ttl};

/// The frames that were appended last, in order. A follower has a cursor into it; nothing waits
/// for a follower.
#[derive(Debug)]
pub(super) struct Window {
    inner: Mutex<Inner>,
    /// The cursor after the newest frame; `None` once no frame will follow.
    next: watch::Sender<Option<u64>>,
    followers: Arc<Mutex<Followers>>,
}

#[derive(Debug)]
struct Inner {
    frames: VecDeque<Arc<Frame>>,
    /// The cursor of the first frame.
    first: u64,
    bytes: usize,
    /// The greatest stored id: what a reader may show.
    tail: FrameId,
    /// The greatest stored id of those that have left, or were there before.
    left: FrameId,
    max_frames: usize,
}

/// What a follower finds at its cursor.
#[derive(Debug)]
pub(super) enum Live {
    /// Matching frames, which may be none, and the id up to which everything stored has been looked at.
    Frames(Vec<Arc<Frame>>, FrameId),
    /// Nothing yet.
    CaughtUp,
    /// The cursor has left the window: what lies before this id is to be read from the store.
    Lagged(FrameId),
}

impl Window {
    pub(super) fn new(tail: FrameId, max_frames: usize) -> Self {
        let max_frames = max_frames.clamp(1, WINDOW_FRAMES_MAX);
        let inner = Inner { frames: VecDeque::new(), first: 0, bytes: 0, tail, left: tail, max_frames };
        Self { inner: Mutex::new(inner), next: watch::Sender::new(Some(0)), followers: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Shows committed frames to followers, and the tail to readers.
    pub(super) fn publish(&self, frames: impl IntoIterator<Item = Arc<Frame>>, tail: FrameId) {
        let mut inner = self.inner();
        inner.tail = inner.tail.max(tail);
        for frame in frames {
            inner.bytes += frame.weight();
            inner.frames.push_back(frame);
        }
        while inner.frames.len() > inner.max_frames || inner.bytes > WINDOW_BYTES_MAX {
            let Some(oldest) = inner.frames.pop_front() else { break };
            inner.bytes -= oldest.weight();
            inner.first += 1;
            if is_stored(&oldest) {
                inner.left = oldest.id;
            }
        }
        let next = inner.first + inner.frames.len() as u64;
        drop(inner);
        self.next.send_if_modified(|current| match current {
            Some(current) if *current != next => {
                *current = next;
                true
            }
            _ => false,
        });
    }

    /// Says that no frame will follow.
    pub(super) fn close(&self) {
        self.next.send_replace(None);
    }

    /// The tail, and the cursor of the first frame after it, at one moment.
    pub(super) fn position(&self) -> (FrameId, u64) {
        let inner = self.inner();
        (inner.tail, inner.first + inner.frames.len() as u64)
    }

    /// Tells when there is more, or when there never will be.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<u64>> {
        self.next.subscribe()
    }

    /// Counts a follower whose next frame is at `cursor`, until what this gives is dropped.
    pub(super) fn place(&self, cursor: u64) -> Place {
        let cursor = Arc::new(AtomicU64::new(cursor));
        let mut followers = lock(&self.followers);
        let number = followers.ever;
        followers.ever += 1;
        followers.cursors.insert(number, Arc::clone(&cursor));
        Place { followers: Arc::clone(&self.followers), number, cursor }
    }

    /// How many followers there are, and how many frames the one furthest behind has yet to look at.
    pub(super) fn followers(&self) -> (u64, u64) {
        // Never locked at once with the frames: whoever publishes waits for nobody who counts.
        let (_, next) = self.position();
        let followers = lock(&self.followers);
        let lags = followers.cursors.values().map(|cursor| next.saturating_sub(cursor.load(Ordering::Relaxed)));
        (followers.cursors.len() as u64, lags.max().unwrap_or(0))
    }

    /// The next matching frames with ids beyond `seen`. Moves `cursor` past what was looked at, or
    /// into the window when it had left it.
    ///
    /// What a reader has looked at, and so the id after which one resumes, is the id of a stored frame: no
    /// store knows the others, so after a restart with a clock that has stepped back lesser ids may follow.
    pub(super) fn read(&self, cursor: &mut u64, filter: &Filter, seen: FrameId) -> Live {
        let inner = self.inner();
        let Some(skip) = cursor.checked_sub(inner.first) else {
            *cursor = inner.first;
            // A cursor can only leave a window that holds frames.
            return inner.frames.front().map_or(Live::CaughtUp, |oldest| Live::Lagged(inner.start(oldest)));
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(inner.frames.len());
        let mut found = Vec::new();
        let mut looked_at = seen;
        for frame in inner.frames.range(skip..) {
            if found.len() == LIVE_FRAMES {
                break;
            }
            *cursor += 1;
            if is_stored(frame) {
                looked_at = looked_at.max(frame.id);
            }
            if frame.id > seen && filter.matches(&frame.topic) {
                found.push(Arc::clone(frame));
            }
        }
        match looked_at == seen && found.is_empty() {
            true => Live::CaughtUp,
            false => Live::Frames(found, looked_at),
        }
    }
}

impl Inner {
    /// Where the window starts, for whoever has left it: all that is stored before this id is to be read from the
    /// store, and all that the window holds lies behind.
    fn start(&self, oldest: &Frame) -> FrameId {
        if is_stored(oldest) {
            return oldest.id;
        }
        // Up to the tail, where nothing stored lies behind this frame: so what was imported is found, too.
        let last = if self.tail < oldest.id { self.tail } else { self.left };
        FrameId::from_u128(last.to_u128().saturating_add(1))
    }
}

/// Whether the store has, or had, this frame.
fn is_stored(frame: &Frame) -> bool {
    frame.ttl != Some(Ttl::Ephemeral)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cursors of those who follow. A map, because it shrinks again when many have gone.
#[derive(Debug, Default)]
struct Followers {
    cursors: BTreeMap<u64, Arc<AtomicU64>>,
    /// How many there have been, which is the number of the next.
    ever: u64,
}

/// A follower's place in the window, for others to see how far it has come. It is nothing that frames
/// wait for: the follower has its own cursor.
#[derive(Debug)]
pub(super) struct Place {
    followers: Arc<Mutex<Followers>>,
    number: u64,
    cursor: Arc<AtomicU64>,
}

impl Place {
    /// Says that everything before `cursor` has been looked at.
    pub(super) fn move_to(&self, cursor: u64) {
        self.cursor.store(cursor, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.followers).cursors.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(ids: std::ops::Range<u128>, meta: usize) -> Vec<Arc<Frame>> {
        let new = Frame::topic("a").unwrap().meta("x".repeat(meta).into());
        ids.map(|id| Arc::new(new.clone().with_id(FrameId::from_u128(id << 32)))).collect()
    }

    fn id(n: u128) -> FrameId {
        FrameId::from_u128(n << 32)
    }

    fn passing(ids: std::ops::Range<u128>) -> Vec<Arc<Frame>> {
        let pass = |frame: Arc<Frame>| Arc::new(Frame { ttl: Some(Ttl::Ephemeral), ..Frame::clone(&frame) });
        frames(ids, 0).into_iter().map(pass).collect()
    }

    /// The ids of what is found, and up to where it was looked.
    fn found(live: Live) -> (Vec<FrameId>, FrameId) {
        let Live::Frames(frames, looked_at) = live else { panic!("nothing is found") };
        (frames.iter().map(|frame| frame.id).collect(), looked_at)
    }

    #[test]
    fn it_is_bounded_in_frames_and_in_bytes() {
        let window = Window::new(FrameId::MIN, WINDOW_FRAMES_MAX);
        window.publish(frames(1..20_000, 0), FrameId::MAX);
        assert_eq!(window.inner().frames.len(), WINDOW_FRAMES_MAX);
        window.publish(frames(20_000..20_100, 1024 * 1024), FrameId::MAX);
        assert!(window.inner().bytes <= WINDOW_BYTES_MAX);
        let sum: usize = window.inner().frames.iter().map(|frame| frame.weight()).sum();
        assert_eq!(window.inner().bytes, sum);
    }

    #[test]
    fn a_cursor_that_left_it_is_told_where_it_starts() {
        let window = Window::new(FrameId::MIN, 4);
        let (_, mut cursor) = window.position();
        window.publish(frames(1..11, 0), FrameId::MAX);
        let Live::Lagged(oldest) = window.read(&mut cursor, &Filter::all(), FrameId::MIN) else { panic!() };
        assert_eq!(oldest.to_u128() >> 32, 7);
        let Live::Frames(found, seen) = window.read(&mut cursor, &Filter::all(), FrameId::MIN) else { panic!() };
        assert_eq!((found.len(), seen.to_u128() >> 32), (4, 10));
        assert!(matches!(window.read(&mut cursor, &Filter::all(), seen), Live::CaughtUp));
    }

    #[test]
    fn ephemeral_frames_are_found_and_are_not_what_was_looked_at() {
        let window = Window::new(FrameId::MIN, 100);
        let all = Filter::all();
        let (_, mut cursor) = window.position();
        window.publish([frames(1..2, 0), passing(2..3)].concat(), id(1));
        assert_eq!(found(window.read(&mut cursor, &all, FrameId::MIN)), (vec![id(1), id(2)], id(1)));
        window.publish(passing(3..5), FrameId::MIN);
        assert_eq!(found(window.read(&mut cursor, &all, id(1))), (vec![id(3), id(4)], id(1)));
        assert!(matches!(window.read(&mut cursor, &all, id(1)), Live::CaughtUp));
        // Of no interest, and yet passed.
        window.publish(passing(5..8), FrameId::MIN);
        assert!(matches!(window.read(&mut cursor, &"b".parse().unwrap(), id(1)), Live::CaughtUp));
        assert_eq!(cursor, window.position().1);
        window.publish(frames(8..9, 0), id(8));
        assert_eq!(found(window.read(&mut cursor, &all, id(1))), (vec![id(8)], id(8)));
    }

    #[test]
    fn who_left_it_reads_what_is_stored_before_its_ephemeral_frames() {
        let window = Window::new(FrameId::MIN, 4);
        let all = Filter::all();
        // Where the window starts, and what it then gives to who has looked at everything before.
        let lagging = || {
            let mut cursor = 0;
            let Live::Lagged(start) = window.read(&mut cursor, &all, FrameId::MIN) else { panic!() };
            let seen = FrameId::from_u128(start.to_u128() - 1);
            (seen, found(window.read(&mut cursor, &all, seen)))
        };
        window.publish([frames(1..4, 0), passing(4..10)].concat(), id(3));
        assert_eq!(lagging(), (id(3), ([6, 7, 8, 9].map(id).to_vec(), id(3))));
        // What is imported is not shown, but read from the store.
        window.publish([], id(5));
        assert_eq!(lagging().0, id(5));
        window.publish([frames(10..11, 0), passing(11..13)].concat(), id(10));
        assert_eq!(lagging(), (id(3), ([9, 10, 11, 12].map(id).to_vec(), id(10))));
        window.publish(passing(13..14), FrameId::MIN);
        assert_eq!(lagging().1, ([10, 11, 12, 13].map(id).to_vec(), id(10)));
        window.publish(passing(14..15), FrameId::MIN);
        assert_eq!(lagging(), (id(10), ([11, 12, 13, 14].map(id).to_vec(), id(10))));
    }

    #[test]
    fn the_follower_furthest_behind_is_told_and_who_has_gone_is_forgotten() {
        let window = Window::new(FrameId::MIN, 4);
        assert_eq!(window.followers(), (0, 0));
        let (_, start) = window.position();
        let (slow, quick) = (window.place(start), window.place(start));
        window.publish(frames(1..11, 0), FrameId::MAX);
        quick.move_to(start + 9);
        assert_eq!(window.followers(), (2, 10));
        drop(slow);
        assert_eq!(window.followers(), (1, 1));
        // One that came with the frames that are not published yet is not behind.
        quick.move_to(start + 99);
        assert_eq!(window.followers(), (1, 0));
        drop(quick);
        assert_eq!(window.followers(), (0, 0));
        assert!(lock(&window.followers).cursors.is_empty());
    }
}
