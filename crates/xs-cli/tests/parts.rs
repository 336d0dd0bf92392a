//! Choosing parts at the prompt, and moving a store between them.
#![cfg(all(unix, feature = "fjall", feature = "redb", feature = "sqlite", feature = "cas-fs", feature = "cas-object"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Server, fails, json, lines, ok, wait_until, xs};

const INDEXES: [&str; 3] = ["fjall", "redb", "sqlite"];

/// Everything below a path, with the path itself.
fn below(path: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        found.extend(fs::read_dir(path).unwrap().flat_map(|entry| below(&entry.unwrap().path())));
    }
    found
}

/// Frames but those of the servers.
fn frames(path: &Path) -> Vec<Value> {
    let server = Server::start(path);
    let mut all = lines(&ok(&["cat", server.addr()], b""));
    all.retain(|frame| !frame["topic"].as_str().unwrap().starts_with("xs."));
    assert!(server.terminate().success());
    all
}

#[test]
fn a_copy_that_was_killed_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let server = Server::start(&from);
    for n in 0..300 {
        let content = format!("content {n} {}", "x".repeat(20_000));
        let (status, _, _) = server.post("/append/a.b?ttl=last:1000", "", &content);
        assert_eq!(status, 200);
    }
    assert!(fails(&["copy", server.addr(), to.to_str().unwrap()], b"").contains("held by"));
    assert!(server.terminate().success());
    let copy = ["copy", from.to_str().unwrap(), to.to_str().unwrap(), "--index", "redb"];
    let mut child = xs().args(copy).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("some content is copied", || below(&to.join("cas")).iter().filter(|path| path.is_file()).count() > 30);
    child.kill().unwrap();
    child.wait().unwrap();
    // However fast it is: one that was through by then is a store.
    if !to.join("xs.toml").exists() {
        assert!(fails(&["serve", to.to_str().unwrap()], b"").contains("beginning of a copy"));
        let copied = json(&ok(&copy, b""));
        assert_eq!(copied["contents"], 300);
    }
    assert_eq!(frames(&to), frames(&from));
    let version = {
        let server = Server::start(&to);
        json(&ok(&["version", server.addr()], b""))
    };
    assert_eq!(version["index"], "redb");
    assert!(fails(&copy, b"").contains("a store already"));
}

#[test]
fn a_store_that_cannot_be_written_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where nobody else may run it from.
    let program = dir.path().join("xs");
    fs::copy(env!("CARGO_BIN_EXE_xs"), &program).unwrap();
    let root = fs::metadata(dir.path()).unwrap().uid() == 0;
    for index in INDEXES {
        let path = dir.path().join(index);
        assert!(Server::start_with(&path, &["--index", index]).terminate().success());
        // All of it, and the index alone.
        for part in [path.clone(), path.join("index")] {
            let all = below(&path);
            for path in &all {
                let write = if path.starts_with(&part) { 0 } else { 0o222 };
                let mode = if path.is_dir() { 0o555 } else { 0o444 };
                fs::set_permissions(path, fs::Permissions::from_mode(mode | write)).unwrap();
            }
            let mut serve = Command::new(&program);
            serve.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::piped());
            if root {
                // Nothing is read-only for root.
                serve.uid(65_534).gid(65_534);
            }
            let output = serve.output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{index}: {text}");
            assert!(text.contains(part.to_str().unwrap()) && text.contains("ermission"), "{index}: {text}");
            assert_eq!(text.lines().count(), 1, "{index}: {text}");
            assert_eq!(below(&path), all, "{index}: a refused open has made something");
        }
        for path in below(&path) {
            fs::set_permissions(&path, fs::Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o644 })).unwrap();
        }
        assert!(Server::start(&path).terminate().success());
    }
}

#[test]
fn what_is_wrong_with_a_part_is_one_line_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let addr = path.to_str().unwrap();
    for (args, words) in [
        (["--cas", "s4://bucket"], "it has:"),
        (["--cas", "s3://bucket?regoin=x"], "regoin"),
        (["--cas", "s3://key:hunter2@bucket"], "environment"),
        (["--cas", "s3://bucket?secret_access_key=hunter2"], "environment"),
        (["--cas", "s3://bucket?endpoint=http://127.0.0.1:1&retries=0"], "AWS_ACCESS_KEY_ID"),
    ] {
        let mut serve = xs();
        serve.args(["serve", addr]).args(args).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let output = serve.stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(words) && !text.contains("hunter2") && text.lines().count() == 1, "{args:?}: {text}");
    }
    let mut serve = xs();
    serve.args(["serve", addr, "--cas", "s3://bucket?endpoint=http://127.0.0.1:1&retries=0"]);
    serve.env("AWS_ACCESS_KEY_ID", "some-key").env("AWS_SECRET_ACCESS_KEY", "hunter2");
    let text = String::from_utf8(serve.output().unwrap().stderr).unwrap();
    assert!(text.contains("s3://bucket") && text.contains("endpoint") && !text.contains("hunter2"), "{text}");
    // Whatever was refused, the directory still becomes a store of other parts.
    let server = Server::start_with(&path, &["--index", "sqlite"]);
    let version = json(&ok(&["version", server.addr()], b""));
    assert_eq!((&version["index"], &version["cas"]), (&Value::from("sqlite"), &Value::from("fs")));
    assert!(server.terminate().success());
    assert!(fails(&["serve", addr, "--index", "redb"], b"").contains("has the index sqlite, not redb"));
    for path in below(&path).into_iter().filter(|path| path.is_file()) {
        let found = fs::read(&path).unwrap();
        assert!(!found.windows(7).any(|window| window == b"hunter2"), "{}", path.display());
    }
}
