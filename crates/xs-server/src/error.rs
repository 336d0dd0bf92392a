//! The one edge where errors become responses.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use xs::{Error, ErrorKind};

use crate::wire::{ErrorFields, ErrorJson, to_json};

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    error: Error,
    /// Where the status does not follow from the kind.
    status: Option<StatusCode>,
}

pub(crate) type ApiResult<T = Response> = Result<T, ApiError>;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self { error, status: None }
    }
}

impl ApiError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::InvalidInput, message).into()
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::NotFound, message).into()
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }
}

/// The status of each kind.
fn status(kind: ErrorKind) -> StatusCode {
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

/// What a stranger may know. What may name files of this machine goes to the log instead.
fn public_message(error: &Error) -> String {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unsupported => {
            error.to_string()
        }
        ErrorKind::Locked => "the store is held by another owner".to_owned(),
        ErrorKind::Unavailable => "the store cannot do it now; try again later".to_owned(),
        ErrorKind::Closed => "the store takes no requests now".to_owned(),
        ErrorKind::Corrupt => "stored bytes are damaged; the server's log says which".to_owned(),
        _ => "something went wrong in the server; its log says what".to_owned(),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { error, status: own } = self;
        let kind = error.kind();
        let status = own.unwrap_or_else(|| status(kind));
        match status.is_server_error() {
            true => tracing::error!(%kind, %error, "a request failed"),
            false => tracing::debug!(%kind, %error, "a request was refused"),
        }
        let actual = error.expect_failed().map(|failed| failed.actual);
        let fields = ErrorFields { kind: kind.as_str(), message: public_message(&error), actual };
        let text = to_json(&ErrorJson { error: fields }).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], text).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
