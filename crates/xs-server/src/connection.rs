//! The bytes of one connection, and what is watched on their way: a client that takes nothing is dropped, and
//! one that was answered early is given the time to read the answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::limits::LINGER;
use crate::listen::Peer;

/// Anything that carries bytes both ways.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Bytes have come that no request has accounted for: a head that is not complete, or a body that nobody
/// reads to its end. Only ever a hint, of how to close and what to say of it: nothing else is ordered by it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    unread: AtomicBool,
    /// It was so when the last request was answered.
    left: AtomicBool,
}

impl Unread {
    pub(crate) fn set(&self, unread: bool) {
        self.0.unread.store(unread, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }

    /// A request is answered.
    pub(crate) fn answered(&self) {
        self.0.left.store(self.get(), Ordering::Relaxed);
    }

    /// Whether it can be nothing but a head. Behind an answer that left something unread it may be the rest of
    /// that body, which hyper reads and drops before the connection idles. A client that does not wait for
    /// its answers may have sent a part of the next head by then, which is not told apart.
    pub(crate) fn is_head(&self) -> bool {
        self.get() && !self.0.left.load(Ordering::Relaxed)
    }
}

/// A connection as it comes from a listener, below TLS.
pub(crate) struct Io {
    wire: Box<dyn Wire>,
    peer: Peer,
    unread: Unread,
    write_timeout: Duration,
    /// Only while a write waits: as long as the client takes what it is sent, no timer is set.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Set once all is written: until when what still comes is thrown away.
    leaving: Option<Pin<Box<Sleep>>>,
}

impl Io {
    pub(crate) fn new(wire: Box<dyn Wire>, peer: Peer, unread: Unread, write_timeout: Duration) -> Self {
        Self { wire, peer, unread, write_timeout, stalled: None, leaving: None }
    }

    /// The outcome of a write, which fails once the client has taken nothing for too long.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.wait(cx).map(Err),
            ready => {
                self.stalled = None;
                ready
            }
        }
    }

    /// Ready with an error when a write has waited for too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        tracing::warn!(peer = %self.peer, after = ?timeout, "a client takes nothing of what it is sent: dropping it");
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    /// Reads on until the client is through, or for a moment: closing before would reset the connection, and
    /// the client might never see what it was answered.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let leaving = self.leaving.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut bytes = [0; 4096];
        while leaving.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.wire).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.wire).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.unread.set(true);
        }
        read
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write_vectored(cx, pieces);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.wire).poll_flush(cx) {
            Poll::Pending => self.wait(cx).map(Err),
            ready => ready,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.leaving.is_none() {
            ready!(Pin::new(&mut self.wire).poll_shutdown(cx))?;
            if !self.unread.get() {
                return Poll::Ready(Ok(()));
            }
        }
        self.linger(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::listen::{Medium, Place};

    fn io(timeout_ms: u64) -> (Io, Unread, DuplexStream) {
        let (wire, client) = duplex(1024);
        let peer = Peer { place: Arc::new(Place::new(Medium::Socket, "")), address: None };
        let unread = Unread::default();
        (Io::new(Box::new(wire), peer, unread.clone(), Duration::from_millis(timeout_ms)), unread, client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_dropped_and_a_slow_one_is_not() {
        let (mut io, _, mut client) = io(1000);
        let writing = tokio::spawn(async move {
            let result = io.write_all(&[7; 4096]).await;
            (result, io)
        });
        // It takes something each time before it is too late.
        let mut bytes = [0; 1024];
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(900)).await;
            client.read_exact(&mut bytes).await.unwrap();
        }
        let (result, mut io) = writing.await.unwrap();
        result.unwrap();
        assert!(io.stalled.is_none(), "a timer is set while nothing waits");
        let start = tokio::time::Instant::now();
        let error = io.write_all(&[7; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((1000..1100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_still_comes_is_read_before_the_end_but_not_for_long() {
        let (mut io, unread, mut client) = io(1000);
        unread.set(true);
        let closing = tokio::spawn(async move { io.shutdown().await });
        // More than fits between the two, so that somebody has to read it.
        client.write_all(&[7; 8192]).await.unwrap();
        let start = tokio::time::Instant::now();
        closing.await.unwrap().unwrap();
        assert!(start.elapsed() < LINGER * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_at_rest_closes_at_once() {
        let (mut io, _, _client) = io(1000);
        let start = tokio::time::Instant::now();
        io.shutdown().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
