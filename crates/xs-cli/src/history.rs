//! All frames of a server, in the bytes that it sends, also when the connection breaks off: a reader that
//! fetches content between two frames may take longer than a server waits.

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use http::Method;
use xs::{Error, Frame, FrameId, ReadOptions};
use xs_client::{Client, Request};
use xs_wire::{ReadQuery, paths};

use crate::failure::{Failure, Result};
use crate::lines;

/// Each frame with its line. It ends with what was stored when it was last connected, or with an error
/// that came again without a frame in between.
pub(crate) fn read(client: Client) -> impl Stream<Item = Result<(Bytes, Frame)>> {
    let history = History { client, lines: None, after: None, has_moved: false };
    stream::try_unfold(history, |mut history| async move { Ok(history.next().await?.map(|frame| (frame, history))) })
}

struct History {
    client: Client,
    lines: Option<BoxStream<'static, Result<Bytes, Error>>>,
    after: Option<FrameId>,
    /// Whether a frame has come since it was connected.
    has_moved: bool,
}

impl History {
    async fn next(&mut self) -> Result<Option<(Bytes, Frame)>> {
        loop {
            let lines = match &mut self.lines {
                Some(lines) => lines,
                none => none.insert(connect(&self.client, self.after).await?),
            };
            match lines.next().await {
                None => return Ok(None),
                Some(Ok(line)) => {
                    let frame = frame_of(&line)?;
                    self.after = Some(frame.id);
                    self.has_moved = true;
                    return Ok(Some((line, frame)));
                }
                Some(Err(_)) if std::mem::take(&mut self.has_moved) => self.lines = None,
                Some(Err(error)) => return Err(error.into()),
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

fn frame_of(line: &[u8]) -> Result<Frame> {
    let text = std::str::from_utf8(line).map_err(|error| Failure::new(format!("the answer is not UTF-8: {error}")))?;
    Ok(Frame::from_json(text)?)
}
