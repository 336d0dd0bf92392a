//! What is said of connections and requests in the log.

use std::time::Instant;

use http::{Request, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use crate::limits::LOGGED_PATH_BYTES;
use crate::listen::Peer;

/// Around everything that is done for a connection.
pub(crate) fn connection(peer: &Peer) -> Span {
    tracing::info_span!("connection", %peer)
}

/// Around everything that is done until a request is answered. It costs nothing unless somebody looks.
pub(crate) fn request<B>(request: &Request<B>, peer: &Peer) -> Span {
    let (method, path) = (request.method(), shown(request.uri().path()));
    tracing::debug_span!("request", %method, path, %peer, status = Empty, ms = Empty)
}

/// Notes what a request was answered with; for a streaming answer, when it began.
pub(crate) fn answered(span: &Span, status: StatusCode, since: Instant) {
    let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.record("status", status.as_u16()).record("ms", ms);
    span.in_scope(|| tracing::debug!(status = status.as_u16(), ms, "answered"));
}

/// As much of a path as is logged. What comes behind the question mark never is.
fn shown(path: &str) -> &str {
    path.get(..path.floor_char_boundary(LOGGED_PATH_BYTES)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut() {
        assert_eq!(shown("/append/a"), "/append/a");
        assert_eq!(shown(&"x".repeat(60_000)).len(), LOGGED_PATH_BYTES);
        assert_eq!(shown(&"\u{e4}".repeat(LOGGED_PATH_BYTES)).len(), LOGGED_PATH_BYTES);
    }
}
