//! Clients that mean no good, or are broken: others are served, and nothing half is stored.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::io::Write;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use support::{Answer, NO_REQUEST, PATIENCE, Running, contents, exchange, request, rest, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use xs::memory::{MemoryCas, MemoryStore};
use xs::{BatchOptions, EventStream, Frame, NewFrame, Settings};
use xs_server::{Binding, Exposure, Limits, Listener, Server};

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// Requests that the server has counted as refused.
async fn refused(server: &Running) -> usize {
    let metrics = server.call("GET", "/metrics", "", "").await.body;
    let count = metrics.lines().find_map(|line| line.strip_prefix("xs_errors_total{kind=\"InvalidInput\"} "));
    count.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

/// Waits for them, and for no more: what hyper refuses is counted when its connection ends.
async fn count_reaches(server: &Running, expected: usize) {
    let start = std::time::Instant::now();
    while refused(server).await < expected {
        assert!(start.elapsed() < PATIENCE, "{} of {expected} are counted", refused(server).await);
    }
    assert_eq!(refused(server).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_come_end_and_hold_up_nobody() {
    let server = Running::start(limits(|limits| limits.header_timeout = NO_REQUEST)).await;
    let mut slow = tokio::task::JoinSet::new();
    for start in ["", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: local"].repeat(50) {
        let mut io = server.tcp().await;
        slow.spawn(async move {
            io.write_all(start.as_bytes()).await.unwrap();
            rest(&mut io).await
        });
    }
    let mut ended = 0;
    while ended < 200 {
        assert_eq!(server.call("GET", "/version", "", "").await.status, 200);
        while let Some(rest) = slow.try_join_next() {
            assert_eq!(rest.unwrap(), b"", "what is no request is not answered");
            ended += 1;
        }
    }
    // A connection on which nothing came is no error.
    count_reaches(&server, 150).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_has_room_when_the_network_has_taken_all_of_its_own() {
    // None of those that are slow ends by itself.
    let server = Running::start(limits(|limits| (limits.connections_max, limits.header_timeout) = (16, PATIENCE * 60)));
    let server = server.await;
    let slow = join_all((0..40).map(|_| async {
        let mut io = server.tcp().await;
        io.write_all(b"G").await.unwrap();
        io
    }));
    let slow = slow.await;
    for _ in 0..50 {
        let answer = exchange(server.socket().await, &request("GET", "/version", "", "")).await;
        assert_eq!(answer.status, 200);
    }
    // One more waits to be accepted, and is served once there is room.
    let mut waiting = server.tcp().await;
    waiting.write_all(&request("GET", "/version", "", "")).await.unwrap();
    drop(slow);
    assert_eq!(Answer::of(&rest(&mut waiting).await).status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused_as_soon_as_it_is() {
    let server = Running::start(limits(|limits| limits.header_bytes_max = 64 * 1024)).await;
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let bombs = [
        // More than is read: nothing of it is an end.
        (431, format!("{get}x: {}", "x".repeat(128 * 1024))),
        (431, format!("GET /{} HTTP/1.1\r\n", "x".repeat(128 * 1024))),
        (431, format!("{get}{}\r\n", "x: y\r\n".repeat(100))),
        (431, format!("{get}xs-meta: {}\r\n\r\n", "x".repeat(2 * 1024 * 1024))),
        (414, format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(66_000))),
        (400, "GET\r\n\r\n".to_owned()),
    ];
    for (status, bomb) in &bombs {
        let answer = exchange(server.tcp().await, bomb.as_bytes()).await;
        assert_eq!(answer.status, *status, "{}", &bomb[..bomb.len().min(60)]);
    }
    count_reaches(&server, bombs.len()).await;
    let answer = server.call("GET", "/version", &format!("x: {}\r\n", "x".repeat(63 * 1024)), "").await;
    assert_eq!(answer.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_a_little_too_large_is_told_which_limit_it_is() {
    let server = Running::start(limits(|limits| limits.header_bytes_max = 64 * 1024)).await;
    let meta = format!("xs-meta: {}\r\n", "x".repeat(64 * 1024));
    let long = format!("/{}", "x".repeat(32 * 1024));
    let content = "x".repeat(1 << 20);
    let cases = [
        (431, "65536", request("GET", "/version", &meta, "")),
        // What still comes is not taken for a request.
        (431, "65536", request("POST", "/append/large", &meta, &content)),
        (431, "64 headers", request("GET", "/version", &"x: y\r\n".repeat(64), "")),
        (414, "32768", request("GET", &long, "", "")),
    ];
    for (status, limit, request) in &cases {
        // A client that would go on: the server ends it.
        let request = String::from_utf8_lossy(request).replace("Connection: close\r\n", "Connection: keep-alive\r\n");
        let answer = exchange(server.tcp().await, request.as_bytes()).await;
        assert_eq!(answer.status, *status, "{limit}");
        let (kind, message) = answer.error();
        assert!(kind == "InvalidInput" && message.contains(limit), "{kind}: {message}");
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
    }
    count_reaches(&server, cases.len()).await;
    assert!(server.frames().await.is_empty());
    server.stop().await;
}

/// A body of 64 KiB of NDJSON, a frame in every 128 bytes: it can be cut off where a line ends.
async fn lines(with_id: bool) -> String {
    let (store, cas) = (MemoryStore::new(), MemoryCas::new());
    let scratch = EventStream::open(std::sync::Arc::new(store), std::sync::Arc::new(cas), Settings::default()).await;
    let scratch = scratch.unwrap();
    let mut text = String::new();
    for _ in 0..512 {
        let frame = scratch.append(Frame::topic("half").unwrap(), ()).await.unwrap();
        let mut line = match with_id {
            true => frame.to_json().unwrap(),
            false => r#"{"topic":"half"}"#.to_owned(),
        };
        line.extend(std::iter::repeat_n(' ', 127 - line.len()));
        text.push_str(&line);
        text.push('\n');
    }
    assert_eq!(text.len(), 64 * 1024);
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_cut_off_stores_nothing_wherever_it_is_cut() {
    let server = Running::start(Limits::default()).await;
    let content = "0123456789abcdef".repeat(4 * 1024);
    let targets = [
        ("/append/half", content.clone()),
        ("/cas", content),
        ("/append", lines(false).await),
        ("/import", lines(true).await),
    ];
    for (target, body) in &targets {
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n");
        for kib in 0..=64 {
            let (sent, _) = body.split_at(kib * 1024);
            let chunks = sent.as_bytes().chunks(1024).map(|chunk| std::str::from_utf8(chunk).unwrap());
            let chunks: String = chunks.map(|chunk| format!("400\r\n{chunk}\r\n")).collect();
            // In chunks it has no end even when all of it is there.
            let mut texts = vec![format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}")];
            if sent.len() < body.len() {
                texts.push(format!("{head}Content-Length: {}\r\n\r\n{sent}", body.len()));
            }
            for text in texts {
                // Gone altogether.
                let mut gone = server.tcp().await;
                gone.write_all(text.as_bytes()).await.unwrap();
                drop(gone);
                // No longer sending, but still there to listen.
                let mut listening = server.tcp().await;
                listening.write_all(text.as_bytes()).await.unwrap();
                listening.shutdown().await.unwrap();
                let said = rest(&mut listening).await;
                assert!(said.is_empty() || Answer::of(&said).status == 400, "{target} at {kib} KiB");
            }
        }
    }
    let version = server.call("GET", "/version", "", "").await;
    assert_eq!(version.status, 200);
    let dir = server.stop().await;
    let stream = xs::open(dir.path().join("store")).await.unwrap();
    assert_eq!(stream.last("half".parse::<xs::Filter>().unwrap()).await.unwrap(), None);
    wait_until("what was left behind is cleared", || contents(&dir) == 0).await;
    stream.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_requests_whole_are_stored() {
    let server = Running::start(Limits::default()).await;
    for (target, body, frames) in [
        ("/append/half", "0123456789abcdef".repeat(4 * 1024), 1),
        ("/append", lines(false).await, 513),
        ("/import", lines(true).await, 1025),
    ] {
        assert_eq!(server.call("POST", target, "", &body).await.status, 200, "{target}");
        assert_eq!(server.frames().await.len(), frames, "{target}");
    }
    assert_eq!(server.contents(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_pauses_for_too_long_is_refused() {
    let server = Running::start(limits(|limits| limits.body_timeout = Duration::from_millis(300))).await;
    for target in ["/append/half", "/cas", "/append", "/import"] {
        let mut io = server.tcp().await;
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
        io.write_all(head.as_bytes()).await.unwrap();
        let answer = Answer::of(&rest(&mut io).await);
        assert_eq!(answer.status, 408, "{target}");
        let (kind, message) = answer.error();
        assert!(kind == "InvalidInput" && message.contains("300ms"), "{kind}: {message}");
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
    }
    assert!(server.frames().await.is_empty());
    wait_until("what was left behind is cleared", || server.contents() == 0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_too_large_is_refused() {
    let server = Running::start(limits(|limits| limits.content_bytes_max = Some(1000))).await;
    let chunks = "64\r\n".to_owned() + &"x".repeat(100) + "\r\n";
    for target in ["/append/large", "/cas"] {
        let by_length = server.call("POST", target, "", &"x".repeat(1001)).await;
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        let in_chunks = exchange(server.tcp().await, format!("{head}{}", chunks.repeat(11)).as_bytes()).await;
        // Nobody has to send what is refused already.
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n");
        let promised = exchange(server.tcp().await, head.as_bytes()).await;
        for answer in [by_length, in_chunks, promised] {
            assert_eq!(answer.status, 413, "{target}");
            let (kind, message) = answer.error();
            assert!(kind == "InvalidInput" && message.contains("1000"), "{kind}: {message}");
        }
    }
    assert!(server.frames().await.is_empty());
    wait_until("what was left behind is cleared", || server.contents() == 0).await;
    assert_eq!(server.call("POST", "/append/large", "", &"x".repeat(1000)).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_reaches_who_is_still_sending() {
    let server = Running::start(limits(|limits| limits.content_bytes_max = Some(1000))).await;
    let mut io = server.tcp().await;
    io.write_all(b"POST /cas HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n").await.unwrap();
    // Sent before the answer is looked at: a connection that were closed at once would be reset, and the
    // answer lost.
    for _ in 0..20 {
        if io.write_all(&[b'x'; 64 * 1024]).await.is_err() {
            break;
        }
    }
    assert_eq!(Answer::of(&rest(&mut io).await).status, 413);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_and_stores_nothing() {
    let server = Running::start(Limits::default()).await;
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for rest in [
        format!("{chunked}ZZ\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}5\r\nhelloX\r\n0\r\n\r\n"),
        format!("{chunked}-5\r\nhello\r\n0\r\n\r\n"),
        format!("{chunked}FFFFFFFFFFFFFFFFFF\r\nhello"),
        format!("{chunked}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000)),
        format!("{chunked}5\r\nhello\r\n0\r\n{}", "x: y\r\n".repeat(20_000)),
        "Transfer-Encoding: gzip\r\n\r\nhello".to_owned(),
        "Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_owned(),
        "Content-Length: -5\r\n\r\nhello".to_owned(),
        "Content-Length: 99999999999999999999999\r\n\r\nhello".to_owned(),
        "Content-Length: 5\r\nHost: localhost\r\n\r\nhello".to_owned(),
        "Content-Length: 5\r\nbad header\r\n\r\nhello".to_owned(),
        "Content-Length: 5\r\nx: \0\r\n\r\nhello".to_owned(),
    ] {
        let text = format!("POST /append/garbage HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{rest}");
        let mut io = server.tcp().await;
        let _ = io.write_all(text.as_bytes()).await;
        // A body without an end is waited for, until it is clear that none comes.
        let _ = io.shutdown().await;
        let said = support::rest(&mut io).await;
        let shown = &rest[..rest.len().min(80)];
        assert!(
            said.is_empty() || (400..500).contains(&Answer::of(&said).status),
            "{shown:?}: {:?}",
            Answer::of(&said)
        );
    }
    for text in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02",
    ] {
        let mut io = server.tcp().await;
        io.write_all(text.as_bytes()).await.unwrap();
        let _ = io.shutdown().await;
        let said = rest(&mut io).await;
        assert!(said.is_empty() || Answer::of(&said).status == 400, "{text:?}");
    }
    assert!(server.frames().await.is_empty());
    wait_until("what was left behind is cleared", || server.contents() == 0).await;
    assert_eq!(server.call("GET", "/version", "", "").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_wait_are_answered_in_turn() {
    let server = Running::start(Limits::default()).await;
    let head = "HTTP/1.1\r\nHost: localhost\r\n";
    let append = format!("POST /append/pipe {head}Content-Length: 5\r\n\r\nhello");
    let get = format!("GET /version {head}\r\n");
    let text = format!("{}GET /version {head}Connection: close\r\n\r\n", (append + &get).repeat(40));
    let mut io = server.tcp().await;
    io.write_all(text.as_bytes()).await.unwrap();
    let said = String::from_utf8(rest(&mut io).await).unwrap();
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 81);
    assert_eq!(server.frames().await.len(), 40);
    assert_eq!(server.contents(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_and_no_name_is_too_long_to_refuse() {
    let server = Running::start(Limits::default()).await;
    let long = |length: usize| format!("/append/{}", "a".repeat(length));
    for (method, target) in [
        ("GET", "/cas/..%2f..%2f..%2f..%2fetc%2fpasswd".to_owned()),
        ("GET", "/cas/../../../../etc/passwd".to_owned()),
        ("GET", "/cas/sha256-..%2F..%2Fxs.toml".to_owned()),
        ("GET", "/cas//etc/passwd".to_owned()),
        ("HEAD", "/cas/%2e%2e/xs.toml".to_owned()),
        ("GET", "/cas/%00".to_owned()),
        ("GET", "/cas/%ff".to_owned()),
        ("GET", "/..%2fxs.toml".to_owned()),
        ("GET", "/../xs.toml".to_owned()),
        ("GET", "/ui/..%2f..%2fCargo.toml".to_owned()),
        ("GET", "/ui/../Cargo.toml".to_owned()),
        ("POST", "/append/..%2fx".to_owned()),
        ("POST", "/append/a%00b".to_owned()),
        ("POST", "/append/a%0ab".to_owned()),
        ("POST", long(256)),
        ("POST", long(60_000)),
        ("GET", format!("/last/{}", "a,".repeat(20_000))),
        ("GET", format!("/?topic={}", "a".repeat(60_000))),
    ] {
        let answer = server.call(method, &target, "", "").await;
        let shown = &target[..target.len().min(60)];
        assert!(matches!(answer.status, 400 | 404 | 414), "{method} {shown}: {}", answer.status);
        for secret in ["root:", "index =", "[package]", "/tmp"] {
            assert!(!answer.body.contains(secret), "{method} {shown}: {}", answer.body);
        }
    }
    assert!(server.frames().await.is_empty());
    assert_eq!(server.call("POST", &long(255), "", "").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_its_share_of_followers_and_no_more() {
    let server = Running::start(limits(|limits| limits.followers_per_client = Some(2))).await;
    let follow = async |target: &str| {
        let mut io = server.tcp().await;
        io.write_all(&request("GET", target, "", "")).await.unwrap();
        let mut head = vec![0; 12];
        timeout(PATIENCE, io.read_exact(&mut head)).await.unwrap().unwrap();
        (String::from_utf8(head).unwrap(), io)
    };
    let (first, mut one) = follow("/?follow").await;
    let (second, _other) = follow("/last/a?follow").await;
    assert_eq!((&*first, &*second), ("HTTP/1.1 200", "HTTP/1.1 200"));
    let refused = server.call("GET", "/?follow", "", "").await;
    assert_eq!((refused.status, refused.error().0.as_str()), (429, "Unavailable"));
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    // History is no follower, and neither is the operator.
    assert_eq!(server.call("GET", "/", "", "").await.status, 200);
    let mut operator = server.socket().await;
    operator.write_all(&request("GET", "/?follow", "", "")).await.unwrap();
    let mut head = [0; 12];
    operator.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // One that leaves makes room, once the server has seen it.
    one.shutdown().await.unwrap();
    drop(one);
    let start = std::time::Instant::now();
    while follow("/?follow").await.0 != "HTTP/1.1 200" {
        assert!(start.elapsed() < PATIENCE, "a follower that has left is still counted");
    }
    server.stop().await;
}

/// What is logged in this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged with `word` in them.
fn logged(word: &str) -> Vec<String> {
    let log = LOG.lock().unwrap();
    String::from_utf8_lossy(&log).lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
}

fn keep_log() {
    static KEPT: OnceLock<()> = OnceLock::new();
    KEPT.get_or_init(|| {
        let warnings = tracing_subscriber::filter::LevelFilter::WARN;
        tracing_subscriber::fmt().with_ansi(false).with_max_level(warnings).with_writer(|| Log).init();
    });
}

/// The ids of the events that came whole, but for those that only the follower sees.
fn events(text: &str) -> Vec<String> {
    let body = text.split_once("\r\n\r\n").map_or(text, |(_, body)| body);
    let (whole, _) = body.rsplit_once("\n\n").unwrap_or_default();
    let events = whole.split("\n\n").filter(|event| event.contains("\"topic\":\"big\""));
    events.map(|event| event.lines().next().unwrap().strip_prefix("id: ").unwrap().to_owned()).collect()
}

async fn follow(io: &mut TcpStream, last: Option<&str>) {
    let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    // HTTP/1.0: what comes is the events alone, without chunks around them.
    let text = format!("GET /?follow HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n{last}\r\n");
    io.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_takes_nothing_is_dropped_and_resumes_without_a_gap() {
    keep_log();
    let server = Running::start(limits(|limits| limits.write_timeout = Duration::from_millis(700))).await;
    let socket = TcpSocket::new_v4().unwrap();
    // So that little of what is sent has a place to wait in.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stalled = socket.connect(server.address.parse().unwrap()).await.unwrap();
    let peer = stalled.local_addr().unwrap().to_string();
    follow(&mut stalled, None).await;
    let mut appended = Vec::new();
    let frame = NewFrame::from_json(&format!(r#"{{"topic":"big","meta":"{}"}}"#, "x".repeat(100_000))).unwrap();
    for _ in 0..4 {
        let frames = server.stream.append_all(vec![frame.clone(); 100], BatchOptions::default()).await.unwrap();
        appended.extend(frames.iter().map(|frame| frame.id.to_string()));
    }
    wait_until("it is dropped", || logged("takes nothing").iter().any(|line| line.contains(&peer))).await;
    // What was on its way still comes, and is no more than a part.
    let text = String::from_utf8(rest(&mut stalled).await).unwrap();
    let mut seen = events(&text);
    assert!(seen.len() < appended.len(), "it was sent everything");
    // It reads from a server with more patience, so that a slow machine is not taken for a stalled follower.
    let listener = Listener::bind(&Exposure::Tcp("127.0.0.1:0".to_owned()), &Binding::default()).await.unwrap();
    let address = listener.name().to_owned();
    let patient = tokio::spawn(Server::new(server.stream.clone(), vec![listener]).run(std::future::pending()));
    let mut again = TcpStream::connect(&address).await.unwrap();
    follow(&mut again, seen.last().map(String::as_str)).await;
    let mut text = String::new();
    let mut bytes = vec![0; 1 << 20];
    let last = format!("id: {}\n", appended.last().unwrap());
    let mut found = false;
    while !found || !text.ends_with("\n\n") {
        let read = timeout(PATIENCE, again.read(&mut bytes)).await.unwrap().unwrap();
        assert!(read > 0, "it was cut off");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        found = found || text[text.len().saturating_sub(read + last.len())..].contains(&last);
    }
    seen.extend(events(&text));
    assert_eq!(seen, appended);
    drop(again);
    patient.abort();
    assert!(patient.await.unwrap_err().is_cancelled());
    server.stop().await;
}
