//! What an export makes of content that cannot be had, and of answers that are not the server's.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

#[path = "support/between.rs"]
mod between;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use between::{between, body_at};
use support::{Server, fails, json, lines, ok, run};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server, content that many frames name, and other content beside it.
struct Store {
    dir: tempfile::TempDir,
    server: Server,
    hash: String,
}

const SHARED: &[u8] = b"the shared content";
const FRAMES: usize = 30;

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("store"));
        let frame = json(&ok(&["append", server.addr(), "a"], SHARED));
        let hash = frame["hash"].as_str().unwrap().to_owned();
        let line = format!("{{\"topic\":\"a\",\"hash\":\"{hash}\"}}\n");
        ok(&["append", server.addr(), "b"], b"other content");
        assert_eq!(server.post("/append", "", &line.repeat(FRAMES - 1)).0, 200);
        Self { dir, server, hash }
    }

    /// The file of the shared content.
    fn file(&self) -> PathBuf {
        let shards = fs::read_dir(self.server.path.join("cas")).unwrap().map(|entry| entry.unwrap().path());
        let files = shards.filter(|shard| shard.is_dir()).flat_map(|shard| fs::read_dir(shard).unwrap());
        let mut files = files.map(|entry| entry.unwrap().path());
        files.find(|file| fs::read(file).is_ok_and(|bytes| bytes == SHARED)).unwrap()
    }

    fn dump(&self) -> PathBuf {
        self.dir.path().join("dump")
    }

    /// Exports through somebody who changes answers about the shared content: `change` gets each with its
    /// number. Returns how many there were, too.
    fn export(&self, change: impl Fn(usize, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> (Output, usize) {
        let place = self.dir.path().join("between");
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, target) = (Arc::clone(&asked), format!("GET /cas/{} ", self.hash));
        between(&place, &self.server, move |first, answer| match first.starts_with(&target) {
            true => change(counted.fetch_add(1, Ordering::SeqCst), answer),
            false => answer,
        });
        let output = run(&["export", "--allow-missing", text(&place), text(&self.dump())], b"");
        fs::remove_file(&place).unwrap();
        (output, asked.load(Ordering::SeqCst))
    }

    /// The one content that is listed as lost, and why.
    fn is_listed(&self, why: &str) {
        let listed = lines(&fs::read_to_string(self.dump().join("missing.jsonl")).unwrap());
        assert!(listed.len() == 1 && listed[0]["hash"] == *self.hash && listed[0]["why"] == why, "{listed:?}");
        let frames = fs::read_to_string(self.dump().join("frames.jsonl")).unwrap();
        assert_eq!(frames, ok(&["cat", self.server.addr()], b""));
        assert_eq!(fs::read_dir(self.dump().join("cas")).unwrap().count(), 1, "something was left behind");
    }

    fn make_unreadable(&self) {
        put_unreadable(&self.file());
    }
}

