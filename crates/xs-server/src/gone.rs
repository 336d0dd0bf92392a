//! Whether the client of a follower is still there: where there is nothing to send, no write would tell.
//!
//! hyper can look for that by itself, for every request that waits for its answer, by reading on. It gets itself 8 KiB
//! for it each time, because the head of the request still has its buffer: a good part of what a small append costs,
//! and half of what an idle follower holds. So it is told not to (`half_close`), and it is looked for here, only where
//! somebody follows. Whoever has closed its side behind a request gets the answer; who does not take it is noticed by
//! that.
//!
//! The end comes behind whatever else was sent, so that is read, too, and kept for hyper: the next requests are
//! answered when their turn comes. What is kept is bounded. A follower whose client sends more than that ends as if the
//! client had closed its side, and the rest is read in its turn: to leave it unread and let the follower go on would be
//! to never notice that the client has gone.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Wire;
use crate::limits::AHEAD_BYTES_MAX;

/// Bytes that are looked for at a time.
const LOOK_BYTES: usize = 512;

/// What a connection and the follower on it know of each other. One task has both, so nothing is ordered by it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gone(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_asked: AtomicBool,
    is_gone: AtomicBool,
}

impl Gone {
    /// Has the connection look out, until what is returned is dropped.
    pub(crate) fn ask(&self) -> Asked {
        // What ended the follower before is not of this one, unless it is found again.
        self.0.is_gone.store(false, Ordering::Relaxed);
        self.0.is_asked.store(true, Ordering::Relaxed);
        Asked(self.clone())
    }

    fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Relaxed)
    }
}

/// Somebody who wants to know whether the client has gone. Polled again when it has.
#[derive(Debug)]
pub(crate) struct Asked(Gone);

impl Asked {
    /// Nothing more comes from the client that anybody waits for: it has closed its side, is not there any more, or
    /// has sent more behind its request than is kept.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.0.is_gone.load(Ordering::Relaxed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.0.is_asked.store(false, Ordering::Relaxed);
    }
}

/// A connection as HTTP sees it, above TLS.
pub(crate) struct Attended {
    wire: Box<dyn Wire>,
    gone: Gone,
    /// hyper waits for bytes since it was polled, and is woken by whatever comes.
    is_awaited: bool,
    /// What was found by looking out, which hyper has yet to read: the next requests, or a body that nobody takes.
    ahead: BytesMut,
    /// Nothing comes behind that.
    is_end: bool,
}

impl Attended {
    pub(crate) fn new(wire: Box<dyn Wire>, gone: Gone) -> Self {
        Self { wire, gone, is_awaited: false, ahead: BytesMut::new(), is_end: false }
    }

    /// Looks whether there is an end. hyper reads, writes and flushes, in this order, each time that it is polled.
    fn look_out(&mut self, cx: &mut Context<'_>) {
        let is_awaited = std::mem::take(&mut self.is_awaited);
        if is_awaited || !self.gone.is_asked() {
            return;
        }
        // Until the wire has nothing more: then whatever comes next wakes the connection.
        while !self.is_end && self.ahead.len() < AHEAD_BYTES_MAX {
            let mut bytes = [MaybeUninit::<u8>::uninit(); LOOK_BYTES];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.wire).poll_read(cx, &mut buffer) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.ahead.extend_from_slice(buffer.filled()),
                Poll::Ready(_) => self.is_end = true,
            }
        }
        if !self.gone.0.is_gone.swap(true, Ordering::Relaxed) {
            cx.waker().wake_by_ref();
        }
    }
}

impl AsyncRead for Attended {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(&this.ahead.split_to(length));
            if this.ahead.is_empty() {
                // Its memory goes with it.
                this.ahead = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if this.is_end {
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.wire).poll_read(cx, buffer);
        this.is_awaited = read.is_pending();
        read
    }
}

impl AsyncWrite for Attended {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look_out(cx);
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
