//! Frames from standard input, in as many requests as it takes.

use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::Method;
use indicatif::{HumanCount, ProgressBar};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use xs::{Content, Error, ErrorKind};
use xs_client::{Address, Client, Request, Response};
use xs_wire::paths;

use super::chunks;
use super::requests::{Bounds, Lines};
use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::terminal::{self, escaped::Escaped, progress};
use crate::{connect, lines, output, units};

pub(super) async fn import(target: &Target, common: &Common) -> Result<()> {
    let client = connect::client(target, common)?;
    // One word is where to import to, unless it is an export. Where nothing is, it may have been meant as either.
    if let Address::Path(path) = client.endpoint().address()
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::new(format!("nothing is at {path}: neither a store to import into, nor an export")));
    }
    let is_typed = io::stdin().is_terminal();
    let is_printed = is_typed || !terminal::person_reads(common);
    let mut answers = match is_printed {
        true => Answers::Printed(Printer::new()),
        false => Answers::Counted(0),
    };
    // Where frames are typed, or printed on a terminal, by whoever it is, it would be in the way.
    let bar = match is_typed || is_printed && (terminal::is_terminal() || !progress::is_file(io::stdout())) {
        true => ProgressBar::hidden(),
        false => progress::words()?,
    };
    let mut lines = Lines::new(chunks(tokio::io::stdin()), Bounds::PIPE);
    let sent = send_all(&client, &mut lines, &mut answers, &bar).await;
    bar.finish_and_clear();
    let is_shown = sent.map_err(|error| lines.failure(&error))?;
    if !is_shown {
        return Err(Failure::new("all is imported, but not all of it was shown"));
    }
    match answers {
        Answers::Counted(frames) => output::print_line(&format!("{} frames", HumanCount(frames))),
        Answers::Printed(_) => Ok(()),
    }
}

/// Sends all there is, and says whether all answers could be shown: the frames are stored all the same.
async fn send_all(client: &Client, lines: &mut Lines, answers: &mut Answers, bar: &ProgressBar) -> xs::Result<bool> {
    // A wrong address or token is told now, and not when a frame comes.
    client.version().await?;
    let mut is_shown = true;
    while lines.begin().await? {
        let response = send(client, lines, bar).await?;
        if let Err(failure) = answers.take(response).await {
            // Now: there may be no end at which it could be told.
            bar.suspend(|| failure.report());
            is_shown = false;
        }
    }
    Ok(is_shown)
}

/// Sends one request.
async fn send(client: &Client, lines: &mut Lines, bar: &ProgressBar) -> xs::Result<Response> {
    let (sender, mut receiver) = mpsc::channel::<xs::Result<Bytes>>(1);
    let ended = Arc::new(AtomicBool::new(false));
    let taken = Arc::clone(&ended);
    let body = Content::stream(stream::poll_fn(move |cx| {
        let next = receiver.poll_recv(cx);
        taken.fetch_or(matches!(next, Poll::Ready(None)), Ordering::Relaxed);
        next
    }));
    let mut answering = pin!(client.request(Request::new(Method::POST, paths::IMPORT).body(body)));
    let feeding = async move {
        while let Some(chunk) = lines.chunk().await.transpose() {
            let (is_last, bytes) = (chunk.is_err(), chunk.as_ref().map_or(0, Bytes::len));
            if sender.send(chunk).await.is_err() || is_last {
                break;
            }
            bar.inc(bytes as u64);
            bar.set_message(format!("{} sent", units::size(bar.position())));
        }
        // The body ends with it.
        drop(sender);
    };
    tokio::select! {
        answered = &mut answering => answered,
        () = feeding => answering.await,
    }
    // Whoever answers well before the end has not taken everything, and the rest would be lost.
    .and_then(|response| if ended.load(Ordering::Relaxed) { Ok(response) } else { Err(early()) })
}

fn early() -> Error {
    Error::new(ErrorKind::Unavailable, "the server answered before it had been sent everything")
}

/// What becomes of the frames that are answered.
enum Answers {
    /// A person is told how many there are.
    Counted(u64),
    Printed(Printer),
}

impl Answers {
    async fn take(&mut self, response: Response) -> Result<()> {
        match self {
            Self::Counted(frames) => {
                let mut lines = pin!(lines::of(response));
                while lines.next().await.transpose().map_err(|error| output::broken_off(&error))?.is_some() {
                    *frames += 1;
                }
                Ok(())
            }
            Self::Printed(printer) => printer.print(response).await,
        }
    }
}

/// Prints for as long as somebody reads it. Frames are imported all the same.
struct Printer {
    out: tokio::io::Stdout,
    escaped: Escaped,
    is_read: bool,
}

impl Printer {
    fn new() -> Self {
        Self { out: tokio::io::stdout(), escaped: Escaped::for_stdout(), is_read: true }
    }

    async fn print(&mut self, response: Response) -> Result<()> {
        let mut last = b'\n';
        let mut chunks = response.body;
        while let Some(chunk) = chunks.next().await.transpose().map_err(|error| output::broken_off(&error))? {
            let chunk = self.escaped.pass(chunk);
            self.write(&chunk).await?;
            last = chunk.last().copied().unwrap_or(last);
        }
        // A single frame comes without its line's end.
        match last {
            b'\n' => Ok(()),
            _ => self.write(b"\n").await,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.is_read {
            return Ok(());
        }
        let written = match self.out.write_all(bytes).await {
            Ok(()) => self.out.flush().await,
            failed => failed,
        };
        self.is_read = written.is_ok();
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Failure::io("writing to standard output", &error)),
        }
    }
}
