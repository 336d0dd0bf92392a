//! Reading: the options, history in merged pages, and the stream that users hold.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::Stream;

use super::EventStream;
use super::follow::{Cursor, Item};
use super::limits::{PAGE_BYTES, PAGE_FRAMES};
use super::open::Shared;
use crate::{Direction, Error, ErrorKind, Filter, Frame, FrameId, IdRange, Pattern, Result, Scan, ScanPage, Store};

/// Whether a read goes on with what is appended later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// It ends with the last frame that was stored when it began.
    #[default]
    Off,
    /// It goes on until the stream closes.
    On,
    /// It goes on, and gives an `xs.pulse` frame each time this much time has passed.
    Pulse(Duration),
}

/// What a read gives. The default is every stored frame, oldest first.
///
/// ```
/// use xs_core::{ReadOptions, Topic};
/// let options = ReadOptions { last: Some(10), ..ReadOptions::follow() }.filter(Topic::parse("clip.add")?);
/// # let _ = options;
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Which topics.
    pub filter: Filter,
    /// Only frames after this id.
    pub after: Option<FrameId>,
    /// Only frames from this id on; wins over `after`.
    pub from: Option<FrameId>,
    /// At most this many frames, history and live together.
    pub limit: Option<u64>,
    /// Of history, only the newest so many, oldest first.
    pub last: Option<u64>,
    /// No history.
    pub new: bool,
    /// Whether it goes on with what is appended later.
    pub follow: Follow,
    /// When following history: one synthetic `xs.threshold` frame at the seam to what is live.
    pub threshold: bool,
}

impl ReadOptions {
    /// All history, then what is appended.
    pub fn follow() -> Self {
        Self { follow: Follow::On, ..Self::default() }
    }

    /// What is appended from now on.
    pub fn new_only() -> Self {
        Self { new: true, ..Self::follow() }
    }

    /// Of these topics only.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = filter.into();
        self
    }

    /// After this id only.
    #[must_use]
    pub fn after(mut self, id: FrameId) -> Self {
        self.after = Some(id);
        self
    }

    /// At most this many frames.
    #[must_use]
    pub fn limit(mut self, frames: u64) -> Self {
        self.limit = Some(frames);
        self
    }

    /// Of history, only the newest so many.
    #[must_use]
    pub fn last(mut self, frames: u64) -> Self {
        self.last = Some(frames);
        self
    }

    pub(super) fn start(&self) -> Bound<FrameId> {
        match (self.from, self.after) {
            (Some(from), _) => Bound::Included(from),
            (None, Some(after)) => Bound::Excluded(after),
            (None, None) => Bound::Unbounded,
        }
    }
}

impl EventStream {
    /// Reads history, and what is appended later when `options` say so: a
    /// [`futures::Stream`] of frames, in the order of their ids.
    ///
    /// A follower receives every matching frame exactly once, across the seam between history and
    /// live, however far it lags (E3): behind the live window it reads the store. Frames that are
    /// never stored, or are removed before a lagging follower comes to them, are not seen by it.
    /// The stream ends when its limit is reached, at the end of history without `follow`, and when
    /// the event stream closes.
    ///
    /// What is appended after this call is live; nothing is read before the stream is polled.
    pub fn read(&self, options: ReadOptions) -> Reader {
        Reader::new(Arc::clone(&self.handle.shared), options)
    }
}

/// A read in progress. Dropping it costs nothing. It does not keep the event stream open.
pub struct Reader {
    shared: Arc<Shared>,
    items: std::vec::IntoIter<Item>,
    next: Next,
    left: u64,
    /// How far the cursor has looked, which it tells while it waits, too.
    reached: Arc<AtomicU64>,
    /// How far it had looked when it found the items that are being given.
    given: u64,
    /// The place in the live window before which everything is to be given, and nothing more.
    end: Option<u64>,
}

type Step = (Box<Cursor>, Result<Option<Vec<Item>>>);

