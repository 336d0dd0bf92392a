//! What lies between a case and the stream that it looks at: nothing, or a server and a client of it.
//!
//! The cases of a pair ask a [`Handle`], which has the methods of an [`EventStream`] that a client can
//! have too. Behind it is that stream itself, or a client of a server of it (`remote.rs`). Either way
//! the stream is made of the parts, the clock and the ids that the case wants, and the case can look
//! at it from behind.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _};
use xs_core::{
    AppendOptions, BatchOptions, ByteRange, Content, ContentHash, ContentInfo, ContentReader, EventStream, Expect,
    Filter, Frame, FrameId, NewFrame, ReadOptions, Result, Topic, TopicPage, TopicTail,
};

/// What lies between the cases of a pair and its streams.
///
/// ```
/// use xs_conformance::{CasSubject, StoreSubject, Suite, Transport};
///
/// let mut suite = Suite::new();
/// for transport in Transport::ALL {
///     suite.pair_over(StoreSubject::memory(), CasSubject::memory(), *transport);
/// }
/// # let _ = suite.trials();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Nothing: the cases call the stream.
    #[default]
    InProcess,
    /// A server in the process of the case, and a client of it over a Unix socket.
    #[cfg(all(feature = "transports", unix))]
    Unix,
    /// The same over TCP with TLS.
    #[cfg(feature = "transports")]
    Tls,
}

impl Transport {
    /// All of them that this build has.
    pub const ALL: &[Self] = &[
        Self::InProcess,
        #[cfg(all(feature = "transports", unix))]
        Self::Unix,
        #[cfg(feature = "transports")]
        Self::Tls,
    ];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProcess => "in process",
            #[cfg(all(feature = "transports", unix))]
            Self::Unix => "unix",
            #[cfg(feature = "transports")]
            Self::Tls => "tls",
        })
    }
}

/// The cases that run in process only, and why. All others run over every transport.
///
/// Some cases ask a little more of a stream that they call than of one behind a server:
/// `Pair::in_process` says where, with the reason beside it.
pub(crate) const IN_PROCESS: &[(&str, &str)] = &[
    (
        "E2_each_append_can_say_how_durable_it_is",
        "whoever runs a server decides how durable it is; a client has no word for it",
    ),
    ("E6_a_frame_expires_in_the_hands_of_its_reader", "what has left a server is out of its hands"),
    (
        "E9_close_finishes_what_waits",
        "closing the stream is for whoever runs the server; a follower of it waits for it to come back",
    ),
    ("E9_dropping_the_last_clone_closes", "a client neither holds a stream open nor closes it"),
    ("E9_closing_needs_no_runtime", "a client does not close a stream"),
];

/// Whether a case runs over this transport.
pub(crate) fn runs_over(transport: Transport, case: &str) -> bool {
    transport == Transport::InProcess || IN_PROCESS.iter().all(|(name, _)| *name != case)
}

/// A read in progress.
pub(crate) type Reader = BoxStream<'static, Result<Frame>>;

/// The way to a stream.
#[async_trait]
pub(crate) trait Via: Send + Sync + fmt::Debug {
    async fn append_if(&self, frame: NewFrame, content: Content, expect: Option<Expect>) -> Result<Frame>;
    async fn append_all_if(&self, frames: Vec<NewFrame>, expect: Vec<(Topic, Expect)>) -> Result<Vec<Frame>>;
    async fn import(&self, frames: Vec<Frame>) -> Result<()>;
    async fn remove(&self, id: FrameId) -> Result<()>;
    async fn get(&self, id: FrameId) -> Result<Option<Frame>>;
    async fn last_of(&self, filter: Filter) -> Result<Option<Frame>>;
    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>>;
    async fn store(&self, content: Content) -> Result<Option<ContentHash>>;
    async fn content(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader>;
    async fn content_info(&self, hash: ContentHash) -> Result<ContentInfo>;
    /// A read that need not have begun before it is polled.
    fn read(&self, options: ReadOptions) -> Reader;
    /// Closes the stream, and stops its server.
    async fn close(&self) -> Result<()>;

    /// A read that has begun: to a follower, what is appended from now on is live. In process, every
    /// read has begun when it is asked for.
    async fn begin(&self, options: ReadOptions) -> Reader {
        self.read(options)
    }
}

#[async_trait]
impl Via for EventStream {
    async fn append_if(&self, frame: NewFrame, content: Content, expect: Option<Expect>) -> Result<Frame> {
        match expect {
            None => self.append(frame, content).await,
            Some(expect) => self.append_with(frame, content, AppendOptions::expect(expect)).await,
        }
    }

