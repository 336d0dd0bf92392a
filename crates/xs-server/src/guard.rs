//! What every request passes on its way to the routes, and every answer on its way back. It stands around the
//! router as a whole: there is no route that could be forgotten.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use tower_service::Service as _;
use tracing::Instrument as _;
use xs::ErrorKind;

use crate::access::{Access, Admission, Refused, is_read};
use crate::clients::{Client, Followers};
use crate::connection::Unread;
use crate::error::ApiError;
use crate::gone::Gone;
use crate::head::TooLarge;
use crate::limits::Limits;
use crate::listen::{Medium, Peer};
use crate::metrics::ServerCounters;
use crate::origin::{self, Foreign};
use crate::trace;
use crate::watched::{Broken, Outcome, Watched};
use crate::writes::{Write, Writes};

/// What a server lets in.
#[derive(Debug)]
pub(crate) struct Guard {
    access: Access,
    limits: Arc<Limits>,
    followers: Arc<Followers>,
    counters: Arc<ServerCounters>,
    pub(crate) writes: Writes,
}

impl Guard {
    pub(crate) fn new(access: Access, limits: Arc<Limits>, counters: Arc<ServerCounters>) -> Self {
        Self { access, limits, followers: Arc::default(), counters, writes: Writes::new() }
    }
}

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) guard: Arc<Guard>,
    pub(crate) peer: Peer,
    pub(crate) unread: Unread,
    pub(crate) gone: Gone,
}

/// A request that comes to the routes.
struct LetIn {
    request: Request<Body>,
    admission: Option<Admission>,
    /// Of a body, what becomes of it.
    outcome: Option<Outcome>,
    /// Of one that may write.
    write: Option<Write>,
}

impl Connection {
    /// Answers a request.
    pub(crate) async fn answer(&self, app: Router, request: Request<Incoming>) -> Response {
        let since = Instant::now();
        let span = trace::request(&request, &self.peer);
        let has_body = !request.body().is_end_stream();
        let mut response = self.pass(app, request).instrument(span.clone()).await;
        trace::answered(&span, response.status(), since);
        // Content is bytes of somebody; no browser is to take them for a page or a program.
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.unread.answered();
        // What is left of its body is in the way of another request, and no client is to find that out with one. Without a
        // body, it is the beginning of that request.
        match has_body && self.unread.get() {
            true => last(response),
            false => response,
        }
    }

    async fn pass(&self, mut app: Router, request: Request<Incoming>) -> Response {
        self.unread.set(!request.body().is_end_stream());
        let LetIn { mut request, admission, outcome, write } = match self.let_in(request) {
            Ok(let_in) => let_in,
            Err(refusal) => {
                tracing::info!(peer = %self.peer, ?refusal, "a request is not let in");
                let response = refusal.into_response();
                // The routes count what they refuse; what is refused here does not come to them.
                if let Some(kind) = response.extensions().get::<ErrorKind>() {
                    self.guard.counters.error(*kind);
                }
                return response;
            }
        };
        if request.method() == Method::GET {
            let Guard { limits, followers, .. } = &*self.guard;
            let client = Client::of(&self.peer, admission, limits, followers).on(self.gone.clone());
            request.extensions_mut().insert(client);
        }
        let response = match app.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // What it appends is appended.
        drop(write);
        match outcome.and_then(|outcome| outcome.broken()) {
            // The route saw a body that broke off; here it is known why.
            Some(broken) if !response.status().is_success() => broken_off(broken),
            _ => response,
        }
    }

    /// Notes why the connection ended early. What is no head at all, or is far too large or too late, hyper
    /// refuses before it is a request; an idle connection that it ends is no error.
    pub(crate) fn ended(&self, error: &hyper::Error) {
        if error.is_parse() || (error.is_timeout() && self.unread.is_head()) {
            self.guard.counters.error(ErrorKind::InvalidInput);
            tracing::info!(peer = %self.peer, %error, "the head of a request is refused");
        } else {
            // A client that goes away in the middle is the usual reason.
            tracing::debug!(%error, "a connection ended early");
        }
    }

    fn let_in(&self, request: Request<Incoming>) -> Result<LetIn, Refusal> {
        TooLarge::check(&request, &self.guard.limits).map_err(Refusal::Head)?;
        let admission = self.admit(&request)?;
        let writes = !is_read(request.method());
        let write = match writes {
            true => Some(self.guard.writes.begin().ok_or(Refusal::Stopping)?),
            false => None,
        };
        let (request, outcome) = self.watch(request, admission.clone().filter(|_| writes))?;
        Ok(LetIn { request, admission, outcome, write })
    }

    /// The token that lets a request in, where one is needed.
    fn admit(&self, request: &Request<Incoming>) -> Result<Option<Admission>, Refusal> {
        let place = &self.peer.place;
        let access = &self.guard.access;
        let by_name = place.medium != Medium::Socket && access.is_open();
        origin::check(request, by_name.then_some(place.host.as_str())).map_err(Refusal::Foreign)?;
        match place.medium {
            Medium::Socket => Ok(None),
            Medium::Tcp | Medium::Tls => {
                let admitted = access.admit(request.method(), request.uri().path(), request.headers());
                admitted.map_err(Refusal::Access)
            }
        }
    }

    /// The same request, its body held to its limits, and to the token that lets it write.
    fn watch(
        &self,
        request: Request<Incoming>,
        admission: Option<Admission>,
    ) -> Result<(Request<Body>, Option<Outcome>), Refusal> {
        if request.body().is_end_stream() {
            return Ok((request.map(|_| Body::empty()), None));
        }
        let (head, body) = request.into_parts();
        let limits = &self.guard.limits;
        let rate_min = limits.body_rate_min(&self.peer);
        let watched = Watched::new(body, head.uri.path(), limits, rate_min, self.unread.clone());
        let (body, outcome) = watched.map_err(Refusal::Body)?;
        Ok((Request::from_parts(head, Body::new(body.admitted_by(admission))), Some(outcome)))
    }
}

/// Why a request does not come to the routes.
#[derive(Debug)]
enum Refusal {
    Head(TooLarge),
    Foreign(Foreign),
    Access(Refused),
    Body(Broken),
    /// It may write, and the server stops.
    Stopping,
}

impl Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Head(too_large) => closing(too_large.error()),
            Self::Foreign(foreign) => {
                let status = match foreign {
                    Foreign::Host(_) => StatusCode::BAD_REQUEST,
                    Foreign::Name(_) | Foreign::Page => StatusCode::FORBIDDEN,
                };
                ApiError::invalid(foreign.message()).with_status(status).into_response()
            }
            Self::Access(refused) => refused.into_response(),
            Self::Body(broken) => broken_off(broken),
            Self::Stopping => {
                let stopping = ApiError::new(ErrorKind::Unavailable, "the server stops, and takes no writes");
                closing(stopping.with_status(StatusCode::SERVICE_UNAVAILABLE))
            }
        }
    }
}

/// What is said of a body that was not taken to its end.
fn broken_off(broken: Broken) -> Response {
    match broken {
        Broken::Refused(refused) => last(refused.into_response()),
        broken => closing(broken.error()),
    }
}

/// What is said of a request that was not taken to its end.
fn closing(error: impl Into<ApiError>) -> Response {
    let error: ApiError = error.into();
    last(error.into_response())
}

/// An answer after which nothing more is read.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
