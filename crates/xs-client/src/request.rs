//! One request and its answer.

use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::error::Elapsed;
use xs_core::{Content, Error, Result};

use crate::body::{Body, Upload, Watch};
use crate::client::Client;
use crate::connect::{root_cause, unavailable};
use crate::endpoint::{Address, invalid};
use crate::limits::ERROR_BYTES_MAX;

/// A request as it is, for who passes on what comes and goes: the typed methods of [`Client`] are made
/// of these. Its `Debug` shows the names of its headers alone: a value may be a secret.
///
/// ```
/// use xs_client::Request;
/// use xs_client::http::{Method, header};
/// let request = Request::new(Method::GET, "/?follow").header(header::ACCEPT, "text/event-stream");
/// # let _ = request;
/// ```
pub struct Request {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    content: Content,
}

impl Request {
    /// A request without a body.
    pub fn new(method: Method, path_and_query: impl Into<String>) -> Self {
        Self { method, target: path_and_query.into(), headers: Vec::new(), content: Content::none() }
    }

    /// With a header. One that cannot be is refused when the request is sent.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Self {
        self.headers.push((name.as_ref().to_owned(), value.into()));
        self
    }

    /// With this content as its body. It is sent as it comes.
    #[must_use]
    pub fn body(mut self, content: impl Into<Content>) -> Self {
        self.content = content.into();
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &headers)
            .field("content", &self.content)
            .finish()
    }
}

/// What a server answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Response {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What comes after them.
    pub body: Body,
}

impl Response {
    /// The value of a header, as text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The error that it is. A server that says nothing more has the time for a response to say it.
    pub(crate) async fn into_error(self, client: &Client) -> Error {
        let Self { status, body, .. } = self;
        let text = tokio::time::timeout(client.options().response_timeout, body.beginning(ERROR_BYTES_MAX)).await;
        xs_wire::error_of(status, &text.unwrap_or_default())
    }
}

impl Client {
    /// Sends a request. A status other than of success is an error of the kind that the server says.
    pub async fn request(&self, request: Request) -> Result<Response> {
        let response = self.exchange(request).await?;
        match response.status.is_success() {
            true => Ok(response),
            false => Err(response.into_error(self).await),
        }
    }

    /// Sends a request, for the body of its answer. One that stalls is not waited for.
    pub(crate) async fn body_of(&self, request: Request) -> Result<Body> {
        let response = self.request(request).await?;
        Ok(response.body.within(self.options().response_timeout))
    }

    /// Sends a request, and takes whatever comes back.
    ///
    /// A connection of the pool may have been closed by the server a moment ago. hyper's client finds
    /// another one by itself as long as it has not begun to write the request, and gives up as soon as it
    /// has. From there on, only what does no harm twice is sent again, once: no append ever is.
    pub(crate) async fn exchange(&self, request: Request) -> Result<Response> {
        let Request { method, target, headers, content } = request;
        let mut may_repeat = method.is_idempotent() && content.size() == Some(0);
        let head = self.head(method, &target, headers, content.size())?;
        let mut content = Some(content);
        loop {
            let (upload, watch) = Upload::new(content.take().unwrap_or_default());
            let request = http::Request::from_parts(head.clone(), upload);
            let answered = self.answer(request, &watch).await;
            match answered {
                Ok(response) => {
                    let (http::response::Parts { status, headers, .. }, incoming) = response.into_parts();
                    return Ok(Response { status, headers, body: Body::new(incoming, watch) });
                }
                Err(Failed::Http(error)) if may_repeat && has_broken(&error) => may_repeat = false,
                Err(failed) => {
                    // Where the request came from knows best why it was not sent.
                    return Err(watch.take_error().unwrap_or_else(|| self.error_of(failed, &head.method)));
                }
            }
        }
    }

    fn head(&self, method: Method, target: &str, headers: Vec<(String, String)>, size: Option<u64>) -> Result<Parts> {
        let (scheme, authority) = self.origin();
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query(target);
        let uri = uri.build().map_err(|error| invalid(format!("{target:?} is no path: {error}")).with_source(error))?;
        let mut head = HeaderMap::new();
        head.insert(header::USER_AGENT, HeaderValue::from_static(concat!("xs/", env!("CARGO_PKG_VERSION"))));
        if method == Method::POST && size == Some(0) {
            // Without, some that stand in between take it for a request whose body is missing.
            head.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(authorization) = self.authorization() {
            head.insert(header::AUTHORIZATION, authorization.clone());
        }
        for (name, value) in headers {
            let (Ok(key), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::try_from(value)) else {
                return Err(invalid(format!("header {name:?} cannot be sent")));
            };
            head.append(key, value);
        }
        let (mut parts, ()) = http::Request::new(()).into_parts();
        (parts.method, parts.uri, parts.headers) = (method, uri, head);
        Ok(parts)
    }

    /// The head of the answer, unless it does not come in time.
    async fn answer(&self, request: http::Request<Upload>, watch: &Watch) -> Result<http::Response<Incoming>, Failed> {
        let answered = watch.in_time(self.http().request(request), self.options().response_timeout).await;
        answered.map_err(Failed::Late)?.map_err(Failed::Http)
    }

    fn error_of(&self, failed: Failed, method: &Method) -> Error {
        let endpoint = self.endpoint();
        // The server may have got it, and done it.
        let doubt = match *method {
            Method::POST => "; it may have done what it was asked to all the same",
            _ => "",
        };
        let error = match failed {
            Failed::Late(elapsed) => {
                let timeout = self.options().response_timeout;
                return unavailable(
                    format!("the server at {endpoint} did not answer within {timeout:?}{doubt}"),
                    elapsed,
                );
            }
            Failed::Http(error) => error,
        };
        if let Some(own) = error.source().and_then(|source| source.downcast_ref::<Error>()) {
            return own.duplicate();
        }
        let cause = root_cause(&error);
        let (is_parse, is_canceled) =
            of_http(&error).map_or((false, false), |http| (http.is_parse(), http.is_canceled()));
        if is_parse {
            // Over a socket or TLS, nothing else is known of it.
            let hint = if matches!(endpoint.address(), Address::Tcp(_)) { ": is it https://?" } else { "" };
            let message = format!("what answers at {endpoint} does not speak HTTP ({cause}){hint}");
            return invalid(message).with_source(error);
        }
        // What was not begun was not done.
        let doubt = if is_canceled { "" } else { doubt };
        unavailable(format!("the server at {endpoint} did not answer: {cause}{doubt}"), error)
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    Late(Elapsed),
    Http(legacy::Error),
}

fn of_http(error: &legacy::Error) -> Option<&hyper::Error> {
    error.source()?.downcast_ref()
}

/// Whether the connection ended before an answer came, as one does that the server has closed.
fn has_broken(error: &legacy::Error) -> bool {
    of_http(error).is_some_and(|http| !http.is_parse() && !http.is_user())
}

/// The text of an answer that is one.
pub(crate) fn text(bytes: &Bytes) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| not_understood("it is not UTF-8").with_source(error))
}

/// The error of an answer that no server of xs gives.
pub(crate) fn not_understood(why: impl fmt::Display) -> Error {
    Error::new(xs_core::ErrorKind::Unsupported, format!("the answer is not understood: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_headers_are_not_shown() {
        let request = Request::new(Method::POST, "/cas").header("Authorization", "Bearer s3cret").body("hello");
        let shown = format!("{request:?}");
        assert!(shown.contains("Authorization") && shown.contains("/cas") && !shown.contains("s3cret"), "{shown}");
    }
}
