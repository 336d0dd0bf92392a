//! The main job on real input: eight clients store thousands of real files through the built
//! binary, the server is killed in the middle, and nothing that was acknowledged is lost. So on each
//! pair of an index and a content store that is durable; where content is on S3, that server is away
//! for some time too.
#![cfg(all(unix, feature = "fjall", feature = "redb", feature = "sqlite", feature = "cas-fs", feature = "cas-object"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Server, fails, lines, ok, run, wait_until, xs};

const CLIENTS: usize = 8;
const FILES: usize = 2100;
/// Of each: empty files, and the largest ones.
const SPECIAL: usize = 12;

/// Sources of the crates that this workspace is built from: text and binary, many of them twice.
fn real_files(made: &Path) -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"));
    let mut found = Vec::new();
    let mut dirs = vec![home.join("registry/src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() && entry.path().to_str().is_some() {
                found.push((entry.metadata().unwrap().len(), entry.path()));
            }
        }
    }
    found.sort();
    assert!(found.len() >= FILES, "{} files are too few", found.len());
    // Crates hold no empty files, which are all alike anyway.
    let empty = (0..SPECIAL).map(|n| (0, made.join(format!("empty-{n}.rs")))).collect::<Vec<_>>();
    empty.iter().for_each(|(_, path)| fs::write(path, "").unwrap());
    let largest = found.split_off(found.len() - SPECIAL);
    let step = (found.len() / (FILES - 3 * SPECIAL)).max(1);
    let mut chosen: Vec<_> = empty.into_iter().chain(largest).map(|(_, path)| path).collect();
    // Some that are there twice: licences and the like. Every so many by size, then.
    let alike =
        |pair: &&[(u64, PathBuf)]| pair[0].0 > 0 && fs::read(&pair[0].1).unwrap() == fs::read(&pair[1].1).unwrap();
    let twice: Vec<_> = found.chunks_exact(2).filter(alike).take(SPECIAL).flatten().collect();
    assert_eq!(twice.len(), 2 * SPECIAL, "no file is there twice");
    chosen.extend(twice.into_iter().chain(found.iter().step_by(step)).map(|(_, path)| path.clone()));
    chosen.sort();
    chosen.dedup();
    chosen
}

fn topic(path: &Path) -> String {
    let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or("none");
    let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("file.kind.{}", if kind.is_empty() { "other" } else { &kind })
}

fn meta(path: &Path) -> Value {
    let metadata = fs::metadata(path).unwrap();
    json!({"path": path.to_str().unwrap(), "size": metadata.len(), "mode": metadata.permissions().mode()})
}

