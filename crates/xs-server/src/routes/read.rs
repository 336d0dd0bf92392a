//! `GET /`: history, and what comes after it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, header};
use xs::{Follow, Frame, FrameId, ReadOptions, Reader, Result};
use xs_wire::{Framing, Params, ReadQuery};

use super::App;
use super::body::frames_body;
use super::paced::Paced;
use super::until::{UntilStopped, WhileWelcome};
use crate::clients::Client;
use crate::encode::Encoder;
use crate::error::{ApiError, ApiResult};
use crate::limits::FIRST_FRAME;
use crate::openapi::{self, About, EVENTS, NDJSON, answer, schema};

pub(super) async fn cat(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    client: Client,
) -> ApiResult {
    let ReadQuery { mut options, with_timestamp } = ReadQuery::parse(Params::parse(query.as_deref()))?;
    let framing = framing(&headers);
    let seen = last_event_id(&headers)?;
    if let (Framing::Sse, Some(id)) = (framing, seen) {
        // A client that reconnects sends the query that it began with: what it has seen counts for
        // more than where it began.
        options = ReadOptions { after: Some(id), from: None, last: None, new: false, ..options };
    }
    let encoder = Encoder::new(framing, with_timestamp);
    match options.follow {
        Follow::Off => {
            let (_, frames) = begun(app.stream.read(options)).await?;
            Ok(response(&app, frames, encoder))
        }
        _ => follow(&app, &client, options, encoder).await,
    }
}

pub(super) fn about_cat() -> About {
    About::new("cat", "frames", "Read frames, in the order of their ids")
        .more(
            "With `Accept: text/event-stream` as server-sent events. When following history, one `xs.threshold` frame \
             marks the seam to what is live; `xs.pulse` frames come at the heartbeat. Neither is stored or filtered.",
        )
        .query("topic", "Only these topics: a comma list of names and patterns such as user.*", openapi::filter())
        .query("after", "Start after this id", openapi::frame_id())
        .query("from", "Start at this id; wins over after", openapi::frame_id())
        .query("limit", "Stop after so many frames, history and live together", openapi::count(0))
        .query("last", "Of history, only the newest so many, oldest first", openapi::count(0))
        .query("new", "No history", openapi::flag())
        .query("follow", "Go on with what is appended; a number is milliseconds of a heartbeat", openapi::follow())
        .query("with-timestamp", "Add the time of its id to each frame", openapi::flag())
        .header(
            "Last-Event-ID",
            "With server-sent events: go on after this id, whatever the query says",
            openapi::frame_id(),
        )
        .answers(
            "200",
            answer("The frames, as they come")
                .content(NDJSON, openapi::text("A Frame as JSON on each line"))
                .content(EVENTS, schema("FrameEvent")),
        )
}

/// A read whose first frame is there, and whether there is one: what fails before it is an answer,
/// and not a transfer that breaks off.
pub(super) async fn begun(mut frames: Reader) -> Result<(bool, impl Stream<Item = Result<Frame>> + Send + 'static)> {
    let first = frames.try_next().await?;
    Ok((first.is_some(), futures::stream::iter(first.map(Ok)).chain(frames)))
}

/// A response that streams frames.
pub(super) fn response(
    app: &App,
    frames: impl Stream<Item = Result<Frame>> + Send + 'static,
    encoder: Encoder,
) -> Response {
    let headers = [(header::CONTENT_TYPE, encoder.content_type()), (header::CACHE_CONTROL, "no-store")];
    (headers, frames_body(frames, encoder, &app.counters)).into_response()
}

/// A response that follows, until the server stops, its client closes its side, or the token of that is withdrawn. Where
/// there is history, or the seam, its head comes with the first frame, so that a failure to read them is an answer, unless
/// that takes so long that its client would give up; what is new may take its time, so there the head is sent at once.
pub(super) async fn follow(app: &App, client: &Client, options: ReadOptions, encoder: Encoder) -> ApiResult {
    let mut following = client.follow()?;
    let is_live = options.new;
    let encoder = encoder.follower(&app.encoded, is_live);
    let frames = UntilStopped::new(app.stream.read(options), app.ending.clone(), following.asked());
    let frames = WhileWelcome::new(frames, following);
    let mut frames = Paced::new(frames, is_live, Arc::clone(&app.counters));
    let first = match is_live {
        true => None,
        // Nothing is lost when it is not waited for: the frames go on where they are.
        false => tokio::time::timeout(FIRST_FRAME, frames.try_next()).await.ok().transpose()?.flatten(),
    };
    Ok(response(app, futures::stream::iter(first.map(Ok)).chain(frames), encoder))
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
