//! Lines that come through a pipe, for one request after the other: a server takes only so many frames in
//! one, and stores the last of them when it ends.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};
use xs::{Error, Frame, Ttl};
use xs_wire::{FRAME_LINE_BYTES_MAX, LineSplitter};

use crate::failure::Failure;

/// Bytes of lines after which what is ready of them is sent.
const CHUNK_BYTES: usize = 64 * 1024;
/// What every ephemeral frame holds, and few others.
const EPHEMERAL: &str = "\"ephemeral\"";

/// Where a request ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    lines: u64,
    /// No frame has come for so long.
    pause: Duration,
    /// It has begun so long ago, and what was read of the input is sent.
    time: Duration,
}

impl Bounds {
    /// A tenth of what a server takes, and a wait that nobody notices: what comes now and then is stored as it comes.
    pub(super) const PIPE: Self =
        Self { lines: 100_000, pause: Duration::from_millis(50), time: Duration::from_secs(1) };
}

pub(super) struct Lines {
    input: BoxStream<'static, xs::Result<Bytes>>,
    /// Until it is read to its end.
    is_open: bool,
    splitter: LineSplitter,
    bounds: Bounds,
    /// What the request under way begins with, until it is sent.
    first: Option<Bytes>,
    /// All there is goes into the request under way: it is one frame over several lines.
    is_whole: bool,
    /// When the request under way waits no longer.
    deadline: Instant,
    /// Requests, with the one under way.
    begun: u64,
    /// Lines before the request under way.
    before: u64,
    /// Lines of the request under way.
    taken: u64,
    /// Why no more can be read: told once what came before it is imported.
    failed: Option<Error>,
}

impl Lines {
    pub(super) fn new(input: impl Stream<Item = xs::Result<Bytes>> + Send + 'static, bounds: Bounds) -> Self {
        Self {
            input: input.boxed(),
            is_open: true,
            splitter: LineSplitter::new(FRAME_LINE_BYTES_MAX),
            bounds,
            first: None,
            is_whole: false,
            deadline: Instant::now(),
            begun: 0,
            before: 0,
            taken: 0,
            failed: None,
        }
    }

    /// Waits for what the next request begins with; false when nothing is left.
    pub(super) async fn begin(&mut self) -> xs::Result<bool> {
        self.begun += 1;
        self.before += std::mem::take(&mut self.taken);
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        loop {
            match self.ready()? {
                Some(line) if is_passed_over(&line) => self.before += 1,
                Some(line) => {
                    self.is_whole = self.begun == 1 && ends_within(&line);
                    self.first = Some(line);
                    self.deadline = Instant::now() + self.bounds.time;
                    return Ok(true);
                }
                None if !self.is_open => return Ok(false),
                None => self.read().await?,
            }
        }
    }

    /// What is sent next of the request under way; `None` at its end.
    pub(super) async fn chunk(&mut self) -> xs::Result<Option<Bytes>> {
        if self.is_whole {
            return self.rest().await;
        }
        let (mut chunk, mut holds_frames) = (Vec::new(), false);
        let until = self.deadline.min(Instant::now() + self.bounds.pause);
        loop {
            while self.failed.is_none() && self.taken < self.bounds.lines && chunk.len() < CHUNK_BYTES {
                let line = match self.ready() {
                    Ok(Some(line)) => line,
                    Ok(None) => break,
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                };
                self.taken += 1;
                // A line stays in its place: the server names one that is wrong by its number.
                if !is_passed_over(&line) {
                    chunk.extend_from_slice(&line);
                    holds_frames = true;
                }
                chunk.push(b'\n');
            }
            // Those that are passed over are no reason to wait longer.
            if holds_frames || chunk.len() >= CHUNK_BYTES {
                return Ok(Some(chunk.into()));
            }
            if self.taken >= self.bounds.lines || !self.is_open || self.failed.is_some() {
                return Ok(None);
            }
            match timeout_at(until, self.read()).await {
                Ok(read) => self.failed = read.err(),
                Err(_) => return Ok(None),
            }
        }
    }

    /// What is told of the error that ends it: which line of the input it is about, where that is known, and how
    /// far the input is imported.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        let Some((line, why)) = named_line(error) else {
            let failure = Failure::of_call(error);
            return match (self.before, self.begun) {
                (0, _) => failure,
                (before, 1) => failure.context(format_args!("after line {before}")),
                (before, _) => failure.context(format_args!("all is imported up to line {before}; after it")),
            };
        };
        let of_input = self.before.saturating_add(line);
        let refused = format!("line {of_input}: {why}");
        let told = match (self.begun, line) {
            // Nothing but blank lines came before it.
            (1, 1) => refused,
            // A server stores what comes before the line that it refuses.
            _ => format!("all is imported up to line {}; {refused}", of_input.saturating_sub(1)),
        };
        Failure::of_call(&Error::new(error.kind(), told))
    }

    /// The next line, if it is there.
    fn ready(&mut self) -> xs::Result<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        // Where it is told, what came before it is imported: it is the first line of what would be sent next.
        let line = self.splitter.next_line().map_err(|error| error.context("line 1"))?;
        Ok(match line {
            None if !self.is_open && !self.splitter.is_empty() => Some(self.splitter.take_rest()),
            line => line,
        })
    }

    /// Waits for more. Nothing is lost when it is dropped before it comes.
    async fn read(&mut self) -> xs::Result<()> {
        match self.input.next().await.transpose()? {
            Some(chunk) => self.splitter.push(&chunk),
            None => self.is_open = false,
        }
        Ok(())
    }

    /// All there is, as it is.
    async fn rest(&mut self) -> xs::Result<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Ok(Some([&first[..], b"\n", &self.splitter.take_rest()].concat().into()));
        }
        if !self.is_open {
            return Ok(None);
        }
        let chunk = self.input.next().await.transpose()?;
        self.is_open = chunk.is_some();
        Ok(chunk)
    }
}

