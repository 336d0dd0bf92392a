//! Over the server's Unix socket beside the same calls in process.
//!
//! Server and clients are tasks of this process, on the runtime that the calls in process run on too, and
//! both sides use one open stream: what differs is the HTTP alone. The clients send bytes that were made
//! before, and look no further into an answer than to find its end, so that they cost next to nothing.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use futures::future::join_all;
use memchr::memmem;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xs::{EventStream, Meta, OpenOptions, ReadOptions, Topic};
use xs_server::{Binding, Exposure, Listener, Server};

use crate::{Bar, fill, judge, median, new_frame, seconds};

const ROUNDS: usize = 9;
const CONNECTIONS: usize = 64;
const FRAMES_EACH: usize = 400;
const TOPIC: &str = "bench.append";
/// The meta of a frame as an application writes it, as the header takes it.
const META: &str = "eyJwYXRoIjoiL3Vzci9zaGFyZS9kb2MvcmVhZG1lIiwic2VxdWVuY2UiOjAsInNvdXJjZSI6ImJlbmNoIn0=";

const READ_ROUNDS: usize = 5;
/// What is taken from a socket at a time.
const READ_BYTES: usize = 256 << 10;

/// A server in this process.
struct Running {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<xs::Result<()>>,
}

impl Running {
    async fn start(stream: &EventStream, socket: &Path) -> xs::Result<Self> {
        let listener = Listener::bind(&Exposure::Socket(socket.to_owned()), &Binding::default()).await?;
        // Without frames of its own, which would come between those that are counted.
        let server = Server::new(stream.clone(), vec![listener]).announce(false);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(async move {
            // Dropping the sender stops it as well.
            let _ = stopped.await;
        }));
        Ok(Self { stop, serving })
    }

    /// Stops it, which closes the stream.
    async fn stop(self) -> xs::Result<()> {
        let _ = self.stop.send(());
        self.serving.await.expect("a task")
    }
}

/// A connection that is kept alive.
struct Connection {
    socket: UnixStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(path: &Path) -> Self {
        let socket = UnixStream::connect(path).await.expect("a connection");
        Self { socket, answer: Vec::with_capacity(4096) }
    }

    /// Sends a request, and takes all of its answer.
    async fn call(&mut self, request: &[u8]) {
        self.socket.write_all(request).await.expect("a request is sent");
        self.answer.clear();
        while !is_whole(&self.answer) {
            let read = self.socket.read_buf(&mut self.answer).await.expect("an answer");
            assert!(read > 0, "the server closed the connection");
        }
        assert!(self.answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.answer));
    }
}

/// Whether an answer has come to the end that its `content-length` tells.
fn is_whole(answer: &[u8]) -> bool {
    const LENGTH: &[u8] = b"content-length: ";
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return false };
    let length = memmem::find(&answer[..end], LENGTH).expect("a length") + LENGTH.len();
    let digits = answer[length..end].iter().take_while(|byte| byte.is_ascii_digit());
    answer.len() >= end + 4 + digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}

/// Frames a second, from as many tasks at once.
async fn rate<F: Future<Output = ()> + Send + 'static>(appenders: Vec<F>) -> f64 {
    let count = appenders.len() * FRAMES_EACH;
    let start = Instant::now();
    for done in join_all(appenders.into_iter().map(tokio::spawn)).await {
        done.expect("a task");
    }
    count as f64 / seconds(start)
}

async fn in_process(stream: &EventStream) -> f64 {
    let appender = || {
        let stream = stream.clone();
        async move {
            for n in 0..FRAMES_EACH {
                stream.append(new_frame(TOPIC, n), ()).await.expect("an append");
            }
        }
    };
    rate((0..CONNECTIONS).map(|_| appender()).collect()).await
}

async fn over_socket(path: &Path) -> f64 {
    let request =
        format!("POST /append/{TOPIC} HTTP/1.1\r\nhost: localhost\r\nxs-meta: {META}\r\ncontent-length: 0\r\n\r\n");
    let connections = join_all((0..CONNECTIONS).map(|_| Connection::open(path))).await;
    let appender = |mut connection: Connection| {
        let request = request.clone();
        async move {
            for _ in 0..FRAMES_EACH {
                connection.call(request.as_bytes()).await;
            }
        }
    };
    rate(connections.into_iter().map(appender).collect()).await
}