enum Next {
    /// Being fetched, while the items before are given out.
    Fetching(BoxFuture<'static, Step>),
    Fetched(Step),
    Ended,
}

impl Reader {
    fn new(shared: Arc<Shared>, options: ReadOptions) -> Self {
        let left = options.limit.unwrap_or(u64::MAX);
        let reached = Arc::<AtomicU64>::default();
        let next = match left {
            0 => Next::Ended,
            _ => {
                let cursor = Cursor::new(Arc::clone(&shared), options, Arc::clone(&reached));
                Next::Fetching(Box::new(cursor).step().boxed())
            }
        };
        Self { shared, items: Vec::new().into_iter(), next, left, reached, given: 0, end: None }
    }

    /// Follows no further: everything that was appended before this call is given, in history and live and
    /// however far the reader lags, and then it ends. Of what is appended later, some may come with it.
    /// A reader that waits has to be polled again to notice.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use xs_core::{EventStream, Frame, ReadOptions, Settings, memory::{MemoryCas, MemoryStore}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> xs_core::Result<()> {
    /// # let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
    /// # let stream = EventStream::open(store, cas, Settings::default()).await?;
    /// use futures::TryStreamExt as _;
    ///
    /// let mut live = stream.read(ReadOptions::new_only());
    /// let frame = stream.append(Frame::topic("clip.add")?, "hello clipboard").await?;
    /// live.end_at_tail();
    /// assert_eq!(live.try_collect::<Vec<_>>().await?, [frame]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_at_tail(&mut self) {
        let (_, next) = self.shared.window.position();
        self.end = self.end.or(Some(next));
    }

    fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.given > end)
    }

    /// Takes what the cursor found, and starts it on what comes next: while the caller works on one
    /// page, the blocking pool reads the following one.
    fn take(&mut self, (cursor, found): Step, cx: &mut Context<'_>) -> Result<bool> {
        let Some(items) = found? else { return Ok(false) };
        // Before the next step looks further.
        self.given = self.reached.load(Ordering::Relaxed);
        let ahead = items.len() as u64;
        self.items = items.into_iter();
        let mut step = cursor.step().boxed();
        self.next = match ahead < self.left {
            true => match step.poll_unpin(cx) {
                Poll::Ready(step) => Next::Fetched(step),
                Poll::Pending => Next::Fetching(step),
            },
            false => Next::Fetching(step),
        };
        Ok(true)
    }
}