/// Which line of its request an error is about, and what is wrong with that, in the server's own words: `line 3: not
/// a frame`.
fn named_line(error: &Error) -> Option<(u64, String)> {
    // What has a cause is told by this end, or by something in between.
    if std::error::Error::source(error).is_some() {
        return None;
    }
    let message = error.to_string();
    let (number, why) = message.strip_prefix("line ")?.split_once(": ")?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    let line = number.parse::<u64>().ok().filter(|line| is_plain && *line > 0)?;
    Some((line, why.to_owned()))
}

/// Whether a line is blank, or an ephemeral frame: a follower is given some, and no store holds any.
fn is_passed_over(line: &[u8]) -> bool {
    if line.trim_ascii().is_empty() {
        return true;
    }
    let Ok(text) = std::str::from_utf8(line) else { return false };
    text.contains(EPHEMERAL) && Frame::from_json(text).is_ok_and(|frame| frame.ttl == Some(Ttl::Ephemeral))
}

/// Whether a line ends within a value, which goes on in the next.
fn ends_within(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures::stream;
    use tokio::sync::mpsc;
    use xs::ErrorKind;

    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);
    const THREE: Bounds = Bounds { lines: 3, pause: HOUR, time: HOUR };

    fn frame(n: u64) -> String {
        format!(r#"{{"topic":"a.{n}","id":"03d4q1qhbiv09ovtuhokw5yxv","hash":null,"meta":null,"ttl":null}}"#)
    }

    fn pieces(text: &str, bytes: usize) -> impl Stream<Item = xs::Result<Bytes>> + Send + use<> {
        let pieces = text.as_bytes().chunks(bytes).map(|piece| Ok(Bytes::copy_from_slice(piece)));
        stream::iter(pieces.collect::<Vec<_>>())
    }

    /// The body of the next request.
    async fn next(lines: &mut Lines) -> Option<String> {
        if !lines.begin().await.unwrap() {
            return None;
        }
        let mut body = Vec::new();
        while let Some(chunk) = lines.chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
        Some(String::from_utf8(body).unwrap())
    }

    fn told(lines: &Lines, error: &Error) -> String {
        format!("{:?}", lines.failure(error))
    }

    async fn bodies(text: &str, bytes: usize) -> Vec<String> {
        let mut lines = Lines::new(pieces(text, bytes), THREE);
        let mut bodies = Vec::new();
        while let Some(body) = next(&mut lines).await {
            bodies.push(body);
        }
        bodies
    }

    #[tokio::test]
    async fn many_lines_take_many_requests_and_none_is_empty() {
        for count in 0..=10_u64 {
            let text: String = (0..count).map(|n| frame(n) + "\n").collect();
            for bytes in [1, 100, 100_000] {
                let bodies = bodies(&text, bytes).await;
                assert!(bodies.iter().all(|body| (1..=3).contains(&body.lines().count())), "{bodies:?}");
                assert_eq!(u64::try_from(bodies.len()).unwrap(), count.div_ceil(3));
                assert_eq!(bodies.concat(), text);
            }
        }
        assert_eq!(bodies(&frame(1), 10).await, [frame(1) + "\n"], "the last line has no end");
    }

    #[tokio::test]
    async fn what_no_store_holds_is_left_out_and_no_request_is_empty() {
        let passing = frame(0).replace("null}", "\"ephemeral\"}");
        let named = frame(0).replace("\"meta\":null", "\"meta\":\"ephemeral\"");
        let (a, b) = (frame(1), frame(2));
        let text = format!("\n{passing}\r\n{a}\n{passing}\n \n\n{passing}\n{named}\n{b}\n{passing}\n\n");
        // Those behind the last frame of a request are left out.
        assert_eq!(bodies(&text, 7).await, [format!("{a}\n"), format!("{named}\n{b}\n")]);
        assert_eq!(bodies(&format!("{a}\n\n{b}\n"), 7).await, [format!("{a}\n\n{b}\n")]);
        assert_eq!(bodies("\n \r\n\n\n\n", 7).await, [""; 0]);
    }

    #[tokio::test]
    async fn one_frame_over_several_lines_stays_whole() {
        let text = "\n{\n\"topic\":\n\"a\",\n\n\n\"id\":\n\"03d4q1qhbiv09ovtuhokw5yxv\"\n}\n";
        for bytes in [1, 100] {
            assert_eq!(bodies(text, bytes).await.concat(), text.trim_start());
        }
        // What is no frame is not the beginning of one.
        assert_eq!(bodies("nonsense\n1\n2\n3\n", 5).await, ["nonsense\n1\n2\n", "3\n"]);
    }

    #[tokio::test]
    async fn what_has_come_does_not_wait_for_what_comes_later() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let input = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let mut lines = Lines::new(input, Bounds { pause: Duration::from_millis(1), ..THREE });
        let (begun, ended) = (format!("{}\n{{\"topic\"", frame(1)), ":1}\n");
        sender.send(Ok(Bytes::from(begun))).unwrap();
        assert_eq!(next(&mut lines).await.unwrap(), frame(1) + "\n");
        sender.send(Ok(Bytes::from(ended))).unwrap();
        assert_eq!(next(&mut lines).await.unwrap(), "{\"topic\":1}\n");
        drop(sender);
        assert_eq!(next(&mut lines).await, None);
    }

    #[tokio::test]
    async fn a_request_ends_however_steadily_lines_come() {
        let input = stream::unfold(0, |n| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok(Bytes::from(frame(n) + "\n")), n + 1))
        });
        let bounds = Bounds { lines: u64::MAX, time: Duration::from_millis(20), ..THREE };
        let mut lines = Lines::new(input, bounds);
        assert!(next(&mut lines).await.unwrap().starts_with(&frame(0)));
    }

    #[tokio::test]
    async fn what_is_passed_over_keeps_no_request_open() {
        let pulses = stream::unfold(0, |n| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let line = if n == 0 { frame(0) + "\n" } else { "\n".to_owned() };
            Some((Ok(Bytes::from(line)), n + 1))
        });
        let bounds = Bounds { lines: u64::MAX, pause: Duration::from_millis(20), time: HOUR };
        let mut lines = Lines::new(pulses, bounds);
        let body = tokio::time::timeout(Duration::from_secs(60), next(&mut lines)).await;
        assert!(body.unwrap().unwrap().starts_with(&frame(0)));
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_how_far_it_has_come() {
        let text: String = (0..4).map(|n| frame(n) + "\n").collect();
        let mut lines = Lines::new(pieces(&format!("{text}{}", "x".repeat(FRAME_LINE_BYTES_MAX + 1)), 10_000), THREE);
        let lost = Error::new(ErrorKind::Unavailable, "no answer").with_source("it is away");
        assert!(told(&lines, &lost).contains("\"no answer\""));
        next(&mut lines).await.unwrap();
        // What is good before it is imported.
        assert_eq!(next(&mut lines).await.unwrap(), frame(3) + "\n");
        let error = lines.begin().await.unwrap_err();
        let expected = "\"all is imported up to line 4; line 5: a line holds at most";
        assert!(told(&lines, &error).contains(expected), "{}", told(&lines, &error));

        let broken =
            stream::iter([Ok(Bytes::from("\n\n")), Err(Error::new(ErrorKind::InvalidInput, "the disk is on fire"))]);
        let mut lines = Lines::new(broken, THREE);
        let error = lines.begin().await.unwrap_err();
        assert!(told(&lines, &error).contains("\"after line 2: the disk is on fire"));
    }

    #[tokio::test]
    async fn a_line_that_is_refused_is_named_as_the_input_counts() {
        let refusal = |line: &str| Error::new(ErrorKind::InvalidInput, format!("{line}not a frame"));
        let text: String = (0..6).map(|n| frame(n) + "\n").collect();
        let mut lines = Lines::new(pieces(&format!("\n{text}"), 100), THREE);
        next(&mut lines).await.unwrap();
        // Nothing came before the first.
        for (line, expected) in [
            ("line 1: ", "\"line 2: not a frame (InvalidInput)\""),
            ("line 2: ", "\"all is imported up to line 2; line 3: not a frame (InvalidInput)\""),
        ] {
            assert!(told(&lines, &refusal(line)).contains(expected), "{line}");
        }
        next(&mut lines).await.unwrap();
        for (line, expected) in [
            ("line 1: ", "\"all is imported up to line 4; line 5: not a frame (InvalidInput)\""),
            ("line 3: ", "\"all is imported up to line 6; line 7: not a frame (InvalidInput)\""),
        ] {
            assert!(told(&lines, &refusal(line)).contains(expected), "{line}");
        }
        // What names no line says nothing of how far the request has come.
        let others = ["", "line 0: ", "line +1: ", "line : ", "line 1 is ", "line 99999999999999999999: "];
        for error in others.map(refusal).into_iter().chain([refusal("line 1: ").with_source("of something in between")])
        {
            let expected = format!("\"all is imported up to line 4; after it: {error}");
            assert!(told(&lines, &error).contains(&expected), "{}", told(&lines, &error));
        }
    }
}
