//! Frames that come through a pipe: as they come, and over as many requests as that takes.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::io::{self, BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use serde_json::Value;
use support::{PATIENCE, Server, fails, json, lines, ok, xs};

/// An import that runs, ended with this.
struct Import {
    child: Child,
    answers: Option<Lines<BufReader<ChildStdout>>>,
    /// Dropped with it. Until then, one that does not come to an end is killed after a while, so that a test which
    /// waits for it fails.
    _watched: Sender<()>,
}

impl Import {
    fn start(addr: &str, input: impl Into<Stdio>) -> Self {
        let mut import = xs();
        import.args(["import", addr]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = import.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let (watched, dropped) = channel::<()>();
        let id = child.id().to_string();
        std::thread::spawn(move || {
            if dropped.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                Command::new("kill").args(["-KILL", &id]).status().unwrap();
            }
        });
        Self { child, answers: Some(answers), _watched: watched }
    }

    fn answer(&mut self) -> String {
        self.answers.as_mut().unwrap().next().unwrap().unwrap()
    }

    /// What it says when it has ended, and its exit code.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr: ChildStderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn two_servers() -> (tempfile::TempDir, Server, Server) {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (Server::start(&dir.path().join("from")), Server::start(&dir.path().join("to")));
    (dir, from, to)
}

/// The frames of a store but those of its own server.
fn frames(server: &Server) -> Vec<Value> {
    lines(&ok(&["cat", server.addr(), "-T", "live.*"], b""))
}

#[test]
fn a_store_is_followed_into_another() {
    let (_dir, from, to) = two_servers();
    ok(&["append", from.addr(), "live.before"], b"content");
    let mut cat = xs();
    let mut cat = cat
        .args(["cat", from.addr(), "--follow", "--pulse", "20", "-T", "live.*"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut import = Import::start(to.addr(), cat.stdout.take().unwrap());
    assert!(import.answer().contains("live.before"));
    for n in 0..3 {
        // No store holds it, and nothing waits for it.
        ok(&["append", from.addr(), "live.passing", "--ttl", "ephemeral"], b"");
        let frame = ok(&["append", from.addr(), &format!("live.{n}"), "--meta", "{\"n\":  1}"], b"");
        assert_eq!(import.answer(), frame.trim_end());
        assert_eq!(frames(&to), frames(&from));
    }
    cat.kill().unwrap();
    cat.wait().unwrap();
    assert_eq!(import.end(), (Some(0), String::new()));
    assert_eq!((frames(&to).len(), frames(&to)), (4, frames(&from)));
}

#[test]
fn what_was_imported_before_an_error_stays_and_is_said() {
    let (_dir, from, to) = two_servers();
    let frame = ok(&["append", from.addr(), "live.a"], b"");
    let mut import = Import::start(to.addr(), Stdio::piped());
    let mut input = import.child.stdin.take().unwrap();
    input.write_all(frame.as_bytes()).unwrap();
    // It is stored by now, and whatever comes is another request.
    assert_eq!(import.answer(), frame.trim_end());
    input.write_all(b"\n\nnonsense\n").unwrap();
    drop(input);
    let (code, said) = import.end();
    assert!(code == Some(1) && said.lines().count() == 1, "{said}");
    assert!(said.contains("all is imported up to line 3; line 4: not a frame"), "{said}");
    assert_eq!(frames(&to), frames(&from));
    let said = fails(&["import", to.addr()], b"\nnonsense\n");
    assert!(said.contains("xs: line 2: not a frame"), "{said}");
}

#[test]
fn what_comes_before_a_line_that_is_refused_is_imported() {
    let (_dir, from, to) = two_servers();
    let [a, b, c] = ["a", "b", "c"].map(|name| ok(&["append", from.addr(), &format!("live.{name}")], b""));
    let said = fails(&["import", to.addr()], format!("\n{a}\n{b}nonsense\n{c}").as_bytes());
    assert!(said.contains("all is imported up to line 4; line 5: not a frame"), "{said}");
    assert_eq!(frames(&to), frames(&from)[..2]);
}

#[test]
fn one_frame_over_several_lines_is_imported() {
    let (_dir, from, to) = two_servers();
    let frame = json(&ok(&["append", from.addr(), "live.a", "--meta", "[1,{\"a\":2}]"], b""));
    let pretty = serde_json::to_string_pretty(&frame).unwrap();
    assert_eq!(json(&ok(&["import", to.addr()], pretty.as_bytes())), frame);
    assert_eq!(frames(&to), [frame]);
    assert_eq!(ok(&["import", to.addr()], b"\n\n"), "");
}

#[test]
fn frames_are_imported_also_when_nobody_reads_them() {
    let (_dir, from, to) = two_servers();
    let first = ok(&["append", from.addr(), "live.a"], b"");
    let second = ok(&["append", from.addr(), "live.b"], b"");
    let mut import = Import::start(to.addr(), Stdio::piped());
    let mut input = import.child.stdin.take().unwrap();
    input.write_all(first.as_bytes()).unwrap();
    import.answer();
    import.answers = None;
    input.write_all(second.as_bytes()).unwrap();
    drop(input);
    assert_eq!(import.end(), (Some(0), String::new()));
    assert_eq!(frames(&to), frames(&from));
}

/// Answers what is asked on a connection, without a look at its bodies, until the client closes it.
fn answer_at_once(io: &mut TcpStream) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            io.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let body = match head.starts_with(b"GET /version ") {
            true => r#"{"version":"0","index":"fjall","cas":"fs","format":1}"#,
            false => "{}",
        };
        let length = body.len();
        write!(io, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")?;
    }
}

#[test]
fn an_answer_that_comes_before_the_end_is_no_success() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    // A client may take another connection for its next request, so none waits for the one before. They end with the
    // client, and the thread that accepts them with the test.
    std::thread::spawn(move || {
        for io in listener.incoming() {
            let mut io = io.unwrap();
            std::thread::spawn(move || answer_at_once(&mut io));
        }
    });
    let mut import = Import::start(&addr, Stdio::piped());
    let mut input = import.child.stdin.take().unwrap();
    // A frame over several lines is one request, however long the rest of it takes: lines of a frame each would be
    // sent without those that are late.
    input.write_all(b"{\n").unwrap();
    let (code, said) = import.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("answered before it had been sent everything"), "{said}");
    drop(input);
}
