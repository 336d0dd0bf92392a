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
use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse as _, Response};
use http::header;
use http::request::Parts;
use tokio::sync::watch;
use xs::{Error, EventStream};

use crate::answering::Answering;
use crate::console;
use crate::encode::Encoded;
use crate::error::{ApiError, ApiResult};
use crate::held::Held;
use crate::limits::HELD_BYTES_MAX;
use crate::metrics::ServerCounters;
use crate::openapi::{self, Route};

/// What every route has.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) stream: EventStream,
    /// Becomes true when the server stops and nothing appends any more: followers end, so that they do not
    /// hold it up.
    pub(crate) ending: watch::Receiver<bool>,
    /// What followers share.
    pub(crate) encoded: Arc<Encoded>,
    pub(crate) counters: Arc<ServerCounters>,
    /// Frames that have come and are not stored yet.
    pub(crate) held: Held,
}

impl App {
    pub(crate) fn new(stream: EventStream, ending: watch::Receiver<bool>) -> Arc<Self> {
        let (encoded, held) = (Arc::new(Encoded::new()), Held::new(HELD_BYTES_MAX));
        Arc::new(Self { stream, ending, encoded, counters: Arc::default(), held })
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

pub(crate) fn app(app: Arc<App>) -> Router {
    let elsewhere = Route::at("/ui/").without_parameters().get_undescribed(console::without_slash);
    openapi::router(routes().into_iter().chain([elsewhere]))
        .fallback(Answering::refusing("none", async || ApiError::not_found("there is no such route")))
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
        Route::at("/cas").without_parameters().post(content::post, content::about_post()),
        Route::at("/cas/{*hash}")
            .without_parameters()
            .get(content::get, content::about_get())
            .head(content::head, content::about_head()),
        Route::at("/import").without_parameters().post(import::import, import::about_import()),
        Route::at("/version").without_parameters().get(info::version, info::about_version()),
        Route::at("/healthz").without_parameters().get(health::healthz, info::about_healthz()),
        Route::at("/metrics").without_parameters().get(health::metrics, info::about_metrics()),
        Route::at("/openapi.json").without_parameters().get(info::openapi, info::about_openapi()),
        Route::at("/ui").without_parameters().get(console::page, info::about_console()),
        Route::at("/ui/{file}").without_parameters().get(console::file, info::about_console_file()),
        Route::at("/{id}").get(frames::get, frames::about_get()).delete(frames::remove, frames::about_remove()),
    ]
}

/// The part of a path that a route leaves open, whose refusal looks like every other.
#[derive(Debug)]
pub(crate) struct Segment(RawPathParams);

impl Segment {
    /// Its name, and what stands there. The last: an application may mount the routes below open parts of its own.
    fn named(&self) -> ApiResult<(&str, &str)> {
        self.0.iter().last().ok_or_else(|| ApiError::not_found("there is no such route"))
    }

    pub(crate) fn text(&self) -> ApiResult<&str> {
        Ok(self.named()?.1)
    }

    /// What it spells; a refusal names it.
    pub(crate) fn parse<T: FromStr<Err = Error>>(&self) -> ApiResult<T> {
        let (name, text) = self.named()?;
        Ok(text.parse::<T>().map_err(|error| error.context(format_args!("path parameter {name}")))?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = RawPathParams::from_request_parts(parts, state).await;
        segments.map(Self).map_err(|error| ApiError::invalid(format!("path parameter: {}", error.body_text())))
    }
}

/// A response of one JSON text.
pub(crate) fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
