//! TTL: which stored frames a `last:n` append pushes out, and the removal of what has expired.

use std::collections::{HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc, oneshot};

use super::limits::{HOUSEKEEPING_RETRY_MS, KEPT_IDS_MAX, PAGE_BYTES, PAGE_FRAMES, REMOVE_FRAMES};
use super::queue::{Removal, Request};
use super::reader;
use crate::{Clock, Direction, Frame, FrameId, IdRange, Pattern, Result, Scan, Store, Topic};

/// The stored frames of a topic, oldest first: id, and when it expires.
type Ids = VecDeque<(FrameId, Option<u64>)>;

/// How many ids a remembered topic weighs beside its own: its name, its place in the map.
const TOPIC_IDS: usize = 16;

/// What is remembered of topics with `last:n`, so that an append there does not read the topic.
/// A topic that is remembered is remembered whole.
#[derive(Debug, Default)]
pub(super) struct Kept {
    topics: HashMap<Topic, Ids>,
    /// Ids in all topics.
    total: usize,
}

impl Kept {
    /// Forgets one topic, because frames left it by another way.
    pub(super) fn forget(&mut self, topic: &Topic) {
        if let Some(ids) = self.topics.remove(topic) {
            self.total -= ids.len();
        }
    }

    /// Forgets everything, because a commit failed.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Notes a frame that is about to be stored.
    pub(super) fn push(&mut self, frame: &Frame) {
        if let Some(ids) = self.topics.get_mut(&frame.topic) {
            ids.push_back((frame.id, frame.expires_at_ms()));
            self.total += 1;
        }
    }

    pub(super) fn holds(&self, topic: &Topic) -> bool {
        self.topics.contains_key(topic)
    }

    pub(super) fn remember(&mut self, topic: &Topic, ids: Ids) {
        self.forget(topic);
        self.total += ids.len();
        self.topics.insert(topic.clone(), ids);
    }

    /// Cuts a remembered topic to its newest `n` that have not expired, and gives the ids of the
    /// others.
    pub(super) fn cut(&mut self, topic: &Topic, n: u64, now_ms: u64) -> Vec<FrameId> {
        let Some(ids) = self.topics.get_mut(topic) else { return Vec::new() };
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let mut gone = Vec::new();
        if ids.iter().any(|(_, at_ms)| at_ms.is_some()) {
            ids.retain(|(id, at_ms)| {
                let live = at_ms.is_none_or(|at_ms| at_ms > now_ms);
                if !live {
                    gone.push(*id);
                }
                live
            });
        }
        let excess = ids.len().saturating_sub(n);
        gone.extend(ids.drain(..excess).map(|(id, _)| id));
        self.total -= gone.len();
        gone
    }

    /// Makes room once a group is done: what was used is worth less than a bound on memory.
    pub(super) fn shrink(&mut self) {
        if self.total + self.topics.len() * TOPIC_IDS > KEPT_IDS_MAX {
            self.clear();
        }
    }
}

/// The newest frames of a topic.
pub(super) struct Newest {
    pub(super) ids: Ids,
    /// Whether there are older ones.
    pub(super) older: bool,
}

/// The newest `n` frames of a topic that have not expired.
pub(super) async fn newest(store: &dyn Store, topic: &Topic, n: u64, now_ms: u64) -> Result<Newest> {
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let mut ids = Ids::new();
    let mut range = IdRange::ALL;
    loop {
        let limit = PAGE_FRAMES.min((n - ids.len()).saturating_add(1));
        let scan = Scan {
            range,
            direction: Direction::Descending,
            bytes_max: PAGE_BYTES,
            ..Scan::new(Pattern::Exact(topic.clone()), limit)
        };
        let page = reader::page(store, scan).await?;
        for frame in &page.frames {
            if ids.len() == n {
                return Ok(Newest { ids, older: true });
            }
            range = range.beyond(frame.id, Direction::Descending);
            // What has expired counts no more; housekeeping removes it.
            if !frame.is_expired(now_ms) {
                ids.push_front((frame.id, frame.expires_at_ms()));
            }
        }
        if page.complete {
            return Ok(Newest { ids, older: false });
        }
    }
}

