//! Reading: history in one answer, and a follower that comes back.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{Stream, StreamExt as _};
use http::{Method, header};
use xs_core::{Error, ErrorKind, Frame, FrameId, ReadOptions, Result};
use xs_wire::{FRAME_LINE_BYTES_MAX, Framing, LineSplitter, ReadQuery, paths};

use crate::backoff::Backoff;
use crate::body::Body;
use crate::client::{Client, parse_frame};
use crate::connect::unavailable;
use crate::request::{Request, not_understood, text};
use crate::resume::Resume;

/// A read in progress: a [`Stream`] of frames, in the order of their ids. Dropping it ends its connection.
///
/// Of history alone, an error is the last thing that comes: `Unavailable` when the answer breaks off.
///
/// A follower goes on for ever, or to its limit. When its connection breaks, its server restarts, or nothing
/// has been heard for three heartbeats of its [`ClientOptions`](crate::ClientOptions), it connects anew, after
/// a pause that grows and that chance has a part in, and goes on after the last id that it has seen: it
/// receives every matching stored frame exactly once. What it does not receive is ephemeral frames from a
/// time without a connection. Only an error that would come again ends it: the call is wrong
/// (`InvalidInput`, `NotFound`, `Unsupported`, `Conflict`), or what is stored is damaged (`Corrupt`).
///
/// A threshold comes once, and a limit counts over all connections. What is `new`, and which are the `last` few,
/// is found out before the first of them and holds for all.
pub struct FrameStream {
    frames: std::vec::IntoIter<Frame>,
    next: Next,
}

type Step = (Box<Reading>, Result<Option<Vec<Frame>>>);

enum Next {
    /// Not asked for yet.
    Idle(Box<Reading>),
    Fetching(BoxFuture<'static, Step>),
    Ended,
}

impl FrameStream {
    pub(crate) fn new(client: Client, options: ReadOptions) -> Self {
        Self { frames: Vec::new().into_iter(), next: Next::Idle(Box::new(Reading::new(client, options))) }
    }

    /// Connects, if nothing has been read yet: what is appended after that is live, for a follower.
    ///
    /// It tries once. An error is that of this attempt and ends nothing: a follower that is read goes on
    /// trying. So a program can tell its user that there is no server, and wait for one all the same.
    pub async fn connect(&mut self) -> Result<()> {
        match &mut self.next {
            Next::Idle(reading) => reading.connect().await,
            Next::Fetching(_) | Next::Ended => Ok(()),
        }
    }
}

impl Stream for FrameStream {
    type Item = Result<Frame>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        loop {
            if let Some(frame) = self.frames.next() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let mut fetching = match std::mem::replace(&mut self.next, Next::Ended) {
                Next::Idle(reading) => reading.step().boxed(),
                Next::Fetching(fetching) => fetching,
                Next::Ended => return Poll::Ready(None),
            };
            match fetching.poll_unpin(cx) {
                Poll::Pending => {
                    self.next = Next::Fetching(fetching);
                    return Poll::Pending;
                }
                Poll::Ready((reading, Ok(Some(frames)))) => {
                    self.frames = frames.into_iter();
                    self.next = Next::Idle(reading);
                }
                Poll::Ready((_, Ok(None))) => return Poll::Ready(None),
                Poll::Ready((_, Err(error))) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameStream").field("ready", &self.frames.len()).finish_non_exhaustive()
    }
}

/// Where a read is.
struct Reading {
    client: Client,
    resume: Resume,
    backoff: Backoff,
    /// How often the server has been silent without having said anything in between.
    silences: u32,
    answer: Option<Answer>,
    /// What ends it, behind the frames that came before.
    failed: Option<Error>,
}

/// An answer that is being read.
#[derive(Debug)]
struct Answer {
    body: Body,
    lines: LineSplitter,
}

impl Answer {
    /// The next frame of what has come.
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        while let Some(line) = self.lines.next_line().map_err(not_understood)? {
            if !line.trim_ascii().is_empty() {
                return parse_frame(text(&line)?).map(Some);
            }
        }
        Ok(None)
    }
}

impl Reading {
    fn new(client: Client, options: ReadOptions) -> Self {
        let given = client.options();
        let (resume, backoff) =
            (Resume::new(options, given.heartbeat), Backoff::new(given.backoff_min, given.backoff_max));
        Self { client, resume, backoff, silences: 0, answer: None, failed: None }
    }

