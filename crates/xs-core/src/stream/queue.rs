//! What waits for the sequencer, and who drives it.
//!
//! A thread of its own, and not a task, because it makes one blocking commit after the other: a crossing
//! to the blocking pool and back would cost a lone appender a third of a sync. A caller that blocks
//! anyway, and finds nobody at the sequencer, drives it by itself, and saves being woken, too: where
//! the index is one whose calls block.
//!
//! While a commit is under way the next group gathers in the queue, so appends share a sync as soon as
//! there are many (E11), and none waits for a timer when there are few.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::Expect;
use super::limits::{LINGER, QUEUE_REQUESTS_MAX};
use super::open::Shared;
use super::writer::Sequencer;
use crate::{Durability, Error, Frame, FrameId, NewFrame, Result, Topic};

/// What an append is answered with.
pub(super) type Appended = Result<Vec<Arc<Frame>>>;

/// What a caller wants appended, atomically.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) frames: Vec<NewFrame>,
    pub(super) expect: Vec<(Topic, Expect)>,
    pub(super) durability: Durability,
    pub(super) reply: oneshot::Sender<Appended>,
    /// Whether its caller and the index block, so that it would have been committed right there had nobody
    /// else been at it.
    pub(super) is_blocking: bool,
    /// Its share of the queue's bytes, given back when it is answered.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What a caller wants stored as it is, atomically.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) frames: Vec<Frame>,
    pub(super) reply: oneshot::Sender<Result<()>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// What waits for the sequencer.
#[derive(Debug)]
pub(super) enum Request {
    Append(Append),
    Import(Import),
    /// Answered with how many were there.
    Remove {
        ids: Vec<FrameId>,
        reason: Removal,
        reply: oneshot::Sender<Result<usize>>,
    },
    Close,
}

/// Why frames are removed: they are counted apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Removal {
    Call,
    Expiry,
}

/// The sequencer, for one to drive at a time. It is taken out meanwhile, and gone for good should that end
/// in the middle: what it knows would not be what is stored.
#[derive(Debug)]
pub(super) struct Turns {
    sequencer: Mutex<Option<Sequencer>>,
    /// Whether many write at once: who goes by itself then keeps the others from sharing its commit. Only
    /// ever a hint: nothing else is ordered by it.
    is_crowded: AtomicBool,
}

impl Turns {
    pub(super) fn new(sequencer: Sequencer) -> Self {
        Self { sequencer: Mutex::new(Some(sequencer)), is_crowded: AtomicBool::new(false) }
    }

    /// Commits an append on this thread, where that is for blocking and nobody is at the sequencer, and
    /// answers it; gives it back otherwise.
    pub(super) async fn append_here(&self, append: Append, shared: &Shared) -> Option<Append> {
        if !append.is_blocking || self.is_crowded.load(Ordering::Relaxed) {
            return Some(append);
        }
        // Who waits for the lock comes first, so nobody who appends here can keep the queue from its turn.
        let Ok(mut turn) = self.sequencer.try_lock() else { return Some(append) };
        let Some(mut sequencer) = turn.take() else { return Some(append) };
        let left = LeftInTheMiddle(shared);
        // Boxed: the future of every append would be as large as this one otherwise.
        Box::pin(sequencer.append_group(append, &mut VecDeque::new())).await;
        std::mem::forget(left);
        *turn = Some(sequencer);
        None
    }
}

/// Says that the sequencer is gone, when it is dropped.
struct LeftInTheMiddle<'a>(&'a Shared);

impl Drop for LeftInTheMiddle<'_> {
    fn drop(&mut self) {
        tracing::error!("an append was left in the middle; the stream takes no more until it is opened again");
        let _ = self.0.failed.set("an append was left in the middle".to_owned());
    }
}

/// Drives the sequencer for all that waits in the queue.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) turns: Arc<Turns>,
    pub(super) queue: mpsc::Receiver<Request>,
    pub(super) done: watch::Sender<Option<Result<(), Arc<Error>>>>,
    /// Housekeeping: it ends with this.
    pub(super) tasks: JoinSet<()>,
}

impl Driver {
    /// Serves until the last handle is dropped or the stream is closed, then closes its parts.
    pub(super) async fn run(mut self) {
        let turns = Arc::clone(&self.turns);
        let mut buffer = Vec::new();
        while self.queue.recv_many(&mut buffer, QUEUE_REQUESTS_MAX).await > 0 {
            let (mut turn, was_taken) = match turns.sequencer.try_lock() {
                Ok(turn) => (turn, false),
                Err(_) => (turns.sequencer.lock().await, true),
            };
            let Some(mut sequencer) = turn.take() else { break };
            let mut waiting: VecDeque<_> = buffer.drain(..).collect();
            let is_open = self.serve(&mut sequencer, &mut waiting, was_taken).await;
            *turn = Some(sequencer);
            if !is_open {
                break;
            }
        }
        // Whoever blocks and comes now is refused like everybody.
        drop(turns.sequencer.lock().await.take());
        // Dropping what still waits answers it with `Closed`.
        self.queue.close();
        drop(buffer);
        self.shared.counters.waiting(0);
        self.shutdown().await;
    }

    /// Serves until nothing waits any more, and says whether the stream is still open. `was_taken`: somebody
    /// else was at the sequencer meanwhile.
    async fn serve(&mut self, sequencer: &mut Sequencer, waiting: &mut VecDeque<Request>, mut was_taken: bool) -> bool {
        while let Some(first) = waiting.pop_front() {
            self.shared.counters.waiting(waiting.len());
            let back = match first {
                Request::Close => return false,
                Request::Import(import) => {
                    let result = sequencer.import(import.frames).await;
                    let _ = import.reply.send(result);
                    1
                }
                Request::Remove { ids, reason, reply } => {
                    let result = sequencer.remove(ids, reason).await;
                    let _ = reply.send(result);
                    1
                }
                Request::Append(first) => {
                    let is_blocking = first.is_blocking;
                    let answered = sequencer.append_group(first, waiting).await;
                    let is_alone = answered == 1 && waiting.is_empty() && self.queue.is_empty() && !was_taken;
                    self.turns.is_crowded.store(!is_alone, Ordering::Relaxed);
                    // Who blocks and is alone does without this thread next time.
                    if is_alone && is_blocking { 0 } else { answered }
                }
            };
            was_taken = false;
            self.linger(waiting, back);
        }
        true
    }

    /// Takes what has come, once as many are back as were answered, or soon. Whoever was just answered
    /// often appends again at once: going to sleep and being woken takes longer than that, and a group
    /// that is taken before they are back costs a sync of its own.
    fn linger(&mut self, waiting: &mut VecDeque<Request>, back: usize) {
        let since = Instant::now();
        while waiting.len() + self.queue.len() < back && since.elapsed() < LINGER {
            std::thread::yield_now();
        }
        while waiting.len() < QUEUE_REQUESTS_MAX {
            match self.queue.try_recv() {
                Ok(request) => waiting.push_back(request),
                Err(_) => break,
            }
        }
    }

    async fn shutdown(mut self) {
        // Not waited for: only its runtime could end it, and that may not be running any more. Closing
        // a part waits for calls that are under way.
        self.tasks.abort_all();
        self.shared.window.close();
        let (store, cas) = (self.shared.store.close().await, self.shared.cas.close().await);
        let result = store.and(cas);
        if let Err(error) = &result {
            tracing::error!(%error, "closing the stream failed");
        }
        self.done.send_replace(Some(result.map_err(Arc::new)));
    }
}
