//! Connections that are pipes in this process: their clients may come from anywhere, and time may stand still.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use xs::Settings;
use xs::memory::{MemoryCas, MemoryStore};

use super::*;
use crate::listen::{Peer, Place};
use crate::metrics::{self, ServerCounters};

const AFAR: Option<&str> = Some("10.0.0.1:1");
const LOOPBACK: Option<&str> = Some("127.0.0.1:1");
const SOCKET: Option<&str> = None;

/// Less than a head, so that whoever has written a part of one knows that the server reads it.
const NARROW_BYTES: usize = 32;

struct Piped {
    stream: EventStream,
    counters: Arc<ServerCounters>,
    serving: Arc<Serving>,
    graceful: GracefulShutdown,
    ending: watch::Sender<bool>,
}

impl Piped {
    async fn start(limits: Limits, access: Access) -> Self {
        let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        let stream = EventStream::open(store, cas, Settings::default()).await.unwrap();
        let (ending, ended) = watch::channel(false);
        let state = App::new(stream.clone(), ended);
        let counters = Arc::clone(&state.counters);
        let serving = Arc::new(Serving::new(state, access, Arc::new(limits), watch::channel(false).1));
        Self { stream, counters, serving, graceful: GracefulShutdown::new(), ending }
    }

    fn connect(&self, from: Option<&str>) -> DuplexStream {
        self.connect_through(64 * 1024, from)
    }

    fn connect_through(&self, bytes: usize, from: Option<&str>) -> DuplexStream {
        let (wire, client) = duplex(bytes);
        let medium = if from.is_some() { Medium::Tcp } else { Medium::Socket };
        let address = from.map(|address| address.parse().unwrap());
        let peer = Peer { place: Arc::new(Place::new(medium, "localhost")), address };
        let accepted = Accepted { wire: Box::new(wire), peer, tls: None };
        tokio::spawn(Arc::clone(&self.serving).serve(accepted, self.graceful.watcher()));
        client
    }

    /// Begins the stop, and returns what becomes of it.
    async fn stop(self) -> tokio::task::JoinHandle<bool> {
        let Self { serving, graceful, ending, .. } = self;
        let writes = serving.guard.writes.clone();
        let stopping =
            tokio::spawn(async move { finish(graceful, &serving.guard.writes, &ending, &serving.limits).await });
        while writes.begin().is_some() {
            yield_now().await;
        }
        stopping
    }

    /// Requests that are counted as refused.
    fn refused(&self) -> usize {
        let text = metrics::render(&self.stream, &self.counters);
        let count = text.lines().find_map(|line| line.strip_prefix("xs_errors_total{kind=\"InvalidInput\"} "));
        count.unwrap().parse().unwrap()
    }
}

async fn send(client: &mut DuplexStream, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
}

/// What comes until it holds this text.
async fn until(client: &mut DuplexStream, text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let length = client.read_buf(&mut seen).await.unwrap();
        assert!(length > 0, "it ended: {}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8(seen).unwrap()
}

async fn rest(client: &mut DuplexStream) -> String {
    let mut seen = String::new();
    client.read_to_string(&mut seen).await.unwrap();
    seen
}

/// A follower of what is new, and an append that has begun and waits for its body.
async fn follower_and_append(server: &Piped) -> (DuplexStream, DuplexStream) {
    let (mut follower, mut slow) = (server.connect(SOCKET), server.connect(SOCKET));
    send(&mut follower, "GET /?follow&new HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    until(&mut follower, "\r\n\r\n").await;
    let head = "POST /append/slow?ttl=ephemeral HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n";
    send(&mut slow, &format!("{head}Content-Length: 10\r\n\r\n")).await;
    until(&mut slow, "100 Continue\r\n\r\n").await;
    send(&mut slow, "hello").await;
    (follower, slow)
}

#[tokio::test]
async fn followers_see_what_is_under_way_at_the_stop() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let (mut follower, mut slow) = follower_and_append(&server).await;
    // The head of another that would write is not whole when the server stops.
    let mut late = server.connect_through(NARROW_BYTES, SOCKET);
    send(&mut late, "POST /append/late HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n").await;
    let ended = server.ending.subscribe();
    let stopping = server.stop().await;
    send(&mut late, "Content-Length: 5\r\n\r\nhello").await;
    let refused = rest(&mut late).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("the server stops"), "{refused}");
    drop(late);
    assert!(!*ended.borrow(), "followers end before the append");
    send(&mut slow, "world").await;
    assert!(rest(&mut slow).await.starts_with("HTTP/1.1 200"));
    let seen = rest(&mut follower).await;
    assert!(seen.contains("\"slow\"") && seen.ends_with("0\r\n\r\n"), "{seen}");
    assert!(stopping.await.unwrap(), "it took longer than the grace period");
}

