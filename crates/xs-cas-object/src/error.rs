//! The one edge where errors of object storage become errors of xs.
//!
//! What a server says in the body of a refusal can repeat the key and the signature of the request,
//! so an error of object_store is never shown nor kept. What is kept of it: the status, the code of
//! the refusal, which is one word, and the words of the system about a connection.

use std::error::Error as _;

use object_store::Error as Remote;
use xs_core::{ContentHash, Error, ErrorKind};

/// What can be said of a failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub(crate) struct Refusal {
    status: Option<u16>,
    /// The code of the refusal, such as `NoSuchBucket`.
    code: Option<String>,
    said: String,
}

/// The longest code that is repeated.
const CODE_BYTES_MAX: usize = 60;

impl Refusal {
    pub(crate) fn of(error: &Remote) -> Self {
        let (mut text, mut innermost) = (error.to_string(), error.source());
        let mut last = None;
        while let Some(cause) = innermost {
            text.push('\n');
            text.push_str(&cause.to_string());
            last = Some(cause.to_string());
            innermost = cause.source();
        }
        let code = between(&text, "<Code>", "</Code>").filter(|code| {
            code.len() <= CODE_BYTES_MAX && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')
        });
        let status =
            text.split("status code: ").nth(1).and_then(|rest| rest.get(..3)).and_then(|text| text.parse().ok());
        let said = match (status, &code, last) {
            (Some(status), Some(code), _) => format!("the server answers {status} {code}"),
            (Some(status), None, _) => format!("the server answers {status}"),
            (None, Some(code), _) => format!("the server answers {code}"),
            // The words of the system or of TLS: no request is in them.
            (None, None, Some(last)) => last,
            (None, None, None) => "the call failed".to_owned(),
        };
        Self { status, code: code.map(str::to_owned), said }
    }

    fn has(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    fn says(&self, word: &str) -> bool {
        self.said.contains(word)
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}

/// Whether the server does not know create-only puts.
pub(crate) fn is_unsupported(error: &Remote) -> bool {
    matches!(error, Remote::NotImplemented { .. } | Remote::NotSupported { .. })
        || Refusal::of(error).status == Some(501)
        || Refusal::of(error).has(&["NotImplemented"])
}

/// Whether what was asked for is refused because of its range, as for content that is empty.
/// Storage on this machine gives no status.
pub(crate) fn is_bad_range(error: &Remote) -> bool {
    match (error, Refusal::of(error)) {
        (Remote::NotFound { .. }, _) => false,
        (_, Refusal { status, .. }) => status == Some(416) || (status.is_none() && !says_transport(error)),
    }
}

/// Whether it is about the way to a server.
fn says_transport(error: &Remote) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<object_store::client::HttpError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error of `doing` something to the store at `place`. While it is being opened the place or
/// the credentials may be the wrong ones; later, no input of a caller is at fault.
pub(crate) fn convert(doing: &str, opening: bool, place: &str, error: &Remote) -> Error {
    let refusal = Refusal::of(error);
    let refused = if opening { ErrorKind::InvalidInput } else { ErrorKind::Unavailable };
    let (kind, remedy) = match (error, refusal.status) {
        _ if refusal.has(&["NoSuchBucket", "ContainerNotFound"]) => {
            (if opening { ErrorKind::NotFound } else { ErrorKind::Unavailable }, "make the bucket, or name another one")
        }
        _ if refusal.has(&["RequestTimeTooSkewed"]) => (ErrorKind::Unavailable, "set the clock of this machine"),
        _ if refusal.has(&["ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"]) => {
            (refused, "the credentials have expired: renew AWS_SESSION_TOKEN and the keys beside it")
        }
        _ if refusal.has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed"]) => {
            (refused, "check the credentials in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        _ if refusal.has(&[
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "IllegalLocationConstraintException",
        ]) =>
        {
            (refused, "the bucket is in another region: say region=…")
        }
        (_, Some(301 | 307 | 308)) => (refused, "the bucket is in another region: say region=…"),
        (Remote::PermissionDenied { .. } | Remote::Unauthenticated { .. }, _) | (_, Some(401 | 403)) => (
            refused,
            "check the credentials in the environment, such as AWS_ACCESS_KEY_ID, and the policy of the bucket",
        ),
        (Remote::NotImplemented { .. } | Remote::NotSupported { .. }, _) | (_, Some(501)) => {
            (ErrorKind::Unsupported, "choose another server")
        }
        (Remote::InvalidPath { .. } | Remote::UnknownConfigurationKey { .. }, _) => {
            (ErrorKind::InvalidInput, "check the URL")
        }
        _ if refusal.says("certificate") => {
            (refused, "the server's certificate is not trusted: name its authority with ca_file=… or AWS_CA_BUNDLE")
        }
        _ => (ErrorKind::Unavailable, "check the endpoint and the network, or try again"),
    };
    Error::new(kind, format!("{doing} {place}: {refusal}; {remedy}")).with_source(refusal)
}

/// The error of a call that was given up.
pub(crate) fn timed_out(doing: &str, place: &str, after: std::time::Duration) -> Error {
    let seconds = after.as_secs_f64();
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "{doing} {place}: no success within {seconds:.1} s; check the endpoint and the network, or raise timeout_ms"
        ),
    )
}

/// The error of reading content that is not there.
pub(crate) fn missing(hash: ContentHash) -> Error {
    Error::new(ErrorKind::NotFound, format!("content {hash} is not in this store"))
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the content store is closed; open it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_code_and_nothing_of_the_request() {
        let body = "Error performing GET http://host/bucket in 3ms - Server returned non-2xx status code: 403 Forbidden: \
            <Error><Code>InvalidAccessKeyId</Code><Message>no key AKIAHUNTER2</Message>\
            <AWSAccessKeyId>AKIAHUNTER2</AWSAccessKeyId></Error>";
        let error = Remote::PermissionDenied { path: "bucket".to_owned(), source: body.into() };
        let error = convert("opening", true, "s3://bucket", &error);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("403 InvalidAccessKeyId"), "{error}");
        assert!(!format!("{error:?}").contains("HUNTER2"), "{error:?}");
    }

    #[test]
    fn the_kind_says_what_to_do() {
        use ErrorKind::{InvalidInput, NotFound, Unavailable, Unsupported};
        for (status, code, opening, kind) in [
            (404, "NoSuchBucket", true, NotFound),
            (403, "RequestTimeTooSkewed", true, Unavailable),
            (400, "ExpiredToken", true, InvalidInput),
            (400, "ExpiredToken", false, Unavailable),
            (403, "AccessDenied", true, InvalidInput),
            (403, "AccessDenied", false, Unavailable),
            (400, "AuthorizationHeaderMalformed", true, InvalidInput),
            (500, "InternalError", true, Unavailable),
            (503, "SlowDown", false, Unavailable),
            (429, "TooManyRequests", false, Unavailable),
            (501, "NotImplemented", false, Unsupported),
        ] {
            let body = format!("Server returned non-2xx status code: {status} Words: <Code>{code}</Code>");
            let error = Remote::Generic { store: "S3", source: body.into() };
            let error = convert("opening", opening, "s3://bucket", &error);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(code), "{error}");
        }
    }
}
