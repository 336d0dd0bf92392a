//! Who is let in, over what, and how that changes while the server runs.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use support::{
    Server, certificate, fails, fails_in, json, lines, misused, ok, ok_in, run, run_in, wait_until, write_secret, xs,
};

const WRITER: &str = "a-token-that-reads-and-writes";
const READER: &str = "a-token-that-only-reads";
const NEWER: &str = "a-token-that-came-later";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The port of the one place that a server is exposed at.
fn port(server: &Server) -> String {
    let exposed = server.exposed();
    assert_eq!(exposed.len(), 1, "{exposed:?}");
    exposed[0].rsplit_once(':').unwrap().1.to_owned()
}

/// Whether this address is answered.
fn is_let_in(address: &str) -> bool {
    run(&["last", address], b"").status.success()
}

#[test]
fn the_network_needs_a_token_and_the_socket_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    write_secret(&tokens, &format!("# who may\n\n{WRITER}\nread-only {READER}\n"));
    let flags = ["--expose", "127.0.0.1:0", "--token-file", text(&tokens)];
    let server = Server::start_with(&dir.path().join("store"), &flags);
    let port = port(&server);
    let bare = format!("127.0.0.1:{port}");
    let with = |token: &str| format!("http://xs:{token}@127.0.0.1:{port}");

    let frame = json(&ok(&["append", &with(WRITER), "a"], b"content"));
    assert_eq!(lines(&ok(&["last", &with(READER)], b"")), std::slice::from_ref(&frame));
    assert_eq!(lines(&ok_in(&[("XS_TOKEN", READER)], &["last", &bare], b"")), std::slice::from_ref(&frame));
    assert_eq!(
        ok_in(&[("XS_TOKEN", "wrong")], &["cas", &with(READER), frame["hash"].as_str().unwrap()], b""),
        "content"
    );
    assert_eq!(lines(&ok(&["last", server.addr()], b"")), std::slice::from_ref(&frame));
    ok(&["append", server.addr(), "a"], b"");

    for refused in [fails(&["last", &bare], b""), fails(&["last", &with("wrong")], b"")] {
        assert!(refused.contains("token") && refused.contains("InvalidInput"), "{refused}");
    }
    let unknown = fails(&["last", &bare], b"");
    assert!(unknown.contains("XS_TOKEN") && unknown.contains("http://xs:TOKEN@"), "{unknown}");
    assert!(fails_in(&[("XS_TOKEN", "s3cret")], &["last", &bare], b"").contains("token"));
    for words in [&["append", &with(READER), "a"][..], &["remove", &with(READER), frame["id"].as_str().unwrap()]] {
        assert!(fails(words, b"").contains("read"), "{words:?}");
    }
    assert_eq!(lines(&ok(&["cat", server.addr(), "-T", "a"], b"")).len(), 2);
}

#[test]
fn tokens_change_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    write_secret(&tokens, WRITER);
    let flags = ["--expose", ":0", "--token-file", text(&tokens)];
    let server = Server::start_with(&dir.path().join("store"), &flags);
    let port = port(&server);
    let with = |token: &str| format!("http://xs:{token}@127.0.0.1:{port}");
    assert!(is_let_in(&with(WRITER)) && !is_let_in(&with(NEWER)));
    write_secret(&tokens, NEWER);
    assert!(!is_let_in(&with(NEWER)), "nobody has told it");
    server.signal("HUP");
    wait_until("the tokens are read again", || is_let_in(&with(NEWER)));
    assert!(!is_let_in(&with(WRITER)));
    // A file that is wrong leaves them as they are, and the next one does not.
    fs::write(&tokens, "read-sometimes token\n").unwrap();
    server.signal("HUP");
    fs::remove_file(&tokens).unwrap();
    server.signal("HUP");
    assert!(is_let_in(&with(NEWER)));
    fs::write(&tokens, format!("{NEWER}\n{READER}\n")).unwrap();
    server.signal("HUP");
    wait_until("the tokens are read again", || is_let_in(&with(READER)));
    assert!(is_let_in(&with(NEWER)));
    assert!(server.terminate().success());
}

#[test]
fn a_hang_up_ends_no_server_that_has_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    server.signal("HUP");
    ok(&["append", server.addr(), "a"], b"content");
    assert_eq!(lines(&ok(&["cat", server.addr(), "-T", "a"], b"")).len(), 1);
    assert!(server.terminate().success());
}

#[test]
fn a_file_of_tokens_that_is_wrong_starts_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let (store, tokens) = (dir.path().join("store"), dir.path().join("tokens"));
    let serve = || fails(&["serve", text(&store), "--token-file", text(&tokens)], b"");
    assert!(serve().contains("tokens"));
    write_secret(&tokens, "read-only\n");
    assert!(serve().contains("tokens"));
    assert!(!store.exists(), "a store was made");
}