/// In the place of a file stands what can be opened, and not read.
fn put_unreadable(file: &Path) {
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
    fs::write(file.join("something"), "else").unwrap();
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn content_that_the_server_cannot_read_is_left_out() {
    let store = Store::new();
    store.make_unreadable();
    let (addr, dump) = (store.server.addr(), store.dump());
    let failed = fails(&["export", addr, text(&dump)], b"");
    assert!(failed.contains("--allow-missing") && failed.contains(&store.hash), "{failed}");
    assert!(!dump.join("frames.jsonl").exists(), "it looks finished");
    let (output, asked) = store.export(|_, answer| answer);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(asked, 2, "frames that share it asked for it again");
    assert!(said(&output).lines().count() == 2 && said(&output).contains("1 unreadable"), "{}", said(&output));
    store.is_listed("unreadable");
}

#[test]
fn content_that_is_missing_is_asked_for_once() {
    let store = Store::new();
    fs::remove_file(store.file()).unwrap();
    let (output, asked) = store.export(|_, answer| answer);
    assert!(output.status.success() && asked == 1, "{asked}: {}", said(&output));
    store.is_listed("missing");
}

#[test]
fn content_that_comes_whole_the_second_time_is_exported() {
    let broken_off = |answer: Vec<u8>| answer[..body_at(&answer) + 5].to_vec();
    let other = |mut answer: Vec<u8>| {
        let at = body_at(&answer);
        answer[at] ^= 1;
        answer
    };
    let changes: [fn(Vec<u8>) -> Vec<u8>; 2] = [broken_off, other];
    for change in changes {
        let store = Store::new();
        let (output, asked) = store.export(move |n, answer| if n == 0 { change(answer) } else { answer });
        assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
        assert_eq!(asked, 2);
        let exported = json(std::str::from_utf8(&output.stdout).unwrap());
        assert_eq!([&exported["contents"], &exported["left_out"]], [2, 0], "{exported}");
        assert!(!store.dump().join("missing.jsonl").exists());
    }
}

#[test]
fn content_that_something_changes_on_the_way_is_told_from_damage() {
    let store = Store::new();
    let (output, asked) = store.export(|_, mut answer| {
        let at = body_at(&answer);
        answer[at] ^= 1;
        answer
    });
    assert!(output.status.success() && asked == 2, "{asked}: {}", said(&output));
    store.is_listed("altered");
}

#[test]
fn what_is_not_the_servers_word_is_no_loss() {
    let page = "<html>404</html>";
    for answer in [
        format!("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{page}", page.len()),
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ] {
        let store = Store::new();
        let status = answer[9..12].to_owned();
        let (output, _) = store.export(move |_, _| answer.clone().into_bytes());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(&status) && said(&output).contains(&store.hash), "{}", said(&output));
        if status == "404" {
            assert!(said(&output).contains("not by a server of xs"), "{}", said(&output));
        }
        assert!(!store.dump().join("frames.jsonl").exists(), "it looks finished");
        assert!(!store.dump().join("missing.jsonl").exists());
    }
}

/// Where nothing can be written.
#[cfg(target_os = "linux")]
fn full() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn losses_that_cannot_be_told_are_listed() {
    let store = Store::new();
    fs::remove_file(store.file()).unwrap();
    let arguments = ["export", "--allow-missing", store.server.addr(), text(&store.dump())].map(str::to_owned);
    let status = support::xs().args(arguments).stdout(std::process::Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    store.is_listed("missing");
    let status = support::xs().args(["cat", "/nowhere/at/all"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_stops_no_server() {
    use std::os::unix::net::UnixStream;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for format in ["text", "json"] {
        let mut serve = support::xs();
        serve.args(["serve", text(&path), "--log-format", format]).env("XS_LOG", "debug");
        serve.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(full());
        let server = Server { child: serve.spawn().unwrap(), path: path.clone() };
        support::wait_until("the server answers", || UnixStream::connect(server.socket()).is_ok());
        ok(&["append", server.addr(), "a"], b"content");
        assert_eq!(ok(&["health", server.addr()], b""), "{\"status\":\"ok\"}\n");
        assert_eq!(server.terminate().code(), Some(0), "{format}");
    }
}

/// More contents than are taken for lost before it is asked whether their store is away.
const MANY: usize = 22;

/// Exports one content and then many, of which those that begin with `unreadable` cannot be read.
fn export_many(unreadable: &str) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    ok(&["append", server.addr(), "a"], b"content that was there first");
    for n in 0..MANY {
        ok(&["append", server.addr(), "b"], format!("content, number {n}").as_bytes());
    }
    let shards = fs::read_dir(server.path.join("cas")).unwrap().map(|entry| entry.unwrap().path());
    let files = shards.filter(|shard| shard.is_dir()).flat_map(|shard| fs::read_dir(shard).unwrap());
    for file in files.map(|entry| entry.unwrap().path()).collect::<Vec<_>>() {
        if fs::read(&file).unwrap().starts_with(unreadable.as_bytes()) {
            put_unreadable(&file);
        }
    }
    let output = run(&["export", "--allow-missing", server.addr(), text(&dir.path().join("dump"))], b"");
    (dir, output)
}

#[test]
fn many_that_cannot_be_read_are_left_out_while_another_can() {
    let (dir, output) = export_many("content, number");
    assert!(output.status.success(), "{}", said(&output));
    let listed = lines(&fs::read_to_string(dir.path().join("dump/missing.jsonl")).unwrap());
    assert_eq!(listed.iter().filter(|loss| loss["why"] == "unreadable").count(), MANY);
}

#[test]
fn a_content_store_that_is_away_ends_the_export() {
    let (dir, output) = export_many("content");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("seems to be away"), "{}", said(&output));
    assert!(!dir.path().join("dump/frames.jsonl").exists(), "it looks finished");
}
