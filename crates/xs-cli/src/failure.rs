//! What is said when a command fails: one line, and an exit code.

use std::io;
use std::process::ExitCode;

use xs_wire::BareStatus;

use crate::output;
use crate::terminal::clean::clean;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    end: End,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Whoever read the output has gone; nothing is wrong.
    Quiet,
    /// What was asked for could not be done.
    Failed,
    /// What was asked for makes no sense.
    Usage,
}

/// As clap ends on a flag that it does not know.
const USAGE_CODE: u8 = 2;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), end: End::Failed }
    }

    /// Arguments that do not go together.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), end: End::Usage }
    }

    /// The failure of `doing` something.
    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        let end = if error.kind() == io::ErrorKind::BrokenPipe { End::Quiet } else { End::Failed };
        Self { message: format!("{doing}: {error}"), end }
    }

    /// What a server refused, or why it did not come to that.
    pub(crate) fn of_call(error: &xs::Error) -> Self {
        match is_refusal(error) {
            true => Self::new(format!("{error} ({})", error.kind())),
            false => Self::new(error.to_string()),
        }
    }

    /// The same failure, preceded by what was being done.
    pub(crate) fn context(self, context: impl std::fmt::Display) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }

    pub(crate) fn report(&self) -> ExitCode {
        if self.end != End::Quiet {
            // Much of it comes from a server, and it is one line.
            output::tell(&clean(&self.message));
        }
        match self.end {
            End::Quiet => ExitCode::SUCCESS,
            End::Failed => ExitCode::FAILURE,
            End::Usage => ExitCode::from(USAGE_CODE),
        }
    }
}

/// Whether a server said so, in which case its kind says what to do about it. What did not come to a
/// server says it in words.
fn is_refusal(error: &xs::Error) -> bool {
    error.expect_failed().is_some() || BareStatus::of(error).is_some() || std::error::Error::source(error).is_none()
}

impl From<xs::Error> for Failure {
    fn from(error: xs::Error) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xs::{Error, ErrorKind};

    #[test]
    fn a_refusal_says_its_kind_and_the_rest_says_it_in_words() {
        let error = Error::new(ErrorKind::NotFound, "there is no frame");
        assert_eq!(Failure::of_call(&error).message, "there is no frame (NotFound)");
        let cause = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::new(ErrorKind::Unavailable, "no server answers: start one").with_source(cause);
        assert_eq!(Failure::of_call(&error).message, "no server answers: start one");
    }
}
