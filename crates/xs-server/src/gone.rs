//! Whether the client of a follower is still there: where there is nothing to send, no write would tell.
//!
//! hyper can look for that by itself, for every request that waits for its answer, by reading on. It gets itself 8 KiB
//! for it each time, because the head of the request still has its buffer: a good part of what a small append costs,
//! and half of what an idle follower holds. So it is told not to (`half_close`), and a byte is enough here, only
//! where somebody follows. Whoever has closed its side behind a request gets the answer; who does not take it is
//! noticed by that.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Wire;

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
    /// Nothing more comes from the client: it has closed its side, or is not there any more.
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
    ahead: Ahead,
}

/// What was found by looking out, which hyper has yet to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    Nothing,
    /// The first byte of the next request, or of a body that nobody takes.
    Byte(u8),
    End,
}

impl Attended {
    pub(crate) fn new(wire: Box<dyn Wire>, gone: Gone) -> Self {
        Self { wire, gone, is_awaited: false, ahead: Ahead::Nothing }
    }

    /// Looks whether there is an end. hyper reads, writes and flushes, in this order, each time that it is polled.
    fn look_out(&mut self, cx: &mut Context<'_>) {
        let is_awaited = std::mem::take(&mut self.is_awaited);
        if is_awaited || self.ahead != Ahead::Nothing || !self.gone.is_asked() {
            return;
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        self.ahead = match Pin::new(&mut self.wire).poll_read(cx, &mut buffer) {
            Poll::Pending => return,
            Poll::Ready(Ok(())) => buffer.filled().first().map_or(Ahead::End, |byte| Ahead::Byte(*byte)),
            Poll::Ready(Err(_)) => Ahead::End,
        };
        if self.ahead == Ahead::End {
            self.gone.0.is_gone.store(true, Ordering::Relaxed);
            cx.waker().wake_by_ref();
        }
    }
}

impl AsyncRead for Attended {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.ahead {
            Ahead::Nothing => {
                let read = Pin::new(&mut self.wire).poll_read(cx, buffer);
                self.is_awaited = read.is_pending();
                read
            }
            Ahead::Byte(byte) => {
                if buffer.remaining() > 0 {
                    buffer.put_slice(&[byte]);
                    self.ahead = Ahead::Nothing;
                }
                Poll::Ready(Ok(()))
            }
            Ahead::End => Poll::Ready(Ok(())),
        }
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
