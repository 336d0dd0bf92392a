//! Connecting: over a Unix socket, over TCP, with TLS on top.

use std::error::Error as StdError;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tower_service::Service;
use xs_core::{Error, ErrorKind, Result};

#[cfg(unix)]
use crate::endpoint::invalid;
use crate::endpoint::{Address, Endpoint};
use crate::limits::PROBE;
use crate::link::Link;
use crate::options::ClientOptions;
use crate::tls::Trust;

/// Makes the connections of a client's pool. Where they go is its own knowledge: of a URI it takes
/// the host, and for a socket nothing at all.
#[derive(Clone, Debug)]
pub(crate) struct Connector(Arc<Dialer>);

#[derive(Debug)]
struct Dialer {
    endpoint: Endpoint,
    timeout: Duration,
    tcp: HttpConnector,
    trust: Trust,
}

impl Connector {
    pub(crate) fn new(endpoint: Endpoint, options: &ClientOptions) -> Self {
        let (idle, interval, times) = PROBE;
        let mut tcp = HttpConnector::new();
        // TLS comes on top of it.
        tcp.enforce_http(false);
        // Requests are small, and their answers are waited for.
        tcp.set_nodelay(true);
        // A name that has many addresses gets a share of the time for each.
        tcp.set_connect_timeout(Some(options.connect_timeout));
        tcp.set_keepalive(Some(idle));
        tcp.set_keepalive_interval(Some(interval));
        tcp.set_keepalive_retries(Some(times));
        let trust = Trust::new(options.ca_file.clone());
        Self(Arc::new(Dialer { endpoint, timeout: options.connect_timeout, tcp, trust }))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Link>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = Arc::clone(&self.0);
        Box::pin(async move { dialer.connect(uri).await.map(TokioIo::new) })
    }
}

impl Dialer {
    async fn connect(&self, uri: Uri) -> Result<Link> {
        match tokio::time::timeout(self.timeout, self.dial(uri)).await {
            Ok(result) => result,
            Err(elapsed) => {
                let Self { endpoint, timeout, .. } = self;
                Err(unavailable(format!("{endpoint} did not take a connection within {timeout:?}"), elapsed))
            }
        }
    }

    async fn dial(&self, uri: Uri) -> Result<Link> {
        match self.endpoint.address() {
            Address::Path(path) => socket(path).await,
            Address::Tcp(host) => self.tcp(uri, host).await,
            Address::Tls(host) => {
                let name = uri.host().unwrap_or_default().to_owned();
                let link = self.tcp(uri, &format!("tls://{host}")).await?;
                self.trust.handshake(&name, link).await
            }
        }
    }

    /// `expose` is what a server would be told to listen there.
    async fn tcp(&self, uri: Uri, expose: &str) -> Result<Link> {
        match self.tcp.clone().call(uri).await {
            Ok(connection) => Ok(Link::new(connection.into_inner())),
            Err(error) => {
                let (endpoint, cause) = (&self.endpoint, root_cause(&error));
                let message = format!(
                    "no server answers at {endpoint} ({cause}): start one with xs serve <path> --expose {expose}"
                );
                Err(unavailable(message, error))
            }
        }
    }
}

/// The store of a directory listens in it; the path of a socket may also have been given as it is.
#[cfg(unix)]
async fn socket(path: &Path) -> Result<Link> {
    let in_directory = match unix(&path.join("sock")).await {
        Ok(connection) => return Ok(Link::new(connection)),
        Err(error) => error,
    };
    match unix(path).await {
        Ok(connection) => Ok(Link::new(connection)),
        Err(error) => {
            let path = path.to_owned();
            // It looks at files.
            let reason = move || Err(no_answer(&path, in_directory, error));
            xs_core::blocking::run(reason).await
        }
    }
}

#[cfg(unix)]
async fn unix(path: &Path) -> std::io::Result<tokio::net::UnixStream> {
    loop {
        match tokio::net::UnixStream::connect(path).await {
            // Where TCP would wait, a socket whose queue is full refuses. The time for connecting ends this.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::time::sleep(crate::limits::QUEUE_RETRY).await;
            }
            result => return result,
        }
    }
}

/// Why nobody answers there, and what to do about it.
#[cfg(unix)]
fn no_answer(path: &Path, in_directory: std::io::Error, as_it_is: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let shown = path.display();
    let error = if path.is_dir() { in_directory } else { as_it_is };
    match error.kind() {
        Io::PermissionDenied => {
            let message = format!("the server of {shown} is for somebody else ({error}): run as its owner");
            invalid(message).with_source(error)
        }
        Io::InvalidInput => {
            let message = format!("{shown}: its path is too long for a socket ({error}): go there, or use a link");
            invalid(message).with_source(error)
        }
        _ if is_socket_of_store(path) => {
            // Relative to the store itself, nothing stands before it.
            let store = path.parent().filter(|store| !store.as_os_str().is_empty()).unwrap_or(Path::new(".")).display();
            unavailable(format!("no server is running on {store} ({error}): start one with xs serve {store}"), error)
        }
        _ if path.is_file() => {
            invalid(format!("{shown} is a file, and no store: make one with xs serve <path>")).with_source(error)
        }
        _ if !path.exists() => {
            unavailable(format!("nothing is at {shown}: make a store there with xs serve {shown}"), error)
        }
        _ if path.is_dir() && !path.join("xs.toml").exists() && !path.join("sock").exists() => {
            unavailable(format!("{shown} is not a store: make one with xs serve <path>"), error)
        }
        _ if path.is_dir() => {
            unavailable(format!("no server is running on {shown} ({error}): start one with xs serve {shown}"), error)
        }
        _ => unavailable(
            format!("no server listens at {shown} ({error}): start one with xs serve <path> --expose {shown}"),
            error,
        ),
    }
}

/// Whether it is where the server of a store listens, be it there or not.
#[cfg(unix)]
fn is_socket_of_store(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "sock") && path.with_file_name("xs.toml").exists()
}

#[cfg(not(unix))]
async fn socket(path: &Path) -> Result<Link> {
    let message = format!("{}: this system has no Unix sockets; use host:port", path.display());
    Err(Error::new(ErrorKind::Unsupported, message))
}

pub(crate) fn unavailable(message: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_source(source)
}

/// What an error comes down to.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