#[tokio::test(start_paused = true)]
async fn followers_end_while_they_can_whatever_is_under_way() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let (mut follower, _slow) = follower_and_append(&server).await;
    let start = Instant::now();
    let stopping = server.stop().await;
    let seen = rest(&mut follower).await;
    assert!(seen.ends_with("0\r\n\r\n"), "{seen}");
    assert!((7500..7600).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(!stopping.await.unwrap());
    assert!((10_000..10_100).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_writes_followers_end_at_once() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let mut follower = server.connect(SOCKET);
    send(&mut follower, "GET /?follow&new HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    until(&mut follower, "\r\n\r\n").await;
    let start = Instant::now();
    let stopping = server.stop().await;
    assert!(rest(&mut follower).await.ends_with("0\r\n\r\n"));
    assert!(stopping.await.unwrap());
    assert!(start.elapsed().as_millis() < 100, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_from_afar_may_not_trickle_and_one_of_this_machine_may() {
    let limits = Limits { body_timeout: Duration::from_secs(1), ..Limits::default() };
    let server = Piped::start(limits, Access::open()).await;
    let head = "POST /cas HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 20\r\n\r\n";
    for (from, status) in [(AFAR, "408"), (LOOPBACK, "200"), (SOCKET, "200")] {
        let mut client = server.connect(from);
        send(&mut client, head).await;
        let (mut reading, mut writing) = tokio::io::split(client);
        let trickling = tokio::spawn(async move {
            for _ in 0..20 {
                sleep(Duration::from_millis(900)).await;
                // It may have been answered already.
                if writing.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        let mut said = String::new();
        reading.read_to_string(&mut said).await.unwrap();
        trickling.abort();
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{from:?}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_no_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    std::fs::write(&path, "right").unwrap();
    let server = Piped::start(Limits::default(), Access::from_file(&path).unwrap()).await;
    let post = "POST /append/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n";
    let unread = format!("{post}Content-Length: 5\r\n\r\nhello");
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut client = server.connect(AFAR);
    send(&mut client, &unread).await;
    // What is counted is the wrong token alone; and nobody is to send the next request behind what was not read.
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(server.refused(), 1);
    for (request, answer, then, refused) in [
        (get, "200", "", 0),
        (get, "200", "GET /healthz HTTP/1.1\r\nHost: loc", 1),
        ("", "", "GET /healthz HTTP/1.1\r\nHost: loc", 1),
        ("", "", "", 0),
    ] {
        let before = server.refused();
        let mut client = server.connect(AFAR);
        send(&mut client, request).await;
        if !answer.is_empty() {
            assert!(until(&mut client, "}").await.starts_with(&format!("HTTP/1.1 {answer}")));
        }
        let start = Instant::now();
        send(&mut client, then).await;
        rest(&mut client).await;
        assert!(start.elapsed() >= Limits::default().header_timeout, "{request} {then}: it was not kept");
        assert_eq!(server.refused() - before, refused, "{request} {then}");
    }
}

/// Lets the server do what there is to do, until this holds.
async fn soon(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        yield_now().await;
    }
    panic!("{what} does not come");
}

const FOLLOW_ONE: &str = "GET /?follow&new&limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_follower_that_has_gone_is_noticed_though_there_is_nothing_to_send() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let head = FOLLOW_ONE.trim_end();
    // A body says nothing here, and nobody takes it.
    let sized = format!("{head}\r\nContent-Length: 1\r\n\r\nx");
    let chunked = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    for request in [FOLLOW_ONE, &sized, &chunked] {
        for ends_politely in [true, false] {
            let mut follower = server.connect(SOCKET);
            send(&mut follower, request).await;
            until(&mut follower, "\r\n\r\n").await;
            assert_eq!(server.stream.stats().followers, 1);
            if ends_politely {
                follower.shutdown().await.unwrap();
            }
            drop(follower);
            soon("its end", || server.stream.stats().followers == 0).await;
        }
    }
}

#[tokio::test]
async fn what_comes_while_an_answer_is_under_way_is_answered_after_it() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let version = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Behind the first request at once, and when that has been looked at.
    for at_once in [true, false] {
        let mut client = server.connect(SOCKET);
        if at_once {
            send(&mut client, &format!("{FOLLOW_ONE}{version}{version}")).await;
            until(&mut client, "\r\n\r\n").await;
        } else {
            send(&mut client, FOLLOW_ONE).await;
            until(&mut client, "\r\n\r\n").await;
            send(&mut client, &version[..1]).await;
            yield_now().await;
            send(&mut client, &version[1..]).await;
            send(&mut client, version).await;
        }
        assert_eq!(server.stream.stats().followers, 1);
        server.stream.append(xs::Frame::topic("a").unwrap(), ()).await.unwrap();
        let mut seen = until(&mut client, "0\r\n\r\n").await;
        while seen.matches("\"version\":").count() < 2 {
            seen.push_str(&until(&mut client, "}").await);
        }
        assert_eq!(seen.matches("HTTP/1.1 200").count(), 2, "{seen}");
        // It goes on as before.
        send(&mut client, version).await;
        until(&mut client, "\"version\":").await;
    }
}

#[tokio::test]
async fn whoever_closes_its_side_gets_what_it_has_asked_for() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let append = "POST /append/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let mut client = server.connect(SOCKET);
    send(&mut client, &append.repeat(10)).await;
    client.shutdown().await.unwrap();
    let answers = rest(&mut client).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 10, "{answers}");
    assert_eq!(server.stream.stats().appended_frames, 10);
    // For a follower it is the end, after all that was appended until then.
    for _ in 0..3 {
        let frames = vec![xs::NewFrame::new("many".parse().unwrap()); 3000];
        server.stream.append_all(frames, xs::BatchOptions::default()).await.unwrap();
    }
    for (query, frames) in [("follow", 9011), ("follow&topic=many&limit=3", 3), ("follow&new", 0), ("follow&last=5", 6)]
    {
        let mut follower = server.connect(SOCKET);
        send(&mut follower, &format!("GET /?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        follower.shutdown().await.unwrap();
        let given = rest(&mut follower).await;
        assert_eq!(given.matches("\"topic\":").count(), frames, "{query}");
        assert!(given.ends_with("0\r\n\r\n"), "{query} broke off");
    }
    let mut follower = server.connect(SOCKET);
    send(&mut follower, "GET /?follow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    until(&mut follower, "xs.threshold").await;
    follower.shutdown().await.unwrap();
    assert!(rest(&mut follower).await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_server_without_a_listener_does_not_start() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let error = Server::new(server.stream.clone(), Vec::new()).run(std::future::pending()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(server.stream.stats().appended_frames, 0);
}

#[tokio::test]
async fn a_follower_that_has_sent_more_before_it_went_is_noticed() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    for behind in ["G", "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\nGE"] {
        for ends_politely in [true, false] {
            let mut follower = server.connect(SOCKET);
            send(&mut follower, "GET /?follow&new&topic=never HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            until(&mut follower, "\r\n\r\n").await;
            send(&mut follower, behind).await;
            // It is looked at by itself, and is no reason to end.
            for _ in 0..100 {
                yield_now().await;
            }
            assert_eq!(server.stream.stats().followers, 1);
            if ends_politely {
                follower.shutdown().await.unwrap();
            }
            drop(follower);
            soon("its end", || server.stream.stats().followers == 0).await;
        }
    }
}

#[tokio::test]
async fn more_than_is_kept_of_what_comes_behind_a_follower_ends_it_and_is_answered() {
    let server = Piped::start(Limits::default(), Access::open()).await;
    let version = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let requests = crate::limits::AHEAD_BYTES_MAX / version.len() + 10;
    let mut client = server.connect(SOCKET);
    send(&mut client, FOLLOW_ONE).await;
    until(&mut client, "\r\n\r\n").await;
    // At the end is another follower, which is none the worse for it. What is kept is more than hyper takes at once.
    let behind = version.repeat(requests) + FOLLOW_ONE;
    let (first, rest) = behind.split_at(1);
    send(&mut client, first).await;
    yield_now().await;
    send(&mut client, rest).await;
    let mut seen = until(&mut client, "0\r\n\r\n").await;
    assert!(!seen.contains("\"topic\":"), "{seen}");
    while seen.matches("HTTP/1.1 200").count() < requests + 1 || !seen.ends_with("\r\n\r\n") {
        seen.push_str(&until(&mut client, "\r\n").await);
    }
    assert_eq!(seen.matches("\"version\":").count(), requests);
    soon("the follower", || server.stream.stats().followers == 1).await;
    server.stream.append(xs::Frame::topic("a").unwrap(), ()).await.unwrap();
    let seen = until(&mut client, "0\r\n\r\n").await;
    assert!(seen.contains("\"topic\":\"a\""), "{seen}");
}
