//! A terminal to run the built binary on, which `script` makes.
#![allow(dead_code, clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Stdio};

use crate::support;

/// Whether there is a `script` that runs a command and passes its exit code on.
pub(crate) fn has_script() -> bool {
    let run = Command::new("script").args(["-qec", "exit 7", "/dev/null"]).stdin(Stdio::null()).output();
    let has = run.is_ok_and(|output| output.status.code() == Some(7));
    if !has {
        support::skipped("there is no script (util-linux) to make a terminal with");
    }
    has
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A shell command that runs `xs` on a terminal of this many columns.
pub(crate) fn on_terminal(columns: u16, args: &[&str], environment: &[(&str, &str)]) -> Command {
    on_terminal_from(columns, args, environment, "")
}

/// The same, with something behind the words, such as where its input comes from.
pub(crate) fn on_terminal_from(columns: u16, args: &[&str], environment: &[(&str, &str)], behind: &str) -> Command {
    let words: Vec<String> = [env!("CARGO_BIN_EXE_xs")].iter().chain(args).map(|word| quoted(word)).collect();
    let shell = format!("stty cols {columns} rows 24; echo process $$; exec {} {behind}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &shell, "/dev/null"]).env("SHELL", "/bin/sh").env("TERM", "xterm-256color").env("TZ", "UTC");
    for name in ["XS_ADDR", "XS_TOKEN", "XS_TLS_CA", "NO_COLOR"] {
        script.env_remove(name);
    }
    script.envs(environment.iter().copied());
    script
}

/// What a command that succeeds shows on a terminal.
pub(crate) fn shows_in(columns: u16, args: &[&str], environment: &[(&str, &str)]) -> String {
    shown_by(on_terminal(columns, args, environment))
}

pub(crate) fn shown_by(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n");
    assert!(output.status.success(), "{command:?}: {text}");
    // The first line is the shell's.
    text.split_once('\n').unwrap().1.to_owned()
}

pub(crate) fn shows(args: &[&str]) -> String {
    shows_in(200, args, &[("NO_COLOR", "1")])
}