    /// The next frames, at least one; `None` at the end.
    async fn step(mut self: Box<Self>) -> Step {
        let result = self.advance().await;
        (self, result)
    }

    async fn advance(&mut self) -> Result<Option<Vec<Frame>>> {
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.resume.is_done() {
                return Ok(None);
            }
            let failed = match self.connect().await {
                Ok(()) => match self.receive().await {
                    Ok(Some(chunk)) => {
                        let frames = self.take(&chunk);
                        match frames.is_empty() {
                            true => continue,
                            false => return Ok(Some(frames)),
                        }
                    }
                    Ok(None) => return Ok(None),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.answer = None;
            if !self.resume.follows() || !may_pass(failed.kind()) {
                return Err(failed);
            }
            let pause = self.backoff.pause(fastrand::f64());
            tracing::debug!(endpoint = %self.client.endpoint(), error = %failed, ?pause, "a follower connects anew");
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks for what comes next, unless that is being answered.
    async fn connect(&mut self) -> Result<()> {
        if self.answer.is_some() || self.resume.is_done() {
            return Ok(());
        }
        while let Some(history) = self.resume.place() {
            self.resume.placed(first(&self.client, history).await?);
        }
        let query = ReadQuery { options: self.resume.next(), with_timestamp: false }.to_query().finish();
        let request = Request::new(Method::GET, format!("{}{query}", paths::ROOT));
        let request = request.header(header::ACCEPT, Framing::Ndjson.content_type());
        let body = match self.resume.follows() {
            // How long that may be silent is its own knowledge.
            true => self.client.request(request).await?.body,
            false => self.client.body_of(request).await?,
        };
        self.answer = Some(Answer { body, lines: LineSplitter::new(FRAME_LINE_BYTES_MAX) });
        Ok(())
    }

    /// The next bytes; `None` at the end of history.
    async fn receive(&mut self) -> Result<Option<Bytes>> {
        let Some(answer) = &mut self.answer else { return Ok(None) };
        let next = answer.body.next();
        let chunk = match self.resume.silence(self.silences) {
            None => next.await,
            Some(silence) => match tokio::time::timeout(silence, next).await {
                Ok(chunk) => chunk,
                Err(elapsed) => {
                    self.silences = self.silences.saturating_add(1);
                    return Err(unavailable(format!("the server has said nothing for {silence:?}"), elapsed));
                }
            },
        };
        match chunk {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(error),
            None if self.resume.follows() => Err(Error::new(ErrorKind::Unavailable, "the server ended its answer")),
            None if answer.lines.is_empty() => Ok(None),
            None => Err(unavailable("the answer broke off: its last line has no end", "it ended")),
        }
    }

    /// The frames that are complete now, and wanted. What is no frame is for later, behind them.
    fn take(&mut self, chunk: &Bytes) -> Vec<Frame> {
        let mut frames = Vec::new();
        let Some(answer) = &mut self.answer else { return frames };
        answer.lines.push(chunk);
        while !self.resume.is_done() {
            match answer.next_frame() {
                Ok(Some(frame)) => {
                    self.backoff.reset();
                    self.silences = 0;
                    frames.extend(self.resume.take(frame));
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        frames
    }
}

/// The id of the first frame of some history.
async fn first(client: &Client, history: ReadOptions) -> Result<Option<FrameId>> {
    let mut frames = client.read(history);
    let first = frames.next().await.transpose()?;
    // Read to its end, so that its connection serves the next request.
    frames.next().await.transpose()?;
    Ok(first.map(|frame| frame.id))
}

/// Whether it may work later, so that a follower tries it again.
fn may_pass(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Closed | ErrorKind::Locked | ErrorKind::Internal)
}
