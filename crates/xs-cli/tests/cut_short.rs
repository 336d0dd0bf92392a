//! An export through what ends its answers with their connections, and cuts them short: no end is marked in them.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/fake.rs"]
mod fake;
mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fake::fake;
use support::{fails, ok};

const FRAMES: usize = 7;

/// The ids of these frames come one after the other.
fn id(n: usize) -> String {
    format!("03d4q1qhbiv09ovtuhokw5yx{n}")
}

fn line(n: usize) -> String {
    format!("{{\"topic\":\"a\",\"id\":\"{}\",\"hash\":null,\"meta\":null,\"ttl\":null}}\n", id(n))
}

fn lines(frames: impl Iterator<Item = usize>) -> String {
    frames.map(line).collect()
}

/// The number of the first frame that a request for history asks for, by its first line; `None` for any other.
fn first(request: &str) -> Option<usize> {
    if request.starts_with("GET / ") {
        return Some(0);
    }
    let after = request.strip_prefix("GET /?after=")?.split(' ').next().unwrap();
    Some((0..FRAMES).find(|n| id(*n) == after).unwrap() + 1)
}

/// Exports all frames from there.
fn exports(addr: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dump = dir.path().join("dump");
    ok(&["export", addr, text(&dump)], b"");
    assert_eq!(fs::read_to_string(dump.join("frames.jsonl")).unwrap(), lines(0..FRAMES));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_answer_that_ends_between_two_frames_goes_on_after_the_first() {
    exports(&fake(|request| match first(request) {
        Some(first) => lines((first..FRAMES).take(2)),
        None => line(FRAMES - 1),
    }));
}

#[test]
fn an_answer_that_ends_within_a_frame_goes_on_with_it() {
    exports(&fake(|request| match first(request) {
        Some(first) => {
            let all = lines(first..FRAMES);
            let whole = line(0).len();
            // One frame and a half.
            all.get(..whole + whole / 2).unwrap_or(&all).to_owned()
        }
        None => line(FRAMES - 1),
    }));
}

#[test]
fn a_last_frame_that_is_removed_is_not_waited_for() {
    let is_told = AtomicBool::new(false);
    exports(&fake(move |request| match first(request) {
        Some(first) => lines((first..FRAMES).take(3)),
        // There was one more, until its id was told.
        None => line(if is_told.swap(true, Ordering::SeqCst) { FRAMES - 1 } else { FRAMES }),
    }));
}

#[test]
fn an_answer_that_always_ends_early_is_no_export() {
    let dir = tempfile::tempdir().unwrap();
    // Also where it ends before it has begun.
    for given in [2, 0] {
        let addr = fake(move |request| match first(request) {
            Some(first) => lines(first..given),
            None => line(FRAMES - 1),
        });
        let dump = dir.path().join("dump");
        let said = fails(&["export", &addr, text(&dump)], b"");
        assert!(said.contains(&id(FRAMES - 1)), "{said}");
        assert!(!dump.join("frames.jsonl").exists(), "it looks finished");
    }
}

#[test]
fn what_begins_again_each_time_is_no_export() {
    let dir = tempfile::tempdir().unwrap();
    let addr = fake(|request| match first(request) {
        Some(_) => lines((0..FRAMES).take(2)),
        None => line(FRAMES - 1),
    });
    let said = fails(&["export", &addr, text(&dir.path().join("dump"))], b"");
    assert!(said.contains(&id(0)) && said.contains("came again"), "{said}");
}
