//! What cases are written with.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use xs_core::{
    Batch, Direction, EventStream, Frame, FrameId, IdRange, ManualClock, NewFrame, Parts, Pattern, RandomIds,
    ReadOptions, Result, Scan, Settings, Store,
};

use crate::transport::{Handle, Transport, Via};
use crate::{CasSubject, StoreSubject};

/// A pair under test, and what lies between it and the cases.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) store: StoreSubject,
    pub(crate) cas: CasSubject,
    pub(crate) transport: Transport,
}

/// When the clock of a case starts: some day in 2027.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

impl Pair {
    /// What its cases are named after.
    pub(crate) fn name(&self) -> String {
        self.join("+")
    }

    /// Its parts with this between them, and the transport where there is one.
    pub(crate) fn join(&self, between: &str) -> String {
        let parts = format!("{}{between}{}", self.store.name, self.cas.name);
        match self.transport {
            Transport::InProcess => parts,
            #[cfg(feature = "transports")]
            transport => format!("{parts} over {transport}"),
        }
    }

    /// Whether the cases call the stream, and see what a client does not.
    pub(crate) fn in_process(&self) -> bool {
        self.transport == Transport::InProcess
    }

    pub(crate) async fn parts(&self, dir: &Path, clock: &ManualClock) -> Result<Parts> {
        let store = self.store.open(&dir.join("index")).await?;
        let cas = self.cas.open(&dir.join("cas")).await?;
        Ok(Parts { store, cas, clock: Arc::new(clock.clone()), ids: Box::new(RandomIds::seeded(7)) })
    }

    /// A stream of these parts, over the pair's transport. A server has what it needs in `dir`.
    #[cfg_attr(not(feature = "transports"), allow(unused_variables, reason = "in process, nothing is needed"))]
    pub(crate) async fn open_parts(&self, dir: &Path, parts: Parts, settings: Settings) -> Handle {
        let stream = EventStream::open_parts(parts, settings).await.unwrap();
        let via: Arc<dyn Via> = match self.transport {
            Transport::InProcess => Arc::new(stream.clone()),
            #[cfg(feature = "transports")]
            transport => Arc::new(crate::remote::Remote::start(stream.clone(), transport, dir).await),
        };
        Handle::new(stream, via)
    }

    pub(crate) async fn open_at(&self, dir: &Path, clock: &ManualClock) -> Handle {
        self.open_parts(dir, self.parts(dir, clock).await.unwrap(), Settings::default()).await
    }

    pub(crate) async fn open(&self, dir: &Path) -> Handle {
        self.open_at(dir, &ManualClock::at(START_MS)).await
    }
}

/// The id with this number in its first 96 bits, as a stream gives them out.
pub(crate) fn id(number: u64) -> FrameId {
    FrameId::from_u128(u128::from(number) << 32 | 9)
}

pub(crate) fn new(topic: &str) -> NewFrame {
    Frame::topic(topic).unwrap()
}

pub(crate) fn frame(number: u64, topic: &str) -> Frame {
    new(topic).with_id(id(number))
}

pub(crate) fn ids(frames: &[Frame]) -> Vec<FrameId> {
    frames.iter().map(|frame| frame.id).collect()
}

pub(crate) fn topics(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| frame.topic.as_str()).collect()
}

pub(crate) async fn insert(store: &dyn Store, frames: impl IntoIterator<Item = Frame>) -> Result<()> {
    let insert = frames.into_iter().map(Arc::new).collect();
    store.commit(Batch { insert, ..Batch::default() }).await.map(drop)
}

pub(crate) async fn remove(store: &dyn Store, ids: impl IntoIterator<Item = FrameId>) -> Result<()> {
    store.commit(Batch { remove: ids.into_iter().collect(), ..Batch::default() }).await.map(drop)
}

pub(crate) fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

pub(crate) const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];

/// All frames of a pattern, in pages of `limit`.
pub(crate) async fn scan_all(
    store: &dyn Store,
    pattern: &Pattern,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Frame>> {
    let mut all: Vec<Frame> = Vec::new();
    let mut range = IdRange { start: Bound::Unbounded, end: Bound::Unbounded };
    loop {
        let page = store.scan(Scan { range, direction, ..Scan::new(pattern.clone(), limit) }).await?;
        assert!(page.frames.len() <= limit, "a page of {} for a limit of {limit}", page.frames.len());
        assert!(page.complete || !page.frames.is_empty(), "an empty page that is not the end");
        if let Some(last) = page.frames.last() {
            range = range.beyond(last.id, direction);
        }
        all.extend(page.frames);
        if page.complete {
            return Ok(all);
        }
    }
}

pub(crate) async fn read(stream: &Handle, options: ReadOptions) -> Vec<Frame> {
    stream.read(options).try_collect().await.unwrap()
}

pub(crate) async fn history(stream: &Handle) -> Vec<Frame> {
    read(stream, ReadOptions::default()).await
}

/// Gives every ready task of the case's one thread a turn. What goes on on other threads, or is on its
/// way to a server, is not waited for: use [`until`].
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Waits for progress of other tasks and threads; the suite's time limit ends a wait that has no end.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// Every file below a directory, relative to it.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(relative) = dirs.pop() {
        for entry in std::fs::read_dir(dir.join(&relative)).into_iter().flatten() {
            let entry = entry.unwrap();
            let path = relative.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}
