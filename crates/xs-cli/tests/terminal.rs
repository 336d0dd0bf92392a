//! What a person sees, on a terminal that `script` makes.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use support::{PATIENCE, Server, fails, json, lines, ok, run};
use terminal::{has_script, on_terminal, on_terminal_from, quoted, shown_by, shows, shows_in};

fn short(frame: &serde_json::Value) -> String {
    frame["id"].as_str().unwrap()[20..].to_owned()
}

#[test]
fn frames_are_lines_with_the_beginning_of_their_content() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let text = json(&ok(&["append", addr, "note", "--meta", r#"{"n":1}"#], b"\n  the first line\nthe second\n"));
    let binary = json(&ok(&["append", addr, "image"], &[0; 12_345]));
    let bare = json(&ok(&["append", addr, "bare"], b""));
    let shown = shows(&["cat", addr]);
    let rows: Vec<&str> = shown.lines().collect();
    assert_eq!(rows.len(), 4, "{shown}");
    assert!(rows[0].contains(" xs.start ") && rows[0].contains(r#"{"expose":null}"#), "{shown}");
    for (row, frame, end) in [
        (rows[1], &text, r#" note     {"n":1} the first line …"#),
        (rows[2], &binary, " image    [binary, 12 KB]"),
        (rows[3], &bare, " bare"),
    ] {
        assert!(row.ends_with(&format!(" {}{end}", short(frame))), "{row:?}");
        // 11:27:54.464, and before it a date when midnight has passed.
        let time = row.split(&format!(" {}", short(frame))).next().unwrap();
        let clock = time.rsplit(' ').next().unwrap();
        assert!(clock.len() == 12 && clock.matches(':').count() == 2, "{row}");
    }
    // One frame, and the last ones, look the same.
    let id = text["id"].as_str().unwrap();
    for args in [&["get", addr, id][..], &["last", addr, "note"], &["cat", addr, "-T", "note"]] {
        let shown = shows(args);
        assert!(shown.lines().count() == 1 && shown.contains("the first line"), "{args:?}: {shown}");
    }
    let shown = shows(&["append", addr, "typed"]);
    assert!(shown.trim_end().ends_with(" typed"), "{shown}");
    // Events were asked for as they are.
    assert!(shows(&["cat", addr, "--sse", "-T", "note"]).starts_with(&format!("id: {id}\ndata: {{")));
}

#[test]
fn json_is_raw_on_a_terminal_too() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let frame = ok(&["append", addr, "a", "--meta", "{\"b\": 1}"], b"content");
    let id = json(&frame)["id"].as_str().unwrap().to_owned();
    for args in [
        &["cat", addr, "-T", "a"][..],
        &["last", addr, "a"],
        &["get", addr, &id],
        &["topics", addr],
        &["version", addr],
        &["health", addr],
    ] {
        let raw = [args, &["--json"]].concat();
        assert_eq!(lines(&shows(&raw)), lines(&ok(args, b"")), "{args:?}");
    }
}

#[test]
fn colours_are_for_terminals_that_have_them() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let cat = ["cat", server.addr()];
    /// The environment, the flags, and whether there is colour.
    type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], bool);
    let cases: [Case; 7] = [
        (&[], &[], true),
        (&[("NO_COLOR", "1")], &[], false),
        (&[("NO_COLOR", "")], &[], true),
        (&[("TERM", "dumb")], &[], false),
        (&[("TERM", "dumb")], &["--color", "always"], true),
        (&[], &["--color=never"], false),
        (&[], &["--json"], false),
    ];
    for (environment, flags, has) in cases {
        let shown = shows_in(200, &[&cat[..], flags].concat(), environment);
        assert_eq!(shown.contains("\x1b["), has, "{environment:?} {flags:?}: {shown:?}");
    }
    assert!(!ok(&[&cat[..], &["--color", "always"]].concat(), b"").contains('\x1b'), "a pipe has no colours");
}

#[test]
fn lines_are_no_wider_than_the_terminal() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let meta = format!("\"{}\"", "m".repeat(300));
    ok(&["append", addr, "wide", "--meta", &meta], "c".repeat(3000).as_bytes());
    let shown = shows_in(70, &["last", addr, "wide"], &[("NO_COLOR", "1")]);
    assert_eq!(shown.trim_end().chars().count(), 70, "{shown}");
    assert!(shown.contains("mm…") && shown.contains("cc…"), "{shown}");
    let topic = "long.".repeat(50) + "topic";
    ok(&["append", addr, &topic, "--meta", &meta], b"content");
    for columns in [70, 30, 10] {
        let shown = shows_in(columns, &["last", addr, &topic], &[("NO_COLOR", "1")]);
        let row = shown.trim_end_matches('\n');
        assert!(row.contains('…') && row.chars().count() <= usize::from(columns), "{columns}: {row}");
    }
}

