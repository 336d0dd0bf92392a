//! `GET /`: history, and what comes after it.

use std::task::Poll;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{Stream, StreamExt as _};
use http::{HeaderMap, header};
use xs::{Frame, FrameId, ReadOptions, Result};

use super::App;
use crate::error::{ApiError, ApiResult};
use crate::limits::QUIET;
use crate::wire::{Framing, Params, frames_body, read_options};

pub(super) async fn cat(State(app): State<App>, RawQuery(query): RawQuery, headers: HeaderMap) -> ApiResult {
    let (mut options, with_timestamp) = read_options(Params::parse(query.as_deref()))?;
    let framing = framing(&headers);
    if framing == Framing::Sse
        && let Some(id) = last_event_id(&headers)?
    {
        // A client that reconnects sends the query that it began with: what it has seen counts for
        // more than where it began.
        options = ReadOptions { after: Some(id), from: None, last: None, new: false, ..options };
    }
    Ok(stream_frames(&app, options, framing, with_timestamp))
}

/// A response that streams what a read gives, until the server stops.
pub(super) fn stream_frames(app: &App, options: ReadOptions, framing: Framing, with_timestamp: bool) -> Response {
    let frames = until_stopping(app, options);
    let headers = [(header::CONTENT_TYPE, framing.content_type()), (header::CACHE_CONTROL, "no-store")];
    (headers, frames_body(frames, framing, with_timestamp)).into_response()
}

/// What a read gives. Once the server stops, a follower goes on until nothing has come for a moment: it
/// may be on its way through history, and the store is not closed before it has ended.
fn until_stopping(app: &App, options: ReadOptions) -> impl Stream<Item = Result<Frame>> + Send + use<> {
    let follows = options.follow != xs::Follow::Off;
    let mut frames = app.stream.read(options);
    let mut stopping = app.stopping.clone();
    let mut stop = Box::pin(async move {
        // History alone ends by itself; without a sender, nothing ever stops.
        if !follows || stopping.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending().await
        }
    });
    let (mut stopped, mut quiet) = (false, None);
    futures::stream::poll_fn(move |cx| {
        if let Poll::Ready(frame) = frames.poll_next_unpin(cx) {
            quiet = None;
            return Poll::Ready(frame);
        }
        stopped = stopped || stop.as_mut().poll(cx).is_ready();
        match stopped {
            false => Poll::Pending,
            true => quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(QUIET))).as_mut().poll(cx).map(|()| None),
        }
    })
}

/// SSE where the client takes it, anywhere in its list.
fn framing(headers: &HeaderMap) -> Framing {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let sse = accepted.any(|value| {
        value.split(',').any(|part| {
            part.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
        })
    });
    if sse { Framing::Sse } else { Framing::Ndjson }
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<FrameId>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| ApiError::invalid("header Last-Event-ID is not an id"))
}
