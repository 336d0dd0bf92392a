//! Bodies: what is sent, under the eyes of whoever sends it, and what comes back.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, Stream, StreamExt as _};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep};
use xs_core::{Content, Error, Result};

use crate::connect::{root_cause, unavailable};
use crate::endpoint::invalid;
use crate::limits::PIECE_BYTES;

/// Content on its way to a server.
pub(crate) struct Upload {
    chunks: Option<BoxStream<'static, Result<Bytes>>>,
    /// What is left of the chunk that is being sent. Content in memory is one chunk, however large: handed over
    /// at once, it would look as if the server took nothing for as long as it takes to send.
    rest: Bytes,
    /// How many bytes are yet to come, where that is known.
    left: Option<u64>,
    state: Arc<Mutex<State>>,
    /// Ready when nobody waits for the answer any more.
    given_up: oneshot::Receiver<()>,
}

/// What is known of a request while it is under way.
#[derive(Debug)]
struct State {
    /// When the connection last took something; `None` while the content is waited for.
    idle_since: Option<Instant>,
    /// Why the content ended early.
    error: Option<Error>,
}

/// The other end of an [`Upload`], held by whoever waits for its answer. What is still to be sent when it
/// is dropped is not, and its connection ends.
#[derive(Debug)]
pub(crate) struct Watch {
    state: Arc<Mutex<State>>,
    _waits: oneshot::Sender<()>,
}

impl Upload {
    pub(crate) fn new(content: Content) -> (Self, Watch) {
        let state = Arc::new(Mutex::new(State { idle_since: Some(Instant::now()), error: None }));
        let (waits, given_up) = oneshot::channel();
        let left = content.size();
        let chunks = (left != Some(0)).then(|| content.into_chunks());
        let watch = Watch { state: Arc::clone(&state), _waits: waits };
        (Self { chunks, rest: Bytes::new(), left, state, given_up }, watch)
    }
}

impl Watch {
    /// What comes of `answer`, unless it takes too long: from when the connection last took something, and not
    /// while the content is waited for.
    pub(crate) async fn in_time<F: Future + Unpin>(
        &self,
        mut answer: F,
        timeout: Duration,
    ) -> Result<F::Output, Elapsed> {
        loop {
            let left = self.idle().map_or(timeout, |idle| timeout.saturating_sub(idle));
            match tokio::time::timeout(left, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(elapsed) if self.idle().is_some_and(|idle| idle >= timeout) => return Err(elapsed),
                Err(_) => {}
            }
        }
    }

    /// How long the connection has taken nothing; `None` while the content is waited for.
    fn idle(&self) -> Option<Duration> {
        lock(&self.state).idle_since.map(|since| since.elapsed())
    }

