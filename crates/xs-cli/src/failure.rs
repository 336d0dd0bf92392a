//! What is said when a command fails: one line, and exit code 1.

use std::io;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    /// Whoever read the output has gone; nothing is wrong.
    quiet: bool,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), quiet: false }
    }

    /// The failure of `doing` something.
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        Self { message: format!("{doing}: {error}"), quiet: error.kind() == io::ErrorKind::BrokenPipe }
    }

    pub(crate) fn report(&self) -> ExitCode {
        if self.quiet {
            return ExitCode::SUCCESS;
        }
        eprintln!("xs: {}", self.message);
        ExitCode::FAILURE
    }
}

impl From<xs::Error> for Failure {
    fn from(error: xs::Error) -> Self {
        Self::new(error.to_string())
    }
}
