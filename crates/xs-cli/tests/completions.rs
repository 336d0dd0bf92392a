//! What is made from the description of the command line.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![cfg(unix)]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use support::{ok, run, xs};

const WORDS: [&str; 18] = [
    "serve",
    "cat",
    "append",
    "cas",
    "cas-post",
    "get",
    "last",
    "remove",
    "topics",
    "top",
    "import",
    "export",
    "copy",
    "version",
    "health",
    "scru128",
    "completions",
    "man",
];

#[test]
fn every_shell_completes_every_word() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ok(&["completions", shell], b"");
        for word in WORDS {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    // A shell that reads it finds nothing wrong.
    for shell in ["bash", "zsh", "fish"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("completions");
        fs::write(&path, ok(&["completions", shell], b"")).unwrap();
        match Command::new(shell).arg("-n").arg(&path).status() {
            Ok(status) => assert!(status.success(), "{shell}"),
            Err(_) => support::skipped(&format!("there is no {shell} to read its completions")),
        }
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let page = ok(&["man"], b"");
    assert!(page.contains(".TH xs 1") && page.contains("XS_ADDR"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    assert_eq!(ok(&["man", pages.to_str().unwrap()], b""), "");
    for word in WORDS {
        let page = fs::read_to_string(pages.join(format!("xs-{word}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{word}");
    }
    assert!(fs::read_to_string(pages.join("xs-serve.1")).unwrap().contains("token"));
    assert!(pages.join("xs.1").exists());
}

#[test]
fn help_is_there_for_each_command() {
    for word in WORDS {
        assert!(ok(&[word, "--help"], b"").contains("Usage: xs"), "{word}");
    }
    let help = ok(&["--help"], b"");
    assert!(WORDS.iter().all(|word| help.contains(word)) && help.contains("XS_ADDR"), "{help}");
    assert!(String::from_utf8(run(&[], b"").stderr).unwrap().contains("Usage: xs"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    for words in [&["completions", "zsh"][..], &["man"]] {
        let mut child = xs().args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{words:?}: {said}");
    }
}
