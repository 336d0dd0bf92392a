//! What is wrong is refused, by name, and leaves the store as it was.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;
use support::{Server, answer, fails, json, lines, ok, run, run_in, wait_until};

fn error(body: &[u8]) -> (String, String) {
    let body = json(std::str::from_utf8(body).unwrap());
    let part = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (part("kind"), part("message"))
}

/// Frames but those of the server itself.
fn frames(server: &Server) -> Vec<Value> {
    let mut all = lines(&ok(&["cat", server.addr()], b""));
    all.retain(|frame| !frame["topic"].as_str().unwrap().starts_with("xs."));
    all
}

fn contents(server: &Server) -> usize {
    let shards = fs::read_dir(server.path.join("cas")).unwrap().map(|entry| entry.unwrap().path());
    shards.filter(|path| path.is_dir()).map(|shard| fs::read_dir(shard).unwrap().count()).sum()
}

#[test]
fn every_bad_request_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let id = "03d4q1qhbiv09ovtuhokw5yxv";
    let meta = |text: &str| format!("xs-meta: {text}\r\n");
    for (method, target, headers, status, names) in [
        ("POST", "/append/a..b", "", 400, "a..b"),
        ("POST", "/append/%FF", "", 400, "path"),
        ("POST", "/append/9a", "", 400, "9a"),
        ("POST", "/append/a%20b", "", 400, "a b"),
        ("POST", "/append/a.", "", 400, "dot"),
        ("POST", "/append/a?ttl=later", "", 400, "ttl"),
        ("POST", "/append/a?ttl=last:0", "", 400, "ttl"),
        ("POST", "/append/a?ttl=time:-5", "", 400, "ttl"),
        ("POST", "/append/a?expect=some", "", 400, "expect"),
        ("POST", "/append/a?colour=red", "", 400, "colour"),
        ("POST", "/append/a?with-timestamp=maybe", "", 400, "with-timestamp"),
        ("POST", "/append/a", &meta("%%%"), 400, "base64"),
        ("POST", "/append/a", &meta("/w=="), 400, "UTF-8"),
        ("POST", "/append/a", &meta("e2E6MX0="), 400, "JSON"),
        ("POST", "/append", "", 400, "no frame"),
        ("POST", "/import", "", 400, "no frame"),
        ("POST", "/cas", "", 400, "empty"),
        ("GET", "/?limit=many", "", 400, "limit"),
        ("GET", "/?last=-1", "", 400, "last"),
        ("GET", "/?after=x", "", 400, "after"),
        ("GET", "/?from=x", "", 400, "from"),
        ("GET", "/?topic=a..b", "", 400, "topic"),
        ("GET", "/?follow=never", "", 400, "follow"),
        ("GET", "/?context=x", "", 400, "context"),
        ("GET", "/", "Accept: text/event-stream\r\nLast-Event-ID: x\r\n", 400, "Last-Event-ID"),
        ("GET", "/last/a..b", "", 400, "a..b"),
        ("GET", "/last?last=0", "", 400, "last"),
        ("GET", "/last/nothing.here", "", 404, "nothing.here"),
        ("GET", "/topics?limit=x", "", 400, "limit"),
        ("GET", "/topics?after=9", "", 400, "after"),
        ("GET", "/xyz", "", 400, "xyz"),
        ("DELETE", "/xyz", "", 400, "xyz"),
        ("GET", &format!("/{id}"), "", 404, id),
        ("GET", "/cas/sha256-short", "", 400, "sha256-short"),
        ("GET", "/cas/../../etc/passwd", "", 400, "passwd"),
        ("GET", "/cas/sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", "", 404, "ungWv48"),
        ("GET", "/a/b/c", "", 404, "route"),
        ("PUT", "/cas", "", 405, "method"),
    ] {
        let (got, head, body) = match method {
            "POST" => server.post(target, headers, ""),
            _ => server.call(method, target, headers),
        };
        assert_eq!(got, status, "{method} {target}: {head}");
        let (kind, message) = error(&body);
        assert!(message.contains(names), "{method} {target}: {message}");
        assert_eq!(kind == "NotFound", status == 404, "{method} {target}");
    }
    assert_eq!(server.call("DELETE", &format!("/{id}"), "").0, 204);
    assert!(frames(&server).is_empty());
    assert_eq!(contents(&server), 0);
}

