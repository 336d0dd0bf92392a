//! The bytes of one connection, and what is watched on their way: a client that takes nothing is dropped, and
//! one that was answered early is given the time to read the answer.

mod patience;

use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use self::patience::{Patience, Tired};
use crate::limits::{LINGER, TAKEN_BYTES_PER_SECOND_MIN};
use crate::listen::Peer;

/// Anything that carries bytes both ways.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    /// Writes as much as there is room for, also while a write by the other way waits: that goes on only when there
    /// is room for a good deal. `WouldBlock` where there is none, or nothing but that other way to find out.
    fn write_now(&self, _pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Wire for TcpStream {
    #[cfg(unix)]
    fn write_now(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        send_now(self, pieces)
    }
}

#[cfg(unix)]
impl Wire for UnixStream {
    fn write_now(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        send_now(self, pieces)
    }
}

impl Wire for TlsStream<Io> {}

impl Wire for Io {}

#[cfg(test)]
impl Wire for tokio::io::DuplexStream {}

/// Past tokio, which asks the kernel nothing until that has called the socket writable.
#[cfg(unix)]
fn send_now(socket: impl std::os::fd::AsFd, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    let flags = SendFlags::DONTWAIT;
    // A client that has gone is an error, and no signal.
    #[cfg(not(target_vendor = "apple"))]
    let flags = flags | SendFlags::NOSIGNAL;
    sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags).map_err(io::Error::from)
}

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
    patience: Patience,
    /// Set once all is written: until when what still comes is thrown away.
    leaving: Option<Pin<Box<Sleep>>>,
}

impl Io {
    pub(crate) fn new(wire: Box<dyn Wire>, peer: Peer, unread: Unread, write_timeout: Duration) -> Self {
        // As for bodies: whoever is on this machine may take its time.
        let rate_min = NonZeroU64::new(TAKEN_BYTES_PER_SECOND_MIN).filter(|_| !peer.is_local());
        Self { wire, peer, unread, patience: Patience::new(write_timeout, rate_min), leaving: None }
    }

    /// The outcome of a write, which fails once the client has been waited for too long.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = match written {
            Poll::Pending => ready!(self.wait(cx, pieces)),
            Poll::Ready(written) => written,
        };
        if let Ok(bytes) = written {
            self.patience.took(bytes);
        }
        Poll::Ready(written)
    }

    /// Ready when a write that waits has found room for some of it, or has waited for too long.
    fn wait(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.patience.poll_look(cx));
            match self.wire.write_now(pieces) {
                Ok(0) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                written => return Poll::Ready(written),
            }
            let peer = &self.peer;
            match self.patience.tired() {
                None => continue,
                Some(Tired::Nothing(after)) => {
                    tracing::warn!(%peer, ?after, "a client takes nothing of what it is sent: dropping it");
                }
                Some(Tired::Slow(least)) => {
                    tracing::warn!(%peer, bytes_per_second_min = %least, "a client takes too little: dropping it");
                }
            }
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
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
        self.written(cx, &[IoSlice::new(bytes)], written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write_vectored(cx, pieces);
        self.written(cx, pieces, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets keep nothing back: it is writes that wait.
        Pin::new(&mut self.wire).poll_flush(cx)
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
    use std::sync::atomic::AtomicUsize;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::listen::{Medium, Place};

    fn io_over(wire: impl Wire + 'static, from: Option<&str>, timeout_ms: u64) -> (Io, Unread) {
        let address = from.map(|address| address.parse().unwrap());
        let peer = Peer { place: Arc::new(Place::new(Medium::Tcp, "")), address };
        let unread = Unread::default();
        (Io::new(Box::new(wire), peer, unread.clone(), Duration::from_millis(timeout_ms)), unread)
    }

    fn io(timeout_ms: u64) -> (Io, Unread, DuplexStream) {
        let (wire, client) = duplex(1024);
        let (io, unread) = io_over(wire, None, timeout_ms);
        (io, unread, client)
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
        assert!(io.patience.is_at_rest(), "a timer is set while nothing waits");
        let start = tokio::time::Instant::now();
        let error = io.write_all(&[7; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((1000..1100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }

    /// A wire that is never called writable, however much room there is.
    struct Reluctant {
        room: Arc<AtomicUsize>,
    }

    impl Wire for Reluctant {
        fn write_now(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
            let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>().min(self.room.load(Ordering::Relaxed));
            self.room.fetch_sub(bytes, Ordering::Relaxed);
            if bytes > 0 { Ok(bytes) } else { Err(io::ErrorKind::WouldBlock.into()) }
        }
    }

    impl AsyncRead for Reluctant {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Reluctant {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_too_little_to_be_writable_is_not_dropped() {
        let room = Arc::new(AtomicUsize::new(0));
        let (mut io, _) = io_over(Reluctant { room: Arc::clone(&room) }, None, 1000);
        let writing = tokio::spawn(async move {
            let pieces = [IoSlice::new(&[7; 40]), IoSlice::new(&[7; 40])];
            assert_eq!(io.write_vectored(&pieces).await.unwrap(), 50, "more than one piece at a time");
            io.write_all(&[7; 50]).await.unwrap();
            let start = tokio::time::Instant::now();
            let error = io.write_all(&[7]).await.unwrap_err();
            (error.kind(), start.elapsed().as_millis())
        });
        for bytes in [50, 10, 10, 10, 10, 10] {
            tokio::time::sleep(Duration::from_millis(900)).await;
            room.fetch_add(bytes, Ordering::Relaxed);
        }
        let (error, ms) = writing.await.unwrap();
        assert_eq!(error, io::ErrorKind::TimedOut);
        assert!((1000..1100).contains(&ms), "{ms}");
        assert_eq!(room.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_from_afar_may_not_take_a_byte_now_and_then_and_one_of_this_machine_may() {
        let afar = Some("10.0.0.1:1");
        for (from, bytes, stays) in
            [(None, 1, true), (Some("127.0.0.1:1"), 1, true), (afar, 1000, true), (afar, 1, false)]
        {
            let (wire, mut client) = duplex(64);
            let (mut io, _) = io_over(wire, from, 1000);
            let writing = tokio::spawn(async move { io.write_all(&vec![7; 64 + 20 * bytes]).await });
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(900)).await;
                if client.read_exact(&mut vec![0; bytes]).await.is_err() {
                    break;
                }
            }
            let written = writing.await.unwrap().map_err(|error| error.kind());
            assert_eq!(written, if stays { Ok(()) } else { Err(io::ErrorKind::TimedOut) }, "{from:?} {bytes}");
        }
    }

    /// What a kernel makes of it: on Linux, three quarters of what waits in the socket would have to be read at once.
    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn a_steady_reader_of_a_socket_is_not_dropped() {
        use std::io::Read as _;
        let (wire, mut client) = std::os::unix::net::UnixStream::pair().unwrap();
        for socket in [&wire, &client] {
            socket.set_nonblocking(true).unwrap();
        }
        let (mut io, _) = io_over(UnixStream::from_std(wire).unwrap(), None, 1000);
        let writing = tokio::spawn(async move { io.write_all(&vec![7; 1 << 20]).await });
        let (mut bytes, mut read) = (vec![0; 96 * 1024], 0);
        while !writing.is_finished() {
            tokio::time::sleep(Duration::from_millis(900)).await;
            read += client.read(&mut bytes).unwrap_or(0);
        }
        assert!(writing.await.unwrap().is_ok(), "it was dropped after {read} bytes");
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
