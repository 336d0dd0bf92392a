//! The body of a request, watched on its way in: it may not pause for too long, nor be too large.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::HttpBody;
use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use xs::{Error, ErrorKind};

use crate::connection::Unread;
use crate::error::WithStatus;
use crate::limits::Limits;

/// Why a body was not taken to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No byte of it came for so long.
    Late(Duration),
    /// It is larger than so many bytes.
    TooLarge(u64),
}

impl Broken {
    pub(crate) fn error(self) -> Error {
        let (status, message) = match self {
            Self::Late(after) => {
                (StatusCode::REQUEST_TIMEOUT, format!("no byte of the request body came for {after:?}"))
            }
            Self::TooLarge(most) => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is content of more than {most} bytes, the most here"))
            }
        };
        Error::new(ErrorKind::InvalidInput, message).with_source(WithStatus(status))
    }
}

/// What became of a body, for whoever answers: the route that reads it sees only that it broke off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome(Arc<OnceLock<Broken>>);

impl Outcome {
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.0.get().copied()
    }
}

/// A body that ends in an error when it breaks a limit.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    inner: B,
    outcome: Outcome,
    unread: Unread,
    timeout: Duration,
    /// The limit, and what is left of it.
    content: Option<(u64, u64)>,
    /// Since when the client has been waited for.
    waiting: Option<Instant>,
    /// Set once for many waits: while bytes come, it is only looked at when it ends.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B: HttpBody> Watched<B> {
    /// `Err` where the body says itself that it will be too large.
    pub(crate) fn new(inner: B, path: &str, limits: &Limits, unread: Unread) -> Result<(Self, Outcome), Broken> {
        let content = limits.content_bytes_max.filter(|_| is_content(path));
        if let Some(most) = content
            && inner.size_hint().lower() > most
        {
            return Err(Broken::TooLarge(most));
        }
        let outcome = Outcome::default();
        let watched = Self {
            inner,
            outcome: outcome.clone(),
            unread,
            timeout: limits.body_timeout,
            content: content.map(|most| (most, most)),
            waiting: None,
            timer: None,
        };
        Ok((watched, outcome))
    }

    fn break_off<T>(&self, broken: Broken) -> Poll<Option<Result<T, BoxError>>> {
        let broken = self.outcome.0.get_or_init(|| broken);
        Poll::Ready(Some(Err(broken.error().into())))
    }

    /// Ready when the client has been waited for too long.
    fn late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.waiting.get_or_insert_with(Instant::now) + self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// What comes in there is content; other bodies are frames, which have limits of their own.
fn is_content(path: &str) -> bool {
    path == "/cas" || path.starts_with("/append/")
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> HttpBody for Watched<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending if this.late(cx).is_ready() => return this.break_off(Broken::Late(this.timeout)),
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        this.waiting = None;
        if this.inner.is_end_stream() || frame.is_none() {
            this.unread.set(false);
        }
        if let (Some((most, left)), Some(Ok(frame))) = (&mut this.content, &frame) {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) {
                Some(less) => *left = less,
                None => {
                    let most = *most;
                    return this.break_off(Broken::TooLarge(most));
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures::StreamExt as _;
    use tokio::sync::mpsc;

    use super::*;

    fn limits(content_bytes_max: Option<u64>) -> Limits {
        Limits { body_timeout: Duration::from_millis(1000), content_bytes_max, ..Limits::default() }
    }

    /// A body that is sent piece by piece.
    fn sent() -> (mpsc::Sender<&'static str>, Body) {
        let (sender, mut pieces) = mpsc::channel::<&'static str>(8);
        let pieces = futures::stream::poll_fn(move |cx| pieces.poll_recv(cx));
        (sender, Body::from_stream(pieces.map(Ok::<_, std::io::Error>)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_allowed_and_a_long_one_breaks_off() {
        let (sender, body) = sent();
        let (watched, outcome) = Watched::new(body, "/cas", &limits(None), Unread::default()).unwrap();
        let mut chunks = Body::new(watched).into_data_stream();
        let sending = tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(900)).await;
                sender.send("x").await.unwrap();
            }
            sender
        });
        for _ in 0..3 {
            assert_eq!(chunks.next().await.unwrap().unwrap(), "x");
        }
        // Whoever reads slowly is not the client.
        tokio::time::sleep(Duration::from_millis(5000)).await;
        let sender = sending.await.unwrap();
        sender.send("y").await.unwrap();
        assert_eq!(chunks.next().await.unwrap().unwrap(), "y");
        let start = Instant::now();
        assert!(chunks.next().await.unwrap().is_err());
        assert!((1000..1100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        assert_eq!(outcome.broken(), Some(Broken::Late(Duration::from_millis(1000))));
    }

    #[tokio::test]
    async fn content_has_a_limit_whether_it_tells_its_size_or_not() {
        let limits = limits(Some(3));
        let (path, unread) = ("/append/a", Unread::default());
        assert_eq!(Watched::new(Body::from("1234"), path, &limits, unread.clone()).unwrap_err(), Broken::TooLarge(3));
        for (pieces, fits) in [(&["12", "3"][..], true), (&["12", "34"], false), (&["123", "4"], false)] {
            let (sender, body) = sent();
            let (watched, outcome) = Watched::new(body, path, &limits, unread.clone()).unwrap();
            for &piece in pieces {
                sender.send(piece).await.unwrap();
            }
            drop(sender);
            let read: Vec<_> = Body::new(watched).into_data_stream().collect().await;
            assert_eq!(read.iter().all(Result::is_ok), fits, "{pieces:?}");
            assert_eq!(outcome.broken(), (!fits).then_some(Broken::TooLarge(3)));
        }
        // Frames are no content.
        assert!(Watched::new(Body::from("1234"), "/append", &limits, unread).is_ok());
    }
}