    async fn append_all_if(&self, frames: Vec<NewFrame>, expect: Vec<(Topic, Expect)>) -> Result<Vec<Frame>> {
        EventStream::append_all(self, frames, BatchOptions { durability: None, expect }).await
    }

    async fn import(&self, frames: Vec<Frame>) -> Result<()> {
        EventStream::import(self, frames).await
    }

    async fn remove(&self, id: FrameId) -> Result<()> {
        EventStream::remove(self, id).await
    }

    async fn get(&self, id: FrameId) -> Result<Option<Frame>> {
        EventStream::get(self, id).await
    }

    async fn last_of(&self, filter: Filter) -> Result<Option<Frame>> {
        self.last(filter).await
    }

    async fn topics(&self, page: TopicPage) -> Result<Vec<TopicTail>> {
        EventStream::topics(self, page).await
    }

    async fn store(&self, content: Content) -> Result<Option<ContentHash>> {
        self.put(content).await
    }

    async fn content(&self, hash: ContentHash, range: ByteRange) -> Result<ContentReader> {
        EventStream::content(self, hash, range).await
    }

    async fn content_info(&self, hash: ContentHash) -> Result<ContentInfo> {
        EventStream::content_info(self, hash).await
    }

    fn read(&self, options: ReadOptions) -> Reader {
        EventStream::read(self, options).boxed()
    }

    async fn close(&self) -> Result<()> {
        EventStream::close(self).await
    }
}

/// A stream as its cases have it: cheap to clone, all clones are the same. In process it is the stream,
/// its last drop included.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    /// The stream itself, to look at from behind.
    pub(crate) behind: EventStream,
    via: Arc<dyn Via>,
}

/// What is asked without any conversion.
impl Deref for Handle {
    type Target = dyn Via;

    fn deref(&self) -> &Self::Target {
        &*self.via
    }
}

impl Handle {
    pub(crate) fn new(stream: EventStream, via: Arc<dyn Via>) -> Self {
        Self { behind: stream, via }
    }

    pub(crate) async fn append(&self, frame: NewFrame, content: impl Into<Content>) -> Result<Frame> {
        self.append_if(frame, content.into(), None).await
    }

    pub(crate) async fn append_with(
        &self,
        frame: NewFrame,
        content: impl Into<Content>,
        expect: Expect,
    ) -> Result<Frame> {
        self.append_if(frame, content.into(), Some(expect)).await
    }

    pub(crate) async fn append_all(&self, frames: Vec<NewFrame>) -> Result<Vec<Frame>> {
        self.append_all_if(frames, Vec::new()).await
    }

    pub(crate) async fn last(&self, filter: impl Into<Filter>) -> Result<Option<Frame>> {
        self.last_of(filter.into()).await
    }

    pub(crate) async fn put(&self, content: impl Into<Content>) -> Result<Option<ContentHash>> {
        self.store(content.into()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream;

    #[test]
    fn what_runs_in_process_only_is_a_case() {
        for (name, reason) in IN_PROCESS {
            assert!(stream::cases().any(|case| case.name == *name), "there is no case {name}");
            assert!(!reason.is_empty());
        }
        for transport in Transport::ALL {
            let skipped = stream::cases().filter(|case| !runs_over(*transport, case.name)).count();
            assert_eq!(skipped, if *transport == Transport::InProcess { 0 } else { IN_PROCESS.len() });
        }
    }
}
