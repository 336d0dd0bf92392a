//! Writing what a server sends to standard output: as it is, byte for byte, unless a person reads it.

use std::io::Write as _;

use futures::StreamExt as _;
use http::header;
use tokio::io::AsyncWriteExt as _;
use xs_client::{Client, Request, Response};

use crate::args::{Common, Target};
use crate::connect;
use crate::failure::{Failure, Result};
use crate::signals;
use crate::terminal;
use crate::terminal::escaped::Escaped;
use crate::terminal::progress::{self, Passing};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Lines: where the last one has no end, one is added.
    Lines,
    /// Anything, which is left as it is.
    Content,
}

/// What frames come in, or anything else that is JSON.
pub(crate) const JSON: &[&str] = &["application/json", "application/x-ndjson"];
/// What server-sent events come in.
const EVENTS: &[&str] = &["text/event-stream"];
/// What lines come in: JSON, or a hash.
const LINES: &[&str] = &["application/json", "application/x-ndjson", "text/plain"];
/// Characters of a type that are repeated.
const TYPE_CHARS_MAX: usize = 64;

/// Calls the server, and prints the frames that it answers.
pub(crate) async fn frames(request: Request, target: &Target, common: &Common) -> Result<()> {
    let client = connect::client(target, common)?;
    let response = call(&client, request, JSON).await?;
    match terminal::person_reads(common) {
        true => terminal::frames::show(response, &client, common.color.palette()).await,
        false => pipe(response, Body::Lines).await,
    }
}

/// Calls the server, and prints what it answers.
pub(crate) async fn bytes(request: Request, target: &Target, common: &Common, body: Body) -> Result<()> {
    let client = connect::client(target, common)?;
    let types: &[&str] = match body {
        Body::Lines => LINES,
        // Whoever has its hash can tell whether it is what was asked for.
        Body::Content => &[],
    };
    pipe(call(&client, request, types).await?, body).await
}

/// Calls the server, and prints the events that it answers, as they are.
pub(crate) async fn events(request: Request, target: &Target, common: &Common) -> Result<()> {
    let client = connect::client(target, common)?;
    pipe(call(&client, request, EVENTS).await?, Body::Lines).await
}

/// Calls the server, for an answer of one of these types, if any are named: whatever else serves HTTP has pages for
/// everybody who asks.
pub(crate) async fn call(client: &Client, request: Request, types: &[&str]) -> Result<Response> {
    let response = match client.request(request).await {
        Ok(response) => response,
        Err(error) => return Err(Failure::of_call_to(client, &error).await),
    };
    let sent = response.headers.get(header::CONTENT_TYPE).and_then(|sent| sent.to_str().ok());
    if types.is_empty() || sent.is_some_and(|sent| is_one_of(types, sent)) {
        return Ok(response);
    }
    let sent: String = sent.unwrap_or("what has no type").chars().take(TYPE_CHARS_MAX).collect();
    Err(Failure::new(format!("what answers at {} is no server of xs: it sends {sent}", client.endpoint())))
}

/// Whether a Content-Type is of these, whatever it says beside.
fn is_one_of(types: &[&str], sent: &str) -> bool {
    let sent = sent.split_once(';').map_or(sent, |(sent, _)| sent).trim();
    types.iter().any(|wanted| wanted.eq_ignore_ascii_case(sent))
}

