//! An error on its way to a client, and what the client makes of it.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xs_core::{Error, ErrorKind, ExpectFailed, FrameId, Topic};

use crate::brief::brief;

/// The JSON form of an error.
///
/// ```
/// use xs_core::ErrorKind;
/// use xs_wire::{ErrorBody, error_of, status};
/// let body = br#"{"error":{"kind":"NotFound","message":"there is no such frame"}}"#;
/// let error = error_of(status(ErrorKind::NotFound), body);
/// assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::NotFound, "there is no such frame"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is said of it.
    pub error: ErrorFields,
}

/// What is said of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorFields {
    /// The name of its [`ErrorKind`].
    pub kind: String,
    /// A sentence that names what is wrong. It is written as [`brief`] makes it.
    #[serde(serialize_with = "briefly")]
    pub message: String,
    /// There when a condition failed: the topic that it was on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// There when a condition failed: the topic's last id, or `null` for an empty topic.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub actual: Option<Option<FrameId>>,
}

fn briefly<S: Serializer>(message: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&brief(message))
}

/// A field that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<FrameId>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The status of each kind.
pub fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Locked => StatusCode::LOCKED,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
        // Corrupt, Internal, and what a later core may add.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The kind that a status stands for, where nothing else says it: of a proxy in between, or of a
/// response that has no body.
fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::CONFLICT => ErrorKind::Conflict,
        StatusCode::LOCKED => ErrorKind::Locked,
        StatusCode::NOT_IMPLEMENTED => ErrorKind::Unsupported,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => ErrorKind::Unavailable,
        // What was asked for cannot be had this way, whatever is sent on to.
        status if status.is_client_error() || status.is_redirection() => ErrorKind::InvalidInput,
        _ => ErrorKind::Internal,
    }
}

/// The source of an error that only its status tells of, since the body that came with it is no [`ErrorBody`]:
/// most likely something in between has answered. A `404` of that kind says nothing about a store.
///
/// What answers a `HEAD` request has no body either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareStatus(pub StatusCode);

impl BareStatus {
    /// That of an error, if it has one.
    pub fn of(error: &Error) -> Option<Self> {
        std::error::Error::source(error)?.downcast_ref().copied()
    }
}

impl fmt::Display for BareStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} came without an error of xs", self.0)
    }
}

impl std::error::Error for BareStatus {}

/// The error that a response means: its kind and sentence as its body says, or else as follows from
/// its status, with a [`BareStatus`] as its source. Where a condition failed, [`Error::expect_failed`] is
/// there again.
pub fn error_of(status: StatusCode, body: &[u8]) -> Error {
    let Ok(ErrorBody { error: ErrorFields { kind, message, topic, actual } }) = serde_json::from_slice(body) else {
        let error = Error::new(kind_of(status), format!("the server answered {status}"));
        return error.with_source(BareStatus(status));
    };
    let known = ErrorKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let error = Error::new(known.unwrap_or_else(|| kind_of(status)), message);
    match (topic, actual) {
        (Some(topic), Some(actual)) => error.with_source(ExpectFailed { topic, actual }),
        _ => error,
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, brief(&message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: &Error) -> Vec<u8> {
        let (kind, message) = (error.kind().to_string(), error.to_string());
        let (topic, actual) = error.expect_failed().map(|failed| (failed.topic.clone(), failed.actual)).unzip();
        let fields = ErrorFields { kind, message, topic, actual };
        serde_json::to_vec(&ErrorBody { error: fields }).unwrap()
    }

    #[test]
    fn every_kind_comes_over_the_wire() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "what is wrong");
            let back = error_of(status(kind), &body(&error));
            assert_eq!((back.kind(), back.to_string().as_str()), (kind, "what is wrong"));
            assert!(back.expect_failed().is_none() && BareStatus::of(&back).is_none());
        }
    }

    #[test]
    fn a_failed_condition_comes_with_the_actual_id() {
        let topic = Topic::parse("a.b").unwrap();
        for actual in [None, Some("03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap())] {
            let failed = ExpectFailed { topic: topic.clone(), actual };
            let error = Error::from(failed.clone());
            let text = body(&error);
            let back = error_of(status(error.kind()), &text);
            assert_eq!(back.expect_failed(), Some(&failed));
            assert_eq!((back.kind(), back.to_string()), (ErrorKind::Conflict, error.to_string()));
        }
    }

    #[test]
    fn without_a_body_the_status_decides() {
        for kind in ErrorKind::ALL {
            let other = match kind {
                ErrorKind::Closed => ErrorKind::Unavailable,
                ErrorKind::Corrupt => ErrorKind::Internal,
                kind => kind,
            };
            assert_eq!(error_of(status(kind), b"").kind(), other);
        }
        for (status, kind) in [
            (301, ErrorKind::InvalidInput),
            (401, ErrorKind::InvalidInput),
            (403, ErrorKind::InvalidInput),
            (405, ErrorKind::InvalidInput),
            (413, ErrorKind::InvalidInput),
            (416, ErrorKind::InvalidInput),
            (429, ErrorKind::Unavailable),
            (431, ErrorKind::InvalidInput),
            (502, ErrorKind::Unavailable),
            (504, ErrorKind::Unavailable),
            (500, ErrorKind::Internal),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = error_of(status, b"<html>a proxy</html>");
            assert_eq!((error.kind(), BareStatus::of(&error)), (kind, Some(BareStatus(status))), "{status}");
            assert!(error.to_string().contains(status.as_str()), "{error}");
        }
    }

    #[test]
    fn a_value_does_not_come_back_at_any_length() {
        let error = Error::new(ErrorKind::InvalidInput, format!("topic {:?} is too long", "x".repeat(100_000)));
        let text = body(&error);
        assert!(text.len() < 300);
        let back = error_of(status(error.kind()), &text);
        assert!(back.to_string().starts_with("topic \"xxx") && back.to_string().ends_with("\" is too long"), "{back}");
    }

    #[test]
    fn a_kind_of_a_later_server_is_told_by_its_status() {
        let text = br#"{"error":{"kind":"Quota","message":"too much","more":1}}"#;
        let error = error_of(StatusCode::SERVICE_UNAVAILABLE, text);
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, "too much"));
    }
}
