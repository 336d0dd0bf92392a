//! The body of a request, watched on its way in: it may not pause for too long, come too slowly, nor be too
//! large, and its token has to be one that may write until the end.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::HttpBody;
use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use xs::{Error, ErrorKind};

use crate::access::{Admission, Refused, Writer};
use crate::connection::Unread;
use crate::error::WithStatus;
use crate::limits::Limits;

/// Why a body was not taken to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No byte of it came for so long.
    Late(Duration),
    /// It came at less than so many bytes a second.
    Slow(NonZeroU64),
    /// It is larger than so many bytes.
    TooLarge(u64),
    /// The token that it came with may write no longer.
    Refused(Refused),
}

impl Broken {
    pub(crate) fn error(self) -> Error {
        let (status, message) = match self {
            Self::Late(after) => {
                (StatusCode::REQUEST_TIMEOUT, format!("no byte of the request body came for {after:?}"))
            }
            Self::Slow(least) => (
                StatusCode::REQUEST_TIMEOUT,
                format!("the request body came at less than {least} bytes a second, the least here"),
            ),
            Self::TooLarge(most) => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is content of more than {most} bytes, the most here"))
            }
            Self::Refused(refused) => {
                let (status, message) = refused.told();
                (status, message.to_owned())
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
    rate_min: Option<NonZeroU64>,
    /// The limit, and what is left of it.
    content: Option<(u64, u64)>,
    /// `None` where nobody is asked for a token.
    writer: Option<Writer>,
    /// Since when the client has been waited for.
    waiting: Option<Instant>,
    /// How long it was waited for before that.
    waited: Duration,
    /// Bytes that have come.
    received: u64,
    /// Set once for many waits: while bytes come, it is only looked at when it ends.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B: HttpBody> Watched<B> {
    /// `Err` where the body says itself that it will be too large.
    pub(crate) fn new(
        inner: B,
        path: &str,
        limits: &Limits,
        rate_min: Option<NonZeroU64>,
        unread: Unread,
    ) -> Result<(Self, Outcome), Broken> {
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
            rate_min,
            content: content.map(|most| (most, most)),
            writer: None,
            waiting: None,
            waited: Duration::ZERO,
            received: 0,
            timer: None,
        };
        Ok((watched, outcome))
    }

    /// The same, only for as long as this token may write.
    pub(crate) fn admitted_by(self, admission: Option<Admission>) -> Self {
        Self { writer: admission.map(Writer::new), ..self }
    }

    fn break_off<T>(&self, broken: Broken) -> Poll<Option<Result<T, BoxError>>> {
        let broken = self.outcome.0.get_or_init(|| broken);
        Poll::Ready(Some(Err(broken.error().into())))
    }

    /// How long the client is waited for this time, and what has been broken then.
    fn patience(&self) -> (Duration, Broken) {
        let rest = self.rate_min.map(|rate_min| {
            // The second that the first bytes are worth keeps those that then stop from being called slow.
            let earned = Duration::from_secs(self.received.div_ceil(rate_min.get()));
            let rest = self.timeout.saturating_add(earned).saturating_sub(self.waited);
            (rest, Broken::Slow(rate_min))
        });
        rest.filter(|(rest, _)| *rest < self.timeout).unwrap_or((self.timeout, Broken::Late(self.timeout)))
    }

    /// Ready when the client has been waited for too long. From one wait to the next the deadline never comes
    /// earlier, so that a timer of a wait before is never too late.
    fn late(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        let (patience, broken) = self.patience();
        let deadline = *self.waiting.get_or_insert_with(Instant::now) + patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(broken);
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
            Poll::Pending => {
                let refused = this.writer.as_mut().map_or(Poll::Pending, |writer| writer.poll_refused(cx));
                let broken = match refused {
                    Poll::Ready(refused) => Broken::Refused(refused),
                    Poll::Pending => ready!(this.late(cx)),
                };
                return this.break_off(broken);
            }
            Poll::Ready(frame) => frame,
        };
        if let Some(since) = this.waiting.take() {
            this.waited = this.waited.saturating_add(since.elapsed());
        }
        if this.inner.is_end_stream() || frame.is_none() {
            this.unread.set(false);
            // Nobody has asked yet where all of it was there at once.
            if let Some(refused) = this.writer.as_ref().and_then(Writer::refused) {
                return this.break_off(Broken::Refused(refused));
            }
        }
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let bytes = u64::try_from(data.map_or(0, Bytes::len)).unwrap_or(u64::MAX);
        this.received = this.received.saturating_add(bytes);
        if let Some((most, left)) = &mut this.content {
            match left.checked_sub(bytes) {
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
    use axum::response::IntoResponse as _;
    use futures::{FutureExt as _, StreamExt as _};
    use http::{HeaderMap, HeaderValue, Method, header};
    use tokio::sync::mpsc;

    use super::*;
    use crate::access::Access;
    use crate::error::ApiError;

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
        let (watched, outcome) = Watched::new(body, "/cas", &limits(None), None, Unread::default()).unwrap();
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

    /// Sends one of these every 900 ms, and returns what became of the body and how many ms it was read for.
    async fn trickle(pieces: Vec<&'static str>, rate_min: u64) -> (Option<Broken>, u128) {
        let (sender, body) = sent();
        let rate_min = NonZeroU64::new(rate_min);
        let (watched, outcome) = Watched::new(body, "/cas", &limits(None), rate_min, Unread::default()).unwrap();
        tokio::spawn(async move {
            for piece in pieces {
                tokio::time::sleep(Duration::from_millis(900)).await;
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        let start = Instant::now();
        let mut chunks = Body::new(watched).into_data_stream();
        while let Some(Ok(_)) = chunks.next().await {}
        (outcome.broken(), start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_pause_but_not_trickle() {
        let slow = |rate_min| NonZeroU64::new(rate_min).map(Broken::Slow);
        // Waited for 1 s, and 1 s for what has come.
        let (broken, ms) = trickle(vec!["x"; 100], 10).await;
        assert_eq!(broken, slow(10));
        assert!((2000..2100).contains(&ms), "{ms}");
        // What comes at once is worth ten, and two more come with what follows.
        let mut pieces = vec!["x"; 100];
        pieces.insert(0, "0123456789".repeat(10).leak());
        let (broken, ms) = trickle(pieces, 10).await;
        assert_eq!(broken, slow(10));
        assert!((13_000..13_100).contains(&ms), "{ms}");
        // As fast as it is asked, or asked for nothing, it may take for ever.
        assert_eq!(trickle(vec!["0123456789"; 100], 10).await.0, None);
        assert_eq!(trickle(vec!["x"; 100], 0).await.0, None);
        assert!(Broken::Slow(NonZeroU64::MIN).error().to_string().contains("less than 1 bytes a second"));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_client_is_waited_for() {
        let (sender, body) = sent();
        let (watched, outcome) =
            Watched::new(body, "/cas", &limits(None), NonZeroU64::new(10), Unread::default()).unwrap();
        let mut chunks = Body::new(watched).into_data_stream();
        for _ in 0..100 {
            sender.send("x").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5000)).await;
            assert_eq!(chunks.next().await.unwrap().unwrap(), "x");
        }
        // One that stops is told so.
        let start = Instant::now();
        assert!(chunks.next().await.unwrap().is_err());
        assert!((1000..1100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        assert_eq!(outcome.broken(), Some(Broken::Late(Duration::from_millis(1000))));
    }

    #[tokio::test]
    async fn a_body_needs_its_token_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "one").unwrap();
        let access = Access::from_file(&path).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer one"))]);
        let admission = access.admit(&Method::POST, "/cas", &headers).unwrap();
        for (left, refused) in [("two\none", None), ("read-only one", Some(Refused::ReadOnly))] {
            for waits in [false, true] {
                std::fs::write(&path, "one").unwrap();
                access.reload().unwrap();
                let (sender, body) = sent();
                let (watched, outcome) = Watched::new(body, "/cas", &limits(None), None, Unread::default()).unwrap();
                let mut chunks = Body::new(watched.admitted_by(admission.clone())).into_data_stream();
                sender.send("1").await.unwrap();
                assert_eq!(chunks.next().await.unwrap().unwrap(), "1");
                if waits {
                    assert!(chunks.next().now_or_never().is_none());
                }
                std::fs::write(&path, left).unwrap();
                access.reload().unwrap();
                // It is noticed while nothing comes, or at the end.
                let kept = (waits && refused.is_some()).then_some(sender);
                let broken = chunks.next().await.transpose().is_err();
                drop(kept);
                assert_eq!((broken, outcome.broken()), (refused.is_some(), refused.map(Broken::Refused)));
            }
        }
        let error = Broken::Refused(Refused::UnknownToken).error();
        assert_eq!(ApiError::from(error).into_response().status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn content_has_a_limit_whether_it_tells_its_size_or_not() {
        let limits = limits(Some(3));
        let (path, unread) = ("/append/a", Unread::default());
        let new = |body: Body, path| Watched::new(body, path, &limits, None, unread.clone());
        assert_eq!(new(Body::from("1234"), path).unwrap_err(), Broken::TooLarge(3));
        for (pieces, fits) in [(&["12", "3"][..], true), (&["12", "34"], false), (&["123", "4"], false)] {
            let (sender, body) = sent();
            let (watched, outcome) = new(body, path).unwrap();
            for &piece in pieces {
                sender.send(piece).await.unwrap();
            }
            drop(sender);
            let read: Vec<_> = Body::new(watched).into_data_stream().collect().await;
            assert_eq!(read.iter().all(Result::is_ok), fits, "{pieces:?}");
            assert_eq!(outcome.broken(), (!fits).then_some(Broken::TooLarge(3)));
        }
        // Frames are no content.
        assert!(new(Body::from("1234"), "/append").is_ok());
    }
}
