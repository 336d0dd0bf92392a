//! Writing what a server sends to standard output: as it is, byte for byte, unless a person reads it.

use std::io::Write as _;

use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use xs_client::{Request, Response};

use crate::args::{Common, Target};
use crate::connect;
use crate::failure::{Failure, Result};
use crate::signals;
use crate::terminal;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Lines: where the last one has no end, one is added.
    Lines,
    /// Anything, which is left as it is.
    Content,
}

/// Calls the server, and prints the frames that it answers.
pub(crate) async fn frames(request: Request, target: &Target, common: &Common) -> Result<()> {
    let client = connect::client(target, common)?;
    let response = client.request(request).await.map_err(|error| Failure::of_call(&error))?;
    match terminal::person_reads(common) {
        true => terminal::frames::show(response, &client, common.color.palette()).await,
        false => pipe(response, Body::Lines).await,
    }
}

/// Calls the server, and prints what it answers.
pub(crate) async fn bytes(request: Request, target: &Target, common: &Common, body: Body) -> Result<()> {
    let client = connect::client(target, common)?;
    let response = client.request(request).await.map_err(|error| Failure::of_call(&error))?;
    pipe(response, body).await
}

/// Copies a body to standard output as it comes.
pub(crate) async fn pipe(response: Response, body: Body) -> Result<()> {
    let mut out = tokio::io::stdout();
    let mut last = b'\n';
    let mut guard = (body == Body::Content && terminal::is_terminal()).then(Guard::default);
    let mut chunks = response.body;
    // A stream may be quiet for long: nothing would be written that tells that nobody reads.
    let mut gone = std::pin::pin!(signals::reader_gone());
    loop {
        let chunk = tokio::select! {
            chunk = chunks.next() => chunk,
            () = &mut gone => return Ok(()),
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|error| broken_off(&error))?;
        if guard.as_mut().is_some_and(|guard| guard.acts(&chunk)) {
            return Err(Failure::new(
                "this content is binary, and would upset the terminal: write it to a file with >",
            ));
        }
        out.write_all(&chunk).await.map_err(|error| written(&error))?;
        // A follower's reader waits for each frame.
        out.flush().await.map_err(|error| written(&error))?;
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
    /// The last byte, which may begin a character that ends in the next chunk.
    last: u8,
}

impl Guard {
    /// Whether a chunk holds a control character, other than those that text is laid out with.
    fn acts(&mut self, chunk: &[u8]) -> bool {
        chunk.iter().any(|&byte| {
            let last = std::mem::replace(&mut self.last, byte);
            match byte {
                b'\t' | b'\n' | b'\r' => false,
                0..0x20 | 0x7f => true,
                // The C1 controls, as UTF-8 has them.
                0x80..=0x9f => last == 0xc2,
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
    fn what_acts_on_a_terminal_is_found_over_the_edges_of_chunks() {
        let acts = |chunks: &[&[u8]]| {
            let mut guard = Guard::default();
            chunks.iter().any(|chunk| guard.acts(chunk))
        };
        assert!(!acts(&[b"text\t\r\n", "\u{a0}é漢".as_bytes(), b""]));
        let hostile: [&[&[u8]]; 5] =
            [&[b"text", b"\x1b[2J"], &[b"\x7f"], &[b"\0"], &[b"\xc2\x9b"], &[b"\xc2", b"", b"\x9b"]];
        for bad in hostile {
            assert!(acts(bad), "{bad:?}");
        }
    }
}
