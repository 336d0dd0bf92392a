//! Followers that take nothing any more, and what the server holds for them while many frames come in.
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

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use support::{PATIENCE, Server};

const FOLLOWERS: usize = 32;
const BATCHES: usize = 40;
const BATCH_FRAMES: usize = 256;
const META_BYTES: usize = 16 * 1024;
/// Of each: two pages of a mebibyte, when it reads the store, and what is on its way into its socket.
const KIB_EACH_MAX: usize = 3 * 1024;

/// A follower that has read the head of its answer and the threshold.
fn follow(server: &Server) -> BufReader<UnixStream> {
    let mut socket = UnixStream::connect(server.socket()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "GET /?follow&topic=stalled HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut follower = BufReader::with_capacity(4096, socket);
    let mut line = String::new();
    while !line.contains("xs.threshold") {
        line.clear();
        assert!(follower.read_line(&mut line).unwrap() > 0, "it ended before the threshold");
    }
    follower
}

/// How many follow, as the server says; with itself, which prints what comes in.
fn count(server: &Server) -> usize {
    let (_, _, metrics) = server.call("GET", "/metrics", "");
    let metrics = String::from_utf8(metrics).unwrap();
    let count = metrics.lines().find_map(|line| line.strip_prefix("xs_followers ")).unwrap();
    count.parse().unwrap()
}

/// The most memory that a server has ever had when some 160 MiB of frames have come in.
fn peak_kib(server: &Server) -> usize {
    let batch = format!("{{\"topic\":\"stalled\",\"meta\":\"{}\"}}\n", "x".repeat(META_BYTES)).repeat(BATCH_FRAMES);
    for _ in 0..BATCHES {
        let (status, _, body) = server.post("/append", "", &batch);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    }
    server.memory_kib("VmHWM")
}

#[test]
fn followers_that_stall_cost_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    // Nobody is dropped while the test lasts, however slow the machine is.
    let start =
        |name: &str| Server::start_with(&dir.path().join(name), &["--index", "sqlite", "--write-timeout", "1h"]);
    let alone = {
        let server = start("alone");
        peak_kib(&server)
    };
    let server = start("stalled");
    let mut followers: Vec<_> = (0..FOLLOWERS).map(|_| follow(&server)).collect();
    let following = count(&server);
    let stalled = peak_kib(&server);
    println!("{FOLLOWERS} stalled followers: {} KiB above {alone} KiB", stalled.saturating_sub(alone));
    assert!(
        stalled <= alone + FOLLOWERS * KIB_EACH_MAX,
        "{FOLLOWERS} stalled followers took the server from {alone} to {stalled} KiB"
    );
    assert_eq!(count(&server), following, "a follower was dropped");

    // One that reads on lacks nothing.
    let mut left = BATCHES * BATCH_FRAMES;
    let mut line = String::new();
    let mut follower = followers.remove(0);
    while left > 0 {
        line.clear();
        assert!(follower.read_line(&mut line).unwrap() > 0, "it was cut off {left} frames before the last");
        // Between them are the lengths of chunks, a line each.
        left -= usize::from(line.starts_with(r#"{"topic":"stalled""#));
    }
}
