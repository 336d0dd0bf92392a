//! Serving, and stopping without dropping anything.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;
use xs::{Error, ErrorKind, EventStream, Frame, Result};

use crate::access::Access;
use crate::connection::{Io, Unread, Wire};
use crate::gone::{Attended, Gone};
use crate::guard::{Connection, Guard};
use crate::limits::{ACCEPT_RETRY, Limits, STORE_GRACE};
use crate::listen::{Accepted, Listener, Medium};
use crate::room::{Room, Taken};
use crate::routes::{App, app};
use crate::trace;
use crate::writes::Writes;

/// One stream behind its listeners.
#[derive(Debug)]
pub struct Server {
    stream: EventStream,
    listeners: Vec<Listener>,
    limits: Limits,
    access: Access,
    announce: bool,
}

impl Server {
    /// A server of `stream` that is not running yet. The first listener, where it is a socket, is the stream's
    /// own; the others are what it is exposed at.
    pub fn new(stream: EventStream, listeners: Vec<Listener>) -> Self {
        Self { stream, listeners, limits: Limits::default(), access: Access::open(), announce: true }
    }

    /// With these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Open to these only, over the network. A clone of `access` reloads the tokens while the server runs.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Whether its start and its stop are frames of the stream, which they are if nothing is said.
    #[must_use]
    pub fn announce(mut self, announce: bool) -> Self {
        self.announce = announce;
        self
    }

    /// Serves until `stop` is ready: appends `xs.start`, and at the end `xs.stopping`; then lets
    /// requests under way finish within a grace period, ends followers when they have seen what those
    /// appended, and closes the stream.
    ///
    /// `InvalidInput` before all that, where a limit is impossible, there is no listener, or one beyond loopback was
    /// bound for a server with tokens.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Self { stream, listeners, limits, access, announce } = self;
        limits.check()?;
        listeners.iter().try_for_each(|listener| listener.check_tokens(!access.is_open()))?;
        if listeners.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, "a server without a listener serves nobody"));
        }
        let mut stop = std::pin::pin!(stop);
        if announce {
            let start = Frame::topic("xs.start")?.meta(json!({ "expose": exposed(&listeners) }));
            tokio::select! {
                started = stream.append(start, ()) => started?,
                // A disk that hangs must not hold up whoever stops the server.
                () = &mut stop => return in_time(limits.grace, "closing the store", stream.close()).await,
            };
        }

        let limits = Arc::new(limits);
        let (stopping, stopped) = watch::channel(false);
        let (ending, ended) = watch::channel(false);
        let state = App::new(stream.clone(), ended);
        let counters = Arc::clone(&state.counters);
        let serving = Arc::new(Serving::new(state, access, Arc::clone(&limits), stopped));
        let graceful = GracefulShutdown::new();
        let room = Room::new(&limits);
        let mut accepting = JoinSet::new();
        let (accepted, mut incoming) = mpsc::channel(1);
        let (closing, closed) = watch::channel(false);
        for listener in listeners {
            accepting.spawn(accept(listener, room.clone(), accepted.clone(), closed.clone()));
        }
        drop(accepted);
        let mut connections = JoinSet::new();
        loop {
            let (connection, taken) = tokio::select! {
                // Once it is ready, acceptors come to their end, and with them what they have accepted.
                () = &mut stop, if !*closing.borrow() => {
                    closing.send_replace(true);
                    continue;
                }
                accepted = incoming.recv() => match accepted {
                    Some(accepted) => accepted,
                    None => break,
                },
                // Those that have ended are taken out as they end.
                Some(_) = connections.join_next() => continue,
            };
            let Some(share) = room.share(&connection.peer) else {
                tracing::debug!(peer = %connection.peer, "closing a connection: its address has too many");
                continue;
            };
            let span = trace::connection(&connection.peer);
            let served = Arc::clone(&serving).serve(connection, graceful.watcher());
            let counted = (counters.connected(), taken, share);
            let served = async move {
                served.await;
                drop(counted);
            };
            connections.spawn(served.instrument(span));
        }
        tracing::info!("stopping");
        // A disk that hangs must not hold up whoever stops the server.
        let noted = match announce {
            true => in_time(limits.grace, "noting the stop", stream.append(Frame::topic("xs.stopping")?, ())).await,
            false => Ok(()),
        };
        stopping.send_replace(true);
        if !finish(graceful, &serving.guard.writes, &ending, &limits).await {
            tracing::warn!(grace = ?limits.grace, "cutting off requests that take longer than the grace period");
        }
        connections.shutdown().await;
        drop(serving);
        in_time(limits.grace, "closing the store", stream.close()).await?;
        noted
    }
}

