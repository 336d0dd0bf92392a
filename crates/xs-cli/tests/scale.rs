//! A thousand followers of the built server: what each costs while nothing happens, and that each gets
//! every frame once while a thousand a second come in.
//!
//! That a server takes so many depends on the machine, and is asked for apart:
//!
//! ```sh
//! XS_TEST_RATE=1 cargo test --release --all-features -p xs-cli --test scale a_thousand -- --nocapture
//! ```
// Every feature, as with the main job: once is enough for what takes its time.
#![cfg(all(
    target_os = "linux",
    feature = "fjall",
    feature = "redb",
    feature = "sqlite",
    feature = "cas-fs",
    feature = "cas-object"
))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use support::{PATIENCE, Server, certificate, content_length, json, ok, skipped};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use xs::{ReadOptions, THRESHOLD_TOPIC, Topic};
use xs_client::{Client, ClientOptions, Endpoint, FrameStream};

const FOLLOWERS: usize = 1000;
/// Over TCP, and over TLS.
const REMOTE_FOLLOWERS: usize = 300;
const TOPIC: &str = "scale.frame";
const APPENDERS: usize = 10;
const FRAMES_EACH: usize = 300;
/// Between two frames of one appender: all of them offer 1,250 a second.
const PACE: Duration = Duration::from_millis(8);
/// Appends a second that are taken meanwhile, where that is asked for.
const RATE_MIN: f64 = 1000.0;
/// Above what the server had before the first of them.
const KIB_PER_FOLLOWER_MAX: f64 = 64.0;
/// The followers here, as many connections in the server, and what both need beside.
const OPEN_FILES: u64 = 4096;

/// As text. A thousand times all frames are many.
type Id = [u8; 25];

/// Whether as many files may be open as are needed here. What is allowed is inherited by servers that start later.
fn may_open_files() -> bool {
    let open_files = rlimit::increase_nofile_limit(OPEN_FILES).unwrap();
    if open_files < OPEN_FILES {
        skipped(&format!("{FOLLOWERS} followers need {OPEN_FILES} open files, {open_files} are allowed"));
    }
    open_files >= OPEN_FILES
}

/// A connection that follows, and the ids of the events that it got.
struct Follower {
    socket: UnixStream,
    unread: Vec<u8>,
    ids: Vec<Id>,
}

impl Follower {
    /// One that has read history and waits for what comes.
    async fn start(socket: &Path) -> Self {
        let mut socket = UnixStream::connect(socket).await.unwrap();
        let request =
            format!("GET /?follow&topic={TOPIC} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut follower = Self { socket, unread: Vec::with_capacity(4096), ids: Vec::new() };
        // There is no history, so that the first event is the threshold.
        while follower.ids.is_empty() {
            follower.read().await;
        }
        follower.ids.clear();
        follower
    }

    /// Takes what has come. The server sends whole events, so that the head of a chunk is a line of its own.
    async fn read(&mut self) {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.unread)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing comes after {} frames", self.ids.len())).unwrap();
        assert!(read > 0, "a follower was cut off after {} frames", self.ids.len());
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.unread) {
            if let Some(id) = self.unread[start..end].strip_prefix(b"id: ") {
                self.ids.push(Id::try_from(id).unwrap());
            }
            start = end + 1;
        }
        self.unread.drain(..start);
    }

    /// The ids of so many events.
    async fn events(mut self, count: usize) -> Vec<Id> {
        while self.ids.len() < count {
            self.read().await;
        }
        self.ids
    }
}

