//! The routes, a file for each thing that they are about.

mod append;
mod content;
mod frames;
mod import;
mod info;
mod read;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use http::StatusCode;
use http::request::Parts;
use tokio::sync::watch;
use xs::EventStream;

use crate::error::ApiError;

/// What every route has.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) stream: EventStream,
    /// Becomes true when the server stops: followers end, so that they do not hold it up.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The routes over `stream`, for an application to mount. Followers go on until `stream` closes or
/// their client leaves.
pub fn router(stream: EventStream) -> Router {
    // Without its sender, this never changes.
    app(App { stream, stopping: watch::channel(false).1 })
}

pub(crate) fn app(app: App) -> Router {
    Router::new()
        .route("/", get(read::cat))
        .route("/append", post(append::many))
        .route("/append/{topic}", post(append::one))
        .route("/last", get(frames::last_of_all))
        .route("/last/{filter}", get(frames::last))
        .route("/topics", get(frames::topics))
        .route("/cas", post(content::post))
        .route("/cas/{*hash}", get(content::get).head(content::head))
        .route("/import", post(import::import))
        .route("/version", get(info::version))
        .route("/{id}", get(frames::get).delete(frames::remove))
        .fallback(async || ApiError::not_found("there is no such route"))
        .method_not_allowed_fallback(async || {
            ApiError::invalid("this route does not take this method").with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        // Content has no limit; what is read into memory has one of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(app)
}

/// The part of a path that a route leaves open, whose refusal looks like every other.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let axum::extract::Path(text) = axum::extract::Path::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::invalid(format!("the path: {}", error.body_text())))?;
        Ok(Self(text))
    }
}

/// A response of one JSON text.
pub(crate) fn json(text: String) -> axum::response::Response {
    ([(http::header::CONTENT_TYPE, "application/json")], text).into_response()
}