/// Stores one file, again and again until it is acknowledged.
fn store(addr: &str, path: &Path) -> Value {
    let (topic, meta) = (topic(path), meta(path).to_string());
    let start = Instant::now();
    loop {
        // Seven others come between, and the server is away in between.
        assert!(start.elapsed() < 10 * support::PATIENCE, "{} is not stored", path.display());
        let output = xs()
            .args(["append", addr, &topic, "--meta", &meta])
            .stdin(fs::File::open(path).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return support::json(std::str::from_utf8(&output.stdout).unwrap());
        }
        // The server is being killed or started.
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Follows from the start, again after the last id each time that the server goes away. `joined` counts how often it
/// came through history.
fn follow(addr: &str, done: &AtomicBool, joined: &AtomicUsize, seen: &Mutex<Vec<Value>>) {
    while !done.load(Ordering::SeqCst) {
        let after = seen.lock().unwrap().last().map(|frame| id(frame).to_owned());
        let mut command = xs();
        command.args(["cat", addr, "--follow", "-T", "file.*"]);
        if let Some(after) = &after {
            command.args(["--after", after]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            // A line that the kill cut short comes again, whole.
            let Ok(frame) = serde_json::from_str::<Value>(&line) else { break };
            if frame["topic"] == "xs.threshold" {
                joined.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            if frame["topic"] == "file.done" {
                done.store(true, Ordering::SeqCst);
                break;
            }
            seen.lock().unwrap().push(frame);
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
}

fn id(frame: &Value) -> &str {
    frame["id"].as_str().unwrap()
}

/// Where content lies.
enum Contents {
    Files,
    S3 { dir: PathBuf, server: Option<xs_test_s3::Server> },
}

impl Contents {
    fn s3(dir: &Path) -> Self {
        let dir = dir.join("s3");
        Self::S3 { server: Some(xs_test_s3::Server::start(&dir)), dir }
    }

    /// The content store as the command line names it.
    fn name(&self) -> String {
        match self {
            Self::Files => "fs".to_owned(),
            Self::S3 { server, .. } => {
                let endpoint = server.as_ref().unwrap().endpoint();
                format!("s3://{}/main-job?endpoint={endpoint}&timeout_ms=60000&retries=2", xs_test_s3::BUCKET)
            }
        }
    }

    /// How many pieces of content there are.
    fn count(&self, store: &Path) -> usize {
        let above = match self {
            Self::Files => store.join("cas"),
            Self::S3 { dir, .. } => dir.join(xs_test_s3::BUCKET).join("main-job/content"),
        };
        let shards = fs::read_dir(above).unwrap().map(|entry| entry.unwrap().path());
        let shards = shards.filter(|path| path.is_dir() && path.file_name().unwrap().len() == 2);
        shards.map(|shard| fs::read_dir(shard).unwrap().count()).sum()
    }

    /// Takes the server of the content away for a while, if it has one. What needs it is refused, and
    /// nothing of it is stored; what does not goes on.
    fn go_away(&mut self, addr: &str) {
        let Self::S3 { dir, server } = self else { return };
        let port = server.as_ref().unwrap().port();
        drop(server.take());
        let frames = ok(&["cat", addr, "-T", "while.away"], b"");
        assert_eq!(frames, "");
        for _ in 0..3 {
            let refused = fails(&["append", addr, "while.away"], b"this content has nowhere to go");
            assert!(refused.contains("Unavailable"), "{refused}");
        }
        assert_eq!(ok(&["cat", addr, "-T", "while.away"], b""), "", "a frame of content that was not stored");
        ok(&["append", addr, "no.content"], b"");
        *server = Some(xs_test_s3::Server::start_at(dir, port));
        // A connection that was there may have to be found broken first.
        wait_until("content is stored again", || run(&["append", addr, "back"], b"again").status.success());
    }
}

#[test]
fn fjall_with_files() {
    thousands_of_real_files_survive("fjall", |_| Contents::Files);
}

#[test]
fn redb_with_files() {
    thousands_of_real_files_survive("redb", |_| Contents::Files);
}

#[test]
fn sqlite_with_files() {
    thousands_of_real_files_survive("sqlite", |_| Contents::Files);
}

#[test]
fn fjall_with_s3() {
    thousands_of_real_files_survive("fjall", Contents::s3);
}

#[test]
fn redb_with_s3() {
    thousands_of_real_files_survive("redb", Contents::s3);
}

#[test]
fn sqlite_with_s3() {
    thousands_of_real_files_survive("sqlite", Contents::s3);
}

fn thousands_of_real_files_survive(index: &str, contents: fn(&Path) -> Contents) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let files = real_files(dir.path());
    let mut contents = contents(dir.path());
    let cas = contents.name();
    let keys = [("AWS_ACCESS_KEY_ID", xs_test_s3::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", xs_test_s3::SECRET_KEY)];
    let server = Mutex::new(Some(Server::start_in(&path, &["--index", index, "--cas", &cas], &keys)));
    let addr = path.to_str().unwrap();
    let (next, stored) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let acknowledged = Mutex::new(BTreeMap::new());
    let (done, joined, seen) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));

    std::thread::scope(|scope| {
        let follower = scope.spawn(|| follow(addr, &done, &joined, &seen));
        wait_until("the follower is live", || joined.load(Ordering::SeqCst) > 0);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine: Vec<String> = Vec::new();
                    while let Some(file) = files.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let frame = store(addr, file);
                        mine.push(id(&frame).to_owned());
                        acknowledged.lock().unwrap().insert(id(&frame).to_owned(), (frame, file));
                        stored.fetch_add(1, Ordering::SeqCst);
                    }
                    assert!(mine.is_sorted_by(|a, b| a < b), "a client saw its ids step back");
                })
            })
            .collect();
        // However long all of them take, one of them does not.
        for n in (0..=files.len() / 2).step_by(CLIENTS) {
            wait_until("half of the files are stored", || stored.load(Ordering::SeqCst) > n);
        }
        wait_until("the follower is given some", || !seen.lock().unwrap().is_empty());
        // Dropping a server kills it.
        drop(server.lock().unwrap().take());
        // Reopening needs only the path.
        *server.lock().unwrap() = Some(Server::start_in(&path, &[], &keys));
        contents.go_away(addr);
        for client in clients {
            client.join().unwrap();
        }
        ok(&["append", addr, "file.done"], b"");
        follower.join().unwrap();
    });

    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(acknowledged.len(), files.len());
    let all: Vec<Value> = lines(&ok(&["cat", addr, "-T", "file.kind.*"], b""));
    let ids: Vec<&str> = all.iter().map(id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "out of order, or twice");
    for (id, (frame, file)) in &acknowledged {
        let at = ids.binary_search(&id.as_str()).unwrap_or_else(|_| panic!("{id} is lost: {}", file.display()));
        assert_eq!(&all[at], frame);
        assert_eq!(frame["meta"], meta(file));
    }
    // What the kill took from a client before it was acknowledged may be there, once for each retry.
    let extra = all.len() - acknowledged.len();
    assert!(extra <= CLIENTS, "{extra} frames were stored that nobody was told of");
    assert_eq!(seen.into_inner().unwrap(), all, "the follower did not see every frame once");
    assert!(joined.into_inner() > 1, "the follower did not come back");

    compare_contents(addr, &acknowledged.values().map(|(frame, file)| (frame, file.as_path())).collect::<Vec<_>>());
    let hashes: BTreeSet<&str> = all.iter().filter_map(|frame| frame["hash"].as_str()).collect();
    let stored = acknowledged.values().filter_map(|(frame, _)| frame["hash"].as_str());
    let (files, contents_of_files) = (stored.clone().count(), stored.collect::<BTreeSet<_>>().len());
    assert!(contents_of_files + SPECIAL <= files, "{contents_of_files} contents of {files} files");
    let others: BTreeSet<String> =
        lines(&ok(&["cat", addr, "-T", "back"], b"")).iter().map(|frame| frame["hash"].to_string()).collect();
    assert_eq!(contents.count(&path), hashes.len() + others.len(), "content is not stored once");
    queries(addr, &all);
    assert!(server.into_inner().unwrap().unwrap().terminate().success());
}