/// Appends a frame, and gives its id.
async fn append(connection: &mut BufReader<UnixStream>) -> Id {
    let request = format!("POST /append/{TOPIC} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(connection.read_line(&mut head).await.unwrap() > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = vec![0; content_length(&head)];
    connection.read_exact(&mut body).await.unwrap();
    Id::try_from(json(std::str::from_utf8(&body).unwrap())["id"].as_str().unwrap().as_bytes()).unwrap()
}

/// Appends frames at its pace, or as fast as the server takes them where that is slower.
async fn appender(socket: PathBuf) -> Vec<Id> {
    let mut connection = BufReader::new(UnixStream::connect(socket).await.unwrap());
    let mut tick = interval(PACE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut ids = Vec::new();
    for _ in 0..FRAMES_EACH {
        tick.tick().await;
        ids.push(append(&mut connection).await);
    }
    ids
}

#[tokio::test]
async fn a_thousand_followers_cost_little_and_lose_nothing() {
    if !may_open_files() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let socket = server.socket();
    let resident_kib = || server.memory_kib("VmRSS") as f64;
    // Whatever the first of them makes once for all.
    drop(Follower::start(&socket).await);
    let before = resident_kib();
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        followers.push(Follower::start(&socket).await);
    }
    let each = (resident_kib() - before) / FOLLOWERS as f64;
    println!("{FOLLOWERS} idle followers: {each:.1} KiB each");
    assert!(each < KIB_PER_FOLLOWER_MAX, "an idle follower costs {each:.1} KiB");

    let count = APPENDERS * FRAMES_EACH;
    let start = Instant::now();
    // One more is appended when all others are: a follower that got one of those twice lacks it.
    let followers: Vec<_> = followers.into_iter().map(|follower| tokio::spawn(follower.events(count + 1))).collect();
    let appenders: Vec<_> = (0..APPENDERS).map(|_| tokio::spawn(appender(socket.clone()))).collect();
    let mut appended = Vec::new();
    for ids in appenders {
        appended.extend(ids.await.unwrap());
    }
    let appending = start.elapsed().as_secs_f64();
    appended.sort();
    appended.push(append(&mut BufReader::new(UnixStream::connect(&socket).await.unwrap())).await);
    for follower in followers {
        let got = follower.await.unwrap();
        assert!(got == appended, "a follower lost or repeated a frame: {} of {}", got.len(), appended.len());
    }
    let all = start.elapsed().as_secs_f64();
    let rate = count as f64 / appending;
    println!(
        "{count} frames appended at {rate:.0}/s, {:.0} deliveries/s, {:.1} KiB each after it",
        (count * FOLLOWERS) as f64 / all,
        (resident_kib() - before) / FOLLOWERS as f64,
    );
    if std::env::var_os("XS_TEST_RATE").is_some_and(|value| value == "1") {
        assert!(rate >= RATE_MIN, "{rate:.0} appends a second were taken");
    }
    assert!(server.terminate().success());
}

/// A follower from elsewhere that has read history and waits for what comes.
async fn remote(client: &Client) -> FrameStream {
    let options = ReadOptions { threshold: true, ..ReadOptions::follow() };
    let mut follower = client.read(options.filter(Topic::parse(TOPIC).unwrap()));
    let first = timeout(PATIENCE, follower.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.topic.as_str(), THRESHOLD_TOPIC);
    follower
}

#[tokio::test]
async fn followers_over_the_network_cost_little_too() {
    if !may_open_files() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(dir.path(), "served");
    let tls = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    // What one server has freed would hide what the next followers take.
    let ways: [(&str, &str, &[&str]); 2] = [("http", "127.0.0.1:0", &[]), ("https", "tls://127.0.0.1:0", &tls)];
    for (scheme, expose, flags) in ways {
        let server = Server::start_with(&dir.path().join(scheme), &[&["--expose", expose][..], flags].concat());
        let place = server.exposed().remove(0);
        let endpoint = format!("{scheme}://localhost:{}", place.rsplit_once(':').unwrap().1);
        let endpoint: Endpoint = endpoint.parse().unwrap();
        let client = Client::with_options(endpoint, ClientOptions::new().ca_file(&cert)).unwrap();
        let resident_kib = || server.memory_kib("VmRSS") as f64;
        drop(remote(&client).await);
        let before = resident_kib();
        let mut followers = Vec::new();
        for _ in 0..REMOTE_FOLLOWERS {
            followers.push(remote(&client).await);
        }
        let each = (resident_kib() - before) / REMOTE_FOLLOWERS as f64;
        println!("{REMOTE_FOLLOWERS} idle followers over {scheme}: {each:.1} KiB each");
        assert!(each < KIB_PER_FOLLOWER_MAX, "an idle follower over {scheme} costs {each:.1} KiB");
        let frame = json(&ok(&["append", server.addr(), TOPIC], b""));
        for mut follower in followers {
            let got = timeout(PATIENCE, follower.next()).await.unwrap().unwrap().unwrap();
            assert_eq!(frame["id"], got.id.to_string());
        }
        assert!(server.terminate().success());
    }
}
