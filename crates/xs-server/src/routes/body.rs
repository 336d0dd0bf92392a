//! Bodies: frames on their way out, content and text on their way in.

use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, HttpBody as _};
use futures::stream::{Stream, StreamExt as _};
use http::StatusCode;
use xs::{Content, Error, ErrorKind, Frame, Result};

use crate::encode::{Chunk, Encoder};
use crate::error::{ApiError, ApiResult};
use crate::held::Share;
use crate::limits::{BODY_FRAMES_BYTES_MAX, CHUNK_BYTES};
use crate::metrics::ServerCounters;

/// A body of frames, written as they come, those that are ready together, up to [`CHUNK_BYTES`]. An
/// error breaks the transfer off, so that no client takes a part for the whole.
pub(super) fn frames_body(
    frames: impl Stream<Item = Result<Frame>> + Send + 'static,
    mut encoder: Encoder,
    counters: &Arc<ServerCounters>,
) -> Body {
    let mut frames = Box::pin(frames.fuse());
    let counters = Arc::clone(counters);
    let mut broken = None;
    let chunks = futures::stream::poll_fn(move |cx| {
        let mut chunk = Chunk::default();
        while broken.is_none() && chunk.len() < CHUNK_BYTES {
            match frames.as_mut().poll_next(cx) {
                Poll::Ready(Some(frame)) => {
                    broken = frame.and_then(|frame| encoder.write(&frame, &mut chunk)).err();
                }
                Poll::Pending if chunk.is_empty() => return Poll::Pending,
                Poll::Ready(None) if chunk.is_empty() => return Poll::Ready(None),
                Poll::Pending | Poll::Ready(None) => break,
            }
        }
        // What came before an error is good, and goes before it.
        if !chunk.is_empty() {
            return Poll::Ready(Some(Ok(chunk.into_bytes())));
        }
        Poll::Ready(broken.take().map(|error| Err(broke_off(error, &counters))))
    });
    Body::from_stream(chunks)
}

/// Notes an error that comes when the head of its response has been sent, and can only break it off.
pub(super) fn broke_off(error: Error, counters: &ServerCounters) -> Error {
    match error.kind() {
        // The client's own doing, such as a token that was withdrawn.
        ErrorKind::InvalidInput => tracing::info!(%error, "a response broke off"),
        kind => tracing::error!(%kind, %error, "a response broke off"),
    }
    counters.error(error.kind());
    error
}

/// A body on its way to the content store. One that breaks off is the client's failure.
pub(super) fn content(body: Body) -> Content {
    if body.is_end_stream() {
        return Content::none();
    }
    Content::stream(body.into_data_stream().map(|chunk| chunk.map_err(broken_off)))
}

/// The error of a request body that does not come to its end. What ends one that is too large or too
/// slow does it with an error of xs, which says why.
pub(super) fn broken_off(error: axum::Error) -> Error {
    let mut inner = error.into_inner();
    // Each layer of a body wraps the errors of the one below.
    loop {
        inner = match inner.downcast::<axum::Error>() {
            Ok(wrapped) => (*wrapped).into_inner(),
            Err(inner) => match inner.downcast::<Error>() {
                Ok(error) => return *error,
                Err(other) => {
                    return Error::new(ErrorKind::InvalidInput, "the request body broke off")
                        .with_source(BrokenOff(other));
                }
            },
        }
    }
}

/// Why a body broke off: of the client, and not a failed call to the system here.
#[derive(Debug)]
struct BrokenOff(axum::BoxError);

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for BrokenOff {}

/// Other requests hold all that may be held of bodies that are not complete.
pub(super) fn no_room() -> ApiError {
    let message = "the bodies of other requests take all the memory there is for them; try again later";
    ApiError::new(ErrorKind::Unavailable, message).with_status(StatusCode::SERVICE_UNAVAILABLE)
}

/// All of a body of frames, as text, of which there is only so much at a time.
pub(super) async fn text(body: Body, held: &mut Share) -> ApiResult<String> {
    let too_large = || {
        let message = format!("a body of frames holds at most {BODY_FRAMES_BYTES_MAX} bytes");
        ApiError::invalid(message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    // One that says its size is refused before any of it is taken.
    if body.size_hint().lower() > BODY_FRAMES_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(broken_off)?;
        if bytes.len() + chunk.len() > BODY_FRAMES_BYTES_MAX {
            return Err(too_large());
        }
        if !held.grow(chunk.len()) {
            return Err(no_room());
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|error| ApiError::invalid(format!("the body is not UTF-8: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::held::Held;
    use futures::executor::block_on;
    use xs::FrameId;
    use xs_wire::Framing;

    #[test]
    fn what_stops_a_body_says_why() {
        let slow = Error::new(ErrorKind::InvalidInput, "no byte came for 30 s");
        let error = broken_off(axum::Error::new(axum::Error::new(slow)));
        assert_eq!(error.to_string(), "no byte came for 30 s");
        let reset = axum::Error::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        let status = axum::response::IntoResponse::into_response(ApiError::from(broken_off(reset))).status();
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn all_bodies_of_frames_share_what_there_is_for_them() {
        let held = Held::new(10);
        let (mut one, mut other) = (held.share(), held.share());
        assert_eq!(block_on(text(Body::from("hello"), &mut one)).unwrap(), "hello");
        let refused = block_on(text(Body::from("too much"), &mut other)).unwrap_err();
        let response = axum::response::IntoResponse::into_response(refused);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
        drop(one);
        assert!(block_on(text(Body::from("too much"), &mut other)).is_ok());
    }

    #[test]
    fn chunks_are_bounded_and_what_came_before_an_error_is_sent() {
        let new = Frame::topic("a").unwrap().meta("x".repeat(1000).into());
        let frames = (0..500).map(|id: u128| Ok(new.clone().with_id(FrameId::from_u128(id << 32))));
        let frames = frames.chain([Err(Error::new(ErrorKind::Corrupt, "damaged"))]).collect::<Vec<_>>();
        let encoder = Encoder::new(Framing::Ndjson, false);
        let body = frames_body(futures::stream::iter(frames), encoder, &Arc::default());
        let mut chunks: Vec<_> = block_on(body.into_data_stream().collect());
        assert!(chunks.pop().unwrap().is_err());
        let chunks: Vec<_> = chunks.into_iter().map(|chunk| chunk.unwrap()).collect();
        let largest = chunks.iter().map(|chunk| chunk.len()).max().unwrap();
        assert!(chunks.len() > 5 && largest < CHUNK_BYTES + 2000, "{} of up to {largest}", chunks.len());
        assert_eq!(chunks.concat().iter().filter(|byte| **byte == b'\n').count(), 500);
    }
}