#[test]
fn bad_frames_in_a_body_name_their_line_and_store_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let good = r#"{"topic":"a"}"#;
    for bad in [
        r#"{"topic":"a..b"}"#,
        "{",
        r#"{"topic":"a","ttl":"x"}"#,
        r#"{"topic":"a","hash":"x"}"#,
        r#"{"topic":"a","x":1}"#,
        "[]",
    ] {
        let (status, _, body) = server.post("/append", "", &format!("{good}\n{bad}\n{good}\n"));
        assert_eq!(status, 400, "{bad}");
        assert!(error(&body).1.contains("line 2"), "{bad}: {}", error(&body).1);
    }
    assert!(frames(&server).is_empty());
    let (status, _, body) =
        server.post("/append", "", &format!("{good}\n\n{{\"topic\":\"b\",\"meta\":{{\"z\":1,\"a\":2}}}}"));
    assert_eq!(status, 200);
    let appended = lines(std::str::from_utf8(&body).unwrap());
    assert_eq!(appended, frames(&server));
    // Import: the same again is nothing new, another frame under a taken id is refused.
    let line = String::from_utf8(body).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(server.post("/import", "", &line).0, 200);
    let pretty = serde_json::to_string_pretty(&json(&line)).unwrap();
    let (status, _, body) = server.post("/import", "", &pretty);
    assert_eq!((status, json(std::str::from_utf8(&body).unwrap())), (200, json(&line)));
    let other = line.replace("\"a\"", "\"other\"");
    let (status, _, body) = server.post("/import", "", &other);
    assert_eq!((status, error(&body).0.as_str()), (409, "Conflict"));
    let (status, _, body) = server.post("/import", "", &format!("{line}\nnonsense\n"));
    assert_eq!(status, 400);
    assert!(error(&body).1.contains("line 2"));
    let ahead = r#"{"topic":"a","id":"f5lxx1zz5pnorynqglhzmsp33"}"#;
    assert_eq!(server.post("/import", "", ahead).0, 400);
    assert_eq!(frames(&server), appended);
}

#[test]
fn a_condition_that_fails_tells_the_actual_last_id() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let first = json(&ok(&["append", addr, "a", "--expect", "none"], b""));
    let id = first["id"].as_str().unwrap();
    for expect in ["none", "03d4q1qhbiv09ovtuhokw5yxv"] {
        let (status, _, body) = server.post(&format!("/append/a?expect={expect}"), "", "content");
        assert_eq!(status, 409);
        assert_eq!(json(std::str::from_utf8(&body).unwrap())["error"]["actual"], id);
        assert!(fails(&["append", addr, "a", "--expect", expect], b"").contains(id));
    }
    let (_, _, body) = server.post(&format!("/append/b?expect={id}"), "", "");
    assert_eq!(json(std::str::from_utf8(&body).unwrap())["error"]["actual"], Value::Null);
    ok(&["append", addr, "a", "--expect", id], b"");
    assert_eq!(frames(&server).len(), 2);
}

#[test]
fn a_body_that_is_cut_off_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    for (target, sent) in [
        ("/append/a", 0),
        ("/append/a", 10),
        ("/append/a", 3_000_000),
        ("/cas", 3_000_000),
        ("/import", 10),
        ("/append", 10),
    ] {
        for close in [true, false] {
            let mut socket = UnixStream::connect(server.path.join("sock")).unwrap();
            let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n");
            socket.write_all(head.as_bytes()).unwrap();
            socket.write_all(&vec![b'x'; sent]).unwrap();
            if close {
                drop(socket);
            } else {
                socket.shutdown(Shutdown::Write).unwrap();
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest);
                assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
            }
        }
    }
    // A broken chunk of a chunked body, too.
    let mut socket = UnixStream::connect(server.path.join("sock")).unwrap();
    socket.write_all(b"POST /append/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZ\r\n").unwrap();
    assert_eq!(answer(&mut socket).0, 400);
    // The server is none the worse, and its temporary files are gone.
    ok(&["append", server.addr(), "b"], b"whole");
    assert_eq!(frames(&server).len(), 1);
    wait_until("what was left behind is cleared", || contents(&server) == 1);
}