#[test]
fn listings_are_tables() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    let frame = json(&ok(&["append", addr, "a.b"], b""));
    let shown = shows(&["topics", addr]);
    let rows: Vec<&str> = shown.lines().collect();
    assert!(rows[0].contains("topic") && rows[0].contains("last activity"), "{shown}");
    let words: Vec<&str> = rows[2].split_whitespace().collect();
    assert_eq!(words[..2], ["a.b", frame["id"].as_str().unwrap()], "{shown}");
    assert!(rows[3].contains("xs.start") && !shown.contains('{'), "{shown}");
    assert_eq!(shows(&["topics", addr, "nothing"]), "");
    let shown = shows(&["version", addr]);
    for words in ["server", "fjall", "fs", "format"] {
        assert!(shown.contains(words) && !shown.contains('{'), "{shown}");
    }
    assert!(shows(&["health", addr]).starts_with("well: "));
    let dump = dir.path().join("dump");
    let shown = shows(&["export", addr, dump.to_str().unwrap()]);
    assert!(shown.contains("2 frames and 0 contents"), "{shown}");
    assert!(shows(&["import", addr, dump.to_str().unwrap()]).contains("2 frames and 0 contents"));
}

/// Takes a line away, and what was in it.
const CLEAR: &str = "\r\x1b[2K";

#[test]
fn progress_is_shown_while_work_lasts_and_to_nobody_else() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start(&dir.path().join("store"));
    let other = Server::start(&dir.path().join("other"));
    let (addr, to) = (server.addr().to_owned(), other.addr().to_owned());
    for n in 0..20 {
        ok(&["append", &addr, "a"], format!("content {n}").as_bytes());
    }
    std::fs::write(place("frames"), ok(&["cat", &addr], b"")).unwrap();
    let progress_of = |command: Command, bar: &str, end: &str| {
        let shown = shown_by(command);
        let (before, left) = shown.rsplit_once(CLEAR).unwrap_or_else(|| panic!("no bar, or it stays: {shown:?}"));
        assert!(before.contains(bar), "{bar}: {shown:?}");
        assert!(left.contains(end) && left.lines().count() == 1 && !left.contains(bar), "{end}: {shown:?}");
    };
    let on = |args: &[&str]| on_terminal(120, args, &[]);
    progress_of(on(&["export", &addr, &place("shown")]), "%  ", "frames and 20 contents");
    progress_of(on(&["import", &to, &place("shown")]), "%  ", "frames and 20 contents");
    let piped = on_terminal_from(120, &["import", &to], &[], &format!("< {}", quoted(&place("frames"))));
    progress_of(piped, " sent", "21 frames");
    // In a pipe there is none, and nothing else that is not a result.
    let bare = |args: &[&str], input: &[u8]| {
        let output = run(args, input);
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
        assert!(!output.stdout.contains(&b'\x1b') && !output.stdout.contains(&b'\r'), "{args:?}: {output:?}");
    };
    bare(&["export", &addr, &place("bare")], b"");
    bare(&["import", &to, &place("bare")], b"");
    bare(&["import", &to], &std::fs::read(place("frames")).unwrap());
    assert!(server.terminate().success());
    progress_of(on(&["copy", &addr, &place("copy")]), "%  ", "frames and 20 contents");
    bare(&["copy", &addr, &place("bare-copy")], b"");
}

/// A command on a terminal, with what it has shown so far.
struct Session {
    child: Child,
    keys: Option<ChildStdin>,
    shown: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Session {
    fn start(args: &[&str]) -> Self {
        let mut command = on_terminal(120, args, &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, shown) = mpsc::channel();
        let mut output: ChildStdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { keys: child.stdin.take(), child, shown, seen: String::new() }
    }

    /// Waits until it has shown this, after what was waited for before.
    fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let bytes = self.shown.recv_timeout(PATIENCE);
            let bytes = bytes.unwrap_or_else(|_| panic!("{text:?} is not shown: {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn press(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().unwrap();
        terminal.write_all(keys.as_bytes()).unwrap();
        terminal.flush().unwrap();
    }

    /// The process of the command, as its shell has said.
    fn process(&mut self) -> String {
        self.wait_for("process ");
        while !self.seen.contains(['\r', '\n']) {
            let bytes = self.shown.recv_timeout(PATIENCE).unwrap();
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.seen.lines().next().unwrap().trim().to_owned()
    }

    /// Waits until it has given the terminal back and ended.
    fn ends_well(mut self) {
        self.wait_for(LEAVE);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

#[test]
fn top_shows_what_happens_until_it_is_left() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let addr = server.addr();
    ok(&["append", addr, "before.it"], b"");
    let mut top = Session::start(&["top", addr]);
    top.wait_for(ENTER);
    top.wait_for("before.it");
    // It has followed since before it listed topics.
    top.wait_for("q quit");
    ok(&["append", addr, "zzz.while.it"], b"");
    top.wait_for("zzz.while.it");
    top.press("/");
    top.wait_for("esc: clear");
    top.press("\x1b");
    top.wait_for("q quit");
    top.press("q");
    top.ends_well();
}

#[test]
fn top_gives_the_terminal_back_however_it_ends() {
    if !has_script() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    for how in ["q", "\x03", "TERM", "INT"] {
        let mut top = Session::start(&["top", server.addr()]);
        let process = top.process();
        top.wait_for(ENTER);
        top.wait_for("q quit");
        match how.len() {
            1 => top.press(how),
            _ => assert!(Command::new("kill").args([&format!("-{how}"), &process]).status().unwrap().success()),
        }
        top.ends_well();
    }
}

#[test]
fn top_wants_a_terminal_and_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    assert!(fails(&["top", server.addr()], b"").contains("xs topics"));
    if !has_script() {
        return;
    }
    let nowhere = dir.path().join("nowhere");
    let mut command = on_terminal(80, &["top", nowhere.to_str().unwrap()], &[]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("xs serve") && !said.contains(ENTER), "{said:?}");
}
