//! How long a command takes from its start to its end, most of which is the start of the program.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::{Bar, MISSED, judge, median, seconds};

const RUNS: usize = 21;

/// The program that is measured.
fn program() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/xs");
    std::env::var_os("XS_BIN").map_or_else(built, PathBuf::from)
}

/// The median of so many runs, in milliseconds, after one that is not counted.
fn milliseconds(program: &Path, args: &[&OsStr]) -> f64 {
    let run = || {
        let start = Instant::now();
        let output = Command::new(program).args(args).stdin(Stdio::null()).output().expect("a command");
        let taken = seconds(start) * 1000.0;
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        taken
    };
    run();
    median((0..RUNS).map(|_| run()).collect())
}

pub(crate) fn run() {
    let program = program();
    if !program.exists() {
        let program = program.display();
        println!("start: there is no {program}: cargo build --release -p xs-cli makes it, or XS_BIN names another");
        MISSED.store(true, Ordering::Relaxed);
        return;
    }
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let store = dir.path().join("store");
    let mut serve = Command::new(&program);
    serve.arg("serve").arg(&store).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = serve.spawn().expect("a server");
    while UnixStream::connect(store.join("sock")).is_err() {
        assert!(server.try_wait().expect("a child").is_none(), "the server ended by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    let help = milliseconds(&program, &["--help".as_ref()]);
    let last = milliseconds(&program, &["last".as_ref(), store.as_os_str()]);
    server.kill().and_then(|()| server.wait()).expect("a child");
    judge("start: xs --help, median", help, " ms", Bar::AtMost(15.0));
    judge("start: xs last against a running server, median", last, " ms", Bar::AtMost(15.0));
}