#[test]
fn a_follower_that_never_reads_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    // However long the machine takes.
    let server = Server::start_with(&dir.path().join("store"), &["--write-timeout", "1h"]);
    let mut idle = UnixStream::connect(server.path.join("sock")).unwrap();
    idle.write_all(b"GET /?follow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // More than any buffer between the two holds, so that the server cannot write it all.
    let meta = "x".repeat(20_000);
    let batch = format!("{{\"topic\":\"a\",\"meta\":\"{meta}\"}}\n").repeat(200);
    for _ in 0..8 {
        assert_eq!(server.post("/append", "", &batch).0, 200);
    }
    assert_eq!(frames(&server).len(), 1600);
    // When it comes to read after all, every frame is there, once.
    let mut text = String::new();
    let mut buffer = vec![0; 1 << 20];
    idle.set_read_timeout(Some(std::time::Duration::from_secs(300))).unwrap();
    while text.matches("\"topic\":\"a\"").count() < 1600 {
        let read = idle.read(&mut buffer).unwrap();
        assert!(read > 0, "it was cut off");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert_eq!(text.matches("\"topic\":\"a\"").count(), 1600);
    drop(idle);
    assert!(server.terminate().success());
}

#[test]
fn damaged_content_never_ends_as_if_it_were_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    for size in [5usize, 900_000] {
        let content = vec![b'y'; size];
        let hash = ok(&["cas-post", addr], &content).trim().to_owned();
        let file = find(&server.path.join("cas"), &content);
        let mut flipped = content.clone();
        flipped[size - 1] ^= 1;
        for damaged in [flipped, Vec::new(), content[..size / 2].to_vec(), [&content[..], b"x"].concat()] {
            fs::write(&file, damaged).unwrap();
            let output = run(&["cas", addr, &hash], b"");
            assert_eq!(output.status.code(), Some(1));
            assert!(output.stdout.len() < size, "all of it was given out");
            let said = String::from_utf8(output.stderr).unwrap();
            // What fits a chunk is answered with an error, larger content breaks off.
            assert!(said.contains("broke off") || said.contains("Corrupt"), "{said}");
            let (status, _, body) = server.call("GET", &format!("/cas/{hash}"), "");
            assert!(status == 500 || size > 1000 && status == 200 && body.len() < size, "{status}");
        }
    }
}

fn find(dir: &Path, content: &[u8]) -> std::path::PathBuf {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let shards = entries.filter(|path| path.is_dir()).flat_map(|dir| fs::read_dir(dir).unwrap());
    shards.map(|entry| entry.unwrap().path()).find(|path| fs::read(path).unwrap() == content).unwrap()
}

#[test]
fn a_command_that_cannot_reach_a_server_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let addr = path.to_str().unwrap();
    assert!(fails(&["cat", addr], b"").contains("xs serve"));
    let server = Server::start(&path);
    let second = fails(&["serve", addr], b"");
    assert!(second.contains("held by process") && second.contains(&server.child.id().to_string()), "{second}");
    // A killed server leaves its socket behind, and no lock.
    drop(server);
    assert!(path.join("sock").exists());
    for address in [addr, path.join("sock").to_str().unwrap()] {
        let said = fails(&["cat", address], b"");
        assert!(said.trim_end().ends_with(&format!("xs serve {addr}")), "{said}");
    }
    assert!(Server::start(&path).terminate().success());
    // One that was stopped does not.
    assert!(fails(&["cat", path.join("sock").to_str().unwrap()], b"").trim_end().ends_with(addr));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(fails(&["serve", file.to_str().unwrap()], b"").contains("is a file"));
    let said = fails(&["cat", file.to_str().unwrap()], b"");
    assert!(said.contains("is a file") && said.trim_end().ends_with("xs serve <path>"), "{said}");
    assert!(fails(&["cat", dir.path().to_str().unwrap()], b"").contains("not a store"));
    assert!(fails(&["serve", addr, "--index", "redb"], b"").contains("fjall"));
    assert!(fails(&["serve", addr, "--expose", "/nowhere/at/all/sock"], b"").contains("/nowhere/at/all/sock"));
    assert!(Server::start(&path).terminate().success(), "a failed start holds on to the store");
}

