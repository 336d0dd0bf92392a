//! Eight large bodies at once, in and then out, and what the server holds of them in memory.
//!
//! Each has 64 MiB, so that it runs with all other tests; of a gibibyte each, in a place with 8 GiB of room:
//!
//! ```sh
//! XS_TEST_BIG=1 TMPDIR=/var/tmp cargo test --release --all-features -p xs-cli --test big_bodies -- --nocapture
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

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use support::{Server, content_length, json};
use xs::{ContentHash, ContentHasher};

const BODIES: usize = 8;
const CHUNK_BYTES: usize = 1 << 20;
/// Eight times a gibibyte is on any disk by then.
const PATIENCE: Duration = Duration::from_secs(600);
/// Above what the server had before the first byte.
const RISE_MIB_MAX: usize = 128;

/// The chunks of a body: noise that no other body has, and no other chunk.
struct Chunks {
    noise: Vec<u8>,
    given: u64,
}

impl Chunks {
    fn new(seed: u64) -> Self {
        let mut state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let words = (0..CHUNK_BYTES / 8).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        Self { noise: words.collect(), given: 0 }
    }

    /// The next one, told from the one before by its number.
    fn next(&mut self) -> &[u8] {
        self.given += 1;
        self.noise[..8].copy_from_slice(&self.given.to_le_bytes());
        &self.noise
    }
}

/// The status and the length that the head of a response tells.
fn head(socket: &mut BufReader<UnixStream>) -> (u16, usize) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(socket.read_line(&mut head).unwrap() > 0, "{head}");
    }
    (head.split(' ').nth(1).unwrap().parse().unwrap(), content_length(&head))
}

fn connect(socket: &Path) -> UnixStream {
    let socket = UnixStream::connect(socket).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends a body, of a known length or in chunks, and gives the hash that was answered.
fn send(path: &Path, seed: usize, chunks: usize) -> ContentHash {
    let mut socket = connect(path);
    let counted = seed.is_multiple_of(2);
    let framing = match counted {
        true => format!("Content-Length: {}", chunks * CHUNK_BYTES),
        false => "Transfer-Encoding: chunked".to_owned(),
    };
    write!(socket, "POST /append/big.body HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n").unwrap();
    let (mut body, mut hasher) = (Chunks::new(seed as u64), ContentHasher::new());
    for _ in 0..chunks {
        let chunk = body.next();
        hasher.update(chunk);
        if !counted {
            write!(socket, "{CHUNK_BYTES:x}\r\n").unwrap();
        }
        socket.write_all(chunk).unwrap();
        if !counted {
            socket.write_all(b"\r\n").unwrap();
        }
    }
    if !counted {
        socket.write_all(b"0\r\n\r\n").unwrap();
    }
    let mut socket = BufReader::new(socket);
    let (status, length) = head(&mut socket);
    let mut frame = vec![0; length];
    socket.read_exact(&mut frame).unwrap();
    let frame = String::from_utf8(frame).unwrap();
    assert_eq!(status, 200, "{frame}");
    let hash: ContentHash = json(&frame)["hash"].as_str().unwrap().parse().unwrap();
    assert_eq!(hash, hasher.finish(), "what was stored is not what was sent");
    hash
}

/// Takes content, whose hash has to be right, and holds none of it.
fn take(path: &Path, hash: ContentHash, chunks: usize) {
    let mut socket = connect(path);
    write!(socket, "GET /cas/{hash} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut socket = BufReader::with_capacity(CHUNK_BYTES, socket);
    assert_eq!(head(&mut socket), (200, chunks * CHUNK_BYTES));
    let (mut chunk, mut hasher) = (vec![0; CHUNK_BYTES], ContentHasher::new());
    for _ in 0..chunks {
        socket.read_exact(&mut chunk).unwrap();
        hasher.update(&chunk);
    }
    assert_eq!(hasher.finish(), hash);
}

#[test]
fn eight_large_bodies_at_once_cost_little_memory() {
    let big = std::env::var_os("XS_TEST_BIG").is_some_and(|value| value == "1");
    let chunks = if big { 1024 } else { 64 };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let socket = server.socket();
    let before = server.memory_kib("VmRSS") / 1024;
    let (sent, all_ready) = (Barrier::new(BODIES), Barrier::new(BODIES));
    std::thread::scope(|scope| {
        for seed in 0..BODIES {
            let (socket, sent, all_ready) = (&socket, &sent, &all_ready);
            scope.spawn(move || {
                all_ready.wait();
                let hash = send(socket, seed, chunks);
                sent.wait();
                take(socket, hash, chunks);
            });
        }
    });
    // The peak of all its life, its start included.
    let rise = (server.memory_kib("VmHWM") / 1024).saturating_sub(before);
    println!("{BODIES} bodies of {chunks} MiB, in and out: {rise} MiB above {before} MiB");
    assert!(rise <= RISE_MIB_MAX, "the server's memory rose by {rise} MiB");
    assert!(server.terminate().success());
}