/// Every byte, through as many clients.
fn compare_contents(addr: &str, frames: &[(&Value, &Path)]) {
    std::thread::scope(|scope| {
        for part in frames.chunks(frames.len().div_ceil(CLIENTS)) {
            scope.spawn(move || {
                for (frame, file) in part {
                    let bytes = fs::read(file).unwrap();
                    match frame["hash"].as_str() {
                        None => assert!(bytes.is_empty(), "{} has no content", file.display()),
                        Some(hash) => {
                            let output = run(&["cas", addr, hash], b"");
                            assert!(output.status.success() && output.stdout == bytes, "{} differs", file.display());
                        }
                    }
                }
            });
        }
    });
}

/// `last`, patterns, `after` and `limit` answer as the frames say.
fn queries(addr: &str, all: &[Value]) {
    let of = |topic: &str| all.iter().filter(|frame| frame["topic"] == topic).cloned().collect::<Vec<_>>();
    let topics: BTreeSet<&str> = all.iter().map(|frame| frame["topic"].as_str().unwrap()).collect();
    for topic in &topics {
        let frames = of(topic);
        assert_eq!(lines(&ok(&["last", addr, topic], b"")), frames[frames.len() - 1..]);
        assert_eq!(lines(&ok(&["last", addr, topic, "3"], b"")), frames[frames.len().saturating_sub(3)..]);
        assert_eq!(lines(&ok(&["cat", addr, "-T", topic], b"")), frames);
    }
    let listed = lines(&ok(&["topics", addr, "file.kind."], b""));
    assert_eq!(listed.iter().map(|line| line["topic"].as_str().unwrap()).collect::<Vec<_>>(), Vec::from_iter(topics));
    let middle = id(&all[all.len() / 2]);
    assert_eq!(lines(&ok(&["cat", addr, "-T", "file.kind.*", "--after", middle], b"")), all[all.len() / 2 + 1..]);
    let page = ok(&["cat", addr, "-T", "file.kind.*", "--from", middle, "--limit", "100"], b"");
    assert_eq!(lines(&page), all[all.len() / 2..all.len() / 2 + 100]);
    let mut two: Vec<Value> = [of("file.kind.rs"), of("file.kind.toml")].concat();
    two.sort_by(|a, b| id(a).cmp(id(b)));
    assert_eq!(lines(&ok(&["cat", addr, "-T", "file.kind.toml,file.kind.rs"], b"")), two);
    assert_eq!(lines(&ok(&["get", addr, middle], b"")), all[all.len() / 2..=all.len() / 2]);
}