/// At most [`REMOVE_FRAMES`] of the frames of a topic before `id`.
pub(super) async fn older(store: &dyn Store, topic: &Topic, id: FrameId) -> Result<Vec<FrameId>> {
    let range = IdRange { start: Bound::Unbounded, end: Bound::Excluded(id) };
    let scan = Scan { range, bytes_max: PAGE_BYTES, ..Scan::new(Pattern::Exact(topic.clone()), REMOVE_FRAMES) };
    Ok(store.scan(scan).await?.frames.into_iter().map(|frame| frame.id).collect())
}

/// When the next frame expires, shared by the sequencer, which learns of earlier ones, and by
/// housekeeping, which waits for it.
#[derive(Debug)]
pub(super) struct Expiry {
    next_ms: AtomicU64,
    earlier: Notify,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { next_ms: AtomicU64::new(u64::MAX), earlier: Notify::new() }
    }
}

impl Expiry {
    /// Wakes housekeeping when a frame was stored that expires before what it waits for.
    pub(super) fn stored(&self, at_ms: Option<u64>) {
        if at_ms.is_some_and(|at_ms| at_ms < self.next_ms.load(Ordering::Acquire)) {
            self.earlier.notify_one();
        }
    }
}

/// Removes what has expired, in small steps through the sequencer's queue, so that appends go
/// between. Ends with the stream: it holds no strong end of the queue.
pub(super) async fn housekeeping(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    expiry: Arc<Expiry>,
    queue: mpsc::WeakSender<Request>,
) {
    loop {
        let now_ms = clock.now_ms();
        // Published before looking, so that a frame stored meanwhile wakes the wait below.
        expiry.next_ms.store(u64::MAX, Ordering::Release);
        let wait = match store.expiring(u64::MAX, 1).await {
            Ok(next) => match next.first() {
                None => Wait::ForStored,
                Some((at_ms, _)) if *at_ms > now_ms => {
                    expiry.next_ms.store(*at_ms, Ordering::Release);
                    Wait::Until(*at_ms)
                }
                Some(_) => match remove_expired(&*store, now_ms, &queue).await {
                    Step::Done => continue,
                    Step::Stuck => Wait::ToRetry,
                    Step::Ended => return,
                },
            },
            Err(error) => {
                tracing::warn!(%error, "looking for expired frames failed");
                Wait::ToRetry
            }
        };
        let waited = async {
            match wait {
                Wait::ForStored => std::future::pending().await,
                Wait::Until(at_ms) => clock.sleep_until(at_ms).await,
                Wait::ToRetry => clock.sleep(HOUSEKEEPING_RETRY_MS).await,
            }
        };
        tokio::select! {
            () = expiry.earlier.notified() => {}
            () = waited => {}
        }
    }
}

/// What housekeeping waits for, beside a frame that expires sooner.
enum Wait {
    ForStored,
    Until(u64),
    ToRetry,
}

enum Step {
    Done,
    /// Some frame cannot be removed: to be tried again later, not at once.
    Stuck,
    Ended,
}

async fn remove_expired(store: &dyn Store, now_ms: u64, queue: &mpsc::WeakSender<Request>) -> Step {
    let ids = match store.expiring(now_ms, REMOVE_FRAMES).await {
        Ok(due) => due.into_iter().map(|(_, id)| id).collect(),
        Err(_) => return Step::Stuck,
    };
    let (reply, answer) = oneshot::channel();
    let Some(queue) = queue.upgrade() else { return Step::Ended };
    let sent = queue.send(Request::Remove { ids, reason: Removal::Expiry, reply }).await;
    drop(queue);
    match (sent, answer.await) {
        // What is due and cannot be found will not be found at once either.
        (Ok(()), Ok(Ok(0))) => Step::Stuck,
        (Ok(()), Ok(Ok(_))) => Step::Done,
        (Ok(()), Ok(Err(error))) => {
            tracing::warn!(%error, "removing expired frames failed");
            Step::Stuck
        }
        _ => Step::Ended,
    }
}
