//! An export that is imported where something is wrong: with what the server has, with who asks, or with who answers.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

#[allow(dead_code, reason = "others look into answers")]
#[path = "support/between.rs"]
mod between;
#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use between::between;
use fake::fake;
use support::{Server, fails, json, ok, run, write_secret};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The file in which a server has this content.
fn stored(server: &Server, content: &[u8]) -> PathBuf {
    let shards = fs::read_dir(server.path.join("cas")).unwrap().map(|entry| entry.unwrap().path());
    let files = shards.filter(|shard| shard.is_dir()).flat_map(|shard| fs::read_dir(shard).unwrap());
    let mut files = files.map(|entry| entry.unwrap().path());
    files.find(|file| fs::read(file).is_ok_and(|bytes| bytes == content)).unwrap()
}

/// A store, and an export of it with one content, of this hash.
struct Exported {
    server: Server,
    dump: PathBuf,
    hash: String,
}

impl Exported {
    fn new(dir: &Path) -> Self {
        let server = Server::start(&dir.join("store"));
        let frame = json(&ok(&["append", server.addr(), "a"], b"precious"));
        let dump = dir.join("dump");
        ok(&["export", server.addr(), text(&dump)], b"");
        Self { server, dump, hash: frame["hash"].as_str().unwrap().to_owned() }
    }
}

#[test]
fn content_that_the_server_has_damaged_is_sound_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let contents = [&b"one is changed"[..], b"one is cut off", b"one is lost"];
    let hashes = contents.map(|content| {
        let frame = json(&ok(&["append", server.addr(), "a"], content));
        frame["hash"].as_str().unwrap().to_owned()
    });
    let dump = dir.path().join("dump");
    ok(&["export", server.addr(), text(&dump)], b"");

    let [changed, cut, lost] = contents.map(|content| stored(&server, content));
    fs::write(changed, "one is chanGed").unwrap();
    fs::write(cut, "one is").unwrap();
    fs::remove_file(lost).unwrap();
    let content = |hash: &str| run(&["cas", server.addr(), hash], b"");
    assert!(hashes.iter().all(|hash| !content(hash).status.success()), "it is not damaged");
    ok(&["import", server.addr(), text(&dump)], b"");
    for (hash, expected) in hashes.iter().zip(contents) {
        let output = content(hash);
        assert!(output.status.success() && output.stdout == expected, "{output:?}");
    }
}

#[test]
fn what_is_no_server_of_xs_is_sent_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Exported { dump, .. } = Exported::new(dir.path());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let by = Arc::clone(&asked);
    let addr = fake(move |request| {
        by.lock().unwrap().push(request.to_owned());
        "<html>Welcome</html>".to_owned()
    });
    let said = fails(&["import", &addr, text(&dump)], b"");
    assert!(said.contains("not understood"), "{said}");
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.starts_with("GET /version ")), "{asked:?}");
}

#[test]
fn a_failure_names_its_content_once() {
    let dir = tempfile::tempdir().unwrap();
    let Exported { server, dump, hash } = Exported::new(dir.path());
    let tokens = dir.path().join("tokens");
    write_secret(&tokens, "read-only reader\n");
    let flags = ["--expose", "127.0.0.1:0", "--token-file", text(&tokens)];
    let guarded = Server::start_with(&dir.path().join("guarded"), &flags);
    let exposed = guarded.exposed();
    let place = exposed[0].rsplit("//").next().unwrap();
    // Nobody gets as far as to a content without a token, or as far as to store one without the right to.
    for (addr, named) in [(place.to_owned(), 0), (format!("http://xs:reader@{place}"), 1)] {
        let said = fails(&["import", &addr, text(&dump)], b"");
        assert!(said.contains("token") && said.matches(&hash).count() == named, "{said}");
    }
    // Content that is not in the export is asked for, and not everyone answers.
    let content = fs::read_dir(dump.join("cas")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(content).unwrap();
    let away = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let busy = dir.path().join("busy");
    between(&busy, &server, move |request, answer| match request.starts_with("HEAD /cas/") {
        true => away.to_vec(),
        false => answer,
    });
    let said = fails(&["import", text(&busy), text(&dump)], b"");
    assert!(said.contains("503") && said.matches(&hash).count() == 1, "{said}");
}
