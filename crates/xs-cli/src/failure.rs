//! What is said when a command fails: one line, and an exit code.

use std::io;
use std::process::ExitCode;

use http::StatusCode;
use xs::ErrorKind;
use xs_client::Client;
use xs_wire::BareStatus;

use crate::output;
use crate::terminal::clean::clean;
use crate::terminal::conceal::conceal;

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
pub(crate) const USAGE_CODE: u8 = 2;

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
        let said = in_words_of_the_command(error);
        match is_refusal(error) {
            true => Self::new(format!("{said} ({})", error.kind())),
            false => Self::new(said),
        }
    }

    /// The same. A server that says that it cannot do it now is asked how it is: one whose store takes no writes any
    /// more says so to everybody, and waiting does not help.
    pub(crate) async fn of_call_to(client: &Client, error: &xs::Error) -> Self {
        if is_for_now(error)
            && let Err(reason) = client.health().await
            && is_for_now(&reason)
        {
            return Self::new(format!("{reason}: restart the server ({})", reason.kind()));
        }
        Self::of_call(error)
    }

    /// The same failure, preceded by what was being done.
    pub(crate) fn context(self, context: impl std::fmt::Display) -> Self {
        Self { message: format!("{context}: {}", self.message), ..self }
    }

    pub(crate) fn report(&self) -> ExitCode {
        if self.end != End::Quiet {
            // Much of it comes from a server, and it is one line.
            output::tell(&conceal(&clean(&self.message)));
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

/// Whether a server said that it cannot do what was asked, whatever that was.
fn is_for_now(error: &xs::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Closed) && std::error::Error::source(error).is_none()
}

/// A server speaks of headers and routes, and a library of what a program gives it: what is said to somebody at a
/// prompt names the flags and variables of this command.
fn in_words_of_the_command(error: &xs::Error) -> String {
    let said = error.to_string();
    match BareStatus::of(error) {
        // cross.stream says no more of what it does not have.
        Some(BareStatus(StatusCode::NOT_FOUND)) => {
            return format!("{said}: what was asked for is not there, or it is no server of xs");
        }
        Some(BareStatus(status)) if is_strange(status) => {
            return format!("{said}: it does not seem to be a server of xs");
        }
        _ => {}
    }
    if said.starts_with("a token is needed") {
        return "a token is needed: set XS_TOKEN, or give an address such as http://xs:TOKEN@host:port".to_owned();
    }
    if said.ends_with("give the file of its authority") || said.ends_with("give a file of those to trust") {
        return format!("{said} with --tls-ca, or XS_TLS_CA");
    }
    said.replace("GET /healthz says why", "xs health says why")
}

/// Whether a status that comes in no words of xs is of a server that does not know its methods.
fn is_strange(status: StatusCode) -> bool {
    let unknown = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
    status.is_redirection() || unknown.contains(&status)
}

impl From<xs::Error> for Failure {
    fn from(error: xs::Error) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use xs::Error;

    #[test]
    fn a_refusal_says_its_kind_and_the_rest_says_it_in_words() {
        let error = Error::new(ErrorKind::NotFound, "there is no frame");
        assert_eq!(Failure::of_call(&error).message, "there is no frame (NotFound)");
        let cause = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::new(ErrorKind::Unavailable, "no server answers: start one").with_source(cause);
        assert_eq!(Failure::of_call(&error).message, "no server answers: start one");
    }

    #[test]
    fn what_can_be_done_is_said_as_it_is_done_at_a_prompt() {
        for (kind, message, said) in [
            (ErrorKind::InvalidInput, "a token is needed: header Authorization with Bearer", "XS_TOKEN"),
            (ErrorKind::InvalidInput, "the certificate is bad: give the file of its authority", "--tls-ca"),
            (ErrorKind::InvalidInput, "it trusts none: give a file of those to trust", "--tls-ca"),
            (ErrorKind::Closed, "no requests now; GET /healthz says why", "now; xs health says why (Closed)"),
        ] {
            let failure = Failure::of_call(&Error::new(kind, message));
            assert!(failure.message.contains(said), "{failure:?}");
        }
    }

    #[test]
    fn a_status_that_no_server_of_xs_gives_without_words_is_told_from_others() {
        for (status, is_strange) in [
            (404, false),
            (405, true),
            (501, true),
            (302, true),
            (500, false),
            (502, false),
            (503, false),
            (401, false),
        ] {
            let error = xs_wire::error_of(StatusCode::from_u16(status).unwrap(), b"<html>no such page</html>");
            let failure = Failure::of_call(&error);
            assert_eq!(failure.message.contains("does not seem to be a server of xs"), is_strange, "{status}");
        }
        // cross.stream has no words for what it does not have.
        let error = xs_wire::error_of(StatusCode::NOT_FOUND, b"");
        assert!(Failure::of_call(&error).message.contains("is not there, or it is no server of xs"));
        // Those with words are.
        let error = xs_wire::error_of(StatusCode::NOT_FOUND, br#"{"error":{"kind":"NotFound","message":"no frame"}}"#);
        assert_eq!(Failure::of_call(&error).message, "no frame (NotFound)");
    }
}
