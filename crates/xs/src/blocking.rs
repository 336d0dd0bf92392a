//! Blocking twins of the common calls, for programs without an async runtime.
//!
//! ```
//! use xs::{Frame, ReadOptions, blocking};
//!
//! # fn main() -> xs::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! let stream = blocking::open(dir.path().join("store"))?;
//! stream.append(Frame::topic("note")?, "remember the milk")?;
//! for frame in stream.read(ReadOptions::default()) {
//!     println!("{}", frame?.topic);
//! }
//! stream.close()?;
//! # Ok(())
//! # }
//! ```

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use xs_core::{
    AppendOptions, BatchOptions, ByteRange, Content, ContentHash, Error, ErrorKind, Filter, Frame, FrameId, NewFrame,
    ReadOptions, Reader, Result, TopicPage, TopicTail, blocking,
};

use crate::OpenOptions;

/// Opens the store in the directory `path`, making it there if nothing is.
pub fn open(path: impl AsRef<Path>) -> Result<EventStream> {
    open_with(&OpenOptions::new(), path)
}

/// Opens the store in the directory `path` as `options` say.
pub fn open_with(options: &OpenOptions, path: impl AsRef<Path>) -> Result<EventStream> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().thread_name("xs").build();
    let runtime = runtime.map_err(|error| Error::io("starting a runtime", error))?;
    let mut inner = Inner { runtime: Some(runtime), stream: None };
    inner.stream = Some(inner.wait(options.open(path))?);
    Ok(EventStream { inner: Arc::new(inner) })
}

/// A stream whose calls block the thread. Cheap to clone; dropping the last clone closes it.
///
/// Its calls fail with `InvalidInput` where blocking is not allowed: within an async runtime.
#[derive(Clone, Debug)]
pub struct EventStream {
    inner: Arc<Inner>,
}

/// Both are `None` only while it is made or dropped.
#[derive(Debug)]
struct Inner {
    runtime: Option<Runtime>,
    stream: Option<xs_core::EventStream>,
}

impl Inner {
    fn runtime(&self) -> Result<&Runtime> {
        match &self.runtime {
            Some(_) if Handle::try_current().is_ok() => Err(Error::new(
                ErrorKind::InvalidInput,
                "this is an async runtime, where nothing may block: use xs::open instead of xs::blocking",
            )),
            Some(runtime) => Ok(runtime),
            None => Err(Error::new(ErrorKind::Closed, "the stream is closed; open it again")),
        }
    }

    /// Waits for a call, whose blocking work is done on this thread.
    fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        blocking::block_on(self.runtime()?, future)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let stream = self.stream.take();
        let closed = self.wait(async {
            match &stream {
                Some(stream) => stream.close().await,
                None => Ok(()),
            }
        });
        drop(stream);
        match (closed, self.runtime.take()) {
            // Where nothing may block, closing goes on in the background.
            (Err(error), Some(runtime)) if error.kind() == ErrorKind::InvalidInput => runtime.shutdown_background(),
            (Err(error), _) => tracing::error!(%error, "closing the stream failed"),
            (Ok(()), _) => {}
        }
    }
}

impl EventStream {
    fn wait<'a, T, F>(&'a self, call: impl FnOnce(&'a xs_core::EventStream) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + 'a,
    {
        match &self.inner.stream {
            Some(stream) => self.inner.wait(call(stream)),
            None => Err(Error::new(ErrorKind::Closed, "the stream is closed; open it again")),
        }
    }

    /// As [`EventStream::append`](xs_core::EventStream::append).
    pub fn append(&self, frame: impl Into<NewFrame>, content: impl Into<Content>) -> Result<Frame> {
        self.append_with(frame, content, AppendOptions::default())
    }

    /// As [`EventStream::append_with`](xs_core::EventStream::append_with).
    pub fn append_with(
        &self,
        frame: impl Into<NewFrame>,
        content: impl Into<Content>,
        options: AppendOptions,
    ) -> Result<Frame> {
        let (frame, content) = (frame.into(), content.into());
        self.wait(|stream| stream.append_with(frame, content, options))
    }

    /// As [`EventStream::append_all`](xs_core::EventStream::append_all).
    pub fn append_all(&self, frames: Vec<NewFrame>, options: BatchOptions) -> Result<Vec<Frame>> {
        self.wait(|stream| stream.append_all(frames, options))
    }

    /// As [`EventStream::import`](xs_core::EventStream::import).
    pub fn import(&self, frames: Vec<Frame>) -> Result<()> {
        self.wait(|stream| stream.import(frames))
    }

    /// As [`EventStream::remove`](xs_core::EventStream::remove).
    pub fn remove(&self, id: FrameId) -> Result<()> {
        self.wait(|stream| stream.remove(id))
    }

    /// As [`EventStream::get`](xs_core::EventStream::get).
    pub fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        self.wait(|stream| stream.get(id))
    }

    /// As [`EventStream::last`](xs_core::EventStream::last).
    pub fn last(&self, filter: impl Into<Filter>) -> Result<Option<Frame>> {
        let filter = filter.into();
        self.wait(|stream| stream.last(filter))
    }

    /// As [`EventStream::topics`](xs_core::EventStream::topics).
    pub fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        self.wait(|stream| stream.topics(page))
    }

    /// As [`EventStream::read`](xs_core::EventStream::read): an iterator that blocks for each frame
    /// that is not there yet.
    pub fn read(&self, options: ReadOptions) -> Frames {
        let reader = self.inner.stream.as_ref().map(|stream| stream.read(options));
        Frames { inner: Arc::clone(&self.inner), reader }
    }

    /// Some content, whole, in memory.
    pub fn content(&self, hash: ContentHash) -> Result<Vec<u8>> {
        self.wait(|stream| async move { Ok(stream.content(hash, ByteRange::FULL).await?.bytes().await?.into()) })
    }

    /// As [`EventStream::compact`](xs_core::EventStream::compact).
    pub fn compact(&self) -> Result<()> {
        self.wait(|stream| async move { stream.compact().await })
    }

    /// As [`EventStream::close`](xs_core::EventStream::close).
    pub fn close(&self) -> Result<()> {
        self.wait(|stream| stream.close())
    }
}

/// A read in progress. It keeps the stream open.
#[derive(Debug)]
pub struct Frames {
    inner: Arc<Inner>,
    reader: Option<Reader>,
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Result<Frame>> {
        let reader = self.reader.as_mut()?;
        // Not here: the next page is to be read elsewhere while the caller works on this one.
        let next = self.inner.runtime().and_then(|runtime| runtime.block_on(reader.next()).transpose()).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.reader = None;
        }
        next
    }
}