#[test]
fn bad_flags_are_usage_errors() {
    for args in [
        &["cat"][..],
        &["cat", "x", "--limit", "many"],
        &["cat", "x", "--after", "x"],
        &["cat", "x", "-T", "a..b"],
        &["cat", "x", "--pulse", "0"],
        &["append", "x", "a b"],
        &["append", "x", "a", "--ttl", "soon"],
        &["append", "x", "a", "--expect", "some"],
        &["append", "x", "a", "--meta", "{"],
        &["scru128", "unpack", "x"],
        &["cas", "x", "md5-x"],
        &["get", "x", "y"],
        &["last", "x", "a", "0"],
        &["last", "x", "5", "6"],
        &["last", "x", "5x"],
        &["cat", "https://s3cret@x"],
        &["serve", "x", "--expose", "nonsense"],
        &["serve", "x", "--tls-cert", "cert.pem"],
        &["serve", "x", "--header-timeout", "0"],
        &["serve", "x", "--grace", "soon"],
        &["serve", "x", "--content-bytes-max", "big"],
        &["serve", "x", "--log-format", "xml"],
        &["serve", "x", "--index", "rebd"],
        &["completions", "csh"],
        &["fly"],
        &[],
    ] {
        assert_eq!(run(args, b"").status.code(), Some(2), "{args:?}");
    }
    let said = String::from_utf8(run(&["append", "x", "a", "--meta", "{"], b"").stderr).unwrap();
    assert!(said.contains("JSON"), "{said}");
}

#[test]
fn a_filter_of_the_log_that_is_none_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for (filter, named) in [("xs_server=loud", "loud"), ("info,verbose", "\"verbose\"")] {
        let output = run_in(&[("XS_LOG", filter)], &["serve", path.to_str().unwrap()], b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().count() == 1 && said.contains("XS_LOG") && said.contains(named), "{said}");
    }
    assert!(!path.exists(), "a store was made");
    // Set to nothing is not set.
    assert!(Server::start_in(&path, &[], &[("XS_LOG", "")]).terminate().success());
}

#[test]
fn a_stopping_server_says_so_and_drops_nothing() {
    // Ctrl-C sends the second.
    ["TERM", "INT"].into_iter().for_each(a_server_stops_by);
}

fn a_server_stops_by(signal: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let server = Server::start(&path);
    let mut follower = UnixStream::connect(path.join("sock")).unwrap();
    follower.write_all(b"GET /?follow HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // A body that is under way when the signal comes is taken to its end.
    let mut slow = UnixStream::connect(path.join("sock")).unwrap();
    slow.write_all(
        b"POST /append/slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    )
    .unwrap();
    // So it is known that the server has begun with it.
    let mut going_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    slow.read_exact(&mut going_on).unwrap();
    assert!(going_on.starts_with(b"HTTP/1.1 100"));
    slow.write_all(b"hello").unwrap();
    let mut seen = String::new();
    let mut until = |seen: &mut String, topic: &str| {
        while !seen.contains(topic) {
            let mut some = [0; 512];
            let length = follower.read(&mut some).unwrap();
            assert!(length > 0, "the follower was cut off: {seen}");
            seen.push_str(std::str::from_utf8(&some[..length]).unwrap());
        }
    };
    // It follows once it is past the seam.
    until(&mut seen, "xs.threshold");
    let stopping = std::thread::spawn(move || server.stop(signal));
    until(&mut seen, "xs.stopping");
    slow.write_all(b"world").unwrap();
    assert_eq!(answer(&mut slow).0, 200);
    // What was under way is shown before the end.
    follower.read_to_string(&mut seen).unwrap();
    assert!(seen.contains("\"slow\"") && seen.ends_with("0\r\n\r\n"), "the follower was cut off: {seen}");
    assert_eq!(stopping.join().unwrap().code(), Some(0));
    assert!(!path.join("sock").exists());
    let server = Server::start(&path);
    let topics: Vec<_> = lines(&ok(&["cat", server.addr()], b"")).iter().map(|f| f["topic"].clone()).collect();
    assert_eq!(topics, ["xs.start", "xs.stopping", "slow", "xs.start"]);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let batch = format!("{{\"topic\":\"a\",\"meta\":\"{}\"}}\n", "x".repeat(1000)).repeat(2000);
    assert_eq!(server.post("/append", "", &batch).0, 200);
    let mut child = support::xs()
        .args(["cat", server.addr()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_pipe_that_is_closed_on_a_quiet_stream_ends_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let mut child = support::xs()
        .args(["cat", server.addr(), "-f"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // History is at its end: nothing more comes.
    let mut seen = Vec::new();
    let mut out = child.stdout.take().unwrap();
    while !String::from_utf8_lossy(&seen).contains("xs.threshold") {
        let mut some = [0; 512];
        let length = out.read(&mut some).unwrap();
        assert!(length > 0, "it ended");
        seen.extend_from_slice(&some[..length]);
    }
    drop(out);
    wait_until("the follower ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
