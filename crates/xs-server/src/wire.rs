//! How things are spelled on the wire: parameters, frames, bodies.

use std::str::FromStr;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{Stream, StreamExt as _};
use serde::Serialize;
use xs::{Filter, Follow, Frame, FrameId, ReadOptions, Result, Topic};

use crate::error::ApiError;
use crate::limits::CHUNK_BYTES;

/// The parameters of a query, each taken once; what is left over is refused.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The text of a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut given = self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value);
        match (given.next(), given.next()) {
            (_, Some(_)) => Err(ApiError::invalid(format!("parameter {name} is given twice"))),
            (value, None) => Ok(value),
        }
    }

    /// A parameter that has a text form.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|error| ApiError::invalid(format!("parameter {name}={text:?}: {error}")))
    }

    /// A parameter that is on when it is there, unless it says no.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)?.as_deref() {
            None => Ok(false),
            Some(text) => switch(text).ok_or_else(|| {
                ApiError::invalid(format!("parameter {name}={text:?}: expected nothing, true, yes, false or no"))
            }),
        }
    }

    fn follow(&mut self) -> Result<Follow, ApiError> {
        let Some(text) = self.text("follow")? else { return Ok(Follow::Off) };
        match (switch(&text), text.parse::<u64>()) {
            (Some(true), _) => Ok(Follow::On),
            (Some(false), _) => Ok(Follow::Off),
            (None, Ok(ms)) if ms > 0 => Ok(Follow::Pulse(Duration::from_millis(ms))),
            _ => Err(ApiError::invalid(format!(
                "parameter follow={text:?}: expected nothing, true, yes, false, no, or milliseconds of a heartbeat"
            ))),
        }
    }

    /// What is left over is nothing that this route knows.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::invalid(format!("there is no parameter {name:?} here"))),
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "" | "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// The read options of `GET /`, and whether frames are to have their time.
pub(crate) fn read_options(mut params: Params) -> Result<(ReadOptions, bool), ApiError> {
    let options = ReadOptions {
        filter: params.value::<Filter>("topic")?.unwrap_or_default(),
        after: params.value("after")?,
        from: params.value("from")?,
        limit: params.value("limit")?,
        last: params.value("last")?,
        new: params.flag("new")?,
        follow: params.follow()?,
        threshold: true,
    };
    let with_timestamp = params.flag("with-timestamp")?;
    params.finish()?;
    Ok((options, with_timestamp))
}

/// The options of `GET /last`: how many, whether to go on, and whether frames are to have their time.
pub(crate) fn last_options(mut params: Params) -> Result<(u64, Follow, bool), ApiError> {
    let options = (params.value("last")?.unwrap_or(1), params.follow()?, params.flag("with-timestamp")?);
    params.finish()?;
    match options {
        (0, _, _) => Err(ApiError::invalid("parameter last=0: at least 1 frame can be asked for")),
        options => Ok(options),
    }
}

/// The time of an id, as RFC 3339 in UTC.
pub fn timestamp(id: FrameId) -> String {
    // 48 bits of milliseconds reach beyond the year 9999, where RFC 3339 ends.
    let ms = i64::try_from(id.timestamp_ms()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// A frame as one line of JSON, without the line's end.
pub fn frame_json(frame: &Frame, with_timestamp: bool) -> Result<String> {
    let mut json = frame.to_json()?;
    if with_timestamp && json.pop() == Some('}') {
        json.push_str(",\"timestamp\":\"");
        json.push_str(&timestamp(frame.id));
        json.push_str("\"}");
    }
    Ok(json)
}

/// A topic in a listing.
#[derive(Debug, Serialize)]
pub(crate) struct TopicJson<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) last_id: FrameId,
}

/// What `GET /version` says.
#[derive(Debug, Serialize)]
pub(crate) struct VersionJson<'a> {
    pub(crate) version: &'a str,
    pub(crate) index: &'a str,
    pub(crate) cas: &'a str,
    pub(crate) format: u32,
}

/// An error.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorJson<'a> {
    pub(crate) error: ErrorFields<'a>,
}

/// What is said of an error. `actual` is there when a condition failed: the topic's last id, or
/// `null` for an empty topic.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorFields<'a> {
    pub(crate) kind: &'a str,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actual: Option<Option<FrameId>>,
}

