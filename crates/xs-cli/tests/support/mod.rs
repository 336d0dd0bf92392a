//! Driving the built binary as a user does.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Says that this machine lacks something, so that a test looks at nothing; a failure in CI, which has to have
/// all of it.
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("XS_TEST_ALL").is_none(), "skipped: {why}");
    eprintln!("skipped: {why}");
}

/// A server is up, or a process is down, long before this on any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn xs() -> Command {
    let mut xs = Command::new(env!("CARGO_BIN_EXE_xs"));
    // What whoever runs the tests has set for themselves.
    for name in ["XS_ADDR", "XS_TOKEN", "XS_TLS_CA", "XS_LOG", "NO_COLOR"] {
        xs.env_remove(name);
    }
    xs
}

/// Runs a command to its end, with this on standard input.
pub(crate) fn run(args: &[&str], input: &[u8]) -> Output {
    run_in(&[], args, input)
}

/// Runs it with these variables in its environment.
pub(crate) fn run_in(environment: &[(&str, &str)], args: &[&str], input: &[u8]) -> Output {
    let mut xs = xs();
    xs.args(args).envs(environment.iter().copied());
    let mut child = xs.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A command that refuses its input early has closed it.
    let _ = writing.join().unwrap();
    output
}

/// What a command that succeeds prints.
pub(crate) fn ok(args: &[&str], input: &[u8]) -> String {
    ok_in(&[], args, input)
}

/// What a command prints that succeeds with these variables in its environment.
pub(crate) fn ok_in(environment: &[(&str, &str)], args: &[&str], input: &[u8]) -> String {
    let output = run_in(environment, args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says that fails, with exit code 1 and one line.
pub(crate) fn fails(args: &[&str], input: &[u8]) -> String {
    fails_in(&[], args, input)
}

/// What it says with these variables in its environment.
pub(crate) fn fails_in(environment: &[(&str, &str)], args: &[&str], input: &[u8]) -> String {
    let output = run_in(environment, args, input);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
    text
}

/// What a command says whose words make no sense, with exit code 2.
pub(crate) fn misused(args: &[&str]) -> String {
    let output = run(args, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    text
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(json).collect()
}

/// A running server, ended with this.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) path: PathBuf,
}

impl Server {
    /// Starts a server, and waits until it answers.
    pub(crate) fn start(path: &Path) -> Self {
        Self::start_with(path, &[])
    }

    pub(crate) fn start_with(path: &Path, args: &[&str]) -> Self {
        Self::start_in(path, args, &[])
    }

    /// Starts it with these variables in its environment.
    pub(crate) fn start_in(path: &Path, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut serve = xs();
        serve.arg("serve").arg(path).args(args).envs(environment.iter().copied());
        if !args.contains(&"--grace") {
            // What is slow is not cut off when it stops.
            serve.args(["--grace", "1h"]);
        }
        let child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut server = Self { child, path: path.to_owned() };
        // Read to its end in the background, so that the server never waits for its log.
        let mut log = server.child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = log.read_to_string(&mut text);
            if std::env::var_os("XS_TEST_LOG").is_some() {
                eprintln!("{text}");
            }
        });
        wait_until("the server answers", || {
            assert_eq!(server.child.try_wait().unwrap(), None, "the server ended by itself");
            UnixStream::connect(path.join("sock")).is_ok()
        });
        server
    }

    pub(crate) fn addr(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Where it listens in any case.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("sock")
    }

    /// A line of what Linux says of its memory: `VmRSS` is what it has, `VmHWM` the most that it ever had.
    pub(crate) fn memory_kib(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The places that it is exposed at, as it says itself.
    pub(crate) fn exposed(&self) -> Vec<String> {
        let start = json(&ok(&["last", self.addr(), "xs.start"], b""));
        match &start["meta"]["expose"] {
            serde_json::Value::Array(places) => places.iter().map(|place| place.as_str().unwrap().to_owned()).collect(),
            place => place.as_str().map(str::to_owned).into_iter().collect(),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(self) -> std::process::ExitStatus {
        self.stop("TERM")
    }

    /// The same, by a signal of this name.
    pub(crate) fn stop(mut self, signal: &str) -> std::process::ExitStatus {
        self.signal(signal);
        wait_until("the server ends", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    /// A request as bytes, and the answer: status, head and body.
    pub(crate) fn http(&self, request: &str) -> (u16, String, Vec<u8>) {
        let mut socket = UnixStream::connect(self.path.join("sock")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may answer and close before all of it is sent.
        let _ = socket.write_all(request.as_bytes());
        answer(&mut socket)
    }

    /// A request without a body.
    pub(crate) fn call(&self, method: &str, target: &str, headers: &str) -> (u16, String, Vec<u8>) {
        self.http(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"))
    }

    /// A request with a body.
    pub(crate) fn post(&self, target: &str, headers: &str, body: &str) -> (u16, String, Vec<u8>) {
        let length = body.len();
        self.http(&format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a file for its owner alone: a server warns about others.
pub(crate) fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A certificate for this machine, and its key.
pub(crate) fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    write_secret(&key, &made.signing_key.serialize_pem());
    (cert, key)
}

/// How many bytes come after the head of a response, as it says.
pub(crate) fn content_length(head: &str) -> usize {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |length| length.trim().parse().unwrap())
}

pub(crate) fn answer(socket: &mut UnixStream) -> (u16, String, Vec<u8>) {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, bytes[end + 4..].to_vec())
}

/// Waits for what another process is about to do.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
