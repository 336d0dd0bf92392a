//! The calls of a handle that write, and those that answer one question.

use std::sync::Arc;

use futures::stream::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::EventStream;
use super::limits::{BATCH_BYTES_MAX, BATCH_CONDITIONS_MAX, BATCH_FRAMES_MAX, LAST_MAX, QUEUE_BYTES_MAX};
use super::queue::{Append, Import, Removal, Request};
use super::reader;
use crate::store::no_compaction;
use crate::{
    ByteRange, Capabilities, Content, ContentHash, ContentInfo, ContentReader, Durability, Error, ErrorKind, Filter,
    Frame, FrameId, Meta, NewFrame, Result, Topic, TopicPage, TopicTail, Ttl, blocking,
};

/// The condition of a conditional append (E5): what its topic has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It holds no frame.
    Empty,
    /// Its newest frame has this id.
    Last(FrameId),
}

/// How one frame is appended.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppendOptions {
    /// How durable it is when the call returns; `None`: as the stream's settings say.
    pub durability: Option<Durability>,
    /// Append only if the frame's topic looks like this.
    pub expect: Option<Expect>,
}

impl AppendOptions {
    /// Append only if the frame's topic looks like this.
    pub fn expect(expect: Expect) -> Self {
        Self { expect: Some(expect), ..Self::default() }
    }
}

/// How many frames are appended at once.
#[derive(Clone, Debug, Default)]
pub struct BatchOptions {
    /// How durable they are when the call returns; `None`: as the stream's settings say.
    pub durability: Option<Durability>,
    /// Append only if all these topics look like this.
    pub expect: Vec<(Topic, Expect)>,
}

impl EventStream {
    /// Appends a frame, with its content. Returns once both are as durable as the settings say.
    ///
    /// The content is stored first. Empty content is no content. When the frame names a hash and
    /// content is given as well, they have to agree.
    ///
    /// Dropping the future may leave the frame appended or not; content without a frame is
    /// collected later.
    pub async fn append(&self, frame: impl Into<NewFrame>, content: impl Into<Content>) -> Result<Frame> {
        self.append_with(frame, content, AppendOptions::default()).await
    }

    /// Appends a frame, with its content, under a condition or with a durability of its own.
    ///
    /// `Conflict` when the condition does not hold; [`Error::expect_failed`] has the actual last
    /// id. Of several callers with the same condition exactly one wins.
    pub async fn append_with(
        &self,
        frame: impl Into<NewFrame>,
        content: impl Into<Content>,
        options: AppendOptions,
    ) -> Result<Frame> {
        let mut frame = frame.into();
        check(&frame)?;
        if let Some(hash) = self.put(content).await? {
            match frame.hash {
                Some(named) if named != hash => {
                    return Err(Error::invalid(format!("the frame names content {named}, but {hash} was given")));
                }
                _ => frame.hash = Some(hash),
            }
        }
        let expect = options.expect.map(|expect| (frame.topic.clone(), expect)).into_iter().collect();
        let appended = self.queue_append(vec![frame], expect, options.durability).await?;
        let frame = appended.into_iter().next();
        frame.map(Arc::unwrap_or_clone).ok_or_else(Error::closed)
    }

