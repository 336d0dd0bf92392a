//! A server in this process, and clients that speak bytes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xs::{EventStream, Frame, ReadOptions};
use xs_server::{Access, Binding, Exposure, Limits, Listener, Server};

/// Whatever is waited for has come long before this on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Time for a head that is short, and long enough for those that a test sends itself, one after the other.
pub(crate) const NO_REQUEST: Duration = Duration::from_secs(4);

/// A server at its socket and at one more place.
pub(crate) struct Running {
    pub(crate) dir: TempDir,
    pub(crate) stream: EventStream,
    /// Host and port of the other place.
    pub(crate) address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<xs::Result<()>>,
}

impl Running {
    pub(crate) async fn start(limits: Limits) -> Self {
        Self::start_at("127.0.0.1:0", &Binding::default(), limits, Access::open()).await
    }

    pub(crate) async fn start_at(exposure: &str, binding: &Binding, mut limits: Limits, access: Access) -> Self {
        // What hangs at a stop is found by `stop`, and nothing is cut off before.
        limits.grace = PATIENCE * 60;
        let dir = tempfile::tempdir().unwrap();
        let stream = xs::open(dir.path().join("store")).await.unwrap();
        let socket = Exposure::Socket(dir.path().join("store/sock"));
        let socket = Listener::bind(&socket, &Binding::default()).await.unwrap();
        let other = Listener::bind(&exposure.parse().unwrap(), binding).await.unwrap();
        let address = other.name().trim_start_matches("tls://").to_owned();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(stream.clone(), vec![socket, other]).limits(limits).access(access);
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { dir, stream, address, stop, task }
    }

    /// Stops it; what was under way has ended then.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
        self.dir
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    pub(crate) async fn socket(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("store/sock")).await.unwrap()
    }

    /// A request over TCP, and its answer.
    pub(crate) async fn call(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        exchange(self.tcp().await, &request(method, target, headers, body)).await
    }

    /// All frames but the server's own.
    pub(crate) async fn frames(&self) -> Vec<Frame> {
        let all = self.stream.read(ReadOptions::default()).map(Result::unwrap).collect::<Vec<_>>().await;
        all.into_iter().filter(|frame| !frame.topic.as_str().starts_with("xs.")).collect()
    }

    /// Files of content, those that are being written too.
    pub(crate) fn contents(&self) -> usize {
        contents(&self.dir)
    }
}

pub(crate) fn contents(dir: &TempDir) -> usize {
    let entries = std::fs::read_dir(dir.path().join("store/cas")).unwrap().map(|entry| entry.unwrap().path());
    let shards = entries.filter(|path: &PathBuf| path.is_dir());
    shards.map(|shard| std::fs::read_dir(shard).unwrap().count()).sum()
}

/// A request after which the connection ends.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = match (method, body.len()) {
        ("GET" | "HEAD" | "DELETE", 0) => String::new(),
        (_, length) => format!("Content-Length: {length}\r\n"),
    };
    // A header of the test's own comes instead of the usual one.
    let has_host = headers.lines().any(|line| line.to_ascii_lowercase().starts_with("host:"));
    let host = if has_host { "" } else { "Host: localhost\r\n" };
    format!("{method} {target} HTTP/1.1\r\n{host}Connection: close\r\n{length}{headers}\r\n{body}").into_bytes()
}

/// What a server says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The kind and the message of an error.
    pub(crate) fn error(&self) -> (String, String) {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        let part = |name: &str| body["error"][name].as_str().unwrap().to_owned();
        (part("kind"), part("message"))
    }
}

/// All that comes until the other side ends the connection, in whichever way.
pub(crate) async fn rest(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Bytes that came before a reset are in there.
    let _ = timeout(PATIENCE, io.read_to_end(&mut bytes)).await.expect("the connection ends");
    bytes
}

pub(crate) async fn exchange(mut io: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> Answer {
    // The server may answer and close before all of it is sent.
    let _ = io.write_all(request).await;
    Answer::of(&rest(&mut io).await)
}

/// Waits for what another task is about to do.
pub(crate) async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "gave up waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
