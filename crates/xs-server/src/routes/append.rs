//! `POST /append/{topic}` and `POST /append`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::response::IntoResponse as _;
use http::header;
use http::request::Parts;
use xs::{AppendOptions, BatchOptions, Meta, NewFrame};
use xs_wire::{AppendLine, AppendQuery, Framing, META_HEADER, Params, frame_json};

use super::body::{content, text};
use super::{App, Segment, json};
use crate::error::{ApiError, ApiResult};
use crate::openapi::{self, About, BYTES, JSON, NDJSON, answer, binary, schema};

pub(super) async fn one(
    State(app): State<Arc<App>>,
    topic: Segment,
    RawQuery(query): RawQuery,
    given: GivenMeta,
    body: Body,
) -> ApiResult {
    // Everything that can be refused is, before the body is taken.
    let mut frame = NewFrame::new(topic.parse()?);
    let query = AppendQuery::parse(Params::parse(query.as_deref()))?;
    frame.ttl = query.ttl;
    frame.meta = given.0?;
    let options = AppendOptions { durability: None, expect: query.expect };
    // In a box of its own: together with the future of this handler it is too large for what an allocator has at hand.
    let frame = Box::pin(app.stream.append_with(frame, content(body), options)).await?;
    Ok(json(frame_json(&frame, query.with_timestamp)?))
}

pub(super) fn about_one() -> About {
    About::new("append", "frames", "Append a frame")
        .more("The body is its content: it streams to the content store, whatever its size. No body, no hash.")
        .path("topic", "What it is about", openapi::topic())
        .query("ttl", "How long it is kept: forever, ephemeral, time:<ms> or last:<n>", openapi::ttl())
        .query("expect", "Append only if the topic is empty (none), or if this is its last id", openapi::expect())
        .query("with-timestamp", "Add the time of the id to the frame", openapi::flag())
        .header(META_HEADER, "A JSON value that the frame carries, in standard base64", openapi::meta_text())
        .takes(openapi::body("The content", false).content(BYTES, binary("Any bytes")))
        .answers("200", answer("The frame as it is stored").content(JSON, schema("Frame")))
        .refuses(&["409", "413"])
}

/// What the header says, or why it is refused. Read where it is: taking all headers copies them.
pub(super) struct GivenMeta(ApiResult<Option<Meta>>);

impl<S: Sync> FromRequestParts<S> for GivenMeta {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut given = parts.headers.get_all(META_HEADER).iter();
        Ok(Self(match (given.next(), given.next()) {
            (_, Some(_)) => Err(ApiError::invalid(format!("header {META_HEADER} is given twice"))),
            (Some(value), None) => xs_wire::decode_meta(value.as_bytes()).map_err(ApiError::from),
            (None, None) => Ok(None),
        }))
    }
}

/// Many frames, one atomic append.
pub(super) async fn many(State(app): State<Arc<App>>, RawQuery(query): RawQuery, body: Body) -> ApiResult {
    let mut params = Params::parse(query.as_deref());
    let with_timestamp = params.flag("with-timestamp")?;
    params.finish()?;
    // Until its frames are stored.
    let mut held = app.held.share();
    let text = text(body, &mut held).await?;
    let (mut frames, mut options) = (Vec::new(), BatchOptions::default());
    for (number, line) in (1..).zip(text.lines()) {
        if !line.trim().is_empty() {
            let line = AppendLine::parse(line).map_err(|error| error.context(format_args!("line {number}")))?;
            options.expect.extend(line.expect.map(|expect| (line.frame.topic.clone(), expect)));
            frames.push(line.frame);
        }
    }
    if frames.is_empty() {
        return Err(ApiError::invalid("the body holds no frame"));
    }
    let appended = app.stream.append_all(frames, options).await?;
    let mut lines = String::new();
    for frame in &appended {
        lines.push_str(&frame_json(frame, with_timestamp)?);
        lines.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, Framing::Ndjson.content_type())], lines).into_response())
}

pub(super) fn about_many() -> About {
    let lines = openapi::text("A NewFrame as JSON on each line. Their content is stored already, if they name any");
    About::new("append-many", "frames", "Append many frames: all or none, one after the other")
        .more(
            "A line may have a condition (expect) on its topic. All of them are checked before any frame is added, so \
             that each looks at what was stored before; when one does not hold, nothing is appended.",
        )
        .query("with-timestamp", "Add the time of its id to each frame", openapi::flag())
        .takes(
            openapi::body("The frames, at most 24 MiB, 10,000 of them, and 1,000 conditions", true)
                .content(NDJSON, lines),
        )
        .answers("200", answer("The frames as they are stored").content(NDJSON, openapi::text("A Frame on each line")))
        .refuses(&["409", "413"])
}