impl Stream for Reader {
    type Item = Result<Frame>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        loop {
            match self.items.next() {
                Some(Item::Synthetic(frame)) => return Poll::Ready(Some(Ok(frame))),
                // Again, because it may have waited here since it was read.
                Some(Item::Stored(frame)) if is_expired(&frame, &self.shared) => continue,
                Some(Item::Stored(frame)) => {
                    self.left -= 1;
                    if self.left == 0 {
                        self.items = Vec::new().into_iter();
                        self.next = Next::Ended;
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                None => {}
            }
            let next = std::mem::replace(&mut self.next, Next::Ended);
            if self.is_at_end() {
                return Poll::Ready(None);
            }
            let step = match next {
                Next::Ended => return Poll::Ready(None),
                Next::Fetched(step) => step,
                Next::Fetching(mut fetching) => match fetching.poll_unpin(cx) {
                    Poll::Ready(step) => step,
                    Poll::Pending => {
                        // All that was found on the way here has been given.
                        self.given = self.reached.load(Ordering::Relaxed);
                        if self.is_at_end() {
                            return Poll::Ready(None);
                        }
                        self.next = Next::Fetching(fetching);
                        return Poll::Pending;
                    }
                },
            };
            match self.take(step, cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("left", &self.left).finish_non_exhaustive()
    }
}

/// The clock is asked only for a frame that can expire by it.
pub(super) fn is_expired(frame: &Frame, shared: &Shared) -> bool {
    frame.expires_at_ms().is_some_and(|at_ms| at_ms <= shared.clock.now_ms())
}

/// The newest frame that `filter` selects and that has not expired.
pub(super) async fn last(shared: &Shared, filter: &Filter) -> Result<Option<Frame>> {
    // Usually the first frame is it; the page grows while frames turn out to have expired.
    let mut history = History::new(&shared.store, filter, IdRange::ALL, Direction::Descending).pages_of(1);
    while let Some(page) = history.next_page().await? {
        if let Some(frame) = page.into_iter().find(|frame| !is_expired(frame, shared)) {
            return Ok(Some(frame));
        }
        history = history.pages_of(PAGE_FRAMES);
    }
    Ok(None)
}

/// Pages of stored frames of several patterns, merged. No two patterns of a filter select the same
/// topic, so no frame comes twice.
#[derive(Debug)]
pub(super) struct History {
    store: Arc<dyn Store>,
    sources: Vec<Source>,
    direction: Direction,
    page_frames: usize,
}

#[derive(Debug)]
struct Source {
    pattern: Pattern,
    range: IdRange,
    buffer: VecDeque<Frame>,
    complete: bool,
}

impl History {
    pub(super) fn new(store: &Arc<dyn Store>, filter: &Filter, range: IdRange, direction: Direction) -> Self {
        let source =
            |pattern: &Pattern| Source { pattern: pattern.clone(), range, buffer: VecDeque::new(), complete: false };
        let sources = filter.patterns().iter().map(source).collect();
        Self { store: Arc::clone(store), sources, direction, page_frames: PAGE_FRAMES }
    }

    /// With at most this many frames in a page.
    pub(super) fn pages_of(mut self, frames: usize) -> Self {
        self.page_frames = frames;
        self
    }

    /// The next frames, at least one; `None` at the end.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<Frame>>> {
        let share = self.sources.len().max(1);
        for source in &mut self.sources {
            if source.buffer.is_empty() && !source.complete {
                let scan = Scan {
                    pattern: source.pattern.clone(),
                    range: source.range,
                    direction: self.direction,
                    limit: self.page_frames.div_ceil(share),
                    bytes_max: PAGE_BYTES / share,
                };
                let page = page(&*self.store, scan).await?;
                source.complete = page.complete;
                if let Some(last) = page.frames.last() {
                    source.range = source.range.beyond(last.id, self.direction);
                }
                source.buffer = page.frames.into();
            }
        }
        self.sources.retain(|source| !source.buffer.is_empty() || !source.complete);
        let page: Vec<Frame> = match &mut *self.sources {
            [] => return Ok(None),
            [only] => std::mem::take(&mut only.buffer).into(),
            many => merge(many, self.direction),
        };
        Ok(Some(page))
    }
}

/// A page of a store, which may be anybody's: one that is empty and says that there is more would
/// have its reader ask for ever.
pub(super) async fn page(store: &dyn Store, scan: Scan) -> Result<ScanPage> {
    let page = store.scan(scan).await?;
    match page.frames.is_empty() && !page.complete {
        false => Ok(page),
        true => {
            let name = store.name();
            Err(Error::new(ErrorKind::Internal, format!("the {name} index gave an empty page that is not the last")))
        }
    }
}

/// The frames that are known to come next: until the first source that may have more runs dry.
fn merge(sources: &mut [Source], direction: Direction) -> Vec<Frame> {
    let mut merged = Vec::new();
    loop {
        if sources.iter().any(|source| source.buffer.is_empty() && !source.complete) {
            return merged;
        }
        let heads = sources.iter_mut().filter_map(|source| Some((source.buffer.front()?.id, source)));
        let next = match direction {
            Direction::Ascending => heads.min_by_key(|(id, _)| *id),
            Direction::Descending => heads.max_by_key(|(id, _)| *id),
        };
        match next.and_then(|(_, source)| source.buffer.pop_front()) {
            Some(frame) => merged.push(frame),
            None => return merged,
        }
    }
}
