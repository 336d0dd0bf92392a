//! An answer as lines.

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use xs::Error;
use xs_client::{Body, Response};
use xs_wire::{FRAME_LINE_BYTES_MAX, LineSplitter};

use crate::failure::Result;

/// The lines of an answer as they come, without their ends. An answer of one line may come without one.
pub(crate) fn of(response: Response) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
    let lines = Lines { body: Some(response.body), splitter: LineSplitter::new(FRAME_LINE_BYTES_MAX) };
    stream::try_unfold(lines, |mut lines| async move { Ok(lines.next().await?.map(|line| (line, lines))) })
}

struct Lines {
    /// Until it is read to its end.
    body: Option<Body>,
    splitter: LineSplitter,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(line) = self.splitter.next_line()? {
                return Ok(Some(line));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.next().await.transpose()? {
                Some(chunk) => self.splitter.push(&chunk),
                None => {
                    self.body = None;
                    let rest = self.splitter.take_rest();
                    return Ok((!rest.is_empty()).then_some(rest));
                }
            }
        }
    }
}
