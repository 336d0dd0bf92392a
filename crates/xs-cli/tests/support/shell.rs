//! A shell beside a server, and `curl` in it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::{Server, json, ok};

/// How `curl` reaches the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Socket,
    Port,
}

pub(crate) const WAYS: [Way; 2] = [Way::Socket, Way::Port];

/// A server, and a shell in the directory above `./store`, in which `curl $VIA "$BASE/…"` reaches it.
pub(crate) struct Shell {
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
    via: String,
    pub(crate) base: String,
}

/// What one request was answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: String,
}

/// Nothing of the machine's own settings, no proxy, and an end, whatever the server does.
const CURL: &str = "-q -sS --max-time 60 --noproxy localhost,127.0.0.1";

impl Shell {
    /// `None` where there is no `curl`, which is said.
    pub(crate) fn start(way: Way) -> Option<Self> {
        if Command::new("curl").arg("--version").output().is_err() {
            crate::support::skipped("there is no curl to drive the server with");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start_with(&dir.path().join("store"), &["--expose", ":0"]);
        let (via, base) = match way {
            Way::Socket => (format!("{CURL} --unix-socket ./store/sock"), "http://localhost".to_owned()),
            Way::Port => {
                let start = json(&ok(&["last", server.addr(), "xs.start"], b""));
                let place = start["meta"]["expose"].as_str().unwrap();
                (CURL.to_owned(), format!("http://localhost:{}", place.rsplit_once(':').unwrap().1))
            }
        };
        Some(Self { server, dir, via, base })
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.dir.path());
        command.env("VIA", &self.via).env("BASE", &self.base);
        // What was answered, behind the body.
        command.env("ASK", format!("{} -w \\n%{{http_code}},%{{content_type}}", self.via));
        command
    }

    /// What a script prints.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the one `curl $ASK` of a script was answered.
    pub(crate) fn ask(&self, script: &str) -> Answer {
        let text = self.sh(script);
        let (body, tail) = text.rsplit_once('\n').unwrap();
        let (status, kind) = tail.split_once(',').unwrap();
        Answer { status: status.parse().unwrap(), kind: kind.to_owned(), body: body.to_owned() }
    }

    /// The frame of this topic that is appended, as it was answered.
    pub(crate) fn append(&self, topic: &str) -> String {
        let answer = self.ask(&format!(r#"curl $ASK -X POST --data "content of {topic}" "$BASE/append/{topic}""#));
        assert_eq!((answer.status, answer.kind.as_str()), (200, "application/json"), "{answer:?}");
        answer.body
    }

    /// A script that goes on.
    pub(crate) fn run(&self, script: &str) -> Running {
        let mut child = self.command(&format!("exec {script}")).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }
}

/// A `curl` that follows.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn line(&mut self) -> String {
        self.lines.next().expect("it ended").unwrap()
    }

    /// The head of the response, with `curl -i`.
    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            match self.line() {
                line if line.trim().is_empty() => return head,
                line => head.extend([line.trim(), "\n"]),
            }
        }
    }

    /// The server ended the response.
    pub(crate) fn ends(mut self) {
        assert!(self.lines.next().is_none());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
