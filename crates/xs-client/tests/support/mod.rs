//! Servers for the client to talk to: real ones, and some that are not.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xs_client::{Client, ClientOptions, Endpoint};
use xs_core::{Frame, FrameId};
use xs_server::{Binding, Exposure, Listener, Server};

/// A client that is quick to come back.
pub(crate) fn client(endpoint: Endpoint) -> Client {
    let options = ClientOptions::new().backoff_min(Duration::from_millis(1)).backoff_max(Duration::from_millis(20));
    Client::with_options(endpoint, options).unwrap()
}

/// A running server of a store.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<xs::Result<()>>,
    /// Where it listens on TCP.
    pub(crate) tcp: Endpoint,
}

impl Running {
    /// Serves the store in `path` at its socket, and on TCP.
    pub(crate) async fn start(path: &Path) -> Self {
        Self::start_at(path, &path.join("sock")).await
    }

    /// Serves the store in `path` at a socket elsewhere, and on TCP.
    pub(crate) async fn start_at(path: &Path, socket: &Path) -> Self {
        let stream = xs::open(path).await.unwrap();
        let tcp = Listener::bind(&Exposure::Tcp("127.0.0.1:0".to_owned()), &Binding::default()).await.unwrap();
        let endpoint = tcp.name().parse().unwrap();
        let mut listeners = Vec::new();
        if cfg!(unix) {
            listeners.push(Listener::bind(&Exposure::Socket(socket.to_owned()), &Binding::default()).await.unwrap());
        }
        listeners.push(tcp);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(Server::new(stream, listeners).run(async move { drop(stopped.await) }));
        Self { stop, serving, tcp: endpoint }
    }

    /// Stops it, and waits until the store is free.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.serving.await.unwrap().unwrap();
    }
}

/// A directory, and the place of a store in it.
pub(crate) fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    (dir, path)
}

/// A server that does what a test wants, and so nothing that a server should.
pub(crate) struct Fake(TcpListener);

impl Fake {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.0.local_addr().unwrap().to_string().parse().unwrap()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Talk<TcpStream> {
        Talk(self.0.accept().await.unwrap().0)
    }
}

/// A connection, from the server's side.
pub(crate) struct Talk<T>(pub(crate) T);

impl<T: AsyncRead + AsyncWrite + Unpin> Talk<T> {
    /// The head of the next request, byte by byte, so that the rest stays unread; empty where the client
    /// has gone.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return String::new(),
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads on until this has come.
    pub(crate) async fn until(&mut self, end: &[u8]) {
        let mut read = Vec::new();
        while !read.ends_with(end) {
            read.push(self.0.read_u8().await.unwrap());
        }
    }

    /// Sends this, if the client is still there.
    pub(crate) async fn send(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    /// Answers with this status and body, the last on this connection.
    pub(crate) async fn answer(&mut self, status: &str, body: &str) {
        let length = body.len();
        self.send(&format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")).await;
    }

    /// Begins an answer that may take for ever.
    pub(crate) async fn begin(&mut self) {
        self.send("HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n").await;
    }

    /// Sends frames of an answer that has begun.
    pub(crate) async fn frames(&mut self, frames: &[Frame]) {
        let lines: String = frames.iter().map(|frame| format!("{}\n", frame.to_json().unwrap())).collect();
        self.send(&format!("{:x}\r\n{lines}\r\n", lines.len())).await;
    }

    /// Ends it.
    pub(crate) async fn end(&mut self) {
        self.send("0\r\n\r\n").await;
    }

    /// Waits until the client has gone.
    pub(crate) async fn gone(&mut self) {
        let mut rest = [0; 1024];
        while self.0.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }
}

pub(crate) fn id(n: u128) -> FrameId {
    FrameId::from_u128(n << 32)
}

/// A frame that nobody has appended.
pub(crate) fn frame(n: u128) -> Frame {
    Frame::topic("t").unwrap().with_id(id(n))
}

/// The error that a server answers with.
pub(crate) fn error(kind: &str, message: &str) -> String {
    format!(r#"{{"error":{{"kind":"{kind}","message":"{message}"}}}}"#)
}
