//! Work that takes seconds, on a terminal that `script` makes: how far it is, and what it has done.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Server, json, ok};

/// Takes a line away, and what was in it.
const CLEAR: &str = "\r\x1b[2K";

/// What a script shows that calls `"$XS"` in this directory; `None` where nothing makes a terminal.
fn shown(dir: &Path, script: &str) -> Option<String> {
    let on_terminal = |script: &str| {
        let mut command = Command::new("script");
        command.args(["-qec", script, "/dev/null"]).current_dir(dir).stdin(Stdio::null());
        command.env("SHELL", "/bin/sh").env("TERM", "xterm-256color").env("XS", env!("CARGO_BIN_EXE_xs"));
        for name in ["XS_ADDR", "XS_TOKEN", "XS_TLS_CA"] {
            command.env_remove(name);
        }
        command.output()
    };
    if !on_terminal("exit 7").is_ok_and(|output| output.status.code() == Some(7)) {
        support::skipped("there is no script (util-linux) to make a terminal with");
        return None;
    }
    let output = on_terminal(&format!("stty cols 120 rows 24; {script}")).unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    assert!(output.status.success(), "{script}: {text}");
    Some(text)
}

/// What is left of what was shown, when the words about how far it is have come and gone.
fn left<'a>(shown: &'a str, words: &str) -> &'a str {
    let (before, left) = shown.rsplit_once(CLEAR).unwrap_or_else(|| panic!("no words, or they stay: {shown:?}"));
    assert!(before.contains(words) && !left.contains(words), "{words}: {shown:?}");
    left
}

#[test]
fn an_import_whose_answers_go_elsewhere_says_how_far_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (from, _to) = (Server::start(&dir.path().join("from")), Server::start(&dir.path().join("to")));
    for _ in 0..20 {
        ok(&["append", from.addr(), "a"], b"");
    }
    let frames = ok(&["cat", from.addr(), "-T", "a"], b"");
    fs::write(dir.path().join("frames"), &frames).unwrap();
    let Some(shown_beside) = shown(dir.path(), r#""$XS" import ./to < frames > answers"#) else { return };
    assert_eq!(left(&shown_beside, " sent"), "");
    assert_eq!(fs::read_to_string(dir.path().join("answers")).unwrap(), frames);
    // Frames that are printed have the terminal for themselves.
    assert_eq!(shown(dir.path(), r#""$XS" import --json ./to < frames"#).unwrap(), frames);
}

#[test]
fn big_content_says_how_much_of_it_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let big = "a line of text\n".repeat(200_000);
    fs::write(dir.path().join("big"), &big).unwrap();
    fs::write(dir.path().join("small"), "content").unwrap();
    for (size, is_big) in [("big", true), ("small", false)] {
        let hash = ok(&["cas-post", server.addr()], &fs::read(dir.path().join(size)).unwrap());
        for (script, words) in [
            (format!(r#""$XS" append ./store a < {size} > out"#), "MB sent"),
            (format!(r#""$XS" cas-post ./store < {size} > out"#), "MB sent"),
            (format!(r#""$XS" cas ./store {} > out"#, hash.trim()), "MB written"),
        ] {
            let Some(shown) = shown(dir.path(), &script) else { return };
            let left = if is_big { left(&shown, words) } else { shown.as_str() };
            assert_eq!(left, "", "{script}");
        }
        assert!(fs::read(dir.path().join("out")).unwrap() == fs::read(dir.path().join(size)).unwrap());
        // The words have gone before anything is printed on the same terminal.
        let script = format!(r#""$XS" append ./store a --json < {size}"#);
        let shown = shown(dir.path(), &script).unwrap();
        let left = if is_big { left(&shown, "MB sent") } else { shown.as_str() };
        assert_eq!(json(left)["hash"], hash.trim());
    }
    // Content that is printed has it for itself.
    let hash = ok(&["cas-post", server.addr()], big.as_bytes());
    assert!(shown(dir.path(), &format!(r#""$XS" cas ./store {}"#, hash.trim())).unwrap() == big);
}

#[test]
fn a_copy_says_what_it_has_done_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    ok(&["append", server.addr(), "a"], b"one");
    ok(&["append", server.addr(), "a"], b"three");
    assert!(server.terminate().success());
    let Some(shown_to_person) = shown(dir.path(), r#""$XS" copy ./store ./copy"#) else { return };
    // With what the server has appended when it started and stopped.
    assert_eq!(left(&shown_to_person, "%  "), "4 frames and 2 contents (8 B copied) in ./copy\n");
    let raw = shown(dir.path(), r#""$XS" copy --json ./store ./other"#).unwrap();
    assert_eq!(json(left(&raw, "%  "))["contents"], 2);
}
