//! Every command and every route, used as it is meant to be.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::{Value, json as value};
use support::{Server, fails, json, lines, ok};

fn start() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    (dir, server)
}

fn id(frame: &Value) -> &str {
    frame["id"].as_str().unwrap()
}

#[test]
fn a_frame_has_the_form_that_clients_know() {
    let (_dir, server) = start();
    let addr = server.addr();
    let meta = r#"{"z":1.50, "a":[1,2]}"#;
    let line = ok(&["append", addr, "clip.add", "--meta", meta, "--ttl", "last:3"], b"hello");
    let frame = json(&line);
    let hash = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let expected =
        format!(r#"{{"topic":"clip.add","id":"{}","hash":"{hash}","meta":{meta},"ttl":"last:3"}}"#, id(&frame));
    assert_eq!(line.trim_end(), expected, "the order of fields, or the text of meta");
    let bare = ok(&["append", addr, "a"], b"");
    assert!(bare.trim_end().ends_with(r#","hash":null,"meta":null,"ttl":null}"#), "{bare}");
    let timed = json(&ok(&["get", addr, id(&frame), "--with-timestamp"], b""));
    assert!(timed["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(ok(&["cas", addr, hash], b""), "hello");
    assert_eq!(ok(&["cas-post", addr], b"hello"), format!("{hash}\n"));
    let version = json(&ok(&["version", addr], b""));
    assert_eq!((&version["index"], &version["cas"], &version["format"]), (&value!("fjall"), &value!("fs"), &value!(1)));
    let socket = server.path.join("sock").metadata().unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
}

#[test]
fn health_is_an_exit_code() {
    let (dir, server) = start();
    assert_eq!(ok(&["health", server.addr()], b""), "{\"status\":\"ok\"}\n");
    let addr = server.addr().to_owned();
    assert!(server.terminate().success());
    assert!(fails(&["health", &addr], b"").contains("xs serve"));
    for (status, body, says) in [
        // As a server answers whose disk has failed it.
        (
            "503 Service Unavailable",
            r#"{"error":{"kind":"Unavailable","message":"refused until the server is started again"}}"#,
            "started again",
        ),
        ("200 OK", "<html>Welcome</html>", "no server of xs"),
    ] {
        let place = dir.path().join("other");
        let listener = UnixListener::bind(&place).unwrap();
        let answering = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let asked = read_until(&mut socket, &["\r\n\r\n"]);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
            asked
        });
        assert!(fails(&["health", place.to_str().unwrap()], b"").contains(says));
        assert!(answering.join().unwrap().starts_with("GET /healthz "));
        std::fs::remove_file(&place).unwrap();
    }
}

#[test]
fn commands_read_what_commands_wrote() {
    let (dir, server) = start();
    let addr = server.addr();
    let mut all: Vec<Value> = lines(&ok(&["cat", addr], b""));
    assert_eq!((all.len(), &all[0]["topic"], &all[0]["meta"]), (1, &value!("xs.start"), &value!({"expose": null})));
    for topic in ["a.b", "a.b.c", "d", "a.b"] {
        all.push(json(&ok(&["append", addr, topic], topic.as_bytes())));
    }
    assert_eq!(lines(&ok(&["cat", addr], b"")), all);
    assert_eq!(lines(&ok(&["cat", addr, "-T", "a.*,d"], b"")), all[1..]);
    assert_eq!(lines(&ok(&["cat", addr, "--after", id(&all[1]), "--limit", "2"], b"")), all[2..4]);
    assert_eq!(lines(&ok(&["cat", addr, "--from", id(&all[3])], b"")), all[3..]);
    assert_eq!(lines(&ok(&["cat", addr, "--last", "2"], b"")), all[3..]);
    assert_eq!(ok(&["cat", addr, "--new"], b""), "");
    assert!(lines(&ok(&["cat", addr, "--with-timestamp"], b""))[0]["timestamp"].is_string());
    for word in ["last", "head"] {
        assert_eq!(lines(&ok(&[word, addr], b"")), all[4..]);
        assert_eq!(lines(&ok(&[word, addr, "a.b.*"], b"")), all[2..3]);
        assert_eq!(lines(&ok(&[word, addr, "*", "3"], b"")), all[2..]);
    }
    let topics = lines(&ok(&["topics", addr], b""));
    let expected = [("a.b", 4), ("a.b.c", 2), ("d", 3), ("xs.start", 0)];
    assert_eq!(topics, expected.map(|(topic, n)| value!({"topic": topic, "last_id": id(&all[n])})));
    assert_eq!(lines(&ok(&["topics", addr, "a."], b"")).len(), 2);
    ok(&["remove", addr, id(&all[4])], b"");
    ok(&["remove", addr, id(&all[4])], b"");
    assert!(fails(&["get", addr, id(&all[4])], b"").contains("NotFound"));
    assert_eq!(lines(&ok(&["last", addr, "a.b"], b"")), all[1..2]);
    // Another store takes the frames as they are, and again.
    let copy = Server::start(&dir.path().join("copy"));
    let text = ok(&["cat", addr, "-T", "a.*,d"], b"");
    for _ in 0..2 {
        assert_eq!(ok(&["import", copy.addr()], text.as_bytes()), text);
    }
    assert_eq!(ok(&["cat", copy.addr(), "-T", "a.*,d"], b""), text);
    let batch = (0..2500).map(|_| "{\"topic\":\"many\"}\n").collect::<String>();
    let (status, _, appended) = server.post("/append", "", &batch);
    assert_eq!(status, 200);
    assert_eq!(ok(&["import", copy.addr()], &appended).as_bytes(), appended);
    let made = ok(&["scru128"], b"");
    let fields = ok(&["scru128", "unpack", made.trim()], b"");
    assert_eq!(fields, ok(&["scru128", "unpack", "-"], made.as_bytes()));
    assert_eq!(ok(&["scru128", "pack"], fields.as_bytes()), made);
}

/// Reads from a socket until all of these texts have come.
fn read_until(socket: &mut UnixStream, texts: &[&str]) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !texts.iter().all(|text| seen.contains(text)) {
        let read = socket.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    seen
}

fn stream(server: &Server, target: &str, headers: &str) -> UnixStream {
    let mut socket = UnixStream::connect(server.path.join("sock")).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    socket.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).unwrap();
    socket
}

#[test]
fn events_resume_after_the_last_that_was_seen() {
    let (_dir, server) = start();
    let addr = server.addr();
    let first = json(&ok(&["append", addr, "a"], b""));
    let accept = "Accept: text/html, text/event-stream;q=0.9\r\n";
    let mut events = stream(&server, "/?follow&last=1", accept);
    let seen = read_until(&mut events, &["xs.threshold"]);
    assert!(seen.contains("content-type: text/event-stream"));
    assert!(seen.contains(&format!("id: {}\ndata: {{\"topic\":\"a\"", id(&first))), "{seen}");
    drop(events);
    let second = json(&ok(&["append", addr, "a"], b""));
    let third = json(&ok(&["append", addr, "b"], b""));
    // As a browser reconnects: the query that it began with, and the id that it saw last.
    let resume = format!("{accept}Last-Event-ID: {}\r\n", id(&first));
    let mut events = stream(&server, "/?follow&last=1", &resume);
    let seen = read_until(&mut events, &["xs.threshold"]);
    assert!(
        seen.contains(id(&second)) && seen.contains(id(&third)) && !seen.contains(&format!("id: {}\n", id(&first)))
    );
    let text = ok(&["cat", addr, "--sse", "--last", "1"], b"");
    assert_eq!(text, format!("id: {}\ndata: {}\n\n", id(&third), ok(&["last", addr], b"").trim_end()));
}

#[test]
fn followers_see_what_comes_and_their_heart_beats() {
    let (_dir, server) = start();
    let addr = server.addr();
    let mut all = stream(&server, "/?follow=50&topic=a", "");
    let mut new = stream(&server, "/?follow&new&limit=1&topic=a", "");
    let mut last = stream(&server, "/last/a?follow", "");
    for socket in [&mut all, &mut new, &mut last] {
        read_until(socket, &["\r\n\r\n"]);
    }
    read_until(&mut all, &["xs.pulse"]);
    let frame = json(&ok(&["append", addr, "a"], b""));
    let passing = json(&ok(&["append", addr, "a", "--ttl", "ephemeral"], b""));
    read_until(&mut all, &[id(&frame), id(&passing), "xs.pulse"]);
    read_until(&mut last, &[id(&frame), id(&passing)]);
    // A limit that is reached ends the response.
    let seen = read_until(&mut new, &["0\r\n\r\n"]);
    assert!(seen.contains(id(&frame)) && !seen.contains(id(&passing)), "{seen}");
    assert_eq!(lines(&ok(&["cat", addr, "-T", "a"], b"")), [frame]);
}

#[test]
fn content_comes_whole_or_in_part() {
    let (_dir, server) = start();
    let content: Vec<u8> = (0..2_000_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let hash = ok(&["cas-post", server.addr()], &content).trim().to_owned();
    let target = format!("/cas/{hash}");
    let (status, head, body) = server.call("GET", &target, "");
    assert_eq!((status, body == content), (200, true));
    for header in ["content-length: 2000000", "accept-ranges: bytes", "immutable", &format!("etag: \"{hash}\"")] {
        assert!(head.contains(header), "{head}");
    }
    // However its hash is escaped.
    let escaped = target.replace('+', "%2B").replace("=", "%3D").replacen("/cas/", "", 1).replace('/', "%2F");
    assert_eq!(server.call("GET", &format!("/cas/{escaped}"), "").0, 200);
    let (status, head, body) = server.call("HEAD", &target, "");
    assert!(status == 200 && head.contains("content-length: 2000000") && body.is_empty());
    for (range, start, end) in
        [("0-9", 0, 10), ("1999990-", 1_999_990, 2_000_000), ("-5", 1_999_995, 2_000_000), ("5-9999999", 5, 2_000_000)]
    {
        let (status, head, body) = server.call("GET", &target, &format!("Range: bytes={range}\r\n"));
        assert_eq!(status, 206, "{range}");
        assert!(head.contains(&format!("content-range: bytes {start}-{}/2000000", end - 1)), "{head}");
        assert!(body == content[start..end], "{range}");
    }
    let (status, head, _) = server.call("GET", &target, "Range: bytes=2000000-\r\n");
    assert!(status == 416 && head.contains("content-range: bytes */2000000"), "{head}");
    let (status, _, body) = server.call("GET", &target, &format!("If-None-Match: \"{hash}\"\r\n"));
    assert!(status == 304 && body.is_empty());
}

#[test]
fn a_store_is_exposed_where_it_is_asked_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.sock");
    let server = Server::start_with(
        &dir.path().join("store"),
        &["--expose", "127.0.0.1:0", "--expose", other.to_str().unwrap()],
    );
    let start = json(&ok(&["last", server.addr(), "xs.start"], b""));
    let exposed = start["meta"]["expose"].as_array().unwrap();
    for place in exposed {
        assert_eq!(json(&ok(&["last", place.as_str().unwrap(), "xs.start"], b"")), start);
    }
    let port = exposed[0].as_str().unwrap().rsplit_once(':').unwrap().1;
    assert_eq!(json(&ok(&["last", &format!(":{port}"), "xs.start"], b"")), start);
    assert_eq!(json(&ok(&["last", &format!("http://localhost:{port}"), "xs.start"], b"")), start);
}
