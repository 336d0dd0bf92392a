//! One frame, the last ones, and topics.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{StatusCode, header};
use xs::{Filter, Follow, FrameId, ReadOptions, TopicPage, TopicTail};
use xs_wire::{Framing, LastQuery, Params, TopicEntry, TopicsQuery, frame_json, to_json};

use super::body::broke_off;
use super::read::{begun, follow, response};
use super::{App, Segment, json};
use crate::clients::Client;
use crate::encode::Encoder;
use crate::error::{ApiError, ApiResult};
use crate::limits::TOPICS_AT_ONCE;
use crate::openapi::{self, About, JSON, NDJSON, answer, schema};

pub(super) async fn get(State(app): State<Arc<App>>, id: Segment, RawQuery(query): RawQuery) -> ApiResult {
    let mut params = Params::parse(query.as_deref());
    let with_timestamp = params.flag("with-timestamp")?;
    params.finish()?;
    let id: FrameId = id.parse()?;
    match app.stream.get(id).await? {
        Some(frame) => Ok(json(frame_json(&frame, with_timestamp)?)),
        None => Err(ApiError::not_found(format!("there is no frame {id}"))),
    }
}

pub(super) fn about_get() -> About {
    About::new("get", "frames", "One frame")
        .path("id", "Its id", openapi::frame_id())
        .query("with-timestamp", "Add the time of the id to the frame", openapi::flag())
        .answers("200", answer("The frame").content(JSON, schema("Frame")))
        .refuses(&["404"])
}

pub(super) async fn remove(State(app): State<Arc<App>>, id: Segment, RawQuery(query): RawQuery) -> ApiResult {
    Params::parse(query.as_deref()).finish()?;
    app.stream.remove(id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) fn about_remove() -> About {
    About::new("remove", "frames", "Remove a frame")
        .path("id", "Its id", openapi::frame_id())
        .answers("204", answer("It is not there, and maybe never was"))
}

pub(super) async fn last_of_all(State(app): State<Arc<App>>, RawQuery(query): RawQuery, client: Client) -> ApiResult {
    last_frames(&app, &client, Filter::all(), query).await
}

pub(super) async fn last(
    State(app): State<Arc<App>>,
    filter: Segment,
    RawQuery(query): RawQuery,
    client: Client,
) -> ApiResult {
    last_frames(&app, &client, filter.parse()?, query).await
}

async fn last_frames(app: &App, client: &Client, filter: Filter, query: Option<String>) -> ApiResult {
    let LastQuery { last, follow: follows, with_timestamp } = LastQuery::parse(Params::parse(query.as_deref()))?;
    let none = || ApiError::not_found(format!("there is no frame of {filter}"));
    let encoder = Encoder::new(Framing::Ndjson, with_timestamp);
    let options = ReadOptions {
        last: Some(last),
        follow: follows,
        threshold: true,
        ..ReadOptions::default().filter(filter.clone())
    };
    match (follows, last) {
        (Follow::Off, 1) => {
            let frame = app.stream.last(filter.clone()).await?.ok_or_else(none)?;
            Ok(json(frame_json(&frame, with_timestamp)?))
        }
        (Follow::Off, _) => match begun(app.stream.read(options)).await? {
            (true, frames) => Ok(response(app, frames, encoder)),
            (false, _) => Err(none()),
        },
        _ => follow(app, client, options, encoder).await,
    }
}

pub(super) fn about_last_of_all() -> About {
    about_last_frames(About::new("last", "frames", "The last frame of all, or the last few"))
}

pub(super) fn about_last() -> About {
    let about = About::new("last-of", "frames", "The last frame of these topics, or the last few");
    about_last_frames(about.path("filter", "A comma list of topics and patterns such as user.*", openapi::filter()))
}

fn about_last_frames(about: About) -> About {
    about
        .query("last", "How many, oldest first", openapi::count(1))
        .query("follow", "Go on with what is appended; a number is milliseconds of a heartbeat", openapi::follow())
        .query("with-timestamp", "Add the time of its id to each frame", openapi::flag())
        .answers(
            "200",
            answer("One frame; or, when more are asked for or followed, a frame a line")
                .content(JSON, schema("Frame"))
                .content(NDJSON, openapi::text("A Frame as JSON on each line")),
        )
        .refuses(&["404"])
}

pub(super) async fn topics(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> ApiResult<Response> {
    let TopicsQuery { prefix, after, limit } = TopicsQuery::parse(Params::parse(query.as_deref()))?;
    let (page, left) = (TopicPage { prefix, after, limit: 0 }, limit.unwrap_or(usize::MAX));
    let pages = futures::stream::try_unfold((app.stream.clone(), page, left), |(stream, mut page, left)| async move {
        page.limit = left.min(TOPICS_AT_ONCE);
        if page.limit == 0 {
            return Ok(None);
        }
        let tails = stream.topics(page.clone()).await?;
        page.after = tails.last().map(|tail| tail.topic.clone());
        let left = if tails.len() < page.limit { 0 } else { left - tails.len() };
        let lines = lines(tails)?;
        Ok::<_, xs::Error>((!lines.is_empty()).then_some((lines, (stream, page, left))))
    });
    let mut pages = Box::pin(pages);
    // The first page before the head: what fails there is an answer.
    let first = pages.try_next().await?;
    let rest = pages.map_err(move |error| broke_off(error, &app.counters));
    let body = Body::from_stream(futures::stream::iter(first.map(Ok)).chain(rest));
    Ok(([(header::CONTENT_TYPE, Framing::Ndjson.content_type())], body).into_response())
}

pub(super) fn about_topics() -> About {
    About::new("topics", "topics", "Topics that hold frames, each with its last id")
        .query("prefix", "Only topics whose name starts with this", openapi::string())
        .query("after", "Only topics after this one", openapi::topic())
        .query("limit", "At most so many", openapi::count(0))
        .answers("200", answer("In byte order").content(NDJSON, openapi::text("A TopicEntry as JSON on each line")))
}

fn lines(tails: Vec<TopicTail>) -> xs::Result<Bytes> {
    let mut lines = String::new();
    for TopicTail { topic, last } in tails {
        lines.push_str(&to_json(&TopicEntry::new(topic, last.id))?);
        lines.push('\n');
    }
    Ok(lines.into())
}
