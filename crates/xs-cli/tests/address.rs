//! Where commands find their server, and what it takes to be let in.
#![cfg(all(unix, feature = "fjall", feature = "cas-fs"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod support;

use support::{Server, fails, fails_in, json, lines, misused, ok, ok_in, run, run_in};

#[test]
fn the_address_of_the_environment_makes_commands_short() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let environment = [("XS_ADDR", server.addr())];
    let ok = |args: &[&str], input: &[u8]| ok_in(&environment, args, input);
    let first = json(&ok(&["append", "a.b"], b"one"));
    let second = json(&ok(&["append", "a.c", "--meta", "[1]"], b""));
    let id = first["id"].as_str().unwrap();
    assert_eq!(lines(&ok(&["cat", "-T", "a.*"], b"")), [first.clone(), second.clone()]);
    assert_eq!(lines(&ok(&["last"], b"")), std::slice::from_ref(&second));
    assert_eq!(lines(&ok(&["last", "a.b"], b"")), std::slice::from_ref(&first));
    assert_eq!(lines(&ok(&["last", "2"], b"")), [first.clone(), second.clone()]);
    assert_eq!(lines(&ok(&["last", "a.*", "2"], b"")), [first.clone(), second.clone()]);
    assert_eq!(lines(&ok(&["get", id], b"")), std::slice::from_ref(&first));
    assert_eq!(ok(&["cas", first["hash"].as_str().unwrap()], b""), "one");
    assert_eq!(ok(&["cas-post"], b"one").trim_end(), first["hash"]);
    assert_eq!(lines(&ok(&["topics", "a."], b"")).len(), 2);
    assert_eq!(lines(&ok(&["topics"], b"")).len(), 3);
    assert_eq!(json(&ok(&["version"], b""))["index"], "fjall");
    assert_eq!(json(&ok(&["import"], first.to_string().as_bytes())), first);
    let dump = dir.path().join("dump");
    ok(&["export", dump.to_str().unwrap()], b"");
    assert_eq!(json(&ok(&["import", dump.to_str().unwrap()], b""))["frames"], 3);
    ok(&["remove", id], b"");
    assert!(fails_in(&environment, &["get", id], b"").contains("NotFound"));

    // One that is given counts for more.
    let other = Server::start(&dir.path().join("other"));
    assert_eq!(ok(&["cat", other.addr(), "-T", "a.*"], b""), "");
    assert_eq!(lines(&ok(&["last", other.addr()], b""))[0]["topic"], "xs.start");
    // A server is served where it is said, and nowhere else.
    assert_eq!(run_in(&environment, &["serve"], b"").status.code(), Some(2));
}

#[test]
fn without_an_address_it_is_asked_for() {
    for words in [&["last"][..], &["cat"], &["append", "a"], &["version"]] {
        let output = run(words, b"");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains('<') && said.contains("XS_ADDR"), "{words:?}: {said}");
    }
    // That does not help who serves, nor whose other words are wrong.
    for words in [&["serve"][..], &["cat", "--bad"], &["copy", "x"]] {
        assert!(!misused(words).contains("XS_ADDR"), "{words:?}");
    }
    let output = run_in(&[("XS_ADDR", "x")], &["append"], b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && !said.contains("XS_ADDR"), "{said}");
}

#[test]
fn a_number_without_a_topic_is_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("store"));
    let frames = ["a", "b", "c"].map(|topic| json(&ok(&["append", server.addr(), topic], b"")));
    assert_eq!(lines(&ok(&["last", server.addr(), "2"], b"")), frames[1..]);
    assert_eq!(lines(&ok(&["head", server.addr(), "1"], b"")), frames[2..]);
    assert_eq!(lines(&ok(&["last", server.addr(), "a", "2"], b"")), frames[..1]);
}

#[test]
fn a_wrong_address_is_refused_without_its_token() {
    for address in ["htps://xs:s3cret@localhost:1", "https://s3cret@localhost", "xs:s3cret@localhost:3021"] {
        for (environment, words) in [(vec![], vec!["last", address]), (vec![("XS_ADDR", address)], vec!["last"])] {
            let output = run_in(&environment, &words, b"");
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{address}: {text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }
    let said = fails(&["last", "http://xs:s3cret@127.0.0.1:1"], b"");
    assert!(said.contains("xs serve") && said.contains("127.0.0.1:1") && !said.contains("s3cret"), "{said}");
}

#[test]
fn an_address_in_the_wrong_place_is_said_without_its_token() {
    let id = "03d4q1qhbiv09ovtuhokw5yxv";
    for address in ["https://xs:s3cret@host", "https://s3cret@host", "xs:s3cret@host:3021", "tls://x:y/s3cret@[::1]:1"]
    {
        for words in [
            &["get", id, address][..],
            &["get", "x", id, address],
            &["append", "x", address],
            &["cat", "x", "--after", address],
            &["cat", "x", &format!("--topic={address}")],
            &["serve", "x", "--expose", address],
        ] {
            let said = misused(words);
            assert!(said.contains('…') && !said.contains("s3cret"), "{words:?}: {said}");
        }
        let dir = tempfile::tempdir().unwrap();
        let said = fails(&["import", dir.path().to_str().unwrap(), address], b"");
        assert!(said.contains('…') && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_token_without_a_scheme_is_told_what_it_lacks() {
    for address in ["xs:s3cret@localhost:3021", "xs:s3cret@localhost"] {
        let said = misused(&["cat", address]);
        assert!(said.contains("http://xs:TOKEN@") && !said.contains("s3cret"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