async fn append(index: &str, dir: &Path) -> xs::Result<()> {
    let stream = OpenOptions::new().index(index).open(dir.join("append")).await?;
    let path = dir.join("append.sock");
    let server = Running::start(&stream, &path).await?;
    let (mut ratios, mut last) = (Vec::new(), (0.0, 0.0));
    for _ in 0..ROUNDS {
        let (within, over) = (in_process(&stream).await, over_socket(&path).await);
        println!("{index}: server: append: frames/s: in process {within:.0}, over the socket {over:.0}");
        ratios.push(over / within);
        last = (within, over);
    }
    let frame = stream.last(Topic::parse(TOPIC)?).await?.expect("a frame");
    let size = |meta: Option<Meta>| meta.map(|meta| meta.as_str().len());
    assert_eq!(size(frame.meta), size(new_frame(TOPIC, 0).meta), "both sides append frames of one size");
    println!("{index}: server: append: last round, frames/s: in process {:.0}, over the socket {:.0}", last.0, last.1);
    let what = format!("{index}: server: durable appends from {CONNECTIONS} connections, rate in that in process");
    judge(&what, median(ratios), "", Bar::AtLeast(0.7));
    server.stop().await
}

/// Reads the body of `GET /`, chunk by chunk, and gives the number of its lines.
async fn cat(path: &Path, query: &str) -> usize {
    let mut socket = UnixStream::connect(path).await.expect("a connection");
    let request = format!("GET /{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("a request is sent");
    let mut socket = BufReader::with_capacity(READ_BYTES, socket);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(socket.read_line(&mut line).await.expect("a head") > 0, "the server closed the connection");
    }
    let (mut lines, mut chunk) = (0, Vec::new());
    loop {
        line.clear();
        socket.read_line(&mut line).await.expect("a chunk");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("the length of a chunk");
        chunk.resize(length + 2, 0);
        socket.read_exact(&mut chunk).await.expect("a chunk");
        if length == 0 {
            return lines;
        }
        lines += chunk[..length].iter().filter(|byte| **byte == b'\n').count();
    }
}

async fn read(index: &str, frames: usize, dir: &Path) -> xs::Result<()> {
    let store = dir.join("read");
    let stream = OpenOptions::new().index(index).open(&store).await?;
    fill(&stream, "bench.read", frames).await?;
    let path = dir.join("read.sock");
    let server = Running::start(&stream, &path).await?;
    let (mut ratios, mut last) = (Vec::new(), (0.0, 0.0));
    for _ in 0..READ_ROUNDS {
        let start = Instant::now();
        let mut all = stream.read(ReadOptions::default());
        let mut count = 0;
        while let Some(frame) = all.try_next().await? {
            count += 1;
            std::hint::black_box(frame);
        }
        let within = count as f64 / seconds(start);
        let start = Instant::now();
        assert_eq!(cat(&path, "").await, count);
        let over = count as f64 / seconds(start);
        ratios.push(over / within);
        last = (within, over);
    }
    println!("{index}: server: GET /: last round, frames/s: in process {:.0}, over the socket {:.0}", last.0, last.1);
    let what = format!("{index}: server: GET / of {frames} frames, rate in that of the reader in process");
    judge(&what, median(ratios), "", Bar::AtLeast(0.5));
    server.stop().await?;
    memory(index, &store, &path).await;
    Ok(())
}

/// What a server holds while it gives out everything: one in a process of its own.
async fn memory(index: &str, store: &Path, path: &Path) {
    let exe = std::env::current_exe().expect("this program");
    let mut child = Command::new(exe).arg("server-child").args([store, path]).spawn().expect("a child");
    while UnixStream::connect(path).await.is_err() {
        assert!(child.try_wait().expect("a child").is_none(), "the server ended by itself");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cat(path, "?last=1").await;
    let idle = resident_mib(&child, "VmRSS:");
    // The peak counts from here, not from what opening the store took.
    std::fs::write(format!("/proc/{}/clear_refs", child.id()), "5").expect("Linux");
    let frames = cat(path, "").await;
    let peak = resident_mib(&child, "VmHWM:");
    child.kill().and_then(|()| child.wait()).expect("a child");
    let what = format!("{index}: server: memory for GET / of {frames} frames above the idle server's {idle:.1} MiB");
    judge(&what, peak - idle, " MiB", Bar::AtMost(32.0));
}

fn resident_mib(child: &Child, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of that name");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib / 1024.0
}

/// Serves a store until it is killed.
pub(crate) async fn child(store: &Path, path: &Path) -> xs::Result<()> {
    let stream = xs::open(store).await?;
    let server = Running::start(&stream, path).await?;
    server.serving.await.expect("a task")
}

pub(crate) async fn run(index: &str, frames: usize) -> xs::Result<()> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    append(index, dir.path()).await?;
    read(index, frames, dir.path()).await
}
