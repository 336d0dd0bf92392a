//! `POST /append/{topic}` and `POST /append`.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use xs::{AppendOptions, BatchOptions, Content, Error, ErrorKind, Expect, Meta, NewFrame, Topic, Ttl};

use super::{App, Segment, json};
use crate::error::{ApiError, ApiResult};
use crate::limits::BODY_FRAMES_BYTES_MAX;
use crate::wire::{Framing, Params, frame_json};

pub(super) async fn one(
    State(app): State<App>,
    Segment(topic): Segment,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> ApiResult {
    // Everything that can be refused is, before the body is taken.
    let mut params = Params::parse(query.as_deref());
    let mut frame = NewFrame::new(Topic::parse(&topic)?);
    frame.ttl = params.value::<Ttl>("ttl")?;
    let expect = expect(&mut params)?;
    let with_timestamp = params.flag("with-timestamp")?;
    params.finish()?;
    frame.meta = meta(&headers)?;
    let options = AppendOptions { durability: None, expect };
    let frame = app.stream.append_with(frame, content(body), options).await?;
    Ok(json(frame_json(&frame, with_timestamp)?))
}

/// A body on its way to the content store. One that breaks off is the client's failure.
pub(super) fn content(body: Body) -> Content {
    Content::stream(body.into_data_stream().map(|chunk| chunk.map_err(broken_off)))
}

pub(super) fn broken_off(error: axum::Error) -> Error {
    Error::new(ErrorKind::InvalidInput, "the request body broke off").with_source(error)
}

fn expect(params: &mut Params) -> Result<Option<Expect>, ApiError> {
    match params.text("expect")?.as_deref() {
        None => Ok(None),
        Some("none") => Ok(Some(Expect::Empty)),
        Some(text) => match text.parse() {
            Ok(id) => Ok(Some(Expect::Last(id))),
            Err(_) => {
                Err(ApiError::invalid(format!("parameter expect={text:?}: expected none, or the topic's last id")))
            }
        },
    }
}

fn meta(headers: &HeaderMap) -> Result<Option<Meta>, ApiError> {
    let Some(value) = headers.get("xs-meta") else { return Ok(None) };
    let bytes = STANDARD
        .decode(value.as_bytes())
        .map_err(|error| ApiError::invalid(format!("header xs-meta is not standard base64: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| ApiError::invalid(format!("header xs-meta is not base64 of UTF-8: {error}")))?;
    Meta::parse(&text).map_err(|error| error.context("header xs-meta").into())
}

/// Many frames, one atomic append.
pub(super) async fn many(State(app): State<App>, RawQuery(query): RawQuery, body: Body) -> ApiResult {
    let mut params = Params::parse(query.as_deref());
    let with_timestamp = params.flag("with-timestamp")?;
    params.finish()?;
    let text = text(body).await?;
    let mut frames = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if !line.trim().is_empty() {
            frames.push(NewFrame::from_json(line).map_err(|error| error.context(format_args!("line {number}")))?);
        }
    }
    if frames.is_empty() {
        return Err(ApiError::invalid("the body holds no frame"));
    }
    let appended = app.stream.append_all(frames, BatchOptions::default()).await?;
    let mut lines = String::new();
    for frame in &appended {
        lines.push_str(&frame_json(frame, with_timestamp)?);
        lines.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, Framing::Ndjson.content_type())], lines).into_response())
}

async fn text(body: Body) -> Result<String, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(broken_off)?);
        if bytes.len() > BODY_FRAMES_BYTES_MAX {
            let message = format!("a body of frames holds at most {BODY_FRAMES_BYTES_MAX} bytes");
            return Err(ApiError::invalid(message).with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }
    String::from_utf8(bytes).map_err(|error| ApiError::invalid(format!("the body is not UTF-8: {error}")))
}
