//! How large the head of a request may be. hyper reads more than that, so that the refusal of a head that is
//! not much too large comes from here: it says which limit it is, and is counted as every other.

use http::{Request, StatusCode, Uri};

use crate::error::ApiError;
use crate::limits::{HEADERS_MAX, Limits, URI_BYTES_MAX};

/// The limit that a head is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// Bytes of the address.
    Address(usize),
    /// Headers.
    Headers(usize),
    /// Bytes of all of it.
    Bytes(usize),
}

impl TooLarge {
    pub(crate) fn check<B>(request: &Request<B>, limits: &Limits) -> Result<(), Self> {
        if address_bytes(request.uri()) > URI_BYTES_MAX {
            return Err(Self::Address(URI_BYTES_MAX));
        }
        if request.headers().len() > HEADERS_MAX {
            return Err(Self::Headers(HEADERS_MAX));
        }
        match head_bytes(request) > limits.header_bytes_max {
            true => Err(Self::Bytes(limits.header_bytes_max)),
            false => Ok(()),
        }
    }

    pub(crate) fn error(self) -> ApiError {
        let (status, message) = match self {
            Self::Address(most) => {
                (StatusCode::URI_TOO_LONG, format!("the address of the request has more than {most} bytes"))
            }
            Self::Headers(most) => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, format!("the request has more than {most} headers"))
            }
            Self::Bytes(most) => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("the head of the request has more than {most} bytes (header_bytes_max)"),
            ),
        };
        ApiError::invalid(format!("{message}, the most here")).with_status(status)
    }
}

/// What the head had on the wire, as it is usually written: spaces that mean nothing are no longer known.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let line = request.method().as_str().len() + address_bytes(request.uri()) + "  HTTP/1.1\r\n".len();
    let header = |name: &str, value: &[u8]| name.len() + value.len() + ": \r\n".len();
    let headers = request.headers().iter().map(|(name, value)| header(name.as_str(), value.as_bytes()));
    line + headers.sum::<usize>() + "\r\n".len()
}

fn address_bytes(uri: &Uri) -> usize {
    let scheme = uri.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    scheme + authority + uri.path_and_query().map_or(0, |path| path.as_str().len())
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn it_is_as_large_as_on_the_wire() {
        for (uri, text) in [
            ("/a?b=c", "GET /a?b=c HTTP/1.1\r\nhost: localhost\r\nx: 1\r\nx: 23\r\n\r\n"),
            (
                "http://localhost:3021/a",
                "GET http://localhost:3021/a HTTP/1.1\r\nhost: localhost\r\nx: 1\r\nx: 23\r\n\r\n",
            ),
        ] {
            let request = Request::get(uri).header("host", "localhost").header("x", "1").header("x", "23");
            assert_eq!(head_bytes(&request.body(()).unwrap()), text.len(), "{uri}");
        }
    }

    #[test]
    fn each_limit_is_exact_and_named() {
        let limits = Limits { header_bytes_max: 40_000, ..Limits::default() };
        let check = |path: usize, headers: usize, value: usize| {
            let mut request = Request::get(format!("/{}", "a".repeat(path - 1))).header("x", "v".repeat(value));
            for _ in 1..headers {
                request = request.header("y", "");
            }
            TooLarge::check(&request.body(()).unwrap(), &limits)
        };
        assert_eq!(check(URI_BYTES_MAX, 1, 0), Ok(()));
        assert_eq!(check(URI_BYTES_MAX + 1, 1, 0), Err(TooLarge::Address(URI_BYTES_MAX)));
        assert_eq!(check(1, HEADERS_MAX, 0), Ok(()));
        assert_eq!(check(1, HEADERS_MAX + 1, 0), Err(TooLarge::Headers(HEADERS_MAX)));
        let rest = "GET / HTTP/1.1\r\nx: \r\n\r\n".len();
        assert_eq!(check(1, 1, 40_000 - rest), Ok(()));
        assert_eq!(check(1, 1, 40_001 - rest), Err(TooLarge::Bytes(40_000)));
        for (too_large, status) in [(TooLarge::Address(7), 414), (TooLarge::Headers(7), 431), (TooLarge::Bytes(7), 431)]
        {
            assert_eq!(too_large.error().into_response().status(), status);
        }
    }
}
