//! The least that a client of the API needs: one request on one connection.

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::stream::{Stream, StreamExt as _};
use http::{Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Address;
use crate::failure::{Failure, Result};

/// A request to a server.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: UnsyncBoxBody<Bytes, std::io::Error>,
}

/// How much of standard input is sent at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// How much of an error's text is shown.
const ERROR_BYTES_MAX: usize = 4096;

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        Self { method, path: path.into(), query: Vec::new(), headers: Vec::new(), body }
    }

    /// With a parameter, where it has a value.
    pub(crate) fn param(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a parameter without a value, where it is on.
    pub(crate) fn flag(self, name: &'static str, on: bool) -> Self {
        self.param(name, on.then_some(""))
    }

    pub(crate) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With what a reader gives as the body.
    pub(crate) fn body(mut self, reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let frames = chunks(reader).map_ok(Frame::data);
        self.body = StreamBody::new(frames).boxed_unsync();
        self
    }

    /// Sends it; an error response is a failure.
    pub(crate) async fn send(self, address: &Address) -> Result<Response<Incoming>> {
        let (connection, host) = connect(address).await?;
        let failed = |error: hyper::Error| match error_source(&error) {
            Some(io) => Failure::io("reading standard input", io),
            None => Failure::new(format!("the server at {address} did not answer: {error}")),
        };
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(failed)?;
        tokio::spawn(driver);
        let mut target = self.path;
        if !self.query.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            target = format!("{target}?{}", query.extend_pairs(self.query).finish());
        }
        let mut request = Request::builder().method(self.method).uri(target).header(header::HOST, host);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body).map_err(|error| Failure::new(format!("making the request: {error}")))?;
        let response = sender.send_request(request).await.map_err(failed)?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(refused(status, response).await),
        }
    }
}

/// An I/O error of the body that was being sent, if that is what went wrong.
fn error_source(error: &hyper::Error) -> Option<&std::io::Error> {
    match error.is_user() {
        true => std::error::Error::source(error)?.downcast_ref(),
        false => None,
    }
}

fn chunks<R: AsyncRead + Send + Unpin + 'static>(reader: R) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures::stream::try_unfold(reader, |mut reader| async move {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK_BYTES);
        let read = reader.read_buf(&mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), reader)))
    })
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

async fn connect(address: &Address) -> Result<(Box<dyn Connection>, String)> {
    match address {
        Address::Tcp(host) => match TcpStream::connect(host).await {
            Ok(connection) => Ok((Box::new(connection), host.clone())),
            Err(error) => Err(Failure::new(format!(
                "no server answers at {host} ({error}): start one with xs serve <path> --expose {host}"
            ))),
        },
        Address::Path(path) => Ok((connect_socket(path).await?, "localhost".to_owned())),
    }
}

#[cfg(unix)]
async fn connect_socket(path: &Path) -> Result<Box<dyn Connection>> {
    let socket = Address::socket(path);
    let shown = path.display();
    if !path.exists() {
        return Err(Failure::new(format!("nothing is at {shown}: make a store there with xs serve {shown}")));
    }
    if path.is_dir() && !path.join("xs.toml").exists() && !socket.exists() {
        return Err(Failure::new(format!("{shown} is not a store: make one with xs serve <path>")));
    }
    match tokio::net::UnixStream::connect(&socket).await {
        Ok(connection) => Ok(Box::new(connection)),
        Err(error) => {
            Err(Failure::new(format!("no server is running on {shown} ({error}): start one with xs serve {shown}")))
        }
    }
}

#[cfg(not(unix))]
async fn connect_socket(path: &Path) -> Result<Box<dyn Connection>> {
    Err(Failure::new(format!("{}: this system has no Unix sockets; use host:port", path.display())))
}

/// What the server says, in its own words.
async fn refused(status: http::StatusCode, response: Response<Incoming>) -> Failure {
    let mut text = Vec::new();
    let mut chunks = response.into_body().into_data_stream();
    while let (Some(Ok(chunk)), true) = (chunks.next().await, text.len() < ERROR_BYTES_MAX) {
        text.extend_from_slice(&chunk);
    }
    let json: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    let part = |name| error.and_then(|error| error.get(name)).and_then(serde_json::Value::as_str);
    match (part("kind"), part("message")) {
        (Some(kind), Some(message)) => Failure::new(format!("{message} ({kind})")),
        _ => Failure::new(format!("the server answered {status}")),
    }
}
