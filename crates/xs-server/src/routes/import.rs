//! `POST /import`: frames as they are, one or many.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use bytes::Bytes;
use futures::StreamExt as _;
use http::StatusCode;
use xs::{EventStream, Frame, FrameId, Result};
use xs_wire::{FRAME_LINE_BYTES_MAX, Framing, LineSplitter};

use super::body::{broken_off, no_room};
use super::read::response;
use super::{App, json};
use crate::encode::Encoder;
use crate::error::{ApiError, ApiResult};
use crate::held::Share;
use crate::limits::{IMPORT_FRAMES_MAX, IMPORT_STEP_BYTES, IMPORT_STEP_FRAMES};
use crate::openapi::{self, About, JSON, NDJSON, answer, schema};

/// Stores the lines of the body in steps as they come, so that its size does not matter. What comes before
/// a line that is no frame is stored; a frame that cannot be takes its step with it. Sending all of it again does
/// no harm.
pub(super) async fn import(State(app): State<Arc<App>>, body: Body) -> ApiResult {
    let mut import = Import::new(app.stream.clone(), app.held.share());
    let mut lines = Lines::new(body, app.held.share());
    let taken = import.take(&mut lines).await;
    // Of a body that breaks off, nothing more is taken. Otherwise what came is stored, and that first: a frame that
    // cannot be comes before the line at which it ended.
    if !lines.is_broken {
        import.flush().await?;
    }
    taken?;
    match (import.ids.len(), import.first) {
        (_, None) => Err(ApiError::invalid("the body holds no frame")),
        (1, Some(frame)) => Ok(json(frame.to_json()?)),
        (_, Some(_)) => {
            let imported = frames(app.stream.clone(), import.ids);
            Ok(response(&app, imported, Encoder::new(Framing::Ndjson, false)))
        }
    }
}

pub(super) fn about_import() -> About {
    let lines = openapi::text("A StoredFrame as JSON on each line");
    About::new("import", "frames", "Store frames as they are, ids included, without showing them to live readers")
        .more(
            "The same frame again is no error. What comes before a line that is no frame is stored; of what comes \
             before a frame that cannot be stored, all but the last thousand are.",
        )
        .takes(
            openapi::body("One frame, or a frame a line, at most a million", true)
                .content(JSON, schema("StoredFrame"))
                .content(NDJSON, lines),
        )
        .answers(
            "200",
            answer("The frames that are stored now")
                .content(JSON, schema("Frame"))
                .content(NDJSON, openapi::text("A Frame as JSON on each line")),
        )
        .refuses(&["409", "413"])
}

fn parse(bytes: &[u8]) -> Result<Frame> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Frame::from_json(text),
        Err(error) => Err(xs::Error::new(xs::ErrorKind::InvalidInput, format!("not UTF-8: {error}"))),
    }
}

/// The frames with these ids, as far as they are there still.
fn frames(stream: EventStream, ids: Vec<FrameId>) -> impl futures::Stream<Item = Result<Frame>> + Send + 'static {
    let fetched = futures::stream::iter(ids).then(move |id| {
        let stream = stream.clone();
        async move { stream.get(id).await.transpose() }
    });
    fetched.filter_map(std::future::ready)
}

struct Import {
    stream: EventStream,
    step: Vec<Frame>,
    step_bytes: usize,
    /// Of all that was imported, to be answered.
    ids: Vec<FrameId>,
    /// To be answered where it is the only one, whether or not it has expired by then.
    first: Option<Frame>,
    /// The bytes of the step.
    held: Share,
}

impl Import {
    fn new(stream: EventStream, held: Share) -> Self {
        Self { stream, step: Vec::new(), step_bytes: 0, ids: Vec::new(), first: None, held }
    }

    /// Takes all lines, up to the first that is refused. What it leaves in the last step is yet to be stored.
    async fn take(&mut self, lines: &mut Lines) -> ApiResult<()> {
        let mut number = 0u64;
        while let Some(line) = lines.next().await? {
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match parse(&line) {
                Ok(frame) => self.push(frame, line.len()).await?,
                Err(error) => {
                    let error = error.context(format_args!("line {number}"));
                    // One frame over several lines is what a script may send, too.
                    let whole = if self.first.is_none() { lines.rest(&line).await? } else { None };
                    return match whole.map(|whole| parse(&whole)) {
                        Some(Ok(frame)) => self.push(frame, 0).await,
                        _ => Err(error.into()),
                    };
                }
            }
        }
        Ok(())
    }

