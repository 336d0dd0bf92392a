//! What ends a follower, other than its limit: a server that stops, a client that has closed its side, a token that
//! is withdrawn.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{Stream, StreamExt as _};
use tokio::sync::watch;
use xs::{Error, ErrorKind, Frame, Reader, Result};

use crate::clients::Following;
use crate::gone::Asked;
use crate::limits::STOP_LOOK_FRAMES;

/// A follower that ends when the server stops, or when nothing more comes from its client; and not before it was
/// given everything that had been appended by then. Where that takes longer than the grace period, its answer is
/// cut off, so that nobody takes a part for the whole. A client that has not only closed its side but gone is
/// found by what is written to it.
pub(super) struct UntilStopped {
    frames: Reader,
    /// `None` once it has come.
    stop: Option<BoxFuture<'static, ()>>,
    /// Frames given since it was looked at.
    given: u32,
}

impl UntilStopped {
    pub(super) fn new(frames: Reader, mut stopping: watch::Receiver<bool>, client: Option<Asked>) -> Self {
        let stopped = async move {
            // Without a sender, nothing ever stops.
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                std::future::pending().await
            }
        };
        let closed = poll_fn(move |_| match client.as_ref().is_some_and(Asked::is_gone) {
            true => Poll::Ready(()),
            // The connection has this polled when it is.
            false => Poll::Pending,
        });
        let stop = async move {
            tokio::select! {
                () = stopped => {}
                () = closed => {}
            }
        };
        Self { frames, stop: Some(stop.boxed()), given: 0 }
    }
}

impl Stream for UntilStopped {
    type Item = Result<Frame>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = self.get_mut();
        let next = this.frames.poll_next_unpin(cx);
        this.given += 1;
        // Asking each time would cost. To a client that is slower than the stream there is always more to give.
        if next.is_ready() && this.given < STOP_LOOK_FRAMES {
            return next;
        }
        this.given = 0;
        if this.stop.as_mut().is_none_or(|stop| stop.poll_unpin(cx).is_pending()) {
            return next;
        }
        this.stop = None;
        this.frames.end_at_tail();
        match next {
            Poll::Pending => this.frames.poll_next_unpin(cx),
            ready => ready,
        }
    }
}

/// A follower that breaks off once the token that it came with is withdrawn, also in the middle of history. That is
/// an error, so that its client does not take it for the end: when it comes back, it is told why.
pub(super) struct WhileWelcome<S> {
    /// `None` once it has broken off.
    frames: Option<S>,
    /// Its client has one follower more for as long as this is there.
    following: Following,
}

impl<S> WhileWelcome<S> {
    pub(super) fn new(frames: S, following: Following) -> Self {
        Self { frames: Some(frames), following }
    }
}

impl<S: Stream<Item = Result<Frame>> + Unpin> Stream for WhileWelcome<S> {
    type Item = Result<Frame>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = self.get_mut();
        let Some(frames) = &mut this.frames else { return Poll::Ready(None) };
        // First: a client that takes its time would be given all of history.
        if this.following.poll_withdrawn(cx).is_ready() {
            this.frames = None;
            let error = Error::new(ErrorKind::InvalidInput, "the token that this follower came with was withdrawn");
            return Poll::Ready(Some(Err(error)));
        }
        frames.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, Method, header};
    use tokio::time::Instant;
    use xs::memory::{MemoryCas, MemoryStore};
    use xs::{EventStream, Filter, FrameId, ReadOptions, Settings};

    use super::*;
    use crate::access::Access;
    use crate::clients::Client;
    use crate::limits::Limits;
    use crate::listen::{Medium, Peer, Place};

    async fn open() -> EventStream {
        let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        EventStream::open(store, cas, Settings::default().window_frames(4)).await.unwrap()
    }

    async fn append(stream: &EventStream, topic: &str) {
        stream.append(Frame::topic(topic).unwrap(), ()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_followers_at_once_and_drops_nothing() {
        let stream = open().await;
        let (stopping, stopped) = watch::channel(false);
        let follower = |options| UntilStopped::new(stream.read(options), stopped.clone(), None);
        append(&stream, "old").await;
        let only: Filter = "xs.*".parse().unwrap();
        let history = follower(ReadOptions { threshold: true, ..ReadOptions::follow() });
        let (mut lagging, mut filtered) =
            (follower(ReadOptions::new_only()), follower(ReadOptions::new_only().filter(only)));
        assert!(lagging.next().now_or_never().is_none() && filtered.next().now_or_never().is_none());
        // More than the live window holds.
        for _ in 0..20 {
            append(&stream, "a").await;
        }
        append(&stream, "xs.stopping").await;
        stopping.send_replace(true);
        let start = Instant::now();
        for (follower, frames) in [(history, 23), (lagging, 21), (filtered, 1)] {
            let given: Vec<_> = follower.map(|frame| frame.unwrap().topic).collect().await;
            assert_eq!((given.len(), given.last().unwrap().as_str()), (frames, "xs.stopping"));
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "they waited");
    }

    #[tokio::test]
    async fn a_stop_is_noticed_while_there_is_always_more() {
        let stream = open().await;
        let (stopping, stopped) = watch::channel(false);
        append(&stream, "a").await;
        let mut follower = UntilStopped::new(stream.read(ReadOptions::follow()), stopped, None);
        follower.next().await.unwrap().unwrap();
        stopping.send_replace(true);
        for _ in 0..STOP_LOOK_FRAMES * 4 {
            append(&stream, "a").await;
            match follower.next().await {
                Some(frame) => assert_eq!(frame.unwrap().topic.as_str(), "a"),
                None => return,
            }
        }
        panic!("it goes on for as long as there is something");
    }

    #[tokio::test]
    async fn a_withdrawn_token_breaks_off_in_the_middle_of_history() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, "one").unwrap();
        let access = Access::from_file(&path).unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("Bearer one"))]);
        let admission = access.admit(&Method::GET, "/", &headers).unwrap();
        let peer = Peer { place: Arc::new(Place::new(Medium::Tcp, "")), address: None };
        let client = Client::of(&peer, admission, &Limits::default(), &Arc::default());
        // There is always more of it.
        let history = futures::stream::repeat_with(|| Ok::<_, Error>(Frame::topic("a").unwrap().with_id(FrameId::MIN)));
        let mut follower = WhileWelcome::new(history, client.follow().unwrap());
        let mut given = || follower.next().now_or_never().unwrap();
        for left in ["one", "read-only one"] {
            std::fs::write(&path, left).unwrap();
            access.reload().unwrap();
            assert!(given().unwrap().is_ok(), "{left}");
        }
        std::fs::write(&path, "two").unwrap();
        assert!(given().unwrap().is_ok(), "nobody asked for it");
        access.reload().unwrap();
        assert_eq!(given().unwrap().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(given().is_none() && given().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_stop_it_goes_on() {
        let stream = open().await;
        let (_, orphaned) = watch::channel(false);
        let (_stopping, running) = watch::channel(false);
        for stopping in [orphaned, running] {
            let mut follower = UntilStopped::new(stream.read(ReadOptions::new_only()), stopping, None);
            let hour = Duration::from_secs(3600);
            assert!(tokio::time::timeout(hour, follower.next()).await.is_err());
            append(&stream, "a").await;
            assert_eq!(follower.next().await.unwrap().unwrap().topic.as_str(), "a");
        }
    }
}
