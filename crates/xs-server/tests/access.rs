//! Who is let in: by token, by page, by name, and from where.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::{Answer, PATIENCE, Running, exchange, request, rest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use xs::{ErrorKind, Frame};
use xs_server::{Access, Binding, Exposure, Limits, Listener, Server};

const TOKENS: &str = "# tokens\nread-only the-reader\nread-write the-writer\nthe-other-writer\n";

/// A server with tokens, their file, and what reloads it.
async fn with_tokens() -> (Running, std::path::PathBuf, Access, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    std::fs::write(&path, TOKENS).unwrap();
    let access = Access::from_file(&path).unwrap();
    let binding = Binding { tokens: true, ..Binding::default() };
    let server = Running::start_at("127.0.0.1:0", &binding, Limits::default(), access.clone()).await;
    (server, path, access, dir)
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn basic(user: &str, token: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{token}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_over_the_network_needs_a_token_that_may() {
    let (server, ..) = with_tokens().await;
    let id = server.stream.append(Frame::topic("a").unwrap(), "content").await.unwrap().id;
    let frame = format!("/{id}");
    let (none, wrong, reader, writer) = (String::new(), bearer("the-read"), bearer("the-reader"), bearer("the-writer"));
    for (method, target, headers, status) in [
        ("GET", "/healthz", &none, 200),
        ("HEAD", "/healthz", &none, 200),
        ("GET", "/healthz", &wrong, 200),
        ("GET", "/", &none, 401),
        ("GET", "/?follow", &none, 401),
        ("GET", "/version", &none, 401),
        ("GET", "/metrics", &none, 401),
        ("GET", "/openapi.json", &none, 401),
        ("GET", "/no/such/route", &none, 401),
        ("GET", &frame, &none, 401),
        ("POST", "/append/a", &none, 401),
        ("POST", "/healthz", &none, 401),
        ("POST", "/ui", &none, 401),
        ("DELETE", &frame, &none, 401),
        ("OPTIONS", "/", &none, 401),
        ("GET", "/", &wrong, 401),
        ("GET", "/", &bearer(""), 401),
        ("GET", "/", &bearer("the-reader2"), 401),
        ("GET", "/", &bearer("THE-READER"), 401),
        ("GET", "/", &bearer("read-only the-reader"), 401),
        ("GET", "/", &format!("{reader}{writer}"), 401),
        ("GET", "/", &"Authorization: the-reader\r\n".to_owned(), 401),
        ("GET", "/", &"Authorization: Basic the-reader\r\n".to_owned(), 401),
        ("GET", "/", &basic("xs", ""), 401),
        // In an address it would be kept in logs and histories.
        ("GET", "/version?token=the-reader", &none, 401),
        ("GET", "/version?access_token=the-reader", &none, 401),
        ("GET", "/version", &reader, 200),
        ("GET", "/version", &"authorization: bEARER the-reader\r\n".to_owned(), 200),
        ("GET", "/version", &basic("xs", "the-reader"), 200),
        ("GET", "/version", &basic("", "the-reader"), 200),
        // As clients send it for `https://the-reader@host`.
        ("GET", "/version", &basic("the-reader", ""), 200),
        ("GET", &frame, &reader, 200),
        ("GET", "/", &reader, 200),
        ("POST", "/append/a", &reader, 403),
        ("POST", "/append", &reader, 403),
        ("POST", "/cas", &reader, 403),
        ("POST", "/import", &basic("xs", "the-reader"), 403),
        ("POST", "/no/such/route", &reader, 403),
        ("DELETE", &frame, &reader, 403),
        ("PUT", "/cas", &reader, 403),
        ("POST", "/append/a", &writer, 200),
        ("POST", "/append/a", &basic("me", "the-writer"), 200),
        ("POST", "/append/a", &bearer("the-other-writer"), 200),
        ("PUT", "/cas", &writer, 405),
        ("DELETE", &frame, &writer, 204),
    ] {
        let answer = server.call(method, target, headers, "").await;
        assert_eq!(answer.status, status, "{method} {target} {headers:?}: {}", answer.body);
        let challenge = "www-authenticate: basic realm=\"xs\", bearer";
        assert_eq!(answer.head.contains(challenge), status == 401, "{method} {target}: {}", answer.head);
        if matches!(status, 401 | 403) {
            let (kind, message) = answer.error();
            assert_eq!(kind, "InvalidInput");
            assert!(!message.contains("the-"), "{message}");
        }
    }
    // The console is there, so that it can ask for a token.
    assert_ne!(server.call("GET", "/ui", "", "").await.status, 401);
    assert_eq!(server.frames().await.len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_protected_by_its_mode_alone() {
    let (server, ..) = with_tokens().await;
    for headers in ["", "Authorization: Bearer wrong\r\n", "Host: anything.at.all\r\n", "Host:\r\n"] {
        for (method, target) in [("GET", "/version"), ("POST", "/append/a")] {
            let answer = exchange(server.socket().await, &request(method, target, headers, "")).await;
            assert_eq!(answer.status, 200, "{method} {target} {headers:?}: {}", answer.body);
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_replaced_while_the_server_runs() {
    let (server, path, access, _dir) = with_tokens().await;
    let status = async |token: &str| server.call("GET", "/version", &bearer(token), "").await.status;
    assert_eq!((status("the-reader").await, status("the-new-one").await), (200, 401));
    std::fs::write(&path, "the-new-one\n").unwrap();
    assert_eq!((status("the-reader").await, status("the-new-one").await), (200, 401), "nobody asked for it");
    access.reload().unwrap();
    assert_eq!((status("the-reader").await, status("the-new-one").await), (401, 200));
    for bad in ["two words here\n", "read-only\n"] {
        std::fs::write(&path, bad).unwrap();
        assert_eq!(access.reload().unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        assert_eq!(status("the-new-one").await, 200, "{bad:?}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(access.reload().is_err());
    assert_eq!(status("the-new-one").await, 200);
    std::fs::write(&path, "# none\n").unwrap();
    access.reload().unwrap();
    assert_eq!((status("the-new-one").await, status("").await), (401, 401), "the last token is not withdrawn");
    assert_eq!(server.call("GET", "/healthz", "", "").await.status, 200);
    std::fs::write(&path, "the-next-one\n").unwrap();
    access.reload().unwrap();
    assert_eq!((status("the-new-one").await, status("the-next-one").await), (401, 200));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_break_off_when_their_token_is_withdrawn() {
    let (server, path, access, _dir) = with_tokens().await;
    let mut followers = Vec::new();
    for (target, token) in [("/?follow&new", "the-reader"), ("/last?follow", "the-reader"), ("/?follow", "the-writer")]
    {
        let mut io = server.tcp().await;
        io.write_all(&request("GET", target, &bearer(token), "")).await.unwrap();
        assert!(until(&mut io, "\r\n\r\n").await.starts_with("HTTP/1.1 200"), "{target}");
        followers.push(io);
    }
    let mut on_socket = server.socket().await;
    on_socket.write_all(&request("GET", "/?follow", &bearer("the-reader"), "")).await.unwrap();
    until(&mut on_socket, "xs.threshold").await;
    // It may still read, with whichever rights.
    std::fs::write(&path, "the-other-writer\nread-write the-reader\nread-only the-writer\n").unwrap();
    access.reload().unwrap();
    server.stream.append(Frame::topic("before").unwrap(), ()).await.unwrap();
    for io in &mut followers {
        until(io, "\"before\"").await;
    }
    until(&mut on_socket, "\"before\"").await;
    std::fs::write(&path, "the-writer\n").unwrap();
    access.reload().unwrap();
    server.stream.append(Frame::topic("after").unwrap(), ()).await.unwrap();
    let mut kept = followers.pop().unwrap();
    for mut io in followers {
        let rest = String::from_utf8(rest(&mut io).await).unwrap();
        assert!(!rest.contains("after"), "{rest}");
        assert!(!rest.ends_with("0\r\n\r\n"), "it is taken for the end: {rest}");
    }
    assert_eq!(server.call("GET", "/?follow&new", &bearer("the-reader"), "").await.status, 401);
    until(&mut kept, "\"after\"").await;
    until(&mut on_socket, "\"after\"").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_break_off_when_their_token_may_write_no_longer() {
    let (server, path, access, _dir) = with_tokens().await;
    let frame = server.stream.append(Frame::topic("a").unwrap(), ()).await.unwrap();
    let line = frame.to_json().unwrap() + "\n";
    for (left, status) in [("the-reader\n", 401), ("read-only the-writer\n", 403)] {
        std::fs::write(&path, TOKENS).unwrap();
        access.reload().unwrap();
        let mut uploads = Vec::new();
        for (target, begun) in
            [("/append/a", "hello"), ("/append", "{\"topic\":\"a\"}\n"), ("/cas", "hello"), ("/import", &*line)]
        {
            let mut io = server.tcp().await;
            let token = bearer("the-writer");
            let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{token}");
            io.write_all(format!("{head}Content-Length: 10000\r\n\r\n").as_bytes()).await.unwrap();
            // The server waits for it then.
            until(&mut io, "100 Continue\r\n\r\n").await;
            io.write_all(begun.as_bytes()).await.unwrap();
            uploads.push((target, io));
        }
        // One of another token goes on.
        let mut other = server.tcp().await;
        let head = "POST /append/other HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n";
        let head = format!("{head}Content-Length: 10\r\n{}\r\n", bearer("the-other-writer"));
        other.write_all(head.as_bytes()).await.unwrap();
        until(&mut other, "100 Continue\r\n\r\n").await;
        std::fs::write(&path, format!("the-other-writer\n{left}")).unwrap();
        access.reload().unwrap();
        for (target, mut io) in uploads {
            let answer = Answer::of(&rest(&mut io).await);
            assert_eq!(answer.status, status, "{target}");
            assert_eq!(answer.error().0, "InvalidInput");
            assert!(answer.head.contains("connection: close"), "{}", answer.head);
            assert_eq!(answer.head.contains("www-authenticate: "), status == 401, "{}", answer.head);
        }
        other.write_all(b"helloworld").await.unwrap();
        assert_eq!(Answer::of(&rest(&mut other).await).status, 200);
    }
    let topics: Vec<String> = server.frames().await.iter().map(|frame| frame.topic.to_string()).collect();
    assert_eq!(topics, ["a", "other", "other"]);
    server.stop().await;
}

/// Reads until this text has come.
async fn until(io: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let read = tokio::time::timeout(PATIENCE, io.read_buf(&mut seen)).await;
        let length = read.unwrap_or_else(|_| panic!("{text:?} does not come")).unwrap();
        assert!(length > 0, "it ended: {}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_names_from_elsewhere_are_refused() {
    let server = Running::start(Limits::default()).await;
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    let own = format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n");
    let other_port = format!("Host: localhost:{port}\r\nOrigin: http://localhost:1\r\n");
    let evil = format!("Host: localhost:{port}\r\nOrigin: http://evil.example\r\n");
    let rebound = format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n");
    for (headers, status) in [
        ("", 200),
        ("Host: 127.0.0.1\r\n", 200),
        ("Host: [::1]:3021\r\n", 200),
        (&own, 200),
        (&other_port, 403),
        (&evil, 403),
        (&rebound, 403),
        ("Origin: null\r\n", 403),
        ("Host: evil.example\r\n", 403),
        ("Host: a b\r\n", 400),
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Sec-Fetch-Site: same-origin\r\n", 200),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
    ] {
        for (method, target) in [("GET", "/version"), ("POST", "/append/a"), ("GET", "/ui"), ("GET", "/healthz")] {
            let answer = server.call(method, target, headers, "").await;
            match status {
                200 => assert!(!matches!(answer.status, 400 | 403), "{method} {target} {headers:?}: {}", answer.body),
                _ => assert_eq!(answer.status, status, "{method} {target} {headers:?}"),
            }
        }
    }
    assert_eq!(server.frames().await.len(), 5);
    server.stop().await;
    // A page cannot come with a token, so names do not matter where one is needed.
    let (server, ..) = with_tokens().await;
    let named = |origin: &str| format!("Host: xs.example\r\n{origin}{}", bearer("the-writer"));
    assert_eq!(server.call("POST", "/append/a", &named(""), "").await.status, 200);
    assert_eq!(server.call("POST", "/append/a", &named("Origin: https://xs.example\r\n"), "").await.status, 200);
    assert_eq!(server.call("POST", "/append/a", &named("Origin: https://evil.example\r\n"), "").await.status, 403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_never_taken_for_a_page() {
    let server = Running::start(Limits::default()).await;
    let hash = server.call("POST", "/cas", "", "<script>alert(1)</script>").await.body;
    let Answer { status, head, .. } = server.call("GET", &format!("/cas/{hash}"), "", "").await;
    assert_eq!(status, 200);
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tokens_does_not_start_where_they_were_promised() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = xs_server::Tls::from_files(&certificate, &key).unwrap();
    let binding = Binding { tls: Some(tls), tokens: true, ..Binding::default() };
    let listener = Listener::bind(&Exposure::Tls("0.0.0.0:0".to_owned()), &binding).await.unwrap();
    let stream = xs::open(dir.path().join("store")).await.unwrap();
    let error = Server::new(stream.clone(), vec![listener]).run(std::future::pending()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("--token-file"), "{error}");
    // Nothing was begun.
    assert_eq!(stream.last("xs.start".parse::<xs::Filter>().unwrap()).await.unwrap(), None);
    // Without TLS, tokens would be there for everybody on the way to read.
    let error = Listener::bind(&Exposure::Tcp("0.0.0.0:0".to_owned()), &binding).await.unwrap_err();
    assert!(error.to_string().contains("tls://0.0.0.0:0"), "{error}");
    stream.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_says_what_is_exposed() {
    let server = Running::start(Limits::default()).await;
    let address = server.address.clone();
    // It has started once it answers.
    assert_eq!(server.call("GET", "/healthz", "", "").await.status, 200);
    let start = server.stream.last("xs.start".parse::<xs::Filter>().unwrap()).await.unwrap().unwrap();
    assert_eq!(start.meta.unwrap().to_value().unwrap()["expose"], address.as_str());
    server.stop().await;
}