    /// Appends many frames, over any topics: all or none, one after the other (E4).
    ///
    /// `InvalidInput` beyond [`limits::BATCH_FRAMES_MAX`](super::limits::BATCH_FRAMES_MAX) frames,
    /// [`limits::BATCH_BYTES_MAX`](super::limits::BATCH_BYTES_MAX) bytes, or
    /// [`limits::BATCH_CONDITIONS_MAX`](super::limits::BATCH_CONDITIONS_MAX) conditions. Without a frame
    /// nothing is done, and no condition is looked at.
    pub async fn append_all(&self, frames: Vec<NewFrame>, options: BatchOptions) -> Result<Vec<Frame>> {
        frames.iter().try_for_each(check)?;
        if frames.is_empty() {
            return Ok(Vec::new());
        }
        let conditions = options.expect.len();
        if conditions > BATCH_CONDITIONS_MAX {
            let message = format!("{conditions} conditions are too many for one batch: at most {BATCH_CONDITIONS_MAX}");
            return Err(Error::invalid(message));
        }
        let appended = self.queue_append(frames, options.expect, options.durability).await?;
        Ok(appended.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn queue_append(
        &self,
        frames: Vec<NewFrame>,
        expect: Vec<(Topic, Expect)>,
        durability: Option<Durability>,
    ) -> Result<Vec<Arc<Frame>>> {
        let permit = self.queue_room(frames.len(), frames.iter().map(NewFrame::weight).sum()).await?;
        let durability = durability.unwrap_or(self.handle.shared.settings.durability);
        let (reply, answer) = oneshot::channel();
        // A store that may wait for others could keep the sequencer for as long as this future is not polled.
        let is_blocking = blocking::is_here() && self.handle.shared.store.blocks();
        let append = Append { frames, expect, durability, reply, is_blocking, _permit: permit };
        match self.handle.turns.append_here(append, &self.handle.shared).await {
            None => answer.await.unwrap_or_else(|_| Err(Error::closed())),
            Some(append) => self.request(Request::Append(append), answer).await,
        }
    }

    /// Stores frames as they are, ids included, all or none, without showing them to live readers
    /// (E12). A frame that is stored already is left alone, also when the line breaks of its meta have
    /// become spaces, as they do in its JSON form. A live reader that lags reads the store, and finds
    /// there what was imported beyond what it has seen.
    ///
    /// `Conflict` when another frame has the same id; `InvalidInput` for an id more than a day
    /// ahead of the clock, and for an ephemeral frame. Later ids exceed every imported one.
    pub async fn import(&self, frames: Vec<Frame>) -> Result<()> {
        let permit = self.queue_room(frames.len(), frames.iter().map(Frame::weight).sum()).await?;
        let (reply, answer) = oneshot::channel();
        self.request(Request::Import(Import { frames, reply, _permit: permit }), answer).await
    }

    /// Removes a frame. One that is not there is no error. Its content stays until it is collected.
    pub async fn remove(&self, id: FrameId) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Remove { ids: vec![id], reason: Removal::Call, reply };
        self.request(request, answer).await.map(drop)
    }

    /// A share of the queue's bytes, so that what waits is bounded.
    async fn queue_room(&self, frames: usize, bytes: usize) -> Result<OwnedSemaphorePermit> {
        if frames > BATCH_FRAMES_MAX || bytes > BATCH_BYTES_MAX {
            return Err(Error::invalid(format!(
                "{frames} frames of {bytes} bytes are too much for one batch: at most {BATCH_FRAMES_MAX} frames and \
                 {BATCH_BYTES_MAX} bytes"
            )));
        }
        let share = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let queue = Arc::clone(&self.handle.queue_bytes);
        queue.acquire_many_owned(share).await.map_err(|_| Error::closed())
    }

    async fn request<T>(&self, request: Request, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        self.handle.queue.send(request).await.map_err(|_| Error::closed())?;
        answer.await.unwrap_or_else(|_| Err(Error::closed()))
    }

    /// The frame with this id, unless it has expired (E6).
    pub async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        let shared = &self.handle.shared;
        let frame = shared.store.get(id).await?;
        Ok(frame.filter(|frame| !frame.is_expired(shared.clock.now_ms())))
    }

    /// The newest frame that `filter` selects: of a [`Topic`], a pattern, or any list of patterns.
    pub async fn last(&self, filter: impl Into<Filter>) -> Result<Option<Frame>> {
        reader::last(&self.handle.shared, &filter.into()).await
    }

