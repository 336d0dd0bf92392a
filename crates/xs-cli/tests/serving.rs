//! Starting and stopping a server: what is refused before there is a store, and who does not want to wait.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use support::{PATIENCE, Server, lines, misused, ok, wait_until, xs};

#[test]
fn flags_that_make_no_sense_make_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let addr = store.to_str().unwrap();
    for (flag, value) in [
        ("--expose", "0.0.0.0:0"),
        ("--expose", "[::]:0"),
        ("--expose", "tls://127.0.0.1:0"),
        ("--connections-max", "0"),
        ("--header-bytes-max", "0"),
        ("--body-timeout", "0"),
        ("--index", "rebd"),
    ] {
        let said = misused(&["serve", addr, flag, value]);
        assert!(said.contains(flag), "{flag} {value}: {said}");
        assert!(!store.exists(), "{flag} {value}: a store was made");
    }
    for (flag, value) in [("--connections-max", "0"), ("--header-bytes-max", "0"), ("--expose", "0.0.0.0:0")] {
        let said = misused(&["serve", addr, flag, value]);
        assert!(said.starts_with(&format!("xs: {flag} ")) && said.lines().count() == 1, "{said}");
    }
}

fn connect(server: &Server, request: &str) -> UnixStream {
    let mut socket = UnixStream::connect(server.socket()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    socket
}

fn read_until(socket: &mut UnixStream, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut some = [0; 512];
        let length = socket.read(&mut some).unwrap();
        assert!(length > 0, "it ended: {seen}");
        seen.push_str(std::str::from_utf8(&some[..length]).unwrap());
    }
}

#[test]
fn a_server_that_is_told_twice_to_stop_waits_for_nobody() {
    ["TERM", "INT"].into_iter().for_each(a_server_is_told_twice_by);
}

fn a_server_is_told_twice_by(signal: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut serve = xs();
    serve.arg("serve").arg(&path).args(["--grace", "1h", "--body-timeout", "1h", "--log-format", "json"]);
    let child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut server = Server { child, path: path.clone() };
    wait_until("the server answers", || UnixStream::connect(path.join("sock")).is_ok());
    let mut follower = connect(&server, "GET /?follow HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(&mut follower, "xs.threshold");
    // Its body does not come, and would be waited for.
    let mut slow =
        connect(&server, "POST /append/slow HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    read_until(&mut slow, "\r\n\r\n");
    server.signal("TERM");
    read_until(&mut follower, "xs.stopping");
    assert!(server.child.try_wait().unwrap().is_none(), "it did not wait for what is under way");
    // What comes soon after the first is the first.
    wait_until("it ends", || {
        let ended = server.child.try_wait().unwrap();
        if ended.is_none() {
            server.signal(signal);
        }
        ended.is_some()
    });
    let code = server.child.wait().unwrap().code();
    let mut said = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(1), "{said}");
    let own: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(own.len() == 1 && own[0].starts_with("xs: told to stop twice"), "{said}");
    assert!(!server.socket().exists());
    // The store was closed, and lacks nothing that was acknowledged.
    let server = Server::start(&path);
    let topics: Vec<_> = lines(&ok(&["cat", server.addr()], b"")).iter().map(|f| f["topic"].clone()).collect();
    assert_eq!(topics, ["xs.start", "xs.stopping", "xs.start"]);
}

#[test]
fn a_stop_that_comes_from_two_sides_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for _ in 0..5 {
        let mut server = Server::start(&path);
        let mut follower = connect(&server, "GET /?follow&new HTTP/1.1\r\nHost: x\r\n\r\n");
        read_until(&mut follower, "\r\n\r\n");
        // From the terminal, and from the script that runs it.
        let id = server.child.id();
        Command::new("sh").args(["-c", &format!("kill -INT {id}; kill -TERM {id}")]).status().unwrap();
        let mut rest = String::new();
        follower.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("xs.stopping") && rest.ends_with("0\r\n\r\n"), "it was cut off: {rest}");
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn whoever_goes_there_may_keep_a_store_however_deep() {
    let dir = tempfile::tempdir().unwrap();
    // Longer than the path of a socket can be.
    let deep = dir.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let mut serve = xs();
    let child = serve.args(["serve", "./store"]).current_dir(&deep).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = Server { child: child.stderr(Stdio::null()).spawn().unwrap(), path: deep.join("store") };
    wait_until("it is called from there", || {
        assert_eq!(server.child.try_wait().unwrap(), None, "the server ended by itself");
        xs().args(["last", "./store"]).current_dir(&deep).stderr(Stdio::null()).output().unwrap().status.success()
    });
    assert!(server.terminate().success());
}
