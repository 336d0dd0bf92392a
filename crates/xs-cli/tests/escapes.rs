//! What comes from others, on a terminal: none of it acts there, and none of it is changed anywhere else.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::process::Stdio;

use support::{Server, json, ok};
use terminal::{has_script, on_terminal, on_terminal_from, quoted, shown_by, shows, shows_in};

#[test]
fn nothing_that_was_appended_acts_on_the_terminal() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let hostile = "\x1b]0;title\x07\x1b[2J\u{9b}31m\u{202e}text\x08\x7f\n";
    let meta = "\"\u{9b}2J\u{7f}\u{202e}\"";
    ok(&["append", addr, "hostile", "--meta", meta], hostile.as_bytes());
    let shown = shows(&["cat", addr]);
    assert!(shown.contains("]0;title"), "{shown:?}");
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{shown:?}");
    // Binary content is not written to it, and is to anything else.
    let hash = ok(&["cas-post", addr], b"\0\x1b[2J").trim().to_owned();
    let output = on_terminal(80, &["cas", addr, &hash], &[]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("binary") && !said.contains('\x1b'), "{said:?}");
    assert_eq!(ok(&["cas", addr, &hash], b""), "\0\x1b[2J");
    // Nor is text that controls it, wherever it does.
    let late = format!("{}\x1b[2J", "text\n".repeat(50_000));
    for hostile in
        ["text \x1b]0;title\x07", "text \u{9b}2J", "text \x7f", "text \u{202e}txet", "text \u{2067}txet", &late]
    {
        let hash = ok(&["cas-post", addr], hostile.as_bytes()).trim().to_owned();
        let output = on_terminal(80, &["cas", addr, &hash], &[]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("binary"), "{said:?}");
        assert!(!said.contains(['\x1b', '\u{9b}', '\x7f', '\u{202e}', '\u{2067}']), "{said:?}");
    }
}

#[test]
fn json_and_events_are_escaped_on_a_terminal_and_raw_in_a_pipe() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let hostile = "\u{9b}2J\u{7f}\u{61c}\u{200f}\u{202e}\u{2066}";
    let escaped = r"\u009b2J\u007f\u061c\u200f\u202e\u2066";
    let meta = |text: &str| format!("{{\"a\":\"é {text}\"}}");
    let frame = ok(&["append", addr, "a", "--meta", &meta(hostile)], b"");
    assert!(frame.contains(&meta(hostile)), "{frame:?}");
    let id = json(&frame)["id"].as_str().unwrap().to_owned();
    for args in [
        &["cat", addr, "-T", "a", "--json"][..],
        &["cat", addr, "-T", "a", "--sse"],
        &["get", addr, &id, "--json"],
        &["last", addr, "a", "--json"],
    ] {
        let raw = ok(args, b"");
        assert!(raw.contains(frame.trim_end()), "{args:?}: {raw:?}");
        let shown = shows(args);
        assert_eq!(shown, raw.replace(hostile, escaped), "{args:?}");
        let line = shown.lines().find(|line| line.contains('{')).unwrap();
        assert_eq!(json(line.strip_prefix("data: ").unwrap_or(line)), json(&frame), "{args:?}");
    }
    let shown = shows(&["append", addr, "b", "--json", "--meta", &meta(hostile)]);
    assert!(shown.contains(&meta(escaped)) && !shown.contains(hostile), "{shown:?}");
    let place = dir.path().join("frames");
    std::fs::write(&place, &frame).unwrap();
    let input = format!("< {}", quoted(place.to_str().unwrap()));
    let shown = shown_by(on_terminal_from(200, &["import", addr, "--json"], &[], &input));
    assert!(shown.contains(&meta(escaped)) && !shown.contains(hostile), "{shown:?}");
}

#[test]
fn what_is_said_of_a_wrong_flag_has_the_colours_that_were_asked_for() {
    if !has_script() {
        return;
    }
    let said = |flags: &[&str], environment: &[(&str, &str)]| {
        let args = [flags, &["cat", "--bad"]].concat();
        let output = on_terminal(80, &args, environment).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(2) && said.contains("--bad"), "{said:?}");
        said.contains("\x1b[")
    };
    assert!(said(&[], &[]));
    assert!(said(&["--color", "always"], &[("NO_COLOR", "1")]));
    /// The flags, and the environment.
    type Case = (&'static [&'static str], &'static [(&'static str, &'static str)]);
    let plain: [Case; 3] = [(&["--color", "never"], &[]), (&[], &[("NO_COLOR", "1")]), (&["--color=never"], &[])];
    for (flags, environment) in plain {
        assert!(!said(flags, environment), "{flags:?} {environment:?}");
    }
    assert!(shows_in(80, &["--help"], &[]).contains("\x1b["));
    assert!(!shows_in(80, &["--color", "never", "--help"], &[]).contains('\x1b'));
}