/// Copies a body to standard output as it comes.
pub(crate) async fn pipe(response: Response, body: Body) -> Result<()> {
    let mut out = tokio::io::stdout();
    let mut last = b'\n';
    let mut guard = (body == Body::Content && terminal::is_terminal()).then(Guard::default);
    let mut escaped = Escaped::for_stdout();
    let mut passing = match body == Body::Content && !terminal::is_terminal() && progress::is_file(std::io::stdout()) {
        true => Some(Passing::new("written")?),
        false => None,
    };
    let mut chunks = response.body;
    // A stream may be quiet for long: nothing would be written that tells that nobody reads.
    let mut gone = std::pin::pin!(signals::reader_gone());
    loop {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk,
            () = &mut gone => return Ok(()),
        };
        let Some(chunk) = chunk else { break };
        let mut chunk = chunk.map_err(|error| broken_off(&error))?;
        if guard.as_mut().is_some_and(|guard| guard.acts(&chunk)) {
            return Err(Failure::new(
                "this content is binary, or controls what shows it, and would upset the terminal: write it to a file \
                 with >",
            ));
        }
        if body == Body::Lines {
            chunk = escaped.pass(chunk);
        }
        out.write_all(&chunk).await.map_err(|error| written(&error))?;
        // A follower's reader waits for each frame.
        out.flush().await.map_err(|error| written(&error))?;
        if let Some(passing) = &mut passing {
            passing.add(chunk.len());
        }
        last = chunk.last().copied().unwrap_or(last);
    }
    if body == Body::Lines && last != b'\n' {
        out.write_all(b"\n").await.map_err(|error| written(&error))?;
    }
    out.flush().await.map_err(|error| written(&error))
}

/// Finds what acts on a terminal rather than being shown.
#[derive(Debug, Default)]
struct Guard {
    /// The last two bytes, which may begin a character that ends in the next chunk.
    last: [u8; 2],
}

impl Guard {
    /// Whether a chunk holds a control character, other than those that text is laid out with, or one that turns
    /// round what is shown of others. The marks that only say which way a word goes are in every other text of some
    /// languages.
    fn acts(&mut self, chunk: &[u8]) -> bool {
        chunk.iter().any(|&byte| {
            let [before, last] = self.last;
            self.last = [last, byte];
            match (before, last, byte) {
                (.., b'\t' | b'\n' | b'\r') => false,
                (.., 0..0x20 | 0x7f) => true,
                // As UTF-8 has them: the C1 controls, embeddings and overrides, isolates.
                (_, 0xc2, 0x80..=0x9f) | (0xe2, 0x80, 0xaa..=0xae) | (0xe2, 0x81, 0xa6..=0xa9) => true,
                _ => false,
            }
        })
    }
}

/// An answer that has begun and does not come to its end.
pub(crate) fn broken_off(error: &xs::Error) -> Failure {
    Failure::new(format!("{error}; what was printed is not all"))
}

fn written(error: &std::io::Error) -> Failure {
    Failure::io("writing to standard output", error)
}

/// Bytes to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| written(&error))
}

/// One line to standard error. A person is told, and nothing else depends on it: it may go to a disk that is full.
pub(crate) fn tell(text: &str) {
    let _ = std::io::stderr().write_all(format!("xs: {text}\n").as_bytes());
}

/// One line to standard output.
pub(crate) fn print_line(text: &str) -> Result<()> {
    print(format!("{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_told_by_its_name() {
        for (sent, is_one) in [
            ("application/json", true),
            ("Application/X-NDJSON; charset=utf-8", true),
            ("text/html; charset=utf-8", false),
            ("text/html; application/json", false),
            ("", false),
        ] {
            assert_eq!(is_one_of(JSON, sent), is_one, "{sent}");
        }
    }

    #[test]
    fn what_acts_on_a_terminal_is_found_over_the_edges_of_chunks() {
        let acts = |chunks: &[&[u8]]| {
            let mut guard = Guard::default();
            chunks.iter().any(|chunk| guard.acts(chunk))
        };
        assert!(!acts(&[b"text\t\r\n", "\u{a0}é漢\u{200f}\u{2029}\u{202f}\u{2070}".as_bytes(), b""]));
        let hostile: [&[&[u8]]; 8] = [
            &[b"text", b"\x1b[2J"],
            &[b"\x7f"],
            &[b"\0"],
            &[b"\xc2\x9b"],
            &[b"\xc2", b"", b"\x9b"],
            &["a\u{202e}".as_bytes()],
            &["\u{2066}".as_bytes()],
            &[b"\xe2", b"\x80", b"\xaa"],
        ];
        for bad in hostile {
            assert!(acts(bad), "{bad:?}");
        }
    }
}
