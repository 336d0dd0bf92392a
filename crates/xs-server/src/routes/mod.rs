//! The routes, a file for each thing that they are about.

mod append;
mod body;
mod content;
mod frames;
mod health;
mod import;
mod info;
mod paced;
mod read;
mod until;

use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, RawPathParams};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{StatusCode, header};
use tokio::sync::watch;
use xs::{Error, EventStream};

use crate::console;
use crate::encode::Encoded;
use crate::error::{ApiError, ApiResult};
use crate::metrics::{self, ServerCounters};
use crate::openapi::{self, Route};

/// What every route has.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) stream: EventStream,
    /// Becomes true when the server stops and nothing appends any more: followers end, so that they do not
    /// hold it up.
    pub(crate) ending: watch::Receiver<bool>,
    /// What followers share.
    pub(crate) encoded: Arc<Encoded>,
    pub(crate) counters: Arc<ServerCounters>,
}

impl App {
    pub(crate) fn new(stream: EventStream, ending: watch::Receiver<bool>) -> Self {
        Self { stream, ending, encoded: Arc::new(Encoded::new()), counters: Arc::default() }
    }
}

/// The routes over `stream`, for an application to mount. Followers go on until `stream` closes or
/// their client leaves. Who may ask is for the application to say.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use xs::memory::{MemoryCas, MemoryStore};
/// # let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
/// use tower::ServiceExt as _;
///
/// let stream = xs::EventStream::open(store, cas, xs::Settings::default()).await?;
/// let app = axum::Router::new().nest("/events", xs_server::router(stream));
/// let request = http::Request::get("/events/version").body(axum::body::Body::empty())?;
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
pub fn router(stream: EventStream) -> Router {
    // Without its sender, this never changes.
    app(App::new(stream, watch::channel(false).1))
}

pub(crate) fn app(app: App) -> Router {
    openapi::router(routes())
        .route("/ui/", axum::routing::get(console::without_slash))
        .fallback(async || ApiError::not_found("there is no such route"))
        .method_not_allowed_fallback(async || {
            ApiError::invalid("this route does not take this method").with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        // Content has no limit; what is read into memory has one of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&app.counters), metrics::count))
        .with_state(app)
}

/// Every route: what answers, and what is said about it.
fn routes() -> Vec<Route> {
    vec![
        Route::at("/").get(read::cat, read::about_cat()),
        Route::at("/append").post(append::many, append::about_many()),
        Route::at("/append/{topic}").post(append::one, append::about_one()),
        Route::at("/last").get(frames::last_of_all, frames::about_last_of_all()),
        Route::at("/last/{filter}").get(frames::last, frames::about_last()),
        Route::at("/topics").get(frames::topics, frames::about_topics()),
        Route::at("/cas").post(content::post, content::about_post()).without_parameters(),
        Route::at("/cas/{*hash}")
            .get(content::get, content::about_get())
            .head(content::head, content::about_head())
            .without_parameters(),
        Route::at("/import").post(import::import, import::about_import()).without_parameters(),
        Route::at("/version").get(info::version, info::about_version()).without_parameters(),
        Route::at("/healthz").get(health::healthz, info::about_healthz()).without_parameters(),
        Route::at("/metrics").get(health::metrics, info::about_metrics()).without_parameters(),
        Route::at("/openapi.json").get(info::openapi, info::about_openapi()).without_parameters(),
        Route::at("/ui").get(console::page, info::about_console()).without_parameters(),
        Route::at("/ui/{file}").get(console::file, info::about_console_file()).without_parameters(),
        Route::at("/{id}").get(frames::get, frames::about_get()).delete(frames::remove, frames::about_remove()),
    ]
}

/// The part of a path that a route leaves open, whose refusal looks like every other.
#[derive(Debug)]
pub(crate) struct Segment {
    name: String,
    text: String,
}

impl Segment {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it spells; a refusal names it.
    pub(crate) fn parse<T: FromStr<Err = Error>>(&self) -> ApiResult<T> {
        Ok(self.text.parse::<T>().map_err(|error| error.context(format_args!("path parameter {}", self.name)))?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::invalid(format!("path parameter: {}", error.body_text())))?;
        // The last: an application may mount the routes below open parts of its own.
        match segments.iter().last() {
            Some((name, text)) => Ok(Self { name: name.to_owned(), text: text.to_owned() }),
            None => Err(ApiError::not_found("there is no such route")),
        }
    }
}

/// A response of one JSON text.
pub(crate) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
