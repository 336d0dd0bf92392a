//! The one edge where errors become responses.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use xs::{Error, ErrorKind};
use xs_wire::{ErrorBody, ErrorFields, brief, to_json};

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    error: Error,
    /// Where the status does not follow from the kind.
    status: Option<StatusCode>,
}

pub(crate) type ApiResult<T = Response> = Result<T, ApiError>;

/// The source of an error whose status does not follow from its kind, on its way through core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithStatus(pub(crate) StatusCode);

impl std::fmt::Display for WithStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for WithStatus {}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<WithStatus>());
        let status = source.map(|WithStatus(status)| *status);
        Self { error, status }
    }
}

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error::new(kind, message).into()
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// With a status of its own. Its message is one of the server's own then, and reaches the client.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// What the client is told to do about it. When a call to the system fails, no input of a client
    /// is at fault, whatever the system says.
    fn kind(&self) -> ErrorKind {
        let of_system = std::error::Error::source(&self.error).is_some_and(|source| source.is::<std::io::Error>());
        match self.error.kind() {
            ErrorKind::InvalidInput | ErrorKind::NotFound if of_system => ErrorKind::Unavailable,
            kind => kind,
        }
    }

    /// What a stranger may know. What may name files of this machine goes to the log instead.
    fn public_message(&self) -> String {
        if self.status.is_some() {
            return self.error.to_string();
        }
        match self.kind() {
            // What a part of the store says of itself may name its place.
            ErrorKind::Unsupported if std::error::Error::source(&self.error).is_some() => {
                "the parts of this store cannot do it; the server's log says which".to_owned()
            }
            ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Unsupported => {
                self.error.to_string()
            }
            ErrorKind::Locked => "the store is held by another owner".to_owned(),
            ErrorKind::Unavailable => "the store cannot do it now; try again later".to_owned(),
            ErrorKind::Closed => "the store takes no requests now; GET /healthz says why".to_owned(),
            ErrorKind::Corrupt => "stored bytes are damaged; the server's log says which".to_owned(),
            _ => "something went wrong in the server; its log says what".to_owned(),
        }
    }
}

impl IntoResponse for ApiError {
    /// The response carries the [`ErrorKind`] among its extensions, for whoever counts.
    fn into_response(self) -> Response {
        let kind = self.kind();
        let status = self.status.unwrap_or_else(|| xs_wire::status(kind));
        let Self { error, .. } = &self;
        match status.is_server_error() {
            true => tracing::error!(%kind, %error, "a request failed"),
            // What a client sent may be in it, at any length.
            false => tracing::debug!(%kind, error = %brief(&error.to_string()), "a request was refused"),
        }
        let (topic, actual) = error.expect_failed().map(|failed| (failed.topic.clone(), failed.actual)).unzip();
        let fields = ErrorFields { kind: kind.as_str().to_owned(), message: self.public_message(), topic, actual };
        let text = to_json(&ErrorBody { error: fields }).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], text).into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    fn answer(error: ApiError) -> (StatusCode, ErrorKind, serde_json::Value) {
        let response = error.into_response();
        let (status, kind) = (response.status(), *response.extensions().get::<ErrorKind>().unwrap());
        let body = block_on(axum::body::to_bytes(response.into_body(), usize::MAX)).unwrap();
        (status, kind, serde_json::from_slice::<serde_json::Value>(&body).unwrap()["error"].clone())
    }

    #[test]
    fn what_a_stranger_may_not_know_stays_here() {
        let table = [
            (ErrorKind::InvalidInput, StatusCode::BAD_REQUEST, true),
            (ErrorKind::NotFound, StatusCode::NOT_FOUND, true),
            (ErrorKind::Conflict, StatusCode::CONFLICT, true),
            (ErrorKind::Locked, StatusCode::LOCKED, false),
            (ErrorKind::Unsupported, StatusCode::NOT_IMPLEMENTED, true),
            (ErrorKind::Unavailable, StatusCode::SERVICE_UNAVAILABLE, false),
            (ErrorKind::Corrupt, StatusCode::INTERNAL_SERVER_ERROR, false),
            (ErrorKind::Closed, StatusCode::SERVICE_UNAVAILABLE, false),
            (ErrorKind::Internal, StatusCode::INTERNAL_SERVER_ERROR, false),
        ];
        // Elsewhere a kind that core adds is an internal error, and the compiler says nothing of it.
        assert_eq!(table.map(|(kind, ..)| kind).as_slice(), ErrorKind::ALL);
        for (kind, status, told) in table {
            let (got, counted, error) = answer(ApiError::new(kind, "of /home/me/store"));
            assert_eq!((got, counted, error["kind"].as_str().unwrap()), (status, kind, kind.as_str()));
            assert_eq!(error["message"].as_str().unwrap().contains("/home/me"), told, "{error}");
        }
    }

    #[test]
    fn what_the_system_refuses_is_not_the_clients_fault() {
        for of_system in [std::io::ErrorKind::PermissionDenied, std::io::ErrorKind::NotFound] {
            let error = Error::io("writing /home/me/store/cas/x", std::io::Error::from(of_system));
            let (status, kind, error) = answer(error.into());
            assert_eq!((status, kind), (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable));
            assert!(!error["message"].as_str().unwrap().contains("/home/me"), "{error}");
        }
    }

    #[test]
    fn where_content_lies_is_nobodys_business() {
        let source = Error::new(ErrorKind::Internal, "501 Not Implemented");
        let error = Error::new(ErrorKind::Unsupported, "storing content in s3://bucket/prefix").with_source(source);
        let (status, _, error) = answer(error.into());
        assert!(status == StatusCode::NOT_IMPLEMENTED && !error.to_string().contains("bucket"), "{error}");
    }

    #[test]
    fn a_status_of_its_own_keeps_kind_and_message() {
        let error =
            ApiError::new(ErrorKind::Unavailable, "too many followers").with_status(StatusCode::TOO_MANY_REQUESTS);
        let (status, kind, error) = answer(error);
        assert_eq!((status, kind), (StatusCode::TOO_MANY_REQUESTS, ErrorKind::Unavailable));
        assert_eq!(error["message"], "too many followers");
    }
}