    async fn push(&mut self, frame: Frame, bytes: usize) -> ApiResult<()> {
        if self.ids.len() + self.step.len() >= IMPORT_FRAMES_MAX {
            return Err(ApiError::invalid(format!(
                "one import holds at most {IMPORT_FRAMES_MAX} frames; those are imported, send the others apart"
            )));
        }
        self.first.get_or_insert_with(|| frame.clone());
        self.step_bytes += bytes;
        self.step.push(frame);
        // Where others hold all that may be held, each frame is stored as it comes.
        let is_held = self.held.grow(bytes);
        if !is_held || self.step.len() >= IMPORT_STEP_FRAMES || self.step_bytes >= IMPORT_STEP_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> ApiResult<()> {
        self.step_bytes = 0;
        let step = std::mem::take(&mut self.step);
        let ids = step.iter().map(|frame| frame.id).collect::<Vec<_>>();
        self.stream.import(step).await?;
        self.held.clear();
        self.ids.extend(ids);
        Ok(())
    }
}

/// A body as lines.
struct Lines {
    chunks: BodyDataStream,
    lines: LineSplitter,
    ended: bool,
    /// Its body did not come to its end.
    is_broken: bool,
    /// What is left of a line that is not complete.
    held: Share,
}

impl Lines {
    fn new(body: Body, held: Share) -> Self {
        Self {
            chunks: body.into_data_stream(),
            lines: LineSplitter::new(FRAME_LINE_BYTES_MAX),
            ended: false,
            is_broken: false,
            held,
        }
    }

    async fn next(&mut self) -> ApiResult<Option<Bytes>> {
        loop {
            let line = self.lines.next_line();
            if let Some(line) = line.map_err(|error| too_large(error.into()))? {
                return Ok(Some(line));
            }
            if !self.held.hold(self.lines.len()) {
                return Err(no_room());
            }
            match self.chunk().await? {
                Some(chunk) => self.lines.push(&chunk),
                None => {
                    let last = self.lines.take_rest();
                    return Ok((!last.is_empty()).then_some(last));
                }
            }
        }
    }

    /// All that is left, behind `line`; `None` where that is more than a frame can be.
    async fn rest(&mut self, line: &[u8]) -> ApiResult<Option<Vec<u8>>> {
        let mut whole = [line, b"\n", &self.lines.take_rest()].concat();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
            if whole.len() > FRAME_LINE_BYTES_MAX {
                return Ok(None);
            }
            if !self.held.hold(whole.len()) {
                return Err(no_room());
            }
        }
        Ok(Some(whole))
    }

    async fn chunk(&mut self) -> ApiResult<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let chunk = self.chunks.next().await.transpose();
        self.is_broken = chunk.is_err();
        let chunk = chunk.map_err(broken_off)?;
        self.ended = chunk.is_none();
        Ok(chunk)
    }
}

fn too_large(error: ApiError) -> ApiError {
    error.with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::response::IntoResponse as _;
    use xs::Settings;
    use xs::memory::{MemoryCas, MemoryStore};

    use super::*;
    use crate::held::Held;

    fn frame(n: u128) -> String {
        Frame::topic("a").unwrap().with_id(FrameId::from_u128(n << 32)).to_json().unwrap() + "\n"
    }

    #[tokio::test]
    async fn what_is_held_of_imports_is_bounded_over_all_of_them() {
        let stream = EventStream::open(Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()), Settings::default());
        let stream = stream.await.unwrap();
        let held = Held::new(100);
        let mut other = held.share();
        assert!(other.grow(100));
        // Lines that come whole are stored, each as it comes.
        let mut import = Import::new(stream.clone(), held.share());
        let mut lines = Lines::new(Body::from([frame(1), frame(2)].concat()), held.share());
        assert!(import.take(&mut lines).await.is_ok());
        assert_eq!(stream.get(FrameId::from_u128(2 << 32)).await.unwrap().unwrap().topic.as_str(), "a");
        // The rest of one that does not has no room, nor has a frame over several lines.
        for (first, rest) in [("{\"topic\":", "\"a\"}\n"), ("{\n", "\"topic\":\"a\"}\n")] {
            let body = || Body::from_stream(futures::stream::iter([first, rest].map(Ok::<_, std::io::Error>)));
            let mut lines = Lines::new(body(), held.share());
            let error = Import::new(stream.clone(), held.share()).take(&mut lines).await.unwrap_err();
            assert_eq!(error.into_response().status(), StatusCode::SERVICE_UNAVAILABLE, "{first}");
            // Once there is room, it is only no frame.
            other.clear();
            let mut lines = Lines::new(body(), held.share());
            let error = Import::new(stream.clone(), held.share()).take(&mut lines).await.unwrap_err();
            assert_eq!(error.into_response().status(), StatusCode::BAD_REQUEST, "{first}");
            drop(lines);
            assert!(other.grow(100), "it is not given back");
        }
    }
}
