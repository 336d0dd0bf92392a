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
    // What is not read is said where it would be looked for.
    assert!(ok(&["append", "--help"], b"").contains("From a terminal nothing is read"));
    let help = ok(&["--help"], b"");
    assert!(WORDS.iter().all(|word| help.contains(word)) && help.contains("XS_ADDR"), "{help}");
    assert!(String::from_utf8(run(&[], b"").stderr).unwrap().contains("Usage: xs"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    for words in [&["completions", "zsh"][..], &["man"], &["--help"], &["cat", "--help"], &["--version"]] {
        let mut child = xs().args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{words:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_a_failure() {
    for words in [&["completions", "zsh"][..], &["man"], &["--help"], &["cat", "--help"], &["--version"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = xs().args(words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.lines().count() == 1 && said.contains("standard output"), "{words:?}: {said}");
    }
}

/// Asks the completions for what follows these words, in a directory that holds `a-file`.
const OFFER: &str = r#"
. ./completions
COMP_WORDS=(xs "$@" "")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_xs xs "" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
echo "${COMPREPLY[@]}"
"#;

#[test]
fn files_are_offered_where_files_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("completions"), ok(&["completions", "bash"], b"")).unwrap();
    fs::write(dir.path().join("a-file"), "").unwrap();
    for (words, offered) in [
        (["serve", "--index"], "fjall redb sqlite"),
        (["serve", "--connections-max"], ""),
        (["append", "--ttl"], ""),
        (["cat", "-T"], ""),
        (["serve", "--color"], "auto always never"),
        (["cat", "--tls-ca"], "a-file completions"),
        (["serve", "--token-file"], "a-file completions"),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", OFFER, "bash"]).args(words).current_dir(dir.path());
        let Ok(output) = bash.output() else { return support::skipped("there is no bash to complete in") };
        let mut found: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().split_whitespace().collect();
        found.sort_unstable();
        let mut offered: Vec<&str> = offered.split(' ').filter(|word| !word.is_empty()).collect();
        offered.sort_unstable();
        assert_eq!(found, offered, "{words:?}");
    }
}
