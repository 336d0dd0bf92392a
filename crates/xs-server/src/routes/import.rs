//! `POST /import`: frames as they are, one or many.

use axum::body::{Body, BodyDataStream};
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse as _;
use futures::StreamExt as _;
use http::{StatusCode, header};
use xs::{EventStream, Frame, FrameId, Result};

use super::append::broken_off;
use super::{App, json};
use crate::error::{ApiError, ApiResult};
use crate::limits::{BODY_FRAMES_BYTES_MAX, IMPORT_FRAMES_MAX, IMPORT_STEP_BYTES, IMPORT_STEP_FRAMES};
use crate::wire::{Framing, Params, frames_body};

/// Stores the lines of the body in steps as they come, so that its size does not matter. What was
/// stored before a line that is refused stays stored: sending all of it again does no harm.
pub(super) async fn import(State(app): State<App>, RawQuery(query): RawQuery, body: Body) -> ApiResult {
    Params::parse(query.as_deref()).finish()?;
    let mut lines = Lines { chunks: body.into_data_stream(), buffer: Vec::new(), searched: 0, ended: false };
    let mut import = Import { stream: app.stream.clone(), step: Vec::new(), step_bytes: 0, ids: Vec::new() };
    let mut number = 0u64;
    while let Some(line) = lines.next().await? {
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match parse(&line) {
            Ok(frame) => import.push(frame, line.len()).await?,
            // One frame over several lines is what a script may send, too.
            Err(error) if import.is_empty() => match parse(&lines.rest(line).await?) {
                Ok(frame) => {
                    import.push(frame.clone(), 0).await?;
                    import.flush().await?;
                    return Ok(json(frame.to_json()?));
                }
                Err(_) => return Err(error.context(format_args!("line {number}")).into()),
            },
            Err(error) => return Err(error.context(format_args!("line {number}")).into()),
        }
    }
    import.flush().await?;
    match import.ids.as_slice() {
        [] => Err(ApiError::invalid("the body holds no frame")),
        // A frame that has expired by now has been imported all the same.
        [id] => match app.stream.get(*id).await? {
            Some(frame) => Ok(json(frame.to_json()?)),
            None => Ok(StatusCode::OK.into_response()),
        },
        _ => {
            let imported = frames(app.stream, import.ids);
            let headers = [(header::CONTENT_TYPE, Framing::Ndjson.content_type())];
            Ok((headers, frames_body(imported, Framing::Ndjson, false)).into_response())
        }
    }
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
}

impl Import {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.step.is_empty()
    }

    async fn push(&mut self, frame: Frame, bytes: usize) -> ApiResult<()> {
        if self.ids.len() + self.step.len() >= IMPORT_FRAMES_MAX {
            return Err(ApiError::invalid(format!(
                "one import holds at most {IMPORT_FRAMES_MAX} frames; those are imported, send the others apart"
            )));
        }
        self.step_bytes += bytes;
        self.step.push(frame);
        if self.step.len() >= IMPORT_STEP_FRAMES || self.step_bytes >= IMPORT_STEP_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> ApiResult<()> {
        self.step_bytes = 0;
        let step = std::mem::take(&mut self.step);
        self.ids.extend(step.iter().map(|frame| frame.id));
        Ok(self.stream.import(step).await?)
    }
}

/// A body as lines.
struct Lines {
    chunks: BodyDataStream,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line's end.
    searched: usize,
    ended: bool,
}

impl Lines {
    async fn next(&mut self) -> ApiResult<Option<Vec<u8>>> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at + 1;
                self.searched = 0;
                return Ok(Some(self.buffer.drain(..end).collect()));
            }
            self.searched = self.buffer.len();
            if self.ended {
                self.searched = 0;
                let last = std::mem::take(&mut self.buffer);
                return Ok((!last.is_empty()).then_some(last));
            }
            self.fill().await?;
        }
    }

    /// All that is left, behind `line`.
    async fn rest(&mut self, mut line: Vec<u8>) -> ApiResult<Vec<u8>> {
        while !self.ended {
            self.fill().await?;
        }
        line.append(&mut self.buffer);
        Ok(line)
    }

    async fn fill(&mut self) -> ApiResult<()> {
        match self.chunks.next().await {
            None => self.ended = true,
            Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
            Some(Err(error)) => return Err(broken_off(error).into()),
        }
        match self.buffer.len() > BODY_FRAMES_BYTES_MAX {
            true => Err(ApiError::invalid(format!("a line holds at most {BODY_FRAMES_BYTES_MAX} bytes"))
                .with_status(StatusCode::PAYLOAD_TOO_LARGE)),
            false => Ok(()),
        }
    }
}
