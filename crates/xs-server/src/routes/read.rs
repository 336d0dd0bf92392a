//! `GET /`: history, and what comes after it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, header};
use tokio::time::Sleep;
use xs::{Follow, Frame, FrameId, ReadOptions, Reader, Result, THRESHOLD_TOPIC, Ttl};
use xs_wire::{Framing, Params, ReadQuery};

use super::App;
use super::body::frames_body;
use crate::clients::{Client, Following};
use crate::encode::Encoder;
use crate::error::{ApiError, ApiResult};
use crate::limits::{PACE_EACH, PACE_LEAST, PACE_MOST, QUIET};
use crate::openapi::{self, About, EVENTS, NDJSON, answer, schema};

pub(super) async fn cat(
    State(app): State<App>,
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
        _ => follow(&app, &client, options, encoder),
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

/// A response that follows, until the server stops. Its head is sent at once, whenever the first frame
/// comes.
pub(super) fn follow(app: &App, client: &Client, options: ReadOptions, encoder: Encoder) -> ApiResult {
    let following = client.follow()?;
    let encoder = encoder.follower(&app.encoded, options.new);
    Ok(response(app, until_stopping(app, options, following), encoder))
}

/// What a follower is given. Once the server stops, it goes on until nothing has come for a moment, and not
/// before it is through history: where that takes longer than the grace period, its answer is cut off, so that
/// nobody takes a part of history for all of it.
fn until_stopping(
    app: &App,
    options: ReadOptions,
    following: Following,
) -> impl Stream<Item = Result<Frame>> + Send + use<> {
    let mut is_live = options.new;
    let mut frames = app.stream.read(options);
    let mut stopping = app.stopping.clone();
    let mut stop = Box::pin(async move {
        // Without a sender, nothing ever stops.
        if stopping.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending().await
        }
    });
    let (mut stopped, mut quiet) = (false, None);
    let counters = Arc::clone(&app.counters);
    let (mut gave, mut pause) = (false, None::<Pin<Box<Sleep>>>);
    futures::stream::poll_fn(move |cx| {
        // Its client has one follower more for as long as this stream is there.
        let _following = &following;
        // What comes meanwhile goes out together.
        if pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
            return Poll::Pending;
        }
        pause = None;
        let next = frames.poll_next_unpin(cx);
        if next.is_pending() && is_live && std::mem::take(&mut gave) {
            pause = pace(counters.connections()).map(|pace| Box::pin(tokio::time::sleep(pace)));
            if let Some(pause) = &mut pause {
                // It has just begun, and is polled so that it wakes this task.
                let _ = pause.as_mut().poll(cx);
                return Poll::Pending;
            }
        }
        if let Poll::Ready(frame) = next {
            gave = true;
            quiet = None;
            is_live = is_live || matches!(&frame, Some(Ok(frame)) if is_threshold(frame));
            return Poll::Ready(frame);
        }
        stopped = stopped || stop.as_mut().poll(cx).is_ready();
        match stopped && is_live {
            false => Poll::Pending,
            true => quiet.get_or_insert_with(|| Box::pin(tokio::time::sleep(QUIET))).as_mut().poll(cx).map(|()| None),
        }
    })
}

/// How long a follower that has just been given something is given nothing more, by how many connections there
/// are. To write to a thousand followers for each frame would take more than there are processors: so the more
/// there are, the more frames go out in one write. A few wait for nothing, and no one does when frames are rare.
fn pace(connections: u64) -> Option<Duration> {
    let pace = (PACE_EACH * u32::try_from(connections).unwrap_or(u32::MAX)).min(PACE_MOST);
    (pace >= PACE_LEAST).then_some(pace)
}

fn is_threshold(frame: &Frame) -> bool {
    frame.ttl == Some(Ttl::Ephemeral) && frame.topic.as_str() == THRESHOLD_TOPIC
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