/// Waits for work on the store no longer than the grace period.
async fn in_time<T>(grace: Duration, doing: &str, work: impl Future<Output = Result<T>>) -> Result<()> {
    // Also where nothing is granted to requests, the store gets its moment.
    let grace = grace.max(STORE_GRACE);
    match tokio::time::timeout(grace, work).await {
        Ok(result) => result.map(drop),
        Err(_) => Err(Error::new(ErrorKind::Unavailable, format!("{doing} took longer than {grace:?}"))),
    }
}

/// Lets what is under way end within the grace period, followers after what may append. Whether it has.
async fn finish(graceful: GracefulShutdown, writes: &Writes, ending: &watch::Sender<bool>, limits: &Limits) -> bool {
    let followers = async {
        writes.drain(limits.append_grace()).await;
        ending.send_replace(true);
    };
    let all = async { tokio::join!(graceful.shutdown(), followers) };
    tokio::time::timeout(limits.grace, all).await.is_ok()
}

/// What all connections share.
struct Serving {
    app: Router,
    http: http1::Builder,
    guard: Arc<Guard>,
    limits: Arc<Limits>,
    /// Becomes true when the server stops.
    stopping: watch::Receiver<bool>,
}

impl Serving {
    fn new(state: Arc<App>, access: Access, limits: Arc<Limits>, stopping: watch::Receiver<bool>) -> Self {
        let guard = Guard::new(access, Arc::clone(&limits), Arc::clone(&state.counters));
        Self { app: app(state), http: http(&limits), guard: Arc::new(guard), limits, stopping }
    }

    /// Serves a connection to its end.
    async fn serve(self: Arc<Self>, accepted: Accepted, watcher: Watcher) {
        let Accepted { wire, peer, tls } = accepted;
        let unread = Unread::default();
        let io = Io::new(wire, peer.clone(), unread.clone(), self.limits.write_timeout);
        let io: Box<dyn Wire> = match tls {
            None => Box::new(io),
            Some(tls) => {
                let mut stopping = self.stopping.clone();
                let shaken = tokio::select! {
                    shaken = tls.accept(io, self.limits.header_timeout) => shaken,
                    _ = stopping.wait_for(|stopping| *stopping) => return,
                };
                match shaken {
                    Ok(io) => {
                        // What came is the handshake, unless a head began right behind it.
                        unread.set(!io.get_ref().1.wants_read());
                        Box::new(io)
                    }
                    // Scanners, plain HTTP, clients that do not trust the certificate.
                    Err(error) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        return;
                    }
                }
            }
        };
        let gone = Gone::default();
        let io = Attended::new(io, gone.clone());
        let connection = Arc::new(Connection { guard: Arc::clone(&self.guard), peer, unread, gone });
        let service = service_fn(|request| {
            let (connection, app) = (Arc::clone(&connection), self.app.clone());
            async move { Ok::<_, Infallible>(connection.answer(app, request).await) }
        });
        if let Err(error) = watcher.watch(self.http.serve_connection(TokioIo::new(io), service)).await {
            connection.ended(&error);
        }
    }
}

/// HTTP/1.1, and nothing else, within its limits. A connection has one buffer for what comes in and one for what
/// goes out; they begin with 8 KiB, and what makes them grow to their limit are large heads, fast bodies and
/// clients that do not take what they asked for.
fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.head_read_bytes())
        .max_buf_size(limits.buffer_bytes())
        // `Attended` looks, where somebody wants to know.
        .half_close(true);
    http
}

/// What `xs.start` says of where the server can be reached.
fn exposed(listeners: &[Listener]) -> Value {
    let own = listeners.first().is_some_and(|first| first.medium() == Medium::Socket);
    let exposed: Vec<&str> = listeners.iter().skip(usize::from(own)).map(Listener::name).collect();
    match exposed.as_slice() {
        [] => json!(null),
        [one] => json!(one),
        many => json!(many),
    }
}

/// Accepts until the server stops.
async fn accept(
    listener: Listener,
    room: Room,
    accepted: mpsc::Sender<(Accepted, Taken)>,
    mut closing: watch::Receiver<bool>,
) {
    tracing::info!(address = listener.name(), "listening");
    loop {
        let taken = tokio::select! {
            taken = room.take(listener.medium()) => taken,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Ok(taken) = taken else { return };
        let connection = loop {
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                _ = closing.wait_for(|closing| *closing) => return,
            };
            match connection {
                Ok(connection) => break connection,
                Err(error) if is_of_client(&error) => tracing::debug!(%error, "a connection ended before it began"),
                Err(error) => {
                    tracing::warn!(%error, address = listener.name(), "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        };
        if accepted.send((connection, taken)).await.is_err() {
            return;
        }
    }
}

/// Whether a failed accept says nothing of the next one.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