#[test]
fn tls_is_spoken_with_who_trusts_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(dir.path(), "served");
    let (other, other_key) = certificate(dir.path(), "other");
    let tokens = dir.path().join("tokens");
    write_secret(&tokens, WRITER);
    let tls = ["--tls-cert", text(&cert), "--tls-key", text(&key), "--token-file", text(&tokens)];
    let flags = [&["--expose", "tls://127.0.0.1:0"][..], &tls].concat();
    let server = Server::start_with(&dir.path().join("store"), &flags);
    assert!(server.exposed()[0].starts_with("tls://"), "{:?}", server.exposed());
    let address = format!("https://xs:{WRITER}@localhost:{}", port(&server));

    let big = "x".repeat(3_000_000);
    let frame = json(&ok(&["append", &address, "a", "--tls-ca", text(&cert)], big.as_bytes()));
    let by_variable = [("XS_TLS_CA", text(&cert))];
    let hash = frame["hash"].as_str().unwrap();
    assert!(ok_in(&by_variable, &["cas", &address, hash], b"") == big);
    assert_eq!(lines(&ok_in(&by_variable, &["cat", &address, "-T", "a"], b"")), [frame]);
    // Neither who trusts somebody else, nor who trusts nobody yet, nor who speaks in plain text.
    for refused in [
        fails(&["last", &address, "--tls-ca", text(&other)], b""),
        fails(&["last", &address], b""),
        fails(&["last", &format!("http://xs:{WRITER}@localhost:{}", port(&server))], b""),
        fails(&["last", &address, "--tls-ca", text(&dir.path().join("nothing"))], b""),
    ] {
        assert!(!refused.contains(WRITER), "{refused}");
    }

    assert!(fails(&["last", &address], b"").contains("--tls-ca"));
    assert!(fails(&["last", &format!("http://localhost:{}", port(&server))], b"").contains("https://"));

    // Another certificate, while it runs; then one that is none.
    let trusts = |cert: &Path| run(&["last", &address, "--tls-ca", text(cert)], b"").status.success();
    fs::copy(&other, &cert).unwrap();
    fs::copy(&other_key, &key).unwrap();
    server.signal("HUP");
    wait_until("the certificate is read again", || trusts(&other));
    fs::write(&cert, "no certificate").unwrap();
    server.signal("HUP");
    ok(&["append", server.addr(), "b"], b"");
    assert!(trusts(&other));
    assert!(server.terminate().success());
}

#[test]
fn beyond_loopback_takes_tokens_and_tls_or_to_be_said_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let (cert, key) = certificate(dir.path(), "served");
    let tokens = dir.path().join("tokens");
    write_secret(&tokens, WRITER);
    let with_tokens = &["--token-file", text(&tokens)][..];
    let with_tls = &["--tls-cert", text(&cert), "--tls-key", text(&key)][..];
    let refused =
        |expose: &str, flags: &[&str]| misused(&[&["serve", text(&store), "--expose", expose][..], flags].concat());
    for (expose, flags) in [
        ("0.0.0.0:0", vec![]),
        ("[::]:0", vec![]),
        ("0.0.0.0:0", with_tokens.to_vec()),
        ("0.0.0.0:0", [with_tokens, with_tls].concat()),
        ("tls://0.0.0.0:0", with_tls.to_vec()),
    ] {
        let said = refused(expose, &flags);
        assert!(said.starts_with("xs: --expose ") && said.lines().count() == 1, "{said}");
        assert!(said.contains("loopback") && said.contains("--insecure"), "{expose} {flags:?}: {said}");
    }
    assert!(refused("tls://127.0.0.1:0", with_tokens).contains("--tls-cert"));
    for (expose, flags) in [("tls://0.0.0.0:0", [with_tokens, with_tls].concat()), ("0.0.0.0:0", vec!["--insecure"])] {
        let flags = [&["--expose", expose][..], &flags].concat();
        assert!(Server::start_with(&store, &flags).terminate().success());
    }
}

#[test]
fn limits_are_what_they_are_set_to() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--content-bytes-max", "1k", "--connections-max", "50", "--grace", "1h", "--header-timeout", "1h"];
    let server = Server::start_with(&dir.path().join("store"), &flags);
    ok(&["append", server.addr(), "a"], &[b'x'; 1000]);
    assert!(fails(&["append", server.addr(), "a"], &[b'x'; 1001]).contains("1000"));
    assert_eq!(lines(&ok(&["cat", server.addr(), "-T", "a"], b"")).len(), 1);
    assert!(
        misused(&["serve", text(&dir.path().join("other")), "--connections-max", "1"])
            .contains("--connections-max is 1")
    );
    assert!(server.terminate().success());
}

#[test]
fn logs_are_text_or_json_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    for (format, is_json) in [(None, true), (Some("json"), true), (Some("text"), false)] {
        let store = dir.path().join("store");
        let mut serve = xs();
        serve.arg("serve").arg(&store).stdout(Stdio::null()).stderr(Stdio::piped());
        serve.args(format.iter().flat_map(|format| ["--log-format", *format]));
        let mut child = serve.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log.by_ref().map(Result::unwrap).find(|line| line.contains("listening")).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), is_json, "{line}");
        assert!(!line.contains('\x1b'), "{line}");
        // Frames are in the log where no person reads them.
        ok_when_up(&["append", text(&store), "a.frame"]);
        let line = log.by_ref().map(Result::unwrap).find(|line| line.contains("a.frame")).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), is_json, "{line}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_log_that_says_more_says_it_of_each_request() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut serve = xs();
    serve.arg("serve").arg(&store).args(["--log-format", "json"]).env("XS_LOG", "info,xs_server=debug");
    let mut child = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap()).lines();
    ok_when_up(&["append", text(&store), "a.frame"]);
    let is_of_it = |line: &serde_json::Value| {
        let span = &line["span"];
        span["name"] == "request" && span["method"] == "POST" && span["path"] == "/append/a.frame"
    };
    let line = log.map(|line| json(&line.unwrap())).find(is_of_it).unwrap();
    assert_eq!((&line["target"], &line["fields"]["status"]), (&"xs_server::trace".into(), &200.into()), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Waits for a server that may be starting still.
fn ok_when_up(words: &[&str]) {
    wait_until("it is done", || run_in(&[], words, b"").status.success());
}