    /// Topics that hold frames, in byte order, each with its newest frame. Fewer than `limit` come
    /// only at the end.
    pub async fn topics(&self, mut page: TopicPage) -> Result<Vec<TopicTail>> {
        /// Topics that are fetched at a time: each carries a frame.
        const TOPICS_MAX: usize = 64;
        let shared = &self.handle.shared;
        let mut found = Vec::new();
        let limit = page.limit;
        while found.len() < limit {
            page.limit = TOPICS_MAX.min(limit - found.len());
            let tails = shared.store.topics(page.clone()).await?;
            let complete = tails.len() < page.limit;
            page.after = tails.last().map(|tail| tail.topic.clone());
            for tail in tails {
                match tail.last.is_expired(shared.clock.now_ms()) {
                    false => found.push(tail),
                    // An older frame of the topic may outlive its newest one.
                    true => {
                        let last = reader::last(shared, &Filter::from(tail.topic.clone())).await?;
                        found.extend(last.map(|last| TopicTail { topic: tail.topic, last }));
                    }
                }
            }
            if complete {
                break;
            }
        }
        Ok(found)
    }

    /// Stores content alone, and names it; `None` for empty content.
    pub async fn put(&self, content: impl Into<Content>) -> Result<Option<ContentHash>> {
        let shared = &self.handle.shared;
        let taken = &shared.counters.content_bytes_in;
        content.into().store(&*shared.cas, |bytes| taken.add(bytes)).await
    }

    /// The bytes of `range` of some content; `NotFound` when it is not there. Damaged content ends
    /// in `Corrupt`, never in silence. The content of no bytes is always there.
    pub async fn content(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        let shared = &self.handle.shared;
        let reader = match shared.cas.reader(hash, range).await {
            Err(error) if is_of_no_bytes(hash, &error) => {
                ContentReader::new(no_bytes(hash), range.within(0)?, futures::stream::empty().boxed())
            }
            reader => reader?,
        };
        let (info, range) = (*reader.info(), reader.range());
        let counters = Arc::clone(&shared.counters);
        let chunks = reader.inspect_ok(move |chunk| counters.content_bytes_out.add(chunk.len()));
        Ok(ContentReader::new(info, range, chunks.boxed()))
    }

    /// Size and time of some content, or `NotFound`.
    pub async fn content_info(&self, hash: ContentHash) -> Result<ContentInfo> {
        match self.handle.shared.cas.stat(hash).await {
            Err(error) if is_of_no_bytes(hash, &error) => Ok(no_bytes(hash)),
            info => info,
        }
    }

    /// The scheme of the index, the version of its format, and the scheme of the content store.
    pub fn parts(&self) -> (&str, u32, &str) {
        let shared = &self.handle.shared;
        (shared.store.name(), shared.store.format(), shared.cas.name())
    }

    /// As [`Store::compact`](crate::Store::compact): gives back to the system what removed frames
    /// took of the index. `Unsupported` where [`Capabilities::compact`] is off.
    pub async fn compact(&self) -> Result<()> {
        let store = &self.handle.shared.store;
        match store.capabilities().compact {
            true => store.compact().await,
            false => Err(no_compaction(store.name())),
        }
    }

    /// What the index and the content store can do.
    pub fn capabilities(&self) -> (Capabilities, Capabilities) {
        (self.handle.shared.store.capabilities(), self.handle.shared.cas.capabilities())
    }
}

/// Empty content is never stored, so that a frame without content has no hash. Frames of elsewhere may
/// name it all the same, and what they name is known.
fn is_of_no_bytes(hash: ContentHash, error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound && hash == ContentHash::of(&[])
}

fn no_bytes(hash: ContentHash) -> ContentInfo {
    ContentInfo { hash, size: 0, modified_ms: 0 }
}

/// `meta` of a builder is made without being checked; here every frame passes.
fn check(frame: &NewFrame) -> Result<()> {
    if let Some(Ttl::Last(n)) = frame.ttl
        && n.get() > LAST_MAX
    {
        return Err(Error::invalid(format!("ttl last:{n}: at most last:{LAST_MAX} can be kept up with")));
    }
    frame.meta.as_ref().map_or(Ok(()), Meta::check)
}
