//! One frame, the last ones, and topics.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::{StatusCode, header};
use xs::{Filter, Follow, FrameId, ReadOptions, TopicPage, TopicTail};

use super::read::stream_frames;
use super::{App, Segment, json};
use crate::error::{ApiError, ApiResult};
use crate::limits::TOPICS_AT_ONCE;
use crate::wire::{Framing, Params, TopicJson, frame_json, last_options, to_json};

pub(super) async fn get(State(app): State<App>, Segment(id): Segment, RawQuery(query): RawQuery) -> ApiResult {
    let mut params = Params::parse(query.as_deref());
    let with_timestamp = params.flag("with-timestamp")?;
    params.finish()?;
    let id: FrameId = id.parse()?;
    match app.stream.get(id).await? {
        Some(frame) => Ok(json(frame_json(&frame, with_timestamp)?)),
        None => Err(ApiError::not_found(format!("there is no frame {id}"))),
    }
}

pub(super) async fn remove(State(app): State<App>, Segment(id): Segment, RawQuery(query): RawQuery) -> ApiResult {
    Params::parse(query.as_deref()).finish()?;
    app.stream.remove(id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn last_of_all(State(app): State<App>, RawQuery(query): RawQuery) -> ApiResult {
    last_frames(&app, Filter::all(), query).await
}

pub(super) async fn last(State(app): State<App>, Segment(filter): Segment, RawQuery(query): RawQuery) -> ApiResult {
    last_frames(&app, filter.parse()?, query).await
}

async fn last_frames(app: &App, filter: Filter, query: Option<String>) -> ApiResult {
    let (n, follow, with_timestamp) = last_options(Params::parse(query.as_deref()))?;
    let none = || ApiError::not_found(format!("there is no frame of {filter}"));
    if n == 1 && follow == Follow::Off {
        let frame = app.stream.last(filter.clone()).await?.ok_or_else(none)?;
        return Ok(json(frame_json(&frame, with_timestamp)?));
    }
    if follow == Follow::Off && app.stream.last(filter.clone()).await?.is_none() {
        return Err(none());
    }
    let options = ReadOptions { last: Some(n), follow, threshold: true, ..ReadOptions::default().filter(filter) };
    Ok(stream_frames(app, options, Framing::Ndjson, with_timestamp))
}

pub(super) async fn topics(State(app): State<App>, RawQuery(query): RawQuery) -> ApiResult<Response> {
    let mut params = Params::parse(query.as_deref());
    let prefix = params.text("prefix")?.unwrap_or_default();
    let after = params.value("after")?;
    let limit = params.value("limit")?.unwrap_or(usize::MAX);
    params.finish()?;
    let page = TopicPage { prefix, after, limit: 0 };
    let chunks = futures::stream::try_unfold((app.stream, page, limit), |(stream, mut page, left)| async move {
        page.limit = left.min(TOPICS_AT_ONCE);
        if page.limit == 0 {
            return Ok(None);
        }
        let tails = stream.topics(page.clone()).await?;
        page.after = tails.last().map(|tail| tail.topic.clone());
        let left = if tails.len() < page.limit { 0 } else { left - tails.len() };
        let lines = lines(&tails)?;
        Ok::<_, xs::Error>((!tails.is_empty()).then_some((lines, (stream, page, left))))
    });
    let chunks = chunks.inspect_err(|error| tracing::error!(%error, "a response broke off"));
    Ok(([(header::CONTENT_TYPE, Framing::Ndjson.content_type())], Body::from_stream(chunks)).into_response())
}

fn lines(tails: &[TopicTail]) -> xs::Result<Bytes> {
    let mut lines = String::new();
    for tail in tails {
        lines.push_str(&to_json(&TopicJson { topic: &tail.topic, last_id: tail.last.id })?);
        lines.push('\n');
    }
    Ok(lines.into())
}
