//! Frames on their way to a server as they are.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::{self, BoxStream, Peekable, Stream, StreamExt as _};
use http::{Method, header};
use tokio::time::{Instant, Sleep};
use xs_core::{Content, Error, ErrorKind, Frame, FrameId, Result};
use xs_wire::{FRAME_LINE_BYTES_MAX, Framing, LineSplitter, paths};

use crate::client::{Client, parse_frame};
use crate::limits::{CHUNK_BYTES, IMPORT_FRAMES, IMPORT_PAUSE, IMPORT_TIME};
use crate::request::{Request, Response, not_understood, text};

/// As many requests as it takes: a server takes only so many frames in one, and stores the last of them when
/// it ends.
pub(crate) async fn import(client: &Client, frames: impl Stream<Item = Result<Frame>> + Send + 'static) -> Result<u64> {
    let lines = Arc::new(Mutex::new(Lines::new(frames.boxed(), IMPORT_FRAMES)));
    let mut imported = 0;
    while poll_fn(|cx| lock(&lines).poll_begin(cx)).await {
        let source = Arc::clone(&lines);
        let chunks = stream::poll_fn(move |cx| lock(&source).poll_chunk(cx));
        let request = Request::new(Method::POST, paths::IMPORT).body(Content::stream(chunks));
        let request = request.header(header::CONTENT_TYPE, Framing::Ndjson.content_type());
        let response = client.request(request).await?;
        // Whoever answers well before the end has not taken everything.
        let sent = lock(&lines).take_sent().ok_or_else(early)?;
        imported += sent.len() as u64;
        check(client, response, sent).await?;
    }
    Ok(imported)
}

/// Makes sure that it is a server of xs that says that they are stored: whoever else listens at some address may
/// answer whatever it is sent, and store nothing.
///
/// It answers a single frame with that frame, and more with a line for each that is there, in their order. Those
/// that are not have expired, were pushed out, or removed.
async fn check(client: &Client, response: Response, mut sent: VecDeque<FrameId>) -> Result<()> {
    let is_one = sent.len() == 1;
    let kind = response.header(header::CONTENT_TYPE).unwrap_or_default();
    if !is_one && !kind.starts_with(Framing::Ndjson.content_type()) {
        return Err(not_understood("frames were imported, and it is no list of frames"));
    }
    let mut body = response.body.within(client.options().response_timeout);
    let mut lines = LineSplitter::new(FRAME_LINE_BYTES_MAX);
    while let Some(chunk) = body.next().await.transpose()? {
        lines.push(&chunk);
        while let Some(line) = lines.next_line().map_err(not_understood)? {
            answered(&line, &mut sent)?;
        }
    }
    // A single frame comes without its line's end.
    answered(&lines.take_rest(), &mut sent)?;
    match is_one && !sent.is_empty() {
        true => Err(not_understood("a frame was imported, and it holds none")),
        false => Ok(()),
    }
}

/// Takes a line of the answer, and what was sent up to the frame that it is.
fn answered(line: &Bytes, sent: &mut VecDeque<FrameId>) -> Result<()> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let id = parse_frame(text(line)?)?.id;
    while let Some(next) = sent.pop_front() {
        if next == id {
            return Ok(());
        }
    }
    Err(not_understood(format_args!("frame {id} was not imported, or not there")))
}

