//! The handle that users hold, and what it shares with background work.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::limits::{QUEUE_BYTES_MAX, QUEUE_REQUESTS_MAX, WINDOW_FRAMES_MAX};
use super::queue::{Driver, Request, Turns};
use super::retention::{Expiry, Kept, housekeeping};
use super::stats::Counters;
use super::window::Window;
use super::writer::Sequencer;
use crate::{Cas, Clock, Durability, Error, IdSource, RandomIds, Result, Store, SystemClock, blocking};

/// How a stream behaves: plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// How durable a write is that does not say.
    pub durability: Durability,
    /// The most frames that the live window holds; at most [`limits::WINDOW_FRAMES_MAX`](super::limits::WINDOW_FRAMES_MAX).
    pub window_frames: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { durability: Durability::Sync, window_frames: WINDOW_FRAMES_MAX }
    }
}

impl Settings {
    /// With this durability for writes that do not say.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// With a live window of at most this many frames.
    #[must_use]
    pub fn window_frames(mut self, frames: usize) -> Self {
        self.window_frames = frames;
        self
    }
}

/// What a stream is made of.
#[derive(Debug)]
pub struct Parts {
    /// The index of frames.
    pub store: Arc<dyn Store>,
    /// The content store.
    pub cas: Arc<dyn Cas>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Box<dyn IdSource>,
}

impl Parts {
    /// These two, with the machine's clock and random ids.
    pub fn new(store: Arc<dyn Store>, cas: Arc<dyn Cas>) -> Self {
        Self { store, cas, clock: Arc::new(SystemClock), ids: Box::new(RandomIds::new()) }
    }
}

/// One append-only stream of frames, with live readers: one [`Store`] paired with one [`Cas`].
///
/// Cheap to clone; all clones are the same stream. It is a guard, too: when the last clone is
/// dropped, the stream closes in the background, and an open of the same location in this process
/// waits for that. Readers do not keep it open. Its calls need a tokio runtime with time enabled.
///
/// The numbers E1 to E12 in the documentation are those of the conformance cases.
#[derive(Clone, Debug)]
pub struct EventStream {
    pub(super) handle: Arc<Handle>,
}

/// Dropped with the last clone. Background work holds [`Shared`], never this.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) turns: Arc<Turns>,
    pub(super) queue: mpsc::Sender<Request>,
    pub(super) queue_bytes: Arc<Semaphore>,
    pub(super) done: watch::Receiver<Option<Result<(), Arc<Error>>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The sequencer closes the parts once it sees that the queue has no sender any more. Until
        // then, whoever opens them again has to wait, not to fail.
        self.shared.store.closing();
        self.shared.cas.closing();
    }
}

/// What the handle, the sequencer and readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) cas: Arc<dyn Cas>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) window: Window,
    pub(super) expiry: Arc<Expiry>,
    /// Apart, so that content on its way out keeps nothing else alive.
    pub(super) counters: Arc<Counters>,
    /// Why writes are refused, once a commit has failed.
    pub(super) failed: OnceLock<String>,
}

impl EventStream {
    /// Opens a stream over parts of your own.
    pub async fn open(store: Arc<dyn Store>, cas: Arc<dyn Cas>, settings: Settings) -> Result<Self> {
        Self::open_parts(Parts::new(store, cas), settings).await
    }

    /// Opens a stream over parts of your own, clock and ids included.
    pub async fn open_parts(parts: Parts, settings: Settings) -> Result<Self> {
        let Parts { store, cas, clock, ids } = parts;
        let last_id = store.last_id().await?;
        let shared = Arc::new(Shared {
            window: Window::new(last_id, settings.window_frames),
            expiry: Arc::default(),
            counters: Arc::default(),
            failed: OnceLock::new(),
            store,
            cas,
            clock,
            settings,
        });
        let (queue, requests) = mpsc::channel(QUEUE_REQUESTS_MAX);
        let (done_sender, done) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(housekeeping(
            Arc::clone(&shared.store),
            Arc::clone(&shared.clock),
            Arc::clone(&shared.expiry),
            queue.downgrade(),
        ));
        let sequencer = Sequencer { shared: Arc::clone(&shared), ids, last_id, kept: Kept::default() };
        let turns = Arc::new(Turns::new(sequencer));
        let driver = Driver {
            shared: Arc::clone(&shared),
            turns: Arc::clone(&turns),
            queue: requests,
            done: done_sender,
            tasks,
        };
        blocking::spawn_thread("xs-sequencer", driver.run())?;
        let queue_bytes = Arc::new(Semaphore::new(QUEUE_BYTES_MAX));
        Ok(Self { handle: Arc::new(Handle { shared, turns, queue, queue_bytes, done }) })
    }

    /// Finishes the writes that wait, makes everything durable, ends all followers, and releases
    /// the location (E9). Later calls are `Closed`; closing twice is no error.
    pub async fn close(&self) -> Result<()> {
        // When the queue is closed already, somebody else's close is under way.
        let _ = self.handle.queue.send(Request::Close).await;
        let mut done = self.handle.done.clone();
        let result = match done.wait_for(Option::is_some).await {
            Ok(result) => result.clone(),
            Err(_) => return Err(Error::closed()),
        };
        match result {
            Some(Err(error)) => Err(error.duplicate()),
            _ => Ok(()),
        }
    }
}
