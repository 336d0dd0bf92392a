//! All frames of a server, in the bytes that it sends, also when an answer does not come to its end: a reader that
//! fetches content between two frames may take longer than a server waits. Nothing in history marks its end, and
//! what stands in between may end an answer with its connection: one that was cut between two lines looks whole.

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use http::Method;
use xs::{Error, Filter, Frame, FrameId, ReadOptions};
use xs_client::{Client, Request};
use xs_wire::{ReadQuery, paths};

use crate::failure::{Failure, Result};
use crate::lines;

/// Answers without a frame, one after the other, before the last frame has come.
const EMPTY_ANSWERS_MAX: u32 = 5;

/// Each frame with its line, at least as far as to `last`, which is the last one of all now. It ends with what was
/// stored when it was last connected, or with an error that came again without a frame in between.
pub(crate) fn read(client: Client, last: Option<FrameId>) -> impl Stream<Item = Result<(Bytes, Frame)>> {
    let history = History { client, lines: None, after: None, last, has_moved: false, empty: 0 };
    stream::try_unfold(history, |mut history| async move { Ok(history.next().await?.map(|frame| (frame, history))) })
}

struct History {
    client: Client,
    lines: Option<BoxStream<'static, Result<Bytes, Error>>>,
    after: Option<FrameId>,
    /// No answer that ends before this frame was whole, unless it has been removed.
    last: Option<FrameId>,
    /// Whether a frame has come since it was connected.
    has_moved: bool,
    /// Answers without a frame, one after the other.
    empty: u32,
}

impl History {
    async fn next(&mut self) -> Result<Option<(Bytes, Frame)>> {
        loop {
            let lines = match &mut self.lines {
                Some(lines) => lines,
                none => none.insert(connect(&self.client, self.after).await?),
            };
            let failure = match lines.next().await {
                // A line that is no frame may be the half of one.
                Some(line) => match line.map_err(Failure::from).and_then(with_frame) {
                    Ok((_, frame)) if Some(frame.id) <= self.after => Some(Failure::new(format!(
                        "frame {} came again: what answers does not go on after it",
                        frame.id
                    ))),
                    Ok((line, frame)) => {
                        self.after = Some(frame.id);
                        (self.has_moved, self.empty) = (true, 0);
                        return Ok(Some((line, frame)));
                    }
                    Err(failure) => Some(failure),
                },
                None if self.after >= self.last => return Ok(None),
                None => None,
            };
            self.lines = None;
            match (std::mem::take(&mut self.has_moved), failure) {
                (true, _) => {}
                (false, Some(failure)) => return Err(failure),
                (false, None) => self.look_for_last().await?,
            }
        }
    }

    /// Fails where there still is what an answer without a frame ought to have given. Where it has gone, what is the
    /// last now has to come; but a store does not move on for ever just where it is looked at.
    async fn look_for_last(&mut self) -> Result<()> {
        let last = self.client.last(Filter::all()).await.map_err(|error| Failure::of_call(&error))?;
        let last = last.map(|frame| frame.id);
        self.empty += 1;
        match last {
            Some(id) if last == self.last || self.empty == EMPTY_ANSWERS_MAX => Err(Failure::new(format!(
                "the answer ended before {id}, the last frame: something in between may cut it short; give the same \
                 export again"
            ))),
            _ => {
                self.last = last;
                Ok(())
            }
        }
    }
}

async fn connect(client: &Client, after: Option<FrameId>) -> Result<BoxStream<'static, Result<Bytes, Error>>> {
    let options = ReadOptions { after, ..ReadOptions::default() };
    let query = ReadQuery { options, with_timestamp: false }.to_query().finish();
    let response = client.request(Request::new(Method::GET, format!("{}{query}", paths::ROOT))).await;
    Ok(lines::of(response.map_err(|error| Failure::of_call(&error))?).boxed())
}

fn with_frame(line: Bytes) -> Result<(Bytes, Frame)> {
    let text = std::str::from_utf8(&line).map_err(|error| Failure::new(format!("the answer is not UTF-8: {error}")))?;
    let frame = Frame::from_json(text)?;
    Ok((line, frame))
}