/// The JSON text of one of the forms above.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| xs::Error::new(xs::ErrorKind::Internal, "writing JSON").with_source(error))
}

/// How a stream of frames is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Ndjson,
    Sse,
}

impl Framing {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Sse => "text/event-stream",
        }
    }

    fn write(self, out: &mut Vec<u8>, frame: &Frame, with_timestamp: bool) -> Result<()> {
        let json = frame_json(frame, with_timestamp)?;
        let parts: &[&str] = match self {
            Self::Ndjson => &[&json, "\n"],
            Self::Sse => &["id: ", &frame.id.to_string(), "\ndata: ", &json, "\n\n"],
        };
        parts.iter().for_each(|part| out.extend(part.as_bytes()));
        Ok(())
    }
}

/// A body of frames, written as they come, those that are ready together, up to [`CHUNK_BYTES`]. An
/// error breaks the transfer off, so that no client takes a part for the whole.
pub(crate) fn frames_body(
    frames: impl Stream<Item = Result<Frame>> + Send + 'static,
    framing: Framing,
    with_timestamp: bool,
) -> Body {
    let mut frames = Box::pin(frames.fuse());
    let chunks = futures::stream::poll_fn(move |cx| {
        let mut chunk = Vec::new();
        loop {
            let frame = match frames.as_mut().poll_next(cx) {
                Poll::Ready(Some(frame)) => frame,
                _ if !chunk.is_empty() => return Poll::Ready(Some(Ok(Bytes::from(chunk)))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            if let Err(error) = frame.and_then(|frame| framing.write(&mut chunk, &frame, with_timestamp)) {
                tracing::error!(kind = %error.kind(), %error, "a response broke off");
                return Poll::Ready(Some(Err(error)));
            }
            if chunk.len() >= CHUNK_BYTES {
                return Poll::Ready(Some(Ok(Bytes::from(chunk))));
            }
        }
    });
    Body::from_stream(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<(ReadOptions, bool), ApiError> {
        read_options(Params::parse(Some(query)))
    }

    #[test]
    fn read_options_are_read_as_they_are_written() {
        for (query, follow) in [
            ("follow", Follow::On),
            ("follow=", Follow::On),
            ("follow=true", Follow::On),
            ("follow=yes", Follow::On),
            ("follow=500", Follow::Pulse(Duration::from_millis(500))),
            ("follow=false", Follow::Off),
            ("follow=no", Follow::Off),
            ("", Follow::Off),
        ] {
            assert_eq!(read(query).unwrap().0.follow, follow, "{query}");
        }
        let (options, with_timestamp) =
            read("new&limit=3&last=2&topic=a.*%2Cb&with-timestamp&after=03d4q1qhbiv09ovtuhokw5yxv").unwrap();
        assert!(options.new && with_timestamp);
        assert_eq!((options.limit, options.last, options.filter.to_string().as_str()), (Some(3), Some(2), "a.*,b"));
        assert!(options.after.is_some() && options.from.is_none());
    }

    #[test]
    fn a_bad_option_is_named() {
        for (query, name) in [
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("limit=18446744073709551616", "limit"),
            ("last=", "last"),
            ("after=abc", "after"),
            ("from=%00", "from"),
            ("topic=a..b", "topic"),
            ("topic=", "topic"),
            ("follow=maybe", "follow"),
            ("follow=0", "follow"),
            ("new=2", "new"),
            ("with-timestamp=1", "with-timestamp"),
            ("color=red", "color"),
            ("limit=1&limit=2", "limit"),
        ] {
            let error = format!("{:?}", read(query).unwrap_err());
            assert!(error.contains(name) && error.contains("InvalidInput"), "{query}: {error}");
        }
    }

    #[test]
    fn timestamps_are_rfc_3339_whatever_the_id() {
        let id: FrameId = "03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap();
        assert!(timestamp(id).ends_with('Z') && timestamp(id).len() == 24, "{}", timestamp(id));
        assert_eq!(timestamp(FrameId::MIN), "1970-01-01T00:00:00.000Z");
        assert!(timestamp(FrameId::MAX).starts_with("9999-"));
    }
}
