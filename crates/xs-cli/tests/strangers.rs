//! What answers and is no server of xs, and a server of xs that cannot do what it is asked.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use support::{fails, run};

const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";

/// Answers every request, which is one without a body, by its first line.
fn answering(place: &Path, answer: impl Fn(&str) -> String + Send + 'static) {
    let listener = UnixListener::bind(place).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = BufReader::new(client.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && client.read_line(&mut head).unwrap_or(0) > 0 {}
            // Who only looked whether somebody answers has gone.
            let _ = client.get_mut().write_all(answer(head.lines().next().unwrap_or_default()).as_bytes());
        }
    });
}

fn page(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

#[test]
fn a_page_is_not_taken_for_frames() {
    let dir = tempfile::tempdir().unwrap();
    let html = "<html>\nWelcome\n</html>\n";
    let everywhere = [
        &["cat"][..],
        &["cat", "--follow"],
        &["cat", "--sse"],
        &["get", ID],
        &["last"],
        &["last", "a", "5"],
        &["topics"],
        &["version"],
    ];
    for (n, (header, says, commands)) in [
        ("Content-Type: text/html; charset=utf-8\r\n", "text/html", &everywhere[..]),
        ("", "no type", &everywhere[..]),
        ("Content-Type: application/json\r\n", "application/json", &[&["cat", "--sse"][..]][..]),
        ("Content-Type: text/event-stream\r\n", "text/event-stream", &[&["cat"][..], &["get", ID]][..]),
    ]
    .into_iter()
    .enumerate()
    {
        let place = dir.path().join(n.to_string());
        answering(&place, move |_| page("200 OK", header, html));
        for command in commands {
            let (word, flags) = command.split_first().unwrap();
            let output = run(&[&[*word, place.to_str().unwrap()][..], flags].concat(), b"");
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{command:?}: {said}");
            assert!(said.contains("is no server of xs") && said.contains(says), "{command:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
        }
    }
}

#[test]
fn a_server_that_knows_no_route_of_xs_is_told_from_one_that_lacks_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("other");
    answering(&place, |_| page("404 Not Found", "Content-Type: text/html\r\n", "<html>Not found</html>"));
    let address = place.to_str().unwrap();
    for words in [&["cat", address][..], &["last", address], &["topics", address], &["get", address, ID]] {
        let said = fails(words, b"");
        assert!(said.contains("404") && said.contains("or it is no server of xs"), "{words:?}: {said}");
    }
    let place = dir.path().join("xs");
    let lacking = r#"{"error":{"kind":"NotFound","message":"no frame has this id"}}"#;
    answering(&place, move |_| page("404 Not Found", "Content-Type: application/json\r\n", lacking));
    assert_eq!(fails(&["get", place.to_str().unwrap(), ID], b""), "xs: no frame has this id (NotFound)\n");
}

#[test]
fn whoever_waits_in_vain_is_told_to_restart_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let json = "Content-Type: application/json\r\n";
    let error = |kind: &str, message: &str| format!(r#"{{"error":{{"kind":"{kind}","message":"{message}"}}}}"#);
    let later = error("Unavailable", "the store cannot do it now; try again later");
    let closed = error("Closed", "the store takes no requests now; GET /healthz says why");
    let latched = error("Unavailable", "a commit failed, so writes are refused until the server is started again");
    for (name, refused, health, says) in [
        ("latched", later.clone(), Some(latched), "started again: restart the server (Unavailable)"),
        ("later", later, None, "try again later (Unavailable)"),
        (
            "closed",
            closed.clone(),
            Some(error("Closed", "the store is closed")),
            "is closed: restart the server (Closed)",
        ),
        ("closing", closed, None, "xs health says why (Closed)"),
    ] {
        let place = dir.path().join(name);
        answering(&place, move |line| match (line.starts_with("GET /healthz "), &health) {
            (true, None) => page("200 OK", json, r#"{"status":"ok"}"#),
            (true, Some(health)) => page("503 Service Unavailable", json, health),
            (false, _) => page("503 Service Unavailable", json, &refused),
        });
        let said = fails(&["last", place.to_str().unwrap()], b"");
        assert!(said.trim_end().ends_with(says), "{name}: {said}");
    }
}
