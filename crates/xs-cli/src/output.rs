//! Writing what a server sends to standard output.

use std::io::IsTerminal as _;

use futures::StreamExt as _;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt as _;

use crate::failure::{Failure, Result};

/// Copies a body to standard output as it comes. Where the last line has no end, one is added when
/// `line` says that it is a line.
pub(crate) async fn pipe(response: Response<Incoming>, line: bool) -> Result<()> {
    let mut out = tokio::io::stdout();
    let written = |error: std::io::Error| Failure::io("writing to standard output", &error);
    let mut last = b'\n';
    let mut chunks = response.into_body().into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|error| Failure::new(format!("the answer broke off: what was printed is not all ({error})")))?;
        out.write_all(&chunk).await.map_err(written)?;
        // A follower's reader waits for each frame.
        out.flush().await.map_err(written)?;
        last = chunk.last().copied().unwrap_or(last);
    }
    if line && last != b'\n' {
        out.write_all(b"\n").await.map_err(written)?;
    }
    out.flush().await.map_err(written)
}

/// One line to standard output.
pub(crate) fn print_line(text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("writing to standard output", &error))
}

/// Whether a person reads what is printed.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
