//! Frames on their way to a server as they are.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream, Peekable, Stream, StreamExt as _};
use http::{Method, header};
use xs_core::{Content, Frame, Result};
use xs_wire::{Framing, paths};

use crate::client::Client;
use crate::limits::{CHUNK_BYTES, DRAIN_BYTES_MAX, IMPORT_FRAMES};
use crate::request::Request;

/// As many requests as it takes: a server takes only so many frames in one.
pub(crate) async fn import(client: &Client, frames: impl Stream<Item = Result<Frame>> + Send + 'static) -> Result<u64> {
    let lines = Arc::new(Mutex::new(Lines::new(frames.boxed(), IMPORT_FRAMES)));
    let mut imported = 0;
    while std::future::poll_fn(|cx| lock(&lines).poll_begin(cx)).await {
        let source = Arc::clone(&lines);
        let chunks = stream::poll_fn(move |cx| lock(&source).poll_chunk(cx));
        let request = Request::new(Method::POST, paths::IMPORT).body(Content::stream(chunks));
        let request = request.header(header::CONTENT_TYPE, Framing::Ndjson.content_type());
        let body = client.body_of(request).await?;
        // The head of the answer says that they are stored. The frames that follow are known.
        body.beginning(DRAIN_BYTES_MAX).await;
        imported = lock(&lines).sent;
    }
    Ok(imported)
}

/// One request has them after the other, so nobody waits for them here.
fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Frames as lines, for one request after the other.
struct Lines {
    frames: Peekable<BoxStream<'static, Result<Frame>>>,
    request_frames: usize,
    /// How many the request under way takes yet.
    left: usize,
    sent: u64,
}

impl Lines {
    fn new(frames: BoxStream<'static, Result<Frame>>, request_frames: usize) -> Self {
        Self { frames: frames.peekable(), request_frames, left: 0, sent: 0 }
    }

    /// Begins with the next request, if there is something to send. An error is: the request ends with it.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.left = self.request_frames;
        Pin::new(&mut self.frames).poll_peek(cx).map(|next| next.is_some())
    }

    /// The frames that are ready, or the next one; `None` at the end of the request.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut chunk = Vec::new();
        while self.left > 0 && chunk.len() < CHUNK_BYTES {
            let frame = match self.frames.poll_next_unpin(cx) {
                Poll::Ready(Some(frame)) => frame,
                Poll::Pending if chunk.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.left = 0;
                    break;
                }
            };
            self.left -= 1;
            self.sent += 1;
            // What is ready before an error is not worth sending: the request ends with it.
            if let Err(error) = frame.and_then(|frame| Framing::Ndjson.write(&mut chunk, &frame, false)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready((!chunk.is_empty()).then(|| Ok(chunk.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xs_core::{Error, ErrorKind, FrameId};

    fn frame(n: u128) -> Frame {
        Frame::topic("a").unwrap().with_id(FrameId::from_u128(n << 32))
    }

    async fn request(lines: &mut Lines) -> Option<Result<String>> {
        if !std::future::poll_fn(|cx| lines.poll_begin(cx)).await {
            return None;
        }
        let mut body = Vec::new();
        while let Some(chunk) = std::future::poll_fn(|cx| lines.poll_chunk(cx)).await {
            match chunk {
                Ok(chunk) => body.extend_from_slice(&chunk),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(String::from_utf8(body).unwrap()))
    }

    #[tokio::test]
    async fn many_frames_take_many_requests_and_none_is_empty() {
        for count in [0, 1, 2, 3, 4, 5, 9] {
            let frames: Vec<Frame> = (1..=count).map(frame).collect();
            let mut lines = Lines::new(stream::iter(frames.clone()).map(Ok).boxed(), 3);
            let mut sent = Vec::new();
            while let Some(body) = request(&mut lines).await {
                let body: Vec<Frame> = body.unwrap().lines().map(|line| Frame::from_json(line).unwrap()).collect();
                assert!((1..=3).contains(&body.len()), "{count}");
                sent.extend(body);
            }
            assert_eq!((lines.sent, sent), (frames.len() as u64, frames));
        }
    }

    #[tokio::test]
    async fn an_error_of_the_frames_ends_their_request() {
        let broken = || Err(Error::new(ErrorKind::Corrupt, "damaged"));
        for frames in [vec![broken()], vec![Ok(frame(1)), broken()], vec![Ok(frame(1)), Ok(frame(2)), broken()]] {
            let mut lines = Lines::new(stream::iter(frames).boxed(), 2);
            let error = loop {
                if let Err(error) = request(&mut lines).await.unwrap() {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}