fn early() -> Error {
    Error::new(ErrorKind::Unavailable, "the server answered before it had been sent everything")
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
    /// Those that it has taken.
    sent: VecDeque<FrameId>,
    /// It has been read to its end.
    has_ended: bool,
    /// When it waits for no more.
    deadline: Instant,
    /// Until when it waits for the next one; `None` while nothing is waited for.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Lines {
    fn new(frames: BoxStream<'static, Result<Frame>>, request_frames: usize) -> Self {
        Self {
            frames: frames.peekable(),
            request_frames,
            left: 0,
            sent: VecDeque::new(),
            has_ended: false,
            deadline: Instant::now(),
            pause: None,
        }
    }

    /// Begins with the next request, once there is something to send; false when nothing is left. An error is
    /// something: the request ends with it.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let has_next = ready!(Pin::new(&mut self.frames).poll_peek(cx)).is_some();
        (self.left, self.has_ended) = (self.request_frames, false);
        self.deadline = Instant::now() + IMPORT_TIME;
        Poll::Ready(has_next)
    }

    /// The frames that are ready, or the next one; `None` at the end of the request.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let mut chunk = Vec::new();
        while self.left > 0 && chunk.len() < CHUNK_BYTES {
            let frame = match self.frames.poll_next_unpin(cx) {
                Poll::Ready(Some(frame)) => frame,
                Poll::Pending if chunk.is_empty() => {
                    ready!(self.poll_pause(cx));
                    self.left = 0;
                    break;
                }
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.left = 0;
                    break;
                }
            };
            self.left -= 1;
            let written = frame.and_then(|frame| Framing::Ndjson.write(&mut chunk, &frame, false).map(|()| frame.id));
            match written {
                Ok(id) => self.sent.push_back(id),
                // What is ready before an error is not worth sending: the request ends with it.
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        self.pause = None;
        self.has_ended = chunk.is_empty();
        Poll::Ready((!chunk.is_empty()).then(|| Ok(chunk.into())))
    }

    /// Nothing is here: waits for as long as the request may.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.deadline.min(Instant::now() + IMPORT_PAUSE);
        self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until))).as_mut().poll(cx)
    }

    /// What the request held, if it has been read to its end.
    fn take_sent(&mut self) -> Option<VecDeque<FrameId>> {
        self.has_ended.then(|| std::mem::take(&mut self.sent))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(n: u64) -> Frame {
        Frame::topic("a").unwrap().with_id(FrameId::from_u128(u128::from(n) << 32))
    }

    /// The frames of the next request.
    async fn request(lines: &mut Lines) -> Option<Result<Vec<Frame>>> {
        if !poll_fn(|cx| lines.poll_begin(cx)).await {
            return None;
        }
        let mut body = Vec::new();
        while let Some(chunk) = poll_fn(|cx| lines.poll_chunk(cx)).await {
            match chunk {
                Ok(chunk) => body.extend_from_slice(&chunk),
                Err(error) => return Some(Err(error)),
            }
            assert!(lines.take_sent().is_none(), "it is not read to its end");
        }
        let frames: Vec<Frame> =
            String::from_utf8(body).unwrap().lines().map(|line| Frame::from_json(line).unwrap()).collect();
        assert!(frames.iter().map(|frame| frame.id).eq(lines.take_sent().unwrap()));
        Some(Ok(frames))
    }

    async fn requests(lines: &mut Lines) -> Vec<Vec<Frame>> {
        let mut requests = Vec::new();
        while let Some(frames) = request(lines).await {
            requests.push(frames.unwrap());
        }
        requests
    }

    #[tokio::test]
    async fn many_frames_take_many_requests_and_none_is_empty() {
        for count in [0, 1, 2, 3, 4, 5, 9] {
            let frames: Vec<Frame> = (1..=count).map(frame).collect();
            let mut lines = Lines::new(stream::iter(frames.clone()).map(Ok).boxed(), 3);
            let sent = requests(&mut lines).await;
            assert!(sent.iter().all(|frames| (1..=3).contains(&frames.len())), "{count}");
            assert_eq!(sent.concat(), frames);
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

    /// Frames, each of which comes so long after the one before it.
    fn live(waits: impl IntoIterator<Item = Duration, IntoIter: Send + 'static>) -> Lines {
        let frames = stream::iter((1..).zip(waits)).then(|(n, wait)| async move {
            tokio::time::sleep(wait).await;
            Ok(frame(n))
        });
        Lines::new(frames.boxed(), IMPORT_FRAMES)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_where_the_frames_pause() {
        let (soon, hour) = (IMPORT_PAUSE / 2, Duration::from_secs(60 * 60));
        let mut lines = live([Duration::ZERO, soon, hour, hour, soon, soon]);
        let sent = requests(&mut lines).await;
        assert_eq!(sent, [vec![frame(1), frame(2)], vec![frame(3)], vec![frame(4), frame(5), frame(6)]]);

        let mut lines = live([Duration::ZERO, hour]);
        let since = Instant::now();
        assert_eq!(request(&mut lines).await.unwrap().unwrap(), [frame(1)]);
        assert!((IMPORT_PAUSE..IMPORT_PAUSE * 2).contains(&since.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_however_steadily_frames_come() {
        let mut lines = live(std::iter::repeat(IMPORT_PAUSE / 5));
        for _ in 0..3 {
            let since = Instant::now();
            let frames = request(&mut lines).await.unwrap().unwrap();
            assert!((IMPORT_TIME..IMPORT_TIME * 2).contains(&since.elapsed()));
            assert!(frames.len() > 10, "{}", frames.len());
        }
    }

    #[test]
    fn an_answer_holds_frames_that_were_sent_in_their_order() {
        let line = |n| Bytes::from(frame(n).to_json().unwrap());
        let answer = |lines: &[Bytes]| {
            let mut sent = (1..=4).map(|n| frame(n).id).collect();
            lines.iter().try_for_each(|line| answered(line, &mut sent))
        };
        let all: Vec<Bytes> = (1..=4).map(line).collect();
        assert!(answer(&all).is_ok() && answer(&[]).is_ok());
        // The others are gone again.
        assert!(answer(&[line(2), Bytes::new(), line(4)]).is_ok());
        for strange in [vec![line(5)], vec![line(2), line(1)], vec![line(1), line(1)], vec!["<html>".into()]] {
            assert_eq!(answer(&strange).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}
