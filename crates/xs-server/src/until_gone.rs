//! A connection that ends when its client has gone, also while the client waits for an answer: nobody would take what
//! a follower has to say, or what an append is answered with.
//!
//! hyper looks for that by itself, by reading on. It gets itself 8 KiB for it, for every request, because the head
//! of the request still has its buffer; they would stay with each follower, and are most of what routing a small
//! append costs. So it is told not to (`half_close`), and a byte is enough here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Unread, Wire};

/// A connection as HTTP sees it, above TLS.
pub(crate) struct UntilGone {
    wire: Box<dyn Wire>,
    unread: Unread,
    /// hyper waits for bytes, and sees by itself when none will come.
    is_awaited: bool,
    look: Look,
}

/// How far the end of the connection is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Not yet: a request has begun that is not read to its end, or none has.
    Not,
    /// From when all of a request is read, until hyper reads again.
    Out,
    /// No more: this byte was there, which begins the next request.
    Found(u8),
}

impl UntilGone {
    pub(crate) fn new(wire: Box<dyn Wire>, unread: Unread) -> Self {
        Self { wire, unread, is_awaited: false, look: Look::Not }
    }

    /// Fails once the client has gone while it is being answered. hyper flushes each time that it has nothing else
    /// to do.
    fn look_out(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.look {
            Look::Not if self.is_awaited || self.unread.get() => return Ok(()),
            Look::Not | Look::Out => self.look = Look::Out,
            Look::Found(_) => return Ok(()),
        }
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        match Pin::new(&mut self.wire).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(()),
            Poll::Ready(read) => read?,
        }
        match buffer.filled() {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            [byte, ..] => {
                self.look = Look::Found(*byte);
                Ok(())
            }
        }
    }
}

impl AsyncRead for UntilGone {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Look::Found(byte) = self.look {
            if buffer.remaining() > 0 {
                buffer.put_slice(&[byte]);
                self.look = Look::Not;
            }
            return Poll::Ready(Ok(()));
        }
        self.look = Look::Not;
        let read = Pin::new(&mut self.wire).poll_read(cx, buffer);
        self.is_awaited = read.is_pending();
        read
    }
}

impl AsyncWrite for UntilGone {
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
        let flushed = Pin::new(&mut self.wire).poll_flush(cx);
        match self.look_out(cx) {
            Ok(()) => flushed,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