    /// Why the content ended early, if it did.
    pub(crate) fn take_error(&self) -> Option<Error> {
        lock(&self.state).error.take()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // It is held for an assignment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let this = self.get_mut();
        let Some(chunks) = &mut this.chunks else { return Poll::Ready(None) };
        if Pin::new(&mut this.given_up).poll(cx).is_ready() {
            this.chunks = None;
            return Poll::Ready(Some(Err(Stopped)));
        }
        let next = match this.rest.is_empty() {
            true => chunks.poll_next_unpin(cx),
            false => Poll::Ready(Some(Ok(std::mem::take(&mut this.rest)))),
        };
        let Poll::Ready(next) = next else {
            lock(&this.state).idle_since = None;
            return Poll::Pending;
        };
        let mut state = lock(&this.state);
        state.idle_since = Some(Instant::now());
        match next {
            Some(Ok(mut piece)) => {
                this.rest = piece.split_off(piece.len().min(PIECE_BYTES));
                this.left = this.left.map(|left| left.saturating_sub(piece.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => {
                state.error = Some(error);
                this.chunks = None;
                Poll::Ready(Some(Err(Stopped)))
            }
            None => {
                this.chunks = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_none() || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("left", &self.left).finish_non_exhaustive()
    }
}

/// A request that is not sent to its end. Why is known to its [`Watch`].
#[derive(Debug)]
pub(crate) struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is not sent to its end")
    }
}

impl StdError for Stopped {}

/// The body of a response: a stream of its bytes as they come. `Unavailable` when it breaks off.
///
/// Dropped before its end, it ends the connection.
pub struct Body {
    incoming: Incoming,
    /// The request counts as given up when its answer does.
    _watch: Watch,
    /// How long nothing may come while it is waited for.
    idle: Option<Duration>,
    /// What is left of that; `None` while nothing is waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, watch: Watch) -> Self {
        Self { incoming, _watch: watch, idle: None, silence: None }
    }

    /// Breaks off when nothing has come for so long. Not by default: who passes on what a follower receives
    /// may wait for ever.
    pub(crate) fn within(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Nothing is here: waits for as long as that may be.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let Some(idle) = self.idle else { return Poll::Pending };
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        ready!(silence.as_mut().poll(cx));
        self.silence = None;
        let message = format!("the answer broke off: nothing came for {idle:?}");
        Poll::Ready(Some(Err(unavailable(message, "the server stalled"))))
    }

    /// How many bytes it has, where the server has said so.
    pub fn size(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// All of it at once, in memory; `InvalidInput` when it has more than so many bytes.
    pub async fn bytes(mut self, bytes_max: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await.transpose()? {
            if all.len() + chunk.len() > bytes_max {
                return Err(invalid(format!("the answer has more than the {bytes_max} bytes that were wanted")));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// What comes until its end, or until it breaks off, or until there are so many bytes.
    pub(crate) async fn beginning(mut self, bytes_max: usize) -> Bytes {
        let mut all = BytesMut::new();
        while let (Some(Ok(chunk)), true) = (self.next().await, all.len() < bytes_max) {
            all.extend_from_slice(&chunk);
        }
        all.freeze()
    }
}

impl Stream for Body {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        loop {
            // What has come counts, however late it is asked for.
            let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
                return this.poll_silence(cx);
            };
            this.silence = None;
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let message = format!("the answer broke off: {}", root_cause(&error));
                    return Poll::Ready(Some(Err(unavailable(message, error))));
                }
                // Trailers say nothing here.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) if !chunk.is_empty() => return Poll::Ready(Some(Ok(chunk))),
                    _ => {}
                },
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("size", &self.size()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use xs_core::ErrorKind;

    use super::*;

    async fn sent(upload: &mut Upload) -> Option<Result<Bytes, Stopped>> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *upload).poll_frame(cx)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test]
    async fn a_known_length_is_told() {
        let (mut upload, _watch) = Upload::new("hello".into());
        assert_eq!((upload.size_hint().exact(), upload.is_end_stream()), (Some(5), false));
        assert_eq!(sent(&mut upload).await.unwrap().unwrap(), "hello");
        assert!(upload.is_end_stream() && sent(&mut upload).await.is_none());
        let (upload, _watch) = Upload::new(Content::none());
        assert_eq!((upload.size_hint().exact(), upload.is_end_stream()), (Some(0), true));
        let (upload, _watch) = Upload::new(Content::stream(futures::stream::empty()));
        assert_eq!((upload.size_hint().exact(), upload.is_end_stream()), (None, false));
    }

    #[tokio::test]
    async fn content_in_memory_is_sent_in_pieces() {
        for bytes in [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, PIECE_BYTES * 3 + 7] {
            let content: Vec<u8> = (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let (mut upload, _watch) = Upload::new(content.clone().into());
            let mut pieces = Vec::new();
            while !upload.is_end_stream() {
                pieces.push(sent(&mut upload).await.unwrap().unwrap());
            }
            assert!(sent(&mut upload).await.is_none());
            assert!(pieces.iter().all(|piece| (1..=PIECE_BYTES).contains(&piece.len())));
            assert!(pieces.concat() == content, "{bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_link_has_time_as_long_as_it_takes_something() {
        let second = Duration::from_secs(1);
        let (mut upload, watch) = Upload::new(vec![7_u8; PIECE_BYTES * 10].into());
        let sending = std::pin::pin!(async {
            while let Some(piece) = sent(&mut upload).await {
                let bytes = u32::try_from(piece.unwrap().len()).unwrap();
                // Less than a second for each piece, and many for all of them.
                tokio::time::sleep(Duration::from_micros(10) * bytes).await;
            }
        });
        let since = Instant::now();
        assert!(watch.in_time(sending, second).await.is_ok());
        assert!(since.elapsed() > second * 6);
    }

    #[tokio::test]
    async fn the_error_of_the_source_is_kept_for_who_waits() {
        let broken = futures::stream::iter([Ok("a".into()), Err(invalid("the disk is on fire"))]);
        let (mut upload, watch) = Upload::new(Content::stream(broken));
        assert!(sent(&mut upload).await.unwrap().is_ok() && watch.take_error().is_none());
        assert!(sent(&mut upload).await.unwrap().is_err());
        let error = watch.take_error().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidInput, "the disk is on fire"));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_sent() {
        let (mut upload, watch) = Upload::new(Content::stream(futures::stream::pending()));
        assert!(sent(&mut upload).now_or_never().is_none());
        drop(watch);
        assert!(sent(&mut upload).await.unwrap().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn time_counts_while_the_server_is_waited_for_and_not_while_the_content_is() {
        let second = Duration::from_secs(1);
        let (chunks, mut source) = tokio::sync::mpsc::unbounded_channel::<Result<Bytes>>();
        let source = futures::stream::poll_fn(move |cx| source.poll_recv(cx));
        let (mut upload, watch) = Upload::new(Content::stream(source));
        let sending = std::pin::pin!(async { while sent(&mut upload).await.is_some() {} });
        let feeding = async {
            for _ in 0..3 {
                tokio::time::sleep(second * 10).await;
                chunks.send(Ok(Bytes::from_static(b"a"))).unwrap();
            }
            drop(chunks);
        };
        let (answered, ()) = tokio::join!(watch.in_time(sending, second), feeding);
        assert!(answered.is_ok());
        // It has all of it, and says nothing.
        let since = Instant::now();
        assert!(watch.in_time(std::future::pending::<()>(), second).await.is_err());
        assert!((second..second * 2).contains(&since.elapsed()));
        assert!(watch.in_time(std::future::ready(()), Duration::ZERO).await.is_ok());
    }
}
